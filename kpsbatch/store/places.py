"""Where the dataset of an output folder lies, with some of its videos: on each cluster that computed a part of it.

    <output root>/_kpsbatch/datasets/<fingerprint>-<digest>.json

A file for each place, named after its content and never changed: folders that are copied together keep those of both.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from kpsbatch.dataset.source import Source
from kpsbatch.files import INTERNAL, json_bytes, names_in, refuse_outside, write_bytes
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitName
from kpsbatch.stored import Stored, Text, escaped, read_stored


class SampledVideo(Stored):
    """A video of a dataset: its unit and name, its path below the dataset's root, and its `stored_size`."""

    unit: UnitName
    name: str
    path: str
    size: int


class Place(Stored):
    """A dataset's root, and some of its videos, from all over it."""

    root: Text
    videos: tuple[SampledVideo, ...] = ()


def read_places(outputs: Outputs) -> list[Place]:
    """Where runs with these settings have read their dataset."""
    return [place for path in _files(outputs) if (place := read_stored(path, Place)) is not None]


def note_place(outputs: Outputs, place: Place) -> None:
    """Keep a place, unless its root is known.

    Raises:
        OSError, OutputError: It can't be written.
    """
    folder = outputs.root / INTERNAL / "datasets"
    refuse_outside(outputs.root, folder)
    folder.mkdir(parents=True, exist_ok=True)
    names_in(folder, sweep=True)
    data = json_bytes(place.model_dump(mode="json"))
    write_bytes(folder / f"{outputs.fingerprint.digest}-{hashlib.sha256(data).hexdigest()[:12]}.json", data)


def forget_places(outputs: Outputs) -> None:
    """Remove those of these settings: another dataset takes the folder over."""
    for path in _files(outputs):
        path.unlink(missing_ok=True)


def places_elsewhere(outputs: Outputs, source: Source) -> set[str]:
    """The roots of parts of the dataset that lie on another cluster, and whose outputs were copied here.

    None of their videos is here by its unit and name, but those of another place are. Where both clusters have their
    part at the same path, all of it counts as elsewhere.
    """
    places = read_places(outputs)
    here = {place.root for place in places if _is_here(source, place)}
    there = {place.root for place in places if place.videos and not _is_here(source, place)}
    return {root for root in there if here and (root in here or root != escaped(str(source.root)))}


def _is_here(source: Source, place: Place) -> bool:
    return any(video.name in {other.name for other in source.listing(video.unit.unit).videos} for video in place.videos)


def _files(outputs: Outputs) -> list[Path]:
    return sorted((outputs.root / INTERNAL / "datasets").glob(f"{outputs.fingerprint.digest}-*.json"))
