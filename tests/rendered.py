"""Keypoints of rendered frames, for tests with the real networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import Frame
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks


def keypoints_of(
    frames: Any, mode: str, *, mirrored: bool = False, **settings: Any
) -> tuple[np.ndarray, dict[str, Any]]:
    """(T, 184, 4) and the summary of frames (T, H, W, 3); None stands for a frame that can't be read."""
    landmarks = LandmarksConfig.model_validate({"running_mode": mode, **settings})
    with Networks(landmarks, find_networks()) as networks:
        made = extract(video_of(frames), networks, mirrored=mirrored, max_bad_frames=0.5)
    return made.keypoints, made.facts.model_dump()


def video_of(frames: Any) -> list[Frame]:
    """Frames (T, H, W, 3) as `extract` takes them; None stands for one that can't be read."""
    pictures = [None if frame is None else np.ascontiguousarray(frame) for frame in frames]
    return [Frame(picture, 33 * t, str(t), "" if picture is not None else "odd") for t, picture in enumerate(pictures)]
