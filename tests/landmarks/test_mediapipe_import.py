"""MediaPipe is imported without matplotlib, sounddevice and OpenGL, and leaves all of them to others."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from kpsbatch.landmarks.mediapipe_import import empty_library, mediapipe_directory, undefined_functions

LIBRARY = mediapipe_directory() / "tasks" / "c" / "libmediapipe.so"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shared libraries of Linux")


def python(code: str, *path: Path) -> str:
    """What a Python of its own prints, with these folders first on its path."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), root])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_landmarks_without_opengl() -> None:
    """Where libEGL and libGLESv2 are missing, as on a compute node, MediaPipe loads and finds a pose."""
    code = """if True:
        import ctypes
        real = ctypes.CDLL
        def without_opengl(name, *arguments, **options):
            if name in ("libEGL.so.1", "libGLESv2.so.2"):
                raise OSError(name)
            return real(name, *arguments, **options)
        ctypes.CDLL = without_opengl
        from kpsbatch.config import LandmarksConfig
        from synthetic.signer import render_video
        from kpsbatch.landmarks.clip import follow_clip
        from kpsbatch.landmarks.network_files import find_networks
        from kpsbatch.landmarks.networks import Networks
        with Networks(LandmarksConfig(running_mode="image", parts=("pose",)), find_networks()) as networks:
            found = next(follow_clip(render_video(2, 1, 1, 2)[0][:1], networks)).pose
        libraries = {line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if "/" in line}
        opengl = [name for name in libraries if "libEGL" in name or "libGLES" in name]
        print(found.shape, len(opengl), all(name.startswith("/memfd:") for name in opengl))
    """
    assert python(code, Path(__file__).parents[1]) == "(33, 4) 2 True\n"


def test_matplotlib_stays_usable(tmp_path: Path) -> None:
    """Neither matplotlib nor sounddevice is imported; a program can import them later, and MediaPipe's plots get it."""
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("")
    (tmp_path / "matplotlib" / "pyplot.py").write_text("def figure(): return 'a figure'\n")
    (tmp_path / "sounddevice.py").write_text("")
    code = """if True:
        import sys
        from kpsbatch.landmarks.mediapipe_import import import_mediapipe
        mediapipe = import_mediapipe()
        print([name for name in ("matplotlib", "matplotlib.pyplot", "sounddevice") if name in sys.modules])
        from mediapipe.tasks.python.vision import drawing_utils
        print(drawing_utils.plt.figure())
        import matplotlib.pyplot, sounddevice
        print(matplotlib.pyplot.figure())
    """
    assert python(code, tmp_path) == "[]\na figure\na figure\n"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """A mediapipe that can't be imported is one line with its reason and the remedy."""
    (tmp_path / "mediapipe").mkdir()
    (tmp_path / "mediapipe" / "__init__.py").write_text("raise ImportError('broken here')\n")
    code = """if True:
        from kpsbatch.errors import ModelError
        from kpsbatch.landmarks.mediapipe_import import import_mediapipe
        try: import_mediapipe()
        except ModelError as error: print(error)
    """
    assert python(code, tmp_path) == "mediapipe 1.2.3 can't be imported: broken here. Run `make setup`.\n"


def test_undefined_functions() -> None:
    """The OpenGL functions that MediaPipe expects are found, and none of its own."""
    found = undefined_functions(LIBRARY, "egl")
    assert {"eglGetDisplay", "eglInitialize", "eglTerminate"} <= set(found)
    assert all(name.startswith("egl") for name in found)
    assert undefined_functions(LIBRARY, "Mp") == []


@pytest.mark.parametrize("functions", [[], ["first"], [f"function_{number}" for number in range(500)]])
def test_empty_library(tmp_path: Path, functions: list[str]) -> None:
    """Each function of an empty library can be found and called, and returns 0; others are not there."""
    path = tmp_path / "libempty.so"
    path.write_bytes(empty_library("libempty.so.1", functions))
    library = ctypes.CDLL(str(path))
    assert [getattr(library, name)(1, 2) for name in functions] == [0] * len(functions)
    assert not hasattr(library, "another")


def test_machine_without_a_known_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """On other machines than x86-64 and Arm the missing library is named."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="libempty"):
        empty_library("libempty.so.1", [])
