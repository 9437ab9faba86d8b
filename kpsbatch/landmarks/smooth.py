"""Smoothing that looks as far ahead as back, so that it has no lag, and that leaves movement alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REACH = 4
"""Frames to each side that count."""

NOISE = 0.02
"""Units of the body: what a point is off by chance. Places farther away than this count little."""


def smooth(tracks: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each point's mean with its neighbours in time that lie near it: a bilateral filter (Tomasi and Manduchi, 1998).

    A point at rest is averaged over 2 `REACH` + 1 frames; one that moves by more than `NOISE` from frame to frame keeps
    its place, for the frames around it lie too far away to count.

    Args:
        tracks: (T, N, D), NaN where unknown.
        unit: (T,) of the body, in the tracks' units.
    """
    count = len(tracks)
    total = np.zeros_like(tracks)
    weights = np.zeros((*tracks.shape[:2], 1))
    for shift in range(-REACH, REACH + 1):
        here = slice(max(0, -shift), min(count, count - shift))
        there = slice(max(0, shift), min(count, count + shift))
        if here.start >= here.stop:
            continue
        off = np.linalg.norm((tracks[there] - tracks[here])[..., :2], axis=-1, keepdims=True) / (
            NOISE * unit[here, None, None]
        )
        weight = np.exp(-0.5 * off**2 - 0.5 * (2 * shift / REACH) ** 2)
        known = np.isfinite(weight)
        total[here] += np.where(known, weight * tracks[there], 0)
        weights[here] += np.where(known, weight, 0)
    return np.where(weights > 0, total / np.maximum(weights, 1e-12), tracks)
