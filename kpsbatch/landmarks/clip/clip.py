"""`running_mode: clip`: a clip in stretches, each worked on forwards and backwards, its frames given in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.clip.follow_face import follow_face
from kpsbatch.landmarks.clip.follow_hands import follow_hands
from kpsbatch.landmarks.clip.follow_pose import KnownPeople, follow_pose
from kpsbatch.landmarks.clip.moments import RGB, Look, Moment, body_unit
from kpsbatch.landmarks.clip.networks import Networks
from kpsbatch.landmarks.clip.smooth import REACH, smooth
from kpsbatch.landmarks.found import Letter
from kpsbatch.landmarks.hands import SIDES, Side

STRETCH_BYTES = 96 << 20
"""Of the frames that are kept at once: 512 of 256x256, 109 of 640x480, 36 of 1280x720."""

LONGEST, SHORTEST = 600, 16
"""Frames of a stretch."""

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The signer in one frame, in frame widths and heights.

    Attributes:
        pose: (33, 4) x, y, z, visibility, or None.
        face: (478, 3), or None.
        hands: (21, 3) of each side that has one.
        how: The letter of each part that was found.
    """

    pose: Points | None = None
    face: Points | None = None
    hands: dict[Side, Points] = field(default_factory=dict)
    how: dict[str, Letter] = field(default_factory=dict)


def follow_clip(images: Iterable[RGB], networks: Networks, settings: LandmarksConfig) -> Iterator[Found]:
    """The signer in each frame of a clip.

    A stretch of frames is read, worked on, and its first half given; the second half stays for what the next frames
    tell of it. A clip that fits into one stretch is worked on as a whole.

    Args:
        images: (H, W, 3) RGB frames in order; read ahead by a stretch at most.
        networks: The networks.
        settings: The `landmarks` section.
    """
    known_people = KnownPeople()
    kept: list[Moment] = []
    past: list[Moment] = []
    new = 0
    for image in images:
        kept.append(Moment(np.ascontiguousarray(image)))
        new += 1
        if len(kept) < stretch(image.nbytes):
            continue
        work_on(kept, len(kept) - new, known_people, networks, settings)
        half = len(kept) // 2
        yield from give(past, kept, half, settings)
        past = [without_image(moment) for moment in kept[max(0, half - REACH) : half]]
        kept, new = kept[half:], 0
    if new:
        work_on(kept, len(kept) - new, known_people, networks, settings)
    yield from give(past, kept, len(kept), settings)


def stretch(frame_bytes: int) -> int:
    """Frames of a stretch, by the size of one."""
    return int(np.clip(STRETCH_BYTES // frame_bytes, SHORTEST, LONGEST))


def work_on(
    moments: list[Moment], start: int, known_people: KnownPeople, networks: Networks, settings: LandmarksConfig
) -> None:
    """Find everything in a stretch whose frames before `start` have been worked on already."""
    thresholds = settings.confidence
    follow_pose(moments, start, known_people, networks, thresholds)
    if "face" in settings.parts:
        follow_face(moments, start, networks, thresholds)
    if "hands" in settings.parts:
        follow_hands(moments, start, networks, thresholds)


def give(past: list[Moment], kept: list[Moment], count: int, settings: LandmarksConfig) -> Iterator[Found]:
    """The first frames of a stretch as they are written, the pose smoothed over the frames around each."""
    moments = [*past, *kept[: count + REACH]]
    poses = smooth_poses([moment.pose for moment in moments])[len(past) :]
    for moment, pose in zip(kept[:count], poses[:count], strict=True):
        width, height = moment.size
        scale = np.array([width, height, width])
        parts: dict[str, Look | None] = {"pose": moment.pose if "pose" in settings.parts else None, "face": moment.face}
        parts |= {f"{side}_hand": moment.hands.get(side) for side in SIDES}
        yield Found(
            None if pose is None else np.column_stack([pose[:33, :3] / scale, pose[:33, 3]]).astype(np.float32),
            None if moment.face is None else (moment.face.points / scale).astype(np.float32),
            {side: (look.points / scale).astype(np.float32) for side, look in moment.hands.items()},
            {part: look.how for part, look in parts.items() if look is not None},
        )


def smooth_poses(poses: list[Look | None]) -> list[NDArray[np.float64] | None]:
    """The points of poses, places smoothed, visibility as it is."""
    if all(pose is None for pose in poses):
        return [None] * len(poses)
    shape = next(pose.points.shape for pose in poses if pose is not None)
    tracks = np.stack([np.full(shape, np.nan) if pose is None else pose.points for pose in poses])
    units = np.array([1.0 if pose is None else body_unit(pose.points) for pose in poses])
    tracks[..., :3] = smooth(tracks[..., :3], units)
    return [None if pose is None else points for pose, points in zip(poses, tracks, strict=True)]


def without_image(moment: Moment) -> Moment:
    """What was found in a frame, without its picture."""
    return Moment(np.zeros((0, 0, 3), np.uint8), moment.pose, moment.face, moment.hands)
