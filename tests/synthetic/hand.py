"""The hand's skeleton: handshapes as joint angles, and the 21 joints that they put into space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Metres, in the hand's own axes: towards the thumb, towards the fingertips, out of the palm. The origin is the end
# of the forearm.
# MediaPipe's wrist point lies a little inside the palm, on the little finger's side of the end of the forearm.
WRIST = np.array([-0.004, 0.005, 0.0], np.float32)
THUMB_BASE = np.array([0.024, 0.020, 0.008], np.float32)
KNUCKLES = np.array(
    [[0.0245, 0.088, 0.0], [0.003, 0.090, 0.002], [-0.0165, 0.084, 0.001], [-0.034, 0.074, -0.002]], np.float32
)
THUMB_BONES = np.array([0.036, 0.031, 0.025], np.float32)
FINGER_BONES = np.array(
    [[0.038, 0.0235, 0.020], [0.042, 0.0265, 0.021], [0.039, 0.025, 0.0205], [0.030, 0.0185, 0.018]], np.float32
)
RESTING_SPREAD = np.array([6.0, 0.0, -5.0, -12.0], np.float32)

_THUMB_OPEN = (48.0, 38.0, 34.0, 22.0, 16.0, 10.0)
_THUMB_BESIDE = (36.0, 16.0, 8.0, 22.0, 14.0, 8.0)
_THUMB_ACROSS = (40.0, -6.0, -48.0, 46.0, 44.0, 22.0)
_STRAIGHT = (3.0, 6.0)
_CURLED = (78.0, 96.0)

# Per shape: thumb (three bones' angles from the finger axis, then three out of the palm), a spread factor, and for
# index to pinky the flexion at the knuckle and at the middle joint. Degrees.
_SHAPES: dict[str, tuple[tuple[float, ...], float, tuple[tuple[float, float], ...]]] = {
    "five": (_THUMB_OPEN, 1.7, (_STRAIGHT,) * 4),
    "flat": (_THUMB_BESIDE, 0.5, (_STRAIGHT,) * 4),
    "relaxed": (_THUMB_OPEN, 1.2, ((5.0, 9.0), (6.0, 11.0), (7.0, 12.0), (8.0, 13.0))),
    "claw": (_THUMB_OPEN, 1.6, ((12.0, 48.0), (12.0, 50.0), (12.0, 50.0), (14.0, 48.0))),
    "point": (_THUMB_ACROSS, 0.6, (_STRAIGHT, _CURLED, _CURLED, _CURLED)),
    "vee": (_THUMB_ACROSS, 1.9, (_STRAIGHT, _STRAIGHT, _CURLED, _CURLED)),
    "three": (_THUMB_ACROSS, 1.7, (_STRAIGHT, _STRAIGHT, _STRAIGHT, _CURLED)),
    "ell": (_THUMB_OPEN, 0.6, (_STRAIGHT, _CURLED, _CURLED, _CURLED)),
}


def shape_angles(name: str) -> Floats:
    """Return the (18,) joint angles of a handshape in degrees; shapes blend by blending these."""
    thumb, spread, fingers = _SHAPES[name]
    flexion = [angle for finger in fingers for angle in finger]
    return np.array([*thumb, *(RESTING_SPREAD * spread), *flexion], np.float32)


@dataclass(frozen=True)
class Hand:
    """A hand in space, in metres: x to the right of the picture, y down, z towards the camera.

    Attributes:
        joints: (21, 3) in MediaPipe's order.
        axes: (3, 3), rows are the unit vectors towards the thumb, the fingertips and out of the palm.
        dorsal: (5, 3), the unit vector out of each fingernail, thumb first.
    """

    joints: Floats
    axes: Floats
    dorsal: Floats


def hand_axes(fingers: Floats, palm: Floats, right: bool) -> Floats:
    """Return the hand's axes (rows: thumb, fingers, palm) from two directions; `palm` is made orthogonal."""
    up = fingers / np.linalg.norm(fingers)
    out = palm - up * np.dot(palm, up)
    out = out / np.linalg.norm(out)
    thumb = np.cross(out, up) if right else np.cross(up, out)
    axes: Floats = np.stack([thumb, up, out]).astype(np.float32)
    return axes


def pose_hand(wrist: Floats, axes: Floats, angles: Floats, length: float = 1.0) -> Hand:
    """Put a hand's joints into space.

    Args:
        wrist: (3,) metres.
        axes: (3, 3), see `hand_axes`.
        angles: (18,) degrees, see `shape_angles`.
        length: the hand's size relative to the average hand.
    """
    angles = np.radians(angles)
    joints = np.zeros((21, 3), np.float32)
    dorsal = np.zeros((5, 3), np.float32)
    joints[0], joints[1] = WRIST, THUMB_BASE
    for bone in range(3):
        planar, lift = angles[bone], angles[3 + bone]
        direction = np.array([np.sin(planar) * np.cos(lift), np.cos(planar) * np.cos(lift), np.sin(lift)], np.float32)
        joints[2 + bone] = joints[1 + bone] + THUMB_BONES[bone] * direction
    # The thumbnail looks away from the palm and a little to the outer side.
    dorsal[0] = np.array([0.75, 0.0, -0.65], np.float32)
    for finger in range(4):
        spread, flexion = angles[6 + finger], 0.0
        plane = np.array([np.sin(spread), np.cos(spread), 0.0], np.float32)
        first = 5 + 4 * finger
        joints[first] = KNUCKLES[finger]
        knuckle, middle = angles[10 + 2 * finger : 12 + 2 * finger]
        for bone, bend in enumerate((knuckle, middle, 0.62 * middle)):
            flexion += bend
            direction = np.cos(flexion) * plane + np.array([0.0, 0.0, np.sin(flexion)], np.float32)
            joints[first + bone + 1] = joints[first + bone] + FINGER_BONES[finger, bone] * direction
        dorsal[1 + finger] = np.sin(flexion) * plane - np.array([0.0, 0.0, np.cos(flexion)], np.float32)
    return Hand((wrist + length * joints @ axes).astype(np.float32), axes, dorsal @ axes)
