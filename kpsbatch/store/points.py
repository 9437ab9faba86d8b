"""Which points an output file has, and in which coordinates: by its record, else by their number and values.

Needs NumPy and nothing else.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.files import INTERNAL, read_json
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.topology import CONTRACT, Topology, topology_of

NEAR_ONE = 0.01
"""How far from 1 the shoulders of an adjusted pose may be apart: float16 has 11 bits."""

LEFT_OF_REFERENCE = -0.3
"""An adjusted face reaches more than half an iris distance to the left of its nose tip; one in image coordinates hardly
a third of its frame's width beyond the left edge."""


class Videos(dict[str, NDArray[Any]]):
    """The arrays of an output file by the names of their videos.

    Attributes:
        topology: Which points they have.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], topology: Topology) -> None:
        super().__init__(arrays)
        self.topology = topology


def file_topology(path: Path, count: int = 0) -> Topology:
    """Which points a file has: by its record, else by their number.

    Args:
        count: How many points it has, where there may be no record.

    Raises:
        OutputError: Neither tells.
    """
    points = recorded_points(path)
    if points is None:
        known = {one.points: one for one in (CONTRACT, topology_of("all"))}
        if count not in known:
            raise OutputError(
                f"{path} has {count} points, and no record beside it says which. Keep it in its output folder, or name "
                "them: kpsbatch.load(path, points=...)."
            )
        return known[count]
    try:
        return topology_of(points)
    except ConfigError as error:
        raise OutputError(f"{path}: its record has points that this release does not know: {error}") from None


def recorded_points(path: Path) -> str | None:
    """The set of points that the record of an npz names; None where there is no record."""
    clip = read_json(path.with_suffix(".json")) or {}
    if "video" in clip:
        return str(clip.get("points", CONTRACT.name))
    folder, stem = path.absolute().parent, glob.escape(path.stem)
    for record in sorted((folder.parent / INTERNAL / "records").glob(f"*/{glob.escape(folder.name)}/{stem}.*json")):
        output = (read_json(record.parents[1] / "settings.json") or {}).get("output", {})
        return str(output.get("points", CONTRACT.name)) if isinstance(output, Mapping) else CONTRACT.name
    return None


def check_points(path: Path, name: str, array: NDArray[Any], topology: Topology) -> None:
    """Refuse (T, points, 4) of other points.

    Raises:
        OutputError: There are more or fewer.
    """
    if array.shape[1] != topology.points:
        raise OutputError(
            f"{path}: video {name!r} has {array.shape[1]} points, not the {topology.points} of {topology.name}. "
            "Name a file that kpsbatch wrote."
        )


def are_adjusted(keypoints: NDArray[Any], topology: Topology = CONTRACT) -> bool | None:
    """Whether keypoints are adjusted, by what that leaves behind: wrists of hands at 0, or shoulders 1 apart.

    Where there is only a face, which has no such point in the contract, its place tells: around 0.

    Args:
        keypoints: (T, points, 4).
        topology: Which points they are.

    Returns:
        None where nothing that tells was found.
    """

    def frames_with(part: str) -> NDArray[np.float64]:
        return keypoints[is_found(keypoints, topology.parts[part])].astype(np.float64)

    for side in ("right_hand", "left_hand"):
        wrist = topology.place(f"{side}.wrist")
        if wrist is not None and len(frames := frames_with(side)):
            return not frames[:, wrist, :2].any()
    left, right = (topology.place(f"pose.{side}_shoulder") for side in ("left", "right"))
    if left is not None and right is not None and len(frames := frames_with("pose")):
        apart = np.hypot(*(frames[:, left, :2] - frames[:, right, :2]).T)
        return bool(np.abs(apart - 1).max() < NEAR_ONE)
    if "face" in topology.parts and len(frames := frames_with("face")):
        return bool(np.median(frames[:, topology.parts["face"], 0].min(axis=1)) < LEFT_OF_REFERENCE)
    return None
