"""What made a value: all settings that change keypoints, and their short hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from kpsbatch.config import Config

if TYPE_CHECKING:
    from kpsbatch.landmarks.bundles import Bundle

VALUES_VERSION = 1
"""Counts up when a release computes other values from the same settings."""

UNKNOWN = "unknown"
"""The version of a package that is not installed."""


@dataclass(frozen=True)
class Fingerprint:
    """Settings that change values, and the first 12 hex digits of the SHA-256 of their canonical JSON."""

    settings: dict[str, Any]
    digest: str


def installed_version(package: str) -> str:
    """Version of an installed package, without importing it, or `UNKNOWN`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN


def settings_of(config: Config) -> dict[str, Any]:
    """The part of the settings that the config alone tells: no models are looked for."""
    rate = config.dataset.frame_rate_out
    return {
        **({} if rate is None else {"dataset": {"frame_rate_out": rate}}),  # so that outputs of before stay ours
        "values_version": VALUES_VERSION,
        "landmarks": config.landmarks.model_dump(mode="json", exclude={"models"}),
        "output": {"dtype": config.output.dtype},
    }


def fingerprint(config: Config, bundles: Mapping[str, Bundle], mediapipe_version: str) -> Fingerprint:
    """Collect everything that changes values: the landmarks section, dtype, models by hash, versions."""
    settings = {
        "mediapipe": mediapipe_version,
        "models": {part: bundle.sha256 for part, bundle in sorted(bundles.items())},
        **settings_of(config),
    }
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return Fingerprint(settings, hashlib.sha256(canonical.encode()).hexdigest()[:12])


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Name the settings that differ: `landmarks.running_mode is 'video' there, 'image' here`."""
    left, right = _flatten(theirs), _flatten(ours)
    missing = "unset"
    return [
        f"{key} is {left.get(key, missing)!r} there, {right.get(key, missing)!r} here"
        for key in sorted(left.keys() | right.keys())
        if left.get(key, missing) != right.get(key, missing)
    ]


def differences_of(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """The same of the sections that `ours` has, for settings that don't tell everything, see `settings_of`."""
    return differences({key: theirs.get(key) for key in ours}, ours)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
