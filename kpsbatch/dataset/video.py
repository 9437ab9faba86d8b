"""Units, their videos, and the listing of a unit; the same for folders, archives and tables."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".3gp", ".ts", ".mts", ".m2ts", ".flv", ".mxf", ".gif"),
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
JPEG_SUFFIXES = (".jfif", ".jpe", ".jif", ".jfi")
"""Of pictures that are JPEG files all the same, but are not taken for frames."""

UNREAD_SUFFIXES = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".nef", ".arw", ".ppm", ".tga", ".exr")
"""Of pictures that are not read."""

JUMP = 2.0
"""Seconds between two segments from which on seeking is tried; shorter gaps are decoded through."""

Presence = Literal["videos", "absent", "empty", "unreadable"]
"""What a dataset holds of a unit: videos, no folder, a folder without a video, a folder that can't be listed."""


class Unit(NamedTuple):
    """One (signer, split, sign), that is one output file."""

    signer: str
    split: str
    sign: int

    @property
    def folder(self) -> str:
        """Name of the output folder: `01-train`."""
        return f"{self.signer}-{self.split}"

    @property
    def name(self) -> str:
        """Where the output lies below the output root, without suffix: `01-train/0007`."""
        return f"{self.folder}/{self.sign:04}"


class Segment(NamedTuple):
    """A part of a file: from `start` up to, and without, `end` (None: to the end of the file).

    In seconds, or in frames counted from 0.
    """

    start: float
    end: float | None
    unit: Literal["s", "frames"]


class Box(NamedTuple):
    """Where the person is: left, top, width and height, in pixels or in shares of the frame's width and height."""

    x: float
    y: float
    width: float
    height: float
    unit: Literal["pixels", "shares"]


def video_key(unit: Unit, name: str) -> str:
    """A video as logs and `dataset.exclude` name it: `01-train/0007/take 2`."""
    return f"{unit.name}/{name}"


@dataclass(frozen=True)
class Video:
    """One video of a unit: a directory of frames, a video file, or a segment of one.

    Attributes:
        name: Its key in the npz.
        path: Where it lies. In an archive: the archive's path, and the path inside it.
        is_file: Whether it is a file (else a directory of frames).
        index: The index of the archive that it lies in, if any.
        segment: The part of the file that it is, if not all of it.
        box: The person's box, if known.
        person: Who the signer is, see `dataset.person`; "" where a manifest's row does not say it.
        label: The text of a manifest's row.
        signer: The signer that a manifest's row names.
        view: The camera that a manifest's row names.
        source: Where the manifest names it, such as train.csv:17.
        inside: The folder out of which no link of its frames is followed; None where all are.
    """

    name: str
    path: Path
    is_file: bool = False
    index: Path | None = None
    segment: Segment | None = None
    box: Box | None = None
    label: str = ""
    signer: str = ""
    view: str = ""
    source: str = ""
    inside: Path | None = None
    person: str = ""


def video_of(path: Path) -> Video:
    """The video at a path on disk: a directory of frames, or a file."""
    return Video(path.stem, path, not path.is_dir())


class Made(NamedTuple):
    """What tells whether a video is the one that its keypoints were made from; never a time.

    Attributes:
        bytes: The size of its file; 0 for a folder of frames, None where it is not known.
        made_from: Which row of a table it is; "" without a table.
    """

    bytes: int | None
    made_from: str = ""


@dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself.

    Attributes:
        width, height: Of the upright frame, in pixels; 0 where the first frame can't be decoded.
        average_rate: Frames a second on average; 0 where it is not known.
        nominal_rate: The rate that FFmpeg takes the times to be multiples of; 0 where it is not known.
        frames: How many frames its index lists, those that an edit list leaves out not counted; None without an index.
        seconds: Its duration; None where it is not known.
    """

    width: int
    height: int
    average_rate: float
    nominal_rate: float
    frames: int | None
    seconds: float | None


@dataclass(frozen=True)
class Listing:
    """What a unit holds.

    Attributes:
        folder: Where the unit lies: the folder that the layout names, or the dataset's root.
        exists: Whether it is there.
        videos: Its videos: in natural order of their names, or in the order of the manifest.
        odd: Names of entries that are no videos, each with what is odd about it.
        problem: Why the folder can't be listed; its contents are unknown then.
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


def without_suffix(name: str) -> str:
    """A video file's name or path without its suffix; any other, such as a folder's, as it is."""
    return os.path.splitext(name)[0] if name.lower().endswith(VIDEO_SUFFIXES) else name


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts frame2 before frame10; equal numbers fall back to the text (02 before 2)."""
    parts = re.split(r"([0-9]+)", name)
    return (*((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts), (2, 0, name))
