"""How a run ended, for people: printed by the command line and at the end of an array task's log."""

from __future__ import annotations

from collections import Counter

from kpsbatch.config import Config, format_signs
from kpsbatch.errors import printable
from kpsbatch.words import counted, show_duration
from kpsbatch.work.run import Summary


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
    for what, units in (("without a folder in the dataset", summary.absent), ("without a video", summary.empty)):
        if units:
            signs = format_signs(unit.sign for unit in units)
            print(f"{counted(len(units), 'unit')} {what}: signs {signs if len(signs) < 60 else signs[:57] + '...'}")
    if summary.odd:
        print("ignored: " + ", ".join(f"{count} x {what}" for what, count in summary.odd.most_common(5)))
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
