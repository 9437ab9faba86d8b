"""The part of a frame that is looked at where the signer's box is known, and the way back to the whole frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.frame import RGB
from kpsbatch.dataset.video import Box
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.keypoints import in_frame
from kpsbatch.landmarks.topology import CONTRACT, Topology

MARGIN = 0.2
"""Of the box's width and height, added on each side: hands leave a box that was drawn around a body."""

MIN_SIDE = 64
"""Pixels: a box that is smaller is enlarged, since no network finds anything in less."""


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


def in_whole_frames(
    keypoints: NDArray[np.float32], crops: Sequence[Crop | None], topology: Topology = CONTRACT
) -> NDArray[np.float32]:
    """Keypoints (T, points, 4) in the coordinates of parts of the frames as they lie in the whole frames.

    z, which is in widths of the picture, is scaled as x is. Faces and hands are visible where they are in the frame.
    """
    mapped = keypoints.copy()
    for row, crop in zip(mapped, crops, strict=True):
        if crop is None:
            continue
        for name, place in topology.parts.items():
            if not is_found(row[None], place)[0]:
                continue
            part = row[place]
            part[:, 0] = (crop.left + part[:, 0] * crop.width) / crop.frame_width
            part[:, 1] = (crop.top + part[:, 1] * crop.height) / crop.frame_height
            part[:, 2] *= crop.width / crop.frame_width
            if name != "pose":
                part[:, 3] = in_frame(part)
    return mapped
