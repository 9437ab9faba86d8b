"""One video's frames to its (T, points, 4) keypoints and a summary of what was found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.frame import RGB, Frame, FrameLog
from kpsbatch.dataset.video import Box
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.clip import Rows
from kpsbatch.landmarks.facts import BadFrame, FaceCounts, FoundFrames, HandCounts, VideoFacts, WorkSeconds
from kpsbatch.landmarks.found import Letter, how_found
from kpsbatch.landmarks.full import BLOCK, from_grid, mirror, pack, to_grid
from kpsbatch.landmarks.keypoints import view
from kpsbatch.landmarks.networks import Networks
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
    rows: list[NDArray[np.int32]] = []
    how: list[Mapping[str, Letter]] = []
    found: Counter[str] = Counter()
    started = time.perf_counter()
    pictures = Pictures(frames, mirrored=mirrored)
    signer = Rows(networks, Wish(person, box, mirrored))
    if again is None and isinstance(frames, Sequence):
        again = partial(iter, frames)
    for row, letters in signer.of(pictures, again and partial(readable, again, mirrored=mirrored)):
        if mirrored:
            mirror(row)
        rows.append(to_grid(row))
        found.update(part for part, place in ALL.parts.items() if rows[-1][place].any())
        how.append(letters)
        on_frame()
    check_readable(pictures.bad, len(rows), max_bad_frames)
    coordinates = networks.settings.coordinates
    blocks = (from_grid(np.stack(rows[start : start + BLOCK])) for start in range(0, len(rows), BLOCK))
    keypoints = np.concatenate([view(block, topology, coordinates=coordinates).astype(dtype) for block in blocks])
    facts = VideoFacts(
        **pictures.log.timing().model_dump(),
        frames=len(rows),
        bad_frames=len(pictures.bad),
        bad_examples=[BadFrame(frame=frame.name, problem=frame.problem) for frame in pictures.bad[:MAX_EXAMPLES]],
        sizes=dict(pictures.sizes),
        found=FoundFrames(**found),
        how=how_found(how),
        hands=HandCounts(**signer.hands),
        faces=FaceCounts(**signer.faces),
        shots=[shot.facts for shot in signer.shots],
        seconds=_work_seconds(time.perf_counter() - started, pictures.seconds),
    )
    return VideoKeypoints(keypoints, facts, keep(pack(rows)) if keep else b"")


def _work_seconds(total: float, decoding: float) -> WorkSeconds:
    return WorkSeconds(total=round(total, 4), landmarkers=round(total - decoding, 4), decoding=round(decoding, 4))


class Pictures:
    """The frames of a video as they are read, flipped where they are mirror images.

    Attributes:
        bad: Frames that can't be read.
        log: Their times.
        sizes: How many frames have each size, such as "256x256".
        seconds: Spent on reading and decoding.
    """

    def __init__(self, frames: Iterable[Frame], *, mirrored: bool) -> None:
        self._frames, self._mirrored = frames, mirrored
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
                yield replace(frame, image=np.ascontiguousarray(frame.image[:, ::-1])) if self._mirrored else frame


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
