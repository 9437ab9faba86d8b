"""What made a value: all settings that change keypoints, and their short hash, the fingerprint."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from kpsbatch.config import AUTO, PART_NAMES, Config, LandmarksConfig
from kpsbatch.landmarks.network_files import NetworkFiles, models_of
from kpsbatch.points import CONTRACT
from kpsbatch.stored import Stored

VALUES_VERSION = 4
"""Raised when a release computes other values from the same settings."""

UNKNOWN = "unknown"
"""The version of a package that is not installed."""


class Settings(Stored):
    """All that changes keypoints; `settings.json` beside the records. Every field counts, unknown ones too.

    Attributes:
        values_version: `VALUES_VERSION` of the release.
        mediapipe: Its version.
        models: By network, the SHA-256 of the one that it was made from, and the version of the edit.
        dataset: The `dataset` section, as far as it changes values.
        landmarks: The `landmarks` section of the config.
        output: The `output` section, as far as it changes values.
        imported: Other scripts made the outputs: nothing else is known.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    values_version: int | None = None
    mediapipe: str | None = None
    models: dict[str, str] = Field(default_factory=dict)
    dataset: dict[str, Any] = Field(default_factory=dict)
    landmarks: dict[str, Any] = Field(default_factory=dict)
    output: dict[str, Any] = Field(default_factory=dict)
    imported: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that were computed: of pose, face and hands."""
        return tuple(self.landmarks.get("parts") or PART_NAMES)

    @property
    def is_earlier(self) -> bool:
        """Whether a release made them that computes other values from the same settings."""
        return self.values_version is not None and self.values_version < VALUES_VERSION

    @property
    def points(self) -> str:
        """The set of points, see `topology_of`; outputs that don't say it have the contract's."""
        return str(self.output.get("points", CONTRACT.name))

    @property
    def coordinates(self) -> str:
        """image or adjusted."""
        return str(self.landmarks.get("coordinates", "image"))

    @property
    def dtype(self) -> str:
        """Of the values."""
        return str(self.output.get("dtype", "float32"))

    def tree(self) -> dict[str, Any]:
        """The fields that are set, for a JSON file."""
        return self.model_dump(mode="json", exclude_unset=True)


@dataclass(frozen=True)
class Fingerprint:
    """Settings, and the first 12 hex digits of the SHA-256 of their canonical JSON."""

    settings: Settings
    digest: str


def installed_version(package: str) -> str:
    """Version of an installed package, without importing it, or `UNKNOWN`."""
    from importlib.metadata import PackageNotFoundError, version  # here: some sixty modules come with it

    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN


def is_installed(package: str, version: str) -> bool:
    """Whether a version of a package is installed; where the name of its folder tells, nothing else is read."""
    folder = f"{package}-{version}.dist-info"
    return any(Path(directory, folder).is_dir() for directory in sys.path) or installed_version(package) == version


def settings_of(config: Config) -> Settings:
    """The part of the settings that the config alone tells: no models are looked for."""
    output: dict[str, str] = {"dtype": config.output.dtype}
    if config.output.points != CONTRACT.name:  # left out, so that outputs of before keep their fingerprint
        output["points"] = config.output.points
    dataset: dict[str, Any] = {"mirrored": config.dataset.mirrored, "frame_rate_out": config.dataset.frame_rate_out}
    if config.dataset.person != AUTO:  # left out for the same reason
        dataset["person"] = config.dataset.person
    if config.output.imported:
        return Settings(imported=True, landmarks={"coordinates": config.landmarks.coordinates}, output=output)
    return Settings(
        values_version=VALUES_VERSION,
        dataset=dataset,
        landmarks={**config.landmarks.model_dump(mode="json", exclude={"models"}), **config.landmarks.removed},
        output=output,
    )


def fingerprint(config: Config, networks: NetworkFiles, mediapipe_version: str) -> Fingerprint:
    """Collect everything that changes values: the landmarks section, dtype, models by hash, versions."""
    rest = settings_of(config).tree()
    return fingerprint_of(Settings(mediapipe=mediapipe_version, models=models_of(networks), **rest))


def fingerprint_of(settings: Settings) -> Fingerprint:
    """The fingerprint of any settings."""
    canonical = json.dumps(settings.tree(), sort_keys=True, separators=(",", ":"))
    return Fingerprint(settings, hashlib.sha256(canonical.encode()).hexdigest()[:12])


def differences(theirs: Settings, ours: Settings) -> list[str]:
    """Name the settings that differ: `landmarks.running_mode is 'clip' there, 'image' here`.

    Where releases compute other values from the same settings, that alone is said.
    """
    versions = theirs.values_version, ours.values_version
    if versions[0] and versions[1] and versions[0] != versions[1]:
        age = "an earlier" if versions[0] < versions[1] else "a later"
        return [f"values_version is {versions[0]} there ({age} kpsbatch), {versions[1]} here"]
    return _differences(theirs.tree(), ours.tree())


def differences_in_config(theirs: Settings, ours: Settings) -> list[str]:
    """The same of the fields that are set in `ours`, for settings that don't tell everything (`settings_of`).

    Of settings that an earlier version wrote what both versions know counts, in the words of this one.
    """
    tree, partial = theirs.tree(), ours.tree()
    if not theirs.is_earlier:
        return _differences({key: tree.get(key) for key in partial}, partial)
    flat, ours_flat = flatten({**tree, "landmarks": landmarks_today(theirs.landmarks)}), flatten(partial)
    both = flat.keys() & ours_flat.keys() - {"values_version"}
    return _differences({key: flat[key] for key in both}, {key: ours_flat[key] for key in both})


def landmarks_today(landmarks: Mapping[str, Any]) -> dict[str, Any]:
    """A `landmarks` section of an earlier version as this one states it, with what only the earlier one can compute."""
    try:
        section = LandmarksConfig.model_validate(landmarks)
    except ValidationError:
        return dict(landmarks)
    return {**section.model_dump(mode="json", exclude={"models"}), **section.removed}


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    left, right = flatten(theirs), flatten(ours)
    for tree in (left, right):
        tree.setdefault("output.points", CONTRACT.name)
    missing = "unset"
    return [
        f"{key} is {left.get(key, missing)!r} there, {right.get(key, missing)!r} here"
        for key in sorted(left.keys() | right.keys())
        if left.get(key, missing) != right.get(key, missing)
    ]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of sections as one level: `{"landmarks.running_mode": "image"}`."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
