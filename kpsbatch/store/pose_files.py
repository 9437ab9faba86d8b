"""Files of pose-format (github.com/sign-language-processing/pose): what its components and points are called; reading.

Components and points have the names and order that it gives to those of MediaPipe Holistic
(`pose_format.utils.holistic`, which can't be imported with the MediaPipe of today).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError, one_line
from kpsbatch.landmarks.found import is_found
from kpsbatch.points import FULL, SETS, topology_of

SUFFIX = ".pose"

COMPONENTS: Final[Mapping[str, str]] = {
    "pose": "POSE_LANDMARKS",
    "face": "FACE_LANDMARKS",
    "left_hand": "LEFT_HAND_LANDMARKS",
    "right_hand": "RIGHT_HAND_LANDMARKS",
    "pose_world": "POSE_WORLD_LANDMARKS",
    "left_hand_world": "LEFT_HAND_WORLD_LANDMARKS",
    "right_hand_world": "RIGHT_HAND_WORLD_LANDMARKS",
}
"""pose-format's components in its order, by part; it has none for hands in metres."""

_LONGER: Final = ("index", "middle", "ring")
"""Fingers that MediaPipe's Holistic calls INDEX_FINGER, unlike thumb and pinky."""


def holistic_name(part: str, point: str) -> str:
    """A point as MediaPipe's Holistic names it: LEFT_WRIST, INDEX_FINGER_TIP, 468."""
    finger, _, joint = point.partition("_")
    return (f"{finger}_finger_{joint}" if part.endswith("hand") and finger in _LONGER else point).upper()


_NAMES: Final = {
    (COMPONENTS[part], holistic_name(part, point)): name
    for name in FULL.names
    if name in SETS["all"]
    for part, _, point in [name.partition(".")]
}
"""Our name of a component's point."""


@dataclass(frozen=True)
class PoseFile:
    """One person's keypoints of a .pose file.

    Attributes:
        points: The set of its points, as `topology_of` takes it.
        keypoints: (T, points, 4) float32: x and y in frame widths and heights, z as it is, visibility: that of the
            file for the pose; 1 in a face or hand, and 0 for its points outside the frame.
        frame_rate, width, height: As its header and body have them.
        left_out: Components that are not those of the pose, the face and the hands in the picture.
        people: How many the file holds; the first is taken.
    """

    points: str
    keypoints: NDArray[np.float32]
    frame_rate: float
    width: int
    height: int
    left_out: tuple[str, ...]
    people: int


def find_poses(folder: Path) -> list[Path]:
    """The .pose files below a folder, or the one that is named, in the order of their paths."""
    if folder.is_file() and folder.suffix == SUFFIX:
        return [folder]
    return sorted(path for path in folder.rglob(f"*{SUFFIX}") if path.is_file() and not path.name.startswith("."))


def place_of(path: Path, root: Path) -> tuple[Unit | None, str]:
    """Unit and name of a video by its file's path, where it lies as `export --to pose` writes it: 01-train/0007/NAME.

    Elsewhere there is no unit, and the name is the file's without suffix.
    """
    parts = path.relative_to(root).parts
    folder = parts[-3] if len(parts) == 3 else ""
    signer, hyphen, split = folder.rpartition("-")
    if hyphen and re.fullmatch("[0-9]{4,5}", parts[-2]):
        return Unit(signer, split, int(parts[-2])), unquote(path.stem)
    return None, path.stem


def read_pose(path: Path) -> PoseFile:
    """Read a .pose file.

    Raises:
        OutputError: pose-format is missing, or the file is damaged or holds none of MediaPipe's landmarks.
    """
    try:
        reader = importlib.import_module("pose_format").Pose
    except ImportError:
        raise OutputError("reading .pose needs the package pose-format. Run `pip install 'kpsbatch[pose]'`.") from None
    try:
        pose = reader.read(path.read_bytes())
    except Exception as error:  # whatever pose-format raises at damaged bytes
        raise OutputError(f"{path} is not a readable .pose file: {one_line(error)}. Take it out.") from None
    size = pose.header.dimensions
    points = [(component.name, point) for component in pose.header.components for point in component.points]
    places = {_NAMES[point]: place for place, point in enumerate(points) if point in _NAMES}
    values, confidence = _values(pose)
    if not places or not len(values) or not values.shape[1] or values.shape[-1] < 2 or not (size.width and size.height):
        there = ", ".join(component.name for component in pose.header.components)
        raise OutputError(
            f"{path} holds no frame of MediaPipe's landmarks in a picture of known size ({there}). Take it out."
        )
    topology = topology_of(list(places))
    chosen = [places[name] for name in topology.names]
    keypoints = np.zeros((len(values), topology.points, 4), np.float32)
    shown = values[:, 0, chosen, :3]
    keypoints[..., : shown.shape[-1]] = shown / np.array([size.width, size.height, 1][: shown.shape[-1]])
    keypoints[..., 3] = confidence[:, 0, chosen]
    for part, place in topology.parts.items():
        rows = keypoints[:, place]
        rows[~rows[..., 3].any(axis=1)] = 0
        if part != "pose":
            inside = ((rows[..., :2] >= 0) & (rows[..., :2] <= 1)).all(axis=-1)
            rows[..., 3] = inside & is_found(rows, slice(None))[:, None]
    used = {component for component, point in points if (component, point) in _NAMES}
    return PoseFile(
        topology.name,
        keypoints,
        float(str(np.float32(pose.body.fps))),  # the shortest number of that float32: 29.97
        int(size.width),
        int(size.height),
        tuple(component.name for component in pose.header.components if component.name not in used),
        values.shape[1],
    )


def _values(pose: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """(T, people, points, axes), and the confidences (T, people, points), 0 where a value is not finite.

    Points of confidence 0 are masked, and keep the coordinates that the file has.
    """
    values, confidence = np.array(pose.body.data.data), np.array(pose.body.confidence)
    bad = ~np.isfinite(values).all(axis=-1) | ~np.isfinite(confidence)
    values[bad], confidence[bad] = 0, 0
    return values, confidence
