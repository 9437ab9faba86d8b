"""What all formats of exports have in common: the files that one consists of, names of files, tables of videos."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np

from kpsbatch.errors import OutputError
from kpsbatch.files import write_atomically
from kpsbatch.store.reading import OutputDataset, Sample, VideoInfo

NAME_BYTES = 200
"""Longer names of videos are cut, so that with a suffix and a temporary mark they fit into a file's name (255)."""

Read = Callable[[Iterable[int]], Iterator[Sample]]
"""Reads videos of the dataset by their numbers, in that order."""


class Part(NamedTuple):
    """One file of an export, and the numbers of the videos in it."""

    file: str
    numbers: Sequence[int]


@dataclass(frozen=True)
class Request:
    """What is exported.

    Attributes:
        dataset: The videos.
        dtype: Of all arrays.
        coordinates: `image` or `adjusted`, as the settings say; "" where they don't.
    """

    dataset: OutputDataset
    dtype: np.dtype[Any]
    coordinates: str


class Format(Protocol):
    """One format: which files, how one of them is written, and what is written once all are there."""

    def parts(self, request: Request) -> list[Part]:
        """The files, the same for the same videos; an export in which they differ is another one.

        Raises:
            OutputError: The format can't hold the videos, or its library is missing.
        """

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write one of them so that it appears whole."""

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write what comes besides, and tell what `export.json` shall say of it all."""


def by_split(dataset: OutputDataset) -> dict[str, list[int]]:
    """The numbers of the videos of each split."""
    splits: dict[str, list[int]] = {}
    for number, info in enumerate(dataset.videos):
        splits.setdefault(info.split, []).append(number)
    return splits


def shards(request: Request, numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Videos in order, as many together as fill some bytes with their arrays; one at least."""
    row = request.dataset.topology.points * 4 * request.dtype.itemsize
    shard: list[int] = []
    filled = 0
    for number in numbers:
        video = request.dataset.videos[number].frames * row
        if shard and filled + video > size:
            yield shard
            shard, filled = [], 0
        shard.append(number)
        filled += video
    if shard:
        yield shard


def file_name(video: str, also: str = "") -> str:
    """The name of a video as a part of a file's name: `/`, `%` and what is in `also` escaped, cut where it is long."""
    name = "".join(f"%{ord(char):02X}" if char in "/%\0\n\r" + also else char for char in video)
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= NAME_BYTES:
        return name
    mark = hashlib.sha256(video.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{data[: NAME_BYTES - 13].decode('utf-8', 'ignore')}~{mark}"


def one_by_one(request: Request, suffix: str) -> list[Part]:
    """A file for each video: `01-train/0007/NAME.suffix`."""
    return [
        Part(f"{info.path.parent.name}/{info.path.stem}/{file_name(info.video)}{suffix}", [number])
        for number, info in enumerate(request.dataset.videos)
    ]


def facts_of(info: VideoInfo) -> dict[str, Any]:
    """What is known of a video, for tables and JSON."""
    return {
        "video": info.video,
        "signer": info.signer,
        "split": info.split,
        "sign": info.sign,
        "label": info.label,
        "target": info.target,
        "frames": info.frames,
        "frame_rate": info.frame_rate,
        "constant_rate": info.times is None if info.frame_rate else None,
        "width": info.width,
        "height": info.height,
    }


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV file of rows that have the same columns."""

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
        table: csv.DictWriter[str] | None = None
        for row in rows:
            if table is None:
                table = csv.DictWriter(text, list(row), lineterminator="\n")
                table.writeheader()
            table.writerow(
                {name: str(value).lower() if isinstance(value, bool) else value for name, value in row.items()}
            )
        text.detach()

    write_atomically(path, write)


def write_index(path: Path, request: Request, parts: Iterable[Part], **more: Callable[[VideoInfo], Any]) -> None:
    """Write a CSV file with a row for each video: its file, and what is known of it."""
    videos = request.dataset.videos
    rows = (
        {"file": part.file, **{name: of(videos[number]) for name, of in more.items()}, **facts_of(videos[number])}
        for part in parts
        for number in part.numbers
    )
    write_table(path, rows)


def missing_library(form: str, package: str) -> OutputError:
    """What to say where the library of a format is not installed."""
    return OutputError(f"--to {form} needs the package {package}. Run `pip install 'kpsbatch[{form}]'`.")
