"""Adjusted coordinates: every part relative to a point and a length of its own body part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks import topology as t

Points = NDArray[np.float32]

MIN_LENGTH = 1e-6


def adjust(points: Points, origin: Points, end_a: Points, end_b: Points) -> Points:
    """Shift points to an origin and divide them by a length.

    Args:
        points: (N, 3 or more), x, y, z first; further columns are kept as they are.
        origin: x, y, z of the reference point.
        end_a: One end of the reference length, which is measured in x and y.
        end_b: Its other end.

    Returns:
        A new array of the same shape: (x, y, z - origin) / max(length, 1e-6).
    """
    length = max(float(np.hypot(end_a[0] - end_b[0], end_a[1] - end_b[1])), MIN_LENGTH)
    adjusted = points.copy()
    adjusted[:, :3] = (points[:, :3] - origin[:3]) / length
    return adjusted


def adjust_pose(points: Points, pose: Points) -> Points:
    """Pose points (N, 3 or more) with the nose of `pose` (33, 3 or more) at 0 and its shoulders 1 apart."""
    return adjust(points, pose[t.POSE_NOSE], pose[t.POSE_LEFT_SHOULDER], pose[t.POSE_RIGHT_SHOULDER])


def adjust_face(points: Points, face: Points) -> Points:
    """Face points (N, 3 or more) with the nose tip of `face` (478, 3) at 0 and its iris centres 1 apart."""
    return adjust(points, face[t.FACE_NOSE_TIP], face[t.FACE_LEFT_IRIS_CENTRE], face[t.FACE_RIGHT_IRIS_CENTRE])


def adjust_hand(points: Points, hand: Points) -> Points:
    """Hand points (N, 3 or more) with the wrist of `hand` (21, 3) at 0 and its thumb MCP and pinky MCP 1 apart."""
    return adjust(points, hand[t.HAND_WRIST], hand[t.HAND_THUMB_MCP], hand[t.HAND_PINKY_MCP])
