"""The keypoints of a frame, drawn as lines and dots on its image."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.drawing.colours import COLOURS, OUTLINE, RGB
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.topology import CONTRACT, Paths, Topology

SHADE = 0.6
"""How dark the outline of a fine line is: 1 would be solid."""

_SHIFT = 4  # OpenCV draws at sixteenths of a pixel


_PART_OF = {"head": "pose", "irises": "face"}
_FINE = ("head", "face", "irises")


class Stroke(NamedTuple):
    """What is drawn in one colour.

    Attributes:
        name: Of its colour.
        part: The part that it belongs to; where that is missing nothing is drawn.
        paths: Lines, as places among the points of the set.
        dots: Points that get a dot: all of body and hands; of the face those that lie on no line.
        is_fine: Whether it is thin, with a half-transparent outline: a solid one would hide a face.
    """

    name: str
    part: str
    paths: Paths
    dots: tuple[int, ...]
    is_fine: bool


@lru_cache(8)
def strokes_of(topology: Topology) -> tuple[Stroke, ...]:
    """What is drawn of a set of points, in this order."""
    lines = {name: {place for path in paths for place in path} for name, paths in topology.paths.items()}
    strokes = []
    for name, paths in topology.paths.items():
        part = _PART_OF.get(name, name)
        is_fine = name in _FINE
        points = range(topology.points)[topology.parts[part]] if name in topology.parts else []
        thin = {place for other in _FINE for place in lines.get(other, ())}
        dots = tuple(place for place in points if place not in thin)
        strokes.append(Stroke("pose" if name == "head" else name, part, paths, dots, is_fine))
    return tuple(strokes)


def missing_parts(keypoints: NDArray[Any], topology: Topology = CONTRACT) -> list[str]:
    """Names of the parts that one frame's (points, 4) keypoints do not have."""
    return [name for name, part in topology.parts.items() if not is_found(keypoints, part)]


def draw_keypoints(image: RGB, keypoints: NDArray[Any], topology: Topology = CONTRACT) -> RGB:
    """Draw one frame's keypoints on a copy of its image.

    Args:
        image: (H, W, 3) uint8 RGB, at the size the drawing shall have.
        keypoints: (points, 4) in image coordinates: x and y in widths and heights.
        topology: Which points they are.

    Returns:
        A new (H, W, 3) image.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    scale = max(1, round(min(height, width) / 256))
    places = np.clip(np.nan_to_num(keypoints[:, :2].astype(np.float64)), -9, 9)
    pixels = np.clip(places * (width, height), -1e4, 1e4)
    fixed = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
    for stroke in strokes_of(topology):
        if not is_found(keypoints, topology.parts[stroke.part]):
            continue
        thickness = max(1, scale // 2) if stroke.is_fine else scale + 1
        lines = [fixed[list(path)].reshape(-1, 1, 2) for path in stroke.paths]
        if stroke.is_fine:  # a solid outline would hide the face
            shaded = cv2.polylines(canvas.copy(), lines, False, OUTLINE, thickness + 2, cv2.LINE_AA, _SHIFT)
            cv2.addWeighted(shaded, SHADE, canvas, 1 - SHADE, 0, canvas)
        outline = () if stroke.is_fine else ((OUTLINE, scale),)
        for colour, wider in (*outline, (COLOURS[stroke.name], 0)):
            cv2.polylines(canvas, lines, False, colour, thickness + 2 * wider, cv2.LINE_AA, _SHIFT)
            radius = (scale * 3 << _SHIFT) // 5 if stroke.is_fine else (scale * 3 << _SHIFT) // 2 + (wider << _SHIFT)
            for x, y in fixed[list(stroke.dots)].tolist():
                cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA, _SHIFT)
    return canvas
