"""Which of the people in a clip is the signer: poses linked into tracks; the user's word, else who signs, decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kpsbatch.config import AUTO
from kpsbatch.dataset.video import Box
from kpsbatch.landmarks.hands import find_hands, same_hand, wrist_distance
from kpsbatch.landmarks.moments import SIDES, Moment, Pixels, Reading, Side, body_unit, chest
from kpsbatch.landmarks.squares import cut, upright_square

LINK = 1.0
"""Poses of two probed frames are one person if their chests are nearer than this, in units of the body."""

LINK_SIZE = 1.6
"""And if neither is larger than the other by this factor."""

CENTRE_COUNTS = 0.5
"""How much a person at the frame's edge counts, where one in the middle counts 1."""

LEAST_SIGNING = 0.05
"""Where everybody signs less than this, see `signing`, nobody does: hands at rest are at 0.03 or less."""

OFTEN = 1 / 3
"""Somebody is counted among the people of a shot who is in this share of the frames of the one who is in most."""

LOOK_SIDE, LOOK_PIXELS = 1.6, 8
"""A person's look: the square around the chest, in units of the body, in so many pixels across."""

SAME_LOOK, CLEARLY = 25.0, 1.5
"""Looks that differ by less (of 255, on average) can be one person's, if the next one differs by this factor more."""

OTHER_LOOK = 30.0
"""From here on two looks are two people's: those of one person differ by up to 18 from shot to shot, those of two by 32
or more."""

NO_SUCH = "there is no person"
"""How a reason begins where the user's word names nobody."""

Hands = dict[Side, Pixels]


@dataclass(frozen=True)
class Wish:
    """The user's word about who the signer is, in the picture as the file has it.

    Attributes:
        person: `dataset.person`: auto, left, right, largest, x=0.3, or a number from the left.
        box: Where the signer's chest is.
        mirrored: Whether frames are flipped before they are looked at.
        is_only: Whether a shot without that person has no signer.
    """

    person: str = AUTO
    box: Box | None = None
    mirrored: bool = False
    is_only: bool = False

    def box_in(self, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
        """The box as left, top, right, bottom, in pixels of the flipped frame of this size; None where there is none.

        A box of which nothing lies in the frame is none.
        """
        if self.box is None:
            return None
        width, height = size
        across, down = (width, height) if self.box.unit == "shares" else (1, 1)
        left, top = max(0.0, self.box.x * across), max(0.0, self.box.y * down)
        right = min(float(width), (self.box.x + self.box.width) * across)
        bottom = min(float(height), (self.box.y + self.box.height) * down)
        if right <= left or bottom <= top:
            return None
        return (width - right, top, width - left, bottom) if self.mirrored else (left, top, right, bottom)

    def share(self, x: float, width: int) -> float:
        """An x of the flipped frame, in pixels, as a share of the width of the frame as the file has it."""
        return 1 - (x + 0.5) / width if self.mirrored else (x + 0.5) / width


@dataclass
class Track:
    """One person through a shot.

    Attributes:
        poses: A pose for each frame in which the person was seen, by the frame's number.
        hands: The hands of the person that are confirmed in a frame; a frame in which they were not looked for is not
            there.
        looks: What the chest looks like, see `look_of`.
    """

    poses: dict[int, Reading] = field(default_factory=dict)
    hands: dict[int, Hands] = field(default_factory=dict)
    looks: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def nearest(self, frame: int) -> Reading:
        """The pose of the frame nearest to one."""
        return self.poses[min(self.poses, key=lambda number: (abs(number - frame), number))]

    @property
    def middle(self) -> Pixels:
        """The median place of the chest."""
        return median([chest(pose.points) for pose in self.poses.values()])

    @property
    def unit(self) -> float:
        """The median unit of the body."""
        return float(median([body_unit(pose.points) for pose in self.poses.values()]))


@dataclass
class Sightings:
    """The people of one probed frame, and of each of them the confirmed hands (None: not looked for) and the look."""

    poses: list[Reading]
    hands: list[Hands] | None
    looks: list[NDArray[np.float32]]


def sight(moment: Moment, poses: list[Reading], *, with_hands: bool) -> Sightings:
    """What tells the people of a frame apart."""
    hands = hands_of_people(moment, poses) if with_hands else None
    return Sightings(poses, hands, [look_of(moment, pose) for pose in poses])


def hands_of_people(moment: Moment, poses: Sequence[Reading]) -> list[Hands]:
    """The hands of each person that the hand network confirms in a frame; one hand is one person's.

    In units of the body, from the chest.
    """
    alone = [Moment(moment.image, moment.networks, pose) for pose in poses]
    for one in alone:
        find_hands(one)
    every = [(one, side, hand) for one in alone for side, hand in one.hands.items()]
    for one, side, hand in every:
        away = wrist_distance(hand, one, side)
        if any(
            other is not one and same_hand(hand, theirs) and wrist_distance(theirs, other, at) < away
            for other, at, theirs in every
        ):
            del one.hands[side]
    return [
        {side: (hand.points[:, :2] - chest(pose.points)) / body_unit(pose.points) for side, hand in one.hands.items()}
        for one, pose in zip(alone, poses, strict=True)
    ]


def look_of(moment: Moment, pose: Reading) -> NDArray[np.float32]:
    """(8, 8, 3): what head and chest of a person look like."""
    square = upright_square(chest(pose.points), LOOK_SIDE * body_unit(pose.points))
    fine = cut(moment.image, square, 4 * LOOK_PIXELS).astype(np.float32)
    return np.asarray(fine.reshape(LOOK_PIXELS, 4, LOOK_PIXELS, 4, 3).mean(axis=(1, 3)))


def link(people: dict[int, list[Reading]], sightings: dict[int, Sightings] | None = None) -> list[Track]:
    """Link the poses of some frames into tracks, the nearest pairs first; one pose of each frame goes to a track.

    Args:
        people: The poses of each frame, by its number.
        sightings: What else is known of them.
    """
    tracks: list[Track] = []
    for frame in sorted(people):
        poses = people[frame]
        pairs = sorted(
            (distance, i, j)
            for i, track in enumerate(tracks)
            for j, pose in enumerate(poses)
            if (distance := apart(track.nearest(frame), pose)) < LINK
        )
        used_tracks: set[int] = set()
        owners: dict[int, Track] = {}
        for _, i, j in pairs:
            if i not in used_tracks and j not in owners:
                used_tracks.add(i)
                owners[j] = tracks[i]
        for j, pose in enumerate(poses):
            if j not in owners:
                owners[j] = Track()
                tracks.append(owners[j])
            owners[j].poses[frame] = pose
            if sightings is not None:
                seen = sightings[frame]
                owners[j].looks[frame] = seen.looks[j]
                if seen.hands is not None:
                    owners[j].hands[frame] = seen.hands[j]
    return tracks


def apart(one: Reading, other: Reading) -> float:
    """How far two poses are from each other, in units of the larger body; infinite for bodies of different size."""
    units = body_unit(one.points), body_unit(other.points)
    if max(units) > LINK_SIZE * min(units):
        return float("inf")
    return float(np.hypot(*(chest(one.points) - chest(other.points)))) / max(units)


def signing(track: Track, frames: Iterable[int] | None = None) -> float:
    """How much a person signs: confirmed hands in the picture that move, in units of the body.

    Of each hand: the share of frames in which it is confirmed, times how far its joints are, on average, from their
    mean place relative to the chest. A hand that is confirmed in fewer than two frames moves nowhere.

    Args:
        track: The person.
        frames: Of these only; default all.
    """
    looked = [frame for frame in track.hands if frames is None or frame in set(frames)]
    total = 0.0
    for side in SIDES:
        places = np.array([track.hands[frame][side] for frame in looked if side in track.hands[frame]])
        if len(places) >= 2:
            off = np.linalg.norm(places - places.mean(axis=0), axis=-1).mean()
            total += float(off) * len(places) / len(looked)
    return total


def weight(track: Track, size: tuple[int, int]) -> float:
    """What decides between people of whom nobody signs: frames seen, times size, times place.

    Place is 1 in the middle of the frame, `CENTRE_COUNTS` at its left and right edge.

    Args:
        track: The person.
        size: Width and height of the frames.
    """
    off_centre = abs(float(track.middle[0]) / size[0] - 0.5) * 2
    place = 1 - (1 - CENTRE_COUNTS) * min(off_centre, 1.0)
    return len(track.poses) * track.unit * place


@dataclass
class Chosen:
    """The people of a shot, the likeliest signer first; why that one; whether that is another person than elsewhere."""

    order: list[Track]
    reason: str
    changes: bool = False


def choose(tracks: Sequence[Track], size: tuple[int, int], wish: Wish = Wish()) -> Chosen:
    """Order the people of a shot by the user's word; where that leaves several, or nobody, by who signs.

    Args:
        tracks: The people.
        size: Width and height of the frames.
        wish: The user's word.
    """
    if not tracks:
        return Chosen([], "nobody")
    people = list(tracks)
    reason = ""
    inside = [track for track in people if in_box(track.middle, wish.box_in(size))]
    if inside and wish.box is not None:
        people, reason = inside, "in the box"
    named = _by_word(people, size, wish)
    if named:
        return Chosen(named, f"{reason}, asked for as {wish.person}".removeprefix(", "))
    if wish.is_only:
        return Chosen([], f"person {wish.person} is not in it")
    if wish.person != AUTO:
        reason = f"{NO_SUCH} {wish.person}"
    amounts = {id(track): signing(track) for track in people}
    if len(people) == 1:
        return Chosen(people, reason or "the only person")
    if max(amounts.values()) >= LEAST_SIGNING:
        order = sorted(people, key=lambda track: (-amounts[id(track)], -weight(track, size)))
        return Chosen(order, f"{reason}, signs most".removeprefix(", "))
    counted = {id(track): sum(len(hands) for hands in track.hands.values()) for track in people}
    if any(len(track.hands) == 1 for track in people) and max(counted.values()) > 0:
        order = sorted(people, key=lambda track: (-counted[id(track)], -weight(track, size)))
        return Chosen(order, f"{reason}, hands in the picture".removeprefix(", "))
    order = sorted(people, key=lambda track: -weight(track, size))
    return Chosen(order, f"{reason}, size and place (nobody signs)".removeprefix(", "))


def _by_word(people: Sequence[Track], size: tuple[int, int], wish: Wish) -> list[Track]:
    """The people in the order that `wish.person` asks for; none where it leaves that to the evidence."""
    word = wish.person
    people = often_seen(people)
    x = {id(track): wish.share(float(track.middle[0]), size[0]) for track in people}
    if word == "largest":
        return sorted(people, key=lambda track: -track.unit)
    if word == "right":
        return sorted(people, key=lambda track: -x[id(track)])
    from_the_left = sorted(people, key=lambda track: x[id(track)])
    if word == "left":
        return from_the_left
    if word.startswith("x="):
        return sorted(people, key=lambda track: abs(x[id(track)] - float(word[2:])))
    if re.fullmatch("[0-9]+", word):
        number = int(word)
        return [from_the_left[number - 1]] if number <= len(from_the_left) else []
    return []


def often_seen(people: Sequence[Track]) -> list[Track]:
    """The people of a shot who are counted, see `OFTEN`."""
    most = max((len(track.poses) for track in people), default=0)
    return [track for track in people if len(track.poses) >= OFTEN * most]


def in_box(place: Pixels, box: tuple[float, float, float, float] | None) -> bool:
    """Whether a place lies in a box of left, top, right, bottom; everything does where there is none."""
    return box is None or bool(box[0] <= place[0] + 0.5 <= box[2] and box[1] <= place[1] + 0.5 <= box[3])


def most_alike(tracks: Sequence[Track], known: NDArray[np.float32]) -> Track | None:
    """The one person of several who looks like a known one, and clearly more so than the others do."""
    if len(tracks) < 2:
        return None
    off = [(float(np.abs(median_look(track) - known).mean()), number) for number, track in enumerate(tracks)]
    (best, number), (second, _), *_ = sorted(off)
    return tracks[number] if best <= SAME_LOOK and second >= CLEARLY * best else None


def median_look(track: Track) -> NDArray[np.float32]:
    """What a person looks like on the median of all frames: passing hands leave no trace."""
    return np.asarray(median(list(track.looks.values())), np.float32)


def median(values: Sequence[ArrayLike]) -> NDArray[Any]:
    """The median over the first axis, as of `np.median`, which imports numpy.ma: 67 ms in each worker."""
    ordered = np.sort(np.stack(values), axis=0)
    low, high = (len(ordered) - 1) // 2, len(ordered) // 2
    return np.asarray((ordered[low] + ordered[high]) / 2)
