"""`--to pose`: a `.pose` file for each video, written by pose-format (github.com/sign-language-processing/pose).

Its components and points have the names and order that pose-format gives to those of MediaPipe Holistic
(`pose_format.utils.holistic`, which can't be imported with the MediaPipe of today), and its colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from kpsbatch.errors import OutputError
from kpsbatch.export.parts import Part, Read, Request, missing_library, one_by_one, write_index
from kpsbatch.files import write_atomically
from kpsbatch.landmarks.topology import Topology
from kpsbatch.store.reading import Sample, VideoInfo

COMPONENTS: Final[Mapping[str, str]] = {
    "pose": "POSE_LANDMARKS",
    "face": "FACE_LANDMARKS",
    "left_hand": "LEFT_HAND_LANDMARKS",
    "right_hand": "RIGHT_HAND_LANDMARKS",
}
"""pose-format's components in its order, by part."""

FURTHER_LINES = {"pose": ("head",), "face": ("irises",)}
"""Lines of a part that the topology keeps under a name of their own."""

COLOURS: Final[Mapping[str, tuple[int, int, int]]] = {"pose": (255, 0, 0), "face": (128, 0, 0)}
"""Of all lines of a component; the hands have a colour for each point, which pose-format has."""

_LONGER: Final = ("index", "middle", "ring")
"""Fingers that MediaPipe's Holistic calls INDEX_FINGER, unlike thumb and pinky."""


class PoseFiles:
    """`01-train/0007/NAME.pose`, in pixels, and `index.csv` with what a .pose file can't hold."""

    def __init__(self) -> None:
        self._components: list[Any] = []

    def parts(self, request: Request) -> list[Part]:
        """A file for each video.

        Raises:
            OutputError: pose-format is missing, or a .pose file can't hold the keypoints.
        """
        try:
            import pose_format  # noqa: F401
        except ImportError:
            raise missing_library("pose", "pose-format") from None
        if request.coordinates == "adjusted":
            raise OutputError(
                "--to pose: .pose files are in pixels, and these are adjusted coordinates. Export an output with "
                "landmarks.coordinates: image."
            )
        videos = request.dataset.videos
        unknown = next((info for info in videos if not (info.frame_rate and info.width and info.height)), None)
        if unknown is not None:
            raise OutputError(
                f"--to pose: a .pose file needs frame rate, width and height, and those of {unknown.video!r} in "
                f"{unknown.path} are not known. Export where its record is in _kpsbatch, or run it again."
            )
        self._components = components_of(request.dataset.topology)
        return one_by_one(request, ".pose")

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write one video."""
        (sample,) = read(part.numbers)
        write_atomically(path, pose_of(sample, self._components).write)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write index.csv."""
        write_index(folder / "index.csv", request, parts)
        return {"shape": ["T", 1, request.dataset.topology.points, 3], "dtype": "float32"}


def pose_of(sample: Sample, components: Sequence[Any]) -> Any:
    """A video as a `pose_format.Pose`: x and y in pixels, z and visibility as they are."""
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

    info: VideoInfo = sample.info
    parts = [sample.keypoints[:, sample.parts[part]] for part in COMPONENTS if part in sample.parts]
    points = np.concatenate(parts, axis=1)[:, None].astype(np.float32)
    scale = np.array([info.width, info.height, 1], np.float32)
    body = NumPyPoseBody(info.frame_rate, points[..., :3] * scale, points[..., 3])
    return Pose(PoseHeader(0.2, PoseHeaderDimensions(info.width, info.height), list(components)), body)


def components_of(topology: Topology) -> list[Any]:
    """The header's components for a set of points."""
    from pose_format.pose_header import PoseHeaderComponent
    from pose_format.utils.openpose import hand_colors

    components = []
    for part, component in COMPONENTS.items():
        if part not in topology.parts:
            continue
        place = topology.parts[part]
        lines = [line for drawn in (part, *FURTHER_LINES.get(part, ())) for line in topology.paths.get(drawn, ())]
        limbs = [(a - place.start, b - place.start) for line in lines for a, b in pairwise(line)]
        names = [_name(part, name.partition(".")[2]) for name in topology.names[place]]
        colours = [COLOURS[part]] if part in COLOURS else [hand_colors[landmark] for landmark in topology.sources[part]]
        components.append(PoseHeaderComponent(component, names, limbs, colours, "XYZC"))
    return components


def _name(part: str, point: str) -> str:
    """A point as MediaPipe's Holistic names it: LEFT_WRIST, INDEX_FINGER_TIP, 468."""
    finger, _, joint = point.partition("_")
    return (f"{finger}_finger_{joint}" if part.endswith("hand") and finger in _LONGER else point).upper()
