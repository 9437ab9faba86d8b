"""What must hold after a rehearsal: nothing lost, half-written or done twice. Independent of the product's `verify`."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
from dataset import Dataset, numbers_in


def count_damage(dataset: Dataset, out: Path, log: Path) -> Counter[str]:
    """How much of what went wrong; a count of 0 is kept, so that what was looked for can be seen."""
    kinds = ("units lost", "videos lost", "units too many", "videos with other pictures' keypoints")
    kinds += ("units half-written", "temporary files left", "units stored twice", "videos done over when stored")
    damage = Counter(dict.fromkeys(kinds, 0))
    there = {str(path.relative_to(out))[:-4]: path for path in out.glob("[!_.]*/*.npz")}
    damage["units lost"] = len(dataset.units.keys() - there.keys())
    damage["units too many"] = len(there.keys() - dataset.units.keys())
    for unit, path in there.items():
        _check_unit(damage, dataset, out, unit, path)
    damage["temporary files left"] = sum(1 for _ in out.rglob(".*.partial"))
    _check_log(damage, log)
    return damage


def _check_unit(damage: Counter[str], dataset: Dataset, out: Path, unit: str, path: Path) -> None:
    if not is_whole(out, unit, path):
        damage["units half-written"] += 1
        return
    expected = dataset.units.get(unit, {})
    with np.load(path) as stored:
        damage["videos lost"] += len(expected.keys() - set(stored.files))
        for name in stored.files:
            if tuple(numbers_in(stored[name])) != expected.get(name):
                damage["videos with other pictures' keypoints"] += 1


def is_whole(out: Path, unit: str, path: Path) -> bool:
    """Whether NumPy reads an output to its end, and its one record knows its videos, and hash and size of its files."""
    records = list((out / "_kpsbatch" / "records").glob(f"*/{unit}*.json"))
    try:
        [record] = [json.loads(record.read_bytes()) for record in records]
        data = path.read_bytes()
        with np.load(io.BytesIO(data)) as stored:
            names = [name for name in stored.files if stored[name].ndim == 3]
        kept = [path.read_bytes() for path in (out / "_kpsbatch" / "full").glob(f"*/{unit}.npz")]
        known = [record["npz"], *([record["full"]] if record["full"] else [])]
        whole = [{"sha256": hashlib.sha256(each).hexdigest(), "bytes": len(each)} for each in (data, *kept)]
        return bool(known == whole and list(record["videos"]) == names)
    except Exception:  # whatever NumPy and JSON say to a damaged file
        return False


def _check_log(damage: Counter[str], log: Path) -> None:
    stored: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        what, unit, *_ = line.split(" ")
        if what == "stored":
            damage["units stored twice"] += stored[unit] > 0
            stored[unit] += 1
        else:
            damage["videos done over when stored"] += stored[unit] > 0
