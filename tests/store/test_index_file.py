"""index.csv says for every video where its keypoints are and what is known of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from dataset_trees import TREES, opened

from kpsbatch.dataset.tables import Label
from kpsbatch.store.index_file import COLUMNS, Measured, write_index


def rows_of(place: Path, name: str, labels: dict[int, Label] | None = None) -> list[dict[str, str]]:
    source, _ = opened(place, name)
    file = io.StringIO()
    count = write_index(file, source, lambda unit, video: {video.name: Measured(50, 25.0, 1280, 720)}, labels)
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(rows) == count
    return rows


def test_segments(tmp_path):
    """Times, labels with quotes and commas, the camera and the table's line are there."""
    row = rows_of(tmp_path, "How2Sign")[0]
    assert tuple(row) == COLUMNS
    assert row == {
        "file": "all-train/0001.npz", "key": "--7E2sU6zP4_10-5-rgb_front", "signer": "all", "split": "train",
        "sign": "",
        "label": 'And I call them "decorative" elements, because', "view": "front",
        "video": "raw_videos/--7E2sU6zP4-5-rgb_front.mp4", "source": "how2sign_realigned_train.csv:2",
        "start": "12.36", "end": "17.56", "unit": "s", "frames": "50", "rate": "25.0", "width": "1280", "height": "720",
    }  # fmt: skip


def test_tree(tmp_path):
    """Numbered signs get their names; what has no segment has no times."""
    row = rows_of(tmp_path, "KArSL", {1: Label(1, "سلام", "peace")})[0]
    assert (row["file"], row["sign"], row["label"]) == ("01-train/0001.npz", "1", "peace · سلام")
    assert (row["start"], row["end"], row["source"]) == ("", "", "")
    assert row["video"] == "01/01/train/0001/03_01_0001_(12_10_16_14_05_36)_c"


def test_only_what_is_done(tmp_path):
    """A video that is not done has no row."""
    TREES["LSA64"](tmp_path)
    source, _ = opened(tmp_path, "LSA64")
    file = io.StringIO()
    assert write_index(file, source, lambda unit, video: {video.name: Measured(9)} if unit.sign == 1 else {}) == 6
