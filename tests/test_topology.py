"""The 184 points are MediaPipe's, by MediaPipe's own constants."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kpsbatch.landmarks import topology as t
from kpsbatch.landmarks.topology import Topology

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")


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
    from mediapipe.python.solutions import face_mesh_connections as mesh

    points = {index for pair in mesh.FACEMESH_CONTOURS | mesh.FACEMESH_IRISES for index in pair}
    assert list(Topology.FACE_MESH) == sorted(points)
    assert len(points) == 136


def test_pose_points():
    """The pose points are shoulders, elbows and wrists, left before right."""
    from mediapipe.python.solutions.pose import PoseLandmark

    names = tuple(PoseLandmark(index).name.lower() for index in Topology.POSE_LANDMARKS)
    assert names == t.POSE_NAMES
    assert Topology.NAMES[:6] == tuple(f"pose.{name}" for name in names)


def test_hand_points():
    """The hand points have MediaPipe's names and order."""
    from mediapipe.python.solutions.hands import HandLandmark

    theirs = [landmark.name.lower().replace("_finger_", "_") for landmark in HandLandmark]
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
    from mediapipe.python.solutions import face_mesh_connections as mesh
    from mediapipe.python.solutions.hands import HandLandmark
    from mediapipe.python.solutions.pose import PoseLandmark

    for name in ("NOSE", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_WRIST", "RIGHT_WRIST", "LEFT_INDEX", "RIGHT_INDEX"):
        assert getattr(t, f"POSE_{name}") == PoseLandmark[name].value
    assert t.HAND_WRIST == HandLandmark.WRIST
    assert t.HAND_THUMB_MCP == HandLandmark.THUMB_MCP
    assert t.HAND_PINKY_MCP == HandLandmark.PINKY_MCP
    irises = [{i for pair in iris for i in pair} for iris in (mesh.FACEMESH_LEFT_IRIS, mesh.FACEMESH_RIGHT_IRIS)]
    assert {min(iris) - 1 for iris in irises} == {t.FACE_LEFT_IRIS_CENTRE, t.FACE_RIGHT_IRIS_CENTRE}


def test_lines():
    """The lines that are drawn on face and hands are MediaPipe's connections, all of them and no other."""
    from mediapipe.python.solutions import face_mesh_connections as mesh
    from mediapipe.python.solutions.hands_connections import HAND_CONNECTIONS

    def pairs(paths: tuple[tuple[int, ...], ...]) -> set[frozenset[int]]:
        return {frozenset(pair) for path in paths for pair in pairwise(path)}

    assert pairs(t.HAND_PATHS) == {frozenset(pair) for pair in HAND_CONNECTIONS}
    assert pairs(t.FACE_PATHS) == {frozenset(pair) for pair in mesh.FACEMESH_CONTOURS | mesh.FACEMESH_IRISES}
