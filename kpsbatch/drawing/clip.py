"""A clip: one video of an output with its frames, chosen and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kpsbatch.config import Config
from kpsbatch.dataset.labels import Label
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.dataset.video import Unit, Video, video_of
from kpsbatch.drawing.adjusted import looks_adjusted
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.topology import CONTRACT, Topology
from kpsbatch.store.members import open_npz
from kpsbatch.store.outputs import records_of, settings_of_record
from kpsbatch.store.points import check_points, file_topology
from kpsbatch.store.reading import read_keypoints
from kpsbatch.store.records import UnitRecord
from kpsbatch.store.settings import Settings
from kpsbatch.stored import read_stored


@dataclass(frozen=True)
class Clip:
    """One video, ready to be drawn.

    Attributes:
        title: What is written above it.
        keypoints: (T, points, 4).
        frames: The video of the dataset; None for an empty canvas.
        adjusted: Whether the coordinates are adjusted, which an empty canvas shows.
        aspect: Width by height of the frames, where there are none to look at.
        frame_rate: Frames a second of a directory of frames.
        max_pixels: Larger frames are not decoded.
        frame_rate_out: The rate that the frames were given before the keypoints were computed; None for their own.
        topology: Which points they are.
        how: How each part of each frame was found, from the record (see found.py); empty where that is not known.
    """

    title: str
    keypoints: NDArray[Any]
    frames: Video | None
    adjusted: bool = False
    aspect: float = 1.0
    frame_rate: float = 30.0
    max_pixels: int = 50_000_000
    how: Mapping[str, str] = field(default_factory=dict)
    frame_rate_out: float | None = None
    topology: Topology = CONTRACT


def clip_of_unit(
    config: Config,
    unit: Unit,
    video: str | None = None,
    *,
    source: Source | None = None,
    adjusted: bool = False,
    blank: bool = False,
    labels: Mapping[int, Label] | None = None,
) -> Clip:
    """One video of a finished unit.

    Args:
        video: Its name; default the first.
        source: The dataset, if it is open already.
        adjusted: Draw adjusted coordinates even where the settings of the output can't be found.
        blank: Draw on an empty canvas, so that the dataset need not be there.
        labels: The names of the signs.

    Raises:
        OutputError: The unit has no output file, or that holds no such video.
        DatasetError: The video is not in the dataset any more.
    """
    name, keypoints, topology = load_video(config.output.root / f"{unit.name}.npz", video)
    settings, record = _made_with(config.output.root, unit)
    coordinates = settings.landmarks.get("coordinates")
    is_adjusted = (
        (adjusted or looks_adjusted(keypoints, topology)) if coordinates is None else coordinates == "adjusted"
    )
    frames = None
    without_dataset = config.output.imported and not config.dataset.root.exists()
    if not (blank or is_adjusted or without_dataset):
        listing = (source or open_source(config.dataset, config.output.root / INDEX_FOLDER)).listing(unit)
        found: dict[str, Video] = {entry.name: entry for entry in listing.videos}
        if name not in found:
            raise DatasetError(
                f"{listing.folder} holds no frames of {name!r}. Restore them, or leave them out with --no-pictures."
            )
        frames = found[name]
    entry = record.good.get(name)
    sign = f"sign {unit.sign}"
    if labels and (label := labels.get(unit.sign)) and label.english:
        sign += f" {label.english}"
    return Clip(
        f"{unit.signer} {unit.split}, {sign}: {name}",
        keypoints,
        frames,
        is_adjusted,
        entry.aspect if entry else 1.0,
        config.landmarks.frame_rate,
        config.run.max_pixels,
        entry.how if entry else {},
        config.dataset.frame_rate_out,
        topology,
    )


def clip_of_file(
    path: Path,
    video: str | None = None,
    frames: Path | None = None,
    *,
    adjusted: bool = False,
) -> Clip:
    """One video of any npz, with its frames where they are known.

    Raises:
        OutputError: The file holds no such video.
        DatasetError: The frames are not there.
    """
    name, keypoints, topology = load_video(path, video)
    if frames is not None and not frames.exists():
        raise DatasetError(f"--frames: {frames} does not exist. Name a directory of frames or a video file.")
    is_adjusted = adjusted or looks_adjusted(keypoints, topology)
    shown = None if is_adjusted or frames is None else video_of(frames)
    title = f"{path.parent.name}/{path.stem}: {name}"
    return Clip(title, keypoints, shown, is_adjusted, topology=topology)


def load_video(path: Path, video: str | None = None) -> tuple[str, NDArray[Any], Topology]:
    """One video's name and (T, points, 4) keypoints, and which points they are.

    Args:
        video: The name; default the first.

    Raises:
        OutputError: The file is missing or no output, or holds no such video.
    """
    with open_npz(path) as npz:
        name = video if video is not None else next(iter(npz.members))
        keypoints = read_keypoints(npz, name)
    topology = file_topology(path, keypoints.shape[1])
    check_points(path, name, keypoints, topology)
    return name, keypoints, topology


def _made_with(root: Path, unit: Unit) -> tuple[Settings, UnitRecord]:
    """The settings that made an output, and its record; empty where they can't be found."""
    path = next(records_of(root, unit.name), None)
    if path is None:
        return Settings(), UnitRecord()
    return settings_of_record(path) or Settings(), read_stored(path, UnitRecord) or UnitRecord()
