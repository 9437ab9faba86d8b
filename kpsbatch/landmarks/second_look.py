"""The hands of a frame: placed by the pose's wrists, and looked for again where one can be seen but was not found."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.detection import Detection, Hand
from kpsbatch.landmarks.found import LOOKED_AGAIN
from kpsbatch.landmarks.hands import (
    POSE_INDEX,
    POSE_PINKY,
    POSE_WRIST,
    SIDES,
    Side,
    fits,
    hand_can_be_seen,
    place_by_label,
    place_by_pose,
    sides_to_look_again,
)
from kpsbatch.landmarks.regions import (
    Region,
    cut_out,
    in_frame,
    mostly_in_frame,
    points_to_frame,
    shoulder_width,
)

RGB = NDArray[np.uint8]
Vector = NDArray[np.float64]

GUESSES = ((0.7, 1.0), (0.7, 0.5), (0.6, 0.5))
"""Regions to try around a wrist: side in shoulder widths; shift from the wrist, 1 being at the pose's knuckles."""

STEADY = 0.3
"""A recovered hand must stay, on average over its joints, within this share of its size when looked at once more."""

STEADY_AT_EDGE = 0.1
"""The same for a hand that the frame's edge cuts off: of rendered hands all that were farther off were wrong."""

BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT)
"""OpenCV's fill beyond the frame's edge in the two looks: different, so that a hand can't come from the fill alone."""

PALM_POINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""The joints that MediaPipe computes the next region from (hand_landmarks_to_rect in its hand tracking graph)."""


class HandFinder(Protocol):
    """Finds the landmarks of a hand that fills a picture."""

    def hand_in(self, image: RGB) -> Hand | None:
        """The hand of a picture, if it shows one."""


def find_hands(
    image: RGB, found: Detection, landmarker: HandFinder, settings: LandmarksConfig, counts: Counter[str]
) -> dict[Side, Hand]:
    """Place a frame's hands, and look again where one can be seen but was not found.

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
        shown = [side for side in SIDES if hand_can_be_seen(found.pose, side)]
        counts["wrists"] += len(shown)
        counts["wrists_without_hand"] += sum(side not in slots for side in shown)
    counts["detected"] += len(found.hands)
    counts["far"] += placement.far
    counts["twice"] += placement.twice
    counts["outside"] += placement.outside
    counts["relabelled"] += placement.relabelled
    counts[("none", "one", "both")[len(slots)]] += 1
    return slots


def recover(
    image: RGB, side: Side, slots: dict[Side, Hand], pose: NDArray[np.float32], landmarker: HandFinder
) -> Hand | None:
    """Look for a hand at the place that the pose gives, enlarged and turned upright.

    A first look gives a better region, a second one the landmarks; only where both agree is there a hand. Beyond the
    frame's edge the two get different fills: two looks at the same black border agree about a hand that is not there.

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
        first = look_at(image, guess, landmarker, BORDERS[0])
        if first is None:
            continue
        second = look_at(image, region_of(first, width, height), landmarker, BORDERS[1])
        if second is None or not is_steady(first, second, width, height):
            continue
        if not mostly_in_frame(second.points):
            return None  # the hand is outside the frame: other regions would only move its points into the frame
        if fits(second, side, slots, pose, width, height):
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


def look_at(image: RGB, region: Region, landmarker: HandFinder, border: int) -> Hand | None:
    """Find the hand that fills a region; in the frame's units. For `border` see `cut_out`."""
    hand = landmarker.hand_in(cut_out(image, region, border))
    return None if hand is None else to_frame(hand, region, image.shape[1], image.shape[0])


def to_frame(hand: Hand, region: Region, width: int, height: int) -> Hand:
    """Map a hand from a region's units to the frame's."""
    return replace(hand, points=points_to_frame(hand.points, region, width, height), how=LOOKED_AGAIN)


def is_steady(first: Hand, second: Hand, width: int, height: int) -> bool:
    """Whether two looks at one hand agree, more strictly where the frame's edge cuts it off."""
    a, b = (hand.points[:, :2] * (width, height) for hand in (first, second))
    size = max(float(np.linalg.norm(np.ptp(b, axis=0))), 1.0)
    most = STEADY if in_frame(second.points).all() else STEADY_AT_EDGE
    return float(np.linalg.norm(a - b, axis=1).mean()) <= most * size


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.array([0.0, -1.0])
