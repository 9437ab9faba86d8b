"""Rounds of `python -m kpsbatch run` with faults, and what must hold after each."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from processes import REPOSITORY, alive, wait_until, workers_of
from synthetic.demo import DemoDataset

from kpsbatch.config import load_config
from kpsbatch.dataset.source import open_source
from kpsbatch.dataset.video import Unit
from kpsbatch.files import INTERNAL, temporary_path
from kpsbatch.landmarks.full import unpack
from kpsbatch.landmarks.keypoints import view
from kpsbatch.look.verify import verify
from kpsbatch.work.worker import KILLED_FOR_MEMORY

HOOKS = Path(__file__).parent / "hooks"
DEAD = 2**22 + 1  # above the largest process ID that Linux gives
STALE = 10_000
Files = dict[str, dict[str, NDArray[Any]]]
Fault = dict[str, Any]

OTHER_RUN = r"^kpsbatch: another run is at work on these outputs .*\n"
"""What a run says beside another one; it is not an error."""


@dataclass
class Bench:
    """The demo dataset, and what an undisturbed run makes of it.

    Attributes:
        demo: The dataset.
        stub: Whether the landmarkers are stubs.
        seed: Of all that is drawn.
        expected: The arrays of an undisturbed run.
        steps: The kinds of the store's steps in an undisturbed run, in order.
        seconds: How long that took.
    """

    demo: DemoDataset
    stub: bool
    seed: int
    expected: Files = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Round:
    """One round: a folder of its own, and what is known of its processes."""

    bench: Bench
    folder: Path
    draw: random.Random
    number: int
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    said: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The output folder; it has a parent of its own, so that it can be a mount or be removed."""
        return self.folder / "disk" / "out"

    def start(
        self, *arguments: str, command: str = "run", faults: list[Fault] | None = None, **spec: Any
    ) -> subprocess.Popen[str]:
        """Start a run, or another command, in a session of its own."""
        for name in ("marks", "tmp", "disk"):
            (self.folder / name).mkdir(exist_ok=True)
        hooks = {
            "root": str(self.root),
            "marks": str(self.folder / "marks"),
            "stub": self.bench.stub,
            "seed": self.number,
            "faults": faults or [],
            **spec,
        }
        environment = {
            **os.environ,
            "PYTHONPATH": str(HOOKS),
            "KPSBATCH_FAULTS": json.dumps(hooks),
            "KPSBATCH_ROUND": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
        }
        settings = [f"output.root={self.root}", "run.workers=2"]
        words = [sys.executable, "-m", "kpsbatch", command, str(self.bench.demo.config), "--quiet"]
        process = subprocess.Popen(
            [*words, *(word for setting in settings for word in ("--set", setting)), *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def end(self, *processes: subprocess.Popen[str]) -> list[int]:
        """Wait for runs to end; notes what they said."""
        statuses = []
        for process in processes or self.processes:
            out, error = process.communicate()
            statuses.append(process.returncode)
            self.said.append((process.returncode, out, error))
        return statuses

    def run(self, *arguments: str, **options: Any) -> int:
        """A run from start to end."""
        return self.end(self.start(*arguments, **options))[0]

    def pause(self) -> None:
        """Wait for a random moment of a run."""
        time.sleep(self.draw.random() * self.bench.seconds)


def left_processes(folder: Path) -> list[int]:
    """Processes, zombies aside, that were started in a round."""
    mark = f"KPSBATCH_ROUND={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                    found.append(int(entry.name))
    return found


def read_outputs(root: Path) -> Files:
    """Every output, read to the last byte by NumPy."""
    files: Files = {}
    for path in sorted(root.glob("*-*/*.npz")):
        with np.load(path) as stored:
            files[str(path.relative_to(root))] = {name: stored[name] for name in stored.files}
    return files


def check_state(this: Round) -> None:
    """What must hold at any time: every final name is whole, and has its record, which accounts for every video."""
    wait_until(lambda: not left_processes(this.folder))
    config = load_config(this.bench.demo.config, [f"output.root={this.root}"])
    files = read_outputs(this.root)
    source = open_source(config.dataset, this.bench.demo.config.parent / "index")
    for unit in source.units():
        records = list((this.root / INTERNAL / "records").glob(f"*/{unit.name}*.json"))
        name = f"{unit.name}.npz"
        if name not in files and not records:
            continue  # not done yet
        [path] = records
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["state"] == {0: "complete"}.get(len(path.suffixes) - 1, path.suffixes[0][1:])
        if name in files:
            data = (this.root / name).read_bytes()
            assert record["npz"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            assert list(files[name]) == [key for key, video in record["videos"].items() if "error" not in video]
        check_full(this.root, unit, record, files.get(name))
        videos = {video.name for video in source.listing(unit).videos}
        assert set(record["videos"]) == videos
        assert all(video.get("error", "why") for video in record["videos"].values())
        for key, array in files.get(name, {}).items():
            np.testing.assert_allclose(array, this.bench.expected[name][key], atol=1e-4)


def check_full(root: Path, unit: Unit, record: dict[str, Any], arrays: dict[str, NDArray[Any]] | None) -> None:
    """All landmarks of a recorded unit are there, whole, and make its npz to the bit."""
    path = root / INTERNAL / "full" / record["fingerprint"] / f"{unit.name}.npz"
    if record["full"] is None:
        assert not path.exists() and record["state"] == "failed"
        return
    data = path.read_bytes()
    assert record["full"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    with np.load(path) as stored:
        for name, array in (arrays or {}).items():
            np.testing.assert_array_equal(view(unpack(stored[name])), array)


def check_said(this: Round, statuses: set[int]) -> None:
    """Runs end as they promise, and say what went wrong in one line."""
    for status, out, error in this.said:
        assert status in statuses, (status, out, error)
        error = re.sub(OTHER_RUN, "", error)
        assert (status in (2, 3)) == bool(error), (status, out, error)
        assert not error or (error.startswith("kpsbatch: ") and error.count("\n") == 1), (status, error)
    this.said.clear()


def check_end(this: Round) -> None:
    """A rerun without faults ends as an undisturbed run, and leaves nothing lying about."""
    assert this.run("--retry-failed") == 0, this.said
    files = read_outputs(this.root)
    assert files.keys() == this.bench.expected.keys()
    check_state(this)
    verdict = verify(load_config(this.bench.demo.config, [f"output.root={this.root}"]))
    assert (verdict.problems, verdict.left, verdict.failed_videos) == ([], [], 0)
    assert [path for path in this.root.rglob("*") if path.name.endswith(".partial")] == []
    assert list((this.folder / "tmp").iterdir()) == []
    with (this.root / INTERNAL / "store.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


ANY_END = {0, 1, 2, 3, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGUSR2}


def a_step(this: Round, kinds: tuple[str, ...] = ()) -> int:
    """A step of the store: all of them in turn, in a fixed random order."""
    fitting = [number for number, kind in enumerate(this.bench.steps) if not kinds or kind in kinds]
    assert fitting, f"the hooks saw no step of {kinds}: they follow the calls of kpsbatch.files, which changed"
    random.Random(this.bench.seed).shuffle(fitting)
    return fitting[this.number // len(KINDS) % len(fitting)]


def killed_at_a_step(this: Round) -> set[int]:
    """SIGKILL of the parent before or after a write, fsync, rename or removal."""
    when = this.draw.choice(["before", "after", "half"])
    fault = {"role": "parent", "step": a_step(this), "when": when, "do": this.draw.choice(["SIGKILL", "group"])}
    this.run(faults=[fault])
    return {0, -signal.SIGKILL}


def signal_at_a_step(this: Round) -> set[int]:
    """SIGTERM or SIGINT at a step of the store."""
    number = this.draw.choice(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"])
    this.run(faults=[{"role": "parent", "step": a_step(this), "when": "before", "do": number}])
    return {0, 3, -signal.Signals[number]}


def killed_at_a_moment(this: Round) -> set[int]:
    """SIGKILL of the parent, of a worker or of the whole group at a random moment."""
    process = this.start()
    this.pause()
    victim = this.draw.choice(["parent", "worker", "group"])
    with contextlib.suppress(ProcessLookupError):
        if victim == "group":
            os.killpg(process.pid, signal.SIGKILL)
        elif victim == "parent":
            process.kill()
        elif workers := workers_of(process.pid):
            os.kill(this.draw.choice(workers), signal.SIGKILL)
    this.end()
    return {0, 1, -signal.SIGKILL}


def signal_at_a_moment(this: Round) -> set[int]:
    """A signal to stop, to the parent or the whole group, at a random moment."""
    process = this.start()
    this.pause()
    number = this.draw.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2])
    if number == signal.SIGINT:  # while Python itself starts it dies of this in its own way, with status 1
        wait_until(lambda: (this.root / INTERNAL).exists() or process.poll() is not None)
    with contextlib.suppress(ProcessLookupError):
        this.draw.choice([os.kill, os.killpg])(process.pid, number)
    this.end()
    return {0, 3, -number}


def stopped_and_continued(this: Round) -> set[int]:
    """SIGSTOP and SIGCONT of the parent, a worker or the whole group."""
    process = this.start()
    this.pause()
    victim = this.draw.choice(["parent", "worker", "group"])
    with contextlib.suppress(ProcessLookupError):
        pids = {"group": [-process.pid], "parent": [process.pid], "worker": workers_of(process.pid)[:1]}[victim]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                os.kill(pid, number)
            time.sleep(0.2)
    this.end()
    return {0}


def storage_error(this: Round) -> set[int]:
    """A full disk, a full quota, a read-only or failing file system, from some step on or for one step."""
    number = this.draw.choice(["ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "EACCES"])
    fault = {"role": "parent", "step": a_step(this), "when": "before", "do": number}
    this.run(faults=[{**fault, "onwards": this.draw.random() < 0.5}])
    return {0, 2}


def quota_in_the_middle(this: Round) -> set[int]:
    """Half of a write arrives, then the quota or the disk is full."""
    fault = {"role": "parent", "step": a_step(this, ("write",)), "kind": "write", "when": "half"}
    this.run(faults=[{**fault, "do": this.draw.choice(["EDQUOT", "ENOSPC"]), "onwards": True}])
    return {0, 2}


def rename_that_happened(this: Round) -> set[int]:
    """A rename that fails although it happened (NFS)."""
    fault = {"role": "parent", "step": a_step(this, ("rename",)), "kind": "rename", "when": "after", "onwards": True}
    this.run(faults=[{**fault, "do": this.draw.choice(["ENOENT", "EIO", "ESTALE"])}])
    return {0}


def root_removed(this: Round) -> set[int]:
    """The output folder is removed under the run."""
    this.run(faults=[{"role": "parent", "step": a_step(this), "when": "before", "do": "remove root"}])
    return {0, 2}


def frame_error(this: Round) -> set[int]:
    """EIO or ESTALE on a frame: for a moment, or for good."""
    times = this.draw.choice([1, 3, 50])
    video = this.draw.choice([video for video in this.bench.demo.videos if not video.as_file])
    fault = {"role": "worker", "path": f"{video.name}/frame{this.draw.randrange(1, 10)}.jpg", "times": times}
    assert this.run(faults=[{**fault, "do": this.draw.choice(["EIO", "ESTALE"])}]) == (1 if times == 50 else 0)
    return {0, 1}


def worker_lost(this: Round) -> set[int]:
    """A worker ends in the middle of a video, by a signal or with status 0: the next attempt does it."""
    what = this.draw.choice(["SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS", "exit0"])
    assert this.run(faults=[{"role": "worker", "frame": this.draw.randrange(15), "do": what}]) == 0
    return {0}


def poison_video(this: Round) -> set[int]:
    """A video that kills every worker: failed with the signal, and the others of its unit are kept."""
    what = this.draw.choice(["SIGSEGV", "SIGABRT", "SIGKILL", "exit0"])
    video = this.draw.choice(this.bench.demo.videos)
    unit = Unit(video.signer, video.split, video.sign)
    assert this.run(faults=[{"role": "worker", "poison": f"{unit.name}/{video.name}", "do": what}]) == 1
    [path] = (this.root / INTERNAL / "records").glob(f"*/{unit.name}.*.json")
    videos = json.loads(path.read_text())["videos"]
    how = "its worker ended with exit status 0" if what == "exit0" else f"its worker was killed by {what}"
    advice = f"; {KILLED_FOR_MEMORY}" if what == "SIGKILL" else ""
    assert videos[video.name]["error"] == f"attempt 1: {how}; attempt 2: {how}{advice}"
    assert [name for name, found in videos.items() if "error" in found] == [video.name]
    return {1}


def retry_killed(this: Round) -> set[int]:
    """A retry of failed videos that goes no better, and is killed or finds a full disk at a step."""
    video = this.draw.choice(this.bench.demo.videos)
    poison = {"role": "worker", "poison": f"{video.signer}-{video.split}/{video.sign:04}/{video.name}", "do": "exit0"}
    assert this.run(faults=[poison]) == 1
    fault = {"role": "parent", "step": this.draw.randrange(30), "when": this.draw.choice(["before", "after"])}
    fault["do"] = this.draw.choice(["SIGKILL", "ENOSPC"])
    this.run("--retry-failed", faults=[poison, fault])
    return {1, 2, -signal.SIGKILL}


def hung_worker(this: Round) -> set[int]:
    """A worker that hangs is killed at the time limit."""
    fault = {"role": "worker", "frame": this.draw.randrange(12), "do": "hang"}
    this.run("--set", "run.video_timeout=4", faults=[fault])
    return {0, 1}  # on a busy machine four seconds can be too few for others, too


def leaking_worker(this: Round) -> set[int]:
    """A worker that leaks is killed at its limit."""
    limit = ("--set", "run.worker_memory=640")
    video = this.draw.choice(this.bench.demo.videos)
    unit = Unit(video.signer, video.split, video.sign)
    assert this.run(*limit, faults=[{"role": "worker", "poison": f"{unit.name}/{video.name}", "do": "leak"}]) == 1
    [path] = (this.root / INTERNAL / "records").glob(f"*/{unit.name}.*.json")
    error = json.loads(path.read_text())["videos"][video.name]["error"]
    assert error.startswith("attempt 1: its worker used more than run.worker_memory (640 MB)")
    return {1}


def runs_at_once(this: Round) -> set[int]:
    """Two or five runs of the same config at once; one may be killed."""
    for _ in range(this.draw.choice([2, 2, 5])):
        this.start()
        time.sleep(this.draw.random() * 0.2)
    if this.draw.random() < 0.5:
        this.pause()
        this.processes[0].kill()
    this.end()
    return {0, -signal.SIGKILL}


def jumping_clock(this: Round) -> set[int]:
    """A clock that jumps by up to three years, back and forth, in all processes of two runs."""
    for _ in range(2):
        this.start(clock=True)
    assert this.end() == [0, 0]
    return {0}


def stale_files(this: Round) -> set[int]:
    """10,000 temporary files of processes that are gone."""
    folders = [
        this.root / "01-train",
        this.root / INTERNAL / "runs",
        this.root / INTERNAL / "records" / "0" / "01-train",
    ]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(STALE):
        path = temporary_path(folders[number % 2] / f"{number % 500:04}.npz")
        path.with_name(path.name.replace(f".{os.getpid()}.", f".{DEAD}.")).touch()
    assert this.run() == 0
    return {0}


def killed_again_and_again(this: Round) -> set[int]:
    """The same command, killed at a random moment again and again, gets there."""
    for _ in range(4):
        process = this.start()
        this.pause()
        os.killpg(process.pid, signal.SIGKILL)
        this.end(process)
        check_state(this)
    return {0, -signal.SIGKILL}


@contextlib.contextmanager
def small_disk(this: Round, options: str) -> Iterator[Callable[[str], None]]:
    """A tmpfs for the outputs, and a function that remounts it with other options."""
    disk = this.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True, capture_output=True)

    def remount(changed: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{changed}", str(disk)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    if os.getuid() != 0:
        return False
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    with contextlib.suppress(OSError):
        return subprocess.run(probe, capture_output=True).returncode == 0
    return False


def full_disk(this: Round) -> set[int]:
    """A disk that fills up in the middle of the run; with room again the same command goes on."""
    with small_disk(this, f"size={this.draw.randrange(40, 400, 4)}k") as remount:
        this.run()
        check_state(this)
        check_said(this, {0, 2})
        remount("size=64m")
        check_end(this)
    return {0}


def read_only_disk(this: Round) -> set[int]:
    """A file system that is, or becomes, read-only."""
    with small_disk(this, "size=64m") as remount:
        process = this.start()
        this.pause()
        with contextlib.suppress(subprocess.CalledProcessError):  # busy: a file is open for writing
            remount("ro")
        this.end(process)
        check_state(this)
        check_said(this, {0, 2})
        remount("rw")
        check_end(this)
    return {0}


KINDS: list[Callable[[Round], set[int]]] = [
    killed_at_a_step,
    killed_at_a_moment,
    storage_error,
    worker_lost,
    signal_at_a_step,
    runs_at_once,
    poison_video,
    killed_at_a_step,
    rename_that_happened,
    frame_error,
    signal_at_a_moment,
    quota_in_the_middle,
    retry_killed,
    stopped_and_continued,
    root_removed,
    full_disk,
    killed_at_a_step,
    leaking_worker,
    jumping_clock,
    killed_again_and_again,
    hung_worker,
    read_only_disk,
    stale_files,
    killed_at_a_step,
]
MOUNTS = (full_disk, read_only_disk)
SOURCE_KINDS: list[Callable[[Round], set[int]]] = [
    killed_again_and_again,
    killed_at_a_step,
    killed_at_a_moment,
    worker_lost,
    signal_at_a_moment,
]
"""For other datasets than a tree."""


def measure(bench: Bench, folder: Path) -> None:
    """The undisturbed run."""
    this = Round(bench, folder, random.Random(0), 0)
    folder.mkdir()
    log = folder / "steps.log"
    started = time.monotonic()
    assert this.run(log=str(log)) == 0, this.said
    bench.seconds = time.monotonic() - started
    bench.steps = log.read_text().splitlines()
    bench.expected = read_outputs(this.root)
    assert bench.expected


def play(bench: Bench, folder: Path, number: int, kind: Callable[[Round], set[int]]) -> None:
    """One round, and all that must hold after it."""
    folder.mkdir(exist_ok=True)
    this = Round(bench, folder, random.Random(f"{bench.seed}-{number}"), number)
    try:
        statuses = kind(this)
        if kind in MOUNTS:
            return
        check_said(this, statuses)
        check_state(this)
        check_end(this)
    finally:
        for process in this.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
