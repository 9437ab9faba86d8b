"""The list at the top of the page: what is wrong, what is odd, each with where to see it; and why videos failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from kpsbatch.dataset.video import Unit
from kpsbatch.look.nodes import bad_nodes
from kpsbatch.pictures.report.gather import Failure, ReportData, UnitName, VideoRow, has_hands, metrics_of
from kpsbatch.store.settings import differences
from kpsbatch.store.survey import FINISHED
from kpsbatch.words import counted

LEVELS = {"bad": "Wrong", "warn": "Look", "quiet": "Note", "good": "Good"}
LEAST_PERCENT = {"hand": 75, "pose": 90, "face": 90}
MUCH_LOST = 0.1
"""Hands lost by frame from which on a video is to be looked at."""

EXAMPLES = 3
SHOWN_REASONS = 3

_KINDS = (
    (r"frames are unreadable \(limit ([0-9.]+%)", "too many unreadable frames (limit {})"),
    (r"no new frame for ([0-9.]+ s)", "a frame that took more than {} (run.video_timeout)"),
    (r"when memory runs out|run\.worker_memory", "too little memory"),
    (r": has no frame\b", "no frame"),
    (r"larger than run\.max_pixels", "frames larger than run.max_pixels"),
    (r"can't be opened by FFmpeg|no video that FFmpeg|no readable frame|is cut off", "a damaged video file"),
    (r": can't be read: ([^.;]+)", "a file that can't be read ({})"),
)
"""What an error's text says, and in plain words what the video has; the first that fits counts."""


@dataclass(frozen=True)
class Finding:
    """One line of the list.

    Attributes:
        level: One of `LEVELS`.
        text: What was found; a link where there is a section.
        rest: What follows it.
        section: Where to see it, "" for nowhere.
        units: Where it was found.
    """

    level: str
    text: str
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


def findings_of(data: ReportData) -> list[Finding]:
    """What stands out, the worst first."""
    findings = [
        *_failures(data),
        *_outputs(data),
        *_unfinished(data),
        *_other_settings(data),
        *_lost_hands(data),
        *_low_rates(data),
        *_odd_videos(data),
    ]
    findings.sort(key=lambda finding: list(LEVELS).index(finding.level))
    return findings or [Finding("good", "Nothing stands out.")]


def headline_of(data: ReportData) -> str:
    """How the run stands: `14 of 15 units are finished, 1 is left. 22 videos were read, 5 failed.`"""
    units = len(data.units) - len(_of_state(data, "absent"))
    done = sum(row.state in FINISHED for row in data.units)
    left = units - done
    rest = f", {left:,} {'is' if left == 1 else 'are'} left" if left else ""
    read, failed = len(data.each_video), len(data.failures)
    videos = f"{counted(read, 'video')} {'was' if read == 1 else 'were'} read, {failed or 'none'} failed."
    return f"{done:,} of {counted(units, 'unit')} {'is' if done == 1 else 'are'} finished{rest}. {videos}"


def _failures(data: ReportData) -> Iterator[Finding]:
    """`7 videos failed: 5 have too many unreadable frames (limit 20%), 2 failed for other reasons`."""
    if not data.failures:
        return
    reasons = reasons_of(data.failures)
    why = ", ".join(sentences(reasons, SHOWN_REASONS))
    if len(data.failures) == 1 and reasons[0].is_known:
        why = f"it has {reasons[0].words}"
    yield Finding("bad", f"{counted(len(data.failures), 'video')} failed", f": {why}", "failures")


def _outputs(data: ReportData) -> Iterator[Finding]:
    if foreign := [row.unit for row in data.units if row.state == "foreign" and not row.videos]:
        text = f"{counted(len(foreign), 'output')} without a readable record"
        yield Finding("bad", text, ": ", units=data.names(foreign))
    if data.unreadable_records:
        text = f"{counted(len(data.unreadable_records), 'record')} can't be read"
        yield Finding("bad", text, f": {', '.join(data.unreadable_records[:EXAMPLES])}")


def _unfinished(data: ReportData) -> Iterator[Finding]:
    ended_early = [run for run in data.runs if run.is_lost or run.state in ("failed", "interrupted")]
    left = _of_state(data, "left")
    if ended_early and left:
        error = next((run.error for run in reversed(ended_early) if run.error), "")
        text = f"{counted(len(ended_early), 'run')} failed, lost or interrupted"
        yield Finding("warn", text, f": {error}" if error else "", "runs")
    for line in bad_nodes(data.runs, "kpsbatch submit CONFIG"):
        yield Finding("warn", line, section="runs")
    if left:
        yield Finding("warn", f"{counted(len(left), 'unit')} left to do", ": ", units=data.names(left))
    if absent := _of_state(data, "absent"):
        text = f"{counted(len(absent), 'unit')} without a video in the dataset"
        yield Finding("quiet", text, ": ", units=data.names(absent))


def _of_state(data: ReportData, state: str) -> list[Unit]:
    return [row.unit for row in data.units if row.state == state]


def _other_settings(data: ReportData) -> Iterator[Finding]:
    for digest, differences_there in data.other_settings.items():
        text = f"{counted(data.settings[digest][1], 'unit')} made with other settings than the config's"
        yield Finding("bad", text, f": {differences_there}", "settings")
    if len(data.settings) > 1 + len(data.other_settings):
        (first, _), (second, _) = list(data.settings.values())[:2]
        text = "; ".join(differences(second, first)[:3])
        yield Finding("bad", f"Outputs of {len(data.settings)} different settings", f": {text}", "settings")


def _low_rates(data: ReportData) -> Iterator[Finding]:
    for metric in metrics_of(data):
        if (least := LEAST_PERCENT.get(metric.key)) is None:
            continue
        rates = [(rate, name) for name, row in data.classes if (rate := metric.rate(row)) is not None and rate < least]
        if rates:
            rates.sort(key=lambda item: item[0])
            what = "unit" if data.has_signs else "label"
            text = f"{counted(len(rates), what)} with {metric.label.lower()} in less than {least}% of frames"
            units = tuple(name for _, name in rates)
            yield Finding("warn", text, f", the least ({rates[0][0]:.0f}%) in ", "map", units)


def _odd_videos(data: ReportData) -> Iterator[Finding]:
    if not data.videos:
        return
    bare = [each[0] for each in data.people_of_each if all(person.no_hand == person.frames for person in each)]
    if has_hands(data) and bare:
        text = f"{counted(len(bare), 'video')} without a hand in any frame"
        yield Finding("warn", text, ": ", "videos", _names(data, bare))
    if bad := [video.bad for video in data.each_video if video.bad]:
        text = counted(sum(bad), "unreadable frame")
        yield Finding("warn", text, f" in {counted(len(bad), 'video')}", "bad-frames")
    if data.doubtful:
        text = f"{counted(len(data.doubtful), 'video')} whose signer is in doubt"
        unit, name, reason = data.doubtful[0]
        yield Finding(
            "warn",
            text,
            f", first {unit.name}/{name}: {reason}. In ",
            units=data.names(row[0] for row in data.doubtful),
        )
    videos = data.each_video
    middle = median(video.frames for video in videos)
    lengths = {
        "shorter than a quarter of": [video for video in videos if video.frames < middle / 4],
        "longer than four times": [video for video in videos if video.frames > middle * 4],
    }
    for how, videos in lengths.items():
        if videos:
            text = f"{counted(len(videos), 'video')} {how} the median length"
            yield Finding("warn", text, f" ({middle:g} frames): ", "lengths", _names(data, videos))


def _names(data: ReportData, videos: Iterable[VideoRow]) -> tuple[UnitName, ...]:
    return tuple(dict.fromkeys(map(data.name_of_video, videos)))


def _lost_hands(data: ReportData) -> Iterator[Finding]:
    """`15 hands of 300 that show were not found (12 right, 3 left), in 4 videos, the worst first: ...`."""
    lost = [video for video in data.videos if video.bare_wrists]
    if not (has_hands(data) and lost):
        return
    lost.sort(key=lambda video: -video.bare_wrists / video.frames)
    count, shown = sum(video.bare_wrists for video in lost), sum(video.wrists for video in data.videos)
    sides = [video.bare for video in lost if video.bare is not None]
    right, left = (sum(side[place] for side in sides) for place in (0, 1))
    text = f"{counted(count, 'hand')} of {shown:,} that show {'was' if count == 1 else 'were'} not found"
    told = f" ({right:,} right, {left:,} left)" if len(sides) == len(lost) else ""
    rest = f"{told}, in {counted(len(lost), 'video')}, the worst first: "
    worst = lost[0].bare_wrists / lost[0].frames
    yield Finding("warn" if worst > MUCH_LOST else "quiet", text, rest, "videos", _names(data, lost))


@dataclass
class Reason:
    """Failures of one kind.

    Attributes:
        words: What the videos have, such as `too many unreadable frames (limit 20%)`; or what their errors have in
            common, where these words don't know it.
        is_known: Which of both.
        failures: The videos.
    """

    words: str
    is_known: bool
    failures: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        """`5 have too many unreadable frames (limit 20%)`."""
        count = len(self.failures)
        verb = ("has" if count == 1 else "have") if self.is_known else "failed:"
        return f"{count:,} {verb} {self.words}"


def reasons_of(failures: Iterable[Failure]) -> list[Reason]:
    """Failures by their reason, the most frequent first."""
    groups: dict[str, Reason] = {}
    for failure in failures:
        words = plain_words(failure.error)
        reason = Reason(words or common_text(failure.error), bool(words))
        groups.setdefault(reason.words, reason).failures.append(failure)
    return sorted(groups.values(), key=lambda reason: -len(reason.failures))


def sentences(reasons: Sequence[Reason], most: int) -> list[str]:
    """The first reasons as text, and how many videos failed for others; together they are all."""
    rest = sum(len(reason.failures) for reason in reasons[most:])
    return [*map(str, reasons[:most]), *([f"{rest:,} failed for other reasons"] if rest else [])]


def plain_words(error: str) -> str:
    """What a video has that failed with this error; "" where no words are known."""
    for pattern, words in _KINDS:
        if match := re.search(pattern, error):
            return words.format(*match.groups())
    return ""


def common_text(error: str) -> str:
    """What errors of one kind have in common: an error's text without its names, paths and numbers."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "…", error)
    text = re.sub(r"; (?:the )?first: .*", "", text)
    text = re.sub(r"(?<![\w/])/[^:;,]*", "…", text)
    text = re.sub(r"\b[0-9]+(?:[.,][0-9]+)*", "N", text)
    return " ".join(text.split())
