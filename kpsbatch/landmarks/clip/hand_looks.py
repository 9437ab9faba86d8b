"""One look at one hand: where to look, what the network says, and whether that is a hand of the signer's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kpsbatch.landmarks.clip.moments import RGB, Look, Moment, Pixels, body_unit, share_inside
from kpsbatch.landmarks.clip.networks import Networks
from kpsbatch.landmarks.clip.squares import (
    cut,
    far_apart,
    palm_square,
    resized,
    to_pixels,
    turned_square,
    upright_square,
)
from kpsbatch.landmarks.detection import Hand
from kpsbatch.landmarks.found import Letter
from kpsbatch.landmarks.hands import MAX_WRIST_DISTANCE, POSE_INDEX, POSE_PINKY, POSE_WRIST, Side, is_same_hand
from kpsbatch.landmarks.regions import Region
from kpsbatch.landmarks.second_look import region_of

LOOK_AGAIN = (0.12, 1.25, 20.0)
"""A hand is looked at once more where the square that it asks for differs by more: share of its side, factor, degrees.

The network was trained on squares that are off by about as much.
"""

DOUBTFUL_DISTANCE = 0.2
"""A hand that needs two looks must be this near to the pose's wrist, in units of the body; hands are by 0.07 mostly."""

THINNEST = 0.1
"""Its palm must be this broad, in lengths of the palm."""

LEAST_INSIDE = 0.5
"""Share of a hand's joints that must be in the frame."""

LARGEST, SMALLEST = 1.2, 0.08
"""Diagonal of a hand, in units of the body, that it can have."""

FIRST_PRESENCE, AGREED_PRESENCE = 0.4, 0.8
"""What a first look must say so that a second is taken, and what that must say: shares of the presence for one look."""

STEADY = 0.25
"""Two looks at one hand agree if its joints lie, on average, within this share of its size."""

EDGE_MARGIN = 0.15
"""A hand nearer than this to the frame's edge, in hand sizes, can be one that lies beyond it."""

ROOM = 1.5
"""How much larger the square of the look with more room is."""

CUT_OFF, WHOLE = (0.45, 0.1), (0.6, 0.25)
"""Share of that look's joints that must be in the frame, and how near it must be, in hand sizes: either is enough."""

STILL = 0.1
"""Hand sizes that a hand may move before it is looked at with more room again."""

PALM_SIDE = 1.5
"""Side of the square around a wrist in which palms are searched, in units of the body."""


def look_at_hand(image: RGB, square: Region, networks: Networks, how: Letter) -> Look:
    """What the hand network sees in a square."""
    reading = networks.hand(cut(image, square, networks.hand_side))
    return Look(to_pixels(reading.points, square), square, reading.presence, how, reading.right)


def look_and_confirm(
    moment: Moment,
    side: Side,
    square: Region,
    networks: Networks,
    how: Letter,
    presence: float,
    *,
    one_look_is_enough: bool,
) -> Look | None:
    """A hand in a square, looked at once more where the first look leaves doubt; None where there is none.

    A second look is taken in the square that the first asks for: where that is another one, and where the first is not
    enough by itself. Two looks that agree may each have a somewhat lower presence than a single one.

    Args:
        moment: The frame.
        side: Whose hand it must be.
        square: Where to look.
        networks: The networks.
        how: How the square was found.
        presence: What one look must say.
        one_look_is_enough: Whether one look is enough: the hand was there in the neighbouring frame.
    """
    first = look_at_hand(moment.image, square, networks, how)
    if first.presence < FIRST_PRESENCE * presence:
        return None
    wanted = hand_square(first.points)
    enough = one_look_is_enough and first.presence >= presence
    if enough and not far_apart(square, wanted, *LOOK_AGAIN):
        return first if is_hand_of(first, side, moment, MAX_WRIST_DISTANCE) else None
    again = look_at_hand(moment.image, wanted, networks, how)
    if enough:
        best = again if again.presence >= AGREED_PRESENCE * presence else first
        return best if is_hand_of(best, side, moment, MAX_WRIST_DISTANCE) else None
    if again.presence < AGREED_PRESENCE * presence or not agree(first, again, moment.size):
        return None
    return again if is_hand_of(again, side, moment, DOUBTFUL_DISTANCE) and not is_line(again.points) else None


def hand_square(points: Pixels) -> Region:
    """The square of the next look at a hand, by its (21, 2 or more) joints."""
    return region_of(_as_hand(points), 1, 1)


def _as_hand(points: Pixels) -> Hand:
    return Hand(points.astype(np.float32), "right", 1.0)


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


def is_hand_of(look: Look, side: Side, moment: Moment, distance: float) -> bool:
    """Whether what a look shows can be this side's hand of the signer, mostly inside the frame.

    Args:
        look: The look.
        side: Whose hand it must be.
        moment: The frame.
        distance: In units of the body: it may be so far from the pose's wrist.
    """
    if moment.pose is None:
        return False
    unit = body_unit(moment.pose.points)
    size = hand_size(look.points) / unit
    away = wrist_distance(look, moment, side)
    return away <= distance and SMALLEST <= size <= LARGEST and share_inside(look.points, moment.size) >= LEAST_INSIDE


def is_line(points: Pixels) -> bool:
    """Whether a hand's palm is as thin as a line, as a forearm looks to the hand network."""
    breadth, length = points[5, :2] - points[17, :2], points[9, :2] - points[0, :2]
    return float(np.hypot(*breadth)) < THINNEST * float(np.hypot(*length))


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
    return is_same_hand(_as_hand(one.points), _as_hand(other.points), 1, 1)


def agree(one: Look, other: Look, size: tuple[int, int]) -> bool:
    """Whether two looks agree about a hand, as far as it is in the frame."""
    inside = ((other.points[:, :2] >= 0) & (other.points[:, :2] <= size)).all(axis=1)
    if inside.mean() < LEAST_INSIDE:
        return False
    off = np.linalg.norm((one.points - other.points)[inside, :2], axis=1).mean()
    return float(off) <= STEADY * max(hand_size(other.points), 1.0)


def is_at_edge(points: Pixels, size: tuple[int, int]) -> bool:
    """Whether a hand reaches over the frame's edge or nearly so."""
    margin = EDGE_MARGIN * hand_size(points)
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return bool((low < margin).any() or (high > np.array(size) - margin).any())


def check_at_edge(look: Look, before: Look | None, moment: Moment, networks: Networks, presence: float) -> Look | None:
    """A hand at the frame's edge, if it still is in the frame where the network has more room to put it.

    In a square that ends near the frame's edge the network presses a hand into the frame of which only the wrist is to
    be seen. In one that is `ROOM` times as large it does not, or puts it elsewhere. A hand that has hardly moved since
    is not looked at again.

    Args:
        look: Of the hand.
        before: The same hand in the neighbouring frame.
        moment: The frame.
        networks: The networks.
        presence: What one look must say.
    """
    if not is_at_edge(look.points, moment.size):
        return look
    size = hand_size(look.points)
    if before is not None and before.checked is not None and apart(look.points, before.checked) <= STILL * size:
        return replace(look, checked=before.checked)
    wide = look_at_hand(moment.image, resized(hand_square(look.points), ROOM), networks, look.how)
    inside, off = share_inside(wide.points, moment.size), apart(look.points, wide.points) / size
    good = any(inside >= least and off <= most for least, most in (CUT_OFF, WHOLE))
    good = good and wide.presence >= AGREED_PRESENCE * presence
    return replace(look, checked=look.points) if good else None


def apart(one: Pixels, other: Pixels) -> float:
    """Mean distance of the joints of two hands, in pixels."""
    return float(np.linalg.norm((one - other)[:, :2], axis=1).mean())
