"""What the tasks of a submission say, from files alone."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from kpsbatch.store.run_state import LOST_SECONDS, RunState, read_runs
from kpsbatch.store.submissions import list_submissions, log_file, read_jobs, read_plan

TAIL_BYTES = 64 * 1024
QUIET_STATES = ("waiting", "starting", "running", "finished")


@dataclass(frozen=True)
class TaskLog:
    """A task, or a run by itself.

    Attributes:
        name: The shard of a submission, or the run.
        job: The job, "" outside of SLURM and before it started.
        state: waiting, starting, running, lost, finished, "finished, 2 videos failed", interrupted, failed.
        node: Where it runs or ran, "" before it started.
        counts: Units and videos done, "" before it started.
        error: Why it failed.
        log: Its log, where that is known.
        run: Its state file, None before it started.
    """

    name: str
    job: str
    state: str
    node: str
    counts: str
    error: str
    log: Path | None
    run: RunState | None = None

    @property
    def needs_a_look(self) -> bool:
        """Whether it is anything but waiting, starting, running or finished without a failure."""
        return self.state not in QUIET_STATES

    def tail(self, lines: int) -> list[str]:
        """The last lines of its log."""
        if self.log is None:
            return []
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return text.splitlines()[-lines:]


def task_logs(root: Path) -> list[TaskLog]:
    """The tasks of the newest submission, the runs by themselves that started after it, and all that still runs."""
    runs = read_runs(root)
    submissions = list_submissions(root)
    logs: list[TaskLog] = []
    since = 0.0
    newest = ""
    if submissions:
        folder = submissions[-1]
        plan, jobs = read_plan(folder), read_jobs(folder).jobs
        newest = plan.id
        since = (folder / "plan.json").stat().st_mtime
        by_shard = {run.shard: run for run in runs if run.submission == plan.id}
        for number in range(len(plan.shards)):
            job = jobs[number] if number < len(jobs) else ""
            log = log_file(folder, job) if job else None
            name = f"shard {number} of {len(plan.shards)}"
            logs.append(_task_log(name, by_shard.get(number), job, log))
    others = [
        run
        for run in runs
        if not newest or (run.submission or "") != newest
        if run.is_running or (not run.submission and run.began > since)
    ]
    return logs + [_task_log(run.run, run, "", None) for run in sorted(others, key=lambda run: run.began)]


def _task_log(name: str, run: RunState | None, job: str, log: Path | None) -> TaskLog:
    if run is None:
        return TaskLog(name, job, _state_without_run(log), "", "", "", log)
    state = "lost" if run.is_lost else str(run.state)
    if state == "finished" and run.videos_failed:
        state = f"finished, {run.videos_failed} videos failed"
    counts = f"{run.units_done}/{run.units} units, {run.videos_done}/{run.videos} videos"
    if log is None and run.log:
        log = Path(run.log)
    return TaskLog(name, job or run.job_name, state, run.host, counts, run.error, log, run)


def _state_without_run(log: Path | None) -> str:
    try:
        silent = time.time() - log.stat().st_mtime if log is not None else None
    except OSError:
        silent = None
    if silent is None:
        return "waiting"
    return "starting" if silent < LOST_SECONDS else "failed before it could start"
