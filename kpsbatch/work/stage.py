"""Staging: videos are copied to a local disk ahead of the workers, so that these do not wait for a slow file system.

with Stage(config.run.stage, ahead=10, frame_rate=30) as stage:
    for task in stage.ahead(tasks):  # as given, but of copies
        ...
        stage.release(task.unit)  # when all of the unit's tasks are done
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from kpsbatch.dataset.reading import copy_video
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.files import is_stale, temporary_path
from kpsbatch.work.video_job import VideoTask

COPIERS = 8
"""Threads that copy: a network file system answers many requests at once."""

MAX_BYTES = 4 << 30
"""Copies that lie there at a time; never more than half of what was free at the start."""

_NAME = "kpsbatch-stage"


class Stage:
    """A folder of copies; use it in a `with`, which removes it at the end, and what killed runs left at the start.

    A video that can't be copied, for which there is no room, or that is a part of a video file, is read where it is.

    Args:
        setting: `run.stage`; None: everything is read where it is.
        ahead: How many tasks are copied ahead.
        frame_rate: Frames a second of folders of frames.
        max_bytes: What the copies may take at a time.
    """

    def __init__(self, setting: str | None, *, ahead: int, frame_rate: float, max_bytes: int = MAX_BYTES) -> None:
        self._setting, self._ahead, self._frame_rate, self._room = setting, ahead, frame_rate, max_bytes
        self._closed = False
        self._copies: dict[Unit, list[tuple[Path, Path]]] = {}
        self._bytes: dict[Unit, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Stage:
        """Make the folder.

        Raises:
            ConfigError: `run.stage` names none that can be written.
        """
        if self._setting is not None:
            base = stage_folder(self._setting)
            try:
                base.mkdir(parents=True, exist_ok=True)
                with os.scandir(base) as entries:
                    stale = [entry.path for entry in entries if entry.name.startswith(f".{_NAME}.") and is_stale(entry)]
                for path in stale:  # of runs that were killed: on this machine, or more than an hour ago
                    shutil.rmtree(path, ignore_errors=True)
                self._room = min(self._room, shutil.disk_usage(base).free // 2)
                self._folder = temporary_path(base / _NAME)
                self._folder.mkdir(mode=0o700)
            except OSError as error:
                raise ConfigError(
                    f"run.stage: {base} can't be written: {error.strerror}. Name a folder of a local disk, or null."
                ) from None
            self._copiers = ThreadPoolExecutor(COPIERS, "stage")
        return self

    def __exit__(self, *error: object) -> None:
        self._closed = True
        if self._setting is not None:
            self._copiers.shutdown(cancel_futures=True)
            shutil.rmtree(self._folder, ignore_errors=True)

    def ahead(self, tasks: Iterator[VideoTask]) -> Iterator[VideoTask]:
        """The same tasks in the same order, of copies."""
        if self._setting is None:
            yield from tasks
            return
        copied: deque[Future[VideoTask]] = deque()
        for task in tasks:
            copied.append(self._copiers.submit(self._copy, task))
            if len(copied) > self._ahead:
                yield copied.popleft().result()
        while copied:
            yield copied.popleft().result()

    def release(self, unit: Unit) -> None:
        """Remove the copies of a unit."""
        with self._lock:
            self._room += self._bytes.pop(unit, 0)
            copies = self._copies.pop(unit, [])
        for _, copy in copies:
            shutil.rmtree(copy.parent, ignore_errors=True)

    def with_real_paths(self, unit: Unit, text: str) -> str:
        """A text about a unit's copies, with the paths of what they are copies of."""
        for original, copy in self._copies.get(unit, []):
            text = text.replace(str(copy), str(original))
        return text

    def _copy(self, task: VideoTask) -> VideoTask:
        """The task of a copy; the task itself where there is none."""
        if self._closed or len(task.videos) > 1:
            return task
        [video] = task.videos
        folder = temporary_path(self._folder / "video")

        def room() -> int:
            return 0 if self._closed else self._room

        try:
            copied = copy_video(video, folder, frame_rate=self._frame_rate, room=room)
        except (OSError, DatasetError):  # told when it is read where it is
            copied = None
        if copied is None:
            shutil.rmtree(folder, ignore_errors=True)
            return task
        with self._lock:
            self._room -= copied.bytes
            self._bytes[task.unit] = self._bytes.get(task.unit, 0) + copied.bytes
            self._copies.setdefault(task.unit, []).append((video.path, copied.video.path))
        return VideoTask(task.unit, (copied.video,))


def stage_folder(setting: str) -> Path:
    """The folder that `run.stage` names on this machine.

    Raises:
        ConfigError: A variable in it is not set here, or it is no absolute path.
    """
    text = os.path.expanduser(os.path.expandvars(setting))
    if missing := re.search(r"\$(\w+|\{[^}]*\})", text):
        raise ConfigError(
            f"run.stage: {missing[0]} is not set on this machine. Name a folder of a local disk, or null."
        )
    if not os.path.isabs(text):
        raise ConfigError(f"run.stage: {text!r} is not an absolute path here. Name a folder of a local disk, or null.")
    return Path(text)
