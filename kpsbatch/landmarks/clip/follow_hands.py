"""The signer's hands through a clip: followed from frame to frame, searched at the pose's wrist where that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kpsbatch.config import ConfidenceConfig
from kpsbatch.landmarks.clip.hand_looks import (
    check_at_edge,
    hand_square,
    look_and_confirm,
    palm_squares,
    same_hand,
    wrist_distance,
    wrist_square,
)
from kpsbatch.landmarks.clip.moments import Look, Moment, Pixels, body_unit
from kpsbatch.landmarks.clip.networks import Networks
from kpsbatch.landmarks.clip.squares import moved
from kpsbatch.landmarks.found import DETECTED, LOOKED_AGAIN, TRACKED, Letter
from kpsbatch.landmarks.hands import POSE_WRIST, SIDES, Side
from kpsbatch.landmarks.regions import Region

GUESSES = ((0.7, 1.0), (1.0, 1.0), (0.7, 0.5))
"""Squares to try at a wrist: side in units of the body; shift from the wrist, 1 being at the pose's knuckles."""

SHOWS = 1.25
"""A hand is searched where the frame's edge is at least this far from its wrist, in lengths of wrist to knuckles.

Nearer, less than half of its joints are inside (`HALF_HAND`): of 28 searches there, on real clips, none found one.
"""

WELL_INSIDE = 2.4
"""Where the edge is this far all squares are tried; nearer, where hands rest below the frame, the first one only.

There the first one found 5 hands in 49 searches on real clips, the other squares and the palm detector none.
"""

LONGEST_WAIT = 8
"""Frames between two searches for a hand that was not found before and whose wrist stays where it is."""

MOVED = 0.25
"""Units of the body that a wrist must have moved since a search for the next one to follow at once."""


@dataclass
class Search:
    """Searches for one hand that found nothing: how many in a row, and where the wrist was at the last."""

    failures: int = 0
    frame: int = -1
    wrist: Pixels = field(default_factory=lambda: np.zeros(2))

    def is_due(self, frame: int, wrist: Pixels, unit: float) -> bool:
        """Whether to search in a frame: after 1, 2, 4 ... frames, or when the wrist has moved."""
        gone = float(np.hypot(*(wrist - self.wrist)))
        if not self.failures or gone > MOVED * unit:
            return True
        return frame - self.frame >= min(1 << (self.failures - 1), LONGEST_WAIT)

    def failed(self, frame: int, wrist: Pixels) -> None:
        """Remember a search in vain."""
        self.failures, self.frame, self.wrist = self.failures + 1, frame, wrist.copy()


def follow_hands(moments: Sequence[Moment], start: int, networks: Networks, thresholds: ConfidenceConfig) -> None:
    """Find the hands in frames from `start` on that have a pose; then go back where they were found late."""
    searches: dict[Side, Search] = {side: Search() for side in SIDES}
    for frame in range(start, len(moments)):
        if moments[frame].pose is not None:
            follow_frame(moments, frame, searches, networks, thresholds)
    for frame in range(len(moments) - 2, -1, -1):
        follow_back(moments, frame, networks, thresholds)


def follow_frame(
    moments: Sequence[Moment],
    frame: int,
    searches: dict[Side, Search],
    networks: Networks,
    thresholds: ConfidenceConfig,
) -> None:
    """Both hands of one frame: by the frames before, and by a search for the side that has none."""
    moment = moments[frame]
    looks = {side: followed(moments, frame, -1, side, networks, thresholds) for side in SIDES}
    place(moment, {side: look for side, look in looks.items() if look is not None})
    for side in SIDES:
        if side in moment.hands:
            searches[side] = Search()
            continue
        wrist, unit = wrist_of(moment, side), body_unit(moment.pose.points)  # type: ignore[union-attr]
        if edge_is_beyond(SHOWS, moment, side) and searches[side].is_due(frame, wrist, unit):
            look = searched(moment, side, networks, thresholds)
            if look is None:
                searches[side].failed(frame, wrist)
            else:
                moment.hands[side] = look
                searches[side] = Search()


def follow_back(moments: Sequence[Moment], frame: int, networks: Networks, thresholds: ConfidenceConfig) -> None:
    """The hands that a frame lacks, by the frames after it."""
    moment = moments[frame]
    for side in SIDES:
        if side in moment.hands or moment.pose is None:
            continue
        look = followed(moments, frame, 1, side, networks, thresholds)
        if look is not None and not any(same_hand(look, other) for other in moment.hands.values()):
            moment.hands[side] = look


def followed(
    moments: Sequence[Moment], frame: int, step: int, side: Side, networks: Networks, thresholds: ConfidenceConfig
) -> Look | None:
    """A hand by that of the neighbouring frame (`step` away), moved as the pose's wrist has."""
    neighbour = moments[frame + step] if 0 <= frame + step < len(moments) else None
    moment = moments[frame]
    if neighbour is None or side not in neighbour.hands or neighbour.pose is None:
        return None
    last = neighbour.hands[side]
    by = wrist_of(moment, side) - wrist_of(neighbour, side)
    square = moved(hand_square(last.points), by)
    look = look_and_confirm(moment, side, square, networks, TRACKED, thresholds.hand_presence, one_look_is_enough=True)
    return look and check_at_edge(look, last, moment, networks, thresholds.hand_presence)


def searched(moment: Moment, side: Side, networks: Networks, thresholds: ConfidenceConfig) -> Look | None:
    """A hand at the pose's wrist; two looks must agree."""
    for square, how in places(moment, side, networks, thresholds):
        look = look_and_confirm(moment, side, square, networks, how, thresholds.hand_presence, one_look_is_enough=False)
        if look and belongs(look, side, moment):
            return check_at_edge(look, None, moment, networks, thresholds.hand_presence)
    return None


def places(
    moment: Moment, side: Side, networks: Networks, thresholds: ConfidenceConfig
) -> Iterator[tuple[Region, Letter]]:
    """Squares in which a hand can be, by the pose's knuckles and by the palm detector, each with its letter."""
    assert moment.pose is not None
    well_inside = edge_is_beyond(WELL_INSIDE, moment, side)
    for guess in GUESSES if well_inside else GUESSES[:1]:
        yield wrist_square(moment.pose.points, side, *guess), LOOKED_AGAIN
    if not well_inside:
        return
    for square in palm_squares(moment, side, networks, thresholds.hand_detection)[:2]:
        yield square, DETECTED


def belongs(look: Look, side: Side, moment: Moment) -> bool:
    """Whether a hand that was searched is nobody else's: not the other hand, nor nearer to its wrist."""
    other: Side = "left" if side == "right" else "right"
    if other in moment.hands:
        return not same_hand(look, moment.hands[other])
    return wrist_distance(look, moment, side) <= wrist_distance(look, moment, other)


def place(moment: Moment, looks: dict[Side, Look]) -> None:
    """Put looks into the slots; where both show one hand, it is the side's whose wrist is nearer."""
    if len(looks) == 2 and same_hand(looks["right"], looks["left"]):
        away = {side: wrist_distance(look, moment, side) for side, look in looks.items()}
        del looks[max(away, key=lambda side: away[side])]
    moment.hands.update(looks)


def edge_is_beyond(lengths: float, moment: Moment, side: Side) -> bool:
    """Whether a wrist and the place so many lengths of wrist to knuckles from it, along the hand, are in the frame."""
    assert moment.pose is not None
    width, height = moment.size
    place = wrist_square(moment.pose.points, side, 1.0, lengths).centre
    return all(0 <= x <= width and 0 <= y <= height for x, y in (wrist_of(moment, side), place))


def wrist_of(moment: Moment, side: Side) -> Pixels:
    """The pose's wrist, in pixels."""
    assert moment.pose is not None
    return np.asarray(moment.pose.points[POSE_WRIST[side], :2])
