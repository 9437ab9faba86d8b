"""The points of a frame: which MediaPipe landmarks there are, and the sets of them that an output can hold.

A set of points is chosen by `output.points`; 184 of them, the set `contract`, are what an output holds otherwise. In
every set the points are in the same order: pose, face, right hand, left hand, and in each part as MediaPipe counts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import ClassVar, Final, TypeAlias

from kpsbatch.errors import ConfigError

Paths: TypeAlias = tuple[tuple[int, ...], ...]
"""Lines, each as the points along it."""

# All 33 landmarks of MediaPipe's pose landmarker, in its order (PoseLandmark).
POSE_NAMES: Final = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip

HAND_NAMES: Final = (
    "wrist",
    "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip",
    "index_mcp", "index_pip", "index_dip", "index_tip",
    "middle_mcp", "middle_pip", "middle_dip", "middle_tip",
    "ring_mcp", "ring_pip", "ring_dip", "ring_tip",
    "pinky_mcp", "pinky_pip", "pinky_dip", "pinky_tip",
)  # fmt: skip

FACE_LANDMARKS: Final = 478
FACE_MESH: Final = 468
"""Those of the face without the irises, which come last."""

# Polylines along FACEMESH_CONTOURS and FACEMESH_IRISES of MediaPipe 0.10.21 (face_mesh_connections.py), in mesh
# indices: the oval, the lips' outer and inner edge, the signer's left and right eye, their brows, their irises.
FACE_PATHS: Final = (
    (10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378,
     379, 365, 397, 288, 361, 323, 454, 356, 389, 251, 284, 332, 297, 338, 10),
        (0, 37, 39, 40, 185, 61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0),
        (13, 82, 81, 80, 191, 78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13),
        (249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263, 249),
        (7, 33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        (276, 283, 282, 295, 285),
        (300, 293, 334, 296, 336),
        (46, 53, 52, 65, 55),
        (70, 63, 105, 66, 107),
        (474, 477, 476, 475, 474),
        (469, 470, 471, 472, 469),
)  # fmt: skip

HAND_PATHS: Final = (
    (0, 1, 2, 3, 4),
    (0, 5, 6, 7, 8),
    (9, 10, 11, 12),
    (13, 14, 15, 16),
    (0, 17, 18, 19, 20),
    (5, 9, 13, 17),
)

# POSE_CONNECTIONS of MediaPipe (pose_connections.py), put in order: arms, hands, trunk, legs, face.
POSE_PATHS: Final = (
    (15, 13, 11, 12, 14, 16),
    (15, 17, 19, 15, 21), (16, 18, 20, 16, 22),
    (11, 23, 24, 12),
    (23, 25, 27, 29, 31, 27), (24, 26, 28, 30, 32, 28),
    (7, 3, 2, 1, 0, 4, 5, 6, 8), (9, 10),
)  # fmt: skip

_LANDMARKS: Final = {
    "pose": POSE_NAMES,
    "face": tuple(map(str, range(FACE_LANDMARKS))),
    "right_hand": HAND_NAMES,
    "left_hand": HAND_NAMES,
}
"""MediaPipe's landmarks of each part by name; the order of all sets of points."""

_LINES: Final[Mapping[str, tuple[str, Paths]]] = {
    "pose": ("pose", POSE_PATHS[:-2]),
    "head": ("pose", POSE_PATHS[-2:]),
    "face": ("face", FACE_PATHS[:-2]),
    "irises": ("face", FACE_PATHS[-2:]),
    "right_hand": ("right_hand", HAND_PATHS),
    "left_hand": ("left_hand", HAND_PATHS),
}
"""What is drawn of a part, in which MediaPipe's landmarks are meant."""

_SOURCES: Final = {f"{part}.{name}": (part, at) for part, names in _LANDMARKS.items() for at, name in enumerate(names)}
"""Part and landmark of every point there is, in the order of all sets."""


@dataclass(frozen=True)
class Topology:
    """A set of points: the second axis of a `(T, points, 4)` array. `topology_of` makes one.

    The names in capitals are those of `CONTRACT`, the set that an output holds where its config does not say otherwise.

    Attributes:
        name: What `topology_of` makes the same set of, such as `contract` or `pose, face.contours, hands`.
        names: Of every point, such as `pose.left_wrist`, `face.468`, `right_hand.index_tip`.
        parts: The slice of each part that has a point: `pose`, `face`, `right_hand`, `left_hand`; right and left are
            the signer's own.
        sources: Of each of these parts, which of MediaPipe's landmarks its points are.
        paths: Lines to draw, as places in `names`: `pose`, `head` (the pose's few points of it), `face`, `irises`,
            `right_hand`, `left_hand`.
        CHANNELS: Names of the last axis.
    """

    name: str
    names: tuple[str, ...] = field(compare=False)
    parts: Mapping[str, slice] = field(compare=False)
    sources: Mapping[str, tuple[int, ...]] = field(compare=False)
    paths: Mapping[str, Paths] = field(compare=False)

    CHANNELS: ClassVar = ("x", "y", "z", "visibility")
    POINTS: ClassVar[int]
    POSE: ClassVar[slice]
    FACE: ClassVar[slice]
    RIGHT_HAND: ClassVar[slice]
    LEFT_HAND: ClassVar[slice]
    PARTS: ClassVar[Mapping[str, slice]]
    NAMES: ClassVar[tuple[str, ...]]
    POSE_LANDMARKS: ClassVar[tuple[int, ...]]
    FACE_MESH: ClassVar[tuple[int, ...]]

    @property
    def points(self) -> int:
        """How many there are."""
        return len(self.names)

    def place(self, name: str) -> int | None:
        """Where a point is among `names`; None where the set does not have it."""
        return self.names.index(name) if name in self.names else None


def _faces(*paths: tuple[int, ...]) -> list[str]:
    return [f"face.{landmark}" for path in paths for landmark in path]


def _part(*parts: str) -> list[str]:
    return [name for name, (part, _) in _SOURCES.items() if part in parts]


_ARMS: Final = [f"pose.{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right")]
_YOUTUBE_ASL_POSE: Final = [
    f"pose.{side}_{joint}" for joint in ("shoulder", "elbow", "hip") for side in ("left", "right")
]
_YOUTUBE_ASL_FACE: Final = (
    0, 4, 13, 14, 17, 33, 37, 39, 46, 52, 55, 61, 64, 81, 82, 93, 133, 151, 152, 159, 172, 178, 181, 263, 269, 276, 282,
    285, 291, 294, 311, 323, 362, 386, 397, 468, 473,
)  # fmt: skip

SETS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(points)
    for name, points in {
        "contract": [*_ARMS, *_faces(*FACE_PATHS), *_part("right_hand", "left_hand")],
        "all": _SOURCES,
        "youtube-asl": [*_YOUTUBE_ASL_POSE, *_faces(_YOUTUBE_ASL_FACE), *_part("right_hand", "left_hand")],
        "pose": _part("pose"),
        "pose.arms": _ARMS,
        "face": _part("face"),
        "face.mesh": [f"face.{landmark}" for landmark in range(FACE_MESH)],
        "face.contours": _faces(*FACE_PATHS[:-2]),
        "face.oval": _faces(FACE_PATHS[0]),
        "face.lips": _faces(*FACE_PATHS[1:3]),
        "face.eyes": _faces(*FACE_PATHS[3:5]),
        "face.brows": _faces(*FACE_PATHS[5:9]),
        "face.irises": _faces(*FACE_PATHS[9:]),
        "hands": _part("right_hand", "left_hand"),
        "right_hand": _part("right_hand"),
        "left_hand": _part("left_hand"),
    }.items()
}
"""The sets that have a name; `youtube-asl` are the 85 points of the YouTube-ASL paper (arXiv 2306.15162)."""

_WHOLE: Final = ("contract", "all", "youtube-asl")
"""Sets that are not put together with others in a set's name."""


def topology_of(points: str | Sequence[str]) -> Topology:
    """The set of points of a config's `output.points`.

        topology_of(["pose", "face.contours", "hands"]).points  # 33 + 128 + 42

    Args:
        points: The name of a set or a point, or several: a list, or a text with commas.

    Raises:
        ConfigError: There is no such set or point; names the nearest.
    """
    items = [item for item in re.split(r"[,\s]+", points) if item] if isinstance(points, str) else points
    chosen: set[str] = set()
    for item in items:
        chosen |= SETS.get(item) or {_known(item)}
    if not chosen:
        raise ConfigError("it names no point. Write contract, all, or a list such as [pose, face.contours, hands].")
    return _made(frozenset(chosen))


def _known(name: str) -> str:
    """The name of a point.

    Raises:
        ConfigError: There is none of this name.
    """
    if name in _SOURCES:
        return name
    part, _, number = name.partition(".")
    if number.isdecimal() and int(number) < len(_LANDMARKS.get(part, ())):
        near = [f"{part}.{_LANDMARKS[part][int(number)]}"]
    else:
        near = difflib.get_close_matches(name, [*SETS, *_SOURCES], n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]!r}?" if near else f"Choose among the sets {', '.join(SETS)}."
    raise ConfigError(f"{name!r} is neither a point nor a set of points. {remedy}")


@lru_cache(64)
def _made(chosen: frozenset[str]) -> Topology:
    names = tuple(name for name in _SOURCES if name in chosen)
    places = {_SOURCES[name]: at for at, name in enumerate(names)}
    parts: dict[str, slice] = {}
    sources: dict[str, tuple[int, ...]] = {}
    for part, members in groupby(places, key=lambda source: source[0]):
        sources[part] = tuple(landmark for _, landmark in members)
        start = places[part, sources[part][0]]
        parts[part] = slice(start, start + len(sources[part]))
    paths = {
        drawn: tuple(
            piece for line in lines for piece in _pieces(line, {source: places.get((part, source)) for source in line})
        )
        for drawn, (part, lines) in _LINES.items()
        if part in parts
    }
    return Topology(_name_of(chosen), names, parts, sources, paths)


def _pieces(line: Sequence[int], places: Mapping[int, int | None]) -> list[tuple[int, ...]]:
    """The pieces of a line between the points that the set does not have."""
    pieces: list[list[int]] = [[]]
    for landmark in line:
        place = places[landmark]
        if place is None:
            pieces.append([])
        else:
            pieces[-1].append(place)
    return [tuple(piece) for piece in pieces if len(piece) > 1]


def _name_of(chosen: frozenset[str]) -> str:
    """The one name of a set, however it was asked for: the sets that it is made of, then its other points."""
    for name in _WHOLE:
        if SETS[name] == chosen:
            return name
    sets = [name for name in SETS if name not in _WHOLE]
    said, with_contract = _cover(chosen, sets), _cover(chosen, ["contract", *sets])
    return ", ".join(with_contract if len(with_contract) < len(said) else said)


def _cover(chosen: frozenset[str], sets: Sequence[str]) -> list[str]:
    """Sets, the first that fit, and points that make up the chosen points."""
    said: list[str] = []
    left = set(chosen)
    for name in sets:
        if SETS[name] <= chosen and SETS[name] & left:
            said.append(name)
            left -= SETS[name]
    return [*said, *(name for name in _SOURCES if name in left)]


CONTRACT: Final = topology_of("contract")
"""The 184 points of the output contract."""

ALL: Final = topology_of("all")
"""All 553 landmarks of MediaPipe's that lie in the picture."""

_IN_METRES: Final = {f"{part}_world": _LANDMARKS[part] for part in ("pose", "right_hand", "left_hand")}


def _full() -> Topology:
    parts, sources, start = dict(ALL.parts), dict(ALL.sources), ALL.points
    for part, names in _IN_METRES.items():
        parts[part], sources[part] = slice(start, start + len(names)), tuple(range(len(names)))
        start += len(names)
    names = (*ALL.names, *(f"{part}.{name}" for part, names in _IN_METRES.items() for name in names))
    return Topology("full", names, parts, sources, ALL.paths)


FULL: Final = _full()
"""What is kept of a frame: `ALL`, then pose, right and left hand in metres (`pose_world.nose`); see full.py.

The fourth value is the pose's visibility, and for face and hands the score of the part, 0 where it is missing.
"""

Topology.POINTS = CONTRACT.points
Topology.PARTS = CONTRACT.parts
Topology.POSE, Topology.FACE, Topology.RIGHT_HAND, Topology.LEFT_HAND = CONTRACT.parts.values()
Topology.NAMES = CONTRACT.names
Topology.POSE_LANDMARKS, Topology.FACE_MESH = CONTRACT.sources["pose"], CONTRACT.sources["face"]

# Indices that the adjusted coordinates, the face and the hand slots need (MediaPipe's numbering).
POSE_NOSE: Final = 0
POSE_LEFT_EYE, POSE_RIGHT_EYE = 2, 5
POSE_LEFT_EAR, POSE_RIGHT_EAR = 7, 8
POSE_LEFT_MOUTH, POSE_RIGHT_MOUTH = 9, 10
POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER = 11, 12
POSE_LEFT_WRIST, POSE_RIGHT_WRIST = 15, 16
POSE_LEFT_PINKY, POSE_RIGHT_PINKY = 17, 18
POSE_LEFT_INDEX, POSE_RIGHT_INDEX = 19, 20
FACE_NOSE_TIP: Final = 1
FACE_LEFT_IRIS_CENTRE, FACE_RIGHT_IRIS_CENTRE = 468, 473
FACE_ARABIC_SL, FACE_ARABIC_SL_ENDS = 7, (474, 469)
HAND_WRIST, HAND_THUMB_MCP, HAND_PINKY_MCP = 0, 2, 17
