"""Writing the layouts of recipes: one class for all, and what the kinds of files are."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
from abc import ABC
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from kpsbatch.errors import OutputError
from kpsbatch.export.formats import (
    Format,
    MemoryMap,
    Options,
    Part,
    PoseFiles,
    Read,
    Request,
    by_split,
    file_name,
    forget_progress,
    key_of,
    require,
    save_array,
    with_points,
    write_index,
    write_table,
)
from kpsbatch.export.recipes import RECIPES, Arranger, Recipe, expanded
from kpsbatch.files import json_bytes, write_atomically, write_bytes
from kpsbatch.store.reading import OutputDataset, Sample, VideoInfo
from kpsbatch.words import counted

Arrays = Mapping[str, NDArray[Any]]

NOT_WORDS: Final = {"", "#n/a", "n/a", "na", "nan", "-nan", "none", "null", "<na>", "inf", "-inf", "true", "false"}
"""Labels that readers of tables take for something else, besides numbers."""

LIBRARIES: Final = {"parquet": ("pyarrow", "parquet"), "hdf5": ("h5py",)}
"""Packages that kinds of files need, and the extra that installs one."""

COLUMN_DIGITS: Final = 7
"""Of a coordinate in a text: a millionth of a frame and less."""


def layout_of(name: str, options: Options) -> Format:
    """The format of a recipe."""
    recipe = RECIPES[name]
    if recipe.kind == "pose":
        return PoseFiles(options, recipe.points)
    kinds: Mapping[str, Callable[[Recipe, Options], Format]] = {
        "mmap": _SignMajor,
        "columns": _Columns,
        "hdf5": _Hdf5,
    }
    return kinds.get(recipe.kind, _Files)(recipe, options)


class _Naming:
    """What the texts of a recipe have in their braces, for each video."""

    def __init__(self, dataset: OutputDataset) -> None:
        self._dataset = dataset
        self._takes: Counter[Any] = Counter()
        self.words = words_of(dataset)
        self.facts = [self._facts(number, info) for number, info in enumerate(dataset.videos)]

    def _facts(self, number: int, info: VideoInfo) -> dict[str, Any]:
        take, repeat = (info.split, info.target), (info.split, info.target, info.signer)
        self._takes.update([take, repeat])
        return {
            "unit": f"{info.path.parent.name}/{info.path.stem}",
            "split": info.split,
            "signer": info.signer,
            "signer_number": self._signer_numbers[info.signer],
            "sign": info.sign,
            "video": info.video,
            "word": self.words[info.target] if info.target >= 0 else "",
            "class_number": info.target + 1,
            "sequence": number + 1,
            "take": self._takes[take] - 1,
            "repeat": self._takes[repeat],
        }

    @cached_property
    def _signer_numbers(self) -> dict[str, int]:
        """Signers by number: their own where all have one."""
        signers = sorted({info.signer for info in self._dataset.videos})
        own = {signer: int(signer) for signer in signers if signer.isdecimal()}
        if len(set(own.values())) == len(signers):
            return own
        return {signer: place for place, signer in enumerate(signers, 1)}

    def path(self, template: str, number: int) -> str:
        """A path for a video, each field a part of a file's name."""
        facts = self.facts[number]
        named = {name: file_name(value) if isinstance(value, str) else value for name, value in facts.items()}
        return template.format_map({**named, "unit": facts["unit"]})


def words_of(dataset: OutputDataset) -> list[str]:
    """A word for each class, each another: its label, or `sign 7` where it has none or the label is no word."""
    labels: dict[int, str] = {}
    for info in dataset.videos:
        if info.target >= 0 and info.label:
            labels.setdefault(info.target, info.label)
    words: dict[str, None] = {}
    for target, name in enumerate(dataset.classes):
        label = labels.get(target, name if isinstance(name, str) else "")
        word = label if _is_word(label) else f"sign {label or name}"
        words[word if word not in words else f"{word} ({target + 1})"] = None
    return list(words)


def _is_word(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return label.strip().lower() not in NOT_WORDS
    return False


class _Layout(Format, ABC):
    """What the layouts of all recipes have in common."""

    def __init__(self, recipe: Recipe, options: Options) -> None:
        self._recipe, self._options = recipe, options
        self._naming: _Naming | None = None
        self._arranger: Arranger | None = None

    def source(self, dataset: OutputDataset) -> OutputDataset:
        recipe = self._recipe
        if recipe.kind in LIBRARIES:
            require(self._options.said, *LIBRARIES[recipe.kind])
        return with_points(dataset, recipe.points, f"{self._options.said}: it", adjusted_too=recipe.adjusted_too)

    def told(self, request: Request) -> dict[str, Any]:
        return {"layout": self._recipe.as_tree()}

    def named(self, request: Request) -> _Naming:
        """The names of the videos.

        Raises:
            OutputError: Some have no class, which the layout needs.
        """
        if self._naming is None:
            without = [info for info in request.dataset.videos if info.target < 0]
            if without and self._recipe.needs_classes:
                raise OutputError(
                    f"{self._options.said}: {counted(len(without), 'video')} have no class, such as "
                    f"{without[0].video!r} in {without[0].path}. Choose those that have one with --label."
                )
            self._naming = _Naming(request.dataset)
        return self._naming

    def arranged(self, request: Request, sample: Sample) -> Arrays:
        """The arrays of a video."""
        if self._arranger is None:
            self._arranger = Arranger(self._recipe, request.dataset.topology)
        return self._arranger(sample.keypoints)

    def files_of_splits(self, request: Request) -> list[Part]:
        """A file for each split."""
        naming = self.named(request)
        splits = by_split(request.dataset).values()
        return [Part(naming.path(self._recipe.file, numbers[0]), numbers) for numbers in splits]

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        """Write index.csv, the tables of the recipe, and its list of classes."""
        naming, recipe = self.named(request), self._recipe
        write_index(folder / "index.csv", request, parts)
        for template, columns in recipe.tables.items():
            tables: dict[str, list[tuple[str, int]]] = {}
            for part in parts:
                for number in part.numbers:
                    tables.setdefault(naming.path(template, number), []).append((part.file, number))
            for name, rows in tables.items():
                cells = (
                    {
                        column: text.format_map({**naming.facts[number], "file": file})
                        for column, text in columns.items()
                    }
                    for file, number in rows
                )
                write_table(folder / name, cells)
        if recipe.classes:
            _write_classes(folder / recipe.classes, naming.words)
        return {}


def _write_classes(path: Path, words: Sequence[str]) -> None:
    """All classes in order: by word in JSON, an array of words, or lines such as `1|peace`."""
    if path.suffix == ".json":
        write_bytes(path, json_bytes({word: number for number, word in enumerate(words)}))
    elif path.suffix == ".npy":
        save_array(path, np.array(words))
    else:
        lines = (f"{number}|{' '.join(word.replace('|', ' ').split())}\n" for number, word in enumerate(words, 1))
        write_bytes(path, "".join(lines).encode("utf-8", "backslashreplace"))


class _Files(_Layout):
    """A file for each video."""

    def parts(self, request: Request) -> list[Part]:
        naming = self.named(request)
        parts = [Part(naming.path(self._recipe.file, number), [number]) for number in range(len(request.dataset))]
        twice = next((name for name, count in Counter(part.file for part in parts).items() if count > 1), None)
        if twice is not None:
            raise OutputError(
                f"{self._options.said}: several videos would be {twice}. Choose one of them with --signers, --splits "
                "or --signs."
            )
        return parts

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        (sample,) = read(part.numbers)
        (number,) = part.numbers
        _WRITERS[self._recipe.kind](
            path, self.arranged(request, sample), self._recipe, self.named(request).facts[number]
        )


def _write_npy(path: Path, arrays: Arrays, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    save_array(path, arrays[""])


def _write_frames(path: Path, arrays: Arrays, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """A file for each frame; the last one, which says that all are there, comes last, when the others are on disk."""
    *others, last = arrays[""]
    files = [path.with_name(f"{number}.npy") for number in range(len(others))]
    for file, frame in zip(files, others, strict=True):
        np.save(file, frame)
    for file in files:
        with file.open("rb") as written:
            os.fsync(written.fileno())
    save_array(path, last)


def _write_pickle(path: Path, arrays: Arrays, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    write_bytes(path, pickle.dumps(arrays[""] if "" in arrays else dict(arrays), protocol=4))


def _write_json(path: Path, arrays: Arrays, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """INCLUDE's JSON, in which NaN is written as such."""
    frames = len(next(iter(arrays.values())))
    told = {"uid": path.stem, "label": facts["word"], **{name: array.tolist() for name, array in arrays.items()}}
    write_bytes(path, json.dumps({**told, "n_frames": frames}).encode())


def _write_parquet(path: Path, arrays: Arrays, recipe: Recipe, facts: Mapping[str, Any]) -> None:
    """A row for each point of each frame: `frame, row_id, type, landmark_index, x, y, z`."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow.parquet import write_table as write_parquet

    (array,) = arrays.values()
    names = [name.partition(".") for block in recipe.arrays[""] for name in expanded(block)]
    kinds = [part for part, _, _ in names]
    indices = [number for part in dict.fromkeys(kinds) for number in range(kinds.count(part))]
    frames = np.repeat(np.arange(len(array), dtype=np.int16), len(names))
    ends = pa.array([f"-{kind}-{index}" for kind, index in zip(kinds, indices, strict=True)])
    again = np.tile(np.arange(len(names)), len(array))
    columns = {
        "frame": pa.array(frames),
        "row_id": pc.binary_join_element_wise(pa.array(frames).cast(pa.string()), ends.take(again), ""),
        "type": pa.array(kinds).take(again),
        "landmark_index": pa.array(np.array(indices, np.int16)[again]),
        **{axis: pa.array(array[..., place].ravel(), from_pandas=False) for place, axis in enumerate("xyz")},
    }
    write_atomically(path, lambda file: write_parquet(pa.table(columns), file, compression="zstd"))


_WRITERS: Final[Mapping[str, Callable[[Path, Arrays, Recipe, Mapping[str, Any]], None]]] = {
    "npy": _write_npy,
    "frames": _write_frames,
    "pickle": _write_pickle,
    "json": _write_json,
    "parquet": _write_parquet,
}
"""Of the kinds with a file for each video: by path, arrays, recipe and facts of the video."""


class _Columns(_Layout):
    """A CSV file for each split: a row for each video, in each cell the list of a coordinate; `labels` from 1."""

    def parts(self, request: Request) -> list[Part]:
        return self.files_of_splits(request)

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        facts = self.named(request).facts

        def rows() -> Iterator[dict[str, Any]]:
            for number, sample in zip(part.numbers, read(part.numbers), strict=True):
                (array,) = self.arranged(request, sample).values()
                texts = np.round(array.astype(np.float64), COLUMN_DIGITS).transpose(1, 2, 0).tolist()
                columns = (f"{name}_{axis}" for name in self._recipe.names for axis in "XY")
                yield {
                    **dict(zip(columns, (str(values) for point in texts for values in point), strict=True)),
                    "labels": facts[number]["class_number"],
                    "video": facts[number]["video"],
                }

        write_table(path, rows())


class _Hdf5(_Layout):
    """An HDF5 file for each split: `KEY/KEY/joints/NAME`."""

    def parts(self, request: Request) -> list[Part]:
        return self.files_of_splits(request)

    def write(self, request: Request, part: Part, path: Path, read: Read) -> None:
        h5py: Any = importlib.import_module("h5py")

        def write(file: BinaryIO) -> None:
            with h5py.File(file.name, "w") as hdf5:
                for sample in read(part.numbers):
                    key = key_of(sample.info)
                    for name, array in self.arranged(request, sample).items():
                        hdf5.create_dataset(f"{key}/{key}/joints/{name}", data=array)

        write_atomically(path, write)


class _SignMajor(_Layout, MemoryMap):
    """The frames of a split one behind the other, by sign, signer and video; classes and lengths beside them."""

    def __init__(self, recipe: Recipe, options: Options) -> None:
        _Layout.__init__(self, recipe, options)
        MemoryMap.__init__(self, options, concatenated=True)

    def parts(self, request: Request) -> list[Part]:
        infos = request.dataset.videos
        unnumbered = next((info for info in infos if not info.signer.isdecimal()), None)
        if unnumbered is not None:
            raise OutputError(
                f"{self._options.said}: signers are numbers there, and {unnumbered.signer!r} is not a number. Choose "
                "those that are with --signers."
            )
        splits = by_split(request.dataset).items()
        order = {split: sorted(each, key=lambda n: (infos[n].sign, int(infos[n].signer))) for split, each in splits}
        return [Part(self.named(request).path(self._recipe.file, each[0]), each) for each in order.values()]

    def values(self, request: Request, sample: Sample) -> NDArray[Any]:
        (array,) = self.arranged(request, sample).values()
        return array

    def row_bytes(self, request: Request) -> int:
        return len(self._recipe.points) * 4 * np.dtype(self._recipe.dtype).itemsize

    def finish(self, request: Request, parts: Sequence[Part], folder: Path) -> dict[str, Any]:
        dataset = request.dataset
        signs = {name for name in dataset.classes if isinstance(name, int)} | {info.sign for info in dataset.videos}
        signers = {int(info.signer) for info in dataset.videos}
        for part in parts:
            split = part.file.removesuffix("_X.mmap")
            videos = [dataset.videos[number] for number in part.numbers]
            lengths: dict[int, dict[int, Any]] = {
                sign: {signer: np.zeros(0, np.int64) for signer in sorted(signers)} for sign in sorted(signs)
            }
            for info in videos:
                signer = int(info.signer)
                lengths[info.sign][signer] = [*map(int, lengths[info.sign][signer]), info.frames]
            rows = sum(info.frames for info in videos)
            save_array(folder / f"{split}_X_shape.npy", np.array([rows, len(self._recipe.points), 4]))
            target = io.BytesIO()
            np.save(target, np.array(lengths, object), allow_pickle=True)
            write_bytes(folder / f"{split}_X_map_samples_lens.npy", target.getvalue())
            classes = io.BytesIO()
            np.savez_compressed(classes, np.array([info.sign - 1 for info in videos], np.int64))
            write_bytes(folder / f"{split}_y.npz", classes.getvalue())
            forget_progress(folder / part.file)
        return _Layout.finish(self, request, parts, folder)
