"""`verify` finds rows that their record, index.csv or their video does not explain, of outputs of any version."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import call, fingerprint, write_config, write_frames
from made_pictures import COLOURS, write_mp4
from numpy.typing import NDArray

from kpsbatch.dataset.video import Unit
from kpsbatch.look import verify as verify_module
from kpsbatch.look.verify import Verdict, check_keypoints, verify_folder
from kpsbatch.points import Topology
from kpsbatch.store.index_file import COLUMNS
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitName, UnitRecord, VideoRecord
from kpsbatch.store.settings import Settings, fingerprint_of

UNIT = Unit("01", "train", 1)
OLD = Settings(values_version=3, landmarks={"running_mode": "video", "frame_rate": 30.0}, output={"dtype": "float32"})


def poses(frames: int) -> NDArray[np.float32]:
    """A pose in every row, and nothing else."""
    rows = np.zeros((frames, 184, 4), np.float32)
    rows[:, Topology.POSE] = 0.5
    return rows


def noted(rows: NDArray[np.float32], **facts: Any) -> VideoRecord:
    """What the record of 0.2.0 says of such rows."""
    found = rows[:, Topology.POSE].any(axis=(1, 2))
    how = {part: "-" * len(rows) for part in Topology.PARTS} | {
        "pose": "".join("d" if there else "-" for there in found)
    }
    return VideoRecord(**{"frames": len(rows), "found": {"pose": int(found.sum())}, "how": how, **facts})


def store(folder: Path, rows: dict[str, NDArray[np.float32]], videos: dict[str, VideoRecord], **fields: Any) -> Path:
    """Store a unit as version 0.2.0 did; the output folder."""
    outputs = Outputs(folder / "out", fingerprint_of(OLD))
    outputs.prepare()
    record = UnitRecord(
        unit=UnitName(**UNIT._asdict()), state="complete", videos=videos, fingerprint=outputs.fingerprint.digest,
        dataset=str(folder / "data"), **fields,
    )  # fmt: skip
    outputs.store(UNIT, rows, record, replace=True)
    return outputs.root


def found(verdict: Verdict) -> list[tuple[str, str]]:
    return [(problem.video, problem.text) for problem in verdict.problems]


class TestZeroRows:
    """Rows of zeros are explained by letters, or by frames that could not be read."""

    def test_explained(self) -> None:
        """Nobody was there, or a frame was unreadable."""
        rows = poses(5)
        rows[[1, 3]] = 0
        assert list(check_keypoints(OLD, rows, noted(rows, bad_frames=1))) == []

    @pytest.mark.parametrize("zeroed", [0, 2, 4])
    def test_that_no_record_explains(self, zeroed: int) -> None:
        """The record counts them, but its letters say that the pose was found."""
        rows, whole = poses(5), noted(poses(5))
        rows[zeroed] = 0
        facts = whole.model_copy(update={"found": noted(rows).found})
        assert list(check_keypoints(OLD, rows, facts)) == [
            f"its pose is zeros in row {zeroed}; its record says detected"
        ]

    def test_values_where_there_are_none(self) -> None:
        """And the other way round, as when rows have moved."""
        rows = poses(5)
        rows[3] = 0
        facts = noted(rows)
        assert list(check_keypoints(OLD, rows[::-1], facts)) == ["its pose is zeros in row 1; its record says detected"]

    def test_fewer_than_unreadable_frames(self) -> None:
        """Rows of frames that could not be read are zeros."""
        says = "its record says that 2 frames can't be read; 0 of its rows are zeros"
        assert list(check_keypoints(OLD, poses(5), noted(poses(5), bad_frames=2))) == [says]

    def test_letters_of_other_frames(self) -> None:
        """There is a letter for every row."""
        says = ["its pose has 5 rows; its record has letters for 4"]
        assert list(check_keypoints(OLD, poses(5), noted(poses(5), how={"pose": "dddd"}))) == says


class TestIndex:
    """npz, record and index.csv say the same."""

    @pytest.fixture
    def out(self, tmp_path: Path) -> Path:
        rows = {"a": poses(5), "b": poses(3)}
        videos = {name: noted(of, frame_rate=25.0, width=64, height=48) for name, of in rows.items()}
        out = store(tmp_path, rows, videos)
        self.write(out, a={}, b={"frames": 3})
        return out

    @staticmethod
    def write(out: Path, **rows: dict[str, Any]) -> None:
        with (out / "index.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            for key, cells in rows.items():
                same = {"file": f"{UNIT.name}.npz", "key": key, "frames": 5, "rate": 25.0, "width": 64, "height": 48}
                table.writerow({**same, **cells})

    def test_that_agrees(self, out: Path) -> None:
        """Nothing is wrong."""
        assert verify_folder(out).problems == []

    @pytest.mark.parametrize(
        ("rows", "says"),
        [
            ({"a": {}, "b": {}}, ("b", "index.csv says frames '5'; its record says 3")),
            ({"a": {"rate": 24.0}, "b": {"frames": 3}}, ("a", "index.csv says rate '24.0'; its record says 25.0")),
            ({"a": {}}, ("b", "index.csv lacks it")),
            ({"a": {}, "b": {"frames": 3}, "c": {}}, ("c", "index.csv has it, its record does not")),
        ],
    )
    def test_that_disagrees(
        self, out: Path, rows: Any, says: tuple[str, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Each is named, with what to do."""
        self.write(out, **rows)
        assert found(verify_folder(out)) == [says]
        status, said = call(capsys, "verify", out, "-q")
        assert status == 1 and "alone: remove index.csv, and the next run writes it again" in said

    def test_records_that_it_does_not_know_yet(self, out: Path) -> None:
        """A run writes the index at its end: what it has stored until then is not missing."""
        self.write(out, a={})
        os.utime(out / "index.csv", (1, 1))
        assert verify_folder(out).problems == []


class TestSources:
    """`--sources`: the rows are those of the frames that the videos decode to."""

    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        (tmp_path / "data" / "signs").mkdir(parents=True)
        write_mp4(tmp_path / "data" / "signs" / "v.mp4", COLOURS, rate=25.0)
        write_frames(tmp_path / "data" / "signs" / "f", 3)
        return tmp_path

    @staticmethod
    def stored(folder: Path, frames: int = 5, **facts: Any) -> Path:
        rows = {"v": poses(frames), "f": poses(3)}
        rows["v"][frames - facts.get("bad_frames", 0) :] = 0
        same = {"frame_rate": 25.0, "sizes": {"64x48": frames}}
        videos = {"v": noted(rows["v"], **{**same, **facts}), "f": noted(rows["f"], frame_rate=30.0)}
        return store(folder, rows, videos, source="signs")

    def test_that_agree(self, data: Path) -> None:
        """Files and folders of frames, from a version that computes other values."""
        assert verify_folder(self.stored(data), decode=True).exit_status == 0

    @pytest.mark.parametrize(
        ("frames", "facts", "says"),
        [
            (4, {}, "it has 4 rows; its video decodes to 5 frames"),
            (7, {"bad_frames": 2}, "it has 7 rows; its video decodes to 5 frames"),
            (5, {"bad_frames": 1}, "its record says that 1 frames can't be read; of its video 0 can't"),
            (5, {"frame_rate": 24.0}, "its row 2 is at 83.3333 ms; its video has that frame at 80 ms"),
            (5, {"times": [0, 40, 80, 120, 300]}, "its row 4 is at 300 ms; its video has that frame at 160 ms"),
        ],
    )
    def test_that_differ(self, data: Path, frames: int, facts: Any, says: str) -> None:
        """Number, unreadable frames and times; without --sources the outputs are sound."""
        out = self.stored(data, frames, **facts)
        assert verify_folder(out).problems == []
        assert found(verify_folder(out, decode=True)) == [("v", says)]

    def test_a_row_of_a_frame_that_can_not_be_read(self, data: Path) -> None:
        """It has to be zeros."""
        out = self.stored(data)
        (data / "data" / "signs" / "f" / "1.png").write_bytes(b"")
        assert found(verify_folder(out, decode=True)) == [
            ("f", "its record says that 0 frames can't be read; of its video 1 can't")
        ]

    def test_videos_that_are_not_found(self, data: Path) -> None:
        """They are named, and are no damage."""
        out = self.stored(data)
        (data / "data" / "signs" / "v.mp4").unlink()
        verdict = verify_folder(out, decode=True)
        assert (verdict.problems, verdict.exit_status) == ([], 1)
        assert [(news.video, news.text) for news in verdict.news] == [
            ("v", f"it is not compared: its video is not found in {data}/data/signs")
        ]

    def test_segments(self, data: Path) -> None:
        """Of a table: index.csv says which file and segment each is."""
        rows = {"s": poses(2), "t": poses(3)}
        out = store(data, rows, {name: noted(of, frame_rate=25.0) for name, of in rows.items()}, source=".")
        with (out / "index.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            same = {"file": f"{UNIT.name}.npz", "video": "signs/v.mp4", "rate": 25.0, "unit": "s"}
            table.writerow({**same, "key": "s", "start": 0.0, "end": 0.08, "frames": 2})
            table.writerow({**same, "key": "t", "start": 0.08, "end": 0.16, "frames": 3})
        assert found(verify_folder(out, decode=True)) == [("t", "it has 3 rows; its video decodes to 2 frames")]

    def test_command(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With a folder, and with a config, whose dataset tells where the videos are."""
        out = self.stored(data, 4)
        status, said = call(capsys, "verify", out, "--sources", "-q")
        assert (status, said.splitlines()[0]) == (1, "01-train/0001/v: it has 4 rows; its video decodes to 5 frames")
        status, said = call(capsys, "verify", out, "-q")
        assert status == 0
        settings = json.loads(next(out.glob("_kpsbatch/records/*/settings.json")).read_text())
        assert settings["values_version"] == 3

    def test_with_a_config(
        self, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The config says where the videos are by now."""
        out = self.stored(data, 4)
        (data / "moved").mkdir()
        (data / "data" / "signs").rename(data / "moved" / "0001")
        made_with = fingerprint(next(out.glob("_kpsbatch/records/*")).name, **OLD.tree())
        monkeypatch.setattr(verify_module, "open_outputs", lambda config: (Outputs(out, made_with), None))
        config = write_config(data, dataset={"root": "moved", "layout": "{sign:04d}"})
        status, said = call(capsys, "verify", config, "--sources", "-q")
        assert status == 1
        assert "01-train/0001/v: it has 4 rows; its video decodes to 5 frames" in said.splitlines()
