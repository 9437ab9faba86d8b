"""npz files: written compressed; read array by array, checked to the last byte. Needs NumPy and nothing else.

`zipfile` reads the table of contents; the arrays themselves are read with one system call each, which `zipfile` and
`numpy.load` do in pieces.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.errors import OutputError, one_line
from kpsbatch.files import read_at
from kpsbatch.untrusted import inflate

COMPRESSION = 1
"""Keypoints hardly compress: level 1 is twice as fast as zlib's usual 6, for 2% more bytes (measured)."""

_SUFFIX = ".npy"
_LOCAL_HEADER = 30
"""Bytes before the name; the lengths of name and extra field are the last four (APPNOTE.TXT 4.3.7)."""
_EXTRA = 64
"""Room for the extra field, so that one call reads all; a longer one costs a second call."""
_NPY_HEADER, _LONG_NPY_HEADER = 256, 1 << 17
"""Bytes that hold the header of every array of ours, and of every array (its length has two bytes)."""

_END = "<4s4H2LH"
"""The end of a zip file: signature, two disks, entries twice, bytes and place of the directory (APPNOTE.TXT 4.3.16)."""
_ENTRY_OFFSET = 42
"""Where an entry of the directory says where its array lies (4.3.12)."""
_LARGEST, _MOST = 1 << 32, 1 << 16
"""Bytes and entries of a zip file from which on it has other fields."""

_KEPT = 4096
"""Tables of contents that are kept in mind: all of a KArSL-502, some 25 MB."""


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as a compressed npz, keyed by any text (`np.savez` fails for a key named `file`).

    The bytes depend on the arrays only: entries carry no time of writing.
    """
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            with buffer.getbuffer() as data:  # released also where the disk is full
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED, COMPRESSION)


def npz_bytes(name: str, array: NDArray[Any]) -> bytes:
    """An npz of one array."""
    return npz_of({name: array})


def npz_of(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An npz of arrays, see `write_npz`."""
    file = io.BytesIO()
    write_npz(file, arrays)
    return file.getvalue()


def npz_bytes_of_pieces(name: str, pieces: Sequence[NDArray[Any]], axis: int) -> bytes:
    """An npz of one array that is not in memory as a whole: arrays put together along an axis, such as memory maps."""
    shape = list(pieces[0].shape)
    shape[axis] = sum(piece.shape[axis] for piece in pieces)
    header = {"descr": np.lib.format.dtype_to_descr(pieces[0].dtype), "fortran_order": False, "shape": tuple(shape)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        entry = zipfile.ZipInfo(f"{name}.npy")
        entry.compress_type, entry._compresslevel = zipfile.ZIP_DEFLATED, COMPRESSION  # type: ignore[attr-defined]
        size = math.prod(shape) * pieces[0].dtype.itemsize
        with archive.open(entry, "w", force_zip64=size >= _LARGEST // 2) as written:
            np.lib.format.write_array_header_1_0(written, header)
            for outer in np.ndindex(*shape[:axis]):
                for piece in pieces:
                    written.write(np.ascontiguousarray(piece[outer]).data)
    return file.getvalue()


def join_npz(file: BinaryIO, parts: Collection[bytes]) -> None:
    """Write the arrays of several `npz_bytes` as one npz; those that one with 64-bit fields needs are packed again."""
    if len(parts) >= _MOST or sum(map(len, parts)) >= _LARGEST:
        opened = [np.load(io.BytesIO(part), allow_pickle=False) for part in parts]
        write_npz(file, {name: part[name] for part in opened for name in part.files})
        return
    directory: list[bytes] = []
    offset = 0
    for part in parts:
        size, start = struct.unpack_from(_END, part, len(part) - struct.calcsize(_END))[5:7]
        entry = bytearray(part[start : start + size])
        entry[_ENTRY_OFFSET : _ENTRY_OFFSET + 4] = offset.to_bytes(4, "little")
        directory.append(bytes(entry))
        file.write(memoryview(part)[:start])
        offset += start
    entries = b"".join(directory)
    file.write(entries)
    counts = len(directory), len(directory), len(entries), offset, 0
    file.write(struct.pack(_END, b"PK\5\6", 0, 0, *counts))


class Member(NamedTuple):
    """Where an array lies in its file."""

    name: bytes
    offset: int
    compressed: int
    size: int
    crc: int
    method: int


@dataclass(frozen=True)
class NpzReader:
    """An open npz file."""

    path: Path
    descriptor: int
    members: Mapping[str, Member]

    def read(self, name: str) -> NDArray[Any]:
        """An array of its own, which can be written to.

        Raises:
            OutputError: There is none of this name, or the file is damaged.
        """
        member = self._member(name)
        try:
            data = self._bytes(member)
            if len(data) != member.size or zlib.crc32(data) != member.crc:
                raise ValueError("its checksum is another")
            shape, fortran, dtype, start = _header(bytes(data[:_LONG_NPY_HEADER]))
            return np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C").copy()
        except (OSError, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError) as error:
            raise self._damaged(name, error) from None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, from its first bytes.

        Raises:
            OutputError: As `read`; the checksum is not looked at.
        """
        try:
            return _header(bytes(self._bytes(self._member(name), _NPY_HEADER)))[0]
        except (OSError, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError) as error:
            raise self._damaged(name, error) from None

    def _member(self, name: str) -> Member:
        if name not in self.members:
            raise OutputError(f"{self.path} holds no video {name!r} but {len(self.members)} others. Correct the name.")
        return self.members[name]

    def _bytes(self, member: Member, first: int | None = None) -> bytes | memoryview:
        """The array's file, or the first bytes of it."""
        before = _LOCAL_HEADER + len(member.name)
        wanted = member.compressed if first is None else min(member.compressed, first)
        data = read_at(self.descriptor, before + _EXTRA + wanted, member.offset)
        if data[:4] != b"PK\3\4" or data[_LOCAL_HEADER:before] != member.name:
            raise ValueError("its header is another")
        start = before + int.from_bytes(data[28:30], "little")
        if len(data) < start + wanted:
            data += read_at(self.descriptor, start + wanted - len(data), member.offset + len(data))
        packed = memoryview(data)[start : start + wanted]
        if member.method == zipfile.ZIP_STORED:
            return packed
        if member.method != zipfile.ZIP_DEFLATED:
            raise NotImplementedError(f"compression method {member.method}")
        if first is not None:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, first)
        return inflate(packed, member.size)

    def _damaged(self, name: str, error: Exception) -> OutputError:
        problem = f"{self.path} is damaged in video {name!r}: {one_line(error)}."
        return OutputError(f"{problem} Delete the file and run the same command again.")


@contextmanager
def open_npz(path: Path) -> Iterator[NpzReader]:
    """Open an npz file to read arrays from it; its table of contents is kept in mind for the next time.

    Raises:
        OutputError: It is missing, unreadable, or holds something else than arrays.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise OutputError(f"{path} does not exist. Correct the path.") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    if path.is_dir():
        os.close(descriptor)
        inside = next(iter(sorted(path.rglob("[!.]*.npz"))), None)
        advice = f"Name an npz file in it, such as {inside}." if inside else "It holds no npz file. Correct the path."
        raise OutputError(f"{path} is a folder. {advice}")
    try:
        yield NpzReader(path, descriptor, _members(path, descriptor))
    finally:
        os.close(descriptor)


def video_names(path: Path) -> list[str]:
    """Names of the videos of an npz file, at least one, from its table of contents.

    Raises:
        OutputError: As `open_npz`.
    """
    with open_npz(path) as npz:
        return list(npz.members)


_known: dict[Path, tuple[tuple[int, ...], Mapping[str, Member]]] = {}
"""Tables of contents by file, each with the version of the file that it is of: inode, size and time."""


def _members(path: Path, descriptor: int) -> Mapping[str, Member]:
    status = os.fstat(descriptor)
    version = status.st_ino, status.st_size, status.st_mtime_ns
    known = _known.get(path)
    if known is None or known[0] != version:
        if len(_known) >= _KEPT:
            _known.clear()
        known = _known[path] = version, _read_members(path, descriptor)
    return known[1]


def _read_members(path: Path, descriptor: int) -> Mapping[str, Member]:
    try:
        with open(descriptor, "rb", closefd=False) as opened, zipfile.ZipFile(opened) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it has another format or is cut off ({error})"
        raise _unreadable(path, reason or str(error)) from None
    if not entries:
        raise OutputError(f"{path} holds no video. Delete it and run the same command again.")
    members: dict[str, Member] = {}
    for entry in entries:
        if not entry.filename.endswith(_SUFFIX):
            raise OutputError(
                f"{path} holds {entry.filename!r}, which is not an array. Name a file that kpsbatch wrote."
            )
        name = entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437")
        members[entry.filename[: -len(_SUFFIX)]] = Member(
            name, entry.header_offset, entry.compress_size, entry.file_size, entry.CRC, entry.compress_type
        )
    return members


def _unreadable(path: Path, reason: str) -> OutputError:
    return OutputError(
        f"{path} is not a readable npz file: {reason}. Name a file that kpsbatch wrote; if it is one, delete it and "
        "run the same command again."
    )


def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """As `npy_header`.

    Raises:
        ValueError: It is no .npy file, or one of objects, which are never unpickled.
    """
    header = npy_header(data)
    if header[2].hasobject:
        raise ValueError("Object arrays cannot be loaded")
    return header


def npy_header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether it is in Fortran order, dtype and where the values begin.

    Raises:
        ValueError: It is no .npy file.
    """
    file = io.BytesIO(data)
    npy: Any = np.lib.format  # untyped
    read_header = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read_header(file)
    except ValueError:
        raise
    except Exception as error:  # whatever NumPy, and Python's parser, raise at a header that is none
        raise ValueError(f"its header is no header of an array: {type(error).__name__}") from None
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, fortran, dtype, file.tell()
