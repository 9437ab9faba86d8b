"""Reading the frames of a video, wherever it lies: on disk or in an archive, all of it or a segment.

PyAV is imported where a video file is opened: a dataset of frames does without its 300 files at every worker's start.
OpenCV and Pillow are imported where an image is decoded: the process that gives the workers their videos does without.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kpsbatch.dataset.archive import Archive, open_archive
from kpsbatch.dataset.frame import Frame, resample
from kpsbatch.dataset.storage import StoredFile, with_retries
from kpsbatch.dataset.video import IMAGE_SUFFIXES, JUMP, Video, VideoInfo, natural_key
from kpsbatch.errors import DatasetError

NOMINAL_RATE = 25.0
"""Frames a second where only a guess is needed."""

MAX_KEPT_BYTES = 256 << 20
"""Of frames that are decoded for a segment whose turn has not come, because it overlaps another."""

_NEVER = 1 << 62
_COPIED_AT_ONCE = 1 << 20


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
        frames = _frames_of_folder(video.path, stored, frame_rate, max_pixels, reduced)
    return frames if frame_rate_out is None else resample(frames, frame_rate_out)


def video_info(video: Video, *, frame_rate: float, max_pixels: int) -> VideoInfo:
    """What a video says about itself, all of the file that it is a segment of; decodes at most its first frame.

    Args:
        frame_rate: Frames a second of a folder of frames.
        max_pixels: A video file with larger frames is refused.

    Raises:
        DatasetError: It can't be read.
    """
    if video.is_file:
        from kpsbatch.dataset.video_file import VideoFile  # PyAV

        with opened(video) as stored, VideoFile(video.path, max_pixels=max_pixels, stored=stored) as file:
            return file.info()
    from kpsbatch.dataset.images import image_size  # Pillow

    frames = stored_frames(video, frame_rate)
    names = with_retries(video.path, frames.names)
    size = image_size(with_retries(video.path, lambda: frames.read(names[0]))) if names else None
    width, height = size or (0, 0)
    return VideoInfo(width, height, frame_rate, frame_rate, len(names), len(names) / frame_rate)


def count_frames(video: Video) -> int:
    """How many frames a video has that is a folder of frames, or a segment of one; by listing it.

    Raises:
        OSError: The folder can't be listed.
    """
    if video.index is None and video.segment is None:
        return sum(map(is_frame, os.listdir(video.path)))
    return len(stored_frames(video, NOMINAL_RATE).names())


def listed_size(video: Video, frame_rate: float = NOMINAL_RATE) -> int:
    """How many frames a video has, roughly and without reading it; 10 kB of a file count as a frame."""
    segment = video.segment
    if segment is not None and segment.end is not None:
        return round((segment.end - segment.start) * (frame_rate if segment.unit == "s" else 1))
    size = stored_size(video)
    return size // 10_000 if video.is_file else size


def stored_size(video: Video) -> int:
    """The bytes of a video's file, or how many entries its folder has; 0 where that can't be told."""
    try:
        if video.index is not None:
            archive = open_archive(video.index)
            path = _inside(archive, video.path)
            if video.is_file:
                return archive.index.member(path).full_size
            return archive.index.count(archive.index.folder(path))
        if video.is_file:
            return video.path.stat().st_size
        with os.scandir(video.path) as entries:
            return sum(1 for _ in entries)
    except OSError:
        return 0


class StoredFrames(NamedTuple):
    """The frames of a folder, on disk or elsewhere: what lists their names in natural order, and what reads one."""

    names: Callable[[], list[str]]
    read: Callable[[str], bytes]


def is_frame(name: str) -> bool:
    """Whether a file of this name is a frame."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def frame_names(names: Iterable[str]) -> list[str]:
    """Those names in a folder that are frames, in natural order."""
    return sorted(filter(is_frame, names), key=natural_key)


def stored_frames(video: Video, frame_rate: float) -> StoredFrames:
    """What lists and reads the frames of a video that is a folder of them, or a segment of one."""
    if video.index is not None:
        archive = open_archive(video.index)
        folder = archive.index.folder(_inside(archive, video.path))
        members = {member.name: member for member in archive.index.members(folder)}
        frames = StoredFrames(lambda: frame_names(members), lambda name: archive.read(members[name]))
    else:
        frames = StoredFrames(
            lambda: frame_names(os.listdir(video.path)), lambda name: (video.path / name).read_bytes()
        )
    segment = video.segment
    if segment is None:
        return frames
    rate = frame_rate if segment.unit == "s" else 1
    first = math.ceil(segment.start * rate - 0.01)
    last = None if segment.end is None else math.ceil(segment.end * rate - 0.01)
    return frames._replace(names=lambda: frames.names()[first:last])


def _frames_of_folder(
    folder: Path, stored: StoredFrames, frame_rate: float, max_pixels: int, reduced: bool
) -> Iterator[Frame]:
    from kpsbatch.dataset.images import decode_image  # OpenCV and Pillow

    try:
        names = with_retries(folder, stored.names)
    except OSError as error:
        raise DatasetError(f"{folder}: can't be read: {error.strerror}. Correct its permissions.") from None
    if not names:
        raise DatasetError(
            f"{folder}: has no frame. Put image files ({', '.join(IMAGE_SUFFIXES)}) there, or remove the folder."
        )
    for index, name in enumerate(names):
        time = index * 1000 / frame_rate
        try:
            data = with_retries(folder / name, partial(stored.read, name))
            image, problem = decode_image(data, max_pixels, reduced=reduced)
        except OSError as error:
            image, problem = None, f"can't be read: {error.strerror}"
        yield Frame(image, round(time), name, problem, time, frame_rate)


def _frames_of_file(video: Video, max_pixels: int, on_skipped: Callable[[], None]) -> Iterator[Frame]:
    from kpsbatch.dataset.video_file import read_video_file  # PyAV

    segment = video.segment
    if segment is None:
        with opened(video) as stored:
            yield from read_video_file(video.path, max_pixels=max_pixels, stored=stored)
        return
    frames = 0
    for _, frame in read_together([video], max_pixels=max_pixels, on_skipped=on_skipped):
        frames += 1
        yield frame
    if not frames:
        end = "its end" if segment.end is None else f"{segment.end:g}"
        raise DatasetError(
            f"{video.path}: has no frame from {segment.start:g} to {end} {segment.unit}. Correct "
            f"{video.source or 'its segment'}."
        )


@contextmanager
def opened(video: Video) -> Iterator[StoredFile]:
    """The bytes of a video file, on disk or in an archive."""
    if video.index is None:
        with closing(StoredFile(video.path)) as stored:
            yield stored
        return
    archive = open_archive(video.index)
    try:
        member = archive.index.member(_inside(archive, video.path))
        with archive.place(member) as location, closing(StoredFile(*location)) as stored:
            yield stored
    except OSError as error:
        raise DatasetError(f"{video.path}: can't be read: {error.strerror}. Copy the archive again.") from None


def _inside(archive: Archive, path: Path) -> str:
    """A path in an archive."""
    return path.relative_to(archive.path).as_posix()


def together(videos: Sequence[Video], seconds: float = 60.0) -> list[list[Video]]:
    """Put segments of a file that follow each other closely, or overlap, into one task: each frame is decoded once.

    Args:
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
    from kpsbatch.dataset.video_file import read_segments, segments_in_seconds  # PyAV

    with opened(videos[0]) as stored:
        path = videos[0].path
        pairs = [_start_and_end(video) for video in videos]
        if videos[0].segment is not None and videos[0].segment.unit == "frames":
            numbers = [(int(start), int(min(end, _NEVER))) for start, end in pairs]
            pairs = segments_in_seconds(path, numbers, max_pixels=max_pixels, stored=stored.opened_again())
        yield from read_segments(
            path, pairs, max_pixels=max_pixels, stored=stored, on_end=on_end, on_skipped=on_skipped
        )


def read_each(
    videos: Sequence[Video],
    *,
    max_pixels: int,
    frame_rate_out: float | None = None,
    on_skipped: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Iterator[Frame] | None]]:
    """Read segments of one video file, in one pass, by their start.

    Args:
        videos: Segments of the same file, in the same unit (`together`).
        frame_rate_out: As for `read_frames`; `max_pixels` and `on_skipped` as for `read_together`.

    Returns:
        The number of a segment in `videos`, and its frames, which are to be taken before the next segment is taken
        for; None for a segment that has to be read by itself, since it overlaps others for too long. Ends early where
        the file can't be read to its end; what reads the frames gets the error.
    """
    shared = _SharedPass(videos, max_pixels, on_skipped)
    for number in sorted(range(len(videos)), key=lambda number: _start_and_end(videos[number])):
        if number in shared.too_many:
            yield number, None
            continue
        frames = shared.frames(number)
        yield number, frames if frame_rate_out is None else resample(frames, frame_rate_out)
        shared.forget(number)
        if shared.broken:
            return


def _start_and_end(video: Video) -> tuple[float, float]:
    assert video.segment is not None
    return video.segment.start, math.inf if video.segment.end is None else video.segment.end


class _SharedPass:
    """Hands the frames of one pass out, segment by segment.

    Attributes:
        too_many: Segments of which more frames came before their turn than are kept.
        broken: Whether the file could not be read to its end.
    """

    def __init__(self, videos: Sequence[Video], max_pixels: int, on_skipped: Callable[[], None]) -> None:
        self._over: set[int] = set()
        self._pairs = read_together(videos, max_pixels=max_pixels, on_end=self._over.add, on_skipped=on_skipped)
        self._kept: dict[int, deque[Frame]] = {number: deque() for number in range(len(videos))}
        self._kept_bytes = 0
        self.too_many: set[int] = set()
        self.broken = False

    def frames(self, number: int) -> Iterator[Frame]:
        """The frames of a segment, all of them; those of others are kept on the way."""
        kept = self._kept[number]
        while True:
            while kept:
                frame = kept.popleft()
                self._kept_bytes -= _bytes_of(frame)
                yield frame
            if number in self._over:
                return
            try:
                pair = next(self._pairs, None)
            except Exception:
                self.broken = True
                raise
            if pair is None:
                return
            owner, frame = pair
            if owner not in self._kept:
                continue
            self._kept[owner].append(frame)
            self._kept_bytes += _bytes_of(frame)
            if owner != number and self._kept_bytes > MAX_KEPT_BYTES:
                self.too_many.add(owner)
                self.forget(owner)

    def forget(self, number: int) -> None:
        """Keep no more frames of a segment."""
        self._kept_bytes -= sum(map(_bytes_of, self._kept.pop(number, ())))


def _bytes_of(frame: Frame) -> int:
    return 0 if frame.image is None else frame.image.nbytes


class Copy(NamedTuple):
    """The video as it is read from its copy, and the bytes of that."""

    video: Video
    bytes: int


def copy_video(video: Video, folder: Path, *, frame_rate: float, room: Callable[[], int]) -> Copy | None:
    """Copy what a video is read from: its frames, its file, or its part of an archive.

    Its frames come out of the copy as they are, with the same names and times.

    Args:
        folder: The folder for it, which is made.
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
    folder.mkdir(parents=True)
    path = folder / video.path.name
    size = 0
    if video.is_file:
        with opened(video) as stored, path.open("xb") as file:
            while data := stored.read(_COPIED_AT_ONCE):
                size += len(data)
                if size > room():
                    return None
                file.write(data)
    else:
        path.mkdir()
        frames = stored_frames(video, frame_rate)
        names = with_retries(video.path, frames.names)
        if not names:
            return None
        for name in names:
            data = with_retries(video.path / name, partial(frames.read, name))
            size += len(data)
            if size > room():
                return None
            (path / name).write_bytes(data)
    return Copy(replace(video, path=path, index=None, segment=None), size)
