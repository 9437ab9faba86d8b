"""A clip: one video of an output, loaded with its frames and with what its record says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from kpsbatch.config import Config
from kpsbatch.dataset.labels import Label
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.dataset.video import VIDEO_SUFFIXES, Unit, Video, video_of
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.landmarks.topology import CONTRACT, Topology
from kpsbatch.pictures.choose import Candidate
from kpsbatch.store.npz import open_npz
from kpsbatch.store.outputs import records_of, settings_of_record
from kpsbatch.store.reading import are_adjusted, check_points, file_topology, read_keypoints
from kpsbatch.store.records import ClipRecord, UnitRecord
from kpsbatch.stored import read_stored


@dataclass(frozen=True)
class Clip:
    """One video, ready to be drawn.

    Attributes:
        title: What is written above it.
        keypoints: (T, points, 4).
        frames: The video of the dataset; None for an empty canvas.
        adjusted: Whether the coordinates are adjusted, which an empty canvas shows.
        frame_rate: Frames a second of a directory of frames.
        max_pixels: Larger frames are not decoded.
        frame_rate_out: The rate that the frames were given before the keypoints were computed; None for their own.
        topology: Which points they are.
        facts: What its record says; None where there is none.
        note: Why it comes without its frames, "" where it has them or where none were asked for.
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

    @property
    def aspect(self) -> float:
        """Width by height of the frames as they were when the keypoints were computed; 1 where that is not known."""
        return self.facts.aspect if self.facts else 1.0

    @property
    def how(self) -> Mapping[str, str]:
        """How each part of each frame was found (the letters of found.py); empty where that is not known."""
        return self.facts.how if self.facts else {}


class _Recorded(NamedTuple):
    """What lies beside an npz about one of its videos."""

    facts: VideoFacts | None = None
    frames: Path | None = None
    coordinates: str | None = None

    def adjusted(self, keypoints: NDArray[Any], topology: Topology, claimed: bool) -> bool:
        """Whether the coordinates are adjusted: as recorded, else as the user or the values say."""
        if self.coordinates is not None:
            return self.coordinates == "adjusted"
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
    name, keypoints, topology = load_video(path, video)
    recorded = _recorded(path, name)
    is_adjusted = recorded.adjusted(keypoints, topology, adjusted)
    frames = None
    without_dataset = config.output.imported and not config.dataset.root.exists()
    if not (blank or is_adjusted or without_dataset):
        listing = (source or open_source(config.dataset, config.output.root / INDEX_FOLDER)).listing(unit)
        frames = next((entry for entry in listing.videos if entry.name == name), None)
        if frames is None:
            raise DatasetError(
                f"{listing.folder} holds no frames of {name!r}. Restore them, or leave them out with --no-pictures."
            )
    sign = f"sign {unit.sign}"
    if labels and (label := labels.get(unit.sign)) and label.english:
        sign += f" {label.english}"
    return Clip(
        f"{unit.signer} {unit.split}, {sign}: {name}",
        keypoints,
        frames,
        is_adjusted,
        config.landmarks.frame_rate,
        config.run.max_pixels,
        config.dataset.frame_rate_out,
        topology,
        recorded.facts,
    )


def clip_of_file(
    path: Path, video: str | None = None, frames: Path | None = None, *, adjusted: bool = False, blank: bool = False
) -> Clip:
    """One video of any npz, with its frames where they are known.

    Args:
        video: Its name; default the first.
        frames: Where they lie; default where its record says, if they are still there.
        adjusted: Whether the coordinates are adjusted, where no record tells.
        blank: Draw on an empty canvas.

    Raises:
        OutputError: The file holds no such video.
        DatasetError: The frames that are named are not there.
    """
    name, keypoints, topology = load_video(path, video)
    recorded = _recorded(path, name)
    is_adjusted = recorded.adjusted(keypoints, topology, adjusted)
    if blank or is_adjusted:
        frames = None
    elif frames is None:
        frames = recorded.frames
    elif not frames.exists():
        raise DatasetError(f"--frames: {frames} does not exist. Name a directory of frames or a video file.")
    shown = None if frames is None else video_of(frames)
    return Clip(Candidate(path, name).label, keypoints, shown, is_adjusted, topology=topology, facts=recorded.facts)


def load_clip(
    candidate: Candidate,
    config: Config | None = None,
    *,
    source: Source | None = None,
    pictures: bool = True,
    adjusted: bool = False,
) -> Clip:
    """A candidate with its frames, where they are at hand; else with a note that says why it has none.

    Args:
        config: The config that it was made with, if known.
        source: The config's dataset, if it is open already.
        pictures: Whether its frames are wanted.
        adjusted: Whether the coordinates are adjusted, where no record tells.

    Raises:
        OutputError: Its npz can't be read.
    """
    if config is None or candidate.unit is None:
        return clip_of_file(candidate.path, candidate.video, adjusted=adjusted, blank=not pictures)
    load = partial(clip_of_unit, config, candidate.unit, candidate.video, source=source, adjusted=adjusted)
    try:
        return load(blank=not pictures)
    except DatasetError as error:
        return replace(load(blank=True), note=str(error))


def load_video(path: Path, video: str | None = None) -> tuple[str, NDArray[Any], Topology]:
    """One video's name and (T, points, 4) keypoints, and which points they are.

    Args:
        video: The name; default the first.

    Raises:
        OutputError: The file is missing or no output, or holds no such video.
    """
    with open_npz(path) as npz:
        name = video if video is not None else next(iter(npz.members))
        keypoints = read_keypoints(npz, name)
    topology = file_topology(path, keypoints.shape[1])
    check_points(path, name, keypoints, topology)
    return name, keypoints, topology


def _recorded(path: Path, video: str) -> _Recorded:
    """What the record of a run, or of `extract`, says of a video in an npz."""
    clip = read_stored(path.with_suffix(".json"), ClipRecord)
    if clip is not None:
        frames = Path(clip.clip)
        return _Recorded(clip.video, frames if frames.exists() else None, clip.landmarks.get("coordinates", "image"))
    coordinates: str | None = None
    for record_path in records_of(path.parent.parent, f"{path.parent.name}/{path.stem}"):
        record, settings = read_stored(record_path, UnitRecord), settings_of_record(record_path)
        theirs = settings.landmarks.get("coordinates") if settings else None
        if record is not None and (facts := record.good.get(video)) is not None:
            return _Recorded(facts, _frames_of(record, video), theirs)
        coordinates = coordinates or theirs
    return _Recorded(coordinates=coordinates)


def _frames_of(record: UnitRecord, video: str) -> Path | None:
    """Where the frames of a recorded video lie, if they are still there."""
    if not record.dataset:
        return None
    folder = Path(record.dataset) / record.source
    if (folder / video).is_dir():
        return folder / video
    files = (folder / f"{video}{suffix}" for suffix in ("", *VIDEO_SUFFIXES, *map(str.upper, VIDEO_SUFFIXES)))
    return next((file for file in files if file.is_file()), None)
