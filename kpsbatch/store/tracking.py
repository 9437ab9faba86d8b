"""Keeping a run's state file up to date while it works: where it stands, and what it costs the machine.

CPU time and memory are those of this process and all processes below it (Linux's /proc).
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from kpsbatch.errors import InterruptedRun, KpsbatchError, OutputError, one_line
from kpsbatch.files import refuse_outside, write_json
from kpsbatch.store.run_state import (
    RUN_FORMAT,
    Origin,
    Progress,
    RunOutcome,
    RunState,
    Worked,
    job_of,
    read_run,
    requested,
    restarts,
    run_id,
    state_file,
)
from kpsbatch.words import without_secrets

WRITE_SECONDS = 10.0
SAMPLE_SECONDS = 1.0
LEFT_OUT = "KPSBATCH_LEFT_OUT"
"""The variable by which a batch script names the nodes that it left out (cluster/batch.sh)."""
_TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def tracked(root: Path, origin: Origin, progress: Progress) -> Iterator[Callable[..., None]]:
    """Keep a run's state file up to date while the block runs; call what it yields often, or with `at_once=True`.

    An error of writing the state file is ignored: the outputs matter more.

    Args:
        root: The output folder; nothing is written while it doesn't exist.
        origin: What the run is a part of.
        progress: How far it is; read whenever the file is written.
    """
    progress.run = run_id(origin)
    path = state_file(root, progress.run)
    job, task = job_of()
    now = _now()
    earlier = read_run(root, origin) if restarts() else None
    began = RunState(
        format=RUN_FORMAT,
        run=progress.run,
        submission=origin.submission or None,
        shard=origin.shard,
        shards=origin.shards,
        job=job or None,
        array_task=task,
        restarts=restarts(),
        host=this_node(),
        pid=os.getpid(),
        log=_log_file(),
        requested=requested(),
        command=without_secrets(sys.orig_argv),
        started=now,
        updated=now,
        state="running",
        given_back=_given_back_before(root, earlier),
    )
    usage = Usage()
    if earlier is not None:
        usage.memory_megabytes = earlier.memory_megabytes
        began = began.model_copy(update={"before": worked_until(earlier)})
    next_write = 0.0

    def write(state: RunOutcome, error: str = "", *, expected: bool = False) -> None:
        nonlocal next_write
        next_write = time.monotonic() + WRITE_SECONDS
        usage.last_sample()
        idle = expected and not (progress.units or began.submission or began.shards or began.job)
        now = {"state": state, "updated": _now(), "error": error, "without_work": idle}
        current = began.model_copy(update={**usage.figures, **dict(progress), **now})
        with contextlib.suppress(OSError, OutputError):  # the run itself refuses a link that leads out
            if root.is_dir():
                refuse_outside(root, path.parent)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, current.model_dump(mode="json"))

    def note(*, at_once: bool = False) -> None:
        nonlocal next_write
        usage.sample()
        if at_once or time.monotonic() >= next_write:
            write("running")
        if at_once:
            next_write = 0.0

    write("running")
    next_write = 0.0  # the first `note` writes at once: by then the amount of work is known
    try:
        yield note
    except InterruptedRun as error:
        write("interrupted", str(error), expected=True)
        raise
    except Exception as error:
        write("failed", one_line(error), expected=isinstance(error, KpsbatchError))
        raise
    except BaseException as error:
        write("interrupted", type(error).__name__)
        raise
    write("failed" if progress.error else "finished", progress.error, expected=True)


def _given_back_before(root: Path, earlier: RunState | None) -> list[tuple[str, str]]:
    """What earlier starts noted, and the nodes that could not even do that: the batch script has left them out."""
    noted = earlier.given_back if earlier is not None else []
    unnoted = set(filter(None, os.environ.get(LEFT_OUT, "").split(","))) - {node for node, _ in noted}
    return [*noted, *((node, f"{root} is not seen there, or Python can't start") for node in sorted(unnoted))]


def note_given_back(root: Path, origin: Origin, why: str, most: int) -> int:
    """Note in a task's state file that its node could not do it; how often that was so, this time included.

    Where the state file can't be written, every earlier start counts.

    Args:
        most: More often than that, the task has failed; else it is interrupted.
    """
    if not _is_of_this_start(run := read_run(root, origin)):
        with contextlib.suppress(KpsbatchError), tracked(root, origin, Progress()):
            raise KpsbatchError(why)
        run = read_run(root, origin)
    times = restarts() + 1
    if run is None or not _is_of_this_start(run):
        return times
    why = one_line(why)
    noted = [*run.given_back, (run.host, why)]
    changes = {"state": "failed" if len(noted) > most else "interrupted", "error": why, "given_back": noted}
    with contextlib.suppress(OSError, OutputError):
        write_json(state_file(root, run.run), run.model_copy(update=changes).model_dump(mode="json"))
        times = len(noted)
    return times


def _is_of_this_start(run: RunState | None) -> bool:
    return run is not None and (run.pid, run.restarts) == (os.getpid(), restarts())


def this_node() -> str:
    """The node that this process runs on, as SLURM calls it."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def worked_until(last: RunState) -> Worked:
    """What a task did in its last start and in all before it."""
    before = last.before
    return Worked(
        spans=[*before.spans, (last.began, last.last_sign)],
        videos=before.videos + last.videos_done,
        frames=before.frames + last.frames,
        cpu_seconds=before.cpu_seconds + last.cpu_seconds,
    )


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


class Usage:
    """CPU time and the most memory so far; call `sample` often.

    Attributes:
        cpu_seconds: Of this process and all processes that it started, ended ones included.
        memory_megabytes: The most of their resident memory at one moment, in MiB. Pages that several of them share
            count in each.
    """

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.memory_megabytes = 0
        self._next_sample = 0.0

    def sample(self) -> None:
        """Look at the processes, at most once a second."""
        if time.monotonic() < self._next_sample:
            return
        self._next_sample = time.monotonic() + SAMPLE_SECONDS
        ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        cpu, memory = sum(used.ru_utime + used.ru_stime for used in ended), resident_bytes(os.getpid())
        for child in _below(os.getpid()):
            with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
                cpu += _cpu_seconds(child)
            memory += resident_bytes(child)
        self.cpu_seconds = max(self.cpu_seconds, round(cpu, 1))
        self.memory_megabytes = max(self.memory_megabytes, memory >> 20)

    @property
    def figures(self) -> dict[str, float]:
        """Both, by name."""
        return {"cpu_seconds": self.cpu_seconds, "memory_megabytes": self.memory_megabytes}

    def last_sample(self) -> None:
        """Look once more, whenever the last look was."""
        self._next_sample = 0.0
        self.sample()


def _below(parent: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    with contextlib.suppress(OSError, ValueError):
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children") as file:
                children = [int(word) for word in file.read().split()]
            for child in children:
                yield child
                yield from _below(child)


def _cpu_seconds(process: int) -> float:
    """User and system time of a process and of its ended children: fields 14 to 17 of proc(5)'s stat."""
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / _TICKS


def resident_bytes(process: int) -> int:
    """Resident memory of a process, the second field of proc(5)'s statm; 0 where it has ended or none tells."""
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
