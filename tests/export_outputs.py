"""Outputs to export, as a run stores them; these tests need neither MediaPipe nor OpenCV (scripts/test-formats.sh)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.video import Unit
from kpsbatch.points import CONTRACT
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitRecord
from kpsbatch.store.settings import Fingerprint, Settings

NAMES = ("a (1)", "take/2.b", ".hidden", "إشارة", "long " * 60, "100%", "file")
"""Keys that an npz can have and a file's name can't, or that a tar's key can't."""

UNITS = (Unit("01", "train", 3), Unit("01", "test", 3), Unit("02", "train", 3), Unit("02", "train", 11))

TIMES = [0.0, 33.25, 70.5, 101.0]


def keypoints(random: np.random.Generator, frames: int) -> NDArray[np.float32]:
    """Random keypoints with missing parts, and points outside the frame."""
    made = random.uniform(-0.2, 1.2, (frames, CONTRACT.points, 4)).astype(np.float32)
    inside = ((made[..., :2] >= 0) & (made[..., :2] <= 1)).all(axis=-1)
    made[..., 3] = np.where(np.arange(CONTRACT.points) < 6, random.random((frames, CONTRACT.points)), inside)
    for part in CONTRACT.parts.values():
        made[random.random(frames) < 0.3, part] = 0
    return made


def store(
    root: Path,
    unit: Unit,
    arrays: dict[str, NDArray[Any]],
    *,
    settings: str = "aaaaaaaaaaaa",
    points: str = "contract",
    **more: Any,
) -> None:
    """Store an output; `more` goes into the settings."""
    facts = {
        name: {"frames": len(array), "frame_rate": 29.97, "width": 640, "height": 361}
        | ({"times": TIMES} if len(array) == len(TIMES) else {})
        for name, array in arrays.items()
    }
    named = {"state": "complete", "unit": unit._asdict(), "points": points}
    record = UnitRecord.model_validate({**named, "videos": facts})
    told = Settings.model_validate({"landmarks": {"coordinates": "image"}, **more})
    Outputs(root, Fingerprint(told, settings)).store(unit, arrays, record, replace=True)


def outputs_to_export(root: Path) -> Path:
    """Four outputs of two signers and splits, seven videos each, with every kind of name."""
    random = np.random.default_rng(5)
    for unit in UNITS:
        store(root, unit, {name: keypoints(random, int(random.integers(1, 9))) for name in NAMES})
    return root
