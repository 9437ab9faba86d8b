"""Clips: which videos of an output are meant, and one of them loaded with its frames and with what its record says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import Config, format_signs
from kpsbatch.dataset.manifest import NO_SPLIT
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.dataset.tables import Label, load_labels
from kpsbatch.dataset.video import VIDEO_SUFFIXES, Unit, Video, video_of
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.files import INTERNAL
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.points import CONTRACT, Topology
from kpsbatch.store.npz import open_npz, video_names
from kpsbatch.store.outputs import records_of, settings_of_record
from kpsbatch.store.reading import (
    are_adjusted,
    check_points,
    file_topology,
    find_outputs,
    kept_path,
    open_dataset,
    read_kept,
    read_keypoints,
)
from kpsbatch.store.records import RECORD_SUFFIXES, ClipRecord, UnitRecord, source_name
from kpsbatch.stored import read_stored
from kpsbatch.words import some_of

SHOWN_NAMES = 6
MAX_CLIPS = 12
"""Videos on a player's page."""


_NOT_NAMED = "nothing says that the videos of an output without its config may be shown (--pictures-from DIR)"
_NOT_THERE = "they are not below --pictures-from"


class Candidate(NamedTuple):
    """One video that could be shown: its file, its key there, its unit where a config is known, and why it failed."""

    path: Path
    video: str
    unit: Unit | None = None
    error: str = ""

    @property
    def label(self) -> str:
        """Folder, file and video: `01-train/0007: take (2)`; the video alone where the file has its name."""
        return self.video if self.path.stem == self.video else f"{self.path.parent.name}/{self.path.stem}: {self.video}"


Output = tuple[Path, Optional[Unit]]
"""An npz, and its unit where a config is known."""


def choose_one(source: Path | Config, video: str | None = None) -> Candidate:
    """The one video that is meant.

    Args:
        source: An npz, a folder with npz files, or a config.
        video: Its name, or a part of `01-train/0007: name` that no other has; default: the first.

    Raises:
        OutputError: There is no output; no video fits, or several do; or it failed, and why.
    """
    outputs, failed = outputs_of(source), list(failed_videos(source))
    names_in = _names_of(source)
    if video is None:
        first = next((Candidate(path, name, unit) for path, unit in outputs for name in names_in(path)), None)
        if first is not None:
            return first
        raise _failed_error(failed) if failed else _no_output(source)
    videos = _videos_in(outputs, names_in)
    fitting, failing = _fitting(videos, video), _fitting(failed, video)
    if len(fitting) == 1 and (not failing or fitting[0].video == video):
        return fitting[0]
    if failing and not fitting:
        raise _failed_error(failing)
    if not outputs:
        raise _no_output(source)
    if not fitting:
        there = _listed([candidate.label for candidate in videos])
        raise OutputError(f"--video: no video fits {video!r}. Choose among {there}.")
    labels = [*(video.label for video in fitting), *(f"{video.label} (failed)" for video in failing)]
    raise OutputError(
        f"--video: {video!r} fits {len(labels)} videos: {_listed(labels)}. Name one of them so that no other fits, "
        "or choose with --signers, --splits and --signs."
    )


def candidates(source: Path | Config, video: str | None = None, most: int = MAX_CLIPS) -> tuple[list[Candidate], str]:
    """The videos to show, at most `most`, and in words of how many others, "" where all are shown.

    Args:
        source: An npz, a folder with npz files, or a config.
        video: The name of a video or a part of `01-train/0007: name`; default: spread evenly over all files.

    Raises:
        OutputError: There is no output, or no such video.
    """
    files, names_in = outputs_of(source), _names_of(source)
    if video is not None:
        fitting = _fitting(_videos_in(files, names_in), video)
        if not fitting:
            choose_one(source, video)  # tells why
        return fitting[:most], f"{len(fitting)} that fit" if len(fitting) > most else ""
    if not files:
        raise _no_output(source)
    chosen = [files[number] for number in sorted(spread(len(files), most))]
    each = -(-most // len(chosen))
    names = {path: names_in(path) for path, _ in chosen}
    chosen_videos = [Candidate(path, name, unit) for path, unit in chosen for name in names[path][:each]]
    count = sum(map(len, names.values()))
    rest = f"{len(files)} files" if len(files) > len(chosen) else f"{count} videos" if count > most else ""
    return chosen_videos[:most], rest


def _names_of(source: Path | Config) -> Callable[[Path], Sequence[str]]:
    """The names of the videos of an output that are asked for."""
    if not (isinstance(source, Config) and source.dataset.chooses_rows):
        return video_names
    wanted: dict[Path, list[str]] = {}
    for video in open_dataset(source.output.root).videos:
        if source.dataset.wants(video.label, video.signer):
            wanted.setdefault(video.path, []).append(video.video)
    return lambda path: wanted.get(path, [])


def _videos_in(outputs: Sequence[Output], names_in: Callable[[Path], Sequence[str]]) -> list[Candidate]:
    return [Candidate(path, name, unit) for path, unit in outputs for name in names_in(path)]


def _fitting(videos: Sequence[Candidate], video: str) -> list[Candidate]:
    """Those that have this name; else those with a part of it in their label."""
    exact = [candidate for candidate in videos if video in (candidate.video, candidate.label)]
    return exact or [candidate for candidate in videos if video in candidate.label]


def _failed_error(failed: Sequence[Candidate]) -> OutputError:
    first = failed[0]
    more = f" So did {len(failed) - 1} more." if len(failed) > 1 else ""
    return OutputError(
        f"{first.label} failed, so that it has no keypoints: {first.error.rstrip('.')}.{more} Fix the data, then run "
        "again with --retry-failed."
    )


def _no_output(source: Path | Config) -> OutputError:
    """The error where there is no output, with the signs of which there are some."""
    if not isinstance(source, Config):
        return OutputError(f"{source} holds no output. Name the folder that a run wrote, or one npz.")
    try:
        signs = format_signs({unit.sign for unit, _ in find_outputs(source.output.root)})
    except OutputError:
        signs = ""
    if signs:
        return OutputError(f"{source.output.root} holds no output of what is selected. Signs with an output: {signs}.")
    return OutputError(f"{source.output.root} holds no output. Run the config first.")


def _listed(labels: Sequence[str]) -> str:
    return some_of([*map(repr, labels)], SHOWN_NAMES)


def outputs_of(source: Path | Config) -> list[Output]:
    """The npz files of a source, in the order of the config or of their names.

    Raises:
        OutputError: The source does not exist.
    """
    if isinstance(source, Config):
        return _outputs_of_config(source)
    if source.is_dir():
        inside = sorted(path.relative_to(source) for path in source.rglob("*.npz"))
        named = {_identity(source / path) for path in inside if len(path.parts) == 1}  # `extract` gives two names
        if named:
            inside = [path for path in inside if len(path.parts) == 1 or _identity(source / path) not in named]
        return [(source / path, None) for path in inside if not any(part[0] in "._" for part in path.parts)]
    if source.exists():
        return [(source, None)]
    raise OutputError(f"{source} does not exist. Name an npz, a config, or a folder with outputs.")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _outputs_of_config(config: Config) -> list[Output]:
    try:
        chosen = [(unit, path) for unit, path in find_outputs(config.output.root) if _is_selected(config, unit)]
    except OutputError:
        return []
    return [(path, unit) for unit, path in sorted(chosen, key=lambda output: _order(config, output[0]))]


def _is_selected(config: Config, unit: Unit) -> bool:
    dataset = config.dataset
    chosen = ((dataset.signers, unit.signer), (dataset.splits, unit.split), (dataset.signs, unit.sign))
    return all(not values or value in values for values, value in chosen)


def _order(config: Config, unit: Unit) -> tuple[int, int, Unit]:
    """Signers and splits as the config names them."""
    signers, splits = list(config.dataset.signers), list(config.dataset.splits)
    return (signers.index(unit.signer) if signers else 0, splits.index(unit.split) if splits else 0, unit)


def failed_videos(source: Path | Config) -> Iterator[Candidate]:
    """The videos that failed, by their records; none where there are no records."""
    config, root = (source, source.output.root) if isinstance(source, Config) else (None, source)
    if config is None and not root.is_dir():
        npz = root.absolute()
        paths = list(records_of(npz.parent.parent, f"{npz.parent.name}/{npz.stem}"))
    else:
        suffixes = [suffix for suffix, state in RECORD_SUFFIXES.items() if state != "complete"]
        paths = [path for end in suffixes for path in sorted((root / INTERNAL / "records").glob(f"*/*/*{end}"))]
    for path in paths:
        record = read_stored(path, UnitRecord)
        if record is None or record.unit is None:
            continue
        unit = record.unit.unit
        if config is None or _is_selected(config, unit):
            npz = path.parents[4] / f"{unit.name}.npz"
            for name, video in record.failed.items():
                yield Candidate(npz, name, unit if config is not None else None, video.error)


def spread(length: int, count: int) -> set[int]:
    """At most `count` numbers below `length`, evenly spread, the first and the last among them."""
    return set(np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int)).tolist())


def counterpart(candidate: Candidate, other: Path) -> Candidate | None:
    """The same video in another output: by file and name in a folder; by name, or the only one, in an npz.

    Raises:
        OutputError: The npz can't be read.
    """
    paths = [other]
    if other.is_dir():
        name = candidate.path.name
        paths = [path for path in (other / candidate.path.parent.name / name, other / name) if path.is_file()]
    for path in paths:
        names = video_names(path)
        if candidate.video in names:
            return Candidate(path, candidate.video)
        if len(names) == 1:
            return Candidate(path, names[0])
    return None


def pair_up(shown: Sequence[Candidate], other: Path) -> list[Candidate | None]:
    """The counterpart of each video.

    Raises:
        OutputError: None of them has one.
    """
    if not other.exists():
        raise OutputError(f"--compare: {other} does not exist. Name an npz or a folder with outputs.")
    pairs = [counterpart(candidate, other) for candidate in shown]
    if not any(pairs):
        raise OutputError(f"--compare: {other} holds none of the videos shown, such as {shown[0].label!r}.")
    return pairs


@dataclass(frozen=True)
class Clip:
    """One video, ready to be drawn.

    Attributes:
        title: What is written above it.
        keypoints: (T, points, 4).
        frames: The video of the dataset; None for an empty canvas. A record that came with an output from elsewhere can
            name any file of this machine, so that it never says alone where frames lie.
        adjusted: Whether the coordinates are adjusted, which an empty canvas shows.
        frame_rate: Frames a second of a directory of frames.
        max_pixels: Larger frames are not decoded.
        frame_rate_out: The rate that the frames were given before the keypoints were computed; None for their own.
        topology: Which points they are.
        facts: What its record says; None where there is none.
        note: Why it comes without its frames, "" where it has them or where none were asked for.
        key: What links to it name: `01-train/0007: name`; "" for its title.
        label, signer: Its word and who signs, "" where nothing tells.
    """

    title: str
    keypoints: NDArray[Any]
    frames: Video | None
    adjusted: bool = False
    frame_rate: float = 30.0
    max_pixels: int = 50_000_000
    frame_rate_out: float | None = None
    topology: Topology = CONTRACT
    facts: VideoFacts | None = None
    note: str = ""
    key: str = ""
    label: str = ""
    signer: str = ""

    @property
    def aspect(self) -> float:
        """Width by height of the frames as they were when the keypoints were computed; 1 where that is not known."""
        return self.facts.aspect if self.facts else 1.0

    @property
    def how(self) -> Mapping[str, str]:
        """How each part of each frame was found (the letters of found.py); empty where that is not known."""
        return self.facts.how if self.facts else {}


class _Recorded(NamedTuple):
    """What lies beside an npz about one of its videos; `row`: what a table says of it."""

    facts: VideoFacts | None = None
    frames: tuple[tuple[Path, Path], ...] = ()
    coordinates: str | None = None
    row: Mapping[str, str] = MappingProxyType({})

    def places(self, folders: Sequence[Path]) -> Iterator[Path]:
        """Where its frames may lie: where it says, or in the same way below one of the folders; only what is there."""
        for base, path in self.frames:
            yield from (place for place in (folder / path for folder in (base, *folders)) if place.exists())

    def adjusted(self, keypoints: NDArray[Any], topology: Topology, claimed: bool) -> bool:
        """Whether the coordinates are adjusted: as recorded, else as the user or the values say."""
        if self.coordinates is not None:
            return self.coordinates.startswith("adjusted")
        return claimed or bool(are_adjusted(keypoints, topology))


def clip_of_unit(
    config: Config,
    unit: Unit,
    video: str | None = None,
    *,
    source: Source | None = None,
    adjusted: bool = False,
    blank: bool = False,
    labels: Mapping[int, Label] | None = None,
) -> Clip:
    """One video of a finished unit.

    Args:
        video: Its name; default the first.
        source: The dataset, if it is open already.
        adjusted: Draw adjusted coordinates even where the settings of the output can't be found.
        blank: Draw on an empty canvas, so that the dataset need not be there.
        labels: The names of the signs.

    Raises:
        OutputError: The unit has no output file, or that holds no such video.
        DatasetError: The video is not in the dataset any more.
    """
    path = config.output.root / f"{unit.name}.npz"
    name, keypoints, topology = _load_video(path, video)
    recorded = _recorded(path, name)
    keypoints, is_adjusted = _in_pictures(
        path, name, keypoints, topology, recorded.adjusted(keypoints, topology, adjusted)
    )
    frames = None
    without_dataset = config.output.imported and not config.dataset.root.exists()
    if not (blank or is_adjusted or without_dataset):
        listing = (source or open_source(config.dataset, config.output.root / INDEX_FOLDER)).listing(unit)
        wanted = name if recorded.facts is None else source_name(name, recorded.facts)
        frames = next((entry for entry in listing.videos if entry.name == wanted), None)
        if frames is None:
            raise DatasetError(
                f"{listing.folder} holds no frames of {wanted!r}. Restore them, or leave them out with --no-pictures."
            )
    labels = load_labels(config.dataset.labels) if labels is None else labels
    has_signs = config.dataset.manifest is None or config.dataset.manifest.columns.sign is not None
    label, signer = recorded.row.get("label", ""), recorded.row.get("signer", "")
    if has_signs:
        named = labels.get(unit.sign)
        label, signer = (named.english or named.arabic) if named else label, unit.signer
        where = f"{unit.signer} {unit.split}, sign {unit.sign}" + (f" {label}" if label else "")
    else:
        where = ", ".join(filter(None, (label, signer, unit.split if unit.split != NO_SPLIT else "")))
    title = f"{where}: {name}" if where else name
    rate, most, rate_out = config.landmarks.frame_rate, config.run.max_pixels, config.dataset.frame_rate_out
    return Clip(
        title,
        keypoints,
        frames,
        is_adjusted,
        rate,
        most,
        rate_out,
        topology,
        recorded.facts,
        key=Candidate(path, name).label,
        label=label,
        signer=signer,
    )


def clip_of_file(
    path: Path,
    video: str | None = None,
    frames: Path | None = None,
    *,
    pictures_from: Sequence[Path] = (),
    adjusted: bool = False,
    blank: bool = False,
) -> Clip:
    """One video of any npz, with its frames where they are known.

    Args:
        video: Its name; default the first.
        frames: Where they lie; default where its record says, if that is below `pictures_from`.
        pictures_from: Files and folders of which pictures may be shown.
        adjusted: Whether the coordinates are adjusted, where no record tells.
        blank: Draw on an empty canvas.

    Raises:
        OutputError: The file holds no such video.
        DatasetError: The frames that are named are not there.
    """
    name, keypoints, topology = _load_video(path, video)
    recorded = _recorded(path, name)
    keypoints, is_adjusted = _in_pictures(
        path, name, keypoints, topology, recorded.adjusted(keypoints, topology, adjusted)
    )
    if blank or is_adjusted:
        frames = None
    elif frames is None:
        frames = next((place for place in recorded.places(pictures_from) if _is_below(place, pictures_from)), None)
    elif not frames.exists():
        raise DatasetError(f"--frames: {frames} does not exist. Name a directory of frames or a video file.")
    shown = None if frames is None else video_of(frames)
    note = "" if shown or blank or is_adjusted else (_NOT_THERE if pictures_from else _NOT_NAMED)
    key = Candidate(path, name).label
    label, signer = recorded.row.get("label", ""), recorded.row.get("signer", "")
    said = ", ".join(filter(None, (label, signer)))
    return Clip(
        f"{said}: {name}" if said else key,
        keypoints,
        shown,
        is_adjusted,
        topology=topology,
        facts=recorded.facts,
        note=note,
        key=key,
        label=label,
        signer=signer,
    )


def load_clip(
    candidate: Candidate,
    config: Config | None = None,
    *,
    source: Source | None = None,
    pictures: bool = True,
    pictures_from: Sequence[Path] = (),
    adjusted: bool = False,
) -> Clip:
    """A candidate with its frames, where they are at hand; else with a note that says why it has none.

    Args:
        config: The config that it was made with, if known.
        source: The config's dataset, if it is open already.
        pictures: Whether its frames are wanted.
        pictures_from: Without a config: files and folders of which pictures may be shown.
        adjusted: Whether the coordinates are adjusted, where no record tells.

    Raises:
        OutputError: Its npz can't be read.
    """
    if config is None or candidate.unit is None:
        path, name = candidate.path, candidate.video
        return clip_of_file(path, name, pictures_from=pictures_from, adjusted=adjusted, blank=not pictures)
    load = partial(clip_of_unit, config, candidate.unit, candidate.video, source=source, adjusted=adjusted)
    try:
        return load(blank=not pictures)
    except DatasetError as error:
        return replace(load(blank=True), note=str(error))


def _load_video(path: Path, video: str | None) -> tuple[str, NDArray[Any], Topology]:
    """One video's name (default: the first), its (T, points, 4) keypoints, and which points they are."""
    with open_npz(path) as npz:
        name = video if video is not None else next(iter(npz.members))
        keypoints = read_keypoints(npz, name)
    topology = file_topology(path, keypoints.shape[1])
    check_points(path, name, keypoints, topology)
    return name, keypoints, topology


def _in_pictures(
    path: Path, name: str, keypoints: NDArray[Any], topology: Topology, is_adjusted: bool
) -> tuple[NDArray[Any], bool]:
    """Keypoints that lie in the pictures: of adjusted ones those that are kept, where they are.

    Returns:
        Them, and whether they are adjusted all the same.
    """
    if not is_adjusted:
        return keypoints, False
    try:
        with open_npz(kept_path(path)) as kept:
            return read_kept(kept, name, topology), False
    except OutputError:
        return keypoints, True


def _recorded(path: Path, video: str) -> _Recorded:
    """What the record of a run, or of `extract`, says of a video in an npz."""
    clip = read_stored(path.with_suffix(".json"), ClipRecord)
    if clip is not None:
        return _Recorded(
            clip.people.get(video, clip.video),
            ((Path(clip.clip).parent, Path(Path(clip.clip).name)),),
            clip.landmarks.get("coordinates", "image"),
        )
    coordinates = None
    for record_path in records_of(path.parent.parent, f"{path.parent.name}/{path.stem}"):
        record, settings = read_stored(record_path, UnitRecord), settings_of_record(record_path)
        theirs = (settings.stated_coordinates or None) if settings else None
        if record is not None and (facts := record.good.get(video)) is not None:
            return _Recorded(facts, _frames_of(record, source_name(video, facts)), theirs, facts.row)
        coordinates = coordinates or theirs
    return _Recorded(coordinates=coordinates)


def _frames_of(record: UnitRecord, video: str) -> tuple[tuple[Path, Path], ...]:
    """The dataset of a recorded video, and where in it its frames may lie."""
    suffixes = ("", *VIDEO_SUFFIXES, *map(str.upper, VIDEO_SUFFIXES)) if record.dataset else ()
    return tuple((Path(record.dataset), Path(record.source) / f"{video}{suffix}") for suffix in suffixes)


def _is_below(path: Path, places: Sequence[Path]) -> bool:
    """Whether a path, with all links followed, is one of the places or lies below one."""
    real = Path(os.path.realpath(path))
    return any(place in (real, *real.parents) for place in (Path(os.path.realpath(place)) for place in places))
