"""Files that appear whole or not at all, JSON files that may be damaged, many files at a time.

Errors of storage get a remedy, and links that lead out of an output folder are refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from kpsbatch.errors import OutputError, of_node
from kpsbatch.startup import again
from kpsbatch.untrusted import parse_json

Item = TypeVar("Item")
Result = TypeVar("Result")

INTERNAL = "_kpsbatch"
"""The folder below `output.root` that holds everything but the keypoints."""

VIEW_MARK = "+"
"""In the name of a folder of records: between the fingerprint and what tells a view that is not the plain one."""

STALE_SECONDS = 3600.0
"""Age after which a temporary file of another host counts as left behind."""

_MARK = ".partial"

READERS = 8
"""Threads that read small files and list folders: a network file system answers many requests at once."""

QUICK_SECONDS = 0.0003
"""What a small file or folder takes at most where threads would only be in each other's way."""

SPARE_SECONDS = 0.03
"""How much longer some of them may take all the same."""


def fingerprint_in(folder: str) -> str:
    """The fingerprint in the name of a folder of records, whichever view it is of."""
    return folder.partition(VIEW_MARK)[0]


def _process_space() -> str:
    """Where a process ID means something: the host and, as containers can share its name, the PID namespace."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname().replace('.', '-')}-{namespace}"


_HOST = _process_space()


def temporary_path(path: Path) -> Path:
    """A hidden name beside `path` that contains the host and the process that writes it; never a long one."""
    return path.with_name(f".{path.name[:16]}.{_HOST}.{os.getpid()}.{secrets.token_hex(4)}{_MARK}")


def write_temporary(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a complete file, on disk to the last byte, beside `path` under a temporary name.

    Raises:
        OSError: It could not be written; nothing is left behind.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("x+b") as file:
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


def write_named(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write the file that -o names, whole or not at all, below folders that may not be there yet.

    Raises:
        OutputError: It can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}. Choose another -o.") from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes as a file that appears whole or not at all; errors as `write_atomically`."""
    write_atomically(path, lambda file: file.write(data))


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable, where the file system can."""
    with contextlib.suppress(OSError):  # some network file systems refuse to sync a directory
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_stale(entry: os.DirEntry[str]) -> bool:
    """Whether a temporary file's writer is gone: its process has ended on this host, or it is an hour old elsewhere.

    On this host the age does not count, since clocks can jump.
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


def names_in(folder: Path, *, sweep: bool = False) -> set[str]:
    """Names in a folder (none where it is missing); with `sweep`, stale temporary files are removed.

    Raises:
        OSError: It can't be listed.
    """
    names: set[str] = set()
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if sweep and is_stale(entry):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
            else:
                names.add(entry.name)
    return names


def look_anew(folder: Path) -> None:
    """Let this host see what other hosts have changed in a folder so far; it is made where it is missing.

    The client of a network file system may remember for a minute which names a folder has, and which it has not. A
    change of its own brings it the new state of the folder (NFS: `wcc_data` of RFC 1813, `change_info4` of RFC 8881).
    Where the folder can't be written, nothing happens.
    """
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(folder / "look")
        temporary.touch(exist_ok=False)
        temporary.unlink()


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file, without waiting: False while another process holds it; True where there are no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


class FileClock:
    """The clock of a file system, by which ages of files are told: the clocks of the hosts that share it may differ.

    It is read once, when it is first asked: by making a file without a name, which is gone at once. Where that can't be
    done, this host's clock has to do.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def now(self) -> float:
        """Seconds since 1970, by the file system."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:
            return time.time()

    def age_of(self, path: Path) -> float | None:
        """Seconds since a file was last written to; None where it is not there."""
        try:
            return max(0.0, self.now - path.stat().st_mtime)
        except OSError:
            return None


@contextlib.contextmanager
def explained(root: Path, setting: str = "output.root: ") -> Iterator[None]:
    """Turn an OSError below the output root, or another folder without a setting, into one line with the remedy.

    Raises:
        OutputError: In the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        remedy = {
            errno.EPERM: "Make it writable, or choose another folder",
            errno.ENOSPC: "Free space there",
            errno.EDQUOT: "Free some of your quota",
            errno.EROFS: "Choose another folder",
            errno.EACCES: "Make it writable, or choose another folder",
            errno.ENOTDIR: "Choose another folder",
            errno.ENAMETOOLONG: "Choose shorter names",
        }.get(error.errno or 0, "Correct that, or choose another folder")
        why = f"{setting}{root} can't be written: {_whose(error, root)}{error.strerror or error}"
        raise of_node(OutputError(f"{why}. {remedy}, then {again()}.")) from error


def _whose(error: OSError, root: Path) -> str:
    """What below a root, or the root itself, belongs to another user, where an error is for want of permission."""
    if not error.filename or error.errno not in (errno.EACCES, errno.EPERM):
        return ""
    path = Path(os.path.abspath(os.fsdecode(error.filename)))
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        if path.stat().st_uid == os.geteuid():
            return ""
        return f"{path if root in path.parents else 'it'} belongs to {path.owner()}: "
    except (KeyError, OSError):
        return f"{path} belongs to another user: "


def refuse_outside(root: Path, *folders: Path) -> None:
    """Refuse folders below the output root that a link leads out of it; the root itself may be a link.

    Raises:
        OutputError: Names the folder, where it leads, and the remedy.
    """
    real = os.path.realpath(root)

    def leads_out(folder: Path) -> bool:
        return os.path.commonpath([real, os.path.realpath(folder)]) != real

    for folder in folders:
        if leads_out(folder):
            link = next(
                parent for parent in (*reversed(folder.parents), folder) if root in parent.parents and leads_out(parent)
            )
            raise OutputError(
                f"output.root: {link} is a link to {os.path.realpath(link)}, outside of it. Replace "
                "the link by a folder, or set output.root to where the outputs shall be."
            )


BIG_READ = 1 << 26


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """The bytes at a place of a file, fewer where it ends before: Linux gives 2 GiB at a time at most.

    Raises:
        OSError: It can't be read.
    """
    if size > BIG_READ:  # which may be wrong, and no room shall be made for it
        size = max(0, min(size, os.fstat(descriptor).st_size - offset))
    data = os.pread(descriptor, size, offset)
    if not data or len(data) == size:
        return data
    pieces, read = [data], len(data)
    while read < size and (data := os.pread(descriptor, size - read, offset + read)):
        pieces.append(data)
        read += len(data)
    return b"".join(pieces)


def last_lines(path: Path, size: int) -> list[str]:
    """The lines in the last bytes of a text; none where it can't be read, or is no file (one waits for a pipe)."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return []
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def json_bytes(tree: Mapping[str, Any]) -> bytes:
    """The bytes of a JSON file, readable by people."""
    text = json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a JSON file that appears whole or not at all; errors as `write_atomically`."""
    write_bytes(path, json_bytes(tree))


def create_json(path: Path, tree: Mapping[str, Any]) -> bool:
    """Write a JSON file unless it is there: False if another process was first, on another host too.

    Where the file system has no hard links, of two at the same moment the later counts.

    Raises:
        OSError: It can't be written.
    """
    if path.exists():
        return False
    temporary = write_temporary(path, lambda file: file.write(json_bytes(tree)))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        write_json(path, tree)
    finally:
        discard(temporary)
    return True


def read_json(path: Path) -> dict[str, Any] | None:
    """The fields of a JSON file; None where it is missing, unreadable or holds no fields."""
    try:
        tree = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return tree if isinstance(tree, dict) else None


def in_threads(read: Callable[[Item], Result], items: Sequence[Item], threads: int = READERS) -> Iterator[Result]:
    """What `read` returns for each item, in their order, several at a time.

    Args:
        threads: How many at a time. Those that take less than `QUICK_SECONDS` each are read one after another, which is
            faster: the interpreter runs one thread at a time.
    """
    done, spare = 0, SPARE_SECONDS
    while done < len(items) and spare > 0:
        started = time.perf_counter()
        result = read(items[done])
        spare = min(SPARE_SECONDS, spare + QUICK_SECONDS - (time.perf_counter() - started))
        done += 1
        yield result
    if done == len(items):
        return
    from concurrent.futures import ThreadPoolExecutor  # here: its import takes as long as a few files

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(read, items[done:])
