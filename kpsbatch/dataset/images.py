"""Decoding image files."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from kpsbatch.dataset.frame import RGB

REDUCED_SIDE = 480
"""Shorter side, in pixels, that a reduced frame still has: the landmark networks see crops of 192 to 256 pixels."""

_REDUCTIONS = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")


def image_size(data: bytes) -> tuple[int, int] | None:
    """The width and height that a JPEG, PNG, BMP, WebP, TIFF or GIF file declares; None for anything else.

    Reads the header only. The kind is known by the content, never by the name.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the caller has a limit of its own
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return image.size
    except Exception:  # Pillow's readers raise many kinds for damaged files
        return None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def decode_image(data: bytes, max_pixels: int, *, reduced: bool = False) -> tuple[RGB | None, str]:
    """Decode an image file to 8-bit RGB, upright (EXIF orientation applied).

    Args:
        max_pixels: Larger images are not decoded.
        reduced: Decode a large JPEG at 1/2, 1/4 or 1/8 of its size, its shorter side still at least 480 pixels; that
            saves most of the decoding, since it leaves out the finer frequencies.

    Returns:
        The (H, W, 3) image and "", or None and what is wrong, to be read after the name: "is a truncated JPEG".
    """
    if not data:
        return None, "is empty"
    if data.startswith(b"\xff\xd8") and not _is_whole_jpeg(data):
        return None, "is a truncated JPEG"  # OpenCV would return it, grey from where the data ends
    if data.startswith(b"\x89PNG") and not _is_whole_png(data):
        return None, "is a truncated PNG"
    size = image_size(data)
    if size is None:
        return None, "is not a readable image"
    if size[0] * size[1] > max_pixels:  # before it is decoded
        return None, f"has {size[0]}x{size[1]} pixels, more than run.max_pixels ({max_pixels})"
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB | (_reduction(data, size) if reduced else 0))
    except (cv2.error, MemoryError):
        image = None
    if image is None:
        return None, "is not a readable image"
    if image.shape[0] * image.shape[1] > max_pixels:
        return None, f"has {image.shape[1]}x{image.shape[0]} pixels, more than run.max_pixels ({max_pixels})"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":  # OpenCV turns all others
        image = _upright(image, data)
    return np.ascontiguousarray(image, dtype=np.uint8), ""


_SEGMENT = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""A marker of a JPEG, anything but a stuffed byte and those that restart."""

_WITH_LENGTH = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE))
"""Markers with a length behind them, of bytes that can look like others: a thumbnail has an end of its own."""


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether a JPEG has its end mark, behind its scans; what a phone appends behind that does not count."""
    at, scans = 2, 0
    while (marker := _SEGMENT.search(data, at)) is not None:
        kind, at = marker[1][0], marker.end()
        if kind == 0xD9:
            return True
        if kind == 0xD8:
            return False
        scans += kind == 0xDA
        if kind in _WITH_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
    return not scans  # without any it is no picture, which the reader tells


def _is_whole_png(data: bytes) -> bool:
    """Whether a PNG has its last chunk; what is appended behind that does not count."""
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def _upright(image: NDArray[Any], data: bytes) -> NDArray[Any]:
    """A decoded picture (H, W, 3), turned and mirrored as its EXIF orientation says."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image[:, ::-1] if orientation in (2, 3, 6, 7) else image


def _reduction(data: bytes, size: tuple[int, int]) -> int:
    """OpenCV's flag for the smallest decoding of a JPEG that is large enough; 0 for other images."""
    if data.startswith(b"\xff\xd8"):
        for factor, flag in _REDUCTIONS.items():
            if min(size) // factor >= REDUCED_SIDE:
                return flag
    return 0
