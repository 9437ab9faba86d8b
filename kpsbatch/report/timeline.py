"""The timeline: when each task ran, how it ended, and what it used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kpsbatch.report.charts import clock
from kpsbatch.store.run_state import RunState
from kpsbatch.words import counted, show_duration

MAX_TASKS = 300
MAX_NAMED = 40
STATES = ("finished", "running", "interrupted", "failed", "lost")


@dataclass(frozen=True)
class Bar:
    """One task.

    Attributes:
        name: Its shard, job or beginning.
        state: One of `STATES`.
        start, width: Where its bar begins and how long it is, in percent of the whole time.
        used: Its CPU and memory, "" where they are not recorded.
        text: Everything about it.
    """

    name: str
    state: str
    start: float
    width: float
    used: str
    text: str


@dataclass(frozen=True)
class Timeline:
    """The tasks, the oldest first.

    Attributes:
        bars: One for each.
        axis: The first and the last moment.
        named: Whether there is room for the name of each.
        note: A line below.
    """

    bars: Sequence[Bar]
    axis: tuple[str, str]
    named: bool
    note: str

    @property
    def states(self) -> dict[str, int]:
        """How many bars there are of each state."""
        counts = Counter(bar.state for bar in self.bars)
        return {state: counts[state] for state in STATES if counts[state]}


def timeline(runs: Sequence[RunState]) -> Timeline | None:
    """The newest `MAX_TASKS` runs; None where there are none."""
    shown = sorted(runs, key=lambda run: run.began)[-MAX_TASKS:]
    if not shown:
        return None
    start, end = shown[0].began, max(run.last_sign for run in shown)
    whole = max(end - start, 1.0)
    bars = []
    for run in shown:
        figures = ((cores_of(run), "cores"), (gigabytes_of(run), "GiB"))
        used = ", ".join(f"{figure:.1f} {what}" for figure, what in figures if figure is not None)
        state, name = run.present_state, name_of(run)
        text = f"{name} on {run.host or 'an unknown host'}: {state}, from {clock(run.began)}, "
        text += f"{show_duration(run.seconds)}, {counted(run.units_done, 'unit')}{', ' if used else ''}{used}"
        width = min(max(100 * run.seconds / whole, 0.5), 100.0)
        bars.append(Bar(name, state, min(100 * (run.began - start) / whole, 100 - width), width, used, text))
    note = f"The newest {MAX_TASKS} of {len(runs):,} tasks." if len(runs) > MAX_TASKS else ""
    return Timeline(bars, (clock(start), clock(end)), len(bars) <= MAX_NAMED, note)


def name_of(run: RunState) -> str:
    """What people call a run: its shard, its job, or when it began."""
    if run.shard is not None:
        return f"shard {run.shard}"
    return f"job {run.job_name}" if run.job else f"run of {clock(run.began).removesuffix(' UTC')}"


def cores_of(run: RunState) -> float | None:
    """CPU seconds by seconds; None where they are not recorded."""
    return round(run.cpu_seconds / run.seconds, 1) if run.cpu_seconds and run.seconds else None


def gigabytes_of(run: RunState) -> float | None:
    """The most memory at one moment, in GiB; None where it is not recorded."""
    return round(run.memory_megabytes / 1024, 1) if run.memory_megabytes else None
