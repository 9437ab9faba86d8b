"""What is known of one frame of a clip while it is being worked on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks import topology as t
from kpsbatch.landmarks.found import Letter
from kpsbatch.landmarks.hands import Side
from kpsbatch.landmarks.regions import Region

RGB = NDArray[np.uint8]
Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """A part as one look of a network gave it, in pixels of the frame.

    Attributes:
        points: (N, 3 or 4) x, y, z (all in pixels), and for a pose the visibility.
        square: Where the network looked.
        presence: The network's confidence that the part is there, 0 to 1.
        how: How the square was found.
        right: Of a hand: how much it looks like a right one, 0 to 1.
        checked: Of a hand at the frame's edge: its points when it was last looked at with more room around it.
    """

    points: Pixels
    square: Region
    presence: float
    how: Letter
    right: float = 0.5
    checked: Pixels | None = None


@dataclass
class Moment:
    """One frame: its picture, and what has been found in it so far.

    Attributes:
        image: (H, W, 3) RGB.
        pose: (39, 4) points, if the signer is there.
        face: (478, 3) points.
        hands: (21, 3) points of each side.
    """

    image: RGB
    pose: Look | None = None
    face: Look | None = None
    hands: dict[Side, Look] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.image.shape[:2]
        return width, height


def body_unit(pose: Pixels) -> float:
    """The signer's unit of length, in pixels: the distance of the shoulders, or twice that of the ears if more.

    Side-on, the shoulders stand one behind the other; the ears are then as far apart as they are deep, or seen from
    the front half as far as the shoulders.
    """
    shoulders = pose[t.POSE_LEFT_SHOULDER, :2] - pose[t.POSE_RIGHT_SHOULDER, :2]
    ears = pose[POSE_LEFT_EAR, :2] - pose[POSE_RIGHT_EAR, :2]
    return max(float(np.hypot(*shoulders)), 2 * float(np.hypot(*ears)), 1.0)


def share_inside(points: Pixels, size: tuple[int, int]) -> float:
    """Share of points (N, 2 or more) that lie in a frame of this width and height."""
    xy = points[:, :2]
    return float(((xy >= 0) & (xy <= size)).all(axis=1).mean())


POSE_LEFT_EYE, POSE_RIGHT_EYE = 2, 5
POSE_LEFT_EAR, POSE_RIGHT_EAR = 7, 8
POSE_LEFT_MOUTH, POSE_RIGHT_MOUTH = 9, 10
