"""One frame of a video, as the readers give it and the landmarkers take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RGB: TypeAlias = "NDArray[np.uint8]"


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB, or None where the frame can't be decoded.
        timestamp: `time` in whole milliseconds, strictly rising from frame to frame, as MediaPipe wants it.
        name: The frame's file name, or its number in a video file.
        problem: Why `image` is None, to be read after `name`: "is empty".
        time: Milliseconds since the first frame, exactly as the video file says.
        rate: Nominal frames a second of the video; 0 where that is not known.
        source_time: The `time` that the frame has in the video, where `resample` gave it another.
    """

    image: RGB | None
    timestamp: int
    name: str
    problem: str = ""
    time: float = 0.0
    rate: float = 0.0
    source_time: float | None = None
