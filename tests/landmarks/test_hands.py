"""Hands in the right slot, and found wherever a person sees them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rendered import keypoints_of, video_of

from kpsbatch import points as t
from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks import clip as clip_module
from kpsbatch.landmarks import hands as hands_module
from kpsbatch.landmarks.clip import FrameLandmarks, Rows
from kpsbatch.landmarks.found import DETECTED, LOOKED_AGAIN, Letter
from kpsbatch.landmarks.hands import confirmed, find_hands
from kpsbatch.landmarks.moments import Moment, Reading, Side
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.squares import Square, cut, hand_square, to_pixels, turned_square, upright_square

CLIP = Path(__file__).parents[3] / "shared" / "data" / "signer.mp4"
SIZE = 200
RIGHT, LEFT = (50.0, 100.0), (150.0, 100.0)  # the signer's right is on the picture's left
NO_NETWORKS = cast(Networks, SimpleNamespace(settings=LandmarksConfig()))


def a_pose(right: tuple[float, float] = RIGHT, left: tuple[float, float] = LEFT) -> np.ndarray:
    """Shoulders 100 pixels apart, knuckles straight above the wrists."""
    pose = np.zeros((39, 4))
    pose[t.POSE_RIGHT_SHOULDER, :2], pose[t.POSE_LEFT_SHOULDER, :2] = (50, 40), (150, 40)
    for wrist, index, pinky, place in ((16, 20, 18, right), (15, 19, 17, left)):
        pose[wrist, :2] = place
        pose[index, :2] = pose[pinky, :2] = (place[0], place[1] - 20)
    return pose


def a_hand(x: float, y: float, presence: float = 0.9, how: Letter = DETECTED) -> Reading:
    """A hand with its wrist at (x, y), fingers up, 40 pixels long."""
    points = np.zeros((21, 3))
    for finger in range(5):
        for joint in range(4):
            points[1 + 4 * finger + joint, :2] = (-16 + 8 * finger, -16 - 8 * joint)
    points[:, :2] += (x, y)
    return Reading(points, hand_square(points), presence, how)


def a_moment(pose: np.ndarray | None = None) -> Moment:
    body = Reading(a_pose() if pose is None else pose, upright_square(np.array([100.0, 100.0]), 200.0), 0.99, DETECTED)
    return Moment(np.zeros((SIZE, SIZE, 3), np.uint8), NO_NETWORKS, body)


class TestSearchAtTheWrist:
    def searches(self, moment: Moment, detected: list[Reading], monkeypatch: pytest.MonkeyPatch) -> list[Side]:
        """The sides that are searched at the wrist in a single frame whose palm detector sees `detected`."""
        sides: list[Side] = []
        monkeypatch.setattr(hands_module, "detected_hands", lambda moment: detected)
        monkeypatch.setattr(hands_module, "searched", lambda moment, side: sides.append(side))
        find_hands(moment)
        return sides

    def test_only_wrists_in_the_frame_without_a_hand_are_searched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A wrist with a hand, and one outside of the frame, cost nothing."""
        moment = a_moment(a_pose(left=(240.0, 100.0)))
        assert self.searches(moment, [a_hand(*RIGHT)], monkeypatch) == []
        assert set(moment.hands) == {"right"}
        assert self.searches(a_moment(), [a_hand(*RIGHT)], monkeypatch) == ["left"]
        assert self.searches(a_moment(), [], monkeypatch) == ["right", "left"]

    def test_the_other_hand_again_is_not_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A search that finds the hand that is placed already finds nothing."""
        moment = a_moment(a_pose(right=(100.0, 100.0), left=(104.0, 100.0)))
        other = a_hand(103, 100)
        monkeypatch.setattr(Moment, "read_hand", lambda self, square, how: other)
        monkeypatch.setattr(hands_module, "palm_squares", lambda moment, around: [])
        assert hands_module.searched(moment, "left") is not None  # by itself it is a hand
        moment.hands["right"] = other
        assert hands_module.searched(moment, "left") is None

    def test_an_unsteady_hand_is_not_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a second square shows elsewhere is no hand."""

        def found(second: Reading) -> Reading | None:
            readings = iter([a_hand(*LEFT), second])
            monkeypatch.setattr(Moment, "read_hand", lambda self, square, how: next(readings))
            square = upright_square(np.array([150.0, 90.0]), 80.0)
            return confirmed(a_moment(), "left", square, LOOKED_AGAIN, one_is_enough=False)

        assert found(a_hand(LEFT[0] + 4, LEFT[1])) is not None
        assert found(a_hand(LEFT[0] + 15, LEFT[1])) is None
        assert found(a_hand(*LEFT, presence=0.3)) is None

    def test_a_first_reading_far_away_or_outside_is_not_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A second one that agrees could not be the side's hand."""

        def readings(first: Reading) -> int:
            given: list[Reading] = []

            def read_hand(self: Moment, square: Square, how: Letter) -> Reading:
                given.append(first)
                return first

            monkeypatch.setattr(Moment, "read_hand", read_hand)
            confirmed(a_moment(), "left", upright_square(np.array(LEFT), 80.0), LOOKED_AGAIN, one_is_enough=False)
            return len(given)

        assert readings(a_hand(*LEFT)) == 2
        assert readings(a_hand(LEFT[0], LEFT[1] - 80)) == 1
        outside = a_hand(*LEFT)
        outside.points[1:, 0] += SIZE
        assert readings(outside) == 1

    def test_landmarks_are_mapped_back_to_the_frame(self) -> None:
        """A dot that is painted in the frame and seen in a turned square maps back to where it was painted."""
        square = turned_square(np.array([480.0, 220.0]), 220.0, np.array([np.sin(0.4), -np.cos(0.4)]))
        for x, y in ((450, 180), (520, 260), (480, 220)):
            image = np.zeros((480, 640, 3), np.uint8)
            image[y - 1 : y + 2, x - 1 : x + 2] = 255
            seen = cut(image, square, 256)[..., 0].astype(float)
            rows, columns = np.indices(seen.shape)
            dot = np.array([(seen * columns).sum(), (seen * rows).sum()]) / seen.sum() / 256
            mapped = to_pixels(np.array([[*dot, 0.5]]), square)[0]
            assert mapped[:2] == pytest.approx((x, y), abs=0.05)
            assert mapped[2] == pytest.approx(0.5 * 220)


def test_counts_add_up_over_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    """both + one + none is the number of frames; each hand is detected or recovered, each wrist has one or lacks it."""
    pose = a_pose()[:33].astype(np.float32) / (SIZE, SIZE, 1, 1)
    hand = np.full((21, 3), 0.5, np.float32)
    letters: list[dict[Side, Letter]] = [{}, {"right": "d"}, {"right": "d", "left": "l"}, {"left": "t"}]

    def follow(images: Iterable[Any], *_: Any) -> Iterator[FrameLandmarks]:
        for _, found in zip(images, letters, strict=True):
            how = {f"{side}_hand": letter for side, letter in found.items()}
            yield FrameLandmarks(pose, None, dict.fromkeys(found, hand), {"pose": "d", **how})

    monkeypatch.setattr(clip_module, "follow_clip", follow)
    signer = Rows(NO_NETWORKS)
    rows = list(signer.of(video_of([np.zeros((SIZE, SIZE, 3), np.uint8)] * len(letters))))
    assert len(rows) == len(letters)
    counts = signer.hands
    assert (counts["both"], counts["one"], counts["none"]) == (1, 2, 1)
    assert (counts["detected"], counts["recovered"]) == (3, 1)
    assert (counts["wrists"], counts["wrists_without_hand"]) == (8, 4)


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    if not CLIP.exists():
        pytest.skip(f"needs the signer clip {CLIP}, which is not part of the repository")
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    try:
        from clips import load
    finally:
        del sys.path[0]
    return load(CLIP, 256)


@pytest.mark.parametrize("mode", ["image", "clip"])
def test_recall_on_a_real_signer(clip: list[np.ndarray], mode: str) -> None:
    """At 256x256 at least 97.5% of the hands that can be seen, by the pose, are found."""
    _, summary = keypoints_of(clip, mode, parts=["pose", "hands"])
    counts = summary["hands"]
    assert counts["wrists"] >= 240
    assert 1 - counts["wrists_without_hand"] / counts["wrists"] >= 0.975


def test_a_hidden_region_gives_no_hand(clip: list[np.ndarray]) -> None:
    """Squares without a hand (the signer's face and chest, plain background) are not taken for one."""
    with Networks(LandmarksConfig(running_mode="image"), find_networks()) as networks:
        moment = Moment(clip[60], networks)
        for centre in ((128.0, 45.0), (128.0, 130.0), (30.0, 40.0), (225.0, 30.0)):
            square: Square = upright_square(np.array(centre), 60.0)
            hand = moment.read_hand(square, LOOKED_AGAIN)
            assert hand.presence < networks.settings.confidence.hand_presence
