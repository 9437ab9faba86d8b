"""The 184 points are MediaPipe's, by MediaPipe's own constants."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest

from kpsbatch import points as t
from kpsbatch.errors import ConfigError
from kpsbatch.landmarks.mediapipe_import import import_mediapipe
from kpsbatch.points import Topology

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
    assert names == ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist")
    assert Topology.NAMES[:6] == tuple(f"pose.{name}" for name in names)
    assert tuple(landmark.name.lower() for landmark in VISION.PoseLandmark) == t.POSE_NAMES


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
    """The lines that are drawn are MediaPipe's connections, all of them and no other."""

    def pairs(paths: tuple[tuple[int, ...], ...]) -> set[frozenset[int]]:
        return {frozenset(pair) for path in paths for pair in pairwise(path)}

    assert pairs(t.HAND_PATHS) == connected(VISION.HandLandmarksConnections.HAND_CONNECTIONS)
    assert pairs(t.FACE_PATHS) == FACE_LINES
    assert pairs(t.POSE_PATHS) == connected(VISION.PoseLandmarksConnections.POSE_LANDMARKS)


SOME = ["all", "youtube-asl", "hands", "face.4", ["pose", "face.contours", "hands"], ["contract", "pose.left_hip"]]


@pytest.mark.parametrize("points", SOME)
def test_a_set_says_where_its_points_come_from(points: str | list[str]):
    """Names, parts and sources of a set tell the same landmarks, in the order pose, face, right hand, left hand."""
    topology = t.topology_of(points)
    landmarks = [(part, landmark) for part in topology.parts for landmark in topology.sources[part]]
    full = t.topology_of("all")
    assert [full.names[full.parts[part].start + landmark] for part, landmark in landmarks] == list(topology.names)
    assert [name for name in full.names if name in topology.names] == list(topology.names)
    assert [place for part in topology.parts.values() for place in range(topology.points)[part]] == [
        *range(topology.points)
    ]
    assert all(topology.place(name) == place for place, name in enumerate(topology.names))


@pytest.mark.parametrize("points", SOME)
def test_lines_of_a_set(points: str | list[str]):
    """The lines of a set are those of all points whose both ends it has."""
    topology, full = t.topology_of(points), t.topology_of("all")
    for drawn, paths in full.paths.items():
        whole = {(full.names[a], full.names[b]) for path in paths for a, b in pairwise(path)}
        ours = {
            (topology.names[a], topology.names[b]) for path in topology.paths.get(drawn, ()) for a, b in pairwise(path)
        }
        assert ours == {(a, b) for a, b in whole if {a, b} <= set(topology.names)}


@pytest.mark.parametrize(
    ("points", "name"),
    [
        (["hands", "pose", "face"], "all"),
        ("pose,  hands", "pose, hands"),
        (["left_hand", "right_hand", "pose.nose"], "hands, pose.nose"),
        (["pose.left_hip", "contract"], "contract, pose.left_hip"),
        (["pose.arms", "hands", "face.irises", "face.contours"], "contract"),
    ],
)
def test_the_name_of_a_set(points: str | list[str], name: str):
    """Points that are the same have the same name, in whatever way and order they were asked for."""
    assert t.topology_of(points).name == name
    assert t.topology_of(name) == t.topology_of(points)


def test_sets_with_a_name():
    """all are MediaPipe's landmarks; the parts of the face are MediaPipe's; youtube-asl are the 85 of the paper."""
    assert [part.stop - part.start for part in t.topology_of("all").parts.values()] == [33, 478, 21, 21]
    for name, theirs in {
        "face.contours": FACE.FACE_LANDMARKS_CONTOURS,
        "face.oval": FACE.FACE_LANDMARKS_FACE_OVAL,
        "face.lips": FACE.FACE_LANDMARKS_LIPS,
        "face.eyes": [*FACE.FACE_LANDMARKS_LEFT_EYE, *FACE.FACE_LANDMARKS_RIGHT_EYE],
        "face.brows": [*FACE.FACE_LANDMARKS_LEFT_EYEBROW, *FACE.FACE_LANDMARKS_RIGHT_EYEBROW],
        "face.irises": [*FACE.FACE_LANDMARKS_LEFT_IRIS, *FACE.FACE_LANDMARKS_RIGHT_IRIS],
    }.items():
        assert set(t.topology_of(name).sources["face"]) == frozenset().union(*connected(theirs))
    recipe = t.topology_of("youtube-asl")
    assert recipe.sources["pose"] == (11, 12, 13, 14, 23, 24)
    assert [len(sources) for sources in recipe.sources.values()] == [6, 37, 21, 21]
    assert {4, 64, 151, 294, 468, 473} == {*recipe.sources["face"]} - {*Topology.FACE_MESH}


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ("pose.left_hipp", "'pose.left_hipp' is neither a point nor a set of points. Did you mean 'pose.left_hip'?"),
        ("pose.23", "'pose.23' is neither a point nor a set of points. Did you mean 'pose.left_hip'?"),
        (["hand"], "'hand' is neither a point nor a set of points. Did you mean 'hands'?"),
        ("%", "'%' is neither a point nor a set of points. Choose among the sets contract, all, "),
        ([], "it names no point. Write contract, all, or a list such as [pose, face.contours, hands]."),
    ],
)
def test_unknown_points(points: str | list[str], problem: str):
    """A name that there is not is told with the nearest one, in one line."""
    with pytest.raises(ConfigError, match=re.escape(problem)):
        t.topology_of(points)
