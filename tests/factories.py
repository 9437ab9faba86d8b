"""What tests make again and again: configs, frames, records, fingerprints, calls of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from kpsbatch.cli.main import main
from kpsbatch.config import Config, DatasetConfig, load_config
from kpsbatch.dataset.folders import Folders
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.store.records import RecordedState, UnitRecord
from kpsbatch.store.settings import Fingerprint, Settings


def write_config(folder: Path, *, dataset: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]) -> Path:
    """Write `config.yaml`: signer 01, split train, sign 1 of `data`, outputs to `out`, unless given otherwise.

        write_config(tmp_path, dataset={"signs": "1-4"}, run={"workers": 1})

    Args:
        folder: Where to.
        dataset: Keys of that section that differ.
        sections: Other sections.
    """
    one_sign = {"root": "data", "signers": ["01"], "splits": ["train"], "signs": "1"}
    tree = {"dataset": {**one_sign, **(dataset or {})}, "output": {"root": "out"}, **sections}
    path = folder / "config.yaml"
    path.write_text(json.dumps(tree), encoding="utf-8")  # JSON is YAML
    return path


def make_config(folder: Path, *, dataset: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]) -> Config:
    """Write a config as `write_config` does, and load it."""
    return load_config(write_config(folder, dataset=dataset, **sections))


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run the command line in this process: exit status, and what was printed."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out + shown.err


def main_ends(status: int, *arguments: object) -> None:
    """Run the command line in this process, which ends with a status."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    assert (ended.value.code or 0) == status


def tree_of(dataset: DatasetConfig) -> LayoutSource:
    """A dataset on disk, which need not be there yet."""
    return LayoutSource(dataset, Folders(dataset.root))


def write_frames(video: Path, count: int, *, width: int = 120, height: int = 80, shade: int = 128) -> Path:
    """Write a directory of grey PNG frames, 0.png and on."""
    video.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(video / f"{number}.png"), np.full((height, width, 3), shade, np.uint8))
    return video


def unit_record(state: RecordedState = "complete", **fields: Any) -> UnitRecord:
    """A unit's record that says no more than it must."""
    return UnitRecord.model_validate({"state": state, **fields})


def fingerprint(digest: str, **settings: Any) -> Fingerprint:
    """Any settings under any digest."""
    return Fingerprint(Settings(**settings), digest)
