"""How far two sets of keypoints of the same videos are apart: outputs, or trees of .pose files.

Everything is measured in the picture, in x and y, over the points that both sides have: in pixels, or where no side
knows the size of the frames, in shoulder widths.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.errors import OutputError
from kpsbatch.landmarks.found import is_found
from kpsbatch.points import Topology, topology_of
from kpsbatch.store.cleaning import SHOULDERS
from kpsbatch.store.outputs import settings_of_record
from kpsbatch.store.pose_files import find_poses, place_of, read_pose
from kpsbatch.store.reading import OutputDataset, find_outputs, open_dataset
from kpsbatch.words import program

HANDS = ("right_hand", "left_hand")

NEAR = 0.5
"""Two hands are the same one under two names where they lie within half a hand's size, and nearer than half as far as
those of the same name."""

PIXELS, WIDTHS = "pixels", "shoulder widths"

Floats = NDArray[np.float64]


class Read(NamedTuple):
    """What a side has of a video: its points, (T, points, 4) in frame widths and heights, the frames' size in pixels.

    The size is (0, 0) where it is not known.
    """

    topology: Topology
    keypoints: NDArray[Any]
    size: tuple[int, int]


@dataclass(frozen=True)
class Side:
    """One of the two: its videos by place (01-train/0007, or a folder of .pose files) and name."""

    path: Path
    is_output: bool
    videos: dict[tuple[str, str], Callable[[], Read]]


@dataclass
class PartDifference:
    """How far a part is apart in a video, or in all.

    Attributes:
        distances: For each frame in which both sides have it, the mean over its points.
        frames: The numbers of these frames.
        missing_a, missing_b: In how many frames only the other side has it.
    """

    distances: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    missing_a: int = 0
    missing_b: int = 0

    def as_tree(self) -> dict[str, Any]:
        """For JSON; distances are null where no frame has both."""
        there = np.array(self.distances or [np.nan])
        worst = int(there.argmax())
        values = {"median": np.median(there), "p95": np.percentile(there, 95), "largest": there[worst]}
        return {
            "frames": len(self.distances),
            **{name: float(round(value, 4)) if self.distances else None for name, value in values.items()},
            **({"largest_in_frame": self.frames[worst]} if self.frames else {}),
            "missing_a": self.missing_a,
            "missing_b": self.missing_b,
        }


@dataclass(frozen=True)
class Difference:
    """A video that both sides have.

    Attributes:
        video: Such as `01-train/0007: NAME`.
        frames: T of either side; the first of both are compared.
        unit: Of the distances.
        parts: By name.
        swapped: Frames in which a hand has the other's name.
        off: How bad it is, from 0 to 1: the mean over frames and parts of the distance in shoulder widths, at most 1,
            where a part that one side lacks, and a hand of the other's name, count as 1.
        view: The command that plays it; "" where a side is no output.
    """

    video: str
    frames: tuple[int, int]
    unit: str
    parts: dict[str, PartDifference]
    swapped: int
    off: float
    view: str

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "video": self.video,
            "frames_a": self.frames[0],
            "frames_b": self.frames[1],
            "unit": self.unit,
            "off": round(self.off, 5),
            "swapped_frames": self.swapped,
            "parts": {name: part.as_tree() for name, part in self.parts.items()},
            "view": self.view or None,
        }


@dataclass(frozen=True)
class Comparison:
    """Two sides: the videos of both, worst first, and those of one."""

    videos: list[Difference]
    only_a: list[str]
    only_b: list[str]

    @property
    def units(self) -> list[str]:
        """The units of the distances, those of most videos first."""
        return [unit for unit, _ in Counter(video.unit for video in self.videos).most_common()]

    def totals(self, unit: str) -> dict[str, PartDifference]:
        """All frames of the videos of a unit together, by part."""
        totals: dict[str, PartDifference] = {}
        for video in self.videos:
            for name, part in video.parts.items() if video.unit == unit else ():
                total = totals.setdefault(name, PartDifference())
                total.distances += part.distances
                total.missing_a += part.missing_a
                total.missing_b += part.missing_b
        return totals

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "all": {unit: {name: part.as_tree() for name, part in self.totals(unit).items()} for unit in self.units},
            "swapped_frames": sum(video.swapped for video in self.videos),
            "videos": [video.as_tree() for video in self.videos],
            "only_a": self.only_a,
            "only_b": self.only_b,
        }


def compare(one: Path, other: Path, on_video: Callable[[int, int], None] = lambda done, total: None) -> Comparison:
    """Compare the videos that two folders have in common: by place and name, else by a name that each has once.

    Raises:
        OutputError: One holds neither outputs nor .pose files, they have no video in common, or one can't be read.
    """
    a, b = open_side(one), open_side(other)
    pairs = dict(_pairs(a, b))
    if not pairs:
        shown = [_said(*next(iter(side.videos))) for side in (a, b)]
        raise OutputError(
            f"{one} and {other} have no video in common: {shown[0]!r} and {shown[1]!r}, for example. Name two folders "
            "of the same dataset."
        )
    found = []
    for mine, theirs in pairs.items():
        view = ""
        if a.is_output and b.is_output and mine[0] == theirs[0]:
            view = f"{program()} {shlex.join(['view', str(one), '--compare', str(other), '--video', _said(*mine)])}"
        found.append(difference(_said(*mine), a.videos[mine](), b.videos[theirs](), view))
        on_video(len(found), len(pairs))
    found.sort(key=lambda video: -video.off)
    matched = {*pairs.values()}
    return Comparison(
        found,
        [_said(*key) for key in a.videos if key not in pairs],
        [_said(*key) for key in b.videos if key not in matched],
    )


def open_side(path: Path) -> Side:
    """The videos of a folder of outputs, or of .pose files.

    Raises:
        OutputError: It holds neither.
    """
    if path.is_dir() and next(find_outputs(path), None) is not None:
        dataset = open_dataset(path)
        records = {known.record.parents[1]: known.record for known in dataset.known if known.record is not None}
        settings = [settings_of_record(record) for record in records.values()]
        if any(one is not None and one.coordinates != "image" for one in settings):
            dataset = dataset.from_kept(dataset.topology.name)
        videos: dict[tuple[str, str], Callable[[], Read]] = {
            (f"{info.path.parent.name}/{info.path.stem}", info.video): partial(_read_output, dataset, number)
            for number, info in enumerate(dataset.videos)
        }
        return Side(path, True, videos)
    root = path if path.is_dir() else path.parent
    poses: dict[tuple[str, str], Callable[[], Read]] = {}
    for file in find_poses(path):
        unit, name = place_of(file, root)
        place = unit.name if unit else file.parent.relative_to(root).as_posix()
        poses["" if place == "." else place, name] = partial(_read_pose_file, file)
    if not poses:
        raise OutputError(f"{path} holds neither outputs such as 01-train/0007.npz nor .pose files. Correct the path.")
    return Side(path, False, poses)


def _read_output(dataset: OutputDataset, number: int) -> Read:
    info = dataset.videos[number]
    return Read(dataset.topology, dataset[number].keypoints, (info.width or 0, info.height or 0))


def _read_pose_file(path: Path) -> Read:
    pose = read_pose(path)
    return Read(topology_of(pose.points), pose.keypoints, (pose.width, pose.height))


def _said(place: str, name: str) -> str:
    return f"{place}: {name}" if place else name


def _pairs(a: Side, b: Side) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """The keys of a video on both sides."""
    both = a.videos.keys() & b.videos.keys()
    yield from ((key, key) for key in a.videos if key in both)
    rest: list[dict[str, list[tuple[str, str]]]] = [{}, {}]
    for names, side in zip(rest, (a, b), strict=True):
        for key in side.videos:
            if key not in both:
                names.setdefault(key[1], []).append(key)
    for name, keys in rest[0].items():
        others = rest[1].get(name, [])
        if len(keys) == len(others) == 1:
            yield keys[0], others[0]


def difference(video: str, a: Read, b: Read, view: str = "") -> Difference:
    """Compare a video on both sides.

    Raises:
        OutputError: They have no point in common.
    """
    common = [name for name in a.topology.names if b.topology.place(name) is not None]
    if not common:
        raise OutputError(f"{video}: the two sides have no point in common. Name outputs with common points.")
    topology = topology_of(common)
    length = min(len(a.keypoints), len(b.keypoints))
    sides = [
        np.asarray(read.keypoints[:length, [read.topology.names.index(name) for name in topology.names]], np.float64)
        for read in (a, b)
    ]
    there = [
        {name: is_found(read.keypoints[:length], read.topology.parts[name]) for name in topology.parts}
        for read in (a, b)
    ]
    size = next((read.size for read in (a, b) if all(read.size)), (0, 0))
    shoulders = _shoulders((a, b), size)
    scale = np.array(size if all(size) else [1 / shoulders] * 2)
    first, second = (side[..., :2] * scale for side in sides)
    width = shoulders if all(size) else 1.0
    swapped = _swapped(first, second, there, topology)
    if swapped.any():
        right, left = (topology.parts[hand] for hand in HANDS)
        second[swapped, right], second[swapped, left] = second[swapped, left], second[swapped, right]
        seen = [there[1][hand] for hand in HANDS]
        there[1] |= {
            hand: np.where(swapped, other, own) for hand, own, other in zip(HANDS, seen, seen[::-1], strict=True)
        }
    parts, costs = {}, [0.0]
    counted = 0
    for name, place in topology.parts.items():
        in_a, in_b = there[0][name], there[1][name]
        both = in_a & in_b
        apart = np.linalg.norm(first[both, place] - second[both, place], axis=-1).mean(axis=-1)
        only_b, only_a = in_b & ~in_a, in_a & ~in_b
        parts[name] = PartDifference(
            apart.tolist(), np.flatnonzero(both).tolist(), int(only_b.sum()), int(only_a.sum())
        )
        wrong = swapped[both] if name in HANDS else np.zeros(len(apart), bool)
        costs += [*np.where(wrong, 1, np.minimum(apart / width, 1)), float(only_a.sum() + only_b.sum())]
        counted += int((in_a | in_b).sum())
    return Difference(
        video,
        (len(a.keypoints), len(b.keypoints)),
        PIXELS if all(size) else WIDTHS,
        parts,
        int(swapped.sum()),
        float(sum(costs)) / max(counted, 1),
        view,
    )


def _shoulders(reads: Sequence[Read], size: tuple[int, int]) -> float:
    """The median distance of the shoulders on the first side that has both, else a quarter of the frame's width."""
    scale = np.array(size if all(size) else (1, 1))
    for read in reads:
        left, right = (read.topology.place(name) for name in SHOULDERS)
        if left is None or right is None:
            continue
        frames = read.keypoints[is_found(read.keypoints, read.topology.parts["pose"])].astype(np.float64)
        apart = np.linalg.norm((frames[:, left, :2] - frames[:, right, :2]) * scale, axis=-1)
        if len(apart) and (middle := float(np.median(apart))) > 0:
            return middle
    return float(scale[0] / 4)


def _swapped(
    first: Floats, second: Floats, there: Sequence[dict[str, NDArray[np.bool_]]], topology: Topology
) -> NDArray[np.bool_]:
    """The frames in which the hands of one side lie on those of the other name, see `NEAR`."""
    places = [topology.parts.get(hand) for hand in HANDS]
    names = [tuple(name.partition(".")[2] for name in topology.names[place]) for place in places if place is not None]
    if len(names) < len(HANDS) or names[0] != names[1]:
        return np.zeros(len(first), bool)
    apart: dict[tuple[str, str], Floats] = {}
    size = np.full(len(first), np.inf)
    for mine in HANDS:
        points = first[:, topology.parts[mine]]
        spread = 2 * np.sqrt(((points - points.mean(axis=1, keepdims=True)) ** 2).sum(axis=-1).mean(axis=-1))
        size = np.where(there[0][mine], np.minimum(size, spread), size)
        for theirs in HANDS:
            distance = np.linalg.norm(points - second[:, topology.parts[theirs]], axis=-1).mean(axis=-1)
            apart[mine, theirs] = np.where(there[0][mine] & there[1][theirs], distance, np.nan)
    right, left = HANDS
    straight = _mean(apart[right, right], apart[left, left])
    crossed = _mean(apart[right, left], apart[left, right])
    return np.asarray((crossed < NEAR * size) & (crossed < NEAR * straight))


def _mean(one: Floats, other: Floats) -> Floats:
    """The mean of what is known of two, infinite where nothing is."""
    both = np.stack([one, other])
    known = ~np.isnan(both)
    total = np.where(known, both, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.inf)
