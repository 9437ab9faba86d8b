"""What an output holds of all landmarks: some points, in one of two kinds of coordinates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch import points as t
from kpsbatch.points import CONTRACT, FULL, Topology

Points = NDArray[np.float32]

MIN_LENGTH = 1e-6
"""Of adjusted coordinates: no reference length is shorter."""


def view(full: Points, topology: Topology = CONTRACT, *, coordinates: str = "image") -> Points:
    """The keypoints of an output, from all landmarks of its frames.

    Args:
        full: (T, 628, 4), the points of `FULL`.
        topology: The points.
        coordinates: As in the config; adjusted ones express each part relative to
            a body reference of its own, which need not be among the points.

    Returns:
        (T, points, 4) x, y, z, visibility, float32; a part that was not found is all zeros. The pose keeps the model's
        visibility; a point of face or hands has 1 inside the frame, and 0 outside it, where its place is the model's
        guess. For `FULL` all landmarks as they are.
    """
    if topology == FULL:
        return full
    rows = np.zeros((len(full), topology.points, len(topology.CHANNELS)), np.float32)
    for part, landmarks in _landmarks(topology).items():
        whole = full[:, FULL.parts[part]]
        there = whole.any(axis=(1, 2))
        points = whole[:, landmarks]
        if part != "pose":
            points[..., 3] = in_frame(points)
        if coordinates != "image":
            points = _ADJUST[coordinates].get(part, adjust_hand)(points, whole)
        rows[there, topology.parts[part]] = points[there]
    return rows


def in_frame(points: NDArray[Any]) -> NDArray[np.bool_]:
    """Which points (..., 2 or more), in frame widths and heights, lie inside the frame."""
    return np.asarray(((points[..., :2] >= 0) & (points[..., :2] <= 1)).all(axis=-1))


@lru_cache(8)
def _landmarks(topology: Topology) -> dict[str, NDArray[np.intp]]:
    """Which landmarks of each part the points are."""
    return {part: np.array(landmarks) for part, landmarks in topology.sources.items()}


def adjust(points: Points, origin: Points, end_a: Points, end_b: Points) -> Points:
    """Shift points to an origin and divide them by a length.

    Args:
        points: (..., N, 3 or more), x, y, z first; further columns are kept as they are.
        origin: (..., 3 or more) x, y, z of the reference point.
        end_a: (..., 2 or more) one end of the reference length, which is measured in x and y.
        end_b: Its other end.

    Returns:
        A new array of the same shape: (x, y, z - origin) / max(length, 1e-6).
    """
    length = np.maximum(np.hypot(end_a[..., 0] - end_b[..., 0], end_a[..., 1] - end_b[..., 1]), np.float32(MIN_LENGTH))
    adjusted = points.copy()
    adjusted[..., :3] = (points[..., :3] - origin[..., None, :3]) / length[..., None, None]
    return adjusted


def adjust_pose(points: Points, pose: Points) -> Points:
    """Pose points (..., N, 3 or more) with the nose of `pose` (..., 33, 3 or more) at 0, its shoulders 1 apart."""
    return _adjust(points, pose, t.POSE_NOSE, t.POSE_LEFT_SHOULDER, t.POSE_RIGHT_SHOULDER)


def adjust_face(points: Points, face: Points) -> Points:
    """Face points (..., N, 3 or more) with the nose tip of `face` (..., 478, 3) at 0, its iris centres 1 apart."""
    return _adjust(points, face, t.FACE_NOSE_TIP, t.FACE_LEFT_IRIS_CENTRE, t.FACE_RIGHT_IRIS_CENTRE)


def adjust_hand(points: Points, hand: Points) -> Points:
    """Hand points (..., N, 3 or more) with the wrist of `hand` (..., 21, 3) at 0, thumb MCP and pinky MCP 1 apart."""
    return _adjust(points, hand, t.HAND_WRIST, t.HAND_THUMB_MCP, t.HAND_PINKY_MCP)


def _adjust(points: Points, part: Points, origin: int, end_a: int, end_b: int) -> Points:
    return adjust(points, part[..., origin, :], part[..., end_a, :], part[..., end_b, :])


def _arabic_sl_pose(points: Points, pose: Points) -> Points:
    return _adjust(points, pose, t.POSE_LEFT_SHOULDER, t.POSE_LEFT_SHOULDER, t.POSE_RIGHT_SHOULDER)


def _arabic_sl_face(points: Points, face: Points) -> Points:
    return _adjust(points, face, t.FACE_ARABIC_SL, *t.FACE_ARABIC_SL_ENDS)


_ADJUST = {
    "adjusted": {"pose": adjust_pose, "face": adjust_face},
    "adjusted-arabic-sl": {"pose": _arabic_sl_pose, "face": _arabic_sl_face},
}
"""adjusted-arabic-sl: the formula of yousefelkilany/Word-level-Arabic-Sign-language (mediapipe_utils.py): pose
relative to its point 0, the left shoulder, face to its point 1, mesh 7, in distances of mesh 474 and 469; hands as in
adjusted."""
