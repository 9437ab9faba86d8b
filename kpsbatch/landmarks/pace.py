"""Which frames of a clip the networks look at: all of them, or key frames, with the frames between interpolated.

Two key frames are trusted with what lies between them only where they agree; else the frame in the middle is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kpsbatch import points as t
from kpsbatch.landmarks.found import INTERPOLATED
from kpsbatch.landmarks.moments import SIDES, Moment, Pixels, Reading, body_unit

POSE_MILLISECONDS, FACE_MILLISECONDS, HAND_MILLISECONDS = 134.0, 67.0, 67.0
"""Most time between two looks at a part: four and two frames at 30 a second."""

WRIST_OFF = 0.02
"""Units of the body: a hand's wrist that is farther than this from the line between its places in two key frames of the
pose tells that the arm moved between them."""

STEADY_POINTS = (t.POSE_NOSE, *t.CONTRACT.sources["pose"])
"""The points of the pose that must not have moved: nose, shoulders, elbows, wrists."""

Look = Callable[[int, int], "Reading | None"]
"""Looks at a part in a frame, by its reading in a known frame; None where it is lost."""


def key_frame(moments: Sequence[Moment], frame: int, step: int, stop: int, milliseconds: float) -> int:
    """The farthest frame after a known one, in direction `step` and before `stop`, that the next look may be at."""
    best = frame + step
    for other in range(frame + 2 * step, stop, step):
        if moments[other].shot != moments[frame].shot:
            break
        if abs(moments[other].time - moments[frame].time) > milliseconds:
            break
        best = other
    return best


def between(
    low: int,
    high: int,
    known: dict[int, Reading],
    look: Look,
    have_moved: Callable[[Reading, Reading, float], bool],
    most: float,
) -> bool:
    """Fill in a part between two frames: by a look at the middle where it has moved, else interpolated.

    Args:
        low: A frame where the part is known.
        high: Another one, before or after it.
        known: The part by frame; what lies between is added.
        look: Looks at a frame.
        have_moved: Whether two readings are too far apart for what lies between them to be trusted...
        most: ... by this limit.

    Returns:
        False where the part was lost in between.
    """
    if abs(high - low) < 2:
        return True
    if not have_moved(known[low], known[high], most):
        for frame in range(min(low, high) + 1, max(low, high)):
            known[frame] = interpolated(known[low], known[high], (frame - low) / (high - low))
        return True
    middle = (low + high) // 2
    reading = look(middle, low)
    if reading is None:
        return False
    known[middle] = reading
    return between(low, middle, known, look, have_moved, most) and between(middle, high, known, look, have_moved, most)


def interpolated(one: Reading, other: Reading, share: float) -> Reading:
    """A reading between two, `share` of the way from one to the other; its score is interpolated likewise."""

    def mixed(a: Pixels, b: Pixels) -> Pixels:
        return np.asarray(a + share * (b - a))

    has_world = one.world is not None and other.world is not None
    return Reading(
        mixed(one.points, other.points),
        one.square if share < 0.5 else other.square,
        one.presence + share * (other.presence - one.presence),
        INTERPOLATED,
        one.right + share * (other.right - one.right),
        one.checked,
        one.unsure,
        mixed(one.world, other.world) if has_world else None,  # type: ignore[arg-type]
    )


def pose_moved(one: Reading, other: Reading, most: float) -> bool:
    """Whether shoulders, elbows, wrists or nose moved by more than `most` units of the body."""
    off = np.linalg.norm((one.points - other.points)[list(STEADY_POINTS), :2], axis=1).max()
    return float(off) > most * body_unit(one.points)


def face_moved(one: Reading, other: Reading, most: float) -> bool:
    """Whether any point of the face moved by more than `most` of its height."""
    off = np.linalg.norm((one.points - other.points)[:, :2], axis=1).max()
    return float(off) > most * float(np.ptp(one.points[:, 1]))


def hand_moved(one: Reading, other: Reading | None, most: float) -> bool:
    """Whether any joint of a hand moved by more than `most` of its size, or the hand is not there."""
    if other is None:
        return True
    off = np.linalg.norm((one.points - other.points)[:, :2], axis=1).max()
    return float(off) > most * float(np.hypot(*np.ptp(one.points[:, :2], axis=0)))


def wrists_moved(moments: Sequence[Moment], low: int, high: int) -> bool:
    """Whether a hand tells that an arm moved between two key frames of the pose: it came, went, or left the line."""
    pose = moments[low].pose
    if pose is None:
        return True
    for side in SIDES:
        hands = [moment.hands.get(side) for moment in moments[low : high + 1]]
        if all(hand is None for hand in hands):
            continue
        if any(hand is None for hand in hands):
            return True
        wrists = np.stack([hand.points[0, :2] for hand in hands if hand is not None])
        line = wrists[0] + np.linspace(0, 1, len(wrists))[:, None] * (wrists[-1] - wrists[0])
        if np.linalg.norm(wrists - line, axis=1).max() > WRIST_OFF * body_unit(pose.points):
            return True
    return False


def runs_between(moments: Sequence[Moment]) -> list[tuple[int, int]]:
    """Pairs of key frames of the pose with interpolated ones between them."""
    pairs = []
    low = None
    for frame, moment in enumerate(moments):
        if moment.pose is None:
            low = None
        elif moment.pose.how != INTERPOLATED:
            if low is not None and frame - low > 1:
                pairs.append((low, frame))
            low = frame
    return pairs
