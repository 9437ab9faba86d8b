"""Listing folders, on disk or in an archive, by one interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from kpsbatch.dataset.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Video
from kpsbatch.errors import DatasetError


class Entry(NamedTuple):
    """An entry of a folder; `problem` says why one of kind `odd` can't be used."""

    name: str
    kind: Literal["folder", "file", "odd"]
    problem: str = ""


class Folders(Protocol):
    """A tree of folders.

    Attributes:
        root: The folder on disk, or the archive.
        index: The archive's index, if it is one.
    """

    @property
    def root(self) -> Path: ...  # noqa: D102

    @property
    def index(self) -> Path | None: ...  # noqa: D102

    def entries(self, folder: str) -> Iterator[Entry]:
        """The entries of a folder, in no order.

        Args:
            folder: Its path below the root, with /; "" is the root.

        Raises:
            FileNotFoundError: It is not there.
            OSError: It can't be listed.
        """

    def file_size(self, path: str) -> int:
        """Bytes of a file.

        Raises:
            OSError: It is not there, or can't be read.
        """


@dataclass(frozen=True)
class DiskFolders:
    """Folders on disk."""

    root: Path
    index: None = None

    def entries(self, folder: str) -> Iterator[Entry]:
        """See `Folders.entries`."""
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                yield _entry_on_disk(entry)

    def file_size(self, path: str) -> int:
        """See `Folders.file_size`."""
        return (self.root / path).stat().st_size


def _entry_on_disk(entry: os.DirEntry[str]) -> Entry:
    name = entry.name
    try:
        name.encode()
    except UnicodeEncodeError:
        return Entry(name, "odd", "its name is not valid UTF-8")
    if name.startswith("."):
        return Entry(name, "odd", "hidden")
    try:
        if entry.is_dir():
            return Entry(name, "folder")
        if entry.is_symlink() and not Path(entry.path).exists():
            return Entry(name, "odd", "a broken link")
        if not entry.is_file():
            return Entry(name, "odd", "neither a directory nor a file")
    except OSError as error:
        return Entry(name, "odd", f"can't be read: {error.strerror}")
    return Entry(name, "file")


def problem_of(entry: Entry) -> str:
    """Why an entry is no video, or "" when it is one."""
    if entry.kind != "file":
        return entry.problem
    if entry.name.lower().endswith(VIDEO_SUFFIXES):
        return ""
    if entry.name.lower().endswith(IMAGE_SUFFIXES):
        return "a frame outside of a video's directory"
    return "no video"


def video_at(folders: Folders, folder: str, entry: Entry, name: str) -> Video:
    """The video that an entry is."""
    return Video(name, folders.root / folder / entry.name, entry.kind == "file", folders.index)


def check_folder(root: Path) -> None:
    """Refuse a dataset root that is missing or can't be listed.

    Raises:
        DatasetError: Names the folder and the setting.
    """
    try:
        with os.scandir(root):
            pass
    except FileNotFoundError:
        raise DatasetError(f"dataset.root: {root} does not exist. Correct the path or mount the drive.") from None
    except OSError as error:
        raise DatasetError(
            f"dataset.root: {root} can't be listed: {error.strerror}. Correct the path or its permissions."
        ) from None
