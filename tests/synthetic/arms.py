"""Arms and hands as round cones: where they are, and how they are painted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .hand import WRIST, Floats, Hand
from .looks import Look
from .shading import EMPTY, Canvas, Cone, Patch, cone, cone_height, noise, smooth_max, union

_FINGER_RADII = (0.0108, 0.0100, 0.0088, 0.0075)
_FINGER_GIRTH = (1.0, 1.02, 0.97, 0.87)
_THUMB_RADII = (0.0150, 0.0128, 0.0112, 0.0092)


def elbow(shoulder: Floats, wrist: Floats, upper: float, fore: float, pole: Floats) -> tuple[Floats, Floats]:
    """Bend an arm of two bones towards `pole`; return its elbow and the wrist, pulled in where out of reach."""
    reach = wrist - shoulder
    distance = float(np.linalg.norm(reach))
    along = reach / max(distance, 1e-6)
    distance = min(max(distance, abs(upper - fore) + 0.01), 0.995 * (upper + fore))
    forward = (upper**2 - fore**2 + distance**2) / (2 * distance)
    side = pole - along * np.dot(pole, along)
    side = side / max(float(np.linalg.norm(side)), 1e-6)
    joint = shoulder + along * forward + side * np.sqrt(max(upper**2 - forward**2, 0.0))
    return joint.astype(np.float32), (shoulder + along * distance).astype(np.float32)


def draw_arm(canvas: Canvas, look: Look, shoulder: Floats, joint: Floats, wrist: Floats, scale: float) -> None:
    """Paint an arm and its sleeve; points are (3,) canvas pixels, `scale` is canvas pixels a metre."""
    # The sleeve's top goes into the shirt, so that no ball shows at the shoulder.
    sunk = shoulder - np.array([0, 0, 0.018 * scale], np.float32)
    skin = [cone(joint, wrist, 0.038 * scale, 0.0245 * scale)]
    if look.sleeve > 0:
        cuff = joint + look.sleeve * (wrist - joint)
        sleeve = [cone(sunk, joint, 0.056 * scale, 0.044 * scale), cone(joint, cuff, 0.044 * scale, 0.035 * scale)]
    else:
        skin.append(cone(shoulder, joint, 0.044 * scale, 0.039 * scale))
        sleeve = [cone(sunk, shoulder + 0.60 * (joint - shoulder), 0.056 * scale, 0.053 * scale)]
    patch, height = union_of(canvas, skin, 0.01 * scale)
    canvas.paint(patch, height, np.array(look.skin, np.float32), soft=1, shine=0.05)
    patch, height = union_of(canvas, sleeve, 0.02 * scale)
    folds = noise(canvas.side, 0.012 * scale, 3)[patch.rows, patch.columns]
    canvas.paint(patch, height + folds * np.float32(0.0012 * scale), np.array(look.shirt, np.float32), soft=0, shine=0)


def union_of(canvas: Canvas, cones: list[Cone], smoothing: float) -> tuple[Patch, Floats]:
    """Return the patch around some cones and their melted height field."""
    patch = canvas.patch_around(cones)
    return patch, union(patch, cones, smoothing)


def _palm_cones(points: Floats, axes: Floats, wrist: Floats, joint: Floats, unit: float) -> list[Cone]:
    thumb_base, thumb_knuckle = points[1], points[2]
    knuckles = points[[5, 9, 13, 17]]
    to_thumb, to_fingers, out = axes * unit

    def at(x: float, y: float, z: float = 0.0) -> Floats:
        result: Floats = wrist + x * to_thumb + y * to_fingers + z * out
        return result

    starts = (at(0.013, 0.012), at(0.004, 0.010), at(-0.006, 0.010), at(-0.014, 0.012))
    radii = (0.0122, 0.0122, 0.0116, 0.0105)
    cones = [cone(s, k, 0.0165 * unit, r * unit) for s, k, r in zip(starts, knuckles, radii, strict=True)]
    cones += [cone(a, b, 0.0105 * unit, 0.0105 * unit) for a, b in pairwise(knuckles)]
    cones.append(cone(at(-0.014, 0.014, 0.004), at(-0.030, 0.052, 0.004), 0.0150 * unit, 0.0120 * unit))
    cones.append(cone(at(0.010, 0.012, 0.004), thumb_base, 0.0165 * unit, 0.0165 * unit))
    cones.append(cone(thumb_base, thumb_knuckle, 0.0170 * unit, 0.0130 * unit))
    web = at(0.018, 0.062)
    cones.append(cone(web, 0.35 * thumb_base + 0.65 * thumb_knuckle, 0.0110 * unit, 0.0095 * unit))
    forearm = (joint - wrist) / max(float(np.linalg.norm(joint - wrist)), 1e-3)
    cones.append(cone(wrist + 0.05 * unit * forearm, wrist, 0.0255 * unit, 0.0235 * unit))
    cones.append(cone(wrist, at(0.0, 0.014), 0.0235 * unit, 0.0200 * unit))
    return cones


def draw_hand(canvas: Canvas, look: Look, hand: Hand, points: Floats, joint: Floats, unit: float) -> None:
    """Paint a hand.

    Args:
        canvas: where to paint.
        look: whose hand it is.
        hand: its axes and nails.
        points: (21, 3) joints in canvas pixels.
        joint: (3,) the elbow, in canvas pixels.
        unit: canvas pixels a metre of the average hand.
    """
    chains = [points[1:5], *(points[5 + 4 * f : 9 + 4 * f] for f in range(4))]
    radii = [np.array(_THUMB_RADII), *(np.array(_FINGER_RADII) * g for g in _FINGER_GIRTH)]
    fingers = [
        [cone(c[b], c[b + 1], r[b] * unit, r[b + 1] * unit) for b in range(3)]
        for c, r in zip(chains, radii, strict=True)
    ]
    wrist = points[0] - unit * (WRIST @ hand.axes)
    palm = _palm_cones(points, hand.axes, wrist, joint, unit)
    patch = canvas.patch_around([*palm, *(c for finger in fingers for c in finger)])
    palm_height = union(patch, palm, 0.010 * unit)
    height = palm_height.copy()
    tint = np.ones((*patch.shape, 3), np.float32)
    for finger, (bones, chain) in enumerate(zip(fingers, chains, strict=True)):
        rows, columns = _window(patch, bones)
        x, y = patch.x[:, columns], patch.y[rows]
        if not (x.size and y.size):
            continue
        own = np.full((y.shape[0], x.shape[1]), EMPTY, np.float32)
        for bone in bones:
            own = smooth_max(own, cone_height(x, y, bone), 0.002 * unit)
        merged = smooth_max(own, palm_height[rows, columns], 0.006 * unit)
        nearer = (merged > height[rows, columns]) & (own > EMPTY)
        marks = _finger_marks(look, hand, finger, chain, float(radii[finger][3]) * unit, x, y)
        np.copyto(tint[rows, columns], marks, where=nearer[..., None])
        np.maximum(height[rows, columns], merged, out=height[rows, columns])
    if hand.axes[2, 2] > 0.2:
        tint *= _palm_marks(hand, wrist, unit, patch)[..., None]
    grain = noise(canvas.side, 1.2, 5)[patch.rows, patch.columns, None] * np.float32(0.012)
    canvas.paint(patch, height, np.array(look.skin, np.float32) * (tint + grain), soft=1, shine=0.07)


def _window(patch: Patch, bones: list[Cone]) -> tuple[slice, slice]:
    parts = [patch.inner(bone) for bone in bones]
    return (
        slice(min(p[0].start for p in parts), max(p[0].stop for p in parts)),
        slice(min(p[1].start for p in parts), max(p[1].stop for p in parts)),
    )


def _finger_marks(
    look: Look, hand: Hand, finger: int, chain: Floats, tip_radius: float, x: Floats, y: Floats
) -> Floats:
    """Return (h, w, 3) factors on the skin: rosy tip, creases over the joints, and the nail where it can be seen."""
    rosy = np.exp(-((x - chain[3, 0]) ** 2 + (y - chain[3, 1]) ** 2) / np.float32((2.2 * tip_radius) ** 2))
    factors = 1 + rosy[..., None] * np.array([0.03, -0.07, -0.06], np.float32)
    for joint in (1, 2):
        bone = chain[joint, :2] - chain[joint - 1, :2]
        length = float(np.hypot(*bone))
        if length > 3 * tip_radius * 0.5:
            along = ((x - chain[joint, 0]) * bone[0] + (y - chain[joint, 1]) * bone[1]) / np.float32(length)
            factors *= (1 - np.float32(0.13) * np.exp(-((along / np.float32(0.16 * tip_radius + 0.6)) ** 2)))[..., None]
    facing = float(hand.dorsal[finger, 2])
    if facing > 0.25:
        direction = chain[3, :2] - chain[2, :2]
        direction = direction / max(float(np.hypot(*direction)), 1e-3)
        center = chain[3, :2] + hand.dorsal[finger, :2] * tip_radius * 0.7 + direction * tip_radius * 0.25
        along = ((x - center[0]) * direction[0] + (y - center[1]) * direction[1]) / np.float32(tip_radius * 0.95)
        across = (x - center[0]) * direction[1] - (y - center[1]) * direction[0]
        across /= np.float32(tip_radius * 0.62 * facing)
        nail = 1 / (1 + np.exp(np.clip(6 * (along**2 + across**2 - 1), -30, 30)))
        target = np.array(look.nail, np.float32) / np.array(look.skin, np.float32)
        factors += nail[..., None] * (target - factors) * np.float32(0.75)
    result: Floats = factors.astype(np.float32, copy=False)
    return result


def _palm_marks(hand: Hand, wrist: Floats, unit: float, patch: Patch) -> Floats:
    """Return an (h, w) factor with the palm's three lines."""
    dark = np.zeros(patch.shape, np.float32)
    to_thumb, to_fingers = hand.axes[0, :2] * unit, hand.axes[1, :2] * unit
    lines = (
        ((-0.036, 0.056), (-0.010, 0.060), (0.010, 0.076)),
        ((0.030, 0.066), (0.004, 0.054), (-0.026, 0.040)),
        ((0.030, 0.064), (0.008, 0.046), (0.004, 0.014)),
    )
    for line in lines:
        ends = [wrist[:2] + a * to_thumb + b * to_fingers for a, b in line]
        for start, end in pairwise(ends):
            step = end - start
            px, py = patch.x - start[0], patch.y - start[1]
            along = np.clip((px * step[0] + py * step[1]) / np.float32(max(float(step @ step), 1e-3)), 0, 1)
            gap = np.hypot(px - along * step[0], py - along * step[1])
            dark = np.maximum(dark, np.exp(-((gap / np.float32(0.0022 * unit)) ** 2)))
    result: Floats = (1 - np.float32(0.14) * dark).astype(np.float32)
    return result
