"""Where each part of a video was found, and how: a letter for each frame and part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from kpsbatch.points import CONTRACT, Topology

Letter = Literal["d", "t", "l", "i", "-"]

DETECTED: Final = "d"
TRACKED: Final = "t"
LOOKED_AGAIN: Final = "l"
INTERPOLATED: Final = "i"
MISSING: Final = "-"

MEANING: Final[Mapping[str, str]] = {
    DETECTED: "detected",  # by MediaPipe's detector, in the whole frame or a window of it
    TRACKED: "tracked",  # followed from the frame before, or, in a clip, from the frame after
    LOOKED_AGAIN: "looked for again",  # detector and tracking gave nothing: found in an enlarged square by the pose
    INTERPOLATED: "interpolated",  # not looked at: between two frames that were and agree (landmarks.pace)
    MISSING: "missing",
}
"""What the letters mean; records, preview and report use these words."""


def is_found(keypoints: NDArray[Any], part: slice) -> NDArray[np.bool_]:
    """In which frames a part was found: it is missing where all of its values are 0.

    Visibility alone does not tell: a point outside the frame has visibility 0 and keeps its coordinates.

    Args:
        keypoints: (..., points, 4), one frame or many.
        part: One of the `parts` of their `Topology`.

    Returns:
        (...) booleans.
    """
    return np.asarray(keypoints[..., part, :].any(axis=(-2, -1)))


def how_found(frames: Sequence[Mapping[str, str]], topology: Topology = CONTRACT) -> dict[str, str]:
    """The letters of a video for its record: a string for each part, a letter for each frame.

    Args:
        frames: For each frame the letter of each part that was found; a part that is not there was not found.
        topology: The points of the output.
    """
    return {part: "".join(frame.get(part, MISSING) for frame in frames) for part in topology.parts}
