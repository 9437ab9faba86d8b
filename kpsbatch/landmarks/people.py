"""People in a frame: the detector on the whole frame and on windows of it, and the pose network on each find."""

from __future__ import annotations

import numpy as np

from kpsbatch import points as t
from kpsbatch.landmarks.found import DETECTED
from kpsbatch.landmarks.moments import Moment, Pixels, Reading, body_unit, chest
from kpsbatch.landmarks.squares import Square, circle_square, far_apart, moved, to_pixels, upright_square, whole_frame

HIPS, ABOVE = 33, 34
"""Landmarks of the pose network that give the next square: the hips' middle, and a point on the person's circle."""

WIDE = 1.6
"""Longer sides of a frame over its shorter one from which on people are looked for in windows too."""

THINNEST = 1 / 16
"""Side of the smallest windows, in longer sides of the frame: a thin strip would need thousands, and shows nobody."""

SEEN = 0.3
"""A person whose square is at least this share of a searched square is seen in it."""

SAME_SQUARE = (0.15, 1.3, 20.0)
"""Squares that differ by less (share of the side, factor, degrees) show one person, found in two windows."""

SAME_PERSON = 0.5
"""Poses whose shoulders' middles are nearer than this, in units of the body, are one person."""


def windows(width: int, height: int, side: float) -> list[Square]:
    """Squares of one side that cover a frame, each overlapping the next by half or more."""
    centres = []
    for length in (height, width):
        count = int(np.ceil(2 * max(length - side, 0) / side)) + 1
        low = min(side, length) / 2
        centres.append(np.linspace(low, length - low, count))
    return [upright_square(np.array([x, y]), side) for y in centres[0] for x in centres[1]]


def find_squares(moment: Moment, square: Square, least: float = 0.0) -> list[Square]:
    """Squares of the people that the detector sees in a part of the frame, the highest score first.

    Args:
        moment: The frame.
        square: The part.
        least: Of their scores, where that is more than the `confidence` settings ask for.
    """
    detector = moment.networks.pose_detector
    people = detector.find(moment.cut(square, detector.side), max(moment.thresholds.pose_detection, least))
    points = [to_pixels(person.points, square) for person in people]
    return [circle_square(middle, edge) for middle, edge, *_ in points]


def pose_square(pose: Reading) -> Square:
    """The square that a pose asks for in the next frame."""
    return circle_square(pose.points[HIPS, :2], pose.points[ABOVE, :2])


def find_people(
    moment: Moment,
    smallest: float | None = None,
    *,
    whole_first: bool = False,
    part: tuple[int, int, int, int] | None = None,
) -> list[Reading]:
    """All people in a frame, the highest score first; windows are searched where the whole frame is not enough.

    Args:
        moment: The frame.
        smallest: Side of the square of the smallest person that is searched, in pixels; None searches the small too.
        whole_first: Search the windows of a wide frame only where the whole of it shows nobody.
        part: Left, top, width and height of what is searched, in pixels; None for the whole frame.
    """
    left, top, width, height = part or (0, 0, *moment.size)
    for squares in search_squares(width, height, smallest, whole_first=whole_first):
        group = [moved(square, np.array([left, top])) for square in squares]
        people: list[Reading] = []
        seen: list[Square] = []
        for person in (person for square in group for person in find_squares(moment, square)):
            if all(far_apart(person, other, *SAME_SQUARE) for other in seen):
                seen.append(person)
                pose = moment.read_pose(person, DETECTED)
                present = pose.presence >= moment.thresholds.pose_presence
                if present and not any(same_person(pose.points, other.points) for other in people):
                    people.append(pose)
        if people:
            return people
    return []


STEADY_CHEST = 0.12
"""Units of the body by which a second reading, of the square that the first asks for, may put the shoulders elsewhere.

Of people, masked and with their heads covered too, it is 0.05 at most; of bodies that the network sees in a bare hand
0.17 or more."""

SURE_BODY = 0.9
"""A pose with this presence and a face is a body; real ones have 0.94 or more, 0.99 mostly."""

SURE_PERSON = 0.75
"""Least score of a person who is seen in a corner only: pieces of a larger body have up to 0.7 there."""


LEAST_CORNER = 160
"""Pixels of the side of a corner that is searched: in a smaller one the hands of an inset have no fingers."""


def find_in_corners(moment: Moment, known: list[Reading]) -> list[Reading]:
    """People in a frame's corners who are too small to be seen in the whole of it, such as an interpreter's inset.

    Args:
        moment: The frame.
        known: Who was found already.
    """
    people: list[Reading] = []
    width, height = moment.size
    side = min(width, height) / 2
    if side < LEAST_CORNER:
        return people
    for x in (side / 2, width - side / 2):
        for y in (side / 2, height - side / 2):
            window = upright_square(np.array([x, y]), side)
            for square in find_squares(moment, window, SURE_PERSON):
                pose = moment.read_pose(square, DETECTED)
                there = np.abs(chest(pose.points) - window.centre).max() <= side / 2
                if (
                    there
                    and body_unit(pose.points) <= side / 2
                    and pose.presence >= SURE_BODY
                    and not any(same_person(pose.points, other.points) for other in [*known, *people])
                    and (body := steady_body(moment, pose)) is not None
                ):
                    people.append(body)
    return people


def steady_body(moment: Moment, pose: Reading) -> Reading | None:
    """A pose whose second reading, in the square that it asks for, has the shoulders at the same place; None if not.

    Where it has not, a third one can, which must be surer and agree better: a detector's square can be off. Then the
    second is given.
    """
    shoulders = [t.POSE_LEFT_SHOULDER, t.POSE_RIGHT_SHOULDER]
    for most, presence in ((STEADY_CHEST, moment.thresholds.pose_presence), (STEADY_CHEST / 2, SURE_BODY)):
        again = moment.read_pose(pose_square(pose), pose.how)
        off = np.linalg.norm((again.points - pose.points)[shoulders, :2], axis=1).max()
        if again.presence >= presence and float(off) <= most * body_unit(pose.points):
            return pose
        pose = again
    return None


def search_squares(
    width: int, height: int, smallest: float | None = None, *, whole_first: bool = False
) -> list[list[Square]]:
    """Parts of a frame to search for people, in groups: the next group where one shows no person.

    The whole frame, squares of its shorter side, squares of half of that; none much larger than `smallest` asks for.
    """
    short, long = min(width, height), max(width, height)
    whole, parts = [whole_frame(width, height)], windows(width, height, max(short, long * THINNEST))
    together = long > WIDE * short and not whole_first
    groups = [whole + parts] if together else [whole, parts] if len(parts) > 1 else [whole]
    if short / 2 >= long * THINNEST:
        groups.append(windows(width, height, short / 2))
    if smallest is None:
        return groups
    sides = [group[-1].side for group in groups]
    return [group for group, larger in zip(groups, [np.inf, *sides], strict=False) if smallest < SEEN * larger]


def same_person(one: Pixels, other: Pixels) -> bool:
    """Whether two poses of a frame show one person."""
    unit = max(body_unit(one), body_unit(other))
    return float(np.hypot(*(chest(one) - chest(other)))) < SAME_PERSON * unit
