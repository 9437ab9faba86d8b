"""Long videos of a run: what their first looks and pieces gave, kept in the working place until the video is whole.

    <root>/_kpsbatch/pieces/<fingerprint>/<video>/look.json      the first look at the video
    <root>/_kpsbatch/pieces/<fingerprint>/<video>/3.npy          keypoints of its piece 3
    <root>/_kpsbatch/pieces/<fingerprint>/<video>/3.full.npy     all landmarks, where they are kept
    <root>/_kpsbatch/pieces/<fingerprint>/<video>/3.json         what is known of it; written last

<fingerprint> is the name of the folder of records, <video> a hash of unit, video and size of its file. A run that is
started again goes on with the pieces that are missing. What lies there can be removed while nothing runs.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.reading import stored_size
from kpsbatch.dataset.video import Unit
from kpsbatch.files import explained, refuse_outside, write_atomically, write_bytes, write_json
from kpsbatch.landmarks.extract import VideoKeypoints
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.landmarks.full import differences, pack
from kpsbatch.landmarks.pieces import Piece, WholeVideo, joined, pieces_of, whole_from_json, whole_to_json
from kpsbatch.store.npz import npz_bytes_of_pieces
from kpsbatch.store.outputs import Outputs
from kpsbatch.stored import read_stored
from kpsbatch.work.video_job import VideoTask

Made: TypeAlias = "list[VideoKeypoints | None]"
"""What a task made of each of its videos."""


@dataclass
class _Open:
    """A long video that is worked on: its folder, the first look, its pieces, and how many of them are to come."""

    folder: Path
    whole: WholeVideo
    pieces: list[Piece]
    left: int = 0
    problems: list[str] = field(default_factory=list)


class Collected(NamedTuple):
    """What follows from a task: more of them; or what was made of each of its videos, None where nothing, and why."""

    more: Sequence[VideoTask] = ()
    made: Made | None = None
    problem: str = ""


class LongVideos:
    """Makes tasks of the pieces of long videos, keeps what they give, and joins it.

    Args:
        outputs: The outputs that the videos are for.
    """

    def __init__(self, outputs: Outputs) -> None:
        self._folder = outputs.pieces
        self._root = outputs.root
        self._open: dict[str, _Open] = {}
        self._joined: dict[Unit, list[Path]] = {}
        self._known = {path.name for path in self._folder.glob("*")}

    def begun(self, task: VideoTask) -> list[VideoTask]:
        """The pieces that are left of a video that an earlier run has begun; [] for another one."""
        if not self._known or task.piece is not None or len(task.videos) != 1:
            return []
        key = _key(task)
        if key not in self._known:
            return []

        try:
            whole = whole_from_json((self._folder / key / "look.json").read_text("ascii"))
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return self._pieces(task, key, whole)

    def collect(self, task: VideoTask, value: WholeVideo | Made | None, problem: str) -> Collected:
        """What follows from what became of a task: the pieces of a video that was looked at, or what became of it.

        Nothing follows from a piece, but from the last one of its video.

        Raises:
            OutputError: What is kept of it can't be written.
        """
        if value is not None and not isinstance(value, list):
            return Collected(self._begin(task, value))
        if task.piece is None:
            return Collected(made=value or [None] * len(task.videos), problem=problem)
        return self._add(task, value[0] if value else None, problem)

    def _begin(self, task: VideoTask, whole: WholeVideo) -> list[VideoTask]:
        """The pieces of a video whose first look is known."""
        key = _key(task)
        with explained(self._root):
            refuse_outside(self._root, self._folder)
            (self._folder / key).mkdir(parents=True, exist_ok=True)
            write_bytes(self._folder / key / "look.json", whole_to_json(whole).encode("ascii"))
        return self._pieces(task, key, whole)

    def _pieces(self, task: VideoTask, key: str, whole: WholeVideo) -> list[VideoTask]:
        opened = _Open(self._folder / key, whole, pieces_of(whole))
        left = [piece for piece in opened.pieces if not (opened.folder / f"{piece.number}.json").exists()]
        left = left or opened.pieces[-1:]  # all are there: the last is done again, and they are joined
        opened.left = len(left)
        self._open[key] = opened
        return [task._replace(piece=piece) for piece in left]

    def _add(self, task: VideoTask, made: VideoKeypoints | None, problem: str) -> Collected:
        """Keep what a piece gave; of the last one what became of the video."""
        key = _key(task)
        opened, piece = self._open[key], task.piece
        assert piece is not None
        if made is None:
            opened.problems.append(problem)
        else:
            with explained(self._root):
                opened.folder.mkdir(parents=True, exist_ok=True)  # another run of the same video can have finished
                _write(opened.folder, piece.number, made)
        opened.left -= 1
        if opened.left:
            return Collected()
        del self._open[key]
        self._joined.setdefault(task.unit, []).append(opened.folder)
        if opened.problems:
            return Collected(made=[None], problem=opened.problems[0])
        try:
            return Collected(made=[_joined(opened, task.videos[0].name)])
        except (OSError, ValueError) as error:
            problem = f"its pieces in {opened.folder} can't be read: {error}. Run the same command again."
            return Collected(made=[None], problem=problem)

    def forget(self, unit: Unit) -> None:
        """Remove what is kept of the videos of a unit that is stored, those that failed with them."""
        for folder in self._joined.pop(unit, []):
            shutil.rmtree(folder, ignore_errors=True)


def _key(task: VideoTask) -> str:
    video = task.videos[0]
    return hashlib.sha256(repr((task.unit.name, video.name, stored_size(video))).encode()).hexdigest()[:16]


def _write(folder: Path, number: int, made: VideoKeypoints) -> None:
    arrays = {f"{number}.npy": made.keypoints}
    if made.full:
        arrays[f"{number}.full.npy"] = np.frombuffer(made.full, np.uint8).reshape(4, 4, len(made.keypoints), -1)
    for name, array in arrays.items():
        write_atomically(folder / name, partial(_save, array))
    write_json(folder / f"{number}.json", made.facts.model_dump(mode="json"))


def _save(array: NDArray[Any], file: BinaryIO) -> None:
    np.save(file, array, allow_pickle=False)


def _joined(opened: _Open, name: str) -> VideoKeypoints:
    """The keypoints of a video of its pieces.

    Raises:
        OSError, ValueError: A piece is missing or damaged.
    """
    numbers = [piece.number for piece in opened.pieces]
    facts = [read_stored(opened.folder / f"{number}.json", VideoFacts) for number in numbers]
    if None in facts:
        raise ValueError("one is missing")
    keypoints = np.concatenate([np.load(opened.folder / f"{number}.npy", mmap_mode="r") for number in numbers])
    if len(keypoints) != opened.whole.frames:
        raise ValueError("one has other frames")
    known = joined(opened.whole, [each for each in facts if each is not None])
    if not (opened.folder / f"{numbers[0]}.full.npy").exists():
        return VideoKeypoints(keypoints, known)
    packed = [np.load(opened.folder / f"{number}.full.npy", mmap_mode="r") for number in numbers]
    parts, last = [], None
    for part in packed:  # the first frame of each is packed as the difference from the frame before it
        steps = differences(part)
        parts += [pack([steps[0]], last), part[:, :, 1:]]
        last = steps.sum(axis=0, dtype=np.int32)
    return VideoKeypoints(keypoints, known, npz_bytes_of_pieces(name, parts, axis=2))
