"""Which of the people in a clip is the signer: poses linked into tracks, one of them chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kpsbatch import points as t
from kpsbatch.landmarks.moments import Pixels, Reading, body_unit, chest

LINK = 1.0
"""Poses of two probed frames are one person if their chests are nearer than this, in units of the body."""

LINK_SIZE = 1.6
"""And if neither is larger than the other by this factor."""

CENTRE_COUNTS = 0.5
"""How much a person at the frame's edge counts, where one in the middle counts 1."""


@dataclass
class Track:
    """One person through a clip: a pose for each frame in which it was seen, by the frame's number."""

    poses: dict[int, Reading] = field(default_factory=dict)

    def nearest(self, frame: int) -> Reading:
        """The pose of the frame nearest to one."""
        return self.poses[min(self.poses, key=lambda number: (abs(number - frame), number))]


def link(people: dict[int, list[Reading]]) -> list[Track]:
    """Link the poses of some frames into tracks, the nearest pairs first; one pose of each frame goes to a track.

    Args:
        people: The poses of each frame, by its number.
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
        used_poses: set[int] = set()
        for _, i, j in pairs:
            if i not in used_tracks and j not in used_poses:
                tracks[i].poses[frame] = poses[j]
                used_tracks.add(i)
                used_poses.add(j)
        tracks += [Track({frame: pose}) for j, pose in enumerate(poses) if j not in used_poses]
    return tracks


def apart(one: Reading, other: Reading) -> float:
    """How far two poses are from each other, in units of the larger body; infinite for bodies of different size."""
    units = body_unit(one.points), body_unit(other.points)
    if max(units) > LINK_SIZE * min(units):
        return float("inf")
    return float(np.hypot(*(chest(one.points) - chest(other.points)))) / max(units)


def choose(tracks: list[Track], size: tuple[int, int]) -> Track | None:
    """The track of the signer: who is large, in the middle, moves the wrists, and is there for long."""
    return max(tracks, key=lambda track: weight(track, size), default=None)


def weight(track: Track, size: tuple[int, int]) -> float:
    """How likely a person is the signer, for comparison only.

    The product of frames seen, size of the body, place (1 in the middle of the frame, `CENTRE_COUNTS` at its left and
    right edge) and 1 plus the movement of the wrists relative to the shoulders, in units of the body.

    Args:
        track: The person.
        size: Width and height of the frames.
    """
    poses = [track.poses[frame].points for frame in sorted(track.poses)]
    unit = float(np.median([body_unit(pose) for pose in poses]))
    off_centre = abs(float(np.median([chest(pose)[0] for pose in poses])) / size[0] - 0.5) * 2
    place = 1 - (1 - CENTRE_COUNTS) * min(off_centre, 1.0)
    return len(poses) * unit * place * (1 + wrist_movement(poses))


def wrist_movement(poses: list[Pixels]) -> float:
    """How far the wrists move: the larger one's mean distance from its own mean place, in units of the body."""
    if len(poses) < 2:
        return 0.0
    spread = []
    for wrist in (t.POSE_RIGHT_WRIST, t.POSE_LEFT_WRIST):
        places = np.array([(pose[wrist, :2] - chest(pose)) / body_unit(pose) for pose in poses])
        spread.append(float(np.linalg.norm(places - places.mean(axis=0), axis=1).mean()))
    return max(spread)
