"""The networks of the bundles, each run on a picture of exactly its own size; their numbers as MediaPipe reads them.

MediaPipe's public image embedder runs any network that takes a picture and gives floats, its own operators included,
and resamples nothing where the picture has the network's size. So what is cut out is decided here, on every release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.clip.detectors import Detector, face_detector, palm_detector, pose_detector, sigmoid
from kpsbatch.landmarks.clip.network_edits import HEATMAP_CELL, HEATMAP_REACH, EditedNetwork

RGB = NDArray[np.uint8]
Floats = NDArray[np.float32]

HEATMAP_CONFIDENCE = 0.5
"""From here on the heatmap refines a pose landmark: `min_confidence_to_refine` of MediaPipe's pose landmark graphs."""

HAND_DEPTH = 0.4
"""The hand network's z is in this share of its picture: `normalize_z` of MediaPipe's hand landmark graphs."""


class PoseReading(NamedTuple):
    """What the pose network says: presence 0 to 1; (39, 4) x, y, z in picture sides and visibility."""

    presence: float
    points: Floats


class FaceReading(NamedTuple):
    """What the face network says: presence 0 to 1; (478, 3) x, y, z in picture sides."""

    presence: float
    points: Floats


class HandReading(NamedTuple):
    """What the hand network says: presence 0 to 1, how much it is a right hand 0 to 1, (21, 3) in picture sides."""

    presence: float
    right: float
    points: Floats


class Network:
    """One network; `run` gives its outputs for a picture of `side` x `side` pixels."""

    def __init__(self, network: EditedNetwork, make: Callable[[bytes], Any], read: Callable[[Any, RGB], Any]) -> None:
        """Load a network that was edited for the embedder.

        Args:
            network: The network.
            make: Makes an image embedder of its bytes.
            read: Runs an image embedder on a picture, and reads the network's outputs.
        """
        self.side = network.side
        self._embedder = make(network.data)
        self._read = read
        self.runs = 0

    def run(self, picture: RGB) -> list[Floats]:
        """The network's outputs, flat.

        Args:
            picture: (side, side, 3) RGB, contiguous.
        """
        self.runs += 1
        outputs: list[Floats] = self._read(self._embedder, picture)
        return outputs

    def close(self) -> None:
        """Free it; safe to call twice."""
        embedder, self._embedder = self._embedder, None
        if embedder is not None:
            with suppress(RuntimeError, ValueError):
                embedder.close()


class Networks:
    """The networks that `clip` mode needs; close them."""

    def __init__(
        self,
        networks: Mapping[str, EditedNetwork],
        make: Callable[[bytes], Any],
        read: Callable[[Any, RGB], Any],
    ) -> None:
        """Load all of them; `make` and `read` as for `Network`."""
        self._loaded: dict[str, Network] = {}
        for name, network in networks.items():
            self._loaded[name] = Network(network, make, read)
        self.pose_detector = Detector(self._loaded["pose_detector"], pose_detector())
        self.face_detector = Detector(self._loaded["face_detector"], face_detector())
        self.palm_detector = Detector(self._loaded["hand_detector"], palm_detector())

    @property
    def runs(self) -> dict[str, int]:
        """How often each network has run."""
        return {name: network.runs for name, network in self._loaded.items()}

    @property
    def pose_side(self) -> int:
        """Side of the pose network's picture."""
        return self._loaded["pose_landmarks_detector"].side

    @property
    def face_side(self) -> int:
        """Side of the face network's picture."""
        return self._loaded["face_landmarks_detector"].side

    @property
    def hand_side(self) -> int:
        """Side of the hand network's picture."""
        return self._loaded["hand_landmarks_detector"].side

    def pose(self, picture: RGB) -> PoseReading:
        """The pose of a picture that one person fills."""
        network = self._loaded["pose_landmarks_detector"]
        presence, landmarks, around = network.run(picture)
        return PoseReading(float(presence[0]), read_pose(landmarks, around, network.side))

    def face(self, picture: RGB) -> FaceReading:
        """The face of a picture that one face fills."""
        network = self._loaded["face_landmarks_detector"]
        presence, landmarks = network.run(picture)
        return FaceReading(float(sigmoid(presence[0])), landmarks.reshape(-1, 3) / np.float32(network.side))

    def hand(self, picture: RGB) -> HandReading:
        """The hand of a picture that one hand fills, fingers up."""
        network = self._loaded["hand_landmarks_detector"]
        presence, right, landmarks = network.run(picture)
        points = landmarks.reshape(-1, 3) / np.float32(network.side)
        points[:, 2] /= np.float32(HAND_DEPTH)
        return HandReading(float(presence[0]), float(right[0]), points)

    def close(self) -> None:
        """Free them; safe to call twice."""
        for network in self._loaded.values():
            network.close()


def read_pose(landmarks: Floats, around: Floats, side: int) -> Floats:
    """The pose network's numbers as MediaPipe reads them, refined by the heatmap.

    A landmark moves to the mean of the cells around it, weighted by their confidences, if one of these is sure: that is
    MediaPipe's RefineLandmarksFromHeatmapCalculator. The sums are float64, so that they are the same on all processors.

    Args:
        landmarks: (195,) x, y, z in pixels, raw visibility and presence of 39 points.
        around: (39 * 7 * 7,) raw confidences of the heatmap's cells around them, as of `cells_around`.
        side: Of the network's picture, in pixels.

    Returns:
        (39, 4) x, y, z in picture sides, and visibility 0 to 1.
    """
    raw = landmarks.reshape(-1, 5)
    points = raw[:, :4] / np.float32(side)
    points[:, 3] = sigmoid(raw[:, 3])
    cells = side // HEATMAP_CELL
    inside = np.flatnonzero(((points[:, :2] >= 0) & (points[:, :2] < 1)).all(axis=1))
    reach = np.arange(-HEATMAP_REACH, HEATMAP_REACH + 1)
    places = (points[inside, :2, None] * cells).astype(int) + reach
    columns, rows = places[:, 0], places[:, 1]  # (points, 7) each
    confidence = sigmoid(around.reshape(-1, len(reach), len(reach))[inside])
    confidence *= ((rows >= 0) & (rows < cells))[:, :, None] & ((columns >= 0) & (columns < cells))[:, None, :]
    total = confidence.sum(axis=(1, 2))
    sure = confidence.max(axis=(1, 2)) >= HEATMAP_CONFIDENCE
    x = (confidence * columns[:, None, :]).sum(axis=(1, 2))
    y = (confidence * rows[:, :, None]).sum(axis=(1, 2))
    points[inside[sure], 0] = x[sure] / total[sure] / cells
    points[inside[sure], 1] = y[sure] / total[sure] / cells
    return points
