"""People in a frame: the detector on the whole frame and on windows of it, and the pose network on each find."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.clip.moments import RGB, Look, body_unit
from kpsbatch.landmarks.clip.networks import Networks
from kpsbatch.landmarks.clip.squares import circle_square, cut, far_apart, to_pixels, upright_square
from kpsbatch.landmarks.found import DETECTED, Letter
from kpsbatch.landmarks.regions import Region

HIPS, ABOVE = 33, 34
"""Landmarks of the pose network that give the next square: the hips' middle, and a point on the person's circle."""

WIDE = 1.6
"""Longer sides of a frame over its shorter one from which on people are looked for in windows too."""

SEEN = 0.3
"""A person whose square is at least this share of a searched square is seen in it."""

SAME_SQUARE = (0.15, 1.3, 20.0)
"""Squares that differ by less (share of the side, factor, degrees) show one person, found in two windows."""

SAME_PERSON = 0.5
"""Poses whose shoulders' middles are nearer than this, in units of the body, are one person."""


def whole_frame(width: int, height: int) -> Region:
    """The smallest square around a frame."""
    return upright_square(np.array([width / 2, height / 2]), max(width, height))


def windows(width: int, height: int, side: float) -> list[Region]:
    """Squares of one side that cover a frame, each overlapping the next by half or more."""
    centres = []
    for length in (height, width):
        count = int(np.ceil(2 * max(length - side, 0) / side)) + 1
        low = min(side, length) / 2
        centres.append(np.linspace(low, length - low, count))
    return [upright_square(np.array([x, y]), side) for y in centres[0] for x in centres[1]]


def find_squares(image: RGB, square: Region, networks: Networks, least_score: float) -> list[Region]:
    """Squares of the people that the detector sees in a part of the frame, the highest score first."""
    found = networks.pose_detector.find(cut(image, square, networks.pose_detector.side), least_score)
    points = [to_pixels(one.points, square) for one in found]
    return [circle_square(middle, edge) for middle, edge, *_ in points]


def look_at_pose(image: RGB, square: Region, networks: Networks, how: Letter) -> Look:
    """What the pose network sees in a square."""
    reading = networks.pose(cut(image, square, networks.pose_side))
    return Look(to_pixels(reading.points, square), square, reading.presence, how)


def pose_square(look: Look) -> Region:
    """The square that a pose asks for in the next frame."""
    return circle_square(look.points[HIPS, :2], look.points[ABOVE, :2])


def find_people(
    image: RGB, networks: Networks, detection: float, presence: float, smallest: float | None = None
) -> list[Look]:
    """All people in a frame, the highest score first; windows are searched where the whole frame is not enough.

    Args:
        image: The frame.
        networks: The networks.
        detection: Least score of the detector.
        presence: Least presence of a pose.
        smallest: Side of the square of the smallest person that is searched, in pixels; None searches the small too.
    """
    for group in search_squares(image.shape[1], image.shape[0], smallest):
        people: list[Look] = []
        seen: list[Region] = []
        for person in (found for square in group for found in find_squares(image, square, networks, detection)):
            if all(far_apart(person, other, *SAME_SQUARE) for other in seen):
                seen.append(person)
                look = look_at_pose(image, person, networks, DETECTED)
                if look.presence >= presence and not any(same_person(look.points, one.points) for one in people):
                    people.append(look)
        if people:
            return people
    return []


def search_squares(width: int, height: int, smallest: float | None = None) -> list[list[Region]]:
    """Parts of a frame to search for people, in groups: the next group where one shows no person.

    The whole frame, squares of its shorter side, squares of half of that; none much larger than `smallest` asks for.
    """
    short, long = min(width, height), max(width, height)
    whole, parts = [whole_frame(width, height)], windows(width, height, short)
    groups = [whole + parts] if long > WIDE * short else [whole, parts] if len(parts) > 1 else [whole]
    groups.append(windows(width, height, short / 2))
    if smallest is None:
        return groups
    sides = [group[-1].side for group in groups]
    return [group for group, larger in zip(groups, [np.inf, *sides], strict=False) if smallest < SEEN * larger]


def chest(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """The middle of a pose's shoulders."""
    return np.asarray(pose[11:13, :2].mean(axis=0))


def same_person(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two poses of a frame show one person."""
    unit = max(body_unit(one), body_unit(other))
    return float(np.hypot(*(chest(one) - chest(other)))) < SAME_PERSON * unit
