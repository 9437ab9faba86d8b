"""Two ways to run a MediaPipe landmarker and read what it found as arrays; they find the same.

`ResultReader` uses the public API. It wraps each landmark in a Python object, the world landmarks too, which are
not used here. `StructReader` takes the numbers out of the C structures that the public API makes those objects of.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.detection import Hand

Points = NDArray[np.float32]
Columns = Callable[[Any], tuple[float, ...]]

XYZ: Columns = attrgetter("x", "y", "z")
XYZ_VISIBILITY: Columns = attrgetter("x", "y", "z", "visibility")

_FLOATS = 10
"""Size of a landmark's structure, in floats: x, y, z at 0, 1, 2 and the visibility at 4."""


class Reader(Protocol):
    """Runs a landmarker on a MediaPipe image; `clock` is in milliseconds, None in image mode."""

    def pose(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(33, 4) x, y, z, visibility of the pose, if there is one."""

    def face(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(478, 3) x, y, z of the face, if there is one."""

    def hands(self, landmarker: Any, image: Any, clock: int | None) -> list[Hand]:
        """The hands."""

    def embeddings(self, embedder: Any, image: Any) -> list[Points]:
        """The outputs of an image embedder's network, flat."""


class ResultReader:
    """Reads the result objects of the public API."""

    def pose(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(33, 4) x, y, z, visibility of the pose, if there is one."""
        return _first(self._run(landmarker, image, clock).pose_landmarks, XYZ_VISIBILITY)

    def face(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(478, 3) x, y, z of the face, if there is one."""
        return _first(self._run(landmarker, image, clock).face_landmarks, XYZ)

    def hands(self, landmarker: Any, image: Any, clock: int | None) -> list[Hand]:
        """The hands."""
        result = self._run(landmarker, image, clock)
        found = zip(result.hand_landmarks, result.handedness, strict=True)
        return [_hand(points, labels[0].category_name, labels[0].score) for points, labels in found]

    def embeddings(self, embedder: Any, image: Any) -> list[Points]:
        """The outputs of an image embedder's network, flat."""
        return [np.asarray(head.embedding, np.float32) for head in embedder.embed(image).embeddings]

    def _run(self, landmarker: Any, image: Any, clock: int | None) -> Any:
        return landmarker.detect(image) if clock is None else landmarker.detect_for_video(image, clock)


class StructReader:
    """Reads the result structures of MediaPipe's C interface, as `detect`, `detect_for_video` and `embed` do inside.

    It calls the C functions in this thread. The public API hands each call to a thread of its own, which takes longer.
    """

    def __init__(self, result_kinds: dict[str, Any], check: Callable[[int, Any], None]) -> None:
        """Take the classes of the result structures of "Pose", "Face", "Hand" and "Embedding".

        Args:
            result_kinds: The classes.
            check: Raises MediaPipe's error for a status that is not 0 and its message.
        """
        self._kinds = result_kinds
        self._check = check

    def pose(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(33, 4) x, y, z, visibility of the pose, if there is one."""
        with self._run("Pose", landmarker, image, clock) as result:
            return _columns(result.pose_landmarks[0], [0, 1, 2, 4]) if result.pose_landmarks_count else None

    def face(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(478, 3) x, y, z of the face, if there is one."""
        with self._run("Face", landmarker, image, clock) as result:
            return _columns(result.face_landmarks[0], [0, 1, 2]) if result.face_landmarks_count else None

    def hands(self, landmarker: Any, image: Any, clock: int | None) -> list[Hand]:
        """The hands."""
        with self._run("Hand", landmarker, image, clock) as result:
            labels = [result.handedness[hand].categories[0] for hand in range(result.hand_landmarks_count)]
            return [
                Hand(
                    _columns(result.hand_landmarks[hand], [0, 1, 2]),
                    "right" if label.category_name == b"Right" else "left",
                    float(label.score),
                )
                for hand, label in enumerate(labels)
            ]

    def embeddings(self, embedder: Any, image: Any) -> list[Points]:
        """The outputs of an image embedder's network, flat."""
        library, result = embedder._lib._lib, ctypes.byref(structure := self._kinds["Embedding"]())
        self._call(library, "MpImageEmbedderEmbedImage", embedder._handle, image._image_ptr, None, result)
        try:
            heads = structure.embeddings[: structure.embeddings_count]
            return [np.ctypeslib.as_array(head.float_embedding, (head.values_count,)).copy() for head in heads]
        finally:
            library.MpImageEmbedderCloseResult(result)

    @contextmanager
    def _run(self, part: str, landmarker: Any, image: Any, clock: int | None) -> Iterator[Any]:
        library, result = landmarker._lib._lib, ctypes.byref(structure := self._kinds[part]())
        arguments = landmarker._handle, image._image_ptr, None
        if clock is None:
            self._call(library, f"Mp{part}LandmarkerDetectImage", *arguments, result)
        else:
            self._call(library, f"Mp{part}LandmarkerDetectForVideo", *arguments, clock, result)
        try:
            yield structure
        finally:
            getattr(library, f"Mp{part}LandmarkerCloseResult")(result)

    def _call(self, library: Any, function: str, *arguments: Any) -> None:
        message = ctypes.c_char_p()
        status = getattr(library, function)(*arguments, ctypes.byref(message))
        if status:
            try:
                self._check(status, message)
            finally:
                library.MpErrorFree(message)


def reader_for(mediapipe: Any) -> Reader:
    """The fastest reader that an installed MediaPipe allows."""
    try:
        from mediapipe.tasks.python.components.containers.embedding_result_c import MpEmbeddingResultC
        from mediapipe.tasks.python.components.containers.landmark_c import MpNormalizedLandmarkC
        from mediapipe.tasks.python.core.mediapipe_c_utils import handle_status
        from mediapipe.tasks.python.core.serial_dispatcher import SerialDispatcher
        from mediapipe.tasks.python.vision.face_landmarker import MpFaceLandmarkerResultC
        from mediapipe.tasks.python.vision.hand_landmarker import MpHandLandmarkerResultC
        from mediapipe.tasks.python.vision.pose_landmarker import MpPoseLandmarkerResultC
    except ImportError:
        return ResultReader()
    layout = ctypes.sizeof(MpNormalizedLandmarkC), MpNormalizedLandmarkC.visibility.offset
    if layout != (4 * _FLOATS, 4 * 4) or not hasattr(SerialDispatcher({}, ()), "_lib"):
        return ResultReader()
    kinds = {
        "Pose": MpPoseLandmarkerResultC,
        "Face": MpFaceLandmarkerResultC,
        "Hand": MpHandLandmarkerResultC,
        "Embedding": MpEmbeddingResultC,
    }
    return StructReader(kinds, handle_status)


def _columns(landmarks: Any, columns: list[int]) -> Points:
    floats = ctypes.cast(landmarks.landmarks, ctypes.POINTER(ctypes.c_float))
    table: Points = np.ctypeslib.as_array(floats, (landmarks.landmarks_count, _FLOATS))[:, columns]
    return table  # a copy: the structures are freed


def _first(lists: Any, columns: Columns) -> Points | None:
    return np.array([columns(landmark) for landmark in lists[0]], np.float32) if lists else None


def _hand(landmarks: Any, label: str, score: float) -> Hand:
    points = np.array([XYZ(landmark) for landmark in landmarks], np.float32)
    return Hand(points, "right" if label == "Right" else "left", float(score))
