"""All landmarks of a video as they are kept: (T, 628, 4) on a grid, packed for a file.

Everything that an output can hold is computed from them, to the bit: see keypoints.py. The points are those of `FULL`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kpsbatch.points import ALL, FULL

Points = NDArray[np.float32]

PICTURE_STEP, METRE_STEP, SCORE_STEP = 2.0**-16, 2.0**-13, 2.0**-10
"""The grid: of x, y, z in the picture (0.03 px at 1920), of those in metres, of visibility and scores."""

FARTHEST = 1 << 23
"""Steps: values beyond it are cut to it. All whole steps up to it are exact in float32."""

BLOCK = 1024
"""Frames that are worked on at a time, which bounds the memory that a long video takes."""


def _steps() -> NDArray[np.float32]:
    steps = np.full((FULL.points, 4), PICTURE_STEP, np.float32)
    steps[ALL.points :] = METRE_STEP
    steps[:, 3] = SCORE_STEP
    return steps


STEPS: Final = _steps()
"""(628, 4): the step of each value of a frame."""


def frame_row(
    found: Mapping[str, NDArray[Any] | None],
    scores: Mapping[str, float] | None = None,
    world: Mapping[str, NDArray[Any] | None] | None = None,
) -> Points:
    """All landmarks of a frame.

    Args:
        found: By part, x, y, z in frame widths and heights: (33, 4) of `pose`, with the visibility, (478, 3) of `face`,
            (21, 3) of `right_hand` and `left_hand`; what is None or not there was not found.
        scores: Of face and hands: how sure their network is that they are there, above 0 to 1; default 1.
        world: By part, (33, 3) of `pose`, (21, 3) of `right_hand` and `left_hand`: x, y, z in metres.

    Returns:
        (628, 4) in the order of `FULL`; a part that was not found is all zeros.
    """
    row = empty_row()
    for part, points in found.items():
        if points is None:
            continue
        place = FULL.parts[part]
        row[place, 3] = (scores or {}).get(part, 1.0)
        row[place, : points.shape[1]] = points
        metres = (world or {}).get(part)
        if metres is not None:
            row[FULL.parts[f"{part}_world"]] = np.column_stack([metres, row[place, 3]])
    return row


def empty_row() -> Points:
    """The row of a frame in which nothing was found."""
    return np.zeros((FULL.points, 4), np.float32)


def mirror(row: Points) -> None:
    """Turn the landmarks (628, 4) of a flipped picture to those of the picture as it is; missing parts stay zeros."""
    for part, place in FULL.parts.items():
        if row[place].any():
            row[place, 0] = (0 if part.endswith("_world") else 1) - row[place, 0]


def to_grid(row: Points) -> NDArray[np.int32]:
    """A frame's values (628, 4) in whole steps."""
    return np.asarray(np.clip(np.rint(row / STEPS), -FARTHEST, FARTHEST), np.int32)


def from_grid(steps: NDArray[np.int32]) -> Points:
    """Values (..., 628, 4) of whole steps."""
    return steps.astype(np.float32) * STEPS


def pack(rows: Sequence[NDArray[np.int32]], before: NDArray[np.int32] | None = None) -> NDArray[np.uint8]:
    """The frames of a video as a file has them, so that they compress well.

    Differences from frame to frame, the first one from 0; written as 2 n, or -2 n - 1 where n is below 0 (zigzag), so
    that small ones have small bytes; the lowest bytes of all, then the next ones. With zlib at level 1 they take 0.65
    of the bytes that the differences themselves take (24 videos of KArSL).

    Args:
        rows: (628, 4) of each frame in whole steps.
        before: (628, 4) of the frame before the first; default zeros.

    Returns:
        (4, 4, T, 628): byte of the number, lowest first; x, y, z, score; frame; point.
    """
    packed = np.empty((4, 4, len(rows), FULL.points), np.uint8)
    last = np.zeros((1, FULL.points, 4), np.int32) if before is None else before[None]
    for start in range(0, len(rows), BLOCK):
        block = np.stack(rows[start : start + BLOCK])
        steps = np.diff(block, axis=0, prepend=last).transpose(2, 0, 1)
        zigzag = np.ascontiguousarray((steps << 1) ^ (steps >> 31), "<i4")
        packed[:, :, start : start + BLOCK] = np.moveaxis(zigzag[..., None].view(np.uint8), -1, 0)
        last = block[-1:]
    return packed


def unpack(packed: NDArray[Any]) -> Points:
    """The values (T, 628, 4) of a video from what a file has of it.

    Raises:
        ValueError: It is no such array.
    """
    return from_grid(np.ascontiguousarray(np.cumsum(differences(packed), axis=0, dtype=np.int32)))


def differences(packed: NDArray[Any]) -> NDArray[np.int32]:
    """The differences (T, 628, 4), in whole steps, of what a file has of a video: of each frame from the one before.

    Raises:
        ValueError: It is no such array.
    """
    if packed.ndim != 4 or packed.shape[:2] != (4, 4) or packed.shape[3] != FULL.points or packed.dtype != np.uint8:
        raise ValueError(f"it is {packed.shape} of {packed.dtype}, not (4, 4, T, {FULL.points}) of uint8")
    zigzag = np.ascontiguousarray(np.moveaxis(packed, 0, -1)).view("<u4")[..., 0]
    return ((zigzag >> 1).astype(np.int32) ^ -(zigzag & 1).astype(np.int32)).transpose(1, 2, 0)
