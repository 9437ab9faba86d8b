"""A pool of worker processes in which a lost worker costs one attempt at one task.

Every worker has a socket of its own and shares no lock and no queue with the others, so that one that is killed,
stopped, hung or gone with exit status 0 can't hold up the rest. (pebble's pool shares one pipe
and one lock among its workers, takes an exit with status 0 for no news, and times tasks by the wall clock.)
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import kpsbatch
from kpsbatch.errors import ModelError
from kpsbatch.work.cores import resident_bytes
from kpsbatch.work.worker import IGNORED_SIGNALS, Beat, Done, Failed, Job, Ready, Unusable, send

START_SECONDS = 120.0
PAUSE_SECONDS = 10.0
MAX_DEATHS_AT_START = 3
MEMORY_SECONDS = 0.5
REAP_SECONDS = 10.0
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: As it was given to `put`.
        value: Its result, when `problem` is empty.
        problem: Why it failed for good.
        attempts: How often it was tried.
        output: The last lines that a lost worker wrote to its standard error.
    """

    task: Any
    value: Any = None
    problem: str = ""
    attempts: int = 1
    output: str = ""


@dataclass
class _Assignment:
    task: Any
    attempts: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    errors: IO[bytes]
    deadline: float
    ready: bool = False
    tasks_done: int = 0
    assignment: _Assignment | None = None
    received: bytearray = field(default_factory=bytearray)


class WorkerPool:
    """Runs tasks in `size` worker processes; use it in a `with`, which kills the workers at the end.

    Args:
        size: Number of worker processes.
        job: What they do; pickled to each of them.
        timeout: Seconds after which a task's worker is killed.
        max_attempts: How often a task is tried when its worker is lost.
        tasks_per_worker: After that many tasks a worker is replaced by a fresh one.
        environment: Environment variables for the workers, besides the parent's own.
        max_memory: Bytes of resident memory above which a worker is killed; one that is above half of it between two
            tasks is replaced. (RLIMIT_DATA would count memory that is reserved and never used, too.)
    """

    def __init__(
        self,
        size: int,
        job: Job,
        *,
        timeout: float,
        max_attempts: int = 2,
        tasks_per_worker: int = 500,
        environment: Mapping[str, str] | None = None,
        max_memory: float = float("inf"),
    ) -> None:
        self.size = size
        self.steps = 0
        self._job = job
        self._timeout = timeout
        self._max_attempts = max_attempts
        self._tasks_per_worker = tasks_per_worker
        self._environment = {**os.environ, **(environment or {})}
        package_parent = str(Path(kpsbatch.__file__).resolve().parent.parent)
        paths = [package_parent, *filter(None, self._environment.get("PYTHONPATH", "").split(os.pathsep))]
        self._environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._max_memory = max_memory
        self._next_look = 0.0
        self._workers: list[_Worker] = []
        self._waiting: deque[_Assignment] = deque()
        self._finished: list[Outcome] = []
        self._deaths_at_start = 0
        self._last_wait = time.monotonic()
        self._selector = selectors.DefaultSelector()

    @property
    def unfinished(self) -> int:
        """Tasks that are waiting or being worked at."""
        return len(self._waiting) + sum(worker.assignment is not None for worker in self._workers)

    @property
    def wants_tasks(self) -> bool:
        """Whether a worker is free, or soon will be, and no task waits for it."""
        return len(self._waiting) < 2 and self.unfinished < self.size + 2

    @property
    def process_ids(self) -> list[int]:
        """Process IDs of the workers."""
        return [worker.process.pid for worker in self._workers]

    def put(self, task: Any) -> None:
        """Queue a task."""
        self._waiting.append(_Assignment(task))
        self._hand_out()

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until tasks have ended, at most `seconds`; also replaces lost workers and kills hung ones.

        Raises:
            ModelError: The workers can't start: what they say.
        """
        self._hand_out()
        limit = 0.0 if self._finished else min(seconds, self._seconds_to_deadline())
        for key, _ in self._selector.select(limit):
            self._read(key.data)
        now = time.monotonic()
        paused = now - self._last_wait - limit
        self._last_wait = now
        for worker in self._workers:
            if paused > PAUSE_SECONDS:  # this process was stopped (SIGSTOP, a suspended job), and perhaps its workers
                worker.deadline += paused
        for worker in [worker for worker in self._workers if worker.deadline < now]:
            worker.process.kill()
            ready = worker.ready
            self._lose(worker, f"ran longer than run.video_timeout ({self._timeout:g} s)" if ready else "did not start")
        if now >= self._next_look:
            self._next_look = now + MEMORY_SECONDS
            self._look_at_memory()
        self._hand_out()
        finished, self._finished = self._finished, []
        return finished

    def _look_at_memory(self) -> None:
        """Kill workers that use too much, before the kernel kills the whole job for it."""
        if self._max_memory == float("inf"):
            return
        for worker in list(self._workers):
            if resident_bytes(worker.process.pid) > self._max_memory:
                worker.process.kill()
                self._lose(worker, f"its worker used more than run.worker_memory ({self._max_memory / 2**20:.0f} MB)")

    def _seconds_to_deadline(self) -> float:
        now = time.monotonic()
        next_look = self._next_look if self._workers and self._max_memory < float("inf") else float("inf")
        return max(0.0, min([next_look, *(worker.deadline for worker in self._workers)]) - now)

    def _hand_out(self) -> None:
        """Start missing workers as far as tasks want them, and give waiting tasks to free ones."""
        for worker in list(self._workers):
            if worker.assignment is None and worker.ready and worker.tasks_done >= self._tasks_per_worker:
                self._stop(worker)
        while len(self._workers) < min(self.size, self.unfinished):
            self._start()
        for worker in list(self._workers):
            if not self._waiting:
                break
            if worker.ready and worker.assignment is None:
                assignment = self._waiting.popleft()
                assignment.attempts += 1
                worker.assignment = assignment
                worker.deadline = time.monotonic() + self._timeout
                try:
                    worker.channel.setblocking(True)
                    send(worker.channel, assignment.task)
                    worker.channel.setblocking(False)
                except OSError:
                    self._lose(worker, "")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its worker
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED_SIGNALS)  # until the worker ignores them
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "kpsbatch.work.worker", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=self._environment,
                pass_fds=(theirs.fileno(),),
            )
        except BaseException:
            ours.close()
            errors.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            theirs.close()
        worker = _Worker(process, ours, errors, deadline=time.monotonic() + START_SECONDS)
        self._workers.append(worker)
        try:
            send(ours, self._job)
        except OSError:
            pass  # it died already; reading finds that
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _read(self, worker: _Worker) -> None:
        """Take in what a worker has sent; whole messages only, so that a stopped worker holds nobody up."""
        if worker not in self._workers:
            return
        try:
            while block := worker.channel.recv(_BLOCK):
                worker.received += block
            closed = True
        except BlockingIOError:
            closed = False
        except OSError:
            closed = True
        while len(worker.received) >= 8:
            end = 8 + int.from_bytes(worker.received[:8], "big")
            if len(worker.received) < end:
                break
            message = pickle.loads(memoryview(worker.received)[8:end])
            del worker.received[:end]
            self._take(worker, message)
        if closed and worker in self._workers:
            self._lose(worker, "")

    def _take(self, worker: _Worker, message: Any) -> None:
        if isinstance(message, Beat):
            self.steps += message.steps
        elif isinstance(message, Ready):
            worker.ready = True
            worker.deadline = float("inf")
            self._deaths_at_start = 0
        elif isinstance(message, Unusable):
            raise message.error
        elif isinstance(message, (Done, Failed)):
            assignment = worker.assignment
            worker.assignment = None
            worker.deadline = float("inf")
            worker.tasks_done += 1
            if resident_bytes(worker.process.pid) > self._max_memory / 2:
                worker.tasks_done = self._tasks_per_worker  # it has grown over many tasks: no fault of the next one
            if assignment is None:
                return
            if isinstance(message, Done):
                self._finished.append(Outcome(assignment.task, message.value, attempts=assignment.attempts))
            else:
                self._retry_or_fail(assignment, message.reason, "", final=message.final)

    def _lose(self, worker: _Worker, problem: str) -> None:
        """A worker is gone, or has to go: its task is tried again or fails."""
        self._kill(worker)
        problem = problem or _describe_exit(worker.process.returncode)
        output = _tail(worker.errors)
        worker.errors.close()
        if worker.assignment is not None:
            self._retry_or_fail(worker.assignment, problem, output, final=False)
        elif not worker.ready:
            self._deaths_at_start += 1
            if self._deaths_at_start >= MAX_DEATHS_AT_START:
                last = output.splitlines()[-1] if output else "it wrote nothing"
                raise ModelError(
                    f"worker processes must start: {MAX_DEATHS_AT_START} in a row {problem} while loading the models "
                    f"(the last wrote: {last}); try `python -m kpsbatch models`"
                )

    def _retry_or_fail(self, assignment: _Assignment, problem: str, output: str, *, final: bool) -> None:
        assignment.problems.append(problem)
        if final or assignment.attempts >= self._max_attempts:
            said = problem if final else "; ".join(f"attempt {i}: {p}" for i, p in enumerate(assignment.problems, 1))
            self._finished.append(Outcome(assignment.task, None, said, assignment.attempts, output))
        else:
            self._waiting.appendleft(assignment)

    def _stop(self, worker: _Worker) -> None:
        """Let an idle worker end by itself."""
        self._selector.unregister(worker.channel)
        worker.channel.close()
        self._workers.remove(worker)
        try:
            worker.process.wait(5)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            _reap(worker.process)
        worker.errors.close()

    def _kill(self, worker: _Worker) -> None:
        self._selector.unregister(worker.channel)
        worker.channel.close()
        self._workers.remove(worker)
        try:
            worker.process.wait(0.2)  # a closed channel mostly means that it is ending: learn its exit status
        except subprocess.TimeoutExpired:
            worker.process.kill()
            _reap(worker.process)

    def close(self) -> None:
        """Kill all workers and forget all tasks."""
        self._waiting.clear()
        for worker in self._workers:
            worker.process.kill()
        for worker in list(self._workers):
            _reap(worker.process)
            self._selector.unregister(worker.channel)
            worker.channel.close()
            worker.errors.close()
        self._workers.clear()
        self._selector.close()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that was killed; one that hangs in the kernel, on a dead file system, is left to it."""
    try:
        process.wait(REAP_SECONDS)
    except subprocess.TimeoutExpired:
        process.returncode = -signal.SIGKILL  # sent; it takes effect when the kernel lets go


def _describe_exit(status: int | None) -> str:
    if status is None:
        return "was lost"
    if status < 0:
        try:
            return f"its worker was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"its worker was killed by signal {-status}"
    return f"its worker ended with exit status {status}"


def _tail(errors: IO[bytes], size: int = 4000) -> str:
    """The last lines of what a worker wrote, for the record of a task that it died in."""
    end = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, end - size))
    return errors.read().decode("utf-8", "replace").strip()
