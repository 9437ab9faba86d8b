"""A synthetic signer: shaded video frames, and the exact joints that they show.

Right and left are the signer's own; a signer faces the camera, so the right hand is on the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .arms import draw_arm, draw_hand, elbow
from .body import draw_head, draw_torso
from .hand import Floats, Hand, hand_axes, pose_hand
from .looks import LOOKS, Look
from .motion import ArmMotion, FaceMotion, arm_motion, hanging_arm, sign_of
from .shading import SUPERSAMPLING, Canvas, noise

# The picture is 0.9 m wide; the shoulders' middle is at this place of it.
_PICTURE_METRES = 0.90
_CHEST = (0.5, 0.405)
_TURN_OF_NOD = 4.0  # radians a metre
_POLE = np.array([0.55, 1.0, -0.15], np.float32)


@dataclass(frozen=True)
class Truth:
    """Where the joints are, in pixels from the picture's top left corner; NaN where they are not in the picture.

    Of resting hands (`rest` of `render_video`) all joints are given, also those beyond the picture's edge.

    Attributes:
        pose: (T, 6, 2) float32, MediaPipe's pose points 11..16: left and right shoulder, elbow, wrist.
        right_hand: (T, 21, 2) float32 in MediaPipe's order.
        left_hand: (T, 21, 2) float32.
    """

    pose: Floats
    right_hand: Floats
    left_hand: Floats


@dataclass(frozen=True)
class _Arm:
    shoulder: Floats
    elbow: Floats
    wrist: Floats
    hand: Hand


def render_video(
    sign: int,
    signer: int,
    take: int,
    frames: int,
    size: int = 256,
    *,
    rest: float | None = None,
    face: FaceMotion | None = None,
    sways: bool = True,
) -> tuple[NDArray[np.uint8], Truth]:
    """Render one video; the same arguments always give the same pixels.

    Args:
        sign: sign ID from 1; it picks handshapes and movement.
        signer: from 1; it picks looks and proportions.
        take: from 1; takes of a sign differ slightly in place, size and timing.
        frames: number of frames T, at least 1.
        size: width and height in pixels.
        rest: both arms rest, their wrists this many metres below the shoulders (see `hanging_arm`), instead of signing.
        face: what the face does, besides swaying; default nothing.
        sways: whether the head sways a little.

    Returns:
        (T, size, size, 3) RGB frames, and the joints in them.
    """
    look = LOOKS[(signer - 1) % len(LOOKS)]
    variation = np.random.default_rng([sign, signer, take])
    meaning = sign_of(sign)
    right = arm_motion(meaning, variation, frames) if rest is None else hanging_arm(frames, rest)
    left = right if meaning.two_handed or rest is not None else hanging_arm(frames)
    phase = variation.uniform(0, 2 * np.pi, 3)
    video = np.empty((frames, size, size, 3), np.uint8)
    truth = Truth(*(np.full((frames, n, 2), np.nan, np.float32) for n in (6, 21, 21)))
    scale = size * SUPERSAMPLING / _PICTURE_METRES
    stage = Canvas(_background(look, size * SUPERSAMPLING), floor=-0.16 * scale)
    draw_torso(stage, look, _to_pixels(np.zeros(3, np.float32), scale, stage.side), scale)
    for t in range(frames):
        sway = np.sin(phase + np.array([0.21, 0.17, 0.26]) * t) * sways
        arms = {s: _arm(look, m, t, s) for s, m in (("right", right), ("left", left))}
        moved = (0.0, 0.0, 0.0) if face is None else (face.nod[t], face.closed[t], face.opened[t])
        video[t] = _render(stage.copy(), look, arms, sway, scale, moved, seed=t)
        _note(truth, t, arms, scale / SUPERSAMPLING, size, whole=rest is None)
    return video, truth


@lru_cache(maxsize=4)
def _background(look: Look, side: int) -> Floats:
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    glow = 1.06 - 0.34 * ((x - 0.42) ** 2 + (y - 0.35) ** 2) + 0.006 * noise(side, 2.5, 7)
    background: Floats = (np.array(look.background, np.float32) * glow[..., None]).astype(np.float32)
    return background


def _arm(look: Look, motion: ArmMotion, t: int, side: str) -> _Arm:
    # Motions are written for an arm whose outside is +x; the right arm's outside is the picture's left.
    mirror = np.array([-1.0 if side == "right" else 1.0, 1.0, 1.0], np.float32)
    shoulder = mirror * np.array([look.shoulder, 0.0, 0.0], np.float32)
    joint, wrist = elbow(shoulder, mirror * motion.wrist[t], look.upper_arm, look.forearm, mirror * _POLE)
    axes = hand_axes(mirror * motion.fingers[t], mirror * motion.palm[t], right=side == "right")
    return _Arm(shoulder, joint, wrist, pose_hand(wrist, axes, motion.angles[t], look.hand))


def _to_pixels(points: Floats, scale: float, side: float) -> Floats:
    result: Floats = points * np.float32(scale) + np.array([_CHEST[0] * side, _CHEST[1] * side, 0.0], np.float32)
    return result


def _render(
    canvas: Canvas,
    look: Look,
    arms: dict[str, _Arm],
    sway: NDArray[np.float64],
    scale: float,
    moved: tuple[float, float, float],
    seed: int,
) -> NDArray[np.uint8]:
    side = canvas.side
    nod, closed, opened = moved
    head = np.array([0.005 * sway[2], 0.002 * sway[0] - 0.050 - look.face[1] + nod, 0.035], np.float32)
    turn = (0.10 * float(sway[2]), 0.05 * float(sway[1]) + _TURN_OF_NOD * nod)
    draw_head(canvas, look, _to_pixels(head, scale, side), turn, scale, closed, opened)
    for arm in arms.values():
        shoulder, joint, wrist = (_to_pixels(p, scale, side) for p in (arm.shoulder, arm.elbow, arm.wrist))
        draw_arm(canvas, look, shoulder, joint, wrist, scale)
        points = _to_pixels(arm.hand.joints, scale, side)
        if points[:, 1].min() < side + 0.02 * scale:
            draw_hand(canvas, look, arm.hand, points, joint, scale * look.hand)
    return canvas.finish(scale, seed)


def _note(truth: Truth, t: int, arms: dict[str, _Arm], scale: float, size: int, *, whole: bool) -> None:
    """Write a frame's joints into `truth`; a hand that is not inside the picture counts unless it must be whole."""
    pose = [getattr(arms[s], part) for part in ("shoulder", "elbow", "wrist") for s in ("left", "right")]
    pixels = _to_pixels(np.stack(pose), scale, size)[:, :2]
    inside = ((pixels >= 0) & (pixels < size)).all(axis=1)
    truth.pose[t][inside] = pixels[inside]
    for name, joints in (("right", truth.right_hand), ("left", truth.left_hand)):
        pixels = _to_pixels(arms[name].hand.joints, scale, size)[:, :2]
        if not whole or ((pixels >= 0) & (pixels < size)).all():
            joints[t] = pixels
