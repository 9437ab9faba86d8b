"""Reading the frames of a video, wherever it lies: on disk or in an archive, all of it or a segment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from kpsbatch.dataset.archive.opening import Archive, open_archive
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.frame_folder import StoredFrames, list_frames, read_frame_folder
from kpsbatch.dataset.segments import read_segment, read_video_file, segments_in_seconds
from kpsbatch.dataset.storage import StoredFile
from kpsbatch.dataset.times import resample
from kpsbatch.dataset.video import IMAGE_SUFFIXES, Segment, Video, natural_key
from kpsbatch.errors import DatasetError


def read_frames(
    video: Video, *, frame_rate: float, max_pixels: int, reduced: bool = False, frame_rate_out: float | None = None
) -> Iterator[Frame]:
    """Read the frames of a video of the dataset, decoding as it goes.

    Args:
        video: The video.
        frame_rate: Frames a second of a folder of frames (a video file brings its own times).
        max_pixels: Larger frames are not decoded; a video file with larger frames is refused.
        reduced: Decode large JPEG frames at a reduced scale.
        frame_rate_out: Give as many frames a second, each the nearest in time; None for all as they are.

    Raises:
        DatasetError: There is no frame at all, a video file can't be opened, or storage goes on failing.
    """
    if video.is_file:
        frames = _frames_of_file(video, max_pixels)
    else:
        stored = _stored_frames(video, frame_rate)
        frames = read_frame_folder(
            video.path, frame_rate=frame_rate, max_pixels=max_pixels, reduced=reduced, stored=stored
        )
    return frames if frame_rate_out is None else resample(frames, frame_rate_out)


def listed_size(video: Video, frame_rate: float = 25.0) -> int:
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
        return len(list_frames(video.path))
    except OSError:
        return 0


def _frames_of_file(video: Video, max_pixels: int) -> Iterator[Frame]:
    if video.index is None:
        yield from _frames(video, max_pixels, None)
        return
    archive = open_archive(video.index)
    try:
        member = archive.index.member(_inside(archive, video.path))
        with archive.place(member) as place, closing(StoredFile(*place)) as stored:
            yield from _frames(video, max_pixels, stored)
    except OSError as error:
        raise DatasetError(f"{video.path}: can't be read: {error.strerror}. Copy the archive again.") from None


def _frames(video: Video, max_pixels: int, stored: StoredFile | None) -> Iterator[Frame]:
    segment = video.segment
    if segment is None:
        yield from read_video_file(video.path, max_pixels=max_pixels, stored=stored)
        return
    start, end = segment.start, math.inf if segment.end is None else segment.end
    if segment.unit == "frames":
        last = int(min(end, 1 << 62))
        again = stored and stored.opened_again()
        [(start, end)] = segments_in_seconds(video.path, [(int(start), last)], max_pixels=max_pixels, stored=again)
    frames = 0
    for frame in read_segment(video.path, start, end, max_pixels=max_pixels, stored=stored):
        frames += 1
        yield frame
    if not frames:
        raise DatasetError(f"{video.path}: has no frame {_told(segment)}. Correct {video.source or 'its segment'}.")


def _stored_frames(video: Video, frame_rate: float) -> StoredFrames | None:
    """What lists and reads a folder of frames that is in an archive, or of which a segment is taken."""
    if video.index is not None:
        frames = _archived_frames(open_archive(video.index), video.path)
    elif video.segment is None:
        return None
    else:
        frames = StoredFrames(lambda: list_frames(video.path), lambda name: (video.path / name).read_bytes())
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
        found = [name for name in members if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")]
        return sorted(found, key=natural_key)

    return StoredFrames(names, lambda name: archive.read(members[name]))


def _inside(archive: Archive, path: Path) -> str:
    """A path in an archive."""
    return path.relative_to(archive.path).as_posix()


def _told(segment: Segment) -> str:
    end = "its end" if segment.end is None else f"{segment.end:g}"
    return f"from {segment.start:g} to {end} {segment.unit}"
