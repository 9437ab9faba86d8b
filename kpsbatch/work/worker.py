"""A worker process: loads its landmarkers, then turns one video after another into keypoints.

`WorkerPool` starts it with the words FD PARENT_PID, with a socket to talk over. It ignores the
signals that reach a whole job step, and ends with its parent.

The parent sends the job; the worker answers None once it is open, or the KpsbatchError that says why it can't be. Then
the parent sends task after task; to each the worker answers with any number of ints (the steps done since the last one)
and at the end with an Outcome.
"""

from __future__ import annotations

import signal

IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

if __name__ == "__main__":  # before the slow imports; the thread that started this process blocks these signals
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED_SIGNALS)
    from kpsbatch.startup import shorten_imports

    shorten_imports()

import contextlib
import ctypes
import os
import pickle
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from kpsbatch.errors import KpsbatchError

HEARTBEAT_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)

KILLED_FOR_MEMORY = (
    "the kernel does that when memory runs out: ask for more memory (slurm.mem) or fewer workers (run.workers)"
)


class Heartbeat(Protocol):
    """What a job calls while it works, so that it is not taken for hung."""

    def __call__(self, steps: int = 1, /) -> None:
        """Count steps (frames); 0 is a sign of life only."""


class Job(Protocol[TaskT_contra, ResultT_co]):
    """The work: made in the parent, pickled to each worker, opened there once."""

    def open(self) -> None:
        """Load what all tasks need; called before the first task."""

    def close(self) -> None:
        """Free what `open` loaded; not called in a worker, whose end frees everything."""

    def do(self, task: TaskT_contra, heartbeat: Heartbeat) -> ResultT_co:
        """Do one task and return its picklable result; call `heartbeat` after each step (frame)."""


@dataclass(frozen=True)
class Limits:
    """When a worker is killed or replaced.

    Attributes:
        step_timeout: Seconds without a new step (frame) after which a worker is killed.
        max_attempts: How often a task is tried.
        tasks_per_worker: Number of tasks after which a worker is replaced by a fresh one.
        worker_memory: Bytes of resident memory above which a worker is killed; one above half of it after a task is
            replaced. (RLIMIT_DATA would also count memory that is reserved and never used.)
    """

    step_timeout: float
    max_attempts: int = 2
    tasks_per_worker: int = 500
    worker_memory: float = float("inf")


@dataclass(frozen=True)
class Outcome(Generic[TaskT, ResultT]):
    """What became of a task, or of one attempt at it.

    Attributes:
        task: As it was submitted.
        value: Its result; None when it failed.
        problem: Why it failed; "" when it succeeded.
        final: Whether another attempt is pointless.
        attempts: How often it was tried.
        output: The last lines that a lost worker wrote.
        out_of_memory: Whether its worker was killed by SIGKILL, and not by the pool: mostly by the kernel, for memory.
    """

    task: TaskT
    value: ResultT | None = None
    problem: str = ""
    final: bool = False
    attempts: int = 1
    output: str = ""
    out_of_memory: bool = False


def attempt(job: Job[TaskT, ResultT], task: TaskT, heartbeat: Heartbeat) -> Outcome[TaskT, ResultT]:
    """Do a task once. After a KpsbatchError another attempt is pointless; any other error allows one."""
    try:
        return Outcome(task, job.do(task, heartbeat))
    except KpsbatchError as error:
        return Outcome(task, problem=str(error), final=True)
    except Exception as error:
        return Outcome(task, problem=f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")


def with_attempts(try_once: Callable[[], Outcome[TaskT, ResultT]], max_attempts: int) -> Outcome[TaskT, ResultT]:
    """Try a task until it succeeds, fails for good, or has had all its attempts."""
    problems: list[str] = []
    while True:
        outcome = try_once()
        problems.append(f"attempt {len(problems) + 1}: {outcome.problem}")
        if not outcome.problem or outcome.final:
            return replace(outcome, attempts=len(problems))
        if len(problems) == max_attempts:
            advice = [KILLED_FOR_MEMORY] if outcome.out_of_memory else []
            return replace(outcome, problem="; ".join(problems + advice), attempts=max_attempts)


def send(channel: socket.socket, message: object) -> None:
    """Send one message; OSError when the other side is gone."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(len(data).to_bytes(8, "big") + data)


def receive(channel: socket.socket, on_timeout: Callable[[], None] = lambda: None) -> Any:
    """Wait for one message; OSError or EOFError when the other side is gone.

    Args:
        on_timeout: Called whenever the socket's timeout has passed without a byte; to end the wait, it raises.
    """
    size = int.from_bytes(_receive_bytes(channel, 8, on_timeout), "big")
    return pickle.loads(_receive_bytes(channel, size, on_timeout))


def _receive_bytes(channel: socket.socket, size: int, on_timeout: Callable[[], None]) -> bytearray:
    data = bytearray(size)
    missing = memoryview(data)
    while missing:
        try:
            count = channel.recv_into(missing)
        except TimeoutError:
            on_timeout()
            continue
        if count == 0:
            raise EOFError("the other side has closed the socket")
        missing = missing[count:]
    return data


class SentHeartbeat:
    """Counts the steps of a task, and sends the count to the parent at most every half second."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._steps = 0
        self._next = time.monotonic() + HEARTBEAT_SECONDS

    def __call__(self, steps: int = 1, /) -> None:
        """Count steps; 0 is a sign of life only."""
        self._steps += steps
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Send the steps counted so far, which can be none."""
        send(self._channel, self._steps)
        self._steps = 0
        self._next = time.monotonic() + HEARTBEAT_SECONDS


def serve(channel: socket.socket) -> None:
    """Open the job, then do task after task; ends with OSError or EOFError when the parent closes the channel."""
    job: Job[Any, Any] = receive(channel)
    try:
        job.open()
    except KpsbatchError as error:
        send(channel, error)
        return
    send(channel, None)
    while True:
        task = receive(channel)
        heartbeat = SentHeartbeat(channel)
        answer = attempt(job, task, heartbeat)
        heartbeat.flush()
        send(channel, answer)


def main() -> None:
    """Entry point of the worker process."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":  # the kernel sends SIGKILL when the thread that started this process ends
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it has ended already
        sys.exit(0)
    with socket.socket(fileno=descriptor) as channel, contextlib.suppress(EOFError, ConnectionError):
        serve(channel)
    sys.stdout.flush()
    os._exit(0)  # the kernel frees everything; tearing MediaPipe down can hang


if __name__ == "__main__":
    from kpsbatch.work import worker  # under its real name, so that pickled classes are found

    worker.main()
