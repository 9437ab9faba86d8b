"""Where the six networks lie, ready to run, and that each is what it was; nothing is built or downloaded here.

A folder of networks holds `NAME.tflite` for each of `NETWORKS`, and `networks.json`, which names their hashes.
`kpsbatch models` makes it: see `kpsbatch.models.build`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpsbatch.errors import ModelError
from kpsbatch.stored import Stored, read_stored

NETWORKS: Final = (
    "pose_detector",
    "pose_landmarks",
    "face_detector",
    "face_landmarks",
    "palm_detector",
    "hand_landmarks",
)

EDIT_VERSION = 2
"""Raised when an edit of the networks changes what they give; it is part of the fingerprint."""

SOURCE_SHA256: Final[Mapping[str, str]] = {
    "pose_detector": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "pose_landmarks": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "face_detector": "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    "face_landmarks": "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
    "palm_detector": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "hand_landmarks": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
}
"""The networks of mediapipe 0.10.21, before they are edited."""

BUILT_SHA256: Final[Mapping[str, str]] = {
    "pose_detector": "b09b27d0cd96e423bf3f62ca0ae7e10c3c878f8f43eedab717045fea3fb7d240",
    "pose_landmarks": "f6eebea393181f3d677c8982a69b818b2048ea9911a420992b748a4543cfa48c",
    "face_detector": "d8a3497a5e8c4e008ab6dc1076a8c70578671e2084dd8135d65b5f007d5381e7",
    "face_landmarks": "2475139c224681c7a6be04d6e3e69c162267d7c254d732278f15ddf9903ae1e9",
    "palm_detector": "098153118b6d140468c6048edb5cf25c32a042e95b5ffe20b0afb541f2abac2b",
    "hand_landmarks": "7247ff87087be98065f1b1a2504f75aa0951f865e701be5a627813470f562d04",
}
"""What `kpsbatch models` makes of them, on every machine."""

FOLDER_PREFIX = "networks-"
"""How the names of folders in the cache begin."""

LIST = "networks.json"
LIST_FORMAT = 1


class ListedNetwork(Stored):
    """What `networks.json` says of a network: its hash, that of the network it was made from, its picture's side."""

    sha256: str
    source: str
    side: int


class NetworkList(Stored):
    """`networks.json`."""

    format: int = LIST_FORMAT
    edit: int = EDIT_VERSION
    networks: dict[str, ListedNetwork]


@dataclass(frozen=True)
class NetworkFile:
    """One network on disk.

    Attributes:
        name: One of `NETWORKS`.
        path: The file.
        sha256: What its bytes must have.
        source: SHA-256 of the network that it was made from.
        side: Of its square picture, in pixels.
    """

    name: str
    path: Path
    sha256: str
    source: str
    side: int

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            ModelError: The file can't be read, or its bytes are others.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path} can't be read: {error.strerror}. {_remedy(self.path.parent)}") from None
        if (actual := hashlib.sha256(data).hexdigest()) != self.sha256:
            raise ModelError(
                f"{self.path} has changed: its SHA-256 is {actual}, not {self.sha256}. {_remedy(self.path.parent)}"
            )
        return data

    @property
    def origin(self) -> str:
        """ "mediapipe 0.10.21", or "other" for a network that was made from another one."""
        return "mediapipe 0.10.21" if self.source == SOURCE_SHA256[self.name] else "other"


NetworkFiles = Mapping[str, NetworkFile]


def default_cache() -> Path:
    """The cache folder: $KPSBATCH_CACHE, else $XDG_CACHE_HOME/kpsbatch, else ~/.cache/kpsbatch.

    Raises:
        ModelError: This user has no home folder.
    """
    if own := os.environ.get("KPSBATCH_CACHE"):
        return Path(own).absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():  # the XDG specification: a relative path is to be ignored
        return xdg / "kpsbatch"
    try:
        return Path.home() / ".cache" / "kpsbatch"
    except RuntimeError:  # as in `docker run --user 12345`
        raise ModelError("this user has no home folder. Set KPSBATCH_CACHE to the folder of the models.") from None


def default_folder() -> Path:
    """The folder of the networks that `kpsbatch models` gets: below the cache, named after their bytes."""
    digest = hashlib.sha256("".join(BUILT_SHA256[name] for name in NETWORKS).encode()).hexdigest()
    return default_cache() / f"{FOLDER_PREFIX}{digest[:8]}"


def find_networks(models: Path | None = None) -> NetworkFiles:
    """The networks by name.

    Args:
        models: `landmarks.models`: a folder that `kpsbatch models` made; None is the one in the cache.

    Raises:
        ModelError: They are not there, or not whole.
    """
    folder = default_folder() if models is None else models
    listed = read_stored(folder / LIST, NetworkList)
    if listed is None:
        raise ModelError(_absent(folder, models))
    if listed.edit != EDIT_VERSION or listed.networks.keys() != set(NETWORKS):
        raise ModelError(f"{folder} holds networks of another version of kpsbatch. {_remedy(folder)}")
    files = {name: NetworkFile(name, folder / f"{name}.tflite", **dict(listed.networks[name])) for name in NETWORKS}
    for file in files.values():
        if models is None and file.sha256 != BUILT_SHA256[file.name]:
            raise ModelError(f"{folder / LIST} has changed. {_remedy(folder)}")
        file.read()
    return files


def models_of(networks: NetworkFiles) -> dict[str, str]:
    """What records and fingerprints say of the networks: the hash of each one's source, and the edit's version."""
    return {"edit": str(EDIT_VERSION), **{name: networks[name].source for name in NETWORKS}}


def _absent(folder: Path, models: Path | None) -> str:
    if models is None or folder.name.startswith(FOLDER_PREFIX):
        return (
            f"the models are not in {folder.parent}. Run `kpsbatch models` once, on a machine that reaches a package "
            "index (a login node) and shares that folder ($KPSBATCH_CACHE names another one)."
        )
    if not folder.is_dir():
        return f"landmarks.models: {folder} does not exist. Correct the path, or remove the setting."
    if any(folder.glob("*.task")):
        return (
            f"landmarks.models: {folder} holds MediaPipe's bundles, not networks. Run `kpsbatch models --from {folder} "
            "--export DIR`, and set landmarks.models to DIR."
        )
    problem = "is damaged" if (folder / LIST).exists() else "is missing"
    return f"landmarks.models: {folder / LIST} {problem}. Name a folder that `kpsbatch models --export` wrote."


def _remedy(folder: Path) -> str:
    if folder.name.startswith(FOLDER_PREFIX):
        return "Run `kpsbatch models --rebuild`."
    return "Make the folder again with `kpsbatch models --export`."
