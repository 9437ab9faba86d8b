"""What is known of the videos in outputs without reading their arrays: from records, and from a manifest's index.csv.

Needs the standard library only, besides the npz of a unit where its record is missing.
"""

from __future__ import annotations

import csv
import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import names_in, read_json
from kpsbatch.landmarks.topology import CONTRACT
from kpsbatch.store.members import open_npz
from kpsbatch.store.points import file_topology

INDEX_FILE = "index.csv"
READERS = 8
"""Threads that read records: a network file system answers many requests at once."""

Files = Mapping[str, Path]
"""The record of each unit, by the unit's name such as 01-train/0007."""


class KnownVideo(NamedTuple):
    """A video of an output.

    Attributes:
        name: Its key in the npz.
        frames: T, the length of its array.
        frame_rate: Frames a second, on average where it is not constant; None where that is not known.
        width, height: Of its frames, in pixels; None where that is not known.
        times: Milliseconds since the first frame, for each frame; None where the rate is constant or not known.
    """

    name: str
    frames: int
    frame_rate: float | None = None
    width: int | None = None
    height: int | None = None
    times: tuple[float, ...] | None = None


class KnownUnit(NamedTuple):
    """An output.

    Attributes:
        videos: Its videos, in the order of the npz.
        points: Its set of points, as `topology_of` takes it.
        version: Changes when the file changes: its SHA-256 as recorded, else size and time.
        record: Its record; None where there is none.
        failed: How many videos failed, and are not in it.
    """

    videos: tuple[KnownVideo, ...]
    points: str
    version: str
    record: Path | None = None
    failed: int = 0


class IndexRow(NamedTuple):
    """What index.csv says of a video: its real signer and label; `has_sign`: whether its unit's number is a sign."""

    signer: str
    label: str
    has_sign: bool


def find_outputs(root: Path) -> Iterator[tuple[Unit, Path]]:
    """Every output, in no order.

    Raises:
        OutputError: The folder can't be listed.
    """
    try:
        folders = [entry for entry in os.scandir(root) if entry.name[0] not in "._" and "-" in entry.name]
        for folder in folders:
            if not folder.is_dir():
                continue
            files = [name for name in os.listdir(folder) if re.fullmatch(r"[0-9]{4,5}\.npz", name)]
            if files:
                signer, split = _signer_and_split(root, folder.name)
                yield from ((Unit(signer, split, int(name[:-4])), Path(folder.path, name)) for name in files)
    except OSError as error:
        raise OutputError(f"{root} can't be listed: {error.strerror}. Correct the path.") from None


def _signer_and_split(root: Path, folder: str) -> tuple[str, str]:
    """Take a folder's name apart; with several hyphens a record tells, else the last hyphen counts."""
    if folder.count("-") > 1:
        for record in (root / "_kpsbatch" / "records").glob(f"*/{glob.escape(folder)}/*.json"):
            unit = (read_json(record) or {}).get("unit")
            if isinstance(unit, dict) and "signer" in unit and "split" in unit:
                return str(unit["signer"]), str(unit["split"])
    signer, _, split = folder.rpartition("-")
    return signer, split


def read_index(root: Path) -> dict[tuple[str, str], IndexRow]:
    """The rows of the index.csv that a run of a manifest writes, by output file and key; none where there is none."""
    try:
        with (root / INDEX_FILE).open(newline="", encoding="utf-8") as file:
            return {
                (row["file"], row["key"]): IndexRow(row["signer"], row["label"], row["sign"] != "")
                for row in csv.DictReader(file)
            }
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def find_records(root: Path, *, failed: bool = False) -> dict[str, Path]:
    """The record of every unit that has an npz, by its name; the newest where settings were changed halfway.

    Args:
        failed: Also those of units of which all videos failed.

    Raises:
        OutputError: A folder can't be listed.
    """
    suffixes = {"json", "partial.json", "failed.json"} if failed else {"json", "partial.json"}
    found: dict[str, Path] = {}
    for folder in sorted((root / "_kpsbatch" / "records").glob("*/*/")):
        try:
            names = names_in(folder) if folder.is_dir() else ()  # a pattern's last slash counts from Python 3.11 on
        except OSError as error:
            raise OutputError(f"{folder} can't be listed: {error.strerror}. Correct its permissions.") from None
        for name in names:
            stem, _, suffix = name.partition(".")
            if not stem or suffix not in suffixes:
                continue
            unit, path = f"{folder.name}/{stem}", folder / name
            if unit not in found or _modified(found[unit]) < _modified(path):
                found[unit] = path
    return found


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def known_units(paths: Iterable[Path], records: Files) -> Iterator[KnownUnit]:
    """The videos of each npz, in the order of the paths.

    Raises:
        OutputError: A file without a fitting record is missing or damaged.
    """

    def look(path: Path) -> KnownUnit:
        return _look(path, records.get(f"{path.parent.name}/{path.stem}"))

    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(look, paths)


def _look(path: Path, record: Path | None) -> KnownUnit:
    told = (read_json(record) or {}) if record is not None else {}
    recorded = told["videos"] if isinstance(told.get("videos"), dict) else {}
    good = {
        name: facts
        for name, facts in recorded.items()
        if isinstance(facts, dict) and isinstance(facts.get("frames"), int)
    }
    failed = len(recorded) - len(good)
    if good and _is_of(told, path):
        videos = tuple(_known(name, facts) for name, facts in good.items())
        return KnownUnit(videos, str(told.get("points", CONTRACT.name)), str(told["npz"].get("sha256")), record, failed)
    with open_npz(path) as npz:  # an npz that another tool wrote, or one that was copied without its record
        shapes = {name: npz.shape(name) for name in npz.members}
    for name, shape in shapes.items():
        if len(shape) != 3 or not shape[0]:
            raise OutputError(
                f"{path}: video {name!r} is {shape}, not (T, points, 4). Name a file that kpsbatch wrote."
            )
    known = (
        _known(name, facts) if (facts := good.get(name, {})).get("frames") == shape[0] else KnownVideo(name, shape[0])
        for name, shape in shapes.items()
    )
    points = file_topology(path, next(iter(shapes.values()))[1]).name
    found = path.stat()
    return KnownUnit(tuple(known), points, f"{found.st_size}-{found.st_mtime_ns}", record, failed)


def _is_of(record: Mapping[str, Any], path: Path) -> bool:
    """Whether a record is of the npz that is there, as far as its size tells."""
    npz = record.get("npz")
    try:
        return isinstance(npz, dict) and npz.get("bytes") == path.stat().st_size
    except OSError:
        return False


def _known(name: str, facts: Mapping[str, Any]) -> KnownVideo:
    times = facts.get("times")
    return KnownVideo(
        name,
        int(facts["frames"]),
        float(facts.get("frame_rate") or 0) or None,
        int(facts.get("width") or 0) or None,
        int(facts.get("height") or 0) or None,
        tuple(times) if times else None,
    )
