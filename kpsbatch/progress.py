"""What a run shows: its progress on standard error (a bar on a terminal, else a line now and then), and how it ended.

rich is imported where a bar is shown: most commands end before.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from kpsbatch.config import Config, format_signs
from kpsbatch.errors import printable
from kpsbatch.words import counted, show_duration, time_to_go

if TYPE_CHECKING:
    from kpsbatch.progress_bar import Bar
    from kpsbatch.store.run_state import Progress
    from kpsbatch.work.run import Summary

LINE_SECONDS = 30.0
BAR_AFTER_SECONDS = 1.0
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
        bar: Bar | None = None

        def show_bar(done: int, total: int, words: Callable[[float], Words]) -> None:
            nonlocal bar
            seconds = time.monotonic() - started
            if bar is None and seconds >= bar_after:
                bar = _start_bar(first)
            if bar is not None:
                bar.show(done, total, *words(seconds)[0])

        try:
            if not bar_after:
                bar = _start_bar(first)
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
                print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}", file=sys.stderr, flush=True)

        yield show_line


def _start_bar(words: str) -> Bar:
    from kpsbatch.progress_bar import Bar

    bar = Bar(words)
    bar.start()
    return bar


def print_summary(config: Config, summary: Summary) -> None:
    """Print what a run did, what failed and why, and where the outputs are."""
    done = summary.progress
    before = len(summary.states) - len(set(summary.stored) & summary.states.keys())
    if summary.stored or done.videos_done:
        print(
            f"{counted(len(summary.stored), 'unit')} finished now ({counted(done.videos_done, 'video')}, "
            f"{counted(done.frames, 'frame')}, {show_duration(summary.seconds)}, "
            f"{counted(summary.workers, 'worker')}), {before} finished before"
        )
    else:
        print(f"Nothing to do: {counted(before, 'unit')} finished before.")
    for lack, units in (("without a folder in the dataset", summary.absent), ("without a video", summary.empty)):
        if units:
            signs = format_signs(unit.sign for unit in units)
            print(f"{counted(len(units), 'unit')} {lack}: signs {signs if len(signs) < 60 else signs[:57] + '...'}")
    if summary.odd:
        print("ignored: " + ", ".join(f"{count} x {problem}" for problem, count in summary.odd.most_common(5)))
    counts = Counter(summary.states.values())
    if summary.failures:
        unread = f", {len(summary.unreadable)} folders can't be listed" if summary.unreadable else ""
        print(f"{counted(done.videos_failed, 'video')} failed{unread}:")
        for name, reason in summary.failures[:10]:
            print(printable(f"  {name}: {reason}"))
        if len(summary.failures) > 10:
            print(f"  ... and {len(summary.failures) - 10} more, in the records")
    if summary.kept:
        print(f"{counted(len(summary.kept), 'video')} of an earlier run kept, since the new attempt failed")
    if summary.bad_frames:
        worst, most = summary.bad_frames.most_common(1)[0]
        videos = counted(len(summary.bad_frames), "video")
        frames = f"{counted(summary.bad_frames.total(), 'unreadable frame')} in {videos}"
        print(printable(f"{frames}, whose rows are zeros; most in {worst}: {most}"))
    if counts["partial"] or counts["failed"]:
        print(
            f"units with failed videos: {counts['partial']} partial, {counts['failed']} failed. "
            "Fix the data, then run again with --retry-failed."
        )
    print(f"outputs: {config.output.root}")
