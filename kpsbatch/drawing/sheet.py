"""Pages: frames with their notes, in rows, below a legend."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.drawing.colours import BACKGROUND, CANVAS, COLOURS, RGB, WARNING
from kpsbatch.drawing.strokes import missing_parts
from kpsbatch.drawing.text import text_width, write_text
from kpsbatch.landmarks.topology import CONTRACT, Topology

LETTER_SIZE = 12


def mark_frame(
    image: RGB, keypoints: NDArray[Any], number: int, notes: Sequence[str] = (), topology: Topology = CONTRACT
) -> None:
    """Write a frame's number, its missing parts and further notes into its upper left, in place."""
    write_text(image, f"{number}", 0, 0)
    missing = [name.replace("_", " ") for name in missing_parts(keypoints, topology)]
    warnings = [*notes, "no " + ", ".join(missing)] if missing else [*notes]
    for line, text in enumerate(warnings, 1):
        write_text(image, text, 0, 20 * line, WARNING)


def mark_letters(image: RGB, how: Mapping[str, str], number: int) -> None:
    """Write the letters of one frame into its lower left, each in its part's colour, in place.

    Args:
        image: (H, W, 3) RGB.
        how: The record's letters of the video, see found.py; parts without any are passed over.
        number: Of the frame, from 0.
    """
    x = 0
    for part in Topology.PARTS:
        letter = how.get(part, "")[number : number + 1]
        if letter:
            write_text(image, letter, x, image.shape[0] - round(LETTER_SIZE * 1.55), COLOURS[part], size=LETTER_SIZE)
            x += text_width("m", LETTER_SIZE) + LETTER_SIZE


def empty_canvas(height: int, width: int) -> RGB:
    """A dark (height, width, 3) canvas."""
    return np.full((height, width, 3), CANVAS, np.uint8)


def enlarge(image: RGB, side: int) -> RGB:
    """Scale an image so that its shorter side is `side`."""
    factor = side / min(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA), dtype=np.uint8
    )


def encode_image(image: RGB, suffix: str, *options: int) -> bytes:
    """An image as the bytes of a file; `options` are OpenCV's, each name with its value."""
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def jpeg_in_base64(image: RGB, quality: int) -> str:
    """An image as a JPEG of a quality from 0 to 100, for a page."""
    return base64.b64encode(encode_image(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)).decode()


def tile(cells: Sequence[RGB], columns: int) -> RGB:
    """Lay images of one size out in rows."""
    gap = 6
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), BACKGROUND, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def legend(width: int, title: str) -> RGB:
    """A strip that says what is shown and names the colours, in as many lines as it needs."""
    names = {name: name.replace("_", " ") for name in COLOURS}
    widths = {name: text_width(shown) + 36 for name, shown in names.items()}
    x, line = width - sum(widths.values()), 0
    if text_width(title) + 24 > x:
        x, line = 8, 1
    places: dict[str, tuple[int, int]] = {}
    for name, needed in widths.items():
        if x + needed > width and x > 8:
            x, line = 8, line + 1
        places[name] = x, 5 + 24 * line
        x += needed
    strip = np.full((30 + 24 * line, width, 3), BACKGROUND, np.uint8)
    write_text(strip, title, 2, 5)
    for name, (left, top) in places.items():
        cv2.circle(strip, (left + 6, top + 10), 5, COLOURS[name], -1, cv2.LINE_AA)
        write_text(strip, names[name], left + 13, top)
    return strip


def stack(strip: RGB, image: RGB) -> RGB:
    """Put a strip on top of an image; the narrower one is filled up."""
    width = max(strip.shape[1], image.shape[1])
    page = np.full((strip.shape[0] + image.shape[0], width, 3), BACKGROUND, np.uint8)
    page[: strip.shape[0], : strip.shape[1]] = strip
    page[strip.shape[0] :, : image.shape[1]] = image
    return page
