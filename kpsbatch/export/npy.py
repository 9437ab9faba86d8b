"""`--to npy`: a file for each video, and a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kpsbatch.export.parts import Part, Read, Request, one_by_one, write_index
from kpsbatch.files import write_atomically


class Npy:
    """`01-train/0007/NAME.npy`, each (T, points, 4), and `index.csv`."""

    def parts(self, request: Request) -> list[Part]:
        """A file for each video."""
        return one_by_one(request, ".npy")

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write one video."""
        (sample,) = read(part.numbers)
        write_atomically(path, lambda file: np.save(file, sample.keypoints, allow_pickle=False))

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write index.csv."""
        write_index(folder / "index.csv", request, parts)
        return {"shape": ["T", request.dataset.topology.points, 4], "dtype": str(request.dtype)}
