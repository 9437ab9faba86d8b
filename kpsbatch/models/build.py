"""Builds the six networks from those of a mediapipe wheel or of Google's bundles, and keeps them in a folder.

The build gives the same bytes everywhere. Nothing of this is imported at run time: workers read what lies there.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from kpsbatch.errors import ModelError
from kpsbatch.files import json_bytes, write_bytes
from kpsbatch.landmarks.network_files import (
    BUILT_SHA256,
    EDIT_VERSION,
    LIST,
    LIST_FORMAT,
    NETWORKS,
    SOURCE_SHA256,
    ListedNetwork,
    NetworkFiles,
    NetworkList,
    default_folder,
    find_networks,
)
from kpsbatch.models.edits import EDITS
from kpsbatch.models.wheel import source_networks
from kpsbatch.untrusted import read_zip_member

BUNDLES = {
    "pose_landmarker.task": {
        "pose_detector": "pose_detector.tflite",
        "pose_landmarks": "pose_landmarks_detector.tflite",
    },
    "face_landmarker.task": {
        "face_detector": "face_detector.tflite",
        "face_landmarks": "face_landmarks_detector.tflite",
    },
    "hand_landmarker.task": {
        "palm_detector": "hand_detector.tflite",
        "hand_landmarks": "hand_landmarks_detector.tflite",
    },
}
"""MediaPipe's bundles, zip files: the networks in each, and the names that these have there."""


def obtain_networks(
    *, wheel: Path | None = None, origin: Path | None = None, rebuild: bool = False, export: Path | None = None
) -> NetworkFiles:
    """Put networks into the cache or another folder, from a package index if need be.

    Args:
        wheel: Take them from this mediapipe wheel, and not from the package index.
        origin: Take them from a folder: of networks that `export` filled, or of Google's bundles.
        rebuild: Build them again, whatever is in the cache.
        export: Put them, or those of the cache, into this folder too; for bundles it is the only one.

    Raises:
        ModelError: They can't be had, or a folder can't be written.
    """
    folder = default_folder()
    try:
        if origin is not None and any((origin / bundle).exists() for bundle in BUNDLES):
            if export is None:
                raise ModelError(f"--from {origin} holds bundles. Add --export DIR: landmarks.models then names DIR.")
            return build_networks(bundled_networks(origin), export)
        if origin is not None:
            copy_networks(find_networks(origin), folder)
        elif rebuild or wheel is not None or not _is_whole(folder):
            build_networks(source_networks(wheel), folder)
        networks = find_networks()
        return networks if export is None else copy_networks(networks, export)
    except OSError as error:
        raise ModelError(
            f"the models can't be put into {error.filename or folder}: {error.strerror}. Name another folder "
            f"({'--export' if export else 'KPSBATCH_CACHE'})."
        ) from error


def build_networks(sources: Mapping[str, bytes], folder: Path) -> NetworkFiles:
    """Edit networks and put them into a folder.

    Args:
        sources: By the names of `NETWORKS`, as they are in a wheel or a bundle.
        folder: Made if need be; what is there is replaced.

    Raises:
        ModelError: A network can't be edited, or the known ones become others than they should.
        OSError: The folder can't be written.
    """
    built = {}
    for name in NETWORKS:
        try:
            built[name] = EDITS[name](sources[name])
        except Exception as error:  # whatever flatbuffers and NumPy raise at bytes that are no such network
            raise ModelError(f"{name} can't be made ready to run: {error}. Take the wheel's networks.") from error
        sha256 = hashlib.sha256(built[name].data).hexdigest()
        if _sha256(sources[name]) == SOURCE_SHA256[name] and sha256 != BUILT_SHA256[name]:
            raise ModelError(
                f"the built {name} is wrong: its SHA-256 is {sha256}, not {BUILT_SHA256[name]}. Install the versions "
                f"in requirements.lock (flatbuffers is {metadata.version('flatbuffers')})."
            )
    networks = {
        name: ListedNetwork(sha256=_sha256(network.data), source=_sha256(sources[name]), side=network.side)
        for name, network in built.items()
    }
    return _put({name: network.data for name, network in built.items()}, networks, folder)


def copy_networks(networks: NetworkFiles, folder: Path) -> NetworkFiles:
    """Copy networks to a folder, for `landmarks.models` or the cache of another machine.

    Raises:
        ModelError: Networks from elsewhere are not those that the cache is for.
        OSError: The folder can't be written.
    """
    for name, file in networks.items():
        if folder == default_folder() and file.sha256 != BUILT_SHA256[name]:
            raise ModelError(
                f"{file.path} is another network than kpsbatch builds: its SHA-256 is {file.sha256}, not "
                f"{BUILT_SHA256[name]}. Set landmarks.models to {file.path.parent}."
            )
    listed = {n: ListedNetwork(sha256=f.sha256, source=f.source, side=f.side) for n, f in networks.items()}
    return _put({name: file.read() for name, file in networks.items()}, listed, folder)


def bundled_networks(folder: Path) -> dict[str, bytes]:
    """The networks of MediaPipe's three bundles.

    Raises:
        ModelError: One is missing, or is no such bundle.
    """
    networks: dict[str, bytes] = {}
    for bundle, names in BUNDLES.items():
        try:
            with zipfile.ZipFile(folder / bundle) as archive:
                networks |= {name: read_zip_member(archive, member) for name, member in names.items()}
        except FileNotFoundError:
            raise ModelError(f"{folder / bundle} does not exist. Put {', '.join(BUNDLES)} there.") from None
        except OSError as error:
            raise ModelError(f"{folder / bundle} can't be read: {error.strerror}. Copy it again.") from None
        except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
            problem = error.args[0] if error.args else type(error).__name__
            raise ModelError(f"{folder / bundle} is not such a bundle: {problem}. Copy it again.") from None
    return networks


def _put(data: Mapping[str, bytes], listed: Mapping[str, ListedNetwork], folder: Path) -> NetworkFiles:
    """Write networks, then their list; files with the right bytes stay, since others may be reading them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in data.items():
        path = folder / f"{name}.tflite"
        if not path.exists() or _sha256(path.read_bytes()) != listed[name].sha256:
            write_bytes(path, network)
    tree = NetworkList(format=LIST_FORMAT, edit=EDIT_VERSION, networks=dict(listed)).model_dump(mode="json")
    if not (folder / LIST).exists() or (folder / LIST).read_bytes() != json_bytes(tree):
        write_bytes(folder / LIST, json_bytes(tree))
    return find_networks(None if folder == default_folder() else folder)


def _is_whole(folder: Path) -> bool:
    try:
        return bool(find_networks(None if folder == default_folder() else folder))
    except ModelError:
        return False


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
