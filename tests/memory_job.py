"""A job for the tests of runs; imported by worker processes, so it lives in a module of its own."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
from processes import workers_of

from kpsbatch.landmarks.extract import VideoKeypoints
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.work.video_job import VideoTask


class LargeVideo:
    """Made-up points; while a mark is left, takes it away and is killed by a video named large, as for memory."""

    def __init__(self, marks: Path) -> None:
        self.marks = marks

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(Path(__file__).parent)}

    def prepared(self) -> contextlib.AbstractContextManager[None]:
        """Nothing to prepare."""
        return contextlib.nullcontext()

    def open(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to free."""

    def do(self, task: VideoTask, heartbeat: Callable[[], None]) -> list[VideoKeypoints]:
        if task.videos[0].name == "large":
            for mark in self.marks.iterdir():
                mark.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            (self.marks.parent / "workers").write_text(str(len(workers_of(os.getppid()))))
        return [VideoKeypoints(np.zeros((1, 184, 4), np.float32), VideoFacts(frames=1)) for _ in task.videos]
