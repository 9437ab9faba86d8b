"""The order of a hand's fingers, compared with the frames around: for a few frames the index can be called pinky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpsbatch.landmarks.found import TRACKED
from kpsbatch.landmarks.moments import SIDES, Moment, Pixels, Reading, Side
from kpsbatch.landmarks.squares import Square, hand_square

REVERSED = [17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8]
"""Joints of the four fingers in the order pinky to index."""

FINGERS = slice(5, 21)

REVERSED_SHARE, REVERSED_DISTANCE = 0.8, 0.1
"""The fingers of two frames are in opposite order if they lie farther apart than this, in hand sizes, and if in reverse
they lie nearer than this share of it."""

LONGEST_RUN = 3
"""Frames in a row whose order can be wrong; a hand that turns shows its other side for longer."""

ROOM = 1.25
"""How much larger the square of another reading is."""


def order_fingers(moments: Sequence[Moment], start: int) -> None:
    """Read hands again whose fingers are in another order than in the frames before and after, which agree.

    Args:
        moments: Frames, with their hands.
        start: The first frame that is new; those of a run before it can change too.
    """
    for side in SIDES:
        for first in range(max(start - LONGEST_RUN, 1), len(moments) - 1):
            run = reversed_run(moments, first, side)
            for frame in run:
                read_in_order(moments, frame, run, side)


def reversed_run(moments: Sequence[Moment], first: int, side: Side) -> range:
    """Frames from `first` on whose finger order differs from that of the frames around; empty if there are none."""
    before = hand_of(moments, first - 1, first, side)
    hand = moments[first].hands.get(side)
    if before is None or hand is None or not is_reversed(before.points, hand.points, 1.0):
        return range(0)
    enters = is_reversed(before.points, hand.points, REVERSED_SHARE)
    for stop in range(first + 1, min(first + 1 + LONGEST_RUN, len(moments))):
        after = hand_of(moments, stop, first, side)
        if after is None:
            break
        last = moments[stop - 1].hands[side]
        if is_reversed(last.points, after.points, 1.0):
            leaves = is_reversed(last.points, after.points, REVERSED_SHARE)
            agree = not is_reversed(before.points, after.points, 1.0)
            return range(first, stop) if agree and (enters or leaves) else range(0)
    return range(0)


def hand_of(moments: Sequence[Moment], frame: int, same_shot: int, side: Side) -> Reading | None:
    """A hand of a frame, if it is in the shot of another one."""
    return moments[frame].hands.get(side) if moments[frame].shot == moments[same_shot].shot else None


def is_reversed(one: Pixels, other: Pixels, share: float) -> bool:
    """Whether the fingers of two hands lie nearer to each other in reverse: less than a share of their distance."""
    as_it_is = fingers_apart(one, other, FINGERS)
    return as_it_is > REVERSED_DISTANCE and fingers_apart(one, other, REVERSED) < share * as_it_is


def fingers_apart(one: Pixels, other: Pixels, order: slice | list[int]) -> float:
    """Mean distance of the joints of four fingers from the wrist, in hand sizes; the other's in an order."""
    size = max(float(np.hypot(*np.ptp(hand[:, :2], axis=0))) for hand in (one, other))
    places = (one[FINGERS][:, :2] - one[0, :2], other[order][:, :2] - other[0, :2])
    return float(np.linalg.norm(places[0] - places[1], axis=1).mean()) / max(size, 1.0)


def read_in_order(moments: Sequence[Moment], frame: int, run: range, side: Side) -> None:
    """Read a hand in squares that are turned as its neighbours' are; keep the reading that is nearest to them."""
    moment = moments[frame]
    around = [moments[run.start - 1].hands[side], moments[run.stop].hands[side]]
    own = hand_square(moment.hands[side].points)
    best, nearest = None, np.inf
    for neighbour in around:
        for size in (1.0, ROOM):
            hand = moment.read_hand(Square(own.centre, size * own.side, hand_square(neighbour.points).up), TRACKED)
            away = sum(fingers_apart(other.points, hand.points, FINGERS) for other in around)
            in_order = not any(is_reversed(other.points, hand.points, 1.0) for other in around)
            if hand.presence >= moment.thresholds.hand_presence and in_order and away < nearest:
                best, nearest = hand, away
    if best is not None:
        moment.hands[side] = best
