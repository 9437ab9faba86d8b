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
from kpsbatch.landmarks.found import is_found
from kpsbatch.look.about import about
from kpsbatch.points import topology_of
from kpsbatch.store.outputs import settings_of_record
from kpsbatch.store.pose_files import COMPONENTS, holistic_name
from kpsbatch.store.reading import KnownVideo, OutputDataset, Sample, VideoInfo, kept_path
from kpsbatch.store.settings import Settings
from kpsbatch.stored import escaped
from kpsbatch.words import some_of

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

HOLISTIC: Final = topology_of(["pose", "face.mesh", "hands"]).names
"""The points of MediaPipe Holistic."""

FURTHER_LINES = {"pose": ("head",), "face": ("irises",)}
"""Lines of a part that the topology keeps under a name of their own."""

COLOURS: Final[Mapping[str, tuple[int, int, int]]] = {"pose": (255, 0, 0), "face": (128, 0, 0)}
"""Of all lines of a component; the hands have a colour for each point, which pose-format has."""


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
        coordinates: As the settings say, such as `image`; "" where they don't.
    """

    dataset: OutputDataset
    dtype: np.dtype[Any]
    coordinates: str

    @cached_property
    def about(self) -> list[dict[str, Any]]:
        """What made the videos, see look/about.py; nothing where no record tells."""
        chosen: dict[str, set[str]] = {}
        for info in self.dataset.with_names.videos:
            chosen.setdefault(f"{info.path.parent.name}/{info.path.stem}", set()).add(info.video)
        return [made.as_tree() for made in about(self.dataset.root, chosen)]


SHARDED: Final = ("webdataset", "parquet")
"""Formats of which a file holds as many videos as fill some bytes."""

CONFIDENCES: Final = ("found", "visibility")
"""What the confidence of a .pose file can be: 1 in every point of a part that was found, or the keypoints' own."""


@dataclass(frozen=True)
class Options:
    """What a format is told.

    Attributes:
        said: The option and the name by which it was chosen, for errors.
        points_chosen: Whether the points are the user's choice, so that the format takes none of its own.
        confidence: Of .pose files: one of `CONFIDENCES`.
        shard_bytes: Of shards, how many bytes of arrays one holds; 0: as many as suit.
    """

    said: str = "--to pose"
    points_chosen: bool = False
    confidence: str = "found"
    shard_bytes: int = 0


class Format(Protocol):
    """One format: which files, how one of them is written, and what is written once all are there."""

    def source(self, dataset: OutputDataset) -> OutputDataset:
        """The videos with the points that the format wants; as they are, unless it says otherwise.

        Raises:
            OutputError: They lack some.
        """
        return dataset

    def told(self, request: Request) -> dict[str, Any]:
        """What `export.json` says of the points, and what else the files depend on."""
        topology = request.dataset.topology
        return {
            "points": topology.name,
            "parts": {name: [part.start, part.stop] for name, part in topology.parts.items()},
            "names": list(topology.names),
            "channels": list(topology.CHANNELS),
        }

    def parts(self, request: Request) -> list[Part]:
        """The files, the same for the same videos; an export in which they differ is another one.

        Raises:
            OutputError: The format can't hold the videos, or its library is missing.
        """

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write one of them so that it appears whole."""

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write what comes besides, and tell what `export.json` shall say of it all."""


def recorded_settings(dataset: OutputDataset) -> list[Settings]:
    """The settings of which the outputs are, each once; none where no record tells."""
    records: dict[str, Path] = {}
    for known in dataset.known:
        if known.record is not None:
            records.setdefault(known.record.parents[1].name, known.record)
    return [settings_of_record(record) or Settings() for record in records.values()]


def with_points(
    dataset: OutputDataset, names: Sequence[str], what: str, *, adjusted_too: bool = False, otherwise: str = ""
) -> OutputDataset:
    """Videos that have some points at least, in frame widths and heights: as the outputs hold them, else as kept.

    Args:
        names: Those of `FULL`.
        what: Who wants them, for the error.
        adjusted_too: Adjusted coordinates are as welcome, where the outputs hold them.
        otherwise: Another remedy, for the error.

    Raises:
        OutputError: They are not there.
    """
    if dataset.is_from_kept and {*names} <= {*dataset.topology.names}:
        return dataset
    held = {known.points for known in dataset.known}
    plain = adjusted_too or all(one.coordinates == "image" for one in recorded_settings(dataset))
    if len(held) == 1 and plain and {*names} <= {*dataset.topology.names}:
        return dataset
    in_metres = any(name.partition(".")[0].endswith("_world") for name in names)
    for unit in dataset.units:
        try:
            kept_path(unit.path)
        except OutputError as error:
            lacking = [name for name in names if len(held) != 1 or name not in dataset.topology.names]
            lack = f", {len(lacking)} of which the outputs lack ({some_of(lacking, 3)})" if lacking else ""
            raise OutputError(
                f"{what} takes {len(names)} points in image coordinates{lack}; {error}{otherwise}"
            ) from None
    return dataset.from_kept("full" if in_metres else names)


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


def require(said: str, package: str, extra: str = "") -> None:
    """Raise an OutputError where the library of a format is not installed."""
    try:
        importlib.import_module(package.replace("-", "_"))
    except ImportError:
        install = f"'kpsbatch[{extra}]'" if extra else package
        raise OutputError(f"{said} needs the package {package}. Run `pip install {install}`.") from None


class MemoryMap(Format):
    """`mmap`: one memory-mapped array for each split, with lengths, classes and a table of the videos.

    Arrays without a header, as `numpy.memmap` takes them, in one of two layouts.

    Padded: (N, T_max, points, 4), T_max the longest of all splits, zeros behind a video's end.
    Concatenated: (sum of T, points, 4), video i in rows offsets[i] to offsets[i + 1].
    """

    def __init__(self, options: Options, *, concatenated: bool) -> None:
        self._concatenated = concatenated

    def parts(self, request: Request) -> list[Part]:
        """An array for each split."""
        return [Part(split + _X, numbers) for split, numbers in by_split(request.dataset).items()]

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write an array, or the rest of it after a kill: how many of its videos are on disk is noted now and then.

        Raises:
            OutputError: Another process is writing it.
        """
        row = self.row_bytes(request)
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
                file.write(np.ascontiguousarray(self.values(request, sample)).data)
                if count % VIDEOS_BETWEEN_SYNCS == 0:
                    _sync(file)
                    write_json(noted, {"videos": count})
            _sync(file)
            publish(unfinished, path)
        noted.unlink(missing_ok=True)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write lengths, classes and tables."""
        arrays: dict[str, Any] = {}
        for part in parts:
            split = part.file.removesuffix(_X)
            videos = [request.dataset.videos[number] for number in part.numbers]
            offsets = self._offsets(request, part)
            save_array(folder / f"{split}_lengths.npy", np.array([info.frames for info in videos], np.int64))
            save_array(folder / f"{split}_y.npy", np.array([info.target for info in videos], np.int64))
            if self._concatenated:
                save_array(folder / f"{split}_offsets.npy", offsets)
            write_table(folder / f"{split}_index.csv", ({"row": row, **facts_of(i)} for row, i in enumerate(videos)))
            rows = int(offsets[-1])
            shape = [rows] if self._concatenated else [len(videos), rows // len(videos)]
            arrays[part.file] = {"shape": [*shape, request.dataset.topology.points, 4], "dtype": str(request.dtype)}
            forget_progress(folder / part.file)
        return {"layout": "concatenated" if self._concatenated else "padded", "arrays": arrays}

    def values(self, request: Request, sample: Sample) -> NDArray[Any]:
        """What is written of a video."""
        return sample.keypoints

    def row_bytes(self, request: Request) -> int:
        """The bytes of a frame in `values`."""
        return request.dataset.topology.points * 4 * request.dtype.itemsize

    def _offsets(self, request: Request, part: Part) -> NDArray[np.int64]:
        """In which row each video of a part begins, and how many rows there are."""
        lengths = request.dataset.lengths
        rows = lengths[list(part.numbers)] if self._concatenated else np.full(len(part.numbers), lengths.max())
        return np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)


def _noted(path: Path) -> Path:
    """Where it is noted how much of an unfinished array is on disk."""
    return path.with_name(f".{path.name}.progress")


def forget_progress(path: Path) -> None:
    """Remove the note of a finished array."""
    _noted(path).unlink(missing_ok=True)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file."""
    write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))


class _Npy(Format):
    """`npy`: `01-train/0007/NAME.npy`, each (T, points, 4), and `index.csv`."""

    def parts(self, request: Request) -> list[Part]:
        return one_by_one(request, ".npy")

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        (sample,) = read(part.numbers)
        save_array(path, sample.keypoints)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        write_index(folder / "index.csv", request, parts)
        return {"shape": ["T", request.dataset.topology.points, 4], "dtype": str(request.dtype)}


class _TarShards(Format):
    """`webdataset`: `train-000000.tar`, in each `KEY.npy`, (T, points, 4), and `KEY.json`.

    The videos of a split are shuffled.
    """

    def __init__(self, options: Options) -> None:
        self._shard_bytes = options.shard_bytes

    def parts(self, request: Request) -> list[Part]:
        parts = []
        for split, numbers in by_split(request.dataset).items():
            random.Random(0).shuffle(numbers)  # WebDataset reads in order: else a shard would be of one signer and sign
            cut = shards(request, numbers, self._shard_bytes or TAR_BYTES)
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


class _Parquet(Format):
    """`parquet`: a row for each video, with all that is known of it and its keypoints as one list of float32.

    The files are named like `train-00000-of-00003.parquet`, by which `datasets.load_dataset` knows the splits.
    """

    def __init__(self, options: Options) -> None:
        self._shard_bytes = options.shard_bytes

    def parts(self, request: Request) -> list[Part]:
        require("--to parquet", "pyarrow", "parquet")
        parts: list[Part] = []
        for split, numbers in by_split(request.dataset).items():
            files = list(shards(request, numbers, self._shard_bytes or PARQUET_BYTES))
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


class PoseFiles(Format):
    """`pose`: `01-train/0007/NAME.pose`, in pixels, and `index.csv` with what a .pose file can't hold.

    pose-format (github.com/sign-language-processing/pose) writes them, with its names, order and colours: see
    store/pose_files.py. Metres are multiplied with the frame's width and height, as it does.

    Args:
        names: The points, where they are not chosen; default: those of MediaPipe Holistic.
    """

    def __init__(self, options: Options = Options(), names: Sequence[str] = HOLISTIC) -> None:
        self._options, self._names = options, names
        self._components: list[Any] = []

    def source(self, dataset: OutputDataset) -> OutputDataset:
        """The videos with the points that were chosen, else its own.

        Raises:
            OutputError: They lack some, or pose-format is missing.
        """
        require(self._options.said, "pose-format", "pose")
        if not self._options.points_chosen:
            said = self._options.said
            otherwise = " Or export what they hold: --points contract." if said == "--to pose" else ""
            return with_points(dataset, self._names, f"{said}: it", otherwise=otherwise)
        self._names = dataset.topology.names
        return dataset

    def told(self, request: Request) -> dict[str, Any]:
        """The points in the order of the files."""
        channels = ["x", "y", "z", "confidence"]
        return {"names": self._ordered, "channels": channels, "confidence": self._options.confidence}

    @property
    def _ordered(self) -> list[str]:
        """The points in the order of the components."""
        return in_order_of_components(self._names)

    def parts(self, request: Request) -> list[Part]:
        """A file for each video.

        Raises:
            OutputError: Pixels or seconds can't be told.
        """
        videos = request.dataset.videos
        unknown = next((info for info in videos if not (info.frame_rate and info.width and info.height)), None)
        if unknown is not None:
            raise OutputError(
                f"{self._options.said}: a .pose file needs frame rate, width and height, and those of "
                f"{unknown.video!r} in {unknown.path} are not known. Export where its record is in _kpsbatch, or run "
                "it again."
            )
        self._components = components_of(self._ordered)
        return one_by_one(request, ".pose")

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        """Write a file."""
        (sample,) = read(part.numbers)
        topology = request.dataset.topology
        places = {name: place for place, name in enumerate(topology.names)}
        chosen = [places[name] for name in self._ordered]
        points = sample.keypoints.astype(np.float32)
        if self._options.confidence == "found":
            for place in topology.parts.values():
                points[is_found(points, place), place, 3] = 1
        write_atomically(path, pose_of(sample.info, points[:, chosen], self._components).write)

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write the table of the videos."""
        write_index(folder / "index.csv", request, parts)
        return {"shape": ["T", 1, len(self._ordered), 3], "dtype": "float32"}


def in_order_of_components(names: Sequence[str]) -> list[str]:
    """Points in the order of pose-format's components."""
    return [name for part in COMPONENTS for name in names if name.partition(".")[0] == part]


def pose_of(info: VideoInfo | KnownVideo, points: NDArray[np.float32], components: Sequence[Any]) -> Any:
    """A video (T, points, 4) as a `pose_format.Pose`: x and y in pixels, z as it is, the fourth value as confidence."""
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

    scale = np.array([info.width, info.height, 1], np.float32)
    body = NumPyPoseBody(info.frame_rate, points[:, None, :, :3] * scale, points[:, None, :, 3])
    return Pose(PoseHeader(0.2, PoseHeaderDimensions(info.width, info.height), list(components)), body)


def components_of(names: Sequence[str]) -> list[Any]:
    """The header's components for points, which are in the order of the components."""
    from pose_format.pose_header import PoseHeaderComponent
    from pose_format.utils.openpose import hand_colors

    components = []
    for part, component in COMPONENTS.items():
        points = [name.partition(".")[2] for name in names if name.partition(".")[0] == part]
        if not points:
            continue
        plain = part.removesuffix("_world")
        topology = topology_of([f"{plain}.{point}" for point in points])
        lines = [line for drawn in (plain, *FURTHER_LINES.get(plain, ())) for line in topology.paths.get(drawn, ())]
        limbs = [limb for line in lines for limb in pairwise(line)]
        colours = [COLOURS[plain]] if plain in COLOURS else [hand_colors[at] for at in topology.sources[plain]]
        called = [holistic_name(plain, point) for point in points]
        components.append(PoseHeaderComponent(component, called, limbs, colours, "XYZC"))
    return components


FORMATS: Mapping[str, Callable[[Options], Format]] = {
    "mmap": partial(MemoryMap, concatenated=False),
    "mmap-concatenated": partial(MemoryMap, concatenated=True),
    "pose": PoseFiles,
    "webdataset": _TarShards,
    "parquet": _Parquet,
    "npy": lambda options: _Npy(),
}
