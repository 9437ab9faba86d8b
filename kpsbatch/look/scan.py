"""What the dataset holds, by listings only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from kpsbatch.dataset.folders import places_outside
from kpsbatch.dataset.manifest import ManifestSource
from kpsbatch.dataset.reading import count_frames
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Listing, Unit, Video
from kpsbatch.files import in_threads

MAX_EXAMPLES = 20

FrameCounts: TypeAlias = "list[tuple[Video, tuple[int, Mapping[str, list[str]]] | str]]"


@dataclass
class Group:
    """One signer and split of the dataset.

    Attributes:
        units: Signs with at least one video.
        videos: Videos in all, of which `files` are video files.
        files: Video files.
        frames: Frames in directories (the frames of video files are not counted: that would need reading them).
        fewest, most: Videos of the sign with the fewest and the most.
        absent: Signs without a folder.
        empty: Signs whose folder holds no video.
    """

    units: int = 0
    videos: int = 0
    files: int = 0
    frames: int = 0
    fewest: int = 0
    most: int = 0
    absent: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)


@dataclass
class Scan:
    """A whole dataset.

    Attributes:
        groups: By signer and split.
        has_signs: Whether units are signs, and not bins of rows.
        odd: Entries that are odd, as (path, what is odd); the first of them.
        odd_counts: How often that is.
        bad_rows: Rows of a table that can't be used, as (file:line, why); all of them.
        noted_rows: Rows of captions that are used, but may not be what was meant, in the same way.
        rows: How many rows the table has ("all"), and how many of them are videos, bad and left out; None without one.
        row_sum: The same in words.
        excluded: How many videos `dataset.exclude` leaves out.
        not_excluded: Those that it names and the dataset does not have.
        outside: The places outside of the dataset's root to which links on the way to its videos lead.
    """

    groups: dict[tuple[str, str], Group]
    has_signs: bool = True
    bad_rows: list[tuple[str, str]] = field(default_factory=list)
    noted_rows: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[str, int] | None = None
    row_sum: str = ""
    odd: list[tuple[str, str]] = field(default_factory=list)
    odd_counts: Counter[str] = field(default_factory=Counter)
    outside: list[str] = field(default_factory=list)
    excluded: int = 0
    not_excluded: list[str] = field(default_factory=list)

    def as_tree(self, frames: bool) -> dict[str, Any]:
        """For JSON; `frames` of a group is null where they were not counted."""
        return {
            "groups": [
                {"signer": signer, "split": split, **vars(group), "frames": group.frames if frames else None}
                for (signer, split), group in self.groups.items()
            ],
            "rows": self.rows,
            "bad_rows": [{"row": row, "problem": problem} for row, problem in self.bad_rows],
            "noted_rows": [{"row": row, "note": note} for row, note in self.noted_rows],
            "odd_counts": dict(self.odd_counts),
            "odd": [{"path": path, "problem": problem} for path, problem in self.odd],
            "outside": self.outside,
            "excluded": self.excluded,
            "not_excluded": self.not_excluded,
        }


def scan(
    source: Source, *, frames: bool = True, on_unit: Callable[[int, int], None] = lambda done, total: None
) -> Scan:
    """List the dataset, several units at a time.

    Args:
        frames: Whether to list the directories of frames too.
        on_unit: Called with (units listed, units in all).

    Raises:
        DatasetError: There is no video at all.
    """
    units = source.units()
    result = Scan({}, source.has_signs)
    if isinstance(source, ManifestSource):
        result.bad_rows = [(problem.source, problem.text) for problem in source.problems]
        result.noted_rows = [(note.source, note.text) for note in source.notes]
        bad, left_out = len(source.problems), source.left_out
        result.rows = {"all": source.rows, "videos": source.videos, "bad": bad, "left_out": left_out}
        result.row_sum = source.sum
    listings = in_threads(partial(_list_unit, source, frames), units)
    paths: list[Path] = []
    for done, (unit, (listing, counts)) in enumerate(zip(units, listings, strict=True), 1):
        paths += dict.fromkeys(video.path for video in listing.videos if video.index is None)
        _add(result, unit, listing, counts)
        on_unit(done, len(units))
    if not any(group.videos for group in result.groups.values()):
        raise source.no_video()
    listed = {unit.name for unit in units}
    result.excluded = len(source.excluded)
    result.not_excluded = sorted(
        name for name in source.exclude - source.excluded if "/".join(name.split("/")[:2]) in listed
    )
    result.outside = [str(place) for place in places_outside(source.root, paths)]
    if not result.bad_rows:
        for path, problem in source.strays():
            _note(result, os.path.join(source.root, path), problem)
    return result


def _list_unit(source: Source, frames: bool, unit: Unit) -> tuple[Listing, FrameCounts]:
    """A unit's listing, and of each of its folders of frames the count and what is odd, or why it can't be listed."""
    listing = source.listing(unit)
    counts: FrameCounts = []
    for video in listing.videos:
        if frames and not video.is_file:
            try:
                counts.append((video, count_frames(video)))
            except OSError as error:
                counts.append((video, f"can't be listed: {error.strerror}"))
    return listing, counts


def _add(result: Scan, unit: Unit, listing: Listing, frames: FrameCounts) -> None:
    group = result.groups.setdefault((unit.signer, unit.split), Group())
    if not result.bad_rows:
        for name, problem in listing.odd:
            _note(result, os.path.join(listing.folder, name), problem)
    if listing.problem:
        _note(result, str(listing.folder), listing.problem)
    if not listing.exists:
        group.absent.append(unit.sign)
        return
    if not listing.videos:
        group.empty.append(unit.sign)
        return
    count = len(listing.videos)
    group.units += 1
    group.videos += count
    group.files += sum(video.is_file for video in listing.videos)
    group.fewest = min(group.fewest or count, count)
    group.most = max(group.most, count)
    for video, count_or_problem in frames:
        if isinstance(count_or_problem, str):
            _note(result, str(video.path), count_or_problem)
            continue
        count, odd = count_or_problem
        group.frames += count
        if count < 2:
            _note(result, str(video.path), "one frame only" if count else "no frame")
        for problem, names in odd.items():
            for name in names:
                _note(result, str(video.path / name), problem)


def _note(result: Scan, path: str, problem: str) -> None:
    result.odd_counts[problem] += 1
    if len(result.odd) < MAX_EXAMPLES:
        result.odd.append((path, problem))
