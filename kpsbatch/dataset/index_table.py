"""index.csv: a row for every video of a dataset, with where its keypoints are and what is known of it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TextIO

from kpsbatch.dataset.labels import Label
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.units import Unit
from kpsbatch.dataset.video import Video

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
    measured: Callable[[Unit, Video], Measured | None],
    labels: Mapping[int, Label] | None = None,
    others: Iterable[Mapping[str, Any]] = (),
) -> int:
    """Write index.csv.

    Args:
        measured: What the record of a unit says of one of its videos; None for a video that is not done, which gets
            no row.
        labels: Names of signs, for a dataset without a column of labels.
        others: Rows of units that are not among the source's; they come last.

    Returns:
        How many rows it has.
    """
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    rows = [*_rows(source, measured, labels or {}), *others]
    table.writerows(rows)
    return len(rows)


def _rows(
    source: Source, measured: Callable[[Unit, Video], Measured | None], labels: Mapping[int, Label]
) -> Iterator[dict[str, Any]]:
    for unit in source.units():
        for video in source.listing(unit).videos:
            if (found := measured(unit, video)) is None:
                continue
            segment = video.segment
            named = labels.get(unit.sign)
            yield {
                "file": f"{unit.name}.npz",
                "key": video.name,
                "signer": video.signer or unit.signer,
                "split": unit.split,
                "sign": unit.sign if source.has_signs else None,
                "label": video.label or (named.text if named is not None and source.has_signs else ""),
                "view": video.view,
                "video": video.path.relative_to(source.root).as_posix(),
                "source": video.source,
                "start": segment and segment.start,
                "end": segment and segment.end,
                "unit": segment and segment.unit,
                **found._asdict(),
            }
