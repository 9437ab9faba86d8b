"""One video's frames to its (T, points, 4) keypoints and a summary of what was found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.frame import RGB, Frame, FrameLog
from kpsbatch.dataset.video import Box
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.clip import Rows
from kpsbatch.landmarks.facts import BadFrame, FaceCounts, FoundFrames, HandCounts, VideoFacts, WorkSeconds
from kpsbatch.landmarks.found import Letter, how_found
from kpsbatch.landmarks.full import BLOCK, Points, from_grid, mirror, pack, to_grid
from kpsbatch.landmarks.keypoints import view
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import ALL, CONTRACT, Topology

MAX_EXAMPLES = 5

MARGIN = 0.2
"""Of the box's width and height, added on each side: hands leave a box that was drawn around a body."""

MIN_SIDE = 64
"""Pixels: a box that is smaller is enlarged, since no network finds anything in less."""


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
        box: Where the signer is: only this part of the frames is looked at (`crop_to`); the coordinates are those of
            the whole frames all the same.
        keep: Makes the `full` of the result from all landmarks, as `pack` gives them; None: they go.
        on_frame: Called after every frame.

    Raises:
        DatasetError: No frame, or too many frames, can't be read.
    """
    rows: list[NDArray[np.int32]] = []
    how: list[Mapping[str, Letter]] = []
    found: Counter[str] = Counter()
    started = time.perf_counter()
    pictures = Pictures(frames, mirrored=mirrored, box=box)
    signer = Rows(networks)
    for number, (row, letters) in enumerate(signer.of(pictures)):
        if mirrored:
            mirror(row)
        if box is not None and (crop := pictures.crops[number]):
            put_in_whole_frame(row, crop)
        rows.append(to_grid(row))
        found.update(part for part, place in ALL.parts.items() if rows[-1][place].any())
        how.append(letters)
        on_frame()
    check_readable(pictures.bad, len(rows), max_bad_frames)
    adjusted = networks.settings.coordinates == "adjusted"
    blocks = (from_grid(np.stack(rows[start : start + BLOCK])) for start in range(0, len(rows), BLOCK))
    keypoints = np.concatenate([view(block, topology, adjusted=adjusted).astype(dtype) for block in blocks])
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
        seconds=_work_seconds(time.perf_counter() - started, pictures.seconds),
    )
    return VideoKeypoints(keypoints, facts, keep(pack(rows)) if keep else b"")


def _work_seconds(total: float, decoding: float) -> WorkSeconds:
    return WorkSeconds(total=round(total, 4), landmarkers=round(total - decoding, 4), decoding=round(decoding, 4))


class Pictures:
    """The frames of a video as they are read, cut to the signer's box, flipped where they are mirror images.

    Attributes:
        bad: Frames that can't be read.
        log: Their times.
        sizes: How many frames have each size, such as "256x256".
        crops: What part of each frame is looked at, None for a frame that can't be read; empty without a box.
        seconds: Spent on reading and decoding.
    """

    def __init__(self, frames: Iterable[Frame], *, mirrored: bool, box: Box | None = None) -> None:
        self._frames, self._mirrored, self._box = frames, mirrored, box
        self.bad: list[Frame] = []
        self.log = FrameLog()
        self.sizes: Counter[str] = Counter()
        self.crops: list[Crop | None] = []
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
                self.crops.append(None)
                yield frame
            else:
                self.sizes["{1}x{0}".format(*frame.image.shape)] += 1
                yield replace(frame, image=self._picture(frame.image))

    def _picture(self, image: RGB) -> RGB:
        if self._box is not None:
            crop = crop_to(self._box, image.shape[1], image.shape[0])
            self.crops.append(crop)
            image = crop.of(image)
        return np.ascontiguousarray(image[:, ::-1]) if self._mirrored else image


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


class Crop(NamedTuple):
    """A part of a frame, in whole pixels, and the size of the frame."""

    left: int
    top: int
    width: int
    height: int
    frame_width: int
    frame_height: int

    def of(self, image: RGB) -> RGB:
        """The part of an image (H, W, 3)."""
        return np.ascontiguousarray(image[self.top : self.top + self.height, self.left : self.left + self.width])


def crop_to(box: Box, width: int, height: int) -> Crop:
    """What is looked at in a frame: the box with a margin, widened to the shape of the frame, inside the frame.

    It has the frame's ratio of width to height, so that adjusted coordinates, which do not depend on place and scale,
    are those of the whole frame as they are.

    Args:
        box: The signer's box.
        width: Of the frame, in pixels.
        height: Of the frame, in pixels.

    Returns:
        The whole frame where the box lies outside of it or holds nothing.
    """
    across, down = (width, height) if box.unit == "shares" else (1, 1)
    left, top = max(0.0, box.x * across), max(0.0, box.y * down)
    right, bottom = min(float(width), (box.x + box.width) * across), min(float(height), (box.y + box.height) * down)
    if right <= left or bottom <= top:
        return Crop(0, 0, width, height, width, height)
    share = (1 + 2 * MARGIN) * max((right - left) / width, (bottom - top) / height)
    share = min(1.0, max(share, MIN_SIDE / min(width, height)))
    wide, high = max(1, round(share * width)), max(1, round(share * height))
    x, y = round((left + right - wide) / 2), round((top + bottom - high) / 2)
    return Crop(min(max(x, 0), width - wide), min(max(y, 0), height - high), wide, high, width, height)


def put_in_whole_frame(row: Points, crop: Crop) -> None:
    """Turn landmarks (628, 4) in the coordinates of a part of a frame to those of the whole frame.

    z, which is in widths of the picture, is scaled as x is; what is in metres stays.
    """
    for place in ALL.parts.values():
        if row[place].any():
            part = row[place]
            part[:, 0] = (crop.left + part[:, 0] * crop.width) / crop.frame_width
            part[:, 1] = (crop.top + part[:, 1] * crop.height) / crop.frame_height
            part[:, 2] *= crop.width / crop.frame_width
