"""Keypoints of a made-up body, at places that tests know."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.full import frame_row
from kpsbatch.landmarks.keypoints import view
from kpsbatch.points import Topology

LENGTH = 5


def keypoints(length: int = LENGTH) -> NDArray[np.float32]:
    """(T, 184, 4): shoulders, elbows, wrists; a ring for a face; both hands upwards of the wrists."""
    kps = np.zeros((length, 184, 4), np.float32)
    kps[:, 0:6, :2] = [(0.65, 0.4), (0.35, 0.4), (0.75, 0.6), (0.25, 0.6), (0.8, 0.8), (0.2, 0.8)]
    turn = np.linspace(0, 2 * np.pi, 136)
    kps[:, Topology.FACE, :2] = np.stack([0.5 + 0.08 * np.cos(turn), 0.2 + 0.1 * np.sin(turn)], axis=1)
    for part, x in ((Topology.RIGHT_HAND, 0.2), (Topology.LEFT_HAND, 0.8)):
        finger, joint = np.divmod(np.arange(20), 4)
        kps[:, part.start, :2] = x, 0.8
        kps[:, part.start + 1 : part.stop, :2] = np.stack([x + (finger - 2) * 0.03, 0.75 - joint * 0.03], axis=1)
    kps[..., 3] = 1
    return kps


def adjusted() -> NDArray[np.float32]:
    """The same body in adjusted coordinates."""
    kps = keypoints()
    kps[:, Topology.POSE, :2] = (kps[:, Topology.POSE, :2] - (0.5, 0.2)) / 0.3
    kps[:, Topology.FACE, :2] = (kps[:, Topology.FACE, :2] - (0.5, 0.2)) / 0.06
    for part in (Topology.RIGHT_HAND, Topology.LEFT_HAND):
        kps[:, part, :2] = (kps[:, part, :2] - kps[:, part.start : part.start + 1, :2]) / 0.12
    return kps


def frame_keypoints(pose: Any, face: Any, right_hand: Any, left_hand: Any, *, adjusted: bool) -> np.ndarray:
    """The (184, 4) keypoints of a frame with these landmarks; None for a part that was not found."""
    row = frame_row({"pose": pose, "face": face, "right_hand": right_hand, "left_hand": left_hand})
    return view(row[None], coordinates="adjusted" if adjusted else "image")[0]
