"""The measures of benchmarks/quality.py, on arrays whose truth is known."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
try:
    import quality_demo
    import quality_measures as q
    import quality_truths
    from clips import find_clips
    from quality_sheets import doubtful
    from quality_ways import Result, choose_signer, windows
finally:
    del sys.path[0]

SIZE = (400, 200)
FRAMES = 60


def poses(x: float = 0.5) -> np.ndarray:
    """A signer at rest: shoulders 80 pixels apart, wrists raised, knuckles 10 pixels above them."""
    pose = np.zeros((FRAMES, 33, 4))
    pose[..., :2], pose[..., 3] = (x, 0.2), 1
    pose[:, 7:9, 0] = x + 0.02, x - 0.02
    pose[:, 11:13, :2] = (x + 0.1, 0.4), (x - 0.1, 0.4)
    for wrist, index, pinky, side in ((15, 19, 17, 0.15), (16, 20, 18, -0.15)):
        pose[:, wrist, :2] = x + side, 0.6
        pose[:, [index, pinky], :2] = (x + side, 0.55)
    return pose


def hand(x: float, y: float) -> np.ndarray:
    """(21, 2) with its wrist at (x, y) and fingers above it."""
    return np.array([(x, y), *((x + 0.004 * (i % 5) - 0.008, y - 0.01 * (1 + i // 5)) for i in range(20))])


def keypoints(pose: np.ndarray) -> np.ndarray:
    """What a perfect mode makes of the signer: pose, face and both hands in every frame."""
    made = np.zeros((len(pose), 184, 4))
    made[:, :6] = pose[:, 11:17]
    made[:, 6:142, :2] = pose[:, 0, None, :2]
    for part, wrist in ((slice(142, 163), 16), (slice(163, 184), 15)):
        for t in range(len(pose)):
            made[t, part, :2] = hand(*pose[t, wrist, :2])
    made[:, 6:, 3] = 1
    return made


def figures(made: np.ndarray, pose: np.ndarray, image: np.ndarray | None = None) -> dict:
    return q.summarise(q.measure(made, pose, SIZE, image))


def test_a_perfect_mode_has_perfect_figures() -> None:
    """Everything found and nothing wrong."""
    pose = poses()
    found = figures(keypoints(pose), pose, keypoints(pose))
    assert (found["own_face"], found["raised_recall"], found["seen_recall"], found["hands"]) == (1, 1, 1, 120)
    assert not any(found[name] for name in ("other_face", "outside", "stray", "twice", "switches"))
    assert found["jitter"] == pytest.approx(0) and found["lag"] in (None, pytest.approx(0))
    assert (found["raised"], found["seen"], found["without_reference"]) == (120, 120, 0)


class TestFaces:
    def test_missing_own_and_others(self) -> None:
        """10 frames without a face, 5 with one 0.35 shoulder widths away, which is another person's."""
        pose, made = poses(), keypoints(poses())
        made[:10, 6:142] = 0
        made[10:15, 6:142, 0] += 0.35 * 80 / SIZE[0]
        found = figures(made, pose)
        assert found["own_face"] == pytest.approx(45 / 60) and found["other_face"] == 5

    def test_heads_outside_the_picture_ask_for_no_face(self) -> None:
        """A frame whose head is cut off counts neither way."""
        pose, made = poses(), keypoints(poses())
        pose[:30, :11, 1] -= 0.3
        made[:30, 6:142] = 0
        assert figures(made, pose)["own_face"] == 1


class TestRecall:
    def test_raised_and_seen(self) -> None:
        """A missing hand counts where it can be seen; a resting one below the edge is not asked for."""
        pose, made = poses(), keypoints(poses())
        pose[:, 15, 1], pose[:, [17, 19], 1] = 0.97, 1.05  # the left wrist is inside, its hand is not
        made[:, 163:184] = 0
        made[:6, 142:163] = 0
        found = figures(made, pose)
        assert (found["seen"], found["raised"]) == (60, 60)
        assert found["seen_recall"] == found["raised_recall"] == pytest.approx(0.9)

    def test_a_hand_that_the_network_takes_for_hidden_is_not_asked_for(self) -> None:
        """The reference's visibility of the wrist counts."""
        pose = poses()
        pose[:20, 15, 3] = 0.1
        assert figures(keypoints(pose), pose)["seen"] == 100

    def test_a_hand_elsewhere_is_no_hit_but_a_stray(self) -> None:
        """Another person's hand in a slot does not count as found."""
        pose, made = poses(), keypoints(poses())
        made[:12, 163:184, 0] += 0.2
        found = figures(made, pose)
        assert found["seen_recall"] == pytest.approx(0.9) and found["stray"] == 12


class TestHands:
    def test_mostly_outside(self) -> None:
        """A hand with 11 of 21 joints outside counts as outside, one with 10 does not."""
        pose, made = poses(), keypoints(poses())
        made[0, 142:153, 1], made[1, 142:152, 1] = 1.2, 1.2
        assert figures(made, pose)["outside"] == 1

    def test_one_hand_in_both_slots(self) -> None:
        """Found by its joints."""
        pose, made = poses(), keypoints(poses())
        made[7:10, 163:184] = made[7:10, 142:163]
        assert figures(made, pose)["twice"] == 3

    def test_switches(self) -> None:
        """Hands that change slots and back are two switches of each slot."""
        pose, made = poses(), keypoints(poses())
        made[20:30, 142:184] = made[20:30][:, [*range(163, 184), *range(142, 163)]]
        assert figures(made, pose)["switches"] == 4

    def test_a_switch_over_a_gap(self) -> None:
        """Also where the frame between has no hands."""
        pose, made = poses(), keypoints(poses())
        made[20:] = made[20:][:, [*range(142), *range(163, 184), *range(142, 163)]]
        made[20, 142:184] = 0
        assert figures(made, pose)["switches"] == 2

    def test_motion_is_no_switch(self) -> None:
        """A hand that moves fast where the other has not been stays itself."""
        pose, made = poses(), keypoints(poses())
        made[20:, 142:163, 1] -= 0.3
        assert figures(made, pose)["switches"] == 0


def moving(offset: float = 0.0) -> np.ndarray:
    """A pose whose wrists and elbows swing, seen `offset` frames late."""
    pose = poses()
    swing = 0.05 * np.sin(0.35 * (np.arange(FRAMES) - offset))
    pose[:, 13:17, 0] += swing[:, None]
    return pose


class TestJitterAndLag:
    @pytest.mark.parametrize("share", [0.002, 0.01])
    def test_jitter_is_the_noise(self, share: float) -> None:
        """White noise of a share of the shoulder width in x alone comes out as its mean size."""
        made = keypoints(np.tile(poses(), (20, 1, 1)))
        noise = np.random.default_rng(0).normal(0, share * 80, made[:, :2, 0].shape)
        made[:, :2, 0] += noise / SIZE[0]
        total, count = q.jitter(made, SIZE)
        assert total / count == pytest.approx(share * np.sqrt(2 / np.pi), rel=0.06)

    def test_steady_motion_is_no_jitter(self) -> None:
        """A signer who walks through the picture has steady shoulders."""
        made = keypoints(poses())
        made[:, :2, 0] += np.linspace(0, 0.3, FRAMES)[:, None]
        total, count = q.jitter(made, SIZE)
        assert count == 2 * (FRAMES - 2) and total / count < 1e-9

    @pytest.mark.parametrize("late", [-0.5, 0.0, 0.1, 0.5, 1.0, 1.6])
    def test_lag_in_parts_of_a_frame(self, late: float) -> None:
        """A track that is late by so many frames is told to be so, also with noise on both."""
        rng = np.random.default_rng(1)
        image, track = keypoints(moving()), keypoints(moving(late))
        for made in (image, track):
            made[:, :6, :2] += rng.normal(0, 0.001, made[:, :6, :2].shape)
        assert q.lag(track, image, SIZE)[0] == pytest.approx(late, abs=0.05)

    def test_another_person_is_no_lag(self) -> None:
        """Frames in which the two modes follow different people are left out."""
        image, track = keypoints(moving()), keypoints(moving(0.5))
        track[20:30, :6, 0] += 0.3
        assert q.lag(track, image, SIZE)[0] == pytest.approx(0.5, abs=0.05)

    def test_lag_of_image_mode_itself(self) -> None:
        """Is nothing."""
        assert q.lag(keypoints(moving()), keypoints(moving()), SIZE)[0] == pytest.approx(0)


def test_clips_add_up() -> None:
    """Sums of two clips give the figures of both together."""
    pose, bad = poses(), keypoints(poses())
    bad[:, 6:142] = 0
    together: Counter = Counter()
    for made in (keypoints(pose), bad):
        together.update(q.measure(made, pose, SIZE, None))
    found = q.summarise(together)
    assert (found["frames"], found["own_face"]) == (120, 0.5)


class TestReference:
    def test_the_signer_is_followed_not_the_larger_of_a_frame(self) -> None:
        """Of two people the one who is large and moves the hands is the signer, in every frame."""
        signer, other = moving(), poses(0.85)
        other[..., :2] = (other[..., :2] - (0.85, 0.4)) * 0.9 + (0.85, 0.4)
        people = [[other[t], signer[t]] if t % 2 else [signer[t], other[t]] for t in range(FRAMES)]
        assert choose_signer(people, SIZE, None)[:, 11, 0] == pytest.approx(signer[:, 11, 0])
        assert choose_signer(people, SIZE, 0.85)[:, 11, 0] == pytest.approx(other[:, 11, 0])

    def test_the_median_of_what_the_passes_saw(self) -> None:
        """The lags of a pass forwards and one backwards cancel out; a frame that nobody saw has none."""
        passes = [moving(), moving(0.5), moving(-0.5)]
        people = [[one[t] for one in passes] if t != 5 else [] for t in range(FRAMES)]
        chosen = choose_signer(people, SIZE, None)
        assert np.isnan(chosen[5]).all()
        assert np.delete(chosen, 5, 0)[:, 16, 0] == pytest.approx(np.delete(moving(), 5, 0)[:, 16, 0], abs=1e-3)

    def test_windows_cover_the_frame(self) -> None:
        """Every place of a wide frame is in a window of each size."""
        covered = np.zeros((2, 400, 1920), int)
        for x, y, side in windows(1920, 400):
            assert x + side <= 1920 and y + side <= 400
            covered[int(side == 200), y : y + side, x : x + side] += 1
        assert covered.min() >= 1


def test_doubtful_hands_are_those_to_look_at() -> None:
    """Hands that were looked for again, and those that the plain way lacks in this frame, in whatever slot."""
    pose = poses()
    plain = keypoints(pose)
    plain[:, 142:184] = plain[:, [*range(163, 184), *range(142, 163)]]
    plain[9, 142:163] = 0
    how = {"right_hand": "d" * 4 + "l" + "d" * 55, "left_hand": "d" * 60}
    chosen = doubtful(Result(keypoints(pose), how, 0.0), Result(plain, {}, 0.0), SIZE)
    assert chosen == [(4, "right", "l"), (9, "left", "d")]


def test_demo_errors() -> None:
    """Errors are medians over joints, in diagonals of the hand; a missing hand is infinitely off; fast ones told."""
    joints = np.array([(60 + 12 * (i % 5), 100 + 12 * (i // 5)) for i in range(21)], float)
    truth = np.full((4, 48, 2), np.nan)
    truth[:, 0], truth[:, 1] = (170, 90), (90, 90)
    truth[:, 6:27] = joints
    truth[2:, 6:27, 0] += 0.2 * 80
    made = np.zeros((4, 184, 4))
    made[:, 142:163, :2] = truth[:, 6:27] / 256
    made[1, 142:163, 0] += 3 / 256
    made[3] = 0
    rows = quality_demo.errors(made, truth, 256)
    size = np.linalg.norm(np.ptp(joints, axis=0))
    assert [error for error, _ in rows] == pytest.approx([0, 3 / size, 0, np.inf])
    assert [fast for _, fast in rows] == [False, False, True, False]


def test_clips_of_a_tree(tmp_path: Path) -> None:
    """Folders of frames and video files, wherever they are."""
    for name in ("a/0001/one/1.jpg", "a/0001/one/2.jpg", "a/0002/two.mp4", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(find_clips(tmp_path)) == [tmp_path / "a/0001/one", tmp_path / "a/0002/two.mp4"]


class TestTruths:
    def truth(self) -> quality_truths.Truth:
        """Four frames: the signer is at (100, 50) in three, the left hand shows in the first, and must not after."""
        chest = np.full((4, 2), np.nan)
        chest[:3] = 100, 50
        shown = np.array([True, False, False, False])
        return quality_truths.Truth(
            "a", [np.zeros((100, 200, 3), np.uint8)] * 4, chest, np.full(4, 40.0), {"left": shown}, {"left": ~shown}
        )

    def test_own_other_empty_found_and_invented(self) -> None:
        """Half a shoulder width decides; a frame that nobody judged counts nothing."""
        made = np.zeros((4, 184, 4), np.float32)
        made[0, 0:2, :2] = 0.55, 0.5
        made[1, 0:2, :2] = 0.65, 0.5
        made[3, 0:2, :2] = 0.1, 0.1
        made[0, 163:184] = made[2, 163:184] = 0.5
        sums = quality_truths.compare(made, self.truth())
        assert {key: sums[key] for key in ("frames", "own", "other", "empty", "shown", "found", "invented")} == {
            "frames": 3, "own": 1, "other": 1, "empty": 1, "shown": 1, "found": 1, "invented": 1,
        }  # fmt: skip
        assert quality_truths.failures({"a: clip": sums}) == ["a: clip"]

    def test_a_composition_takes_the_truth_of_its_clips(self) -> None:
        """At its place and scale; a box is around the signer, or around all places where another person comes there."""
        whole = quality_truths.Composition("b", 400, 100, 8)
        whole.add(self.truth(), 0, (200, 0, 200, 100)).add(self.truth(), 4, (0, 0, 100, 50))
        assert whole.truth.chest[0].tolist() == [300, 50]
        assert whole.truth.chest[4].tolist() == [50, 25]
        assert whole.truth.unit[[0, 4]].tolist() == [40, 20]
        assert quality_truths.box_of(whole.truth).x == pytest.approx(264 / 400)
        whole.truth.wide_box = True
        assert quality_truths.box_of(whole.truth).x == pytest.approx(14 / 400)
