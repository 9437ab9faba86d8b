"""`--to webdataset`: tar shards in which each video is an array and a JSON file with the same key."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kpsbatch.export.parts import Part, Read, Request, by_split, facts_of, file_name, shards, write_index
from kpsbatch.files import json_bytes, write_atomically
from kpsbatch.store.reading import VideoInfo

SHARD_BYTES = 100_000_000
"""Of arrays: as many shards as several loader processes want, and few files."""


class TarShards:
    """`train-000000.tar`: in each `KEY.npy`, (T, points, 4), and `KEY.json`; the videos of a split are shuffled."""

    def parts(self, request: Request) -> list[Part]:
        """The shards of each split."""
        parts = []
        for split, numbers in by_split(request.dataset).items():
            random.Random(0).shuffle(numbers)  # WebDataset reads in order: else a shard would be of one signer and sign
            cut = shards(request, numbers, SHARD_BYTES)
            parts += [Part(f"{split}-{place:06}.tar", shard) for place, shard in enumerate(cut)]
        return parts

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write a shard."""

        def write(file: BinaryIO) -> None:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for sample in read(part.numbers):
                    array = io.BytesIO()
                    np.save(array, sample.keypoints, allow_pickle=False)
                    facts = {**facts_of(sample.info), **({"times": sample.info.times} if sample.info.times else {})}
                    for suffix, data in (("npy", array.getvalue()), ("json", json_bytes(facts))):
                        entry = tarfile.TarInfo(f"{key_of(sample.info)}.{suffix}")
                        entry.size = len(data)
                        tar.addfile(entry, io.BytesIO(data))

        write_atomically(path, write)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write index.csv."""
        write_index(folder / "index.csv", request, parts, key=key_of)
        shape = ["T", request.dataset.topology.points, 4]
        return {"shape": shape, "dtype": str(request.dtype), "shards": [part.file for part in parts]}


def key_of(info: VideoInfo) -> str:
    """The key of a video: WebDataset takes all before the first dot for it."""
    return f"{info.path.parent.name}-{info.path.stem}-{file_name(info.video, also='.')}".replace(".", "%2E")
