"""The charts of the page: bars, and the timeline of the tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from statistics import median

from kpsbatch.look.usage import usage_lines, usage_of, used_of_run
from kpsbatch.pictures.report.gather import ReportData, histogram, percent, show_percent
from kpsbatch.store.run_state import RunState
from kpsbatch.words import counted, show_duration

TIME_BARS = 60
LENGTH_BARS = 40
SHARE_BARS = 20
MAX_TASKS = 300
MAX_NAMED = 40
STATES = ("finished", "running", "interrupted", "failed", "lost")


@dataclass(frozen=True)
class Chart:
    """Bars from left to right.

    Attributes:
        heading: What is counted.
        bars: Of each its text, which shows under the pointer, and its value.
        axis: Texts below it, from the left end to the right.
        note: A line below, "" for none.
        anchor: What links name it, "" for nothing.
    """

    heading: str
    bars: Sequence[tuple[str, int]]
    axis: tuple[str, ...]
    note: str = ""
    anchor: str = ""

    def height(self, value: int) -> float:
        """A bar's height in percent of the highest, so that anything but zero can be seen."""
        most = max(value for _, value in self.bars) or 1
        return max(100 * value / most, 1.5 if value else 0)


def throughput(data: ReportData) -> Chart | None:
    """Frames over time, by when their units were stored; None where there is too little to show."""
    rows = [row for row in data.units if row.finished and row.frames]
    if len(rows) < 3:
        return None
    start, end = min(row.finished for row in rows), max(row.finished for row in rows)
    if end - start < 1:
        return None
    width = (end - start) / TIME_BARS
    sums = [0] * TIME_BARS
    for row in rows:
        sums[min(TIME_BARS - 1, int((row.finished - start) / width))] += row.frames
    bars = [
        (f"{clock(start + index * width)}: {counted(frames, 'frame')}, {frames / width:,.1f} a second", frames)
        for index, frames in enumerate(sums)
    ]
    return Chart("Frames finished over time", bars, (clock(start), clock(end)))


def clock(moment: float) -> str:
    """A moment in seconds since 1970, as text."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def video_lengths(lengths: Sequence[int]) -> Chart:
    """How many videos have how many frames."""
    bars = [
        (f"{f'{low:g}' if high - low == 1 else f'{low:g} to {high - 1:g}'} frames: {counted(count, 'video')}", count)
        for low, high, count in histogram(lengths, LENGTH_BARS)
    ]
    low, high = min(lengths), max(lengths)
    note = f"Shortest {low:,}, median {median(lengths):g}, longest {high:,} frames."
    return Chart("Video lengths", bars, (f"{low:,}", "frames", f"{high:,}"), note, "lengths")


def frames_without_hand(data: ReportData) -> Chart:
    """How many videos have which share of frames without a hand, exact zeros apart."""
    counts = [0] * (SHARE_BARS + 1)
    for video in data.videos:
        share = video.no_hand / video.frames
        counts[0 if share == 0 else min(SHARE_BARS, int(share * SHARE_BARS) + 1)] += 1
    step = 100 // SHARE_BARS
    texts = ["0%", *(f"{index * step}% to {(index + 1) * step}%" for index in range(SHARE_BARS))]
    bars = [(f"{text}: {counted(count, 'video')}", count) for text, count in zip(texts, counts, strict=True)]
    frames, without = sum(video.frames for video in data.videos), sum(video.no_hand for video in data.videos)
    note = f"{without:,} of {counted(frames, 'frame')} ({show_percent(percent(without, frames))}) show no hand."
    return Chart("Frames without a hand, by video", bars, ("0%", "of a video's frames", "100%"), note)


@dataclass(frozen=True)
class TaskBar:
    """One task.

    Attributes:
        name: What people call it: its shard, its job, or when it began.
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

    bars: Sequence[TaskBar]
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
        used = used_of_run(run)
        state, name = run.present_state, _name_of(run)
        text = f"{name} on {run.host or 'an unknown host'}: {state}, from {clock(run.began)}, "
        text += f"{show_duration(run.seconds)}, {counted(run.units_done, 'unit')}{', ' if used else ''}{used}"
        width = min(max(100 * run.seconds / whole, 0.5), 100.0)
        bars.append(TaskBar(name, state, min(100 * (run.began - start) / whole, 100 - width), width, used, text))
    newest = [f"The newest {MAX_TASKS} of {len(runs):,} tasks."] if len(runs) > MAX_TASKS else []
    note = " ".join([*newest, *(f"{line[0].upper()}{line[1:]}." for line in usage_lines(usage_of(runs)))])
    return Timeline(bars, (clock(start), clock(end)), len(bars) <= MAX_NAMED, note)


def _name_of(run: RunState) -> str:
    if run.shard is not None:
        return f"shard {run.shard}"
    return f"job {run.job_name}" if run.job else f"run of {clock(run.began).removesuffix(' UTC')}"
