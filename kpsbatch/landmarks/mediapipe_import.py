"""Imports MediaPipe without what keypoints don't need: matplotlib, sounddevice, a desktop's OpenGL libraries.

Where there is no OpenGL, a Linux shared library whose functions do nothing takes its place. Its format is that of the
ELF specification (System V ABI, "Object Files" and "Program Loading and Dynamic Linking"): 64 bit, little-endian, for
x86-64 and Arm.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from kpsbatch.errors import ModelError

MEDIAPIPE_VERSION = "1.2.3"
"""The release that is tested."""

_OPENGL = {"libEGL.so.1": "egl", "libGLESv2.so.2": "gl"}
"""Libraries that MediaPipe on Linux is linked with, on the CPU too; and how the names of their functions begin."""


_MACHINES = {  # e_machine, and the code of a function that returns 0
    "x86_64": (62, bytes.fromhex("31c0c3")),  # xor eax, eax; ret
    "aarch64": (183, bytes.fromhex("00008052c0035fd6")),  # mov w0, 0; ret
}
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_GLOBAL_FUNCTION = 0x12
_DYNAMIC_SYMBOLS = 11
_PAGE = 0x10000  # the largest that Linux has, on Arm


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


def undefined_functions(library: Path, prefix: str) -> list[str]:
    """List the undefined functions of a shared library whose names are `prefix` and then a capital letter.

    Raises:
        OSError: It can't be read.
    """
    wanted = re.compile(rf"{prefix}[A-Z]\w*")
    with library.open("rb") as file:

        def read(offset: int, size: int) -> bytes:
            file.seek(offset)
            return file.read(size)

        header = _HEADER.unpack(read(0, _HEADER.size))
        table = read(header[6], header[11] * header[12])
        sections = list(_SECTION.iter_unpack(table))
        symbols = next(section for section in sections if section[1] == _DYNAMIC_SYMBOLS)
        strings = sections[symbols[6]]
        names = read(strings[4], strings[5])
        found = []
        for name, _, _, section, _, _ in _SYMBOL.iter_unpack(read(symbols[4], symbols[5])):
            text = names[name : names.index(0, name)].decode("ascii", "replace")
            if section == 0 and wanted.fullmatch(text):
                found.append(text)
    return found


def empty_library(name: str, functions: list[str]) -> bytes:
    """Return a shared library with the SONAME `name` in which each of `functions` takes anything and returns 0.

    Raises:
        OSError: None can be made for this machine.
    """
    if platform.machine() not in _MACHINES:
        raise OSError(f"{name} is not installed")
    machine, code = _MACHINES[platform.machine()]
    strings = b"\0" + name.encode() + b"\0"
    symbols = _SYMBOL.pack(0, 0, 0, 0, 0, 0)
    for function in functions:
        symbols += _SYMBOL.pack(len(strings), _GLOBAL_FUNCTION, 0, 1, _PAGE, len(code))
        strings += function.encode() + b"\0"
    count = len(functions) + 1
    # one bucket whose chain goes through all symbols
    chain = [*range(2, count), 0] if functions else []
    hashes = struct.pack(f"<{count + 3}I", 1, count, min(1, len(functions)), 0, *chain)

    segments = 4
    at_symbols = _HEADER.size + segments * _SEGMENT.size
    at_hashes = at_symbols + len(symbols)
    at_strings = at_hashes + len(hashes)
    at_dynamic = -(-(at_strings + len(strings)) // 8) * 8
    entries = (
        (14, 1),
        (4, at_hashes),
        (5, at_strings),
        (6, at_symbols),
        (10, len(strings)),
        (11, _SYMBOL.size),
        (0, 0),
    )
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    end = at_dynamic + len(dynamic)
    header = _HEADER.pack(
        b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, segments, 0, 0, 0
    )
    load, dynamic_segment, stack, writable, executable = 1, 2, 0x6474E551, 6, 5
    table = (
        _SEGMENT.pack(load, writable, 0, 0, 0, end, end, _PAGE)
        + _SEGMENT.pack(load, executable, _PAGE, _PAGE, _PAGE, len(code), len(code), _PAGE)
        + _SEGMENT.pack(dynamic_segment, writable, at_dynamic, at_dynamic, at_dynamic, len(dynamic), len(dynamic), 8)
        + _SEGMENT.pack(stack, writable, 0, 0, 0, 0, 0, 16)  # one that is not executable: glibc 2.41 refuses others
    )
    data = (header + table + symbols + hashes + strings).ljust(at_dynamic, b"\0") + dynamic
    assert len(data) == end <= _PAGE
    return data.ljust(_PAGE, b"\0") + code
