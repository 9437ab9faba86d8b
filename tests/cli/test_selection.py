"""What --label and --signers choose: signs by their names, and of a table's rows those of a word and a signer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_trees import table, touch
from export_outputs import keypoints, store
from factories import call, write_config

from kpsbatch.cli.selection import Selection
from kpsbatch.config import load_config
from kpsbatch.dataset.video import Unit
from kpsbatch.pictures.clip import candidates
from kpsbatch.store.settings import settings_of

ROWS = [("a.mp4", "hello", "anna"), ("b.mp4", "hello", "ben"), ("c.mp4", "bye", "anna"), ("d.mp4", "yes", "ben")]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A table of four videos, two in a unit, with outputs of all."""
    touch(tmp_path / "data", *(name for name, *_ in ROWS))
    table(tmp_path / "t.csv", [("file", "word", "who"), *ROWS])
    manifest = {"path": "t.csv", "columns": {"video": "file", "label": "word", "signer": "who"}}
    everything = {"signers": "all", "splits": "all", "signs": "all", "videos_per_unit": 2}
    path = write_config(tmp_path, dataset={"manifest": manifest, **everything})
    told = settings_of(load_config(path)).tree()
    random = np.random.default_rng(1)
    lines = ["file,key,signer,split,sign,label"]
    for number in (1, 2):
        rows = ROWS[2 * number - 2 : 2 * number]
        store(tmp_path / "out", Unit("all", "all", number), {row[0][0]: keypoints(random, 2) for row in rows}, **told)
        lines += [f"all-all/000{number}.npz,{name[0]},{who},all,,{word}" for name, word, who in rows]
    (tmp_path / "out" / "index.csv").write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("labels", "signers", "units", "videos"),
    [
        (["hello"], None, (1,), "ab"),
        (["hello", "yes"], None, (1, 2), "abd"),
        (None, ["anna"], (1, 2), "ac"),
        (["hello"], ["ben"], (1,), "b"),
    ],
)
def test_rows(config: Path, labels: list[str] | None, signers: list[str] | None, units: object, videos: str) -> None:
    """A table's units that hold such rows are chosen, and of them the videos where videos are shown."""
    chosen = Selection(config, signers=signers, labels=labels).load()
    assert chosen.dataset.signs == units
    assert [one.video for one in candidates(chosen)[0]] == [*videos]


def test_commands(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that show or export take the two; a name that no row has is told, with those that there are."""
    assert (
        "(npy, 2 videos in 2 files)"
        in call(capsys, "export", config, "--label", "hello", "--to", "npy", tmp_path / "x")[1]
    )
    page = call(capsys, "view", config, "--signers", "anna", "--label", "bye", "-o", tmp_path / "v.html")
    assert page[1].endswith("MB, 1 video)\n")
    assert "2 of 2 units" not in call(capsys, "status", config, "--label", "yes")[1]
    for command in ("scan", "status", "view", "report"):
        text = "kpsbatch: --label: no row has 'helo'. Choose among bye, hello, yes.\n"
        assert call(capsys, command, config, "--label", "helo") == (2, text)
    text = "kpsbatch: --signers: no row has '01'. Choose among anna, ben.\n"
    assert call(capsys, "scan", config, "--signers", "01") == (2, text)
    assert "no row is of both" in call(capsys, "scan", config, "--signers", "anna", "--label", "yes")[1]


def test_signs_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of numbered signs the names in dataset.labels choose, in either language."""
    (tmp_path / "names.csv").write_text("id,english,arabic\n1,father,أب\n2,mother,أم\n", encoding="utf-8")
    path = write_config(tmp_path, dataset={"signs": "1-3", "labels": "names.csv"})
    for name in ("mother", "أم"):
        assert Selection(path, labels=[name]).load().dataset.signs == (2,)
    assert "has no 'sister'. Choose among father, mother.\n" in call(capsys, "status", path, "--label", "sister")[1]
    write_config(tmp_path, dataset={"signs": "1-3"})
    text = "kpsbatch: --label: the signs have numbers only. Choose by --signs, or name the table of their names: "
    assert call(capsys, "status", path, "--label", "mother") == (2, f"{text}--set dataset.labels=FILE.\n")
