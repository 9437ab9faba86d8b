"""The signer's pose through a clip: found in some frames, followed from there to both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpsbatch.landmarks.found import TRACKED
from kpsbatch.landmarks.moments import Moment, Reading, body_unit, chest
from kpsbatch.landmarks.pace import POSE_MILLISECONDS, between, key_frame, pose_moved, runs_between, wrists_moved
from kpsbatch.landmarks.people import SURE_BODY, pose_square, steady_body
from kpsbatch.landmarks.shots import Shot, search, spread
from kpsbatch.landmarks.signer import LINK, Track, Wish, apart, in_box
from kpsbatch.landmarks.squares import far_apart

GAP_STEP = 6
"""In frames without the signer, every so many frames are searched."""

WINDOW = 0.5
"""Where nobody is known yet, gaps are searched for people whose square is at least this share of the shorter side."""

KEPT = (0.06, 1.12, 6.0)
"""A square is kept while the one that the landmarks ask for differs by less: share of its side, factor, degrees.

A square that stands still makes landmarks that stand still (a moving one adds up to 2% of a shoulder width of noise).
"""

CHECKED_FRAMES = 5
"""Of a run of frames whose poses have no face, so many are read a second time at most."""

JUMP = 0.75
"""A followed pose that goes farther than this from one frame to the next, in units of the body, is somebody else's."""


def follow_pose(moments: Sequence[Moment], start: int, shots: Sequence[Shot], first: int, wish: Wish) -> None:
    """Find the signer's pose in frames from `start` on, and in those before as far as it can be followed back.

    Args:
        moments: A stretch of frames; those before `start` have been worked on already. Their `pose` is filled in.
        start: The first new frame.
        shots: Those of the clip; their `known` is brought up to date.
        first: Number of the stretch's first frame in the clip.
        wish: The user's word.
    """
    for shot in shots:
        frames = range(max(shot.start - first, 0), min(shot.stop - first, len(moments)))
        if not frames or frames.stop <= start or (wish.is_only and not shot.signers):
            continue
        if start - 1 in frames:
            follow(moments, start - 1, 1, frames)
        for signer in shot.signers:
            anchors = [frame - first for frame in sorted(signer.poses) if start <= frame - first < frames.stop]
            if signer is shot.signers[0]:
                leave_others(moments, anchors, signer, first, frames)
            anchors = [frame for frame in anchors if moments[frame].pose is None]
            for frame in anchors:
                moments[frame].pose = signer.poses[first + frame]
            for frame in anchors:
                follow_both_ways(moments, frame, frames)
        known = [moment.pose is not None for moment in moments[: frames.stop]]
        for gap in gaps(known, max(start, frames.start)):
            search_gap(moments, gap, frames, shot, wish)
        poses = [moments[frame].pose for frame in reversed(frames)]
        shot.known = next((pose for pose in poses if pose is not None), shot.known)


def leave_others(moments: Sequence[Moment], anchors: Sequence[int], signer: Track, first: int, frames: range) -> None:
    """Forget poses from the first frame on in which they are not where the signer is known to be."""
    for frame in anchors:
        pose = moments[frame].pose
        if pose is not None and apart(pose, signer.poses[first + frame]) > LINK:
            for moment in moments[frame : frames.stop]:
                moment.pose = None
            return


def follow_both_ways(moments: Sequence[Moment], anchor: int, frames: range) -> None:
    """Follow a pose from one frame forwards and backwards, until it is lost, reaches a known one, or the shot ends."""
    follow(moments, anchor, 1, frames)
    follow(moments, anchor, -1, frames)


def follow(moments: Sequence[Moment], anchor: int, step: int, frames: range) -> None:
    """Follow a pose from one frame in one direction."""
    last = moments[anchor].pose
    frame = anchor + step
    while last is not None and frame in frames and moments[frame].pose is None:
        if moments[frame].most_moved("pose"):
            frame = to_key_frame(moments, frame - step, step, frames)
        else:
            moments[frame].pose = next_pose(moments[frame], last)
        last = moments[frame].pose
        frame += step


def to_key_frame(moments: Sequence[Moment], anchor: int, step: int, frames: range) -> int:
    """Follow a pose to its next key frame and fill in those between; returns the last frame that was dealt with."""
    stop = anchor + step
    while stop in frames and moments[stop].pose is None:
        stop += step
    known: dict[int, Reading] = {anchor: moments[anchor].pose}  # type: ignore[dict-item]

    def look(frame: int, by: int) -> Reading | None:
        return next_pose(moments[frame], known[by])

    key = key_frame(moments, anchor, step, stop, POSE_MILLISECONDS)
    pose = look(key, anchor)
    if pose is not None:
        known[key] = pose
        if between(anchor, key, known, look, pose_moved, moments[key].most_moved("pose")):
            for frame in range(anchor + step, key + step, step):
                moments[frame].pose = known[frame]
            return key
    moments[anchor + step].pose = look(anchor + step, anchor) if key != anchor + step else None
    return anchor + step


def look_where_wrists_moved(moments: Sequence[Moment]) -> None:
    """Look at the pose between key frames where a hand tells that its arm moved there."""
    for low, high in runs_between(moments):
        if wrists_moved(moments, low, high):
            for frame in range(low + 1, high):
                last = moments[frame - 1].pose
                if last is not None:
                    moments[frame].pose = next_pose(moments[frame], last) or moments[frame].pose


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


def search_gap(moments: Sequence[Moment], gap: range, frames: range, shot: Shot, wish: Wish) -> None:
    """Search every few frames of a gap for the signer, and follow what is found to both sides."""
    for frame in spread(gap.start, gap.stop, -(-len(gap) // GAP_STEP)):
        if moments[frame].pose is not None:
            continue
        known = nearest_pose(moments, frame, frames) or shot.known
        smallest = known.square.side if known else WINDOW * min(moments[frame].size)
        people = search(moments[frame], wish, smallest)
        box = wish.box_in(moments[frame].size)
        people = [pose for pose in people if in_box(chest(pose.points), box)] or people
        signer = recognise(people, known, shot.others)
        if signer is not None:
            moments[frame].pose = signer
            follow_both_ways(moments, frame, frames)


def nearest_pose(moments: Sequence[Moment], frame: int, frames: range) -> Reading | None:
    """The known pose of some frames that is nearest in time to one of them."""
    known = [number for number in frames if moments[number].pose is not None]
    return moments[min(known, key=lambda number: abs(number - frame))].pose if known else None


def recognise(people: Sequence[Reading], known: Reading | None, others: Sequence[Track]) -> Reading | None:
    """The signer among the people of a frame: who is nearest to the signer's place and not nearer to another's.

    Args:
        people: Of the frame, the highest score first.
        known: The signer's known pose that is nearest in time; None takes the one with the highest score.
        others: The other people of the shot.
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


def drop_bodiless(moments: Sequence[Moment], start: int, shots: Sequence[Shot]) -> list[range]:
    """Remove poses, from frames from `start` on, that the pose network sees where nobody is, as in a bare hand.

    A pose that is sure of itself and has a face stays. Of each run of others some are read again: all stay if most of
    these are steady.

    Args:
        moments: A stretch of frames whose faces are found.
        start: The first new frame.
        shots: Those of the stretch; who is known in them is forgotten where nobody is left.

    Returns:
        The runs of frames that lost their poses, each before one that has a pose of the same shot.
    """
    dropped = []
    doubtful = [moment.pose is not None and not is_sure(moment) for moment in moments]
    for run in gaps([not doubt for doubt in doubtful], start):
        frames = spread(run.start, run.stop, CHECKED_FRAMES)
        if 2 * sum(is_steady(moments[frame]) for frame in frames) > len(frames):
            continue
        for moment in moments[run.start : run.stop]:
            moment.pose = moment.face = None
        if run.stop < len(moments) and moments[run.stop].shot == moments[run.start].shot:
            dropped.append(run)
    if all(moment.pose is None for moment in moments):
        for shot in shots:
            shot.known, shot.others = None, []
    return [run for run in dropped if moments[run.stop].pose is not None]


def is_sure(moment: Moment) -> bool:
    """Whether a pose has a face, and is surely one."""
    return moment.face is not None and moment.pose is not None and moment.pose.presence >= SURE_BODY


def is_steady(moment: Moment) -> bool:
    """Whether a pose is a body's; it is corrected where its square was off."""
    assert moment.pose is not None
    pose = steady_body(moment, moment.pose)
    moment.pose = pose or moment.pose
    return pose is not None
