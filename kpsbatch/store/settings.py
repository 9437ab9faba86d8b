"""What made a value: all settings that change landmarks, their short hash, the fingerprint, and the view of them."""

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
from kpsbatch.files import VIEW_MARK
from kpsbatch.landmarks.network_files import NetworkFiles, models_of
from kpsbatch.points import CONTRACT
from kpsbatch.stored import Stored

VALUES_VERSION = 5
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
        view: What the outputs hold of the landmarks: points, coordinates, dtype. It is not part of the fingerprint.
            Settings of kpsbatch 0.2 and before have none: there it is in `landmarks` and `output`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    values_version: int | None = None
    mediapipe: str | None = None
    models: dict[str, str] = Field(default_factory=dict)
    dataset: dict[str, Any] = Field(default_factory=dict)
    landmarks: dict[str, Any] = Field(default_factory=dict)
    output: dict[str, Any] = Field(default_factory=dict)
    imported: bool = False
    view: dict[str, str] = Field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that were computed: of pose, face and hands."""
        parts = self.landmarks.get("parts")
        return tuple(map(str, parts)) if isinstance(parts, (list, tuple)) and parts else PART_NAMES

    @property
    def is_earlier(self) -> bool:
        """Whether a release made them that computes other values from the same settings."""
        return self.values_version is not None and self.values_version < VALUES_VERSION

    @property
    def points(self) -> str:
        """The set of points, see `topology_of`; outputs that don't say it have the contract's."""
        return str(self.view.get("points") or self.output.get("points", CONTRACT.name))

    @property
    def coordinates(self) -> str:
        """As in the config: image, adjusted or adjusted-arabic-sl."""
        return self.stated_coordinates or "image"

    @property
    def stated_coordinates(self) -> str:
        """The same; "" where the settings don't say it."""
        return str(self.view.get("coordinates") or self.landmarks.get("coordinates") or "")

    @property
    def dtype(self) -> str:
        """Of the values."""
        return str(self.view.get("dtype") or self.output.get("dtype", "float32"))

    def tree(self) -> dict[str, Any]:
        """The fields that are set, for a JSON file."""
        return self.model_dump(mode="json", exclude_unset=True)


PLAIN_VIEW = {"points": CONTRACT.name, "coordinates": "image", "dtype": "float32"}


@dataclass(frozen=True)
class Fingerprint:
    """Settings, and the first 12 hex digits of the SHA-256 of their canonical JSON without the view."""

    settings: Settings
    digest: str

    @property
    def folder(self) -> str:
        """The name of the folder of the records: the digest, and what tells the view where it is not the plain one."""
        if self.settings.view in ({}, PLAIN_VIEW):
            return self.digest
        return f"{self.digest}{VIEW_MARK}{_digest(self.settings.view)[:6]}"


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


def view_of(config: Config) -> dict[str, str]:
    """What the outputs of a config hold of the landmarks: points, coordinates, dtype."""
    output = config.output
    return {"points": output.points, "coordinates": config.landmarks.coordinates, "dtype": output.dtype}


def settings_of(config: Config) -> Settings:
    """The part of the settings that the config alone tells: no models are looked for."""
    view = view_of(config)
    dataset: dict[str, Any] = {"mirrored": config.dataset.mirrored, "frame_rate_out": config.dataset.frame_rate_out}
    if config.dataset.person != AUTO:
        dataset["person"] = config.dataset.person
    landmarks = config.landmarks.model_dump(mode="json", exclude={"models", "coordinates"})
    if config.landmarks.pace == "every":  # as settings are that know no pace
        del landmarks["pace"]
    if config.output.imported:
        output = {key: view[key] for key in ("dtype", "points") if view[key] != CONTRACT.name}
        return Settings(imported=True, landmarks={"coordinates": view["coordinates"]}, output=output)
    return Settings(
        values_version=VALUES_VERSION,
        dataset=dataset,
        landmarks={
            **landmarks,
            **config.landmarks.removed,
        },
        view=view,
    )


def fingerprint(config: Config, networks: NetworkFiles, mediapipe_version: str) -> Fingerprint:
    """Collect everything that changes values: the landmarks section, models by hash, versions; and the view."""
    rest = settings_of(config).tree()
    return fingerprint_of(Settings(mediapipe=mediapipe_version, models=models_of(networks), **rest))


def fingerprint_of(settings: Settings) -> Fingerprint:
    """The fingerprint of any settings."""
    return Fingerprint(settings, _digest({key: value for key, value in settings.tree().items() if key != "view"})[:12])


def _digest(tree: Mapping[str, Any]) -> str:
    canonical = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def same_values(theirs: Settings, ours: Settings) -> bool:
    """Whether settings differ in the view at most, where theirs has one."""
    return bool(theirs.view) and not differences(theirs.model_copy(update={"view": ours.view}), ours)


def differences(theirs: Settings, ours: Settings) -> list[str]:
    """Name the settings that differ: `landmarks.running_mode is 'clip' there, 'image' here`.

    Where releases compute other values from the same settings, that alone is said.
    """
    versions = theirs.values_version, ours.values_version
    if versions[0] and versions[1] and versions[0] != versions[1]:
        age = "an earlier" if versions[0] < versions[1] else "a later"
        return [f"values_version is {versions[0]} there ({age} kpsbatch), {versions[1]} here"]
    return _differences(_flat(theirs), _flat(ours))


def differences_in_config(theirs: Settings, ours: Settings) -> list[str]:
    """The same of the fields that are set in `ours`, for settings that don't tell everything (`settings_of`).

    Of settings that an earlier version wrote what both versions know counts, in the words of this one.
    """
    partial = _flat(ours)
    if not theirs.is_earlier:
        sections = {key.partition(".")[0] for key in partial}
        return _differences(
            {key: value for key, value in _flat(theirs).items() if key.partition(".")[0] in sections}, partial
        )
    flat = _flat(theirs.model_copy(update={"landmarks": landmarks_today(theirs.landmarks)}))
    both = flat.keys() & partial.keys() - {"values_version"}
    return _differences({key: flat[key] for key in both}, {key: partial[key] for key in both})


def landmarks_today(landmarks: Mapping[str, Any]) -> dict[str, Any]:
    """A `landmarks` section of an earlier version as this one states it, with what only the earlier one can compute."""
    try:
        section = LandmarksConfig.model_validate(landmarks)
    except ValidationError:
        return dict(landmarks)
    return {**section.model_dump(mode="json", exclude={"models"}), **section.removed}


def _flat(settings: Settings) -> dict[str, Any]:
    """Settings as one level, the view under the names that a config has for it, whichever version wrote them."""
    view = {
        "output.points": settings.points,
        "output.dtype": settings.dtype,
        "landmarks.coordinates": settings.coordinates,
    }
    return {**flatten({key: value for key, value in settings.tree().items() if key != "view"}), **view}


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    missing = "unset"
    return [
        f"{key} is {theirs.get(key, missing)!r} there, {ours.get(key, missing)!r} here"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key, missing) != ours.get(key, missing)
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
