"""Tasks done in this process, so that pdb and profilers work (`run.workers: 0`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Generic

from kpsbatch.work.job import Job, Limits, Outcome, ResultT, TaskT, attempt, with_attempts
from kpsbatch.work.pool import WorkerPool


class InProcess(Generic[TaskT, ResultT]):
    """Takes the place of a `WorkerPool`: the same interface, but `submit` does the task before it returns.

    Of the limits only `max_attempts` applies. The variables of `environment` are set until `close`. ModelError when the
    job can't be opened.
    """

    def __init__(self, job: Job[TaskT, ResultT], limits: Limits, environment: Mapping[str, str]) -> None:
        self.capacity = 1
        self.steps = 0
        self._job = job
        self._max_attempts = limits.max_attempts
        self._environment_before = dict(os.environ)
        os.environ.update(environment)
        job.open()

    def submit(self, task: TaskT) -> Future[Outcome[TaskT, ResultT]]:
        """Do a task; its future is done already."""
        future: Future[Outcome[TaskT, ResultT]] = Future()
        future.set_result(with_attempts(lambda: attempt(self._job, task, self._count_step), self._max_attempts))
        return future

    def close(self) -> None:
        """Close the job and set the environment back."""
        self._job.close()
        os.environ.clear()
        os.environ.update(self._environment_before)

    def __enter__(self) -> InProcess[TaskT, ResultT]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _count_step(self, steps: int = 1, /) -> None:
        self.steps += steps


def executor_for(
    workers: int, job: Job[TaskT, ResultT], limits: Limits, environment: Mapping[str, str]
) -> WorkerPool[TaskT, ResultT] | InProcess[TaskT, ResultT]:
    """A pool of so many worker processes, or this process when `workers` is 0."""
    return WorkerPool(workers, job, limits, environment) if workers else InProcess(job, limits, environment)
