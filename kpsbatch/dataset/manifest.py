"""Datasets that a table describes: a row for each output video.

Units: the rows of a (signer, split, sign) where the table has a column of numbered signs. Else the rows of a split, in
order, `dataset.videos_per_unit` at a time: unit 1, 2, 3 and so on of the signer "all", so that rows that are appended
touch the last unit of their split only. A row that can't be used keeps its place.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from kpsbatch.config import DatasetConfig, check_name, pattern_folder
from kpsbatch.dataset.archive import open_archive
from kpsbatch.dataset.captions import COLUMNS, read_captions
from kpsbatch.dataset.folders import Entry, Folders
from kpsbatch.dataset.tables import (
    BadRow,
    Getter,
    Row,
    box_reader,
    columns_of,
    compile_template,
    decode_table,
    encodable,
    read_bytes,
    read_person,
    read_rows,
    read_segment,
    read_sign,
    writable,
)
from kpsbatch.dataset.video import (
    IMAGE_SUFFIXES,
    Listing,
    Made,
    Presence,
    Unit,
    Video,
    natural_key,
    video_key,
    without_suffix,
)
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.untrusted import parse_json
from kpsbatch.words import counted

ALL_SIGNERS = "all"
"""The signer in the path of a unit whose rows are of any signer."""

UNKNOWN = "unknown"
"""The signer in the path where the table names none."""

NO_SPLIT = "all"
"""The split in the path where the table names none."""

SETTING = "dataset.manifest.path"
SHOWN = 10

MAX_KEY = 65_535 - len(".npy")
"""Bytes of a key: the name of a zip file's member has a field of 16 bits for their number."""

MAX_PROBLEM = 400

LOOKED_AT = 1000
"""Rows of a JSON table that tell its columns."""


class Problem(NamedTuple):
    """A row that can't be used: where it is, such as train.csv:17, and why."""

    source: str
    text: str


@dataclass
class _UnitRows:
    """The rows of a unit."""

    videos: list[Video] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class ManifestSource:
    """The videos that a table names.

    Attributes:
        problems: All rows that can't be used.
        notes: Rows of subtitles and ELAN files that are used, but may not be what was meant.
        rows: How many rows the table has: each is a video, a row that can't be used, or left out.
        left_out: How many are of signers, splits or signs that the config leaves out, or in `dataset.exclude`.
        exclude: The config's `dataset.exclude`.
        excluded: Those of it that the table has.
    """

    def __init__(self, dataset: DatasetConfig, folders: Folders) -> None:
        """Read the table and look for its files.

        Raises:
            ConfigError: The table can't be read, or lacks a column.
        """
        assert dataset.manifest is not None
        self._dataset, self._manifest, self.folders = dataset, dataset.manifest, folders
        self.root = folders.root
        self.has_signs = dataset.manifest.columns.sign is not None
        self._units: dict[Unit, _UnitRows] = {}
        self._listed: dict[str, _Folder] = {}
        self._sizes: dict[str, int] = {}
        self._names: dict[tuple[str, str, int], _Names] = {}
        self._counts: dict[str, int] = {}
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self.rows = self.left_out = 0
        self.excluded: set[str] = set()
        self.exclude = frozenset(dataset.exclude)
        self._stated: dict[int | str, None] = {}
        boxes = self._read_boxes()
        for split, path in self._manifest.tables:
            if (form := self._manifest.captions) is not None:
                self._read_captions(split, path, form, boxes)
            else:
                self._read_table(split, path, boxes)
        if self.rows != self.videos + len(self.problems) + self.left_out:
            raise DatasetError(f"{self.sum}: the sum is wrong, rows would be lost. Please report this table.")

    @property
    def videos(self) -> int:
        """How many rows are videos."""
        return sum(len(rows.videos) for rows in self._units.values())

    @property
    def stated(self) -> list[int | str]:
        """The signs by number, or the labels in the order of the table: of all rows, left out and bad ones, too."""
        return sorted(self._stated) if self.has_signs else [*self._stated]

    @property
    def label_problem(self) -> str:
        """What is wrong with the labels of all rows together: there are none, or they are one class; else ""."""
        labels = [label for label in self.stated if label != ""]
        if self.has_signs or self.videos < 2 or len(labels) > 1:
            return ""
        tell = "Name or fill the column dataset.manifest.columns.label"
        return f"all labels are {labels[0]!r}, one class. {tell}." if labels else f"no video has a label. {tell}."

    @property
    def sum(self) -> str:
        """What the rows of the table are, in words."""
        others = self.left_out - len(self.excluded)
        left_out = f", {others:,} of other signers, splits or signs" if others else ""
        left_out += f", {len(self.excluded):,} excluded" if self.excluded else ""
        bad = f", {len(self.problems):,} that can't be used" if self.problems else ""
        return f"{counted(self.rows, 'row')}: {counted(self.videos, 'video')}{bad}{left_out}"

    @property
    def signers(self) -> tuple[str, ...]:
        """The signers in the paths of the units, in natural order."""
        return tuple(sorted({unit.signer for unit in self._units}, key=natural_key))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits, in the order of the table."""
        return tuple(dict.fromkeys(unit.split for unit in self._units))

    @property
    def signs(self) -> tuple[int, ...]:
        """The signs, or the numbers of the units of rows."""
        return tuple(sorted({unit.sign for unit in self._units}))

    def units(self, signs: Iterable[int] | None = None) -> list[Unit]:
        """All units of some signs (default: all), sign by sign; each has a row."""
        splits = {split: number for number, split in enumerate(self.splits)}
        chosen = None if signs is None else set(signs)
        units = [unit for unit in self._units if chosen is None or unit.sign in chosen]
        return sorted(units, key=lambda unit: (unit.sign, natural_key(unit.signer), splits[unit.split]))

    def listing(self, unit: Unit) -> Listing:
        """The videos of a unit, in the order of the table; rows that can't be used are its odd entries."""
        rows = self._units.get(unit)
        if rows is None:
            return Listing(self.folders.root, exists=False)
        return Listing(self.folders.root, exists=True, videos=tuple(rows.videos), odd=tuple(rows.problems))

    def presence(self, unit: Unit) -> Presence:
        """What the table holds of a unit."""
        return self.listing(unit).presence

    def made(self, unit: Unit) -> Mapping[str, Made] | None:
        """What the keypoints of each video of a unit would be made from; None where the unit has no video."""
        rows = self._units.get(unit)
        return {video.name: self.made_of(video) for video in (rows.videos if rows else ())} or None

    def made_of(self, video: Video) -> Made:
        """The same of one video: its row counts by file, segment, box and person; each file is asked once."""
        path = video.path.relative_to(self.root).as_posix()
        if path not in self._sizes:
            self._sizes[path] = self.folders.size(path) if video.is_file else 0
        person = (video.person,) if video.person else ()  # left out, so that digests of before stay
        return Made(self._sizes[path], _digest((f"/{path}", video.segment, video.box, *person)))

    def strays(self) -> list[tuple[str, str]]:
        """Rows that can't be used and belong to no unit."""
        placed = {problem for rows in self._units.values() for problem in rows.problems}
        return [problem for problem in self.problems if problem not in placed]

    def folder(self, unit: Unit) -> Path:
        """Where a unit's videos lie: below the dataset's root."""
        return self.folders.root

    def no_video(self) -> DatasetError:
        """The error of a table of which no row can be used."""
        shown = "; ".join(f"{problem.source}: {problem.text}" for problem in self.problems[:SHOWN])
        tables = ", ".join(str(path) for _, path in self._manifest.tables)
        return DatasetError(
            f"{tables}: none of its {self.rows} rows can be used: {shown or 'they are of other splits or signs'}. "
            "Correct dataset.manifest."
        )

    def _read_boxes(self) -> Mapping[str, Any]:
        path, setting = self._manifest.boxes, "dataset.manifest.boxes"
        if path is None:
            return {}
        try:
            boxes = parse_json(decode_table(read_table(self.folders, path), setting, path), odd=str)
        except ValueError as error:
            raise ConfigError(f"{setting}: {path} is not valid JSON: {error}. Correct it.") from None
        if not isinstance(boxes, dict):
            raise ConfigError(f"{setting}: {path} is not a JSON object. Write the boxes by key.")
        return boxes

    def _read_captions(self, split: str | None, path: Path, form: str, boxes: Mapping[str, Any]) -> None:
        """Read subtitles or ELAN files: the one of a path, or all of a pattern.

        Keys have the folders between a pattern's own and the file, since names may repeat between folders.
        """
        manifest = self._manifest
        columns = [*COLUMNS, *(() if split is None else ("split",))]
        for file in self._files_of(path):
            below = pattern_folder(path) if "*" in str(path) else path.parent
            table = _on_one_line(file.relative_to(below).as_posix())
            parse = RowParser(self._dataset, columns, table, boxes, split)
            rows = read_captions(read_table(self.folders, file), form, file.stem, manifest.tiers)
            folder = file.parent.relative_to(self.root).as_posix() if self.root in file.parents else "."
            for line, row in rows:
                if not isinstance(row, str):
                    row["video"] = row["name"] if folder == "." else f"{folder}/{row['name']}"
                    row["id"] = "-".join((*file.parent.relative_to(below).parts, row["id"]))
                    if row["note"]:
                        self.notes.append(Problem(f"{table}:{line}", encodable(row["note"])))
                self._add(parse, split, f"{table}:{line}", row)

    def _files_of(self, path: Path) -> list[Path]:
        """The files of a path that may be a pattern, on disk or in the archive that is the root.

        Raises:
            ConfigError: There is none.
        """
        if "*" not in str(path):
            return [path]
        top = pattern_folder(path)
        if self.root in (top, *top.parents):
            files = [self.root / name for name in _matching(self.folders, path.relative_to(self.root).as_posix())]
        else:
            files = [Path(name) for name in glob.glob(str(path), recursive=True)]
        if not files:
            raise ConfigError(f"{SETTING}: no file is named like {path}. Correct the pattern, or name the file.")
        return sorted(files, key=lambda file: natural_key(str(file)))

    def _read_table(self, split: str | None, path: Path, boxes: Mapping[str, Any]) -> None:
        manifest = self._manifest
        table = _on_one_line(path.name)

        @cache
        def parser(*names: str) -> RowParser:
            columns = [*names, *(() if split is None or "split" in names else ("split",))]
            return RowParser(self._dataset, columns, table, boxes, split)

        data = read_table(self.folders, path)
        rows = read_rows(
            data, path, SETTING, manifest.format, manifest.header, lambda row: self._is_row(parser(*row), row)
        )
        first = list(islice(rows, LOOKED_AT))
        columns = columns_of(row for _, row in first)
        if not first:
            raise ConfigError(f"{SETTING}: {table} has no rows. Write a row for each video.")
        if not columns:
            line, text = first[0]
            raise ConfigError(
                f"{SETTING}: none of the first rows of {table} can be read: {table}:{line} {text}. "
                "Correct the table, or set dataset.manifest.format."
            )
        parse = parser(*columns)
        for line, row in chain(first, rows):
            self._add(parse, split, f"{table}:{line}", row)

    def _add(self, parse: RowParser, split: str | None, source: str, row: Row | str) -> None:
        """Add a row to its unit, or to the problems."""
        self.rows += 1
        unit_rows = None
        try:
            if isinstance(row, str):
                raise BadRow(row)
            if split is not None:
                row.setdefault("split", split)
            self._note_class(parse, row)
            unit, scope = self._place(parse, row)
            if unit is None:
                self.left_out += 1
            else:
                unit_rows = self._units.setdefault(unit, _UnitRows())
                video = self._video(parse, row, scope, source)  # which takes its name, also where it is left out
                if (key := video_key(unit, video.name)) in self.exclude:
                    self.left_out += 1
                    self.excluded.add(key)
                else:
                    unit_rows.videos.append(video)
        except BadRow as error:
            text = encodable(str(error))
            problem = Problem(source, text if len(text) <= MAX_PROBLEM else f"{text[:MAX_PROBLEM]}...")
            self.problems.append(problem)
            if unit_rows is not None:
                unit_rows.problems.append(problem)

    def _place(self, parse: RowParser, row: Row) -> tuple[Unit | None, tuple[str, str, int]]:
        """The unit of a row, None if the config leaves it out; and where its key must be unique."""
        dataset, split = self._dataset, _name(parse.split(row).strip() or NO_SPLIT, "split")
        if dataset.splits and split not in dataset.splits:
            return None, ("", split, 0)
        if parse.sign is None:
            count = self._counts[split] = self._counts.get(split, 0) + 1
            unit = Unit(ALL_SIGNERS, split, (count - 1) // dataset.videos_per_unit + 1)
            scope = Unit(ALL_SIGNERS, split, 0)
        else:
            signer = _name(parse.signer(row).strip() or UNKNOWN, "signer")
            unit = scope = Unit(signer, split, read_sign(parse.sign(row)))
        is_left_out = (dataset.signers and unit.signer not in dataset.signers) or (
            dataset.signs and unit.sign not in dataset.signs
        )
        return None if is_left_out else unit, scope

    def _note_class(self, parse: RowParser, row: Row) -> None:
        with contextlib.suppress(BadRow):  # which whoever reads the row tells
            stated = writable(parse.label(row)) if parse.sign is None else read_sign(parse.sign(row))
            if stated != "":
                self._stated.setdefault(stated)

    def _video(self, parse: RowParser, row: Row, scope: tuple[str, str, int], source: str) -> Video:
        path = _relative(parse.video(row), self.folders.root)
        names = self._names.setdefault(scope, _Names())
        name = names.from_table(parse.id(row).strip(), source) if parse.id else names.from_file_name(path)
        segment = read_segment(parse.start(row), parse.end(row), self._manifest)
        box = parse.box(row)
        folder, entry = self._find(path)
        return Video(
            name,
            folder / entry.name,
            entry.kind == "file",
            self.folders.index,
            segment,
            box,
            writable(parse.label(row)),
            writable(parse.signer(row)),
            writable(parse.view(row)),
            source,
            inside=self.folders.root if self.folders.inside else None,
            person=read_person(parse.person(row)),
        )

    def _find(self, path: str) -> tuple[Path, Entry]:
        """The folder of a path below the root, and its entry there.

        Raises:
            BadRow: It is not there, or no video.
        """
        folder, _, file = path.rpartition("/")
        if folder not in self._listed:
            self._listed[folder] = _Folder(self.folders, folder)
        return self._listed[folder].path, self._listed[folder].find(file, path)

    def _is_row(self, parse: RowParser, row: Row) -> bool:
        """Whether cells of a line inside a quoted cell are a row: of a video, or with the times or sign of one."""
        columns = self._manifest.columns
        try:
            path = _relative(parse.video(row), self.folders.root)
            if parse.sign is not None:
                read_sign(parse.sign(row))
            read_segment(parse.start(row), parse.end(row), self._manifest)
            if columns.sign is not None or (parse.start(row).strip() and parse.end(row).strip()):
                return True
            if without_suffix(path) != path:
                return True
            self._find(path)
        except BadRow:
            return False
        return True


class RowParser:
    """Reads the values of a row, by the columns that the manifest names."""

    def __init__(
        self, dataset: DatasetConfig, columns: Sequence[str], table: str, boxes: Mapping[str, Any], split: str | None
    ) -> None:
        manifest = dataset.manifest
        assert manifest is not None

        def getter(name: str, default: str = "") -> Getter:
            template = getattr(manifest.columns, name)
            if template is None:
                return lambda row: default
            return compile_template(template, columns, f"dataset.manifest.columns.{name}", table)

        self.video, self.label, self.view, self.signer = map(getter, ("video", "label", "view", "signer"))
        self.person = getter("person")
        self.id = getter("id") if manifest.columns.id is not None else None
        self.sign = getter("sign") if manifest.columns.sign is not None else None
        self.split = getter("split", split or (dataset.splits[0] if len(dataset.splits) == 1 else NO_SPLIT))
        self.start, self.end = getter("start"), getter("end")
        self.box = box_reader(manifest, columns, table, boxes)


class _Names:
    """Keys of the npz: as given, or made from the file's name, each once."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self._next: dict[str, int] = {}

    def from_table(self, name: str, source: str) -> str:
        """A key that the table names.

        Raises:
            BadRow: It can't be a key, or an earlier row has it.
        """
        if not name or name.endswith(".npy") or "\0" in name or name.startswith("/") or ".." in name.split("/"):
            raise BadRow(f"the id {name[:60]!r} can't be a key of an npz file")
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise BadRow(f"the id {name[:60]!r} has half a character, which can't be written") from None
        if size > MAX_KEY:
            raise BadRow(f"the id {name[:20]!r}... has {size:,} bytes, more than {MAX_KEY:,}")
        if name in self._taken:
            raise BadRow(f"the id {name[:60]!r} is used already ({self._taken[name]})")
        self._taken[name] = source
        return name

    def from_file_name(self, path: str) -> str:
        """The file's name without suffix; if another file has it, with its folder's; then with 2, 3 and so on."""
        folder, _, file = path.rpartition("/")
        stem = without_suffix(file)
        parent = folder.rpartition("/")[2]
        name = stem.removesuffix(".npy") or stem
        if parent and self._taken.get(name, path) != path:
            name = f"{parent}_{name}"
        if name in self._taken:
            base, number = name, self._next.get(name, 2)
            while (name := f"{base}_{number}") in self._taken:
                number += 1
            self._next[base] = number + 1
        self._taken[name] = path
        return name


class _Folder:
    """A listed folder: its entries by name, and names of its videos by what they are without suffix."""

    def __init__(self, folders: Folders, folder: str) -> None:
        self.path = folders.root / folder
        self._entries: dict[str, Entry] = {}
        self._stems: dict[str, list[str]] = {}
        self._problem = ""
        try:
            self._entries = {entry.name: entry for entry in folders.entries(folder)}
        except FileNotFoundError:
            self._problem = f"there is no folder {folder!r}"
        except UnicodeEncodeError:
            self._problem = f"there is no folder {folder!r}"
        except OSError as error:
            self._problem = f"the folder {folder!r} can't be listed: {error.strerror}"
        for name, entry in self._entries.items():
            if entry.kind == "file" and (stem := without_suffix(name)) != name:
                self._stems.setdefault(stem, []).append(name)

    def find(self, name: str, path: str) -> Entry:
        """An entry by its name, with or without suffix.

        Raises:
            BadRow: It is not there, or no video.
        """
        if self._problem:
            raise BadRow(self._problem)
        entry = self._entries.get(name)
        if entry is None:
            names = self._stems.get(name, [])
            if len(names) > 1:
                raise BadRow(f"{path!r} can be any of {', '.join(sorted(names))}")
            if not names:
                raise BadRow(f"there is no {path!r}")
            entry = self._entries[names[0]]
        if entry.kind == "odd":
            raise BadRow(f"{path!r} is not a video: {entry.problem}")
        if entry.kind == "file" and name.lower().endswith(IMAGE_SUFFIXES):
            raise BadRow(f"{path!r} is a frame, not a video; name its folder")
        return entry


def _on_one_line(name: str) -> str:
    """A file's name, of any bytes, as text without line breaks."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\n", "\\n")


def _matching(folders: Folders, pattern: str) -> Iterator[str]:
    """Files below a root that a pattern fits: `*` for characters of a name, `**` for any folders."""
    parts = pattern.split("/")

    def below(folder: str, rest: Sequence[str]) -> Iterator[str]:
        try:
            entries = list(folders.entries(folder))
        except OSError:
            return
        if rest[0] == "**":
            yield from below(folder, rest[1:] or ("*",))
        for entry in entries:
            path = f"{folder}/{entry.name}".lstrip("/")
            if rest[0] == "**" and entry.kind == "folder":
                yield from below(path, rest)
            elif rest[0] != "**" and fnmatchcase(entry.name, rest[0]):
                if len(rest) > 1 and entry.kind == "folder":
                    yield from below(path, rest[1:])
                elif len(rest) == 1 and entry.kind == "file":
                    yield path

    yield from dict.fromkeys(below("", parts))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()[:16]


def _relative(text: str, root: Path) -> str:
    """A path below the root, with /."""
    path = text.strip().replace("\\", "/")
    if path.startswith("/"):
        try:
            path = Path(path).relative_to(root).as_posix()
        except ValueError:
            raise BadRow(f"{text.strip()!r} is not below dataset.root") from None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in path:
        raise BadRow(f"{text.strip()[:80]!r} is not a path below dataset.root")
    return "/".join(parts)


@lru_cache(maxsize=1000)
def _name(text: str, field: str) -> str:
    try:
        return check_name(text)
    except ValueError as error:
        raise BadRow(f"the {field} becomes a folder's name: {error}") from None


def read_table(folders: Folders, path: Path) -> bytes:
    """A table's bytes, which may lie in the archive too: data.zip/splits/train.csv.

    Raises:
        ConfigError: The file can't be read.
    """
    if folders.index is not None and folders.root in path.parents:
        archive = open_archive(folders.index)
        try:
            return archive.read(archive.index.member(path.relative_to(folders.root).as_posix()))
        except FileNotFoundError:
            pass
    return read_bytes(path, SETTING)
