"""MediaPipe's detectors of people, faces and palms: from raw numbers to boxes with key points.

Anchors, decoding and the merging of overlapping boxes are those of MediaPipe's SsdAnchorsCalculator,
TensorsToDetectionsCalculator and NonMaxSuppressionCalculator (weighted), with the options of the pose, face and hand
detector graphs of the Tasks API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

RGB = NDArray[np.uint8]
Floats = NDArray[np.float32]

OVERLAP = 0.3
"""Boxes that share this much (intersection over union) are one thing: `min_suppression_threshold` of all three."""

RAW_SCORE_LIMIT = 100.0
"""Raw scores are cut to plus and minus this: `score_clipping_thresh`."""


class RunsNetwork(Protocol):
    """What a detector needs of its network."""

    side: int

    def run(self, picture: RGB) -> list[Floats]:
        """The outputs for a picture."""


@dataclass(frozen=True)
class Detection:
    """One thing that a detector found, in sides of its picture.

    Attributes:
        score: 0 to 1.
        box: x, y of the corner nearest to 0, x, y of the other one.
        points: (K, 2) key points.
    """

    score: float
    box: Floats
    points: Floats


@dataclass(frozen=True)
class Detector:
    """A detector network with its (N, 2) anchors, centres in picture sides."""

    network: RunsNetwork
    anchors: Floats

    @property
    def side(self) -> int:
        """Of its picture, in pixels."""
        return self.network.side

    def find(self, picture: RGB, least_score: float) -> list[Detection]:
        """What is in a picture, the highest score first.

        Args:
            picture: (side, side, 3) RGB.
            least_score: Of what is given.
        """
        scores, boxes = self.network.run(picture)
        return merge(decode(scores, boxes.reshape(len(scores), -1), self.anchors, self.side, least_score))


def make_anchors(side: int, layers: list[tuple[int, int]]) -> Floats:
    """Centres of the anchors: for each layer of (stride, anchors a cell) row by row, in picture sides."""
    centres = []
    for stride, count in layers:
        cells = side // stride
        middles = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(middles, middles)
        centres.append(np.repeat(np.column_stack([x.ravel(), y.ravel()]), count, axis=0))
    return np.asarray(np.concatenate(centres), np.float32)


def pose_anchors() -> Floats:
    """Anchors of the pose detector."""
    return make_anchors(224, [(8, 2), (16, 2), (32, 6)])


def face_anchors() -> Floats:
    """Anchors of the short-range face detector."""
    return make_anchors(128, [(8, 2), (16, 6)])


def palm_anchors() -> Floats:
    """Anchors of the palm detector."""
    return make_anchors(192, [(8, 2), (16, 6)])


def decode(scores: Floats, boxes: Floats, anchors: Floats, side: int, least_score: float) -> list[Detection]:
    """Raw numbers to things found, with a score of `least_score` or more, the highest score first.

    Args:
        scores: (N,) raw.
        boxes: (N, 4 + 2K) centre, size and key points in pixels; all but the size relative to the anchor.
        anchors: (N, 2).
        side: Of the picture, in pixels.
        least_score: 0 to 1.
    """
    probabilities = sigmoid(scores)
    found = []
    for number in np.flatnonzero(probabilities >= least_score):
        raw, anchor = boxes[number] / np.float32(side), anchors[number]
        centre, half = raw[:2] + anchor, raw[2:4] / 2
        points = raw[4:].reshape(-1, 2) + anchor
        found.append(Detection(float(probabilities[number]), np.concatenate([centre - half, centre + half]), points))
    return sorted(found, key=lambda one: -one.score)


def sigmoid(raw: ArrayLike) -> NDArray[np.float64]:
    """Raw numbers of a network to 0 to 1; in float64, so that it is the same on all processors."""
    clipped = np.clip(np.asarray(raw, np.float64), -RAW_SCORE_LIMIT, RAW_SCORE_LIMIT)
    return np.asarray(1 / (1 + np.exp(-clipped)))


def merge(found: list[Detection]) -> list[Detection]:
    """Boxes that overlap become one: their mean, weighted by score."""
    merged, left = [], list(found)
    while left:
        overlapping = [one for one in left if intersection_over_union(left[0].box, one.box) > OVERLAP] or left[:1]
        left = [one for one in left if not any(one is other for other in overlapping)]
        weights = np.array([one.score for one in overlapping], np.float32)
        weights /= weights.sum()
        box = np.tensordot(weights, np.stack([one.box for one in overlapping]), 1)
        points = np.tensordot(weights, np.stack([one.points for one in overlapping]), 1)
        merged.append(Detection(overlapping[0].score, box, points))
    return merged


def intersection_over_union(one: Floats, other: Floats) -> float:
    """Of two boxes: x, y of one corner, x, y of the opposite one."""
    size = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0)
    areas = [max(float(np.prod(box[2:] - box[:2])), 0.0) for box in (one, other)]
    common = float(np.prod(size))
    return common / max(sum(areas) - common, 1e-12)
