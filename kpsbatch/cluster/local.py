"""This machine as a cluster: the shards of a plan one after another, through submitit's local executor."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kpsbatch.cluster.script import task_command
from kpsbatch.cluster.slurm import nothing, private_folder
from kpsbatch.cluster.task import STATUS_FILE
from kpsbatch.config import Config
from kpsbatch.startup import package_parent, python_path
from kpsbatch.store.run_state import Origin, read_run
from kpsbatch.store.submissions import Plan, write_jobs, write_plan
from kpsbatch.work.signals import StopRequest

if TYPE_CHECKING:
    import submitit

POLL_SECONDS = 0.5
TEN_YEARS = 60 * 24 * 3650
"""In minutes: here no shard has a time limit."""

LOGGED = 'exec "$@" >>"$KPSBATCH_LOGS/${SUBMITIT_LOCAL_JOB_ID}_0_log.out" 2>&1'
"""Shell words that give a command the log of its job, where `log_file` looks for it."""


def submit(
    config: Config,
    plan: Plan,
    *,
    on_start: Callable[[Path], None] = lambda folder: None,
    on_wait: Callable[[int], None] = lambda shard: None,
    on_end: Callable[[int, int], None] = lambda shard, status: None,
    stop: StopRequest,
) -> int:
    """Run a plan here, one shard after another, each in processes of its own.

    Args:
        on_start: Called with the folder of the plan.
        on_wait: Called a few times a second with the number of the running shard.
        on_end: Called with the number of a shard and its exit status.
        stop: Called for the reason to stop; "" means to go on.

    Returns:
        The exit status: 0, 1 when videos failed, 2 when a shard could not work at all, 3 when interrupted.
    """
    import submitit  # here: `run` does without

    folder = write_plan(config, plan)
    on_start(folder)
    jobs: list[str] = []
    worst = 0
    for number in range(len(plan.shards)):
        report = folder / "logs" / f"{number}.status"
        with private_folder() as scratch:
            executor = submitit.LocalExecutor(scratch, python=_command(config, plan, number, folder / "logs", report))
            executor.update_parameters(timeout_min=TEN_YEARS, stderr_to_stdout=True)
            with _child_of_its_own(scratch):
                job = executor.submit(nothing)
            jobs.append(job.job_id)
            write_jobs(folder, "local", jobs)
            _wait(job, functools.partial(on_wait, number), stop)
        status = _status(config, plan, number, report)
        on_end(number, status)
        worst = max(worst, status)
        if status >= 2:
            break
    return worst


def _command(config: Config, plan: Plan, number: int, logs: Path, report: Path) -> str:
    """The shell words that do a shard, in place of the interpreter of submitit, which would load a pickle.

    Args:
        report: The file for the exit status.
    """
    words = ["env"]
    if config.slurm.container is not None:
        words += ["-u", "PYTHONPATH", "-u", "PYTHONHOME", "PYTHONNOUSERSITE=1"]
    elif path := python_path(os.environ.get("PYTHONPATH", ""), package_parent()):
        words += [f"PYTHONPATH={path}"]
    words += ["PYTHONSAFEPATH=1", f"{STATUS_FILE}={report}", f"KPSBATCH_LOGS={logs}", "sh", "-c", LOGGED, "sh"]
    return f"{shlex.join(words)} {task_command(config, plan, str(number))}"


@contextlib.contextmanager
def _child_of_its_own(folder: Path) -> Iterator[None]:
    """What starts a child: it starts in an empty folder, as `python -m` imports from it; Ctrl-C is for this process."""
    here = os.open(".", os.O_RDONLY)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(here)
        os.close(here)
        signal.signal(signal.SIGINT, before)


def _status(config: Config, plan: Plan, number: int, report: Path) -> int:
    """The exit status of a shard: the file says it, or else, where the process was killed, the run's own file."""
    try:
        status = int(report.read_text(encoding="ascii"))
        report.unlink()
    except (OSError, ValueError):
        run = read_run(config.output.root, Origin(plan.id, number))
        return 3 if run and run.state == "interrupted" else 2
    return status if status in (0, 1, 3) else 2


def _wait(job: submitit.Job[None], on_wait: Callable[[], None], stop: StopRequest) -> None:
    """Wait for a shard's process; pass on a request to stop."""
    ask_again = 0.0
    try:
        while not job.done():
            if stop() and time.monotonic() > ask_again:
                _request_stop(job)
                ask_again = time.monotonic() + 2
            on_wait()
            time.sleep(POLL_SECONDS)
    except BaseException:
        if not job.done():
            _request_stop(job)
        raise


def _request_stop(job: submitit.Job[None]) -> None:
    """Send SIGTERM to the process that submitit starts for a local job, whose ID is the job's; it passes it on."""
    os.kill(int(job.job_id), signal.SIGTERM)
