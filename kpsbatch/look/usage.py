"""What tasks used of what was requested for them: cores, memory, time, and what the allocation cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kpsbatch.store.run_state import RunState
from kpsbatch.words import counted, show_duration

WASTE = 0.6
"""Below this share of what was requested, less is advised."""

MEMORY_MARGIN = 1.3
TIME_MARGIN = 2.0
LONG_ENOUGH = 60.0
"""Seconds after which a task says how many cores it keeps busy: it begins with loading models."""

MANY_NODES = 8


@dataclass
class UsageSum:
    """The tasks of SLURM among some runs, together.

    Attributes:
        tasks: How many there are.
        core_hours: Cores that they had, by the time that they had them.
        cores, gigabytes, minutes: Requested for a task, the most of any; 0 where that is not known.
        busy: Cores that the busiest task kept busy on average; None where no task ran for a minute.
        memory: The most memory of any, in GiB; None where that is not known.
        longest: Seconds of the longest start.
        is_over: Whether none of them runs: then advice can be given.
        by_node: Tasks and core-hours of each node; of a task that was requeued, its last one.
    """

    tasks: int = 0
    core_hours: float = 0.0
    cores: int = 0
    gigabytes: float = 0.0
    minutes: int = 0
    busy: float | None = None
    memory: float | None = None
    longest: float = 0.0
    is_over: bool = True
    by_node: dict[str, tuple[int, float]] = field(default_factory=dict)


def busy_cores(run: RunState) -> float | None:
    """CPU seconds by seconds; None where they are not recorded."""
    return round(run.cpu_seconds / run.seconds, 1) if run.cpu_seconds and run.seconds else None


def gigabytes(run: RunState) -> float | None:
    """The most memory at one moment, in GiB; None where it is not recorded."""
    return round(run.memory_megabytes / 1024, 1) if run.memory_megabytes else None


def used_of_run(run: RunState) -> str:
    """What a run used, beside what was requested: `0.5 of 2 cores, 0.7 of 4 GiB`; "" where nothing is recorded."""
    asked = run.requested
    rows = ((busy_cores(run), asked.cores, "cores"), (gigabytes(run), round(asked.memory_megabytes / 1024, 1), "GiB"))
    return ", ".join(
        f"{used:.1f}{f' of {wanted:g}' if wanted else ''} {unit}" for used, wanted, unit in rows if used is not None
    )


def usage_of(runs: Sequence[RunState]) -> UsageSum:
    """Add up what the tasks of SLURM among some runs used."""
    total = UsageSum()
    for run in (run for run in runs if run.job and run.requested.cores):
        asked = run.requested
        hours = asked.cores * (run.seconds + run.before.seconds) / 3600
        count, there = total.by_node.get(run.host, (0, 0.0))
        total.by_node[run.host] = (count + 1, there + hours)
        total.tasks += 1
        total.core_hours += hours
        total.cores = max(total.cores, asked.cores)
        total.gigabytes = max(total.gigabytes, asked.memory_megabytes / 1024)
        total.minutes = max(total.minutes, asked.minutes)
        total.longest = max(total.longest, run.seconds)
        total.is_over = total.is_over and not run.is_running
        if run.seconds >= LONG_ENOUGH and (cores := busy_cores(run)) is not None:
            total.busy = max(total.busy or 0.0, cores)
        if (memory := gigabytes(run)) is not None:
            total.memory = max(total.memory or 0.0, memory)
    return total


def advice(usage: UsageSum) -> list[str]:
    """What to request next time, where much less was used: `1 core`, `2 GB`; nothing while tasks run."""
    if not usage.is_over:
        return []
    asks: list[str] = []
    if usage.busy is not None and usage.busy < WASTE * usage.cores and (cores := math.ceil(usage.busy)) < usage.cores:
        asks.append(f"{counted(cores, 'core')} (slurm.cpus_per_task: {cores})")
    if usage.memory is not None and usage.memory < WASTE * usage.gigabytes:
        wanted = math.ceil(MEMORY_MARGIN * usage.memory)
        if wanted < usage.gigabytes:
            asks.append(f"{wanted} GB (slurm.mem: {wanted}G)")
    wanted = 10 * math.ceil((TIME_MARGIN * usage.longest / 60 + 10) / 10)
    if usage.busy is not None and wanted < WASTE * usage.minutes:
        asks.append(f'{show_duration(60 * wanted)} (slurm.time: "{wanted // 60:02}:{wanted % 60:02}:00")')
    return asks


def usage_lines(usage: UsageSum) -> Iterator[str]:
    """What was used beside what was requested, and what the allocation cost, in two lines; none for no task."""
    if not usage.tasks:
        return
    used = []
    if usage.busy is not None:
        used.append(f"{usage.busy:g} of {counted(usage.cores, 'core')}")
    if usage.memory is not None:
        used.append(f"{usage.memory:g}{f' of {usage.gigabytes:.1f}' if usage.gigabytes else ''} GB")
    if usage.minutes:
        used.append(f"{show_duration(usage.longest)} of {show_duration(60 * usage.minutes)}")
    if used:
        asks = advice(usage)
        ask = f": ask for {', '.join(asks)}" if asks else ""
        yield f"used by the largest of {counted(usage.tasks, 'task')}: {', '.join(used)}{ask}"
    nodes = sorted(usage.by_node.items(), key=lambda item: -item[1][1])
    shown = [f"{name} {hours:.2f} ({counted(count, 'task')})" for name, (count, hours) in nodes[:MANY_NODES]]
    more = [f"{len(nodes) - MANY_NODES} more nodes"] if len(nodes) > MANY_NODES else []
    yield f"allocation: {usage.core_hours:.2f} core-hours; {', '.join([*shown, *more])}"
