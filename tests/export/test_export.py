"""Exports: whole or not at all, gone on with after a kill, of what was asked for, refused in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_outputs import NAMES, UNITS, keypoints, outputs_to_export, store, store_failed
from factories import main_ends

import kpsbatch
from kpsbatch.config import load_config
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.export import formats
from kpsbatch.export.run import FORMATS, Exported, export
from kpsbatch.store import reading
from kpsbatch.store.settings import settings_of

VIDEOS = len(UNITS) * len(NAMES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return outputs_to_export(tmp_path / "out")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


KILLED = """
import os, signal, sys
from pathlib import Path
import kpsbatch
from kpsbatch.export import formats
from kpsbatch.export.run import export
formats.VIDEOS_BETWEEN_SYNCS, formats.TAR_BYTES = 4, 40_000
def kill(done, total):
    if done >= 19:
        os.kill(os.getpid(), signal.SIGKILL)
export(kpsbatch.open_dataset(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), kill)
"""


class TestKill:
    @pytest.mark.parametrize("form", ["npy", "mmap", "mmap-concatenated", "webdataset"])
    def test_second_run_goes_on(self, root, tmp_path, form, monkeypatch):
        """Killed at video 19, the same call goes on: the files are those of an undisturbed export, to the byte."""
        monkeypatch.setattr(formats, "TAR_BYTES", 40_000)
        monkeypatch.setattr(formats, "VIDEOS_BETWEEN_SYNCS", 4)
        dataset = kpsbatch.open_dataset(root)
        whole = export(dataset, form, tmp_path / "whole")
        folder = tmp_path / "killed"
        killed = subprocess.run([sys.executable, "-c", KILLED, root, form, folder], env={**os.environ})
        assert killed.returncode == -signal.SIGKILL
        assert not json.loads((folder / "export.json").read_text())["finished"]
        half, expected = tree(folder), tree(tmp_path / "whole")
        for name, data in half.items():
            assert Path(name).name.startswith(".") or name == "export.json" or data == expected[name], name
        shown: list[int] = []
        read: list[str] = []
        monkeypatch.setattr(reading, "read_keypoints", lambda npz, name, *_: read.append(name) or npz.read(name))
        rest = export(dataset, form, folder, lambda done, total: shown.append(done))
        assert tree(folder) == expected
        assert 0 < rest.written < whole.files or form.startswith("mmap")
        assert len(read) <= VIDEOS - 10  # those that were written before are not read again
        assert shown == sorted(shown)
        assert shown[-1] == VIDEOS

    def test_finished(self, root, tmp_path, monkeypatch):
        """A finished export is left as it is: nothing is read."""
        export(kpsbatch.open_dataset(root), "npy", tmp_path / "npy")
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "npy").rglob("*")}
        assert export(kpsbatch.open_dataset(root), "npy", tmp_path / "npy") == Exported(VIDEOS, VIDEOS, 0)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "npy").rglob("*")} == before

    def test_other_bytes_in_an_unfinished_array(self, root, tmp_path):
        """What is noted as done counts only for an array of the right size."""
        folder = tmp_path / "mmap"
        folder.mkdir()
        (folder / ".train_X.mmap.progress").write_text('{"videos": 7}')
        (folder / ".train_X.mmap.unfinished").write_bytes(b"x")
        export(kpsbatch.open_dataset(root), "mmap", folder)
        export(kpsbatch.open_dataset(root), "mmap", tmp_path / "whole")
        assert tree(folder) == tree(tmp_path / "whole")

    def test_two_at_once(self, root, tmp_path):
        """A second process does not write into an array that a first one is writing."""
        refused: list[str] = []

        def second(done: int, total: int) -> None:
            if done == 3 and not refused:
                with pytest.raises(OutputError, match="being written by another process") as error:
                    export(kpsbatch.open_dataset(root), "mmap", tmp_path / "mmap")
                refused.append(str(error.value))

        export(kpsbatch.open_dataset(root), "mmap", tmp_path / "mmap", second)
        assert refused


class TestRefused:
    def test_folder_of_something_else(self, root, tmp_path):
        """A folder that holds other files, or another export, is not written to."""
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").touch()
        with pytest.raises(ConfigError, match=r"holds thesis\.tex and is not an export. Name a new folder"):
            export(kpsbatch.open_dataset(root), "npy", tmp_path / "mine")
        export(kpsbatch.open_dataset(root), "npy", tmp_path / "npy")
        for dataset, form in (
            (kpsbatch.open_dataset(root, signers="01"), "npy"),
            (kpsbatch.open_dataset(root), "mmap"),
        ):
            with pytest.raises(ConfigError, match=f"another export: npy of {VIDEOS} videos, finished"):
                export(dataset, form, tmp_path / "npy")
        store(root, UNITS[0], {"new": keypoints(np.random.default_rng(1), 3)})
        with pytest.raises(ConfigError, match="holds another export"):
            export(kpsbatch.open_dataset(root), "npy", tmp_path / "npy")

    def test_several_settings(self, root, tmp_path):
        """Outputs of different settings don't go into one export; those of one of them do."""
        store(
            root,
            Unit("03", "train", 1),
            {"v": np.zeros((1, 184, 4), np.float32)},
            settings="bbbbbbbbbbbb",
            mediapipe="9",
        )
        with pytest.raises(OutputError, match=r"several settings: mediapipe is .*--signers"):
            export(kpsbatch.open_dataset(root), "npy", tmp_path / "npy")
        assert export(kpsbatch.open_dataset(root, signers="03"), "npy", tmp_path / "npy").videos == 1

    def test_damaged_output(self, root, tmp_path):
        """A damaged output ends the export with one line; what is written stays, nothing half."""
        path = kpsbatch.open_dataset(root).units[2].path
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(OutputError, match="is damaged in video"):
            export(kpsbatch.open_dataset(root), "npy", tmp_path / "npy")
        assert not [name for name in tree(tmp_path / "npy") if Path(name).name.startswith(".")]

    def test_nothing_to_export(self, root, tmp_path):
        """No video, no export."""
        with pytest.raises(OutputError, match="holds no video of those that were asked for"):
            export(kpsbatch.open_dataset(root, signs=99), "npy", tmp_path / "npy")
        assert not (tmp_path / "npy").exists()

    @pytest.mark.parametrize(
        ("form", "module", "package"), [("pose", "pose_format", "pose-format"), ("parquet", "pyarrow", "pyarrow")]
    )
    def test_missing_library(self, root, tmp_path, monkeypatch, capsys, form, module, package):
        """A format whose library is missing says in one line what to install."""
        monkeypatch.setitem(sys.modules, module, None)
        main_ends(2, "export", root, "--to", form, tmp_path / "x")
        said = f"kpsbatch: --to {form} needs the package {package}. Run `pip install 'kpsbatch[{form}]'`.\n"
        assert capsys.readouterr().err == said
        assert not (tmp_path / "x").exists()


class TestCommand:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        """A config whose outputs are those of `root`: signs 1 to 12, three of which are done."""
        path = tmp_path / "config.yaml"
        tree = {
            "dataset": {"root": "gone", "signers": ["01", "02"], "splits": ["train", "test"], "signs": "1-12"},
            "output": {"root": "out"},
        }
        path.write_text(json.dumps(tree))
        return path

    @pytest.fixture
    def finished(self, config: Path) -> Path:
        """Outputs of the settings of that config."""
        told = settings_of(load_config(config)).tree()
        random = np.random.default_rng(5)
        for unit in UNITS:
            store(config.parent / "out", unit, {name: keypoints(random, 2) for name in NAMES}, **told)
        return config.parent / "out"

    @pytest.mark.parametrize("source", ["config", "folder"])
    def test_selection(self, source, config, finished, tmp_path, capsys):
        """Signers, splits and signs are chosen as by other commands, of a config or of a folder with outputs."""
        where = config if source == "config" else finished
        chosen = ("--signers", "02", "01", "--splits", "train", "--signs", "1-5")
        main_ends(0, "export", where, *chosen, "--to", "npy", tmp_path / "some npy")
        said = capsys.readouterr().out.splitlines()
        assert said[0] == f"export: {tmp_path / 'some npy'} (npy, 14 videos in 14 files)"
        found = {path.relative_to(tmp_path / "some npy").parts[:2] for path in (tmp_path / "some npy").rglob("*.npy")}
        assert found == {("01-train", "0003"), ("02-train", "0003")}
        assert said[1:] == (
            ["left out: 8 units of the config that are not done or not of its settings"] if source == "config" else []
        )

    def test_labels(self, config, finished, tmp_path, capsys):
        """Labels of the config's table are exported, and choose."""
        (tmp_path / "labels.csv").write_text("id,english\n3,peace\n11,water\n")
        main_ends(
            0,
            "export",
            config,
            "--set",
            f"dataset.labels={tmp_path}/labels.csv",
            "--label",
            "water",
            "--to",
            "npy",
            tmp_path / "x",
        )
        about = json.loads((tmp_path / "x" / "export.json").read_text())
        assert (about["videos"], about["classes"], about["coordinates"]) == (7, [*range(1, 13)], "image")
        assert "water" in (tmp_path / "x" / "index.csv").read_text()

    def test_excluded(self, config, finished, tmp_path, capsys):
        """What the config excludes is not exported, and `open_dataset` of the config leaves it out, too."""
        whole = kpsbatch.open_dataset(finished)
        first = whole.videos[0]
        tree = json.loads(config.read_text())
        name = f"{first.path.parent.name}/{first.path.stem}/{first.video}"
        tree["dataset"]["exclude"] = [name]
        config.write_text(json.dumps(tree))
        main_ends(0, "export", config, "--to", "npy", tmp_path / "x")
        assert f"(npy, {len(whole) - 1} videos in " in capsys.readouterr().out
        by_config = kpsbatch.open_dataset(config)
        assert [*by_config.videos] == [*whole.videos[1:]]
        assert [sample.video for sample in by_config] == [video.video for video in whole.videos[1:]]

    def test_again(self, finished, tmp_path, capsys):
        """A finished export says so."""
        for _ in range(2):
            main_ends(0, "export", finished, "--to", "mmap", tmp_path / "x")
        assert capsys.readouterr().out.endswith(f"(mmap, {VIDEOS} videos in 2 files, finished before)\n")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (
                ["out", "--to", "hdf5", "x"],
                "--to: there is no format 'hdf5'. Choose among mmap, mmap-concatenated, pose,",
            ),
            (["nowhere", "--to", "npy", "x"], "nowhere can't be listed: No such file or directory. Correct the path."),
            (
                ["out", "--to", "npy", "config.yaml/x"],
                "kpsbatch: config.yaml/x can't be written: Not a directory. Choose another folder, then run the same",
            ),
            (["out", "--signs", "one", "--to", "npy", "x"], "--signs: "),
            (["out", "--set", "run.workers=1", "--to", "npy", "x"], "--set works only with a config. Leave it out."),
            (
                ["config.yaml", "--signs", "1", "--to", "npy", "x"],
                "holds no finished unit of this config. Run it first.",
            ),
        ],
    )
    def test_errors(self, config, finished, monkeypatch, capsys, arguments, said):
        """Mistakes are status 2 and one line."""
        monkeypatch.chdir(finished.parent)
        main_ends(2, "export", *arguments)
        shown = capsys.readouterr()
        assert said in shown.err
        assert shown.err.count("\n") == 1
        assert not (finished.parent / "x").exists()

    def test_interrupted(self, finished, tmp_path):
        """Ctrl-C is status 3, and the same command goes on."""
        command = [sys.executable, "-m", "kpsbatch", "export", finished, "--to", "npy", tmp_path / "x"]
        code = "import _thread; from kpsbatch.export import formats; from kpsbatch.cli.main import main\n"
        code += "formats.one_by_one = lambda *_: _thread.interrupt_main() or [][0]\nmain()"
        ended = subprocess.run([sys.executable, "-c", code, *command[3:]], capture_output=True, text=True)
        assert (ended.returncode, ended.stderr) == (3, "kpsbatch: Stopped. Rerun to resume.\n")


def test_progress(root, tmp_path):
    """Every video is told of, up to all of them, whatever files they go into."""
    for form in ("npy", "mmap", "webdataset"):
        told: list[tuple[int, int]] = []
        export(kpsbatch.open_dataset(root), form, tmp_path / form, lambda *seen, told=told: told.append(seen))
        assert sorted({done for done, _ in told}) == list(range(1, VIDEOS + 1))
        assert {total for _, total in told} == {VIDEOS}


def test_every_format_is_documented() -> None:
    """docs/export_formats.md has a section for each format, and pyproject.toml an extra where it needs a library."""
    here = Path(__file__).parents[2]
    page = (here / "docs" / "export_formats.md").read_text(encoding="utf-8")
    for form in FORMATS:
        assert f"`--to {form}`" in page
    project = (here / "pyproject.toml").read_text(encoding="utf-8")
    assert "\npose = [" in project
    assert "\nparquet = [" in project


class TestFailed:
    def test_all_are_named(self, root, tmp_path, capsys):
        """Videos that failed are named with the reason, those of units that failed whole, too; those chosen alone."""
        store_failed(root, Unit("01", "train", 5), {"x": "It holds no frame.", "y": "It is truncated."})
        store_failed(root, Unit("02", "test", 6), {"z": "It is truncated."})
        main_ends(0, "export", root, "--to", "npy", tmp_path / "all")
        said = capsys.readouterr().out.splitlines()[-1]
        assert said == (
            "left out: 3 videos that failed, without keypoints: x in 01-train/0005 (It holds no frame.), "
            "y in 01-train/0005 (It is truncated.), z in 02-test/0006 (It is truncated.)"
        )
        about = json.loads((tmp_path / "all" / "export.json").read_text())
        assert about["failed"][2] == {"unit": "02-test/0006", "video": "z", "error": "It is truncated."}
        main_ends(0, "export", root, "--signers", "01", "--signs", "3", "--to", "npy", tmp_path / "some")
        assert "left out" not in capsys.readouterr().out

    def test_of_a_config(self, tmp_path, capsys):
        """Of a config as of a folder."""
        path = tmp_path / "config.yaml"
        tree = {
            "dataset": {"root": "gone", "signers": ["01"], "splits": ["train"], "signs": "1-12"},
            "output": {"root": "out"},
        }
        path.write_text(json.dumps(tree))
        told = settings_of(load_config(path)).tree()
        store(tmp_path / "out", UNITS[0], {"v": keypoints(np.random.default_rng(5), 2)}, **told)
        store_failed(tmp_path / "out", Unit("01", "train", 5), {"x": "It holds no frame."}, **told)
        main_ends(0, "export", path, "--to", "npy", tmp_path / "x")
        assert "1 video that failed, without keypoints: x in 01-train/0005" in capsys.readouterr().out


def test_shard_size(root, tmp_path, capsys):
    """`--shard-size` says how much of arrays a file holds; other formats have none."""
    main_ends(0, "export", root, "--to", "webdataset", "--shard-size", "0.03", tmp_path / "x")
    assert len([*(tmp_path / "x").glob("*.tar")]) > 4
    for options in (["--to", "npy", "--shard-size", "1"], ["--to", "webdataset", "--shard-size", "0"]):
        main_ends(2, "export", root, *options, tmp_path / "y")
        assert "--shard-size takes megabytes above 0" in capsys.readouterr().err
