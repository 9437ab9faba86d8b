"""The hands of a frame: placed by the pose's wrists, and looked for again where a wrist has none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.detection import Detection, Hand
from kpsbatch.landmarks.hands import (
    POSE_INDEX,
    POSE_PINKY,
    POSE_WRIST,
    SIDES,
    Side,
    fits,
    place_by_label,
    place_by_pose,
    shoulder_width,
    sides_to_look_again,
    wrist_in_frame,
)

RGB = NDArray[np.uint8]
Vector = NDArray[np.float64]

REGION_PIXELS = 256

GUESSES = ((0.7, 1.0), (0.7, 0.5), (0.6, 0.5))
"""Regions to try around a wrist: side in shoulder widths; shift from the wrist, 1 being at the pose's knuckles."""

STEADY = 0.3
"""A recovered hand must stay, on average over its joints, within this share of its size when looked at once more."""

PALM_POINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""The joints that MediaPipe computes the next region from (hand_landmarks_to_rect in its hand tracking graph)."""


@dataclass(frozen=True)
class Region:
    """A turned square of a frame, in pixels; it may reach over the frame's edge.

    Attributes:
        centre: x and y.
        side: Its side.
        up: Unit vector that points up in the region: where the fingers point.
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


class FindsHandIn(Protocol):
    """What can find the landmarks of a hand that fills a picture."""

    def hand_in(self, image: RGB) -> Hand | None:
        """The hand of a picture, if it shows one."""


def find_hands(
    image: RGB, found: Detection, landmarker: FindsHandIn, settings: LandmarksConfig, counts: Counter[str]
) -> dict[Side, Hand]:
    """Place a frame's hands, and look again where a wrist in the frame has none.

    Args:
        image: (H, W, 3) RGB, the frame.
        found: What MediaPipe found in it.
        landmarker: For the second look.
        settings: The `landmarks` section.
        counts: Of the video, see `HAND_COUNTS` in extract.py; added to.

    Returns:
        The hand of each side that has one.
    """
    if "hands" not in settings.parts:
        return {}
    height, width = image.shape[:2]
    if settings.assign_hands == "pose" and found.pose is not None:
        placement = place_by_pose(found.hands, found.pose, width, height)
    else:
        placement = place_by_label(found.hands)
    slots = dict(placement.slots)
    if found.pose is not None:
        if settings.recover_hands:
            for side in sides_to_look_again(placement, found.pose):
                if hand := recover(image, side, slots, found.pose, landmarker):
                    slots[side] = hand
                    counts["recovered"] += 1
        in_frame = [side for side in SIDES if wrist_in_frame(found.pose, side)]
        counts["wrists"] += len(in_frame)
        counts["wrists_without_hand"] += sum(side not in slots for side in in_frame)
    counts["detected"] += len(found.hands)
    counts["far"] += placement.far
    counts["twice"] += placement.twice
    counts["relabelled"] += placement.relabelled
    counts[("none", "one", "both")[len(slots)]] += 1
    return slots


def recover(
    image: RGB, side: Side, slots: dict[Side, Hand], pose: NDArray[np.float32], landmarker: FindsHandIn
) -> Hand | None:
    """Look for a hand where the pose hints at it, enlarged and turned upright.

    A first look gives a better region, a second one the landmarks; only where both agree is there a hand.

    Args:
        image: (H, W, 3) RGB, the frame.
        side: The side that lacks a hand.
        slots: The hands placed so far.
        pose: (33, 2 or more) landmarks of the signer.
        landmarker: Finds the landmarks of a hand that fills a picture.
    """
    height, width = image.shape[:2]
    for side_length, shift in GUESSES:
        guess = guess_region(pose, side, side_length, shift, width, height)
        if not (0 <= guess.centre[0] <= width and 0 <= guess.centre[1] <= height):
            continue  # most of such a hand is outside the frame
        first = look_at(image, guess, landmarker)
        if first is None:
            continue
        second = look_at(image, region_of(first, width, height), landmarker)
        steady = second is not None and is_steady(first, second, width, height)
        if second is not None and steady and fits(second, side, slots, pose, width, height):
            return second
    return None


def guess_region(
    pose: NDArray[np.float32], side: Side, side_length: float, shift: float, width: int, height: int
) -> Region:
    """Where a hand must be by the pose: beyond the wrist, towards its index and pinky knuckles."""
    points = pose[:, :2].astype(np.float64) * (width, height)
    wrist = points[POSE_WRIST[side]]
    reach = (points[POSE_INDEX[side]] + points[POSE_PINKY[side]]) / 2 - wrist
    return Region(wrist + shift * reach, side_length * shoulder_width(pose, width, height), _unit(reach))


def region_of(hand: Hand, width: int, height: int) -> Region:
    """The region that MediaPipe would track a hand in: upright by its knuckles, twice the size of its palm joints."""
    points = hand.points[:, :2].astype(np.float64) * (width, height)
    up = _unit(0.25 * points[5] + 0.5 * points[9] + 0.25 * points[13] - points[0])
    right = np.array([-up[1], up[0]])
    palm = points[list(PALM_POINTS)] @ np.column_stack([right, up])
    low, high = palm.min(axis=0), palm.max(axis=0)
    size = high - low
    x, y = (low + high) / 2 + (0, 0.1 * size[1])
    return Region(x * right + y * up, 2.0 * float(max(size.max(), 1.0)), up)


def look_at(image: RGB, region: Region, landmarker: FindsHandIn) -> Hand | None:
    """Find the hand that fills a region; in the frame's units, z scaled alike."""
    hand = landmarker.hand_in(cut_out(image, region))
    return None if hand is None else to_frame(hand, region, image.shape[1], image.shape[0])


def cut_out(image: RGB, region: Region) -> RGB:
    """The (256, 256, 3) picture of a region; black beyond the frame's edge."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(image, region.matrix, (REGION_PIXELS, REGION_PIXELS), flags=flags)
    return np.asarray(picture, dtype=np.uint8)


def to_frame(hand: Hand, region: Region, width: int, height: int) -> Hand:
    """Map a hand from a region's units to the frame's; z, which is in picture widths, is scaled alike."""
    pixels = hand.points[:, :2].astype(np.float64) * REGION_PIXELS - 0.5
    matrix = region.matrix
    points = np.empty_like(hand.points)
    points[:, :2] = (pixels @ matrix[:, :2].T + matrix[:, 2] + 0.5) / (width, height)
    points[:, 2] = hand.points[:, 2] * region.side / width
    return Hand(points, hand.label, hand.score)


def is_steady(first: Hand, second: Hand, width: int, height: int) -> bool:
    """Whether two looks at one hand agree."""
    a, b = (hand.points[:, :2] * (width, height) for hand in (first, second))
    size = max(float(np.linalg.norm(np.ptp(b, axis=0))), 1.0)
    return float(np.linalg.norm(a - b, axis=1).mean()) <= STEADY * size


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.array([0.0, -1.0])
