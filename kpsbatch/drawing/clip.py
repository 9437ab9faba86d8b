"""A clip: one video of an output with its frames, chosen and loaded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import Config
from kpsbatch.dataset.labels import Label
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.dataset.units import Unit
from kpsbatch.dataset.video import Video, video_of
from kpsbatch.drawing.adjusted import looks_adjusted
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.landmarks.topology import CONTRACT, Topology
from kpsbatch.store.outputs import records_of, settings_of_record
from kpsbatch.store.points import check_points, file_topology
from kpsbatch.store.records import UnitRecord
from kpsbatch.store.settings import Settings
from kpsbatch.stored import read_stored

SHOWN_NAMES = 8


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
        config: The config.
        unit: The unit.
        video: Its name or a part of it that no other has; default the first.
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
    frame_rate: float = 30.0,
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
    return Clip(title, keypoints, shown, is_adjusted, frame_rate=frame_rate, topology=topology)


def load_video(path: Path, video: str | None = None) -> tuple[str, NDArray[Any], Topology]:
    """One video's name and (T, points, 4) keypoints, and which points they are.

    Args:
        path: An output file.
        video: The name or a part of it that no other has; default the first.

    Raises:
        OutputError: The file is missing or no output, or holds no such video.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            name = _choose_video(path, list(arrays.files), video)
            keypoints = np.asarray(arrays[name])
    except FileNotFoundError:
        raise OutputError(f"{path} does not exist. Run the config first.") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, AttributeError) as error:
        raise OutputError(
            f"{path} is not a readable npz: {error}. `kpsbatch verify --repair` removes it, so that a run redoes it."
        ) from None
    if keypoints.ndim != 3 or keypoints.shape[2] != len(CONTRACT.CHANNELS) or not len(keypoints):
        raise OutputError(
            f"{path}: {name!r} is {keypoints.shape}, not (T, points, 4). Name a file that kpsbatch wrote."
        )
    topology = file_topology(path, keypoints.shape[1])
    check_points(path, name, keypoints, topology)
    return name, keypoints, topology


def _choose_video(path: Path, names: Sequence[str], video: str | None) -> str:
    if not names:
        raise OutputError(f"{path} holds no video. Name a file that kpsbatch wrote.")
    if video is None or video in names:
        return names[0] if video is None else video
    similar = [name for name in names if video in name]
    if len(similar) == 1:
        return similar[0]
    valid = similar or names
    more = f", and {len(valid) - SHOWN_NAMES} more" if len(valid) > SHOWN_NAMES else ""
    shown = ", ".join(map(repr, valid[:SHOWN_NAMES]))
    problem = "fits several videos" if similar else "fits no video"
    raise OutputError(f"--video: {video!r} {problem} of {path}. Choose among {shown}{more}.")


def _made_with(root: Path, unit: Unit) -> tuple[Settings, UnitRecord]:
    """The settings that made an output, and its record; empty where they can't be found."""
    path = next(records_of(root, unit.name), None)
    if path is None:
        return Settings(), UnitRecord()
    return settings_of_record(path) or Settings(), read_stored(path, UnitRecord) or UnitRecord()
