"""The state file of a run: what a run in this process, an array task or a container is doing.

    <output root>/_kpsbatch/runs/<run id>.json

Written when the run starts, every ten seconds, and when it ends. `logs` and `status` read these files and nothing
else. A requeued task writes the file of its first attempt again.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kpsbatch.errors import InterruptedRun, OutputError
from kpsbatch.store.json_files import read_json, write_json
from kpsbatch.store.outputs import INTERNAL, refuse_outside

WRITE_SECONDS = 10.0
LOST_SECONDS = 120.0
STATE_VERSION = 1


@dataclass(frozen=True)
class Origin:
    """What a run is a part of.

    Attributes:
        submission: The ID of the submission, or "" for a run by itself.
        shard: The shard from 0, or None for everything.
        shards: The number of shards.
        submitted: When the submission was frozen, by the clock of its file system; units that were recorded since
            are not redone, so that a requeued task doesn't retry failed units twice.
    """

    submission: str = ""
    shard: int | None = None
    shards: int | None = None
    submitted: float = float("inf")


ALONE = Origin()
"""A run that is no part of anything."""


def runs_folder(root: Path) -> Path:
    """Where the state files of an output folder lie."""
    return root / INTERNAL / "runs"


def run_id(origin: Origin, environment: Mapping[str, str] = os.environ) -> str:
    """The name of a run's state file: the same for every attempt of a task."""
    if origin.submission:
        return f"{origin.submission}-{origin.shard:04}"
    job, task = job_of(environment)
    if job:
        return f"job-{job}" if task is None else f"job-{job}_{task}"
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return re.sub(r"[^A-Za-z0-9.-]", "-", f"run-{stamp}-{socket.gethostname()}-{os.getpid()}")


def job_of(environment: Mapping[str, str] = os.environ) -> tuple[str, int | None]:
    """The SLURM job and array task of this process: the array's ID for an array; ("", None) outside of SLURM."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID", ""), environment.get("SLURM_ARRAY_TASK_ID", "")
    if array and task.isdecimal():
        return array, int(task)
    return environment.get("SLURM_JOB_ID", ""), None


@contextlib.contextmanager
def tracked(root: Path, origin: Origin, counts: Callable[[], Mapping[str, Any]]) -> Iterator[Callable[[], None]]:
    """Keep a run's state file up to date while the block runs; call what it yields often.

    A state file that can't be written stops nothing: the outputs matter more.

    Args:
        root: The output folder; nothing is written while it doesn't exist.
        origin: What the run is a part of.
        counts: The counts of the run so far.
    """
    job, task = job_of()
    started = _now()
    path = runs_folder(root) / f"{run_id(origin)}.json"
    next_write = 0.0

    def write(state: str, error: str = "") -> None:
        nonlocal next_write
        next_write = time.monotonic() + WRITE_SECONDS
        with contextlib.suppress(OSError, OutputError):  # the run itself refuses a link that leads out
            if root.is_dir():
                refuse_outside(root, path.parent)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, {**identity, "state": state, "updated": _now(), **counts(), "error": error})

    identity = {
        "version": STATE_VERSION,
        "run": path.stem,
        "submission": origin.submission or None,
        "shard": origin.shard,
        "shards": origin.shards,
        "job": job or None,
        "array_task": task,
        "restarts": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
        "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "pid": os.getpid(),
        "log": _log_file(),
        "started": started,
    }

    def note() -> None:
        if time.monotonic() >= next_write:
            write("running")

    write("running")
    next_write = 0.0  # the first note knows how much there is to do
    try:
        yield note
    except InterruptedRun as error:
        write("interrupted", str(error))
        raise
    except Exception as error:
        write("failed", " ".join(str(error).split()) or type(error).__name__)
        raise
    except BaseException as error:
        write("interrupted", type(error).__name__)
        raise
    write("finished")


def read_runs(root: Path) -> list[dict[str, Any]]:
    """All state files of an output folder that can be read, by name."""
    found = (_read(path) for path in sorted(runs_folder(root).glob("*.json")))
    return [run for run in found if run is not None]


def read_run(root: Path, origin: Origin) -> dict[str, Any] | None:
    """The state file of one run, or None where it is missing or unreadable."""
    return _read(runs_folder(root) / f"{run_id(origin)}.json")


def _read(path: Path) -> dict[str, Any] | None:
    run = read_json(path)
    return run if run is not None and "state" in run else None


def is_lost(run: Mapping[str, Any], now: float | None = None) -> bool:
    """Whether a run that calls itself running is gone: its process on this host, or silent for two minutes."""
    if run["state"] != "running":
        return False
    if run.get("host") == socket.gethostname() and not Path(f"/proc/{run.get('pid')}").exists():
        return True
    silent = (time.time() if now is None else now) - datetime.fromisoformat(run["updated"]).timestamp()
    return silent > LOST_SECONDS


def is_alive_here(run: Mapping[str, Any]) -> bool:
    """Whether a run calls itself running and its process is there, on this machine."""
    return bool(run["state"] == "running" and run.get("host") == socket.gethostname() and not is_lost(run))


def union_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of the spans lasted."""
    total, end = 0.0, 0.0
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _log_file() -> str | None:
    """The file that this process writes its output to, if there is one."""
    if named := os.environ.get("KPSBATCH_LOG"):
        return named
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.fstat(1).st_mode):
            return os.readlink("/proc/self/fd/1")
    return None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
