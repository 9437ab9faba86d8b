"""Finding the members of a tar archive: v7, ustar, GNU (long names, large sizes) and pax, as `tarfile` reads them."""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator

from kpsbatch.dataset.archive.index import HARD_LINK, LINK, OUTSIDE, SPARSE, SPECIAL, STORED, IndexWriter, clean
from kpsbatch.errors import DatasetError

BLOCK = tarfile.BLOCKSIZE
_DUMPED_FOLDER, _SPLIT, _NO_MEMBERS = b"D", b"M", (b"V", b"N")
"""GNU's types for a folder, the rest of a file from another volume, labels of volumes and old long names."""

_BUFFER = 2 * BLOCK
"""`tarfile` reads the byte before a header, then the header: one read for both."""


def is_tar_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is a tar header with the right checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def scan_tar(
    fd: int, name: str, size: int, index: IndexWriter, on_progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Add all members of a tar archive to an index; see `scan_zip`. Progress counts bytes.

    Raises:
        DatasetError: It is split, cut off or damaged.
    """
    ignored: Counter[str] = Counter()
    for number, member in enumerate(_members(fd, name)):
        if member.type == _SPLIT:
            raise DatasetError(f"dataset.root: {name} is a part of a split archive. Join the parts.")
        if member.size < 0 or (member.isfile() and not member.issparse() and member.offset_data + member.size > size):
            raise _damaged(name, "it is cut off")
        if member.type not in _NO_MEMBERS and not _add(member, index):
            ignored[OUTSIDE] += 1
        if number % 20_000 == 0:
            on_progress(member.offset, size)
    on_progress(size, size)
    return ignored


def _members(fd: int, name: str) -> Iterator[tarfile.TarInfo]:
    """The members, of which one is held at a time."""
    try:
        with (
            open(fd, "rb", _BUFFER, closefd=False) as file,
            tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as tar,
        ):
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]
                if member.islnk() and "size" in member.pax_headers:  # pax -o linkdata: it has the file's bytes too
                    tar.offset = member.offset_data + -(-member.size // BLOCK) * BLOCK
                yield member
            end = os.pread(fd, BLOCK, tar.offset)
    except (tarfile.TarError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
        raise _damaged(name, str(error)) from None
    if len(end) < BLOCK:
        raise _damaged(name, "it ends without an end mark")
    if end.strip(b"\0"):
        raise _damaged(name, f"there is no header at byte {tar.offset}")


def _add(member: tarfile.TarInfo, index: IndexWriter) -> bool:
    """Add one member; False where its path leads out of the archive."""
    path = clean(_bytes(member.name))
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
        method, target = HARD_LINK, clean(_bytes(member.linkname)) or b""
    else:
        method = LINK if member.issym() else SPECIAL
    length = member.size if member.isfile() else 0
    index.add(path, member.offset_data, length, length, 0, method, target)
    return True


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _damaged(name: str, what: str) -> DatasetError:
    return DatasetError(f"dataset.root: {name} is damaged: {what}. Copy it again (tar -tf tests it).")
