"""Hands in the right slot, and found wherever a person sees them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.second_look import Region, cut_out, guess_region, region_of, to_frame

from kpsbatch.config import LandmarksConfig
from kpsbatch.demo.hand import Hand
from kpsbatch.landmarks import topology as t
from kpsbatch.landmarks.detectors import Detection
from kpsbatch.landmarks.hands import MAX_WRIST_DISTANCE, find_hands, place_by_label, place_by_pose

CLIP = Path(__file__).parents[3] / "shared" / "data" / "signer.mp4"
SIZE = 200
RIGHT, LEFT = (0.25, 0.5), (0.75, 0.5)  # the signer's right is on the picture's left


def a_pose(right: tuple[float, float] = RIGHT, left: tuple[float, float] = LEFT) -> np.ndarray:
    """Shoulders half a frame apart, knuckles straight above the wrists."""
    pose = np.zeros((33, 4), np.float32)
    pose[t.POSE_RIGHT_SHOULDER, :2], pose[t.POSE_LEFT_SHOULDER, :2] = (0.25, 0.2), (0.75, 0.2)
    for wrist, index, pinky, place in ((16, 20, 18, right), (15, 19, 17, left)):
        pose[wrist, :2] = place
        pose[index, :2] = pose[pinky, :2] = (place[0], place[1] - 0.1)
    return pose


def a_hand(x: float, y: float, label: str = "right", score: float = 0.9, seed: int = 0) -> Hand:
    """A hand with its wrist at (x, y) and its joints above it."""
    points = np.random.default_rng(seed).uniform(-0.06, 0.06, (21, 3)).astype(np.float32)
    points[:, :2] += (x, y - 0.08)
    points[0, :2] = (x, y)
    return Hand(points, label, score)


def place(*hands: Hand, pose: np.ndarray | None = None):
    return place_by_pose(hands, a_pose() if pose is None else pose, SIZE, SIZE)


class TestPlacing:
    def test_the_nearest_wrist_decides_not_the_label(self) -> None:
        """Two hands with the same, wrong label each go to the wrist they are at; both count as relabelled or not."""
        at_left, at_right = a_hand(*LEFT, label="right"), a_hand(*RIGHT, label="right", seed=1)
        placement = place(at_left, at_right)
        assert placement.slots == {"right": at_right, "left": at_left}
        assert placement.relabelled == 1

    def test_one_to_one_by_the_cheapest_total(self) -> None:
        """A hand yields its nearest wrist when that makes room for another hand."""
        pose = a_pose(right=(0.45, 0.5), left=(0.55, 0.5))
        one, two = a_hand(0.46, 0.5), a_hand(0.42, 0.5, seed=1)
        assert place(one, two, pose=pose).slots == {"left": one, "right": two}

    def test_a_hand_far_from_both_wrists_is_dropped_and_counted(self) -> None:
        """Another person's hand takes no slot."""
        beyond = MAX_WRIST_DISTANCE * 0.5 + 0.01  # the shoulders are half a frame apart
        placement = place(a_hand(RIGHT[0], RIGHT[1] + beyond), a_hand(*LEFT, seed=1))
        assert set(placement.slots) == {"left"}
        assert placement.far == 1

    def test_distances_are_measured_in_pixels(self) -> None:
        """In a wide frame a third of its height counts less than a third of its width."""
        hand = a_hand(RIGHT[0], RIGHT[1] + 0.3)
        assert place_by_pose([hand], a_pose(), 800, 200).slots == {"right": hand}
        assert place_by_pose([hand], a_pose(), 200, 800).slots == {}

    def test_a_repeated_detection_takes_one_slot(self) -> None:
        """The same hand found twice is one hand, wherever the other wrist is."""
        pose = a_pose(right=(0.45, 0.5), left=(0.55, 0.5))
        placement = place(a_hand(0.5, 0.5, score=0.8), a_hand(0.5, 0.5, "left", 0.9), pose=pose)
        assert len(placement.slots) == 1
        assert placement.twice == 1

    def test_labels_never_let_one_hand_overwrite_the_other(self) -> None:
        """Without a pose, two hands with one label take both slots; the surer one keeps its label."""
        sure, unsure = a_hand(*LEFT, score=0.9), a_hand(*RIGHT, score=0.6, seed=1)
        assert place_by_label([unsure, sure]).slots == {"right": sure, "left": unsure}

    def test_without_a_pose_the_labels_count(self) -> None:
        """`assign_hands: pose` falls back to the labels in a frame without a pose."""
        hand = a_hand(*RIGHT, label="left")
        counts: Counter[str] = Counter()
        image = np.zeros((SIZE, SIZE, 3), np.uint8)
        assert find_hands(image, Detection(hands=[hand]), Finder(), LandmarksConfig(), counts) == {"left": hand}


class Finder:
    """Answers every second look with the same hand, in the region's own units."""

    def __init__(self, hand: Hand | None = None) -> None:
        self.hand = hand
        self.looks = 0

    def hand_in(self, image: np.ndarray) -> Hand | None:
        self.looks += 1
        return self.hand


class TestSecondLook:
    def find(self, pose: np.ndarray, finder, *hands: Hand, recover: bool = True):
        counts: Counter[str] = Counter()
        settings = LandmarksConfig(running_mode="image", recover_hands=recover)
        image = np.zeros((SIZE, SIZE, 3), np.uint8)
        return find_hands(image, Detection(pose, None, list(hands)), finder, settings, counts), counts

    def test_only_wrists_in_the_frame_without_a_hand_are_looked_at(self) -> None:
        """A wrist with a hand, and one outside of the frame, cost nothing."""
        finder = Finder()
        _, counts = self.find(a_pose(left=(1.2, 0.5)), finder, a_hand(*RIGHT))
        assert finder.looks == 0
        assert (counts["wrists"], counts["wrists_without_hand"]) == (1, 0)

    def test_switched_off_it_does_not_look(self) -> None:
        """`recover_hands: false` leaves the wrist without a hand, and counts it."""
        finder = Finder()
        slots, counts = self.find(a_pose(), finder, a_hand(*RIGHT), recover=False)
        assert (finder.looks, set(slots), counts["wrists_without_hand"]) == (0, {"right"}, 1)

    def test_the_other_hand_again_is_not_taken(self) -> None:
        """A second look that finds the hand that is placed already recovers nothing."""
        pose = a_pose(right=(0.5, 0.5), left=(0.52, 0.5))
        placed = a_hand(0.5, 0.5)

        class FindsThePlacedHand(Finder):
            def hand_in(self, image: np.ndarray) -> Hand | None:
                region = self.regions[min(self.looks, len(self.regions) - 1)]
                self.looks += 1
                inverse = np.linalg.inv(np.vstack([region.matrix, [0, 0, 1]]))
                pixels = placed.points[:, :2] * SIZE - 0.5
                points = placed.points.copy()
                points[:, :2] = (pixels @ inverse[:2, :2].T + inverse[:2, 2] + 0.5) / 256
                return Hand(points, "left", 0.9)

        finder = FindsThePlacedHand()
        finder.regions = [guess_region(pose, "left", 0.7, 1.0, SIZE, SIZE), region_of(placed, SIZE, SIZE)]
        slots, counts = self.find(pose, finder, placed)
        assert finder.looks >= 2
        assert set(slots) == {"right"}
        assert counts["recovered"] == 0

    def test_landmarks_are_mapped_back_to_the_frame(self) -> None:
        """A dot that is painted in the frame and seen in a turned region maps back to where it was painted."""
        region = Region(np.array([480.0, 220.0]), 220.0, np.array([np.sin(0.4), -np.cos(0.4)]))
        for x, y in ((450, 180), (520, 260), (480, 220)):
            image = np.zeros((480, 640, 3), np.uint8)
            image[y - 1 : y + 2, x - 1 : x + 2] = 255
            seen = cut_out(image, region)[..., 0].astype(float)
            rows, columns = np.indices(seen.shape) + 0.5
            dot = np.array([(seen * columns).sum(), (seen * rows).sum()]) / seen.sum() / 256
            hand = Hand(np.tile(np.float32([*dot, 0.5]), (21, 1)), "left", 0.9)
            mapped = to_frame(hand, region, 640, 480).points[0]
            assert mapped[:2] * (640, 480) == pytest.approx((x + 0.5, y + 0.5), abs=0.05)
            assert mapped[2] == pytest.approx(0.5 * 220 / 640)

    def test_an_unsteady_hand_is_not_taken(self) -> None:
        """What a second region shows elsewhere is no hand."""

        class Wanders(Finder):
            def hand_in(self, image: np.ndarray) -> Hand | None:
                self.looks += 1
                return a_hand(0.5 if self.looks % 2 else 0.9, 0.6)

        slots, _ = self.find(a_pose(), Wanders(), a_hand(*RIGHT))
        assert set(slots) == {"right"}


def test_counts_add_up_over_a_video() -> None:
    """both + one + none is the number of frames, and every detected hand is placed, dropped or a repetition."""
    counts: Counter[str] = Counter()
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    settings = LandmarksConfig(running_mode="image", recover_hands=False)
    frames = [[], [a_hand(*RIGHT)], [a_hand(*RIGHT), a_hand(*LEFT, seed=1)], [a_hand(0.5, 0.99), a_hand(*LEFT)]]
    for hands in frames:
        find_hands(image, Detection(a_pose(), None, hands), Finder(), settings, counts)
    assert counts["both"] + counts["one"] + counts["none"] == len(frames)
    assert (counts["both"], counts["one"], counts["none"]) == (1, 2, 1)
    assert (counts["detected"], counts["far"], counts["twice"]) == (5, 1, 0)
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


@pytest.mark.parametrize("mode", ["image", "video"])
def test_recall_on_a_real_signer(clip: list[np.ndarray], mode: str) -> None:
    """At 256x256 at least 97.5% of the wrists in the frame have a hand; the labels alone give at most 92%."""
    settings = LandmarksConfig(running_mode=mode)
    plain = LandmarksConfig(running_mode=mode, assign_hands="label", recover_hands=False)
    counts: Counter[str] = Counter()
    plain_counts: Counter[str] = Counter()
    with Landmarker(settings, find_bundles()) as landmarker:
        landmarker.start_video(256, 256)
        for index, image in enumerate(clip):
            found = landmarker.detect(image, index * 41)
            find_hands(image, found, landmarker, settings, counts)
            find_hands(image, found, landmarker, plain, plain_counts)
    assert counts["wrists"] == plain_counts["wrists"] == 266
    assert 1 - counts["wrists_without_hand"] / counts["wrists"] >= 0.975
    assert 1 - plain_counts["wrists_without_hand"] / plain_counts["wrists"] <= 0.92


def test_a_hidden_region_gives_no_hand(clip: list[np.ndarray]) -> None:
    """Regions without a hand (the signer's face and chest, plain background) are not taken for one."""
    with Landmarker(LandmarksConfig(running_mode="image"), find_bundles()) as landmarker:
        for centre in ((128.0, 45.0), (128.0, 130.0), (30.0, 40.0), (225.0, 30.0)):
            region = Region(np.array(centre), 60.0, np.array([0.0, -1.0]))
            assert landmarker.hand_in(cut_out(clip[60], region)) is None
