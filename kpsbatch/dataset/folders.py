"""Folders, on disk or in an archive: listing them by one interface, and where links below a dataset lead."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from kpsbatch.dataset.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_key
from kpsbatch.errors import DatasetError, of_node

OnProgress = Callable[[int, int], None]
"""Called with (done, total) while the index of an archive is built."""


def no_progress(done: int, total: int) -> None:
    """An `OnProgress` that shows nothing."""


class Entry(NamedTuple):
    """An entry of a folder; `problem` says why one of kind `odd` can't be used."""

    name: str
    kind: Literal["folder", "file", "odd"]
    problem: str = ""


@dataclass(frozen=True)
class Folders:
    """A tree of folders on disk; `ArchiveFolders` is one in an archive, which is its root then.

    Attributes:
        root: Its root.
        inside: Whether links that lead out of it are not followed (`dataset.follow_links`).
    """

    root: Path
    inside: bool = field(default=False, kw_only=True)

    @property
    def index(self) -> Path | None:
        """The archive's index, if it is one."""
        return None

    def entries(self, folder: str) -> Iterator[Entry]:
        """The entries of a folder, in no order.

        Args:
            folder: Its path below the root, with /; "" is the root.

        Raises:
            FileNotFoundError: It is not there.
            OSError: It can't be listed.
        """
        if self.inside and folder and leads_out(self.root / folder, self.root):
            raise OSError(errno.EXDEV, LEADS_OUT, str(self.root / folder))
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                if self.inside and entry.is_symlink() and leads_out(entry.path, self.root):
                    yield Entry(entry.name, "odd", LEADS_OUT)
                else:
                    yield _entry_on_disk(entry)

    def size(self, path: str) -> int:
        """The bytes of a file, by its path below the root; 0 where that can't be told."""
        try:
            return os.stat(self.root / path).st_size
        except OSError:
            return 0


LEADS_OUT = "a link that leads out of dataset.root (dataset.follow_links: inside)"


def leads_out(path: Path | str, root: Path) -> bool:
    """Whether a path, all links followed, lies outside of a folder; one that is not there does not."""
    real, top = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([real, top]) != top and os.path.exists(real)


def sorted_entries(folders: Folders, folder: str) -> list[Entry]:
    """The entries of a folder in natural order of their names; errors as `Folders.entries`."""
    return sorted(folders.entries(folder), key=lambda entry: natural_key(entry.name))


def _entry_on_disk(entry: os.DirEntry[str]) -> Entry:
    name = entry.name
    if problem := problem_of_name(name):
        return Entry(name, "odd", problem)
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


def problem_of_name(name: str) -> str:
    """Why an entry of this name can't be used, or ""."""
    if not name.isascii():
        try:
            name.encode()
        except UnicodeEncodeError:
            return "its name is not valid UTF-8"
    return "hidden" if name.startswith(".") else ""


def problem_of(entry: Entry) -> str:
    """Why an entry is no video, or "" when it is one."""
    if entry.kind != "file":
        return entry.problem
    if entry.name.lower().endswith(VIDEO_SUFFIXES):
        return ""
    if entry.name.lower().endswith(IMAGE_SUFFIXES):
        return "a frame outside of a video's directory"
    return "no video"


def check_folder(root: Path) -> None:
    """Refuse a dataset root that is missing, empty (as where a drive is not mounted), or can't be listed.

    Raises:
        DatasetError: Names the folder and the setting.
    """
    try:
        with os.scandir(root) as entries:
            empty = next(entries, None) is None
    except FileNotFoundError:
        raise of_node(
            DatasetError(f"dataset.root: {root} does not exist. Correct the path or mount the drive.")
        ) from None
    except OSError as error:
        problem = DatasetError(
            f"dataset.root: {root} can't be listed: {error.strerror}. Correct the path or its permissions."
        )
        raise of_node(problem) from None
    if empty:
        raise of_node(DatasetError(f"dataset.root: {root} is empty. Correct the path or mount the drive."))


MOST_HOPS = 40
"""As many links as Linux follows in one path."""


def places_outside(root: Path, videos: Iterable[Path], most: int = 16) -> list[Path]:
    """The places outside of a dataset's root that links on the way to its videos lead to.

    Folders are listed, once each; no link is followed that is on the way to no video. Of the frames only those of the
    first video are looked at, and those of all others if some of these are links that lead out.

    Args:
        videos: Its videos: folders of frames, or files.
        most: Above this number neighbouring places are taken together in the folder that holds them.

    Returns:
        Absolute paths as the links name them, those that exist, none of them below another.
    """
    search = _Search(root)
    paths = list(videos)
    for path in paths:
        search.follow(path)
    first = next((path for path in paths if path.is_dir()), None)
    if first is not None and search.follow_entries(first):
        for path in paths:
            search.follow_entries(path)
    return _taken_together((place for place in search.places if place.exists()), most)


class _Search:
    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))
        self._links: dict[Path, frozenset[str]] = {}
        self.places: set[Path] = set()

    def follow(self, path: Path, hops: int = 0) -> Path:
        """Follow a path step by step and note where it leaves the root; returns where it ends."""
        path = Path(os.path.abspath(path))
        here = next((known for known in (self._root, *self.places) if known in (path, *path.parents)), None)
        if here is None:
            self.places.add(path)
            return path
        for part in path.relative_to(here).parts:
            if part in self._links_in(here) and hops < MOST_HOPS:
                hops += 1
                here = self.follow(Path(os.path.normpath(here / os.readlink(here / part))), hops)
            else:
                here = here / part
        return here

    def follow_entries(self, folder: Path) -> bool:
        """Follow the links in a folder; whether any leads out."""
        before = len(self.places)
        here = self.follow(folder)
        for name in self._links_in(here):
            self.follow(here / name)
        return len(self.places) > before

    def _links_in(self, folder: Path) -> frozenset[str]:
        if folder not in self._links:
            try:
                with os.scandir(folder) as entries:
                    self._links[folder] = frozenset(entry.name for entry in entries if entry.is_symlink())
            except OSError:
                self._links[folder] = frozenset()
        return self._links[folder]


def _taken_together(places: Iterable[Path], most: int) -> list[Path]:
    chosen = set(places)
    while len(chosen) > most and any(len(place.parts) > 3 for place in chosen):
        deepest = max(len(place.parts) for place in chosen)
        chosen = {place.parent if len(place.parts) == deepest else place for place in chosen}
    return sorted(place for place in chosen if not chosen.intersection(place.parents))
