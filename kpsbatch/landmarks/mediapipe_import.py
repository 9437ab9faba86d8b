"""Imports MediaPipe without what keypoints don't need: matplotlib, sounddevice, a desktop's OpenGL libraries."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from kpsbatch.errors import ModelError
from kpsbatch.landmarks.empty_library import empty_library, undefined_functions

MEDIAPIPE_VERSION = "1.2.3"
"""The release that is tested."""

_OPENGL = {"libEGL.so.1": "egl", "libGLESv2.so.2": "gl"}
"""Libraries that MediaPipe on Linux is linked with, on the CPU too; and how the names of their functions begin."""


def import_mediapipe() -> Any:
    """Import MediaPipe; a second call costs nothing.

    Raises:
        ModelError: It is not installed, or can't be imported here.
    """
    try:
        with _without_unused_modules():
            mediapipe = importlib.import_module("mediapipe")
        if sys.platform == "linux":
            library = mediapipe_directory() / "tasks" / "c" / "libmediapipe.so"
            _replace_missing_opengl(library)
            ctypes.CDLL(str(library))  # a library that is missing is reported here
    except (ImportError, OSError) as error:
        raise ModelError(f"mediapipe {MEDIAPIPE_VERSION} can't be imported: {error}. Run `make setup`.") from None
    return mediapipe


def mediapipe_directory() -> Path:
    """Return the folder of the installed mediapipe package, without importing it.

    Raises:
        ModelError: mediapipe is not installed.
    """
    spec = find_spec("mediapipe")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("mediapipe is not installed in this Python environment. Run `make setup`.")
    return Path(spec.submodule_search_locations[0])


@contextmanager
def _without_unused_modules() -> Iterator[None]:
    """Leave out matplotlib (for plots) and sounddevice (for microphones), whose imports take longer than the rest.

    Afterwards both are as they were: MediaPipe's own drawing functions get matplotlib when they first use it.
    """
    pyplot: Any = ModuleType("matplotlib.pyplot")
    pyplot.__getattr__ = lambda name: getattr(importlib.import_module("matplotlib.pyplot"), name)
    package: Any = ModuleType("matplotlib")
    package.pyplot = pyplot
    # None makes an import raise ImportError, which mediapipe's audio module expects
    hidden = {"matplotlib": package, "matplotlib.pyplot": pyplot, "sounddevice": None}
    hidden = {name: module for name, module in hidden.items() if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name, module in hidden.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _replace_missing_opengl(mediapipe_library: Path) -> None:
    """Where there is no OpenGL, as on compute nodes and in slim images, load libraries in its place that do nothing.

    MediaPipe's library can't be loaded without libEGL and libGLESv2, though on the CPU it calls neither. Each of these
    functions returns 0 here, so that `delegate: gpu` still fails with a message of MediaPipe's.
    """
    for name, prefix in _OPENGL.items():
        try:
            ctypes.CDLL(name)
        except OSError:
            functions = undefined_functions(mediapipe_library, prefix)
            library = os.memfd_create(name)  # stays open: the loader knows a library by its path
            os.write(library, empty_library(name, functions))
            ctypes.CDLL(f"/proc/self/fd/{library}", mode=ctypes.RTLD_GLOBAL)
