"""The signer's own face: never another person's, and found where the whole frame shows none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import cv2
import numpy as np
import pytest
from rendered import keypoints_of
from synthetic.signer import render_video

from kpsbatch import points as t
from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks import face as face_module
from kpsbatch.landmarks.detectors import Detection
from kpsbatch.landmarks.face import follow_face, searched
from kpsbatch.landmarks.found import DETECTED, LOOKED_AGAIN, TRACKED, Letter
from kpsbatch.landmarks.moments import Moment, Reading
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.squares import RGB, Square, upright_square
from kpsbatch.points import Topology

WIDTH, HEIGHT = 400, 200


def a_pose(x: float = 200.0, y: float = 60.0) -> np.ndarray:
    """A head at (x, y), ears 20 pixels apart, shoulders 80."""
    pose = np.zeros((39, 4))
    pose[:, :2] = (x, y)
    pose[t.POSE_LEFT_EAR, 0], pose[t.POSE_RIGHT_EAR, 0] = x + 10, x - 10
    pose[t.POSE_LEFT_SHOULDER, :2], pose[t.POSE_RIGHT_SHOULDER, :2] = (x + 40, y + 60), (x - 40, y + 60)
    return pose


def a_face(x: float, y: float) -> np.ndarray:
    """A face with its nose tip at (x, y)."""
    face = np.zeros((478, 3))
    face[:, 0], face[:, 1] = np.linspace(x - 8, x + 8, 478), np.linspace(y - 16, y + 16, 478)
    face[t.FACE_NOSE_TIP, :2] = (x, y)
    return face


@dataclass
class Faces:
    """Networks whose face network answers with faces in turn, the last one for ever, and whose detector sees boxes."""

    answers: list[tuple[float, np.ndarray]]
    boxes: int = 0
    settings: LandmarksConfig = field(default_factory=LandmarksConfig)
    readings: int = 0
    searches: int = 0
    side: int = 128

    @property
    def face_detector(self) -> Faces:
        return self

    def find(self, picture: RGB, least_score: float) -> list[Detection]:
        self.searches += 1
        box = np.array([0.3, 0.3, 0.7, 0.7], np.float32)
        return [Detection(0.9, box, np.array([[0.4, 0.4], [0.6, 0.4]], np.float32))] * self.boxes


def a_moment(faces: Faces, pose: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Moment:
    def read_face(self: Moment, square: Square, how: Letter) -> Reading:
        presence, points = faces.answers[min(faces.readings, len(faces.answers) - 1)]
        faces.readings += 1
        return Reading(points, square, presence, how)

    monkeypatch.setattr(Moment, "read_face", read_face)
    body = Reading(pose, upright_square(np.array([200.0, 100.0]), 300.0), 0.99, DETECTED)
    return Moment(np.zeros((HEIGHT, WIDTH, 3), np.uint8), cast(Networks, faces), body)


def find(faces: Faces, pose: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Reading | None:
    return searched(a_moment(faces, pose, monkeypatch))


def test_a_face_at_the_poses_nose_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pose has eyes and mouth it is read, once more in its own square, and no detector runs."""
    faces = Faces([(0.9, a_face(205, 60))])
    found = find(faces, a_pose(), monkeypatch)
    assert found is not None and found.how == LOOKED_AGAIN
    assert (faces.readings, faces.searches) == (2, 0)


@pytest.mark.parametrize(("away", "kept"), [(0.29, True), (0.31, False)])
def test_a_face_farther_than_a_third_of_the_shoulders_is_another_persons(
    away: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.3 shoulder widths, measured in pixels, are the limit."""
    found = find(Faces([(0.9, a_face(200 + away * 80, 60))]), a_pose(), monkeypatch)
    assert (found is not None) == kept


def test_another_persons_face_is_passed_over_for_the_signers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A far face at the pose's eyes does not keep the signer's own from being detected around the head."""
    faces = Faces([(0.9, a_face(290, 60)), (0.9, a_face(290, 60)), (0.9, a_face(200, 60))], boxes=1)
    found = find(faces, a_pose(), monkeypatch)
    assert found is not None and found.how == DETECTED
    assert (faces.readings, faces.searches) == (3, 1)


def test_what_the_detector_shows_must_be_the_signers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A face at the square's edge belongs to who stands beside, one without presence to nobody."""
    assert find(Faces([(0.9, a_face(240, 60))], boxes=1), a_pose(), monkeypatch) is None
    assert find(Faces([(0.4, a_face(200, 60))], boxes=1), a_pose(), monkeypatch) is None


def test_a_head_outside_the_frame_has_no_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at there."""
    faces = Faces([(0.9, a_face(200, -10))])
    moment = a_moment(faces, a_pose(y=-10), monkeypatch)
    follow_face([moment], 0)
    assert moment.face is None
    assert (faces.readings, faces.searches) == (0, 0)


def test_a_face_that_was_found_late_is_followed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the frames before, moved as the pose's nose."""
    faces = Faces([(0.9, a_face(200, 60))])
    moments = [a_moment(faces, a_pose(), monkeypatch) for _ in range(3)]
    found = moments[0].read_face(upright_square(np.array([200.0, 60.0]), 48.0), DETECTED)
    monkeypatch.setattr(face_module, "searched", lambda moment: found if moment is moments[2] else None)
    follow_face(moments, 0)
    assert [moment.face.how for moment in moments if moment.face is not None] == [TRACKED, TRACKED, DETECTED]


def beside(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.concatenate([one, other], axis=2)


@pytest.mark.parametrize("mode", ["image", "clip"])
def test_of_two_people_the_face_is_that_of_the_pose(mode: str) -> None:
    """Two signers side by side: every frame has a face, always between the shoulders of its pose."""
    one, other = (render_video(sign, signer, 1, 4)[0] for sign, signer in ((2, 1), (4, 2)))
    for frames in (beside(one, other), beside(other, one)):
        keypoints, summary = keypoints_of(frames, mode)
        assert summary["found"]["face"] == summary["found"]["pose"] == 4
        shoulders, face = keypoints[:, 0:2, 0].mean(axis=1), keypoints[:, Topology.FACE, 0].mean(axis=1)
        assert np.abs(shoulders - face).max() < 0.05


@pytest.mark.parametrize("mode", ["image", "clip"])
def test_a_small_head_has_a_face(mode: str) -> None:
    """A signer of half the frame's height, whose face the whole frame does not show, has one in every frame."""
    small: list[Any] = [cv2.resize(f, (150, 150), interpolation=cv2.INTER_AREA) for f in render_video(2, 1, 1, 3)[0]]
    frames = np.stack([np.pad(frame, ((150, 0), (245, 245), (0, 0)), mode="edge") for frame in small])
    _, summary = keypoints_of(frames, mode)
    again = 3 if mode == "image" else 1
    assert summary["how"]["face"] == "l" * again + "t" * (3 - again)
    assert (summary["faces"]["detected"], summary["faces"]["recovered"]) == (3 - again, again)
