"""Assembling: the videos of a unit to its output file and its record."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from kpsbatch.config import Config
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Listing, Made, Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import explained
from kpsbatch.store.outputs import Outputs, OutputState
from kpsbatch.store.records import (
    RECORD_FORMAT,
    RECORDED_STATES,
    FailedVideo,
    RecordedState,
    UnitName,
    UnitRecord,
    VideoRecord,
    host_facts,
    made_digest,
    read_record,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kpsbatch.landmarks.extract import VideoKeypoints

Videos: TypeAlias = Mapping[str, "tuple[NDArray[Any], VideoRecord]"]


class VideoOutcome(NamedTuple):
    """What became of a video: its keypoints, or None and why; see `Outcome`."""

    value: VideoKeypoints | None
    problem: str
    attempts: int
    output: str
    out_of_memory: bool = False


NOT_DONE = VideoOutcome(None, "what an earlier run made of it is not there any more", 0, "")


@dataclass
class OpenUnit:
    """A unit of which some videos are still to come.

    Attributes:
        todo: The videos that are computed; of the others the output and its record keep what they have.
        failed: What the record has of those others that failed.
        outcomes: What became of the videos that are computed.
        made, started: What each video of the listing is made from, and when that was so, see `begin`.
    """

    unit: Unit
    listing: Listing
    replace: bool
    todo: Collection[str]
    failed: Mapping[str, FailedVideo] = field(default_factory=dict)
    outcomes: dict[str, VideoOutcome] = field(default_factory=dict)
    made: Mapping[str, Made] = field(default_factory=dict)
    started: float = 0.0

    def begin(self, source: Source) -> None:
        """Note when it was begun, and what it is made from."""
        self.started = time.time()
        self.made = {video.name: source.made_of(video) for video in self.listing.videos}

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
    """Write the two files of a unit.

    A video that fails in a redo, or is not in the dataset any more, keeps what an earlier run with the same settings
    made of it: a redo loses nothing. Of a row of a table that was edited nothing is kept.

    Raises:
        OutputError: They can't be written.
    """
    unit = done.unit
    is_stored = outputs.states([unit], sweep=False).get(unit) in ("complete", "partial") if done.replace else False
    redo = is_stored or (done.replace and any(outcome.problem for outcome in done.outcomes.values()))
    good = (outcome.value for outcome in done.outcomes.values() if outcome.value is not None)
    seconds = round(sum(value.facts.seconds.total for value in good), 3)
    with explained(outputs.root), outputs.lock_unit(unit) if redo else nullcontext():
        before = outputs.good_videos(unit) if redo else {}
        arrays, record = assemble(config, outputs, done, before, workers)
        if outputs.store(unit, arrays, record, replace=done.replace, locked=redo):
            kept = [name for name, video in record.good.items() if video.kept_since]
            return StoredUnit(unit, record.state, kept, seconds)
    return StoredUnit(unit, outputs.states([unit]).get(unit), [], seconds)  # another run was first


def assemble(
    config: Config, outputs: Outputs, done: OpenUnit, before: Videos, workers: int
) -> tuple[dict[str, NDArray[Any]], UnitRecord]:
    """The arrays and the record of a unit; `before` is what to keep of it where nothing better is there."""
    arrays: dict[str, NDArray[Any]] = {}
    videos: dict[str, FailedVideo | VideoRecord] = {}
    before = {
        name: kept
        for name, kept in before.items()
        if name not in done.made or kept[1].made_from == done.made[name].made_from
    }
    for video in done.listing.videos:
        outcome = done.outcomes.get(video.name) or NOT_DONE
        made = done.made[video.name]
        if outcome is NOT_DONE and video.name in before:
            arrays[video.name], earlier = before[video.name]
            why = "" if earlier.gone_since else earlier.kept_since
            videos[video.name] = earlier.model_copy(update={"kept_since": why, "gone_since": ""})
        elif outcome is NOT_DONE and video.name in done.failed:
            videos[video.name] = done.failed[video.name]
        elif outcome.problem and video.name in before:
            arrays[video.name], earlier = before[video.name]
            videos[video.name] = earlier.model_copy(update={"kept_since": outcome.problem, "gone_since": ""})
        elif outcome.value is None:
            videos[video.name] = FailedVideo(
                error=outcome.problem,
                attempts=outcome.attempts,
                output=outcome.output,
                out_of_memory=outcome.out_of_memory,
                **made._asdict(),
            )
        else:
            arrays[video.name] = outcome.value.keypoints
            videos[video.name] = VideoRecord(**dict(outcome.value.facts), attempts=outcome.attempts, **made._asdict())
    for name in [name for name in before if name not in videos]:
        arrays[name], earlier = before[name]
        since = earlier.gone_since or _moment(time.time())
        gone = {"kept_since": "the dataset does not have it any more", "gone_since": since}
        videos[name] = earlier.model_copy(update=gone)
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
        fingerprint=outputs.fingerprint.digest,
        models=outputs.fingerprint.settings.models,
        **host_facts()._asdict(),
        started=_moment(done.started),
        finished=_moment(time.time()),
        workers=workers,
    )
    return arrays, record.model_copy(update={"made_digest": made_digest(record.made)})


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
        if record is None or not good.keys() >= set(names):
            raise OutputError(
                f"{outputs.npz_path(unit)} is damaged, so nothing is removed from it. First verify --repair."
            )
        videos = {name: video for name, video in record.videos.items() if name not in names}
        if not videos:
            outputs.remove(unit)
            return
        arrays = {name: array for name, (array, _) in good.items() if name not in names}
        rest = record.model_copy(update={"videos": videos, "state": state_of(videos)})
        rest = rest.model_copy(update={"made_digest": made_digest(rest.made)})
        outputs.store(unit, arrays, rest, replace=True, locked=True)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
