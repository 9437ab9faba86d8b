"""Who has a body: people without a face or hands in view keep theirs, bare hands have none; and where pixels are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from rendered import keypoints_of, video_of
from synthetic.signer import Truth, render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import Topology

DATA = Path(__file__).parents[3] / "shared" / "data"
HANDS = {"right": Topology.RIGHT_HAND, "left": Topology.LEFT_HAND}

Frames = list[np.ndarray]


def load(path: Path, square: int | None) -> Frames:
    """The frames of a shared clip, which is not part of the repository."""
    if not path.exists():
        pytest.skip(f"needs the clip {path}, which is not part of the repository")
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    try:
        from clips import load
    finally:
        del sys.path[0]
    frames: Frames = load(path, square)
    return frames


def head_of(frames: Frames) -> tuple[slice, slice]:
    """Rows and columns of a box that holds the head in all frames."""
    keypoints, _ = keypoints_of(frames, "clip", parts=["pose", "face"])
    face = keypoints[:, Topology.FACE, :2].reshape(-1, 2)
    height, width = frames[0].shape[:2]
    low, high = face.min(axis=0) * (width, height), face.max(axis=0) * (width, height)
    margin = 0.35 * (high - low)
    (left, top), (right, bottom) = np.maximum(low - margin, 0).astype(int), (high + margin).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def painted(frames: Frames) -> Frames:
    """The head under a hood of one colour."""
    rows, columns = head_of(frames)
    result = [frame.copy() for frame in frames]
    middle = (columns.start + columns.stop) // 2, (rows.start + rows.stop) // 2
    axes = (columns.stop - columns.start) // 2, (rows.stop - rows.start) // 2
    for frame in result:
        cv2.ellipse(frame, middle, axes, 0, 0, 360, (60, 45, 40), -1)
    return result


def pixelated(frames: Frames) -> Frames:
    """The head in six by six squares, as faces are hidden in the news."""
    rows, columns = head_of(frames)
    result = [frame.copy() for frame in frames]
    for frame in result:
        head = frame[rows, columns]
        small = cv2.resize(head, (6, 6), interpolation=cv2.INTER_AREA)
        frame[rows, columns] = cv2.resize(small, head.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return result


def above_the_hands(frames: Frames, joints: Truth) -> Frames:
    """The frames down to just above the highest hand."""
    hands = np.concatenate([joints.right_hand, joints.left_hand])[..., 1]
    bottom = int(np.nanmin(hands)) - 2
    return [np.ascontiguousarray(frame[:bottom]) for frame in frames]


@pytest.mark.parametrize("mode", ["clip", "image"])
@pytest.mark.parametrize("hidden", [painted, pixelated])
class TestPeopleKeepTheirBody:
    def test_a_rendered_signer(self, hidden: Callable[[Frames], Frames], mode: str) -> None:
        """Without a face and with both hands below the picture's edge: a pose in every frame, and nothing else."""
        frames, truth = render_video(1, 1, 1, 4, rest=0.36)
        shown = above_the_hands(hidden(list(frames)), truth)
        keypoints, _ = keypoints_of(shown, mode)
        assert is_found(keypoints, Topology.POSE).all()
        assert not any(is_found(keypoints, part).any() for part in HANDS.values())
        scale = (shown[0].shape[1], shown[0].shape[0])
        off = np.linalg.norm(keypoints[:, :2, :2] * scale - truth.pose[:, :2], axis=-1)
        width = np.linalg.norm(truth.pose[0, 0] - truth.pose[0, 1])
        assert np.median(off) < 0.15 * width

    def test_a_real_signer(self, hidden: Callable[[Frames], Frames], mode: str) -> None:
        """Frames of the shared clip in which the hands rest, cut off above them: a pose in every one, and no hand."""
        frames = load(DATA / "signer.mp4", 256)[:10:2]
        shown = [np.ascontiguousarray(frame[:195]) for frame in hidden(frames)]
        keypoints, _ = keypoints_of(shown, mode)
        assert is_found(keypoints, Topology.POSE).all()
        assert not any(is_found(keypoints, part).any() for part in HANDS.values())


@pytest.mark.parametrize("mode", ["clip", "image"])
def test_a_bare_hand_has_no_body(mode: str) -> None:
    """A clip of one hand: it is found in at least 36 of 40 frames, under one name in a frame, without a body."""
    frames = load(DATA / "clips" / "hand_only.mp4", None)
    assert len(frames) == 40
    keypoints, summary = keypoints_of(frames, mode)
    found = np.stack([is_found(keypoints, part) for part in HANDS.values()])
    assert found.any(axis=0).sum() >= 36
    assert summary["found"]["pose"] == summary["found"]["face"] == 0
    assert not keypoints[:, : Topology.RIGHT_HAND.start].any()


def offsets(networks: Networks, size: int) -> np.ndarray:
    """(N, 2): the median offset of each found hand's joints from the truth, in pixels."""
    rows = []
    for sign, signer in ((1, 1), (2, 1), (4, 1), (1, 2), (3, 2)):
        frames, truth = render_video(sign, signer, 1, 8, size)
        keypoints = extract(video_of(frames), networks).keypoints
        for part, joints in ((HANDS["right"], truth.right_hand), (HANDS["left"], truth.left_hand)):
            for frame in np.flatnonzero(is_found(keypoints, part) & np.isfinite(joints).all(axis=(1, 2))):
                off = keypoints[frame, part, :2] * size - joints[frame]
                diagonal = np.linalg.norm(np.ptp(joints[frame], axis=0))
                if np.median(np.linalg.norm(off, axis=1)) < 0.1 * diagonal:
                    rows.append(np.median(off, axis=0))
    return np.array(rows)


def test_coordinates_count_from_the_frames_edge() -> None:
    """The mean x offset of rendered hands, extrapolated from two sizes to size 0, is no half pixel: within 0.2.

    What is left grows with the frame: it is the hand network's taste, not the convention.
    """
    sizes = (160, 480)
    with Networks(LandmarksConfig(parts=("pose", "hands")), find_networks()) as networks:
        small, large = (offsets(networks, size) for size in sizes)
    assert min(len(small), len(large)) > 40
    slope = (large[:, 0].mean() - small[:, 0].mean()) / (sizes[1] - sizes[0])
    assert small[:, 0].mean() - slope * sizes[0] == pytest.approx(0, abs=0.2)
