"""Text that can be read on any picture."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kpsbatch.drawing.colours import BACKGROUND, RGB, WHITE, Colour


@lru_cache(8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has Latin, Greek, Cyrillic and Arabic letters."""
    return ImageFont.truetype(str(Path(__file__).with_name("DejaVuSans.ttf")), size)


@lru_cache(256)
def text_width(text: str, size: int = 13) -> int:
    """How wide a line of text is, in pixels."""
    return round(_font(size).getlength(text))


@lru_cache(256)
def _rendered(text: str, colour: Colour, size: int) -> RGB:
    """A line of text on a solid ground, (H, W, 3)."""
    image = Image.new("RGB", (text_width(text, size) + size // 2 * 2, round(size * 1.55)), BACKGROUND)
    ImageDraw.Draw(image).text((size // 2, image.height / 2), text, colour, _font(size), anchor="lm")
    return np.asarray(image, dtype=np.uint8)


def write_text(canvas: RGB, text: str, x: int, y: int, colour: Colour = WHITE, *, size: int = 13) -> int:
    """Write a line of text on a solid label, in place; (x, y) is its upper left. Too long a text is cut.

    Returns:
        The width of the label.
    """
    shown = fit_text(text, canvas.shape[1] - x - size // 2 * 2, size)
    if not shown or y >= canvas.shape[0]:
        return 0
    label = _rendered(shown, colour, size)
    label = label[: canvas.shape[0] - y, : canvas.shape[1] - x]
    canvas[y : y + label.shape[0], x : x + label.shape[1]] = label
    return int(label.shape[1])


def fit_text(text: str, width: int, size: int = 13) -> str:
    """Cut a text in its middle, so that it is at most `width` pixels wide."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    if text_width(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        shown = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if text_width(shown, size) <= width:
            return shown
    return ""
