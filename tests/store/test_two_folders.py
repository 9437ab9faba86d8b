"""Outputs of the same settings, made on two clusters and copied into one folder, are one folder of outputs."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import call, write_config, write_frames
from stub_networks import stub_networks, write_signs

from kpsbatch.config import Config, load_config
from kpsbatch.look.status import StatusReader
from kpsbatch.look.verify import verify, verify_folder
from kpsbatch.pictures.report.gather import gather
from kpsbatch.store.classes import read_classes
from kpsbatch.store.reading import find_records, open_dataset
from kpsbatch.store.run_state import ALONE, read_runs, run_id
from kpsbatch.work.run import run

COPIES = ("cp -r", "cp -rp", "cp -rn", "rsync -a", "rsync -a --ignore-existing")


@pytest.fixture(autouse=True)
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    stub_networks(monkeypatch)


def config_of(folder: Path, **dataset: Any) -> Path:
    folder.mkdir(exist_ok=True)
    return write_config(folder, dataset=dataset, run={"workers": 0}, landmarks={"parts": ["pose"]})


def join(copy: str, first: Path, second: Path, to: Path) -> Path:
    """Copy the outputs of one cluster into a folder, then those of the other."""
    words = copy.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    to.mkdir()
    for root in (first, second):
        source = f"{root}/." if words[0] == "cp" else f"{root}/"
        ended = subprocess.run([*words, source, f"{to}/"], capture_output=True, text=True)
        assert ended.returncode == 0 or words[1] == "-rn", ended.stderr  # newer cp: 1 where it kept a file
    return to


def at(path: Path, out: Path) -> Config:
    """A config whose outputs lie elsewhere."""
    return load_config(path, [f"output.root={out}"])


def assert_one_folder(config: Config, units: int) -> None:
    """The folder holds all units, whole and in order, and nothing is left to do."""
    out = config.output.root
    verdict = verify_folder(out)
    assert (verdict.units, verdict.problems) == (units, [])
    assert verify(config).exit_status == 0, verify(config)
    status = StatusReader(config).read()
    assert (status.count("complete"), status.count("left"), status.count("other")) == (units, 0, 0)
    assert not [note for note in status.notes if "in the dataset" in note]
    summary = run(config)
    assert (summary.exit_status, summary.stored) == (0, [])
    assert sum(row.state == "complete" for row in gather(config).units) == units
    assert len(open_dataset(out)) == units


@pytest.fixture(params=[False, True], ids=["second-over-first", "first-over-second"])
def turned(request: pytest.FixtureRequest) -> bool:
    """Whether the second cluster's outputs are copied first."""
    return bool(request.param)


@pytest.mark.parametrize("copy", ["cp -r", "rsync -a --ignore-existing"])
@pytest.mark.parametrize("by", ["signs", "stated signs", "all signs", "splits"])
class TestHalves:
    def halves(self, folder: Path, by: str, capsys: Any) -> tuple[Path, Path, Config]:
        """Two clusters, each with its half of the data; the outputs of both, and a config of all the data."""
        whole = {"signs": "1-6", "signers": ["01", "02"], "splits": ["train", "test"]}
        parts: list[dict[str, Any]] = [whole, whole]
        if by == "stated signs":
            parts = [{**whole, "signs": "1-3"}, {**whole, "signs": "4-6"}]
        elif by == "all signs":
            parts = [{**whole, "signs": "all"}, {**whole, "signs": "all"}]
        elif by == "splits":
            parts = [{**whole, "splits": ["train"]}, {**whole, "splits": ["test"]}]
        for number, name in enumerate("ab"):
            signs = range(1, 7) if by == "splits" else range(3 * number + 1, 3 * number + 4)
            for split in ("train", "test")[number : number + 1] if by == "splits" else ("train", "test"):
                for place in (folder / name / "data", folder / "all" / "data"):
                    write_signs(place, signs, split=split)
            path = config_of(folder / name, **parts[number])
            chosen = ["--signs", ("1-3", "4-6")[number]] if by == "signs" else []
            status, said = call(capsys, "run", path, "-q", *chosen)
            assert status == 0, said
        return folder / "a" / "out", folder / "b" / "out", at(config_of(folder / "all", **whole), folder / "joined")

    def test_one_folder(self, tmp_path, capsys, copy, by, turned):
        """Verified, counted, reported, resumed and read as one: on both clusters, and where all of the data is."""
        first, second, config = self.halves(tmp_path, by, capsys)
        join(copy, *((second, first) if turned else (first, second)), tmp_path / "joined")
        states = {run.run for root in (first, second) for run in read_runs(root)}
        assert {run.run for run in read_runs(tmp_path / "joined")} == states
        assert_one_folder(config, 12)
        for name in "ab":
            here = at(tmp_path / name / "config.yaml", tmp_path / "joined")
            assert (verify(here).problems, run(here).stored) == ([], [])
            status, said = call(
                capsys, "run", tmp_path / name / "config.yaml", "--set", f"output.root={tmp_path}/joined", "--prune"
            )
            assert (status, "0 videos removed" in said) == (0, True), said
        dataset = open_dataset(tmp_path / "joined")
        assert dataset.classes == (1, 2, 3, 4, 5, 6)
        assert {info.target for info in dataset.videos} == {0, 1, 2, 3, 4, 5}
        assert dataset.moved == (3 if by in ("stated signs", "all signs") else 0)


class TestTable:
    ROWS = tuple((f"v{number}", f"word {7 - number}", f"P{number}") for number in range(1, 7))

    def cluster(self, folder: Path, rows: Any) -> Path:
        folder.mkdir()
        for video, *_ in rows:
            write_frames(folder / "data" / video, 2)
        with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("video", "label", "signer"), *rows])
        columns = {"video": "video", "label": "label", "signer": "signer"}
        manifest = {"path": "table.csv", "columns": columns}
        every = {"signers": "all", "splits": "all", "signs": "all", "manifest": manifest, "videos_per_unit": 2}
        return config_of(folder, **every)

    @pytest.mark.parametrize("copy", COPIES)
    def test_index(self, tmp_path, capsys, copy, turned):
        """Labels, signers and class numbers are known before a run, and index.csv is whole after one."""
        paths = [self.cluster(tmp_path / name, self.ROWS) for name in "ab"]
        for path, signs in zip(paths, ("1", "2-3"), strict=True):
            assert call(capsys, "run", path, "-q", "--signs", signs)[0] == 0
        roots = [path.parent / "out" for path in paths]
        out = join(copy, *reversed(roots) if turned else roots, tmp_path / "joined")
        expected = [(*row, number) for number, row in enumerate(self.ROWS)]

        def read() -> list[tuple[Any, ...]]:
            return [(info.video, info.label, info.signer, info.target) for info in open_dataset(out).videos]

        assert read() == expected
        assert_one_folder_of_table(at(paths[0], out))
        with (out / "index.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["key"], row["label"], row["signer"]) for row in rows] == [*self.ROWS]
        assert {row["rate"] for row in rows} == {"30.0"}
        assert read() == expected

    def test_index_of_another_table(self, tmp_path, capsys, turned):
        """A cluster whose table lacks the other's split keeps its rows, by the records where the index has none."""
        paths = [self.cluster(tmp_path / name, self.ROWS[at : at + 3]) for at, name in ((0, "a"), (3, "b"))]
        for path, split in zip(paths, ("train", "test"), strict=True):
            tree = json.loads(path.read_text())
            tree["dataset"]["manifest"]["path"] = {split: "table.csv"}
            path.write_text(json.dumps(tree))
            run(load_config(path))
        roots = [path.parent / "out" for path in paths]
        out = join("cp -r", *reversed(roots) if turned else roots, tmp_path / "joined")
        for path in paths:
            config = at(path, out)
            assert StatusReader(config).read().notes == []
            assert run(config).stored == []
            with (out / "index.csv").open(newline="") as file:
                rows = {row["key"]: (row["label"], row["signer"], row["split"]) for row in csv.DictReader(file)}
            assert rows == {
                video: (label, signer, "train" if number < 3 else "test")
                for number, (video, label, signer) in enumerate(self.ROWS)
            }
        assert len({info.target for info in open_dataset(out).videos}) == 6


def assert_one_folder_of_table(config: Config) -> None:
    assert verify_folder(config.output.root).problems == []
    assert verify(config).exit_status == 0
    assert run(config).stored == []
    assert StatusReader(config).read().count("complete") == 3
    assert verify_folder(config.output.root).problems == []


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("broken", ["v2", "all"])
def test_a_unit_that_both_have_done(tmp_path, copy, broken, turned):
    """Where a video failed on one cluster and not on the other, what belongs to the npz counts; nothing is mixed."""
    paths = []
    for name in "ab":
        place = tmp_path / name / "data" / "01" / "01" / "train" / "0001"
        for video in ("v1", "v2"):
            write_frames(place / video, 2)
            if name == "a" and broken in (video, "all"):
                for frame in (place / video).iterdir():
                    frame.write_bytes(b"broken")
        paths.append(config_of(tmp_path / name))
    for path, status in zip(paths, (1, 0), strict=True):
        assert run(load_config(path)).exit_status == status
    roots = [path.parent / "out" for path in paths]
    out = join(copy, *reversed(roots) if turned else roots, tmp_path / "joined")
    records = out / "_kpsbatch" / "records"
    assert len([*records.glob("*/01-train/*.json")]) == 2
    assert verify_folder(out).problems == []
    [unit] = open_dataset(out).known
    config = at(paths[1], out)
    assert verify(config).problems == []
    kept = find_records(out)["01-train/0001"]
    assert run(config).exit_status == int(".partial." in kept.name)
    assert [*records.glob("*/01-train/*.json")] == [kept]
    assert verify(config).problems == []
    assert [video.name for video in unit.videos] == (["v1"] if ".partial." in kept.name else ["v1", "v2"])
    with np.load(out / "01-train" / "0001.npz") as stored:
        assert stored.files == [video.name for video in unit.videos]


def test_class_lists_that_differ(tmp_path, capsys):
    """The older list keeps its numbers, the other's further classes follow; which was copied last does not matter."""
    paths = []
    for name, signs in (("a", "5,7"), ("b", "2,5,9")):
        write_signs(tmp_path / name / "data", range(1, 10))
        paths.append(config_of(tmp_path / name, signs=signs))
        run(load_config(paths[-1]))
    first, second = (path.parent / "out" for path in paths)
    assert (read_classes(first), read_classes(second)) == ((5, 7), (2, 5, 9))
    for number, order in enumerate([(first, second), (second, first)]):
        out = join("cp -r", *order, tmp_path / f"joined {number}")
        dataset = open_dataset(out)
        assert (dataset.classes, dataset.moved) == ((5, 7, 2, 9), 3)
        run(at(config_of(tmp_path / "a", signs="1,7"), out))
        assert open_dataset(out).classes == (5, 7, 2, 9, 1)
        status, said = call(capsys, "export", out, "--to", "npy", tmp_path / f"npy {number}")
        assert status == 0
        assert "class numbers: 3 are others than in the folder that they come from" in said


def test_jobs_of_two_clusters() -> None:
    """Two clusters may number two jobs alike: the state files have the cluster's name."""
    job = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "2"}
    names = [run_id(ALONE, {**job, "SLURM_CLUSTER_NAME": name}) for name in ("alpha", "beta/1")]
    assert names == ["job-10_2-alpha", "job-10_2-beta-1"]
