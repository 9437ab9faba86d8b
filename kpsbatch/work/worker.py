"""A worker process: owns its landmarkers, turns one video after another into keypoints.

Started by `WorkerPool` as `python -m kpsbatch.work.worker FD PARENT_PID` with a socket to talk over. It ignores the
signals that reach a whole job step; it dies with its parent.
"""

from __future__ import annotations

import signal

IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

if __name__ == "__main__":  # before the slow imports; the parent blocked these signals around the start
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED_SIGNALS)

import ctypes
import os
import pickle
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol

from kpsbatch.errors import KpsbatchError

HEARTBEAT_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


class Job(Protocol):
    """What a worker does: made in the parent, sent over, opened once in each worker."""

    def open(self) -> None:
        """Load what all tasks need; called once, before the first task."""

    def do(self, task: Any, heartbeat: Heartbeat) -> Any:
        """Do one task and return its picklable result."""


@dataclass(frozen=True)
class Done:
    """A task's result."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """A task that failed in a way that another attempt would not mend, or not (`final`)."""

    reason: str
    final: bool


@dataclass(frozen=True)
class Unusable:
    """The worker can't work at all: the message of a KpsbatchError."""

    error: KpsbatchError


@dataclass(frozen=True)
class Ready:
    """The worker has loaded what it needs."""


@dataclass(frozen=True)
class Beat:
    """Steps (frames) done since the last beat."""

    steps: int


class Heartbeat:
    """Tells the parent every half second how many steps were done."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._steps = 0
        self._next = time.monotonic() + HEARTBEAT_SECONDS

    def __call__(self) -> None:
        """Count one step."""
        self._steps += 1
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Tell of the steps counted so far."""
        if self._steps:
            send(self._channel, Beat(self._steps))
        self._steps = 0
        self._next = time.monotonic() + HEARTBEAT_SECONDS


def send(channel: socket.socket, message: object) -> None:
    """Send one message: eight bytes of length, then its pickle.

    Raises:
        OSError: The other side is gone.
    """
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(len(data).to_bytes(8, "big") + data)


def receive(channel: socket.socket) -> Any | None:
    """Wait for one message; None when the other side has closed."""
    size = _receive_exactly(channel, 8)
    if size is None:
        return None
    data = _receive_exactly(channel, int.from_bytes(size, "big"))
    return None if data is None else pickle.loads(data)


def _receive_exactly(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        block = channel.recv(size - len(data))
        if not block:
            return None
        data += block
    return bytes(data)


def die_with_parent(parent: int) -> None:
    """Ask the kernel (Linux) for SIGKILL when the parent ends; ends at once where it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(0)


def serve(channel: socket.socket) -> None:
    """Receive the job, then task after task, until the parent closes the channel."""
    job = receive(channel)
    if job is None:
        return
    try:
        job.open()
    except KpsbatchError as error:
        send(channel, Unusable(error))
        return
    send(channel, Ready())
    while (task := receive(channel)) is not None:
        heartbeat = Heartbeat(channel)
        try:
            answer: Done | Failed = Done(job.do(task, heartbeat))
        except KpsbatchError as error:
            answer = Failed(str(error), final=True)
        except Exception as error:
            answer = Failed(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", final=False)
        heartbeat.flush()
        send(channel, answer)


def main() -> None:
    """Entry point of the worker process."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    with socket.socket(fileno=descriptor) as channel:
        try:
            serve(channel)
        except (BrokenPipeError, ConnectionResetError):
            pass
    sys.stdout.flush()
    os._exit(0)  # the kernel frees everything; tearing MediaPipe down can hang


if __name__ == "__main__":
    from kpsbatch.work import worker  # under its real name, so that pickled classes are found

    worker.main()
