"""The formats of exports, and what they have in common: files, their names, tables of videos."""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
import os
import random
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kpsbatch.errors import OutputError
from kpsbatch.files import json_bytes, publish, read_json, try_lock, write_atomically, write_json
from kpsbatch.look.about import about
from kpsbatch.points import Topology
from kpsbatch.store.reading import OutputDataset, Sample, VideoInfo
from kpsbatch.stored import escaped

NAME_BYTES = 200
"""Longer names of videos are cut, so that with a suffix and a temporary mark they fit into a file's name (255)."""

Read = Callable[[Iterable[int]], Iterator[Sample]]
"""Reads videos of the dataset by their numbers, in that order."""

VIDEOS_BETWEEN_SYNCS = 256
_X = "_X.mmap"

TAR_BYTES = 100_000_000
"""Of arrays: as many shards as several loader processes want, and few files."""

PARQUET_BYTES = 250_000_000
ROWS_AT_ONCE = 64
"""Videos of a row group: what a reader has to hold in memory."""

COMPONENTS: Final[Mapping[str, str]] = {
    "pose": "POSE_LANDMARKS",
    "face": "FACE_LANDMARKS",
    "left_hand": "LEFT_HAND_LANDMARKS",
    "right_hand": "RIGHT_HAND_LANDMARKS",
}
"""pose-format's components in its order, by part."""

FURTHER_LINES = {"pose": ("head",), "face": ("irises",)}
"""Lines of a part that the topology keeps under a name of their own."""

COLOURS: Final[Mapping[str, tuple[int, int, int]]] = {"pose": (255, 0, 0), "face": (128, 0, 0)}
"""Of all lines of a component; the hands have a colour for each point, which pose-format has."""

_LONGER: Final = ("index", "middle", "ring")
"""Fingers that MediaPipe's Holistic calls INDEX_FINGER, unlike thumb and pinky."""


class Part(NamedTuple):
    """One file of an export, and the numbers of the videos in it."""

    file: str
    numbers: Sequence[int]


@dataclass(frozen=True)
class Request:
    """What is exported.

    Attributes:
        dataset: The videos.
        dtype: Of all arrays.
        coordinates: `image` or `adjusted`, as the settings say; "" where they don't.
    """

    dataset: OutputDataset
    dtype: np.dtype[Any]
    coordinates: str

    @cached_property
    def about(self) -> list[dict[str, Any]]:
        """What made the videos, see look/about.py; nothing where no record tells."""
        chosen: dict[str, set[str]] = {}
        for info in self.dataset.videos:
            chosen.setdefault(f"{info.path.parent.name}/{info.path.stem}", set()).add(info.video)
        return [made.as_tree() for made in about(self.dataset.root, chosen)]


class Format(Protocol):
    """One format: which files, how one of them is written, and what is written once all are there."""

    def parts(self, request: Request) -> list[Part]:
        """The files, the same for the same videos; an export in which they differ is another one.

        Raises:
            OutputError: The format can't hold the videos, or its library is missing.
        """

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write one of them so that it appears whole."""

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write what comes besides, and tell what `export.json` shall say of it all."""


def by_split(dataset: OutputDataset) -> dict[str, list[int]]:
    """The numbers of the videos of each split."""
    splits: dict[str, list[int]] = {}
    for number, info in enumerate(dataset.videos):
        splits.setdefault(info.split, []).append(number)
    return splits


def shards(request: Request, numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Videos in order, as many together as fill some bytes with their arrays; one at least."""
    row = request.dataset.topology.points * 4 * request.dtype.itemsize
    shard: list[int] = []
    filled = 0
    for number in numbers:
        video = request.dataset.videos[number].frames * row
        if shard and filled + video > size:
            yield shard
            shard, filled = [], 0
        shard.append(number)
        filled += video
    if shard:
        yield shard


def file_name(video: str, also: str = "") -> str:
    """The name of a video as a part of a file's name: `/`, `%` and what is in `also` escaped, cut where it is long."""
    name = "".join(f"%{ord(char):02X}" if char in "/%\0\n\r" + also else char for char in video)
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= NAME_BYTES:
        return name
    mark = hashlib.sha256(video.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{data[: NAME_BYTES - 13].decode('utf-8', 'ignore')}~{mark}"


def one_by_one(request: Request, suffix: str) -> list[Part]:
    """A file for each video: `01-train/0007/NAME.suffix`."""
    return [
        Part(f"{info.path.parent.name}/{info.path.stem}/{file_name(info.video)}{suffix}", [number])
        for number, info in enumerate(request.dataset.videos)
    ]


def facts_of(info: VideoInfo) -> dict[str, Any]:
    """What is known of a video, for tables and JSON."""
    return {
        "video": info.video,
        "signer": info.signer,
        "split": info.split,
        "sign": info.sign,
        "label": info.label,
        "target": info.target,
        "frames": info.frames,
        "frame_rate": info.frame_rate,
        "constant_rate": info.times is None if info.frame_rate else None,
        "width": info.width,
        "height": info.height,
    }


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV file of rows that have the same columns."""

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
        table: csv.DictWriter[str] | None = None
        for row in rows:
            if table is None:
                table = csv.DictWriter(text, list(row), lineterminator="\n")
                table.writeheader()
            table.writerow(
                {name: str(value).lower() if isinstance(value, bool) else value for name, value in row.items()}
            )
        text.detach()

    write_atomically(path, write)


def write_index(path: Path, request: Request, parts: Iterable[Part], **more: Callable[[VideoInfo], Any]) -> None:
    """Write a CSV file with a row for each video: its file, and what is known of it."""
    videos = request.dataset.videos
    rows = (
        {"file": part.file, **{name: of(videos[number]) for name, of in more.items()}, **facts_of(videos[number])}
        for part in parts
        for number in part.numbers
    )
    write_table(path, rows)


def _require(form: str, package: str) -> None:
    """Raise an OutputError where the library of a format is not installed."""
    try:
        importlib.import_module(package.replace("-", "_"))
    except ImportError:
        raise OutputError(f"--to {form} needs the package {package}. Run `pip install 'kpsbatch[{form}]'`.") from None


class _MemoryMap:
    """`mmap`: one memory-mapped array for each split, with lengths, classes and a table of the videos.

    Arrays without a header, as `numpy.memmap` takes them, in one of two layouts.

    Padded: (N, T_max, points, 4), T_max the longest of all splits, zeros behind a video's end.
    Concatenated: (sum of T, points, 4), video i in rows offsets[i] to offsets[i + 1].
    """

    def __init__(self, *, concatenated: bool) -> None:
        self._concatenated = concatenated

    def parts(self, request: Request) -> list[Part]:
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


class _Npy:
    """`npy`: `01-train/0007/NAME.npy`, each (T, points, 4), and `index.csv`."""

    def parts(self, request: Request) -> list[Part]:
        return one_by_one(request, ".npy")

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        (sample,) = read(part.numbers)
        _save(path, sample.keypoints)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        write_index(folder / "index.csv", request, parts)
        return {"shape": ["T", request.dataset.topology.points, 4], "dtype": str(request.dtype)}


class _TarShards:
    """`webdataset`: `train-000000.tar`, in each `KEY.npy`, (T, points, 4), and `KEY.json`.

    The videos of a split are shuffled.
    """

    def parts(self, request: Request) -> list[Part]:
        parts = []
        for split, numbers in by_split(request.dataset).items():
            random.Random(0).shuffle(numbers)  # WebDataset reads in order: else a shard would be of one signer and sign
            cut = shards(request, numbers, TAR_BYTES)
            parts += [Part(f"{split}-{number:06}.tar", shard) for number, shard in enumerate(cut)]
        return parts

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
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
        write_index(folder / "index.csv", request, parts, key=key_of)
        shape = ["T", request.dataset.topology.points, 4]
        return {"shape": shape, "dtype": str(request.dtype), "shards": [part.file for part in parts]}


def key_of(info: VideoInfo) -> str:
    """The key of a video: WebDataset takes all before the first dot for it."""
    return f"{info.path.parent.name}-{info.path.stem}-{file_name(info.video, also='.')}".replace(".", "%2E")


class _Parquet:
    """`parquet`: a row for each video, with all that is known of it and its keypoints as one list of float32.

    The files are named like `train-00000-of-00003.parquet`, by which `datasets.load_dataset` knows the splits.
    """

    def parts(self, request: Request) -> list[Part]:
        _require("parquet", "pyarrow")
        parts: list[Part] = []
        for split, numbers in by_split(request.dataset).items():
            files = list(shards(request, numbers, PARQUET_BYTES))
            names = (f"{split}-{number:05}-of-{len(files):05}.parquet" for number in range(len(files)))
            parts += map(Part, names, files)
        return parts

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        from pyarrow.parquet import ParquetWriter

        topology = request.dataset.topology
        metadata = {
            "points": topology.names,
            "channels": topology.CHANNELS,
            "coordinates": request.coordinates,
            "classes": request.dataset.classes,
            "about": request.about,
        }
        schema = _parquet_schema().with_metadata({"kpsbatch": json.dumps(metadata)})

        def write(file: BinaryIO) -> None:
            samples = read(part.numbers)
            with ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer:
                while rows := list(islice(samples, ROWS_AT_ONCE)):
                    writer.write_table(_parquet_table(schema, rows))

        write_atomically(path, write)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        return {"keypoints": ["frames", request.dataset.topology.points, 4], "dtype": "float32"}


def _parquet_schema() -> Any:
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


def _parquet_table(schema: Any, samples: Sequence[Sample]) -> Any:
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


class _PoseFiles:
    """`pose`: `01-train/0007/NAME.pose`, in pixels, and `index.csv` with what a .pose file can't hold.

    pose-format (github.com/sign-language-processing/pose) writes them. Components and points have the names and order
    that it gives to those of MediaPipe Holistic (`pose_format.utils.holistic`, which can't be imported with the
    MediaPipe of today), and its colours.
    """

    def __init__(self) -> None:
        self._components: list[Any] = []

    def parts(self, request: Request) -> list[Part]:
        _require("pose", "pose-format")
        if request.coordinates == "adjusted":
            raise OutputError(
                "--to pose: .pose files are in pixels, and these are adjusted coordinates. Export an output with "
                "landmarks.coordinates: image."
            )
        videos = request.dataset.videos
        unknown = next((info for info in videos if not (info.frame_rate and info.width and info.height)), None)
        if unknown is not None:
            raise OutputError(
                f"--to pose: a .pose file needs frame rate, width and height, and those of {unknown.video!r} in "
                f"{unknown.path} are not known. Export where its record is in _kpsbatch, or run it again."
            )
        self._components = components_of(request.dataset.topology)
        return one_by_one(request, ".pose")

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        (sample,) = read(part.numbers)
        write_atomically(path, pose_of(sample, self._components).write)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        write_index(folder / "index.csv", request, parts)
        return {"shape": ["T", 1, request.dataset.topology.points, 3], "dtype": "float32"}


def pose_of(sample: Sample, components: Sequence[Any]) -> Any:
    """A video as a `pose_format.Pose`: x and y in pixels, z and visibility as they are."""
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

    info: VideoInfo = sample.info
    parts = [sample.keypoints[:, sample.parts[part]] for part in COMPONENTS if part in sample.parts]
    points = np.concatenate(parts, axis=1)[:, None].astype(np.float32)
    scale = np.array([info.width, info.height, 1], np.float32)
    body = NumPyPoseBody(info.frame_rate, points[..., :3] * scale, points[..., 3])
    return Pose(PoseHeader(0.2, PoseHeaderDimensions(info.width, info.height), list(components)), body)


def components_of(topology: Topology) -> list[Any]:
    """The header's components for a set of points."""
    from pose_format.pose_header import PoseHeaderComponent
    from pose_format.utils.openpose import hand_colors

    components = []
    for part, component in COMPONENTS.items():
        if part not in topology.parts:
            continue
        points = topology.parts[part]
        lines = [line for drawn in (part, *FURTHER_LINES.get(part, ())) for line in topology.paths.get(drawn, ())]
        limbs = [(a - points.start, b - points.start) for line in lines for a, b in pairwise(line)]
        names = [_holistic_name(part, name.partition(".")[2]) for name in topology.names[points]]
        colours = [COLOURS[part]] if part in COLOURS else [hand_colors[landmark] for landmark in topology.sources[part]]
        components.append(PoseHeaderComponent(component, names, limbs, colours, "XYZC"))
    return components


def _holistic_name(part: str, point: str) -> str:
    """A point as MediaPipe's Holistic names it: LEFT_WRIST, INDEX_FINGER_TIP, 468."""
    finger, _, joint = point.partition("_")
    return (f"{finger}_finger_{joint}" if part.endswith("hand") and finger in _LONGER else point).upper()


FORMATS: Mapping[str, Callable[[], Format]] = {
    "mmap": partial(_MemoryMap, concatenated=False),
    "mmap-concatenated": partial(_MemoryMap, concatenated=True),
    "pose": _PoseFiles,
    "webdataset": _TarShards,
    "parquet": _Parquet,
    "npy": _Npy,
}
