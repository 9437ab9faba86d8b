"""Turned squares of a frame that networks look into, in pixels: where they come from, and the way there and back.

A whole number is the middle of a pixel, in the frame and in the pictures that are cut out, as OpenCV counts and as
MediaPipe does for its networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]
Floats = NDArray[Any]


@dataclass(frozen=True)
class Square:
    """A turned square of a frame, in pixels; it may reach over the frame's edge.

    Attributes:
        centre: (2,) x and y.
        side: Its side.
        up: (2,) unit vector that points up in the square.
    """

    centre: NDArray[np.float64]
    side: float
    up: NDArray[np.float64]


POSE_ENLARGED = 1.25
"""How much larger than its circle a person's square is: `scale_x` of MediaPipe's pose detector and landmark graphs."""

FACE_ENLARGED = 1.5
"""How much larger than the mesh a face's square is, as in MediaPipe's face landmark graph."""

PALM_ENLARGED, PALM_SHIFT = 2.6, 0.5
"""How much larger than a palm's box the hand's square is, and how far up it is moved, in boxes, as in MediaPipe."""

HAND_ENLARGED, HAND_SHIFT = 2.0, 0.1
"""How much larger than its palm's joints a hand's square is, and how far up it is moved, in heights of these joints."""

PALM_JOINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""The joints that MediaPipe computes the next square from (hand_landmarks_to_rect in its hand tracking graph)."""

FACE_EYE_CORNERS = (33, 263)
"""Outer corners of the eyes in the mesh, on the picture's left and right: they give a face's turn."""

SMALLEST = 4.0
"""Pixels: no square is smaller."""


def turned_square(centre: Floats, side: float, up: Floats) -> Square:
    """A square of a centre and a side in pixels; `up` needs no unit length."""
    length = float(np.hypot(up[0], up[1]))
    direction = np.asarray(up, np.float64) / length if length > 1e-9 else np.array([0.0, -1.0])
    return Square(np.asarray(centre, np.float64), max(float(side), SMALLEST), direction)


def upright_square(centre: Floats, side: float) -> Square:
    """A square that is not turned."""
    return turned_square(centre, side, np.array([0.0, -1.0]))


def whole_frame(width: int, height: int) -> Square:
    """The smallest square around a frame."""
    return upright_square(np.array([width / 2, height / 2]), max(width, height))


def circle_square(middle: Floats, edge: Floats) -> Square:
    """A person's square: around the circle that the pose networks give by its middle (the hips) and a point above."""
    up = np.asarray(edge, np.float64) - middle
    return turned_square(middle, 2 * POSE_ENLARGED * float(np.hypot(*up)), up)


def mesh_square(mesh: Floats) -> Square:
    """The square of the next look at a face: around its mesh, (478, 2 or more) pixels, turned as the eyes are."""
    points = np.asarray(mesh[:, :2], np.float64)
    right, left = points[list(FACE_EYE_CORNERS)]
    across = left - right
    up = np.array([across[1], -across[0]])
    low, high = points.min(axis=0), points.max(axis=0)
    return turned_square((low + high) / 2, FACE_ENLARGED * float((high - low).max()), up)


def hand_square(joints: Floats) -> Square:
    """The square that MediaPipe follows a hand in: upright by its knuckles, twice the size of its palm.

    Args:
        joints: (21, 2 or more) pixels.
    """
    points = np.asarray(joints[:, :2], np.float64)
    up = 0.25 * points[5] + 0.5 * points[9] + 0.25 * points[13] - points[0]
    length = float(np.linalg.norm(up))
    up = up / length if length > 1e-9 else np.array([0.0, -1.0])
    right = np.array([-up[1], up[0]])
    palm = points[list(PALM_JOINTS)] @ np.column_stack([right, up])
    low, high = palm.min(axis=0), palm.max(axis=0)
    size = high - low
    x, y = (low + high) / 2 + (0, HAND_SHIFT * size[1])
    return Square(x * right + y * up, HAND_ENLARGED * float(max(size.max(), 1.0)), up)


def palm_square(box: Floats, points: Floats) -> Square:
    """The square of a hand by its palm's box and key points (wrist first, middle finger's knuckle third), in pixels."""
    up = np.asarray(points[2] - points[0], np.float64)
    up = up / max(float(np.hypot(*up)), 1e-9)
    width, height = (float(length) for length in box[2:] - box[:2])
    centre = (box[:2] + box[2:]) / 2 + PALM_SHIFT * height * up
    return turned_square(centre, PALM_ENLARGED * max(width, height), up)


def face_box_square(box: Floats, points: Floats) -> Square:
    """The square of a face by its detector's box and key points (the eyes first), in pixels."""
    across = np.asarray(points[1] - points[0], np.float64)
    size = float((box[2:] - box[:2]).max())
    return turned_square((box[:2] + box[2:]) / 2, FACE_ENLARGED * size, np.array([across[1], -across[0]]))


def moved(square: Square, by: Floats) -> Square:
    """The same square elsewhere."""
    return Square(square.centre + by, square.side, square.up)


def resized(square: Square, factor: float) -> Square:
    """The same square, larger or smaller around its centre."""
    return Square(square.centre, square.side * factor, square.up)


def far_apart(used: Square, wanted: Square, shift: float, growth: float, turn: float) -> bool:
    """Whether one square differs from another by more than a share of its side, a factor, or degrees."""
    away = float(np.hypot(*(wanted.centre - used.centre))) > shift * wanted.side
    grown = abs(math.log(wanted.side / used.side)) > math.log(growth)
    cosine = float(np.clip(np.dot(used.up, wanted.up), -1, 1))
    return away or grown or math.degrees(math.acos(cosine)) > turn


def matrix(square: Square, pixels: int) -> NDArray[np.float64]:
    """(2, 3): maps pixels of a square's picture, `pixels` wide, to the frame's."""
    (x, y), (across, up), half = square.centre.tolist(), square.up.tolist(), pixels / 2
    a, b = -up * (square.side / pixels), across * (square.side / pixels)  # plain numbers: three times as fast
    return np.array([[a, -b, x - (a * half - b * half)], [b, a, y - (b * half + a * half)]])


def cut(image: RGB, square: Square, pixels: int) -> RGB:
    """The (pixels, pixels, 3) picture of a square; black beyond the frame's edge."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(image, matrix(square, pixels), (pixels, pixels), flags=flags)
    return np.asarray(picture, np.uint8)


def to_pixels(points: Floats, square: Square) -> NDArray[np.float64]:
    """Points (N, 2, 3 or more: x, y, z) in sides of a square's picture to pixels of the frame; z is scaled alike."""
    moved_points = np.array(points, np.float64)
    there = matrix(square, 1)
    moved_points[:, :2] = moved_points[:, :2] @ there[:, :2].T + there[:, 2]
    if points.shape[1] > 2:
        moved_points[:, 2] = points[:, 2] * square.side
    return moved_points


def turned_back(points: Floats, square: Square) -> NDArray[np.float64]:
    """Points (N, 3) in the directions of a square's picture in those of the frame, their lengths as they are.

    As MediaPipe's WorldLandmarkProjectionCalculator does for landmarks in metres.
    """
    across, up = square.up.tolist()
    turned = np.array(points, np.float64)
    turned[:, :2] = turned[:, :2] @ np.array([[-up, across], [-across, -up]])
    return turned
