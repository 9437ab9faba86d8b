"""Which clips a player's page shows: of one npz, of a config's outputs, or of a folder with outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from kpsbatch.config import Config
from kpsbatch.dataset.video import VIDEO_SUFFIXES
from kpsbatch.drawing.choice import Candidate, choose_one, find_videos, outputs_of
from kpsbatch.drawing.clip import Clip, clip_of_file, clip_of_unit
from kpsbatch.drawing.frames import spread
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.store.npz import video_names
from kpsbatch.store.outputs import records_of, settings_of_record
from kpsbatch.store.records import ClipRecord, UnitRecord
from kpsbatch.stored import read_stored

MAX_CLIPS = 12


@dataclass(frozen=True)
class Found:
    """A clip, what its record says, and why it comes without its frames ("" where it has them)."""

    clip: Clip
    facts: VideoFacts | None
    note: str = ""


class _Known(NamedTuple):
    """What lies beside an npz about one of its videos."""

    facts: VideoFacts | None = None
    frames: Path | None = None
    adjusted: bool | None = None


def candidates(source: Path | Config, video: str | None = None) -> tuple[list[Candidate], str]:
    """The videos to show, at most `MAX_CLIPS`, and in words of how many others, "" where all are shown.

    Args:
        source: An npz, a folder with npz files, or a config.
        video: The name of a video or a part of `01-train/0007: name`; default: spread evenly over all files.

    Raises:
        OutputError: There is no output, or no such video.
    """
    if video is not None:
        outputs = outputs_of(source, may_be_none=True)
        fitting = find_videos(outputs, video)
        if not fitting:
            choose_one(source, video)  # tells why
        return fitting[:MAX_CLIPS], f"{len(fitting)} that fit" if len(fitting) > MAX_CLIPS else ""
    files = outputs_of(source)
    chosen = [files[number] for number in sorted(spread(len(files), MAX_CLIPS))]
    each = -(-MAX_CLIPS // len(chosen))
    names = {path: video_names(path) for path, _ in chosen}
    found = [Candidate(path, name, unit) for path, unit in chosen for name in names[path][:each]]
    count = sum(map(len, names.values()))
    rest = f"{len(files)} files" if len(files) > len(chosen) else f"{count} videos" if count > MAX_CLIPS else ""
    return found[:MAX_CLIPS], rest


def load_clip(
    candidate: Candidate, config: Config | None = None, *, pictures: bool = True, adjusted: bool = False
) -> Found:
    """A candidate with its frames, where they are at hand, and what its record says.

    Args:
        config: The config that it was made with, if known.
        pictures: Whether its frames are wanted.
        adjusted: Whether the coordinates of an npz are adjusted, where no record tells.

    Raises:
        OutputError: Its npz can't be read.
    """
    known = _known(candidate.path, candidate.video)
    if config is not None and candidate.unit is not None:
        try:
            return Found(clip_of_unit(config, candidate.unit, candidate.video, blank=not pictures), known.facts)
        except DatasetError as error:
            clip = clip_of_unit(config, candidate.unit, candidate.video, blank=True)
            return Found(clip, known.facts, str(error))
    frames = known.frames if pictures else None
    clip = clip_of_file(
        candidate.path, candidate.video, frames, adjusted=adjusted if known.adjusted is None else known.adjusted
    )
    aspect = known.facts.aspect if known.facts else 1.0
    return Found(replace(clip, title=candidate.label, aspect=aspect), known.facts)


def _known(path: Path, video: str) -> _Known:
    """What the record of a run, or of `extract`, says of a video in an npz."""
    record = read_stored(path.with_suffix(".json"), ClipRecord)
    if record is not None:
        clip = Path(record.clip)
        adjusted = record.landmarks.get("coordinates") == "adjusted"
        return _Known(record.video, clip if clip.exists() else None, adjusted)
    for place in records_of(path.parent.parent, f"{path.parent.name}/{path.stem}"):
        unit, settings = read_stored(place, UnitRecord), settings_of_record(place)
        if unit is not None and (facts := unit.good.get(video)) is not None:
            coordinates = settings.landmarks.get("coordinates") if settings else None
            adjusted = None if coordinates is None else coordinates == "adjusted"
            return _Known(facts, _frames_of(unit, video), adjusted)
    return _Known()


def _frames_of(record: UnitRecord, video: str) -> Path | None:
    """Where the frames of a recorded video lie, if they are still there."""
    if not record.dataset:
        return None
    folder = Path(record.dataset) / record.source
    if (folder / video).is_dir():
        return folder / video
    files = (folder / f"{video}{suffix}" for suffix in ("", *VIDEO_SUFFIXES, *map(str.upper, VIDEO_SUFFIXES)))
    return next((file for file in files if file.is_file()), None)


def counterpart(candidate: Candidate, other: Path) -> Candidate | None:
    """The same video in another output: by file and name in a folder; by name, or the only one, in an npz.

    Raises:
        OutputError: The npz can't be read.
    """
    for path in _same_file(candidate, other):
        names = video_names(path)
        if candidate.video in names:
            return Candidate(path, candidate.video)
        if len(names) == 1:
            return Candidate(path, names[0])
    return None


def _same_file(candidate: Candidate, other: Path) -> Iterator[Path]:
    if not other.is_dir():
        yield other
        return
    place = Path(candidate.path.parent.name, candidate.path.name)
    yield from (path for path in (other / place, other / candidate.path.name) if path.is_file())


def pair_up(shown: Sequence[Candidate], other: Path) -> list[Candidate | None]:
    """The counterpart of each video.

    Raises:
        OutputError: None of them has one.
    """
    if not other.exists():
        raise OutputError(f"--compare: {other} does not exist. Name an npz or a folder with outputs.")
    pairs = [counterpart(one, other) for one in shown]
    if not any(pairs):
        raise OutputError(f"--compare: {other} holds none of the videos shown, such as {shown[0].label!r}.")
    return pairs
