"""`dataset.exclude`: videos that are neither read nor exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_trees import held, table, touch
from factories import call, make_config, write_config

from kpsbatch.config import load_config
from kpsbatch.dataset.source import open_source
from kpsbatch.errors import ConfigError
from kpsbatch.look.scan import scan


@pytest.mark.parametrize("layout", ["{signer}/{split}/{sign:04d}", "{signer}/{split}/{sign:04d}_{video}.mp4"])
def test_of_a_tree(tmp_path: Path, layout: str) -> None:
    """Of a layout, the others of a unit stay; a unit without any other video is one without a video."""
    between = "_" if "{video}" in layout else "/"
    names = [f"01/train/000{sign}{between}{name}.mp4" for sign in (1, 2) for name in ("a", "b")]
    touch(tmp_path / "data", *names)
    exclude = ["01-train/0001/a", "01-train/0002/a", "01-train/0002/b"]
    config = make_config(tmp_path, dataset={"layout": layout, "signs": "1-2", "exclude": exclude})
    source = open_source(config.dataset, tmp_path / "index")
    assert held(source) == {"01-train/0001": ["b"]}
    first, second = source.units()
    assert [source.presence(unit) for unit in (first, second)] == ["videos", "empty"]
    assert [list(source.made(unit) or ()) for unit in (first, second)] == [["b"], []]
    assert source.excluded == {*exclude}


def test_of_a_table(tmp_path: Path) -> None:
    """Of a table, rows keep their places and names, and classes their numbers; the sum of the rows says it."""
    touch(tmp_path / "data", "x/a.mp4", "y/a.mp4", "z/a.mp4")
    table(tmp_path / "t.csv", [("file", "word"), ("x/a.mp4", "bye"), ("y/a.mp4", "hello"), ("z/a.mp4", "hello")])
    manifest = {"path": "t.csv", "columns": {"video": "file", "label": "word"}}
    dataset = {"manifest": manifest, "signers": "all", "splits": "all", "signs": "all"}
    whole = open_source(make_config(tmp_path, dataset=dataset).dataset, tmp_path / "index")
    assert held(whole) == {"all-all/0001": ["a", "y_a", "z_a"]}
    config = make_config(tmp_path, dataset=dataset | {"exclude": ["all-all/0001/a"]})
    source = open_source(config.dataset, tmp_path / "index")
    assert held(source) == {"all-all/0001": ["y_a", "z_a"]}
    assert source.stated == ["bye", "hello"]
    assert scan(source).row_sum == "3 rows: 2 videos, 1 excluded"


def test_scan_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many videos are left out, and which names are of none."""
    touch(tmp_path / "data", "01/01/train/0001/a.mp4", "01/01/train/0001/b.mp4")
    config = write_config(tmp_path, dataset={"exclude": ["01-train/0001/a", "01-train/0001/tyop"]})
    status, text = call(capsys, "scan", config)
    assert status == 0
    assert "left out by dataset.exclude: 1 video\n" in text
    assert "dataset.exclude: the dataset has no 01-train/0001/tyop. Correct the names, or remove them.\n" in text


@pytest.mark.parametrize("name", ["a", "0001/a", "01-train/1/a", "01-train/0001", "01-train/0001/"])
def test_no_video(tmp_path: Path, name: str) -> None:
    """What can't be the name of a video is an error of the config, which shows one."""
    with pytest.raises(ConfigError, match=r"is no video\. Write where its output lies and its name, such as 01-train/"):
        load_config(write_config(tmp_path, dataset={"exclude": [name]}))
