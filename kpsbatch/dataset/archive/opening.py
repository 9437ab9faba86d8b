"""Opening an archive: its kind, its index (built once, then checked), and its members' bytes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import _TemporaryFileWrapper
from typing import Any, BinaryIO

from kpsbatch.dataset.archive.index import DEFLATED, ArchiveFolders, ArchiveIndex, IndexWriter, Member
from kpsbatch.dataset.archive.members import LOCAL_SIZE, TAR_BLOCK, data_start, is_tar_header, scan_tar, scan_zip
from kpsbatch.errors import DatasetError
from kpsbatch.files import write_atomically

_TAIL = 1 << 16
_SLACK = 512
"""Bytes read besides a member's own, for its local header: its name and extra fields are rarely longer."""

_REPACK = "unpack it, or pack it again as a zip (zip -0 -r data.zip data) or as a tar without compression"
_COMPRESSED = {
    b"\x1f\x8b": "gzip; gunzip it, or unpack it",
    b"BZh": "bzip2; bunzip2 it, or unpack it",
    b"\xfd7zXZ": "xz; unxz it, or unpack it",
    b"\x28\xb5\x2f\xfd": "Zstandard; unzstd it, or unpack it",
    b"7z\xbc\xaf": f"7-Zip; {_REPACK}",
    b"Rar!": f"RAR; {_REPACK}",
    b"hsqs": "SquashFS; mount it, or let slurm.container bind it, and set dataset.root to where it is mounted",
    b"PK\7\x08": "a split zip; join its parts first (zip -s 0 split.zip --out whole.zip)",
}
"""First bytes of what can't be read member by member."""


def archive_kind(fd: int, path: Path) -> str:
    """`zip` or `tar`.

    Raises:
        DatasetError: It is something else; says what to do.
    """
    start = os.pread(fd, TAR_BLOCK, 0)
    for magic, problem in _COMPRESSED.items():
        if start.startswith(magic):
            raise DatasetError(f"dataset.root: {path} can't be read: it is {problem}.")
    if is_tar_header(start):
        return "tar"
    if start.startswith((b"PK\3\4", b"PK\5\6")) or path.suffix.lower() == ".zip":
        return "zip"
    raise DatasetError(f"dataset.root: {path} is neither a folder nor a zip or tar archive. Correct dataset.root.")


def open_archive_folders(
    archive: Path, index_folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> ArchiveFolders:
    """The folders in an archive; builds its index where there is none that fits.

    Args:
        index_folder: Where its index is kept; made if need be.
        on_progress: Called with (done, total) while the index is built.

    Raises:
        DatasetError: The archive can't be read, or is of a kind that can't.
        OSError: The index can't be written.
    """
    try:
        fd = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DatasetError(
            f"dataset.root: {archive} can't be read: {error.strerror}. Correct the path or its permissions."
        ) from None
    try:
        state = _state(fd, archive)
        name = f"{archive.name[:60]}-{hashlib.sha256(os.fsencode(archive)).hexdigest()[:12]}.index"
        path = index_folder / name
        with contextlib.suppress(OSError, ValueError, KeyError):
            index = ArchiveIndex(path)
            if all(index.header.get(key) == value for key, value in state.items()):
                return ArchiveFolders(archive, index)
        _build(fd, archive, path, state, on_progress)
    finally:
        os.close(fd)
    return ArchiveFolders(archive, ArchiveIndex(path))


def _state(fd: int, archive: Path) -> dict[str, Any]:
    """What identifies an archive and changes when it changes; `tail` hashes its end, where a zip has its directory."""
    stat = os.fstat(fd)
    tail = os.pread(fd, _TAIL, max(0, stat.st_size - _TAIL))
    return {
        "archive": str(archive),
        "size": stat.st_size,
        "mtime": stat.st_mtime_ns,
        "tail": hashlib.sha256(tail).hexdigest(),
    }


def _build(fd: int, archive: Path, path: Path, state: dict[str, Any], on_progress: Callable[[int, int], None]) -> None:
    """Write an index: under another name first, so that an index that is there is whole."""
    kind = archive_kind(fd, archive)
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(file: BinaryIO) -> None:
        writer = IndexWriter(file)
        scan = scan_zip if kind == "zip" else scan_tar
        ignored = scan(fd, str(archive), state["size"], writer, on_progress)
        writer.finish({**state, "kind": kind, "members": len(writer), "ignored": ignored})

    write_atomically(path, write)


class Archive:
    """An open archive: reads members by their place, from one descriptor, without a position to share."""

    def __init__(self, index: Path) -> None:
        """Open an archive by its index.

        Raises:
            DatasetError: The archive has changed since the index was built.
        """
        self.index = ArchiveIndex(index)
        self.path = Path(self.index.header["archive"])
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)
        stat = os.fstat(self._fd)
        if (stat.st_size, stat.st_mtime_ns) != (self.index.header["size"], self.index.header["mtime"]):
            raise DatasetError(f"dataset.root: {self.path} has changed during the run. Run the same command again.")
        self._zip = self.index.header["kind"] == "zip"

    def read(self, member: Member) -> bytes:
        """A member's bytes, unpacked and compared with their checksum (a tar has none).

        Raises:
            OSError: It can't be read, or is damaged.
        """
        if member.problem:
            raise OSError(95, member.problem, member.name)
        if not self._zip:
            data = os.pread(self._fd, member.size, member.offset)
            if len(data) < member.size:
                raise _damaged(member, "it ends too early")
            return data
        block = os.pread(self._fd, LOCAL_SIZE + _SLACK + member.size, member.offset)
        start = data_start(block, 0, member.name)
        data = block[start : start + member.size]
        if len(data) < member.size:
            data = os.pread(self._fd, member.size, member.offset + start)
        if member.method == DEFLATED:
            data = _inflate(data, member)
        if len(data) != member.full_size:
            raise _damaged(member, "it ends too early")
        if zlib.crc32(data) != member.crc:
            raise _damaged(member, "its checksum differs")
        return data

    @contextlib.contextmanager
    def place(self, member: Member) -> Iterator[tuple[Path, int, int]]:
        """Where a member's bytes lie, for as long as the context is open: a file, where they start, and how many.

        That is in the archive itself; what is compressed is unpacked into a temporary file first.

        Raises:
            OSError: It can't be read, or is damaged.
        """
        if member.problem:
            raise OSError(95, member.problem, member.name)
        if member.method == DEFLATED:
            with self._unpack(member) as file:
                yield Path(file.name), 0, member.full_size
        else:
            start = member.offset
            if self._zip:
                start = data_start(os.pread(self._fd, LOCAL_SIZE, start), start, member.name)
            yield self.path, start, member.size

    def _unpack(self, member: Member) -> _TemporaryFileWrapper[bytes]:
        """Unpack a member into a file that is removed when it is closed."""
        start = data_start(os.pread(self._fd, LOCAL_SIZE, member.offset), member.offset, member.name)
        unpack, crc, left = zlib.decompressobj(-zlib.MAX_WBITS), 0, member.size
        file = tempfile.NamedTemporaryFile(prefix="kpsbatch-")  # noqa: SIM115 - the caller closes it
        try:
            while left:
                block = os.pread(self._fd, min(left, 1 << 20), start + member.size - left)
                if not block:
                    raise _damaged(member, "it ends too early")
                data = unpack.decompress(block)
                crc = zlib.crc32(data, crc)
                file.write(data)
                left -= len(block)
            if crc != member.crc:
                raise _damaged(member, "its checksum differs")
        except zlib.error as error:
            file.close()
            raise _damaged(member, str(error)) from None
        except BaseException:
            file.close()
            raise
        file.flush()
        return file


@lru_cache(maxsize=2)
def open_archive(index: Path) -> Archive:
    """An archive by its index; opened once in a process (workers are no forks: each has its own descriptor)."""
    return Archive(index)


def _inflate(data: bytes, member: Member) -> bytes:
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return unpack.decompress(
            data, member.full_size + 1
        )  # never more than the directory says: a zip bomb is not unpacked
    except zlib.error as error:
        raise _damaged(member, str(error)) from None


def _damaged(member: Member, problem: str) -> OSError:
    return OSError(74, f"damaged in the archive: {problem}", member.name)
