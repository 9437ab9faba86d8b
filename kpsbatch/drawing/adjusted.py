"""Adjusted coordinates: how they are recognised, and how they are put together to a body that can be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.topology import Topology

# Where adjusted parts go on a square canvas, in its sides: the nose, the shoulder width, and how many shoulder
# widths the distance of the iris centres and the width of a palm (thumb MCP to pinky MCP) are on people.
_NOSE = (0.5, 0.22)
_SHOULDERS = 0.34
_IRIS_DISTANCE = 0.19
_PALM = 0.25
_MAX_HAND = 0.75  # a hand seen from its edge has a tiny palm, and would fill the picture
_WRISTS = {"right_hand": 5, "left_hand": 4}  # among the pose points
_WRISTS_WITHOUT_POSE = {"right_hand": (-0.8, 1.6), "left_hand": (0.8, 1.6)}


def looks_adjusted(keypoints: NDArray[Any]) -> bool:
    """Whether (T, 184, 4) keypoints are adjusted: a hand's wrist is at 0 then, and the shoulders are 1 apart."""
    for part in (Topology.RIGHT_HAND, Topology.LEFT_HAND):
        found = keypoints[is_found(keypoints, part)][:, part]
        if len(found):
            return not found[:, 0, :2].any()
    pose = keypoints[is_found(keypoints, Topology.POSE)][:, Topology.POSE].astype(np.float64)
    if len(pose):
        shoulders = np.hypot(*(pose[:, 0, :2] - pose[:, 1, :2]).T)
        return bool(np.abs(shoulders - 1).max() < 0.01)
    face = keypoints[is_found(keypoints, Topology.FACE)][:, Topology.FACE]
    return bool(len(face) and np.median(face[..., 0].min(axis=1)) < -0.3)


def place_adjusted(keypoints: NDArray[Any], aspect: float = 1.0) -> NDArray[np.float64]:
    """Put adjusted parts together to a body on a square canvas.

    The body keeps its pose, the face is put on its nose, each hand on its wrist, at the size it has on people.
    Without a pose every part has a place of its own.

    Args:
        keypoints: (184, 4), adjusted.
        aspect: Width by height of the frames: x counts in widths, y in heights.

    Returns:
        (184, 4) in image coordinates of the canvas, visibility unchanged.
    """
    placed = np.nan_to_num(keypoints.astype(np.float64))
    placed[:, 1] /= aspect
    nose = np.array(_NOSE)
    body = placed[Topology.POSE, :2].copy()
    has_pose = bool(is_found(placed, Topology.POSE))
    placed[Topology.POSE, :2] = nose + body * _SHOULDERS if has_pose else 0
    placed[Topology.FACE, :2] = nose + placed[Topology.FACE, :2] * _SHOULDERS * _IRIS_DISTANCE
    for name, wrist in _WRISTS.items():
        part = Topology.PARTS[name]
        hand = placed[part, :2]
        at = body[wrist] if has_pose else np.array(_WRISTS_WITHOUT_POSE[name])
        reach = float(np.hypot(*hand.T).max()) * _PALM
        size = _PALM * min(1.0, _MAX_HAND / max(reach, 1e-9))
        placed[part, :2] = nose + (at + hand * size) * _SHOULDERS
    for part in Topology.PARTS.values():
        if not is_found(keypoints, part):
            placed[part] = 0
    return placed
