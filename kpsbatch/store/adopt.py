"""Outputs of other scripts in the same layout, or .pose files: looked at to the last value, recorded as imported.

What a record can't know stays as empty as it was: no frame rate, no sizes, no letters. The npz files are not changed;
those of .pose files are written beside them, with all of their points, in frame widths and heights.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from kpsbatch.config import Config, format_signs, load_config, make_config
from kpsbatch.dataset.init_config import output_root
from kpsbatch.dataset.video import Unit, natural_key
from kpsbatch.errors import ConfigError, OutputError, one_line
from kpsbatch.files import explained, in_threads, sha256_of, write_bytes
from kpsbatch.landmarks.facts import FoundFrames, HandCounts
from kpsbatch.landmarks.found import is_found
from kpsbatch.points import CONTRACT, Topology, topology_of
from kpsbatch.store.npz import npy_header, npz_of
from kpsbatch.store.outputs import Outputs, records_of, settings_of_record
from kpsbatch.store.pose_files import PoseFile, find_poses, place_of, read_pose
from kpsbatch.store.reading import coordinates_of, find_outputs
from kpsbatch.store.records import RECORD_FORMAT, NpzFile, UnitName, UnitRecord, VideoRecord, record_bytes
from kpsbatch.store.settings import fingerprint_of, settings_of
from kpsbatch.untrusted import read_zip_member
from kpsbatch.words import counted

READERS = 4
"""Threads that read files, each of which holds one."""

POSES_OF_UNIT = 100
"""Of .pose files whose folders name no unit, so many make one, as of a table."""

HEADER = """\
# Written by `kpsbatch import`. Other scripts made the outputs in {root}: no run adds to them.
# verify, status, report, view and preview take this config.
"""
NO_VIDEOS = """\
# The videos are not at hand. If you have them, set dataset.root and dataset.layout (or import with --dataset CONFIG):
# then they are shown behind the keypoints, and verify compares their names.
"""


@dataclass(frozen=True)
class OldFile:
    """A file that can be imported.

    Attributes:
        unit, path: Which one it is.
        npz: Its size and hash.
        videos: What is known of each video.
        dtypes: How many videos have which dtype.
        coordinates: As in the config; None where nothing was found in it.
        points: Its set of points.
        left_out: What it was made of and does not hold, each with the number of videos.
        poses: The .pose files that it is made of, by video; none where it is an npz already.
    """

    unit: Unit
    path: Path
    npz: NpzFile
    videos: dict[str, VideoRecord]
    dtypes: Counter[str]
    coordinates: str | None
    points: str = CONTRACT.name
    left_out: Counter[str] = field(default_factory=Counter)
    poses: Mapping[str, Path] = field(default_factory=dict)

    def data(self) -> bytes:
        """The npz, whose SHA-256 is known."""
        if not self.poses:
            return self.path.read_bytes()
        return npz_of({name: read_pose(path).keypoints for name, path in self.poses.items()})


class Imported(NamedTuple):
    """What was imported, and the config with its path."""

    files: list[OldFile]
    config: Config
    path: Path


def import_files(
    old: Path,
    path: Path | None = None,
    *,
    to: Path | None = None,
    dataset: Config | None = None,
    stated: Mapping[str, float] | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """Record the files of other scripts as imported, and write a config for them.

    Args:
        old: Their folder.
        path: The config to write; default named like the folder.
        to: Where they are copied to; default they stay where they are. Where the npz files of .pose files go; default
            kps- and the name of their folder, here.
        dataset: A config that says where their videos are.
        stated: `frame_rate`, `width` and `height` of all their videos, as far as they are known.
        on_file: Called with (files read, files in all).

    Raises:
        ConfigError: The config can't be written, or another one is there.
        OutputError: As `read_old_files` and `adopt`.
    """
    poses = [] if _has_outputs(old) else find_poses(old)
    root = Path(os.path.abspath(to or (output_root(old) if poses else old)))
    path = path or Path(f"{root.name}.yaml")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path.parent} does not exist. Choose another -o, or make it.")
    if path.exists():
        try:
            earlier = load_config(path).output
        except ConfigError:
            earlier = None
        if earlier is None or not earlier.imported or earlier.root != root:  # not of an import of the same files
            raise ConfigError(f"{path} exists already. Choose another -o, or remove it.")
    read = read_pose_files(old, poses, on_file) if poses else read_old_files(old, on_file)
    files = [_stated(file, stated or {}) for file in read]
    config, text = _config(files, root, path, dataset)
    adopt(files, old, Outputs(root, fingerprint_of(settings_of(config))))
    try:
        write_bytes(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}. Choose another -o.") from None
    return Imported(files, config, path)


def _stated(file: OldFile, stated: Mapping[str, float]) -> OldFile:
    return replace(file, videos={name: facts.model_copy(update=stated) for name, facts in file.videos.items()})


def _config(files: list[OldFile], root: Path, path: Path, theirs: Config | None) -> tuple[Config, str]:
    """The config of imported files, and its text."""
    folder = Path(os.path.abspath(path)).parent
    dtypes: Counter[str] = sum((file.dtypes for file in files), Counter())
    votes = Counter(file.coordinates for file in files if file.coordinates)
    section: dict[str, Any]
    if theirs is not None:
        section = theirs.dataset.model_dump(mode="json", exclude_defaults=True)
    else:
        section = {
            "root": os.path.relpath(root.parent / f"{root.name}-videos", folder),
            "signers": sorted({file.unit.signer for file in files}, key=natural_key),
            "splits": sorted({file.unit.split for file in files}, key=natural_key),
            "signs": format_signs(file.unit.sign for file in files),
        }
    tree = {
        "dataset": section,
        "landmarks": {"coordinates": votes.most_common(1)[0][0] if votes else "image"},
        "output": {"root": os.path.relpath(root, folder), "imported": True, "dtype": dtypes.most_common(1)[0][0]},
    }
    if files[0].points != CONTRACT.name:
        tree["output"]["points"] = files[0].points
    text = HEADER.format(root=root.name) + (NO_VIDEOS if theirs is None else "")
    text += "\n" + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return make_config(tree, [], base=folder), text


def read_old_files(folder: Path, on_file: Callable[[int, int], None] = lambda done, total: None) -> list[OldFile]:
    """Read every file of a folder such as `01-train/0007.npz`, and check it.

    Raises:
        OutputError: There is none, a run of kpsbatch made them, or one can't be imported: names it and what is wrong.
    """
    units = sorted(find_outputs(folder))
    if not units:
        raise OutputError(f"{folder} holds no files such as 01-train/0007.npz. Name the folder above 01-train.")
    for unit, _ in units:
        refuse_recorded(folder, unit)
    return _all_of(folder, [partial(_check_file, *file) for file in units], on_file)


def _has_outputs(folder: Path) -> bool:
    return folder.is_dir() and next(find_outputs(folder), None) is not None


def read_pose_files(
    folder: Path, poses: Sequence[Path], on_file: Callable[[int, int], None] = lambda done, total: None
) -> list[OldFile]:
    """Read .pose files, and check them: what `export --to pose` wrote keeps its units and names of videos.

    Others are put together in the order of their paths, `POSES_OF_UNIT` a unit; two files of one name get the name of
    their folder before it.

    Raises:
        OutputError: pose-format is missing, one can't be imported, or they differ in their points.
    """
    units: dict[Unit, dict[str, Path]] = {}
    counts = Counter(path.stem for path in poses)
    loose = 0
    for path in poses:
        unit, name = place_of(path, folder if folder.is_dir() else folder.parent)
        if unit is None:
            unit, loose = Unit("unknown", "all", loose // POSES_OF_UNIT + 1), loose + 1
            name = name if counts[name] == 1 else f"{path.parent.name}_{name}"
        same = units.setdefault(unit, {})
        if name in same:
            raise OutputError(f"{path} and {same[name]} would both be {name!r} in {unit.name}. Rename one.")
        same[name] = path
    files = _all_of(folder, [partial(_check_poses, folder, *each) for each in units.items()], on_file)
    if other := next((file for file in files if file.points != files[0].points), None):
        theirs = f"{other.points} in {other.unit.name}, {files[0].points} in {files[0].unit.name}"
        raise OutputError(f"{folder}: .pose files hold different points ({theirs}). Import them one by one, by folder.")
    return files


def _check_poses(folder: Path, unit: Unit, poses: Mapping[str, Path]) -> OldFile:
    """Read the .pose files of a unit.

    Raises:
        OutputError: Says what is wrong with one.
    """
    read = {name: read_pose(path) for name, path in poses.items()}
    points, left_out = Counter(pose.points for pose in read.values()), Counter[str]()
    if len(points) > 1:
        names = {pose.points: poses[name].name for name, pose in read.items()}
        told = ", ".join(f"{name}: {kind}" for kind, name in names.items())
        raise OutputError(f"{folder}: .pose files hold different points ({told}). Import them one by one, by folder.")
    for pose in read.values():
        left_out.update(pose.left_out)
        left_out.update({"further people": 1} if pose.people > 1 else {})
    data = npz_of({name: pose.keypoints for name, pose in read.items()})
    return OldFile(
        unit,
        folder / f"{unit.name}.npz",
        NpzFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),
        {name: _facts_of_pose(pose) for name, pose in read.items()},
        Counter({"float32": len(read)}),
        "image",
        next(iter(points)),
        left_out,
        poses,
    )


def _facts_of_pose(pose: PoseFile) -> VideoRecord:
    stated = {"frame_rate": pose.frame_rate, "width": pose.width, "height": pose.height}
    return _facts(pose.keypoints, topology_of(pose.points)).model_copy(update=stated)


def _all_of(folder: Path, reads: Sequence[Callable[[], OldFile]], on_file: Callable[[int, int], None]) -> list[OldFile]:
    """Read all files.

    Raises:
        OutputError: One can't be imported: names it, and how many others.
    """
    results: list[OldFile | str] = []

    def checked(read: Callable[[], OldFile]) -> OldFile | str:
        try:
            return read()
        except OutputError as error:
            return str(error)

    for result in in_threads(checked, reads, READERS):
        results.append(result)
        on_file(len(results), len(reads))
    if problems := [result for result in results if isinstance(result, str)]:
        others = f" {counted(len(problems) - 1, 'other file')} can't be imported either." if len(problems) > 1 else ""
        raise OutputError(f"{problems[0]} Take it out of {folder}; nothing was imported.{others}")
    return [result for result in results if isinstance(result, OldFile)]


def refuse_recorded(root: Path, unit: Unit) -> None:
    """Refuse a unit that a run of kpsbatch has made.

    Raises:
        OutputError: It has a record that is none of an import.
    """
    for record in records_of(root, unit.name):
        settings = settings_of_record(record)
        if settings is None or not settings.imported:
            raise OutputError(
                f"{root}: {unit.name} was made by kpsbatch and has its record. Use its own config, or import elsewhere."
            )


def adopt(files: Sequence[OldFile], source: Path, outputs: Outputs) -> None:
    """Record files as imported; where they lie in another folder, they are copied, byte by byte.

    It can be killed and started again at any moment: a record is whole or not there.

    Args:
        files: What `read_old_files` found.
        source: The folder that they were found in.
        outputs: The output folder, with the settings of imported files.

    Raises:
        OutputError: A record or a copy can't be written, or another file is there already.
    """
    with explained(outputs.root):
        outputs.root.mkdir(parents=True, exist_ok=True)
        outputs.prepare_for([file.unit for file in files])
        for file in files:
            final, recorded = outputs.npz_path(file.unit), outputs.record_path(file.unit, "complete")
            refuse_recorded(outputs.root, file.unit)
            record = UnitRecord(
                format=RECORD_FORMAT,
                unit=UnitName(**file.unit._asdict()),
                state="complete",
                videos=dict(file.videos),
                imported=str(source.absolute()),
                points=file.points,
                fingerprint=outputs.fingerprint.digest,
                npz=file.npz,
            )
            recorded.parent.mkdir(parents=True, exist_ok=True)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists() and sha256_of(final) != file.npz.sha256:
                raise OutputError(f"{final} exists already and is not {file.path}. Choose another --to.")
            with outputs.lock():
                write_bytes(recorded, record_bytes(record))
                if not final.exists():
                    write_bytes(final, file.data())


def _check_file(unit: Unit, path: Path) -> OldFile:
    """Check one file.

    Raises:
        OutputError: Says what is wrong with it.
    """
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {
                member.removesuffix(".npy"): _array(path, member, read_zip_member(archive, member))
                for member in archive.namelist()
            }
    except OutputError:
        raise
    except Exception as error:  # whatever zipfile and zlib raise at damaged bytes
        raise OutputError(f"{path} is not a readable npz file: {one_line(error)}.") from None
    if not arrays:
        raise OutputError(f"{path} holds no video.")
    votes = Counter(kind for array in arrays.values() if (kind := coordinates_of(array)))
    return OldFile(
        unit,
        path,
        NpzFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),
        {name: _facts(array) for name, array in arrays.items()},
        Counter(str(array.dtype) for array in arrays.values()),
        votes.most_common(1)[0][0] if votes else None,
    )


def _array(path: Path, member: str, data: bytes) -> NDArray[Any]:
    """One array; nothing is unpickled.

    Raises:
        OutputError: It is not what an output holds.
    """
    name = f"{path}: {member.removesuffix('.npy')!r}"
    if not member.endswith(".npy"):
        raise OutputError(f"{path} holds {member!r}, which is not an array.")
    try:
        shape, fortran, dtype, start = npy_header(data)
    except ValueError as error:
        raise OutputError(f"{name} is not an array: {one_line(error)}.") from None
    points = (CONTRACT.points, len(CONTRACT.CHANNELS))
    if dtype.hasobject:
        raise OutputError(f"{name} holds Python objects (a pickle), which could run any code and are never loaded.")
    if len(shape) == 2 and shape[1] == points[0] * points[1]:
        raise OutputError(f"{name} is flattened to {shape}; it must be (T, {points[0]}, {points[1]}): reshape it.")
    if len(shape) != 3 or shape[1:] != points or not shape[0]:
        raise OutputError(f"{name} is {shape}, not (T, {points[0]}, {points[1]}).")
    if dtype.kind != "f" or dtype.itemsize > 8 or fortran:
        raise OutputError(f"{name} is of {dtype}{' in Fortran order' * fortran}, not of float16, float32 or float64.")
    array: NDArray[Any] = np.frombuffer(data, dtype, offset=start).reshape(shape)
    if not np.isfinite(array).all():
        raise OutputError(f"{name} holds NaN or infinite values; a missing part must be all zeros.")
    return array


def _facts(array: NDArray[Any], topology: Topology = CONTRACT) -> VideoRecord:
    """What an array alone tells."""
    in_frames = {part: is_found(array, points) for part, points in topology.parts.items()}
    hands = sum((in_frames[part].astype(int) for part in in_frames if part.endswith("hand")), np.zeros(len(array), int))
    both, one, none = (int((hands == count).sum()) for count in (2, 1, 0))
    return VideoRecord(
        frames=len(array),
        found=FoundFrames(**{part: int(frames.sum()) for part, frames in in_frames.items()}),
        hands=HandCounts(both=both, one=one, none=none),
        attempts=0,
    )
