"""Videos are found by listing, in natural order, whatever else lies around."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from factories import make_config, tree_of

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.folders import check_folder
from kpsbatch.dataset.video import Unit, natural_key
from kpsbatch.errors import DatasetError

UNIT = Unit("01", "train", 7)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"root": str(tmp_path / "a root (1)"), "signers": ["01"], "splits": ["train"], "signs": [7]}
    )


@pytest.fixture
def folder(dataset: DatasetConfig) -> Path:
    """The folder of the unit, there and empty."""
    path = tree_of(dataset).folder(UNIT)
    path.mkdir(parents=True)
    return path


def names(dataset: DatasetConfig) -> list[str]:
    return [video.name for video in tree_of(dataset).listing(UNIT).videos]


class TestNaturalOrder:
    @pytest.mark.parametrize(
        "ordered",
        [
            ["frame2", "frame10"],
            ["1", "02", "2", "10", "a"],
            ["a1b2", "a1b10", "a2b1"],
            ["9", "10", "x"],
            ["frame2.jpg", "frame02.png", "frame10.jpg"],
        ],
    )
    def test_numbers_count(self, ordered):
        """Numbers in names are compared as numbers."""
        backwards = ordered[::-1]
        assert sorted(backwards, key=natural_key) == ordered

    def test_total(self):
        """Different names never tie, so that the order is the same on every machine."""
        tricky = ["", "1", "01", "001", "a", "a1", "a01", "٣", "²", "é", "e\u0301", "1a", "-1", "1.5"]
        assert len({natural_key(name) for name in tricky}) == len(tricky)
        backwards = tricky[::-1]
        assert sorted(tricky, key=natural_key) == sorted(backwards, key=natural_key)


class TestUnits:
    def test_folder_is_the_template(self, dataset):
        """Signer, split and sign come from the path."""
        assert tree_of(dataset).folder(UNIT) == dataset.root / "01" / "01" / "train" / "0007"

    def test_order(self, dataset):
        """Units come sign by sign, then signer by signer."""
        wide = dataset.model_copy(update={"signers": ("01", "02"), "splits": ("train", "test"), "signs": (3, 12)})
        found = [unit.name for unit in tree_of(wide).units()]
        assert found[:5] == ["01-train/0003", "01-test/0003", "02-train/0003", "02-test/0003", "01-train/0012"]

    def test_wide_sign(self):
        """A sign above 9999 keeps all its digits."""
        assert Unit("01", "train", 12345).name == "01-train/12345"


class TestListing:
    @pytest.mark.parametrize(
        "name",
        [
            "03_01_0001_(12_10_16_14_05_36)_c",
            "with spaces",
            "file",
            "إشارة",
            "line\nbreak",
            "a.b.c",
            "quote'\"",
            "-dash",
            "*?[x]",
            "e\u0301",
            "x" * 250,
        ],
    )
    def test_any_name(self, dataset, folder, name):
        """A video's name can hold whatever a directory's name can."""
        (folder / name).mkdir()
        [video] = tree_of(dataset).listing(UNIT).videos
        assert (video.name, video.path, video.is_file) == (name, folder / name, False)

    @pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov", ".mkv", ".webm", ".MP4"])
    def test_files(self, dataset, folder, suffix):
        """A video file is named without its suffix."""
        (folder / f"clip.1{suffix}").touch()
        [video] = tree_of(dataset).listing(UNIT).videos
        assert (video.name, video.path, video.is_file) == ("clip.1", folder / f"clip.1{suffix}", True)

    def test_order(self, dataset, folder):
        """Videos come in natural order, directories and files mixed."""
        for name in ("v10", "v1"):
            (folder / name).mkdir()
        (folder / "v2.mp4").touch()
        assert names(dataset) == ["v1", "v2", "v10"]

    def test_collisions(self, dataset, folder):
        """Entries that share a name are all there, under different names."""
        (folder / "clip").mkdir()
        for name in ("clip.mp4", "clip.avi", "other.mp4", "other.mov"):
            (folder / name).touch()
        videos = tree_of(dataset).listing(UNIT).videos
        assert {video.name: video.path.name for video in videos} == {
            "clip": "clip",
            "clip.avi": "clip.avi",
            "clip.mp4": "clip.mp4",
            "other": "other.mov",
            "other.mp4": "other.mp4",
        }

    def test_names_that_numpy_confuses(self, dataset, folder):
        """NumPy's reader returns the array "x" for the key "x.npy" where both are there: one is refused, by name."""
        for name in ("x", "x.npy", "y.npy"):
            (folder / name).mkdir()
        listing = tree_of(dataset).listing(UNIT)
        assert [video.name for video in listing.videos] == ["x", "y.npy"]
        assert listing.odd == (("x.npy", "NumPy can't tell it from 'x'; rename it"),)

    def test_strays_are_reported(self, dataset, folder):
        """What is no video is passed over, and each is named with what it is."""
        (folder / "video").mkdir()
        for name in ("Thumbs.db", ".DS_Store", "frame1.jpg", "notes.txt"):
            (folder / name).touch()
        (folder / ".hidden").mkdir()
        (folder / "gone").symlink_to(folder / "nowhere")
        (folder / "loop").symlink_to(folder / "loop")
        os.mkfifo(folder / "pipe")
        listing = tree_of(dataset).listing(UNIT)
        assert [video.name for video in listing.videos] == ["video"]
        odd = dict(listing.odd)
        assert odd.pop("loop").startswith(("can't be read", "a broken link"))
        assert odd == {
            "Thumbs.db": "no video",
            ".DS_Store": "hidden",
            ".hidden": "hidden",
            "frame1.jpg": "a frame outside of a video's directory",
            "gone": "a broken link",
            "notes.txt": "no video",
            "pipe": "neither a directory nor a file",
        }

    def test_links_are_followed(self, dataset, folder, tmp_path):
        """A link to a directory of frames is a video."""
        (tmp_path / "elsewhere").mkdir()
        (folder / "linked").symlink_to(tmp_path / "elsewhere")
        assert names(dataset) == ["linked"]

    def test_name_without_an_encoding(self, dataset, folder):
        """A name that is no UTF-8 can't be a key of an npz: it is reported."""
        os.mkdir(os.fsencode(folder) + b"/caf\xe9")
        listing = tree_of(dataset).listing(UNIT)
        assert listing.videos == ()
        assert [problem for _, problem in listing.odd] == ["its name is not valid UTF-8"]

    def test_missing_folder(self, dataset):
        """A unit without a folder is absent, not an error."""
        listing = tree_of(dataset).listing(UNIT)
        assert (listing.exists, listing.videos, listing.problem) == (False, (), "")

    def test_unreadable_folder(self, dataset, folder, monkeypatch):
        """A folder that can't be listed is a problem, not an empty folder."""

        def refuse(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "scandir", refuse)
        listing = tree_of(dataset).listing(UNIT)
        assert (listing.exists, listing.videos) == (True, ())
        assert listing.problem == "can't be listed: Permission denied"

    def test_file_instead_of_a_folder(self, dataset, folder):
        """A file where the folder should be is a problem, too."""
        folder.rmdir()
        folder.touch()
        assert tree_of(dataset).listing(UNIT).problem == "can't be listed: Not a directory"


class TestWhatToSay:
    def test_missing_root(self, dataset):
        """A missing root is named, with the setting."""
        with pytest.raises(DatasetError, match=r"dataset\.root: .*a root \(1\) does not exist"):
            check_folder(dataset.root)

    def test_empty_root(self, dataset):
        """An empty root, as a mount that is missing leaves it, is refused; another node may have it."""
        dataset.root.mkdir()
        with pytest.raises(DatasetError, match="is empty") as refused:
            check_folder(dataset.root)
        assert refused.value.of_node

    def test_root_is_a_file(self, dataset):
        """A root that is a file is refused."""
        dataset.root.touch()
        with pytest.raises(DatasetError, match="Not a directory"):
            check_folder(dataset.root)

    def test_no_video(self, dataset):
        """The path that was tried is named, and what is there instead."""
        (dataset.root / "01" / "train").mkdir(parents=True)
        said = str(tree_of(dataset).no_video())
        assert said == (
            f"dataset.layout: no video fits {dataset.layout}: "
            f"tried {dataset.root}/01/01/train/0007; {dataset.root}/01 holds 'train'. "
            "Correct the layout, or dataset.root."
        )

    def test_long_listings_are_cut(self, dataset):
        """Of many entries the first five are named, in natural order."""
        for number in range(1, 12):
            (dataset.root / f"s{number}").mkdir(parents=True)
        assert str(tree_of(dataset).no_video()).endswith(
            "holds 's1', 's2', 's3', 's4', 's5' and more. Correct the layout, or dataset.root."
        )


def test_folders_that_can_be_no_signer_split_or_sign_are_told(tmp_path):
    """Whatever lies below them is not read: they are strays, where these are looked for; files beside them are not."""
    for path in (
        "good/train/0001/v",
        "_kpsbatch/train/0001/v",
        "good/train/one/v",
        "good/.old/0001/v",
        "good/train/0002",
    ):
        (tmp_path / "data" / path).mkdir(parents=True)
    os.mkdir(os.fsencode(tmp_path / "data") + b"/\xff")
    (tmp_path / "data" / "README.txt").touch()
    every = dict.fromkeys(("signers", "splits", "signs"), "all")
    config = make_config(tmp_path, dataset={"layout": "{signer}/{split}/{sign:04d}", **every})
    source = tree_of(config.dataset)
    assert [unit.name for unit in source.units()] == ["good-train/0001", "good-train/0002"]
    assert sorted(source.strays()) == [
        ("_kpsbatch", "not named like dataset.layout"),
        ("good/.old", "hidden"),
        ("good/train/one", "not named like dataset.layout"),
        ("\udcff", "its name is not valid UTF-8"),
    ]
