"""The columns of the page's tables, each with what it means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kpsbatch.report.figures import Metric


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: Its name in filters.
        label: Its heading.
        kind: sign, word, text, number, decimal (one place after the point), percent (low is bad), share (low is fine),
            picture, or detail: a line of its own below the row, where there is something to say.
        help: What it means, in a sentence.
        down: Whether the first press sorts downwards.
        total: Whether its sum is shown below.
    """

    key: str
    label: str
    kind: str
    help: str
    down: bool = False
    total: bool = False


def _decimal(key: str, label: str, help: str, *, total: bool = False) -> Column:
    return Column(key, label, "decimal", help, down=True, total=total)


def _count(key: str, label: str, help: str) -> Column:
    return Column(key, label, "number", help, down=True, total=True)


WHERE = (
    Column("sign", "Sign", "sign", "The sign's number, with its names where a table of labels is known."),
    Column("signer", "Signer", "word", "Who signs."),
    Column("split", "Split", "word", "The part of the dataset, such as train or test."),
)
STATE = Column(
    "state",
    "State",
    "word",
    "complete: all videos were read. partial: some failed. failed: all failed. no record: an output of unknown origin. "
    "left: not done yet. no video: the dataset has none.",
)
STATES = {
    "complete": _count("complete", "Complete", "Units of which all videos were read."),
    "partial": _count("partial", "Partial", "Units of which some videos failed."),
    "failed": _count("failed_units", "All failed", "Units of which all videos failed; they have no output."),
    "foreign": _count("foreign", "No record", "Units with an output, but without a record of it that can be read."),
    "left": _count("left", "Left", "Units that are not done yet."),
    "absent": _count("absent", "No video", "Units of which the dataset holds no video."),
}
"""The states of units, by their names in `UnitRow`; complete, partial and failed ones are finished."""

UNITS = _count("units", "Units", "Units of the config: each is a sign of a signer and a split.")
READ = _count("read", "Videos", "Videos that were read; their keypoints are in the output.")
FAILED = _count("failed", "Failed", "Videos that failed; they count in no other figure.")
FRAMES = _count("frames", "Frames", "Frames of the videos that were read.")
BAD = _count("bad", "Unreadable", "Of these frames, those that could not be read; their keypoints are zeros.")
SECONDS = _decimal("seconds", "Seconds", "Time that one worker spent on the videos that were read.", total=True)
RATE = _decimal("rate", "Frames/s", "Frames of these videos in a second of one worker.")
VIDEO = Column("video", "Video", "text", "The video's name: its key in the npz.")
FRAME = Column("frame", "Frame", "text", "The frame's file, or its number and time.")
PROBLEM = Column("problem", "Problem", "text", "Why it could not be read.")
REASON = Column("reason", "Reason", "text", "Why it failed, as its record says.")
PICTURE = Column("picture", "Picture", "picture", "The first of its frames that can be read.")
LAST_WORDS = Column("output", "Its worker wrote last", "detail", "What a lost worker wrote last.")
LOG_LINES = Column("lines", "The log says", "detail", "The lines of the run's log that name the video.")
LOG = Column("log", "Log", "detail", "The log of the run that tried it.")

RUN = [
    Column("run", "Run", "text", "The name of its state file."),
    Column("state", "State", "word", "How it ended; lost: it stopped without a word."),
    Column("host", "Host", "word", "Where it ran."),
    Column("started", "Started (UTC)", "word", "When it began.", down=True),
    _decimal("minutes", "Minutes", "How long it took."),
    _count("units", "Units", "Units that it stored. A unit that was done again counts in each run that stored it."),
    _count("read", "Videos", "Videos that it read."),
    _count("failed", "Failed", "Videos that failed in it."),
    _decimal("rate", "Frames/s", "Frames that it did in a second, with all of its workers."),
    _decimal("cores", "Cores", "How many cores it kept busy on average: its CPU time by its time."),
    _decimal("memory", "GiB", "The most memory that it and its workers had at one moment; shared pages count in each."),
    Column("error", "Error", "detail", "Why it failed or was interrupted."),
    Column("command", "Command", "detail", "What was typed."),
    Column("log", "Log", "detail", "Where it wrote its output to."),
]


def rates(metrics: Iterable[Metric]) -> list[Column]:
    """The columns of detection rates, in percent."""
    return [
        Column(metric.key, "Hand" if metric.key == "hand" else metric.label.split()[0], metric.kind, metric.help)
        for metric in metrics
    ]
