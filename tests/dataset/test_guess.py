"""`kpsbatch init` finds what is there, writes a config that works, and says what it is unsure of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dataset_trees import TREES, frames, held, opened, table, touch
from test_datasets import UNITS

from kpsbatch.cli.main import main
from kpsbatch.config import load_config
from kpsbatch.dataset.guess import Guess, guess, spread
from kpsbatch.dataset.init_config import output_root, write_config
from kpsbatch.dataset.source import open_source
from kpsbatch.errors import ConfigError, DatasetError


def found_by(place: Path, config: Path) -> tuple[Guess, dict[str, list[str]]]:
    """The guess of a place, and the units of the config that is written of it."""
    guessed = guess(place, config.parent / "index")
    write_config(guessed, config, output_root(place))
    return guessed, held(open_source(load_config(config).dataset, config.parent / "index"))


@pytest.mark.parametrize("name", [name for name in TREES if name not in ("BOBSL", "AUTSL")])
def test_fourteen_sets(tmp_path, name):
    """In a tree of a set's shape, the units are found that the set's own recipe gives."""
    _, config = opened(tmp_path, name)
    _, units = found_by(config.dataset.root, tmp_path / "guessed.yaml")
    assert units == UNITS[name]


def test_table_without_names(tmp_path):
    """AUTSL's tables have no line of names: columns get numbers, the signer comes from the file's name."""
    TREES["AUTSL"](tmp_path)
    guessed, units = found_by(tmp_path / "AUTSL", tmp_path / "c.yaml")
    assert guessed.dataset["manifest"]["header"] == ["column1", "column2"]
    assert guessed.dataset["manifest"]["columns"]["video"] == "{split}/{column1}_color"
    assert list(units) == ["all-train/0001", "all-val/0001", "all-test/0001"]
    assert any("`sign: column2` makes an output file" in note for note in guessed.notes)


@pytest.mark.parametrize("table_name", ["how2sign_realigned_train.csv", "how2sign_realigned_val.csv"])
def test_table(tmp_path, table_name):
    """A table that is named is taken, with its sisters for the other splits."""
    TREES["How2Sign"](tmp_path)
    guessed, units = found_by(tmp_path / "How2Sign" / table_name, tmp_path / "c.yaml")
    assert units == UNITS["How2Sign"]
    assert "it takes start and end as seconds" in guessed.notes


def test_archive(tmp_path):
    """An archive is looked at like the tree that it holds."""
    TREES["LSA64"](tmp_path)
    files = sorted((tmp_path / "lsa64_raw").iterdir())
    subprocess.run([sys.executable, "-m", "zipfile", "-c", tmp_path / "lsa.zip", *files], check=True)
    assert found_by(tmp_path / "lsa.zip", tmp_path / "c.yaml")[1] == UNITS["LSA64"]


def test_words_as_folders(tmp_path):
    """Where no number tells the sign, a table of the videos is written that can be corrected."""
    touch(tmp_path / "d", "train/HELLO, you/a.mp4", "train/$BILL/b.mp4", "test/HELLO, you/c.mp4")
    guessed, units = found_by(tmp_path / "d", tmp_path / "my set.yaml")
    assert units == {"all-train/0001": ["b", "a"], "all-test/0001": ["c"]}
    assert (tmp_path / "my set-videos.csv").read_text().splitlines() == [
        "video,split,label",
        '"test/HELLO, you/c.mp4",test,"HELLO, you"',
        "train/$BILL/b.mp4,train,$BILL",
        '"train/HELLO, you/a.mp4",train,"HELLO, you"',
    ]
    assert "no number in the paths tells the sign" in guessed.notes[0]


def test_words_in_names(tmp_path):
    """Words and signers come from the files' names; labels that tell nothing are said."""
    names = [
        f"{who}_{word}_{take}.mp4" for who in ("anna", "bob") for word in ("hello", "bye", "no") for take in (1, 2)
    ]
    touch(tmp_path / "d", *names)
    guessed, _ = found_by(tmp_path / "d", tmp_path / "c.yaml")
    assert guessed.found == "12 videos, 3 words, 2 signers (anna, bob)"
    assert guessed.shown[:2] == [["video", "split", "signer", "label"], ["anna_bye_1.mp4", "all", "anna", "bye"]]
    touch(tmp_path / "one", "hello_1.mp4", "hello_2.mp4")
    touch(tmp_path / "none", "1.mp4", "2.mp4")
    assert "no word repeats" in guess(tmp_path / "none", tmp_path / "index").notes[-1]
    assert "all labels are 'hello'" in guess(tmp_path / "one", tmp_path / "index").notes[-1]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["1.mp4", "2.mp4"], "no video has a label."),
        (["hello_1.mp4", "hello_2.mp4"], "all labels are 'hello', one class."),
        (["hello_1.mp4", "bye_2.mp4"], ""),
        (["1.mp4"], ""),
    ],
)
def test_labels_that_tell_no_classes(tmp_path, names, said):
    """A table whose labels are empty, or all one, says so wherever it is opened."""
    touch(tmp_path / "d", *names)
    write_config(guess(tmp_path / "d", tmp_path / "index"), tmp_path / "c.yaml", "out")
    source = open_source(load_config(tmp_path / "c.yaml").dataset, tmp_path / "index")
    assert source.label_problem.startswith(said) and bool(source.label_problem) == bool(said)


def test_a_part_of_a_set(tmp_path):
    """A tree of one signer and one split is taken for what it is."""
    for sign in ("0071", "0072"):
        frames(tmp_path / "k/02/02/train" / sign / "v", ["1.jpg"])
    guessed, units = found_by(tmp_path / "k", tmp_path / "c.yaml")
    assert guessed.dataset["layout"] == "{signer}/{signer}/{split}/{sign:04d}"
    assert list(units) == ["02-train/0071", "02-train/0072"]


def test_milliseconds(tmp_path):
    """Times that are hundreds apart are milliseconds."""
    touch(tmp_path / "d", "clips/one.mp4")
    table(tmp_path / "d/t.csv", [["name", "start", "end"], ["one", 1000, 2500], ["one", 2500, 4100]])
    assert found_by(tmp_path / "d", tmp_path / "c.yaml")[0].dataset["manifest"]["unit"] == "ms"


def test_segments_that_are_not_seen(tmp_path):
    """Rows of one file without a start and an end are told, with the columns that could hold them."""
    touch(tmp_path / "d", "clips/one.mp4")
    rows = [["name", "starting here", "finish", "gloss"], ["one", 0.5, 1.5, "a"], ["one", 1.5, 2.5, "b"]]
    table(tmp_path / "d/t.csv", rows)
    guessed = found_by(tmp_path / "d", tmp_path / "c.yaml")[0]
    assert any("several rows have the same video" in note and "starting here, finish" in note for note in guessed.notes)
    rows[0][1] = "begin"
    table(tmp_path / "d/t.csv", rows)
    guessed = found_by(tmp_path / "d", tmp_path / "other.yaml")[0]
    assert not any("several rows" in note for note in guessed.notes)
    assert guessed.dataset["manifest"]["columns"]["end"] == "finish"


def test_nothing_there(tmp_path):
    """A folder without videos, and a table that fits none, are told."""
    touch(tmp_path / "d", "notes.txt")
    with pytest.raises(DatasetError, match="there is no video below"):
        guess(tmp_path / "d", tmp_path / "index")
    touch(tmp_path / "e", "a.mp4")
    (tmp_path / "e/t.csv").write_text("file\nother\n")
    with pytest.raises(ConfigError, match=r"no column of .* names the videos that lie below .*, such as 'a\.mp4'"):
        guess(tmp_path / "e/t.csv", tmp_path / "index")


def test_never_overwrites(tmp_path):
    """A config, or a table, that is there stays."""
    touch(tmp_path / "d", "x/a.mp4")
    guessed = guess(tmp_path / "d", tmp_path / "index")
    for there in ("c.yaml", "c-videos.csv"):
        (tmp_path / there).write_text("mine")
        with pytest.raises(ConfigError, match="exists already"):
            write_config(guessed, tmp_path / "c.yaml", "out")
        assert (tmp_path / there).read_text() == "mine"
        (tmp_path / there).unlink()
    assert sorted(path.name for path in write_config(guessed, tmp_path / "c.yaml", "out")) == ["c-videos.csv", "c.yaml"]


def test_config_elsewhere(tmp_path):
    """A config in another folder names the dataset by its full path."""
    TREES["LSA64"](tmp_path)
    (tmp_path / "configs").mkdir()
    assert found_by(tmp_path / "lsa64_raw", tmp_path / "configs" / "c.yaml")[1] == UNITS["LSA64"]
    assert str(tmp_path / "lsa64_raw") in (tmp_path / "configs" / "c.yaml").read_text()


@pytest.mark.parametrize(
    ("place", "root"),
    [
        ("monday", "kps-monday"),
        ("my videos/", "kps-my-videos"),
        ("a/../b: 1", "kps-b-1"),
        ("été", "kps-été"),
        ("data.tar.gz", "kps-data"),
        ("train.csv", "kps-train"),
        ("x" * 255, f"kps-{'x' * 60}"),
        ("/", "kps"),
    ],
)
def test_outputs_of_their_own(tmp_path, monkeypatch, place, root):
    """Two datasets beside each other, or in one folder, have a folder of outputs each, named after them."""
    monkeypatch.chdir(tmp_path)
    if "." in place and "/" not in place:
        Path(place).touch()
    assert output_root(Path(place)) == root


def test_command(tmp_path, monkeypatch, capsys):
    """The command writes the config, says what it found and is unsure of, and what to type next."""
    TREES["WLASL"](tmp_path)
    monkeypatch.chdir(tmp_path)
    for status, said in ((0, "found: 3 videos of 4 rows"), (2, "kpsbatch: wlasl.yaml exists already")):
        with pytest.raises(SystemExit) as ended:
            main(["init", "WLASL", "--config", "wlasl.yaml", "-q"])
        assert ended.value.code == status
        shown = capsys.readouterr()
        assert (shown.out or shown.err).startswith(said)
        if status == 0:
            assert load_config(Path("wlasl.yaml")).output.root == tmp_path / "kps-WLASL"
            assert "unsure: it takes start and end as numbers of frames" in shown.out
            assert "\nwrote wlasl.yaml. Look at it, then: " in shown.out
            assert shown.out.endswith("kpsbatch scan wlasl.yaml\n")


def test_spread():
    """Some of many are taken from all over, the first and the last among them."""
    assert spread(list("abc"), 3) == list("abc")
    assert spread([str(i) for i in range(101)], 3) == ["0", "50", "100"]
