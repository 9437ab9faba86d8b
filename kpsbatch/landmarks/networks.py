"""The six networks that the bundles are made of: taken, as data, from the last mediapipe wheel that carries them.

Newer releases come without. `fetch_networks` is the only function that uses a package index, with the pip or uv of
this machine and its settings; it is called by `kpsbatch models` and never by a run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from kpsbatch.errors import ModelError
from kpsbatch.files import discard, is_stale, publish, write_temporary

NETWORKS_VERSION = "0.10.21"
"""The last release of mediapipe whose wheel carries the networks."""

WHEEL_SHA256 = "956eb1ebc275c629e61b085b2cab89c3a5b9e93bad1bb107348d98dafb5a4bb5"
"""mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl, on every machine: only data is taken from it."""

NETWORK_SHA256 = {
    "pose_detection/pose_detection.tflite": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "pose_landmark/pose_landmark_full.tflite": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "face_landmark/face_landmark_with_attention.tflite": (
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4"
    ),
    "palm_detection/palm_detection_full.tflite": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "hand_landmark/hand_landmark_full.tflite": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
}
"""The networks below `mediapipe/modules` of that wheel."""


def networks_directory(cache: Path) -> Path:
    """Return the folder below a cache where the networks are kept."""
    return cache / f"mediapipe-{NETWORKS_VERSION}-networks"


def read_network(name: str, cache: Path) -> bytes:
    """Return a network from the cache.

    Raises:
        ModelError: It is not there, or its bytes are others.
    """
    path = networks_directory(cache) / name
    if not has_sha256(path, NETWORK_SHA256[name]):
        raise ModelError(
            f"the models are not in {cache}. Run `python -m kpsbatch models` once, on a machine that reaches a "
            "package index (a login node) and shares that folder ($KPSBATCH_CACHE names another one)."
        )
    return path.read_bytes()


def has_networks(cache: Path) -> bool:
    """Whether the cache contains all networks, undamaged."""
    return all(has_sha256(networks_directory(cache) / name, expected) for name, expected in NETWORK_SHA256.items())


def fetch_networks(cache: Path, wheel: Path | None = None) -> None:
    """Put the networks into the cache.

    Args:
        cache: The cache folder; 20 MB go there.
        wheel: A mediapipe wheel that contains them, of any system. None gets it from the package index: with the pip of
            this Python, uv, the pip on PATH, or the one that Python brings, whichever works first.

    Raises:
        ModelError: The wheel can't be had, or contains other networks.
        OSError: The cache can't be written.
    """
    if wheel is not None:
        _keep(_networks_of_wheel(wheel), cache, str(wheel))
        return
    with tempfile.TemporaryDirectory(prefix="kpsbatch-") as folder:
        modules = _install(Path(folder)) / "mediapipe" / "modules"
        _keep(((name, _read(modules / name)) for name in NETWORK_SHA256), cache, f"mediapipe {NETWORKS_VERSION}")


def has_sha256(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this SHA-256."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def write_verified(path: Path, data: bytes, sha256: str) -> None:
    """Put `data` at `path` in one step, and leave a file alone that another process has just put there.

    What killed writers left in the folder is removed.

    Raises:
        OSError: It can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if is_stale(entry):
                discard(Path(entry.path))
    temporary = write_temporary(path, lambda file: file.write(data))
    # not replaced without need: on NFS a process that reads the old file would get an error
    if has_sha256(path, sha256):
        discard(temporary)
        return
    try:
        publish(temporary, path)
    except OSError:
        if not has_sha256(path, sha256):  # another process put it there meanwhile
            raise


def _keep(networks: Iterator[tuple[str, bytes]], cache: Path, source: str) -> None:
    for name, data in networks:
        if (got := hashlib.sha256(data).hexdigest()) != NETWORK_SHA256[name]:
            raise ModelError(
                f"{source}: {name} is another network: its SHA-256 is {got}, not {NETWORK_SHA256[name]}. Name "
                f"the wheel of mediapipe {NETWORKS_VERSION}."
            )
        write_verified(networks_directory(cache) / name, data, NETWORK_SHA256[name])


def _networks_of_wheel(wheel: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in NETWORK_SHA256:
                yield name, archive.read(f"mediapipe/modules/{name}")
    except OSError as error:
        raise ModelError(f"--wheel: {wheel} can't be read: {error.strerror}. Correct the path.") from error
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            f"--wheel: {wheel} is not a wheel with the networks: {error.args[0]}. Name one of mediapipe "
            f"{NETWORKS_VERSION}; newer ones hold no networks."
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _install(folder: Path) -> Path:
    """Unpack the wheel into a folder below `folder`, with the first installer that can."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"mediapipe=={NETWORKS_VERSION} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
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
        f"the wheel of mediapipe {NETWORKS_VERSION}, which holds the models, can't be had here: {problem[:300]}. "
        "Run `kpsbatch models` where a package index can be reached, or bring the wheel "
        "(`kpsbatch models --wheel FILE`) or the bundles of another machine (`--export DIR` there, `--from DIR` here)."
    )


def _installers() -> Iterator[tuple[list[str], list[str]]]:
    """Commands that have `install`, and the options of each for a wheel of 64-bit Linux."""
    pip_platform = ["--platform", "manylinux_2_28_x86_64", "--no-compile", "--disable-pip-version-check"]
    if find_spec("pip"):
        yield [sys.executable, "-m", "pip"], pip_platform
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
