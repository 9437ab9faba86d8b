"""Which videos and tables a dataset contains, and where, from a sample of its folders."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from kpsbatch.dataset.folders import Entry, Folders
from kpsbatch.dataset.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_key

MAX_FOLDERS = 2000
MAX_DEPTH = 8
CHILDREN = 12
"""Folders of a folder that are looked into; where there are more, these are spread over all of them."""

TABLE_SUFFIXES = (".csv", ".tsv", ".psv", ".json", ".jsonl", ".pkl", ".pickle", ".xlsx", ".parquet", ".txt")


@dataclass
class Sample:
    """What the sample contains.

    Attributes:
        videos: Paths of video files and of folders of frames, with /.
        frames: Which of them are folders of frames.
        tables: Paths of files that may be tables.
        names: Names of folders, by the depth at which they lie; also of those that were not looked into.
        whole: Whether every folder was looked into.
        suffixes: How many video files have each suffix.
    """

    videos: list[str] = field(default_factory=list)
    frames: set[str] = field(default_factory=set)
    tables: list[str] = field(default_factory=list)
    names: dict[int, set[str]] = field(default_factory=dict)
    whole: bool = True
    suffixes: Counter[str] = field(default_factory=Counter)

    @property
    def folders(self) -> list[str]:
        """Folders that hold video files, those with most first."""
        return [folder for folder, _ in Counter(path.rpartition("/")[0] for path in self.videos).most_common()]


def explore(folders: Folders, *, everywhere: bool = False) -> Sample:
    """Look into folders, level by level; folders with images and nothing below are videos.

    Args:
        folders: The dataset's.
        everywhere: Look into all of them, however many there are.

    Raises:
        OSError: The root can't be listed.
    """
    sample = Sample()
    todo = deque([""])
    looked = 0
    while todo:
        folder = todo.popleft()
        if looked >= MAX_FOLDERS and not everywhere:
            sample.whole = False
            break
        looked += 1
        try:
            entries = sorted(folders.entries(folder), key=lambda entry: natural_key(entry.name))
        except OSError:
            if not folder:
                raise
            continue
        children = [entry.name for entry in entries if entry.kind == "folder"]
        files = [entry for entry in entries if entry.kind == "file"]
        if folder and not children and any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in files):
            sample.videos.append(folder)
            sample.frames.add(folder)
            continue
        _add_files(sample, folder, files)
        depth = folder.count("/") + 1 if folder else 0
        sample.names.setdefault(depth, set()).update(children)
        if depth < MAX_DEPTH or everywhere:
            chosen = children if everywhere else spread(children, CHILDREN)
            sample.whole = sample.whole and len(chosen) == len(children)
            todo.extend(f"{folder}/{name}".lstrip("/") for name in chosen)
    return sample


def _add_files(sample: Sample, folder: str, files: list[Entry]) -> None:
    for entry in files:
        path, name = f"{folder}/{entry.name}".lstrip("/"), entry.name.lower()
        if name.endswith(VIDEO_SUFFIXES):
            sample.videos.append(path)
            sample.suffixes["." + name.rpartition(".")[2]] += 1
        elif name.endswith(TABLE_SUFFIXES) and folder.count("/") < 2:
            sample.tables.append(path)


def spread(names: list[str], number: int) -> list[str]:
    """Some of a list, spread evenly over it, the first and the last among them."""
    if len(names) <= number:
        return names
    return [names[round(i * (len(names) - 1) / (number - 1))] for i in range(number)]
