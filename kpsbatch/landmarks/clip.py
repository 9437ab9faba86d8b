"""The signer through a clip, in stretches: each is worked on forwards and backwards, its frames given in order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.frame import RGB, Frame
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.face import follow_face, follow_face_back
from kpsbatch.landmarks.found import LOOKED_AGAIN, Letter
from kpsbatch.landmarks.full import empty_row, frame_row
from kpsbatch.landmarks.hands import follow_hands, hand_can_be_seen
from kpsbatch.landmarks.moments import SIDES, Moment, Reading, Side, body_unit, chest
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.pose import drop_bodiless, follow, follow_pose, look_where_wrists_moved
from kpsbatch.landmarks.shots import FirstLook, Shot, look_at_images, look_at_moments, no_one_in_box, refuse_empty_box
from kpsbatch.landmarks.signer import Wish, in_box

STRETCH_BYTES = 96 << 20
"""Of the frames that are kept at once: 512 of 256x256, 109 of 640x480, 36 of 1280x720."""

LONGEST, SHORTEST = 600, 16
"""Frames of a stretch."""

REACH = 4
"""Frames to each side that count."""

NOISE = 0.02
"""Units of the body: what a point is off by chance. Places farther away than this count little."""

Points = NDArray[np.float32]


class KnownOrSeen(Protocol):
    """What tells the shots of a clip: a `FirstLook`, or shots that are known from another one."""

    wish: Wish

    def shots(self) -> list[Shot]:
        """The shots, each with its signer."""


@dataclass(frozen=True)
class FrameLandmarks:
    """The signer in one frame, in frame widths and heights.

    Attributes:
        pose: (33, 4) x, y, z, visibility, or None.
        face: (478, 3), or None.
        hands: (21, 3) of each side that has one.
        how: The letter of each part that was found.
        scores: How sure their networks are of face and hands, by part.
        world: (33, 3) of the pose and (21, 3) of each hand, in metres, by part.
    """

    pose: Points | None = None
    face: Points | None = None
    hands: dict[Side, Points] = field(default_factory=dict)
    how: dict[str, Letter] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    world: dict[str, Points] = field(default_factory=dict)


def follow_clip(
    images: Iterable[RGB],
    networks: Networks,
    wish: Wish = Wish(),  # noqa: B008 (is frozen)
    again: Callable[[], Iterable[RGB]] | None = None,
    on_shots: Callable[[Sequence[Shot]], None] = lambda shots: None,
    look: KnownOrSeen | None = None,
    times: Sequence[float] = (),
) -> Iterator[FrameLandmarks]:
    """The signer in each frame of a clip; of single frames in `running_mode: image`.

    A stretch of frames is read, worked on, and its first half given; the second half stays for what the next frames
    tell of it. A clip that fits into one stretch is worked on as a whole. Who signs in each shot is found before: in
    a stretch that is the whole clip, else in a pass of its own over all frames.

    Args:
        images: (H, W, 3) RGB frames in order; read ahead by a stretch at most.
        networks: The networks.
        wish: The user's word about who the signer is.
        again: Gives the frames once more; without it, a stretch is all that decides.
        on_shots: Called with shots as they are known.
        look: What is seen of the whole clip in a first look, if it is known.
        times: Of the frames, in milliseconds, as far as they are read; without them the settings' frame rate counts.

    Raises:
        DatasetError: Nobody's chest is in the user's box.
    """
    if networks.settings.running_mode == "image":
        yield from follow_frames(images, networks, wish)
        return
    shots: list[Shot] = []
    is_known = False
    kept: list[Moment] = []
    past: list[Moment] = []
    first = new = 0

    def next_stretch(*, is_last: bool) -> None:
        nonlocal is_known
        start = len(kept) - new
        if look is not None and not is_known:
            look.wish = wish
            found, is_known = look.shots(), True
        elif not is_known and (is_last or again is None or first):
            found = shots_in_memory(kept, start, first, wish, shots)
        elif not is_known:
            assert again is not None
            seen = look_at_moments(kept, 0, wish)
            look_at_images(again(), networks, seen)
            found, is_known = seen.shots(), True
            refuse_empty_box(found, seen)
        else:
            found = []
        if found:
            shots.extend(found)
            on_shots(found)
        work_on(kept, start, shots, first, wish)

    for image in images:
        moment = Moment(np.ascontiguousarray(image), networks)
        moment.time = times[first + len(kept)] if times else (first + len(kept)) * 1000 / networks.settings.frame_rate
        kept.append(moment)
        new += 1
        if len(kept) < stretch(image.nbytes):
            continue
        next_stretch(is_last=False)
        half = len(kept) // 2
        yield from give(past, kept, half)
        past = [moment.without_image() for moment in kept[max(0, half - REACH) : half]]
        kept, new, first = kept[half:], 0, first + half
    if new:
        next_stretch(is_last=True)
    yield from give(past, kept, len(kept))


def look_for_people(
    images: Iterator[RGB], networks: Networks, wish: Wish, again: Callable[[], Iterable[RGB]]
) -> tuple[int, FirstLook | None]:
    """How many people are in a clip, and what is seen of it in a first look; reads a stretch of frames at most.

    None for a clip without a frame.

    Args:
        images: Its frames, as `follow_clip` takes them.
        networks: The networks.
        wish: Whether frames are flipped.
        again: Gives the frames once more, for a clip of several stretches.
    """
    moments, is_whole = first_stretch(images, networks)
    if not moments:
        return 0, None
    look = look_at_moments(moments, 0, wish)
    if not is_whole:
        moments.clear()
        look_at_images(again(), networks, look)
    return look.most_people(), look


def first_stretch(images: Iterator[RGB], networks: Networks) -> tuple[list[Moment], bool]:
    """The frames of a clip's first stretch, and whether the clip ends before it is full."""
    moments: list[Moment] = []
    for image in images:
        moments.append(Moment(np.ascontiguousarray(image), networks))
        if len(moments) == stretch(image.nbytes):
            return moments, False
    return moments, True


def shots_in_memory(
    moments: Sequence[Moment], start: int, first: int, wish: Wish, before: Sequence[Shot]
) -> list[Shot]:
    """The shots that begin in frames from `start` on; a shot before them that goes on is lengthened.

    Args:
        moments: A stretch of frames.
        start: The first new one.
        first: Number of the stretch's first frame in the clip.
        wish: The user's word.
        before: The shots of the clip so far.

    Raises:
        DatasetError: The stretch is the whole clip, and nobody's chest is in the user's box.
    """
    goes_on = bool(before) and moments[start - 1].pose is not None
    look = look_at_moments(moments, start - goes_on, wish, probe_first=not goes_on)
    shots = look.shots(start - goes_on)
    if not first and not before:
        refuse_empty_box(shots, look)
    for shot in shots:
        shot.move(first)
    if goes_on:
        before[-1].stop = shots.pop(0).stop
    return shots


def follow_frames(images: Iterable[RGB], networks: Networks, wish: Wish) -> Iterator[FrameLandmarks]:
    """The signer in each frame by itself.

    Raises:
        DatasetError: After the last frame, if the user's box has nobody's chest in any.
    """
    outside: list[float] = []
    is_in_box = wish.box is None
    for image in images:
        moments = [Moment(np.ascontiguousarray(image), networks)]
        look = look_at_moments(moments, 0, wish)
        shots = look.shots()
        work_on(moments, 0, shots, 0, wish)
        pose = moments[0].pose
        if pose is not None and not is_in_box:
            is_in_box = in_box(chest(pose.points), wish.box_in(look.size))
            outside += [] if is_in_box else [wish.share(float(chest(pose.points)[0]), look.size[0])]
        yield from give([], moments, 1)
    if outside and not is_in_box:
        raise DatasetError(no_one_in_box(outside))


def stretch(frame_bytes: int) -> int:
    """Frames of a stretch, by the size of one."""
    return int(np.clip(STRETCH_BYTES // frame_bytes, SHORTEST, LONGEST))


def work_on(moments: list[Moment], start: int, shots: Sequence[Shot], first: int, wish: Wish) -> None:
    """Find everything in a stretch whose frames before `start` have been worked on already."""
    parts = moments[0].networks.settings.parts
    shots = [shot for shot in shots if shot.start < first + len(moments) and shot.stop > first]
    for shot in shots:
        for moment in moments[max(shot.start - first, 0) : shot.stop - first]:
            moment.shot = shot.start
    follow_pose(moments, start, shots, first, wish)
    if "face" in parts:
        follow_face(moments, start)
    if dropped := drop_bodiless(moments, start, shots):  # nobody was there: somebody can come in, as in a fade
        for run in dropped:
            follow(moments, run.stop, -1, run)
        if "face" in parts:
            follow_face_back(moments, dropped)
        drop_bodiless(moments, start, shots)
    if "hands" in parts:
        follow_hands(moments, start)
        look_where_wrists_moved(moments)


def give(past: list[Moment], kept: list[Moment], count: int) -> Iterator[FrameLandmarks]:
    """The first frames of a stretch as they are written, the pose smoothed over the frames around each."""
    moments = [*past, *kept[: count + REACH]]
    poses = smooth_poses([moment.pose for moment in moments])[len(past) :]
    for moment, pose in zip(kept[:count], poses[:count], strict=True):
        readings = {"pose": moment.pose, "face": moment.face}
        readings |= {f"{side}_hand": moment.hands.get(side) for side in SIDES}
        if "pose" not in moment.networks.settings.parts:
            del readings["pose"]
        known = {part: reading for part, reading in readings.items() if reading is not None}
        yield FrameLandmarks(
            None if pose is None else in_frame_sizes(pose[:33], moment.size),
            None if moment.face is None else in_frame_sizes(moment.face.points, moment.size),
            {side: in_frame_sizes(hand.points, moment.size) for side, hand in moment.hands.items()},
            {part: reading.how for part, reading in known.items()},
            {part: reading.presence for part, reading in known.items()},
            {part: reading.world.astype(np.float32) for part, reading in known.items() if reading.world is not None},
        )


def in_frame_sizes(points: NDArray[np.float64], size: tuple[int, int]) -> Points:
    """Points (N, 3 or more: x, y, z) in pixels as shares of the frame's width and height; z is in widths.

    In pixels a whole number is the middle of one; in the result 0 and 1 are the frame's edges, so that half a pixel is
    added. Without it hands lie half a pixel too far left and up of rendered joints, at every size of the frame.
    """
    width, height = size
    shares = points.copy()
    shares[:, :2] += 0.5
    shares[:, :3] /= (width, height, width)
    return shares.astype(np.float32)


def smooth_poses(poses: list[Reading | None]) -> list[NDArray[np.float64] | None]:
    """The points of poses, places smoothed, visibility as it is."""
    if all(pose is None for pose in poses):
        return [None] * len(poses)
    shape = next(pose.points.shape for pose in poses if pose is not None)
    tracks = np.stack([np.full(shape, np.nan) if pose is None else pose.points for pose in poses])
    units = np.array([1.0 if pose is None else body_unit(pose.points) for pose in poses])
    tracks[..., :3] = smooth(tracks[..., :3], units)
    return [None if pose is None else points for pose, points in zip(poses, tracks, strict=True)]


def smooth(tracks: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each point's mean with its neighbours in time that lie near it: a bilateral filter (Tomasi and Manduchi, 1998).

    A point at rest is averaged over 2 `REACH` + 1 frames; one that moves by more than `NOISE` from frame to frame keeps
    its place, for the frames around it lie too far away to count.

    Args:
        tracks: (T, N, D), NaN where unknown.
        unit: (T,) of the body, in the tracks' units.
    """
    count = len(tracks)
    total = np.zeros_like(tracks)
    weights = np.zeros((*tracks.shape[:2], 1))
    for shift in range(-REACH, REACH + 1):
        here = slice(max(0, -shift), min(count, count - shift))
        there = slice(max(0, shift), min(count, count + shift))
        if here.start >= here.stop:
            continue
        off = np.linalg.norm((tracks[there] - tracks[here])[..., :2], axis=-1, keepdims=True) / (
            NOISE * unit[here, None, None]
        )
        weight = np.exp(-0.5 * off**2 - 0.5 * (2 * shift / REACH) ** 2)
        known = np.isfinite(weight)
        total[here] += np.where(known, weight * tracks[there], 0)
        weights[here] += np.where(known, weight, 0)
    return np.where(weights > 0, total / np.maximum(weights, 1e-12), tracks)


class Rows:
    """The frames of one video as rows of all landmarks; counts what was found.

    Attributes:
        hands, faces: By the fields of `HandCounts` and `FaceCounts`.
        shots: The shots of the video, as far as they are known.
    """

    def __init__(self, networks: Networks, wish: Wish = Wish()) -> None:  # noqa: B008 (is frozen)
        """Take the networks, and the user's word about who the signer is."""
        self._networks, self._wish = networks, wish
        self.shots: list[Shot] = []
        self.hands: Counter[str] = Counter()
        self.faces: Counter[str] = Counter()

    def of(
        self,
        frames: Iterable[Frame],
        again: Callable[[], Iterable[RGB]] | None = None,
        look: KnownOrSeen | None = None,
    ) -> Iterator[tuple[Points, dict[str, Letter]]]:
        """Of each frame its (628, 4) landmarks and the letter of each part found; zeros where unreadable.

        Frames are read ahead, see `follow_clip`; those that can't be read are passed over. `again` gives the readable
        ones once more; `look` is as there.
        """
        readable: deque[bool] = deque()
        times: list[float] = []

        def images() -> Iterator[RGB]:
            for frame in frames:
                readable.append(frame.image is not None)
                if frame.image is not None:
                    times.append(frame.time)
                    yield frame.image

        shots = self.shots.extend
        for landmarks in follow_clip(images(), self._networks, self._wish, again, shots, look, times):
            while not readable.popleft():
                yield empty_row(), {}
            self._count(landmarks)
            yield self._row(landmarks), landmarks.how
        for _ in readable:
            yield empty_row(), {}

    def forget(self) -> None:
        """Count from here on."""
        self.hands.clear()
        self.faces.clear()

    def _count(self, landmarks: FrameLandmarks) -> None:
        face = landmarks.how.get("face")
        self.faces["detected"] += face is not None and face != LOOKED_AGAIN
        self.faces["recovered"] += face == LOOKED_AGAIN
        if "hands" not in self._networks.settings.parts:
            return
        again = sum(landmarks.how[f"{side}_hand"] == LOOKED_AGAIN for side in landmarks.hands)
        self.hands["detected"] += len(landmarks.hands) - again
        self.hands["recovered"] += again
        self.hands[("none", "one", "both")[len(landmarks.hands)]] += 1
        if landmarks.pose is not None:
            shown = [side for side in SIDES if hand_can_be_seen(landmarks.pose, side)]
            self.hands["wrists"] += len(shown)
            bare = [side for side in shown if side not in landmarks.hands]
            self.hands["wrists_without_hand"] += len(bare)
            for side in bare:
                self.hands[f"{side}_wrists_without_hand"] += 1

    def _row(self, landmarks: FrameLandmarks) -> Points:
        found = {"face": landmarks.face, **{f"{side}_hand": hand for side, hand in landmarks.hands.items()}}
        if "pose" in self._networks.settings.parts:
            found["pose"] = landmarks.pose
        return frame_row(found, landmarks.scores, landmarks.world)
