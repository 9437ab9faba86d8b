"""Torso, neck and head."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .arms import union_of
from .hand import Floats
from .looks import Look
from .shading import EMPTY, Canvas, Patch, cone, noise

_HEAD_DEPTH = 0.092
_LIPS = 0.636
"""Where the lips meet, in half heights of the face below its middle."""


def draw_torso(canvas: Canvas, look: Look, chest: Floats, scale: float) -> None:
    """Paint neck and shirt; `chest` is the point between the shoulder joints in canvas pixels."""

    def at(x: float, y: float, z: float = 0.0) -> Floats:
        result: Floats = chest + np.array([x, y, z], np.float32) * np.float32(scale)
        return result

    neck = [cone(at(0, -0.14), at(0, -0.04), 0.052 * scale, 0.058 * scale)]
    neck += [cone(at(0, -0.04), at(s * 0.03, 0.045), 0.058 * scale, 0.05 * scale) for s in (-1, 1)]
    patch, height = union_of(canvas, neck, 0.03 * scale)
    canvas.paint(patch, height, np.array(look.skin, np.float32) * np.float32(0.97), soft=1, shine=0.03)
    wide = look.shoulder
    shirt = []
    for s in (-1, 1):
        shirt.append(cone(at(s * 0.040, -0.045, -0.02), at(s * wide, 0.004, -0.01), 0.036 * scale, 0.056 * scale))
        shirt.append(cone(at(s * (wide - 0.075), 0.07), at(s * (wide - 0.098), 0.34), 0.096 * scale, 0.084 * scale))
        shirt.append(cone(at(s * (wide - 0.098), 0.34), at(s * (wide - 0.088), 0.62), 0.084 * scale, 0.092 * scale))
        shirt.append(cone(at(s * wide, 0.006), at(s * (wide - 0.068), 0.11), 0.054 * scale, 0.088 * scale))
    shirt.append(cone(at(0, 0.075, 0.005), at(0, 0.60, 0.005), 0.100 * scale, 0.100 * scale))
    patch, height = union_of(canvas, shirt, 0.02 * scale)
    height = _ironed(height, 0.016 * scale)
    folds = noise(canvas.side, 0.020 * scale, 1)[patch.rows, patch.columns]
    weave = noise(canvas.side, 0.7, 2)[patch.rows, patch.columns]
    px, py = (patch.x - chest[0]) / np.float32(scale), (patch.y - chest[1]) / np.float32(scale)
    opening = (px / 0.058) ** 2 + ((py + 0.045) / 0.070) ** 2
    rim = np.exp(-(((opening - 1.16) / 0.12) ** 2))
    height = np.where(opening < 1, EMPTY, height + folds * np.float32(0.0016 * scale)).astype(np.float32)
    shade = (1 + np.float32(0.03) * weave - np.float32(0.22) * rim).astype(np.float32)
    canvas.paint(patch, height, np.array(look.shirt, np.float32) * shade[..., None], soft=0, shine=0.0)


def _ironed(height: Floats, sigma: float) -> Floats:
    """Return the height field without the creases between its cones; its outline stays."""
    there = (height > EMPTY).astype(np.float32)
    total = cv2.GaussianBlur(np.where(there > 0, height, 0).astype(np.float32), (0, 0), sigma)
    weight = cv2.GaussianBlur(there, (0, 0), sigma)
    return np.where(there > 0, total / np.maximum(weight, np.float32(1e-3)), EMPTY).astype(np.float32)


def _smooth(low: float, high: float, value: NDArray[np.floating[Any]]) -> Floats:
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    result: Floats = t * t * (3 - 2 * t)
    return result


def _bump(u: Floats, v: Floats, x: float, y: float, width: float, height: float) -> Floats:
    across, down = (u - np.float32(x)) / np.float32(width), (v - np.float32(y)) / np.float32(height)
    result: Floats = np.exp(-across * across - down * down)
    return result


def _mix(base: Floats, color: tuple[float, ...], weight: NDArray[np.floating[Any]]) -> Floats:
    result: Floats = base + weight[..., None] * (np.array(color, np.float32) - base)
    return result


def draw_head(
    canvas: Canvas,
    look: Look,
    center: Floats,
    turn: tuple[float, float],
    scale: float,
    closed: float = 0.0,
    opened: float = 0.0,
) -> None:
    """Paint head, face and hair.

    Args:
        canvas: where to paint.
        look: whose head it is.
        center: (3,) canvas pixels, the middle of the face.
        turn: how far the face is turned to the right of the picture and down, in radians (small).
        scale: canvas pixels a metre.
        closed: how far the eyes are closed, 0 to 1.
        opened: how far the mouth is open, in half heights of the face.
    """
    a, b = look.face[0] * scale, look.face[1] * scale
    reach = np.array([1.20 * a, 1.24 * b, 0], np.float32)
    if look.long_hair:
        _draw_long_hair(canvas, look, center, a, b)
    else:
        _draw_ears(canvas, look, center, a, b)
    patch = canvas.patch(center - reach, center + reach)
    u, v = (patch.x - center[0]) / np.float32(a), (patch.y - center[1]) / np.float32(b)
    u, v = np.broadcast_arrays(u, v)
    jaw = 1 - np.float32(0.30) * _smooth(0.15, 1.15, v)
    inside = 1 - (u / jaw) ** 2 - np.abs(v) ** np.float32(2.3)
    bulge = np.sqrt(np.maximum(inside, 0))
    # Features sit on a round surface: where the head turns, the nearer ones move further.
    fu, fv = u - np.float32(turn[0]) * bulge, v - np.float32(turn[1]) * bulge
    relief = _face_relief(fu, fv)
    height = np.where(inside > 0, center[2] + (bulge + relief) * np.float32(_HEAD_DEPTH * scale), EMPTY)
    albedo = _face_albedo(look, fu, fv, b / a, closed, opened)
    grain = noise(canvas.side, 1.0, 4)[patch.rows, patch.columns, None] * np.float32(0.010)
    canvas.paint(patch, height.astype(np.float32), albedo + grain, soft=1, shine=0.06)
    _draw_hair(canvas, look, center, patch, (u, v, fu, fv), scale)


def _face_relief(u: Floats, v: Floats) -> Floats:
    """Return the face's relief over its ellipsoid, in head depths."""
    ridge = _smooth(-0.12, 0.36, v) * (1 - _smooth(0.36, 0.47, v))
    relief = np.float32(0.30) * ridge * np.exp(-((u / np.float32(0.15)) ** 2))
    for s in (-1, 1):
        relief = relief + 0.075 * _bump(u, v, s * 0.15, 0.37, 0.10, 0.07)
        relief -= 0.080 * _bump(u, v, s * 0.40, -0.03, 0.26, 0.12)
        relief += 0.035 * _bump(u, v, s * 0.40, -0.22, 0.30, 0.08)
        relief += 0.040 * _bump(u, v, s * 0.52, 0.28, 0.26, 0.20)
        relief += 0.030 * _bump(u, v, s * 0.40, 0.0, 0.16, 0.06)
    relief += 0.055 * _bump(u, v, 0, 0.585, 0.26, 0.045) + 0.060 * _bump(u, v, 0, 0.690, 0.22, 0.050)
    relief -= 0.030 * _bump(u, v, 0, 0.635, 0.28, 0.018) + 0.030 * _bump(u, v, 0, 0.785, 0.2, 0.04)
    relief += 0.060 * _bump(u, v, 0, 0.90, 0.24, 0.12)
    result: Floats = relief.astype(np.float32)
    return result


def _face_albedo(look: Look, u: Floats, v: Floats, aspect: float, closed: float, opened: float) -> Floats:
    """Return the face's (h, w, 3) colours: skin, eyes, brows, nostrils, lips and a beard's shadow."""
    below = v - np.float32(_LIPS)
    gap = (below > 0) & (below < opened * np.sqrt(np.clip(1 - (u / 0.30) ** 2, 0, 1))) if opened else None
    v = np.where(below > opened, v - np.float32(opened), np.minimum(v, np.float32(_LIPS))) if opened else v
    albedo = np.broadcast_to(np.array(look.skin, np.float32), (*u.shape, 3)).copy()
    blush = sum(_bump(u, v, s * 0.52, 0.30, 0.25, 0.16) for s in (-1, 1)) + 0.5 * _bump(u, v, 0, 0.36, 0.15, 0.1)
    albedo *= 1 + np.asarray(blush, np.float32)[..., None] * np.array([0.02, -0.09, -0.08], np.float32)
    if look.beard:
        cheeks = _smooth(0.30, 0.55, v + 0.30 * (np.abs(u) - 0.6)) * _smooth(0.22, 0.32, np.abs(u) + np.abs(v - 0.62))
        moustache = _bump(u, v, 0, 0.515, 0.30, 0.035)
        beard = np.clip(cheeks * (1 - _bump(u, v, 0, 0.635, 0.30, 0.10)) + 0.8 * moustache, 0, 1)
        albedo = _mix(albedo, look.hair, look.beard * beard)
    v = v + 0.18 * u**2 * _smooth(0.35, 0.55, v)
    mouth = np.clip((1 - (u / 0.335) ** 2) * 1.0, 0, 1)
    upper = _smooth(0.0, 0.35, (v - 0.545 - 0.012 * np.cos(9 * u)) / 0.09 + mouth - 1.0) * (v < _LIPS)
    lower = _smooth(0.0, 0.35, (0.745 - v) / 0.11 + mouth - 1.0) * (v >= _LIPS)
    albedo = _mix(albedo, look.lips, 0.75 * np.clip(upper + lower, 0, 1) * (mouth > 0))
    line = np.exp(-(((v - _LIPS + 0.012 * np.cos(7 * u)) / 0.013) ** 2)) * (mouth > 0.02)
    albedo = _mix(albedo, (0.25, 0.11, 0.10), 0.75 * line)
    nostrils = sum(_bump(u, v, s * 0.095, 0.425, 0.052, 0.022) for s in (-1, 1))
    albedo = _mix(albedo, (0.22, 0.10, 0.08), 0.75 * np.clip(np.asarray(nostrils), 0, 1))
    if gap is not None:
        albedo = _mix(albedo, (0.16, 0.05, 0.05), gap.astype(np.float32))
    for s in (-1, 1):
        du = (u - s * np.float32(0.405)) * s
        near = (np.abs(du) < 0.37) & (v > -0.45) & (v < 0.12)
        if near.any():
            rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
            window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            albedo[window] = _eye(look, albedo[window], du[window], v[window], aspect, closed)
    return albedo.astype(np.float32)


def _eye(look: Look, albedo: Floats, du: Floats, v: Floats, aspect: float, closed: float) -> Floats:
    """Add an eye and its brow; `du` grows from the eye's middle towards the temple."""
    open_up = (0.085 - 0.143 * closed) * np.clip(1 - (du / 0.235) ** 2, 0, 1) ** 0.7
    open_down = 0.058 * np.clip(1 - (du / 0.235) ** 2, 0, 1)
    y = v + 0.02 * du + 0.012
    eye = _smooth(-0.012, 0.012, np.minimum(y + open_up, open_down - y)) * (np.abs(du) < 0.235)
    white: Any = np.array([0.93, 0.91, 0.89], np.float32) * (1 - 0.45 * _smooth(0.0, -0.09, y))[..., None]
    albedo = albedo + eye[..., None] * (white - albedo)
    radius = np.hypot(du, (y + 0.010) * np.float32(aspect))
    albedo = _mix(albedo, look.iris, eye * (1 - _smooth(0.092, 0.118, radius)))
    albedo = _mix(albedo, (0.03, 0.03, 0.03), eye * (1 - _smooth(0.040, 0.058, radius)))
    glint = np.hypot(du + 0.035, (y + 0.045) * aspect) / 0.030
    albedo = _mix(albedo, (1.0, 1.0, 1.0), eye * 0.9 * np.exp(-glint * glint))
    lid = np.exp(-(((y + open_up) / 0.017) ** 2)) * (1 - _smooth(0.215, 0.255, np.abs(du)))
    albedo = _mix(albedo, (0.13, 0.08, 0.07), 0.85 * lid)
    crease = np.exp(-(((y + open_up + 0.055) / 0.018) ** 2)) * (1 - _smooth(0.16, 0.27, np.abs(du)))
    albedo = albedo * (1 - 0.20 * crease)[..., None]
    under = np.exp(-(((y - open_down) / 0.014) ** 2)) * (1 - _smooth(0.18, 0.25, np.abs(du)))
    albedo = albedo * (1 - 0.22 * under)[..., None]
    arch = v + 0.245 - 0.35 * (du - 0.06) ** 2 + 0.05 * du
    brow = np.exp(-((arch / (0.036 - 0.035 * du)) ** 2)) * (1 - _smooth(0.22, 0.33, np.abs(du - 0.02)))
    return _mix(albedo, look.hair, 0.85 * brow)


def _draw_hair(
    canvas: Canvas, look: Look, center: Floats, patch: Patch, grid: tuple[Floats, ...], scale: float
) -> None:
    u, v, fu, fv = grid
    wide, tall = (1.16, 1.17) if look.long_hair else (1.09, 1.13)
    inside = 1 - (u / wide) ** 2 - (np.maximum(np.abs(v + 0.03), 0) / tall) ** 2.2
    if look.long_hair:
        line = -0.66 + 1.05 * np.abs(fu - 0.12) ** 2.2
        low = 1.2
    else:
        line = -0.60 - 0.05 * np.cos(4 * fu) + 0.62 * np.abs(fu) ** 4.5
        low = -0.02
    strands = noise(canvas.side, 1.0, 6)[patch.rows, patch.columns]
    edge = _smooth(-0.02, 0.02, line + 0.008 * strands - fv) * (v < low)
    bulge = np.sqrt(np.maximum(inside, 0))
    waves = np.sin(26 * u + 5 * v + 0.6 * strands) * 0.010 + 0.006 * strands
    height = np.where(
        (inside > 0) & (edge > 0.5), center[2] + (1.06 * bulge + 0.05 + waves) * _HEAD_DEPTH * scale, EMPTY
    ).astype(np.float32)
    tone = (1 + 0.10 * strands)[..., None].astype(np.float32)
    canvas.paint(patch, height, np.array(look.hair, np.float32) * tone, soft=0, shine=0.10)


def _draw_ears(canvas: Canvas, look: Look, center: Floats, a: float, b: float) -> None:
    for s in (-1, 1):
        top = center + np.array([s * 1.01 * a, -0.02 * b, -0.25 * a], np.float32)
        lobe = center + np.array([s * 0.96 * a, 0.19 * b, -0.20 * a], np.float32)
        patch, height = union_of(canvas, [cone(top, lobe, 0.14 * a, 0.09 * a)], 1.0)
        canvas.paint(patch, height, np.array(look.skin, np.float32) * np.float32(0.92), soft=1, shine=0)


def _draw_long_hair(canvas: Canvas, look: Look, center: Floats, a: float, b: float) -> None:
    def at(x: float, y: float, z: float) -> Floats:
        result: Floats = center + np.array([x * a, y * b, z * a], np.float32)
        return result

    cones = [cone(at(s * 0.75, -0.2, -0.5), at(s * 1.02, 1.05, -0.45), 0.55 * a, 0.36 * a) for s in (-1, 1)]
    cones += [cone(at(s * 1.02, 1.05, -0.45), at(s * 0.95, 1.55, -0.2), 0.36 * a, 0.22 * a) for s in (-1, 1)]
    patch, height = union_of(canvas, cones, 0.3 * a)
    strands = noise(canvas.side, 1.0, 6)[patch.rows, patch.columns]
    waves = np.sin((patch.x - center[0]) * np.float32(22 / a) + strands).astype(np.float32)
    tone = (1 + 0.10 * strands + 0.10 * waves)[..., None]
    height = height + waves * np.float32(0.02 * a)
    canvas.paint(patch, height, np.array(look.hair, np.float32) * tone, soft=0, shine=0.06)
