"""The benchmarks' pose visibility does not depend on the video before."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
try:
    from pose_visibility import VisibilityMemory
finally:
    del sys.path[0]


def smooth(values: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """MediaPipe's low-pass filter in float32, from a state (None: without a past)."""
    out = []
    for value in values:
        state = value if state is None else np.float32(0.1) * value + np.float32(0.9) * state
        out.append(state)
    return np.array(out), state


@pytest.mark.parametrize("seed", range(5))
def test_a_video_after_others_equals_the_video_alone(seed: int) -> None:
    """Three videos through one filter come out as each would alone, and poses are otherwise untouched."""
    rng = np.random.default_rng(seed)
    memory, state = VisibilityMemory(), None
    for length in (7, 1, 30):
        raw = rng.random((length, 33)).astype(np.float32)
        alone, _ = smooth(raw, None)
        carried, state = smooth(raw, state)
        memory.start_video()
        for expected, value in zip(alone, carried, strict=True):
            pose = np.column_stack([rng.random((33, 3)), value]).astype(np.float32)
            corrected = memory.correct(pose)
            assert corrected[:, 3] == pytest.approx(expected, abs=2e-6)
            assert (corrected[:, :3] == pose[:, :3]).all()
