"""What a node remembers of a shared folder, as an NFS client does, so that it sees late what other nodes change there.

A node is a folder with a file of what it remembers; all processes that are given the folder are on that node. It
remembers, for `seconds`, which names a folder has (a listing), and of each name that was asked for that it is there,
with its size and times, or that it is not there (a negative entry). As with NFS

- what makes a name is decided by the server: O_EXCL, link, rename, mkdir; after EEXIST the name is asked for anew;
- a file that is opened by a name that is remembered, or was not asked for yet, is the one that the server has now;
- a change that the node makes in a folder lets it forget what it remembers of that folder (RFC 1813: wcc_data;
  RFC 7530: change_info4);
- locks are the server's, and there is no O_TMPFILE.

It is staler than a Linux client, which asks the server anew whenever a folder is opened to be listed, unless it is
mounted with `nocto`.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import pickle
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

_NAMES = ("open", "stat", "lstat", "scandir", "listdir", "link", "mkdir", "rmdir", "unlink", "remove", "rename")
_REAL: dict[str, Any] = {name: getattr(os, name) for name in (*_NAMES, "replace", "utime")}
_REAL["io.open"] = io.open
_real_lstat, _real_scandir, _real_open = os.lstat, os.scandir, io.open


class Entry:
    """An entry of a remembered listing."""

    def __init__(self, node: Node, folder: str, name: str, mode: int) -> None:
        self._node, self._mode = node, mode
        self.name, self.path = name, os.path.join(folder, name)

    def __fspath__(self) -> str:
        return self.path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """By the listing."""
        return os.path.isdir(self.path) if self.is_symlink() and follow_symlinks else stat.S_ISDIR(self._mode)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """By the listing."""
        return os.path.isfile(self.path) if self.is_symlink() and follow_symlinks else stat.S_ISREG(self._mode)

    def is_symlink(self) -> bool:
        """By the listing."""
        return stat.S_ISLNK(self._mode)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As the node sees the name."""
        return self._node.stat(self.path, follow_symlinks=follow_symlinks)


class Listing:
    """What `os.scandir` gives."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Entry]:
        return self._entries

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""


class Folder:
    """What a node remembers of a folder: since when, names that were asked for, and the listing."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.names: dict[str, os.stat_result | None] = {}
        self.listing: list[tuple[str, int]] | None = None


class View:
    """All that a node remembers; folders by their paths."""

    def __init__(self, root: str, seconds: float) -> None:
        self.root, self.seconds = root, seconds
        self.folders: dict[str, Folder] = {}
        self.changing: list[str] = []  # by a process that, where the lock is free, was killed while it did

    def folder(self, path: str) -> Folder:
        """What is remembered of a folder, while it counts."""
        found = self.folders.get(path)
        if found is None or time.monotonic() - found.since > self.seconds:
            found = self.folders[path] = Folder()
        return found

    def look(self, path: str) -> os.stat_result | None:
        """A name as the node sees it; None: not there."""
        if not path.startswith(self.root + os.sep):
            return _truth(path)
        above, name = os.path.split(path)
        if self.look(above) is None:
            return None
        names = self.folder(above).names
        if name not in names:
            names[name] = _truth(path)
        return names[name]

    def ask(self, *paths: str) -> None:
        """Ask the server for names."""
        for path in paths:
            above, name = os.path.split(path)
            self.folder(above).names[name] = _truth(path)

    def forget(self, *paths: str) -> None:
        """Forget the folders of these names: the node changes them."""
        for path in paths:
            self.folders[os.path.dirname(path)] = Folder()


def _truth(path: str) -> os.stat_result | None:
    try:
        return _real_lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


class Node:
    """A node.

    Args:
        folder: Where it keeps what it remembers; its name is the host's.
        root: The folder that it shares with other nodes.
        seconds: How long it remembers.
    """

    def __init__(self, folder: str, root: str, seconds: float = float("inf")) -> None:
        self.name = os.path.basename(folder)
        self._file, self._lock = os.path.join(folder, "view"), os.path.join(folder, "lock")
        self._root, self._seconds = os.path.abspath(root), seconds
        self._before: dict[str, Any] = {}
        os.makedirs(folder, exist_ok=True)

    def forget(self) -> None:
        """Let the time pass after which nothing counts that is remembered."""
        with contextlib.suppress(FileNotFoundError):
            _REAL["unlink"](self._file)

    @contextlib.contextmanager
    def view(self) -> Iterator[View]:
        """What it remembers, for one process and thread at a time."""
        with _real_open(self._lock, "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                with _real_open(self._file, "rb") as file:
                    view = pickle.load(file)
            except (FileNotFoundError, EOFError, pickle.UnpicklingError):  # none, or written by a killed process
                view = View(self._root, self._seconds)
            view.forget(*view.changing)
            view.changing = []
            try:
                yield view
            finally:
                self._write(view)

    def _write(self, view: View) -> None:
        with _real_open(self._file, "wb") as file:
            pickle.dump(view, file)

    def below(self, path: Any) -> str:
        """The absolute path of what is at or below the root; "" for others."""
        if isinstance(path, int):
            return ""
        text = os.path.abspath(os.fsdecode(path))
        return text if text == self._root or text.startswith(self._root + os.sep) else ""

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        """`os.stat`: as it is remembered."""
        place = self.below(path) if dir_fd is None else ""
        if place:
            with self.view() as view:
                found = view.look(place)
            if found is None:
                raise _missing(path)
            if not (follow_symlinks and stat.S_ISLNK(found.st_mode)):
                return found
        result: os.stat_result = self._before["stat"](path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return result

    def lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        """`os.lstat`."""
        return self.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def scandir(self, path: Any = ".") -> Any:
        """`os.scandir`: as it is remembered."""
        place = self.below(path)
        if not place:
            return self._before["scandir"](path)
        with self.view() as view:
            if view.look(place) is None:
                raise _missing(path)
            folder = view.folder(place)
            if folder.listing is None:
                try:
                    with _real_scandir(place) as entries:
                        found = [(entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries]
                except FileNotFoundError:
                    view.ask(place)
                    raise
                folder.listing = found
            return Listing([Entry(self, os.fspath(path), name, mode) for name, mode in folder.listing])

    def listdir(self, path: Any = ".") -> list[str]:
        """`os.listdir`."""
        return [entry.name for entry in self.scandir(path)]

    def _opened(self, path: Any, flags: int, do: Callable[[], Any]) -> Any:
        """Open a name: what is made is the server's to say, what is there is what the server has."""
        place = self.below(path)
        if not place:
            return do()
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)
        with self.view() as view:
            if view.look(place if not flags & os.O_CREAT else os.path.dirname(place)) is None:
                raise _missing(path)
            makes = bool(flags & os.O_CREAT) and _truth(place) is None
            try:
                return do()
            finally:
                if makes:
                    view.forget(place)
                view.ask(place)

    def os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """`os.open`."""

        def do() -> int:
            return int(self._before["open"](path, flags, mode, dir_fd=dir_fd))

        return do() if dir_fd is not None else int(self._opened(path, flags, do))

    def io_open(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """`open`."""
        made = {"w": os.O_CREAT, "a": os.O_CREAT, "x": os.O_CREAT | os.O_EXCL}
        flags = next((flags for letter, flags in made.items() if letter in mode), 0)

        def do() -> Any:
            return self._before["io.open"](file, mode, *arguments, **options)

        return do() if options.get("opener") else self._opened(file, flags, do)  # an opener calls os.open

    def _changes(self, name: str) -> Callable[..., Any]:
        """A call that changes folders: of one name, or from one to another."""

        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            before = self._before[name]
            paths = [path, *arguments[: name in ("link", "rename", "replace")]]
            places = [self.below(each) for each in paths]
            if not all(places) or any(key.endswith("dir_fd") for key in options):
                return before(path, *arguments, **options)
            with self.view() as view:
                first = places[0] if name != "mkdir" else os.path.dirname(places[0])
                if view.look(first) is None or view.look(os.path.dirname(places[-1])) is None:
                    raise _missing(path)
                view.changing = places
                self._write(view)
                try:
                    result = before(path, *arguments, **options)
                except OSError:
                    view.ask(*places)
                    raise
                finally:
                    view.changing = []
                view.forget(*places)
            return result

        return call

    def utime(self, path: Any, *arguments: Any, **options: Any) -> None:
        """`os.utime`: it sees its own change."""
        self._before["utime"](path, *arguments, **options)
        if place := self.below(path):
            with self.view() as view:
                view.ask(place)

    def _calls(self) -> dict[str, Any]:
        changing = ("link", "mkdir", "rmdir", "unlink", "remove", "rename", "replace")
        looking = {name: getattr(self, name) for name in ("stat", "lstat", "scandir", "listdir", "utime")}
        return {"open": self.os_open, **looking, **{name: self._changes(name) for name in changing}}

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Look at the shared folder as this node, in this process; blocks may lie in one another."""
        calls = {**self._calls(), "io.open": self.io_open}
        there = {**{name: getattr(os, name) for name in self._calls()}, "io.open": io.open}
        host = socket.gethostname
        other = getattr(there["stat"], "__self__", None)
        self._before = other._before if isinstance(other, Node) else there
        try:
            _put(there, calls)
            socket.gethostname = lambda: self.name
            yield
        finally:
            _put(calls, there)
            socket.gethostname = host

    def install(self) -> None:
        """Be this node until the process ends."""
        contextlib.ExitStack.__enter__(_FOREVER).enter_context(self.seen())


_FOREVER = contextlib.ExitStack()


def _put(there: dict[str, Any], calls: dict[str, Any]) -> None:
    """Put functions in the place of those of os and io, and of what pathlib and glob keep of them."""
    keepers = [vars(module) for name in ("pathlib", "glob") if (module := sys.modules.get(name))]
    classes = [keeper[name] for keeper in keepers for name in ("_NormalAccessor", "_StringGlobber") if name in keeper]
    for each in classes:
        for name, kept in list(vars(each).items()):
            function = getattr(kept, "__func__", kept)
            for of, call in calls.items():
                if function in (_REAL[of], there[of]):
                    setattr(each, name, staticmethod(call))
    for name, call in calls.items():
        if name != "io.open":
            setattr(os, name, call)
    io.open = builtins.open = calls["io.open"]
