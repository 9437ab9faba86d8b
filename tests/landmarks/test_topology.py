"""The 184 points are MediaPipe's, by MediaPipe's own constants."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import Any

from kpsbatch.landmarks import topology as t
from kpsbatch.landmarks.mediapipe_import import import_mediapipe
from kpsbatch.landmarks.topology import Topology

VISION = import_mediapipe().tasks.vision
HAND = import_module("mediapipe.tasks.python.vision.hand_landmarker").HandLandmark


def connected(connections: Any) -> set[frozenset[int]]:
    return {frozenset((connection.start, connection.end)) for connection in connections}


FACE = VISION.FaceLandmarksConnections
IRISES = [connected(iris) for iris in (FACE.FACE_LANDMARKS_LEFT_IRIS, FACE.FACE_LANDMARKS_RIGHT_IRIS)]
FACE_LINES = connected(FACE.FACE_LANDMARKS_CONTOURS).union(*IRISES)


def test_layout():
    """Pose 0:6, face 6:142, right hand 142:163, left hand 163:184, and nothing else."""
    parts = {"pose": slice(0, 6), "face": slice(6, 142), "right_hand": slice(142, 163), "left_hand": slice(163, 184)}
    assert parts == Topology.PARTS
    assert list(parts.values()) == [Topology.POSE, Topology.FACE, Topology.RIGHT_HAND, Topology.LEFT_HAND]
    covered = [index for part in Topology.PARTS.values() for index in range(part.start, part.stop)]
    assert covered == list(range(184))
    assert Topology.POINTS == 184
    assert Topology.CHANNELS == ("x", "y", "z", "visibility")


def test_face_points():
    """The face points are the sorted union of the face contours and both irises."""
    points = frozenset().union(*FACE_LINES)
    assert list(Topology.FACE_MESH) == sorted(points)
    assert len(points) == 136


def test_pose_points():
    """The pose points are shoulders, elbows and wrists, left before right."""
    names = tuple(VISION.PoseLandmark(index).name.lower() for index in Topology.POSE_LANDMARKS)
    assert names == t.POSE_NAMES
    assert Topology.NAMES[:6] == tuple(f"pose.{name}" for name in names)


def test_hand_points():
    """The hand points have MediaPipe's names and order."""
    theirs = [landmark.name.lower().replace("_finger_", "_") for landmark in HAND]
    assert [name.replace("_finger_", "_") for name in t.HAND_NAMES] == theirs


def test_names():
    """Each of the 184 points has a name of its own, in the order of the points."""
    assert len(Topology.NAMES) == len(set(Topology.NAMES)) == 184
    for part, place in Topology.PARTS.items():
        assert {name.split(".")[0] for name in Topology.NAMES[place]} == {part}
    assert Topology.NAMES[Topology.FACE][0] == "face.0"
    assert Topology.NAMES[Topology.RIGHT_HAND][8] == "right_hand.index_tip"


def test_reference_points():
    """The points that adjusted coordinates and hand slots refer to are what their names say."""
    for name in ("NOSE", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_WRIST", "RIGHT_WRIST", "LEFT_INDEX", "RIGHT_INDEX"):
        assert getattr(t, f"POSE_{name}") == VISION.PoseLandmark[name].value
    assert t.HAND_WRIST == HAND.WRIST
    assert t.HAND_THUMB_MCP == HAND.THUMB_MCP
    assert t.HAND_PINKY_MCP == HAND.PINKY_MCP
    assert {min(frozenset().union(*iris)) - 1 for iris in IRISES} == {t.FACE_LEFT_IRIS_CENTRE, t.FACE_RIGHT_IRIS_CENTRE}


def test_lines():
    """The lines that are drawn on face and hands are MediaPipe's connections, all of them and no other."""

    def pairs(paths: tuple[tuple[int, ...], ...]) -> set[frozenset[int]]:
        return {frozenset(pair) for path in paths for pair in pairwise(path)}

    assert pairs(t.HAND_PATHS) == connected(VISION.HandLandmarksConnections.HAND_CONNECTIONS)
    assert pairs(t.FACE_PATHS) == FACE_LINES
