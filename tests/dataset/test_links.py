"""Where links below a dataset lead, so that a container can be shown it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpsbatch.dataset.folders import places_outside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_nothing_outside(root):
    """Folders, and links that stay inside, lead nowhere else."""
    (root / "a" / "v").mkdir(parents=True)
    (root / "b").symlink_to("a")
    assert places_outside(root, [root / "a" / "v", root / "b" / "v"]) == []


def test_link_through_a_link(root, tmp_path):
    """Every step is followed as in the container: a place that a link names may itself hold links."""
    for name in ("disk", "far"):
        (tmp_path / name / "v").mkdir(parents=True)
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to("../disk")
    (tmp_path / "disk" / "w").symlink_to(tmp_path / "far" / "v")
    assert places_outside(root, [root / "a" / "v", root / "a" / "w"]) == [tmp_path / "disk", tmp_path / "far" / "v"]


def test_named_as_the_link_names_it(root, tmp_path):
    """A place is mounted under the name that the link has, also where that name is a link on this machine."""
    (tmp_path / "real" / "v").mkdir(parents=True)
    (tmp_path / "home").symlink_to("real")
    (root / "a").symlink_to(tmp_path / "home" / "v")
    assert places_outside(root, [root / "a"]) == [tmp_path / "home" / "v"]


def test_frames(root, tmp_path):
    """Frames that are links are found in all videos, and many places are taken together."""
    for video in range(20):
        (tmp_path / "frames" / f"{video}").mkdir(parents=True)
        (root / f"{video}").mkdir()
        for frame in range(2):
            (tmp_path / "frames" / f"{video}" / f"{frame}.jpg").touch()
            (root / f"{video}" / f"{frame}.jpg").symlink_to(tmp_path / "frames" / f"{video}" / f"{frame}.jpg")
    videos = [root / f"{video}" for video in range(20)]
    assert places_outside(root, videos) == [tmp_path / "frames"]
    assert places_outside(root, videos[:3], most=5) == [tmp_path / "frames" / f"{video}" for video in range(3)]


def test_broken_and_endless(root):
    """A link that leads nowhere, or to itself, is passed over."""
    (root / "gone").symlink_to("/no/such/folder")
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    assert places_outside(root, [root / "gone", root / "x", root / "nowhere" / "v"]) == []
