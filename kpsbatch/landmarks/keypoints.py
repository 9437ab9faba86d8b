"""One frame's landmarks as the 184 points of the output contract."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.adjust import adjust_face, adjust_hand, adjust_pose
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.regions import in_frame
from kpsbatch.landmarks.topology import Topology

Points = NDArray[np.float32]

_POSE = list(Topology.POSE_LANDMARKS)
_FACE = list(Topology.FACE_MESH)


def frame_keypoints(
    pose: Points | None,
    face: Points | None,
    right_hand: Points | None,
    left_hand: Points | None,
    *,
    adjusted: bool,
) -> Points:
    """Lay out one frame.

    Args:
        pose: (33, 4) x, y, z, visibility, or None where it was not found.
        face: (478, 3), or None.
        right_hand: (21, 3), the signer's own right hand, or None.
        left_hand: (21, 3), or None.
        adjusted: Whether each part is expressed relative to its own body reference.

    Returns:
        (184, 4) x, y, z, visibility; a part that was not found is all zeros. The pose keeps the model's visibility; a
        point of face or hands has 1 inside the frame, and 0 outside it, where its place is the model's guess.
    """
    row = np.zeros((Topology.POINTS, len(Topology.CHANNELS)), np.float32)
    if pose is not None:
        row[Topology.POSE] = adjust_pose(pose[_POSE], pose) if adjusted else pose[_POSE]
    if face is not None:
        row[Topology.FACE, :3] = adjust_face(face[_FACE], face) if adjusted else face[_FACE]
        row[Topology.FACE, 3] = in_frame(face[_FACE])
    for place, hand in ((Topology.RIGHT_HAND, right_hand), (Topology.LEFT_HAND, left_hand)):
        if hand is not None:
            row[place, :3] = adjust_hand(hand) if adjusted else hand
            row[place, 3] = in_frame(hand)
    return row


def mirror(keypoints: NDArray[np.float32], *, adjusted: bool) -> NDArray[np.float32]:
    """Keypoints (T, 184, 4) of flipped frames as they lie in the frames before; missing parts stay zeros."""
    mirrored = keypoints.copy()
    for part in Topology.PARTS.values():
        x = keypoints[:, part, 0]
        mirrored[:, part, 0] = np.where(is_found(keypoints, part)[:, None], -x if adjusted else 1 - x, 0)
    return mirrored
