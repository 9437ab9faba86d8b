"""The signer's own face: never another person's, and found where the whole frame shows none."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from rendered import keypoints_of
from synthetic.signer import render_video

from kpsbatch.landmarks import topology as t
from kpsbatch.landmarks.detection import Detection
from kpsbatch.landmarks.faces import find_face, head_region
from kpsbatch.landmarks.found import DETECTED, LOOKED_AGAIN
from kpsbatch.landmarks.topology import Topology

WIDTH, HEIGHT = 400, 200
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def a_pose(x: float = 0.5, y: float = 0.3) -> np.ndarray:
    """A head at (x, y), ears 20 pixels apart, shoulders 80."""
    pose = np.zeros((33, 4), np.float32)
    pose[:, :2] = (x, y)
    pose[t.POSE_LEFT_EAR, 0], pose[t.POSE_RIGHT_EAR, 0] = x + 0.025, x - 0.025
    pose[t.POSE_LEFT_SHOULDER, :2], pose[t.POSE_RIGHT_SHOULDER, :2] = (x + 0.1, y + 0.3), (x - 0.1, y + 0.3)
    return pose


def a_face(x: float = 0.5, y: float = 0.3) -> np.ndarray:
    """A face with its nose tip at (x, y)."""
    face = np.zeros((478, 3), np.float32)
    face[:, 0], face[:, 1] = np.linspace(x - 0.02, x + 0.02, 478), np.linspace(y - 0.04, y + 0.04, 478)
    face[t.FACE_NOSE_TIP, :2] = (x, y)
    return face


class Finder:
    """Answers every look at a head with the same face, in the units of the region."""

    def __init__(self, face: np.ndarray | None = None) -> None:
        self.face, self.looks = face, 0

    def face_in(self, image: np.ndarray) -> np.ndarray | None:
        self.looks += 1
        return self.face


def find(found: Detection, finder: Finder) -> tuple[tuple[np.ndarray, str] | None, Counter[str]]:
    counts: Counter[str] = Counter()
    return find_face(IMAGE, found, finder, counts), counts


def test_a_face_at_the_poses_nose_is_kept() -> None:
    """The face of the frame is the signer's when its nose is; nothing is looked for again."""
    face, finder = a_face(0.52), Finder()
    found, counts = find(Detection(a_pose(), face), finder)
    assert found is not None and found[0] is face and found[1] == DETECTED
    assert (finder.looks, counts["detected"], counts["recovered"]) == (0, 1, 0)


@pytest.mark.parametrize(("away", "kept"), [(0.29, True), (0.31, False)])
def test_a_face_farther_than_a_third_of_the_shoulders_is_another_persons(away: float, kept: bool) -> None:
    """0.3 shoulder widths, measured in pixels, are the limit, and a dropped face is counted."""
    found, counts = find(Detection(a_pose(), a_face(0.5 + away * 80 / WIDTH)), Finder())
    assert (found is not None, counts["far"]) == (kept, int(not kept))


def test_a_missing_face_is_looked_for_around_the_head() -> None:
    """What the enlarged square shows is mapped back to the frame, z scaled with it."""
    finder = Finder(a_face(0.5, 0.5))
    finder.face[:, 2] = 0.1
    found, counts = find(Detection(a_pose()), finder)
    assert found is not None and found[1] == LOOKED_AGAIN and counts["recovered"] == 1
    region = head_region(a_pose(), WIDTH, HEIGHT)
    assert region.side == pytest.approx(88)
    assert found[0][t.FACE_NOSE_TIP] == pytest.approx((0.5, 0.3, 0.1 * 88 / WIDTH), abs=4e-3)


def test_another_persons_face_is_replaced_by_the_signers() -> None:
    """A far face does not keep the signer's own from being looked for."""
    found, counts = find(Detection(a_pose(), a_face(0.9)), Finder(a_face(0.5, 0.5)))
    assert found is not None and found[0][t.FACE_NOSE_TIP, 0] == pytest.approx(0.5, abs=4e-3)
    assert (counts["far"], counts["recovered"]) == (1, 1)


def test_what_the_look_shows_must_be_the_signers_too() -> None:
    """A face at the square's edge belongs to who stands beside."""
    found, counts = find(Detection(a_pose()), Finder(a_face(0.95, 0.5)))
    assert found is None and counts["recovered"] == 0


def test_a_head_outside_the_frame_has_no_face() -> None:
    """Where the nose is outside nothing is looked at, and a face mostly outside is dropped and counted."""
    finder = Finder(a_face(0.5, 0.5))
    found, counts = find(Detection(a_pose(y=-0.05), a_face(0.5, -0.01)), finder)
    assert found is None and finder.looks == 0 and counts["outside"] == 1


def test_side_on_the_ears_give_the_measure() -> None:
    """Shoulders one behind the other do not shrink the square."""
    pose = a_pose()
    pose[[t.POSE_LEFT_SHOULDER, t.POSE_RIGHT_SHOULDER], 0] = 0.5
    assert head_region(pose, WIDTH, HEIGHT).side == pytest.approx(1.1 * 2 * 20)


def beside(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.concatenate([one, other], axis=2)


@pytest.mark.parametrize("mode", ["image", "video"])
def test_of_two_people_the_face_is_that_of_the_pose(mode: str) -> None:
    """Two signers side by side: every frame has a face, always between the shoulders of its pose."""
    one, other = (render_video(sign, signer, 1, 4)[0] for sign, signer in ((2, 1), (4, 2)))
    for frames in (beside(one, other), beside(other, one)):
        keypoints, summary = keypoints_of(frames, mode)
        assert summary["found"]["face"] == summary["found"]["pose"] == 4
        shoulders, face = keypoints[:, 0:2, 0].mean(axis=1), keypoints[:, Topology.FACE, 0].mean(axis=1)
        assert np.abs(shoulders - face).max() < 0.05


@pytest.mark.parametrize("mode", ["image", "video"])
def test_a_small_head_has_a_face(mode: str) -> None:
    """A signer of half the frame's height, whose face the whole frame does not show, has one in every frame."""
    small = [cv2.resize(frame, (150, 150), interpolation=cv2.INTER_AREA) for frame in render_video(2, 1, 1, 3)[0]]
    frames = np.stack([np.pad(frame, ((150, 0), (245, 245), (0, 0)), mode="edge") for frame in small])
    _, summary = keypoints_of(frames, mode)
    assert summary["how"]["face"] == "lll"
    assert summary["faces"] == {"detected": 0, "far": 0, "outside": 0, "recovered": 3}
