"""The rows that the page's script makes tables and the map of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kpsbatch.config import Config
from kpsbatch.dataset.units import Unit
from kpsbatch.report.charts import clock
from kpsbatch.report.figures import Labels, Metric, metrics_of
from kpsbatch.report.gather import ReportData, VideoRow
from kpsbatch.store.survey import FINISHED

MAX_VIDEOS = 2000
MAX_FAILURES = 2000
MAX_BAD_FRAMES = 1000
STATE_LABELS = {
    "complete": "complete",
    "partial": "partial",
    "failed": "failed",
    "foreign": "no record",
    "left": "left",
    "absent": "no video",
}


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: Its name in filters.
        label: Its heading.
        kind: sign, word, text, number, percent (low is bad) or share (low is fine).
        down: Whether the first press sorts downwards.
    """

    key: str
    label: str
    kind: str
    down: bool = False


@dataclass(frozen=True)
class Table:
    """Columns, rows with a cell for each (None is empty), and a note beside the count of rows."""

    columns: list[Column]
    rows: list[list[Any]]
    note: str = ""


_WHERE = [Column("sign", "Sign", "sign"), Column("signer", "Signer", "word"), Column("split", "Split", "word")]
_VIDEO = Column("video", "Video", "text")


def script_data(config: Config, data: ReportData, worst_first: Sequence[VideoRow], labels: Labels) -> dict[str, Any]:
    """What the page's script gets. Rates are percentages, None where there is nothing to divide by."""
    metrics = metrics_of(data)
    tables = {
        "groups": _groups(data),
        "units": _units(data, metrics),
        "videos": _videos(worst_first, metrics),
        "failures": _failures(data),
        "bad": _bad_frames(data),
        "runs": _runs(data),
    }
    signs = sorted({row.unit.sign for row in data.units})
    return {
        "signs": signs,
        "lines": [list(line) for line in dict.fromkeys((row.unit.signer, row.unit.split) for row in data.units)],
        "names": {sign: [labels[sign].english, labels[sign].arabic] for sign in signs if sign in labels},
        "metrics": [{"key": metric.key, "label": metric.label, "kind": metric.kind} for metric in metrics],
        "tables": {
            name: {"columns": [asdict(column) for column in table.columns], "rows": table.rows, "note": table.note}
            for name, table in tables.items()
        },
    }


def _where(unit: Unit) -> list[Any]:
    return [unit.sign, unit.signer, unit.split]


def _number(key: str, label: str) -> Column:
    return Column(key, label, "number", down=True)


def _rates(metrics: Sequence[Metric]) -> list[Column]:
    return [
        Column(metric.key, "Hand" if metric.key == "hand" else metric.label.split()[0], metric.kind)
        for metric in metrics
    ]


def _units(data: ReportData, metrics: Sequence[Metric]) -> Table:
    counts = [_number("videos", "Videos"), _number("failed", "Failed"), _number("frames", "Frames")]
    columns = [*_WHERE, Column("state", "State", "word"), *counts, _number("bad", "Bad"), *_rates(metrics)]
    rows = [
        [*_where(row.unit), STATE_LABELS[row.state], row.videos, row.failed, row.frames, row.bad]
        + [metric.rate(row) for metric in metrics]
        for row in data.units
    ]
    return Table(columns, rows)


def _videos(worst_first: Sequence[VideoRow], metrics: Sequence[Metric]) -> Table:
    columns = [*_WHERE, _VIDEO, _number("frames", "Frames"), _number("bad", "Bad"), *_rates(metrics)]
    rows = [
        [*_where(video.unit), video.name, video.frames, video.bad] + [metric.rate(video) for metric in metrics]
        for video in worst_first[:MAX_VIDEOS]
    ]
    return Table(columns, rows, f"the worst of {len(worst_first):,}" if len(worst_first) > MAX_VIDEOS else "")


def _failures(data: ReportData) -> Table:
    rows = [[*_where(one.unit), one.name, one.error[:500]] for one in data.failures[:MAX_FAILURES]]
    note = f"the first of {len(data.failures):,}" if len(data.failures) > MAX_FAILURES else ""
    return Table([*_WHERE, _VIDEO, Column("reason", "Reason", "text")], rows, note)


def _bad_frames(data: ReportData) -> Table:
    columns = [*_WHERE, _VIDEO, Column("frame", "Frame", "text"), Column("problem", "Problem", "text")]
    rows = [
        [*_where(unit), video, frame, problem[:300]]
        for unit, video, frame, problem in data.bad_examples[:MAX_BAD_FRAMES]
    ]
    return Table(columns, rows)


_GROUP_COUNTS = {
    "done": "Units finished",
    "left": "Left",
    "failed": "Failed",
    "absent": "No video",
    "videos": "Videos",
    "failed_videos": "Failed videos",
    "frames": "Frames",
    "bad": "Bad frames",
}


def _groups(data: ReportData) -> Table:
    """Signers by splits."""
    groups: dict[tuple[str, str], dict[str, int]] = {}
    for row in data.units:
        group = groups.setdefault((row.unit.signer, row.unit.split), dict.fromkeys(_GROUP_COUNTS, 0))
        group["done"] += row.state in FINISHED
        for state in ("left", "failed", "absent"):
            group[state] += row.state == state
        group["videos"] += row.videos - row.failed
        group["failed_videos"] += row.failed
        group["frames"] += row.frames
        group["bad"] += row.bad
    columns = [Column("signer", "Signer", "word"), Column("split", "Split", "word")]
    columns += [Column(key, label, "number") for key, label in _GROUP_COUNTS.items()]
    return Table(columns, [[*key, *group.values()] for key, group in groups.items()])


def _runs(data: ReportData) -> Table:
    """The runs, the newest first."""
    columns = [
        Column("run", "Run", "text"),
        Column("state", "State", "word"),
        Column("host", "Host", "word"),
        Column("started", "Started (UTC)", "word", down=True),
        _number("minutes", "Minutes"),
        _number("units", "Units"),
        _number("videos", "Videos"),
        _number("failed", "Failed"),
        _number("rate", "Frames/s"),
        Column("error", "Error", "text"),
    ]
    rows = [
        [
            run.run,
            "lost" if run.is_lost else run.state,
            run.host,
            clock(run.began).removesuffix(" UTC"),
            round(run.seconds / 60, 1),
            run.units_done,
            run.videos_done + run.videos_before,
            run.videos_failed + run.failed_before,
            round(run.frames / run.seconds, 1) if run.seconds else None,
            run.error,
        ]
        for run in reversed(data.runs)
    ]
    return Table(columns, rows)
