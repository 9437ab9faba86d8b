"""Cleaning keypoints on the way out: gaps filled, doubtful parts left out, another rate, the body's place and size.

What is stored is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.found import is_found
from kpsbatch.points import FULL, Topology

SHOULDERS = ("pose.left_shoulder", "pose.right_shoulder")


@dataclass(frozen=True)
class Cleaning:
    """What is done with keypoints, in this order.

    Attributes:
        min_score: Faces and hands whose network is less sure of them, from 0 to 1, are missing.
        fill: Gaps of at most so many frames in which a part is missing are filled, along a line between its ends.
        rate: Frames a second of the result, between whose neighbours in time values lie on a line; 0: as they are.
        normalise: The middle of the shoulders over the whole video at 0, their mean distance 1, in square pixels.
        nan: Missing parts are NaN, not 0.
    """

    min_score: float = 0
    fill: int = 0
    rate: float = 0
    normalise: bool = False
    nan: bool = False

    def __bool__(self) -> bool:
        return self != Cleaning()

    def as_tree(self) -> dict[str, Any]:
        """Of what is done, for what is written."""
        return {name: value for name, value in asdict(self).items() if value}


def without_doubtful(full: NDArray[np.float32], min_score: float) -> NDArray[np.float32]:
    """All landmarks (T, 628, 4) without the faces and hands of a lower score."""
    kept = full.copy()
    for part in ("face", "right_hand", "left_hand"):
        doubtful = full[:, FULL.parts[part].start, 3] < min_score
        for place in (FULL.parts[part], FULL.parts.get(f"{part}_world")):
            if place is not None:
                kept[doubtful, place] = 0
    return kept


def fill_gaps(keypoints: NDArray[Any], topology: Topology, most: int) -> NDArray[Any]:
    """Keypoints (T, points, 4) whose parts are missing in no gap of at most so many frames between two others.

    A filled point is seen as well as the worse of the gap's ends.
    """
    filled = keypoints.copy()
    for place in topology.parts.values():
        found = np.flatnonzero(is_found(keypoints, place))
        for start, end in pairwise(found):
            if 1 < end - start <= most + 1:
                share = (np.arange(start + 1, end) - start)[:, None, None] / (end - start)
                a, b = keypoints[start, place], keypoints[end, place]
                line = (1 - share) * a + share * b
                line[..., 3] = np.minimum(a[:, 3], b[:, 3])
                filled[start + 1 : end, place] = line
    return filled


def moments_of(frames: int, frame_rate: float, times: Sequence[float] | None) -> NDArray[np.float64]:
    """Seconds of each frame since the first."""
    return np.array(times) / 1000 if times else np.arange(frames) / frame_rate


def length_at(frames: int, frame_rate: float, times: Sequence[float] | None, rate: float) -> int:
    """How many frames a video has at another rate: those up to its last frame."""
    return int(np.floor(moments_of(frames, frame_rate, times)[-1] * rate + 1e-6)) + 1


def at_rate(
    keypoints: NDArray[Any], topology: Topology, moments: NDArray[np.float64], rate: float, length: int
) -> NDArray[Any]:
    """Keypoints (T, points, 4) at other moments: on the line between neighbours; a part that one lacks as the nearer.

    Args:
        moments: Seconds of each frame.
        rate: Frames a second of the result.
        length: Its frames.
    """
    wanted = np.arange(length) / rate
    after = np.clip(np.searchsorted(moments, wanted), 1, max(len(moments) - 1, 1))
    if len(moments) == 1:
        return np.repeat(keypoints, length, axis=0)
    before = after - 1
    share = np.clip((wanted - moments[before]) / (moments[after] - moments[before]), 0, 1)
    result = np.where((share < 0.5)[:, None, None], keypoints[before], keypoints[after])
    for place in topology.parts.values():
        both = is_found(keypoints, place)[before] & is_found(keypoints, place)[after]
        share_of = share[:, None, None]
        line = (1 - share_of) * keypoints[before][:, place] + share_of * keypoints[after][:, place]
        result[both, place] = line[both]
    return result


def normalised(keypoints: NDArray[Any], topology: Topology, width: int, height: int) -> NDArray[Any]:
    """Keypoints (T, points, 4) in shoulder widths from the middle of the shoulders, both means over the video.

    x, y and z are in square pixels before; parts in metres, and videos without a body, stay as they are.
    """
    left, right = (keypoints[:, topology.names.index(name)] for name in SHOULDERS)
    there = is_found(keypoints, topology.parts["pose"])
    if not there.any():
        return keypoints
    pixels = np.array([width, height])
    ends = left[there, :2] * pixels, right[there, :2] * pixels
    middle = ((ends[0] + ends[1]) / 2).mean(axis=0)
    wide = max(float(np.hypot(*(ends[0] - ends[1]).T).mean()), 1e-6)
    result = keypoints.copy()
    for part, place in topology.parts.items():
        if not part.endswith("_world"):
            found = is_found(keypoints, place)
            points = keypoints[found, place]
            xy = (points[..., :2] * pixels - middle) / wide
            result[found, place] = np.concatenate([xy, points[..., 2:3] * width / wide, points[..., 3:]], axis=-1)
    return result


def with_nan(keypoints: NDArray[Any], topology: Topology) -> NDArray[Any]:
    """Keypoints (T, points, 4) whose missing parts are NaN."""
    result = keypoints.copy()
    for place in topology.parts.values():
        result[~is_found(keypoints, place), place] = np.nan
    return result
