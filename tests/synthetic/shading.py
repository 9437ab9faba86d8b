"""Round cones to height fields, height fields to light: a small orthographic renderer in NumPy."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Color = tuple[float, float, float]

EMPTY = np.float32(-1e4)
SUPERSAMPLING = 2
_KEY = np.array([-0.42, -0.58, 0.70], np.float32) / np.float32(np.linalg.norm([0.42, 0.58, 0.70]))
_FILL = np.array([0.75, -0.10, 0.65], np.float32) / np.float32(np.linalg.norm([0.75, 0.10, 0.65]))
_AMBIENT = (0.29, 0.29, 0.31)
_MAX_SLOPE = 3.0


@dataclass(frozen=True)
class Cone:
    """A tapered capsule: two spheres (x, y, z, radius in pixels) and everything between them."""

    start: Floats
    end: Floats


def cone(start: Floats, end: Floats, start_radius: float, end_radius: float) -> Cone:
    """Build a round cone between two (3,) points."""
    return Cone(np.append(start, start_radius).astype(np.float32), np.append(end, end_radius).astype(np.float32))


@dataclass(frozen=True)
class Patch:
    """A rectangle of the canvas and the pixel coordinates in it: `x` is (1, w), `y` is (h, 1)."""

    rows: slice
    columns: slice
    x: Floats
    y: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y.shape[0], self.x.shape[1]

    def inner(self, shape: Cone) -> tuple[slice, slice]:
        """Return the part of the patch, in its own indices, that can see the cone."""
        low = np.minimum(shape.start[:2] - shape.start[3], shape.end[:2] - shape.end[3])
        high = np.maximum(shape.start[:2] + shape.start[3], shape.end[:2] + shape.end[3])
        top, left = self.rows.start, self.columns.start
        height, width = self.shape
        x0, y0 = max(0, int(low[0]) - left), max(0, int(low[1]) - top)
        x1, y1 = min(width, int(high[0]) + 2 - left), min(height, int(high[1]) + 2 - top)
        return slice(y0, max(y0, y1)), slice(x0, max(x0, x1))


def cone_height(x: Floats, y: Floats, shape: Cone) -> Floats:
    """Return how near the camera the cone's surface is at each pixel, `EMPTY` where it isn't.

    The surface is the highest of the spheres along the axis; with the root's argument a parabola in the position
    along the axis, that maximum has a closed form.
    """
    dx, dy, dz, dr = (float(d) for d in shape.end - shape.start)
    ax, ay, az, ar = (float(a) for a in shape.start)
    px, py = x - np.float32(ax), y - np.float32(ay)
    curve = dr * dr - dx * dx - dy * dy
    linear = np.float32(2 * ar * dr) + np.float32(2 * dx) * px + np.float32(2 * dy) * py
    constant = np.float32(ar * ar) - px * px - py * py
    steep = max(-curve, 0.5)
    middle = linear * np.float32(0.5 / steep)
    root = np.sqrt(np.maximum(constant + np.float32(steep) * middle * middle, 0))
    along = np.clip(middle + root * np.float32(dz / np.sqrt(steep * (steep + dz * dz))), 0, 1)
    inside = constant + (linear + np.float32(curve) * along) * along
    height = np.float32(az) + np.float32(dz) * along + np.sqrt(np.maximum(inside, 0))
    return np.where(inside > 0, height, EMPTY).astype(np.float32, copy=False)


def smooth_max(first: Floats, second: Floats, width: float) -> Floats:
    """Return the larger height, with the crease between the two filled over `width` pixels."""
    blend = np.maximum(np.float32(width) - np.abs(first - second), 0)
    blend *= first > EMPTY
    result: Floats = np.maximum(first, second) + blend * blend * np.float32(0.25 / width)
    return result


def union(patch: Patch, cones: list[Cone], smoothing: float) -> Floats:
    """Return the (h, w) height field of cones melted into each other."""
    height = np.full(patch.shape, EMPTY, np.float32)
    for shape in cones:
        inner = patch.inner(shape)
        seen = height[inner]
        if seen.size:
            new = cone_height(patch.x[:, inner[1]], patch.y[inner[0]], shape)
            height[inner] = smooth_max(seen, new, smoothing)
    return height


@lru_cache(maxsize=8)
def noise(size: int, sigma: float, seed: int) -> Floats:
    """Return a fixed (size, size) field of unit-variance noise, blurred by `sigma` pixels."""
    field = np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32)
    if sigma > 0:
        field = cv2.GaussianBlur(field, (0, 0), sigma).astype(np.float32)
    result: Floats = field / field.std()
    result.setflags(write=False)
    return result


def normals(height: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the surface's unit normals as three (h, w) fields, from the slopes of the height field."""
    padded = cv2.copyMakeBorder(height, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    across = np.clip((padded[1:-1, 2:] - padded[1:-1, :-2]) * np.float32(0.5), -_MAX_SLOPE, _MAX_SLOPE)
    down = np.clip((padded[2:, 1:-1] - padded[:-2, 1:-1]) * np.float32(0.5), -_MAX_SLOPE, _MAX_SLOPE)
    scale = 1 / np.sqrt(across * across + down * down + 1)
    return -across * scale, -down * scale, scale


class Canvas:
    """A supersampled picture with depth, into which parts are painted in any order.

    Attributes:
        side: pixels a side, supersampling included.
        depth: (side, side), larger is nearer.
        color: (side, side, 3), RGB in 0..1.
        floor: the background's depth.
    """

    def __init__(self, background: Floats, floor: float) -> None:
        """Start from a (side, side, 3) background that stands at depth `floor`."""
        self.side = int(background.shape[0])
        self.color = background.copy()
        self.floor = np.float32(floor)
        self.depth = np.full((self.side, self.side), floor, np.float32)

    def copy(self) -> Canvas:
        """Return an independent canvas with the same content."""
        return copy.deepcopy(self)

    def patch(self, low: Floats, high: Floats) -> Patch:
        """Return the part of the canvas between two corners (x, y), cut at the border."""
        x0, y0 = (min(max(int(v), 0), self.side - 1) for v in low[:2])
        x1, y1 = (min(max(int(v) + 1, 1), self.side) for v in high[:2])
        x = np.arange(x0, max(x1, x0 + 1), dtype=np.float32)[None] + np.float32(0.5)
        y = np.arange(y0, max(y1, y0 + 1), dtype=np.float32)[:, None] + np.float32(0.5)
        return Patch(slice(y0, y0 + y.shape[0]), slice(x0, x0 + x.shape[1]), x, y)

    def patch_around(self, cones: list[Cone]) -> Patch:
        """Return the smallest patch that sees all the cones."""
        ends = np.array([end for shape in cones for end in (shape.start, shape.end)])
        reach = ends[:, 3:] + 2
        return self.patch((ends[:, :2] - reach).min(axis=0), (ends[:, :2] + reach).max(axis=0))

    def paint(self, patch: Patch, height: Floats, albedo: Floats, *, soft: float, shine: float) -> None:
        """Light a height field and put it where it is nearer than what is there.

        Args:
            patch: where.
            height: (h, w), `EMPTY` outside of the part.
            albedo: (h, w, 3) or (3,), RGB in 0..1.
            soft: how far light bleeds through the surface, red most: 1 for skin, 0 for cloth.
            shine: strength of the highlight.
        """
        depth = self.depth[patch.rows, patch.columns]
        front = height > depth
        if not front.any():
            return
        nx, ny, nz = normals(height)
        key = nx * _KEY[0] + ny * _KEY[1] + nz * _KEY[2]
        fill = np.maximum(nx * _FILL[0] + ny * _FILL[1] + nz * _FILL[2], 0) * np.float32(0.20)
        sky = np.float32(0.72) + np.float32(0.28) * nz
        half = np.maximum(nx * np.float32(-0.23) + ny * np.float32(-0.32) + nz * np.float32(0.92), 0)
        for _ in range(4):
            half *= half
        half *= np.float32(shine)
        wraps = (0.25 + 0.30 * soft, 0.25 + 0.10 * soft, 0.25)
        target = self.color[patch.rows, patch.columns]
        for channel, (wrap, ambient) in enumerate(zip(wraps, _AMBIENT, strict=True)):
            light = np.maximum(key + np.float32(wrap), 0) * np.float32(0.66 / (1 + wrap))
            light += fill
            light += sky * np.float32(ambient)
            np.copyto(target[..., channel], albedo[..., channel] * light + half, where=front)
        np.copyto(depth, height, where=front)

    def finish(self, scale: float, seed: int) -> NDArray[np.uint8]:
        """Darken what stands behind a nearer edge, shrink, and return the (size, size, 3) RGB picture.

        Args:
            scale: canvas pixels a metre.
            seed: of the sensor noise.
        """
        size = self.side // SUPERSAMPLING
        # A dark line behind every near edge, except on the background, which is far behind everything.
        edge = (self._blurred(self.depth, 0.005 * scale) - self.depth) * np.float32(1 / (0.020 * scale))
        line = np.float32(0.34) * np.clip(edge, 0, 1) * (self.depth > self.floor)
        color = self.color * (1 - line)[..., None]
        small: Floats = cv2.resize(color, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
        depth: Floats = cv2.resize(self.depth, (size, size), interpolation=cv2.INTER_AREA).astype(
            np.float32, copy=False
        )
        # A soft shadow, thrown down and to the right by the key light.
        reach = scale / SUPERSAMPLING
        move = np.array([[1, 0, 0.009 * reach], [0, 1, 0.015 * reach]], np.float32)
        thrown = cv2.warpAffine(
            self._blurred(depth, 0.022 * reach), move, (size, size), borderMode=cv2.BORDER_REPLICATE
        )
        shadow = np.clip((thrown - depth) * np.float32(1 / (0.13 * scale)), 0, 1)
        small *= (1 - np.float32(0.36) * shadow)[..., None]
        small = cv2.GaussianBlur(small, (0, 0), 0.55).astype(np.float32, copy=False)
        small += noise(size, 0.0, seed % 4)[..., None] * np.float32(0.006)
        rounded: NDArray[np.uint8] = np.clip(small * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
        return rounded

    @staticmethod
    def _blurred(field: Floats, sigma: float) -> Floats:
        side = max(1, round(2 * sigma)) | 1
        return cv2.blur(cv2.blur(field, (side, side)), (side, side)).astype(np.float32, copy=False)
