"""A long video in pieces: a first look at all of it, pieces that any worker can do, and what they give together.

The first look decodes the whole video once. It finds the shots and the signer of each, and notes a checksum of every
frame. A piece has fixed bounds, so that its values depend neither on the number of workers nor on who does it. It is
worked on with some frames before and after it, whose rows are dropped.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.frame import RGB, Frame, Timing
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.clip import Rows, first_stretch
from kpsbatch.landmarks.extract import (
    Pictures,
    SignerLandmarks,
    VideoKeypoints,
    bad_examples,
    check_readable,
    work_seconds,
)
from kpsbatch.landmarks.facts import BadFrame, FaceCounts, FoundFrames, HandCounts, ShotFacts, VideoFacts
from kpsbatch.landmarks.full import mirror
from kpsbatch.landmarks.moments import Reading
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.shots import Shot, look_at_images, look_at_moments, refuse_empty_box
from kpsbatch.landmarks.signer import Track, Wish
from kpsbatch.landmarks.squares import Square
from kpsbatch.points import CONTRACT, Topology

PIECE_FRAMES = 1500
"""A longer video is done in pieces, each of at most so many frames: a minute at 25 a second."""

OVERLAP = 32
"""Frames that are read before and after a piece: four times the longest wait between two searches for a hand."""


class OtherFrames(Exception):
    """Searching in the file gave other frames than its decoding from the start."""


@dataclass(frozen=True, eq=False)
class WholeVideo:
    """What the first look at a long video says.

    Attributes:
        shots: Its shots, and who is in them; frames are numbered without those that can't be read.
        times: (T,) milliseconds since the first frame.
        checks: (T,) uint32: a checksum of each frame's picture, 0 where it can't be read.
        timing, sizes, bad: As in `VideoFacts`; `bad` is the number of frames, `bad_first` the first of them.
        seconds, decoding: What the look took.
    """

    shots: list[Shot]
    times: list[float]
    checks: list[int]
    timing: Timing
    sizes: dict[str, int]
    bad: int
    bad_first: list[BadFrame]
    seconds: float
    decoding: float

    @property
    def frames(self) -> int:
        """T."""
        return len(self.times)


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a long video, and all that a worker must know to do it.

    Attributes:
        number: Which piece it is, from 0 on.
        frames: How many frames it has.
        before: Frames that are read before it.
        first: Number of the first frame that is read.
        read_from: Its time, in milliseconds since the first frame of the video.
        read_until: Time of the first frame that is not read; None for the end of the video.
        checks: Of the frames that are read.
        shots: Those that it touches; frames are numbered from the first readable one that is read.
    """

    number: int
    frames: int
    before: int
    first: int
    read_from: float
    read_until: float | None
    checks: list[int]
    shots: list[Shot] = field(default_factory=list)

    def checked(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Frames, each of them looked at whether it is the one that is meant.

        Raises:
            OtherFrames: One is not, or there are fewer or more.
        """
        count = 0
        for frame in frames:
            if count == len(self.checks) or checksum(frame.image) != self.checks[count]:
                raise OtherFrames
            count += 1
            yield frame
        if count < len(self.checks):
            raise OtherFrames


class KnownShots:
    """Takes the place of a `FirstLook` whose shots are known."""

    def __init__(self, shots: Sequence[Shot], wish: Wish) -> None:
        self._shots, self.wish = list(shots), wish

    def shots(self) -> list[Shot]:
        """The shots."""
        return self._shots


def checksum(image: RGB | None) -> int:
    """A checksum of every eighth row and column of a picture; 0 for none."""
    return 0 if image is None else zlib.crc32(image[::8, ::8].tobytes())


def look_at_video(
    frames: Iterable[Frame], networks: Networks, wish: Wish, max_bad_frames: float, on_frame: Callable[[], None]
) -> WholeVideo:
    """Look at all frames of a video: who signs in each of its shots, see `follow_clip`.

    Args:
        frames: Its frames in order, decoded as they are taken.
        networks: The networks.
        wish: The user's word about who the signer is.
        max_bad_frames: Share of unreadable frames above which the video fails.
        on_frame: Called after each frame.

    Raises:
        DatasetError: No frame, or too many frames, can't be read, or nobody's chest is in the user's box.
    """
    began = time.perf_counter()
    times: list[float] = []
    checks: list[int] = []

    def noted() -> Iterator[Frame]:
        for frame in frames:
            times.append(frame.time)
            checks.append(checksum(frame.image))
            on_frame()
            yield frame

    pictures = Pictures(noted(), mirrored=wish.mirrored)
    stream = (frame.image for frame in pictures if frame.image is not None)
    kept, _ = first_stretch(stream, networks)
    if not kept:
        raise DatasetError("no frame can be read")
    look = look_at_moments(kept, 0, wish)
    look_at_images(chain((moment.image for moment in kept), stream), networks, look)
    shots = look.shots()
    refuse_empty_box(shots, look)
    check_readable(pictures.bad, len(times), max_bad_frames)
    return WholeVideo(
        shots,
        times,
        checks,
        pictures.log.timing(),
        dict(pictures.sizes),
        len(pictures.bad),
        bad_examples(pictures.bad),
        time.perf_counter() - began,
        pictures.seconds,
    )


def pieces_of(whole: WholeVideo) -> list[Piece]:
    """The pieces of a video: as few as `PIECE_FRAMES` allows, their lengths alike."""
    length = whole.frames
    count = -(-length // PIECE_FRAMES)
    bounds = [number * length // count for number in range(count + 1)]
    readable = np.concatenate([[0], np.cumsum(np.array(whole.checks) != 0)])
    pieces = []
    for number in range(count):
        start, stop = bounds[number], bounds[number + 1]
        first, last = max(0, start - OVERLAP), min(length, stop + OVERLAP)
        shots = [_part(shot, int(readable[first]), int(readable[last])) for shot in whole.shots]
        pieces.append(
            Piece(
                number,
                frames=stop - start,
                before=start - first,
                first=first,
                read_from=whole.times[first],
                read_until=whole.times[last] if last < length else None,
                checks=whole.checks[first:last],
                shots=[shot for shot in shots if shot.stop > shot.start],
            )
        )
    return pieces


def _part(shot: Shot, first: int, last: int) -> Shot:
    """The part of a shot in some frames, counted from the first of them; what is known of the people in it stays."""

    def in_part(track: Track) -> Track:
        return Track({frame - first: pose for frame, pose in track.poses.items() if first <= frame < last})

    start, stop = max(shot.start, first), min(shot.stop, last)
    known = shot.signers[0].nearest(first) if shot.signers and start > shot.start else shot.known
    signers, others = ([in_part(track) for track in tracks] for tracks in (shot.signers, shot.others))
    return Shot(start - first, stop - first, signers, [track for track in others if track.poses], known)


def extract_piece(
    frames: Iterable[Frame],
    networks: Networks,
    piece: Piece,
    wish: Wish,
    *,
    dtype: str = "float32",
    topology: Topology = CONTRACT,
    keep: Callable[[NDArray[np.uint8]], bytes] | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoKeypoints:
    """Compute the keypoints of a piece.

    Args:
        frames: The frames that it reads, those around it with them.
        networks, wish, dtype, topology, keep, on_frame: As for `extract`.

    Returns:
        Its rows; of the facts only the counts, letters and seconds are those of the piece.

    Raises:
        OtherFrames: The frames are others than the first look saw.
    """
    began = time.perf_counter()
    pictures = Pictures(piece.checked(frames), mirrored=wish.mirrored)
    signer = SignerLandmarks(Rows(networks, wish))
    for number, (row, letters) in enumerate(signer.signer.of(pictures, None, KnownShots(piece.shots, wish))):
        if number < piece.before:
            signer.signer.forget()
            continue
        if wish.mirrored:
            mirror(row)
        signer.add(row, letters)
        on_frame()
        if len(signer.rows) == piece.frames:
            break
    signer.seconds = time.perf_counter() - began
    return signer.keypoints(pictures, topology, dtype, networks.settings.coordinates, keep)


def joined(whole: WholeVideo, pieces: Sequence[VideoFacts]) -> VideoFacts:
    """What is known of a video, of its first look and its pieces."""

    def total(name: str) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for piece in pieces:
            counts.update(getattr(piece, name).model_dump())
        return dict(counts)

    spent = [piece.seconds for piece in pieces]
    return VideoFacts(
        **whole.timing.model_dump(),
        frames=whole.frames,
        bad_frames=whole.bad,
        bad_examples=whole.bad_first,
        sizes=whole.sizes,
        found=FoundFrames(**total("found")),
        how={part: "".join(piece.how[part] for piece in pieces) for part in pieces[0].how},
        hands=HandCounts(**total("hands")),
        faces=FaceCounts(**total("faces")),
        shots=[shot.facts for shot in whole.shots],
        seconds=work_seconds(
            whole.seconds + sum(seconds.total for seconds in spent),
            whole.decoding + sum(seconds.decoding for seconds in spent),
        ),
    )


def whole_to_json(whole: WholeVideo) -> str:
    """A first look as text."""
    tree = {
        **{name: getattr(whole, name) for name in ("times", "checks", "sizes", "bad", "seconds", "decoding")},
        "timing": whole.timing.model_dump(),
        "bad_first": [frame.model_dump() for frame in whole.bad_first],
        "shots": [
            {
                "start": shot.start,
                "stop": shot.stop,
                "facts": shot.facts.model_dump(),
                **{name: [_poses(track) for track in getattr(shot, name)] for name in ("signers", "others")},
            }
            for shot in whole.shots
        ],
    }
    return json.dumps(tree)


def whole_from_json(text: str) -> WholeVideo:
    """A first look from its text.

    Raises:
        ValueError, KeyError, TypeError: It is another text.
    """
    tree = json.loads(text)
    shots = []
    for each in tree.pop("shots"):
        facts = ShotFacts(**each["facts"])
        signers, others = ([_track(poses) for poses in each[name]] for name in ("signers", "others"))
        start, stop = int(each["start"]), int(each["stop"])
        shots.append(Shot(start, stop, signers, others, None, facts.reason, facts.people, facts.changes))
    timing, bad = Timing(**tree.pop("timing")), [BadFrame(**frame) for frame in tree.pop("bad_first")]
    return WholeVideo(shots=shots, timing=timing, bad_first=bad, **tree)


def _poses(track: Track) -> dict[str, Any]:
    return {
        str(frame): {
            "points": pose.points.tolist(),
            "world": None if pose.world is None else pose.world.tolist(),
            "square": [pose.square.centre.tolist(), pose.square.side, pose.square.up.tolist()],
            "presence": pose.presence,
            "how": pose.how,
        }
        for frame, pose in track.poses.items()
    }


def _track(poses: dict[str, Any]) -> Track:
    def reading(pose: dict[str, Any]) -> Reading:
        centre, side, up = pose["square"]
        world = None if pose["world"] is None else np.array(pose["world"])
        square = Square(np.array(centre), side, np.array(up))
        return Reading(np.array(pose["points"]), square, pose["presence"], pose["how"], world=world)

    return Track({int(frame): reading(pose) for frame, pose in poses.items()})
