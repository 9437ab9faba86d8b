"""Two ways to run a MediaPipe landmarker and read what it found as arrays; they find the same.

`ResultReader` uses the public API of every release. It wraps each landmark in a Python object, the world landmarks
too, which nobody reads: a tenth of a frame's time in video mode. `PacketReader` reads the same packets of the graph
directly, where a release has them (0.10).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kpsbatch.landmarks.detection import Hand

Points = NDArray[np.float32]
Columns = Callable[[Any], tuple[float, ...]]

XYZ: Columns = attrgetter("x", "y", "z")
XYZ_VISIBILITY: Columns = attrgetter("x", "y", "z", "visibility")


class Reader(Protocol):
    """Runs a landmarker on a MediaPipe image; `clock` is in milliseconds, None in image mode."""

    def pose(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(33, 4) x, y, z, visibility of the pose, if there is one."""

    def face(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(478, 3) x, y, z of the face, if there is one."""

    def hands(self, landmarker: Any, image: Any, clock: int | None) -> list[Hand]:
        """The hands."""


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

    def _run(self, landmarker: Any, image: Any, clock: int | None) -> Any:
        return landmarker.detect(image) if clock is None else landmarker.detect_for_video(image, clock)


class PacketReader:
    """Reads the packets of the graph, as `detect` and `detect_for_video` of mediapipe 0.10 do inside."""

    def __init__(self, creator: Any, getter: Any, whole_picture: Any) -> None:
        """Take `mediapipe.python`'s packet_creator and packet_getter, and a NormalizedRect proto of everything."""
        self._creator, self._getter, self._whole_picture = creator, getter, whole_picture

    def pose(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(33, 4) x, y, z, visibility of the pose, if there is one."""
        return _first(self._lists(self._run(landmarker, image, clock)["norm_landmarks"]), XYZ_VISIBILITY)

    def face(self, landmarker: Any, image: Any, clock: int | None) -> Points | None:
        """(478, 3) x, y, z of the face, if there is one."""
        return _first(self._lists(self._run(landmarker, image, clock)["norm_landmarks"]), XYZ)

    def hands(self, landmarker: Any, image: Any, clock: int | None) -> list[Hand]:
        """The hands."""
        packets = self._run(landmarker, image, clock)
        if not (found := self._lists(packets["landmarks"])):
            return []
        labels = [label.classification[0] for label in self._getter.get_proto_list(packets["handedness"])]
        return [_hand(points, label.label, label.score) for points, label in zip(found, labels, strict=True)]

    def _run(self, landmarker: Any, image: Any, clock: int | None) -> Any:
        packets = {
            "image_in": self._creator.create_image(image),
            "norm_rect_in": self._creator.create_proto(self._whole_picture),
        }
        if clock is None:
            return landmarker._process_image_data(packets)
        return landmarker._process_video_data({name: packet.at(clock * 1000) for name, packet in packets.items()})

    def _lists(self, packet: Any) -> list[Any]:
        return [] if packet.is_empty() else [found.landmark for found in self._getter.get_proto_list(packet)]


def reader_for(mediapipe: Any) -> Reader:
    """The fastest reader that an installed MediaPipe allows."""
    base = mediapipe.tasks.vision.PoseLandmarker
    if not (hasattr(base, "_process_image_data") and hasattr(base, "_process_video_data")):
        return ResultReader()
    try:
        from mediapipe.python import packet_creator, packet_getter
        from mediapipe.tasks.python.components.containers.rect import NormalizedRect

        whole = NormalizedRect(rotation=0, x_center=0.5, y_center=0.5, width=1, height=1).to_pb2()
    except (ImportError, AttributeError):
        return ResultReader()
    return PacketReader(packet_creator, packet_getter, whole)


def _first(lists: Any, columns: Columns) -> Points | None:
    return np.array([columns(landmark) for landmark in lists[0]], np.float32) if lists else None


def _hand(landmarks: Any, label: str, score: float) -> Hand:
    points = np.array([XYZ(landmark) for landmark in landmarks], np.float32)
    return Hand(points, "right" if label == "Right" else "left", float(score))
