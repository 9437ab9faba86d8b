"""A worker process: loads its landmarkers, then turns one video after another into keypoints.

`WorkerPool` starts it as `python -m kpsbatch.work.worker FD PARENT_PID`, with a socket to talk over. It ignores the
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
from typing import Any

from kpsbatch.errors import KpsbatchError
from kpsbatch.work.job import Job, attempt

HEARTBEAT_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


def send(channel: socket.socket, message: object) -> None:
    """Send one message; OSError when the other side is gone."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(len(data).to_bytes(8, "big") + data)


def receive(channel: socket.socket, on_timeout: Callable[[], None] = lambda: None) -> Any:
    """Wait for one message; OSError or EOFError when the other side is gone.

    Args:
        channel: The socket.
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


class Heartbeat:
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


def end_with_parent(parent: int) -> None:
    """Let the kernel (Linux) send SIGKILL when the thread that started this process ends; end now if it has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(0)


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
        heartbeat = Heartbeat(channel)
        answer = attempt(job, task, heartbeat)
        heartbeat.flush()
        send(channel, answer)


def main() -> None:
    """Entry point of the worker process."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    end_with_parent(parent)
    with socket.socket(fileno=descriptor) as channel, contextlib.suppress(EOFError, ConnectionError):
        serve(channel)
    sys.stdout.flush()
    os._exit(0)  # the kernel frees everything; tearing MediaPipe down can hang


if __name__ == "__main__":
    from kpsbatch.work import worker  # under its real name, so that pickled classes are found

    worker.main()
