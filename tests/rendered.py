"""Keypoints of rendered frames, for tests with the real networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.landmarker import Landmarker

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import Frame
from kpsbatch.landmarks.extract import extract


def keypoints_of(
    frames: Any, mode: str, *, mirrored: bool = False, **settings: Any
) -> tuple[np.ndarray, dict[str, Any]]:
    """(T, 184, 4) and the summary of frames (T, H, W, 3); None stands for a frame that can't be read."""
    landmarks = LandmarksConfig.model_validate({"running_mode": mode, **settings})
    pictures = [None if frame is None else np.ascontiguousarray(frame) for frame in frames]
    video = [Frame(picture, 33 * t, str(t), "" if picture is not None else "odd") for t, picture in enumerate(pictures)]
    with Landmarker(landmarks, find_bundles()) as landmarker:
        made = extract(video, landmarker, landmarks, mirrored=mirrored, max_bad_frames=0.5)
    return made.keypoints, made.facts.model_dump()
