"""Sign-language video datasets to MediaPipe keypoints, on one machine or a SLURM cluster."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from kpsbatch.api import extract_video
    from kpsbatch.dataset.video_file import read_segments, segments_in_seconds
    from kpsbatch.errors import ConfigError, DatasetError, KpsbatchError, ModelError, OutputError
    from kpsbatch.landmarks.kept_networks import close_landmarkers
    from kpsbatch.pictures.draw import draw
    from kpsbatch.points import Topology, topology_of
    from kpsbatch.store.cleaning import Cleaning
    from kpsbatch.store.reading import load, open_dataset

_MODULES = {
    "kpsbatch.api": ("close_landmarkers", "extract_video"),
    "kpsbatch.dataset.video_file": ("read_segments", "segments_in_seconds"),
    "kpsbatch.errors": ("ConfigError", "DatasetError", "KpsbatchError", "ModelError", "OutputError"),
    "kpsbatch.pictures.draw": ("draw",),
    "kpsbatch.points": ("Topology", "topology_of"),
    "kpsbatch.store.cleaning": ("Cleaning",),
    "kpsbatch.store.reading": ("load", "open_dataset"),
}

__all__ = [
    "Cleaning",
    "ConfigError",
    "DatasetError",
    "KpsbatchError",
    "ModelError",
    "OutputError",
    "Topology",
    "__version__",
    "close_landmarkers",
    "draw",
    "extract_video",
    "load",
    "open_dataset",
    "read_segments",
    "segments_in_seconds",
    "topology_of",
]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import kpsbatch` and the command line start at once."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'kpsbatch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
