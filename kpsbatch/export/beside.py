"""`kpsbatch extract --to pose`: the .pose file of a clip beside it, as pose-format's `videos_to_poses` names it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.export.formats import HOLISTIC, components_of, in_order_of_components, pose_of, require
from kpsbatch.files import INTERNAL, write_atomically
from kpsbatch.landmarks.found import is_found
from kpsbatch.points import topology_of
from kpsbatch.store.npz import open_npz
from kpsbatch.store.reading import kept_path, known_units, read_kept
from kpsbatch.store.records import ClipRecord
from kpsbatch.stored import read_stored


def pose_beside(clip: Path) -> Path:
    """The .pose file of a clip: `a/b.mp4` has `a/b.pose`; a folder of frames `a/b` has it too."""
    return clip.with_name(f"{clip.name if clip.is_dir() else clip.stem}.pose")


def without_pose(clips: Mapping[str, Path], to: str) -> dict[str, Path]:
    """The clips, by name, that have no .pose file beside them.

    Args:
        to: What `--to` says.

    Raises:
        ConfigError: It is not pose.
        OutputError: pose-format is missing.
    """
    if to != "pose":
        raise ConfigError(
            f"--to: extract knows pose, not {to!r}. For others: kpsbatch export DIR --to {shlex.quote(to)}."
        )
    require("--to pose", "pose-format", "pose")
    return {name: clip for name, clip in clips.items() if not pose_beside(clip).exists()}


def write_pose_beside(clip: Path, npz: Path) -> Path:
    """Write the .pose file of a clip that `extract_clips` has done: all points of Holistic, confidence 1 where found.

    Args:
        npz: `DoneClip.npz`.

    Raises:
        OutputError: Its landmarks are not kept, its rate or size is not known, or the file can't be written.
    """
    record = read_stored(npz.with_suffix(".json"), ClipRecord)
    if record is None or record.unit is None:
        raise OutputError(f"{npz} was made by an earlier version, without what a .pose file needs. Choose another -o.")
    output = npz.parent / f"{Unit(*record.unit).name}.npz"
    kept_file = kept_path(output)
    unit_record = (
        npz.parent / INTERNAL / "records" / kept_file.parents[1].name / output.parent.name / f"{output.stem}.json"
    )
    [known] = known_units([output], {f"{output.parent.name}/{output.stem}": unit_record})
    info = next(video for video in known.videos if video.name == npz.stem)
    if not (info.frame_rate and info.width and info.height):
        raise OutputError(
            f"{clip}: a .pose file needs a frame rate, and a folder of frames has none. Add --set "
            "landmarks.frame_rate=25."
        )
    topology = topology_of(list(HOLISTIC))
    with open_npz(kept_file) as kept:
        points = read_kept(kept, npz.stem, topology).astype(np.float32)
    for place in topology.parts.values():
        points[is_found(points, place), place, 3] = 1
    names = in_order_of_components(topology.names)
    places = {name: place for place, name in enumerate(topology.names)}
    made = pose_of(info, points[:, [places[name] for name in names]], components_of(names))
    path = pose_beside(clip)
    try:
        write_atomically(path, made.write)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}. Correct its permissions.") from None
    return path
