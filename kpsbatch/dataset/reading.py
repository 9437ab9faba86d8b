"""Reading the frames of a video, wherever it lies: on disk or in an archive, all of it or a segment.

PyAV is imported where a video file is opened: a dataset of frames does without its 300 files at every worker's start.
OpenCV and Pillow are imported where an image is decoded: the process that gives the workers their videos does without.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kpsbatch.dataset.archive.opening import Archive, open_archive
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.frame_folder import StoredFrames, is_frame, read_frame_folder
from kpsbatch.dataset.storage import StoredFile, with_retries
from kpsbatch.dataset.times import resample
from kpsbatch.dataset.video import JUMP, Segment, Video, natural_key
from kpsbatch.errors import DatasetError

if TYPE_CHECKING:
    from kpsbatch.dataset.video_file import VideoInfo

NOMINAL_RATE = 25.0
"""Frames a second where only a guess is needed."""

_NEVER = 1 << 62


def read_frames(
    video: Video,
    *,
    frame_rate: float,
    max_pixels: int,
    reduced: bool = False,
    frame_rate_out: float | None = None,
    on_skipped: Callable[[], None] = lambda: None,
) -> Iterator[Frame]:
    """Read the frames of a video of the dataset, decoding as it goes.

    Args:
        frame_rate: Frames a second of a folder of frames (a video file brings its own times).
        max_pixels: Larger frames are not decoded; a video file with larger frames is refused.
        reduced: Decode large JPEG frames at a reduced scale.
        frame_rate_out: Give as many frames a second, each the nearest in time; None for all as they are.
        on_skipped: Called for every frame before a segment that has to be decoded.

    Raises:
        DatasetError: There is no frame at all, a video file can't be opened, or storage goes on failing.
    """
    if video.is_file:
        frames = _frames_of_file(video, max_pixels, on_skipped)
    else:
        stored = stored_frames(video, frame_rate)
        frames = read_frame_folder(
            video.path, frame_rate=frame_rate, max_pixels=max_pixels, reduced=reduced, stored=stored
        )
    return frames if frame_rate_out is None else resample(frames, frame_rate_out)


def video_info(video: Video, *, frame_rate: float, max_pixels: int) -> VideoInfo:
    """What a video says about itself, all of the file that it is a segment of; decodes at most its first frame.

    Args:
        frame_rate: Frames a second of a folder of frames.
        max_pixels: A video file with larger frames is refused.

    Raises:
        DatasetError: It can't be read.
    """
    from kpsbatch.dataset.video_file import VideoFile, VideoInfo

    if video.is_file:
        with opened(video) as stored, VideoFile(video.path, max_pixels=max_pixels, stored=stored) as file:
            return file.info()
    frames = stored_frames(video, frame_rate) or StoredFrames.of(video.path)
    names = with_retries(video.path, frames.names)
    from kpsbatch.dataset.images import image_size

    size = image_size(with_retries(video.path, lambda: frames.read(names[0]))) if names else None
    width, height = size or (0, 0)
    return VideoInfo(width, height, frame_rate, frame_rate, len(names), len(names) / frame_rate)


def count_frames(video: Video) -> int:
    """How many frames a video has that is a folder of frames, or a segment of one; by listing it.

    Raises:
        OSError: The folder can't be listed.
    """
    frames = stored_frames(video, NOMINAL_RATE)
    return sum(map(is_frame, os.listdir(video.path))) if frames is None else len(frames.names())


def listed_size(video: Video, frame_rate: float = NOMINAL_RATE) -> int:
    """How many frames a video has, roughly and without reading it; 10 kB of a file count as a frame."""
    segment = video.segment
    if segment is not None and segment.end is not None:
        return round((segment.end - segment.start) * (frame_rate if segment.unit == "s" else 1))
    try:
        if video.index is not None:
            archive = open_archive(video.index)
            path = _inside(archive, video.path)
            if video.is_file:
                return archive.index.member(path).full_size // 10_000
            return archive.index.count(archive.index.folder(path))
        if video.is_file:
            return video.path.stat().st_size // 10_000
        with os.scandir(video.path) as entries:
            return sum(1 for _ in entries)
    except OSError:
        return 0


def _frames_of_file(video: Video, max_pixels: int, on_skipped: Callable[[], None]) -> Iterator[Frame]:
    from kpsbatch.dataset.segments import read_video_file

    if video.segment is None:
        with opened(video) as stored:
            yield from read_video_file(video.path, max_pixels=max_pixels, stored=stored)
        return
    frames = 0
    for _, frame in read_together([video], max_pixels=max_pixels, on_skipped=on_skipped):
        frames += 1
        yield frame
    if not frames:
        raise DatasetError(
            f"{video.path}: has no frame {_describe(video.segment)}. Correct {video.source or 'its segment'}."
        )


@contextmanager
def opened(video: Video) -> Iterator[StoredFile | None]:
    """Where the bytes of a video file in an archive are; None for a file on disk."""
    if video.index is None:
        yield None
        return
    archive = open_archive(video.index)
    try:
        member = archive.index.member(_inside(archive, video.path))
        with archive.place(member) as place, closing(StoredFile(*place)) as stored:
            yield stored
    except OSError as error:
        raise DatasetError(f"{video.path}: can't be read: {error.strerror}. Copy the archive again.") from None


def stored_frames(video: Video, frame_rate: float) -> StoredFrames | None:
    """What lists and reads a folder of frames that is in an archive, or of which a segment is taken."""
    if video.index is not None:
        frames = _archived_frames(open_archive(video.index), video.path)
    elif video.segment is None:
        return None
    else:
        frames = StoredFrames.of(video.path)
    segment = video.segment
    if segment is None:
        return frames
    rate = frame_rate if segment.unit == "s" else 1
    first = math.ceil(segment.start * rate - 0.01)
    last = None if segment.end is None else math.ceil(segment.end * rate - 0.01)
    return frames._replace(names=lambda: frames.names()[first:last])


def _archived_frames(archive: Archive, path: Path) -> StoredFrames:
    folder = archive.index.folder(_inside(archive, path))
    members = {member.name: member for member in archive.index.members(folder)}

    def names() -> list[str]:
        return sorted(filter(is_frame, members), key=natural_key)

    return StoredFrames(names, lambda name: archive.read(members[name]))


def _inside(archive: Archive, path: Path) -> str:
    """A path in an archive."""
    return path.relative_to(archive.path).as_posix()


def _describe(segment: Segment) -> str:
    end = "its end" if segment.end is None else f"{segment.end:g}"
    return f"from {segment.start:g} to {end} {segment.unit}"


def together(videos: Sequence[Video], seconds: float = 60.0) -> list[list[Video]]:
    """Put segments of a file that follow each other closely, or overlap, into one task: each frame is decoded once.

    Args:
        videos: The videos of a unit.
        seconds: How much of a file is in one task at most, so that many workers share a long file.

    Returns:
        All videos, in groups: a group is one video, or segments of one file by their start (`read_together`).
    """
    groups: list[list[Video]] = []
    segments: dict[tuple[Path, str], list[tuple[float, float, Video]]] = {}
    for video in videos:
        if video.segment is None or video.segment.end is None or not video.is_file:
            groups.append([video])
        else:
            rate = NOMINAL_RATE if video.segment.unit == "frames" else 1.0
            start, end = video.segment.start / rate, video.segment.end / rate
            segments.setdefault((video.path, video.segment.unit), []).append((start, end, video))
    for members in segments.values():
        first = last = -math.inf
        for start, end, video in sorted(members, key=lambda member: member[:2]):
            if start > last + JUMP or end - first > seconds:
                groups.append([])
                first, last = start, end
            groups[-1].append(video)
            last = max(last, end)
    return groups


def read_together(
    videos: Sequence[Video],
    *,
    max_pixels: int,
    on_end: Callable[[int], None] = lambda number: None,
    on_skipped: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Frame]]:
    """Read segments of one video file in one pass, each frame decoded once.

    Args:
        videos: Segments of the same file, in the same unit.
        max_pixels: A file with larger frames is refused.
        on_end: Called with the number of a segment before the first frame that comes after it.
        on_skipped: Called for every frame that is decoded and belongs to no segment.

    Returns:
        The number of a segment in `videos` and a frame of it, in the order of their times. A segment beyond the end of
        the file has none.

    Raises:
        DatasetError: The file can't be opened, or storage goes on failing.
    """
    from kpsbatch.dataset.segments import read_segments, segments_in_seconds

    with opened(videos[0]) as stored:
        path = videos[0].path
        segments = [video.segment for video in videos if video.segment is not None]
        pairs = [(segment.start, math.inf if segment.end is None else segment.end) for segment in segments]
        if segments[0].unit == "frames":
            numbers = [(int(start), int(min(end, _NEVER))) for start, end in pairs]
            again = stored and stored.opened_again()
            pairs = segments_in_seconds(path, numbers, max_pixels=max_pixels, stored=again)
        there = [number for number, (start, _) in enumerate(pairs) if start < math.inf]
        frames = read_segments(
            path,
            [pairs[number] for number in there],
            max_pixels=max_pixels,
            stored=stored,
            on_end=lambda place: on_end(there[place]),
            on_skipped=on_skipped,
        )
        for number, frame in frames:
            yield there[number], frame
