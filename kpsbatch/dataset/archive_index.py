"""The index of an archive: where every member lies, folder by folder, in one file that is mapped into memory.

    8 bytes     MAGIC
    8 bytes     position of the header
    names       of members and folders, one after the other
    columns     arrays of fixed width (`MEMBER_COLUMNS`, then `FOLDER_COLUMNS`), each aligned to 8 bytes
    header      JSON: which archive this is of, and where the columns lie

The members of a folder lie side by side, and so do the folders of a folder (sorted by name), so that a process loads
only the pages that it needs. Opening an index does not import NumPy and is fast for an archive of any size.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from kpsbatch.dataset.folders import Entry, Folders, problem_of_name
from kpsbatch.untrusted import parse_json

MAGIC = b"KPSIDX1\n"
START = 16

STORED, DEFLATED = 0, 8
LINK, SPECIAL, HARD_LINK, SPARSE, ELSEWHERE = 65_001, 65_002, 65_003, 65_004, 65_005
"""Numbers that no zip method has, for members that are not plain files."""

_PROBLEMS = {
    STORED: "",
    DEFLATED: "",
    LINK: "a link, which is not followed in an archive",
    HARD_LINK: "a link, which is not followed in an archive",
    SPECIAL: "neither a directory nor a file",
    ELSEWHERE: "damaged in the archive: it is said to lie outside of it",
    SPARSE: "a sparse file, which is not read from an archive",
}
_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
Code = Literal["Q", "I", "H"]
MEMBER_COLUMNS: dict[str, Code] = {
    "offset": "Q",
    "size": "Q",
    "full": "Q",
    "name": "Q",
    "crc": "I",
    "length": "H",
    "method": "H",
}
FOLDER_COLUMNS: dict[str, Code] = {
    "fname": "Q",
    "flength": "I",
    "first": "Q",
    "count": "Q",
    "cfirst": "Q",
    "ccount": "Q",
}
"""Where its name lies, and the first and the number of its members and of the folders in it."""


class Member(NamedTuple):
    """A file in an archive.

    Attributes:
        name: Its name in its folder.
        offset: Where it starts: its local header in a zip, its bytes in a tar.
        size: Bytes that it takes in the archive.
        full_size: Bytes that it unpacks to.
        crc: CRC-32 of its bytes (a tar has none).
        method: How it is compressed: `STORED`, `DEFLATED`; others can't be read.
    """

    name: str
    offset: int
    size: int
    full_size: int
    crc: int
    method: int

    @property
    def problem(self) -> str:
        """Why it can't be read, or ""."""
        if self.method in _PROBLEMS:
            return _PROBLEMS[self.method]
        how = _METHODS.get(self.method, f"method {self.method}")
        return f"compressed by {how}, which is not read; pack it with zip -0"


OUTSIDE = "its path leads out of the archive"
TOO_DEEP = "its path is longer or deeper than that of any file"

LONGEST, DEEPEST = 4096, 100
"""Bytes of a path (PATH_MAX of Linux), and folders in it: each folder above is kept by its whole path."""


def clean(path: bytes, *, backslashes: bool = False) -> bytes | None:
    """A member's path without `./`, double or leading slashes, and without a slash at its end.

    Args:
        path: As in the archive, UTF-8.
        backslashes: Whether the archive may have been made on Windows, by a program that wrote \\ for /.

    Returns:
        The path, or None where it leads out of the archive, or is longer or deeper than is read.
    """
    if is_too_deep(path):
        return None
    if backslashes and b"\\" in path and b"/" not in path:
        path = path.replace(b"\\", b"/")
    if b"/." in path or b"//" in path or path.startswith((b"/", b".")):
        parts = [part for part in path.split(b"/") if part not in (b"", b".")]
        return None if b".." in parts else b"/".join(parts)
    return path.rstrip(b"/")


def is_too_deep(path: bytes) -> bool:
    """Whether a path is longer, or has more folders, than is read."""
    return len(path) > LONGEST or path.count(b"/") + path.count(b"\\") > DEEPEST


class IndexWriter:
    """Collects the members of an archive, and writes the index; members may come in any order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(MAGIC + bytes(8))
        self._position = START
        self._folders: dict[bytes, int] = {b"": 0}
        self._columns = {name: array(code) for name, code in MEMBER_COLUMNS.items()}
        self._folder_of = array("I")
        self._names: list[bytes] = []
        self._links: list[tuple[int, bytes]] = []
        self._last: tuple[bytes, int] = (b"", 0)

    def __len__(self) -> int:
        return len(self._folder_of)

    def add(self, path: bytes, offset: int, size: int, full: int, crc: int, method: int, target: bytes = b"") -> None:
        """Add a file by its clean path; see `Member`. `target` is the path of the file that a hard link repeats."""
        folder, _, name = path.rpartition(b"/")
        if len(name) > 65_535:
            return
        if folder != self._last[0]:
            self._last = (folder, self.add_folder(folder))
        columns = self._columns
        if method == HARD_LINK:
            self._links.append((len(self._folder_of), target))
        self._folder_of.append(self._last[1])
        columns["offset"].append(offset)
        columns["size"].append(size)
        columns["full"].append(full)
        columns["name"].append(self._position)
        columns["crc"].append(crc)
        columns["length"].append(len(name))
        columns["method"].append(method)
        self._names.append(name)
        self._position += len(name)
        if len(self._names) > 50_000:
            self._flush()

    def add_folder(self, path: bytes) -> int:
        """Add a folder, and those above it, by its clean path."""
        number = self._folders.get(path)
        if number is None:
            self.add_folder(path.rpartition(b"/")[0])
            number = self._folders[path] = len(self._folders)
        return number

    def finish(self, header: Mapping[str, Any]) -> None:
        """Write the columns and the header."""
        import numpy as np  # here: opening an index does without

        self._flush()
        paths = sorted(self._folders, key=lambda path: (path.count(b"/") + bool(path), path.split(b"/")))
        rank = np.empty(len(paths), np.uint32)
        rank[[self._folders[path] for path in paths]] = np.arange(len(paths), dtype=np.uint32)
        ranks = rank[np.frombuffer(self._folder_of, np.uint32)] if len(self) else np.empty(0, np.uint32)
        self._folder_of = array("I")
        order = np.argsort(ranks, kind="stable")
        counts = np.bincount(ranks, minlength=len(paths)).astype(np.uint64)
        del ranks
        columns: dict[str, Any] = {}
        for name, code in MEMBER_COLUMNS.items():
            values = np.frombuffer(self._columns.pop(name), np.dtype(code)) if len(order) else np.empty(0, code)
            columns[name] = values[order]
        columns["count"] = counts
        columns["first"] = np.cumsum(counts, dtype=np.uint64) - counts
        columns.update(self._folder_columns(paths))
        if self._links:
            self._resolve(columns, order, {path: number for number, path in enumerate(paths)})
        positions: dict[str, tuple[int, int]] = {}
        for name, code in {**MEMBER_COLUMNS, **FOLDER_COLUMNS}.items():
            data = np.ascontiguousarray(columns.pop(name), dtype=code)
            self._file.write(bytes(-self._position % 8))
            self._position += -self._position % 8
            positions[name] = (self._position, len(data))
            self._file.write(data.data)
            self._position += data.nbytes
        self._file.write(json.dumps({**header, "columns": positions}).encode())
        self._file.seek(len(MAGIC))
        self._file.write(struct.pack("<Q", self._position))

    def _flush(self) -> None:
        self._file.write(b"".join(self._names))
        self._names.clear()

    def _folder_columns(self, paths: list[bytes]) -> dict[str, array[int]]:
        """Names and children of the folders, which come level by level, those of one folder sorted by name."""
        columns = {name: array(FOLDER_COLUMNS[name]) for name in ("fname", "flength", "cfirst", "ccount")}
        children_of: dict[bytes, list[int]] = {}
        for number, path in enumerate(paths):
            parent, _, name = path.rpartition(b"/")
            if path:
                children_of.setdefault(parent, []).append(number)
            columns["fname"].append(self._position)
            columns["flength"].append(len(name))
            self._file.write(name)
            self._position += len(name)
        for path in paths:
            children = children_of.get(path, [0])
            columns["cfirst"].append(children[0])
            columns["ccount"].append(len(children) if children[0] else 0)
        return columns

    def _resolve(self, columns: dict[str, Any], order: Any, numbers: Mapping[bytes, int]) -> None:
        """Give hard links the place of the file that they repeat; one whose file is not there stays a link."""
        import numpy as np

        now = np.empty(len(order), np.int64)
        now[order] = np.arange(len(order))
        self._file.flush()
        names: dict[int, dict[bytes, int]] = {}
        for link, target in self._links:
            folder, _, name = target.rpartition(b"/")
            if (number := numbers.get(folder)) is None:
                continue
            if number not in names:
                first, count = int(columns["first"][number]), int(columns["count"][number])
                names[number] = {
                    os.pread(self._file.fileno(), int(columns["length"][i]), int(columns["name"][i])): i
                    for i in range(first, first + count)
                }
            if (target_number := names[number].get(name)) is not None:
                for column in ("offset", "size", "full", "crc", "method"):
                    columns[column][now[link]] = columns[column][target_number]


class ArchiveIndex:
    """An open index.

    Attributes:
        path: The index file.
        header: Which archive it is of: `archive` (its path), `kind`, `size`, `mtime`, `tail`, `members`, `ignored`.
    """

    def __init__(self, path: Path) -> None:
        """Map an index into memory.

        Raises:
            OSError: It can't be read.
            ValueError: It is none, or of another version.
        """
        self.path = path
        with path.open("rb") as file:
            start = file.read(START)
            if len(start) < START or not start.startswith(MAGIC):
                raise ValueError(f"{path} is not an index of this version")
            file.seek(struct.unpack_from("<Q", start, len(MAGIC))[0])
            self.header: dict[str, Any] = parse_json(file.read())
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        view = memoryview(self._map)
        codes = {**MEMBER_COLUMNS, **FOLDER_COLUMNS}
        positions: dict[str, tuple[int, int]] = self.header["columns"]
        self._columns = {
            name: view[start : start + count * array(codes[name]).itemsize].cast(codes[name])
            for name, (start, count) in positions.items()
        }

    def folder(self, path: str) -> int:
        """The number of a folder.

        Raises:
            FileNotFoundError: There is none.
            NotADirectoryError: A file is there.
        """
        number = 0
        for part in path.split("/") if path else ():
            name, children = os.fsencode(part), self._folders_in(number)
            at = bisect_left(children, name, key=self._folder_name)
            if at == len(children) or self._folder_name(children[at]) != name:
                if any(member.name == part for member in self.members(number)):
                    raise NotADirectoryError(20, os.strerror(20), f"{self.header['archive']}/{path}")
                raise FileNotFoundError(2, os.strerror(2), f"{self.header['archive']}/{path}")
            number = children[at]
        return number

    def members(self, folder: int) -> Iterator[Member]:
        """The files of a folder, in the order of the archive; where a name is there twice, the last one counts."""
        return map(self._member, self._members_in(folder))

    def count(self, folder: int) -> int:
        """How many files a folder holds."""
        return len(self._members_in(folder))

    def folder_names(self, folder: int) -> Iterator[str]:
        """Names of the folders in a folder."""
        return map(os.fsdecode, map(self._folder_name, self._folders_in(folder)))

    def member(self, path: str) -> Member:
        """A file by its path.

        Raises:
            FileNotFoundError: It is not there.
        """
        folder, _, name = path.rpartition("/")
        wanted = os.fsencode(name)
        for number in reversed(self._members_in(self.folder(folder))):
            if self._name(number) == wanted:
                return self._member(number)
        raise FileNotFoundError(2, os.strerror(2), f"{self.header['archive']}/{path}")

    def _members_in(self, folder: int) -> range:
        first = self._columns["first"][folder]
        return range(first, first + self._columns["count"][folder])

    def _folders_in(self, folder: int) -> range:
        first = self._columns["cfirst"][folder]
        return range(first, first + self._columns["ccount"][folder])

    def _member(self, number: int) -> Member:
        columns = self._columns
        size, full, crc = columns["size"][number], columns["full"][number], columns["crc"][number]
        name, method = os.fsdecode(self._name(number)), columns["method"][number]
        return Member(name, columns["offset"][number], size, full, crc, method)

    def _name(self, number: int) -> bytes:
        at = self._columns["name"][number]
        return self._map[at : at + self._columns["length"][number]]

    def _folder_name(self, number: int) -> bytes:
        at = self._columns["fname"][number]
        return self._map[at : at + self._columns["flength"][number]]


@dataclass(frozen=True)
class ArchiveFolders(Folders):
    """The folders in an archive."""

    opened: ArchiveIndex

    @property
    def index(self) -> Path:
        """The index file."""
        return self.opened.path

    def entries(self, folder: str) -> Iterator[Entry]:
        """See `Folders.entries`."""
        number = self.opened.folder(folder)
        folders = set(self.opened.folder_names(number))
        for name in folders:
            problem = problem_of_name(name)
            yield Entry(name, "odd" if problem else "folder", problem)
        problems = {member.name: member.problem for member in self.opened.members(number)}
        for name, of_member in problems.items():
            if name not in folders:
                problem = problem_of_name(name) or of_member
                yield Entry(name, "odd" if problem else "file", problem)

    def size(self, path: str) -> int:
        """See `Folders.size`."""
        folder, _, name = path.rpartition("/")
        return _sizes_in(self.opened, folder).get(name, 0)


@lru_cache(maxsize=16)
def _sizes_in(index: ArchiveIndex, folder: str) -> Mapping[str, int]:
    """The bytes of the files in a folder, by their names."""
    return {member.name: member.full_size for member in index.members(index.folder(folder))}
