"""The networks as the last mediapipe wheel carries them; newer releases come without. Only data is taken from it.

`source_networks` is the only function of the program that uses a package index, with the pip or uv of this machine and
its settings. `kpsbatch models` calls it, never a run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from kpsbatch.errors import ModelError
from kpsbatch.landmarks.network_files import SOURCE_SHA256
from kpsbatch.startup import module_words
from kpsbatch.untrusted import read_zip_member

WHEEL_VERSION = "0.10.21"
"""The last release of mediapipe whose wheel carries the networks."""

WHEEL_SHA256 = "956eb1ebc275c629e61b085b2cab89c3a5b9e93bad1bb107348d98dafb5a4bb5"
"""mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl, on every machine: only data is taken from it."""

MEMBERS = {
    "pose_detector": "pose_detection/pose_detection.tflite",
    "pose_landmarks": "pose_landmark/pose_landmark_full.tflite",
    "face_detector": "face_detection/face_detection_short_range.tflite",
    "face_landmarks": "face_landmark/face_landmark_with_attention.tflite",
    "palm_detector": "palm_detection/palm_detection_full.tflite",
    "hand_landmarks": "hand_landmark/hand_landmark_full.tflite",
}
"""Where the networks are below `mediapipe/modules`."""


def source_networks(wheel: Path | None = None) -> dict[str, bytes]:
    """The networks by name, each with its known hash.

    Args:
        wheel: A mediapipe wheel that contains them, of any system. None gets it from the package index: with the pip of
            this Python, uv, the pip on PATH, or the one that Python brings, whichever works first.

    Raises:
        ModelError: The wheel can't be had, or contains other networks.
    """
    if wheel is not None:
        return _networks_of_wheel(wheel)
    with tempfile.TemporaryDirectory(prefix="kpsbatch-") as folder:
        modules = _install(Path(folder)) / "mediapipe" / "modules"
        return _checked(lambda member: (modules / member).read_bytes(), f"mediapipe {WHEEL_VERSION}")


def _checked(read: Callable[[str], bytes], source: str) -> dict[str, bytes]:
    networks = {}
    for name, member in MEMBERS.items():
        try:
            networks[name] = read(member)
        except FileNotFoundError:
            networks[name] = b""
        if (actual := hashlib.sha256(networks[name]).hexdigest()) != SOURCE_SHA256[name]:
            raise ModelError(
                f"{source}: {member} is another network: its SHA-256 is {actual}, not {SOURCE_SHA256[name]}. Name "
                f"the wheel of mediapipe {WHEEL_VERSION}."
            )
    return networks


def _networks_of_wheel(wheel: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return _checked(lambda member: read_zip_member(archive, f"mediapipe/modules/{member}"), str(wheel))
    except OSError as error:
        raise ModelError(f"--wheel: {wheel} can't be read: {error.strerror}. Correct the path.") from error
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            f"--wheel: {wheel} is not a wheel with the networks: {error.args[0]}. Name one of mediapipe "
            f"{WHEEL_VERSION}; newer ones hold no networks."
        ) from error


def _install(folder: Path) -> Path:
    """Unpack the wheel into a folder below `folder`, with the first installer that can."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"mediapipe=={WHEEL_VERSION} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    problem = "no pip and no uv here"
    for number, (installer, platform) in enumerate(_installers()):
        target = folder / str(number)
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(target)]
        of_wheel = ["--python-version", "3.12", *platform]
        done = subprocess.run(
            [*installer, "install", *options, *of_wheel, "-r", str(requirements)],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0:
            return target
        problem = next((line.strip() for line in reversed(done.stderr.splitlines()) if line.strip()), problem)
    raise ModelError(
        f"the wheel of mediapipe {WHEEL_VERSION}, which holds the models, can't be had here: {problem[:300]}. "
        "Run `kpsbatch models` where a package index can be reached, or bring the wheel "
        "(`kpsbatch models --wheel FILE`) or the networks of another machine (`--export DIR` there, `--from DIR` here)."
    )


def _installers() -> Iterator[tuple[list[str], list[str]]]:
    """Commands that have `install`, and the options of each for a wheel of 64-bit Linux."""
    pip_platform = ["--platform", "manylinux_2_28_x86_64", "--no-compile", "--disable-pip-version-check"]
    if find_spec("pip"):
        yield [sys.executable, *module_words("pip")], pip_platform
    if uv := shutil.which("uv"):
        yield [uv, "pip"], ["--python-platform", "x86_64-manylinux_2_28"]
    if pip := shutil.which("pip3") or shutil.which("pip"):
        yield [pip], pip_platform
    if bundled := _pip_of_python():
        yield [sys.executable, str(bundled / "pip")], pip_platform


def _pip_of_python() -> Path | None:
    """The wheel of pip that comes with Python's ensurepip, which can be run without installing it."""
    spec = find_spec("ensurepip")
    if spec is None or spec.origin is None:
        return None
    return next((Path(spec.origin).parent / "_bundled").glob("pip-*.whl"), None)
