"""Keypoints drawn on a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.topology import FACE_MESH, FACE_PATHS, HAND_PATHS, POSE_PATHS, Topology

RGB = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Colours that people with a red-green weakness tell apart (Okabe and Ito, 2008).
COLOURS: dict[str, Colour] = {
    "pose": (240, 228, 66),
    "face": (204, 204, 204),
    "right_hand": (230, 130, 0),
    "left_hand": (86, 180, 233),
}
WARNING: Colour = (213, 60, 40)

_FACE_PLACE = {mesh: place for place, mesh in enumerate(FACE_MESH)}
_PATHS: dict[str, Sequence[Sequence[int]]] = {
    "pose": POSE_PATHS,
    "face": [[_FACE_PLACE[mesh] for mesh in path] for path in FACE_PATHS],
    "right_hand": HAND_PATHS,
    "left_hand": HAND_PATHS,
}
_SHIFT = 4  # OpenCV draws at sixteenths of a pixel
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def missing_parts(keypoints: NDArray[Any]) -> list[str]:
    """Names of the parts that one frame's (184, 4) keypoints do not have."""
    return [name for name, part in Topology.PARTS.items() if not keypoints[part, 3].any()]


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
    for name, part in Topology.PARTS.items():
        points = keypoints[part]
        if not points[:, 3].any():
            continue
        pixels = np.clip(points[:, :2].astype(np.float64) * (width, height), -1e4, 1e4)
        fixed = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
        thickness = max(1, scale // 2) if name == "face" else scale
        for path in _PATHS[name]:
            line = fixed[list(path)].reshape(-1, 1, 2)
            cv2.polylines(canvas, [line], False, COLOURS[name], thickness, cv2.LINE_AA, _SHIFT)
        if name != "face":
            for x, y in fixed.tolist():
                cv2.circle(canvas, (x, y), (scale * 3 << _SHIFT) // 2, COLOURS[name], -1, cv2.LINE_AA, _SHIFT)
    return canvas


def write_text(canvas: RGB, text: str, x: int, y: int, colour: Colour = (255, 255, 255), size: float = 0.42) -> None:
    """Write a line of ASCII text on an image, in place, on a dark shadow; (x, y) is its lower left."""
    ascii_text = text.encode("ascii", "replace").decode()
    cv2.putText(canvas, ascii_text, (x, y), _FONT, size, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, ascii_text, (x, y), _FONT, size, colour, 1, cv2.LINE_AA)


def enlarge(image: RGB, side: int) -> RGB:
    """Scale an image so that its shorter side is `side`."""
    factor = side / min(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA), dtype=np.uint8
    )


def tile(images: Iterable[RGB], columns: int, gap: int = 6) -> RGB:
    """Lay images of one size out in rows."""
    cells = list(images)
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 24, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def legend(width: int, title: str) -> RGB:
    """A strip that names the colours."""
    strip = np.full((30, width, 3), 24, np.uint8)
    write_text(strip, title, 8, 20)
    x = width - 330
    for name, colour in COLOURS.items():
        cv2.circle(strip, (x, 15), 5, colour, -1, cv2.LINE_AA)
        write_text(strip, name.replace("_", " "), x + 10, 20)
        x += 60 if len(name) < 6 else 95
    return strip
