"""The state file of a run: what a run in this process, an array task or a container is doing.

    <output root>/_kpsbatch/runs/<run id>.json

Written when the run starts, every ten seconds, and when it ends. `logs` and `status` read these files and nothing
else. A requeued task writes the file of its first attempt again.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, ConfigDict, Field

from kpsbatch.files import INTERNAL, FileClock
from kpsbatch.store.records import Moment, seconds_of
from kpsbatch.store.settings import Settings
from kpsbatch.stored import Amount, Count, Stored, Text, or_else, read_stored

LOST_SECONDS = 120.0
SILENT_SECONDS = 30.0
"""A run writes its state file every ten seconds."""

RUN_FORMAT = 2
"""1 was written until 0.1.0, under the name `version`; everything in it is read."""

RunOutcome = Literal["running", "interrupted", "failed", "finished"]


@dataclass(frozen=True)
class Origin:
    """What a run is a part of.

    Attributes:
        submission: The ID of the submission, or "" for a run by itself.
        shard: The shard from 0, or None for everything.
        shards: The number of shards.
        submitted: When the submission was frozen, by the clock of its file system; units that were recorded since
            are not redone, so that a requeued task doesn't retry failed units twice.
        videos: How many videos the submission counted in each of its units, by name.
        settings: All that changes values, as the submission froze it; None for a run by itself.
    """

    submission: str = ""
    shard: int | None = None
    shards: int | None = None
    submitted: float = float("inf")
    videos: Mapping[str, int] = field(default_factory=dict)
    settings: Settings | None = None


ALONE = Origin()
"""A run that is no part of anything."""


class Progress(Stored):
    """Where a run stands; passed to `on_progress` again and again, and kept in the run's state file.

    Attributes:
        videos: Videos to do in this run.
        videos_done: Of those, how many are done, failed ones included.
        videos_failed: Of those, how many failed.
        videos_doubtful: Of those, in how many the signer is in doubt.
        doubtful: The first of them, and why.
        frames: Frames done.
        units: Units to do in this run.
        units_done: Of those, how many are stored.
        unit: The unit that was stored last.
        slowest: The units that took the workers longest, as (unit, seconds of work), slowest first.
        run: The name of its state file; `tracked` sets it, once: that of a run by itself has the time in it.
        units_before, videos_before, failed_before: What earlier starts of the same task did, by the records.
        fingerprint: Of the settings that it works with; "" before they are known.
        error: Why it counts as failed although it went on to its end; in a state file also why it failed or was
            interrupted.
    """

    model_config = ConfigDict(frozen=False)

    videos: Count = 0
    videos_done: Count = 0
    videos_failed: Count = 0
    videos_doubtful: Count = 0
    doubtful: Text = ""
    frames: Count = 0
    units: Count = 0
    units_done: Count = 0
    unit: str = ""
    slowest: Annotated[list[tuple[str, float]], or_else(list)] = Field(default_factory=list)
    units_before: Count = 0
    videos_before: Count = 0
    failed_before: Count = 0
    fingerprint: Text = ""
    run: str = ""
    error: Text = ""


class Worked(Stored):
    """What the earlier starts of a requeued task did, by its state file.

    Attributes:
        spans: When each began and last wrote the file, in seconds since 1970.
        videos, frames: Done, in units that were lost with a start too.
        cpu_seconds: That they used.
    """

    spans: Annotated[list[tuple[float, float]], or_else(list)] = Field(default_factory=list)
    videos: Count = 0
    frames: Count = 0
    cpu_seconds: Amount = 0.0

    @property
    def seconds(self) -> float:
        """How long they took in all."""
        return sum(end - start for start, end in self.spans)


class Requested(Stored):
    """What a batch system gives a task: cores, memory, time; 0 where it does not say."""

    cores: Count = 0
    memory_megabytes: Count = 0
    minutes: Count = 0


def requested(environment: Mapping[str, str] = os.environ) -> Requested:
    """What SLURM gives this process, by the variables of its job; all 0 outside of SLURM."""
    if not environment.get("SLURM_JOB_ID"):
        return Requested()

    def number(*names: str) -> int:
        return next((int(text) for name in names if (text := environment.get(name, "")).isdecimal()), 0)

    cores = number("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")
    start, end = number("SLURM_JOB_START_TIME"), number("SLURM_JOB_END_TIME")
    return Requested(
        cores=cores,
        memory_megabytes=number("SLURM_MEM_PER_NODE") or cores * number("SLURM_MEM_PER_CPU"),
        minutes=round((end - start) / 60) if start and end > start else 0,
    )


class RunState(Progress):
    """A run's state file: what the run is, how it stands, and how it ended.

    Attributes:
        format: `RUN_FORMAT` of the release that wrote it.
        run: Its name, which is the file's.
        submission, shard, shards: What it is a part of, see `Origin`.
        job, array_task, restarts: The SLURM job, its array task, and how often it was requeued.
        host, pid: Where it runs or ran.
        log: The file that it writes its output to.
        command: The command line.
        started, updated: When it began, and when it last wrote this file.
        state: As the run wrote it; the file of a run that was killed still says "running" (`is_lost`).
        without_work: Whether it was no task, and ended before it did anything: refused, or nothing was left to do.
        modified, silent: When it last wrote this file, and the seconds from then until it was read, by the clock of the
            file system; looked for by `read_runs`, and not stored.
        cpu_seconds, memory_megabytes: What it and its workers used, see `Usage`; 0 where that is not known. Of a
            requeued task the memory is the most of any start.
        requested: What SLURM gave it.
        before: What earlier starts of it did.
        given_back: (node, why) for each start that ended at once, as its node could not do it.
    """

    model_config = ConfigDict(frozen=True)

    format: int = Field(default=1, validation_alias=AliasChoices("format", "version"))
    run: str
    submission: str | None = None
    shard: int | None = None
    shards: int | None = None
    job: str | None = None
    array_task: int | None = None
    restarts: Count = 0
    host: str = ""
    pid: Count = 0
    log: Text | None = None
    command: list[Text] = Field(default_factory=list)
    started: Moment
    updated: Moment
    state: RunOutcome
    cpu_seconds: Amount = 0.0
    memory_megabytes: Count = 0
    requested: Annotated[Requested, or_else(Requested)] = Field(default_factory=Requested)
    before: Annotated[Worked, or_else(Worked)] = Field(default_factory=Worked)
    without_work: bool = False
    given_back: Annotated[list[tuple[str, Text]], or_else(list)] = Field(default_factory=list)
    modified: float = Field(default=0.0, exclude=True)
    silent: float = Field(default=0.0, exclude=True)

    @property
    def began(self) -> float:
        """When it began, in seconds since 1970."""
        return seconds_of(self.started)

    @property
    def began_by_file(self) -> float:
        """When it began, by the clock of the file system."""
        return self.modified - self.seconds

    @property
    def last_sign(self) -> float:
        """When it last wrote this file, in seconds since 1970; not before its start."""
        return max(self.began, seconds_of(self.updated))

    @property
    def seconds(self) -> float:
        """From its start to when it last wrote this file."""
        return self.last_sign - self.began

    @property
    def job_name(self) -> str:
        """The job as SLURM writes it, such as 123_4; "" outside of SLURM."""
        return "" if not self.job else self.job if self.array_task is None else f"{self.job}_{self.array_task}"

    @property
    def is_lost(self) -> bool:
        """Whether its file says "running" but it is gone: no such process on this host, or no update for 2 minutes."""
        if self.state != "running":
            return False
        if self.host == socket.gethostname() and not Path(f"/proc/{self.pid}").exists():
            return True
        return self.silent > LOST_SECONDS

    @property
    def present_state(self) -> str:
        """`lost` where its file says "running" but it is gone; else the state that it wrote."""
        return "lost" if self.is_lost else self.state

    @property
    def is_running(self) -> bool:
        """Whether it runs, as far as files tell."""
        return self.state == "running" and not self.is_lost

    @property
    def is_alive_here(self) -> bool:
        """Whether it runs, and on this machine."""
        return self.is_running and self.host == socket.gethostname()


def runs_folder(root: Path) -> Path:
    """Where the state files of an output folder lie."""
    return root / INTERNAL / "runs"


def state_file(root: Path, run: str) -> Path:
    """The state file of a run."""
    return runs_folder(root) / f"{run}.json"


def run_id(origin: Origin, environment: Mapping[str, str] = os.environ) -> str:
    """The name of a run's state file: the same for every attempt of a task."""
    if origin.submission:
        return f"{origin.submission}-{origin.shard:04}"
    job, task = job_of(environment)
    if job:
        name = f"job-{job}" if task is None else f"job-{job}_{task}"
        cluster = environment.get("SLURM_CLUSTER_NAME", "")  # two clusters can number two jobs alike
        return re.sub(r"[^A-Za-z0-9_.-]", "-", f"{name}-{cluster}" if cluster else name)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return re.sub(r"[^A-Za-z0-9.-]", "-", f"run-{stamp}-{socket.gethostname()}-{os.getpid()}")


def job_of(environment: Mapping[str, str] = os.environ) -> tuple[str, int | None]:
    """The SLURM job and array task of this process: the array's ID for an array; ("", None) outside of SLURM."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID", ""), environment.get("SLURM_ARRAY_TASK_ID", "")
    if array and task.isdecimal():
        return array, int(task)
    return environment.get("SLURM_JOB_ID", ""), None


def restarts() -> int:
    """How often SLURM has started this process's job again; 0 outside of SLURM."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def read_runs(root: Path) -> list[RunState]:
    """All state files of an output folder that can be read, by name, without those of runs that had no work."""
    clock = FileClock(runs_folder(root))
    runs: list[RunState] = []
    for path in sorted(runs_folder(root).glob("*.json")):
        run = read_stored(path, RunState)
        if run is None or run.without_work:
            continue
        with contextlib.suppress(OSError):
            modified = path.stat().st_mtime
            silent = max(0.0, clock.now - modified) if run.state == "running" else 0.0  # the clock costs a file
            run = run.model_copy(update={"modified": modified, "silent": silent})
        runs.append(run)
    return runs


def read_run(root: Path, origin: Origin) -> RunState | None:
    """The state file of one run, without its age, or None where it is missing or unreadable."""
    return read_stored(state_file(root, run_id(origin)), RunState)


def other_live_runs(root: Path, origin: Origin) -> list[RunState]:
    """Running runs of an output folder, without those that share the work: tasks of one submission, array or split."""
    job, _ = job_of()
    return [
        run
        for run in read_runs(root)
        if run.is_running
        if run.run != run_id(origin)
        if not (origin.submission and run.submission == origin.submission)
        if not (job and run.job == job)
        if not (origin.shards and run.shards == origin.shards and run.shard != origin.shard)
    ]


def union_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of the spans lasted."""
    total, end = 0.0, 0.0
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
