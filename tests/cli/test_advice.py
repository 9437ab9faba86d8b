"""What a user is told who names the wrong thing: what it is, and what to type."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import kpsbatch
from kpsbatch.cli.main import main
from kpsbatch.config import make_config
from kpsbatch.dataset.source import open_source
from kpsbatch.errors import ConfigError, OutputError


def error_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command writes to standard error; it ends with status 2."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words)])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of a tree with the signers 01 and 02, one split and the signs 3 and 4; each unit has a picture."""
    for signer in ("01", "02"):
        for sign in ("0003", "0004"):
            folder = tmp_path / "data" / signer / "train" / sign / "take 1"
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "0001.jpg"), np.zeros((8, 8, 3), np.uint8))
    path = tmp_path / "made" / "the config.yaml"
    path.parent.mkdir()
    dataset = {"root": str(tmp_path / "data"), "layout": "{signer}/{split}/{sign:04d}"}
    path.write_text(yaml.safe_dump({"dataset": dataset, "output": {"root": str(tmp_path / "out")}}))
    return path


def test_what_is_no_config(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder, a video and an output in the place of a config."""
    folder = config.parent
    assert f"is a folder, no config. Did you mean {config}?" in error_of(capsys, "scan", folder)
    assert "write one: kpsbatch init " in error_of(capsys, "scan", folder.parent / "data")
    video = folder / "a clip.mp4"
    video.write_bytes(b"\0\0\0\x20ftypisom\xbf")
    assert f"kpsbatch extract '{video}'" in error_of(capsys, "preview", video)
    np.savez(folder / "0001.npz", a=np.zeros(1))
    assert "kpsbatch inspect " in error_of(capsys, "report", folder / "0001.npz")


def test_folders_in_the_place_of_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing advises to delete a folder."""
    (tmp_path / "01-train").mkdir()
    with pytest.raises(OutputError, match=r"is a folder\. It holds no npz file\. Correct the path\."):
        kpsbatch.load(tmp_path)
    np.savez(tmp_path / "01-train" / "0007.npz", a=np.zeros(1))
    text = error_of(capsys, "inspect", tmp_path)
    assert f"is a folder. Name an npz file in it, such as {tmp_path / '01-train' / '0007.npz'}" in text
    assert "elete" not in text


def test_a_config_in_the_place_of_outputs(config: Path) -> None:
    with pytest.raises(OutputError, match=r"output\.root: .* does not exist\. Run the config first\."):
        kpsbatch.open_dataset(config)


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ({"signers": ["1"]}, "dataset.signers: the dataset does not have 1. Choose among 01, 02."),
        ({"splits": ["val", "test"]}, "dataset.splits: the dataset does not have val, test. Choose among train."),
        ({"signs": "99"}, "dataset.signs: the dataset does not have 99. Choose among 3, 4."),
    ],
)
def test_names_that_the_dataset_does_not_have(
    config: Path, tmp_path: Path, chosen: dict[str, object], text: str
) -> None:
    tree = yaml.safe_load(config.read_text())
    tree["dataset"] |= chosen
    assert str(open_source(make_config(tree, (), base=config.parent).dataset, tmp_path).no_video()) == text


def test_a_setting_without_its_section(config: Path) -> None:
    """Also one that two sections have."""
    tree = yaml.safe_load(config.read_text())
    with pytest.raises(ConfigError, match=r"workers is not a setting\. Did you mean run\.workers\?"):
        make_config(tree, ["workers=2"], base=config.parent)
    with pytest.raises(ConfigError, match=r"root is not a setting\. Did you mean dataset\.root or output\.root\?"):
        make_config(tree, ["root=a"], base=config.parent)


def test_init_on_the_frames_of_one_video(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = config.parents[1] / "data" / "01" / "train" / "0003" / "take 1"
    text = error_of(capsys, "init", frames, "--config", config.parent / "other.yaml")
    assert "holds pictures: the frames of one video" in text
    assert f"kpsbatch extract '{frames}'" in text


def test_the_short_form_of_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-V"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"kpsbatch {kpsbatch.__version__}\n"
