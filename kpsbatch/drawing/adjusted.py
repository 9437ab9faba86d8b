"""Adjusted coordinates: how they are recognised, and how they are put together to a body that can be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.topology import CONTRACT, Topology

# Where adjusted parts go on a square canvas, in its sides: the nose, the shoulder width, and how many shoulder
# widths the distance of the iris centres and the width of a palm (thumb MCP to pinky MCP) are on people.
_NOSE = (0.5, 0.22)
_SHOULDERS = 0.34
_IRIS_DISTANCE = 0.19
_PALM = 0.25
_MAX_HAND = 0.75  # a hand seen from its edge has a tiny palm, and would fill the picture
_WRISTS = {"right_hand": "pose.right_wrist", "left_hand": "pose.left_wrist"}
_PLACES_WITHOUT_WRIST = {"right_hand": (-0.8, 1.6), "left_hand": (0.8, 1.6)}


def looks_adjusted(keypoints: NDArray[Any], topology: Topology = CONTRACT) -> bool:
    """Whether (T, points, 4) keypoints are adjusted: a hand's wrist is at 0 then, and the shoulders are 1 apart."""
    for side in ("right_hand", "left_hand"):
        wrist = topology.place(f"{side}.wrist")
        if wrist is not None and len(found := _frames_with(keypoints, topology, side)):
            return not found[:, wrist, :2].any()
    left, right = (topology.place(f"pose.{side}_shoulder") for side in ("left", "right"))
    if left is not None and right is not None and len(found := _frames_with(keypoints, topology, "pose")):
        shoulders = np.hypot(*(found[:, left, :2] - found[:, right, :2]).T)
        return bool(np.abs(shoulders - 1).max() < 0.01)
    if "face" not in topology.parts:
        return False
    face = _frames_with(keypoints, topology, "face")[:, topology.parts["face"]]
    return bool(len(face) and np.median(face[..., 0].min(axis=1)) < -0.3)


def _frames_with(keypoints: NDArray[Any], topology: Topology, part: str) -> NDArray[np.float64]:
    """The frames in which a part was found."""
    return keypoints[is_found(keypoints, topology.parts[part])].astype(np.float64)


def place_adjusted(keypoints: NDArray[Any], aspect: float = 1.0, topology: Topology = CONTRACT) -> NDArray[np.float64]:
    """Put adjusted parts together to a body on a square canvas.

    The body keeps its pose, the face is put on its nose, each hand on its wrist, at the size it has on people.
    Without a pose wrist a hand has a place of its own.

    Args:
        keypoints: (points, 4), adjusted.
        aspect: Width by height of the frames: x counts in widths, y in heights.
        topology: Which points they are.

    Returns:
        (points, 4) in image coordinates of the canvas, visibility unchanged.
    """
    placed = np.nan_to_num(keypoints.astype(np.float64))
    placed[:, 1] /= aspect
    nose = np.array(_NOSE)
    before = placed.copy()
    sizes = {"pose": _SHOULDERS, "face": _SHOULDERS * _IRIS_DISTANCE}
    for name, part in topology.parts.items():
        if not is_found(keypoints, part):
            placed[part] = 0
        elif name in sizes:
            placed[part, :2] = nose + before[part, :2] * sizes[name]
        else:
            wrist = topology.place(_WRISTS[name])
            has_wrist = wrist is not None and is_found(keypoints, topology.parts["pose"])
            at = before[wrist, :2] if has_wrist else np.array(_PLACES_WITHOUT_WRIST[name])
            hand = before[part, :2]
            reach = float(np.hypot(*hand.T).max()) * _PALM
            size = _PALM * min(1.0, _MAX_HAND / max(reach, 1e-9))
            placed[part, :2] = nose + (at + hand * size) * _SHOULDERS
    return placed
