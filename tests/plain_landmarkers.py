"""The benchmarks' MediaPipe landmarkers and the source networks, for tests that compare with them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
try:
    from mediapipe_landmarkers import bundle, close_landmarkers, networks, open_landmarker, picture
finally:
    del sys.path[0]

__all__ = ["bundle", "close_landmarkers", "networks", "open_landmarker", "picture"]
