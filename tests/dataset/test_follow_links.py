"""Links in a dataset: with `dataset.follow_links: inside` nothing outside of its root is read; `scan` names it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from factories import make_config, write_config, write_frames
from processes import kpsbatch

from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.source import open_source
from kpsbatch.dataset.video import Unit
from kpsbatch.look.scan import scan


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A dataset with a plain video, links that stay inside, and links that lead out, of every kind."""
    unit = tmp_path / "data" / "01" / "01" / "train" / "0001"
    write_frames(unit / "plain", 2)
    private = tmp_path / "private"
    write_frames(private / "me", 2)
    (private / "me.mp4").write_bytes(b"a video")
    (unit / "stays").symlink_to("plain")
    (unit / "video").symlink_to(private / "me")
    (unit / "file.mp4").symlink_to("../../../../../private/me.mp4")
    (unit / "by another").symlink_to("video")
    write_frames(unit / "frames", 1)
    (unit / "frames" / "one.jpg").symlink_to(next((private / "me").iterdir()))
    (unit.parent / "0002").symlink_to(private)
    shutil.copytree(private, tmp_path / "data" / "really", symlinks=True)
    return tmp_path


def test_inside(linked: Path) -> None:
    """Videos, files, units and frames behind links that lead out are odd; links that stay inside are followed."""
    config = make_config(linked, dataset={"signs": "1-2", "follow_links": "inside"})
    source = open_source(config.dataset, linked / "index")
    listing = source.listing(Unit("01", "train", 1))
    assert [video.name for video in listing.videos] == ["frames", "plain", "stays"]
    assert {name for name, what in listing.odd if "leads out of dataset.root" in what} == {
        "by another",
        "file.mp4",
        "video",
    }
    second = source.listing(Unit("01", "train", 2))
    assert (second.videos, "leads out of dataset.root" in second.problem) == ((), True)
    assert source.presence(Unit("01", "train", 2)) == "unreadable"
    frames = list(read_frames(listing.videos[0], frame_rate=25, max_pixels=10**6))
    assert [frame.image is not None for frame in frames] == [True, False]
    found = scan(source)
    assert found.odd_counts["a link that leads out of dataset.root (dataset.follow_links: inside)"] >= 3
    assert found.outside == [str(linked / "private" / "me" / "0.png")]  # a frame, which is not read


def test_anywhere(linked: Path) -> None:
    """By default all are followed, and `scan` names where they lead."""
    config = make_config(linked, dataset={"signs": "1-2"})
    source = open_source(config.dataset, linked / "index")
    names = [video.name for video in source.listing(Unit("01", "train", 1)).videos]
    assert names == ["by another", "file", "frames", "plain", "stays", "video"]
    assert [video.name for video in source.listing(Unit("01", "train", 2)).videos]
    done = kpsbatch("scan", write_config(linked, dataset={"signs": "1-2"}))
    assert (
        f"links lead out of it, to: {linked / 'private'} (dataset.follow_links: inside leaves them out)" in done.stdout
    )
    done = kpsbatch("scan", linked / "config.yaml", "--json")
    assert json.loads(done.stdout)["outside"] == [str(linked / "private")]


def test_table(linked: Path) -> None:
    """A row whose path goes through a link that leads out is a bad one."""
    rows = ["video,sign", "01/01/train/0001/plain,1", "01/01/train/0001/video,1", "01/01/train/0002/me,1"]
    (linked / "rows.csv").write_text("\n".join(rows) + "\n")
    manifest = {"path": "rows.csv", "columns": {"video": "video", "sign": "sign"}}
    for follow, good in (("anywhere", 3), ("inside", 1)):
        config = write_config(linked, dataset={"manifest": manifest, "follow_links": follow, "signs": "1"})
        tree = json.loads(config.read_text())
        for key in ("signers", "splits"):
            del tree["dataset"][key]
        config.write_text(json.dumps(tree))
        done = kpsbatch("scan", config, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["rows"]["videos"], len(found["bad_rows"])) == (good, 3 - good), found


def test_link_in_the_place_of_a_folder(linked: Path) -> None:
    """A signer's folder that is a link to outside is not listed, though the config names what is in it."""
    (linked / "elsewhere" / "02" / "train" / "0001").mkdir(parents=True)
    write_frames(linked / "elsewhere" / "02" / "train" / "0001" / "v", 1)
    (linked / "data" / "02").symlink_to(linked / "elsewhere")
    for follow, presence in (("anywhere", "videos"), ("inside", "unreadable")):
        config = make_config(linked, dataset={"signers": ["02"], "follow_links": follow})
        assert open_source(config.dataset, linked / "index").presence(Unit("02", "train", 1)) == presence
