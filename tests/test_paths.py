"""Names and links of all kinds: right, or refused with a clear line, and nothing is written outside output.root."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
from processes import kpsbatch

HOOKS = Path(__file__).parent / "faults" / "hooks"
ODD_NAMES = [
    "plain",
    "two words",
    " spaces around ",
    'it\'s "quoted" `here`',
    "line\nbreak\ttab\rreturn",
    "..x",
    "...",
    "-rf",
    "--help",
    "$HOME",
    "~",
    "%s {sign}",
    "*?[a]",
    "back\\slash",
    "file",
    "self",
    "arr_0",
    "allow_pickle",
    "x.npy.npy",
    "a.npz",
    "a.partial",
    "إشارة",
    "🤟🏽",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "Straße",
    "STRASSE",
    "x" * 255,
    "ش" * 127,
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """The folder of one unit, and a config beside it."""
    (tmp_path / "config.yaml").write_text(
        'dataset: {root: data, layout: "{sign}", signers: ["01"], splits: [train], signs: 1}\n'
        "output: {root: out}\nrun: {workers: 1}\n"
    )
    folder = tmp_path / "data" / "1"
    folder.mkdir(parents=True)
    return folder


def write_frames(video: Path, count: int = 2) -> None:
    video.mkdir()
    for number in range(count):
        image = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        (video / f"{number}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())


def run(config: Path, *arguments: str) -> tuple[int, str, str]:
    """The real program, with landmarkers that take no time."""
    spec = {"root": str(config.parent / "out"), "marks": "", "stub": True, "seed": 0, "faults": []}
    done = kpsbatch(
        "run", config, "--quiet", *arguments, PYTHONPATH=str(HOOKS), KPSBATCH_FAULTS=json.dumps(spec), COLUMNS="200"
    )
    return done.returncode, done.stdout, done.stderr


def below(folder: Path) -> set[str]:
    """Everything in a folder, links not followed."""
    return {os.path.join(where, name) for where, folders, files in os.walk(folder) for name in folders + files}


def test_names(dataset, tmp_path):
    """Any name that a file system knows is a key of the output; nothing appears anywhere else."""
    for name in ODD_NAMES:
        if not name.startswith("."):
            write_frames(dataset / name)
    before = below(tmp_path) | below(tmp_path / "out")
    assert run(tmp_path / "config.yaml")[0] == 0
    assert all(path.startswith(f"{tmp_path}/out") for path in below(tmp_path) - before)
    with np.load(tmp_path / "out" / "01-train" / "0001.npz") as stored:
        assert set(stored) == {name for name in ODD_NAMES if not name.startswith(".")}
        assert all(stored[name].shape == (2, 184, 4) for name in stored)
    done = kpsbatch("verify", tmp_path / "config.yaml", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_names_that_are_refused(dataset, tmp_path):
    """What can't be a video by its name is named with the reason, in the record and in what a scan shows."""
    for name in ("x", "x.npy", "..y"):
        write_frames(dataset / name)
    write_frames(Path(os.fsdecode(os.fsencode(dataset) + b"/latin\xe9")))
    status, out, _ = run(tmp_path / "config.yaml")
    assert status == 0
    assert "1 x NumPy can't tell it from 'x'; rename it" in out
    assert "1 x its name is not valid UTF-8" in out
    [path] = (tmp_path / "out" / "_kpsbatch" / "records").glob("*/01-train/0001.json")
    record = json.loads(path.read_text())
    assert list(record["videos"]) == ["x"]
    assert set(record["odd_entries"]) == {"x.npy", "..y", "latin\\udce9"}


def test_links_in_the_dataset(dataset, tmp_path):
    """Links to videos elsewhere are followed; loops and links to nowhere are named, and hang nobody."""
    write_frames(tmp_path / "elsewhere")
    (dataset / "linked").symlink_to(tmp_path / "elsewhere")
    (dataset / "loop").symlink_to(dataset / "loop")
    (dataset / "parent").symlink_to(dataset)  # a directory without frames of its own
    write_frames(dataset / "inner", 8)
    (dataset / "inner" / "9.png").symlink_to(dataset / "inner" / "9.png")
    before = below(tmp_path / "elsewhere")
    status, out, _ = run(tmp_path / "config.yaml")
    assert status == 1
    assert "01-train/0001/parent: " in out
    assert "parent: has no frame" in out
    with np.load(tmp_path / "out" / "01-train" / "0001.npz") as stored:
        assert {name: len(stored[name]) for name in stored} == {"linked": 2, "inner": 9}
    assert below(tmp_path / "elsewhere") == before


@pytest.mark.parametrize(
    "name", ["../escape", "/absolute", "a/b", ".", "..", ".hidden", "_kpsbatch", "a\nb", "", "é" * 60]
)
@pytest.mark.parametrize("setting", ["signers", "splits"])
def test_signers_and_splits(dataset, tmp_path, name, setting):
    """Signers and splits are parts of output paths: what would lead elsewhere is refused in one line."""
    status, _, error = run(tmp_path / "config.yaml", "--set", f"dataset.{setting}={json.dumps([name])}")
    assert status == 2
    assert error.startswith("kpsbatch: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["../{sign}", "/etc/{sign}", "a/../{sign}", "{sign}/.."])
def test_layouts(dataset, tmp_path, layout):
    """So is a layout that leads out of the dataset."""
    status, _, error = run(tmp_path / "config.yaml", "--set", f"dataset.layout={layout}")
    assert status == 2
    assert "is not a path below dataset.root. Write it without '..'" in error


@pytest.mark.parametrize(
    "place", ["01-train", "_kpsbatch", "_kpsbatch/records", "_kpsbatch/runs", "_kpsbatch/store.lock"]
)
@pytest.mark.parametrize("there", [True, False])
def test_links_out_of_the_outputs(dataset, tmp_path, place, there):
    """A link below output.root that leads out of it is refused, and nothing is written behind it."""
    write_frames(dataset / "video")
    outside = tmp_path / "outside"
    if there and not place.endswith(".lock"):
        outside.mkdir()
    link = tmp_path / "out" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    status, _, error = run(tmp_path / "config.yaml")
    assert status == 2
    assert error.startswith("kpsbatch: ")
    assert error.count("\n") == 1
    if not place.endswith(".lock"):
        assert f"output.root: {link} is a link to {outside}, outside of it." in error
    assert outside.exists() == (there and not place.endswith(".lock"))
    assert below(outside) == set()


def test_output_root_is_a_link(dataset, tmp_path):
    """The output root itself may be a link: it says where the outputs shall be."""
    write_frames(dataset / "video")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    assert run(tmp_path / "config.yaml")[0] == 0
    assert (tmp_path / "elsewhere" / "01-train" / "0001.npz").is_file()


def test_final_name_is_a_link(dataset, tmp_path):
    """A link in the place of an output is replaced when asked to, never written through."""
    write_frames(dataset / "video")
    outside = tmp_path / "outside.npz"
    outside.write_bytes(b"somebody's")
    (tmp_path / "out" / "01-train").mkdir(parents=True)
    (tmp_path / "out" / "01-train" / "0001.npz").symlink_to(outside)
    status, _, error = run(tmp_path / "config.yaml")
    assert (status, "it has no record" in error) == (2, True)
    assert run(tmp_path / "config.yaml", "--overwrite")[0] == 0
    assert not (tmp_path / "out" / "01-train" / "0001.npz").is_symlink()
    assert outside.read_bytes() == b"somebody's"
