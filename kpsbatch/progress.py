"""Progress on standard error: a bar on a terminal, else a line now and then.

rich is imported where a bar is shown: most commands end before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from kpsbatch.words import show_duration, time_to_go

if TYPE_CHECKING:
    from kpsbatch.progress_bar import Bar
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
    from kpsbatch.progress_bar import Bar

    started = time.monotonic()
    with Bar("starting") as bar:

        def show(progress: Progress) -> None:
            elapsed = max(time.monotonic() - started, 1e-9)
            bar.show(
                progress.videos_done,
                progress.videos,
                (3, f"{progress.units_done}/{progress.units} units", ""),
                (0, f"{progress.videos_done}/{progress.videos} videos", ""),
                (1, f"{progress.videos_failed} failed" if progress.videos_failed else "", "red"),
                (4, f"{progress.frames / elapsed:.0f} frames/s", ""),
                (5, f"{show_duration(elapsed)} so far", ""),
                (2, time_to_go(progress.videos_done, progress.videos, elapsed), ""),
            )

        yield show


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
        bar: Bar | None = None

        def update(done: int, total: int) -> None:
            nonlocal bar
            elapsed = time.monotonic() - started
            if bar is None and elapsed >= BAR_AFTER_SECONDS:
                from kpsbatch.progress_bar import Bar

                bar = Bar(what)
                bar.start()
            if bar is not None:
                counts = (0, f"{done}/{total} {what}", "")
                so_far = (2, f"{show_duration(elapsed)} so far", "")
                bar.show(done, total, counts, so_far, (1, time_to_go(done, total, elapsed), ""))

        try:
            yield update
        finally:
            if bar is not None:
                bar.stop()
    else:
        every = _Interval(LINE_SECONDS)

        def show(done: int, total: int) -> None:
            if every.is_due():
                elapsed = time.monotonic() - started
                words = (f"{done}/{total} {what}", f"{done / elapsed:.1f}/s", time_to_go(done, total, elapsed))
                _print_line(", ".join(filter(None, words)))

        yield show
