"""`--to parquet`: a row for each video, with its keypoints as one list of float32."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kpsbatch.export.parts import Part, Read, Request, by_split, facts_of, missing_library, shards
from kpsbatch.files import write_atomically
from kpsbatch.store.reading import Sample
from kpsbatch.stored import escaped

FILE_BYTES = 250_000_000
ROWS_AT_ONCE = 64
"""Videos of a row group: what a reader has to hold in memory."""


class Parquet:
    """`train-00000-of-00003.parquet`, the names by which `datasets.load_dataset` knows the splits."""

    def parts(self, request: Request) -> list[Part]:
        """The files of each split.

        Raises:
            OutputError: pyarrow is missing.
        """
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise missing_library("parquet", "pyarrow") from None
        parts: list[Part] = []
        for split, numbers in by_split(request.dataset).items():
            files = list(shards(request, numbers, FILE_BYTES))
            names = (f"{split}-{place:05}-of-{len(files):05}.parquet" for place in range(len(files)))
            parts += map(Part, names, files)
        return parts

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write one file, some rows at a time."""
        from pyarrow.parquet import ParquetWriter

        topology = request.dataset.topology
        told = {"points": topology.names, "channels": topology.CHANNELS, "coordinates": request.coordinates}
        schema = _schema().with_metadata({"kpsbatch": json.dumps(told)})

        def write(file: BinaryIO) -> None:
            samples = read(part.numbers)
            with ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer:
                while rows := list(islice(samples, ROWS_AT_ONCE)):
                    writer.write_table(_table(schema, rows))

        write_atomically(path, write)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Nothing comes besides: all that is known of a video is in its row."""
        return {"keypoints": ["frames", request.dataset.topology.points, 4], "dtype": "float32"}


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in ("video", "signer", "split")),
            ("sign", pa.int32()),
            ("label", pa.string()),
            ("target", pa.int32()),
            ("frames", pa.int32()),
            ("frame_rate", pa.float64()),
            ("constant_rate", pa.bool_()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("times", pa.list_(pa.float64())),
            ("points", pa.int32()),
            ("keypoints", pa.list_(pa.float32())),
        ]
    )


def _table(schema: Any, samples: Sequence[Sample]) -> Any:
    """Rows; the keypoints go from NumPy to Arrow without becoming Python lists."""
    import pyarrow as pa

    rows = [
        {**facts_of(sample.info), "times": sample.info.times, "points": sample.keypoints.shape[1]} for sample in samples
    ]
    columns = [pa.array([escaped(row[name]) for row in rows], schema.field(name).type) for name in schema.names[:-1]]
    values = np.concatenate([sample.keypoints.astype(np.float32, copy=False).ravel() for sample in samples])
    offsets = np.cumsum([0, *(sample.keypoints.size for sample in samples)]).astype(np.int32)
    columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)))
    return pa.Table.from_arrays(columns, schema=schema)
