"""Clips for the benchmarks: video files, folders of frames, and whole trees of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.video import video_of

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
IMAGES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Clip:
    """A video in memory: its name, the argument that it came from, and its readable frames."""

    name: str
    group: str
    frames: list[Frame]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.frames[0].image.shape[:2]
        return width, height


def find_clips(path: Path) -> Iterator[Path]:
    """The video files and folders of frames in and below a path, sorted."""
    if path.is_file():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        if any(name.lower().endswith(IMAGES) for name in files):
            folders.clear()
            yield Path(folder)
        else:
            yield from (Path(folder) / name for name in sorted(files) if name.lower().endswith(VIDEOS))


def read_clips(path: Path, swapped: Collection[str] = ()) -> Iterator[Clip]:
    """Read every clip of a path; red and blue are exchanged in those that `swapped` names, which some clips need."""
    for place in find_clips(path):
        read = read_frames(video_of(place), frame_rate=30, max_pixels=10**9)
        frames = [frame for frame in read if frame.image is not None]
        if place.name in swapped:
            frames = [Frame(np.ascontiguousarray(f.image[..., ::-1]), f.timestamp, f.name) for f in frames]
        yield Clip(place.name, path.name, frames)


def load(path: Path, square: int | None) -> list[np.ndarray]:
    """The frames of one clip; with `square` the middle square scaled to this many pixels."""
    frames = [f.image for f in read_frames(video_of(path), frame_rate=30, max_pixels=10**9) if f.image is not None]
    if square is None:
        return frames
    side = min(frames[0].shape[:2])
    cut = [f[(f.shape[0] - side) // 2 :, (f.shape[1] - side) // 2 :][:side, :side] for f in frames]
    return [np.ascontiguousarray(cv2.resize(f, (square, square), interpolation=cv2.INTER_AREA)) for f in cut]
