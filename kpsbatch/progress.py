"""What a run shows: its progress on standard error, a bar on a terminal, else a line now and then; and how it ended."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from kpsbatch.config import format_signs
from kpsbatch.errors import printable
from kpsbatch.startup import again
from kpsbatch.words import Part, counted, say, show_duration, some_of, time_to_go

if TYPE_CHECKING:
    from kpsbatch.config import Config
    from kpsbatch.store.run_state import Progress
    from kpsbatch.work.run import Summary

LINE_SECONDS = 30.0
BAR_AFTER_SECONDS = 1.0
MOST_SHOWN = 5
BAR_WIDTH = 14
"""Columns that the words leave for the spinner and the bar."""

SPARE_WIDTH = len("^C^C")
"""Columns that stay free, so that the ^C that a terminal writes at Ctrl-C stays on the line."""

Words = tuple[Sequence[tuple[int, str, str]], Sequence[str]]
"""What is shown: beside a bar, as `fitting` takes it, and in a line of a log."""


@contextmanager
def run_progress(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show the progress of a run until the block ends."""
    with _shown("starting", quiet=quiet, bar_after=0.0) as show:
        yield lambda progress: show(progress.videos_done, progress.videos, partial(_words_of_run, progress))


def _words_of_run(progress: Progress, seconds: float) -> Words:
    units = f"{progress.units_done}/{progress.units} units"
    videos = f"{progress.videos_done}/{progress.videos} videos"
    failed = f"{progress.videos_failed} failed" if progress.videos_failed else ""
    rate = f"{progress.frames / max(seconds, 1e-9):.0f} frames/s"
    so_far, to_go = f"{show_duration(seconds)} so far", time_to_go(progress.videos_done, progress.videos, seconds)
    beside = ((3, units, ""), (0, videos, ""), (1, failed, "red"), (4, rate, ""), (5, so_far, ""), (2, to_go, ""))
    return beside, (units, videos, failed, rate, to_go, f"last {progress.unit}" if progress.unit else "")


@contextmanager
def count_progress(nouns: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show (done, total) of anything that can take over two seconds, until the block ends.

    A terminal gets a bar after the first second, which goes when the block ends; anything else gets a line every
    30 s.
    """

    def words(done: int, total: int, seconds: float) -> Words:
        count, to_go = f"{done}/{total} {nouns}", time_to_go(done, total, seconds)
        beside = ((0, count, ""), (2, f"{show_duration(seconds)} so far", ""), (1, to_go, ""))
        return beside, (count, f"{done / seconds:.1f}/s", to_go)

    with _shown(nouns, quiet=quiet, bar_after=BAR_AFTER_SECONDS) as show:
        yield lambda done, total: show(done, total, partial(words, done, total))


@contextmanager
def _shown(
    first: str, *, quiet: bool, bar_after: float
) -> Iterator[Callable[[int, int, Callable[[float], Words]], None]]:
    """Show how many are done of how many, with words that depend on the seconds since the block began."""
    started = time.monotonic()
    if quiet:
        yield lambda done, total, words: None
    elif sys.stderr.isatty():
        bar: _Bar | None = None

        def show_bar(done: int, total: int, words: Callable[[float], Words]) -> None:
            nonlocal bar
            seconds = time.monotonic() - started
            if bar is None and seconds >= bar_after:
                bar = _Bar(first)
            if bar is not None:
                bar.show(done, total, *words(seconds)[0])

        try:
            if not bar_after:
                bar = _Bar(first)
            yield show_bar
        finally:
            if bar is not None:
                bar.stop()
    else:
        last_line = started

        def show_line(done: int, total: int, words: Callable[[float], Words]) -> None:
            nonlocal last_line
            now = time.monotonic()
            if now - last_line >= LINE_SECONDS:
                last_line = now
                text = ", ".join(filter(None, words(now - started)[1]))
                say(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}", error=True)

        yield show_line


class _Bar:
    """A bar on a terminal with words behind it, on standard error, which goes when the work ends.

    Args:
        words: What stands behind it at first.
    """

    def __init__(self, words: str) -> None:
        from rich.console import Console  # rich here: most commands end before a bar is shown
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._escape = escape
        self._terminal, self._console = Console(stderr=True), Console(stderr=True)
        columns = (SpinnerColumn(), BarColumn(bar_width=None), TextColumn("{task.fields[text]}"))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("", total=None, text=escape(words))
        self._fit()
        self._bar.start()

    def show(self, done: int, total: int, *parts: tuple[int, str, str]) -> None:
        """Show how much is done, in as many words as fit."""
        words = fitting(self._fit() - BAR_WIDTH, *parts)
        text = ", ".join(f"[{style}]{self._escape(text)}[/]" if style else self._escape(text) for text, style in words)
        self._bar.update(self._task, completed=done, total=total, text=text)

    def stop(self) -> None:
        """Take it away."""
        self._bar.stop()

    def _fit(self) -> int:
        """Be as wide as the terminal is now, but for `SPARE_WIDTH`."""
        self._console.width = max(1, self._terminal.width - SPARE_WIDTH)
        return self._console.width


def fitting(width: int, *parts: tuple[int, str, str]) -> list[Part]:
    """As many parts as fit into a width, in their order, the most important ones.

    Args:
        width: Columns.
        parts: (rank, text, style); those of the highest rank are left out first, and never that of rank 0.
    """
    shown = sorted((part for part in parts if part[1]), key=lambda part: part[0])
    while len(shown) > 1 and sum(len(part[1]) + 2 for part in shown) - 2 > width:
        shown.pop()
    return [part[1:] for part in parts if part in shown]


MAX_DOUBTFUL = 5


def print_summary(config: Config, summary: Summary, command: str = "") -> None:
    """Print what a run did, what failed and why, and where the outputs are.

    Args:
        command: What submits again what a task did; "" for a run by itself.
    """
    done = summary.progress
    before = len(summary.states) - len(set(summary.stored) & summary.states.keys())
    if summary.made_again:
        say(f"{counted(len(summary.made_again), 'unit')} re-made from what is kept; no video read")
    if summary.stored or done.videos_done:
        say(
            f"{counted(len(summary.stored), 'unit')} finished now ({counted(done.videos_done, 'video')}, "
            f"{counted(done.frames, 'frame')}, {show_duration(summary.seconds)}, "
            f"{counted(summary.workers, 'worker')}), {before} finished before"
        )
    else:
        say(f"Nothing to do: {counted(before, 'unit')} finished before.")
    for lack, units in (("a folder in the dataset", summary.absent), ("a video", summary.empty)):
        if units:
            signs = format_signs(unit.sign for unit in units)
            shown = signs if len(signs) < 60 else signs[:57] + "..."
            say(f"{counted(len(units), 'unit')} without {lack}: signs {shown}")
    if summary.odd:
        say("ignored: " + ", ".join(f"{count} x {problem}" for problem, count in summary.odd.most_common(5)))
    for problem, odd in summary.odd_frames.items():
        say(printable(f"among the frames: {odd.count} x {problem}, first {odd.first}"))
    counts = Counter(summary.states.values())
    if summary.failures:
        unread = f", {len(summary.unreadable)} folders can't be listed" if summary.unreadable else ""
        say(f"{counted(done.videos_failed, 'video')} failed{unread}:")
        for name, reason in summary.failures[:10]:
            say(printable(f"  {name}: {reason}"))
        if len(summary.failures) > 10:
            say(f"  ... and {len(summary.failures) - 10} more, in the records")
    for names, what in (
        (summary.added, "new in units that were finished before"),
        (summary.replaced, "with another file than its keypoints were made from; --overwrite redoes that"),
    ):
        if names:
            say(printable(f"{counted(len(names), 'video')} {what}: {some_of(names, MOST_SHOWN)}"))
    if summary.kept:
        kept = counted(len(summary.kept), "video")
        say(f"{kept} of an earlier run kept, since the new attempt failed, or the dataset has them no more")
    if summary.bad_frames:
        worst, most = summary.bad_frames.most_common(1)[0]
        videos = counted(len(summary.bad_frames), "video")
        frames = f"{counted(summary.bad_frames.total(), 'unreadable frame')} in {videos}"
        say(printable(f"{frames}, whose rows are zeros; most in {worst}: {most}"))
    if summary.doubtful:
        say(f"{counted(len(summary.doubtful), 'video')} whose signer is in doubt (the report lists all):")
        for name, reason in summary.doubtful[:MAX_DOUBTFUL]:
            say(printable(f"  {name}: {reason}"))
    if counts["partial"] or counts["failed"]:
        then = f"{command} --retry-failed" if command else f"{again('run again')} with --retry-failed."
        say(
            f"units with failed videos: {counts['partial']} where some failed, {counts['failed']} where all did. "
            f"Fix the data, then {then}"
        )
    say(f"outputs: {config.output.root}")
