"""Enlarged squares of a frame for a second look, and the way back from their coordinates to the frame's."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks import topology as t

RGB = NDArray[np.uint8]
Points = NDArray[np.float32]
Vector = NDArray[np.float64]

REGION_PIXELS = 256
"""Width and height of the picture of a region: what MediaPipe's networks take is 192 to 256 pixels wide."""


@dataclass(frozen=True)
class Region:
    """A turned square of a frame, in pixels; it may reach over the frame's edge.

    Attributes:
        centre: x and y.
        side: Its side.
        up: Unit vector that points up in the region.
    """

    centre: Vector
    side: float
    up: Vector

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3): maps a pixel of the cut-out region to the frame."""
        scale = self.side / REGION_PIXELS
        right = np.array([-self.up[1], self.up[0]])
        linear = np.column_stack([right, -self.up]) * scale
        middle = (REGION_PIXELS - 1) / 2
        return np.column_stack([linear, self.centre - linear @ [middle, middle]])


def cut_out(image: RGB, region: Region, border: int = cv2.BORDER_CONSTANT) -> RGB:
    """The (256, 256, 3) picture of a region.

    Args:
        image: (H, W, 3) RGB, the frame.
        region: What to cut out.
        border: What lies beyond the frame's edge, an OpenCV border type; black by default.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(image, region.matrix, (REGION_PIXELS, REGION_PIXELS), flags=flags, borderMode=border)
    return np.asarray(picture, dtype=np.uint8)


def points_to_frame(points: Points, region: Region, width: int, height: int) -> Points:
    """Map points (N, 3) from a region's units to the frame's; z, which is in picture widths, is scaled alike."""
    pixels = points[:, :2].astype(np.float64) * REGION_PIXELS - 0.5
    matrix = region.matrix
    mapped = np.empty_like(points)
    mapped[:, :2] = (pixels @ matrix[:, :2].T + matrix[:, 2] + 0.5) / (width, height)
    mapped[:, 2] = points[:, 2] * region.side / width
    return mapped


def in_frame(points: Points) -> NDArray[np.bool_]:
    """Which points (N, 2 or more), in frame widths and heights, lie inside the frame."""
    return np.asarray(((points[:, :2] >= 0) & (points[:, :2] <= 1)).all(axis=1))


def mostly_in_frame(points: Points) -> bool:
    """Whether at least half of a part's points lie inside the frame; the places of others are the model's guess."""
    return bool(2 * np.count_nonzero(in_frame(points)) >= len(points))


def shoulder_width(pose: Points, width: int, height: int) -> float:
    """Distance of the shoulders of a pose (33, 2 or more) in pixels, at least 1."""
    return max(_distance(pose, t.POSE_LEFT_SHOULDER, t.POSE_RIGHT_SHOULDER, width, height), 1.0)


def body_width(pose: Points, width: int, height: int) -> float:
    """The shoulder width, or twice the distance of the ears if that is more: of who stands side-on, in pixels."""
    ears = _distance(pose, t.POSE_LEFT_EAR, t.POSE_RIGHT_EAR, width, height)
    return max(shoulder_width(pose, width, height), 2 * ears)


def _distance(pose: Points, one: int, other: int, width: int, height: int) -> float:
    return float(np.hypot(*((pose[one, :2] - pose[other, :2]) * (width, height))))
