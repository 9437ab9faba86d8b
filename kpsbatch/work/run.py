"""A run: from units to output files, in this process and its worker pool."""

from __future__ import annotations

import math
import random
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kpsbatch.config import ALL_PEOPLE, Config
from kpsbatch.dataset.classes import stated_classes
from kpsbatch.dataset.reading import listed_size, together
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.dataset.video import Unit, Video
from kpsbatch.errors import ConfigError, DatasetError, InterruptedRun, KpsbatchError, ModelError, OutputError, of_node
from kpsbatch.files import explained, in_threads
from kpsbatch.landmarks.facts import OddFrames
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.store.claim import claim, mixed_datasets, other_dataset
from kpsbatch.store.classes import note_classes
from kpsbatch.store.index_file import update_index
from kpsbatch.store.joined import settle
from kpsbatch.store.outputs import Outputs, OutputState, states_to_redo
from kpsbatch.store.records import RECORDED_STATES, UnitRecord, host_facts, source_name
from kpsbatch.store.run_state import ALONE, Origin, Progress, other_live_runs, read_runs, restarts
from kpsbatch.store.settings import (
    UNKNOWN,
    Fingerprint,
    differences,
    fingerprint,
    fingerprint_of,
    installed_version,
    settings_of,
)
from kpsbatch.store.submissions import keep_config
from kpsbatch.store.survey import Depth, Survey, gone_videos, survey
from kpsbatch.store.tracking import tracked
from kpsbatch.stored import read_stored
from kpsbatch.words import counted, said, some_of, stopped
from kpsbatch.work.assemble import OpenUnit, StoredUnit, VideoOutcome, refuse_clash, store_unit
from kpsbatch.work.cores import available_cores, worker_count, worker_memory
from kpsbatch.work.pool import executor_for
from kpsbatch.work.stage import Stage
from kpsbatch.work.video_job import VideoJob, VideoTask, people_of_each, tasks_of
from kpsbatch.work.worker import Limits, Outcome

if TYPE_CHECKING:
    from kpsbatch.landmarks.extract import VideoKeypoints
    from kpsbatch.landmarks.pieces import WholeVideo
    from kpsbatch.work.long_videos import LongVideos

TICK_SECONDS = 0.25
WRITERS = 2
MAX_STORING = 2 * WRITERS
MAX_SLOWEST = 5
MOST_SHOWN = 5
VIDEOS_AT_END = 2
"""For each worker: a unit after which no more of them come is one of the last."""

TaskOutcome: TypeAlias = "Outcome[VideoTask, list[VideoKeypoints | None] | WholeVideo]"


@dataclass
class Summary:
    """How a run ended.

    Attributes:
        states: State of every unit of the run that has one, from before and from now.
        made_again: Units whose npz was made from the landmarks that are kept: no video was read.
        stored: Units that this run stored.
        absent: Units without a folder in the dataset.
        empty: Units whose folder holds no video.
        unreadable: Units whose folder can't be listed; they have no record, and the next run tries them again.
        lacking: Names of units with fewer videos than the submission counted, and how many; they were not done.
        odd: Entries of the dataset that are no videos, by what is odd about them.
        failures: (unit/video, reason) of the videos, and (unit, reason) of the folders, that failed in this run.
        kept: unit/video of those that failed in this run or are gone, but are good in the output of an earlier one.
        added: unit/video of those that came to units that were finished before; this run does them.
        replaced: unit/video of those whose file has another size than the one that their keypoints were made from.
        bad_frames: Unreadable frames of the videos that succeeded, by unit/video; only videos that have some.
        odd_frames: What is odd in the folders of frames of those videos; the first name is a path below the dataset's.
        doubtful: Videos whose signer is in doubt, unit/video and why.
        progress: Counts of this run.
        seconds: Wall-clock seconds.
        workers: Worker processes.
        frames: Frames of the videos that succeeded.
        worker_seconds: Seconds that workers spent on those videos.
    """

    states: dict[Unit, OutputState]
    made_again: list[Unit] = field(default_factory=list)
    stored: list[Unit] = field(default_factory=list)
    absent: list[Unit] = field(default_factory=list)
    empty: list[Unit] = field(default_factory=list)
    unreadable: list[Unit] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    bad_frames: Counter[str] = field(default_factory=Counter)
    odd_frames: dict[str, OddFrames] = field(default_factory=dict)
    doubtful: list[tuple[str, str]] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    seconds: float = 0.0
    workers: int = 0
    frames: int = 0
    worker_seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 all is done, 1 some videos failed, now or earlier, or a unit can't be listed, 2 data is missing."""
        if self.lacking:
            return 2
        return int(bool(self.unreadable) or any(state in ("partial", "failed") for state in self.states.values()))


def open_outputs(config: Config) -> tuple[Outputs, VideoJob]:
    """The output folder as this config sees it, and the job that fills it.

    Raises:
        ModelError: mediapipe or a network is missing.
    """
    if config.output.imported:
        return Outputs(config.output.root, fingerprint_of(settings_of(config))), VideoJob.of(config, {})
    mediapipe_version = installed_version("mediapipe")
    if mediapipe_version == UNKNOWN:
        raise ModelError("mediapipe is not installed in this Python environment. Run `make setup`.")
    networks = find_networks(config.landmarks.models)
    made_with = fingerprint(config, networks, mediapipe_version)
    return Outputs(config.output.root, made_with), VideoJob.of(config, networks)


def refuse_uncomputable(config: Config) -> None:
    """Refuse settings that nothing computes, and to compute into a folder of imported outputs.

    Raises:
        ConfigError: A setting is one that only an earlier version computes, or two don't go together.
        OutputError: The config says that the outputs are imported.
    """
    config.landmarks.refuse_removed()
    if config.dataset.person == ALL_PEOPLE and config.landmarks.running_mode == "image":
        raise ConfigError("dataset.person: all needs landmarks.running_mode: clip. Leave one of them out.")
    if config.output.imported:
        raise OutputError(
            f"output.imported: the outputs in {config.output.root} were imported, so no run adds to them. Use a config "
            "with another output.root."
        )


def run(
    config: Config,
    signs: Sequence[int] | None = None,
    *,
    source: Source | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_notice: Callable[[str], None] = lambda notice: None,
    stop_reason: Callable[[], str] = lambda: "",
    origin: Origin = ALONE,
) -> Summary:
    """Do all unfinished units of some signs.

    Args:
        signs: The signs of this shard; default all.
        source: Its dataset, if it is open already.
        overwrite: Replace outputs that were made with other settings, of another dataset, or from other files.
        retry_failed: Also redo units of which videos failed.
        on_progress: Called a few times a second.
        on_notice: Called with what a person should know before the work begins.
        stop_reason: Called a few times a second; anything but "" ends the run.
        origin: What the run is a part of; its state file says so.

    Raises:
        DatasetError, ConfigError: The dataset can't be read, or holds no video at all for these signs.
        OutputError: The output folder can't be written, belongs to other settings, or another run works on it.
        ModelError: The workers can't load the models.
        InterruptedRun: `stop_reason` said so; finished units are kept.
    """
    refuse_uncomputable(config)
    check_other_runs(config, origin, overwrite, on_notice)
    progress = Progress()
    with tracked(config.output.root, origin, progress) as note:

        def tell(current: Progress) -> None:
            note()
            on_progress(current)

        started = time.monotonic()
        outputs, job = open_outputs(config)
        refuse_other_settings(origin, outputs.fingerprint)
        outputs.prepare()
        progress.fingerprint = outputs.fingerprint.digest
        note(at_once=True)  # the run's state file names its settings before it claims the folder for them
        source = source or open_source(config.dataset, config.output.root / INDEX_FOLDER)
        claim(outputs, progress.run, source, overwrite=overwrite)
        with explained(outputs.root):
            keep_config(config)
        note_classes(outputs, stated_classes(config.dataset, source))
        outputs.prepare_for(source.units(signs))
        settle(outputs, source.units(signs))
        made_again = make_again(outputs, source.units(signs), progress, tell, stop_reason)
        surveyed = survey_to_do(
            source, outputs, signs, depth="videos",
            overwrite=overwrite, retry_failed=retry_failed, retried_since=origin.submitted, sweep=True,
        )  # fmt: skip
        lacking = lacking_units(surveyed, origin.videos)
        summary = Summary(surveyed.outputs, made_again, lacking=lacking, progress=progress)
        count_earlier_starts(surveyed, outputs, progress)
        todo = _sort(surveyed, summary, overwrite)
        if config.dataset.manifest is None:  # of a table the rows that can't be used are told when it is opened
            summary.odd.update(problem for _, problem in source.strays())
        videos = [video for unit in todo for video in unit.listing.videos if video.name in unit.todo]
        summary.workers = worker_count(config.run.workers, tasks_of(videos))
        todo = in_turn(todo, earlier_runs(outputs.root, origin, progress.run))
        if todo:
            try:
                _Work(config, source, outputs, job, summary, tell, stop_reason).do(todo)
            except KpsbatchError as error:
                error.of_node = error.of_node and not progress.videos_done  # a node that did a video can do others
                raise
        elif lacking:
            raise of_node(DatasetError(progress.error))
        if not overwrite:
            summary.replaced = [f"{each.unit.name}/{name}" for each in surveyed for name in each.changes.replaced]
        if config.dataset.manifest is not None:
            update_index(config, source, outputs)
        summary.seconds = time.monotonic() - started
        return summary


def earlier_runs(root: Path, origin: Origin, name: str) -> int:
    """How many live runs that may do the same units began before this one, whose name is given."""
    others = [run for run in other_live_runs(root, origin) if run.run != name]
    if not others:
        return 0
    own = next((run.began_by_file for run in read_runs(root) if run.run == name), math.inf)
    return sum((run.began_by_file, run.run) < (own, name) for run in others)


def in_turn(todo: Sequence[OpenUnit], earlier: int) -> list[OpenUnit]:
    """The order of a run's units: the second of two runs begins at the end, so that they meet in the middle.

    Each passes over what the other has finished when it comes to it. More than two: in an order by chance.
    """
    if earlier > 1:
        return random.Random(earlier).sample(todo, len(todo))
    return list(reversed(todo)) if earlier else list(todo)


def make_again(
    outputs: Outputs,
    units: Sequence[Unit],
    progress: Progress,
    on_progress: Callable[[Progress], None],
    stop_reason: Callable[[], str],
) -> list[Unit]:
    """Make the npz of units from all landmarks, where these are kept and the npz is missing or of another view.

    Returns:
        Those that it made; of others the landmarks are damaged, and a run computes them.

    Raises:
        InterruptedRun: `stop_reason` said so.
        OutputError: A file can't be written.
    """
    todo = [unit for unit, state in outputs.states(units).items() if state == "view"]
    if not todo:
        return []
    from kpsbatch.store import views  # NumPy, which a run without work does without

    def one(unit: Unit) -> bool:
        return not stop_reason() and views.make_again(outputs, unit)

    made: list[Unit] = []
    progress.units = len(todo)
    for unit, good in zip(todo, in_threads(one, todo, available_cores()), strict=True):
        if reason := stop_reason():
            left = len(todo) - len(made)
            raise InterruptedRun(stopped(reason, f"{counted(len(made), 'unit')} re-made, {left:,} left"))
        if good:
            made.append(unit)
        progress.units_done, progress.unit = progress.units_done + 1, unit.name
        on_progress(progress)
    progress.units = progress.units_done = 0
    return made


def videos_to_prune(config: Config, source: Source) -> tuple[Outputs, dict[Unit, list[str]]]:
    """The outputs, and those of their videos that the dataset, or its table, has no more, by unit.

    Raises:
        OutputError: Another run is at work, or the outputs belong to another dataset, or can't be listed.
        DatasetError: The dataset holds no video at all.
        ModelError: mediapipe or a network is missing.
    """
    outputs, _ = open_outputs(config)
    if live := other_live_runs(outputs.root, ALONE):
        raise OutputError(
            f"process {live[0].pid} on {live[0].host} works on {outputs.root}, so --prune is refused. Wait."
        )
    if another := other_dataset(outputs, source):
        raise mixed_datasets(outputs, another, source)
    if all(source.presence(unit) != "videos" for unit in source.units()):
        raise source.no_video()
    return outputs, gone_videos(config, source, outputs)


def _sort(survey: Survey, summary: Summary, overwrite: bool) -> list[OpenUnit]:
    """The units that are to be done, counted in the summary; those that can't be are noted there."""
    todo: list[OpenUnit] = []
    for surveyed in survey:
        unit, listing = surveyed.unit, surveyed.listing
        if listing is None:
            continue
        summary.odd.update(problem for _, problem in listing.odd)
        if listing.presence == "unreadable":
            summary.unreadable.append(unit)
            summary.failures.append((unit.name, f"{listing.folder} {listing.problem}"))
        elif unit.name not in summary.lacking and listing.presence == "videos":
            changes = surveyed.changes
            names = changes.to_do([video.name for video in listing.videos], overwrite)
            failed = changes.record.failed if changes.record is not None else {}
            todo.append(OpenUnit(unit, listing, surveyed.output is not None, names, failed))
            summary.added += [f"{unit.name}/{name}" for name in changes.added]
        elif unit.name not in summary.lacking:
            (summary.empty if listing.presence == "empty" else summary.absent).append(unit)
    if summary.lacking:
        shown = some_of([f"{name} ({how_many})" for name, how_many in summary.lacking.items()], MOST_SHOWN)
        summary.progress.error = (
            f"on {socket.gethostname()} the dataset holds less than where this was submitted: {shown}; not done. "
            "Let the node see all of dataset.root and what links in it point to, then submit again."
        )
    summary.progress.units = len(todo)
    summary.progress.videos = sum(len(unit.todo) for unit in todo)
    return todo


def survey_to_do(
    source: Source,
    outputs: Outputs,
    signs: Iterable[int] | None = None,
    *,
    depth: Depth,
    overwrite: bool = False,
    retry_failed: bool = False,
    retried_since: float = float("inf"),
    sweep: bool = False,
) -> Survey:
    """Survey the units of some signs, and look in the dataset for those that are to be done.

    Units of which the kernel killed a worker for memory are done again anyway: with more memory the video may be good.

    Args:
        signs: Default all.
        overwrite: Whether outputs of other settings, and videos with other files, are done again.
        retry_failed: Whether units of which videos failed are done again.
        retried_since: Units that were recorded after this moment are not done again.
        sweep: Whether stale temporary files are removed.

    Raises:
        DatasetError: The dataset holds no video at all.
        ConfigError: A video has the name of a person of another one.
        OutputError: The output folder holds outputs made with other settings, or can't be listed.
    """
    units = source.units(signs)
    states = outputs.states(units, sweep=sweep)
    if not overwrite:
        outputs.refuse_foreign(states)
    redone = states_to_redo(retry_failed)

    def redo(unit: Unit, state: OutputState) -> bool:
        again = state in redone or outputs.ran_out_of_memory(unit, state)
        return again and not outputs.recorded_since(unit, state, retried_since)

    surveyed = survey(source, outputs, units, states=states, depth=depth, redo=redo, redo_replaced=overwrite)
    if outputs.fingerprint.settings.dataset.get("person") == ALL_PEOPLE:
        for each in surveyed:
            refuse_clash({video.name: video.path for video in each.listing.videos} if each.listing else {})
    whole = len(units) == len(source.units())  # a shard may well have no video
    if whole and not surveyed.outputs and all(unit.presence in ("absent", "empty") for unit in surveyed):
        raise source.no_video()
    return surveyed


def count_earlier_starts(surveyed: Survey, outputs: Outputs, progress: Progress) -> None:
    """Count in `progress` what a job that was requeued did before: the units that have a record of this very job."""
    if not restarts():
        return
    job = host_facts().slurm
    for unit, state in surveyed.outputs.items():
        if state not in RECORDED_STATES:
            continue
        record = read_stored(outputs.record_path(unit, state), UnitRecord)
        if record is not None and record.slurm == job:
            progress.units_before += 1
            progress.videos_before += len(record.sources)
            progress.failed_before += len(record.failed)


def refuse_other_settings(origin: Origin, ours: Fingerprint) -> None:
    """Refuse to compute other values than the submission froze.

    Raises:
        OutputError: Names what differs, and the remedy.
    """
    if origin.settings is not None and (differing := differences(origin.settings, ours.settings)):
        problem = OutputError(
            f"on {socket.gethostname()} other values would be computed than where this was submitted: "
            f"{'; '.join(differing[:MOST_SHOWN])}. "
            "Give all nodes the same kpsbatch, mediapipe and models, then submit again."
        )
        raise of_node(problem)


def check_other_runs(config: Config, origin: Origin, overwrite: bool, on_notice: Callable[[str], None]) -> None:
    """Tell that another run is at work on the same outputs; refuse to overwrite them meanwhile.

    Raises:
        OutputError: They were to be overwritten.
    """
    live = other_live_runs(config.output.root, origin)
    if not live:
        return
    first = f"process {live[0].pid} on {live[0].host} since {live[0].started}"
    others = f"{first} and {len(live) - 1} more" if len(live) > 1 else first
    if overwrite:
        raise OutputError(
            f"another run is at work on {config.output.root} ({others}), so --overwrite is refused. Wait for it."
        )
    on_notice(f"another run is at work on these outputs ({others}); they share what is left, unit by unit")


def lacking_units(surveyed: Survey, expected: Mapping[str, int]) -> dict[str, str]:
    """Units to do that have fewer videos than were counted, and how many; the table may not even know a unit here."""
    listings = {unit.unit.name: unit.listing for unit in surveyed}
    lacking: dict[str, str] = {}
    for name, count in expected.items():
        listing = listings.get(name)
        videos = len(listing.videos) if listing is not None else 0
        finished = name in listings and listing is None
        if videos < count and not finished and not (listing is not None and listing.problem):
            lacking[name] = f"{videos} of {count} videos"
    return lacking


class _Work:
    """Feeds the pool task by task, and stores every unit when its last video is in."""

    def __init__(
        self,
        config: Config,
        source: Source,
        outputs: Outputs,
        job: VideoJob,
        summary: Summary,
        on_progress: Callable[[Progress], None],
        stop_reason: Callable[[], str],
    ) -> None:
        self._config, self._source, self._outputs, self._job = config, source, outputs, job
        self._summary, self._progress = summary, summary.progress
        self._on_progress, self._stop_reason = on_progress, stop_reason
        self._stage = Stage(config.run.stage, ahead=2 * summary.workers + 1, frame_rate=config.landmarks.frame_rate)
        self._open: dict[Unit, OpenUnit] = {}
        self._next: deque[VideoTask] = deque()
        self._has_pieces = outputs.pieces.exists()
        self._killed_for_memory: dict[VideoTask, int] = {}
        self._retries_alone = summary.workers > 1
        self._working: set[Future[TaskOutcome]] = set()
        self._storing: list[Future[StoredUnit]] = []

    def do(self, todo: Sequence[OpenUnit]) -> None:
        """Do all of it; what the kernel killed for memory is done again by one worker alone.

        Raises:
            InterruptedRun: `stop_reason` said so.
        """
        with self._stage:
            self._feed(self._summary.workers, self._stage.ahead(self._tasks(todo)))
            if again := list(self._killed_for_memory):
                self._retries_alone = False
                self._feed(1, iter(again))

    @cached_property
    def _long(self) -> LongVideos:
        from kpsbatch.work.long_videos import LongVideos  # NumPy and OpenCV, which this process does without else

        return LongVideos(self._outputs)

    def _feed(self, workers: int, tasks: Iterator[VideoTask]) -> None:
        run, frames_before = self._config.run, self._progress.frames
        memory = worker_memory(run.worker_memory, workers)
        limits = Limits(run.video_timeout, run.max_attempts, run.videos_per_worker, memory)
        with (
            executor_for(workers, self._job, limits, self._job.environment()) as pool,
            ThreadPoolExecutor(WRITERS, "store") as writer,  # the workers go on while units are compressed
        ):
            reason = ""
            while not reason:
                while len(self._working) < pool.capacity and len(self._storing) < MAX_STORING:
                    task = self._next.popleft() if self._next else next(tasks, None)
                    if task is None:
                        break
                    if pieces := self._long.begun(task) if self._has_pieces else []:
                        self._next.extend(pieces)
                        continue
                    self._working.add(pool.submit(task))
                if self._working:
                    ended, self._working = wait(self._working, TICK_SECONDS, FIRST_COMPLETED)
                    for unit in [unit for future in ended for unit in self._collect(future.result())]:
                        self._storing.append(
                            writer.submit(store_unit, self._config, self._outputs, unit, self._summary.workers)
                        )
                elif self._storing:
                    wait(self._storing, TICK_SECONDS, FIRST_COMPLETED)
                else:
                    return
                self._note_stored([future for future in self._storing if future.done()])
                self._progress.frames = frames_before + pool.steps
                self._on_progress(self._progress)
                reason = self._stop_reason()
            pool.close()
        self._note_stored(self._storing)
        left = self._progress.units - len(self._summary.stored)
        raise InterruptedRun(stopped(reason, f"{counted(len(self._summary.stored), 'unit')} saved, {left:,} left"))

    def _tasks(self, todo: Sequence[OpenUnit]) -> Iterator[VideoTask]:
        """All tasks, unit by unit; in the last units the longest first, so that no core idles at the end.

        To know their length a folder of frames has to be listed, as the worker does again: so not in all units. Units
        that another run has finished meanwhile are passed over.
        """
        left = self._progress.videos
        for opened in todo:
            unit, videos = opened.unit, len(opened.todo)
            left -= videos
            if not opened.replace and self._is_finished(unit):
                self._summary.states.update(self._outputs.states([unit]))
                self._progress.units -= 1
                self._progress.videos -= videos
                continue
            opened.begin(self._source)
            if videos < len(opened.listing.videos):  # the others have to be in the output, undamaged
                good = self._outputs.good_videos(unit).items()
                there = {source_name(key, video.record) for key, video in good} | opened.failed.keys()
                names = [video.name for video in opened.listing.videos]
                opened.todo = [name for name in names if name in opened.todo or name not in there]
                self._progress.videos += len(opened.todo) - videos
            if not opened.todo:
                self._note_stored_unit(store_unit(self._config, self._outputs, opened, self._summary.workers))
                continue
            self._open[unit] = opened
            groups = list(together([video for video in opened.listing.videos if video.name in opened.todo]))
            if left < VIDEOS_AT_END * self._summary.workers:
                groups.sort(key=lambda group: sum(map(listed_size, group)), reverse=True)
            for group in groups:
                yield VideoTask(unit, tuple(group))

    def _is_finished(self, unit: Unit) -> bool:
        """Whether another run has finished a unit; without an npz, where all of its videos failed."""
        return self._outputs.npz_path(unit).exists() or self._outputs.record_path(unit, "failed").exists()

    def _collect(self, outcome: TaskOutcome) -> Iterator[OpenUnit]:
        """Note what became of the videos of a task; the unit, when that was its last one.

        Segments that failed among others are tried by themselves, so that each fails for its own reason only. A long
        video goes on in pieces.
        """
        task, value = outcome.task, outcome.value
        if outcome.out_of_memory and self._retries_alone:
            self._killed_for_memory[task] = outcome.attempts
            return
        attempts = outcome.attempts + self._killed_for_memory.get(task, 0)
        reason = outcome.problem
        if task.piece is not None or not (value is None or isinstance(value, list)):
            self._has_pieces = True
            more, value, reason = self._long.collect(task, value, reason)
            self._next.extend(more)
            if value is None:
                return
        made = people_of_each(value or [None] * len(task.videos))
        for video, people in zip(task.videos, made, strict=True):
            if not people and len(task.videos) > 1:
                self._next.append(VideoTask(task.unit, (video,)))
                continue
            problem = self._stage.with_real_paths(task.unit, reason)
            how = VideoOutcome(people, problem, attempts, outcome.output, outcome.out_of_memory)
            self._note(task.unit, video, how)
        if self._open[task.unit].is_whole:
            self._stage.release(task.unit)
            yield self._open.pop(task.unit)

    def _note(self, unit: Unit, video: Video, outcome: VideoOutcome) -> None:
        name = f"{unit.name}/{video.name}"
        if word := said(video.label, video.signer):
            name = f"{name} [{word}]"
        self._progress.videos_done += 1
        if not outcome.people:
            self._progress.videos_failed += 1
            self._summary.failures.append((name, outcome.problem))
        else:
            facts = outcome.people[0].facts
            self._summary.frames += facts.frames
            if bad := facts.bad_frames:
                self._summary.bad_frames[name] = bad
            for kind, odd in facts.odd_frames.items():
                before = self._summary.odd_frames.get(kind, OddFrames(count=0, first=f"{name}/{odd.first}"))
                self._summary.odd_frames[kind] = OddFrames(count=before.count + odd.count, first=before.first)
            if doubts := [doubt for one in outcome.people for doubt in one.facts.doubts]:
                self._summary.doubtful.append((name, "; ".join(doubts)))
                self._progress.videos_doubtful += 1
                self._progress.doubtful = self._progress.doubtful or f"{name}: {doubts[0]}"
            self._summary.worker_seconds += sum(one.facts.seconds.total for one in outcome.people)
        self._open[unit].outcomes[video.name] = outcome

    def _note_stored(self, futures: Sequence[Future[StoredUnit]]) -> None:
        for future in list(futures):
            self._storing.remove(future)
            self._note_stored_unit(future.result())

    def _note_stored_unit(self, stored: StoredUnit) -> None:
        if self._has_pieces:
            self._long.forget(stored.unit)
        if stored.state is not None:
            self._summary.states[stored.unit] = stored.state
        self._summary.kept += [f"{stored.unit.name}/{name}" for name in stored.kept]
        self._summary.stored.append(stored.unit)
        self._progress.units_done += 1
        self._progress.unit = stored.unit.name
        ranked = sorted([*self._progress.slowest, (stored.unit.name, stored.seconds)], key=lambda item: -item[1])
        self._progress.slowest = ranked[:MAX_SLOWEST]
