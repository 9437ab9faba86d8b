"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import socket
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

STALE_SECONDS = 3600.0
COMPRESSION = 1
"""Keypoints hardly compress: level 1 is twice as fast as zlib's usual 6, for 2% more bytes (measured)."""
_MARK = ".partial"


def _process_space() -> str:
    """Where a process ID means something: the host and, as containers can share its name, the PID namespace."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname().replace('.', '-')}-{namespace}"


_HOST = _process_space()


def write_npz(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as a compressed npz, keyed by any text (`np.savez` fails for a key named `file`).

    The bytes depend on the arrays only: entries carry no time of writing.
    """
    import numpy as np  # here, so that what only looks at names of files starts at once

    with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            archive.writestr(entry, buffer.getbuffer(), zipfile.ZIP_DEFLATED, COMPRESSION)


def temporary_path(path: Path) -> Path:
    """A hidden name beside `path` that tells which process on which host writes it."""
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{secrets.token_hex(4)}{_MARK}")


def write_temporary(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a complete file, on disk to the last byte, beside `path` under a temporary name.

    Raises:
        OSError: It could not be written; nothing is left behind.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        discard(temporary)
        raise
    return temporary


def discard(temporary: Path) -> None:
    """Remove a temporary file, if it can be; else it is swept once its process has ended."""
    with contextlib.suppress(OSError):
        temporary.unlink()


def publish(temporary: Path, path: Path) -> None:
    """Rename a complete temporary file to its final name and make that durable.

    On NFS a rename can report an error although it happened: when the temporary file is gone, it did.

    Raises:
        OSError: It could not be renamed; the temporary file is removed.
    """
    identity = os.stat(temporary)
    try:
        os.replace(temporary, path)
    except OSError:
        if temporary.exists() or not _is_file(path, identity):
            discard(temporary)
            raise
    sync_directory(path.parent)


def _is_file(path: Path, identity: os.stat_result) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_ino, found.st_size) == (identity.st_ino, identity.st_size)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        OSError: It could not be written; what was there before is still there.
    """
    publish(write_temporary(path, write), path)


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable, where the file system can."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse to sync a directory
    finally:
        os.close(descriptor)


def is_stale(entry: os.DirEntry[str]) -> bool:
    """Whether a temporary file's writer is gone: its process has ended on this host, or it is an hour old elsewhere.

    On this host the clock doesn't count, which can jump.
    """
    if not (entry.name.startswith(".") and entry.name.endswith(_MARK)):
        return False
    try:
        _, host, pid, _, _ = entry.name.rsplit(".", 4)
        if host == _HOST and Path("/proc/self").exists():
            return not Path(f"/proc/{int(pid)}").exists()
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
    except (OSError, ValueError):
        return False


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
