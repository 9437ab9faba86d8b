"""The times of a video's frames: what the record says about them, and other frame rates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from kpsbatch.dataset.frame import Frame

JITTER = 1.0
"""Milliseconds that a frame of a constant rate may be off: several containers store whole milliseconds."""


class FrameLog:
    """Notes times and sizes of frames as they pass, for the record of their video."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._source_times: list[float] = []
        self._size: tuple[int, int] | None = None
        self._rate = 0.0

    def add(self, frame: Frame) -> None:
        """Note one frame."""
        self._times.append(frame.time)
        if frame.source_time is not None:
            self._source_times.append(frame.source_time)
        if self._size is None and frame.image is not None:
            self._size = frame.image.shape[1], frame.image.shape[0]
        self._rate = frame.rate

    def summary(self) -> dict[str, Any]:
        """What the record says.

        Returns:
            `frame_rate` (frames a second, on average where it is not constant), `nominal_rate` (as the video says; 0
            where it does not), `width` and `height` (of the first readable frame, in pixels), `times` (milliseconds
            since the first frame; only where the rate is not constant) and `source_times` (when the frames are shown
            in the video; only where another frame rate was asked for).
        """
        width, height = self._size or (0, 0)
        rate, constant = frame_rate(self._times, self._rate)
        summary: dict[str, Any] = {
            "frame_rate": round(rate, 6),
            "nominal_rate": round(self._rate, 6),
            "width": width,
            "height": height,
        }
        if not constant:
            summary["times"] = [round(time, 3) for time in self._times]
        if self._source_times:
            summary["source_times"] = [round(time, 3) for time in self._source_times]
        return summary


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
    """
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
