"""How each part of a frame was found, as letters in a picture of it."""

from __future__ import annotations

from collections.abc import Mapping

from kpsbatch.inspect.draw import COLOURS, RGB, text_width, write_text
from kpsbatch.landmarks.topology import Topology

SIZE = 12


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
            write_text(image, letter, x, image.shape[0] - round(SIZE * 1.55), COLOURS[part], size=SIZE)
            x += text_width("m", SIZE) + SIZE
