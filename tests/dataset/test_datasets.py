"""The recipes, which docs/known_datasets.md shows, work on trees of the shape of the datasets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from dataset_trees import PAGE, TREES, held, opened, shown
from made_pictures import picture
from processes import kpsbatch

from kpsbatch.cli.main import main
from kpsbatch.cli.selection import DatasetSelection
from kpsbatch.config import dump_config, load_config, load_frozen_config
from kpsbatch.dataset.init_config import RECIPES, recipe_like, recipe_names
from kpsbatch.dataset.manifest import ManifestSource
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.source import Source, open_source
from kpsbatch.dataset.video import Box, Segment, Unit, Video


def videos_of(source: Source) -> list[Video]:
    return [video for unit in source.units() for video in source.listing(unit).videos]


UNITS: dict[str, dict[str, Any]] = {
    "KArSL": {
        "01-train/0001": ["03_01_0001_(12_10_16_14_05_36)_c"],
        "01-test/0001": ["03_01_0001_(12_10_16_14_06_01)_c"],
        "03-train/0502": ["03_03_0502_(01_11_16_10_00_00)_c"],
    },
    "Bosphorus22k": {"2-all/0000": ["001", "002"], "4-all/0000": ["001"], "7-all/0743": ["001"]},
    "WLASL": {"all-train/0001": ["69241", "07069"], "all-val/0001": ["65225"]},
    "MS-ASL": {
        "all-train/0001": ["C37R_Ix4-qs", "C37R_Ix4-qs_2"],
        "all-val/0001": ["PIsUJl8BN_I"],
        "all-test/0001": ["PIsUJl8BN_I"],
    },
    "AUTSL": {
        "0-train/0000": ["signer0_sample1000_color"],
        "6-test/0000": ["signer6_sample57_color"],
        "0-train/0041": ["signer0_sample1_color"],
        "1-val/0225": ["signer1_sample2_color"],
    },
    "LSA64": {f"{w}-all/{s:04}": ["001", "005"] for s in (1, 2, 3, 64) for w in ("001", "009", "010")},
    "INCLUDE": {"all-train/0001": ["MVI_9568", "3. happy_MVI_9568"], "all-test/0001": ["MVI_3906"]},
    "ASL Citizen": {
        "all-train/0001": ["15890366051589533-APPLE", "4.729912950-seedREMEMBER"],
        "all-val/0001": ["11562742429028061-30_MINUTE "],
        "all-test/0001": ["07079-$BILL,1"],
    },
    "Phoenix-2014T": {
        "all-train/0001": ["11August_2010_Wednesday_tagesschau-1"],
        "all-dev/0001": ["11August_2010_Wednesday_tagesschau-2"],
        "all-test/0001": ["25October_2010_Monday_tagesschau-17"],
    },
    "CSL-Daily": {
        "all-train/0001": ["S000000_P0000_T00", "S000007_P0004_T00"],
        "all-dev/0001": ["S000007_P0003_T00"],
    },
    "How2Sign": {
        "all-train/0001": ["--7E2sU6zP4_10-5-rgb_front", "--7E2sU6zP4_11-5-rgb_front"],
        "all-val/0001": ["-d5dN54tH2E_0-8-rgb_front"],
        "all-test/0001": ["-fZc293MpJk_3-1-rgb_front"],
    },
    "BOBSL": {
        "all-train/0001": ["5085344787448740525", "5085344787448740525_2"],
        "all-public_test/0001": ["6257689846446789226"],
    },
    "YouTube-ASL": {"all-all/0001": ["-00KrbZTy64-0", "-00KrbZTy64-1", "zzUHySE9Nbg-0"]},
    "OpenASL": {
        "all-train/0001": ["0EoTv4EtT2g-00:00:05.380-00:00:09.100"],
        "all-test/0001": ["0EoTv4EtT2g-00:01:00.000-00:01:02.000"],
    },
    "YouTube-ASL-VTT": {"all-all/0001": ["a--00KrbZTy64-0001", "a--00KrbZTy64-0002", "b-zzUHySE9Nbg-0001"]},
    "DGS pair": {
        "all-A/0001": ["1413451-1413451-11105600-0001", "1413451-1413451-11105600-0002"],
        "all-B/0001": ["1413451-1413451-11105600-0004"],
    },
}

LABELS = {
    "YouTube-ASL-VTT": ["Hello.", "Again & again", "Third"],
    "DGS pair": ["Das Haus.", "Ja.", "Ich weiß."],
    "WLASL": ["book", "thank you", "book"],
    "MS-ASL": ["match", "fail", "hello", "now"],
    "INCLUDE": ["4. sad", "3. happy", "61. Father"],
    "ASL Citizen": ["APPLE", "REMEMBER2", "30MINUTE ", "#$BILL, 1"],
    "Phoenix-2014T": ['JETZT WETTER MORGEN "DONNERSTAG', "TIEF LUFT", "REGEN"],
    "CSL-Daily": ["他 谁", "他 谁", "他 谁"],
    "How2Sign": ['And I call them "decorative" elements, because', "So they don't", "Hi!", "The aileron"],
    "BOBSL": ["happy", "happy", "hello"],
    "YouTube-ASL": ["Hello.", "Again", "Third"],
    "OpenASL": ["Hi, all", "Bye"],
}

SIGNERS = {
    "DGS pair": ["A", "A", "B"],
    "WLASL": ["118"] * 3,
    "MS-ASL": ["0"] * 4,
    "ASL Citizen": ["P52", "P6", "P10", "P46"],
    "Phoenix-2014T": ["Signer08", "Signer08", "Signer01"],
    "CSL-Daily": ["0", "4", "3"],
}

SEGMENTS = {
    "YouTube-ASL-VTT": [Segment(1.0, 3.6, "s"), Segment(3.2, 9.2, "s"), Segment(0.0, 2.2, "s")],
    "DGS pair": [Segment(0.0, 1.5, "s"), Segment(4.0, 5.2, "s"), Segment(1.0, 2.5, "s")],
    "WLASL": [None, Segment(0, 30, "frames"), Segment(11, 60, "frames")],
    "MS-ASL": [Segment(0, 2.767, "s"), Segment(14, 15.5, "s"), Segment(1, 2, "s"), Segment(3, 4, "s")],
    "How2Sign": [Segment(12.36, 17.56, "s"), Segment(17.2, 20.01, "s"), Segment(0, 2.5, "s"), Segment(3.5, 5, "s")],
    "BOBSL": [Segment(12.18, 13.18, "s"), Segment(998.7, 999.7, "s"), Segment(0, 0.8, "s")],
    "YouTube-ASL": [Segment(1.2, 3.4, "s"), Segment(3.4, 9, "s"), Segment(0, 2, "s")],
    "OpenASL": [Segment(5.38, 9.1, "s"), Segment(60, 62, "s")],
}

BAD_ROWS = {
    "WLASL": ["WLASL_v0.3.json:4"],
    "MS-ASL": ["MSASL_val.json:2"],
    "YouTube-ASL-VTT": ["b/zzUHySE9Nbg.en.vtt:8"],
    "DGS pair": ["1413451/1413451-11105600.eaf:28"],
}


@pytest.mark.parametrize("name", TREES)
def test_recipe(tmp_path, name):
    """Units, keys, labels, signers, segments and bad rows are those that the set's own files tell."""
    source, _ = opened(tmp_path, name)
    assert held(source) == UNITS[name]
    videos = videos_of(source)
    assert [video.label for video in videos] == LABELS.get(name, [""] * len(videos))
    assert [video.segment for video in videos] == SEGMENTS.get(name, [None] * len(videos))
    if name in SIGNERS:
        assert [video.signer for video in videos] == SIGNERS[name]
    problems = source.problems if isinstance(source, ManifestSource) else []
    assert [problem.source for problem in problems] == BAD_ROWS.get(name, [])


def test_every_set_has_a_recipe():
    """The page has a section for each of the sets, with the name and the text of its recipe, and no other."""
    told = re.findall(r"(?m)^## (.+)$", PAGE.read_text(encoding="utf-8"))
    assert told == list(TREES) == list(UNITS)
    assert len(told) == 16
    assert sorted(map(recipe_like, told)) == sorted(recipe_names())
    for name in told:
        recipe = recipe_like(name)
        assert shown(name)[0] == (RECIPES / f"{recipe}.yaml").read_text(encoding="utf-8")
        assert f"## {name}\n\n`kpsbatch init FOLDER --like {recipe}` writes:\n" in PAGE.read_text(encoding="utf-8")


class TestLike:
    """`kpsbatch init FOLDER --like NAME`."""

    @staticmethod
    def init(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["init", *arguments])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    @pytest.mark.parametrize(("name", "config"), [("WLASL", "my config.yaml"), ("OpenASL", "elsewhere/c.yaml")])
    def test_folder(self, tmp_path, monkeypatch, capsys, name, config):
        """Every path of the recipe leads into the folder, whatever it is called and wherever the config lies."""
        monkeypatch.chdir(tmp_path)
        TREES[name](tmp_path)
        folder = (tmp_path / name).rename(tmp_path / "a set: 1")
        (tmp_path / "elsewhere").mkdir()
        assert self.init("a set: 1", "--like", name, "--config", config) == 0
        told = capsys.readouterr().out
        assert told.startswith(f"found: the known dataset {name.lower()}\nwrote {config}. Look at it, then: ")
        loaded = load_config(config)
        assert loaded.dataset.root == folder
        assert loaded.output.root == Path(config).absolute().parent / "kps-a-set-1"
        assert held(open_source(loaded.dataset, tmp_path / "index")) == UNITS[name]
        text = Path(config).read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server:")
        assert f"# Written by `kpsbatch init --like {name.lower()}`." in text
        assert (str(tmp_path) in text) == (config == "elsewhere/c.yaml")

    def test_tables_that_are_not_there(self, tmp_path, monkeypatch, capsys):
        """What the recipe names and the folder lacks is told, a table beside the config too."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "set").mkdir()
        assert self.init("set", "--like", "bobsl") == 0
        assert f"unsure: {tmp_path / 'bobsl.tsv'} is not there; see docs/known_datasets.md\n" in capsys.readouterr().out

    def test_names(self, tmp_path, capsys):
        """All names are listed when asked for, and where one is not known."""
        assert self.init("--like", "list") == 0
        assert capsys.readouterr().out.split() == recipe_names()
        assert self.init("--like", "wlasl2000") == 2
        message = capsys.readouterr().err
        assert all(name in message for name in recipe_names())

    def test_refused(self, tmp_path, monkeypatch, capsys):
        """Without a dataset, with one that is not there, or over a config that is, nothing is written."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "set").mkdir()
        assert self.init("--like", "wlasl") == self.init("nowhere", "--like", "wlasl") == 2
        assert not (tmp_path / "config.yaml").exists()
        (tmp_path / "config.yaml").write_text("mine")
        assert self.init("set", "--like", "wlasl") == 2
        assert (tmp_path / "config.yaml").read_text() == "mine"
        assert [line.partition(".")[0] for line in capsys.readouterr().err.splitlines()] == [
            "kpsbatch: init has no videos to look at",
            "kpsbatch: nowhere does not exist",
            "kpsbatch: config",
        ]


def test_boxes(tmp_path):
    """Boxes come as left, top, width and height, whatever order and unit the set has."""
    expected = {
        "WLASL": Box(385, 37, 500, 683, "pixels"),
        "MS-ASL": Box(0.2176, 0.0575, 0.5159, 0.9425, "shares"),
        "OpenASL": Box(0.1, 0, 0.5, 1, "shares"),
    }
    for name, box in expected.items():
        (tmp_path / name).mkdir()
        found = videos_of(opened(tmp_path / name, name)[0])[0].box
        assert found is not None
        assert (*(round(value, 6) for value in found[:4]), found.unit) == tuple(box)


def test_views(tmp_path):
    """How2Sign's rows say which camera they are of."""
    assert {video.view for video in videos_of(opened(tmp_path, "How2Sign")[0])} == {"front"}


@pytest.mark.parametrize("name", ["KArSL", "Phoenix-2014T"])
def test_frames(tmp_path, name):
    """Folders of frames are read in natural order, at the set's frame rate."""
    source, config = opened(tmp_path, name)
    video = videos_of(source)[0]
    rate = config.landmarks.frame_rate
    read = list(read_frames(video, frame_rate=rate, max_pixels=10**6))
    assert [frame.problem for frame in read] == [""] * 3
    assert [frame.timestamp for frame in read] == [round(i * 1000 / rate) for i in range(3)]
    greys = [int(frame.image.mean().round()) for frame in read if frame.image is not None]
    assert greys == pytest.approx([0, 10, 20], abs=2)


@pytest.mark.parametrize("name", ["KArSL", "LSA64", "Bosphorus22k", "AUTSL", "Phoenix-2014T", "OpenASL"])
def test_zip(tmp_path, name):
    """A zip of the set's folder gives the same as the folder."""
    source, config = opened(tmp_path, name)
    tree = config.dataset.root
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-c", tmp_path / "packed.zip", *sorted(tree.iterdir())], check=True
    )
    dataset = config.dataset.model_copy(update={"root": tmp_path / "packed.zip"})
    packed = open_source(dataset, tmp_path / "index")
    assert held(packed) == held(source)
    assert [packed.made(unit) for unit in packed.units()] == [source.made(unit) for unit in source.units()]


@pytest.mark.parametrize("name", ["KArSL", "AUTSL", "How2Sign", "LSA64"])
def test_config_that_names_what_was_found(tmp_path, name):
    """A config with what was found in the place of `all` is valid, and finds the same."""
    source, config = opened(tmp_path, name)
    found = {"signers": source.signers, "splits": source.splits, "signs": source.signs}
    named = config.model_copy(update={"dataset": config.dataset.model_copy(update=found)})
    assert (named.dataset.signers, named.dataset.signs) == (source.signers, source.signs)
    (tmp_path / "frozen.yaml").write_text(dump_config(named))
    again = load_frozen_config(tmp_path / "frozen.yaml")
    assert again == named
    assert held(open_source(again.dataset, tmp_path / "index")) == held(source)


def test_odd_entries(tmp_path):
    """Stray files of KArSL are listed, not taken."""
    source, _ = opened(tmp_path, "KArSL")
    assert source.listing(Unit("01", "train", 1)).odd == (("Thumbs.db", "no video"),)


class TestOneLiner:
    """`run --root DIR --like NAME --output OUT`: no config is written."""

    @pytest.mark.parametrize("name", TREES)
    def test_every_recipe(self, tmp_path, monkeypatch, name):
        """It is the config that `init --like` writes, beside the folder, for every recipe."""
        opened(tmp_path, name)
        written = load_config(tmp_path / "config.yaml")
        monkeypatch.chdir(tmp_path)
        root = written.dataset.root.relative_to(tmp_path)
        chosen = DatasetSelection(root=root, like=name, output=Path("kps of it"), adjusted=True)
        config = chosen.load()
        assert config.dataset.model_dump() == written.dataset.model_dump()
        assert config.landmarks.coordinates == "adjusted"
        assert config.output.root == tmp_path / "kps of it"
        assert chosen.command("status").endswith(" status 'kps of it'")
        assert replace(chosen, output=None).load().output.root == written.output.root

    def test_run_again_and_status(self, tmp_path):
        """The ancestor's own line runs, resumes, and leaves a folder that `status` takes."""
        for signer in ("01", "02", "03"):
            for split in ("train", "test"):
                for sign in ("0001", "0002"):
                    video = tmp_path / "KArSL" / signer / signer / split / sign / f"{signer}_{sign}_(1)"
                    video.mkdir(parents=True)
                    cv2.imwrite(str(video / "1.png"), picture())
        line = [
            *("run", "--root", tmp_path / "KArSL", "--like", "karsl", "--output", tmp_path / "karsl-kps"),
            *("--splits", "train", "test", "--signers", "01", "03", "--signs", "1", "--adjusted", "-q"),
        ]
        done = kpsbatch(*line, "--set", "landmarks.parts=[pose]")
        assert done.returncode == 0, done.stderr
        made = sorted(
            path.relative_to(tmp_path / "karsl-kps").as_posix() for path in tmp_path.glob("karsl-kps/*/*.npz")
        )
        assert made == ["01-test/0001.npz", "01-train/0001.npz", "03-test/0001.npz", "03-train/0001.npz"]
        again = kpsbatch(*line, "--set", "landmarks.parts=[pose]")
        assert (again.returncode, again.stdout.partition("\n")[0]) == (0, "Nothing to do: 4 units finished before.")
        status = kpsbatch("status", tmp_path / "karsl-kps", "--json")
        assert json.loads(status.stdout)["all"]["complete"] == 4

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["config.yaml", "--like", "karsl"], "--like stands in the place of a config, and config.yaml is named"),
            (["config.yaml", "--output", "out"], "--output stands in the place of a config"),
            (["--like", "karsl"], "no dataset is named"),
            (["--root", "."], "no dataset is named"),
            ([], "no dataset is named"),
            (["--root", ".", "--like", "karls"], "--like karls: there is no known dataset of that name"),
            (["--root", "nowhere", "--like", "karsl"], "nowhere does not exist"),
        ],
    )
    def test_refused(self, tmp_path, monkeypatch, capsys, words, message):
        """A config beside --like, half of the line, an unknown name and a missing folder are one line each."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(["run", *words])
        error = capsys.readouterr().err
        assert (ended.value.code, error.count("\n")) == (2, 1)
        assert error.startswith(f"kpsbatch: {message}")
