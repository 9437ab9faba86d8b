"""Progress on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

from kpsbatch.words import show_duration, time_to_go

if TYPE_CHECKING:
    from kpsbatch.store.run_state import Progress

LINE_SECONDS = 30.0
BAR_AFTER_SECONDS = 1.0
BAR_WIDTH = 14
"""Columns that the words leave for the spinner and the bar."""


@contextmanager
def run_progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a run until the block ends."""
    if quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    started = time.monotonic()
    bar = _new_bar()
    with bar:
        task = bar.add_task("", total=None, text=Text("starting"))

        def show(progress: Progress) -> None:
            elapsed = max(time.monotonic() - started, 1e-9)
            text = fitting(
                bar.console.width - BAR_WIDTH,
                (3, f"{progress.units_done}/{progress.units} units", ""),
                (0, f"{progress.videos_done}/{progress.videos} videos", ""),
                (1, f"{progress.videos_failed} failed" if progress.videos_failed else "", "red"),
                (4, f"{progress.frames / elapsed:.0f} frames/s", ""),
                (5, f"{show_duration(elapsed)} so far", ""),
                (2, time_to_go(progress.videos_done, progress.videos, elapsed), ""),
            )
            bar.update(task, total=progress.videos, completed=progress.videos_done, text=text)

        yield show


def fitting(width: int, *parts: tuple[int, str, str]) -> Text:
    """As many parts as fit into a width, in their order, the most important ones.

    Args:
        width: Columns.
        parts: (rank, text, style); those of the highest rank are left out first, and never that of rank 0.
    """
    shown = sorted((part for part in parts if part[1]), key=lambda part: part[0])
    while len(shown) > 1 and sum(len(part[1]) + 2 for part in shown) - 2 > width:
        shown.pop()
    return Text(", ").join([Text(part[1], part[2]) for part in parts if part in shown])


class _Words(ProgressColumn):
    """The words of a task, on one line."""

    def render(self, task: Task) -> Text:
        """The field `text` of the task."""
        text: Text = task.fields["text"]
        return text


class _Console(Console):
    """Standard error, as if it were a little narrower: the ^C that a terminal writes at Ctrl-C stays on the line."""

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines, as they are now."""
        width, height = super().size
        return ConsoleDimensions(max(1, width - len("^C^C")), height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size


def _new_bar() -> RichProgress:
    """A bar with words behind it, which goes when the work ends."""
    return RichProgress(
        SpinnerColumn(),
        BarColumn(bar_width=None),
        _Words(table_column=Column(no_wrap=True)),
        console=_Console(stderr=True),
        transient=True,
    )


def _lines() -> Callable[[Progress], None]:
    started = time.monotonic()
    every = _Interval(LINE_SECONDS)

    def show(progress: Progress) -> None:
        if every.is_due():
            elapsed = time.monotonic() - started
            words = (
                f"{progress.units_done}/{progress.units} units",
                f"{progress.videos_done}/{progress.videos} videos",
                f"{progress.videos_failed} failed" if progress.videos_failed else "",
                f"{progress.frames / elapsed:.0f} frames/s",
                time_to_go(progress.videos_done, progress.videos, elapsed),
                f"last {progress.unit}" if progress.unit else "",
            )
            _print_line(", ".join(filter(None, words)))

    return show


class _Interval:
    """`is_due` is true at most once in a number of seconds, for the first time after that many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


def _print_line(text: str) -> None:
    """A line of a log, with its time."""
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}", file=sys.stderr, flush=True)


@contextmanager
def count_progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show (done, total) of anything that can take over two seconds, until the block ends.

    A terminal gets a bar after the first second, which goes when the block ends; anything else gets a line every
    30 s.
    """
    started = time.monotonic()
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        bar = _new_bar()
        task = bar.add_task("", total=None, text=Text(what))
        is_shown = False

        def update(done: int, total: int) -> None:
            nonlocal is_shown
            elapsed = time.monotonic() - started
            if not is_shown and elapsed >= BAR_AFTER_SECONDS:
                is_shown = True
                bar.start()
            if is_shown:
                text = fitting(
                    bar.console.width - BAR_WIDTH,
                    (0, f"{done}/{total} {what}", ""),
                    (2, f"{show_duration(elapsed)} so far", ""),
                    (1, time_to_go(done, total, elapsed), ""),
                )
                bar.update(task, completed=done, total=total, text=text)

        try:
            yield update
        finally:
            if is_shown:
                bar.stop()
    else:
        every = _Interval(LINE_SECONDS)

        def show(done: int, total: int) -> None:
            if every.is_due():
                elapsed = time.monotonic() - started
                words = (f"{done}/{total} {what}", f"{done / elapsed:.1f}/s", time_to_go(done, total, elapsed))
                _print_line(", ".join(filter(None, words)))

        yield show
