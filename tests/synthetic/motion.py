"""Signs as movement: a sign ID picks handshapes, a place and a path; a take varies them a little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .hand import Floats, shape_angles

_PATHS = ("wave", "circle", "arc", "tap", "bounce")
# Pairs that differ in little enough that every shape on the way between them is a hand that a detector knows.
_SHAPE_PAIRS = (
    ("five", "five"),
    ("flat", "vee"),
    ("five", "claw"),
    ("vee", "three"),
    ("point", "point"),
    ("flat", "five"),
    ("ell", "five"),
    ("three", "five"),
    ("relaxed", "flat"),
)


@dataclass(frozen=True)
class Sign:
    """What a sign ID stands for.

    Attributes:
        start, end: handshapes at the beginning and at the end of the stroke.
        path: how the hand moves in the stroke.
        palm: whether the palm faces the camera (else the back of the hand).
        two_handed: whether the left hand mirrors the right one.
        place: (2,) metres, the stroke's middle: outwards from the body's midline, down from the shoulders.
    """

    start: str
    end: str
    path: str
    palm: bool
    two_handed: bool
    place: tuple[float, float]


@dataclass(frozen=True)
class ArmMotion:
    """One arm over time, as for the right arm; the left arm mirrors it.

    Attributes:
        wrist: (T, 3) metres from the middle of the shoulders: outwards, down, towards the camera.
        fingers: (T, 3) direction of the fingers in the same axes.
        palm: (T, 3) direction out of the palm.
        angles: (T, 18) joint angles in degrees.
    """

    wrist: Floats
    fingers: Floats
    palm: Floats
    angles: Floats


@dataclass(frozen=True)
class FaceMotion:
    """What a face does in each frame, all (T,).

    Attributes:
        nod: how far the head is lowered, in metres; it turns down by 4 radians a metre.
        closed: how far the eyes are closed, 0 to 1.
        opened: how far the mouth is open, in half heights of the face.
    """

    nod: Floats
    closed: Floats
    opened: Floats


def sign_of(sign: int) -> Sign:
    """Return the movement of a sign ID; neighbours differ in shape, path and number of hands."""
    start, end = _SHAPE_PAIRS[(sign - 1) % len(_SHAPE_PAIRS)]
    draw = np.random.default_rng([502, sign])
    return Sign(
        start=start,
        end=end,
        path=_PATHS[(sign - 1) % len(_PATHS)],
        palm=(sign - 1) % 7 != 5,
        two_handed=sign % 2 == 0,
        place=(float(draw.uniform(0.25, 0.29)), float(draw.uniform(0.12, 0.17))),
    )


def ease(value: Floats) -> Floats:
    """Return the minimum-jerk ramp of 0..1 values: speed and acceleration are zero at both ends."""
    t = np.clip(value, 0, 1)
    result: Floats = (t**3 * (10 - 15 * t + 6 * t * t)).astype(np.float32)
    return result


def arm_motion(sign: Sign, variation: np.random.Generator, frames: int) -> ArmMotion:
    """Return the dominant arm's motion: from rest before the waist to the stroke, and back."""
    time = np.linspace(0, 1, frames, dtype=np.float32) if frames > 1 else np.full(1, 0.5, np.float32)
    rise = float(variation.uniform(0.36, 0.40))
    fall = float(variation.uniform(0.60, 0.64))
    raised = ease(time / rise) * (1 - ease((time - fall) / (1 - fall)))
    stroke = ease((time - 0.12) / 0.76)
    size = float(variation.uniform(0.85, 1.1))
    shift = variation.uniform(-0.012, 0.012, 2)

    offset, roll = _path(sign.path, stroke)
    place = np.array([sign.place[0] + shift[0], sign.place[1] + shift[1], 0.24], np.float32)
    rest = np.array([0.215 + shift[0], 0.335 + shift[1], 0.20], np.float32)
    wrist = rest + raised[:, None] * (place - rest + size * offset)

    # Roll turns the fingers inwards in the picture's plane, yaw turns the hand about its fingers.
    inward = np.radians(18 * (1 - raised) + raised * (4 + size * roll))
    yaw = np.radians(float(variation.uniform(-6, 6)) + 8 * (1 - raised))
    lean = np.radians(10 * (1 - raised) + 4)
    fingers = np.stack([-np.sin(inward) * np.cos(lean), -np.cos(inward) * np.cos(lean), np.sin(lean)], axis=1)
    side = 1.0 if sign.palm else -1.0
    palm = np.stack([side * np.sin(yaw), 0.12 * np.ones_like(yaw), side * np.cos(yaw)], axis=1)
    shape = stroke[:, None]
    strokes = (1 - shape) * shape_angles(sign.start) + shape * shape_angles(sign.end)
    angles = strokes + (1 - raised[:, None]) * 0.9 * (shape_angles("relaxed") - strokes)
    return ArmMotion(*(a.astype(np.float32) for a in (wrist, fingers, palm, angles)))


def _path(name: str, stroke: Floats) -> tuple[Floats, Floats]:
    """Return the (T, 3) offset in metres and the (T,) roll in degrees along a path."""
    turn = 2 * np.pi * stroke
    swing, zero = np.sin(turn), np.zeros_like(stroke)
    if name == "wave":
        return np.stack([0.040 * swing, 0.004 * swing**2, zero], axis=1), -13 * swing
    if name == "circle":
        return np.stack([0.045 * swing, 0.045 * (np.cos(turn) - 1), zero], axis=1), -5 * swing
    if name == "arc":
        return np.stack([0.09 * stroke - 0.045, -0.05 * np.sin(np.pi * stroke), zero], axis=1), 14 - 28 * stroke
    if name == "tap":
        return np.stack([zero, 0.035 - 0.07 * np.cos(turn) ** 2, 0.03 * swing], axis=1), 6 * swing
    return np.stack([0.02 * swing, 0.03 * np.sin(2 * turn), zero], axis=1), 8 * swing


def hanging_arm(frames: int, below: float = 0.70) -> ArmMotion:
    """Return the motion of an arm at rest beside the body.

    Args:
        frames: T.
        below: how far the wrist is below the shoulders, in metres: 0.70 puts the hand below the picture, whose lower
            edge is at 0.54; from 0.40 on the edge cuts it off.
    """
    one = np.ones((frames, 1), np.float32)
    down = np.array([[0.0, 1.0, 0.0]], np.float32)
    return ArmMotion(
        one * np.array([[0.215, below, 0.02]], np.float32),
        one * down,
        one * np.array([[0.0, 0.0, 1.0]], np.float32),
        one * shape_angles("relaxed"),
    )
