"""Recipes: the layouts in which the field's training code reads keypoints, one declaration each.

A recipe says which points, in which order, with which axes, what a missing part is, and what the files are called.
layouts.py writes them. `export --as NAME` takes one by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.found import is_found
from kpsbatch.points import FULL, POSE_NAMES, SETS, Topology

AXES: Final[Mapping[str, str]] = {
    "x": "x",
    "y": "y",
    "z": "z",
    "Y": "1 - y, upwards",
    "v": "visibility",
    "c": "1 where the part was found",
}
"""What the letters of `Block.axes` stand for."""


class Block(NamedTuple):
    """Points that follow each other in an array.

    Attributes:
        points: Names of points or of sets; `a+b` is the middle of two points. Sets in metres end in `_world`.
        axes: Letters of `AXES`.
    """

    points: tuple[str, ...]
    axes: str


@dataclass(frozen=True)
class Recipe:
    """A layout.

    Paths and cells are texts with fields in braces: `split`, `signer`, `sign`, `video`; `signer_number`, of signers
    whose names are no numbers the place; `word`, the label or `sign 7`; `class_number`, counted from 1; `sequence`, the
    number of the video, from 1; `take`, that among the videos of its split and class, from 0; `repeat`, that among
    those of its signer, too, from 1; in cells also `file`.

    Attributes:
        reader: Who reads it.
        arrays: By name, what an array of a video is made of; one without a name, where there is no other.
        kind: What a file is: see layouts.py.
        file: Its path; of a video, or of a split.
        missing: What a part that was not found has in every axis.
        flat: Whether a frame is one row: all axes of a point together, or all points of an axis.
        dtype: Of the values.
        every: Of so many frames one is taken.
        frames: So many evenly spaced frames are taken, some more than once in a short video; 0: all.
        names: The reader's own names of the points.
        tables: CSV files of the videos: by path, their columns.
        classes: A file of all classes in order; "" where the reader has none.
        adjusted_too: Its reader takes adjusted coordinates as well.
        lacks: What the layout has room for and the keypoints do not have; said before anything is written.
    """

    reader: str
    arrays: Mapping[str, tuple[Block, ...]]
    kind: str
    file: str
    missing: float = 0.0
    flat: Literal["", "points", "axes"] = ""
    dtype: str = "float32"
    every: int = 1
    frames: int = 0
    names: tuple[str, ...] = ()
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    classes: str = ""
    adjusted_too: bool = False
    lacks: str = ""

    @property
    def points(self) -> list[str]:
        """The names of all points that it needs, in its order, each once."""
        blocks = (block for array in self.arrays.values() for block in array)
        return list(dict.fromkeys(name for block in blocks for one in expanded(block) for name in one.split("+")))

    @property
    def count(self) -> int:
        """How many points a frame has."""
        return len({name for array in self.arrays.values() for block in array for name in expanded(block)})

    @property
    def needs_classes(self) -> bool:
        """Whether every video must have a class."""
        cells = (cell for columns in self.tables.values() for cell in columns.values())
        texts = (self.file, *cells, "{word}" if self.classes or self.kind == "json" else "")
        return any("{word}" in text or "{class_number" in text for text in texts)

    def as_tree(self) -> dict[str, Any]:
        """What export.json says of it."""
        arrays = {
            name: {
                "points": [point for block in array for point in expanded(block)],
                "axes": [axes for block in array for axes in [block.axes] * len(expanded(block))]
                if len({block.axes for block in array}) > 1
                else array[0].axes,
            }
            for name, array in self.arrays.items()
        }
        return {
            "reader": self.reader,
            "arrays": arrays,
            "flat": self.flat,
            "missing": "nan" if np.isnan(self.missing) else self.missing,
            "dtype": self.dtype,
            "every": self.every,
            "frames": self.frames,
            "axes": {
                letter: AXES[letter] for array in self.arrays.values() for block in array for letter in block.axes
            },
            **({"lacks": self.lacks} if self.lacks else {}),
        }


def expanded(block: Block) -> list[str]:
    """The points of a block by name."""
    return [name for item in block.points for name in _points_of(item)]


def _points_of(item: str) -> Sequence[str]:
    if item in FULL.parts:
        return FULL.names[FULL.parts[item]]
    return [name for name in FULL.names if name in SETS[item]] if item in SETS else [item]


class Arranger:
    """Brings the keypoints of videos into the arrays of a recipe.

    Args:
        topology: The points that they have, which are those of the recipe at least.
    """

    def __init__(self, recipe: Recipe, topology: Topology) -> None:
        self._recipe, self._topology = recipe, topology
        places = {name: place for place, name in enumerate(topology.names)}
        self._blocks = {
            name: [(block.axes, *self._places([one.split("+") for one in expanded(block)], places)) for block in array]
            for name, array in recipe.arrays.items()
        }

    def _places(self, points: list[list[str]], places: Mapping[str, int]) -> tuple[Any, Any, list[str]]:
        """The places of points, those of the other ends of middles, and the part of each point."""
        first, last = ([places[one[at]] for one in points] for at in (0, -1))
        return np.array(first), np.array(last), [one[0].partition(".")[0] for one in points]

    def __call__(self, keypoints: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The arrays of a video.

        Args:
            keypoints: (T, points, 4) in frame widths and heights, or metres.

        Returns:
            By name, (T, n, axes), (T, n) of one axis, or (T, values) where they are flat.
        """
        taken = keypoints[_frames(self._recipe, len(keypoints))].astype(np.float64)
        found = {part: is_found(taken, place) for part, place in self._topology.parts.items()}
        return {name: self._joined([*self._values(taken, found, blocks)]) for name, blocks in self._blocks.items()}

    def _values(self, taken: NDArray[Any], found: Mapping[str, Any], blocks: list[Any]) -> Iterator[NDArray[Any]]:
        for axes, first, last, parts in blocks:
            points = (taken[:, first] + taken[:, last]) / 2
            columns = [_column(points, axis) for axis in axes]
            there = np.stack([found[part] for part in parts], axis=1)
            yield np.where(there[..., None], np.stack(columns, axis=-1), self._recipe.missing)

    def _joined(self, blocks: list[NDArray[Any]]) -> NDArray[Any]:
        if self._recipe.flat == "axes":
            joined = np.concatenate(blocks, axis=1).transpose(0, 2, 1).reshape(len(blocks[0]), -1)
        elif self._recipe.flat:
            joined = np.concatenate([block.reshape(len(block), -1) for block in blocks], axis=1)
        else:
            joined = np.concatenate(blocks, axis=1)
            joined = joined[..., 0] if joined.shape[-1] == 1 else joined
        return joined.astype(self._recipe.dtype)


def _column(points: NDArray[Any], axis: str) -> NDArray[Any]:
    """One of `AXES` of points (T, n, 4)."""
    if axis == "c":
        return np.ones(points.shape[:2])
    return 1 - points[..., 1] if axis == "Y" else np.asarray(points[..., "xyzv".index(axis)])


def _frames(recipe: Recipe, length: int) -> NDArray[np.intp]:
    """Which frames of a video are taken."""
    if recipe.frames:
        return np.linspace(0, length - 1, recipe.frames).round().astype(np.intp)
    return np.arange(0, length, recipe.every)


_HANDS: Final = ("left_hand", "right_hand")

_SPOTER_BODY: Final = {
    "nose": "pose.nose",
    "neck": "pose.left_shoulder+pose.right_shoulder",
    "rightEye": "pose.right_eye",
    "leftEye": "pose.left_eye",
    "rightEar": "pose.right_ear",
    "leftEar": "pose.left_ear",
    "rightShoulder": "pose.right_shoulder",
    "leftShoulder": "pose.left_shoulder",
    "rightElbow": "pose.right_elbow",
    "leftElbow": "pose.left_elbow",
    "rightWrist": "pose.right_wrist",
    "leftWrist": "pose.left_wrist",
}
_SPOTER_HAND: Final = {
    "wrist": "wrist",
    **{
        f"{theirs}{joint}": f"{finger}_{joint.lower()}"
        for theirs, finger in (("index", "index"), ("middle", "middle"), ("ring", "ring"), ("little", "pinky"))
        for joint in ("Tip", "DIP", "PIP", "MCP")
    },
    "thumbTip": "thumb_tip",
    "thumbIP": "thumb_ip",
    "thumbMP": "thumb_mcp",
    "thumbCMC": "thumb_cmc",
}
_SPOTER: Final = {
    **_SPOTER_BODY,
    **{
        f"{theirs}_{side}": f"{side}_hand.{point}"
        for side in ("left", "right")
        for theirs, point in _SPOTER_HAND.items()
    },
}

_YOUTUBE_ASL: Final = tuple(name for name in FULL.names if name in SETS["youtube-asl"])
_POSE_25: Final = tuple(f"pose.{name}" for name in POSE_NAMES[:25])
_HOLISTIC: Final = ("pose", "face.mesh", *_HANDS)

RECIPES: Final[Mapping[str, Recipe]] = {
    "pose": Recipe(
        "pose-format and all that reads .pose: segmentation, multimodalhugs, sign-vq, SignCLIP",
        {"": (Block(_HOLISTIC, "xyzc"),)},
        kind="pose",
        file="{unit}/{video}.pose",
    ),
    "tfds": Recipe(
        "sign-language-datasets: .pose with the body in metres, too",
        {"": (Block((*_HOLISTIC, "pose_world"), "xyzc"),)},
        kind="pose",
        file="{unit}/{video}.pose",
    ),
    "gislr": Recipe(
        "Kaggle asl-signs (isolated sign language recognition) and its solutions",
        {"": (Block(("face.mesh", "left_hand", "pose", "right_hand"), "xyz"),)},
        kind="parquet",
        file="{split}_landmark_files/{signer_number}/{sequence}.parquet",
        missing=nan,
        tables={
            "{split}.csv": {
                "path": "{file}",
                "participant_id": "{signer_number}",
                "sequence_id": "{sequence}",
                "sign": "{word}",
            }
        },
        classes="sign_to_prediction_index_map.json",
    ),
    "arabic-sl-mmap": Recipe(
        "yousefelkilany/Word-level-Arabic-Sign-language, mmap_dataset.py",
        {"": (Block(("contract",), "xyzv"),)},
        kind="mmap",
        file="{split}_X.mmap",
        adjusted_too=True,
    ),
    "openhands": Recipe(
        "AI4Bharat/OpenHands; its LSA64 reader takes a folder of a split as it is",
        {
            "keypoints": (Block(("pose", *_HANDS), "xyz"),),
            "confidences": (Block(("pose",), "v"), Block(_HANDS, "c")),
        },
        kind="pickle",
        file="{split}/{class_number:03}_{signer_number:03}_{repeat:03}.pkl",
        dtype="float64",
        classes="classes.csv",
    ),
    "spoter": Recipe(
        "matyasbohacek/spoter",
        {"": (Block(tuple(_SPOTER.values()), "xY"),)},
        kind="columns",
        file="{split}.csv",
        names=tuple(_SPOTER),
    ),
    "flat-1662": Recipe(
        "the ActionDetection tutorial and its copies",
        {"": (Block(("pose",), "xyzv"), Block(("face.mesh", *_HANDS), "xyz"))},
        kind="frames",
        file="{split}/MP_Data/{word}/{take}/29.npy",
        flat="points",
        dtype="float64",
        frames=30,
        classes="actions.npy",
    ),
    "flat-225": Recipe(
        "libras-wild and others",
        {"": (Block(("pose", *_HANDS), "xyz"),)},
        kind="pickle",
        file="{unit}/{video}.pkl",
        flat="points",
    ),
    "asl-citizen": Recipe(
        "microsoft/ASL-citizen-code, ST-GCN",
        {"": (Block(("pose", "right_hand", "left_hand", "face.mesh"), "xy"),)},
        kind="npy",
        file="{unit}/{video}.npy",
        tables={
            "{split}.csv": {"Participant ID": "{signer}", "Video file": "{file}", "Gloss": "{word}"},
            "pose_files.csv": {"Video file": "{file}", "Pose file": "{file}"},
        },
    ),
    "include": Recipe(
        "AI4Bharat/INCLUDE",
        {
            f"{name}_{axis}": (Block(points, axis),)
            for name, points in (("pose", _POSE_25), ("hand1", ("left_hand",)), ("hand2", ("right_hand",)))
            for axis in "xy"
        },
        kind="json",
        file="{split}/{word}_{sequence}.json",
        missing=nan,
    ),
    "fingerspelling": Recipe(
        "Kaggle asl-fingerspelling, first place",
        {"": (Block(("face.lips", "face.eyes", "left_hand", "right_hand", "pose.arms"), "xyz"),)},
        kind="npy",
        file="train_landmarks_v3/{signer_number}/{sequence}.npy",
        missing=nan,
        flat="axes",
        tables={
            "{split}.csv": {
                "path": "{file}",
                "file_id": "{signer_number}",
                "sequence_id": "{sequence}",
                "participant_id": "{signer_number}",
                "phrase": "{word}",
            }
        },
        lacks="which columns its authors took is in no public file; the columns here are lips, eyes, hands and arms",
    ),
    "youtube-asl": Recipe(
        "recipes of the YouTube-ASL paper: 85 points, every second frame",
        {"": (Block(tuple(name for name in _YOUTUBE_ASL if "hand" not in name), "xyz"), Block(_HANDS, "xyz"))},
        kind="npy",
        file="{unit}/{video}.npy",
        flat="points",
        every=2,
    ),
    "t5-slt": Recipe(
        "zeleznyt/T5_for_SLT",
        {f"{part}_landmarks": (Block((part,), "xyzv"),) for part in ("pose", "face", *_HANDS)},
        kind="hdf5",
        file="{split}.h5",
    ),
    "sign-translator": Recipe(
        "sign-language-translator: landmarks in metres",
        {"": (Block(("pose_world", "left_hand_world", "right_hand_world"), "xyzvc"),)},
        kind="npy",
        file="{unit}/{video}.npy",
        lacks="the presence of points is not kept; the fifth value is 1 in all points of a part that was found",
    ),
}
"""All of them, those first that are tried with their readers' own code."""

POSE_FILES: Final = tuple(name for name, recipe in RECIPES.items() if recipe.kind == "pose")
"""Those that are .pose files."""
