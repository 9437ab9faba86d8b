"""index.csv beside the outputs of a manifest: a row for every video, where its keypoints are and what is known of it.

It is kept up to date run by run: only records that are new to it are read.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from kpsbatch.config import ALL_PEOPLE, Config
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.tables import Label, load_labels
from kpsbatch.dataset.video import Unit, Video
from kpsbatch.files import explained, look_anew, write_bytes
from kpsbatch.store.outputs import Outputs, OutputState
from kpsbatch.store.reading import INDEX_FILE
from kpsbatch.store.records import UnitRecord, VideoRecord, source_name
from kpsbatch.stored import escaped, read_stored

COLUMNS = (
    *("file", "key", "signer", "split", "sign", "label", "view", "video", "source"),
    *("start", "end", "unit", "frames", "rate", "width", "height"),
)


class Measured(NamedTuple):
    """What a run has found out about a video."""

    frames: int
    rate: float | None = None
    width: int | None = None
    height: int | None = None


def write_index(
    file: TextIO,
    source: Source,
    measured: Callable[[Unit, Video], Mapping[str, Measured]],
    labels: Mapping[int, Label] | None = None,
    others: Iterable[Mapping[str, Any]] = (),
) -> int:
    """Write index.csv.

    Args:
        measured: What the record of a unit says of one of its videos, by its keys in the npz; nothing for a video that
            is not done, which gets no row.
        labels: Names of signs, for a dataset without a column of labels.
        others: Rows of units that are not among the source's; they come last.

    Returns:
        How many rows it has.
    """
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    rows: list[Mapping[str, Any]] = []
    for unit in source.units():
        label = (labels or {}).get(unit.sign) if source.has_signs else None
        for video in source.listing(unit).videos:
            if not (measures := measured(unit, video)):
                continue
            cells = table_cells(source, unit, video)
            name = {"label": label.text} if label and not video.label else {}
            for key, values in measures.items():
                rows.append({"file": f"{unit.name}.npz", "key": key, **cells, **name, **values._asdict()})
    rows += others
    table.writerows(rows)
    return len(rows)


def table_cells(source: Source, unit: Unit, video: Video) -> dict[str, str]:
    """What a table says of a video, by column of index.csv, as text; only columns that say something."""
    cells = {
        "signer": video.signer or unit.signer,
        "split": unit.split,
        "sign": unit.sign if source.has_signs else None,
        "label": video.label,
        "view": video.view,
        "video": video.path.relative_to(source.root).as_posix(),
        "source": video.source,
        **(video.segment._asdict() if video.segment else {}),
    }
    return {name: str(escaped(cell)) for name, cell in cells.items() if cell not in (None, "")}


Key = tuple[str, str]
"""An output file below the output root, and the key of an array in it, or the name of a video."""


class _Written(NamedTuple):
    """The index as it is: its rows, and the time of the newest record that is in it, in nanoseconds."""

    rows: Mapping[Key, Mapping[str, str]]
    newest: int


def update_index(config: Config, source: Source, outputs: Outputs) -> int:
    """Write index.csv: a row for every video in the outputs.

    Rows of units that are not among the source's, since only a part of the dataset was chosen, stay as they are; where
    there are none, as the index came from another cluster, the records have them. The file's own time is that of the
    newest record in it, so that later records are found, whatever the clocks say.

    Returns:
        How many rows it has.

    Raises:
        OutputError: The output folder can't be written.
        ConfigError: The labels can't be used.
    """
    labels = load_labels(config.dataset.labels)
    path = outputs.root / INDEX_FILE
    with explained(outputs.root), outputs.lock("index.lock"):  # units are stored meanwhile
        look_anew(outputs.root)
        written = _read(path)
        units = source.units()
        states = outputs.states(units, sweep=False)
        measured, newest = _measure(outputs, states, written)
        known = _by_video(written.rows.values(), of_people=config.dataset.person == ALL_PEOPLE)

        def look_up(unit: Unit, video: Video) -> Mapping[str, Measured]:
            place = (f"{unit.name}.npz", video.name)
            stored = states.get(unit) in ("complete", "partial")
            unseen = unit not in states and place in known  # another host has stored it since it was listed here
            if not stored and not (unseen and outputs.npz_path(unit).exists()):
                return {}
            if place in measured:
                made_from, measures = measured[place]
                return measures if made_from == source.made_of(video).made_from else {}
            rows = {row["key"]: _as_written(row, source, video) for row in known.get(place, ())}
            return {key: values for key, values in rows.items() if values is not None}

        files = {f"{unit.name}.npz" for unit in units}
        others = [row for key, row in written.rows.items() if key[0] not in files]
        others += _recorded_rows(outputs, files | {file for file, _ in written.rows})
        text = io.StringIO()
        rows = write_index(text, source, look_up, labels, others)
        write_bytes(path, text.getvalue().encode("utf-8", "backslashreplace"))  # names of files can be any bytes
        os.utime(path, ns=(newest, newest))
    return rows


def _measure(
    outputs: Outputs, states: Mapping[Unit, OutputState], written: _Written
) -> tuple[dict[Key, tuple[str, dict[str, Measured]]], int]:
    """What the records say that are newer than the index, or not in it; and the time of the newest of all.

    By output file and name of a video: what it was made from, and its measures by key.
    """
    listed = {file for file, _ in written.rows}
    newest = written.newest
    measured: dict[Key, tuple[str, dict[str, Measured]]] = {}
    for unit, state in states.items():
        if state not in ("complete", "partial"):
            continue
        file, path = f"{unit.name}.npz", outputs.record_path(unit, state)
        try:
            time = path.stat().st_mtime_ns
        except FileNotFoundError:  # another run replaces it
            continue
        newest = max(newest, time)
        if time < written.newest and file in listed:
            continue
        record = read_stored(path, UnitRecord) or UnitRecord()
        for key, video in record.good.items():
            _, measures = measured.setdefault((file, source_name(key, video)), (video.made_from, {}))
            measures[key] = _measures_of(video)
    return measured, newest


def _by_video(rows: Iterable[Mapping[str, str]], *, of_people: bool) -> Mapping[Key, Sequence[Mapping[str, str]]]:
    """Rows of the index by output file and name of a video; `of_people`: a key can be NAME.1, of a person."""
    known: dict[Key, list[Mapping[str, str]]] = {}
    for row in rows:
        known.setdefault((row["file"], row["key"]), []).append(row)
        name, _, number = row["key"].rpartition(".")
        if of_people and number.isdecimal():
            known.setdefault((row["file"], name), []).append(row)
    return known


def _recorded_rows(outputs: Outputs, listed: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """The rows of the units of a table that have an output, but for those whose files are listed already."""
    for path in sorted(outputs.records.glob("*/*.json")):
        file = f"{path.parent.name}/{path.name.partition('.')[0]}.npz"
        if file in listed or not (outputs.root / file).exists():
            continue
        record = read_stored(path, UnitRecord) or UnitRecord()
        for name, video in record.good.items():
            if video.row and not video.gone_since:
                yield {"file": file, "key": name, **video.row, **_measures_of(video)._asdict()}


def _measures_of(video: VideoRecord) -> Measured:
    return Measured(video.frames, video.frame_rate or None, video.width or None, video.height or None)


def _as_written(row: Mapping[str, str], source: Source, video: Video) -> Measured | None:
    """What a row of the index says, if it is of the same segment of the same file."""
    segment = video.segment
    cells = [video.path.relative_to(source.root).as_posix(), segment and segment.start, segment and segment.end]
    if ["" if value is None else str(value) for value in cells] != [row["video"], row["start"], row["end"]]:
        return None
    width, height = (int(row[name]) if row[name] else None for name in ("width", "height"))
    return Measured(int(row["frames"]), float(row["rate"]) if row["rate"] else None, width, height)


def _read(path: Path) -> _Written:
    """The index that is there; nothing where it is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            whole = (row for row in table if row.get("height") is not None and int(row["frames"]) > 0)
            rows = {(row["file"], row["key"]): row for row in whole}
            if tuple(table.fieldnames or ()) == COLUMNS:
                return _Written(rows, os.fstat(file.fileno()).st_mtime_ns)
    except (OSError, ValueError, KeyError, csv.Error):
        pass
    return _Written({}, 0)
