"""Landmarkers that the Python API keeps from one call to the next, since loading them takes seconds."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import KpsbatchError
from kpsbatch.landmarks.bundles import Bundle
from kpsbatch.landmarks.landmarker import Landmarker

MAX_KEPT = 2
"""Landmarkers that are kept, those that were used last; each has some 200 MB."""

Key: TypeAlias = "tuple[LandmarksConfig, tuple[str, ...]]"

_kept: OrderedDict[Key, Landmarker] = OrderedDict()
_lock = threading.Lock()


class _Silence:
    """Sends the process's standard error nowhere while at least one thread is inside: MediaPipe's messages go there.

    MediaPipe writes them past Python, and has no setting that stops all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = -1

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            try:
                self._before = os.dup(2)
            except OSError:  # there is no standard error
                return
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._before >= 0:
                os.dup2(self._before, 2)
                os.close(self._before)
                self._before = -1


_silence = _Silence()


@contextlib.contextmanager
def borrowed_landmarker(settings: LandmarksConfig, bundles: Mapping[str, Bundle]) -> Iterator[Landmarker]:
    """A landmarker with these settings for the time of the block: one that is kept, or a new one, which is kept then.

    Nobody else gets it meanwhile, so threads can work side by side. After an error of MediaPipe it is closed.

    Raises:
        ModelError: It can't be loaded.
    """
    key = (settings, tuple(bundle.sha256 for _, bundle in sorted(bundles.items())))
    with _lock:
        landmarker = _kept.pop(key, None)
    with _silence:
        if landmarker is None:
            landmarker = Landmarker(settings, bundles)
        try:
            yield landmarker
        except KpsbatchError:  # about the video: the landmarker is as good as before
            _keep(key, landmarker)
            raise
        except BaseException:
            landmarker.close()
            raise
        else:
            _keep(key, landmarker)


def _keep(key: Key, landmarker: Landmarker) -> None:
    with _lock:
        too_many = [_kept.pop(key)] if key in _kept else []
        _kept[key] = landmarker
        while len(_kept) > MAX_KEPT:
            too_many.append(_kept.popitem(last=False)[1])
    for one in too_many:
        one.close()


def close_landmarkers() -> None:
    """Close the landmarkers that `extract_video` keeps, and free their memory; the next call loads new ones.

    This is done at the end of the program in any case.
    """
    with _lock:
        landmarkers = list(_kept.values())
        _kept.clear()
    with _silence:
        for landmarker in landmarkers:
            landmarker.close()


def _forget() -> None:
    """In a forked process: its landmarkers have no threads. They are never used, closed or collected there.

    MediaPipe would wait for those threads for ever.
    """
    global _lock, _silence
    _lock, _silence = threading.Lock(), _Silence()  # threads that do not exist here may have held the old ones
    for landmarker in _kept.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(landmarker))
    _kept.clear()


atexit.register(close_landmarkers)
os.register_at_fork(after_in_child=_forget)
