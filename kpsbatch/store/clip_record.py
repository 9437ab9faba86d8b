"""The record of a clip that `kpsbatch extract` read: a small JSON file beside its npz."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.stored import Stored, Text


class ClipRecord(Stored):
    """What `kpsbatch extract` writes beside an npz.

    Attributes:
        clip: Where the clip lies.
        landmarks: The settings that made the keypoints.
        points: The set of points, see `topology_of`.
        models: The hash of every bundle.
        versions: Of the packages.
        video: What is known of the clip.
    """

    clip: Text
    landmarks: dict[str, Any] = Field(default_factory=dict)
    points: str = "contract"
    models: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    video: VideoFacts
