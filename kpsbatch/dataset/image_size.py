"""How large an image says that it is, read from its header: before anything is decoded."""

from __future__ import annotations

import struct


def image_size(data: bytes) -> tuple[int, int] | None:
    """The width and height that a JPEG, PNG, BMP, WebP, TIFF or GIF file declares; None for anything else.

    The kind is told by the content, as OpenCV does it, never by the name.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" else None
        if data.startswith(b"BM"):
            return _bmp(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(data)
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return struct.unpack_from("<HH", data, 6)
    except (struct.error, IndexError):
        pass  # the header ends in the middle
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """From the frame header; segments before it (and thumbnails in them) are skipped, as libjpeg does."""
    position = 2
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            return None
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            continue  # no segment follows
        if marker in (0xD9, 0xDA):
            return None  # the end, or pixels, before any frame header
        (length,) = struct.unpack_from(">H", data, position)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        position += max(length, 2)


def _bmp(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH", data, 18) if header == 12 else struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> tuple[int, int] | None:
    """From the first directory, the one that is decoded."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    entry, value_at = (20, 12) if big else (12, 8)
    size: dict[int, int] = {}
    for number in range(min(count, 1000)):
        position = start + (8 if big else 2) + number * entry
        tag, kind = struct.unpack_from(order + "HH", data, position)
        if tag in (256, 257) and kind in (3, 4, 16):
            code = {3: "H", 4: "I", 16: "Q"}[kind]
            (size[tag],) = struct.unpack_from(order + code, data, position + value_at)
    return (size[256], size[257]) if len(size) == 2 else None
