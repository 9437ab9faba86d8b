"""One frame's landmarks as the points of an output."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch import points as t
from kpsbatch.landmarks.found import is_found
from kpsbatch.points import CONTRACT, Topology

Points = NDArray[np.float32]

MIN_LENGTH = 1e-6
"""Of adjusted coordinates: no reference length is shorter."""


def frame_keypoints(
    pose: Points | None,
    face: Points | None,
    right_hand: Points | None,
    left_hand: Points | None,
    *,
    adjusted: bool,
    topology: Topology = CONTRACT,
) -> Points:
    """Lay out one frame.

    Args:
        pose: (33, 4) x, y, z, visibility, or None where it was not found.
        face: (478, 3), or None.
        right_hand: (21, 3), the signer's own right hand, or None.
        left_hand: (21, 3), or None.
        adjusted: Whether each part is expressed relative to its own body reference, which need not be among the points.
        topology: The points.

    Returns:
        (points, 4) x, y, z, visibility; a part that was not found is all zeros. The pose keeps the model's visibility;
        a point of face or hands has 1 inside the frame, and 0 outside it, where its place is the model's guess.
    """
    row = empty_row(topology)
    found = {"pose": pose, "face": face, "right_hand": right_hand, "left_hand": left_hand}
    for part, landmarks in _landmarks(topology).items():
        whole = found[part]
        if whole is None:
            continue
        points, place = whole[landmarks], topology.parts[part]
        if part == "pose":
            row[place] = adjust_pose(points, whole) if adjusted else points
        else:
            row[place, 3] = in_frame(points)
            row[place, :3] = (adjust_face if part == "face" else adjust_hand)(points, whole) if adjusted else points
    return row


def in_frame(points: NDArray[Any]) -> NDArray[np.bool_]:
    """Which points (N, 2 or more), in frame widths and heights, lie inside the frame."""
    return np.asarray(((points[:, :2] >= 0) & (points[:, :2] <= 1)).all(axis=1))


def empty_row(topology: Topology) -> Points:
    """The row of a frame in which nothing was found."""
    return np.zeros((topology.points, len(topology.CHANNELS)), np.float32)


@lru_cache(8)
def _landmarks(topology: Topology) -> dict[str, NDArray[np.intp]]:
    """Which landmarks of each part the points are."""
    return {part: np.array(landmarks) for part, landmarks in topology.sources.items()}


def mirror(keypoints: NDArray[np.float32], *, adjusted: bool, topology: Topology = CONTRACT) -> NDArray[np.float32]:
    """Keypoints (T, points, 4) of flipped frames as they lie in the frames before; missing parts stay zeros."""
    mirrored = keypoints.copy()
    for part in topology.parts.values():
        x = keypoints[:, part, 0]
        mirrored[:, part, 0] = np.where(is_found(keypoints, part)[:, None], -x if adjusted else 1 - x, 0)
    return mirrored


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
