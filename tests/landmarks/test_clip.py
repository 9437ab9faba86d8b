"""Clip mode with the real networks, against rendered signers whose joints are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from rendered import keypoints_of, video_of
from synthetic.signer import Truth, render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks import clip as clip_module
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import Topology

HANDS = {"right": Topology.RIGHT_HAND, "left": Topology.LEFT_HAND}


def errors(keypoints: np.ndarray, truth: Truth, scale: np.ndarray, offset: np.ndarray) -> list[float]:
    """Median error of each rendered hand, in its diagonals; infinite where it was not found."""
    rows = []
    for side, part in HANDS.items():
        joints = {"right": truth.right_hand, "left": truth.left_hand}[side]
        for t in np.flatnonzero(np.isfinite(joints).all(axis=(1, 2))):
            off = np.linalg.norm(keypoints[t, part, :2] * scale - offset - joints[t], axis=-1)
            found = is_found(keypoints[t], part)
            rows.append(float(np.median(off) / np.linalg.norm(np.ptp(joints[t], axis=0))) if found else np.inf)
    return rows


def placed(frames: np.ndarray, width: int, height: int, x: int, y: int) -> np.ndarray:
    """Frames on a grey canvas, their corner at (x, y)."""
    canvas = np.full((len(frames), height, width, 3), 110, np.uint8)
    canvas[:, y : y + frames.shape[1], x : x + frames.shape[2]] = frames
    return canvas


@pytest.fixture(scope="module")
def signing() -> tuple[np.ndarray, Truth]:
    """A signer who moves both hands: 12 frames of 256x256."""
    return render_video(2, 1, 1, 12)


class TestOneSigner:
    def test_hands_are_where_they_were_rendered(self, signing: tuple[np.ndarray, Truth]) -> None:
        """Every hand is found, half of them within 2.5% of their size, all within 5%; the face is in every frame."""
        frames, truth = signing
        keypoints, summary = keypoints_of(frames, "clip")
        found = errors(keypoints, truth, np.array([256, 256]), np.zeros(2))
        assert len(found) >= 12
        assert max(found) < 0.05
        assert np.median(found) < 0.025
        assert summary["found"]["face"] == summary["found"]["pose"] == 12
        assert summary["hands"]["wrists_without_hand"] == 0
        assert set(summary["how"]["pose"]) == {"d", "t"}
        assert set(summary["how"]["right_hand"]) <= {"l", "d", "t"}

    def test_the_same_clip_gives_the_same_arrays(self, signing: tuple[np.ndarray, Truth]) -> None:
        """Bit for bit, whatever the networks have seen before."""
        frames, _ = signing
        other, _ = render_video(3, 2, 1, 5)
        with Networks(LandmarksConfig(running_mode="clip"), find_networks()) as networks:
            first, _, again = (extract(video_of(video), networks) for video in (frames[:6], other, frames[:6]))
        np.testing.assert_array_equal(first.keypoints, again.keypoints)

    def test_poses_are_those_of_image_mode(self, signing: tuple[np.ndarray, Truth]) -> None:
        """On the median within 1.5% of the frame's width, visibility included, so that no number is misread."""
        frames, _ = signing
        (clip, _), (image, _) = keypoints_of(frames, "clip"), keypoints_of(frames, "image")
        off = np.abs(clip[:, Topology.POSE] - image[:, Topology.POSE])
        assert np.median(off[..., :2]) < 0.015
        assert np.median(off[..., 3]) < 0.02
        face = np.abs(clip[:, Topology.FACE] - image[:, Topology.FACE])
        assert np.median(face[..., :2]) < 0.01
        assert np.median(face[..., 2]) < 0.02

    @pytest.mark.parametrize("rest", [0.44, 0.46, 0.52])
    @pytest.mark.parametrize("signer", [1, 2])
    def test_a_hand_below_the_edge_is_missing(self, rest: float, signer: int) -> None:
        """With more than half of its joints below the picture there is no hand, in any frame."""
        frames, _ = render_video(1, signer, 1, 3, rest=rest)
        keypoints, _ = keypoints_of(frames, "clip", parts=["pose", "hands"])
        assert not keypoints[:, Topology.RIGHT_HAND.start :].any()

    @pytest.mark.parametrize("rest", [0.36, 0.40])
    def test_a_hand_that_is_cut_off_is_there(self, rest: float) -> None:
        """With most joints inside it is found within 8% of its size, visible as far as it is in the frame."""
        frames, truth = render_video(1, 1, 1, 2, rest=rest)
        keypoints, _ = keypoints_of(frames, "clip", parts=["pose", "hands"])
        for side, part in HANDS.items():
            joints = {"right": truth.right_hand, "left": truth.left_hand}[side]
            error = np.linalg.norm(keypoints[:, part, :2] * 256 - joints, axis=-1)
            assert np.median(error) < 0.08 * np.linalg.norm(np.ptp(joints[0], axis=0))
            assert (keypoints[:, part, 3] == (keypoints[:, part, 1] <= 1)).all()


class TestFrames:
    def test_unreadable_frames_are_rows_of_zeros(self, signing: tuple[np.ndarray, Truth]) -> None:
        """At the start, within and at the end; the frames between are as without them."""
        frames = list(signing[0][:5])
        plain, _ = keypoints_of(frames, "clip")
        keypoints, summary = keypoints_of([None, *frames[:2], None, *frames[2:], None], "clip")
        assert summary["bad_frames"] == 3
        assert summary["how"]["pose"][0] == summary["how"]["pose"][3] == summary["how"]["pose"][-1] == "-"
        assert not keypoints[[0, 3, 7]].any()
        np.testing.assert_array_equal(keypoints[[1, 2, 4, 5, 6]], plain)

    def test_one_frame_is_a_clip(self, signing: tuple[np.ndarray, Truth]) -> None:
        """A video of one frame has all parts."""
        keypoints, _ = keypoints_of(signing[0][6:7], "clip")
        assert keypoints.any(axis=2).all()

    def test_nobody_gives_zeros(self) -> None:
        """An empty room is no error, and nobody is invented."""
        keypoints, summary = keypoints_of(np.full((3, 120, 160, 3), 110, np.uint8), "clip")
        assert not keypoints.any()
        assert set("".join(summary["how"].values())) == {"-"}

    def test_a_long_clip_is_never_in_memory_as_a_whole(
        self, signing: tuple[np.ndarray, Truth], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Frames are read a stretch ahead at most, and stretches change no landmark by more than 2% of the frame."""
        frames, _ = signing
        whole, _ = keypoints_of(frames, "clip")
        monkeypatch.setattr(clip_module, "stretch", lambda frame_bytes: 4)
        given = 0
        ahead = []

        def read() -> Iterator[np.ndarray]:
            for count, frame in enumerate(frames, start=1):
                ahead.append(count - given)
                yield frame

        with Networks(LandmarksConfig(running_mode="clip"), find_networks()) as networks:
            for found in clip_module.follow_clip(read(), networks):
                given += 1
                assert found.pose is not None
                assert found.pose[11, :2] == pytest.approx(whole[given - 1, 0, :2], abs=0.02)
                assert set(found.hands) == {s for s, part in HANDS.items() if whole[given - 1, part].any()}
        assert given == 12
        assert max(ahead) <= 4 + 4


class TestPeopleAndPlaces:
    def test_of_two_people_the_one_who_signs_is_followed_throughout(self, signing: tuple[np.ndarray, Truth]) -> None:
        """Beside somebody whose arms rest, on either side."""
        frames, _ = signing
        still, _ = render_video(1, 2, 1, 12, rest=0.36)
        for pair, low in (((frames, still), 0.0), ((still, frames), 0.5)):
            keypoints, summary = keypoints_of(np.concatenate(pair, axis=2), "clip")
            assert summary["found"]["face"] == summary["found"]["pose"] == 12
            for part in (Topology.POSE, Topology.FACE):
                x = keypoints[:, part, 0].mean(axis=1)
                assert ((x > low) & (x < low + 0.5)).all()
            hands = keypoints[:, Topology.RIGHT_HAND.start :, 0]
            assert ((hands == 0) | ((hands > low) & (hands < low + 0.5))).all()

    @pytest.mark.parametrize(
        ("width", "height", "x", "y", "size"),
        [(1100, 260, 700, 2, 256), (900, 700, 600, 420, 170), (260, 900, 2, 600, 256)],
        ids=["wide", "small", "tall"],
    )
    def test_a_signer_is_found_wherever_in_the_frame(self, width: int, height: int, x: int, y: int, size: int) -> None:
        """In a very wide or high frame and small in a large one: pose, face and hands in every frame."""
        frames, truth = render_video(2, 1, 1, 4, size)
        keypoints, summary = keypoints_of(placed(frames, width, height, x, y), "clip")
        assert summary["found"]["pose"] == summary["found"]["face"] == 4
        found = errors(keypoints, truth, np.array([width, height]), np.array([x, y]))
        assert max(found) < 0.12

    def test_a_late_signer_is_followed_back_to_the_first_frame(self, signing: tuple[np.ndarray, Truth]) -> None:
        """An empty room before and after: landmarks in just the frames that show the signer."""
        empty = np.full((7, 256, 256, 3), 110, np.uint8)
        _, summary = keypoints_of([*empty, *signing[0][:6], *empty[:4]], "clip")
        for part in ("pose", "face"):
            assert [letter != "-" for letter in summary["how"][part]] == [False] * 7 + [True] * 6 + [False] * 4
