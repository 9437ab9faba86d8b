"""One look at one hand: where to look, what the network says, and whether that is a hand of the signer's."""

from __future__ import annotations

import cv2
import numpy as np

from kpsbatch.landmarks.clip.moments import RGB, Look, Moment, Pixels, body_unit, share_inside
from kpsbatch.landmarks.clip.networks import Networks
from kpsbatch.landmarks.clip.squares import cut, far_apart, palm_square, to_pixels, turned_square, upright_square
from kpsbatch.landmarks.detection import Hand
from kpsbatch.landmarks.found import DETECTED, Letter
from kpsbatch.landmarks.hands import MAX_WRIST_DISTANCE, POSE_INDEX, POSE_PINKY, POSE_WRIST, Side, is_same_hand
from kpsbatch.landmarks.second_look import Region, region_of

LOOK_AGAIN = (0.12, 1.25, 20.0)
"""A hand is looked at once more where the square that it asks for differs by more: share of its side, factor, degrees.

The network was trained on squares that are off by about as much.
"""

LEAST_INSIDE = 0.5
"""Share of a hand's joints that must be in the frame."""

LARGEST, SMALLEST = 1.2, 0.08
"""Diagonal of a hand, in units of the body, that it can have."""

STEADY = 0.25
"""Two looks at one hand agree if its joints lie, on average, within this share of its size."""

PALM_SIDE = 1.5
"""Side of the square around a wrist in which palms are searched, in units of the body."""


def look_at_hand(
    image: RGB, square: Region, networks: Networks, how: Letter, *, edge: int = cv2.BORDER_CONSTANT
) -> Look:
    """What the hand network sees in a square."""
    reading = networks.hand(cut(image, square, networks.hand_side, edge=edge))
    return Look(to_pixels(reading.points, square), square, reading.presence, how, reading.right)


def look_until_steady(image: RGB, square: Region, networks: Networks, how: Letter, presence: float) -> Look:
    """A look at a hand, and another where the first says that the square was not the right one."""
    look = look_at_hand(image, square, networks, how)
    if look.presence >= presence and far_apart(square, hand_square(look.points), *LOOK_AGAIN):
        again = look_at_hand(image, hand_square(look.points), networks, how)
        return again if again.presence >= presence else look
    return look


def hand_square(points: Pixels) -> Region:
    """The square of the next look at a hand, by its (21, 2 or more) joints."""
    return region_of(Hand(points.astype(np.float64), "right", 1.0), 1, 1)


def wrist_square(pose: Pixels, side: Side, length: float, shift: float) -> Region:
    """A square where a hand must be by the pose.

    Args:
        pose: The signer's.
        side: Whose hand.
        length: Of the square's side, in units of the body.
        shift: From the wrist towards the knuckles of index and pinky, which are 1 away.
    """
    wrist = pose[POSE_WRIST[side], :2]
    reach = (pose[POSE_INDEX[side], :2] + pose[POSE_PINKY[side], :2]) / 2 - wrist
    return turned_square(wrist + shift * reach, length * body_unit(pose), reach)


def palm_squares(moment: Moment, side: Side, networks: Networks, least_score: float) -> list[Region]:
    """Squares of the hands that the palm detector sees around a wrist, the nearest to it first."""
    assert moment.pose is not None
    pose = moment.pose.points
    around = upright_square(wrist_square(pose, side, 1.0, 0.7).centre, PALM_SIDE * body_unit(pose))
    squares = []
    for found in networks.palm_detector.find(cut(moment.image, around, networks.palm_detector.side), least_score):
        points = to_pixels(found.points, around)
        size = (found.box[2:] - found.box[:2]) * around.side
        middle = to_pixels(found.box.reshape(2, 2), around).mean(axis=0)
        square = palm_square(np.concatenate([middle - size / 2, middle + size / 2]), points)
        squares.append((float(np.hypot(*(points[0] - pose[POSE_WRIST[side], :2]))), square))
    return [square for _, square in sorted(squares, key=lambda pair: pair[0])]


def is_hand_of(look: Look, side: Side, moment: Moment, presence: float) -> bool:
    """Whether a look shows a hand that can be this side's of the signer, mostly inside the frame."""
    if moment.pose is None or look.presence < presence:
        return False
    unit = body_unit(moment.pose.points)
    size = hand_size(look.points) / unit
    away = wrist_distance(look, moment, side)
    return (
        away <= MAX_WRIST_DISTANCE
        and SMALLEST <= size <= LARGEST
        and share_inside(look.points, moment.size) >= LEAST_INSIDE
    )


def wrist_distance(look: Look, moment: Moment, side: Side) -> float:
    """From a hand's wrist to one of the pose's, in units of the body."""
    assert moment.pose is not None
    pose = moment.pose.points
    return float(np.hypot(*(look.points[0, :2] - pose[POSE_WRIST[side], :2]))) / body_unit(pose)


def hand_size(points: Pixels) -> float:
    """Diagonal of the box around a hand's joints, in pixels."""
    return float(np.hypot(*np.ptp(points[:, :2], axis=0)))


def same_hand(one: Look, other: Look) -> bool:
    """Whether two looks show one hand of the picture."""
    return is_same_hand(Hand(one.points, "right", 1.0), Hand(other.points, "right", 1.0), 1, 1)


def agree(one: Look, other: Look, size: tuple[int, int]) -> bool:
    """Whether two looks agree about a hand, as far as it is in the frame."""
    inside = ((other.points[:, :2] >= 0) & (other.points[:, :2] <= size)).all(axis=1)
    if inside.mean() < LEAST_INSIDE:
        return False
    off = np.linalg.norm((one.points - other.points)[inside, :2], axis=1).mean()
    return float(off) <= STEADY * max(hand_size(other.points), 1.0)


def not_of_the_border(look: Look, moment: Moment, networks: Networks, presence: float) -> bool:
    """Whether a hand at the frame's edge stays where it is when what lies beyond the edge looks different."""
    if share_inside(look.points, moment.size) == 1.0:
        return True
    other = look_at_hand(moment.image, hand_square(look.points), networks, DETECTED, edge=cv2.BORDER_REPLICATE)
    return other.presence >= presence and agree(look, other, moment.size)
