"""What `verify` compares outputs with besides their contract and record: index.csv, and the videos themselves."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig, RunConfig
from kpsbatch.dataset.frame import FrameLog
from kpsbatch.dataset.layout import list_folder
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.source import INDEX_FOLDER, open_folders
from kpsbatch.dataset.video import Segment, Video
from kpsbatch.errors import KpsbatchError, one_line
from kpsbatch.store.reading import INDEX_FILE
from kpsbatch.store.records import UnitRecord, VideoRecord, source_name
from kpsbatch.store.settings import Settings

Row = Mapping[str, str]

OFF = 2.0
"""Milliseconds that a time may be off: containers and records round them."""


@dataclass(frozen=True)
class Index:
    """index.csv: its rows by output file and key; and the time of the newest record that it knows, in nanoseconds."""

    rows: Mapping[str, Mapping[str, Row]]
    newest: int


def read_index(root: Path) -> Index | None:
    """The index.csv of an output folder; None where there is none that can be read."""
    rows: dict[str, dict[str, Row]] = {}
    path = root / INDEX_FILE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["file"], {})[row["key"]] = row
        return Index(rows, path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, csv.Error):
        return None


def index_problems(index: Index, record: UnitRecord, path: Path) -> Iterator[tuple[str, str]]:
    """Whether the index and the record of a unit say the same.

    Args:
        path: Of the record: of one that was written later the index need not know yet. Where the record has the cells
            of the table, readers take them from there.

    Yields:
        A video, and what is wrong.
    """
    try:
        is_known = path.stat().st_mtime_ns <= index.newest
    except OSError:  # a run replaces it
        return
    if record.unit is None:
        return
    rows = index.rows.get(f"{record.unit.unit.name}.npz", {})
    good = {name: video for name, video in record.good.items() if not video.gone_since}
    if is_known:
        yield from (
            (name, f"{INDEX_FILE} lacks it") for name, video in good.items() if name not in rows and not video.row
        )
    for name, row in rows.items():
        video = good.get(name)
        if video is None:
            yield name, f"{INDEX_FILE} has it, its record does not"
            continue
        values = {"frames": video.frames, "rate": video.frame_rate, "width": video.width, "height": video.height}
        for column, value in values.items():
            if row.get(column) != (str(value) if value else ""):
                yield name, f"{INDEX_FILE} says {column} {row.get(column)!r}; its record says {value}"


@dataclass(frozen=True)
class Videos:
    """The videos that outputs were made from, to be decoded again.

    Attributes:
        settings: Those of the outputs.
        max_pixels: Larger frames are not decoded.
    """

    settings: Settings
    max_pixels: int = RunConfig().max_pixels

    def problems(self, video: Video, keypoints: NDArray[Any], noted: VideoRecord) -> Iterator[str]:
        """Whether rows (T, points, 4) are of the frames that a video decodes to: their number, times and sizes.

        Yields:
            What is wrong.
        """
        log, sizes = FrameLog(), Counter[str]()
        unread: list[int] = []
        frames = 0
        try:
            for frame in read_frames(
                video,
                frame_rate=float(self.settings.landmarks.get("frame_rate") or LandmarksConfig().frame_rate),
                max_pixels=self.max_pixels,
                frame_rate_out=self.settings.dataset.get("frame_rate_out"),
            ):
                log.add(frame)
                if frame.image is None:
                    unread.append(frames)
                else:
                    sizes["{1}x{0}".format(*frame.image.shape)] += 1
                frames += 1
        except (KpsbatchError, OSError) as error:
            yield f"it can't be compared with its video: {one_line(error)}"
            return
        if frames != len(keypoints):
            yield f"it has {len(keypoints)} rows; its video decodes to {frames} frames"
            return
        if noted.bad_frames != len(unread):
            yield f"its record says that {noted.bad_frames} frames can't be read; of its video {len(unread)} can't"
        elif keypoints[unread].any():
            yield f"its row {next(row for row in unread if keypoints[row].any())} is of a frame that can't be read"
        now = log.timing()
        for what, theirs, ours in (
            ("times", noted.times, now.times),
            ("source_times", noted.source_times, now.source_times),
        ):
            if what == "source_times" and theirs is None:
                continue
            before, after = (
                _times(times, rate, frames) for times, rate in ((theirs, noted.frame_rate), (ours, now.frame_rate))
            )
            if noted.frame_rate and (off := np.abs(before - after)).max(initial=0) > OFF:
                row = int((off > OFF).argmax())
                yield f"its row {row} is at {before[row]:g} ms; its video has that frame at {after[row]:g} ms"
        if noted.sizes and self.settings.landmarks.get("decode") == "full" and noted.sizes != dict(sizes):
            yield f"its frames had {noted.sizes} pixels; those of its video have {dict(sizes)}"


def _times(times: list[float] | None, rate: float, frames: int) -> NDArray[np.float64]:
    """Milliseconds of frames since the first, as a record has them: a constant rate needs no list."""
    return np.asarray(times) if times is not None else np.arange(frames) * 1000 / (rate or 1)


def videos_of_record(root: Path, record: UnitRecord, rows: Mapping[str, Row]) -> dict[str, Video]:
    """The videos of a unit where its record and the index say that they lie; those that are there.

    Args:
        root: The output folder, which holds the indexes of archives.
        rows: Of the index, by key.
    """
    dataset = Path(record.dataset)
    try:
        folders = open_folders(dataset, root / INDEX_FOLDER)
        if not rows:
            return {video.name: video for video in list_folder(folders, record.source).videos}
        good = record.good
        rows = {source_name(key, good[key]) if key in good else key: row for key, row in rows.items()}
        there = {name: dataset / row["video"] for name, row in rows.items()}
        kinds = {
            folder / entry.name: entry.kind
            for folder in {path.parent for path in there.values()}
            for entry in folders.entries(folder.relative_to(dataset).as_posix().removeprefix("."))
        }
    except (KpsbatchError, OSError):
        return {}
    return {
        name: Video(name, path, kinds[path] == "file", folders.index, _segment(rows[name]))
        for name, path in there.items()
        if kinds.get(path, "odd") != "odd"
    }


def _segment(row: Row) -> Segment | None:
    if row["unit"] not in ("s", "frames"):
        return None
    return Segment(
        float(row["start"]), float(row["end"]) if row["end"] else None, "s" if row["unit"] == "s" else "frames"
    )
