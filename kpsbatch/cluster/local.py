"""This machine as a cluster: the shards of a plan one after another, through submitit's local executor."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kpsbatch.cluster.script import SUBMITIT_VARIABLES, interpreter, package_parent
from kpsbatch.cluster.task import Task
from kpsbatch.config import Config
from kpsbatch.store.run_state import Origin, read_run
from kpsbatch.store.submissions import Plan, write_jobs, write_plan
from kpsbatch.work.signals import StopRequest

if TYPE_CHECKING:
    import submitit

POLL_SECONDS = 0.5
TEN_YEARS = 60 * 24 * 3650
"""In minutes: here no shard has a time limit."""


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
    executor = submitit.LocalExecutor(
        folder / "logs", python=f"env {shlex.join(_variables())} {interpreter(config, mounts=plan.mounts)}"
    )
    executor.update_parameters(timeout_min=TEN_YEARS, stderr_to_stdout=True)
    jobs: list[str] = []
    worst = 0
    for number in range(len(plan.shards)):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for this process alone
        try:
            job = executor.submit(Task(str(folder), number))
        finally:
            signal.signal(signal.SIGINT, before)
        jobs.append(job.job_id)
        write_jobs(folder, "local", jobs)
        _wait(job, functools.partial(on_wait, number), stop)
        status = 0
        if not job.paths.result_pickle.exists():  # submitit does not report the exit status: the run's own file does
            run = read_run(config.output.root, Origin(plan.id, number))
            status = {"finished": 1, "interrupted": 3}.get(run.state if run else "", 2)
        on_end(number, status)
        worst = max(worst, status)
        if status >= 2:
            break
    return worst


def _variables() -> list[str]:
    """The tasks' environment besides this process's own: NAME=VALUE."""
    variables = [f"{name}={value}" for name, value in SUBMITIT_VARIABLES.items()]
    if parent := package_parent():
        variables.append(f"PYTHONPATH={os.pathsep.join(filter(None, (parent, os.environ.get('PYTHONPATH'))))}")
    return variables


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
