"""A run: from units to output files, in this process and its worker pool."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import kpsbatch
from kpsbatch.config import Config
from kpsbatch.dataset.layout import Listing, check_root, list_unit, listed_size, no_video
from kpsbatch.dataset.units import Unit, units_of
from kpsbatch.errors import InterruptedRun, ModelError
from kpsbatch.store.fingerprint import UNKNOWN, Fingerprint, fingerprint, installed_version
from kpsbatch.store.outputs import Outputs, State, explained, states_to_redo
from kpsbatch.store.run_state import ALONE, Origin, tracked
from kpsbatch.work.cores import worker_count, worker_memory
from kpsbatch.work.pool import Outcome, WorkerPool
from kpsbatch.work.video_job import VideoJob, VideoTask

if TYPE_CHECKING:
    from numpy.typing import NDArray

TICK_SECONDS = 0.25
WRITERS = 2
MAX_STORING = 2 * WRITERS
MAX_SLOWEST = 5
RECORD_VERSION = 1


@dataclass
class Progress:
    """Where a run stands; passed to `on_progress` again and again.

    Attributes:
        videos: Videos to do in this run.
        videos_done: Of those, how many are done, failed ones included.
        videos_failed: Of those, how many failed.
        frames: Frames done.
        units: Units to do in this run.
        units_done: Of those, how many are stored.
        unit: The unit that was stored last.
        slowest: The units that took the workers longest, as (unit, seconds of work), slowest first.
    """

    videos: int = 0
    videos_done: int = 0
    videos_failed: int = 0
    frames: int = 0
    units: int = 0
    units_done: int = 0
    unit: str = ""
    slowest: list[tuple[str, float]] = field(default_factory=list)


@dataclass
class Summary:
    """How a run ended.

    Attributes:
        states: State of every unit of the run that has one, from before and from now.
        stored: Units that this run stored.
        absent: Units without a folder in the dataset.
        empty: Units whose folder holds no video.
        unreadable: Units whose folder can't be listed; they have no record, and the next run tries them again.
        odd: Entries of the dataset that are no videos, by what is odd about them.
        failures: (unit/video, reason) of the videos, and (unit, reason) of the folders, that failed in this run.
        kept: unit/video of those that failed in this run or are gone, but are good in the output of an earlier one.
        bad_frames: Unreadable frames of the videos that succeeded, by unit/video; only videos that have some.
        progress: Counts of this run.
        seconds: Wall-clock seconds.
        workers: Worker processes.
        frames: Frames of the videos that succeeded.
        worker_seconds: Seconds that workers spent on those videos.
    """

    states: dict[Unit, State]
    stored: list[Unit] = field(default_factory=list)
    absent: list[Unit] = field(default_factory=list)
    empty: list[Unit] = field(default_factory=list)
    unreadable: list[Unit] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    bad_frames: Counter[str] = field(default_factory=Counter)
    progress: Progress = field(default_factory=Progress)
    seconds: float = 0.0
    workers: int = 0
    frames: int = 0
    worker_seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 all is done, 1 some videos failed, now or in an earlier run, or a unit can't be listed."""
        return int(bool(self.unreadable) or any(state in ("partial", "failed") for state in self.states.values()))


@dataclass
class _OpenUnit:
    """A unit of which some videos are still to come."""

    unit: Unit
    listing: Listing
    replace: bool
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    started: float = field(default_factory=time.time)


def open_outputs(config: Config) -> tuple[Outputs, VideoJob]:
    """The output folder as this config sees it, and the job that fills it.

    Raises:
        ModelError: mediapipe or a bundle is missing.
    """
    from kpsbatch.landmarks.bundles import find_bundles  # here: it needs NumPy, which status does without

    mediapipe_version = installed_version("mediapipe")
    if mediapipe_version == UNKNOWN:
        raise ModelError("mediapipe must be installed (it is not); run `make setup`")
    bundles = find_bundles(config.landmarks.models)
    print_of: Fingerprint = fingerprint(config, bundles, mediapipe_version)
    return Outputs(config.output.root, print_of), VideoJob.of(config, bundles)


def run(
    config: Config,
    signs: Sequence[int] | None = None,
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop_reason: Callable[[], str] = lambda: "",
    origin: Origin = ALONE,
) -> Summary:
    """Do all unfinished units of some signs.

    Args:
        config: The config.
        signs: The signs of this shard; default all.
        overwrite: Replace outputs that were made with other settings.
        retry_failed: Also redo units of which videos failed.
        on_progress: Called a few times a second.
        stop_reason: Asked a few times a second; anything but "" ends the run.
        origin: What the run is a part of; its state file says so.

    Raises:
        DatasetError: The dataset is not there, or holds no video at all for these signs.
        OutputError: The output folder can't be written, or holds outputs made with other settings.
        ModelError: The workers can't load the models.
        InterruptedRun: `stop_reason` said so; finished units are kept.
    """
    progress = Progress()
    with tracked(config.output.root, origin, lambda: asdict(progress)) as note:

        def tell(current: Progress) -> None:
            note()
            on_progress(current)

        return _run(config, signs, overwrite, retry_failed, origin.submitted, progress, tell, stop_reason)


def _run(
    config: Config,
    signs: Sequence[int] | None,
    overwrite: bool,
    retry_failed: bool,
    retried_since: float,
    progress: Progress,
    on_progress: Callable[[Progress], None],
    stop_reason: Callable[[], str],
) -> Summary:
    started = time.monotonic()
    check_root(config.dataset)
    outputs, job = open_outputs(config)
    units = units_of(config.dataset, signs)
    folders = {folder / unit.folder for unit in units for folder in (outputs.root, outputs.records)}
    outputs.prepare(sorted(folders))
    outputs.sweep()
    states = outputs.states(units)
    if not overwrite:
        outputs.refuse_foreign(states)
    redo = states_to_redo(retry_failed)
    summary = Summary(states, progress=progress)
    todo: list[tuple[Unit, Listing]] = []
    for unit in units:
        if unit in states and (states[unit] not in redo or outputs.recorded_since(unit, states[unit], retried_since)):
            continue
        listing = list_unit(config.dataset, unit)
        summary.odd.update(problem for _, problem in listing.odd)
        if listing.problem:
            summary.unreadable.append(unit)
            summary.failures.append((unit.name, f"{listing.folder} {listing.problem}"))
        elif listing.videos:
            todo.append((unit, listing))
        else:
            (summary.empty if listing.exists else summary.absent).append(unit)
    whole = len(units) == len(units_of(config.dataset))  # a shard may well have no video
    if whole and not todo and not states and not summary.unreadable:
        raise no_video(config.dataset, units[0])
    summary.progress.units = len(todo)
    summary.progress.videos = sum(len(listing.videos) for _, listing in todo)
    summary.workers = worker_count(config.run.workers, summary.progress.videos)
    if todo:
        _work(config, outputs, job, todo, summary, redo, on_progress, stop_reason)
    summary.seconds = time.monotonic() - started
    return summary


def _work(
    config: Config,
    outputs: Outputs,
    job: VideoJob,
    todo: Sequence[tuple[Unit, Listing]],
    summary: Summary,
    redo: set[str],
    on_progress: Callable[[Progress], None],
    stop_reason: Callable[[], str],
) -> None:
    """Feed the pool video by video, and store every unit when its last video is in."""
    open_units: dict[Unit, _OpenUnit] = {}
    storing: list[Future[_Stored]] = []
    reason = ""
    with (
        WorkerPool(
            summary.workers,
            job,
            timeout=config.run.video_timeout,
            max_attempts=config.run.max_attempts,
            tasks_per_worker=config.run.videos_per_worker,
            environment=job.environment(),
            max_memory=worker_memory(config.run.worker_memory, summary.workers),
        ) as pool,
        ThreadPoolExecutor(WRITERS, "store") as writer,  # the workers go on while units are compressed
    ):
        tasks = _tasks(outputs, todo, open_units, summary, redo)
        exhausted = False
        while not reason:
            while not exhausted and pool.wants_tasks and len(storing) < MAX_STORING:
                if task := next(tasks, None):
                    pool.put(task)
                else:
                    exhausted = True
            if pool.unfinished:
                for outcome in pool.wait(TICK_SECONDS):
                    if unit := _collect(outcome, open_units, summary):
                        storing.append(writer.submit(_store, config, outputs, unit, summary.workers))
            elif storing:
                wait(storing, TICK_SECONDS, FIRST_COMPLETED)
            elif exhausted:
                return
            for future in [future for future in storing if future.done()]:
                storing.remove(future)
                _note_stored(future.result(), summary)
            summary.progress.frames = pool.steps
            on_progress(summary.progress)
            reason = stop_reason()
        pool.close()
    for future in storing:
        _note_stored(future.result(), summary)
    left = summary.progress.units - len(summary.stored)
    raise InterruptedRun(
        f"interrupted by {reason}: {len(summary.stored)} units were finished in this run and are kept, {left} are "
        "left; run the same command again to go on"
    )


def _tasks(
    outputs: Outputs,
    todo: Sequence[tuple[Unit, Listing]],
    open_units: dict[Unit, _OpenUnit],
    summary: Summary,
    redo: set[str],
) -> Iterator[VideoTask]:
    """All videos, unit by unit; passes over units that another run has finished meanwhile."""
    for unit, listing in todo:
        replace = summary.states.get(unit) in redo
        if not replace and outputs.npz_path(unit).exists():
            summary.states.update(outputs.states([unit]))
            summary.progress.units -= 1
            summary.progress.videos -= len(listing.videos)
            continue
        open_units[unit] = _OpenUnit(unit, listing, replace)
        for video in sorted(
            listing.videos, key=listed_size, reverse=True
        ):  # the longest first: no core idles at the end
            yield VideoTask(unit, video)


def _collect(outcome: Outcome, open_units: dict[Unit, _OpenUnit], summary: Summary) -> _OpenUnit | None:
    """Note what became of a video; return its unit when that was the last one."""
    task: VideoTask = outcome.task
    summary.progress.videos_done += 1
    if outcome.problem:
        summary.progress.videos_failed += 1
        summary.failures.append((f"{task.unit.name}/{task.video.name}", outcome.problem))
    else:
        summary.frames += outcome.value.summary["frames"]
        if bad := outcome.value.summary["bad_frames"]:
            summary.bad_frames[f"{task.unit.name}/{task.video.name}"] = bad
        summary.worker_seconds += outcome.value.summary["seconds"]["total"]
    unit = open_units[task.unit]
    unit.outcomes[task.video.name] = outcome
    if len(unit.outcomes) < len(unit.listing.videos):
        return None
    return open_units.pop(task.unit)


class _Stored(NamedTuple):
    """A stored unit, the state that it has now, the videos that failed in a redo but are kept, its worker seconds."""

    unit: Unit
    state: State | None
    kept: list[str]
    seconds: float


def _store(config: Config, outputs: Outputs, done: _OpenUnit, workers: int) -> _Stored:
    """Write the two files of a unit, in a writer's thread.

    A video that fails in a redo, or is not in the dataset any more, keeps what an earlier run with the same settings
    made of it: a redo loses nothing.
    """
    unit = done.unit
    there = outputs.states([unit], sweep=False).get(unit) in ("complete", "partial") if done.replace else False
    redo = there or (done.replace and any(outcome.problem for outcome in done.outcomes.values()))
    good = (outcome for outcome in done.outcomes.values() if not outcome.problem)
    seconds = round(sum(outcome.value.summary["seconds"]["total"] for outcome in good), 3)
    with explained(outputs.root), outputs.lock() if redo else nullcontext():
        before = outputs.good_videos(unit) if redo else {}
        arrays, record, state = _assemble(config, outputs, done, before, workers)
        if outputs.store(unit, arrays, record, state, replace=done.replace, locked=redo):
            kept = [name for name, video in record["videos"].items() if "kept_since" in video]
            return _Stored(unit, state, kept, seconds)
    return _Stored(unit, outputs.states([unit]).get(unit), [], seconds)  # another run was first


def _assemble(
    config: Config,
    outputs: Outputs,
    done: _OpenUnit,
    before: Mapping[str, tuple[NDArray[Any], dict[str, Any]]],
    workers: int,
) -> tuple[dict[str, NDArray[Any]], dict[str, Any], Literal["complete", "partial", "failed"]]:
    """The arrays, the record and the state of a unit; `before` is what to keep of it where nothing better is there."""
    arrays: dict[str, NDArray[Any]] = {}
    videos: dict[str, Any] = {}
    for video in done.listing.videos:
        outcome = done.outcomes[video.name]
        if outcome.problem and video.name in before:
            arrays[video.name], earlier = before[video.name]
            videos[video.name] = {**earlier, "kept_since": outcome.problem}
        elif outcome.problem:
            videos[video.name] = {"error": outcome.problem, "attempts": outcome.attempts, "output": outcome.output}
        else:
            arrays[video.name] = outcome.value.keypoints
            videos[video.name] = {**outcome.value.summary, "attempts": outcome.attempts}
    for name in [name for name in before if name not in videos]:
        arrays[name], earlier = before[name]
        videos[name] = {**earlier, "kept_since": "the dataset does not have it any more"}
    state: Literal["complete", "partial", "failed"] = (
        "failed" if not arrays else "partial" if len(arrays) < len(videos) else "complete"
    )
    unit = done.unit
    record = {
        "record_version": RECORD_VERSION,
        "unit": {"signer": unit.signer, "split": unit.split, "sign": unit.sign},
        "state": state,
        "videos": videos,
        "odd_entries": dict(done.listing.odd),
        "dataset": str(config.dataset.root),
        "source": str(done.listing.folder.relative_to(config.dataset.root)),
        "fingerprint": outputs.fingerprint.digest,
        "models": outputs.fingerprint.settings["models"],
        **_circumstances(),
        "started": _timestamp(done.started),
        "finished": _timestamp(time.time()),
        "workers": workers,
    }
    return arrays, record, state


def _note_stored(stored: _Stored, summary: Summary) -> None:
    if stored.state is not None:
        summary.states[stored.unit] = stored.state
    summary.kept += [f"{stored.unit.name}/{name}" for name in stored.kept]
    summary.stored.append(stored.unit)
    summary.progress.units_done += 1
    summary.progress.unit = stored.unit.name
    ranked = sorted([*summary.progress.slowest, (stored.unit.name, stored.seconds)], key=lambda item: -item[1])
    summary.progress.slowest = ranked[:MAX_SLOWEST]


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


@cache
def _circumstances() -> dict[str, Any]:
    """Host, SLURM job and versions: the same for all records of a process."""
    slurm = {
        name: os.environ[variable]
        for name, variable in (
            ("job", "SLURM_JOB_ID"),
            ("array_job", "SLURM_ARRAY_JOB_ID"),
            ("array_task", "SLURM_ARRAY_TASK_ID"),
        )
        if variable in os.environ
    }
    packages = ("mediapipe", "numpy", "opencv-python-headless", "opencv-contrib-python")
    return {
        "host": socket.gethostname(),
        "container": os.environ.get("APPTAINER_CONTAINER") or os.environ.get("KPSBATCH_IMAGE"),
        "slurm": slurm or None,
        "versions": {
            "kpsbatch": kpsbatch.__version__,
            "python": platform.python_version(),
            **{package: found for package in packages if (found := installed_version(package)) != UNKNOWN},
        },
    }
