"""The three MediaPipe Tasks bundles: assembled from the networks of networks.py, kept in a cache, verified before use.

A bundle is an uncompressed zip of two TFLite networks, a detector and a landmark network. mediapipe is not imported.
The build gives the same bytes everywhere, so one SHA-256 says what made a keypoint.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kpsbatch.errors import ModelError
from kpsbatch.landmarks.graph_edits import face_landmark_network, fixed_palm_detector, pose_landmark_network
from kpsbatch.landmarks.networks import (
    NETWORKS_VERSION,
    fetch_networks,
    has_networks,
    has_sha256,
    read_network,
    write_verified,
)

PARTS = ("pose", "face", "hand")

EDIT_VERSION = 1
"""Counts up when an edit changes the bytes of a built bundle."""

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

_REBUILD = "Run `python -m kpsbatch models --rebuild`."
_ZIP_HEADER = 30  # bytes before an entry's name


@dataclass(frozen=True)
class _Entry:
    """One network of a bundle: its name there, its network in `NETWORK_SHA256`, and how it is edited."""

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
            raise ModelError(f"{self.path} can't be read: {error.strerror}. {_REBUILD}") from error
        if (got := _sha256(data)) != self.sha256:
            raise ModelError(f"{self.path} has changed: its SHA-256 is {got}, not {self.sha256}. {_REBUILD}")
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
    return cache / f"mediapipe-{NETWORKS_VERSION}-edit{EDIT_VERSION}"


def find_bundles(models: Path | None = None) -> dict[str, Bundle]:
    """Return the bundle of every part. Nothing is downloaded: `obtain_bundles` does that, once.

    Any number of processes may call this at once, on any number of machines that share the cache.

    Args:
        models: A folder with bundles of the three names. None means the built ones: taken from the cache, and built
            from the networks there where they are damaged. If the cache can't be written they go to a folder of this
            user below the system's temporary one.

    Raises:
        ModelError: A file in `models` is missing or not a bundle, or the cache holds neither bundles nor networks.
    """
    if models is not None:
        return {part: _inspect(part, models / bundle_name(part)) for part in PARTS}
    cache = default_cache()
    try:
        return _complete(built_directory(cache), cache)
    except OSError as first:
        fallback = _fallback_cache()
        try:
            return _complete(built_directory(fallback), cache)
        except OSError as second:
            raise ModelError(
                f"the model cache can't be written ({cache}: {first.strerror}; {fallback}: {second.strerror}). "
                "Set KPSBATCH_CACHE to a folder with 45 MB of room."
            ) from second


def obtain_bundles(
    *, wheel: Path | None = None, copy_from: Path | None = None, rebuild: bool = False
) -> dict[str, Bundle]:
    """Put the bundles into the cache, from a package index if need be.

    Args:
        wheel: Take the networks from this mediapipe wheel, and not from the package index.
        copy_from: Take the bundles from a folder that `export_bundles` filled.
        rebuild: Get the networks and build the bundles again, whatever is in the cache.

    Raises:
        ModelError: They can't be had, or the cache can't be written.
    """
    cache = default_cache()
    directory = built_directory(cache)
    try:
        if copy_from is not None:
            for part in PARTS:
                data = (copy_from / bundle_name(part)).read_bytes()
                _expect(part, data, f"{copy_from / bundle_name(part)}", "Copy what `models --export` wrote.")
                write_verified(directory / bundle_name(part), data, EXPECTED_SHA256[part])
        elif rebuild or wheel is not None or not _are_built(directory):
            if rebuild or wheel is not None or not has_networks(cache):
                fetch_networks(cache, wheel)
            return build_bundles(directory)
        return find_bundles()
    except OSError as error:
        what = f"{error.filename or cache}: {error.strerror}"
        raise ModelError(
            f"the models can't be put into {cache}: {what}. Set KPSBATCH_CACHE to another folder."
        ) from error


def build_bundles(directory: Path) -> dict[str, Bundle]:
    """Build all bundles into a folder from the networks in the cache, replacing what is there.

    Raises:
        ModelError: The networks are not in the cache, or the folder can't be written.
    """
    cache = default_cache()
    try:
        return {part: _build(part, directory, cache) for part in PARTS}
    except OSError as error:
        raise ModelError(f"{directory} can't be written: {error.strerror}. Name another folder.") from error


def export_bundles(destination: Path) -> dict[str, Bundle]:
    """Copy the built bundles to a folder, for `obtain_bundles(copy_from=...)` or `landmarks.models` elsewhere.

    Raises:
        ModelError: The bundles are not there, or the folder can't be written.
    """
    copies = {}
    for part, bundle in find_bundles().items():
        path = destination / bundle_name(part)
        try:
            write_verified(path, bundle.read(), bundle.sha256)
        except OSError as error:
            raise ModelError(f"{destination} can't be written: {error.strerror}. Name another folder.") from error
        copies[part] = Bundle(part, path, bundle.sha256)
    return copies


def whole_picture_hand_bundle(bundle: bytes) -> bytes:
    """Make a hand landmarker bundle that takes the whole picture for the region of one upright hand.

    Args:
        bundle: A hand_landmarker bundle, built or official; its landmark network is kept.
    """
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        networks = {entry.name: archive.read(entry.name) for entry in _CONTENTS["hand"]}
    networks["hand_detector.tflite"] = fixed_palm_detector(networks["hand_detector.tflite"])
    return _zip(networks)


def _are_built(directory: Path) -> bool:
    return all(has_sha256(directory / bundle_name(part), EXPECTED_SHA256[part]) for part in PARTS)


def _complete(directory: Path, cache: Path) -> dict[str, Bundle]:
    """Build what is missing or damaged in a folder; raises OSError if it can't be written."""
    found = {}
    for part in PARTS:
        path = directory / bundle_name(part)
        if has_sha256(path, EXPECTED_SHA256[part]):
            found[part] = Bundle(part, path, EXPECTED_SHA256[part])
        else:
            found[part] = _build(part, directory, cache)
    return found


def _build(part: str, directory: Path, cache: Path) -> Bundle:
    data = _assemble(part, cache)
    what = f"the built {bundle_name(part)}"
    _expect(part, data, what, f"Install the versions in requirements.lock (flatbuffers is {_version('flatbuffers')}).")
    path = directory / bundle_name(part)
    write_verified(path, data, EXPECTED_SHA256[part])
    return Bundle(part, path, EXPECTED_SHA256[part])


def _expect(part: str, data: bytes, what: str, remedy: str) -> None:
    if (got := _sha256(data)) != EXPECTED_SHA256[part]:
        raise ModelError(f"{what} is wrong: its SHA-256 is {got}, not {EXPECTED_SHA256[part]}. {remedy}")


def _assemble(part: str, cache: Path) -> bytes:
    entries = {}
    for entry in _CONTENTS[part]:
        network = read_network(entry.source, cache)
        entries[entry.name] = entry.edit(network) if entry.edit else network
    return _zip(entries)


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
    """Check a bundle in a folder of the user."""
    networks = [entry.name for entry in _CONTENTS[part]]
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            missing = [name for name in networks if archive.read(name)[4:8] != b"TFL3"]
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist. Correct landmarks.models, or remove it.") from None
    except OSError as error:
        problem = error.strerror or str(error)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
        problem = str(error.args[0]) if error.args else type(error).__name__
    else:
        if not missing:
            return Bundle(part, path, _sha256(data))
        problem = f"no TFLite network in {' and '.join(missing)}"
    raise ModelError(
        f"{path} is not a MediaPipe {part} landmarker bundle with {' and '.join(networks)}: {problem}. "
        f"Copy it again, or remove `landmarks.models` to use the built ones."
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _fallback_cache() -> Path:
    """Return a folder below the temporary one that belongs to this user alone, making it if need be.

    Raises:
        ModelError: Another user owns the folder of that name, so that the models there could be anything.
    """
    path = Path(tempfile.gettempdir()) / f"kpsbatch-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise ModelError(f"{path} is a folder of another user. Set KPSBATCH_CACHE to a folder of yours.")
        path.chmod(0o700)
    except OSError as error:
        raise ModelError(f"{path} can't be written: {error.strerror}. Set KPSBATCH_CACHE to another folder.") from error
    return path
