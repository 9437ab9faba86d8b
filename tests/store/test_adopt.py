"""`kpsbatch import`: keypoints that other scripts wrote are taken over as they are."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import call, fingerprint, unit_record, write_config, write_frames
from numpy.typing import NDArray

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import read_record

NAMES = ("01-train/0001.npz", "01-train/0007.npz", "02-test/0007.npz")


def keypoints(seed: int, frames: int = 4) -> NDArray[np.float64]:
    """In float64, as scripts write it; the left hand is missing, the visibility of face and right hand is 0."""
    array = np.random.default_rng(seed).random((frames, 184, 4))
    array[:, 6:, 3] = 0
    array[:, 163:] = 0
    array[0, 142:163] = 0
    return array


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of keypoints, three files of two videos."""
    for seed, name in enumerate(NAMES):
        path = tmp_path / "old" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{"take (1)": keypoints(seed), "take 2": keypoints(seed + 10)})
    monkeypatch.chdir(tmp_path)
    return tmp_path / "old"


def files_in(folder: Path) -> dict[str, str]:
    """Hashes of all files, by name."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


class TestImport:
    def test_everything_works_on_them(self, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Records are written, no byte of an npz changes, and what looks at outputs looks at these."""
        before = files_in(old)
        status, shown = call(capsys, "import", "old")
        assert status == 0, shown
        assert "imported: 3 files, 6 videos, 24 frames\nthey look: image coordinates, float64\n" in shown
        assert files_in(old).items() >= before.items()
        assert call(capsys, "verify", "old.yaml") == (0, "Checked 3 units (6 videos): no damage.\n")
        status, shown = call(capsys, "status", "old.yaml")
        assert (status, "3 of 3 units are finished (100%)" in shown, "note" in shown) == (0, True, False)
        for arguments in (("report", "-o", "r.html"), ("view", "-o", "v.html"), ("preview", "-o", "p.png")):
            status, shown = call(capsys, arguments[0], "old.yaml", *arguments[1:])
            assert status == 0, shown
        assert kpsbatch.load(old / NAMES[0]).topology.name == "contract"
        assert call(capsys, "import", "old")[0] == 0, "again"

    def test_the_record(self, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It says where the file is from and what the arrays tell; what is not known stays empty."""
        call(capsys, "import", "old")
        [path] = (old / "_kpsbatch" / "records").glob("*/01-train/0007.json")
        record = read_record(path).record
        assert record is not None
        assert (record.imported, record.points, record.state) == (str(old), "contract", "complete")
        assert (record.started, record.finished, record.host, record.versions) == (None, None, "", {})
        video = record.good["take (1)"]
        assert (video.frames, video.frame_rate, video.times, video.sizes, video.how) == (4, 0, None, {}, {})
        assert (video.found.pose, video.found.face, video.found.right_hand, video.found.left_hand) == (4, 4, 3, 0)
        assert (video.hands.both, video.hands.one, video.hands.none, video.attempts) == (0, 3, 1, 0)
        settings = json.loads((path.parents[1] / "settings.json").read_text(encoding="utf-8"))
        assert settings == {"imported": True, "landmarks": {"coordinates": "image"}, "output": {"dtype": "float64"}}

    def test_adjusted(self, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Adjusted coordinates are told from those in frame widths, even of a hand that points away from 0 only."""
        for name in NAMES:
            array = keypoints(3)
            array[1:, 142:163, :2] -= array[1:, 142:143, :2]
            array[1:, 142:163, :2] = np.abs(array[1:, 142:163, :2])
            np.savez(old / name, v=array)
        assert "they look: adjusted coordinates" in call(capsys, "import", "old")[1]
        assert "coordinates: adjusted" in Path("old.yaml").read_text(encoding="utf-8")

    def test_no_run_mixes_with_them(self, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Neither a run with their config nor one with another config adds to them."""
        call(capsys, "import", "old")
        before = files_in(old)
        status, shown = call(capsys, "run", "old.yaml")
        assert (status, "were imported, so no run adds to them" in shown) == (2, True)
        assert call(capsys, "submit", "old.yaml", "--dry-run")[0] == 2
        ours = Outputs(old, fingerprint("aaaaaaaaaaaa", landmarks={"running_mode": "clip"}))
        with pytest.raises(OutputError, match=r"made with other settings: it was imported\. Choose another output"):
            ours.refuse_foreign(ours.states([Unit("01", "train", 7)]))
        assert files_in(old) == before

    def test_repair_leaves_them(self, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A file that was changed afterwards is told; repairing does not remove it, since no run can make it."""
        call(capsys, "import", "old")
        np.savez(old / NAMES[0], **{"take (1)": keypoints(77), "take 2": keypoints(78)})
        status, shown = call(capsys, "verify", "old.yaml", "--repair")
        assert status == 1
        assert "its npz is damaged: its SHA-256 is not that of its record" in shown
        assert (old / NAMES[0]).exists()

    def test_rate_and_size(self, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Where frame rate and size are stated, imported keypoints have them, as .pose files want; else they don't."""
        assert call(capsys, "import", "old", "--frame-rate", "25", "--frame-size", "320x240")[0] == 0
        for info in kpsbatch.open_dataset("old").videos:
            assert (info.frame_rate, info.width, info.height) == (25, 320, 240)
        for size in ("320", "320x0", "320x240px"):
            status, shown = call(capsys, "import", "old", "--frame-size", size)
            assert (status, f"--frame-size: '{size}' is not a size." in shown) == (2, True)

    def test_copies(self, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With --to the files are copied, and nothing is written to their folder; another file is not replaced."""
        before = files_in(old)
        status, shown = call(capsys, "import", "old", "--to", "copy", "-o", "c.yaml")
        assert status == 0, shown
        assert files_in(old) == before
        assert files_in(tmp_path / "copy").items() >= before.items()
        assert call(capsys, "verify", "c.yaml")[0] == 0
        np.savez(old / NAMES[1], v=keypoints(5))
        status, shown = call(capsys, "import", "old", "--to", "copy", "-o", "c.yaml")
        assert (status, "exists already and is not" in shown) == (2, True)

    def test_with_their_videos(self, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With the config of the dataset verify compares the names; units without a file are not left to be done."""
        write_config(tmp_path, dataset={"signs": "1-3"})
        for name in ("take (1)", "take 2"):
            write_frames(tmp_path / "data" / "01" / "01" / "train" / "0001" / name, 4)
        write_frames(tmp_path / "data" / "01" / "01" / "train" / "0002" / "v", 1)
        assert call(capsys, "import", "old", "--dataset", "config.yaml")[0] == 0
        assert call(capsys, "verify", "old.yaml") == (0, "Checked 1 unit (2 videos): no damage.\n")
        write_frames(tmp_path / "data" / "01" / "01" / "train" / "0001" / "take 3", 1)
        status, shown = call(capsys, "verify", "old.yaml")
        assert (status, "0001/take 3: the dataset has it" in shown) == (1, True)


class Trap:
    """Unpickling it would make a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


WITH_NAN = keypoints(1)
WITH_NAN[2, 3, 1] = np.nan


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.array([Trap()], dtype=object), "holds Python objects (a pickle), which could run any code"),
        (keypoints(1).reshape(4, 736), "is flattened to (4, 736); it must be (T, 184, 4): reshape it"),
        (WITH_NAN, "holds NaN or infinite values"),
        (np.ones((4, 184, 4), np.int32), "is of int32, not of float16, float32 or float64"),
        (np.ones((4, 543, 4)), "is (4, 543, 4), not (T, 184, 4)"),
        (np.ones((0, 184, 4)), "is (0, 184, 4), not (T, 184, 4)"),
        (np.asfortranarray(keypoints(1)), "in Fortran order"),
    ],
)
def test_refused(old: Path, capsys: pytest.CaptureFixture[str], array: NDArray[Any], problem: str) -> None:
    """What is no output is told in one line with its file and video; nothing is imported then, or unpickled."""
    np.savez(old / NAMES[1], fine=keypoints(0), odd=array)
    before = files_in(old)
    status, shown = call(capsys, "import", "old")
    assert status == 2
    assert shown.startswith(f"kpsbatch: old/{NAMES[1]}: 'odd' ")
    assert problem in shown
    assert shown.count("\n") == 1
    assert files_in(old) == before
    assert not Path("unpickled").exists()
    assert not Path("old.yaml").exists()


def test_other_refusals(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged file, a folder without files, outputs of a run, and a config that is there already."""
    (old / NAMES[0]).write_bytes(b"PK no zip")
    (old / NAMES[2]).write_bytes(b"")
    status, shown = call(capsys, "import", "old")
    assert (status, f"old/{NAMES[0]} is not a readable npz file" in shown) == (2, True)
    assert "1 other file can't be imported either" in shown
    assert "holds no files such as 01-train/0007.npz" in call(capsys, "import", old / "01-train")[1]
    outputs = Outputs(tmp_path / "run", fingerprint("aaaaaaaaaaaa", landmarks={"running_mode": "clip"}))
    outputs.store(Unit("01", "train", 1), {"v": keypoints(1)}, unit_record(), replace=False)
    assert "01-train/0001 was made by kpsbatch and has its record" in call(capsys, "import", "run")[1]
    Path("old.yaml").write_text("dataset: {root: x}\n", encoding="utf-8")
    assert "old.yaml exists already. Choose another -o" in call(capsys, "import", "old")[1]
