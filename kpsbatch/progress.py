"""Progress on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from kpsbatch.work.run import Progress

LINE_SECONDS = 30.0


def show_duration(seconds: float) -> str:
    """Write seconds for people: `4 s`, `3 min 20 s`, `7 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"


def time_to_go(done: int, total: int, seconds: float) -> str:
    """How long the rest takes at the rate so far."""
    return show_duration(seconds / done * (total - done)) if done else "unknown"


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
    last = started

    def show(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_SECONDS:
            return
        last = now
        clock = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        print(
            f"{clock} {progress.videos_done}/{progress.videos} videos, {progress.units_done}/{progress.units} units "
            f"(last {progress.unit or 'none'}), {progress.videos_failed} failed, "
            f"{progress.frames / (now - started):.0f} frames/s, "
            f"{time_to_go(progress.videos_done, progress.videos, now - started)} to go",
            file=sys.stderr,
            flush=True,
        )

    return show


@contextmanager
def count_progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show (done, total) of anything that can take over two seconds, until the block ends."""
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        with RichProgress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(what),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        last = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_SECONDS:
                last = time.monotonic()
                print(f"{done}/{total} {what}", file=sys.stderr, flush=True)

        yield show
