"""The signer's face through a clip: where the pose's head is, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kpsbatch import points as t
from kpsbatch.landmarks.found import DETECTED, LOOKED_AGAIN, TRACKED
from kpsbatch.landmarks.moments import Moment, Pixels, Reading, body_unit
from kpsbatch.landmarks.pace import FACE_MILLISECONDS, between, face_moved, key_frame
from kpsbatch.landmarks.squares import (
    Square,
    face_box_square,
    far_apart,
    mesh_square,
    moved,
    to_pixels,
    turned_square,
)

KEPT = (0.08, 1.15, 8.0)
"""A square is kept while the one that the mesh asks for differs by less: share of its side, factor, degrees."""

OWN_FACE = 0.3
"""In units of the body: a face whose nose is farther from the pose's is another person's."""

HEAD_UNITS, HEAD_EARS = 1.1, 2.2
"""Side of the square around the head that is searched: in units of the body, in distances of the ears, the larger."""

GUESS = 2.6
"""Side of the guessed square of a face, in distances from the middle of the eyes to the middle of the mouth..."""

GUESS_EYES = 2.6
"""... or in distances of the eyes, the larger."""


def follow_face(moments: Sequence[Moment], start: int) -> None:
    """Find the face in frames from `start` on that have a pose; then go back where it was found late."""
    tried: set[int] = set()
    for frame in range(start, len(moments)):
        moment, before = moments[frame], moments[frame - 1] if frame else None
        if moment.pose is None or moment.face is not None:
            continue
        if before is not None and moment.most_moved("face") and to_key_frame(moments, frame - 1):
            continue
        moment.face = followed(moment, before)
        if moment.face is None and head_in_frame(moment.pose.points, moment.size):
            moment.face = searched(moment)
            tried.add(frame)
    for frame in range(len(moments) - 2, -1, -1):
        if moments[frame].face is None:
            moments[frame].face = followed(moments[frame], moments[frame + 1])


def to_key_frame(moments: Sequence[Moment], anchor: int) -> bool:
    """Follow a face to its next key frame and fill in those between; False where none lies between, or it is lost."""
    stop = anchor + 1
    while stop < len(moments) and moments[stop].pose is not None and moments[stop].face is None:
        stop += 1
    face, key = moments[anchor].face, key_frame(moments, anchor, 1, stop, FACE_MILLISECONDS)
    if face is None or key == anchor + 1:
        return False
    known = {anchor: face}

    def look(frame: int, by: int) -> Reading | None:
        return followed(moments[frame], replace(moments[by], face=known[by]))

    last = look(key, anchor)
    if last is None:
        return False
    known[key] = last
    if not between(anchor, key, known, look, face_moved, moments[key].most_moved("face")):
        return False
    for frame in range(anchor + 1, key + 1):
        moments[frame].face = known[frame]
    return True


def follow_face_back(moments: Sequence[Moment], runs: Sequence[range]) -> None:
    """Follow the face back through runs of frames that have a pose now, each from the frame after it."""
    for run in runs:
        for frame in reversed(run):
            moments[frame].face = followed(moments[frame], moments[frame + 1])


def followed(moment: Moment, neighbour: Moment | None) -> Reading | None:
    """The face by that of the neighbouring frame, moved as the pose's nose has."""
    if moment.pose is None or neighbour is None or neighbour.face is None or neighbour.pose is None:
        return None
    if neighbour.shot != moment.shot:
        return None
    by = moment.pose.points[t.POSE_NOSE, :2] - neighbour.pose.points[t.POSE_NOSE, :2]
    used, wanted = neighbour.face.square, mesh_square(neighbour.face.points)
    kept = used if not far_apart(used, moved(wanted, by), *KEPT) else moved(wanted, by)
    face = moment.read_face(kept, TRACKED)
    return face if is_own(face, moment) else None


def searched(moment: Moment) -> Reading | None:
    """The face where the pose has the head: by its eyes and mouth, then by the detector in a square around it."""
    assert moment.pose is not None
    pose = moment.pose.points
    first = moment.read_face(guess_square(pose), LOOKED_AGAIN)
    again = moment.read_face(mesh_square(first.points), LOOKED_AGAIN)
    if is_own(again, moment):
        return again
    head, detector = head_square(pose), moment.networks.face_detector
    for detection in detector.find(moment.cut(head, detector.side), moment.thresholds.face_detection):
        corners = to_pixels(detection.box.reshape(2, 2), head)
        face = moment.read_face(face_box_square(corners.ravel(), to_pixels(detection.points, head)), DETECTED)
        if is_own(face, moment):
            return face
    return None


def is_own(face: Reading, moment: Moment) -> bool:
    """Whether a face is there and is where the pose's head is."""
    if moment.pose is None:
        return False
    pose = moment.pose.points
    away = float(np.hypot(*(face.points[t.FACE_NOSE_TIP, :2] - pose[t.POSE_NOSE, :2])))
    return face.presence >= moment.thresholds.face_presence and away <= OWN_FACE * body_unit(pose)


def head_middle(pose: Pixels) -> Pixels:
    """The middle of the head: the mean of nose and ears."""
    return np.asarray(pose[[t.POSE_NOSE, t.POSE_LEFT_EAR, t.POSE_RIGHT_EAR], :2].mean(axis=0))


def head_in_frame(pose: Pixels, size: tuple[int, int]) -> bool:
    """Whether the middle of the head is in the frame."""
    x, y = head_middle(pose)
    return bool(0 <= x <= size[0] and 0 <= y <= size[1])


def head_square(pose: Pixels) -> Square:
    """A square that holds the head with some room around it."""
    ears = float(np.hypot(*(pose[t.POSE_LEFT_EAR, :2] - pose[t.POSE_RIGHT_EAR, :2])))
    return turned_square(head_middle(pose), max(HEAD_UNITS * body_unit(pose), HEAD_EARS * ears), np.array([0.0, -1.0]))


def guess_square(pose: Pixels) -> Square:
    """About the square that a face's mesh will ask for, by the pose's eyes and mouth."""
    eyes = pose[[t.POSE_LEFT_EYE, t.POSE_RIGHT_EYE], :2]
    middle, mouth = eyes.mean(axis=0), pose[[t.POSE_LEFT_MOUTH, t.POSE_RIGHT_MOUTH], :2].mean(axis=0)
    length, across = float(np.hypot(*(middle - mouth))), float(np.hypot(*(eyes[0] - eyes[1])))
    side = 1.5 * max(GUESS * length, GUESS_EYES * across)
    return turned_square((middle + mouth) / 2, side, middle - mouth)
