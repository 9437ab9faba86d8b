"""Archives: finding their members in little memory, building and opening their index, and reading members.

Of a zip the central directory is read (PKWARE APPNOTE 6.3.10), zip64 too: Python's zipfile holds an object for each
member, 3.4 GB for the 4.5 million frames of KArSL. Of a tar the headers are read: v7, ustar, GNU (long names, large
sizes) and pax, as `tarfile` reads them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tarfile
import tempfile
import weakref
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from kpsbatch.dataset.archive_index import (
    DEFLATED,
    ELSEWHERE,
    HARD_LINK,
    LINK,
    OUTSIDE,
    SPARSE,
    SPECIAL,
    STORED,
    TOO_DEEP,
    ArchiveFolders,
    ArchiveIndex,
    IndexWriter,
    Member,
    clean,
    is_too_deep,
)
from kpsbatch.dataset.folders import OnProgress, no_progress
from kpsbatch.errors import DatasetError, of_node
from kpsbatch.files import read_at, write_atomically
from kpsbatch.untrusted import inflate

_TAIL = 1 << 16
_BLOCK = 1 << 20
"""Bytes that are read and unpacked at a time."""
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
    start = os.pread(fd, _TAR_BLOCK, 0)
    for magic, problem in _COMPRESSED.items():
        if start.startswith(magic):
            raise DatasetError(f"dataset.root: {path} can't be read: it is {problem}.")
    if is_tar_header(start):
        return "tar"
    if start.startswith((b"PK\3\4", b"PK\5\6")) or path.suffix.lower() == ".zip":
        return "zip"
    raise DatasetError(f"dataset.root: {path} is neither a folder nor a zip or tar archive. Correct dataset.root.")


def open_archive_folders(archive: Path, index_folder: Path, on_progress: OnProgress = no_progress) -> ArchiveFolders:
    """The folders in an archive; builds its index where there is none that fits.

    Args:
        index_folder: Where its index is kept; made if need be.

    Raises:
        DatasetError: The archive can't be read, or is of a kind that can't.
        OSError: The index can't be written.
    """
    try:
        fd = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        problem = DatasetError(
            f"dataset.root: {archive} can't be read: {error.strerror}. Correct the path or its permissions."
        )
        raise of_node(problem) from None
    try:
        stat = os.fstat(fd)
        tail = os.pread(fd, _TAIL, max(0, stat.st_size - _TAIL))  # where a zip has its directory
        state = {
            "archive": str(archive),
            "size": stat.st_size,
            "mtime": stat.st_mtime_ns,
            "tail": hashlib.sha256(tail).hexdigest(),
        }
        path = index_folder / f"{archive.name[:60]}-{hashlib.sha256(os.fsencode(archive)).hexdigest()[:12]}.index"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            index = ArchiveIndex(path)
            if all(index.header.get(key) == value for key, value in state.items()):
                return ArchiveFolders(archive, index)
        kind = archive_kind(fd, archive)
        index_folder.mkdir(parents=True, exist_ok=True)

        def write(file: BinaryIO) -> None:
            writer = IndexWriter(file)
            scan = _scan_zip if kind == "zip" else _scan_tar
            ignored = scan(fd, str(archive), stat.st_size, writer, on_progress)
            writer.finish({**state, "kind": kind, "members": len(writer), "ignored": ignored})

        write_atomically(path, write)  # so that an index that is there is whole
    finally:
        os.close(fd)
    return ArchiveFolders(archive, ArchiveIndex(path))


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
            data = read_at(self._fd, member.size, member.offset)
            if len(data) < member.size:
                raise _damaged_member(member, "it ends too early")
            return data
        block = read_at(self._fd, _LOCAL.size + _SLACK + member.size, member.offset)
        start = _data_start(block, 0, member.name)
        data = block[start : start + member.size]
        if len(data) < member.size:
            data = read_at(self._fd, member.size, member.offset + start)
        if member.method == DEFLATED:
            try:  # never more than the directory says: a zip bomb is not unpacked
                data = inflate(data, member.full_size)
            except (zlib.error, ValueError) as error:
                raise _damaged_member(member, str(error)) from None
        if len(data) != member.full_size:
            raise _damaged_member(member, "it ends too early")
        if zlib.crc32(data) != member.crc:
            raise _damaged_member(member, "its checksum differs")
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
        if member.method != DEFLATED:
            yield self.path, self._start(member) if self._zip else member.offset, member.size
            return
        start, left = self._start(member), member.size
        unpack, crc, room = zlib.decompressobj(-zlib.MAX_WBITS), 0, member.full_size
        with tempfile.NamedTemporaryFile(prefix="kpsbatch-") as file:
            while left or unpack.unconsumed_tail:
                block = unpack.unconsumed_tail
                if not block:
                    block = os.pread(self._fd, min(left, _BLOCK), start + member.size - left)
                    left -= len(block)
                if not block:
                    raise _damaged_member(member, "it ends too early")
                try:
                    data = unpack.decompress(block, _BLOCK)
                except zlib.error as error:
                    raise _damaged_member(member, str(error)) from None
                if (room := room - len(data)) < 0:
                    raise _damaged_member(member, f"it unpacks to more than its {member.full_size} bytes")
                if unpack.eof:
                    left = 0
                crc = zlib.crc32(data, crc)
                file.write(data)
            if room:
                raise _damaged_member(member, "it ends too early")
            if crc != member.crc:
                raise _damaged_member(member, "its checksum differs")
            file.flush()
            yield Path(file.name), 0, member.full_size

    def _start(self, member: Member) -> int:
        """Where a zip's member's bytes start."""
        return _data_start(os.pread(self._fd, _LOCAL.size, member.offset), member.offset, member.name)


open_archive = lru_cache(maxsize=2)(Archive)
"""An archive by its index; opened once in a process (workers are no forks: each has its own descriptor)."""


def _damaged_member(member: Member, problem: str) -> OSError:
    return OSError(74, f"damaged in the archive: {problem}", member.name)


_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_READ_SIZE = 1 << 22
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF

_TAR_BLOCK = tarfile.BLOCKSIZE
_DUMPED_FOLDER, _SPLIT, _NO_MEMBERS = b"D", b"M", (b"V", b"N")
"""GNU's types for a folder, the rest of a file from another volume, labels of volumes and old long names."""

_BUFFER = 2 * _TAR_BLOCK
"""`tarfile` reads the byte before a header, then the header: one read for both."""


def _scan_zip(fd: int, name: str, size: int, index: IndexWriter, on_progress: OnProgress) -> Mapping[str, int]:
    """Add all members of a zip archive to an index.

    Progress counts members.

    Args:
        name: Its path, for errors.

    Returns:
        How many members were passed over, by reason.

    Raises:
        DatasetError: It is split, encrypted, cut off or damaged.
    """
    start, length, total, shift = _find_directory(fd, name, size)
    ignored: Counter[str] = Counter()
    data, at, position = b"", 0, start
    number = 0
    while position - (len(data) - at) < start + length:
        left = len(data) - at  # the sizes of a member's name, extra fields and comment are at 28
        if left < _CENTRAL.size or left < _CENTRAL.size + sum(struct.unpack_from("<3H", data, at + 28)):
            more = os.pread(fd, min(_READ_SIZE, start + length - position), position)
            if not more:
                raise _damaged(name, "its directory ends too early", "zip -T")
            data, at, position = data[at:] + more, 0, position + len(more)
            continue
        at = _add_from_zip(data, at, name, size, shift, index, ignored)
        number += 1
        if number % 100_000 == 0:
            on_progress(number, total)
    if number % (1 << 16) != total % (1 << 16):
        raise _damaged(name, f"its directory holds {number} of {total} members", "zip -T")
    on_progress(number, total)
    return ignored


def _add_from_zip(
    data: bytes, at: int, name: str, end: int, shift: int, index: IndexWriter, ignored: Counter[str]
) -> int:
    """Add one member; returns where the next one starts."""
    signature, made_by, _, flags, method, _, _, crc, size, full, *rest = _CENTRAL.unpack_from(data, at)
    name_size, extra_size, comment_size, disk, _, attributes, offset = rest
    if signature != b"PK\1\2":
        raise _damaged(name, "its directory holds something else", "zip -T")
    at += _CENTRAL.size
    raw = data[at : at + name_size]
    extra = data[at + name_size : at + name_size + extra_size]
    at += name_size + extra_size + comment_size
    if size == _FULL32 or full == _FULL32 or offset == _FULL32 or disk == _FULL16:
        full, size, offset, disk = _zip64(extra, full, size, offset, disk)
    if disk:
        raise _split(name)
    path = clean(raw if raw.isascii() else _utf8(raw, flags, extra), backslashes=made_by >> 8 != 3)
    if path is None:
        ignored[TOO_DEEP if is_too_deep(raw) else OUTSIDE] += 1
        return at
    kind = attributes >> 28 if made_by >> 8 == 3 else 0  # the type bits of a Unix mode
    if raw.endswith((b"/", b"\\")) or kind == 4:
        index.add_folder(path)
        return at
    if flags & 1:
        raise DatasetError(
            f"dataset.root: {name} is encrypted: it needs a password for {os.fsdecode(path)!r}. Unpack it, or "
            "pack it again without a password."
        )
    if kind == 10:
        method = LINK
    elif kind in (1, 2, 6, 12):
        method = SPECIAL
    if offset + shift + size > end:
        offset, shift, size, full, method = 0, 0, 0, 0, ELSEWHERE
    index.add(path, offset + shift, size, full, crc, method)
    return at


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and the bytes of each extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _utf8(raw: bytes, flags: int, extra: bytes) -> bytes:
    """A name as UTF-8: it says so, an Info-ZIP extra field holds it, it happens to be (macOS), or it is CP437."""
    for kind, field in _extra_fields(extra):
        if kind == 0x7075 and len(field) > 5 and field[0] == 1 and field[1:5] == struct.pack("<L", zlib.crc32(raw)):
            return field[5:]
    try:
        raw.decode()
        return raw
    except UnicodeDecodeError:
        return raw if flags & 0x800 else raw.decode("cp437").encode()


def _zip64(extra: bytes, full: int, size: int, offset: int, disk: int) -> tuple[int, int, int, int]:
    """Replace the fields that did not fit by those of the zip64 extra field, which come in this order."""
    field = next((field for kind, field in _extra_fields(extra) if kind == 1), b"")
    values = []
    for value in (full, size, offset):
        if value == _FULL32 and len(field) >= 8:
            value, field = struct.unpack_from("<Q", field)[0], field[8:]
        values.append(value)
    if disk == _FULL16 and len(field) >= 4:
        disk = struct.unpack_from("<L", field)[0]
    return values[0], values[1], values[2], disk


def _find_directory(fd: int, name: str, size: int) -> tuple[int, int, int, int]:
    """Where the central directory starts, its size, its members, and how far the archive was moved in its file."""
    tail_start = max(0, size - _END.size - 0xFFFF)
    tail = os.pread(fd, size - tail_start, tail_start)
    at = len(tail)
    while True:
        at = tail.rfind(b"PK\5\6", 0, at)
        if at < 0:
            raise DatasetError(
                f"dataset.root: {name} is not whole: it has no directory at its end. Copy it again, or join its "
                "parts (cat karsl.zip.0* > karsl.zip)."
            )
        if len(tail) - at < _END.size:
            continue
        _, disk, start_disk, here, total, length, start, comment = _END.unpack_from(tail, at)
        if at + _END.size + comment <= len(tail):
            break
    end = tail_start + at
    locator = os.pread(fd, _LOCATOR64.size, end - _LOCATOR64.size) if end >= _LOCATOR64.size else b""
    if locator.startswith(b"PK\6\7") and _FULL32 in (length, start) + (_FULL32,) * (total == _FULL16):
        _, disk, position, disks = _LOCATOR64.unpack(locator)
        if disks > 1:
            raise _split(name)
        end, (_, _, _, _, disk, start_disk, here, total, length, start) = _end64(fd, name, end, position)
    if disk or start_disk or here != total:
        raise _split(name)
    shift = end - length - start
    if shift < 0:
        raise _damaged(name, "its directory lies outside of it", "zip -T")
    return start + shift, length, total, shift


def _end64(fd: int, name: str, end: int, position: int) -> tuple[int, tuple[int, ...]]:
    """The zip64 end record: where its locator says, or right before the locator in an archive that was moved."""
    for at in (position, end - _LOCATOR64.size - _END64.size):
        record = os.pread(fd, _END64.size, at) if at >= 0 else b""
        if len(record) == _END64.size and record.startswith(b"PK\6\6"):
            return at, _END64.unpack(record)
    raise _damaged(name, "its zip64 record is missing", "zip -T")


def _data_start(local: bytes, offset: int, name: str) -> int:
    """Where a member's bytes start, by its local header.

    Raises:
        OSError: There is no local header.
    """
    if len(local) < _LOCAL.size or not local.startswith(b"PK\3\4"):
        raise OSError(74, "damaged in the archive (no header)", name)
    fields = _LOCAL.unpack_from(local)
    return int(offset + _LOCAL.size + fields[9] + fields[10])


def _split(name: str) -> DatasetError:
    return DatasetError(
        f"dataset.root: {name} is split into several files. Join them first "
        "(zip -s 0 split.zip --out whole.zip), or unpack them."
    )


def is_tar_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is a tar header with the right checksum."""
    with contextlib.suppress(tarfile.TarError):
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        return True
    return False


def _scan_tar(fd: int, name: str, size: int, index: IndexWriter, on_progress: OnProgress) -> Mapping[str, int]:
    """Add all members of a tar archive to an index; see `_scan_zip`. Progress counts bytes.

    Raises:
        DatasetError: It is split, cut off or damaged.
    """
    ignored: Counter[str] = Counter()
    for number, member in enumerate(_tar_members(fd, name)):
        if member.type == _SPLIT:
            raise DatasetError(f"dataset.root: {name} is a part of a split archive. Join the parts.")
        if member.size < 0 or (member.isfile() and not member.issparse() and member.offset_data + member.size > size):
            raise _damaged(name, "it is cut off", "tar -tf")
        if member.type not in _NO_MEMBERS and not _add_from_tar(member, index):
            ignored[TOO_DEEP if is_too_deep(os.fsencode(member.name)) else OUTSIDE] += 1
        if number % 20_000 == 0:
            on_progress(member.offset, size)
    on_progress(size, size)
    return ignored


def _tar_members(fd: int, name: str) -> Iterator[tarfile.TarInfo]:
    """The members, of which one is held at a time."""
    try:
        with (
            open(fd, "rb", _BUFFER, closefd=False) as file,
            tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar,
        ):
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]
                if member.islnk() and "size" in member.pax_headers:  # pax -o linkdata: it has the file's bytes too
                    tar.offset = member.offset_data + -(-member.size // _TAR_BLOCK) * _TAR_BLOCK
                yield member
            end = os.pread(fd, _TAR_BLOCK, tar.offset)
    except (tarfile.TarError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
        raise _damaged(name, str(error), "tar -tf") from None
    if len(end) < _TAR_BLOCK:
        raise _damaged(name, "it ends without an end mark", "tar -tf")
    if end.strip(b"\0"):
        raise _damaged(name, f"there is no header at byte {tar.offset}", "tar -tf")


def _add_from_tar(member: tarfile.TarInfo, index: IndexWriter) -> bool:
    """Add one member; False where its path leads out of the archive."""
    path = clean(member.name.encode("utf-8", "surrogateescape"))
    if path is None:
        return False
    if member.isdir() or member.type == _DUMPED_FOLDER or member.name.endswith("/"):
        index.add_folder(path)
        return True
    target = b""
    if member.issparse():
        method = SPARSE
    elif member.isfile():
        method = STORED
    elif member.islnk():
        method, target = HARD_LINK, clean(member.linkname.encode("utf-8", "surrogateescape")) or b""
    else:
        method = LINK if member.issym() else SPECIAL
    length = member.size if member.isfile() else 0
    index.add(path, member.offset_data, length, length, 0, method, target)
    return True


def _damaged(name: str, problem: str, test: str) -> DatasetError:
    return DatasetError(f"dataset.root: {name} is damaged: {problem}. Copy it again ({test} tests it).")
