"""What the tasks of a submission say, from files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kpsbatch.files import FileClock, last_lines
from kpsbatch.store.run_state import LOST_SECONDS, RunState, read_runs
from kpsbatch.store.submissions import Jobs, list_submissions, log_file, read_jobs, read_plan, unshared_warning

TAIL_BYTES = 64 * 1024
QUIET_STATES = ("waiting", "starting", "running", "finished")


@dataclass(frozen=True)
class TaskLog:
    """A task, or a run by itself.

    Attributes:
        name: The shard of a submission, or the run.
        job: The job, "" outside of SLURM and before it started.
        state: waiting, not submitted, starting, running, lost, finished, interrupted, failed; the number of videos that
            failed is added, as in "finished, 2 videos failed".
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
        return [] if self.log is None else last_lines(self.log, TAIL_BYTES)[-lines:]


def task_logs(root: Path) -> list[TaskLog]:
    """The tasks of the newest submission, the runs by themselves that started after it, and all that still runs."""
    runs = read_runs(root)
    submissions = list_submissions(root)
    logs: list[TaskLog] = []
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
                logs.append(_task_log(name, run, job, log))
            elif job or in_progress:
                logs.append(TaskLog(name, job, _state_without_run(log, clock), "", "", "", log))
            else:
                why = f"{jobs.problem or 'submit was ended before'}. Submit again; what is finished is passed over."
                logs.append(TaskLog(name, "", "not submitted", "", "", why, None))
    others = [
        run
        for run in runs
        if not newest or (run.submission or "") != newest
        if run.is_running or (not run.submission and run.began_by_file > since)
    ]
    return logs + [_task_log(run.run, run, "", None) for run in sorted(others, key=lambda run: run.began)]


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


def _task_log(name: str, run: RunState, job: str, log: Path | None) -> TaskLog:
    state = run.present_state
    failed, units, videos = run.videos_failed + run.failed_before, run.units_before, run.videos_before
    if failed:
        state = f"{state}, {failed} videos failed"
    counts = (
        f"{units + run.units_done}/{units + run.units} units, {videos + run.videos_done}/{videos + run.videos} videos"
    )
    if log is None and run.log:
        log = Path(run.log)
    return TaskLog(name, job or run.job_name, state, run.host, counts, run.error, log, run)


def _state_without_run(log: Path | None, clock: FileClock) -> str:
    silent = None if log is None else clock.age_of(log)
    if silent is None:
        return "waiting"
    return "starting" if silent < LOST_SECONDS else "failed before it could start"


def without_superseded(logs: Sequence[TaskLog]) -> list[TaskLog]:
    """Leave out runs by themselves that ended or were lost before a newer one of the same shard did some work."""
    alone = [(log, log.run) for log in logs if log.run is not None and not log.run.submission]
    newest = {(run.shard, run.shards): log for log, run in alone}
    newest.update({(run.shard, run.shards): log for log, run in alone if run.units_done})
    return [
        log
        for log in logs
        if log.run is None or log.run.submission or log.run.is_running or newest[log.run.shard, log.run.shards] is log
    ]
