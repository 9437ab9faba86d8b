"""Reading files from storage that fails for a moment, as network file systems do."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import TypeVar

from kpsbatch.errors import DatasetError
from kpsbatch.startup import again

Read = TypeVar("Read")

TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.ECONNRESET, errno.EREMOTEIO})
"""Errors of storage, not of the data: a network file system has them for a moment."""

WAITS = (0.1, 0.5, 2.0)
"""Seconds before another try after such an error."""


def with_retries(path: Path, read: Callable[[], Read]) -> Read:
    """Call `read`, and call it again after a short wait where storage fails.

    Storage that goes on failing fails the video, not the frame: the frame may be good, and `--retry-failed` can read
    it another day, while a frame that counts as bad stays so in a video that counts as good.

    Raises:
        DatasetError: Storage goes on failing.
        OSError: Any other error, at once.
    """
    for wait in (*WAITS, None):
        try:
            return read()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
            if wait is None:
                raise DatasetError(
                    f"{path}: can't be read: {error.strerror}, {len(WAITS) + 1} times. Check the storage, then "
                    f"{again('run again')} with --retry-failed."
                ) from None
            time.sleep(wait)
    raise AssertionError


class StoredFile:
    """A file, or a part of one, read with retries by a library that would take an error for the end of the file.

    A part is a member of an archive that is stored without compression: `offset` and `size` say where it lies.

    Attributes:
        name: The path, as the library shows it.
        error: The error that ended reading. The library may hide it, so check it after the last read.
    """

    def __init__(self, path: Path, offset: int = 0, size: int | None = None) -> None:
        self.name = str(path)
        self.error: Exception | None = None
        self._path = path
        self._offset = offset
        self._size = size
        self._position = 0
        self._file: FileIO | None = None

    def read(self, size: int) -> bytes:
        """Up to `size` bytes from the position on; none at the end.

        Raises:
            DatasetError: Storage goes on failing.
            OSError: Any other error.
        """
        if self._size is not None:
            size = max(0, min(size, self._size - self._position))
        data = self._with_retries(lambda: self._read(size))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it.

        Raises:
            OSError: The position is before the start.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        position = offset + (self._length() if base is None else base)
        if position < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = position
        return position

    def tell(self) -> int:
        """The position."""
        return self._position

    def opened_again(self) -> StoredFile:
        """The same bytes from their start, with a descriptor of their own."""
        return StoredFile(self._path, self._offset, self._size)

    def close(self) -> None:
        """Close the file; another read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _with_retries(self, read: Callable[[], Read]) -> Read:
        try:
            return with_retries(self._path, read)
        except (OSError, DatasetError) as error:
            self.error = error
            raise

    def _opened(self) -> FileIO:
        if self._file is None:
            self._file = self._path.open("rb", buffering=0)
        return self._file

    def _read(self, size: int) -> bytes:
        try:
            return os.pread(self._opened().fileno(), size, self._offset + self._position)
        except OSError:
            self.close()  # a stale handle stays stale
            raise

    def _length(self) -> int:
        if self._size is None:
            self._size = self._with_retries(lambda: os.fstat(self._opened().fileno()).st_size) - self._offset
        return self._size
