"""The shots of a clip, and who signs in each: a first look at some of its frames, before any is worked on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import AUTO
from kpsbatch.dataset.frame import RGB
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.facts import PersonFacts, ShotFacts
from kpsbatch.landmarks.moments import Moment, Reading
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.people import find_in_corners, find_people, steady_body
from kpsbatch.landmarks.signer import (
    LEAST_SIGNING,
    OTHER_LOOK,
    Chosen,
    Sightings,
    Track,
    Wish,
    apart,
    choose,
    in_box,
    link,
    median_look,
    most_alike,
    often_seen,
    sight,
    signing,
)

PROBE_EVERY, MOST_PROBES = 20, 6
"""A shot is searched for people about every so many frames, evenly spread, in so many frames at most."""

MORE_PROBES = 8
"""Frames that are searched where those show more than one person."""

LATER_EVERY = 60
"""Of a shot that is not in memory, every so many frames are searched after the first `MOST_PROBES`."""

FINGERPRINT = 16
"""Pixels across of the pictures of which two are compared to find a cut."""

PICTURE_JUMPS, TIMES_BEFORE = 8.0, 4.0
"""A cut changes the picture by at least this much (of 255, on average), and so many times what is usual there."""

FLASH_FRAMES, COMES_BACK = 4, 0.5
"""Where one of so many next frames differs by less than this share of the jump from the frame before it, all is back: a
flash."""

STAYS, STAYS_SIZE, STAYS_LOOK = 0.35, 1.25, 25.0
"""Who is no farther away after a cut than this, in units of the body, no larger by this factor, and whose look (see
`look_of`) differs by no more (of 255, on average), stayed."""


@dataclass
class Shot:
    """Frames of a clip from `start` up to, and without, `stop`, and who is in them.

    Attributes:
        signers: Whose poses are followed, the likeliest signer first; none of them is seen together with another, or
            signs where the others are not.
        others: The other people.
        known: The signer's last known pose.
        reason: Why the first of them was chosen.
        people: What the record says of everybody.
        changes: Whether the signer looks like another person than in the other shots.
    """

    start: int
    stop: int
    signers: list[Track] = field(default_factory=list)
    others: list[Track] = field(default_factory=list)
    known: Reading | None = None
    reason: str = ""
    people: list[PersonFacts] = field(default_factory=list)
    changes: bool = False

    @property
    def facts(self) -> ShotFacts:
        """The shot for the record."""
        return ShotFacts(
            first=self.start, last=self.stop - 1, reason=self.reason, people=self.people, changes=self.changes
        )

    def move(self, by: int) -> None:
        """Count frames from `by` frames earlier."""
        if not by:
            return
        self.start, self.stop = self.start + by, self.stop + by
        for track in [*self.signers, *self.others]:
            track.poses = {frame + by: pose for frame, pose in track.poses.items()}


class CutFinder:
    """Finds frames that can be the first after a cut, by their pictures alone, taken in order."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._steps: list[float] = []
        self._open: list[tuple[int, NDArray[np.float32], float]] = []
        self._count = 0
        self.cuts: list[int] = []

    def add(self, image: RGB) -> bool:
        """Take the next frame; whether it can be one. Where it turns out to be a flash it leaves `cuts` again."""
        picture, last = fingerprint(image), self._last
        number, self._count, self._last = self._count, self._count + 1, picture
        if last is None or last.shape != picture.shape:
            return False
        step = _difference(picture, last)
        usual = float(np.mean(self._steps)) if self._steps else 0.0
        self._steps = [*self._steps[-3:], step]
        for cut, before, jump in self._open:
            if _difference(picture, before) < COMES_BACK * jump and cut in self.cuts:
                self.cuts.remove(cut)
        self._open = [one for one in self._open if number - one[0] < FLASH_FRAMES]
        if step < max(PICTURE_JUMPS, TIMES_BEFORE * usual):
            return False
        self.cuts.append(number)
        self._open.append((number, last, step))
        return True


def fingerprint(image: RGB) -> NDArray[np.float32]:
    """(16, 16, 3): a frame as a very small picture, of every few rows and columns only."""
    step = max(1, min(image.shape[:2]) // 128)
    few = np.ascontiguousarray(image[::step, ::step])
    return cv2.resize(few, (FINGERPRINT, FINGERPRINT), interpolation=cv2.INTER_AREA).astype(np.float32)


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other).mean())


class FirstLook:
    """What is seen of a clip in its first look."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.size = 0, 0
        self.count = 0
        self.people: dict[int, list[Reading]] = {}
        self.sightings: dict[int, Sightings] = {}
        self.cuts: list[int] = []
        self._corners: set[int] = set()
        self._is_inset = False

    def probe(self, frame: int, moment: Moment, *, whole_first: bool = False, corners: bool = False) -> None:
        """Search a frame for people, once."""
        if frame not in self.people:
            self.people[frame] = search(moment, self.wish, whole_first=whole_first)
            self.sightings[frame] = sight(moment, self.people[frame], with_hands=False)
        if (corners or self._is_inset) and frame not in self._corners:
            self._corners.add(frame)
            if found := find_in_corners(moment, self.people[frame]):
                self._is_inset = True
                self.people[frame] += found
                self.sightings[frame] = sight(moment, self.people[frame], with_hands=False)

    def probe_hands(self, frame: int, moment: Moment) -> None:
        """Look at the hands of the people of a probed frame, once; who is no steady body is nobody."""
        if self.sightings[frame].hands is None:
            bodies = [steady_body(moment, pose) for pose in self.people[frame]]
            self.people[frame] = [body for body in bodies if body is not None]
            self.sightings[frame] = sight(moment, self.people[frame], with_hands=True)

    def cut_or_not(self, frame: int) -> bool:
        """Whether people are elsewhere, or others, in a frame than in the one before it, both of them probed."""
        before, after = (
            list(zip(self.people[number], self.sightings[number].looks, strict=True)) for number in (frame - 1, frame)
        )
        return len(before) != len(after) or not all(any(_stays(*one, *other) for other in after) for one in before)

    def tracks(self, start: int, stop: int) -> list[Track]:
        """The people of some frames."""
        people = {frame: poses for frame, poses in self.people.items() if start <= frame < stop}
        return link(people, self.sightings)

    def bounds(self, start: int = 0) -> list[tuple[int, int]]:
        """The first frame of each shot, from a frame on, and the one behind its last."""
        bounds = [start, *(cut for cut in self.cuts if cut > start), self.count]
        return [(low, high) for low, high in pairwise(bounds) if high > low]

    def most_people(self) -> int:
        """How many people are in the shot that has most of them."""
        return max((len(often_seen(self.tracks(low, high))) for low, high in self.bounds()), default=0)

    def shots(self, start: int = 0) -> list[Shot]:
        """The shots from a frame on, each with its signer."""
        shots = [Shot(low, high) for low, high in self.bounds(start)]
        tracks = [self.tracks(shot.start, shot.stop) for shot in shots]
        chosen = [choose(people, self.size, self.wish) for people in tracks]
        same_person(chosen, self.wish)
        for shot, people, choice in zip(shots, tracks, chosen, strict=True):
            self._fill(shot, people, choice)
        return shots

    def _fill(self, shot: Shot, people: Sequence[Track], choice: Chosen) -> None:
        for track in choice.order:
            taken = {frame for signer in shot.signers for frame in signer.poses}
            alone = track.poses.keys() - taken
            if len(alone) == len(track.poses) or (
                self.wish.person == AUTO and signing(track, alone) >= LEAST_SIGNING and len(alone) > 1
            ):
                shot.signers.append(track)
        shot.others = [track for track in people if not any(track is signer for signer in shot.signers)]
        shot.reason, shot.changes = choice.reason, choice.changes
        shot.people = [self._person(track, shot) for track in [*shot.signers, *shot.others]]

    def _person(self, track: Track, shot: Shot) -> PersonFacts:
        x, y = track.middle
        return PersonFacts(
            x=round(self.wish.share(float(x), self.size[0]), 3),
            y=round((float(y) + 0.5) / self.size[1], 3),
            unit=round(track.unit / self.size[0], 3),
            probes=len(track.poses),
            signs=round(signing(track), 3) if track.hands else None,
            chosen=any(track is signer for signer in shot.signers),
        )


def _stays(one: Reading, look: NDArray[np.float32], other: Reading, later: NDArray[np.float32]) -> bool:
    sizes = one.square.side, other.square.side
    in_place = apart(one, other) <= STAYS and max(sizes) <= STAYS_SIZE * min(sizes)
    return in_place and _difference(look, later) <= STAYS_LOOK


def search(moment: Moment, wish: Wish, smallest: float | None = None, *, whole_first: bool = False) -> list[Reading]:
    """The people of a frame: of the part around the user's box, of the whole frame where nobody's chest is in the box.

    See `find_people`.
    """
    box = wish.box_in(moment.size)
    if box is not None:
        people = find_people(moment, smallest, whole_first=whole_first, part=around(box, moment.size))
        if any(in_box(Track({0: pose}).middle, box) for pose in people):
            return people
    return find_people(moment, smallest, whole_first=whole_first)


MARGIN = 0.2
"""Of the box's width and height, added on each side: hands leave a box that was drawn around a body."""

MIN_SIDE = 64
"""Pixels: a box that is smaller is enlarged, since no network finds anything in less."""


def around(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is searched for a box: with a margin, in the frame's shape, inside of it."""
    (left, top, right, bottom), (width, height) = box, size
    share = (1 + 2 * MARGIN) * max((right - left) / width, (bottom - top) / height)
    share = min(1.0, max(share, MIN_SIDE / min(width, height)))
    wide, high = max(1, round(share * width)), max(1, round(share * height))
    x, y = round((left + right - wide) / 2), round((top + bottom - high) / 2)
    return min(max(x, 0), width - wide), min(max(y, 0), height - high), wide, high


def same_person(chosen: Sequence[Chosen], wish: Wish) -> None:
    """In each shot put the person first who is the signer of the clip, where the looks tell; the user's word stays."""
    best = max(
        (choice for choice in chosen if choice.order),
        key=lambda choice: (signing(choice.order[0]) * len(choice.order[0].hands), len(choice.order[0].poses)),
        default=None,
    )
    if best is None or len(chosen) < 2:
        return
    known = median_look(best.order[0])
    for choice in chosen:
        if choice is best or not choice.order:
            continue
        alike = most_alike(choice.order, known) if wish == Wish() else None
        if alike is not None:
            if alike is not choice.order[0]:
                choice.reason = "the same person as in other shots"
            choice.order = [alike, *(track for track in choice.order if track is not alike)]
        choice.changes = _difference(median_look(choice.order[0]), known) > OTHER_LOOK


def look_at_moments(moments: Sequence[Moment], start: int, wish: Wish, *, probe_first: bool = True) -> FirstLook:
    """The first look at frames that are in memory, from `start` on.

    Args:
        moments: Frames.
        start: The first that is looked at.
        wish: The user's word.
        probe_first: Whether people are searched in the first shot: not where it goes on from earlier frames.
    """
    look = FirstLook(wish)
    look.count, look.size = len(moments), moments[start].size
    finder = CutFinder()
    for frame in range(start, len(moments)):
        finder.add(moments[frame].image)
    alone = len(moments) == 1
    for cut in (start + number for number in finder.cuts):
        for frame in (cut - 1, cut):
            look.probe(frame, moments[frame])
        if look.cut_or_not(cut):
            look.cuts.append(cut)
    bounds = [start, *look.cuts, len(moments)]
    for low, high in list(pairwise(bounds))[0 if probe_first else 1 :]:
        for number, frame in enumerate(spread(low, high, min(-(-(high - low) // PROBE_EVERY), MOST_PROBES))):
            look.probe(frame, moments[frame], whole_first=alone, corners=not number and not alone)
        if len(look.tracks(low, high)) > 1:
            for frame in spread(low, high, MORE_PROBES):
                look.probe(frame, moments[frame], whole_first=alone)
            for frame in [frame for frame in look.people if low <= frame < high]:
                look.probe(frame, moments[frame])
                look.probe_hands(frame, moments[frame])
    return look


def look_at_images(images: Iterable[RGB], networks: Networks, look: FirstLook) -> None:
    """Go on with the first look at a clip that is too long for memory, in one pass over all its frames.

    Args:
        images: The frames, from the first on.
        networks: The networks.
        look: What is seen of the frames that are in memory; it comes to be that of the clip.
    """
    in_memory, finder = look.count, CutFinder()
    before: Moment | None = None
    start = look.cuts[-1] if look.cuts else 0
    for frame, image in enumerate(images):
        is_new = finder.add(image)
        if frame < in_memory - 1:
            continue
        moment = Moment(np.ascontiguousarray(image), networks)
        if frame >= in_memory and before is not None:
            look.count = frame + 1
            if is_new:
                look.probe(frame - 1, before)
                look.probe(frame, moment)
                start = frame if look.cut_or_not(frame) else start
            several = len(look.tracks(start, frame)) > 1
            since = frame - start - PROBE_EVERY // 2
            often = PROBE_EVERY // 2 if several else PROBE_EVERY
            if since >= 0 and since % (often if since < PROBE_EVERY * MOST_PROBES else LATER_EVERY) == 0:
                look.probe(frame, moment, corners=not since)
                if several or len(look.people[frame]) > 1:
                    look.probe_hands(frame, moment)
        before = moment
    look.cuts += [cut for cut in finder.cuts if cut >= in_memory and look.cut_or_not(cut)]


def refuse_empty_box(shots: Sequence[Shot], look: FirstLook) -> None:
    """Refuse a box in which nobody's chest is, in no shot of a clip that shows people.

    Raises:
        DatasetError: Says where the people are.
    """
    box = look.wish.box_in(look.size)
    people = [track for shot in shots for track in [*shot.signers, *shot.others]]
    if box is None or not people or any(in_box(track.middle, box) for track in people):
        return
    raise DatasetError(no_one_in_box([look.wish.share(float(track.middle[0]), look.size[0]) for track in people]))


def no_one_in_box(places: Sequence[float]) -> str:
    """What is wrong with a box, and where the people are, in shares of the width."""
    where = ", ".join(f"{place:.2f}" for place in sorted(places)[:5])
    return f"nobody's chest is in the box (people at x {where} of the width). Correct the box, or name a person."


def spread(start: int, end: int, count: int) -> list[int]:
    """At most `count` frames, evenly spread over start to end (exclusive), each in the middle of its share."""
    length = end - start
    count = min(count, length)
    return [start + (2 * i + 1) * length // (2 * count) for i in range(count)]
