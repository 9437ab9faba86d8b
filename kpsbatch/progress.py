"""Progress on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from kpsbatch.words import time_to_go

if TYPE_CHECKING:
    from kpsbatch.store.run_state import Progress

LINE_SECONDS = 30.0
BAR_AFTER_SECONDS = 1.0


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
    with RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("videos"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("starting", total=None, rate="", left="")

        def show(progress: Progress) -> None:
            elapsed = max(time.monotonic() - started, 1e-9)
            failed = f", [red]{progress.videos_failed} failed[/red]" if progress.videos_failed else ""
            bar.update(
                task,
                description=f"{progress.units_done}/{progress.units} units{failed}",
                total=progress.videos,
                completed=progress.videos_done,
                rate=f"{progress.frames / elapsed:.0f} frames/s",
                left=f"{time_to_go(progress.videos_done, progress.videos, elapsed)} to go",
            )

        yield show


def _lines() -> Callable[[Progress], None]:
    started = time.monotonic()
    every = _Interval(LINE_SECONDS)

    def show(progress: Progress) -> None:
        if every.is_due():
            elapsed = time.monotonic() - started
            _print_line(
                f"{progress.videos_done}/{progress.videos} videos, {progress.units_done}/{progress.units} units "
                f"(last {progress.unit or 'none'}), {progress.videos_failed} failed, "
                f"{progress.videos_done / elapsed:.2f} videos/s, {progress.frames / elapsed:.0f} frames/s, "
                f"{time_to_go(progress.videos_done, progress.videos, elapsed)} to go"
            )

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
        bar = RichProgress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(what),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            transient=True,
        )
        task = bar.add_task("", total=None, left="")
        is_shown = False

        def update(done: int, total: int) -> None:
            nonlocal is_shown
            elapsed = time.monotonic() - started
            if not is_shown and elapsed >= BAR_AFTER_SECONDS:
                is_shown = True
                bar.start()
            if is_shown:
                bar.update(task, completed=done, total=total, left=f"{time_to_go(done, total, elapsed)} to go")

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
                rate = f"{done / elapsed:.1f}/s, {time_to_go(done, total, elapsed)} to go"
                _print_line(f"{done}/{total} {what}, {rate}")

        yield show
