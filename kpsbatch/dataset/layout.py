"""Where the videos of a unit are. Reads listings only, never a frame."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.units import Unit
from kpsbatch.errors import DatasetError

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts", ".flv", ".gif"),
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

Presence = Literal["videos", "absent", "empty", "unreadable"]
"""What a dataset holds of a unit: videos, no folder, a folder without a video, a folder that can't be listed."""


@dataclass(frozen=True)
class Video:
    """One video of a unit: a directory of frames or a video file."""

    name: str
    path: Path
    is_file: bool = False


@dataclass(frozen=True)
class Listing:
    """What the folder of a unit holds.

    Attributes:
        folder: The folder that the layout names for this unit.
        exists: Whether it is there.
        videos: Its videos in natural order of their names.
        odd: Names of entries that are no videos, each with what is odd about it.
        problem: Why the folder can't be listed, so that nobody knows what it holds.
    """

    folder: Path
    exists: bool
    videos: tuple[Video, ...] = ()
    odd: tuple[tuple[str, str], ...] = ()
    problem: str = ""

    @property
    def presence(self) -> Presence:
        """The same in one word."""
        if self.problem:
            return "unreadable"
        return "videos" if self.videos else "empty" if self.exists else "absent"


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts frame2 before frame10; equal numbers fall back to the text (02 before 2)."""
    parts = re.split(r"([0-9]+)", name)
    return (*((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts), (2, 0, name))


def unit_folder(dataset: DatasetConfig, unit: Unit) -> Path:
    """The folder that holds one entry for each video of the unit."""
    return dataset.root / dataset.layout.format(signer=unit.signer, split=unit.split, sign=unit.sign)


def list_unit(dataset: DatasetConfig, unit: Unit) -> Listing:
    """List the videos of a unit.

    A video's name is its directory's name, or its file's without the suffix; where a directory and a file share a
    name, the file keeps its suffix.
    """
    folder = unit_folder(dataset, unit)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural_key(entry.name))
    except FileNotFoundError:
        return Listing(folder, exists=False)
    except OSError as error:
        return Listing(folder, exists=True, problem=f"can't be listed: {error.strerror}")
    found: dict[str, Video] = {}
    odd: list[tuple[str, str]] = []
    files: list[os.DirEntry[str]] = []
    for entry in entries:
        if problem := _problem(entry):
            odd.append((entry.name, problem))
        elif entry.is_dir():
            found[entry.name] = Video(entry.name, Path(entry.path))
        else:
            files.append(entry)
    for entry in files:
        stem = os.path.splitext(entry.name)[0]
        name = entry.name if stem in found else stem
        found[name] = Video(name, Path(entry.path), is_file=True)
    for name in [name for name in found if name.endswith(".npy") and name.removesuffix(".npy") in found]:
        odd.append((found.pop(name).path.name, f"NumPy can't tell it from {name.removesuffix('.npy')!r}; rename it"))
    videos = tuple(found[name] for name in sorted(found, key=natural_key))
    return Listing(folder, exists=True, videos=videos, odd=tuple(odd))


def presence(dataset: DatasetConfig, unit: Unit) -> Presence:
    """What the dataset holds of a unit; stops at the first video, so that thousands are asked in a second."""
    try:
        with os.scandir(unit_folder(dataset, unit)) as entries:
            return "videos" if any(_problem(entry) is None for entry in entries) else "empty"
    except FileNotFoundError:
        return "absent"
    except OSError:
        return "unreadable"


def _problem(entry: os.DirEntry[str]) -> str | None:
    """Why an entry is no video, or None when it is one."""
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    if entry.name.startswith("."):
        return "hidden"
    try:
        if entry.is_dir():
            return None
        if entry.is_symlink() and not Path(entry.path).exists():
            return "a broken link"
        if not entry.is_file():
            return "neither a directory nor a file"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if entry.name.lower().endswith(VIDEO_SUFFIXES):
        return None
    if entry.name.lower().endswith(IMAGE_SUFFIXES):
        return "a frame outside of a video's directory"
    return "no video"


def listed_size(video: Video) -> int:
    """How long a video is, roughly and without reading it: entries of its directory, or 10 kB of its file a frame."""
    try:
        if video.is_file:
            return video.path.stat().st_size // 10_000
        with os.scandir(video.path) as entries:
            return sum(1 for _ in entries)
    except OSError:
        return 0


def check_root(dataset: DatasetConfig) -> None:
    """Refuse a dataset root that is missing or can't be listed.

    Raises:
        DatasetError: Names the folder and the setting.
    """
    try:
        with os.scandir(dataset.root):
            pass
    except FileNotFoundError:
        raise DatasetError(
            f"dataset.root must be the dataset's folder: {dataset.root} does not exist; mend dataset.root, or mount it"
        ) from None
    except OSError as error:
        raise DatasetError(f"dataset.root must be a readable folder: {dataset.root}: {error.strerror}") from None


def no_video(dataset: DatasetConfig, unit: Unit) -> DatasetError:
    """The error of a dataset without any video: which folder was tried for a unit, and what is there instead."""
    return DatasetError(
        f"there must be at least one video under dataset.layout ({dataset.layout}): {_what_is_there(dataset, unit)}"
    )


def _what_is_there(dataset: DatasetConfig, unit: Unit) -> str:
    folder = unit_folder(dataset, unit)
    there = folder
    while not there.is_dir() and there != dataset.root:
        there = there.parent
    try:
        names = sorted((entry.name for entry in os.scandir(there)), key=natural_key)
    except OSError as error:
        return f"tried {folder}; {there} can't be listed: {error.strerror}"
    shown = ", ".join(repr(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
    return f"tried {folder}; {there} holds {shown or 'nothing'}"
