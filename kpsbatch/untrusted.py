"""Data that may come from anywhere, read within bounds: what is packed, and JSON.

A file of a few bytes can claim, or hold, more than a machine has memory for.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import zipfile

Pairs = Callable[[list[tuple[str, Any]]], Any]

MOST_FOR_A_BYTE = 1032
"""Bytes to which one byte of DEFLATE data can unpack."""

MAX_DIGITS = 20
"""Characters of the largest whole number that is read: 64 bits and a sign."""

_PERHAPS_TOO_LARGE = re.compile(rf"\d{{{MAX_DIGITS + 1}}}|[eE]\+?\d{{3}}")


def inflate(packed: bytes | memoryview, size: int) -> bytes:
    """Unpack raw DEFLATE data that is said to unpack to so many bytes; no more than these are ever unpacked.

    Raises:
        ValueError, zlib.error: It unpacks to more, or to fewer, or is damaged.
    """
    if size > MOST_FOR_A_BYTE * (len(packed) + 1):
        raise ValueError(f"it can't unpack to the {size} bytes that its directory says")
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    data = unpack.decompress(packed, size + 1)
    if len(data) != size:
        raise ValueError(f"it does not unpack to the {size} bytes that its directory says")
    return data


def read_zip_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member of a zip; no more is unpacked than its directory says.

    Raises:
        KeyError, zipfile.BadZipFile and others of `zipfile`: There is none, or it is damaged.
    """
    member = archive.getinfo(name)
    with archive.open(member) as file:
        return file.read(member.file_size)


def encoding_of(data: bytes) -> str:
    """The encoding of a text that is UTF-8 or UTF-16, with or without a byte order mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if data[1:2] == b"\0" or data[:1] == b"\0":
        return "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"


def parse_json(text: str | bytes, pairs: Pairs | None = None, odd: Callable[[str], Any] | None = None) -> Any:
    """What a JSON text holds.

    Args:
        text: The text, or its bytes.
        pairs: What makes an object of its names and values; default dict.
        odd: What is taken for NaN, infinite and huge numbers, of their text; default: they are refused.

    Raises:
        ValueError: It is no JSON, has such a number, or brackets in brackets without end.
    """
    text = text.decode(json.detect_encoding(text), "surrogatepass") if isinstance(text, bytes) else text
    try:
        return _decoder(pairs, odd or _refuse, bool(_PERHAPS_TOO_LARGE.search(text))).decode(text)
    except RecursionError:
        raise ValueError("brackets lie in brackets without end") from None


@cache
def _decoder(pairs: Pairs | None, odd: Callable[[str], Any], checked: bool) -> json.JSONDecoder:
    def whole(digits: str) -> Any:
        return odd(digits) if len(digits) > MAX_DIGITS else int(digits)

    def finite(text: str) -> Any:
        return number if math.isfinite(number := float(text)) else odd(text)

    numbers: dict[str, Any] = {"parse_int": whole, "parse_float": finite} if checked else {}
    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=odd, **numbers)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text[:MAX_DIGITS]} is no number that is read")
