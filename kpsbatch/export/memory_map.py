"""`--to mmap`: one memory-mapped array for each split, with lengths, classes and a table of the videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.errors import OutputError
from kpsbatch.export.parts import Part, Read, Request, by_split, facts_of, write_table
from kpsbatch.files import publish, read_json, try_lock, write_atomically, write_json

VIDEOS_BETWEEN_SYNCS = 256
_X = "_X.mmap"


class MemoryMap:
    """Arrays without a header, as `numpy.memmap` takes them, in one of two layouts.

    Padded: (N, T_max, points, 4), T_max the longest of all splits, zeros behind a video's end.
    Concatenated: (sum of T, points, 4), video i in rows offsets[i] to offsets[i + 1].
    """

    def __init__(self, *, concatenated: bool) -> None:
        """Choose the layout."""
        self._concatenated = concatenated

    def parts(self, request: Request) -> list[Part]:
        """A file for each split."""
        return [Part(split + _X, numbers) for split, numbers in by_split(request.dataset).items()]

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write an array, or the rest of it after a kill: how many of its videos are on disk is noted now and then.

        Raises:
            OutputError: Another process is writing it.
        """
        row = request.dataset.topology.points * 4 * request.dtype.itemsize
        offsets = self._offsets(request, part)
        size = int(offsets[-1]) * row
        unfinished, noted = path.with_name(f".{path.name}.unfinished"), _noted(path)
        with open(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b") as file:
            if not try_lock(file):
                raise OutputError(f"{path} is being written by another process. Let it finish.")
            done = (read_json(noted) or {}).get("videos", 0) if os.fstat(file.fileno()).st_size == size else 0
            file.truncate(size)  # what is never written, the padding, reads as zeros
            for count, sample in enumerate(read(part.numbers[done:]), done + 1):
                file.seek(int(offsets[count - 1]) * row)
                file.write(np.ascontiguousarray(sample.keypoints).data)
                if count % VIDEOS_BETWEEN_SYNCS == 0:
                    _sync(file)
                    write_json(noted, {"videos": count})
            _sync(file)
            publish(unfinished, path)
        noted.unlink(missing_ok=True)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write lengths, classes, offsets and tables; tell shapes and types."""
        arrays: dict[str, Any] = {}
        for part in parts:
            split = part.file.removesuffix(_X)
            videos = [request.dataset.videos[number] for number in part.numbers]
            offsets = self._offsets(request, part)
            _save(folder / f"{split}_lengths.npy", np.array([info.frames for info in videos], np.int64))
            _save(folder / f"{split}_y.npy", np.array([info.target for info in videos], np.int64))
            if self._concatenated:
                _save(folder / f"{split}_offsets.npy", offsets)
            write_table(folder / f"{split}_index.csv", ({"row": row, **facts_of(i)} for row, i in enumerate(videos)))
            rows = int(offsets[-1])
            shape = [rows] if self._concatenated else [len(videos), rows // len(videos)]
            arrays[part.file] = {"shape": [*shape, request.dataset.topology.points, 4], "dtype": str(request.dtype)}
            _noted(folder / part.file).unlink(missing_ok=True)
        return {"layout": "concatenated" if self._concatenated else "padded", "arrays": arrays}

    def _offsets(self, request: Request, part: Part) -> NDArray[np.int64]:
        """In which row each video of a part begins, and how many rows there are."""
        lengths = request.dataset.lengths
        rows = lengths[list(part.numbers)] if self._concatenated else np.full(len(part.numbers), lengths.max())
        return np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)


def _noted(path: Path) -> Path:
    """Where it is noted how much of an unfinished array is on disk."""
    return path.with_name(f".{path.name}.progress")


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _save(path: Path, array: NDArray[Any]) -> None:
    write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
