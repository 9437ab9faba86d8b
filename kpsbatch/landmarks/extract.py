"""One video's frames to its (T, points, 4) keypoints and a summary of what was found."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.frame import RGB, Frame, FrameLog
from kpsbatch.dataset.video import Box
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.landmarks.clip import Rows, look_for_people
from kpsbatch.landmarks.facts import BadFrame, FaceCounts, FoundFrames, HandCounts, VideoFacts, WorkSeconds
from kpsbatch.landmarks.found import Letter, how_found
from kpsbatch.landmarks.full import BLOCK, from_grid, mirror, pack, to_grid
from kpsbatch.landmarks.keypoints import view
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.shots import FirstLook
from kpsbatch.landmarks.signer import Wish
from kpsbatch.points import ALL, CONTRACT, Topology

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class VideoKeypoints:
    """What became of one video.

    Attributes:
        keypoints: (T, points, 4), rows of zeros for frames that could not be read.
        facts: What the record says of it.
        full: All landmarks as `keep` made them; empty without it.
    """

    keypoints: NDArray[Any]
    facts: VideoFacts
    full: bytes = b""


def extract(
    frames: Iterable[Frame],
    networks: Networks,
    *,
    mirrored: bool = False,
    dtype: str = "float32",
    topology: Topology = CONTRACT,
    max_bad_frames: float = 0.2,
    box: Box | None = None,
    person: str = "auto",
    again: Callable[[], Iterable[Frame]] | None = None,
    keep: Callable[[NDArray[np.uint8]], bytes] | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoKeypoints:
    """Compute the keypoints of one video.

    Args:
        frames: Its frames in order.
        networks: The process's networks, with the `landmarks` section.
        mirrored: The frames are mirror images, see `dataset.mirrored`: right becomes the signer's own right, while the
            coordinates are those of the frames as they are.
        dtype: Of the result.
        topology: The points of the result.
        max_bad_frames: Share of unreadable frames above which the video fails.
        box: Where the signer's chest is; people are searched in and around it.
        person: Who the signer is, see `dataset.person`.
        again: Gives the frames once more, for a clip that does not fit into memory; a list of frames needs none.
        keep: Makes the `full` of the result from all landmarks, as `pack` gives them; None: they go.
        on_frame: Called after every frame.

    Raises:
        DatasetError: No frame, or too many frames, can't be read, or nobody's chest is in the box.
    """
    started = time.perf_counter()
    pictures = Pictures(frames, mirrored=mirrored)
    again = again or (partial(iter, frames) if isinstance(frames, Sequence) else None)
    once_more = again and partial(readable, again, mirrored=mirrored)
    [landmarks] = _follow(
        pictures, pictures, networks, [Wish(person, box, mirrored)], once_more, None, on_frame, started
    )
    check_readable(pictures.bad, len(landmarks.rows), max_bad_frames)
    return landmarks.keypoints(pictures, topology, dtype, networks.settings.coordinates, keep)


def extract_people(
    frames: Iterable[Frame],
    networks: Networks,
    *,
    again: Callable[[], Iterable[Frame]],
    mirrored: bool = False,
    dtype: str = "float32",
    topology: Topology = CONTRACT,
    max_bad_frames: float = 0.2,
    keep: Callable[[int], Callable[[NDArray[np.uint8]], bytes]] | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> list[VideoKeypoints]:
    """Compute the keypoints of each person of one video, which is decoded once if it fits into memory.

    Each has the values of `extract(..., person="1")`, `"2"`, ... from the left of each shot; rows of zeros where a shot
    has fewer people. `again`, which gives the frames once more, and the other arguments are as there; `keep` gives that
    of a person, by the number, from 1 on.

    Returns:
        At least one: of a video in which nobody is, zeros.

    Raises:
        ConfigError: The networks are for `running_mode: image`.
        DatasetError: No frame, or too many frames, can't be read.
    """
    if networks.settings.running_mode == "image":
        raise ConfigError("person: all needs landmarks.running_mode: clip. Leave one of them out.")
    started = time.perf_counter()
    pictures = Pictures(frames, mirrored=mirrored)
    stream = iter(pictures)
    begun: deque[Frame] = deque()

    def images() -> Iterator[RGB]:
        for frame in stream:
            begun.append(frame)
            if frame.image is not None:
                yield frame.image

    def from_the_first() -> Iterator[Frame]:
        while begun:
            yield begun.popleft()
        yield from stream

    once_more = partial(readable, again, mirrored=mirrored)
    count, look = look_for_people(images(), networks, Wish(mirrored=mirrored), once_more)
    wishes = [Wish(str(number + 1), None, mirrored, is_only=True) for number in range(max(1, count))]
    people = _follow(pictures, from_the_first(), networks, wishes, once_more, look, on_frame, started)
    check_readable(pictures.bad, len(people[0].rows), max_bad_frames)
    coordinates, share = networks.settings.coordinates, 1 / len(people)
    return [
        each.keypoints(pictures, topology, dtype, coordinates, keep and keep(number), share, number)
        for number, each in enumerate(people, 1)
    ]


def _follow(
    pictures: Pictures,
    frames: Iterable[Frame],
    networks: Networks,
    wishes: Sequence[Wish],
    again: Callable[[], Iterable[RGB]] | None,
    look: FirstLook | None,
    on_frame: Callable[[], None],
    started: float,
) -> list[SignerLandmarks]:
    """The landmarks of the person of each wish; the frames are read once."""
    found = [SignerLandmarks(Rows(networks, wish)) for wish in wishes]
    streams = shared(frames, len(wishes))
    ways = (each.signer.of(stream, again, look) for each, stream in zip(found, streams, strict=True))
    for of_all in zip(*ways, strict=True):
        for each, (row, letters) in zip(found, of_all, strict=True):
            if pictures.mirrored:
                mirror(row)
            each.add(row, letters)
        on_frame()
    for each in found:
        each.seconds = time.perf_counter() - started
    return found


def shared(frames: Iterable[Frame], count: int) -> list[Iterator[Frame]]:
    """So many iterators over frames that are read once; each is let go when all have given it.

    (`itertools.tee` holds 57 of them, even where one iterator is asked for.)
    """
    source = iter(frames)
    waiting: list[deque[Frame]] = [deque() for _ in range(count)]

    def stream(own: deque[Frame]) -> Iterator[Frame]:
        while True:
            if not own:
                frame = next(source, None)
                if frame is None:
                    return
                for each in waiting:
                    each.append(frame)
                del frame
            yield own.popleft()

    return [stream(own) for own in waiting]


class SignerLandmarks:
    """All landmarks of one person of a video, row by row.

    Attributes:
        signer: Where they come from.
        rows: (628, 4) of each frame, on the grid.
        seconds: That the work took.
    """

    def __init__(self, signer: Rows) -> None:
        self.signer = signer
        self.rows: list[NDArray[np.int32]] = []
        self.seconds = 0.0
        self._how: list[Mapping[str, Letter]] = []
        self._found: Counter[str] = Counter()

    def add(self, row: NDArray[np.float32], letters: Mapping[str, Letter]) -> None:
        """Take the next frame's row, and the letter of each part that was found."""
        self.rows.append(to_grid(row))
        self._found.update(part for part, place in ALL.parts.items() if self.rows[-1][place].any())
        self._how.append(letters)

    def keypoints(
        self,
        pictures: Pictures,
        topology: Topology,
        dtype: str,
        coordinates: str,
        keep: Callable[[NDArray[np.uint8]], bytes] | None = None,
        share: float = 1.0,
        person: int = 0,
    ) -> VideoKeypoints:
        """The keypoints and what is known of the video; `share` of the time that it took counts for this `person`."""
        rows = self.rows
        blocks = (from_grid(np.stack(rows[start : start + BLOCK])) for start in range(0, len(rows), BLOCK))
        keypoints = np.concatenate([view(block, topology, coordinates=coordinates).astype(dtype) for block in blocks])
        facts = VideoFacts(
            **pictures.log.timing().model_dump(),
            frames=len(rows),
            bad_frames=len(pictures.bad),
            bad_examples=bad_examples(pictures.bad),
            sizes=dict(pictures.sizes),
            found=FoundFrames(**self._found),
            how=how_found(self._how),
            hands=HandCounts(**self.signer.hands),
            faces=FaceCounts(**self.signer.faces),
            shots=[shot.facts for shot in self.signer.shots],
            seconds=work_seconds(share * self.seconds, share * pictures.seconds),
            person=person,
        )
        return VideoKeypoints(keypoints, facts, keep(pack(rows)) if keep else b"")


def bad_examples(bad: Sequence[Frame]) -> list[BadFrame]:
    """The first of the frames that can't be read, as the record has them."""
    return [BadFrame(frame=frame.name, problem=frame.problem) for frame in bad[:MAX_EXAMPLES]]


def work_seconds(total: float, decoding: float) -> WorkSeconds:
    """Seconds of a worker, in all and of these for decoding, as the record has them."""
    return WorkSeconds(total=round(total, 4), landmarkers=round(total - decoding, 4), decoding=round(decoding, 4))


class Pictures:
    """The frames of a video as they are read, flipped where they are mirror images.

    Attributes:
        mirrored: Whether they are.
        bad: Frames that can't be read.
        log: Their times.
        sizes: How many frames have each size, such as "256x256".
        seconds: Spent on reading and decoding.
    """

    def __init__(self, frames: Iterable[Frame], *, mirrored: bool) -> None:
        self._frames, self.mirrored = frames, mirrored
        self.bad: list[Frame] = []
        self.log = FrameLog()
        self.sizes: Counter[str] = Counter()
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Frame]:
        frames = iter(self._frames)
        while True:
            began = time.perf_counter()
            frame = next(frames, None)
            self.seconds += time.perf_counter() - began
            if frame is None:
                return
            self.log.add(frame)
            if frame.image is None:
                self.bad.append(frame)
                yield frame
            else:
                self.sizes["{1}x{0}".format(*frame.image.shape)] += 1
                yield replace(frame, image=np.ascontiguousarray(frame.image[:, ::-1])) if self.mirrored else frame


def readable(frames: Callable[[], Iterable[Frame]], *, mirrored: bool) -> Iterator[RGB]:
    """The frames of a video that can be read, flipped where they are mirror images."""
    for frame in frames():
        if frame.image is not None:
            yield frame.image[:, ::-1] if mirrored else frame.image


def check_readable(bad: list[Frame], frames: int, max_bad_frames: float) -> None:
    """Refuse a video of which too little can be read.

    Raises:
        DatasetError: No frame, or more than a share of them, can't be read.
    """
    if len(bad) < frames and len(bad) <= max_bad_frames * frames:
        return
    first = f"; first: {bad[0].name} {bad[0].problem}" if bad else ""
    raise DatasetError(
        f"{len(bad)} of {frames} frames are unreadable (limit {max_bad_frames:.0%}, run.max_bad_frames){first}"
    )
