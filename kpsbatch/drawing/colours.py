"""The colours of parts and labels."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Colours that people with a red-green weakness tell apart (Okabe and Ito, 2008).
COLOURS: dict[str, Colour] = {
    "pose": (240, 228, 66),
    "face": (220, 220, 220),
    "irises": (70, 240, 185),
    "right_hand": (230, 130, 0),
    "left_hand": (86, 180, 233),
}
OUTLINE: Final[Colour] = (20, 20, 20)
WHITE: Final[Colour] = (255, 255, 255)
WARNING: Final[Colour] = (255, 176, 160)
BACKGROUND: Final[Colour] = (24, 24, 24)
CANVAS: Final[Colour] = (44, 47, 51)
