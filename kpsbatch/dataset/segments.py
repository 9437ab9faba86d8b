"""Reading a whole video file, or segments of a long one, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.storage import StoredFile
from kpsbatch.dataset.video import JUMP
from kpsbatch.dataset.video_file import MISSING, Shown, VideoFile
from kpsbatch.errors import DatasetError

_SAME = 0.0005
"""Seconds that a frame may lie before a segment's start: tables round to milliseconds."""


def read_video_file(path: Path, *, max_pixels: int, stored: StoredFile | None = None) -> Iterator[Frame]:
    """Read all frames of a video file, decoding as it goes.

    Args:
        max_pixels: A file with larger frames is refused.
        stored: Where its bytes are, if not in the file at `path`.

    Raises:
        DatasetError: FFmpeg can't open it, it holds no readable frame, more than half of its frames are missing, or
            storage goes on failing.
    """
    with VideoFile(path, max_pixels=max_pixels, stored=stored) as video:
        maker = _FrameMaker(video)
        readable = missing = 0
        for shown in video.shown():
            readable += shown.picture is not None
            missing += shown.problem == MISSING
            yield maker.frame(shown)
    if not readable:
        raise DatasetError(f"{path}: holds no readable frame. Copy it again from its source, or remove it.")
    if missing > maker.frames / 2:
        raise DatasetError(
            f"{path}: is cut off: {missing} of its {maker.frames} frames are missing. Copy it again from its source, "
            "or remove it."
        )


def read_segments(
    path: Path,
    segments: Sequence[tuple[float, float]],
    *,
    max_pixels: int,
    stored: StoredFile | None = None,
    on_end: Callable[[int], None] = lambda number: None,
    on_skipped: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Frame]]:
    """Read segments of a long video file in one pass, each frame decoded once, from the key frame before each start on.

    Args:
        segments: Start and end of each, in seconds since the start of the file as a player counts them; the end is
            the first moment that does not belong to it. They may overlap, and come in any order.
        max_pixels: A file with larger frames is refused.
        stored: Where its bytes are, if not in the file at `path`.
        on_end: Called with the number of a segment before the first frame that comes after it.
        on_skipped: Called for every frame that is decoded and belongs to no segment.

    Returns:
        The number of the segment in `segments` and a frame of it, in the order of the frames' times. The times of the
        frames count from the first one of their segment.

    Raises:
        DatasetError: As `read_video_file`; a segment without frames is none of its errors.
    """
    waiting = sorted(range(len(segments)), key=lambda number: segments[number], reverse=True)
    makers: dict[int, _FrameMaker] = {}
    now = sought = -math.inf
    video = VideoFile(path, max_pixels=max_pixels, stored=stored)
    try:
        frames = video.shown()
        while waiting or makers:
            start = segments[waiting[-1]][0] if waiting else now
            if not makers and start > max(now, 0.0) + JUMP and start != sought:
                sought = start
                video, moved = _moved_on(video, start, now)
                frames = video.shown() if moved else frames
            shown = next(frames, None)
            if shown is None:
                return
            now = shown.time
            while waiting and segments[waiting[-1]][0] - _SAME <= now:
                makers[waiting.pop()] = _FrameMaker(video)
            for number in [number for number in makers if now >= segments[number][1] - _SAME]:
                del makers[number]
                on_end(number)
            if not makers:
                on_skipped()
            for number, maker in makers.items():
                yield number, maker.frame(shown)
    finally:
        video.close()


def segments_in_seconds(
    path: Path, segments: Sequence[tuple[int, int]], *, max_pixels: int, stored: StoredFile | None = None
) -> list[tuple[float, float]]:
    """Translate segments in frame numbers, from 0, into seconds: what `read_segments` takes.

    Looks at the packets of the whole file, which is much faster than decoding it.

    Args:
        segments: The first frame of each, and the first that does not belong to it.
        max_pixels: A file with larger frames is refused.
        stored: Where its bytes are, if not in the file at `path`.

    Returns:
        Start and end of each; infinity for frames beyond the end of the file.

    Raises:
        DatasetError: As `read_video_file`.
    """
    with VideoFile(path, max_pixels=max_pixels, stored=stored) as video:
        times = video.packet_times()
    return [
        (times[start] if start < len(times) else math.inf, times[end] if end < len(times) else math.inf)
        for start, end in segments
    ]


def _moved_on(video: VideoFile, start: float, now: float) -> tuple[VideoFile, bool]:
    """The file opened again at the key frame before `start`, where that saves decoding; else the file as it is.

    A second descriptor seeks the key frame, since FFmpeg loses what it has decoded when it seeks.
    """
    later = video.opened_again()
    try:
        if later.seek(start) > now:
            video.close()
            return later, True
    except BaseException:
        later.close()
        raise
    later.close()
    return video, False


class _FrameMaker:
    """Makes the frames of a video or a segment: their times count from the first, and rise.

    Attributes:
        frames: How many it has made.
    """

    def __init__(self, video: VideoFile) -> None:
        self.frames = 0
        self._video = video
        self._first = 0.0
        self._last = -1

    def frame(self, shown: Shown) -> Frame:
        """The next frame."""
        if not self.frames:
            self._first = shown.time
        time = (shown.time - self._first) * 1000
        self._last = max(self._last + 1, round(time))
        image = self._video.to_rgb(shown.picture) if shown.picture is not None else None
        frame = Frame(image, self._last, str(self.frames), shown.problem, time, self._video.nominal_rate)
        self.frames += 1
        return frame
