"""What a run costs the machine: CPU time and memory of this process and all processes below it (Linux's /proc)."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator

SAMPLE_SECONDS = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")


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
