"""The rows that the page's script makes tables and the map of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from kpsbatch.dataset.video import Unit
from kpsbatch.report import columns
from kpsbatch.report.charts import clock
from kpsbatch.report.columns import Column
from kpsbatch.report.failures import FailedVideo
from kpsbatch.report.figures import Labels, Metric, metrics_of
from kpsbatch.report.gather import ReportData, UnitRow, VideoRow
from kpsbatch.report.timeline import cores_of, gigabytes_of
from kpsbatch.words import show_command

MAX_VIDEOS = 2000
MAX_BAD_FRAMES = 1000
MAX_SLOWEST = 10
STATE_LABELS = {"foreign": "no record", "absent": "no video"}
"""What other states than by their name are called."""


@dataclass(frozen=True)
class Table:
    """Columns, rows with a cell for each (None is empty), and a note beside the count of rows."""

    columns: list[Column]
    rows: list[list[Any]]
    note: str = ""


def script_data(
    data: ReportData, worst_first: Sequence[VideoRow], failed: Sequence[FailedVideo], labels: Labels
) -> dict[str, Any]:
    """What the page's script gets. Rates are percentages, None where there is nothing to divide by."""
    metrics = metrics_of(data)
    tables = {
        "groups": _groups(data),
        "units": _units(data.units, metrics),
        "slowest": _slowest(data),
        "videos": _videos(worst_first, metrics),
        "failures": _failures(failed, len(data.failures)),
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


def _units(units: Sequence[UnitRow], metrics: Sequence[Metric]) -> Table:
    shown = [
        *columns.WHERE,
        columns.STATE,
        *(columns.READ, columns.FAILED, columns.FRAMES, columns.BAD, columns.SECONDS),
        *columns.rates(metrics),
    ]
    rows = [
        [
            *_where(row.unit),
            STATE_LABELS.get(row.state, row.state),
            row.videos - row.failed,
            row.failed,
            row.frames,
            row.bad,
        ]
        + [round(row.seconds, 1) if row.frames else None]
        + [metric.rate(row) for metric in metrics]
        for row in units
    ]
    return Table(shown, rows)


def _rate(frames: int, seconds: float) -> float | None:
    return round(frames / seconds, 1) if seconds else None


def _slowest(data: ReportData) -> Table:
    slowest = sorted((row for row in data.units if row.seconds), key=lambda row: -row.seconds)[:MAX_SLOWEST]
    figures = (columns.SECONDS, columns.RATE, columns.READ, columns.FRAMES)
    shown = [*columns.WHERE, *(replace(column, total=False) for column in figures)]
    rows = [
        [*_where(row.unit), round(row.seconds, 1), _rate(row.frames, row.seconds), row.videos - row.failed, row.frames]
        for row in slowest
    ]
    return Table(shown, rows)


def _videos(worst_first: Sequence[VideoRow], metrics: Sequence[Metric]) -> Table:
    shown = [*columns.WHERE, columns.VIDEO, columns.FRAMES, columns.BAD, *columns.rates(metrics)]
    rows = [
        [*_where(video.unit), video.name, video.frames, video.bad] + [metric.rate(video) for metric in metrics]
        for video in worst_first[:MAX_VIDEOS]
    ]
    return Table(shown, rows, f"the worst of {len(worst_first):,}" if len(worst_first) > MAX_VIDEOS else "")


def _failures(failed: Sequence[FailedVideo], count: int) -> Table:
    shown = [columns.PICTURE, *columns.WHERE, columns.VIDEO, columns.REASON]
    shown += [columns.LAST_WORDS, columns.LOG_LINES, columns.LOG]
    rows = [
        [
            [one.picture, one.caption],
            *_where(one.failure.unit),
            one.failure.name,
            one.failure.error[:500],
            one.failure.output[-500:],
            "\n".join(one.lines),
            one.log,
        ]
        for one in failed
    ]
    note = f"the first of {count:,}" if count > len(failed) else ""
    if not any(picture or caption for (picture, caption), *_ in rows):
        shown, rows = shown[1:], [row[1:] for row in rows]
    return Table(shown, rows, note)


def _bad_frames(data: ReportData) -> Table:
    rows = [
        [*_where(unit), video, frame, problem[:300]]
        for unit, video, frame, problem in data.bad_examples[:MAX_BAD_FRAMES]
    ]
    note = f"the first of {len(data.bad_examples):,}" if len(data.bad_examples) > MAX_BAD_FRAMES else ""
    return Table([*columns.WHERE, columns.VIDEO, columns.FRAME, columns.PROBLEM], rows, note)


def _is(state: str) -> Callable[[UnitRow], int]:
    return lambda row: int(row.state == state)


_GROUP_SUMS: dict[Column, Callable[[UnitRow], int]] = {
    columns.UNITS: lambda row: 1,
    **{column: _is(state) for state, column in columns.STATES.items()},
    columns.READ: lambda row: row.videos - row.failed,
    columns.FAILED: lambda row: row.failed,
    columns.FRAMES: lambda row: row.frames,
    columns.BAD: lambda row: row.bad,
}


def _groups(data: ReportData) -> Table:
    """Signers by splits. Every unit counts in one of the columns of states."""
    groups: dict[tuple[str, str], list[int]] = {}
    for row in data.units:
        sums = groups.setdefault((row.unit.signer, row.unit.split), [0] * len(_GROUP_SUMS))
        for place, count in enumerate(_GROUP_SUMS.values()):
            sums[place] += count(row)
    return Table([*columns.WHERE[1:], *_GROUP_SUMS], [[*key, *sums] for key, sums in groups.items()])


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
            cores_of(run),
            gigabytes_of(run),
            run.error,
            show_command(run.command),
            run.log or "",
        ]
        for run in reversed(data.runs)
    ]
    return Table(columns.RUN, rows)
