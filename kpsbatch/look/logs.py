"""The tasks of a submission and what their logs say, from files alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kpsbatch.files import FileClock, last_lines
from kpsbatch.store.run_state import LOST_SECONDS, SILENT_SECONDS, RunState, Worked, read_runs
from kpsbatch.store.submissions import Jobs, list_submissions, log_file, read_jobs, read_plan, unshared_warning

TAIL_BYTES = 64 * 1024
CANCELLED = "squeue does not show it: it was cancelled while it waited. Submit again; what is finished is passed over."
QUIET_STATES = ("waiting", "starting", "running", "finished")


@dataclass(frozen=True)
class Task:
    """A task of the newest submission, or a run by itself.

    Attributes:
        name: The shard of a submission, or the run.
        state: waiting, cancelled, not submitted, starting, running, lost, finished, interrupted or failed.
        job, node, log: Where it runs or ran, "" where that is not known.
        units, units_done, videos, videos_done, videos_failed, frames: Its counts; but for the frames, those of earlier
            starts of a task that was requeued are in them.
        videos_before: How many of the videos done are from earlier starts.
        seconds: From its start to its last sign of life.
        silent: Seconds since its last sign of life.
        unit: The unit that it stored last.
        error: Why it failed.
        run: Its state file, None before it started.
    """

    name: str
    state: str
    job: str = ""
    node: str = ""
    log: str = ""
    units: int = 0
    units_done: int = 0
    videos: int = 0
    videos_done: int = 0
    videos_failed: int = 0
    videos_before: int = 0
    frames: int = 0
    seconds: float = 0.0
    silent: float = 0.0
    unit: str = ""
    error: str = ""
    run: RunState | None = None

    @property
    def videos_per_second(self) -> float:
        """Its rate over all of its starts."""
        before = self.run.before if self.run is not None else Worked()
        seconds = self.seconds + before.seconds
        return (self.videos_done - self.videos_before + before.videos) / seconds if seconds else 0.0

    @property
    def frames_per_second(self) -> float:
        """Its rate over all of its starts."""
        before = self.run.before if self.run is not None else Worked()
        seconds = self.seconds + before.seconds
        return (self.frames + before.frames) / seconds if seconds else 0.0

    @property
    def is_silent(self) -> bool:
        """Whether it runs but has missed two of its signs of life: its node may be gone."""
        return self.state == "running" and self.silent > SILENT_SECONDS

    @property
    def outcome(self) -> str:
        """Its state and how many videos failed: `finished, 2 videos failed`."""
        return f"{self.state}, {self.videos_failed} videos failed" if self.videos_failed else self.state

    @property
    def counts(self) -> str:
        """Units and videos done, "" before it started."""
        if self.run is None:
            return ""
        return f"{self.units_done}/{self.units} units, {self.videos_done}/{self.videos} videos"

    @property
    def needs_attention(self) -> bool:
        """Whether it is anything but waiting, starting, running or finished without a failure."""
        return self.outcome not in QUIET_STATES

    def tail(self, lines: int) -> list[str]:
        """The last lines of its log."""
        return last_lines(Path(self.log), TAIL_BYTES)[-lines:] if self.log else []

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in vars(self).items() if name != "run"}


def tasks_of(root: Path) -> list[Task]:
    """The tasks of the newest submission, the runs by themselves that started after it, and all that still runs."""
    runs = read_runs(root)
    submissions = list_submissions(root)
    tasks: list[Task] = []
    since = 0.0
    newest = ""
    if submissions:
        folder = submissions[-1]
        plan, jobs = read_plan(folder), read_jobs(folder)
        clock = FileClock(folder)
        newest = plan.id
        since = (folder / "plan.json").stat().st_mtime
        by_shard = {run.shard: run for run in runs if run.submission == plan.id}
        in_progress = _is_being_submitted(folder, jobs, clock, list(by_shard.values()))
        for number in range(len(plan.shards)):
            job = jobs.jobs[number] if number < len(jobs.jobs) else ""
            log = log_file(folder, job) if job else None
            name = f"shard {number} of {len(plan.shards)}"
            run = by_shard.get(number)
            if run is not None:
                tasks.append(_task_of_run(name, run, job, str(log or "")))
            elif job or in_progress:
                state, error = _state_without_run(log, clock)
                tasks.append(Task(name, state, job, log=str(log or ""), error=error))
            else:
                why = f"{jobs.problem or 'submit was ended before'}. Submit again; what is finished is passed over."
                tasks.append(Task(name, "not submitted", error=why))
    others = [
        run
        for run in runs
        if not newest or (run.submission or "") != newest
        if run.is_running or (not run.submission and run.began_by_file > since)
    ]
    return tasks + [_task_of_run(run.run, run) for run in sorted(others, key=lambda run: run.began)]


def tasks_in_queue(tasks: Sequence[Task], queue: Collection[str]) -> list[Task]:
    """Tasks that wait but are not in SLURM's queue were cancelled.

    Args:
        queue: The jobs that squeue showed before the files were read.
    """
    return [
        replace(task, state="cancelled", error=CANCELLED) if task.state == "waiting" and task.job not in queue else task
        for task in tasks
    ]


def waiting_for_slurm(root: Path, tasks: Sequence[Task]) -> bool:
    """Whether any of the tasks waits, as far as files tell, for SLURM to start it."""
    submissions = list_submissions(root)
    waits = any(task.state == "waiting" for task in tasks)
    return waits and bool(submissions) and read_jobs(submissions[-1]).cluster == "slurm"


def without_a_trace(root: Path) -> str:
    """Why the jobs of the newest submission may have left nothing here; "" where there is something, or it is new."""
    submissions = list_submissions(root)
    if not submissions or not (jobs := read_jobs(submissions[-1]).jobs):
        return ""
    folder = submissions[-1]
    logs = any(log_file(folder, job).exists() for job in jobs)
    if logs or any(run.submission == folder.name for run in read_runs(root)):
        return ""
    if (FileClock(folder).age_of(folder / "jobs.json") or 0.0) < LOST_SECONDS:
        return ""
    if not (why := unshared_warning(root)):
        return ""
    return f"no job has left a log or a state file yet. If squeue does not show them as pending: {why}"


def _is_being_submitted(folder: Path, jobs: Jobs, clock: FileClock, runs: Sequence[RunState]) -> bool:
    """Whether shards without a job may still get one: here they are started one after another."""
    if jobs.problem:
        return False
    if jobs.cluster == "local" and any(run.is_running for run in runs):
        return True
    ages = [clock.age_of(folder / name) for name in ("plan.json", "jobs.json")]
    return any(age is not None and age < LOST_SECONDS for age in ages)


def _task_of_run(name: str, run: RunState, job: str = "", log: str = "") -> Task:
    return Task(
        name,
        run.present_state,
        job or run.job_name,
        run.host,
        log or run.log or "",
        units=run.units + run.units_before,
        units_done=run.units_done + run.units_before,
        videos=run.videos + run.videos_before,
        videos_done=run.videos_done + run.videos_before,
        videos_failed=run.videos_failed + run.failed_before,
        videos_before=run.videos_before,
        frames=run.frames,
        seconds=run.seconds,
        silent=round(run.silent, 1),
        unit=run.unit,
        error=run.error,
        run=run,
    )


def _state_without_run(log: Path | None, clock: FileClock) -> tuple[str, str]:
    """The state of a task without a state file, and why it failed."""
    silent = None if log is None else clock.age_of(log)
    if silent is None:
        return "waiting", ""
    return ("starting", "") if silent < LOST_SECONDS else ("failed", "failed before it could start")


def without_superseded(tasks: Sequence[Task]) -> list[Task]:
    """Leave out runs by themselves that ended or were lost before a newer one of the same shard did some work."""
    alone = [(task, task.run) for task in tasks if task.run is not None and not task.run.submission]
    newest = {(run.shard, run.shards): task for task, run in alone}
    newest.update({(run.shard, run.shards): task for task, run in alone if run.units_done})
    return [
        task
        for task in tasks
        if (run := task.run) is None or run.submission or run.is_running or newest[run.shard, run.shards] is task
    ]
