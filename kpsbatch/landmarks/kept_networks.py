"""Networks that the Python API keeps from one call to the next, since loading them takes a second."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import KpsbatchError
from kpsbatch.landmarks.network_files import NetworkFiles
from kpsbatch.landmarks.networks import Networks

MAX_KEPT = 2
"""Sets of networks that are kept, those that were used last; each has some 200 MB."""

Key: TypeAlias = "tuple[LandmarksConfig, tuple[str, ...]]"

_C = ctypes.CDLL(None)
_C_STDERR = ctypes.c_void_p.in_dll(_C, "__stderrp" if sys.platform == "darwin" else "stderr")
_STDERR = _C_STDERR.value
_C.fopen.restype = ctypes.c_void_p

_kept: OrderedDict[Key, Networks] = OrderedDict()
_lock = threading.Lock()


class _Silence:
    """Sends what C++ code writes to standard error nowhere while at least one thread is inside: MediaPipe's messages.

    MediaPipe has no setting that stops all of them. Only C's `stderr` is another stream meanwhile: the descriptor, and
    so what Python, other threads and child processes write, stays as it is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._nowhere: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._nowhere is None:
                self._nowhere = _C.fopen(os.fsencode(os.devnull), b"w")
            if self._inside == 1 and self._nowhere:
                _C_STDERR.value = self._nowhere

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self.end()

    def end(self) -> None:
        """Let C code write to standard error."""
        _C_STDERR.value = _STDERR


_silence = _Silence()


@contextlib.contextmanager
def borrowed_networks(settings: LandmarksConfig, files: NetworkFiles) -> Iterator[Networks]:
    """Networks with these settings for the time of the block: kept ones, or new ones, which are kept then.

    Nobody else gets them meanwhile, so threads can work side by side. After an error of MediaPipe they are closed.

    Raises:
        ModelError: They can't be loaded.
    """
    key = (settings, tuple(file.sha256 for file in files.values()))
    with _lock:
        networks = _kept.pop(key, None)
    with _silence:
        if networks is None:
            networks = Networks(settings, files)
        try:
            yield networks
        except KpsbatchError:  # about the video: the networks are as good as before
            _keep(key, networks)
            raise
        except BaseException:
            networks.close()
            raise
        else:
            _keep(key, networks)


def _keep(key: Key, networks: Networks) -> None:
    with _lock:
        too_many = [_kept.pop(key)] if key in _kept else []
        _kept[key] = networks
        while len(_kept) > MAX_KEPT:
            too_many.append(_kept.popitem(last=False)[1])
    for networks in too_many:
        networks.close()


def close_landmarkers() -> None:
    """Close the networks that `extract_video` keeps, and free their memory; the next call loads new ones.

    This is done at the end of the program in any case.
    """
    with _lock:
        kept = list(_kept.values())
        _kept.clear()
    with _silence:
        for networks in kept:
            networks.close()


def _forget() -> None:
    """In a forked process: its networks have no threads. They are never used, closed or collected there.

    MediaPipe would wait for those threads for ever.
    """
    global _lock, _silence
    _silence.end()
    _lock, _silence = threading.Lock(), _Silence()  # threads that do not exist here may have held the old ones
    for networks in _kept.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(networks))
    _kept.clear()


atexit.register(close_landmarkers)
os.register_at_fork(after_in_child=_forget)
