"""What one output file holds: videos, lengths, how often each part was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpsbatch.landmarks.found import is_found
from kpsbatch.points import CONTRACT, Topology
from kpsbatch.store.reading import load
from kpsbatch.words import Part, counted, print_lines, say, table_lines


@dataclass(frozen=True)
class Contents:
    """One video of a file: its frames, and in how many of them each part was found."""

    frames: int
    found: Mapping[str, int]


@dataclass(frozen=True)
class FileContents:
    """An output file: its videos, the types of their values, and which points they have."""

    file: Path
    dtypes: tuple[str, ...]
    topology: Topology
    videos: Mapping[str, Contents]

    def as_tree(self) -> dict[str, Any]:
        """For JSON: counts of frames, not shares."""
        videos = {name: {"frames": video.frames, "found": dict(video.found)} for name, video in self.videos.items()}
        return {"file": str(self.file), "dtypes": list(self.dtypes), "points": self.topology.name, "videos": videos}


def file_contents(path: Path) -> FileContents:
    """What a file holds.

    Raises:
        OutputError: It is missing, damaged or no output.
    """
    videos = load(path)
    dtypes = tuple(sorted({str(keypoints.dtype) for keypoints in videos.values()}))
    counts: dict[str, Contents] = {}
    for name, keypoints in videos.items():
        found = {part: int(is_found(keypoints, points).sum()) for part, points in videos.topology.parts.items()}
        counts[name] = Contents(len(keypoints), found)
    return FileContents(path, dtypes, videos.topology, counts)


def show_contents(file: FileContents) -> None:
    """Print what a file holds, as a table."""
    videos, topology = file.videos, file.topology
    rows: list[list[Part]] = [[(name.replace("_", " "), "bold") for name in ("video", "frames", *topology.parts)]]
    rows += [[(text, "") for text in _cells(name, video)] for name, video in videos.items()]
    if len(videos) > 1:
        sums = {part: sum(video.found[part] for video in videos.values()) for part in topology.parts}
        every = Contents(sum(video.frames for video in videos.values()), sums)
        rows.append([(text, "bold") for text in _cells("all", every)])
    points = "" if topology == CONTRACT else f", points: {topology.name}"
    shape = f"(T, {topology.points}, {len(topology.CHANNELS)})"
    say(f"{file.file}: {counted(len(videos), 'video')} of {shape} {', '.join(file.dtypes)}{points}")
    say("share of frames in which a part was found:")
    print_lines(table_lines(rows, numbers_from=1))


def _cells(name: str, video: Contents) -> list[str]:
    shares = [f"{count / video.frames:.1%}" if video.frames else "-" for count in video.found.values()]
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    return [shown, f"{video.frames}", *shares]
