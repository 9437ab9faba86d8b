"""Pose visibility in video mode, without the influence of earlier videos of the same landmarker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

WEIGHT = 0.1
"""Of a new value when MediaPipe smooths visibility: `alpha` of the low-pass filter in its pose landmarker graph."""


class VisibilityMemory:
    """Removes the influence of earlier videos from the smoothed visibility.

    In video mode MediaPipe smooths visibility by s = 0.1 * new + 0.9 * s, and unlike its tracking a blank frame does
    not reset s (measured: off by up to 0.27 in the next video). A new landmarker starts with s = new, so the
    two differ by a known amount in the first frame, and by 0.9 times as much in each frame after. Subtracting that
    equals a new landmarker to 1e-6, at no cost (restarting its graph takes as long as three frames).
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float64] | None = None
        self._excess: NDArray[np.float64] | None = None

    def start_video(self) -> None:
        """Set the excess of the video before to 0; the last values stay, as they do in MediaPipe's filter."""
        self._excess = None

    def correct(self, pose: Points) -> Points:
        """A pose (33, 4) with the visibility that it has in this video alone; call it for each pose that is found."""
        smoothed = pose[:, 3].astype(np.float64)
        if self._excess is not None:
            self._excess *= 1 - WEIGHT
        elif self._last is None:
            self._excess = np.zeros_like(smoothed)
        else:
            new = (smoothed - (1 - WEIGHT) * self._last) / WEIGHT
            self._excess = smoothed - new
        self._last = smoothed
        corrected = pose.copy()
        corrected[:, 3] = np.clip(smoothed - self._excess, 0, 1)
        return corrected
