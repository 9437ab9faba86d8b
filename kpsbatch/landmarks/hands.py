"""The signer's hands through a clip: followed from frame to frame, searched at the pose's wrist where that fails."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch import points as t
from kpsbatch.landmarks.fingers import order_fingers
from kpsbatch.landmarks.found import DETECTED, LOOKED_AGAIN, TRACKED, Letter
from kpsbatch.landmarks.keypoints import in_frame
from kpsbatch.landmarks.moments import SIDES, Moment, Pixels, Reading, Side, are_inside, body_unit, chest, share_inside
from kpsbatch.landmarks.pace import HAND_MILLISECONDS, hand_moved, interpolated, key_frame
from kpsbatch.landmarks.squares import (
    Square,
    far_apart,
    hand_square,
    moved,
    palm_square,
    resized,
    to_pixels,
    turned_square,
    upright_square,
    whole_frame,
)

OTHER: dict[Side, Side] = {"right": "left", "left": "right"}

POSE_WRIST = {"right": t.POSE_RIGHT_WRIST, "left": t.POSE_LEFT_WRIST}
POSE_PINKY = {"right": t.POSE_RIGHT_PINKY, "left": t.POSE_LEFT_PINKY}
POSE_INDEX = {"right": t.POSE_RIGHT_INDEX, "left": t.POSE_LEFT_INDEX}

MAX_WRIST_DISTANCE = 0.5
"""In units of the body: a hand farther than this from a pose wrist is not that side's (see docs/hands.md)."""

SAME_HAND_DISTANCE = 0.25
"""Two readings whose joints lie closer than this on average, in hand sizes, are one hand."""

HALF_HAND = 1.5
"""From the wrist, in lengths of wrist to knuckles of the pose: where half of a hand's joints have been passed (measured
on hands that the frame's lower edge cuts off, see benchmarks/QUALITY.md)."""

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


READ_AGAIN = (0.12, 1.25, 20.0)
"""A hand is read once more where the square that it asks for differs by more: share of its side, factor, degrees.

The network was trained on squares that are off by about as much.
"""

DOUBTFUL_DISTANCE = 0.2
"""A hand that needs two readings must be this near to the pose's wrist, in units of the body; most are by 0.07."""

THINNEST = 0.1
"""Its palm must be this broad, in lengths of the palm."""

LEAST_INSIDE = 0.5
"""Share of a hand's joints that must be in the frame."""

FIRST_INSIDE = 0.35
"""The same of a first reading, whose second one may lie farther inside: of 129 hands confirmed on real clips the first
reading has 0.43 or more."""

LARGEST, SMALLEST = 1.2, 0.08
"""Diagonal of a hand, in units of the body, that it can have."""

FIRST_PRESENCE, AGREED_PRESENCE = 0.4, 0.8
"""Least presence of a first reading for a second one, and of that second one: shares of what a single one needs."""

STEADY = 0.25
"""Two readings of a hand agree if their joints lie, on average, within this share of its size."""

EDGE_MARGIN = 0.15
"""A hand nearer than this to the frame's edge, in hand sizes, can be one that lies beyond it."""

ROOM = 1.5
"""How much larger the square of a reading with more room is."""

CUT_OFF, WHOLE = (0.45, 0.1), (0.6, 0.25)
"""Share of that reading's joints that must be in the frame, and most distance, in hand sizes: either pair is enough."""

STILL = 0.1
"""Hand sizes that a hand may move before it is read with more room again."""

REACH_SIDE = 5.0
"""Side of the square around the chest in which a frame's palms are searched, in units of the body: the arms' reach."""

SURE_NAME = 0.9
"""From here on the hand network is sure of a hand's name."""

NAMED_DISTANCE, NAMED_LARGEST = 1.0, 1.4
"""Of a hand that the palm detector saw and whose name agrees with the side: most distance from the pose's wrist, and
diagonal, in units of the body. Such hands are up to 0.93 and 1.24 in a clip whose hands lie on each other."""

SURE_PRESENCE = 0.9
"""Of both readings of a hand that the palm detector sees away from the pose's wrist: pieces of a hand under a banner
have up to 0.86 in one of them."""

MOST_UNSURE, SURE_AGAIN = 3, 0.97
"""Frames in a row in which a hand that was followed by its name is kept though its presence is lower than this: hands
in plain view have 0.99, what a banner leaves of one up to 0.94."""

SHRINKS = 0.75
"""A hand that is smaller than this share of what it was in the neighbouring frame may be a part of a hand."""

ARMS_SIDE = 1.7
"""Side of two squares below the chest in which palms are searched one by one, in units of the body: hands that
lie on each other are two there where the whole frame shows one."""

PALM_SIDE = 1.5
"""Side of the square around a wrist in which palms are searched, in units of the body."""


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


def follow_hands(moments: Sequence[Moment], start: int) -> None:
    """Find the hands in frames from `start` on that have a pose; then go back where they were found late."""
    if len(moments) == 1:
        find_hands(moments[0])
        return
    if all(moment.pose is None for moment in moments):
        follow_bare_hands(moments, start)
        return
    searches: dict[Side, Search] = {side: Search() for side in SIDES}
    done = start
    for frame in range(start, len(moments)):
        if moments[frame].pose is None or frame < done:
            continue
        if follow_resting(moments, frame, searches):
            done = frame + 2
        else:
            follow_frame(moments, frame, searches)
    for frame in range(len(moments) - 2, -1, -1):
        follow_back(moments, frame)
    order_fingers(moments, start)


def follow_bare_hands(moments: Sequence[Moment], start: int) -> None:
    """The hands of frames from `start` on that show nobody: followed both ways, detected where that fails."""
    search = Search()
    nowhere = np.zeros(2)
    for frame in range(start, len(moments)):
        moment = moments[frame]
        if frame:
            moment.hands.update(followed_bare(moment, moments[frame - 1]))
        if moment.hands:
            search = Search()
        elif search.is_due(frame, nowhere, 1.0):
            moment.hands.update(named(detected_hands(moment)))
            if not moment.hands:
                search.failed(frame, nowhere)
    for frame in range(len(moments) - 2, -1, -1):
        moment = moments[frame]
        for side, hand in followed_bare(moment, moments[frame + 1]).items():
            if side not in moment.hands and not any(same_hand(hand, other) for other in moment.hands.values()):
                moment.hands[side] = hand


def followed_bare(moment: Moment, neighbour: Moment) -> dict[Side, Reading]:
    """The hands of a frame that shows nobody, by those of its neighbour."""
    hands: dict[Side, Reading] = {}
    for side, last in neighbour.hands.items():
        hand = moment.read_hand(hand_square(last.points), TRACKED)
        present = hand.presence >= moment.thresholds.hand_presence
        inside = share_inside(hand.points, moment.size) >= LEAST_INSIDE
        if present and inside and not any(same_hand(hand, other) for other in hands.values()):
            hands[side] = hand
    return hands


def find_hands(moment: Moment) -> None:
    """The hands of a frame by itself: by the palm detector, and at the pose's wrists where that sees none.

    Without a pose they are named by the hand network; of two with one name the surer keeps it, the second is the other.
    """
    hands = detected_hands(moment)
    if moment.pose is None:
        moment.hands.update(named(hands))
        return
    moment.hands.update(placed(moment, hands))
    for side in SIDES:
        if side not in moment.hands and edge_is_beyond(SHOWS, moment, side):
            hand = searched(moment, side)
            if hand is not None:
                moment.hands[side] = hand


def detected_hands(moment: Moment) -> list[Reading]:
    """Hands that the palm detector sees around the signer, or in the frame, and the hand network confirms."""
    square = whole_frame(*moment.size)
    if moment.pose is not None:
        square = upright_square(chest(moment.pose.points), min(square.side, REACH_SIDE * body_unit(moment.pose.points)))
    hands: list[Reading] = []
    presence = moment.thresholds.hand_presence
    for palm, _ in palm_squares(moment, square):
        hand = moment.read_hand(palm, DETECTED)
        if hand.presence < presence:
            continue
        wanted = hand_square(hand.points)
        if far_apart(palm, wanted, *READ_AGAIN):
            again = moment.read_hand(wanted, DETECTED)
            hand = again if again.presence >= AGREED_PRESENCE * presence else hand
        inside = share_inside(hand.points, moment.size) >= LEAST_INSIDE
        if inside and not any(same_hand(hand, other) for other in hands):
            hands.append(hand)
    return hands


def named(hands: Sequence[Reading]) -> dict[Side, Reading]:
    """Hands by the names that the hand network gives them, the surest first; a second of one name is the other hand."""
    slots: dict[Side, Reading] = {}
    for hand in sorted(hands, key=lambda hand: -abs(hand.right - 0.5))[:2]:
        side: Side = "right" if hand.right >= 0.5 else "left"
        slots[OTHER[side] if side in slots else side] = hand
    return slots


def placed(moment: Moment, hands: Sequence[Reading]) -> dict[Side, Reading]:
    """Hands by the wrists of the pose that they are nearest to: one to one, with the smallest sum of distances."""
    best: tuple[int, float, dict[Side, Reading]] = (0, 0.0, {})
    for chosen in itertools.permutations([*hands, None, None], 2):
        pairs = {side: hand for side, hand in zip(SIDES, chosen, strict=True) if hand is not None}
        if all(can_be(hand, side, moment) for side, hand in pairs.items()):
            away = sum(wrist_distance(hand, moment, side) for side, hand in pairs.items())
            best = min(best, (-len(pairs), away, pairs), key=lambda option: option[:2])
    return best[2]


def can_be(hand: Reading, side: Side, moment: Moment) -> bool:
    """Whether a hand that the palm detector saw can be this side's: near its wrist, or farther if its name agrees.

    Where one hand lies on the other, the pose's wrists are off by more than `MAX_WRIST_DISTANCE`.
    """
    sure = is_named(hand, side)
    distance, largest = (NAMED_DISTANCE, NAMED_LARGEST) if sure else (MAX_WRIST_DISTANCE, LARGEST)
    return is_hand_of(hand, side, moment, distance, largest)


def is_named(hand: Reading, side: Side) -> bool:
    """Whether the hand network is sure that a hand is this side's."""
    return hand.right >= SURE_NAME if side == "right" else hand.right <= 1 - SURE_NAME


def follow_resting(moments: Sequence[Moment], frame: int, searches: dict[Side, Search]) -> bool:
    """Both hands of a frame and the next one where they rest: looked at in the next one, interpolated if they rest on.

    False where they do not rest, or one is lost: nothing has been done then.
    """
    most = moments[frame].most_moved("hands")
    key = key_frame(moments, frame - 1, 1, min(frame + 2, len(moments)), HAND_MILLISECONDS) if frame >= 2 else frame
    if not most or key <= frame or moments[key].pose is None:
        return False
    earlier, last = moments[frame - 2].hands, moments[frame - 1].hands
    if not last or any(hand_moved(hand, earlier.get(side), most) for side, hand in last.items()):
        return False
    kept = {side: replace(search) for side, search in searches.items()}
    follow_frame(moments, key, searches, -2)
    hands = moments[key].hands
    if not last.keys() <= hands.keys():
        hands.clear()
        searches.update(kept)
        return False
    if any(hand_moved(hand, hands[side], most) for side, hand in last.items()):
        follow_frame(moments, frame, searches)
    else:
        moments[frame].hands.update({side: interpolated(hand, hands[side], 0.5) for side, hand in last.items()})
    return True


def follow_frame(moments: Sequence[Moment], frame: int, searches: dict[Side, Search], step: int = -1) -> None:
    """Both hands of one frame: by those `step` frames away, and by a search for the side that has none."""
    moment = moments[frame]
    hands = {side: followed(moments, frame, step, side) for side in SIDES}
    place(moment, {side: hand for side, hand in hands.items() if hand is not None})
    for side in SIDES:
        if side in moment.hands:
            searches[side] = Search()
            continue
        wrist, unit = wrist_of(moment, side), body_unit(moment.pose.points)  # type: ignore[union-attr]
        if edge_is_beyond(SHOWS, moment, side) and searches[side].is_due(frame, wrist, unit):
            hand = searched(moment, side) or spotted(moment, side)
            if hand is None:
                searches[side].failed(frame, wrist)
            else:
                moment.hands[side] = hand
                searches[side] = Search()


def follow_back(moments: Sequence[Moment], frame: int) -> None:
    """The hands that a frame lacks, by the frames after it."""
    moment = moments[frame]
    for side in SIDES:
        if side in moment.hands or moment.pose is None:
            continue
        hand = followed(moments, frame, 1, side)
        if hand is not None and not any(same_hand(hand, other) for other in moment.hands.values()):
            moment.hands[side] = hand


def followed(moments: Sequence[Moment], frame: int, step: int, side: Side) -> Reading | None:
    """A hand by that of the neighbouring frame (`step` away), moved as the pose's wrist has; else where it was.

    Where the pose's wrist is off, as where one hand lies on the other or something covers it, the hand is found where
    it was, if the network is sure of its name.
    """
    neighbour = moments[frame + step] if 0 <= frame + step < len(moments) else None
    moment = moments[frame]
    if neighbour is None or side not in neighbour.hands or neighbour.pose is None:
        return None
    if neighbour.shot != moment.shot:
        return None
    last = neighbour.hands[side]
    by = wrist_of(moment, side) - wrist_of(neighbour, side)
    square = moved(hand_square(last.points), by)
    if last.unsure >= MOST_UNSURE:
        return None
    first = moment.read_hand(square, TRACKED)
    hand = confirmed(moment, side, square, TRACKED, one_is_enough=True, first=first)
    hand = hand and check_at_edge(hand, last, moment)
    is_by_name = False
    if hand is None or hand_size(hand.points) < SHRINKS * hand_size(last.points):
        still = hand_square(last.points)
        known = None if far_apart(square, still, *READ_AGAIN) else first
        where_it_was = confirmed(moment, side, still, TRACKED, one_is_enough=True, by_name=True, first=known)
        where_it_was = where_it_was and check_at_edge(where_it_was, last, moment)
        if where_it_was is not None and (hand is None or is_larger(where_it_was, hand)):
            hand, is_by_name = where_it_was, True
    if hand is not None and (is_by_name or last.unsure) and hand.presence < SURE_AGAIN:
        hand = replace(hand, unsure=last.unsure + 1)
    return hand


def searched(moment: Moment, side: Side) -> Reading | None:
    """A hand at the pose's wrist; two readings must agree."""
    for square, how in squares_of(moment, side):
        hand = confirmed(moment, side, square, how, one_is_enough=False)
        if hand and belongs(hand, side, moment):
            return check_at_edge(with_room(hand, side, moment), None, moment)
    return None


def with_room(hand: Reading, side: Side, moment: Moment) -> Reading:
    """A hand that was searched beside the other one, read again with more room: where it is but a part, all of it."""
    other = moment.hands.get(OTHER[side])
    if other is None or np.hypot(*(other.points[0] - hand.points[0])[:2]) > hand_size(other.points):
        return hand
    wide = moment.read_hand(resized(hand_square(hand.points), ROOM), hand.how)
    if wide.presence < SURE_AGAIN or not is_larger(wide, hand):
        return hand
    again = moment.read_hand(hand_square(wide.points), hand.how)
    whole = again.presence >= SURE_AGAIN and is_larger(again, hand)
    return again if whole and is_named(again, side) and can_be(again, side, moment) else hand


def is_larger(one: Reading, other: Reading) -> bool:
    """Whether a reading of a hand is so much larger than another that this one is a part of it."""
    return hand_size(other.points) < SHRINKS * hand_size(one.points)


def spotted(moment: Moment, side: Side) -> Reading | None:
    """A hand that the palm detector sees in the frame or around the signer, wherever the pose has the wrist.

    Both readings must be sure that a hand is there, and of its name, and it is not the other side's.
    """
    assert moment.pose is not None
    if not edge_is_beyond(WELL_INSIDE, moment, side):
        return None
    pose, unit = moment.pose.points, body_unit(moment.pose.points)
    around = [upright_square(chest(pose), REACH_SIDE * unit)]
    whole = whole_frame(*moment.size)
    around = [whole] if whole.side < around[0].side else around
    for x, y in ((0.6, 1.0), (-0.6, 1.0)):
        around.append(upright_square(chest(pose) + unit * np.array([x, y]), ARMS_SIDE * unit))
    looked_at: list[Square] = []
    for square in around:
        for palm, _ in palm_squares(moment, square):
            if not all(far_apart(palm, other, *READ_AGAIN) for other in looked_at):
                continue
            looked_at.append(palm)
            first = moment.read_hand(palm, DETECTED)
            if first.presence < SURE_PRESENCE or any(same_hand(first, other) for other in moment.hands.values()):
                continue
            hand = moment.read_hand(hand_square(first.points), DETECTED)
            if hand.presence < SURE_PRESENCE or not is_named(hand, side) or not can_be(hand, side, moment):
                continue
            if not any(same_hand(hand, other) for other in moment.hands.values()):
                return check_at_edge(hand, None, moment)
    return None


def squares_of(moment: Moment, side: Side) -> Iterator[tuple[Square, Letter]]:
    """Squares in which a hand can be, by the pose's knuckles and by the palm detector, each with its letter."""
    assert moment.pose is not None
    unit, well_inside = body_unit(moment.pose.points), edge_is_beyond(WELL_INSIDE, moment, side)
    for guess in GUESSES if well_inside else GUESSES[:1]:
        yield wrist_square(moment.pose.points, side, *guess), LOOKED_AGAIN
    if not well_inside:
        return
    around = upright_square(wrist_square(moment.pose.points, side, 1.0, 0.7).centre, PALM_SIDE * unit)
    palms = palm_squares(moment, around)
    palms.sort(key=lambda palm: float(np.hypot(*(palm[1] - wrist_of(moment, side)))))
    for square, _ in palms[:2]:
        yield square, DETECTED


def belongs(hand: Reading, side: Side, moment: Moment) -> bool:
    """Whether a hand that was searched is nobody else's: not the other hand, nor nearer to its wrist."""
    other = OTHER[side]
    if other in moment.hands:
        return not same_hand(hand, moment.hands[other])
    return wrist_distance(hand, moment, side) <= wrist_distance(hand, moment, other)


def place(moment: Moment, hands: dict[Side, Reading]) -> None:
    """Put hands into the slots; where both show one hand, it is the side's whose wrist is nearer."""
    if len(hands) == 2 and same_hand(hands["right"], hands["left"]):
        away = {side: wrist_distance(hand, moment, side) for side, hand in hands.items()}
        del hands[max(away, key=lambda side: away[side])]
    moment.hands.update(hands)


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


def confirmed(
    moment: Moment,
    side: Side,
    square: Square,
    how: Letter,
    *,
    one_is_enough: bool,
    by_name: bool = False,
    first: Reading | None = None,
) -> Reading | None:
    """A hand in a square, read once more where the first reading leaves doubt; None where there is none.

    The second reading is of the square that the first asks for: taken where that is another one, and where the first is
    not enough by itself. Two readings that agree may each have a somewhat lower presence than a single one.

    Args:
        moment: The frame.
        side: Whose hand it must be.
        square: Where it is.
        how: How the square was chosen.
        one_is_enough: Whether one reading is enough: the hand is there in the neighbouring frame.
        first: The first reading, where it is there.
        by_name: Whether not the wrist of the pose tells whose hand it is, but its name, which must be sure.
    """

    def is_its(hand: Reading, distance: float) -> bool:
        if by_name:
            return is_named(hand, side) and can_be(hand, side, moment)
        return is_hand_of(hand, side, moment, distance)

    presence = moment.thresholds.hand_presence
    first = first or moment.read_hand(square, how)
    if first.presence < FIRST_PRESENCE * presence or not (one_is_enough or could_be_confirmed(first, side, moment)):
        return None
    wanted = hand_square(first.points)
    enough = one_is_enough and first.presence >= presence
    if enough and not far_apart(square, wanted, *READ_AGAIN):
        return first if is_its(first, MAX_WRIST_DISTANCE) else None
    again = moment.read_hand(wanted, how)
    if enough:
        best = again if again.presence >= AGREED_PRESENCE * presence else first
        return best if is_its(best, MAX_WRIST_DISTANCE) else None
    if again.presence < AGREED_PRESENCE * presence or not agree(first, again, moment.size):
        return None
    return again if is_its(again, DOUBTFUL_DISTANCE) and not is_line(again.points) else None


def wrist_square(pose: Pixels, side: Side, length: float, shift: float) -> Square:
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


def palm_squares(moment: Moment, around: Square) -> list[tuple[Square, Pixels]]:
    """Squares of the hands that the palm detector sees in a part of the frame, each with its wrist's x and y."""
    detector = moment.networks.palm_detector
    squares = []
    for palm in detector.find(moment.cut(around, detector.side), moment.thresholds.hand_detection):
        points = to_pixels(palm.points, around)
        size = (palm.box[2:] - palm.box[:2]) * around.side
        middle = to_pixels(palm.box.reshape(2, 2), around).mean(axis=0)
        square = palm_square(np.concatenate([middle - size / 2, middle + size / 2]), points)
        squares.append((square, points[0]))
    return squares


def is_hand_of(hand: Reading, side: Side, moment: Moment, distance: float, largest: float = LARGEST) -> bool:
    """Whether what a hand shows can be this side's hand of the signer, mostly inside the frame.

    Args:
        hand: The hand.
        side: Whose hand it must be.
        moment: The frame.
        distance: In units of the body: it may be so far from the pose's wrist.
        largest: In units of the body: most that its diagonal may be.
    """
    if moment.pose is None:
        return False
    unit = body_unit(moment.pose.points)
    size = hand_size(hand.points) / unit
    away = wrist_distance(hand, moment, side)
    return away <= distance and SMALLEST <= size <= largest and share_inside(hand.points, moment.size) >= LEAST_INSIDE


def could_be_confirmed(first: Reading, side: Side, moment: Moment) -> bool:
    """Whether a second reading that agrees with a first one can be a side's hand: near its wrist, in the frame."""
    near = wrist_distance(first, moment, side) <= MAX_WRIST_DISTANCE
    return near and share_inside(first.points, moment.size) >= FIRST_INSIDE


def is_line(points: Pixels) -> bool:
    """Whether a hand's palm is as thin as a line, as a forearm hands to the hand network."""
    breadth, length = points[5, :2] - points[17, :2], points[9, :2] - points[0, :2]
    return float(np.hypot(*breadth)) < THINNEST * float(np.hypot(*length))


def wrist_distance(hand: Reading, moment: Moment, side: Side) -> float:
    """From a hand's wrist to one of the pose's, in units of the body."""
    assert moment.pose is not None
    pose = moment.pose.points
    return float(np.hypot(*(hand.points[0, :2] - pose[POSE_WRIST[side], :2]))) / body_unit(pose)


def hand_size(points: Pixels) -> float:
    """Diagonal of the box around a hand's joints, in pixels."""
    return float(np.hypot(*np.ptp(points[:, :2], axis=0)))


def same_hand(one: Reading, other: Reading) -> bool:
    """Whether two readings show one hand of the picture: joints less than `SAME_HAND_DISTANCE` hand sizes apart."""
    size = max(hand_size(one.points), hand_size(other.points), 1.0)
    return apart(one.points, other.points) < SAME_HAND_DISTANCE * size


def agree(one: Reading, other: Reading, size: tuple[int, int]) -> bool:
    """Whether two readings agree about a hand, as far as it is in the frame."""
    inside = are_inside(other.points, size)
    if inside.mean() < LEAST_INSIDE:
        return False
    off = np.linalg.norm((one.points - other.points)[inside, :2], axis=1).mean()
    return float(off) <= STEADY * max(hand_size(other.points), 1.0)


def is_at_edge(points: Pixels, size: tuple[int, int]) -> bool:
    """Whether a hand reaches over the frame's edge or nearly so."""
    margin = EDGE_MARGIN * hand_size(points)
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return bool((low < margin).any() or (high > np.array(size) - margin).any())


def check_at_edge(hand: Reading, before: Reading | None, moment: Moment) -> Reading | None:
    """A hand at the frame's edge, if it still is in the frame where the network has more room to put it.

    In a square that ends near the frame's edge the network presses a hand into the frame of which only the wrist is to
    be seen. In one that is `ROOM` times as large it does not, or puts it elsewhere. A hand that has hardly moved since
    is not read again.

    Args:
        hand: The hand, as it is read in this frame.
        before: The same hand in the neighbouring frame.
        moment: The frame.
    """
    if not is_at_edge(hand.points, moment.size):
        return hand
    size = hand_size(hand.points)
    if before is not None and before.checked is not None and apart(hand.points, before.checked) <= STILL * size:
        return replace(hand, checked=before.checked)
    wide = moment.read_hand(resized(hand_square(hand.points), ROOM), hand.how)
    inside, off = share_inside(wide.points, moment.size), apart(hand.points, wide.points) / size
    good = any(inside >= least and off <= most for least, most in (CUT_OFF, WHOLE))
    good = good and wide.presence >= AGREED_PRESENCE * moment.thresholds.hand_presence
    return replace(hand, checked=hand.points) if good else None


def apart(one: Pixels, other: Pixels) -> float:
    """Mean distance of the joints of two hands, in pixels."""
    return float(np.linalg.norm((one - other)[:, :2], axis=1).mean())


def hand_can_be_seen(pose: NDArray[Any], side: Side, part: float = HALF_HAND) -> bool:
    """Whether half of a hand is inside the frame by the pose (33, 2 or more), in frame widths and heights.

    A resting hand of which only the forearm is in the picture can't be seen.

    Args:
        pose: The signer's.
        side: The hand's.
        part: How much of it must be inside, in lengths of wrist to knuckles (the middle of index and pinky).
    """
    wrist = pose[POSE_WRIST[side], :2]
    knuckles = (pose[POSE_INDEX[side], :2] + pose[POSE_PINKY[side], :2]) / 2
    end = wrist + np.float32(part) * (knuckles - wrist)
    return bool(in_frame(np.stack([wrist, end])).all())
