"""The columns and rows that the page's script makes tables and the map of."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kpsbatch.dataset.video import Unit
from kpsbatch.look.usage import busy_cores, gigabytes
from kpsbatch.pictures.report.charts import clock
from kpsbatch.pictures.report.gather import Failure, Metric, ReportData, UnitRow, VideoRow, has_hands, metrics_of
from kpsbatch.pictures.report.videos import FailedVideo, flag_of, key_of
from kpsbatch.words import show_command

MAX_VIDEOS = 2000
MAX_BAD_FRAMES = 1000
MAX_SLOWEST = 10
MAX_SQUARES = 100_000
"""Of the map of labels; with more, the last signers are left out."""

STATE_LABELS = {"foreign": "no record", "absent": "no video"}
"""What other states than by their name are called."""


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
SIGNER, SPLIT = WHERE[1:]
LABEL = Column("label", "Label", "text", "What the table says of the video.")
UNIT = Column("unit", "Output", "text", "The output file, which holds rows of the table in their order.")
RIGHT_BARE = _count("right_bare", "Right bare", "Frames in which the right wrist shows, but no right hand was found.")
LEFT_BARE = _count("left_bare", "Left bare", "Frames in which the left wrist shows, but no left hand was found.")
BARE = _decimal(
    "bare", "Hands lost", "Of 100 frames, the wrists that show without a hand: up to 200, for both hands. Worst first."
)
PLAY = Column(
    "play", "Play", "play", "The video in the player, at a frame without a hand; or the command that plays it."
)
FLAG = Column("flag", "Flag", "flag", "Flagged videos are listed below, to be copied into dataset.exclude.")
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


EMPTY_IS_NOTHING = frozenset({*STATES.values(), FAILED, BAD, RIGHT_BARE, LEFT_BARE, LABEL, SIGNER, *RUN})
"""Columns that are left out where all of their cells are 0 or empty."""


def _rate_columns(metrics: Iterable[Metric]) -> list[Column]:
    return [
        Column(metric.key, "Hand" if metric.key == "hand" else metric.label.split()[0], metric.kind, metric.help)
        for metric in metrics
    ]


@dataclass(frozen=True)
class Table:
    """Columns, rows with a cell for each (None is empty), and a note beside the count of rows."""

    columns: list[Column]
    rows: list[list[Any]]
    note: str = ""


def _without_zeros(table: Table) -> Table:
    """The table without columns that say nothing: all zero, or empty; the videos' own columns stay."""
    said = [
        place
        for place, column in enumerate(table.columns)
        if column not in EMPTY_IS_NOTHING or not table.rows or any(row[place] for row in table.rows)
    ]
    if len(said) == len(table.columns):
        return table
    return Table([table.columns[at] for at in said], [[row[at] for at in said] for row in table.rows], table.note)


def script_data(
    data: ReportData, worst_first: Sequence[VideoRow], failed: Sequence[FailedVideo], config_path: Path
) -> dict[str, Any]:
    """What the page's script gets. Rates are percentages, None where there is nothing to divide by."""
    metrics = metrics_of(data)
    classes = None if data.has_signs else _classes(data, metrics)
    tables = {
        "groups": _groups(data),
        "units": _units(data, metrics),
        "slowest": _slowest(data),
        "videos": _videos(data, worst_first, metrics),
        "failures": _failures(data, failed),
        "bad": _bad_frames(data),
        "runs": _runs(data),
    }
    signs = sorted({row.unit.sign for row in data.units})
    lines = list(dict.fromkeys((row.unit.signer, row.unit.split) for row in data.units))
    shown: dict[str, Any] = {"table": "units", "places": signs, "lines": [" ".join(line) for line in lines]}
    if classes is not None:
        tables["classes"], shown = classes
    return {
        "map": shown,
        "names": {sign: [name.english, name.arabic] for sign in signs if (name := data.labels.get(sign))}
        if data.has_signs
        else {},
        "command": shlex.join(["kpsbatch", "view", str(config_path)]) if data.named is None else "",
        "metrics": [{"key": metric.key, "label": metric.label, "kind": metric.kind} for metric in metrics],
        "tables": {
            name: {"columns": [asdict(column) for column in table.columns], "rows": table.rows, "note": table.note}
            for name, table in ((name, _without_zeros(table)) for name, table in tables.items())
        },
    }


def _where_columns(data: ReportData) -> list[Column]:
    return [*WHERE] if data.has_signs else [LABEL, SIGNER, SPLIT]


def _where(data: ReportData, of: VideoRow | Failure) -> list[Any]:
    return [of.unit.sign if data.has_signs else of.label, of.signer, of.unit.split]


def _unit_columns(data: ReportData) -> list[Column]:
    return [*WHERE] if data.has_signs else [UNIT, SPLIT]


def _unit(data: ReportData, unit: Unit) -> list[Any]:
    return [unit.sign, unit.signer, unit.split] if data.has_signs else [unit.name, unit.split]


def _classes(data: ReportData, metrics: Sequence[Metric]) -> tuple[Table, dict[str, Any]]:
    """The labels, by signer and split, as a table and as the map shows them: a row for each, whether it has videos."""
    named = {(name.sign.english, name.signer, name.split): row for name, row in data.classes}
    labels, lines = list(dict.fromkeys(key[0] for key in named)), sorted({key[1:] for key in named})
    if len(labels) * len(lines) > MAX_SQUARES:
        lines = lines[: max(1, MAX_SQUARES // len(labels))]
    rows: list[list[Any]] = []
    for label in labels:
        for signer, split in lines:
            row = named.get((label, signer, split))
            state = "no video" if row is None else row.state
            row = row or UnitRow(Unit(signer, split, 0), "absent")
            figures = [
                row.videos - row.failed,
                row.failed,
                row.frames,
                row.bad,
                *(metric.rate(row) for metric in metrics),
            ]
            rows.append([label, signer, split, state, *figures])
    columns = [LABEL, SIGNER, SPLIT, STATE, READ, FAILED, FRAMES, BAD, *_rate_columns(metrics)]
    shown = {"table": "classes", "places": labels, "lines": [" ".join(filter(None, line)) for line in lines]}
    return Table(columns, rows), shown


def _units(data: ReportData, metrics: Sequence[Metric]) -> Table:
    rows = [
        [
            *_unit(data, row.unit),
            STATE_LABELS.get(row.state, row.state),
            row.videos - row.failed,
            row.failed,
            row.frames,
        ]
        + [row.bad, round(row.seconds, 1) if row.frames else None]
        + [metric.rate(row) for metric in metrics]
        for row in data.units
    ]
    columns = [*_unit_columns(data), STATE, READ, FAILED, FRAMES, BAD, SECONDS, *_rate_columns(metrics)]
    return Table(columns, rows)


def _rate(frames: int, seconds: float) -> float | None:
    return round(frames / seconds, 1) if seconds else None


def _slowest(data: ReportData) -> Table:
    slowest = sorted((row for row in data.units if row.seconds), key=lambda row: -row.seconds)[:MAX_SLOWEST]
    shown = [*_unit_columns(data), *(replace(column, total=False) for column in (SECONDS, RATE, READ, FRAMES))]
    rows = [
        [
            *_unit(data, row.unit),
            round(row.seconds, 1),
            _rate(row.frames, row.seconds),
            row.videos - row.failed,
            row.frames,
        ]
        for row in slowest
    ]
    return Table(shown, rows)


def _videos(data: ReportData, worst_first: Sequence[VideoRow], metrics: Sequence[Metric]) -> Table:
    rates = _rate_columns(metrics)
    lost = [BARE, RIGHT_BARE, LEFT_BARE] if has_hands(data) else []
    shown = [*_where_columns(data), VIDEO, PLAY, FLAG, FRAMES, BAD, *lost, *rates]
    rows = [
        [*_where(data, video), video.name, [key_of(video.unit, video.name), video.worst_frame], flag_of(data, video)]
        + [video.frames, video.bad]
        + ([round(100 * video.bare_wrists / video.frames, 1), *(video.bare or (None, None))] if lost else [])
        + [metric.rate(video) for metric in metrics]
        for video in worst_first[:MAX_VIDEOS]
    ]
    return Table(shown, rows, f"the worst of {len(worst_first):,}" if len(worst_first) > MAX_VIDEOS else "")


def _failures(data: ReportData, failed: Sequence[FailedVideo]) -> Table:
    count = len(data.failures)
    shown = [PICTURE, *_where_columns(data), VIDEO, REASON, LAST_WORDS, LOG_LINES, LOG]
    rows = [
        [
            [video.picture, video.caption],
            *_where(data, video.failure),
            video.failure.name,
            video.failure.error[:500],
            video.failure.output[-500:],
            "\n".join(video.lines),
            video.log,
        ]
        for video in failed
    ]
    note = f"the first of {count:,}" if count > len(failed) else ""
    if not any(picture or caption for (picture, caption), *_ in rows):
        shown, rows = shown[1:], [row[1:] for row in rows]
    return Table(shown, rows, note)


def _bad_frames(data: ReportData) -> Table:
    bad = data.bad_examples
    rows = [[*_unit(data, unit), video, frame, problem[:300]] for unit, video, frame, problem in bad[:MAX_BAD_FRAMES]]
    note = f"the first of {len(bad):,}" if len(bad) > MAX_BAD_FRAMES else ""
    return Table([*_unit_columns(data), VIDEO, FRAME, PROBLEM], rows, note)


def _is(state: str) -> Callable[[UnitRow], int]:
    return lambda row: int(row.state == state)


_GROUP_SUMS: dict[Column, Callable[[UnitRow], int]] = {
    UNITS: lambda row: 1,
    **{column: _is(state) for state, column in STATES.items()},
    READ: lambda row: row.videos - row.failed,
    FAILED: lambda row: row.failed,
    FRAMES: lambda row: row.frames,
    BAD: lambda row: row.bad,
}


def _groups(data: ReportData) -> Table:
    """Signers by splits, or splits where units are of any signer; each unit counts in one column of states."""
    groups: dict[tuple[str, str], list[int]] = {}
    for row in data.units:
        sums = groups.setdefault((row.unit.signer, row.unit.split), [0] * len(_GROUP_SUMS))
        for index, count in enumerate(_GROUP_SUMS.values()):
            sums[index] += count(row)
    first = 0 if data.has_signs else 1
    return Table([*WHERE[1 + first :], *_GROUP_SUMS], [[*key[first:], *sums] for key, sums in groups.items()])


def _runs(data: ReportData) -> Table:
    """The runs, the newest first."""
    rows = [
        [
            run.run,
            run.present_state,
            run.host,
            clock(run.began).removesuffix(" UTC"),
            round(run.seconds / 60, 1),
            run.units_done,
            run.videos_done - run.videos_failed + run.videos_before - run.failed_before,
            run.videos_failed + run.failed_before,
            _rate(run.frames, run.seconds),
            busy_cores(run),
            gigabytes(run),
            run.error,
            show_command(run.command),
            run.log or "",
        ]
        for run in reversed(data.runs)
    ]
    return Table(RUN, rows)
