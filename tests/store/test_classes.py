"""The number of a class never moves, whatever is found, chosen, added or taken away."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shutil
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import call, fingerprint, unit_record, write_config, write_frames
from stub_networks import stub_networks, write_signs

from kpsbatch.config import Config, load_config
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.export.formats import FORMATS
from kpsbatch.export.run import export
from kpsbatch.look.verify import verify_folder
from kpsbatch.store import classes as classes_module
from kpsbatch.store.classes import classes_folder, note_classes, read_classes
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.reading import OutputDataset, open_dataset
from kpsbatch.work.run import run


@pytest.fixture(autouse=True)
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    stub_networks(monkeypatch)


def config_of(folder: Path, **dataset: Any) -> Path:
    return write_config(folder, dataset=dataset, run={"workers": 0}, landmarks={"parts": ["pose"]})


def table_of(folder: Path, rows: Sequence[tuple[str, str]], **dataset: Any) -> Config:
    """A config of a table of videos and labels; bins of two rows."""
    for video, _ in rows:
        if video != "gone" and not (folder / "data" / video).exists():
            write_frames(folder / "data" / video, 2)
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("video", "label"), *rows])
    manifest = {"path": "table.csv", "columns": {"video": "video", "label": "label"}}
    every = {"signers": "all", "splits": "all", "signs": "all", "manifest": manifest, "videos_per_unit": 2}
    return load_config(config_of(folder, **{**every, **dataset}))


def numbers(dataset: OutputDataset) -> dict[str, int]:
    """The class number of each video."""
    return {info.video: info.target for info in dataset.videos}


class TestSigns:
    def test_a_missing_sign_leaves_a_hole(self, tmp_path):
        """Signs count as the config states them: without videos, without outputs, and without records."""
        write_signs(tmp_path / "data", [1, 2, 4, 5])
        run(load_config(config_of(tmp_path, signs="1-5")))
        out = tmp_path / "out"
        assert open_dataset(out).classes == (1, 2, 3, 4, 5)
        assert numbers(open_dataset(out)) == {"v1": 0, "v2": 1, "v4": 3, "v5": 4}
        for path in [*out.rglob("0002.npz"), *out.rglob("0002.json")]:
            path.unlink()
        assert numbers(open_dataset(out)) == {"v1": 0, "v4": 3, "v5": 4}
        assert numbers(open_dataset(out, signs=[5])) == {"v5": 4}
        assert (open_dataset(out).unstated, open_dataset(out).moved) == (0, 0)

    @pytest.mark.parametrize("signs", ["1-5", "all"])
    @pytest.mark.parametrize("command", [["run"], ["submit", "--cluster", "local"]])
    def test_a_trial_does_not_order_them(self, tmp_path, capsys, monkeypatch, signs, command):
        """A first run of some signs only writes what the config states, or what all of the dataset has."""
        monkeypatch.setattr("kpsbatch.cli.run._run_here", lambda *_: 0)
        write_signs(tmp_path / "data", [1, 2, 4, 5])
        path = config_of(tmp_path, signs=signs)
        status, said = call(capsys, *command, path, "--signs", "4", "-q")
        assert status == 0, said
        assert read_classes(tmp_path / "out") == ((1, 2, 3, 4, 5) if signs == "1-5" else (1, 2, 4, 5))
        run(load_config(path))
        assert numbers(open_dataset(tmp_path / "out"))["v5"] == (4 if signs == "1-5" else 3)

    def test_later_signs_are_appended(self, tmp_path):
        """Those of before keep their numbers; what the config states no more keeps its own, too."""
        write_signs(tmp_path / "data", range(1, 7))
        for signs in ("2-3", "1-4", "5,6"):
            run(load_config(config_of(tmp_path, signs=signs)))
        assert open_dataset(tmp_path / "out").classes == (2, 3, 1, 4, 5, 6)
        assert numbers(open_dataset(tmp_path / "out")) == {"v2": 0, "v3": 1, "v1": 2, "v4": 3, "v5": 4, "v6": 5}
        assert len([*classes_folder(tmp_path / "out").iterdir()]) == 3

    def test_labels_state_signs(self, tmp_path):
        """Where the config takes all signs, the table of their names comes first, in its order."""
        write_signs(tmp_path / "data", [1, 2, 9])
        (tmp_path / "labels.csv").write_text("id,english\n7,peace\n2,water\n1,fire\n")
        run(load_config(config_of(tmp_path, signs="all", labels="labels.csv")))
        assert open_dataset(tmp_path / "out").classes == (7, 2, 1, 9)

    def test_table_with_signs(self, tmp_path):
        """Signs of a table count by number, also of rows that can't be used and of splits that were not chosen."""
        rows = [("a", "30"), ("gone", "4"), ("b", "2"), ("c", "0")]
        config = table_of(tmp_path, rows)
        manifest = {"path": "table.csv", "columns": {"video": "video", "sign": "label"}}
        config = load_config(config_of(tmp_path, signers="all", splits="all", signs="all", manifest=manifest))
        run(config)
        assert open_dataset(tmp_path / "out").classes == (0, 2, 4, 30)
        assert numbers(open_dataset(tmp_path / "out")) == {"a": 3, "b": 1, "c": 0}


class TestLabels:
    ROWS = (("a", "water"), ("b", "fire"), ("gone", "air"), ("c", "water"), ("d", "earth, dry"), ("e", ""))

    def test_in_the_order_of_the_table(self, tmp_path):
        """Labels count as the table has them, also of a row that can't be used; no label, no class."""
        run(table_of(tmp_path, self.ROWS))
        dataset = open_dataset(tmp_path / "out")
        assert dataset.classes == ("water", "fire", "air", "earth, dry")
        assert numbers(dataset) == {"a": 0, "b": 1, "c": 0, "d": 3, "e": -1}
        assert open_dataset(tmp_path / "out", labels="earth, dry").targets.tolist() == [3]

    def test_edited_tables(self, tmp_path):
        """Rows that vanish keep their class number, rows in another order too, and new labels are appended."""
        run(table_of(tmp_path, self.ROWS))
        rows = [self.ROWS[4], ("f", "sun"), self.ROWS[1], ("g", "air"), self.ROWS[5]]
        run(table_of(tmp_path, rows))
        dataset = open_dataset(tmp_path / "out")
        assert dataset.classes == ("water", "fire", "air", "earth, dry", "sun")
        assert numbers(dataset) == {"d": 3, "f": 4, "b": 1, "g": 2, "e": -1}

    def test_without_the_index(self, tmp_path):
        """A number of rows is no class, where nothing says the label."""
        run(table_of(tmp_path, self.ROWS))
        (tmp_path / "out" / "index.csv").unlink()
        for path in (tmp_path / "out" / "_kpsbatch" / "records").rglob("000*.json"):
            path.unlink()
        assert set(numbers(open_dataset(tmp_path / "out")).values()) == {-1}

    def test_another_dataset_begins_anew(self, tmp_path):
        """What --overwrite replaced has no numbers any more."""
        write_signs(tmp_path / "data", [1, 2])
        run(load_config(config_of(tmp_path, signs="1-2")))
        write_signs(tmp_path / "other", [7], signer="02")
        write_frames(tmp_path / "other" / "02" / "02" / "train" / "0007" / "w", 3)
        other = load_config(config_of(tmp_path, root="other", signers=["02"], signs="7"))
        with pytest.raises(OutputError, match="another dataset"):
            run(other)
        assert read_classes(tmp_path / "out") == (1, 2)
        run(other, overwrite=True)
        assert open_dataset(tmp_path / "out").classes == (7,)


class TestFolder:
    def outputs(self, root: Path) -> Outputs:
        (root / "_kpsbatch").mkdir(exist_ok=True)
        return Outputs(root, fingerprint("aaaaaaaaaaaa", a=1))

    @pytest.mark.parametrize("locks", [True, False])
    def test_many_tasks_at_once(self, tmp_path, monkeypatch, locks):
        """Tasks of one config all see its order, with locks or without; later ones append after it."""
        if not locks:
            monkeypatch.setattr(Outputs, "lock", lambda outputs, name="": contextlib.nullcontext())
        outputs, together = self.outputs(tmp_path), threading.Barrier(8)
        seen: list[tuple[Any, ...]] = []

        def task() -> None:
            together.wait()
            note_classes(outputs, ["b", "a", 3])
            seen.append(read_classes(tmp_path))

        threads = [threading.Thread(target=task) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) == {("b", "a", 3)}
        assert len([*classes_folder(tmp_path).iterdir()]) == 1 or not locks
        note_classes(outputs, ["c", "a"])
        assert read_classes(tmp_path) == ("b", "a", 3, "c")

    def test_clocks(self, tmp_path, monkeypatch):
        """A host whose clock is behind appends all the same."""
        outputs = self.outputs(tmp_path)
        note_classes(outputs, [5])

        class Behind(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(timezone.utc) - timedelta(days=3)

        monkeypatch.setattr(classes_module, "datetime", Behind)
        note_classes(outputs, [4])
        note_classes(outputs, [3])
        assert read_classes(tmp_path) == (5, 4, 3)

    @pytest.mark.parametrize("damage", [b"", b'{"classes": [1]}', b"[]"])
    def test_damaged(self, tmp_path, damage):
        """A list that is not what was written is named: guessed numbers would be wrong ones."""
        outputs = self.outputs(tmp_path)
        note_classes(outputs, [1, 2])
        [path] = classes_folder(tmp_path).iterdir()
        path.write_bytes(damage)
        for read in (read_classes, open_dataset):
            if read is open_dataset:
                store(outputs, Unit("01", "train", 1))
            with pytest.raises(OutputError, match=re.escape(f"{path} is damaged, so class numbers are not known")):
                read(tmp_path)
        assert "classes" in [problem.name for problem in verify_folder(tmp_path).problems]

    def test_folder_of_an_earlier_version(self, tmp_path):
        """Without lists the records count, failed units too, and an output without one."""
        outputs = self.outputs(tmp_path)
        for sign in (9, 2, 4):
            store(outputs, Unit("01", "train", sign))
        failed = unit_record("failed", unit=Unit("01", "train", 3)._asdict(), videos={"v": {"error": "no"}})
        outputs.store(Unit("01", "train", 3), {}, failed, replace=False)
        outputs.npz_path(Unit("01", "train", 4)).unlink()
        (outputs.records / "01-train" / "notes.json").write_text("{}")
        dataset = open_dataset(tmp_path)
        assert (dataset.classes, dataset.unstated) == ((2, 3, 4, 9), 4)
        assert dataset.targets.tolist() == [0, 3]


def store(outputs: Outputs, unit: Unit) -> None:
    arrays = {"v": np.zeros((2, 184, 4), np.float32)}
    facts = {"v": {"frames": 2, "frame_rate": 25.0, "width": 64, "height": 48}}
    outputs.store(unit, arrays, unit_record(unit=unit._asdict(), videos=facts), replace=False)


@pytest.mark.parametrize("form", FORMATS)
def test_exports(tmp_path, form):
    """Every format has all classes, holes too, and the numbers that the folder has, whatever is chosen of it."""
    pytest.importorskip({"pose": "pose_format", "parquet": "pyarrow"}.get(form, "json"))
    outputs = TestFolder().outputs(tmp_path)
    note_classes(outputs, [1, 2, 9, 4])
    for sign in (4, 9):
        store(outputs, Unit("01", "train", sign))
    for signs, targets in ((None, [3, 2]), ([9], [2])):
        folder = tmp_path / f"export {signs}"
        export(open_dataset(tmp_path, signs=signs), form, folder, points="contract")
        about = json.loads((folder / "export.json").read_text())
        assert (about["classes"], about["unstated_classes"]) == ([1, 2, 9, 4], 0)
        if form.startswith("mmap"):
            assert np.load(folder / "train_y.npy").tolist() == targets
        elif form == "parquet":
            from pyarrow import parquet

            table = parquet.read_table(next(folder.glob("*.parquet")))
            assert table["target"].to_pylist() == targets
            assert json.loads(table.schema.metadata[b"kpsbatch"])["classes"] == [1, 2, 9, 4]
        else:
            with (folder / "index.csv").open() as file:
                assert sorted((int(row["target"]) for row in csv.DictReader(file)), reverse=True) == targets


def test_export_says_what_it_counts(tmp_path, capsys):
    """The numbers of a folder of an earlier version are counted by what it holds, and that is said."""
    (tmp_path / "out").mkdir()
    store(TestFolder().outputs(tmp_path / "out"), Unit("01", "train", 4))
    status, said = call(capsys, "export", tmp_path / "out", "--to", "npy", tmp_path / "npy")
    assert status == 0
    assert (
        "class numbers: no run has stated them (as in folders of version 0.2, and imported ones): they count what "
        in said
    )
    assert open_dataset(tmp_path / "out").as_stated([1, 3, 2]).targets.tolist() == [3]
    assert open_dataset(tmp_path / "out").as_stated([1, 3, 2]).unstated == 1


def test_export_of_an_earlier_version_by_its_config(tmp_path, capsys):
    """What the config states counts where no run has stated anything."""
    write_signs(tmp_path / "data", [2, 4])
    path = config_of(tmp_path, signs="1-5")
    run(load_config(path))
    shutil.rmtree(classes_folder(tmp_path / "out"))
    status, said = call(capsys, "export", path, "--to", "mmap", tmp_path / "x")
    assert (status, "class numbers" in said) == (0, False)
    assert np.load(tmp_path / "x" / "train_y.npy").tolist() == [1, 3]
    assert json.loads((tmp_path / "x" / "export.json").read_text())["classes"] == [1, 2, 3, 4, 5]
