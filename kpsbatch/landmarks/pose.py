"""The signer's pose through a clip: found in some frames, followed from there to both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kpsbatch import points as t
from kpsbatch.landmarks.found import TRACKED
from kpsbatch.landmarks.moments import Moment, Reading, body_unit, chest
from kpsbatch.landmarks.people import find_people, pose_square
from kpsbatch.landmarks.signer import Track, choose, link
from kpsbatch.landmarks.squares import far_apart

PROBE_EVERY, MOST_PROBES = 20, 6
"""A stretch is searched for people about every so many frames, evenly spread, in so many frames at most."""

MORE_PROBES = 8
"""Frames that are searched where those show more than one person."""

GAP_STEP = 6
"""In frames without the signer, every so many frames are searched."""

WINDOW = 0.5
"""Where nobody is known yet, gaps are searched for people whose square is at least this share of the shorter side."""

KEPT = (0.06, 1.12, 6.0)
"""A square is kept while the one that the landmarks ask for differs by less: share of its side, factor, degrees.

A square that stands still makes landmarks that stand still (a moving one adds up to 2% of a shoulder width of noise).
"""

STEADY_CHEST = 0.12
"""Units of the body by which a second reading, of the square that the first asks for, may put the shoulders elsewhere.

Of people, masked and with their heads covered too, it is 0.05 at most; of bodies that the network sees in a bare hand
0.17 or more."""

SURE_BODY = 0.9
"""A pose with this presence and a face is a body; real ones have 0.94 or more, 0.99 mostly."""

CHECKED_FRAMES = 5
"""Of a run of frames whose poses have no face, so many are read a second time at most."""

JUMP = 0.75
"""A followed pose that goes farther than this from one frame to the next, in units of the body, is somebody else's."""


@dataclass
class KnownPeople:
    """The people of a clip that were found so far: the signer's last known pose, and the tracks of the others."""

    signer: Reading | None = None
    others: list[Track] = field(default_factory=list)


def follow_pose(moments: Sequence[Moment], start: int, known_people: KnownPeople) -> None:
    """Find the signer's pose in frames from `start` on, and in those before as far as it can be followed back.

    Args:
        moments: A stretch of frames; those before `start` have been worked on already. Their `pose` is filled in.
        start: The first new frame.
        known_people: Who is known from the frames before; brought up to date.
    """
    if start and moments[start - 1].pose is not None:
        follow(moments, start - 1, 1)
    if known_people.signer is None:
        for anchor in choose_signer(moments, start, known_people):
            follow_both_ways(moments, anchor)
    for gap in gaps([moment.pose is not None for moment in moments], start):
        search_gap(moments, gap, known_people)
    known_people.signer = next(
        (moment.pose for moment in reversed(moments) if moment.pose is not None), known_people.signer
    )


def choose_signer(moments: Sequence[Moment], start: int, known_people: KnownPeople) -> list[int]:
    """Find people in some frames and choose the signer; returns the frames that have a pose of him now."""
    people: dict[int, list[Reading]] = {}

    def probe(count: int) -> None:
        for frame in spread(start, len(moments), count):
            if frame not in people:
                people[frame] = find_people(moments[frame], whole_first=len(moments) == 1)

    probe(min(-(-(len(moments) - start) // PROBE_EVERY), MOST_PROBES))
    tracks = link(people)
    if len(tracks) > 1:
        probe(MORE_PROBES)
        tracks = link(people)
    signer = choose(tracks, moments[start].size)
    if signer is None:
        return []
    known_people.others = [track for track in tracks if track is not signer]
    for frame, pose in signer.poses.items():
        known_people.signer = pose
        if moments[frame].pose is None:
            moments[frame].pose = pose
    return sorted(signer.poses)


def spread(start: int, end: int, count: int) -> list[int]:
    """At most `count` frames, evenly spread over start to end (exclusive), each in the middle of its share."""
    length = end - start
    count = min(count, length)
    return [start + (2 * i + 1) * length // (2 * count) for i in range(count)]


def follow_both_ways(moments: Sequence[Moment], anchor: int) -> None:
    """Follow a pose from one frame forwards and backwards, until it is lost or reaches a known one."""
    follow(moments, anchor, 1)
    follow(moments, anchor, -1)


def follow(moments: Sequence[Moment], anchor: int, step: int) -> None:
    """Follow a pose from one frame in one direction."""
    last = moments[anchor].pose
    frame = anchor + step
    while last is not None and 0 <= frame < len(moments) and moments[frame].pose is None:
        last = next_pose(moments[frame], last)
        moments[frame].pose = last
        frame += step


def next_pose(moment: Moment, last: Reading) -> Reading | None:
    """The pose of a frame by that of its neighbour; None where it is lost."""
    wanted = pose_square(last)
    pose = moment.read_pose(last.square if not far_apart(last.square, wanted, *KEPT) else wanted, TRACKED)
    away = float(np.hypot(*(chest(pose.points) - chest(last.points))))
    present = pose.presence >= moment.thresholds.pose_presence
    return pose if present and away <= JUMP * body_unit(last.points) else None


def gaps(known: Sequence[bool], start: int) -> list[range]:
    """The runs of unknown frames from `start` on."""
    runs: list[range] = []
    for frame in range(start, len(known)):
        if known[frame]:
            continue
        if runs and runs[-1].stop == frame:
            runs[-1] = range(runs[-1].start, frame + 1)
        else:
            runs.append(range(frame, frame + 1))
    return runs


def search_gap(moments: Sequence[Moment], gap: range, known_people: KnownPeople) -> None:
    """Search every few frames of a gap for the signer, and follow what is found to both sides."""
    for frame in spread(gap.start, gap.stop, -(-len(gap) // GAP_STEP)):
        if moments[frame].pose is not None:
            continue
        known = nearest_pose(moments, frame) or known_people.signer
        smallest = known.square.side if known else WINDOW * min(moments[frame].size)
        people = find_people(moments[frame], smallest)
        signer = recognise(people, known, known_people.others)
        if signer is not None:
            moments[frame].pose = signer
            follow_both_ways(moments, frame)


def nearest_pose(moments: Sequence[Moment], frame: int) -> Reading | None:
    """The known pose that is nearest in time to a frame."""
    known = [number for number, moment in enumerate(moments) if moment.pose is not None]
    return moments[min(known, key=lambda number: abs(number - frame))].pose if known else None


def recognise(people: Sequence[Reading], known: Reading | None, others: Sequence[Track]) -> Reading | None:
    """The signer among the people of a frame: who is nearest to the signer's place and not nearer to another's.

    Args:
        people: Of the frame, the highest score first.
        known: The signer's known pose that is nearest in time; None takes the one with the highest score.
        others: The other people of the clip.
    """
    if known is None:
        return people[0] if people else None
    best: tuple[float, Reading | None] = (float("inf"), None)
    for pose in people:
        away = distance(pose, known)
        theirs = [distance(pose, other) for track in others for other in track.poses.values()]
        if away < min([*theirs, best[0]]):
            best = away, pose
    return best[1]


def distance(one: Reading, other: Reading) -> float:
    """Between the chests of two poses, in units of the body of the second."""
    return float(np.hypot(*(chest(one.points) - chest(other.points)))) / body_unit(other.points)


def drop_bodiless(moments: Sequence[Moment], start: int, known_people: KnownPeople) -> None:
    """Remove poses, from frames from `start` on, that the pose network sees where nobody is, as in a bare hand.

    A pose that is sure of itself and has a face stays. Of each run of others some are read again: all stay if most of
    these are steady.

    Args:
        moments: A stretch of frames whose faces are found.
        start: The first new frame.
        known_people: Who is known; forgotten where nobody is left.
    """
    doubtful = [moment.pose is not None and not is_sure(moment) for moment in moments]
    for run in gaps([not doubt for doubt in doubtful], start):
        frames = spread(run.start, run.stop, CHECKED_FRAMES)
        if 2 * sum(is_steady(moments[frame]) for frame in frames) > len(frames):
            continue
        for moment in moments[run.start : run.stop]:
            moment.pose = moment.face = None
    if all(moment.pose is None for moment in moments):
        known_people.signer, known_people.others = None, []


def is_sure(moment: Moment) -> bool:
    """Whether a pose has a face, and is surely one."""
    return moment.face is not None and moment.pose is not None and moment.pose.presence >= SURE_BODY


def is_steady(moment: Moment) -> bool:
    """Whether a second reading of a pose, in the square that it asks for, has the shoulders at the same place.

    Where it has not, a third one can, which must be surer and agree better: a detector's square can be off.
    """
    assert moment.pose is not None
    shoulders = [t.POSE_LEFT_SHOULDER, t.POSE_RIGHT_SHOULDER]
    pose = moment.pose
    for most, presence in ((STEADY_CHEST, moment.thresholds.pose_presence), (STEADY_CHEST / 2, SURE_BODY)):
        again = moment.read_pose(pose_square(pose), pose.how)
        off = np.linalg.norm((again.points - pose.points)[shoulders, :2], axis=1).max()
        if again.presence >= presence and float(off) <= most * body_unit(pose.points):
            moment.pose = pose  # the first one, unless it was off
            return True
        pose = again
    return False
