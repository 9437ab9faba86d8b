"""Jobs for the pool's tests; imported by worker processes, so they live in a module of their own."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kpsbatch.errors import DatasetError, ModelError
from kpsbatch.work import worker


class Play:
    """Does what the task says: (what, argument)."""

    def close(self) -> None:
        """Nothing to free."""

    def open(self) -> None:
        self.tasks = 0

    def do(self, task: tuple[str, Any], heartbeat: Callable[[], None]) -> Any:
        what, argument = task
        self.tasks += 1
        return getattr(self, what)(argument, heartbeat)

    def echo(self, value: Any, heartbeat: Callable[[], None]) -> Any:
        heartbeat()
        return value

    def process(self, _: Any, heartbeat: Callable[[], None]) -> tuple[int, int]:
        return os.getpid(), self.tasks

    def import_mediapipe(self, _: Any, heartbeat: Callable[[], None]) -> list[str]:
        """What of matplotlib came with it."""
        from kpsbatch.landmarks.mediapipe_import import import_mediapipe

        assert import_mediapipe().tasks.vision.PoseLandmarker
        return sorted(name for name in sys.modules if name.split(".")[0] == "matplotlib")

    def die(self, number: int, heartbeat: Callable[[], None]) -> None:
        print("last words", flush=True)
        os.kill(os.getpid(), number)

    def die_once(self, marker: Path, heartbeat: Callable[[], None]) -> str:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        return "second attempt"

    def leave(self, status: int, heartbeat: Callable[[], None]) -> None:
        os._exit(status)

    def hang(self, _: Any, heartbeat: Callable[[], None]) -> None:
        while True:
            time.sleep(60)

    def leak(self, megabytes: int, heartbeat: Callable[[], None]) -> None:
        """Fill memory step by step, then wait."""
        self.leaked = [bytearray(os.urandom(1 << 20)) for _ in range(megabytes)]
        self.hang(None, heartbeat)

    def grow(self, megabytes: int, heartbeat: Callable[[], None]) -> int:
        """Keep some memory, and go on as usual."""
        self.leaked = [bytearray(os.urandom(1 << 20)) for _ in range(megabytes)]
        return os.getpid()

    def stop(self, _: Any, heartbeat: Callable[[], None]) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def large_then_killed(self, size: int, heartbeat: Callable[[], None]) -> bytes:
        """Kill this process from a child while it sends `size` bytes, which no pipe holds."""
        me = os.getpid()
        if os.fork() == 0:
            time.sleep(0.2)
            os.kill(me, signal.SIGKILL)
            os._exit(0)
        return bytes(size)

    def stop_in_the_middle_of_a_message(self, _: Any, heartbeat: Callable[[], None]) -> bytes:
        """Let this process stop when it has sent half of its answer."""

        def send_half(channel: socket.socket, message: object) -> None:
            data = pickle.dumps(message)
            channel.sendall(len(data).to_bytes(8, "big") + data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGSTOP)

        worker.send = send_half
        return bytes(1000)

    def slow(self, steps_and_seconds: tuple[int, float], heartbeat: Callable[[], None]) -> str:
        """Do steps, each of which takes its time."""
        steps, seconds = steps_and_seconds
        for _ in range(steps):
            time.sleep(seconds)
            heartbeat()
        return "slow"

    def hang_after(self, steps_and_seconds: tuple[int, float], heartbeat: Callable[[], None]) -> None:
        self.slow(steps_and_seconds, heartbeat)
        self.hang(None, heartbeat)

    def do_nothing(self, seconds: float, heartbeat: Callable[[], None]) -> str:
        """Take a step, which is sent after half a second, then some seconds without one."""
        time.sleep(0.6)
        heartbeat()
        time.sleep(seconds)
        return f"after {seconds} s"

    def interrupt(self, _: Any, heartbeat: Callable[[], None]) -> None:
        raise KeyboardInterrupt

    def refuse(self, text: str, heartbeat: Callable[[], None]) -> None:
        raise DatasetError(text)

    def fail(self, text: str, heartbeat: Callable[[], None]) -> None:
        raise RuntimeError(text)

    def unpicklable(self, _: Any, heartbeat: Callable[[], None]) -> Any:
        return lambda: None

    def signals(self, _: Any, heartbeat: Callable[[], None]) -> str:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), number)
        return "still here"

    def variable(self, name: str, heartbeat: Callable[[], None]) -> str | None:
        return os.environ.get(name)


class Unusable(Play):
    """Can't be opened, and knows why."""

    def open(self) -> None:
        raise ModelError("no models here")


class DiesAtStart(Play):
    """Can't be opened, and does not know why."""

    def open(self) -> None:
        raise MemoryError("far too little")


class KilledAtStart(Play):
    """Is killed while it opens, as by the kernel when memory runs out."""

    def open(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class DiesTwiceAtStart(Play):
    """Can't be opened the first two times."""

    def __init__(self, marks: Path) -> None:
        self.marks = marks

    def open(self) -> None:
        super().open()
        count = len(list(self.marks.iterdir()))
        if count < 2:
            (self.marks / str(count)).touch()
            raise MemoryError("far too little")


class HangsAtStart(Play):
    """Never gets ready."""

    def open(self) -> None:
        time.sleep(3600)
