"""The three MediaPipe Tasks bundles: assembled from the mediapipe wheel, kept in a cache, verified before use.

A bundle is an uncompressed zip of two TFLite networks, a detector and a landmark network. Nothing is downloaded and
mediapipe is not imported. The build gives the same bytes everywhere, so one SHA-256 says what made a keypoint.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kpsbatch.errors import ModelError
from kpsbatch.landmarks.graph_edits import (
    face_landmark_network,
    fixed_palm_detector,
    pose_landmark_network,
    wheel_directory,
)

PARTS = ("pose", "face", "hand")

MEDIAPIPE_VERSION = "0.10.21"
"""The last release whose wheel carries the networks."""

EDIT_VERSION = 1
"""Counts up when an edit changes the bytes of a built bundle."""

SOURCE_SHA256 = {
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
"""The networks below `mediapipe/modules` of the pinned wheel."""

EXPECTED_SHA256 = {
    "pose": "9264f0aab5e8d6b873c38061f2ec43551d61e08de6edcc097981fbfd9f6faad6",
    "face": "c003dc9da0b937272625f099873a50c96137d00975bf40147f3dab72efa75d17",
    "hand": "299183494de4625c9593912fdd35bb01a5de0f9c90a56e5f6c93ad06b24fdb96",
}
"""The bundles that `build_bundles` makes."""

OFFICIAL_SHA256 = {
    "pose": "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
    "face": "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    "hand": "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
}
"""Google's own bundles (float16, version 1; pose is the full one), for `landmarks.models: DIR`."""

_REBUILD = "run `python -m kpsbatch models --rebuild`"
_STALE_SECONDS = 3600.0
_ZIP_HEADER = 30  # bytes before an entry's name


@dataclass(frozen=True)
class _Entry:
    """One network of a bundle: its name there, its file in the wheel, and how it is edited."""

    name: str
    source: str
    edit: Callable[[bytes], bytes] | None = None


_CONTENTS = {
    "pose": (
        _Entry("pose_detector.tflite", "pose_detection/pose_detection.tflite"),
        _Entry("pose_landmarks_detector.tflite", "pose_landmark/pose_landmark_full.tflite", pose_landmark_network),
    ),
    "face": (
        _Entry("face_detector.tflite", "face_detection/face_detection_short_range.tflite"),
        _Entry(
            "face_landmarks_detector.tflite",
            "face_landmark/face_landmark_with_attention.tflite",
            face_landmark_network,
        ),
    ),
    "hand": (
        _Entry("hand_detector.tflite", "palm_detection/palm_detection_full.tflite"),
        _Entry("hand_landmarks_detector.tflite", "hand_landmark/hand_landmark_full.tflite"),
    ),
}


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, with the hash that its bytes must have."""

    part: str
    path: Path
    sha256: str

    def read(self) -> bytes:
        """Return the file's bytes, for `BaseOptions(model_asset_buffer=...)`.

        Raises:
            ModelError: The file can't be read, or its bytes are not those that were found first.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path} must be readable (got {error.strerror}); {_REBUILD}") from error
        if (got := _sha256(data)) != self.sha256:
            raise ModelError(f"{self.path} must have SHA-256 {self.sha256} (got {got}); {_REBUILD}")
        return data

    @property
    def origin(self) -> str:
        """Who made it: "built" (this package), "official" (Google) or "custom"."""
        if self.sha256 == EXPECTED_SHA256[self.part]:
            return "built"
        return "official" if self.sha256 == OFFICIAL_SHA256[self.part] else "custom"


def bundle_name(part: str) -> str:
    """Return the file name of a part's bundle, such as "pose_landmarker.task"."""
    return f"{part}_landmarker.task"


def default_cache() -> Path:
    """Return the cache folder: $KPSBATCH_CACHE, else $XDG_CACHE_HOME/kpsbatch, else ~/.cache/kpsbatch."""
    if own := os.environ.get("KPSBATCH_CACHE"):
        return Path(own).absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():  # the XDG specification: a relative path is to be ignored
        return xdg / "kpsbatch"
    try:
        return Path.home() / ".cache" / "kpsbatch"
    except RuntimeError:  # a user without a home, as in `docker run --user 12345`
        return _fallback_cache()


def built_directory(cache: Path) -> Path:
    """Return the folder below a cache where this version's built bundles live."""
    return cache / f"mediapipe-{MEDIAPIPE_VERSION}-edit{EDIT_VERSION}"


def find_bundles(models: Path | None = None) -> dict[str, Bundle]:
    """Return the bundle of every part.

    Any number of processes may call this at once, on any number of machines that share the cache.

    Args:
        models: A folder with bundles of the three names. None means the built ones: taken from the cache, and built
            first where they are missing or damaged. If the cache can't be written they go to a folder of this user
            below the system's temporary one.

    Raises:
        ModelError: A file in `models` is missing or not a bundle, or the bundles can't be built here.
    """
    if models is not None:
        return {part: _inspect(part, models / bundle_name(part)) for part in PARTS}
    cache = default_cache()
    try:
        return _complete(built_directory(cache))
    except OSError as first:
        fallback = _fallback_cache()
        try:
            return _complete(built_directory(fallback))
        except OSError as second:
            raise ModelError(
                f"the model cache must be writable (got {cache}: {first.strerror}; {fallback}: {second.strerror}); "
                "set KPSBATCH_CACHE to a folder with 25 MB of room"
            ) from second


def build_bundles(directory: Path) -> dict[str, Bundle]:
    """Build all bundles into a folder, replacing what is there.

    Raises:
        ModelError: The pinned mediapipe is not installed, or the folder can't be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return {part: _build(part, directory) for part in PARTS}
    except OSError as error:
        raise ModelError(
            f"{directory} must be a folder that can be written (got {error.strerror}); name another one"
        ) from error


def export_bundles(destination: Path) -> list[Bundle]:
    """Write the built bundles to a folder, for `landmarks.models` on another machine.

    Raises:
        ModelError: The bundles can't be built here, or the folder can't be written.
    """
    return list(build_bundles(destination).values())


def whole_picture_hand_bundle(bundle: bytes) -> bytes:
    """Make a hand landmarker bundle that takes the whole picture for the region of one upright hand.

    Args:
        bundle: A hand_landmarker bundle, built or official; its landmark network is kept.
    """
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        networks = {entry.name: archive.read(entry.name) for entry in _CONTENTS["hand"]}
    networks["hand_detector.tflite"] = fixed_palm_detector(networks["hand_detector.tflite"])
    return _zip(networks)


def _complete(directory: Path) -> dict[str, Bundle]:
    """Build what is missing or damaged in a folder; raises OSError if it can't be written."""
    found = {}
    for part in PARTS:
        path = directory / bundle_name(part)
        if _holds(path, EXPECTED_SHA256[part]):
            found[part] = Bundle(part, path, EXPECTED_SHA256[part])
            continue
        directory.mkdir(parents=True, exist_ok=True)
        found[part] = _build(part, directory)
    return found


def _build(part: str, directory: Path) -> Bundle:
    data = _assemble(part)
    if (got := _sha256(data)) != EXPECTED_SHA256[part]:
        raise ModelError(
            f"the built {bundle_name(part)} must have SHA-256 {EXPECTED_SHA256[part]} (got {got}, with flatbuffers "
            f"{_version('flatbuffers')}); install the versions in requirements.lock"
        )
    path = directory / bundle_name(part)
    _write_atomically(path, data, EXPECTED_SHA256[part])
    return Bundle(part, path, EXPECTED_SHA256[part])


def _assemble(part: str) -> bytes:
    entries = {}
    for entry in _CONTENTS[part]:
        network = _wheel_network(entry.source)
        entries[entry.name] = entry.edit(network) if entry.edit else network
    return _zip(entries)


def _wheel_network(source: str) -> bytes:
    path = wheel_directory() / "modules" / source
    try:
        data = path.read_bytes()
        got = f"SHA-256 {_sha256(data)}"
    except OSError as error:
        data, got = b"", f"{error.strerror}"
    if got != f"SHA-256 {SOURCE_SHA256[source]}":
        raise ModelError(
            f"{path} must be the network of mediapipe {MEDIAPIPE_VERSION} (got {got}, in mediapipe "
            f"{_version('mediapipe')}); install mediapipe=={MEDIAPIPE_VERSION}, or set `landmarks.models: DIR` "
            f"to a folder with {', '.join(map(bundle_name, PARTS))}"
        )
    return data


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def _zip(entries: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed zip that depends on nothing but `entries`, each starting at a multiple of 16."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            padding = -(file.tell() + _ZIP_HEADER + len(name) + 4) % 16
            info.extra = struct.pack("<HH", 0xD935, padding) + bytes(padding)  # the zipalign field
            archive.writestr(info, data)
    return file.getvalue()


def _inspect(part: str, path: Path) -> Bundle:
    """Check a bundle that the user brought."""
    networks = [entry.name for entry in _CONTENTS[part]]
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            missing = [name for name in networks if archive.read(name)[4:8] != b"TFL3"]
    except OSError as error:
        problem = error.strerror or str(error)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
        problem = str(error.args[0]) if error.args else type(error).__name__
    else:
        if not missing:
            return Bundle(part, path, _sha256(data))
        problem = f"no TFLite network in {' and '.join(missing)}"
    raise ModelError(
        f"{path} must be a MediaPipe {part} landmarker bundle with {' and '.join(networks)} (got: {problem}); "
        f"copy it again, or leave out `landmarks.models` to use the built ones"
    )


def _holds(path: Path, sha256: str) -> bool:
    try:
        return _sha256(path.read_bytes()) == sha256
    except OSError:
        return False


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_atomically(path: Path, data: bytes, sha256: str) -> None:
    """Put `data` at `path` in one step, and leave a file alone that another process has just put there."""
    _sweep(path.parent)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.partial"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # not replaced without need: on NFS that takes the file away from a process that reads it
        if not _holds(path, sha256):
            temporary.replace(path)
    except OSError:
        if not _holds(path, sha256):  # on NFS a rename can succeed and report an error
            raise
    finally:
        temporary.unlink(missing_ok=True)


def _sweep(directory: Path) -> None:
    """Delete what killed builds left behind an hour ago or earlier."""
    for leftover in directory.glob(".*.partial"):
        try:
            if leftover.stat().st_mtime < time.time() - _STALE_SECONDS:
                leftover.unlink()
        except OSError:
            pass


def _fallback_cache() -> Path:
    """Return a folder below the temporary one that belongs to this user alone, making it if need be.

    Raises:
        ModelError: Somebody else owns the name, so that the models there can't be trusted.
    """
    path = Path(tempfile.gettempdir()) / f"kpsbatch-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise ModelError(f"{path} must be a folder of this user (got another's); set KPSBATCH_CACHE to a folder")
        path.chmod(0o700)
    except OSError as error:
        raise ModelError(
            f"{path} must be a folder that can be written (got {error.strerror}); set KPSBATCH_CACHE to a folder"
        ) from error
    return path
