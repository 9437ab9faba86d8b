"""Reading the headers of a tar archive: v7, ustar, GNU (long names, large sizes) and pax (POSIX.1-2001)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable

from kpsbatch.dataset.archive.index import HARD_LINK, LINK, SPARSE, SPECIAL, STORED, IndexWriter
from kpsbatch.dataset.archive.paths import OUTSIDE, clean
from kpsbatch.errors import DatasetError

BLOCK = 512
_MAX_EXTENDED = 1 << 20
_ADLER = 65_521
_NOTHING: dict[str, bytes] = {}
_FILES = (b"0", b"\0", b"7")


def is_tar_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is a tar header with the right checksum."""
    if len(block) < BLOCK:
        return False
    try:
        stored = _number(block[148:156])
    except ValueError:
        return False
    field = sum(block[148:156])
    total = stored - 8 * ord(" ") + field  # the checksum counts its own field as blanks
    if zlib.adler32(block) & 0xFFFF == (1 + total) % _ADLER:  # its low half is the sum of all bytes: faster than sum()
        return True
    high = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in block[148:156])
    return sum(block) - field - 256 * high + 8 * ord(" ") == stored  # old programs took bytes for signed numbers


def scan_tar(
    fd: int, name: str, size: int, index: IndexWriter, on_progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Add all members of a tar archive to an index; see `scan_zip`. Progress counts bytes.

    Raises:
        DatasetError: It is split, cut off or damaged.
    """
    ignored: dict[str, int] = {}
    position, number = 0, 0
    always: dict[str, bytes] = {}
    extended: dict[str, bytes] = {}
    while True:
        block = os.pread(fd, BLOCK, position)
        if not block.strip(b"\0"):
            if len(block) < BLOCK:
                raise _damaged(name, "it ends without an end mark")
            break
        if not is_tar_header(block):
            raise _damaged(name, f"there is no header at byte {position}")
        kind, length = block[156:157], _number(block[124:136])
        start = position + BLOCK
        if kind in (b"L", b"K", b"x", b"g", b"X"):
            position = _next(start, length)
            records = _extended(fd, name, kind, start, length)
            (always if kind == b"g" else extended).update(records)
            continue
        if kind in (b"M", b"V", b"N"):
            if kind == b"M":
                raise DatasetError(f"dataset.root: {name} is a part of a split archive. Join the parts.")
            position, extended = _next(start, length), {}
            continue
        fields = {**always, **extended} if always or extended else _NOTHING
        if "size" in fields:
            length = int(fields["size"])
        if kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
            length = length if kind == b"1" and "size" in extended else 0
        if start + length > size:
            raise _damaged(name, "it is cut off")
        if not _add(block, kind, fields, start, length, index):
            ignored[OUTSIDE] = ignored.get(OUTSIDE, 0) + 1
        if kind == b"S":
            start += _sparse_blocks(fd, block, start) * BLOCK
        position, extended = _next(start, length), {}
        number += 1
        if number % 20_000 == 0:
            on_progress(position, size)
    on_progress(size, size)
    return ignored


def _add(block: bytes, kind: bytes, fields: dict[str, bytes], start: int, length: int, index: IndexWriter) -> bool:
    """Add one member; False where its path leads out of the archive."""
    raw = fields.get("path") or _path(block)
    path = clean(raw)
    if path is None:
        return False
    if kind == b"5" or (kind == b"D") or (kind in _FILES and raw.endswith(b"/")):
        index.add_folder(path)
        return True
    target = b""
    if kind in _FILES:
        method = SPARSE if any(key.startswith("GNU.sparse") for key in fields) else STORED
    elif kind == b"1":
        method, target = HARD_LINK, clean(fields.get("linkpath") or _text(block[157:257])) or b""
    else:
        method = LINK if kind == b"2" else SPARSE if kind == b"S" else SPECIAL
    index.add(path, start, length, length, 0, method, target)
    return True


def _next(start: int, length: int) -> int:
    return start + -(-length // BLOCK) * BLOCK


def _extended(fd: int, name: str, kind: bytes, start: int, length: int) -> dict[str, bytes]:
    """What an extended header says about the member after it: GNU long names, or pax records "length key=value"."""
    if length > _MAX_EXTENDED:
        raise _damaged(name, f"a header of {length} bytes is too long")
    data = os.pread(fd, length, start)
    if kind in (b"L", b"K"):
        return {"path" if kind == b"L" else "linkpath": data.partition(b"\0")[0]}
    records: dict[str, bytes] = {}
    while data.strip(b"\0"):
        digits, _, _ = data.partition(b" ")
        try:
            record, data = data[len(digits) + 1 : int(digits) - 1], data[int(digits) :]
        except ValueError:
            raise _damaged(name, f"there is no pax header at byte {start}") from None
        key, _, value = record.partition(b"=")
        records[key.decode("utf-8", "replace")] = value
    return records


def _path(block: bytes) -> bytes:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""  # GNU keeps other things there
    return prefix + b"/" + name if prefix else name


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits, or, for large values, the GNU form: 0x80 and a number to the base of 256."""
    if field[0] & 0x80:
        value = int.from_bytes(field[1:], "big")
        return value if field[0] == 0x80 else value - (1 << 8 * (len(field) - 1))
    return int(_text(field).strip() or b"0", 8)


def _sparse_blocks(fd: int, block: bytes, start: int) -> int:
    """How many further blocks of an old GNU sparse map follow the header."""
    more, count = block[482], 0
    while more:
        more = os.pread(fd, BLOCK, start + count * BLOCK)[504]
        count += 1
    return count


def _damaged(name: str, what: str) -> DatasetError:
    return DatasetError(f"dataset.root: {name} is damaged: {what}. Copy it again (tar -tf tests it).")
