"""Reading the frames of a video, wherever it lies: on disk or in an archive, all of it or a segment.

PyAV is imported where a video file is opened: a dataset of frames does without its 300 files at every worker's start.
OpenCV and Pillow are imported where an image is decoded: the process that gives the workers their videos does without.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from kpsbatch.dataset.archive import Archive, open_archive
from kpsbatch.dataset.folders import LEADS_OUT, leads_out
from kpsbatch.dataset.frame import Frame, resample
from kpsbatch.dataset.storage import StoredFile, with_retries
from kpsbatch.dataset.video import (
    IMAGE_SUFFIXES,
    JPEG_SUFFIXES,
    JUMP,
    UNREAD_SUFFIXES,
    VIDEO_SUFFIXES,
    Video,
    VideoInfo,
    natural_key,
)
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
    on_odd: Callable[[Mapping[str, list[str]]], None] = lambda odd: None,
) -> Iterator[Frame]:
    """Read the frames of a video of the dataset, decoding as it goes.

    Args:
        frame_rate: Frames a second of a folder of frames (a video file brings its own times).
        max_pixels: Larger frames are not decoded; a video file with larger frames is refused.
        reduced: Decode large JPEG frames at a reduced scale.
        frame_rate_out: Give as many frames a second, each the nearest in time; None for all as they are.
        on_skipped: Called for every frame before a segment that has to be decoded.
        on_odd: Called with what is odd in a folder of frames (`odd_frames`), before its first frame.

    Raises:
        DatasetError: There is no frame at all, a video file can't be opened, or storage goes on failing.
    """
    if video.is_file:
        frames = _frames_of_file(video, max_pixels, on_skipped)
    else:
        stored = stored_frames(video, frame_rate)
        frames = _frames_of_folder(video.path, stored, frame_rate, max_pixels, reduced, on_odd)
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


def first_moment(video: Video, *, max_pixels: int) -> float:
    """When the first frame of a video file is shown, in seconds since the start of the file as a player counts them.

    Raises:
        DatasetError: It can't be read.
    """
    from kpsbatch.dataset.video_file import VideoFile  # PyAV

    with opened(video) as stored, VideoFile(video.path, max_pixels=max_pixels, stored=stored) as file:
        return next((shown.time for shown in file.shown()), 0.0)


def count_frames(video: Video) -> tuple[int, Mapping[str, list[str]]]:
    """How many frames a folder of them has, or a segment of one, and what is odd in it (`odd_frames`); by listing it.

    Raises:
        OSError: The folder can't be listed.
    """
    stored = stored_frames(video, NOMINAL_RATE)
    names = stored.entries()
    return len(frame_names(names)[stored.part]), odd_frames(names)


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
    """The frames of a folder, on disk or elsewhere: what lists the folder, what reads a file, which part is meant."""

    entries: Callable[[], list[str]]
    read: Callable[[str], bytes]
    part: slice = slice(None)

    def names(self) -> list[str]:
        """Names of the frames in natural order; errors as of `entries`."""
        return frame_names(self.entries())[self.part]


def is_frame(name: str) -> bool:
    """Whether a file of this name is a frame."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def frame_names(names: Iterable[str]) -> list[str]:
    """Those names in a folder that are frames, in natural order."""
    return sorted(filter(is_frame, names), key=natural_key)


TWICE = "a second file for a frame"
COPY = "a copy of a frame, by its name"
AFTER_GAP = "after a gap in the numbers of frames"
NOT_READ = "a picture of a kind that is not read (convert it to .png)"
NOT_JPG = "a picture that is not read (rename it to .jpg)"
VIDEO_BESIDE = "a video beside frames"

_COPY_OF = re.compile(
    r"(?:copy of )?(.+?)"
    r"(?:[ _]?\([0-9]+\)|[-_ (]*(?:another )?(?:copy|copie|kopie|copia)\)?(?: ?\(?[0-9]+\)?)?| [0-9]+)?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(.*?)([0-9]*)", re.DOTALL)


def odd_frames(entries: Iterable[str]) -> dict[str, list[str]]:
    """What is odd in a folder of frames, by its names alone: each oddity, and the names that have it.

    A frame that is there twice, a copy and one after a gap are read as any other; the rest is not.
    """
    odd: defaultdict[str, list[str]] = defaultdict(list)
    names = sorted(entries, key=natural_key)
    stems = {os.path.splitext(name)[0] for name in names if is_frame(name)}
    seen: set[tuple[str, int | None]] = set()
    numbered: list[tuple[int, str]] = []
    for name in names:
        stem, suffix = os.path.splitext(name)
        if name.startswith("."):
            continue
        if not is_frame(name):
            kinds = {NOT_JPG: JPEG_SUFFIXES, NOT_READ: UNREAD_SUFFIXES, VIDEO_BESIDE: VIDEO_SUFFIXES}
            for kind in (kind for kind, suffixes in kinds.items() if suffix.lower() in suffixes):
                odd[kind].append(name)
        elif (copy := _COPY_OF.fullmatch(stem)) and copy[1] != stem and copy[1] in stems:
            odd[COPY].append(name)
        elif (number := _number_of(stem)) in seen:
            odd[TWICE].append(name)
        else:
            seen.add(number)
            numbered.append((-1 if number[1] is None else number[1], name))
    if len({prefix for prefix, _ in seen}) == 1:
        numbered.sort()
        steps = [after - before for (before, _), (after, _) in pairwise(numbered)]
        usual = min(steps, default=0)
        if usual > 0 and 2 * steps.count(usual) >= len(steps):  # else the numbers are times, or the like
            gaps = [
                name for step, (_, name) in zip(steps, numbered[1:], strict=True) if step > usual and step % usual == 0
            ]
            odd.update({AFTER_GAP: gaps} if gaps else {})
    return dict(odd)


def _number_of(stem: str) -> tuple[str, int | None]:
    """A frame's name before its number, and the number, if it has one."""
    match = _NUMBERED.fullmatch(stem)
    assert match is not None
    return match[1], int(match[2]) if match[2] else None


def stored_frames(video: Video, frame_rate: float) -> StoredFrames:
    """What lists and reads the frames of a video that is a folder of them, or a segment of one."""
    if video.index is not None:
        archive = open_archive(video.index)
        folder = archive.index.folder(_inside(archive, video.path))
        members = {member.name: member for member in archive.index.members(folder)}
        frames = StoredFrames(lambda: list(members), lambda name: archive.read(members[name]))
    else:
        frames = StoredFrames(lambda: os.listdir(video.path), lambda name: _read(video.path / name, video.inside))
    segment = video.segment
    if segment is None:
        return frames
    rate = frame_rate if segment.unit == "s" else 1
    first = math.ceil(segment.start * rate - 0.01)
    last = None if segment.end is None else math.ceil(segment.end * rate - 0.01)
    return frames._replace(part=slice(first, last))


def _read(frame: Path, inside: Path | None) -> bytes:
    """A frame's file.

    Raises:
        OSError: It can't be read, or is a link that leads out of a folder.
    """
    if inside is not None and frame.is_symlink() and leads_out(frame, inside):
        raise OSError(errno.EXDEV, LEADS_OUT, str(frame))
    return frame.read_bytes()


def _frames_of_folder(
    folder: Path,
    stored: StoredFrames,
    frame_rate: float,
    max_pixels: int,
    reduced: bool,
    on_odd: Callable[[Mapping[str, list[str]]], None],
) -> Iterator[Frame]:
    from kpsbatch.dataset.images import decode_image  # OpenCV and Pillow

    try:
        entries = with_retries(folder, stored.entries)
    except OSError as error:
        raise DatasetError(f"{folder}: can't be read: {error.strerror}. Correct its permissions.") from None
    names, odd = frame_names(entries)[stored.part], odd_frames(entries)
    if not names:
        there = "; ".join(f"{len(of_kind)} x {kind}" for kind, of_kind in odd.items())
        raise DatasetError(
            f"{folder}: has no frame{there and f', but {there}'}. "
            f"Put image files ({', '.join(IMAGE_SUFFIXES)}) there, or remove the folder."
        )
    on_odd(odd)
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
        entries = with_retries(video.path, frames.entries)
        names = frame_names(entries)[frames.part]
        if not names:
            return None
        for name in {name for of_kind in odd_frames(entries).values() for name in of_kind}.difference(names):
            (path / name).touch()  # what is not read is named all the same
        for name in names:
            data = with_retries(video.path / name, partial(frames.read, name))
            size += len(data)
            if size > room():
                return None
            (path / name).write_bytes(data)
    return Copy(replace(video, path=path, index=None, segment=None), size)
