"""The bar charts of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from statistics import median

from kpsbatch.report.figures import percent, show_percent
from kpsbatch.report.gather import ReportData, histogram
from kpsbatch.words import counted

TIME_BARS = 60
LENGTH_BARS = 40
SHARE_BARS = 20


@dataclass(frozen=True)
class Bar:
    """A bar: its text, which shows under the pointer, and its value."""

    text: str
    value: float


@dataclass(frozen=True)
class Chart:
    """Bars from left to right.

    Attributes:
        heading: What is counted.
        bars: The bars.
        axis: Texts below it, from the left end to the right.
        note: A line below, "" for none.
        anchor: What links name it, "" for nothing.
    """

    heading: str
    bars: Sequence[Bar]
    axis: tuple[str, ...]
    note: str = ""
    anchor: str = ""

    def height(self, bar: Bar) -> float:
        """A bar's height in percent of the highest, so that anything but zero can be seen."""
        most = max(bar.value for bar in self.bars) or 1
        return max(100 * bar.value / most, 1.5 if bar.value else 0)


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
        Bar(f"{clock(start + place * width)}: {counted(frames, 'frame')}, {frames / width:,.1f} a second", frames)
        for place, frames in enumerate(sums)
    ]
    return Chart("Frames over time, by when their units were stored", bars, (clock(start), clock(end)))


def clock(moment: float) -> str:
    """A moment in seconds since 1970, as text."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def video_lengths(lengths: Sequence[int]) -> Chart:
    """How many videos have how many frames."""
    bars = [
        Bar(f"{f'{low:g}' if high - low == 1 else f'{low:g} to {high - 1:g}'} frames: {counted(count, 'video')}", count)
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
    texts = ["0%", *(f"{place * step}% to {(place + 1) * step}%" for place in range(SHARE_BARS))]
    bars = [Bar(f"{text}: {counted(count, 'video')}", count) for text, count in zip(texts, counts, strict=True)]
    frames, without = sum(video.frames for video in data.videos), sum(video.no_hand for video in data.videos)
    note = f"{without:,} of {counted(frames, 'frame')} ({show_percent(percent(without, frames))}) show no hand."
    return Chart("Frames without a hand, by video", bars, ("0%", "of a video's frames", "100%"), note)
