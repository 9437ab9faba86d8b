"""Sign-language video datasets to MediaPipe keypoints, on one machine or a SLURM cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from kpsbatch.api import close_landmarkers, extract_video
    from kpsbatch.landmarks.topology import Topology
    from kpsbatch.store.reading import load, open_dataset

_WHERE = {
    "Topology": "kpsbatch.landmarks.topology",
    "close_landmarkers": "kpsbatch.api",
    "extract_video": "kpsbatch.api",
    "load": "kpsbatch.store.reading",
    "open_dataset": "kpsbatch.store.reading",
}

__all__ = ["Topology", "__version__", "close_landmarkers", "extract_video", "load", "open_dataset"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import kpsbatch` and the command line start at once."""
    if name not in _WHERE:
        raise AttributeError(f"module 'kpsbatch' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)
