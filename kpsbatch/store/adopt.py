"""Outputs of other scripts in the same layout: looked at to the last value, and recorded as imported.

What a record can't know stays as empty as it was: no frame rate, no sizes, no letters. The npz files are not changed.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError, one_line
from kpsbatch.files import sha256_of, write_bytes
from kpsbatch.landmarks.facts import FoundFrames, HandCounts
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.topology import CONTRACT
from kpsbatch.store.guards import explained
from kpsbatch.store.known_videos import find_outputs
from kpsbatch.store.members import npy_header
from kpsbatch.store.outputs import Outputs, records_of, settings_of_record
from kpsbatch.store.records import RECORD_FORMAT, NpzFile, UnitName, UnitRecord, VideoRecord, record_bytes
from kpsbatch.words import counted

READERS = 4
"""Threads that read files, each of which holds one."""


@dataclass(frozen=True)
class OldFile:
    """A file that can be imported.

    Attributes:
        unit, path: Which one it is.
        npz: Its size and hash.
        videos: What is known of each video.
        dtypes: How many videos have which dtype.
        is_adjusted: Whether its coordinates look adjusted; None where nothing was found in it.
    """

    unit: Unit
    path: Path
    npz: NpzFile
    videos: dict[str, VideoRecord]
    dtypes: Counter[str]
    is_adjusted: bool | None


def look_at(folder: Path, on_file: Callable[[int, int], None] = lambda done, total: None) -> list[OldFile]:
    """Read every file of a folder such as `01-train/0007.npz`, and check it.

    Args:
        folder: Their folder.
        on_file: Called with (files read, files in all).

    Raises:
        OutputError: There is none, a run of kpsbatch made them, or one can't be imported: names it and what is wrong.
    """
    units = sorted(find_outputs(folder))
    if not units:
        raise OutputError(f"{folder} holds no files such as 01-train/0007.npz. Name the folder above 01-train.")
    for unit, _ in units:
        refuse_recorded(folder, unit)
    found: list[OldFile | str] = []

    def look(place: tuple[Unit, Path]) -> OldFile | str:
        try:
            return _look_at_file(*place)
        except OutputError as error:
            return str(error)

    with ThreadPoolExecutor(READERS) as readers:
        for result in readers.map(look, units):
            found.append(result)
            on_file(len(found), len(units))
    if problems := [result for result in found if isinstance(result, str)]:
        others = f" {counted(len(problems) - 1, 'other file')} can't be imported either." if len(problems) > 1 else ""
        raise OutputError(f"{problems[0]} Take it out of {folder}; nothing was imported.{others}")
    return [result for result in found if isinstance(result, OldFile)]


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
        files: What `look_at` found.
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
            data = record_bytes(_record(file, source, outputs.fingerprint.digest))
            recorded.parent.mkdir(parents=True, exist_ok=True)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists() and sha256_of(final) != file.npz.sha256:
                raise OutputError(f"{final} exists already and is not {file.path}. Choose another --to.")
            with outputs.lock():
                write_bytes(recorded, data)
                if not final.exists():
                    write_bytes(final, file.path.read_bytes())


def _record(file: OldFile, source: Path, digest: str) -> UnitRecord:
    unit = file.unit
    return UnitRecord(
        format=RECORD_FORMAT,
        unit=UnitName(signer=unit.signer, split=unit.split, sign=unit.sign),
        state="complete",
        videos=dict(file.videos),
        imported=str(source.absolute()),
        points=CONTRACT.name,
        fingerprint=digest,
        npz=file.npz,
    )


def _look_at_file(unit: Unit, path: Path) -> OldFile:
    """Check one file.

    Raises:
        OutputError: Says what is wrong with it.
    """
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {
                member.removesuffix(".npy"): _array(path, member, archive.read(member)) for member in archive.namelist()
            }
    except OutputError:
        raise
    except Exception as error:  # whatever zipfile and zlib raise at damaged bytes
        raise OutputError(f"{path} is no readable npz file: {one_line(error)}.") from None
    if not arrays:
        raise OutputError(f"{path} holds no video.")
    votes = [vote for array in arrays.values() if (vote := _looks_adjusted(array)) is not None]
    return OldFile(
        unit,
        path,
        NpzFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),
        {name: _facts(array) for name, array in arrays.items()},
        Counter(str(array.dtype) for array in arrays.values()),
        2 * sum(votes) > len(votes) if votes else None,
    )


def _array(path: Path, member: str, data: bytes) -> NDArray[Any]:
    """One array; nothing is unpickled.

    Raises:
        OutputError: It is not what an output holds.
    """
    name = f"{path}: {member.removesuffix('.npy')!r}"
    if not member.endswith(".npy"):
        raise OutputError(f"{path} holds {member!r}, which is no array.")
    try:
        shape, fortran, dtype, start = npy_header(data)
    except ValueError as error:
        raise OutputError(f"{name} is no array: {one_line(error)}.") from None
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


def _facts(array: NDArray[Any]) -> VideoRecord:
    """What an array alone tells."""
    found = {part: is_found(array, place) for part, place in CONTRACT.parts.items()}
    hands = found["right_hand"].astype(int) + found["left_hand"]
    both, one, none = (int((hands == count).sum()) for count in (2, 1, 0))
    return VideoRecord(
        frames=len(array),
        found=FoundFrames(**{part: int(there.sum()) for part, there in found.items()}),
        hands=HandCounts(both=both, one=one, none=none),
        attempts=0,
    )


def _looks_adjusted(array: NDArray[Any]) -> bool | None:
    """Whether coordinates are relative to a part: half of its points then lie left of its reference; None without any.

    In image coordinates only points outside the frame are below 0. A pose has too few points to tell.
    """
    for part in ("face", "right_hand", "left_hand"):
        there = array[is_found(array, CONTRACT.parts[part])][:, CONTRACT.parts[part], :2]
        if len(there):
            return bool((there < 0).mean() > 0.2)
    pose = array[is_found(array, CONTRACT.parts["pose"])][:, CONTRACT.parts["pose"], 0]
    return bool((pose < 0).mean() > 0.2) if len(pose) else None
