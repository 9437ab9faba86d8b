"""The keypoints of a frame, drawn as lines and dots on its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.drawing.colours import COLOURS, OUTLINE, RGB
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.topology import FACE_MESH, FACE_PATHS, HAND_PATHS, POSE_PATHS, Topology

Paths = Sequence[Sequence[int]]

_FACE_PLACE = {mesh: place for place, mesh in enumerate(FACE_MESH)}
_FACE: Paths = [[_FACE_PLACE[mesh] for mesh in path] for path in FACE_PATHS]
_IRISES = 2  # the last two of FACE_PATHS
STROKES: tuple[tuple[str, slice, Paths], ...] = (
    ("pose", Topology.POSE, POSE_PATHS),
    ("face", Topology.FACE, _FACE[:-_IRISES]),
    ("irises", Topology.FACE, _FACE[-_IRISES:]),
    ("right_hand", Topology.RIGHT_HAND, HAND_PATHS),
    ("left_hand", Topology.LEFT_HAND, HAND_PATHS),
)
SHADE = 0.6
"""How dark the outline of a fine line is: 1 would be solid."""

_SHIFT = 4  # OpenCV draws at sixteenths of a pixel


def missing_parts(keypoints: NDArray[Any]) -> list[str]:
    """Names of the parts that one frame's (184, 4) keypoints do not have."""
    return [name for name, part in Topology.PARTS.items() if not is_found(keypoints, part)]


def draw_keypoints(image: RGB, keypoints: NDArray[Any]) -> RGB:
    """Draw one frame's keypoints on a copy of its image.

    Args:
        image: (H, W, 3) uint8 RGB, at the size the drawing shall have.
        keypoints: (184, 4) in image coordinates: x and y in widths and heights.

    Returns:
        A new (H, W, 3) image.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    scale = max(1, round(min(height, width) / 256))
    for name, part, paths in STROKES:
        points = keypoints[part]
        if not points.any():
            continue
        places = np.clip(np.nan_to_num(points[:, :2].astype(np.float64)), -9, 9)
        pixels = np.clip(places * (width, height), -1e4, 1e4)
        fixed = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
        is_fine = name in ("face", "irises")
        thickness = max(1, scale // 2) if is_fine else scale + 1
        lines = [fixed[list(path)].reshape(-1, 1, 2) for path in paths]
        if is_fine:  # a solid outline would hide the face
            shaded = cv2.polylines(canvas.copy(), lines, False, OUTLINE, thickness + 2, cv2.LINE_AA, _SHIFT)
            cv2.addWeighted(shaded, SHADE, canvas, 1 - SHADE, 0, canvas)
            cv2.polylines(canvas, lines, False, COLOURS[name], thickness, cv2.LINE_AA, _SHIFT)
            continue
        for colour, wider in ((OUTLINE, scale), (COLOURS[name], 0)):
            cv2.polylines(canvas, lines, False, colour, thickness + 2 * wider, cv2.LINE_AA, _SHIFT)
            for x, y in fixed.tolist():
                radius = (scale * 3 << _SHIFT) // 2 + (wider << _SHIFT)
                cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA, _SHIFT)
    return canvas
