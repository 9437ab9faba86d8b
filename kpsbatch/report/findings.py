"""The list at the top of the page: what is wrong, what is odd, each with where to see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from kpsbatch.dataset.video import Unit
from kpsbatch.report.figures import Labels, UnitName, has_hands, metrics_of, name_units
from kpsbatch.report.gather import ReportData
from kpsbatch.report.reasons import reasons_of, sentences
from kpsbatch.store.settings import differences
from kpsbatch.store.survey import FINISHED
from kpsbatch.words import counted

LEVELS = {"bad": "Wrong", "warn": "Look", "quiet": "Note", "good": "Good"}
LEAST_PERCENT = {"hand": 75, "pose": 90, "face": 90}
EXAMPLES = 3
SHOWN_REASONS = 3


@dataclass(frozen=True)
class Finding:
    """One line of the list.

    Attributes:
        level: One of `LEVELS`.
        what: What was found; a link where there is a section.
        rest: What follows it.
        section: Where to see it, "" for nowhere.
        units: Where it was found.
    """

    level: str
    what: str
    rest: str = ""
    section: str = ""
    units: tuple[UnitName, ...] = ()

    @property
    def label(self) -> str:
        """The level, as people read it."""
        return LEVELS[self.level]

    @property
    def examples(self) -> tuple[UnitName, ...]:
        """The first units."""
        return self.units[:EXAMPLES]

    @property
    def more(self) -> int:
        """How many units the examples leave out."""
        return max(0, len(self.units) - EXAMPLES)


def findings_of(data: ReportData, labels: Labels) -> list[Finding]:
    """What stands out, the worst first."""
    found = [
        *_failures(data),
        *_outputs(data, labels),
        *_unfinished(data, labels),
        *_other_settings(data),
        *_low_rates(data, labels),
        *_odd_videos(data, labels),
    ]
    found.sort(key=lambda finding: list(LEVELS).index(finding.level))
    return found or [Finding("good", "Nothing stands out.")]


def headline_of(data: ReportData) -> str:
    """How the run stands: `14 of 15 units are finished, 1 is left. 22 videos were read, 5 failed.`"""
    units = len(data.units) - len(_of_state(data, "absent"))
    done = sum(row.state in FINISHED for row in data.units)
    left = units - done
    rest = f", {left:,} {'is' if left == 1 else 'are'} left" if left else ""
    read, failed = len(data.videos), len(data.failures)
    videos = f"{counted(read, 'video')} {'was' if read == 1 else 'were'} read, {failed or 'none'} failed."
    return f"{done:,} of {counted(units, 'unit')} {'is' if done == 1 else 'are'} finished{rest}. {videos}"


def _failures(data: ReportData) -> Iterator[Finding]:
    if data.failures:
        yield Finding("bad", f"{counted(len(data.failures), 'video')} failed", _why(data), "failures")


def _why(data: ReportData) -> str:
    """`: 5 have too many unreadable frames (limit 20%), 2 failed for other reasons`."""
    reasons = reasons_of(data.failures)
    if len(reasons) == 1 and len(data.failures) == 1 and reasons[0].is_known:
        return f": it has {reasons[0].words}"
    return ": " + ", ".join(sentences(reasons, SHOWN_REASONS))


def _outputs(data: ReportData, labels: Labels) -> Iterator[Finding]:
    if foreign := [row.unit for row in data.units if row.state == "foreign" and not row.videos]:
        what = f"{counted(len(foreign), 'output')} without a readable record"
        yield Finding("bad", what, ": ", units=name_units(foreign, labels))
    if data.unreadable_records:
        what = f"{counted(len(data.unreadable_records), 'record')} can't be read"
        yield Finding("bad", what, f": {', '.join(data.unreadable_records[:EXAMPLES])}")


def _unfinished(data: ReportData, labels: Labels) -> Iterator[Finding]:
    ended_early = [run for run in data.runs if run.is_lost or run.state in ("failed", "interrupted")]
    left = _of_state(data, "left")
    if ended_early and left:
        error = next((run.error for run in reversed(ended_early) if run.error), "")
        what = f"{counted(len(ended_early), 'run')} failed, lost or interrupted"
        yield Finding("warn", what, f": {error}" if error else "", "runs")
    if left:
        yield Finding("warn", f"{counted(len(left), 'unit')} left to do", ": ", units=name_units(left, labels))
    if absent := _of_state(data, "absent"):
        what = f"{counted(len(absent), 'unit')} without a video in the dataset"
        yield Finding("quiet", what, ": ", units=name_units(absent, labels))


def _of_state(data: ReportData, state: str) -> list[Unit]:
    return [row.unit for row in data.units if row.state == state]


def _other_settings(data: ReportData) -> Iterator[Finding]:
    for digest, what in data.other_settings.items():
        units = counted(data.settings[digest][1], "unit")
        yield Finding("bad", f"{units} made with other settings than the config's", f": {what}", "settings")
    if len(data.settings) > 1 + len(data.other_settings):
        (first, _), (second, _) = list(data.settings.values())[:2]
        what = "; ".join(differences(second, first)[:3])
        yield Finding("bad", f"Outputs of {len(data.settings)} different settings", f": {what}", "settings")


def _low_rates(data: ReportData, labels: Labels) -> Iterator[Finding]:
    for metric in metrics_of(data):
        if (least := LEAST_PERCENT.get(metric.key)) is None:
            continue
        rates = [(rate, row.unit) for row in data.units if (rate := metric.rate(row)) is not None and rate < least]
        if rates:
            rates.sort(key=lambda item: item[0])
            yield Finding(
                "warn",
                f"{counted(len(rates), 'unit')} with {metric.label.lower()} in less than {least}% of frames",
                f", the least ({rates[0][0]:.0f}%) in ",
                "map",
                name_units((unit for _, unit in rates), labels),
            )


def _odd_videos(data: ReportData, labels: Labels) -> Iterator[Finding]:
    if not data.videos:
        return
    bare = [video for video in data.videos if video.no_hand == video.frames]
    if has_hands(data) and bare:
        what = f"{counted(len(bare), 'video')} without a hand in any frame"
        yield Finding("warn", what, ": ", "videos", name_units((video.unit for video in bare), labels))
    if bad := [video.bad for video in data.videos if video.bad]:
        what = counted(sum(bad), "unreadable frame")
        yield Finding("warn", what, f" in {counted(len(bad), 'video')}", "bad-frames")
    yield from _odd_lengths(data, labels, median(video.frames for video in data.videos))


def _odd_lengths(data: ReportData, labels: Labels, middle: float) -> Iterator[Finding]:
    lengths: Sequence[tuple[str, list[Unit]]] = (
        ("shorter than a quarter of", [video.unit for video in data.videos if video.frames < middle / 4]),
        ("longer than four times", [video.unit for video in data.videos if video.frames > middle * 4]),
    )
    for how, units in lengths:
        if units:
            what = f"{counted(len(units), 'video')} {how} the median length"
            yield Finding("warn", what, f" ({middle:g} frames): ", "lengths", name_units(units, labels))
