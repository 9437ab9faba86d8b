"""One frame of a clip while it is worked on: its picture, readings of its squares, and what is known so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from kpsbatch import points as t
from kpsbatch.config import ConfidenceConfig
from kpsbatch.landmarks.found import Letter
from kpsbatch.landmarks.networks import RGB, Answer, Networks
from kpsbatch.landmarks.squares import Square, cut, to_pixels, turned_back

Pixels = NDArray[np.float64]
Side = Literal["right", "left"]

MOST_MOVED: Final[Mapping[str, Mapping[str, float]]] = {
    "every": {},
    "auto": {"pose": 0.02, "face": 0.02},
    "fast": {"pose": 0.03, "face": 0.02, "hands": 0.06},
}
"""By `landmarks.pace` the parts that have key frames, and most that a point of theirs may move from one to the next
with nothing looked at between: in units of the body, heights of the face, diagonals of the hand."""

SIDES: tuple[Side, Side] = ("right", "left")


@dataclass(frozen=True)
class Reading:
    """What a landmark network says of one square of a frame, in pixels of the frame.

    Attributes:
        points: (N, 3 or 4) x, y, z (all in pixels), and for a pose the visibility.
        square: What the network was given.
        presence: The network's confidence that the part is there, 0 to 1.
        how: How the square was chosen.
        right: Of a hand: how much it is a right one, 0 to 1.
        checked: Of a hand at the frame's edge: its points when it was last read with more room around it.
        unsure: Of a hand that is followed by its name: frames since the network was sure that it is there.
        world: Of a pose (33, 3) and a hand (21, 3): x, y, z in metres, in the directions of the frame.
    """

    points: Pixels
    square: Square
    presence: float
    how: Letter
    right: float = 0.5
    checked: Pixels | None = None
    unsure: int = 0
    world: Pixels | None = None


@dataclass
class Moment:
    """One frame: its picture, and what has been found in it so far.

    Attributes:
        image: (H, W, 3) RGB.
        networks: What reads it.
        pose: (39, 4) points, if the signer is there.
        face: (478, 3) points.
        hands: (21, 3) points of each side.
        shot: Which shot it belongs to: nothing is followed from one into another.
        time: Milliseconds since the first frame.
    """

    image: RGB
    networks: Networks
    pose: Reading | None = None
    face: Reading | None = None
    hands: dict[Side, Reading] = field(default_factory=dict)
    shot: int = 0
    time: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.image.shape[:2]
        return width, height

    @property
    def thresholds(self) -> ConfidenceConfig:
        """The `confidence` settings."""
        return self.networks.settings.confidence

    def most_moved(self, part: str) -> float:
        """Of a part that has key frames by `landmarks.pace`: how much it may move between them; else 0."""
        return MOST_MOVED[self.networks.settings.pace].get(part, 0.0)

    def without_image(self) -> Moment:
        """What was found in the frame, without its picture."""
        return Moment(
            np.zeros((0, 0, 3), np.uint8), self.networks, self.pose, self.face, self.hands, self.shot, self.time
        )

    def read_pose(self, square: Square, how: Letter) -> Reading:
        """What the pose network says of a square."""
        return self._reading(self.networks.pose(self.cut(square, self.networks.pose_side)), square, how)

    def read_face(self, square: Square, how: Letter) -> Reading:
        """What the face network says of a square."""
        return self._reading(self.networks.face(self.cut(square, self.networks.face_side)), square, how)

    def read_hand(self, square: Square, how: Letter) -> Reading:
        """What the hand network says of a square."""
        return self._reading(self.networks.hand(self.cut(square, self.networks.hand_side)), square, how)

    def cut(self, square: Square, pixels: int) -> RGB:
        """The (pixels, pixels, 3) picture of a square."""
        return cut(self.image, square, pixels)

    def _reading(self, answer: Answer, square: Square, how: Letter) -> Reading:
        world = None if answer.world is None else turned_back(answer.world, square)
        return Reading(to_pixels(answer.points, square), square, answer.presence, how, answer.right, world=world)


def body_unit(pose: Pixels) -> float:
    """The signer's unit of length, in pixels: the distance of the shoulders, or twice that of the ears if more.

    Side-on, the shoulders stand one behind the other; the ears are then as far apart as they are deep, or seen from
    the front half as far as the shoulders.
    """
    shoulders = pose[t.POSE_LEFT_SHOULDER, :2] - pose[t.POSE_RIGHT_SHOULDER, :2]
    ears = pose[t.POSE_LEFT_EAR, :2] - pose[t.POSE_RIGHT_EAR, :2]
    return max(float(np.hypot(*shoulders)), 2 * float(np.hypot(*ears)), 1.0)


def chest(pose: Pixels) -> Pixels:
    """The middle of a pose's shoulders."""
    return np.asarray(pose[[t.POSE_LEFT_SHOULDER, t.POSE_RIGHT_SHOULDER], :2].mean(axis=0))


def share_inside(points: Pixels, size: tuple[int, int]) -> float:
    """Share of points (N, 2 or more) that lie in a frame of this width and height."""
    return float(are_inside(points, size).mean())


def are_inside(points: Pixels, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points (N, 2 or more) lie in a frame of this width and height, from edge to edge."""
    xy = points[:, :2] + 0.5
    return np.asarray(((xy >= 0) & (xy <= size)).all(axis=1))
