"""What the dataset holds, by listings only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.frames import list_frames
from kpsbatch.dataset.layout import check_root, list_unit, no_video
from kpsbatch.dataset.units import Unit, units_of

MAX_EXAMPLES = 20


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
    """A whole dataset: a group for each (signer, split), and what is odd, as (path, what)."""

    groups: dict[tuple[str, str], Group]
    odd: list[tuple[str, str]] = field(default_factory=list)
    odd_counts: Counter[str] = field(default_factory=Counter)


def scan(
    dataset: DatasetConfig, *, count_frames: bool = True, on_unit: Callable[[int, int], None] = lambda done, total: None
) -> Scan:
    """List the dataset.

    Args:
        dataset: The `dataset` section.
        count_frames: Whether to list the directories of frames too.
        on_unit: Called with (units listed, units in all).

    Raises:
        DatasetError: The root is missing, or there is no video at all.
    """
    check_root(dataset)
    units = units_of(dataset)
    result = Scan({(signer, split): Group() for signer in dataset.signers for split in dataset.splits})
    for done, unit in enumerate(units, 1):
        _add(result, dataset, unit, count_frames)
        on_unit(done, len(units))
    if not any(group.videos for group in result.groups.values()):
        raise no_video(dataset, units[0])
    return result


def _add(result: Scan, dataset: DatasetConfig, unit: Unit, count_frames: bool) -> None:
    group = result.groups[unit.signer, unit.split]
    listing = list_unit(dataset, unit)
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
    group.fewest = min(group.fewest or count, count)
    group.most = max(group.most, count)
    for video in listing.videos:
        if video.is_file:
            group.files += 1
        elif count_frames:
            try:
                frames = len(list_frames(video.path))
            except OSError as error:
                _note(result, str(video.path), f"can't be listed: {error.strerror}")
                continue
            group.frames += frames
            if frames < 2:
                _note(result, str(video.path), "no frame" if frames == 0 else "one frame only")


def _note(result: Scan, path: str, problem: str) -> None:
    result.odd_counts[problem] += 1
    if len(result.odd) < MAX_EXAMPLES:
        result.odd.append((path, problem))
