"""Faces and names are a decision: `privacy` in the config, KPSBATCH_PRIVACY for a site, `export --anonymous`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from factories import write_config, write_frames
from processes import kpsbatch

import kpsbatch as package
from kpsbatch.config import load_config
from kpsbatch.errors import ConfigError
from kpsbatch.privacy import privacy_of, pseudonyms

SIGNERS, VIDEOS = ("Zuleikha", "Bartholomew"), ("take-20240131-hospital", "broken-20240201-hospital")
NAMES = (*SIGNERS, *VIDEOS, "20240131", "hospital", "node-of-mine")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over two signers with names, two videos each, of which one fails."""
    folder = tmp_path_factory.mktemp("hospital")
    for signer in SIGNERS:
        unit = folder / "data" / signer / signer / "train" / "0001"
        write_frames(unit / VIDEOS[0], 2)
        (unit / VIDEOS[1]).mkdir()
        (unit / VIDEOS[1] / "20240131.jpg").write_bytes(b"no picture")
    path = write_config(folder, dataset={"signers": list(SIGNERS)})
    kpsbatch("run", path, "--set", "run.workers=0", SLURMD_NODENAME="node-of-mine")
    return path


def assert_without(text: str, folder: Path) -> None:
    for name in (*NAMES, str(folder.parent)):
        assert name not in text, name


@pytest.mark.parametrize("how", ["config", "site"])
def test_report_and_view(config: Path, tmp_path: Path, how: str) -> None:
    """Without pictures and names a page has none: not in its tables, errors, commands, logs, hosts or titles."""
    sets = ["--set", "privacy.pictures=false", "--set", "privacy.names=pseudonyms"] if how == "config" else []
    site = {"KPSBATCH_PRIVACY": "pictures=false, names=pseudonyms"} if how == "site" else {}
    for command in ("report", "view"):
        page = tmp_path / f"{command}.html"
        done = kpsbatch(command, config, *sets, "-o", page, **site)
        assert done.returncode == 0, done.stderr
        text = page.read_text()
        assert '"pictures": ["' not in text
        assert '"pictures":["' not in text
        assert_without(text, config.parent)
        assert ("signer 1" if command == "report" else "video 1") in text
    shown = kpsbatch("report", config, "-o", tmp_path / "all.html")
    assert shown.returncode == 0
    assert all(name in (tmp_path / "all.html").read_text() for name in (*SIGNERS, *VIDEOS))


def test_pictures_alone(config: Path, tmp_path: Path) -> None:
    """Names can be hidden where pictures are shown, and the other way round."""
    kpsbatch("view", config, "--set", "privacy.names=pseudonyms", "-o", tmp_path / "v.html")
    text = (tmp_path / "v.html").read_text()
    assert '"pictures": ["' in text or '"pictures":["' in text
    assert not any(name in text for name in NAMES)
    kpsbatch("view", config, "--set", "privacy.pictures=false", "-o", tmp_path / "w.html")
    text = (tmp_path / "w.html").read_text()
    assert SIGNERS[0] in text
    assert "This page holds no picture of a video." in text


def test_preview_and_extract(config: Path, tmp_path: Path) -> None:
    """A preview is drawn on an empty canvas, and the page of `extract` shows keypoints alone."""
    site = {"KPSBATCH_PRIVACY": "pictures=false,names=pseudonyms"}
    plain, hidden = tmp_path / "a.png", tmp_path / "b.png"
    video = ("--video", f"{SIGNERS[0]}-train/0001: {VIDEOS[0]}")
    assert kpsbatch("preview", config, *video, "-o", plain).returncode == 0
    assert kpsbatch("preview", config, *video, "-o", hidden, **site).returncode == 0
    assert plain.read_bytes() != hidden.read_bytes()
    clip = config.parent / "data" / SIGNERS[0] / SIGNERS[0] / "train" / "0001" / VIDEOS[0]
    assert kpsbatch("extract", clip, "-o", tmp_path / "k", **site).returncode == 0
    text = (tmp_path / "k" / "view.html").read_text()
    assert not any(name in text for name in NAMES)
    assert "This page holds no picture of a video." in text


def test_the_stricter_one_counts(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site can forbid what a config allows, and allows nothing that a config forbids."""
    open_, closed = load_config(config), load_config(config, ["privacy.pictures=false", "privacy.names=pseudonyms"])
    assert privacy_of(open_) == (True, True)
    assert privacy_of(closed) == (False, False)
    monkeypatch.setenv("KPSBATCH_PRIVACY", "pictures=true,names=keep")
    assert privacy_of(closed) == (False, False)
    monkeypatch.setenv("KPSBATCH_PRIVACY", "pictures=false")
    assert privacy_of(open_) == (False, True)
    assert privacy_of() == (False, True)
    for wrong in ("pictures", "pictures=maybe", "faces=false"):
        monkeypatch.setenv("KPSBATCH_PRIVACY", wrong)
        with pytest.raises(ConfigError, match=r"variable KPSBATCH_PRIVACY: .*Write it like"):
            privacy_of(open_)
    assert pseudonyms("video", ["b", "a", "b"]) == {"a": "video 1", "b": "video 2"}


@pytest.mark.parametrize("form", ["mmap", "mmap-concatenated", "npy", "webdataset"])
def test_anonymous_export(config: Path, tmp_path: Path, form: str) -> None:
    """No name of a signer, video or host, no path and no date is in an export or its names; the key has mode 0600."""
    done = kpsbatch("export", config, tmp_path / "x", "--to", form, "--anonymous")
    assert done.returncode == 0, done.stderr
    files = [path for path in (tmp_path / "x").rglob("*") if path.is_file()]
    assert len(files) > 1
    for path in files:
        for name in (*NAMES, str(config.parent), str(tmp_path)):
            assert name not in str(path.relative_to(tmp_path))
            assert name.encode() not in path.read_bytes(), (path, name)
    key = tmp_path / "x.key.csv"
    assert key.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(io.StringIO(key.read_text())))
    assert {row["name"] for row in rows if row["kind"] == "signer"} == {*SIGNERS}
    before = key.read_bytes()
    again = kpsbatch("export", config, tmp_path / "x", "--to", form, "--anonymous")
    assert (again.returncode, "finished before" in again.stdout, key.read_bytes()) == (0, True, before)


def test_anonymous_values(config: Path, tmp_path: Path) -> None:
    """By the key, each array is that of its video; another key is refused."""
    kpsbatch("export", config, tmp_path / "x", "--to", "npy", "--anonymous")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.key.csv").read_text())))
    names = {row["pseudonym"]: row["name"] for row in rows if row["kind"] == "video"}
    index = list(csv.DictReader(io.StringIO((tmp_path / "x" / "index.csv").read_text())))
    assert len(index) == 2
    for row in index:
        folder, sign, video = names[row["video"]].split("/")
        expected = package.load(config.parent / "out" / folder / f"{sign}.npz")[video]
        np.testing.assert_array_equal(np.load(tmp_path / "x" / row["file"]), expected)
    other = kpsbatch("export", config, tmp_path / "x", "--to", "npy", "--anonymous", "--signers", SIGNERS[0])
    assert other.returncode == 2
    assert "is the key of an export of other videos" in other.stderr
