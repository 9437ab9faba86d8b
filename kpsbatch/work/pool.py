"""A pool of worker processes in which a lost worker costs one attempt at one task.

Each of `size` threads gives a task to a worker process, blocks on its socket until the answer comes, and starts another
process when that one is lost. The workers share no lock and no queue, so that one that is killed, stopped, hung or gone
with exit status 0 can't hold up the rest. (pebble's pool shares one pipe and one lock among its workers, does not
notice an exit with status 0, and times tasks by the wall clock; ProcessPoolExecutor fails all tasks with one worker.)

`run.workers: 0` puts this process in the place of the workers (`InProcess`), so that pdb and profilers work.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic

import kpsbatch
from kpsbatch.errors import KpsbatchError, ModelError, process_limit
from kpsbatch.startup import module_words, python_path
from kpsbatch.store.tracking import resident_bytes
from kpsbatch.words import program
from kpsbatch.work.cores import PARENT_BYTES, WORKER_BYTES
from kpsbatch.work.worker import (
    HEARTBEAT_SECONDS,
    IGNORED_SIGNALS,
    KILLED_FOR_MEMORY,
    Job,
    Limits,
    Outcome,
    ResultT,
    TaskT,
    attempt,
    receive,
    send,
    with_attempts,
)

START_SECONDS = 120.0
MAX_DEATHS_AT_START = 3
TICK_SECONDS = 0.5
EXIT_SECONDS = 5.0
REAP_SECONDS = 5.0
OUTPUT_BYTES = 4000


class WorkerPool(Generic[TaskT, ResultT]):
    """Does tasks in worker processes; use it in a `with`, which kills the workers at the end.

    Args:
        size: Number of worker processes; each is started when a task needs it.
        job: What they do; pickled to each of them.
        limits: When they are killed or replaced.
        environment: Environment variables for the workers, besides the parent's own.

    Attributes:
        capacity: How many tasks should be unfinished at a time: one for each worker, and two that wait.
        steps: Steps (frames) done so far, also those of lost attempts.
    """

    def __init__(self, size: int, job: Job[TaskT, ResultT], limits: Limits, environment: Mapping[str, str]) -> None:
        self.capacity = size + 2
        self.steps = 0
        self._job = job
        self._limits = limits
        self._environment = {**os.environ, **environment, "PYTHONSAFEPATH": "1"}
        named, ours = self._environment.get("PYTHONPATH", ""), Path(kpsbatch.__file__).parents[1].resolve()
        self._environment["PYTHONPATH"] = python_path(named, str(ours))
        self._workers: list[_Worker] = []
        self._deaths_at_start = 0
        self._closed = False
        self._lock = threading.Lock()
        self._own = threading.local()
        # A worker inherits the blocked signals from the thread that starts it, until it ignores them; and the kernel
        # kills it when that thread ends. These threads live until `close`.
        self._threads = ThreadPoolExecutor(size, "worker", signal.pthread_sigmask, (signal.SIG_BLOCK, IGNORED_SIGNALS))

    @property
    def process_ids(self) -> list[int]:
        """Process IDs of the workers."""
        with self._lock:
            return [worker.process.pid for worker in self._workers]

    def submit(self, task: TaskT) -> Future[Outcome[TaskT, ResultT]]:
        """Queue a task; its future raises ModelError when workers can't start, and CancelledError after `close`."""
        return self._threads.submit(with_attempts, lambda: self._attempt(task), self._limits.max_attempts)

    def close(self) -> None:
        """Kill all workers and drop all tasks."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill("the pool was closed")
        self._threads.shutdown(cancel_futures=True)
        for worker in list(self._workers):
            self._end(worker)

    def __enter__(self) -> WorkerPool[TaskT, ResultT]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _attempt(self, task: TaskT) -> Outcome[TaskT, ResultT]:
        """Give a task to the worker of this thread."""
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker and worker.gone:
            self._end(worker)
            worker = None
        worker = self._own.worker = worker or self._start_worker()
        seconds = self._limits.step_timeout
        silence_problem = f"no new frame for {seconds:g} s (run.video_timeout)"
        silence = seconds + HEARTBEAT_SECONDS
        try:
            outcome: Outcome[TaskT, ResultT] = worker.request(task, silence, silence_problem, self._count_steps)
        except (OSError, EOFError):
            self._end(worker)
            if self._closed:
                raise CancelledError from None
            return Outcome(task, problem=worker.problem, output=worker.output, out_of_memory=worker.out_of_memory)
        worker.tasks_done += 1
        grown = resident_bytes(worker.process.pid) > self._limits.worker_memory / 2
        if grown or worker.tasks_done >= self._limits.tasks_per_worker:
            self._end(worker)
        return outcome

    def _start_worker(self) -> _Worker:
        """Start a worker and wait until it is ready; start another one when it is lost."""
        while True:
            with self._lock:
                if self._closed:
                    raise CancelledError
                worker = _Worker(self._environment, self._limits.worker_memory)
                self._workers.append(worker)
            silence_problem = f"it did not start within {START_SECONDS:g} s"
            try:
                answer: KpsbatchError | None = worker.request(
                    self._job, START_SECONDS, silence_problem, self._count_steps
                )
            except (OSError, EOFError):
                self._end(worker)
                self._count_death_at_start(worker)
            else:
                if answer is not None:
                    raise answer
                self._deaths_at_start = 0
                return worker

    def _count_death_at_start(self, worker: _Worker) -> None:
        with self._lock:
            self._deaths_at_start += 1
            if self._closed or self._deaths_at_start < MAX_DEATHS_AT_START:
                return
        if worker.out_of_memory:
            remedy = (
                f"{KILLED_FOR_MEMORY}; {WORKER_BYTES >> 20} MB a worker and {PARENT_BYTES >> 20} MB are needed. "
                "Get more memory, or lower run.workers."
            )
        else:
            wrote = worker.output.rpartition(chr(10))[2] or "nothing"
            remedy = f"it wrote: {wrote} ({process_limit()}). Run `{program()} check`."
        problem = ModelError(
            f"{MAX_DEATHS_AT_START} worker processes in a row were lost while loading the models, the last "
            f"because {worker.problem}; {remedy}"
        )
        problem.of_node = not worker.out_of_memory
        raise problem

    def _count_steps(self, count: int) -> None:
        with self._lock:
            self.steps += count

    def _end(self, worker: _Worker) -> None:
        self._own.worker = None
        worker.end()
        with self._lock:
            self._workers.remove(worker)


class _Worker:
    """A worker process and the socket to it: used by one thread at a time, killed by any.

    After `end`, `problem`, `output` and `out_of_memory` tell how it ended.
    """

    def __init__(self, environment: Mapping[str, str], max_memory: float) -> None:
        self.tasks_done = 0
        self.problem = self.output = ""
        self.out_of_memory = False
        self._max_memory = max_memory
        self._output_file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, *module_words("kpsbatch.work.worker"), str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._output_file,
                stderr=self._output_file,
                env=environment,
                pass_fds=(theirs.fileno(),),
            )

    @property
    def gone(self) -> bool:
        """Whether it has ended, or was killed."""
        return bool(self.problem) or self.process.poll() is not None

    def request(self, message: object, silence: float, silence_problem: str, on_steps: Callable[[int], None]) -> Any:
        """Send the job or a task, and wait for the answer; OSError or EOFError when the worker is lost.

        A worker is killed when it uses too much memory, before the kernel kills the whole job for that, and, with the
        reason `silence_problem`, when nothing has come for `silence` seconds. They are counted in ticks, not by clocks:
        no time passes for a worker while this process is stopped (SIGSTOP, a suspended job).
        """
        ticks = 0

        def check_memory() -> None:
            if resident_bytes(self.process.pid) > self._max_memory:
                self.kill(f"its worker used more than run.worker_memory ({self._max_memory / 2**20:.0f} MB)")

        def on_tick() -> None:
            nonlocal ticks
            ticks += 1
            if self.problem:
                raise EOFError("killed a tick ago, but the kernel has not ended it")
            if ticks * TICK_SECONDS >= silence:
                self.kill(silence_problem)
            check_memory()

        self._channel.settimeout(START_SECONDS)  # a stopped worker does not read
        send(self._channel, message)
        self._channel.settimeout(TICK_SECONDS)
        while type(answer := receive(self._channel, on_tick)) is int:
            ticks = 0
            on_steps(answer)
            check_memory()
        return answer

    def kill(self, reason: str) -> None:
        """Kill it; the thread that waits for its answer gets EOFError."""
        self.problem = self.problem or reason
        self.process.kill()

    def end(self) -> None:
        """Close the socket, whereupon a worker ends by itself; kill one that does not.

        One that can't be killed, because it hangs in the kernel on a dead file system, is left behind.
        """
        self._channel.close()
        try:
            self.process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill("its worker did not end")
            try:
                self.process.wait(REAP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.returncode = -signal.SIGKILL  # it ends when the kernel releases it
        status = self.process.returncode
        names = {number.value: number.name for number in signal.Signals}
        killed = f"was killed by {names.get(-status, f'signal {-status}')}"
        self.out_of_memory = not self.problem and status == -signal.SIGKILL
        self.problem = self.problem or f"its worker {killed if status < 0 else f'ended with exit status {status}'}"
        self._output_file.seek(max(0, self._output_file.seek(0, os.SEEK_END) - OUTPUT_BYTES))
        self.output = self._output_file.read().decode("utf-8", "replace").strip()
        self._output_file.close()


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
