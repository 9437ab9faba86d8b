"""Reading outputs back: one file, or a whole output folder. Needs NumPy and nothing else."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.errors import OutputError
from kpsbatch.landmarks.topology import Topology
from kpsbatch.words import counted

_SHAPE = f"(T, {Topology.POINTS}, {len(Topology.CHANNELS)})"
_SUFFIX = ".npy"


def load(path: Path | str) -> dict[str, NDArray[Any]]:
    """Read an output file.

        for video, keypoints in kpsbatch.load("karsl-kps/01-train/0007.npz").items():
            hands_missing = ~keypoints[:, kpsbatch.Topology.RIGHT_HAND].any(axis=(1, 2))

    Returns:
        (T, 184, 4) for each video name, in the order of the file; every byte was checked against its checksum.

    Raises:
        OutputError: It is missing, damaged, or not what the output contract says.
    """
    path = Path(path)
    with _opened(path) as archive:
        return {name: _read(path, archive, name) for name in _names(path, archive)}


class Sample(NamedTuple):
    """One video of a dataset of outputs; `keypoints` is (T, 184, 4)."""

    signer: str
    split: str
    sign: int
    video: str
    keypoints: NDArray[Any]

    def __repr__(self) -> str:
        unit = f"signer={self.signer!r}, split={self.split!r}, sign={self.sign}"
        return f"Sample({unit}, video={self.video!r}, keypoints={self.keypoints.dtype}{self.keypoints.shape})"


@dataclass(frozen=True)
class OutputFile:
    """One unit of a dataset of outputs; holds no open file, so that it can be sent to other processes."""

    signer: str
    split: str
    sign: int
    path: Path

    def videos(self) -> list[str]:
        """Names of its videos; reads the file's table of contents only.

        Raises:
            OutputError: It is missing or damaged.
        """
        with _opened(self.path) as archive:
            return _names(self.path, archive)

    def read(self, video: str) -> NDArray[Any]:
        """The (T, 184, 4) keypoints of one video.

        Raises:
            OutputError: The file is damaged, or holds no such video.
        """
        with _opened(self.path) as archive:
            return _read(self.path, archive, video)

    def __iter__(self) -> Iterator[Sample]:
        with _opened(self.path) as archive:
            for video in _names(self.path, archive):
                yield Sample(self.signer, self.split, self.sign, video, _read(self.path, archive, video))


@dataclass(frozen=True)
class OutputDataset:
    """The outputs below a folder; `len()` counts units, iterating yields videos, with one file open at a time."""

    root: Path
    units: tuple[OutputFile, ...]

    def __repr__(self) -> str:
        return f"<OutputDataset {self.root}: {counted(len(self.units), 'unit')}>"

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[Sample]:
        for unit in self.units:
            yield from unit


def open_dataset(
    root: Path | str,
    *,
    signers: str | Iterable[str] | None = None,
    splits: str | Iterable[str] | None = None,
    signs: int | Iterable[int] | None = None,
) -> OutputDataset:
    """Find the outputs below a folder, by listing it; nothing is opened before it is used.

        for signer, split, sign, video, keypoints in kpsbatch.open_dataset("karsl-kps", splits="train"):
            ...

    Args:
        root: The config's `output.root`, or a copy of it, with or without its `_kpsbatch` folder.
        signers: Only these.
        splits: Only these.
        signs: Only these; signs without an output are passed over.

    Raises:
        OutputError: The folder is missing or holds no output, or a signer or split has none.
    """
    root = Path(root)
    units = sorted(find_outputs(root), key=lambda unit: unit[:3])
    if not units:
        raise OutputError(f"{root} holds no outputs such as 01-train/0007.npz. Correct the path.")
    chosen_signers = _chosen("signers", signers, {unit[0] for unit in units})
    chosen_splits = _chosen("splits", splits, {unit[1] for unit in units})
    chosen_signs = None if signs is None else {signs} if isinstance(signs, int) else {int(sign) for sign in signs}
    return OutputDataset(
        root,
        tuple(
            OutputFile(*unit)
            for unit in units
            if unit[0] in chosen_signers
            if unit[1] in chosen_splits
            if chosen_signs is None or unit[2] in chosen_signs
        ),
    )


def _chosen(what: str, names: str | Iterable[str] | None, there: set[str]) -> set[str]:
    if names is None:
        return there
    chosen = {names} if isinstance(names, str) else set(names)
    if unknown := chosen - there:
        raise OutputError(f"{what}: there is no {min(map(repr, unknown))}. Choose among {', '.join(sorted(there))}.")
    return chosen


def find_outputs(root: Path) -> Iterator[tuple[str, str, int, Path]]:
    """(signer, split, sign, path) of every output.

    Raises:
        OutputError: The folder can't be listed.
    """
    try:
        folders = [entry for entry in os.scandir(root) if entry.name[0] not in "._" and "-" in entry.name]
        for folder in folders:
            if not folder.is_dir():
                continue
            files = [name for name in os.listdir(folder) if re.fullmatch(r"[0-9]{4,5}\.npz", name)]
            if files:
                signer, split = _signer_and_split(root, folder.name)
                yield from ((signer, split, int(name[:-4]), Path(folder.path, name)) for name in files)
    except OSError as error:
        raise OutputError(f"{root} can't be listed: {error.strerror}. Correct the path.") from None


def _signer_and_split(root: Path, folder: str) -> tuple[str, str]:
    """Take a folder's name apart; with several hyphens a record tells, else the last hyphen counts."""
    if folder.count("-") > 1:
        for record in (root / "_kpsbatch" / "records").glob(f"*/{_literal(folder)}/*.json"):
            try:
                unit = json.loads(record.read_text(encoding="utf-8"))["unit"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            return str(unit["signer"]), str(unit["split"])
    signer, _, split = folder.rpartition("-")
    return signer, split


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise OutputError(f"{path} does not exist. Correct the path.") from None
    except (OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else f"it has another format or is cut off ({error})"
        raise OutputError(
            f"{path} is not a readable npz file: {said}. Delete it and run the same command again."
        ) from None


def _names(path: Path, archive: zipfile.ZipFile) -> list[str]:
    members = archive.namelist()
    if not members:
        raise OutputError(f"{path} holds no video. Delete it and run the same command again.")
    for member in members:
        if not member.endswith(_SUFFIX):
            raise OutputError(f"{path} holds {member!r}, which is not an array. Name a file that kpsbatch wrote.")
    return [member[: -len(_SUFFIX)] for member in members]


def _read(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    try:
        data = archive.read(name + _SUFFIX)  # to the end, which is where the checksum is looked at
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data))
    except KeyError:
        raise OutputError(
            f"{path} holds no video {name!r} but {len(archive.namelist())} others. Correct the name."
        ) from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        said = " ".join(str(error).split())
        raise OutputError(
            f"{path} is damaged in video {name!r}: {said}. Delete the file and run the same command again."
        ) from None
    if array.shape[1:] != (Topology.POINTS, len(Topology.CHANNELS)) or array.ndim != 3 or array.dtype.kind != "f":
        raise OutputError(
            f"{path}: video {name!r} is {array.shape} of {array.dtype}, not {_SHAPE} of floats. "
            "Name a file that kpsbatch wrote."
        )
    return array
