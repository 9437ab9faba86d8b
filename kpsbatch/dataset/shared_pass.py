"""Reading segments of one long file one after another, while each frame of the file is decoded once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.reading import read_together
from kpsbatch.dataset.times import resample
from kpsbatch.dataset.video import Video

MAX_KEPT_BYTES = 256 << 20
"""Of frames that are decoded for a segment whose turn has not come, because it overlaps another."""


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
        max_pixels: A file with larger frames is refused.
        frame_rate_out: Give as many frames a second, each the nearest in time; None for all as they are.
        on_skipped: Called for every frame that is decoded and belongs to no segment.

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
            if owner == number:
                yield frame
            else:
                self._keep(owner, frame)

    def forget(self, number: int) -> None:
        """Keep no more frames of a segment."""
        self._kept_bytes -= sum(map(_bytes_of, self._kept.pop(number, ())))

    def _keep(self, number: int, frame: Frame) -> None:
        if number not in self._kept:
            return
        self._kept[number].append(frame)
        self._kept_bytes += _bytes_of(frame)
        if self._kept_bytes > MAX_KEPT_BYTES:
            self.too_many.add(number)
            self.forget(number)


def _bytes_of(frame: Frame) -> int:
    return 0 if frame.image is None else frame.image.nbytes
