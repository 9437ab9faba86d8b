"""Where links below a dataset lead: a container that sees only `dataset.root` does not see what lies elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

MOST_PLACES = 16
MOST_HOPS = 40
"""As many links as Linux follows in one path."""


def places_outside(root: Path, videos: Iterable[Path], most: int = MOST_PLACES) -> list[Path]:
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
        here = next((place for place in (self._root, *self.places) if place in (path, *path.parents)), None)
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
