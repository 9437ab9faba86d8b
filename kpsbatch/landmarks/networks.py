"""The six networks of one process, each run on a picture of its own size; their numbers as MediaPipe reads them.

MediaPipe's public image embedder runs any network that takes a picture and gives floats, its own operators included,
and resamples nothing where the picture has the network's size. So what is cut out is decided here, on every release.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import ModelError, of_the_machine
from kpsbatch.landmarks.detectors import Detector, face_anchors, palm_anchors, pose_anchors, sigmoid
from kpsbatch.landmarks.mediapipe_import import import_mediapipe
from kpsbatch.landmarks.network_files import NetworkFiles

RGB = NDArray[np.uint8]
Floats = NDArray[np.float32]

HEATMAP_CONFIDENCE = 0.5
"""From here on the heatmap refines a pose landmark: `min_confidence_to_refine` of MediaPipe's pose landmark graphs."""

HEATMAP_REACH = 3
"""Cells around a landmark that its refinement reads: `kernel_size: 7` in MediaPipe's pose landmark graphs."""

HEATMAP_CELL = 4
"""Pixels of the pose network's picture for each cell of its heatmap, in each direction."""

BODY_POINTS = 33
"""Of the pose network's points: those of the body; the rest tells where to look next."""

HAND_DEPTH = 0.4
"""The hand network's z is in this share of its picture: `normalize_z` of MediaPipe's hand landmark graphs."""


class Answer(NamedTuple):
    """What a landmark network says of a picture.

    Attributes:
        presence: That the part is there, 0 to 1.
        points: x, y, z in picture sides: (39, 4) with the visibility for a pose, (478, 3) a face, (21, 3) a hand.
        right: Of a hand: how much it is a right one, 0 to 1.
        world: Of a pose (33, 3) and a hand (21, 3): x, y, z in metres, in the directions of the picture.
    """

    presence: float
    points: Floats
    right: float = 0.5
    world: Floats | None = None


class Network:
    """One network."""

    def __init__(self, side: int, embedder: Any, read: Callable[[Any, RGB], list[Floats]]) -> None:
        """Take an image embedder of it, and what runs that on a picture of `side` x `side` pixels."""
        self.side = side
        self._embedder = embedder
        self._read = read
        self.runs = 0

    def run(self, picture: RGB) -> list[Floats]:
        """The network's outputs, flat.

        Args:
            picture: (side, side, 3) RGB, contiguous.
        """
        self.runs += 1
        return self._read(self._embedder, picture)

    def close(self) -> None:
        """Free it; safe to call twice. An earlier error, which MediaPipe repeats here, is not raised."""
        embedder, self._embedder = self._embedder, None
        if embedder is not None:
            try:
                embedder.close()
            except (RuntimeError, ValueError):
                embedder._handle = None  # or it is closed once more when it is collected, and fails or hangs there


class Networks:
    """The networks of one process, and the settings that they are used with.

    Close it (or use it in a `with`): garbage collection can deadlock.

    Attributes:
        settings: The `landmarks` section.
        pose_detector, face_detector, palm_detector: Find people, faces and palms in a picture.
    """

    def __init__(self, settings: LandmarksConfig, files: NetworkFiles) -> None:
        """Load all of them.

        Raises:
            ModelError: mediapipe is missing, a network is unusable, or there is no GPU for `delegate: gpu`.
        """
        os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's log messages, before it is imported
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        gpu = settings.delegate == "gpu"
        if not gpu:
            os.environ["MEDIAPIPE_DISABLE_GPU"] = "1"  # many processes would exhaust the GPU's contexts
        self._mp = import_mediapipe()
        self.settings = settings
        self._loaded: dict[str, Network] = {}
        embeddings = fastest_embeddings()
        try:
            for name, file in files.items():
                embedder = self._embedder(file.read(), gpu=gpu)
                self._loaded[name] = Network(
                    file.side, embedder, lambda embedder, picture: embeddings(embedder, self._image(picture))
                )
        except (RuntimeError, ValueError, NotImplementedError) as error:
            self.close()
            raise _unusable(error, gpu=gpu) from None
        except BaseException:
            self.close()
            raise
        self.pose_detector = Detector(self._loaded["pose_detector"], pose_anchors())
        self.face_detector = Detector(self._loaded["face_detector"], face_anchors())
        self.palm_detector = Detector(self._loaded["palm_detector"], palm_anchors())
        self.pose_side = self._loaded["pose_landmarks"].side
        self.face_side = self._loaded["face_landmarks"].side
        self.hand_side = self._loaded["hand_landmarks"].side

    def _embedder(self, network: bytes, *, gpu: bool) -> Any:
        vision, options = self._mp.tasks.vision, self._mp.tasks.BaseOptions
        delegate = options.Delegate.GPU if gpu else options.Delegate.CPU
        base = options(model_asset_buffer=network, delegate=delegate)
        return vision.ImageEmbedder.create_from_options(vision.ImageEmbedderOptions(base))

    def _image(self, picture: RGB) -> Any:
        return self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=picture)

    @property
    def runs(self) -> dict[str, int]:
        """How often each network has run."""
        return {name: network.runs for name, network in self._loaded.items()}

    def pose(self, picture: RGB) -> Answer:
        """The pose of a picture that one person fills, `pose_side` pixels wide."""
        presence, landmarks, around, world = self._loaded["pose_landmarks"].run(picture)
        points = read_pose(landmarks, around, self.pose_side)
        return Answer(float(presence[0]), points, world=world.reshape(-1, 3)[:BODY_POINTS])

    def face(self, picture: RGB) -> Answer:
        """The face of a picture that one face fills, `face_side` pixels wide."""
        presence, landmarks = self._loaded["face_landmarks"].run(picture)
        return Answer(float(sigmoid(presence[0])), landmarks.reshape(-1, 3) / np.float32(self.face_side))

    def hand(self, picture: RGB) -> Answer:
        """The hand of a picture that one hand fills, fingers up, `hand_side` pixels wide."""
        presence, right, landmarks, world = self._loaded["hand_landmarks"].run(picture)
        points = landmarks.reshape(-1, 3) / np.float32(self.hand_side)
        points[:, 2] /= np.float32(HAND_DEPTH)
        return Answer(float(presence[0]), points, float(right[0]), world.reshape(-1, 3))

    def close(self) -> None:
        """Free them; safe to call twice."""
        for network in self._loaded.values():
            network.close()

    def __enter__(self) -> Networks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unusable(error: Exception, *, gpu: bool) -> ModelError:
    if limited := of_the_machine(error):
        return ModelError(limited)
    reason = " ".join(str(error).split())[:200]
    if not gpu:
        return ModelError(f"the networks do not work with MediaPipe: {reason}. Check landmarks.models.")
    if "kGpuService" in reason:
        reason = "it finds none, or no OpenGL ES driver for it"
    return ModelError(f"landmarks.delegate: MediaPipe can't use a GPU here: {reason}. Set delegate: cpu.")


def public_embeddings(embedder: Any, image: Any) -> list[Floats]:
    """The outputs of an image embedder's network, flat, by the public API; it wraps each number in an object."""
    return [np.asarray(head.embedding, np.float32) for head in embedder.embed(image).embeddings]


def fastest_embeddings() -> Callable[[Any, Any], list[Floats]]:
    """The same out of the structures of MediaPipe's C interface, as `embed` does inside, where this release has them.

    It calls the C functions in this thread. The public API hands each call to a thread of its own, which takes longer.
    """
    try:
        from mediapipe.tasks.python.components.containers.embedding_result_c import MpEmbeddingResultC
        from mediapipe.tasks.python.core.mediapipe_c_utils import handle_status
        from mediapipe.tasks.python.core.serial_dispatcher import SerialDispatcher
    except ImportError:
        return public_embeddings
    if not hasattr(SerialDispatcher({}, ()), "_lib"):
        return public_embeddings

    def embeddings(embedder: Any, image: Any) -> list[Floats]:
        library, result, message = embedder._lib._lib, MpEmbeddingResultC(), ctypes.c_char_p()
        arguments = embedder._handle, image._image_ptr, None, ctypes.byref(result), ctypes.byref(message)
        if status := library.MpImageEmbedderEmbedImage(*arguments):
            try:
                handle_status(status, message)
            finally:
                library.MpErrorFree(message)
        try:
            heads = result.embeddings[: result.embeddings_count]
            return [np.ctypeslib.as_array(head.float_embedding, (head.values_count,)).copy() for head in heads]
        finally:
            library.MpImageEmbedderCloseResult(ctypes.byref(result))

    return embeddings


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
