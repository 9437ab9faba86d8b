"""MediaPipe's own landmarkers, of the networks that kpsbatch edits: the reference of quality.py, and the plain way.

The bundles (uncompressed zip files of a detector and a landmark network) are put together here, of the networks in
mediapipe 0.10.21's wheel, which the package index is asked for once.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from typing import Any

import numpy as np
from pose_visibility import VisibilityMemory

from kpsbatch.landmarks.mediapipe_import import import_mediapipe
from kpsbatch.landmarks.network_files import NETWORKS, SOURCE_SHA256, default_cache
from kpsbatch.models.edits import merged_face
from kpsbatch.models.graph import Graph, image_metadata
from kpsbatch.models.wheel import source_networks

GAP_MILLISECONDS = 1000
"""Gap between two videos on MediaPipe's clock, which must rise through all videos."""

OPENED: list = []
"""Landmarkers that `close_landmarkers` closes; left to the interpreter's end they fail."""


def close_landmarkers() -> None:
    """To be called at a program's end, where it still has threads."""
    while OPENED:
        OPENED.pop().close()


@cache
def networks() -> dict[str, bytes]:
    """The networks of the wheel, kept in the cache of the models."""
    folder = default_cache() / "networks-of-the-wheel"
    paths = {name: folder / f"{name}.tflite" for name in NETWORKS}
    if not all(path.exists() for path in paths.values()):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in source_networks().items():
            paths[name].write_bytes(data)
    found = {name: path.read_bytes() for name, path in paths.items()}
    assert all(hashlib.sha256(data).hexdigest() == SOURCE_SHA256[name] for name, data in found.items())
    return found


def bundle(part: str) -> bytes:
    """The bundle of pose, face or hand, as `BaseOptions(model_asset_buffer=...)` takes it."""
    detector, landmarks = {
        "pose": ("pose_detector", "pose_landmarks"),
        "face": ("face_detector", "face_landmarks"),
        "hand": ("palm_detector", "hand_landmarks"),
    }[part]
    graph = Graph(networks()[landmarks])
    if part == "face":
        mesh, *refined, presence = graph.main.outputs.tolist()
        graph.set_outputs([merged_face(graph, mesh, refined), presence])
    if part != "hand":  # the hand network has its metadata
        graph.set_metadata(image_metadata(landmarks, mean=0.0, std=255.0))
    members = {
        f"{part}_detector.tflite": networks()[detector],
        f"{part}_landmarks_detector.tflite": graph.pack() if part != "hand" else networks()[landmarks],
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            padding = -(file.tell() + 30 + len(name) + 4) % 16  # networks start at multiples of 16
            info.extra = b"\x35\xd9" + padding.to_bytes(2, "little") + bytes(padding)
            archive.writestr(info, data)
    return file.getvalue()


def open_landmarker(part: str, **options: Any) -> Any:
    """MediaPipe's landmarker of a part, in image mode unless `options` say otherwise; `close_landmarkers` closes it."""
    mp = import_mediapipe()
    kind = f"{part.title()}Landmarker"
    base = mp.tasks.BaseOptions(model_asset_buffer=bundle(part))
    chosen = getattr(mp.tasks.vision, f"{kind}Options")(base_options=base, **options)
    landmarker = getattr(mp.tasks.vision, kind).create_from_options(chosen)
    OPENED.append(landmarker)
    return landmarker


def picture(image: np.ndarray) -> Any:
    """An RGB image as MediaPipe takes it."""
    mp = import_mediapipe()
    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))


class TrackedPose:
    """MediaPipe's pose landmarker in video mode; `start_video` must come before the first frame of each video."""

    def __init__(self) -> None:
        mode = import_mediapipe().tasks.vision.RunningMode.VIDEO
        self._landmarker = open_landmarker("pose", running_mode=mode)
        self._last, self._first = 0, GAP_MILLISECONDS  # its smoothing takes a first timestamp of 0 for "unset"
        self._visibility = VisibilityMemory()

    def start_video(self, height: int, width: int) -> None:
        """Reset the tracking by a blank frame, bit-exactly, and the smoothing of the visibility."""
        if self._last:
            self._detect(np.zeros((height, width, 3), np.uint8), self._last + GAP_MILLISECONDS)
        self._visibility.start_video()
        self._first = self._last + GAP_MILLISECONDS

    def detect(self, image: np.ndarray, timestamp: int) -> np.ndarray | None:
        """(33, 4) x, y, z, visibility of a frame, `timestamp` milliseconds after the video's first; None for nobody."""
        return self._detect(image, self._first + timestamp)

    def _detect(self, image: np.ndarray, clock: int) -> np.ndarray | None:
        self._last = clock
        poses = self._landmarker.detect_for_video(picture(image), clock).pose_landmarks
        if not poses:
            return None
        return self._visibility.correct(np.array([(p.x, p.y, p.z, p.visibility) for p in poses[0]], np.float32))
