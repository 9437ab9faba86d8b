"""What MediaPipe finds in a frame, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.found import DETECTED, Letter

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Hand:
    """One detected hand.

    Attributes:
        points: (21, 3), x and y in frame widths and heights, z in MediaPipe's unit.
        label: The side of the signer that the model takes it for.
        score: The model's confidence in the label, 0 to 1.
        how: How it was found.
    """

    points: Points
    label: Literal["right", "left"]
    score: float
    how: Letter = DETECTED


@dataclass(frozen=True)
class Detection:
    """What was found in one frame, whoever it belongs to.

    Attributes:
        pose: (33, 4) x, y, z, visibility, or None.
        face: (478, 3), or None.
        hands: At most two hands.
    """

    pose: Points | None = None
    face: Points | None = None
    hands: list[Hand] = field(default_factory=list)
