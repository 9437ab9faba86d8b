"""Copying what a video is read from: its frames, its file, or its part of an archive."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kpsbatch.dataset.frame_folder import StoredFrames
from kpsbatch.dataset.reading import opened, stored_frames
from kpsbatch.dataset.storage import StoredFile, with_retries
from kpsbatch.dataset.video import Video

BLOCK = 1 << 20


class Copy(NamedTuple):
    """The video as it is read from its copy, and the bytes of that."""

    video: Video
    bytes: int


def copy_video(video: Video, place: Path, *, frame_rate: float, room: Callable[[], int]) -> Copy | None:
    """Copy a video; its frames come out of the copy as they are, with the same names and times.

    Args:
        place: The folder for it, which is made.
        frame_rate: Frames a second of a folder of frames, for a segment in seconds.
        room: How many bytes there is room for; asked again and again.

    Returns:
        None for a part of a video file, for a folder without frames, and where there is no room: what was copied so
        far is left there.

    Raises:
        OSError, DatasetError: It can't be read, or not be written.
    """
    if video.is_file and video.segment is not None:
        return None
    place.mkdir(parents=True)
    path = place / video.path.name
    size = 0
    if video.is_file:
        with opened(video) as stored, closing(stored or StoredFile(video.path)) as source, path.open("xb") as file:
            while data := source.read(BLOCK):
                size += len(data)
                if size > room():
                    return None
                file.write(data)
    else:
        path.mkdir()
        frames = stored_frames(video, frame_rate) or StoredFrames.of(video.path)
        for name in with_retries(video.path, frames.names):
            data = with_retries(video.path / name, partial(frames.read, name))
            size += len(data)
            if size > room():
                return None
            (path / name).write_bytes(data)
        if not any(path.iterdir()):
            return None
    return Copy(replace(video, path=path, index=None, segment=None), size)
