"""All landmarks are kept beside the outputs, and other views of them are made without a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import call, write_frames

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.landmarks import clip, networks
from kpsbatch.landmarks.clip import FrameLandmarks
from kpsbatch.points import FULL
from kpsbatch.store import npz as npz_module
from kpsbatch.store import outputs as outputs_module
from kpsbatch.store.npz import join_npz, npz_bytes, open_npz

CONFIG = """
dataset: {root: data, layout: "{signer}/{split}/{sign:04d}", signers: all, splits: all, signs: all}
output: {root: out}
run: {workers: 0}
"""
POINTS_ALL = ("--set", "output.points=all")


class Stub:
    """Stands for the networks, and counts the frames that were looked at."""

    frames = 0

    def __init__(self, settings: Any, *_: Any) -> None:
        self.settings = settings

    def close(self) -> None:
        pass


def follow_clip(images: Iterable[np.ndarray], stub: Stub, *_: Any) -> Iterator[FrameLandmarks]:
    """Landmarks that follow from the picture's shade; no left hand."""
    for image in images:
        Stub.frames += 1
        rng = np.random.default_rng(int(image.mean()))
        pose, face, hand = (rng.uniform(-0.1, 1.1, shape).astype(np.float32) for shape in ((33, 4), (478, 3), (21, 3)))
        pose[:, 3] = pose[:, 3].clip(0, 1)
        world = {"pose": pose[:, :3], "right_hand": hand / 9}
        how = {"pose": "d", "face": "d", "right_hand": "d"}
        yield FrameLandmarks(pose, face, {"right": hand}, how, {"face": 0.7, "right_hand": 0.9}, world)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of two units of two videos each, and a config for it; the working folder."""
    for sign in (1, 2):
        for number, name in enumerate(("a", "b")):
            write_frames(tmp_path / "data" / "s1" / "train" / f"{sign:04}" / name, 3, shade=40 * sign + 10 * number)
    (tmp_path / "c.yaml").write_text(CONFIG)
    monkeypatch.setattr(networks, "Networks", Stub)
    monkeypatch.setattr(clip, "follow_clip", follow_clip)
    monkeypatch.chdir(tmp_path)
    Stub.frames = 0
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *more: str, status: int = 0) -> str:
    done, shown = call(capsys, "run", "c.yaml", *more)
    assert done == status, shown
    return shown


def files(root: str = "out") -> dict[str, bytes]:
    """The outputs, and all landmarks."""
    paths = [*Path(root).glob("*-*/*.npz"), *Path(root).glob("_kpsbatch/full/*/*/*.npz")]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def records() -> list[Path]:
    return sorted(Path("out/_kpsbatch/records").glob("*/*/*.json"))


def test_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """One file a unit, known to the record, read with `full`, of which the npz is a view."""
    run(capsys)
    npz = Path("out/s1-train/0001.npz")
    kept = kpsbatch.load(npz, points="full")
    assert kept.topology == FULL
    assert {name: array.shape for name, array in kept.items()} == {"a": (3, 628, 4), "b": (3, 628, 4)}
    row = kept["a"][0]
    assert row[FULL.parts["right_hand"], 3] == pytest.approx(0.9, abs=2**-11)
    assert row[FULL.parts["right_hand_world"], :3] * 9 == pytest.approx(row[FULL.parts["right_hand"], :3], abs=2**-10)
    assert not row[FULL.parts["left_hand"]].any()
    assert kpsbatch.load(npz, points="pose")["b"].tobytes() == kpsbatch.load(npz, points="all")["b"][:, :33].tobytes()
    record = json.loads(records()[0].read_text())
    assert (record["points"], record["coordinates"], record["dtype"]) == ("contract", "image", "float32")
    assert record["full"]["bytes"] == len(files()[f"_kpsbatch/full/{record['fingerprint']}/s1-train/0001.npz"])
    assert call(capsys, "verify", "c.yaml")[0] == call(capsys, "verify", "out")[0] == 0
    samples = list(kpsbatch.open_dataset("out", points="full"))
    assert [sample.keypoints.shape for sample in samples] == [(3, 628, 4)] * 4
    assert samples[0].missing["left_hand"].all() and not samples[0].missing["right_hand_world"].any()


@pytest.mark.parametrize(
    "settings",
    [
        ["output.points=all"],
        ["landmarks.coordinates=adjusted"],
        ["output.dtype=float16", "output.points=pose, hands"],
    ],
)
def test_another_view_without_a_run(capsys: pytest.CaptureFixture[str], settings: list[str]) -> None:
    """It is made from what is kept, no frame is read, and is what a run makes that asks for it from the beginning."""
    words = [word for setting in settings for word in ("--set", setting)]
    run(capsys)
    plain, frames = files(), Stub.frames
    shutil.rmtree("data/s1/train/0001/a")
    shutil.rmtree("data/s1/train/0001/b")
    _, shown = call(capsys, "status", "c.yaml", *words)
    assert "2 units (such as s1-train/0001) to be re-made from what is kept" in shown
    shown = run(capsys, *words)
    assert "2 units re-made from what is kept; no video read" in shown
    assert Stub.frames == frames
    assert call(capsys, "verify", "out")[0] == 0
    for sign in (1, 2):
        for number, name in enumerate(("a", "b")):
            shutil.rmtree(f"data/s1/train/{sign:04}/{name}", ignore_errors=True)
            write_frames(Path("data/s1/train") / f"{sign:04}" / name, 3, shade=40 * sign + 10 * number)
    run(capsys, *words, "--set", "output.root=new")
    assert files("new") == files()
    assert "re-made" in run(capsys)  # and back
    assert files() == plain
    assert "Nothing to do" in run(capsys)


def test_both_views_at_once_are_not_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    """A unit of one view beside a unit of another: each is known as what it is, and one run makes them alike."""
    run(capsys, "--signs", "1")
    run(capsys, *POINTS_ALL, "--signs", "2")
    assert [kpsbatch.load(path).topology.name for path in sorted(Path("out").glob("*/*.npz"))] == ["contract", "all"]
    assert call(capsys, "verify", "out")[0] == 0
    with pytest.raises(OutputError, match="several sets of points"):
        _ = kpsbatch.open_dataset("out").topology
    assert kpsbatch.open_dataset("out", points="contract").topology.points == 184
    assert "1 unit re-made" in run(capsys, *POINTS_ALL)


@pytest.mark.parametrize("step", range(6))
def test_killed_while_making_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At whichever step, nothing is computed again, and the next run ends as if nothing was."""
    run(capsys)
    plain, frames, steps = files(), Stub.frames, 0

    class Killed(BaseException):
        pass

    def counted(work: Any) -> Any:
        def one(*arguments: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step + 1:
                raise Killed
            return work(*arguments)

        return one

    with monkeypatch.context() as patch:
        for name in ("_remove", "publish"):
            patch.setattr(outputs_module, name, counted(getattr(outputs_module, name)))
        with pytest.raises(Killed):
            call(capsys, "run", "c.yaml", *POINTS_ALL)
    assert "re-made" in run(capsys, *POINTS_ALL)
    assert call(capsys, "verify", "c.yaml", *POINTS_ALL)[0] == 0
    run(capsys)
    assert (files(), Stub.frames) == (plain, frames)


def test_an_npz_that_is_gone_is_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Without computing; and so is one that is damaged, after verify --repair."""
    run(capsys)
    plain, frames = files(), Stub.frames
    one, two = sorted(Path("out").glob("*-*/*.npz"))
    one.unlink()
    two.write_bytes(two.read_bytes()[:-100])
    status, shown = call(capsys, "verify", "c.yaml", "--repair")
    assert status == 1 and "its npz is missing, though its record is there" in shown
    assert "2 units re-made" in run(capsys)
    assert (files(), Stub.frames) == (plain, frames)


class TestDamage:
    def test_verify_finds_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A file of all landmarks that is missing, damaged, or does not make the npz."""
        run(capsys)
        one, two = sorted(Path("out").glob("_kpsbatch/full/*/*/*.npz"))
        whole = two.read_bytes()
        one.unlink()
        two.write_bytes(whole[:50] + b"?" + whole[51:])
        status, shown = call(capsys, "verify", "out")
        assert status == 1
        assert f"{one} is missing, though recorded" in shown
        assert f"{two} is damaged: its SHA-256 is not that of its record" in shown
        assert call(capsys, "verify", "c.yaml", "--repair")[0] == 1
        assert "2 units finished now" in run(capsys)
        assert call(capsys, "verify", "c.yaml")[0] == 0

    def test_an_npz_of_other_landmarks(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With a record that fits both files."""
        run(capsys)
        outputs = _outputs(capsys)
        unit = Unit("s1", "train", 1)
        good = outputs.good_videos(unit)
        arrays = {name: video.keypoints * np.float32([1, 1, 2, 1]) for name, video in good.items()}
        record = outputs_module.read_record(outputs.record_path(unit, "complete")).record
        assert record is not None
        outputs.store(unit, arrays, record, full={name: video.full for name, video in good.items()}, replace=True)
        status, shown = call(capsys, "verify", "out")
        assert status == 1 and "s1-train/0001/a: its npz is not what all its landmarks make" in shown

    def test_landmarks_that_are_damaged_are_computed_again(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where another view is asked for: what is there can't be made into it."""
        run(capsys)
        path = min(Path("out").glob("_kpsbatch/full/*/*/*.npz"))
        path.write_bytes(path.read_bytes()[:-1])
        shown = run(capsys, *POINTS_ALL)
        assert "1 unit re-made" in shown and "1 unit finished now" in shown
        assert call(capsys, "verify", "c.yaml", *POINTS_ALL)[0] == 0


class TestWithout:
    def test_keep_contract(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The npz has the same bytes, nothing else is kept, and another view is refused with what differs."""
        run(capsys)
        both = files()
        run(capsys, "--set", "output.root=slim", "--set", "output.keep=contract")
        assert files("slim") == {name: data for name, data in both.items() if not name.startswith("_")}
        shown = run(capsys, "--set", "output.root=slim", *POINTS_ALL, status=2)
        assert "output.points is 'contract' there, 'all' here. Choose another output.root, or --overwrite." in shown
        with pytest.raises(OutputError, match=r"no more is kept than it holds"):
            kpsbatch.load("slim/s1-train/0001.npz", points="full")

    def test_slim(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It takes them away later; the outputs stay, are clean, and are not done again."""
        run(capsys)
        before = files()
        status, shown = call(capsys, "slim", "out")
        assert status == 0 and shown.startswith("slim: 2 units, ")
        assert files() == {name: data for name, data in before.items() if not name.startswith("_")}
        assert call(capsys, "verify", "c.yaml")[0] == 0
        assert "Nothing to do" in run(capsys)
        assert call(capsys, "slim", "out")[1].startswith("slim: 0 units, 0.0 MB")
        assert call(capsys, "slim", "data")[0] == 2

    def test_a_redo_that_keeps_a_video_keeps_its_landmarks(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A video that is not in the dataset any more."""
        run(capsys)
        plain = kpsbatch.load("out/s1-train/0001.npz", points="full")
        shutil.rmtree("data/s1/train/0001/b")
        broken = Path("data/s1/train/0001/c")
        broken.mkdir()
        (broken / "0.png").write_bytes(b"no picture")
        outputs = _outputs(capsys)
        unit = Unit("s1", "train", 1)
        outputs_module.Outputs.remove(outputs, Unit("s1", "train", 2))
        record = outputs.record_path(unit, "complete")
        partial = record.with_name("0001.partial.json")
        record.rename(partial)  # so that --retry-failed does the unit again
        run(capsys, "--retry-failed", status=1)
        kept = kpsbatch.load("out/s1-train/0001.npz", points="full")
        assert list(kept) == ["a", "b"]
        assert kept["b"].tobytes() == plain["b"].tobytes()


def _outputs(capsys: pytest.CaptureFixture[str]) -> outputs_module.Outputs:
    from kpsbatch.config import load_config
    from kpsbatch.work.run import open_outputs

    return open_outputs(load_config(Path("c.yaml")))[0]


class TestJoined:
    def test_the_bytes_are_those_of_one_file(self, tmp_path: Path) -> None:
        """As if all arrays were written at once, whatever their names."""
        arrays = {
            name: np.full((number, 2), number, np.uint8) for number, name in enumerate(("file", "é ü", "x" * 300))
        }
        with (tmp_path / "joined.npz").open("wb") as file:
            join_npz(file, [npz_bytes(name, array) for name, array in arrays.items()])
        with (tmp_path / "whole.npz").open("wb") as file:
            npz_module.write_npz(file, arrays)
        assert (tmp_path / "joined.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
        with open_npz(tmp_path / "joined.npz") as npz:
            assert {name: npz.read(name).tolist() for name in npz.members} == {k: a.tolist() for k, a in arrays.items()}

    @pytest.mark.parametrize("limit", ["_MOST", "_LARGEST"])
    def test_more_than_plain_fields_hold(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
        """Then the file is written by zipfile, with 64-bit fields where they are needed."""
        monkeypatch.setattr(npz_module, limit, 2)
        with (tmp_path / "joined.npz").open("wb") as file:
            join_npz(file, [npz_bytes(name, np.arange(3)) for name in ("a", "b", "c")])
        with np.load(tmp_path / "joined.npz") as stored:
            assert {name: stored[name].tolist() for name in stored.files} == {name: [0, 1, 2] for name in "abc"}
