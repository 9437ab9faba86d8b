"""What the fault harness does inside of `python -m kpsbatch` and its workers; the product knows nothing of it.

KPSBATCH_FAULTS holds JSON: {"root": the output folder, "marks": a folder, "stub": bool, "seed": int, "faults": [...]}.
A fault says where it strikes: {"role": "parent", "step": 7, "when": "before", "do": "kill"}, and so on.
"""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stale_views import Node

_open, _replace, _fsync, _unlink, _time = io.open, os.replace, os.fsync, os.unlink, time.time


class Steps:
    """Counts the steps of the store (open, write, fsync, rename, unlink below the output folder), and disturbs them."""

    def __init__(self, root: str, faults: list[dict[str, Any]], log: str) -> None:
        self.root, self.faults, self.log = root, faults, log
        self.counter = itertools.count()
        self.lock = threading.Lock()

    def around(self, kind: str, path: Any, do: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        if not os.fspath(path).startswith(self.root):
            return do()
        with self.lock:
            number = next(self.counter)
            if self.log:
                descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.write(descriptor, f"{kind}\n".encode())
                os.close(descriptor)
        mine = [f for f in self.faults if f["step"] == number or (f.get("onwards") and number > f["step"])]
        mine = [f for f in mine if f.get("kind", kind) == kind]
        for fault in mine:
            if fault["when"] == "half" and half is not None:
                half()
            if fault["when"] != "after":
                strike(fault, self.root)
        result = do()
        for fault in mine:
            if fault["when"] == "after":
                strike(fault, self.root)
        return result

    def install(self) -> None:
        steps = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                def half() -> None:
                    super(Raw, self).write(bytes(data)[: len(data) // 2])

                return int(steps.around("write", self.name, lambda: super(Raw, self).write(data), half))

        def open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if mode == "x+b" and os.fspath(file).startswith(steps.root):
                return steps.around("open", file, lambda: io.BufferedRandom(Raw(file, "x+b")))
            return _open(file, mode, *arguments, **options)

        def replace(source: Any, target: Any) -> None:
            steps.around("rename", target, lambda: _replace(source, target))

        def fsync(descriptor: int) -> None:
            steps.around("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), lambda: _fsync(descriptor))

        def unlink(path: Any, **options: Any) -> None:
            steps.around("unlink", path, lambda: _unlink(path, **options))

        io.open = open_file
        os.replace, os.fsync = replace, fsync  # type: ignore[assignment]
        os.unlink = unlink


def strike(fault: dict[str, Any], root: str) -> None:
    """Do what a fault does."""
    what = fault["do"]
    if what.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[what])
    elif what == "group":
        os.killpg(0, signal.SIGKILL)
    elif what == "exit0":
        os._exit(0)
    elif what == "hang":
        threading.Event().wait()
    elif what == "leak":
        leaked = []
        while True:
            leaked.append(bytearray(os.urandom(1 << 20) * 16))
            time.sleep(0.02)
    elif what == "remove root":
        shutil.rmtree(root, ignore_errors=True)
    else:
        number = getattr(errno, what)
        raise OSError(number, os.strerror(number))


def only_once(marks: str, name: str) -> bool:
    """Whether nobody, in any process, was here before."""
    try:
        os.close(os.open(os.path.join(marks, name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def disturb_frames(faults: list[dict[str, Any]], marks: str, root: str) -> None:
    """Strike after a number of frames, in the first worker that gets there, or in every one (a poison video)."""
    from kpsbatch.work.video_job import VideoJob

    do = VideoJob.do
    frames = itertools.count()

    def disturbed(self: Any, task: Any, heartbeat: Callable[[int], None]) -> Any:
        names = [f"{task.unit.name}/{video.name}" for video in task.videos]

        def beat(steps: int = 1, /) -> None:
            heartbeat(steps)
            number = next(frames)
            for fault in faults:
                poisoned = fault.get("poison") in names
                if poisoned or (fault.get("frame") == number and only_once(marks, f"frame-{number}")):
                    strike(fault, root)

        return do(self, task, beat)

    VideoJob.do = disturbed  # type: ignore[method-assign]


def disturb_reads(faults: list[dict[str, Any]], marks: str) -> None:
    """Let the reading of a frame fail, some times or always."""
    opened = io.open

    def open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        for fault in faults:
            if mode == "rb" and os.fspath(file).endswith(fault["path"]):
                for time_ in range(fault["times"]):
                    if only_once(marks, f"read-{time_}"):
                        strike(fault, "")
        return opened(file, mode, *arguments, **options)

    io.open = open_file


def use_stub() -> None:
    """Put networks and an engine in place that compute something from the picture, at once."""
    from collections.abc import Iterable, Iterator

    import numpy as np

    from kpsbatch.landmarks import clip, networks
    from kpsbatch.landmarks.clip import FrameLandmarks

    class Stub:
        def __init__(self, settings: Any, *_: Any) -> None:
            self.settings = settings

        def close(self) -> None:
            pass

    def follow_clip(images: Iterable[Any], stub: Stub, *_: Any) -> Iterator[FrameLandmarks]:
        for image in images:
            tiles = image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8].reshape(
                8, -1, 8, image.shape[1] // 8, 3
            )
            means = tiles.mean(axis=(1, 3)).reshape(-1).astype(np.float32) / 255  # 192 numbers
            pose = np.resize(means, (33, 4))
            points = (pose[16, :3] + 0.01 * np.resize(means, (21, 3))).astype(np.float32)
            face = np.resize(means, (478, 3))
            yield FrameLandmarks(pose, face, {"right": points}, {"pose": "d", "face": "d", "right_hand": "d"})

    networks.Networks = Stub  # type: ignore[assignment,misc]
    clip.follow_clip = follow_clip  # type: ignore[assignment]


def note_stores(log: str) -> None:
    """Note each unit that is handed to the store: by which node, which unit, and whether it was written."""
    from kpsbatch.store.outputs import Outputs

    store = Outputs.store

    def noted(self: Any, unit: Any, *arguments: Any, **options: Any) -> bool:
        written = store(self, unit, *arguments, **options)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{socket.gethostname()} {unit.name} {written}\n".encode())
        os.close(descriptor)
        return written

    Outputs.store = noted  # type: ignore[method-assign]


def jumping_clock(seed: int) -> Callable[[], float]:
    """A clock that jumps back and forth by minutes to years."""
    draw = random.Random(seed)
    state = {"offset": 0.0}

    def jump() -> float:
        if draw.random() < 0.2:
            state["offset"] = draw.choice([-1, 1]) * 10 ** draw.uniform(1, 8)
        return _time() + state["offset"]

    return jump


def install() -> None:
    """Install what KPSBATCH_FAULTS asks for, if this process is kpsbatch or a worker of it."""
    arguments = sys.orig_argv[1:]
    modules = (("worker", "kpsbatch.work.worker"), ("parent", "kpsbatch"), ("parent", "kpsbatch.cluster.task"))
    role = next((role for role, module in modules if module in arguments), "")
    if not role:
        return
    spec = json.loads(os.environ["KPSBATCH_FAULTS"])
    faults = [fault for fault in spec["faults"] if fault["role"] == role]
    if spec.get("clock"):
        time.time = jumping_clock(spec["seed"] + os.getpid())
    if role == "parent":
        Steps(spec["root"], [fault for fault in faults if "step" in fault], spec.get("log", "")).install()
        if node := spec.get("node"):
            Node(node, spec["root"]).install()
            sys.path.insert(0, str(Path(__file__).parents[3]))
            note_stores(os.path.join(spec["marks"], "stores"))
            use_stub()  # for run.workers=0
        return
    sys.path.insert(0, str(Path(__file__).parents[3]))
    if spec["stub"]:
        use_stub()
    disturb_frames([fault for fault in faults if "frame" in fault or "poison" in fault], spec["marks"], spec["root"])
    disturb_reads([fault for fault in faults if "path" in fault], spec["marks"])
