"""Helpers that start `python -m kpsbatch` for real and look at its processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start `python -m kpsbatch` with its output piped."""
    return subprocess.Popen(
        [sys.executable, "-m", "kpsbatch", *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        text=True,
    )


def kpsbatch(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m kpsbatch` to its end."""
    process = start(*arguments, **environment)
    out, error = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def workers_of(parent: int) -> list[int]:
    """Process IDs of the worker processes of a run, oldest first."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == parent and b"kpsbatch.work.worker" in (folder / "cmdline").read_bytes():
                    found.append((int(fields[19]), int(folder.name)))
    return [pid for _, pid in sorted(found)]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition; pytest's timeout is the only clock."""
    while not condition():
        time.sleep(0.02)


def wait_until_dead(pids: Iterable[int]) -> None:
    """Wait until none of some processes runs."""
    wait_until(lambda: not any(alive(pid) for pid in pids))
