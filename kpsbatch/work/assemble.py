"""Assembling: the videos of a unit to its output file and its record."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kpsbatch.config import Config
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Listing, Made, Unit
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.files import explained
from kpsbatch.store.index_file import table_cells
from kpsbatch.store.outputs import Outputs, OutputState, StoredVideo
from kpsbatch.store.records import (
    RECORD_FORMAT,
    RECORDED_STATES,
    FailedVideo,
    RecordedState,
    UnitName,
    UnitRecord,
    VideoRecord,
    host_facts,
    key_of,
    made_digest,
    read_record,
    source_name,
)

if TYPE_CHECKING:
    from kpsbatch.landmarks.extract import VideoKeypoints


class VideoOutcome(NamedTuple):
    """What became of a video: the keypoints of its signer, or of all its people, or nothing and why; see `Outcome`."""

    people: Sequence[VideoKeypoints]
    problem: str
    attempts: int
    output: str
    out_of_memory: bool = False


NOT_DONE = VideoOutcome((), "what an earlier run made of it is not there any more", 0, "")


def refuse_clash(videos: Mapping[str, Path]) -> None:
    """Refuse a video whose name is that of a person of another one, such as a.1 beside a.

    Args:
        videos: Where each lies, by its name.

    Raises:
        ConfigError: Names both.
    """
    for name, path in videos.items():
        other, _, number = name.rpartition(".")
        if number.isdecimal() and other in videos:
            raise ConfigError(
                f"{path}: {name} would also be the name of a person of {videos[other]}, as dataset.person is all. "
                "Rename it."
            )


@dataclass
class OpenUnit:
    """A unit of which some videos are still to come.

    Attributes:
        todo: The videos that are computed; of the others the output and its record keep what they have.
        failed: What the record has of those others that failed.
        outcomes: What became of the videos that are computed.
        made, rows, started: What each video of the listing is made from, what a table says of it, and when that was so,
            see `begin`.
    """

    unit: Unit
    listing: Listing
    replace: bool
    todo: Collection[str]
    failed: Mapping[str, FailedVideo] = field(default_factory=dict)
    outcomes: dict[str, VideoOutcome] = field(default_factory=dict)
    made: Mapping[str, Made] = field(default_factory=dict)
    rows: Mapping[str, dict[str, str]] = field(default_factory=dict)
    started: float = 0.0

    def begin(self, source: Source) -> None:
        """Note when it was begun, and what it is made from."""
        self.started = time.time()
        self.made = {video.name: source.made_of(video) for video in self.listing.videos}
        self.rows = {
            video.name: table_cells(source, self.unit, video)
            for video in self.listing.videos
            if self.made[video.name].made_from
        }

    @property
    def is_whole(self) -> bool:
        """Whether its last video is in."""
        return len(self.outcomes) == len(self.todo)


class StoredUnit(NamedTuple):
    """A stored unit, the state that it has now, the videos that failed in a redo but are kept, its worker seconds."""

    unit: Unit
    state: OutputState | None
    kept: list[str]
    seconds: float


def store_unit(config: Config, outputs: Outputs, done: OpenUnit, workers: int) -> StoredUnit:
    """Write the files of a unit.

    A video that fails in a redo, or is not in the dataset any more, keeps what an earlier run with the same settings
    made of it: a redo loses nothing. Of a row of a table that was edited nothing is kept.

    Raises:
        OutputError: They can't be written.
    """
    unit = done.unit
    is_stored = outputs.states([unit], sweep=False).get(unit) in ("complete", "partial") if done.replace else False
    redo = is_stored or (done.replace and any(outcome.problem for outcome in done.outcomes.values()))
    good = (one for outcome in done.outcomes.values() for one in outcome.people)
    seconds = round(sum(one.facts.seconds.total for one in good), 3)
    with explained(outputs.root), outputs.lock_unit(unit) if redo else nullcontext():
        before = outputs.good_videos(unit) if redo else {}
        stored, record = assemble(config, outputs, done, before, workers)
        if _store(outputs, unit, stored, record, replace=done.replace, locked=redo):
            kept = dict.fromkeys(source_name(key, video) for key, video in record.good.items() if video.kept_since)
            return StoredUnit(unit, record.state, [*kept], seconds)
    return StoredUnit(unit, outputs.states([unit]).get(unit), [], seconds)  # another run was first


def _store(
    outputs: Outputs,
    unit: Unit,
    stored: Mapping[str, StoredVideo],
    record: UnitRecord,
    *,
    replace: bool,
    locked: bool,
) -> bool:
    arrays = {name: video.keypoints for name, video in stored.items()}
    full = {name: video.full for name, video in stored.items() if video.full}
    return outputs.store(unit, arrays, record, full=full, replace=replace, locked=locked)


def assemble(
    config: Config, outputs: Outputs, done: OpenUnit, before: Mapping[str, StoredVideo], workers: int
) -> tuple[dict[str, StoredVideo], UnitRecord]:
    """The videos and the record of a unit; `before` is what to keep of it where nothing better is there."""
    stored: dict[str, StoredVideo] = {}
    videos: dict[str, FailedVideo | VideoRecord] = {}
    earlier: dict[str, dict[str, StoredVideo]] = {}
    for key, kept in before.items():
        name = source_name(key, kept.record)
        if name not in done.made or kept.record.made_from == done.made[name].made_from:
            earlier.setdefault(name, {})[key] = kept

    def keep(name: str, **why: str) -> None:
        stored.update(earlier[name])
        videos.update({key: kept.record.model_copy(update=why) for key, kept in earlier[name].items()})

    for video in done.listing.videos:
        outcome = done.outcomes.get(video.name) or NOT_DONE
        made = done.made[video.name]
        if outcome is NOT_DONE and video.name in earlier:
            first = next(iter(earlier[video.name].values())).record
            keep(video.name, kept_since="" if first.gone_since else first.kept_since, gone_since="")
        elif outcome is NOT_DONE and video.name in done.failed:
            videos[video.name] = done.failed[video.name]
        elif outcome.problem and video.name in earlier:
            keep(video.name, kept_since=outcome.problem, gone_since="")
        elif not outcome.people:
            videos[video.name] = FailedVideo(
                error=outcome.problem,
                attempts=outcome.attempts,
                output=outcome.output,
                out_of_memory=outcome.out_of_memory,
                **made._asdict(),
            )
        for one in outcome.people:
            key, row = key_of(video.name, one.facts.person), done.rows.get(video.name, {})
            good = VideoRecord(**dict(one.facts), attempts=outcome.attempts, row=row, **made._asdict())
            stored[key], videos[key] = StoredVideo(one.keypoints, good, one.full), good
    for name, people in earlier.items():
        if name not in done.made and not people.keys() & videos.keys():
            since = next(iter(people.values())).record.gone_since or _moment(time.time())
            keep(name, kept_since="the dataset does not have it any more", gone_since=since)
    unit = done.unit
    record = UnitRecord(
        format=RECORD_FORMAT,
        unit=UnitName(**unit._asdict()),
        state=state_of(videos),
        videos=videos,
        odd_entries=dict(done.listing.odd),
        dataset=str(config.dataset.root),
        source=str(done.listing.folder.relative_to(config.dataset.root)),
        points=config.output.points,
        coordinates=config.landmarks.coordinates,
        dtype=config.output.dtype,
        fingerprint=outputs.fingerprint.digest,
        models=outputs.fingerprint.settings.models,
        **host_facts()._asdict(),
        started=_moment(done.started),
        finished=_moment(time.time()),
        workers=workers,
    )
    return stored, record.model_copy(update={"made_digest": made_digest(record.made)})


def state_of(videos: Mapping[str, FailedVideo | VideoRecord]) -> RecordedState:
    """The state of a unit with these videos."""
    good = sum(isinstance(video, VideoRecord) for video in videos.values())
    return "failed" if not good else "partial" if good < len(videos) else "complete"


def remove_videos(outputs: Outputs, unit: Unit, names: Collection[str]) -> None:
    """Remove videos from a unit's output and record, both of them where nothing is left.

    Raises:
        OutputError: They can't be written, or the output is damaged.
    """
    with explained(outputs.root), outputs.lock_unit(unit):
        stored = outputs.states([unit]).get(unit)
        record = read_record(outputs.record_path(unit, stored)).record if stored in RECORDED_STATES else None
        good = outputs.good_videos(unit)
        of_whom = {key: source_name(key, video.record) for key, video in good.items()}
        if record is None or not {*of_whom.values()} >= set(names):
            raise OutputError(
                f"{outputs.npz_path(unit)} is damaged, so nothing is removed from it. First verify --repair."
            )
        videos = {key: video for key, video in record.videos.items() if of_whom.get(key) not in names}
        if not videos:
            outputs.remove(unit)
            return
        rest = record.model_copy(update={"videos": videos, "state": state_of(videos)})
        rest = rest.model_copy(update={"made_digest": made_digest(rest.made)})
        kept = {key: video for key, video in good.items() if key in videos}
        _store(outputs, unit, kept, rest, replace=True, locked=True)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
