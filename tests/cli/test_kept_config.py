"""`status OUT`, `logs OUT`, `report OUT`: the folder of outputs is enough, with nothing of the shell that made it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest
import yaml
from made_pictures import picture
from processes import kpsbatch

from kpsbatch.cli.selection import RunSelection
from kpsbatch.errors import ConfigError
from kpsbatch.store.submissions import kept_config, read_kept_config


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a run whose config names its dataset by a variable; one sign of three is done."""
    folder = tmp_path_factory.mktemp("a place")
    for sign in ("0001", "0002", "0003"):
        video = folder / "data" / "01" / "train" / sign / "take"
        video.mkdir(parents=True)
        cv2.imwrite(str(video / "1.png"), picture())
    config = {
        "dataset": {"root": "$MY_DATA", "layout": "{signer}/{split}/{sign:04d}", "splits": ["train"]},
        "output": {"root": "the outputs"},
        "landmarks": {"parts": ["pose"]},
        "slurm": {"setup": ["export TOKEN=hunter2"]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = kpsbatch("run", folder / "config.yaml", "--signs", "2", "-q", MY_DATA=str(folder / "data"))
    assert done.returncode == 0, done.stderr
    return folder / "the outputs"


def test_status_logs_and_report(outputs: Path) -> None:
    """All signs of the config are counted, not those of the one command; a variable that is unset is not missed."""
    done = kpsbatch("status", outputs, "--json", MY_DATA="")
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    assert (known["all"]["units"], known["all"]["complete"]) == (3, 1)
    assert kpsbatch("status", outputs, "--signs", "2", MY_DATA="").returncode == 0
    assert "hunter2" not in kept_config(outputs).read_text()
    done = kpsbatch("logs", outputs, MY_DATA="")
    assert (done.returncode, done.stderr) == (0, "")
    done = kpsbatch("report", outputs, "-q", MY_DATA="")
    assert done.returncode == 0, done.stderr
    assert (outputs / "report.html").is_file()


def test_a_copy_elsewhere_is_itself(outputs: Path, tmp_path: Path) -> None:
    """The folder is the one that is named, whatever its config says; no pictures come from where that points."""
    shutil.copytree(outputs, tmp_path / "copy")
    config = read_kept_config(tmp_path / "copy")
    assert config.output.root == tmp_path / "copy"
    assert not config.privacy.pictures
    assert config.dataset.root == outputs.parent / "data"


def test_settings_go_with_a_config(outputs: Path) -> None:
    with pytest.raises(ConfigError, match="--set and --adjusted work only with a config"):
        RunSelection(outputs, overrides=["run.workers=1"]).load()


def test_a_folder_without_one_and_a_spoilt_one(outputs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder, no config"):
        RunSelection(tmp_path).load()
    shutil.copytree(outputs, tmp_path / "copy")
    kept_config(tmp_path / "copy").write_text("dataset: [")
    with pytest.raises(ConfigError, match=r"config\.yaml can't be read: .* Run or submit again with your config"):
        RunSelection(tmp_path / "copy").load()
