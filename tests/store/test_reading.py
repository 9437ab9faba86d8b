"""Outputs are read back whole, one file at a time, or refused in one line."""

from __future__ import annotations

import csv
import os
import pickle
import re
import runpy
import shutil
import subprocess
import sys
import types
import zipfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import fingerprint, main_ends, unit_record
from numpy.typing import NDArray

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import write_atomically
from kpsbatch.points import Topology
from kpsbatch.store import reading
from kpsbatch.store.index_file import COLUMNS
from kpsbatch.store.npz import open_npz, write_npz
from kpsbatch.store.outputs import Outputs

DOCS = Path(__file__).parents[2] / "docs"


def arrays(*names: str, frames: int = 3, dtype: str = "float32") -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(frames)
    return {name: random.random((frames, 184, 4)).astype(dtype) for name in names}


def write(path: Path, videos: dict[str, NDArray[Any]]) -> Path:
    write_atomically(path, lambda file: write_npz(file, videos))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five outputs of two signers, as a run stores them, with strays."""
    outputs = Outputs(tmp_path / "some out (1)", fingerprint("aaaaaaaaaaaa", a=1))
    for unit in (
        Unit("02", "train", 1),
        Unit("01", "train", 12345),
        Unit("01", "train", 2),
        Unit("01", "test", 2),
        Unit("a-b", "dev-1", 7),
    ):
        named = unit_record(unit=unit._asdict())
        outputs.store(unit, arrays("one", "two", frames=unit.sign % 7 + 1), named, replace=False)
    (outputs.root / ".hidden-train").mkdir()
    write(outputs.root / ".hidden-train" / "0001.npz", arrays("x"))
    for stray in (".0003.npz.host-1.7.abcdef.partial", "0004.txt", "notes.npz", "0005.npz.bak"):
        (outputs.root / "01-train" / stray).write_text("no output")
    (outputs.root / "empty-train").mkdir()
    (outputs.root / "a-file").touch()
    return outputs.root


class TestLoad:
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_whole(self, tmp_path, dtype):
        """Every array comes back as it was stored, by its video's name, in order."""
        videos = arrays("b", "a (1)", "file", "إشارة", dtype=dtype)
        found = kpsbatch.load(write(tmp_path / "x.npz", videos))
        assert list(found) == list(videos)
        for name, keypoints in found.items():
            assert keypoints.dtype == dtype
            np.testing.assert_array_equal(keypoints, videos[name])

    def test_names_that_numpy_mixes_up(self, tmp_path):
        """A video whose name ends in .npy is not taken for the one without."""
        videos = {"a": arrays("a")["a"], "a.npy": arrays("a", frames=5)["a"]}
        found = kpsbatch.load(str(write(tmp_path / "x.npz", videos)))
        assert {name: len(keypoints) for name, keypoints in found.items()} == {"a": 3, "a.npy": 5}

    def test_plain_numpy_reads_the_same(self, tmp_path):
        """What `numpy.load` gives is what `kpsbatch.load` gives."""
        path = write(tmp_path / "x.npz", arrays("one", "two"))
        with np.load(path) as stored:
            for name, keypoints in kpsbatch.load(path).items():
                np.testing.assert_array_equal(keypoints, stored[name])

    @pytest.mark.parametrize(
        ("array", "said"),
        [
            (np.zeros((3, 184, 3), np.float32), r"video 'v' is \(3, 184, 3\) of float32"),
            (np.zeros((184, 4), np.float32), r"is \(184, 4\)"),
            (np.zeros((1, 3, 184, 4), np.float32), r"is \(1, 3, 184, 4\)"),
            (np.zeros((3, 184, 4), np.int32), "of int32"),
            (np.array([{}], dtype=object), "Object arrays cannot be loaded"),
        ],
    )
    def test_other_arrays(self, tmp_path, array, said):
        """An npz of something else is refused, and nothing is unpickled."""
        np.savez(tmp_path / "x.npz", v=array)
        with pytest.raises(OutputError, match=said):
            kpsbatch.load(tmp_path / "x.npz")

    def test_no_video(self, tmp_path):
        """An npz without arrays is no output."""
        with pytest.raises(OutputError, match="holds no video"):
            kpsbatch.load(write(tmp_path / "x.npz", {}))

    def test_something_else_in_the_zip(self, tmp_path):
        """A zip that holds no arrays is no output."""
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("readme.txt", "hello")
        with pytest.raises(OutputError, match=r"holds 'readme\.txt'"):
            kpsbatch.load(tmp_path / "x.npz")

    def test_any_byte(self, tmp_path):
        """Whatever byte of a file is flipped, and wherever it is cut off: the right arrays, or an OutputError."""
        videos = arrays("one", "two", frames=1)
        path = write(tmp_path / "x.npz", videos)
        data = path.read_bytes()
        refused = 0
        for place in range(0, len(data), 41):
            flipped = bytearray(data)
            flipped[place] ^= 0x10
            for damaged in (bytes(flipped), data[:place]):
                path.write_bytes(damaged)
                try:
                    found = kpsbatch.load(path)
                except OutputError as error:
                    refused += 1
                    assert "\n" not in str(error)
                else:
                    for keypoints, expected in zip(found.values(), videos.values(), strict=True):
                        np.testing.assert_array_equal(keypoints, expected)
        assert refused > len(data) // 41

    def test_missing(self, tmp_path):
        """A missing file and a folder are one line."""
        with pytest.raises(OutputError, match="does not exist"):
            kpsbatch.load(tmp_path / "x.npz")
        with pytest.raises(OutputError, match="is a folder"):
            kpsbatch.load(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_array_larger_than_a_read(tmp_path, monkeypatch, method):
    """Linux reads 2 GiB at a time at most, and a zip in the zip64 form holds more: arrays come whole in any case."""
    array = arrays("long", frames=40)["long"]
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive,
        archive.open("long.npy", "w", force_zip64=True) as member,
    ):
        np.save(member, array)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: pread(descriptor, min(size, 1000), offset))
    with open_npz(tmp_path / "a.npz") as npz:
        assert npz.shape("long") == array.shape
        np.testing.assert_array_equal(npz.read("long"), array)


class TestDataset:
    def test_everything(self, root):
        """Every video of every output, sorted; hidden files, strays and `_kpsbatch` are passed over."""
        dataset = kpsbatch.open_dataset(root)
        assert (len(dataset.units), len(dataset)) == (5, 10)
        found = [(*rest, keypoints.shape) for *rest, keypoints in dataset]
        assert found == [
            (signer, split, sign, video, (sign % 7 + 1, 184, 4))
            for signer, split, sign in [
                ("01", "test", 2),
                ("01", "train", 2),
                ("01", "train", 12345),
                ("02", "train", 1),
                ("a-b", "dev-1", 7),
            ]
            for video in ("one", "two")
        ]

    def test_without_records(self, root):
        """In a copy without `_kpsbatch`, a folder with several hyphens is cut at the last."""
        (root / "_kpsbatch").rename(root.parent / "elsewhere")
        assert [unit[:2] for unit in _units(root) if unit[2] == 7] == [("a-b-dev", "1")]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"signers": "01"}, [("01", "test", 2), ("01", "train", 2), ("01", "train", 12345)]),
            ({"signers": ["02", "a-b"]}, [("02", "train", 1), ("a-b", "dev-1", 7)]),
            ({"splits": "train", "signs": range(1, 10)}, [("01", "train", 2), ("02", "train", 1)]),
            ({"signs": 7}, [("a-b", "dev-1", 7)]),
            ({"signs": [np.int64(7), 999]}, [("a-b", "dev-1", 7)]),
            ({"signs": []}, []),
        ],
    )
    def test_filters(self, root, filters, expected):
        """Filters take one or many, and combine; signs without an output are passed over."""
        assert _units(root, **filters) == expected

    @pytest.mark.parametrize(
        ("filters", "said"),
        [
            ({"signers": "03"}, "signers: there is no '03'. Choose among 01, 02, a-b"),
            ({"splits": ["train", "x"]}, "no 'x'"),
        ],
    )
    def test_unknown_names(self, root, filters, said):
        """A signer or split that has no output at all is a mistake, not an empty dataset."""
        with pytest.raises(OutputError, match=said):
            kpsbatch.open_dataset(root, **filters)

    def test_lazy(self, root):
        """One file at a time is open, and none in the end."""

        def opened() -> set[str]:
            links = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
            return {link for link in links if link.endswith(".npz")}

        for sample in kpsbatch.open_dataset(root):
            assert opened() == {os.path.realpath(sample.info.path)}
        assert opened() == set()

    def test_by_number(self, root):
        """A dataset is a sequence of videos: `dataset[i]` is what iterating yields at that place, from either end."""
        dataset = kpsbatch.open_dataset(root)
        for number, sample in enumerate(dataset):
            for same in (dataset[number], dataset[np.int64(number)], dataset[number - len(dataset)]):
                assert same.info == sample.info == dataset.videos[number]
                np.testing.assert_array_equal(same.keypoints, sample.keypoints)
        with pytest.raises(IndexError):
            dataset[len(dataset)]

    def test_attributes(self, root):
        """A sample has what it prints, and all that is known of it, as attributes; others are no attributes."""
        sample = kpsbatch.open_dataset(root)[0]
        printed = f"signer={sample.signer!r}, split={sample.split!r}, sign={sample.sign}, video={sample.video!r}"
        assert printed in repr(sample)
        assert (sample.target, sample.path) == (sample.info.target, sample.info.path)
        assert pickle.loads(pickle.dumps(sample)).label == sample.label
        with pytest.raises(AttributeError, match=r"a Sample has no 'lable'\. Choose among info, keypoints"):
            _ = sample.lable

    def test_arrays_can_be_written_to(self, root):
        """An array belongs to who asked for it."""
        dataset = kpsbatch.open_dataset(root)
        dataset[0].keypoints[:] = 7
        assert not (dataset[0].keypoints == 7).any()

    def test_replaced_file(self, root):
        """A file that a run has replaced since is read as it is now."""
        dataset = kpsbatch.open_dataset(root, signs=7)
        assert len(dataset[0].keypoints) == 1
        write(dataset.units[0].path, arrays("two", "one", frames=4))
        np.testing.assert_array_equal(dataset[0].keypoints, arrays("two", "one", frames=4)["one"])

    def test_other_processes(self, root):
        """What is known of the videos goes along to another process, which needs the records no more."""
        dataset = kpsbatch.open_dataset(root)
        assert len(dataset) == 10
        sent = pickle.dumps(dataset)
        shutil.rmtree(root / "_kpsbatch")
        there = pickle.loads(sent)
        assert there.videos == dataset.videos
        np.testing.assert_array_equal(there[3].keypoints, dataset[3].keypoints)

    def test_units(self, root):
        """A unit names its videos, reads one of them, and can be sent to another process."""
        unit = pickle.loads(pickle.dumps(kpsbatch.open_dataset(root, signs=7).units[0]))
        assert unit.videos() == ["one", "two"]
        np.testing.assert_array_equal(unit.read("two"), kpsbatch.load(unit.path)["two"])
        with pytest.raises(OutputError, match="holds no video 'three'"):
            unit.read("three")

    def test_missing_parts(self, tmp_path):
        """A mask for each part says in which frames it was not found."""
        keypoints = np.zeros((3, 184, 4), np.float32)
        keypoints[1, Topology.LEFT_HAND] = 0.5
        keypoints[:2, Topology.POSE, 0] = -0.1
        write_unit(tmp_path / "out", {"v": keypoints})
        missing = {part: mask.tolist() for part, mask in kpsbatch.open_dataset(tmp_path / "out")[0].missing.items()}
        assert missing == {
            "pose": [False, False, True],
            "face": [True, True, True],
            "right_hand": [True, True, True],
            "left_hand": [True, False, True],
        }

    def test_points_outside_the_frame(self, tmp_path):
        """By x and y, whatever the visibility; a part that is missing has none, and is not outside."""
        keypoints = np.zeros((2, 184, 4), np.float32)
        keypoints[0, Topology.POSE] = (0.5, 0.5, 0, 0.1)
        keypoints[0, 4] = (0.5, 1.2, 0, 0.99)
        write_unit(tmp_path / "out", {"v": keypoints})
        sample = kpsbatch.open_dataset(tmp_path / "out")[0]
        assert sample.outside["pose"].tolist() == [[False] * 4 + [True, False], [False] * 6]
        assert not sample.outside["face"].any()
        assert sample.missing["pose"].tolist() == [False, True]

    def test_no_outputs(self, tmp_path):
        """A folder without outputs, and a missing one, are named."""
        with pytest.raises(OutputError, match=re.escape(f"{tmp_path} holds no outputs")):
            kpsbatch.open_dataset(tmp_path)
        with pytest.raises(OutputError, match="No such file"):
            kpsbatch.open_dataset(tmp_path / "nowhere")


def _units(root: Path, **filters: Any) -> list[tuple[str, str, int]]:
    return [(unit.signer, unit.split, unit.sign) for unit in kpsbatch.open_dataset(root, **filters).units]


UNIT = Unit("01", "train", 1)


def write_unit(root: Path, videos: dict[str, NDArray[Any]], unit: Unit = UNIT, **facts: Any) -> Path:
    """An output as a run stores it; `facts` are what the record says of each of its videos besides the length."""
    outputs = Outputs(root, fingerprint("aaaaaaaaaaaa", a=1))
    told = {name: {"frames": len(keypoints), **facts} for name, keypoints in videos.items()}
    outputs.store(unit, videos, unit_record(unit=unit._asdict(), videos=told), replace=True)
    return outputs.npz_path(unit)


FACTS = {"frame_rate": 29.97, "width": 640, "height": 480}


class TestKnownVideos:
    """What is known of videos without reading their arrays."""

    def test_from_the_record(self, tmp_path, monkeypatch):
        """Lengths, frame rates and sizes come from the records: no npz is opened."""
        write_unit(tmp_path / "out", arrays("a", "b", frames=4), **FACTS, times=[0, 10.5, 40, 80])
        monkeypatch.setattr(reading, "open_npz", None)
        dataset = kpsbatch.open_dataset(tmp_path / "out")
        assert dataset.lengths.tolist() == [4, 4]
        info = dataset.videos[1]
        assert info[:4] == ("01", "train", 1, "b")
        assert info[6:11] == (4, 29.97, 640, 480, (0, 10.5, 40, 80))

    @pytest.mark.parametrize("what", ["no record", "damaged record", "another npz", "strange record"])
    def test_without_a_fitting_record(self, tmp_path, what):
        """Else lengths come from the arrays' first bytes; a rate only where the record is of this very length."""
        path = write_unit(tmp_path / "out", arrays("a", "b", frames=4), **FACTS)
        (record,) = (tmp_path / "out" / "_kpsbatch" / "records").rglob("0001.json")
        if what == "no record":
            record.unlink()
        elif what == "damaged record":
            record.write_bytes(record.read_bytes()[:-20])
        elif what == "another npz":
            write(path, {**arrays("a", frames=4), **arrays("c", frames=9)})
        else:
            record.write_text('{"npz": 3, "videos": {"a": 1, "b": {"frames": {}}}}')
        dataset = kpsbatch.open_dataset(tmp_path / "out")
        another = what == "another npz"
        assert [(info.video, info.frames) for info in dataset.videos] == (
            [("a", 4), ("c", 9)] if another else [("a", 4), ("b", 4)]
        )
        assert [info.frame_rate for info in dataset.videos] == [29.97 if another else None, None]

    def test_failed_videos(self, tmp_path):
        """A video that failed is in the record and not in the dataset; how many there are is known."""
        outputs = Outputs(tmp_path, fingerprint("aaaaaaaaaaaa", a=1))
        told = {"good": {"frames": 3}, "bad": {"error": "no frame can be read"}}
        outputs.store(Unit("01", "train", 1), arrays("good"), unit_record("partial", videos=told), replace=False)
        dataset = kpsbatch.open_dataset(tmp_path)
        assert [info.video for info in dataset.videos] == ["good"]
        assert dataset.known[0].failed == 1


class TestLabels:
    def test_names_of_signs(self, root, tmp_path):
        """Names of signs, or their table, label the videos; `labels` chooses by them."""
        table = tmp_path / "labels.csv"
        table.write_text("id,english\n1,peace\n2,water\n7,water\n")
        for names in ({1: "peace", 2: "water", 7: "water"}, table, str(table)):
            dataset = kpsbatch.open_dataset(root, sign_names=names)
            assert dataset.classes == (1, 2, 7, 12345)
            assert [info.label for info in dataset.videos[::2]] == ["water", "water", "", "peace", "water"]
            assert dataset.targets.tolist()[::2] == [1, 1, 3, 0, 2]
            water = kpsbatch.open_dataset(root, sign_names=names, labels="water")
            assert {info.sign for info in water.videos} == {2, 7}
            assert water.classes == (1, 2, 7, 12345)
            assert water.targets.tolist() == [1, 1, 1, 1, 2, 2]
        with pytest.raises(OutputError, match=r"labels: there is no 'fire'\. Choose among peace, water"):
            kpsbatch.open_dataset(root, sign_names=table, labels="fire")

    def test_classes_are_those_of_all_signers(self, root):
        """A class has the same number whichever signers, splits and signs are chosen."""
        for filters in ({}, {"signers": "01"}, {"splits": "test"}, {"signs": [2, 7]}):
            assert kpsbatch.open_dataset(root, **filters).classes == (1, 2, 7, 12345)
        assert kpsbatch.open_dataset(root, signs=7).targets.tolist() == [2, 2]

    def test_manifest(self, tmp_path):
        """A manifest's index.csv has the real signers and labels; a bin's number is no class."""
        unit = Unit("all", "train", 1)
        write_unit(tmp_path, arrays("a", "b", "c"), unit)
        rows = [("a", "P1", "thank you"), ("b", "P2", "Haus, groß"), ("c", "P1", "Haus, groß")]
        with (tmp_path / "index.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            for key, signer, label in rows:
                table.writerow({"file": "all-train/0001.npz", "key": key, "signer": signer, "label": label, "sign": ""})
        dataset = kpsbatch.open_dataset(tmp_path)
        assert [(info.video, info.signer, info.label) for info in dataset.videos] == rows
        assert dataset.classes == ("Haus, groß", "thank you")
        assert dataset.targets.tolist() == [1, 0, 0]
        assert [info.video for info in kpsbatch.open_dataset(tmp_path, signers="P1").videos] == ["a", "c"]
        chosen = kpsbatch.open_dataset(tmp_path, signers="P1", labels=["Haus, groß"])
        assert [(sample.info.video, sample.info.target) for sample in chosen] == [("c", 0)]
        assert len(kpsbatch.open_dataset(tmp_path, signers="all")) == 3


class TestInspect:
    def test_table(self, tmp_path, capsys):
        """Videos, frames, and the share of frames in which each part was found."""
        keypoints = np.zeros((4, 184, 4), np.float32)
        keypoints[:, Topology.POSE, 3] = 0.9
        keypoints[:3, Topology.FACE, 3] = 1
        keypoints[:1, Topology.LEFT_HAND, 3] = 1
        path = write(tmp_path / "0007.npz", {"03_(a)_c": keypoints, "[red]b\n": keypoints[:2]})
        main_ends(0, "inspect", path)
        out = capsys.readouterr().out
        assert out.splitlines()[0] == f"{path}: 2 videos of (T, 184, 4) float32"
        rows = [line.split() for line in out.splitlines()[2:]]
        assert rows == [
            ["video", "frames", "pose", "face", "right", "hand", "left", "hand"],
            ["03_(a)_c", "4", "100.0%", "75.0%", "0.0%", "25.0%"],
            ["[red]b\\n", "2", "100.0%", "100.0%", "0.0%", "50.0%"],
            ["all", "6", "100.0%", "83.3%", "0.0%", "33.3%"],
        ]

    def test_errors(self, tmp_path, capsys):
        """A file that is no output is status 2 and one line."""
        (tmp_path / "x.npz").write_bytes(b"no zip")
        for name in ("x.npz", "nowhere.npz"):
            main_ends(2, "inspect", tmp_path / name)
            shown = capsys.readouterr()
            assert shown.out == ""
            assert re.fullmatch(r"kpsbatch: .* (does not exist|is not a readable npz file).*\n", shown.err)


class TestDocs:
    def test_light(self):
        """Reading needs NumPy alone: neither mediapipe, OpenCV, pydantic nor the command line is imported."""
        code = (
            "import sys, kpsbatch; kpsbatch.load; kpsbatch.open_dataset; kpsbatch.Topology; "
            "print([name for name in ('mediapipe', 'cv2', 'pydantic', 'rich', 'typer') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"

    def test_point_table(self):
        """The table of points in docs/keypoints.md is the topology's."""
        text = (DOCS / "keypoints.md").read_text(encoding="utf-8")
        for name, part in Topology.PARTS.items():
            assert re.search(rf"\| `{part.start}:{part.stop}` +\| `{name.upper()}` ", text)
        for index, name in enumerate(Topology.NAMES):
            if not name.startswith("face."):
                assert re.search(rf"\| {index} +\| `{name}` ", text), name
        face = ", ".join(map(str, Topology.FACE_MESH))
        assert face in " ".join(text.split())

    def test_examples(self, root, monkeypatch):
        """Every Python example in docs/reading.md runs, the torch one against a stand-in where torch is missing."""
        (root.parent / "karsl-kps").symlink_to(root)
        monkeypatch.chdir(root.parent)
        (root / "01-train" / "0007.npz").write_bytes((root / "01-train" / "0002.npz").read_bytes())
        try:
            import torch  # noqa: F401
        except ImportError:
            for name, module in _stand_in_for_torch().items():
                monkeypatch.setitem(sys.modules, name, module)
        examples = re.findall(r"```python\n(.*?)```", (DOCS / "reading.md").read_text(encoding="utf-8"), re.DOTALL)
        assert len(examples) >= 3
        scope: dict[str, Any] = {"__name__": "__main__"}
        for example in examples:
            exec(compile(example, "docs/reading.md", "exec"), scope)
        assert scope["batch"].shape[0] == 8

    def test_training(self, tmp_path, capsys):
        """examples/classify.py learns signs that differ, tells them for signers not seen, and uses what it learned."""
        random = np.random.default_rng(2)
        for signer, split, sign in product(("01", "02"), ("train", "test"), (1, 2, 3)):
            takes = {}
            for take in range(3):
                keypoints = random.normal(0.5, 0.02, (random.integers(9, 30), 184, 4)).astype(np.float32)
                keypoints[:, 0, 0] += 0.2  # shoulders
                keypoints[:, Topology.RIGHT_HAND, 1] += np.linspace(0, 0.2 * sign, len(keypoints))[:, None]
                keypoints[random.random(len(keypoints)) < 0.1, Topology.LEFT_HAND] = 0
                takes[f"take {take}"] = keypoints
            write_unit(tmp_path / "demo" / "out", takes, Unit(signer, split, sign))
        script = runpy.run_path(str(DOCS.parent / "examples" / "classify.py"))
        model = str(tmp_path / "model.npz")
        script["train_command"](str(tmp_path / "demo" / "out"), model)
        shares = re.findall(r"signer held out: 0[12]: ([0-9]+)% of 18 videos right; .* 33%", capsys.readouterr().out)
        assert len(shares) == 2
        assert min(int(share) for share in shares) > 80
        script["use_command"](model, str(tmp_path / "demo" / "out"))
        guesses = re.findall(r"take [0-2]: ([123]) ", capsys.readouterr().out)
        assert guesses == [sign for _ in range(4) for sign in "123" for _ in range(3)]

    @pytest.mark.parametrize(
        ("units", "takes", "held_out"),
        [
            (("train", "test"), 2, "split held out: test: "),
            (("train",), 2, "videos held out: the last video of each word: "),
            (("train",), 1, "nothing is left to learn from or to test on"),
        ],
    )
    def test_training_on_one_signer(self, tmp_path, capsys, units, takes, held_out):
        """With one signer it holds out the split test, else the last video of each word, and says if none is left."""
        for split, sign in product(units, (1, 2)):
            videos = {f"take {take}": np.full((5, 184, 4), 0.1 * sign, np.float32) for take in range(takes)}
            write_unit(tmp_path / "out", videos, Unit("01", split, sign))
        script = runpy.run_path(str(DOCS.parent / "examples" / "classify.py"))
        script["train_command"](str(tmp_path / "out"), str(tmp_path / "model.npz"))
        assert held_out in capsys.readouterr().out


def _stand_in_for_torch() -> dict[str, types.ModuleType]:
    """As much of torch as the page uses, on NumPy."""
    names = ("torch", "torch.utils", "torch.utils.data", "torch.nn", "torch.nn.utils", "torch.nn.utils.rnn")
    modules = {name: types.ModuleType(name) for name in names}

    def pad_sequence(arrays: list[NDArray[Any]], batch_first: bool) -> NDArray[Any]:
        assert batch_first
        padded = np.zeros((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in zip(padded, arrays, strict=True):
            row[: len(array)] = array
        return padded

    class DataLoader:
        def __init__(self, dataset: Any, batch_size: int, collate_fn: Any, **options: Any) -> None:
            self.batches = [collate_fn([dataset[i] for i in range(min(batch_size, len(dataset)))])]

        def __iter__(self) -> Any:
            return iter(self.batches)

    modules["torch"].from_numpy = lambda array: array  # type: ignore[attr-defined]
    modules["torch"].tensor = np.asarray  # type: ignore[attr-defined]
    modules["torch.utils.data"].Dataset = object  # type: ignore[attr-defined]
    modules["torch.utils.data"].DataLoader = DataLoader  # type: ignore[attr-defined]
    modules["torch.nn.utils.rnn"].pad_sequence = pad_sequence  # type: ignore[attr-defined]
    for name in names[1:]:
        parent, _, child = name.rpartition(".")
        setattr(modules[parent], child, modules[name])
    return modules
