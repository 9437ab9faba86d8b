"""The frames of a clip, drawn one after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from kpsbatch.dataset.reading import read_frames
from kpsbatch.drawing.adjusted import place_adjusted
from kpsbatch.drawing.clip import Clip
from kpsbatch.drawing.colours import RGB
from kpsbatch.drawing.sheet import empty_canvas, enlarge, mark_frame, mark_letters
from kpsbatch.drawing.strokes import draw_keypoints


class Drawn(NamedTuple):
    """One drawn frame: its image, and its number from 0."""

    image: RGB
    number: int


class Plain(NamedTuple):
    """One frame without any drawing: its image, or None and why; its time in milliseconds."""

    image: RGB | None
    timestamp: int
    problem: str = ""


def drawn_frames(clip: Clip, side: int, chosen: set[int] | None = None) -> Iterator[Drawn]:
    """Draw the frames of a video, one after another, all of one size.

    Args:
        side: Of the shorter side, in pixels.
        chosen: The numbers of the frames to draw; default all.

    Raises:
        DatasetError: The frames can't be read.
    """
    shape: tuple[int, ...] = ()
    for number, (image, _, problem) in enumerate(plain_frames(clip)):
        if chosen is not None and number not in chosen:
            continue
        keypoints = clip.keypoints[number]
        if image is None:
            height, width = shape[:2] if shape else _blank_size(clip, side)
            canvas = empty_canvas(height, width)
        else:
            canvas = enlarge(image, side)
        if shape and canvas.shape != shape:
            canvas = np.asarray(cv2.resize(canvas, (shape[1], shape[0])), dtype=np.uint8)
        shape = canvas.shape
        placed = place_adjusted(keypoints, clip.aspect, clip.topology) if clip.adjusted else keypoints
        drawn = draw_keypoints(canvas, placed, clip.topology)
        mark_frame(drawn, keypoints, number, [f"unreadable: {problem}"] if problem else [], clip.topology)
        mark_letters(drawn, clip.how, number)
        yield Drawn(drawn, number)


def _blank_size(clip: Clip, side: int) -> tuple[int, int]:
    """Height and width of an empty canvas."""
    if clip.adjusted:
        return side, side
    aspect = min(max(clip.aspect, 0.25), 4.0)
    return (side, round(side * aspect)) if aspect >= 1 else (round(side / aspect), side)


def plain_frames(clip: Clip) -> Iterator[Plain]:
    """The frames of a clip as they are, as many as it has keypoints; without any image where it has no frames.

    Raises:
        DatasetError: The frames can't be read.
    """
    if clip.frames is None:
        for number in range(len(clip.keypoints)):
            yield Plain(None, round(number * 1000 / clip.frame_rate))
        return
    frames = read_frames(
        clip.frames, frame_rate=clip.frame_rate, max_pixels=clip.max_pixels, frame_rate_out=clip.frame_rate_out
    )
    for frame in islice(frames, len(clip.keypoints)):
        yield Plain(frame.image, frame.timestamp, frame.problem)


def spread(length: int, count: int) -> set[int]:
    """At most `count` numbers below `length`, evenly spread, the first and the last among them."""
    return set(np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int)).tolist())
