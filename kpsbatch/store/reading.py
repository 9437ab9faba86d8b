"""Reading outputs back: one file, or a whole output folder. Needs NumPy and nothing else.

What is known of videos without reading their arrays comes from the records and from a manifest's index.csv.
"""

from __future__ import annotations

import csv
import glob
import operator
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.video import Unit, video_key
from kpsbatch.errors import ConfigError, OutputError, named_path
from kpsbatch.files import INTERNAL, fingerprint_in, in_threads, names_in, read_json
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.full import unpack
from kpsbatch.landmarks.keypoints import view
from kpsbatch.points import CONTRACT, FULL, Topology, topology_of
from kpsbatch.store.classes import Class, moved_classes, read_lists
from kpsbatch.store.cleaning import (
    SHOULDERS,
    Cleaning,
    at_rate,
    fill_gaps,
    length_at,
    moments_of,
    normalised,
    with_nan,
    without_doubtful,
)
from kpsbatch.store.cutting import Cut, Cutter, Whole, digest_of, places_of, rows_of, source_of
from kpsbatch.store.npz import NpzReader, open_npz, video_names
from kpsbatch.words import counted, some_of

NEAR_ONE = 0.01
"""How far from 1 the shoulders of an adjusted pose may be apart: float16 has 11 bits."""

AT_REFERENCE = 1e-3
"""A reference point lies at 0, up to what the arithmetic of other scripts leaves of it, such as 1e-8; no other does."""

LEFT_OF_REFERENCE = -0.3
"""An adjusted face reaches more than half an iris distance to the left of its nose tip; one in image coordinates hardly
a third of its frame's width beyond the left edge."""

INDEX_FILE = "index.csv"
Files = Mapping[str, Path]
"""The record of each unit, by the unit's name such as 01-train/0007."""

_SHOWN = 20


class Videos(dict[str, NDArray[Any]]):
    """The arrays of an output file by the names of their videos.

    Attributes:
        topology: Which points they have.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], topology: Topology) -> None:
        super().__init__(arrays)
        self.topology = topology


def load(path: Path | str, points: str | Sequence[str] | None = None) -> Videos:
    """Read an output file.

        videos = kpsbatch.load("karsl-kps/01-train/0007.npz")
        for video, keypoints in videos.items():
            hands_missing = ~keypoints[:, videos.topology.parts["right_hand"]].any(axis=(1, 2))

    Args:
        points: Other points than the file has, as in `output.points`, or `full`: they come from what is kept beside it,
            in frame widths and heights, float32. For a file that was taken away from its record: which points it has.
            Default: what the record says, or the contract's points or all of MediaPipe's, where there is no record.

    Returns:
        (T, points, 4) for each video name, in the order of the file; every byte was checked against its checksum. Its
        `topology` says which points they are. Of `full` (T, 628, 4): see `Topology` FULL in points.py.

    Raises:
        OutputError: It is missing, damaged, or not what the output contract says, or its points are not known.
        ConfigError: There are no such points, or `path` is no path.
    """
    path = named_path("path", path, "Name an npz; kpsbatch.open_dataset reads a folder.")
    if points is not None:
        wanted, recorded = kept_topology(points), recorded_points(path)
        if wanted == FULL or recorded not in (None, wanted.name):
            with open_npz(kept_path(path)) as kept:
                return Videos({name: read_kept(kept, name, wanted) for name in kept.members}, wanted)
    with open_npz(path) as npz:
        arrays = {name: read_keypoints(npz, name) for name in npz.members}
    count = next(iter(arrays.values())).shape[1]
    topology = topology_of(points) if points is not None else file_topology(path, count)
    for name, array in arrays.items():
        check_points(path, name, array, topology)
    return Videos(arrays, topology)


def file_topology(path: Path, count: int = 0) -> Topology:
    """Which points a file has: by its record, else by their number.

    Args:
        count: How many points it has, where there may be no record.

    Raises:
        OutputError: Neither tells.
    """
    points = recorded_points(path)
    if points is None:
        known = {topology.points: topology for topology in (CONTRACT, topology_of("all"))}
        if count not in known:
            raise OutputError(
                f"{path} has {count} points, and no record beside it says which. Keep it in its output folder, or name "
                "them: kpsbatch.load(path, points=...)."
            )
        return known[count]
    try:
        return topology_of(points)
    except ConfigError as error:
        raise OutputError(f"{path}: its record has points that this release does not know: {error}") from None


def recorded_points(path: Path) -> str | None:
    """The set of points that the record of an npz names; None where there is no record."""
    clip = read_json(path.with_suffix(".json")) or {}
    if "video" in clip:
        return str(clip.get("points", CONTRACT.name))
    folder, stem = path.absolute().parent, glob.escape(path.stem)
    for record in sorted((folder.parent / INTERNAL / "records").glob(f"*/{glob.escape(folder.name)}/{stem}.*json")):
        settings = read_json(record.parents[1] / "settings.json") or {}
        held = settings.get("view") or settings.get("output", {})
        return str(held.get("points", CONTRACT.name)) if isinstance(held, Mapping) else CONTRACT.name
    return None


def kept_topology(points: str | Sequence[str]) -> Topology:
    """A set of points that is asked for of what is kept: `full`, or as `topology_of`.

    Raises:
        ConfigError: There are no such points.
    """
    return FULL if points == FULL.name else topology_of(points)


def kept_path(path: Path) -> Path:
    """Where all landmarks of an output lie, whose npz need not be there.

    Raises:
        OutputError: They are not kept.
    """
    folder, internal = path.absolute().parent, path.absolute().parent.parent / INTERNAL
    pattern = f"*/{glob.escape(folder.name)}/{glob.escape(path.stem)}.*json"
    for record in sorted((internal / "records").glob(pattern), key=_modified, reverse=True):
        fingerprint = fingerprint_in(record.parents[1].name)
        if (kept := internal / "full" / fingerprint / folder.name / path.name).exists():
            return kept
    raise OutputError(
        f"of {path} no more is kept than it holds, or the folder {INTERNAL} beside it is missing. Run again with "
        "output.keep: full and --overwrite, or copy the whole output folder."
    )


def read_kept(kept: NpzReader, name: str, topology: Topology, min_score: float = 0) -> NDArray[np.float32]:
    """One video of an open file of all landmarks: (T, points, 4) in frame widths and heights.

    Args:
        min_score: Faces and hands of a lower score are missing.

    Raises:
        OutputError: There is none of this name, or it is damaged.
    """
    try:
        full = unpack(kept.read(name))
        return view(without_doubtful(full, min_score) if min_score else full, topology)
    except ValueError as error:
        raise OutputError(f"{kept.path} is damaged in video {name!r}: {error}. Run `kpsbatch verify`.") from None


def check_points(path: Path, name: str, array: NDArray[Any], topology: Topology) -> None:
    """Refuse (T, points, 4) of other points.

    Raises:
        OutputError: There are more or fewer.
    """
    if array.shape[1] != topology.points:
        raise OutputError(
            f"{path}: video {name!r} has {array.shape[1]} points, not the {topology.points} of {topology.name}. "
            "Name a file that kpsbatch wrote."
        )


def are_adjusted(keypoints: NDArray[Any], topology: Topology = CONTRACT) -> bool | None:
    """Whether keypoints are adjusted, by what that leaves behind: wrists of hands at 0, or shoulders 1 apart.

    Where there is only a face, which has no such point in the contract, its place tells: around 0.

    Args:
        keypoints: (T, points, 4).

    Returns:
        None where nothing that tells was found.
    """

    def frames_with(part: str) -> NDArray[np.float64]:
        return keypoints[is_found(keypoints, topology.parts[part])].astype(np.float64)

    for side in ("right_hand", "left_hand"):
        wrist = topology.place(f"{side}.wrist")
        if wrist is not None and len(frames := frames_with(side)):
            return _is_at_zero(frames[:, wrist])
    left, right = (topology.place(f"pose.{side}_shoulder") for side in ("left", "right"))
    if left is not None and right is not None and len(frames := frames_with("pose")):
        apart = np.hypot(*(frames[:, left, :2] - frames[:, right, :2]).T)
        return bool(np.abs(apart - 1).max() < NEAR_ONE)
    if "face" in topology.parts and len(frames := frames_with("face")):
        return bool(np.median(frames[:, topology.parts["face"], 0].min(axis=1)) < LEFT_OF_REFERENCE)
    return None


def coordinates_of(keypoints: NDArray[Any]) -> str | None:
    """Which coordinates keypoints (T, 184, 4) have, as the config names them; None where nothing that tells was found.

    The reference points tell the two kinds of adjusted ones apart: the left shoulder, or else point 7 of the face, is
    at 0.
    """
    adjusted = are_adjusted(keypoints)
    if adjusted is None:
        return None
    references = {"pose": CONTRACT.place("pose.left_shoulder"), "face": CONTRACT.parts["face"].start + 1}
    for part, place in references.items():
        frames = keypoints[is_found(keypoints, CONTRACT.parts[part])]
        if adjusted and len(frames):
            return "adjusted-arabic-sl" if _is_at_zero(frames[:, place]) else "adjusted"
    return "adjusted" if adjusted else "image"


def _is_at_zero(points: NDArray[Any]) -> bool:
    """Whether a point (T, 4) is the one that others are relative to."""
    return bool(np.abs(points[:, :2]).max() < AT_REFERENCE)


class KnownVideo(NamedTuple):
    """A video of an output.

    Attributes:
        name: Its key in the npz.
        frames: T, the length of its array.
        frame_rate: Frames a second, on average where it is not constant; None where that is not known.
        width, height: Of its frames, in pixels; None where that is not known.
        times: Milliseconds since the first frame, for each frame; None where the rate is constant or not known.
        source: The path of its video, without suffix, where a table names it; else its key.
        part: Whether it is a segment of that.
        places: See `Whole`.
    """

    name: str
    frames: int
    frame_rate: float | None = None
    width: int | None = None
    height: int | None = None
    times: tuple[float, ...] | None = None
    source: str = ""
    part: bool = False
    places: tuple[float, ...] = ()


class KnownUnit(NamedTuple):
    """An output.

    Attributes:
        videos: Its videos, in the order of the npz.
        points: Its set of points, as `topology_of` takes it.
        version: Changes when the file changes: its SHA-256 as recorded, else size and time.
        record: Its record; None where there is none.
        failed: How many videos failed, and are not in it.
    """

    videos: tuple[KnownVideo, ...]
    points: str
    version: str
    record: Path | None = None
    failed: int = 0


class IndexRow(NamedTuple):
    """What index.csv says of a video: its real signer and label; `has_sign`: whether its unit's number is a sign."""

    signer: str
    label: str
    has_sign: bool


def find_outputs(root: Path) -> Iterator[tuple[Unit, Path]]:
    """Every output, in no order.

    Raises:
        OutputError: The folder can't be listed.
    """
    try:
        folders = [entry for entry in os.scandir(root) if entry.name[0] not in "._" and "-" in entry.name]
        for folder in folders:
            if not folder.is_dir():
                continue
            files = [name for name in os.listdir(folder) if re.fullmatch(r"[0-9]{4,5}\.npz", name)]
            if files:
                signer, split = _signer_and_split(root, folder.name)
                yield from ((Unit(signer, split, int(name[:-4])), Path(folder.path, name)) for name in files)
    except OSError as error:
        advice = "Name the folder of outputs (output.root of a config)." if root.is_file() else "Correct the path."
        raise OutputError(f"{root} can't be listed: {error.strerror}. {advice}") from None


def _signer_and_split(root: Path, folder: str) -> tuple[str, str]:
    """Take a folder's name apart; with several hyphens a record tells, else the last hyphen counts."""
    if folder.count("-") > 1:
        for record in (root / INTERNAL / "records").glob(f"*/{glob.escape(folder)}/*.json"):
            unit = (read_json(record) or {}).get("unit")
            if isinstance(unit, dict) and "signer" in unit and "split" in unit:
                return str(unit["signer"]), str(unit["split"])
    signer, _, split = folder.rpartition("-")
    return signer, split


def read_index(root: Path) -> dict[tuple[str, str], IndexRow]:
    """The rows of the index.csv that a run of a manifest writes, by output file and key; none where there is none."""
    try:
        with (root / INDEX_FILE).open(newline="", encoding="utf-8") as file:
            return {
                (row["file"], row["key"]): IndexRow(row["signer"], row["label"], row["sign"] != "")
                for row in csv.DictReader(file)
            }
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def recorded_rows(root: Path, units: Sequence[Unit]) -> dict[tuple[str, str], IndexRow]:
    """The rows of units by their records; none where the first unit that has a record was made without a table.

    A copy of index.csv from another cluster has its own rows only, and a run that was stopped has written none.
    """
    records = find_records(root) if units else {}
    rows: dict[tuple[str, str], IndexRow] = {}
    for unit in units:
        if unit.name not in records:
            continue
        videos = (read_json(records[unit.name]) or {}).get("videos")
        if not isinstance(videos, dict):
            continue
        for name, facts in videos.items():
            row = facts.get("row") if isinstance(facts, dict) else None
            if isinstance(row, dict) and row:
                rows[f"{unit.name}.npz", name] = IndexRow(row.get("signer", ""), row.get("label", ""), "sign" in row)
        if not rows:
            break
    return rows


def find_records(root: Path, *, failed: bool = False) -> dict[str, Path]:
    """The record of every unit that has an npz, by its name.

    Of several the one that is of the npz, as far as the size tells, where folders of two clusters were copied together;
    else the newest, where settings were changed halfway.

    Args:
        failed: Also those of units of which all videos failed.

    Raises:
        OutputError: A folder can't be listed.
    """
    suffixes = {"json", "partial.json", "failed.json"} if failed else {"json", "partial.json"}
    records: dict[str, Path] = {}
    for folder in sorted((root / INTERNAL / "records").glob("*/*/")):
        try:
            names = names_in(folder) if folder.is_dir() else ()  # a pattern's last slash counts from Python 3.11 on
        except OSError as error:
            raise OutputError(f"{folder} can't be listed: {error.strerror}. Correct its permissions.") from None
        for name in names:
            stem, _, suffix = name.partition(".")
            if not stem or suffix not in suffixes:
                continue
            unit, path = f"{folder.name}/{stem}", folder / name
            other = records.setdefault(unit, path)
            if other != path:
                npz = root / f"{unit}.npz"
                records[unit] = max(other, path, key=lambda path: (_is_of(read_json(path) or {}, npz), _modified(path)))
    return records


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def known_units(paths: Iterable[Path], records: Files) -> Iterator[KnownUnit]:
    """The videos of each npz, in the order of the paths.

    Raises:
        OutputError: A file without a fitting record is missing or damaged.
    """

    return in_threads(lambda path: _known_unit(path, records.get(f"{path.parent.name}/{path.stem}")), [*paths])


def _known_unit(path: Path, record: Path | None) -> KnownUnit:
    tree = (read_json(record) or {}) if record is not None else {}
    recorded = tree["videos"] if isinstance(tree.get("videos"), dict) else {}
    good = {
        name: facts
        for name, facts in recorded.items()
        if isinstance(facts, dict) and isinstance(facts.get("frames"), int)
    }
    failed = len(recorded) - len(good)
    if good and _is_of(tree, path):
        listed = {
            name: facts for name, facts in good.items() if not (facts.get("gone_since") and facts.get("made_from"))
        }
        videos = tuple(_known(name, facts) for name, facts in listed.items())  # without rows that left the table
        return KnownUnit(videos, str(tree.get("points", CONTRACT.name)), str(tree["npz"].get("sha256")), record, failed)
    with open_npz(path) as npz:  # an npz that another tool wrote, or one that was copied without its record
        shapes = {name: npz.shape(name) for name in npz.members}
    for name, shape in shapes.items():
        if len(shape) != 3 or not shape[0]:
            raise OutputError(
                f"{path}: video {name!r} is {shape}, not (T, points, 4). Name a file that kpsbatch wrote."
            )
    known = (
        _known(name, facts) if (facts := good.get(name, {})).get("frames") == shape[0] else KnownVideo(name, shape[0])
        for name, shape in shapes.items()
    )
    points = file_topology(path, next(iter(shapes.values()))[1]).name
    status = path.stat()
    return KnownUnit(tuple(known), points, f"{status.st_size}-{status.st_mtime_ns}", record, failed)


def _is_of(record: Mapping[str, Any], path: Path) -> bool:
    """Whether a record is of the npz that is there, as far as its size tells."""
    npz = record.get("npz")
    try:
        return isinstance(npz, dict) and npz.get("bytes") == path.stat().st_size
    except OSError:
        return False


def _cut(known: KnownUnit, cuts: Sequence[Cut]) -> KnownUnit:
    """What is known of the segments of a unit's videos."""
    videos = {video.name: video for video in known.videos}
    parts = []
    for cut in cuts:
        whole = videos[cut.key]
        own = whole.times and tuple(
            round(time - whole.times[cut.first], 3) for time in whole.times[cut.first : cut.last]
        )
        parts.append(whole._replace(name=cut.name, frames=cut.last - cut.first, times=own, part=True))
    return known._replace(videos=tuple(parts), version=f"{known.version}-{digest_of(cuts)}")


def _known(name: str, facts: Mapping[str, Any]) -> KnownVideo:
    times = facts.get("times")
    return KnownVideo(
        name,
        int(facts["frames"]),
        float(facts.get("frame_rate") or 0) or None,
        int(facts.get("width") or 0) or None,
        int(facts.get("height") or 0) or None,
        tuple(times) if times else None,
        *source_of(name, facts),
        places_of(facts),
    )


class VideoInfo(NamedTuple):
    """What is known of a video without reading its keypoints.

    Attributes:
        signer, split, sign, video: Which one it is; `video` is its key in the npz.
        label: The name of its sign, or the text of its row in a manifest; "" where there is none.
        target: The number of its class, its place in `OutputDataset.classes`; -1 where its class is not known.
        frames, frame_rate, width, height, times: As in `KnownVideo`.
        path: Its npz.
    """

    signer: str
    split: str
    sign: int
    video: str
    label: str
    target: int
    frames: int
    frame_rate: float | None
    width: int | None
    height: int | None
    times: tuple[float, ...] | None
    path: Path


@dataclass(frozen=True, eq=False)
class Sample:
    """One video of a dataset of outputs; unpacks to `signer, split, sign, video, keypoints`.

    All that `info` has is an attribute of the sample, too: `sample.signer`, `sample.target`.

    Attributes:
        info: What is known of it besides.
        keypoints: (T, points, 4).
        parts: The slice of each part.
    """

    info: VideoInfo
    keypoints: NDArray[Any]
    parts: Mapping[str, slice]

    def __iter__(self) -> Iterator[Any]:
        yield from (*self.info[:4], self.keypoints)

    def __getattr__(self, name: str) -> Any:
        if name in VideoInfo._fields:
            return getattr(self.info, name)
        raise AttributeError(f"a Sample has no {name!r}. Choose among {', '.join((*_OWN, *VideoInfo._fields))}.")

    @property
    def missing(self) -> dict[str, NDArray[np.bool_]]:
        """For each part (T,): whether it was not found in a frame: all of its values are 0, or NaN."""
        return {name: ~is_found(np.nan_to_num(self.keypoints), part) for name, part in self.parts.items()}

    @property
    def outside(self) -> dict[str, NDArray[np.bool_]]:
        """For each part (T, points of it): which points lie beyond the frame: x or y below 0 or above 1.

        In image coordinates. Visibility does not tell it of the pose, where it is the model's guess, and often high.
        """
        x_y = {name: self.keypoints[:, part, :2] for name, part in self.parts.items()}
        beyond = {name: ((places < 0) | (places > 1)).any(axis=-1) for name, places in x_y.items()}
        return {name: beyond[name] & ~missing[:, None] for name, missing in self.missing.items()}

    def __repr__(self) -> str:
        info = self.info
        unit = f"signer={info.signer!r}, split={info.split!r}, sign={info.sign}"
        return f"Sample({unit}, video={info.video!r}, keypoints={self.keypoints.dtype}{self.keypoints.shape})"


_OWN = ("info", "keypoints", "parts", "missing")


def _batch(samples: Sequence[Sample], *, collate_fn_map: object = None) -> dict[str, Any]:
    """What PyTorch's `default_collate` makes of samples: arrays in one tensor, and lists of what is known of them.

    Raises:
        ValueError: The videos differ in length.
    """
    lengths = sorted({len(sample.keypoints) for sample in samples})
    if len(lengths) > 1:
        raise ValueError(
            f"videos of {lengths[0]} and {lengths[-1]} frames don't fit into one tensor. Pass DataLoader a collate_fn "
            "that pads them, as docs/reading.md does."
        )
    collate = sys.modules["torch.utils.data._utils.collate"].default_collate
    known = {name: [getattr(sample.info, name) for sample in samples] for name in ("video", "signer", "split", "label")}
    numbers = {name: [getattr(sample.info, name) for sample in samples] for name in ("sign", "target", "frames")}
    arrays = collate([sample.keypoints for sample in samples])
    return {"keypoints": arrays, **{name: collate(values) for name, values in numbers.items()}, **known}


def _tell_torch() -> None:
    """Let `default_collate` know samples, in the way that PyTorch documents; where PyTorch is not loaded, nothing."""
    collate = sys.modules.get("torch.utils.data._utils.collate")
    if collate is not None:
        collate.default_collate_fn_map.setdefault(Sample, _batch)


@dataclass(frozen=True)
class OutputFile:
    """One unit of a dataset of outputs; holds no open file, so that it can be sent to other processes."""

    signer: str
    split: str
    sign: int
    path: Path

    def videos(self) -> list[str]:
        """Names of its videos; reads the file's table of contents only.

        Raises:
            OutputError: It is missing or damaged.
        """
        return video_names(self.path)

    def read(self, video: str) -> NDArray[Any]:
        """The (T, points, 4) keypoints of one video.

        Raises:
            OutputError: The file is damaged, or holds no such video.
        """
        with open_npz(self.path) as npz:
            keypoints = read_keypoints(npz, video)
        if keypoints.shape[1] != CONTRACT.points:  # for which no record is opened
            check_points(self.path, video, keypoints, file_topology(self.path, keypoints.shape[1]))
        return keypoints


@dataclass(frozen=True)
class _Choice:
    """What `open_dataset` was asked for, as far as it is not a choice of units, and what index.csv says."""

    signers: frozenset[str]
    labels: frozenset[str] | None
    names: Mapping[int, str]
    index: Mapping[tuple[str, str], IndexRow]
    has_signs: bool
    points: Topology | None = None
    cleaning: Cleaning = field(default_factory=Cleaning)
    exclude: frozenset[str] = frozenset()
    cuts: Mapping[Path, Mapping[str, Cut]] | None = None
    not_cut: tuple[tuple[str, str], ...] = ()

    def class_of(self, unit: Unit | OutputFile, row: IndexRow | None) -> Class | None:
        """The class of a video; None where it is not known."""
        if row is not None and not row.has_sign:
            return row.label or None
        return unit.sign if row is not None or self.has_signs else None

    def label(self, unit: OutputFile, row: IndexRow | None) -> str:
        """The label of a video."""
        name = self.names.get(unit.sign, "") if row is None or row.has_sign else ""
        return (row and row.label) or name


@dataclass(frozen=True)
class OutputDataset:
    """The videos in the outputs below a folder, by number or one after the other; can be sent to other processes.

    It is what `torch.utils.data.DataLoader` calls a map-style dataset. Arrays are read when they are asked for; what is
    known of the videos comes from the records, and is read once.

    Attributes:
        root: The folder.
        units: Its output files.
        classes: What `VideoInfo.target` counts: all signs, or labels, that the runs' configs or tables stated, whatever
            is chosen here and whichever have an output (classes.py); what no run stated comes last.
        unstated: How many of them no run stated: all, where version 0.2 or other scripts made the outputs.
        moved: How many of them have another number than in the folder that they come from, see `moved_classes`.
    """

    root: Path
    units: tuple[OutputFile, ...]
    classes: tuple[Class, ...]
    unstated: int
    moved: int
    _choice: _Choice = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<OutputDataset {self.root}: {counted(len(self.units), 'unit')}>"

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, number: int) -> Sample:
        _tell_torch()
        return next(self.samples([operator.index(number)]))

    def __iter__(self) -> Iterator[Sample]:
        return self.samples(range(len(self)))

    def as_stated(self, stated: Iterable[Class]) -> OutputDataset:
        """The same with classes that a config states, where no run has stated any; else as it is."""
        if self.unstated < len(self.classes):
            return self
        listed = dict.fromkeys(stated)
        others = [name for name in self.classes if name not in listed]
        return replace(self, classes=(*listed, *others), unstated=len(others))

    @property
    def with_names(self) -> OutputDataset:
        """The same videos with the names that their records have."""
        return self

    def from_kept(self, points: str | Sequence[str]) -> OutputDataset:
        """The same videos with other points, as `points` of `open_dataset`.

        Raises:
            ConfigError: There are no such points.
        """
        return replace(self, _choice=replace(self._choice, points=kept_topology(points)))

    def without(self, exclude: Iterable[str]) -> OutputDataset:
        """The same without some videos, each as `dataset.exclude` names it: `01-train/0007/take 2`."""
        return replace(self, _choice=replace(self._choice, exclude=self._choice.exclude | frozenset(exclude)))

    def cleaned(self, cleaning: Cleaning) -> OutputDataset:
        """The same videos, cleaned when they are read: see cleaning.py.

        A lowest score takes the keypoints from what is kept, where the scores are.

        Raises:
            OutputError: Frame rates, sizes or the shoulders are not known, which the cleaning needs.
        """
        if cleaning.min_score and not self.is_from_kept:
            return self.from_kept(self.topology.name).cleaned(cleaning)
        if cleaning.normalise and not {*SHOULDERS} <= {*self.topology.names}:
            raise OutputError(f"normalise: {self.topology.name} has no shoulders. Choose points that have both.")
        for info in self.videos:
            if (cleaning.rate and not info.frame_rate) or (cleaning.normalise and not (info.width and info.height)):
                what = "frame rate" if cleaning.rate and not info.frame_rate else "frame size"
                raise OutputError(
                    f"the {what} of {info.video!r} in {info.path} is not known. Clean where its record is in _kpsbatch."
                )
        return replace(self, _choice=replace(self._choice, cleaning=cleaning))

    def cut(self, segments: Path | str | Mapping[str, Any], labels: str | Iterable[str] | None = None) -> OutputDataset:
        """The segments of these videos that tables, subtitles or ELAN files name; nothing is computed.

        The rows of a segment are those of the frames whose stored times lie in it. Classes are the labels of the
        segments in the order of the table, where it has any.

        Args:
            segments: See `read_segment_rows`.
            labels: Only segments of these.

        Raises:
            ConfigError: The segments can't be read.
            OutputError: There is no segment of these videos, or no such label.
        """
        from kpsbatch.dataset.segments import SegmentRow, read_segment_rows  # pydantic, which reading does not need

        if self._choice.cuts is not None or self.cleaning:
            raise OutputError("these videos are cut or cleaned. Cut first, and once.")
        infos = {(info.path, info.video): info for info in self.videos}
        cutter = Cutter(self._wholes(infos))
        cuts: dict[Path, dict[str, Cut]] = {}
        index: dict[tuple[str, str], IndexRow] = {}
        left: list[tuple[str, str]] = []
        stated: dict[Class, None] = {}
        files = {unit.path: unit for unit in self.units}
        for row in read_segment_rows(segments):
            try:
                if not isinstance(row, SegmentRow):
                    raise ValueError(row.text)
                stated |= {row.label: None} if row.label else {}
                whole = cutter.find(row.video, row.person)
                first, last = rows_of(row.segment, whole.moments)
                if last == first:
                    raise ValueError(f"no frame of {whole.key!r} ({len(whole.moments)} frames) lies in it")
                here = cuts.setdefault(whole.path, {})
                name = row.id or f"{whole.key}-{len(here) + 1:04}"
                if name in here:
                    raise ValueError(f"the id {name!r} is used already")
            except ValueError as error:
                left.append((row.source, str(error)))
                continue
            here[name] = Cut(name, whole.key, first, last, row.label, row.signer)
            unit, info = files[whole.path], infos[whole.path, whole.key]
            own = self._choice.index.get((_file_of(unit), whole.key))
            signer = row.signer or info.signer
            index[_file_of(unit), name] = (
                IndexRow(signer, row.label, False)
                if row.label
                else (own or IndexRow("", info.label, self._choice.has_signs))._replace(signer=signer)
            )
        found = {label.label for label in index.values() if label.label}
        chosen = None if labels is None else _chosen("labels", labels, found)
        units = tuple(unit for unit in self.units if cuts.get(unit.path))
        if not units:
            said = "; ".join(f"{source}: {text}" for source, text in left[:3]) or "the table has no row"
            raise OutputError(f"segments: none can be cut from {self.root}: {said}. Name a table of these videos.")
        signers = frozenset(unit.signer for unit in units)
        choice = replace(self._choice, signers=signers, labels=chosen, index=index, cuts=cuts, not_cut=tuple(left))
        dataset = replace(self, units=units, _choice=choice)
        return replace(dataset, classes=tuple(stated), unstated=0, moved=0) if stated else dataset

    @property
    def not_cut(self) -> tuple[tuple[str, str], ...]:
        """The segments that there are no keypoints for: where each is in its table, and why."""
        return self._choice.not_cut

    def _wholes(self, infos: Iterable[tuple[Path, str]]) -> Iterator[Whole]:
        """What is known of the videos that segments can be cut from."""
        for path, name in infos:
            video = self._as_stored[path, name]
            if video.times is None and not video.frame_rate:
                raise OutputError(
                    f"segments: the times of {name!r} in {path} are not known. Cut where its record is in _kpsbatch."
                )
            moments = moments_of(video.frames, video.frame_rate or 0, video.times)
            yield Whole(path, name, video.source or name, video.part, video.places, moments)

    @property
    def cleaning(self) -> Cleaning:
        """What is done with keypoints when they are read."""
        return self._choice.cleaning

    def samples(self, numbers: Iterable[int]) -> Iterator[Sample]:
        """Read some videos, in this order; neighbours in the same file are read from it at one go.

        Raises:
            OutputError: A file is missing or damaged.
            IndexError: There is no video of such a number.
        """
        topology = self.topology
        infos = (self.videos[number] for number in numbers)
        for path, videos in groupby(infos, key=lambda info: info.path):
            with open_npz(self._kept_path(path) if self.is_from_kept else path) as npz:
                key = ""
                for info in videos:
                    cut = self._choice.cuts[path][info.video] if self._choice.cuts is not None else None
                    if cut is None or cut.key != key:  # segments of a video follow each other
                        key = cut.key if cut else info.video
                        if self.is_from_kept:
                            keypoints = read_kept(npz, key, topology, self.cleaning.min_score)
                        else:
                            keypoints = read_keypoints(npz, key)
                            check_points(path, key, keypoints, topology)
                    own = keypoints[cut.first : cut.last].copy() if cut else keypoints
                    yield Sample(info, self._cleaned(info, own), topology.parts)

    def _kept_path(self, path: Path) -> Path:
        """As `kept_path`, which lists folders: once for each file."""
        if path not in self._kept_paths:
            self._kept_paths[path] = kept_path(path)
        return self._kept_paths[path]

    @cached_property
    def _kept_paths(self) -> dict[Path, Path]:
        return {}

    def _cleaned(self, info: VideoInfo, keypoints: NDArray[Any]) -> NDArray[Any]:
        """Keypoints as `cleaning` has them, of the same type."""
        cleaning, topology, dtype = self._choice.cleaning, self.topology, keypoints.dtype
        if cleaning.fill:
            keypoints = fill_gaps(keypoints, topology, cleaning.fill)
        if cleaning.rate:
            known = self._as_stored[info.path, info.video]
            moments = moments_of(known.frames, known.frame_rate or 0, known.times)
            keypoints = at_rate(keypoints, topology, moments, cleaning.rate, info.frames)
        if cleaning.normalise:
            keypoints = normalised(keypoints, topology, info.width or 0, info.height or 0)
        if cleaning.nan:
            keypoints = with_nan(keypoints, topology)
        return keypoints.astype(dtype, copy=False)

    @cached_property
    def _as_stored(self) -> dict[tuple[Path, str], KnownVideo]:
        units = zip(self.units, self.known, strict=True)
        return {(unit.path, video.name): video for unit, known in units for video in known.videos}

    @cached_property
    def videos(self) -> tuple[VideoInfo, ...]:
        """What is known of each video.

        Raises:
            OutputError: A file without a record is missing or damaged.
        """
        return tuple(
            info for unit, known in zip(self.units, self.known, strict=True) for info in self._infos(unit, known)
        )

    @cached_property
    def known(self) -> tuple[KnownUnit, ...]:
        """What the record of each unit says.

        Raises:
            OutputError: As `videos`.
        """
        known = known_units([unit.path for unit in self.units], find_records(self.root))
        if self._choice.cuts is None:
            return tuple(known)
        cuts = self._choice.cuts
        return tuple(_cut(each, [*cuts[unit.path].values()]) for each, unit in zip(known, self.units, strict=True))

    @property
    def is_from_kept(self) -> bool:
        """Whether the keypoints come from all landmarks that are kept, and not from the npz files."""
        return self._choice.points is not None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) frames of each video."""
        return np.array([video.frames for video in self.videos], np.int64)

    @property
    def targets(self) -> NDArray[np.int64]:
        """(N,) class of each video, as a place in `classes`."""
        return np.array([video.target for video in self.videos], np.int64)

    @cached_property
    def topology(self) -> Topology:
        """The set of points.

        Raises:
            OutputError: The outputs have different ones.
        """
        if self._choice.points is not None:
            return self._choice.points
        sets = Counter(known.points for known in self.known) or Counter({CONTRACT.name: 1})
        if len(sets) > 1:
            counts = ", ".join(f"{count} of {name!r}" for name, count in sets.items())
            raise OutputError(
                f"{self.root} holds outputs of several sets of points: {counts}. Choose units of one of them."
            )
        return topology_of(next(iter(sets)))

    def _infos(self, unit: OutputFile, known: KnownUnit) -> Iterator[VideoInfo]:
        choice, file = self._choice, _file_of(unit)
        for video in known.videos:
            row = choice.index.get((file, video.name))
            signer, label = (row and row.signer) or unit.signer, choice.label(unit, row)
            if video_key(Unit(unit.signer, unit.split, unit.sign), video.name) in choice.exclude:
                continue
            if not choice.signers & {signer, unit.signer} or (choice.labels is not None and label not in choice.labels):
                continue
            target = self._targets.get(choice.class_of(unit, row), -1)
            if (rate := choice.cleaning.rate) and video.frame_rate:
                frames = length_at(video.frames, video.frame_rate, video.times, rate)
                video = video._replace(frames=frames, frame_rate=rate, times=None)
            yield VideoInfo(signer, unit.split, unit.sign, video.name, label, target, *video[1:6], unit.path)

    @cached_property
    def _targets(self) -> dict[Class | None, int]:
        return {name: number for number, name in enumerate(self.classes)}


def open_dataset(
    root: Path | str,
    *,
    signers: str | Iterable[str] | None = None,
    splits: str | Iterable[str] | None = None,
    signs: int | Iterable[int] | None = None,
    labels: str | Iterable[str] | None = None,
    sign_names: Mapping[int, str] | Path | str | None = None,
    points: str | Sequence[str] | None = None,
    cleaning: Cleaning | None = None,
    segments: Path | str | Mapping[str, Any] | None = None,
) -> OutputDataset:
    """Find the outputs below a folder, by listing it; no npz is opened before it is used.

        dataset = kpsbatch.open_dataset("karsl-kps", splits="train")
        dataset.videos[0].frame_rate, dataset[0].keypoints

    Args:
        root: The config's `output.root`, or a copy of it, with or without its `_kpsbatch` folder; or the config, a
            .yaml, whose `dataset.exclude` and `dataset.labels` count, too.
        signers: Only these.
        splits: Only these.
        signs: Only these; signs without an output are passed over.
        labels: Only videos of these labels, which a manifest or `sign_names` has.
        sign_names: Names of signs, or the table that has them (the config's `dataset.labels`).
        points: Take these points, as in `output.points`, or `full`, from all landmarks that are kept, in frame widths
            and heights, float32; default: what the npz files hold.
        cleaning: `kpsbatch.Cleaning(fill=3, nan=True)`: what is done with keypoints when they are read.
        segments: Not whole videos but their segments: a table, subtitles, ELAN files, or a config or `dataset.manifest`
            that says how they are read (`OutputDataset.cut`). `labels` are those of the segments.

    Raises:
        OutputError: The folder is missing or holds no output, or a signer, split or label has none.
        ConfigError: The table of names, or of segments, or the config, can't be used; or an argument is of another
            type.
    """
    if segments is not None:
        whole = open_dataset(
            root, signers=signers, splits=splits, signs=signs, sign_names=sign_names, points=points
        ).cut(segments, labels)
        return whole.cleaned(cleaning) if cleaning else whole
    root = named_path("root", root, "Name the folder of outputs, or the config.")
    if root.suffix.lower() in (".yaml", ".yml") and not root.is_dir():
        config = _with_config().load_config(root)
        if not config.output.root.is_dir():
            raise OutputError(f"output.root: {config.output.root} does not exist. Run the config first.")
        names = config.dataset.labels if sign_names is None else sign_names
        dataset = open_dataset(
            config.output.root,
            signers=signers,
            splits=splits,
            signs=signs,
            labels=labels,
            sign_names=names,
            points=points,
        ).without(config.dataset.exclude)
        return dataset.cleaned(cleaning) if cleaning else dataset
    outputs = sorted(find_outputs(root))
    if not outputs:
        raise OutputError(f"{root} holds no outputs such as 01-train/0007.npz. Correct the path.")
    units = [OutputFile(*unit, path) for unit, path in outputs]
    index, lists = read_index(root), read_lists(root)
    listed = {file for file, _ in index}
    index |= recorded_rows(root, [unit for unit, _ in outputs if f"{unit.name}.npz" not in listed])
    stated = dict.fromkeys(name for each in lists for name in each.classes)
    rows: dict[str, list[IndexRow]] = {}
    for (file, _), row in index.items():
        rows.setdefault(file, []).append(row)
    choice = _Choice(
        _chosen(
            "signers", signers, {unit.signer for unit in units} | {row.signer for row in index.values() if row.signer}
        ),
        None,
        _names(sign_names),
        index,
        not any(isinstance(name, str) for name in stated) and all(row.has_sign for row in index.values()),
        None if points is None else kept_topology(points),
    )
    found = {choice.class_of(unit, row) for unit in units for row in rows.get(_file_of(unit)) or (None,)}
    if not stated and choice.has_signs:
        recorded = (name.rpartition("/")[2] for name in find_records(root, failed=True))
        found |= {int(sign) for sign in recorded if re.fullmatch("[0-9]{4,5}", sign)}
    unstated = sorted(
        (name for name in found - {*stated} if name is not None), key=lambda name: (isinstance(name, str), name)
    )
    chosen_splits = _chosen("splits", splits, {unit.split for unit in units})
    if signs is not None:
        chosen_signs = {signs} if isinstance(signs, int) else {int(sign) for sign in signs}
        units = [unit for unit in units if unit.sign in chosen_signs]
    candidates = [(unit, row, choice.label(unit, row)) for unit in units for row in rows.get(_file_of(unit)) or (None,)]
    if labels is not None:
        chosen_labels = _chosen("labels", labels, {label for *_, label in candidates if label})
        choice = replace(choice, labels=chosen_labels)
        candidates = [(unit, row, label) for unit, row, label in candidates if label in chosen_labels]
    wanted = {unit for unit, row, _ in candidates if choice.signers & {unit.signer, row.signer if row else ""}}
    dataset = OutputDataset(
        root,
        tuple(unit for unit in units if unit in wanted and unit.split in chosen_splits),
        (*stated, *unstated),
        len(unstated),
        len(moved_classes(lists)),
        choice,
    )
    return dataset.cleaned(cleaning) if cleaning else dataset


def _chosen(option: str, names: str | Iterable[str] | None, existing: set[str]) -> frozenset[str]:
    if names is None:
        return frozenset(existing)
    chosen = frozenset([names] if isinstance(names, str) else names)
    if unknown := chosen - existing:
        choice = some_of(sorted(existing), _SHOWN)
        raise OutputError(f"{option}: there is no {min(map(repr, unknown))}. Choose among {choice}.")
    return chosen


def _names(table: Mapping[int, str] | Path | str | None) -> Mapping[int, str]:
    if table is None or isinstance(table, Mapping):
        return table or {}
    names: Mapping[int, str] = _with_config().sign_names(table)
    return names


def _with_config() -> Any:
    """What needs pydantic, which whoever reads a folder does without."""
    from kpsbatch.store import by_config

    return by_config


def _file_of(unit: OutputFile) -> str:
    """An output as index.csv names it."""
    return f"{unit.path.parent.name}/{unit.path.name}"


def read_keypoints(npz: NpzReader, name: str) -> NDArray[Any]:
    """One video of an open file: (T, points, 4).

    Raises:
        OutputError: There is none of this name, it is damaged, or not such an array of floats.
    """
    array = npz.read(name)
    if array.ndim != 3 or not len(array) or array.shape[2] != len(CONTRACT.CHANNELS) or array.dtype.kind != "f":
        raise OutputError(
            f"{npz.path}: video {name!r} is {array.shape} of {array.dtype}, not (T, points, 4) of floats. "
            "Name a file that kpsbatch wrote."
        )
    return array
