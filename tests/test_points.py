"""Outputs of another set of points, from the run to everything that reads them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from factories import call, fingerprint, make_config, unit_record, write_config
from synthetic.signer import render_video

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.look.contents import file_contents, show_contents
from kpsbatch.points import SETS, topology_of
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.settings import fingerprint_of, settings_of


@pytest.mark.parametrize("points", ["all", "youtube-asl"])
def test_from_run_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], points: str) -> None:
    """A run stores the set; verify finds no fault; preview, player and report show it; load and records name it."""
    video = tmp_path / "data" / "01" / "01" / "train" / "0001" / "v"
    video.mkdir(parents=True)
    for number, image in enumerate(render_video(2, 1, 1, 4)[0]):
        cv2.imwrite(str(video / f"{number}.png"), np.ascontiguousarray(image[..., ::-1]))
    config = write_config(tmp_path, output={"root": "out", "points": points})
    status, shown = call(capsys, "run", config, "--set", "run.workers=0")
    assert status == 0, shown
    status, shown = call(capsys, "verify", config)
    assert status == 0, shown
    root = tmp_path / "out"
    [npz] = root.glob("*/*.npz")
    topology = topology_of(points)
    found = kpsbatch.load(npz)
    assert found.topology == topology
    assert next(iter(found.values())).shape == (4, topology.points, 4)
    [record] = (root / "_kpsbatch" / "records").glob("*/*/*.json")
    assert json.loads(record.read_text(encoding="utf-8"))["points"] == points
    assert [len(sample.keypoints[0]) for sample in kpsbatch.open_dataset(root)] == [topology.points]
    show_contents(file_contents(npz))
    assert f"(T, {topology.points}, 4) float32, points: {points}" in capsys.readouterr().out
    for command in (("preview", "-o", "sheet.png"), ("view", "-o", "v.html"), ("report", "-o", "r.html")):
        status, shown = call(capsys, command[0], config, command[1], tmp_path / command[2])
        assert status == 0, shown
    page = (tmp_path / "v.html").read_text(encoding="utf-8")
    assert f'"set":"{points}"' in page
    status, shown = call(capsys, "run", config, "--set", "output.points=contract")
    assert status == 0
    assert "1 unit re-made from what is kept; no video read" in shown
    assert kpsbatch.load(npz).topology.name == "contract"


def test_documented_sets() -> None:
    """docs/points.md has a row for each set, with the number of its points."""
    text = (Path(__file__).parents[1] / "docs" / "points.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z].*?) \| (\d+) \|", text, re.MULTILINE)
    told = {name: int(count) for names, count in rows for name in re.findall("`(.*?)`", names)}
    assert told == {name: topology_of(name).points for name in SETS}


class TestLoad:
    @pytest.fixture
    def npz(self, tmp_path: Path) -> Path:
        """An output of pose and hands, as a run stores it."""
        outputs = Outputs(tmp_path, fingerprint("aaaaaaaaaaaa", output={"points": "pose, hands"}))
        array = np.ones((2, 75, 4), np.float32)
        record = unit_record(unit={"signer": "01", "split": "train", "sign": 7}, points="pose, hands")
        outputs.store(Unit("01", "train", 7), {"v": array}, record, replace=False)
        return outputs.npz_path(Unit("01", "train", 7))

    def test_record(self, npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The record of a file says which points it has, wherever it is read from."""
        assert kpsbatch.load(npz).topology == topology_of(["hands", "pose"])
        monkeypatch.chdir(npz.parent)
        assert kpsbatch.load(npz.name).topology.parts["pose"] == slice(0, 33)

    def test_without_record(self, npz: Path, tmp_path: Path) -> None:
        """Without it the points have to be named, and must be as many."""
        moved = npz.rename(tmp_path / "moved.npz")
        with pytest.raises(OutputError, match=r"has 75 points, and no record beside it says which"):
            kpsbatch.load(moved)
        assert kpsbatch.load(moved, points="pose hands").topology.points == 75
        with pytest.raises(OutputError, match=r"video 'v' has 75 points, not the 42 of hands\."):
            kpsbatch.load(moved, points="hands")
        with pytest.raises(ConfigError, match="neither a point"):
            kpsbatch.load(moved, points="feet")

    @pytest.mark.parametrize(("count", "points"), [(184, "contract"), (553, "all")])
    def test_a_file_alone(self, tmp_path: Path, count: int, points: str) -> None:
        """184 points without a record are the contract's, 553 are all."""
        np.savez(tmp_path / "x.npz", v=np.ones((1, count, 4), np.float32))
        assert kpsbatch.load(tmp_path / "x.npz").topology.name == points

    def test_a_record_of_before(self, tmp_path: Path) -> None:
        """Records and settings that do not name the points are of the contract's."""
        outputs = Outputs(tmp_path, fingerprint("aaaaaaaaaaaa", output={"dtype": "float32"}))
        outputs.store(Unit("01", "train", 7), {"v": np.ones((2, 184, 4), np.float32)}, unit_record(), replace=False)
        assert kpsbatch.load(outputs.npz_path(Unit("01", "train", 7))).topology.name == "contract"


class TestConfig:
    @pytest.mark.parametrize(
        ("points", "problem"),
        [
            (["pose", 4], r"output\.points: \['pose', 4\] is not a set of points\. Write contract, all, or a list"),
            (
                "pose.hip",
                r"output\.points: 'pose\.hip' is neither a point nor a set of points\. Did you mean 'pose\.left_hip'",
            ),
            ([], r"output\.points: it names no point\."),
        ],
    )
    def test_unusable(self, tmp_path: Path, points: object, problem: str) -> None:
        """A set that there is not is one line, with the nearest name."""
        with pytest.raises(ConfigError, match=problem):
            make_config(tmp_path, output={"root": "out", "points": points})

    def test_parts_alone_tell_what_is_computed(self, tmp_path: Path) -> None:
        """Not the points of the npz, which can be changed afterwards; at least one of these must be computed."""
        made = make_config(tmp_path, output={"root": "out", "points": ["hands", "pose.nose"]})
        assert made.output.points == "hands, pose.nose"
        assert made.landmarks.parts == ("pose", "face", "hands")
        with pytest.raises(ConfigError, match=r"output\.points: hands has no point of landmarks\.parts \(face\)"):
            make_config(tmp_path, output={"root": "out", "points": "hands"}, landmarks={"parts": "face"})

    def test_fingerprint(self, tmp_path: Path) -> None:
        """Points, coordinates and dtype are not part of it; the folder of the records tells them."""
        plain = fingerprint_of(settings_of(make_config(tmp_path)))
        assert plain.settings.view == {"points": "contract", "coordinates": "image", "dtype": "float32"}
        assert plain.folder == plain.digest
        folders = {plain.folder}
        for section in ({"points": ["hands", "pose"]}, {"dtype": "float16"}):
            other = fingerprint_of(settings_of(make_config(tmp_path, output={"root": "out", **section})))
            assert other.digest == plain.digest
            folders.add(other.folder)
        assert len(folders) == 3
