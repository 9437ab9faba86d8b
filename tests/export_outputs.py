"""Outputs to export, as a run stores them; these tests need neither MediaPipe nor OpenCV (scripts/test-formats.sh)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.video import Unit
from kpsbatch.landmarks.full import from_grid, pack, to_grid
from kpsbatch.landmarks.keypoints import view
from kpsbatch.points import ALL, CONTRACT, FULL
from kpsbatch.store.npz import npz_bytes
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
    full: dict[str, NDArray[np.float32]] | None = None,
    **more: Any,
) -> None:
    """Store an output, and all landmarks (T, 628, 4) beside it; `more` goes into the settings."""
    facts = {
        name: {"frames": len(array), "frame_rate": 29.97, "width": 640, "height": 361}
        | ({"times": TIMES} if len(array) == len(TIMES) else {})
        for name, array in arrays.items()
    }
    named = {"state": "complete", "unit": unit._asdict(), "points": points}
    record = UnitRecord.model_validate({**named, "videos": facts})
    told = Settings.model_validate({"landmarks": {"coordinates": "image"}, **more})
    packed = {name: npz_bytes(name, pack([to_grid(row) for row in rows])) for name, rows in (full or {}).items()}
    Outputs(root, Fingerprint(told, settings)).store(unit, arrays, record, full=packed, replace=True)


def store_failed(
    root: Path, unit: Unit, errors: dict[str, str], *, settings: str = "aaaaaaaaaaaa", **more: Any
) -> None:
    """Record a unit of which all videos failed."""
    videos = {name: {"error": error} for name, error in errors.items()}
    record = UnitRecord.model_validate({"state": "failed", "unit": unit._asdict(), "videos": videos})
    told = Settings.model_validate({"landmarks": {"coordinates": "image"}, **more})
    Outputs(root, Fingerprint(told, settings)).store(unit, {}, record, replace=True)


def landmarks(random: np.random.Generator, frames: int) -> NDArray[np.float32]:
    """Random landmarks (T, 628, 4) with missing parts, and points outside the frame."""
    made = random.uniform(-0.2, 1.2, (frames, FULL.points, 4)).astype(np.float32)
    made[..., 3] = random.uniform(0.1, 1, (frames, FULL.points))
    for part in ALL.parts:
        missing = random.random(frames) < 0.3
        for place in (FULL.parts[part], FULL.parts.get(f"{part}_world")):
            if place is not None:
                made[missing, place] = 0
    return from_grid(to_grid(made))


def kept_outputs(root: Path, units: tuple[Unit, ...] = UNITS, videos: int = 3) -> dict[str, NDArray[np.float32]]:
    """Outputs beside which all landmarks are kept; the landmarks of each video, whose names no other unit has."""
    random = np.random.default_rng(6)
    made: dict[str, NDArray[np.float32]] = {}
    for unit in units:
        names = [f"{unit.signer}_{unit.split}_{unit.sign}_{take}" for take in range(videos)]
        full = {name: landmarks(random, int(random.integers(2, 9))) for name in names}
        store(root, unit, {name: view(rows) for name, rows in full.items()}, full=full)
        made |= full
    return made


def outputs_to_export(root: Path) -> Path:
    """Four outputs of two signers and splits, seven videos each, with every kind of name."""
    random = np.random.default_rng(5)
    for unit in UNITS:
        store(root, unit, {name: keypoints(random, int(random.integers(1, 9))) for name in NAMES})
    return root
