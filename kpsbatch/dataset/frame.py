"""One frame of a video, as the readers give it and the landmarkers take it; the times of frames, and other rates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from kpsbatch.errors import ConfigError
from kpsbatch.stored import Stored

if TYPE_CHECKING:  # records need this module, and status reads records without NumPy
    import numpy as np
    from numpy.typing import NDArray

RGB: TypeAlias = "NDArray[np.uint8]"


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB, or None where the frame can't be decoded.
        timestamp: `time` in whole milliseconds, strictly rising from frame to frame, as MediaPipe wants it.
        name: The frame's file name, or its number in a video file.
        problem: Why `image` is None, to be read after `name`: "is empty".
        time: Milliseconds since the first frame, exactly as the video file says.
        rate: Nominal frames a second of the video; 0 where that is not known.
        jumps: At how many places up to this frame the times of the file jumped and were put right.
        source_time: The `time` that the frame has in the video, where `resample` gave it another.
    """

    image: RGB | None
    timestamp: int
    name: str
    problem: str = ""
    time: float = 0.0
    rate: float = 0.0
    jumps: int = 0
    source_time: float | None = None


JITTER = 1.0
"""Milliseconds that a frame of a constant rate may be off: several containers store whole milliseconds."""


MAX_RATE = 1000
"""Frames a second that can be asked for: times are whole milliseconds for the networks."""


class Timing(Stored):
    """Rate, size and times of a video's frames.

    Attributes:
        frame_rate: Frames a second, on average where it is not constant; 0 where that is not known.
        nominal_rate: The same as the video says; 0 where it does not.
        width, height: Of the first readable frame, in pixels.
        times: Milliseconds since the first frame; None where the rate is constant.
        source_times: When the frames are shown in the video; None where `frame_rate_out` is not set.
        jumps: At how many places the times of the file jumped and were put right.
    """

    frame_rate: float = 0.0
    nominal_rate: float = 0.0
    width: int = 0
    height: int = 0
    times: list[float] | None = None
    source_times: list[float] | None = None
    jumps: int = 0


class FrameLog:
    """Notes times and sizes of frames as they pass, for the record of their video."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._source_times: list[float] = []
        self._size = 0, 0
        self._rate = 0.0
        self._jumps = 0

    def add(self, frame: Frame) -> None:
        """Note one frame."""
        self._times.append(frame.time)
        if frame.source_time is not None:
            self._source_times.append(frame.source_time)
        if self._size == (0, 0) and frame.image is not None:
            self._size = frame.image.shape[1], frame.image.shape[0]
        self._rate = frame.rate
        self._jumps = frame.jumps

    def timing(self) -> Timing:
        """Rate, size and times of all frames that were noted."""
        rate, constant = frame_rate(self._times, self._rate)
        return Timing(
            frame_rate=round(rate, 6),
            nominal_rate=round(self._rate, 6),
            width=self._size[0],
            height=self._size[1],
            times=None if constant else [round(time, 3) for time in self._times],
            source_times=[round(time, 3) for time in self._source_times] or None,
            jumps=self._jumps,
        )


def frame_rate(times: Sequence[float], nominal: float) -> tuple[float, bool]:
    """Frames a second, and whether they are constant.

    Args:
        times: Milliseconds since the first frame.
        nominal: The rate that the video says; it is taken where the times agree with it. 0 where it says none.

    Returns:
        The rate, on average where it is not constant; the nominal one of fewer than two frames.
    """
    if len(times) < 2 or times[-1] <= times[0]:
        return nominal, len(times) < 2
    average = 1000 * (len(times) - 1) / (times[-1] - times[0])
    for rate in (nominal, average):
        if rate and all(abs(time - times[0] - 1000 * i / rate) <= JITTER for i, time in enumerate(times)):
            return rate, True
    return average, False


def resample(frames: Iterable[Frame], rate: float) -> Iterator[Frame]:
    """Give a video another frame rate: at every tick the frame that is nearest in time, the earlier of two.

    Frames are dropped or repeated, never blended. The last one counts as long as the others on average, so that one
    second at any rate gives `rate` frames.

    Args:
        frames: The video's frames, in the order of their times.
        rate: Frames a second to give.

    Returns:
        Frames with times of the new rate; `source_time` tells which frame of the video each is.

    Raises:
        ConfigError: The rate is not above 0 and up to 1000; before the first frame is taken.
    """
    if not 0 < rate <= MAX_RATE:
        raise ConfigError(
            f"frame_rate_out: {rate} is not a frame rate. Give one above 0 and up to {MAX_RATE}, or None."
        )
    return _resampled(frames, rate)


def _resampled(frames: Iterable[Frame], rate: float) -> Iterator[Frame]:
    number = count = 0
    before: Frame | None = None
    for frame in frames:
        count += 1
        if before is not None:
            while number * 1000 / rate <= (before.time + frame.time) / 2:
                yield _at_tick(before, number, rate)
                number += 1
        before = frame
    if before is None:
        return
    step = before.time / (count - 1) if count > 1 else 1000 / (before.rate or rate)
    total = max(math.floor(before.time * rate / 1000) + 1, math.floor((before.time + step) * rate / 1000 + 0.5))
    while number < total:
        yield _at_tick(before, number, rate)
        number += 1


def _at_tick(frame: Frame, number: int, rate: float) -> Frame:
    time = number * 1000 / rate
    return replace(frame, timestamp=round(time), time=time, rate=rate, source_time=frame.time)
