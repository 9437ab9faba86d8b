"""Whatever a dataset lies in, it gives the same units, videos and frames."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dataset_trees import held, touch
from hypothesis import given, settings
from hypothesis import strategies as st

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.dataset.reading import listed_size, read_frames, read_together, together
from kpsbatch.dataset.source import Source, open_source
from kpsbatch.dataset.video import Segment, Unit, Video
from kpsbatch.errors import ConfigError, DatasetError, OutputError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "karsl"
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def config(root: Path, **tree: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({"root": str(root), **tree})


def opened(root: Path, **tree: Any) -> Source:
    return open_source(config(root, **tree), root.parent / "index")


def pack(tree: Path, kind: str) -> Path:
    """An archive of a tree beside it."""
    path = tree.parent / f"packed.{kind}"
    if kind == "tar":
        with tarfile.open(path, "w") as archive:
            archive.add(tree, "")
    else:
        method = zipfile.ZIP_DEFLATED if kind == "deflated.zip" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in sorted(tree.rglob("*")):
                archive.write(file, file.relative_to(tree))
    return path


def frames_of(video: Video, **more: Any) -> list[tuple[Any, int, str, str]]:
    frames = read_frames(video, frame_rate=25, max_pixels=1_000_000, **more)
    return [(f.image.tobytes() if f.image is not None else None, f.timestamp, f.name, f.problem) for f in frames]


class TestVideosThatTheLayoutNames:
    def test_flat(self, tmp_path):
        """A flat folder: sign, signer and video come from the names; it is listed once."""
        root = touch(
            tmp_path / "lsa64", *(f"{s:03}_{w:03}_{v:03}.mp4" for s in (0, 1, 64) for w in (1, 2) for v in (1, 2))
        )
        source = opened(root, layout="{sign:03d}_{signer}_{video}.mp4", splits=["all"])
        assert list(held(source)) == [f"{w:03}-all/{s:04}" for s in (0, 1, 64) for w in (1, 2)]
        assert held(source)["002-all/0064"] == ["001", "002"]
        assert (source.signers, source.splits, source.signs) == (("001", "002"), ("all",), (0, 1, 64))
        listing = source.listing(Unit("002", "all", 64))
        assert listing.videos[0] == Video("001", root / "064_002_001.mp4", is_file=True)

    def test_listed_once(self, tmp_path, monkeypatch):
        """However many units a folder holds, it is listed once."""
        root = touch(tmp_path / "d", *(f"{s:03}_{v}.mp4" for s in range(30) for v in (1, 2)))
        source = opened(root, layout="{sign:03d}_{video}.mp4", signers=["x"], splits=["all"], signs="0-29")
        assert isinstance(source, LayoutSource)
        calls: list[str] = []
        entries = type(source.folders).entries
        monkeypatch.setattr(type(source.folders), "entries", lambda self, f: calls.append(f) or entries(self, f))
        assert len(held(source)) == 30
        assert calls == [""]

    def test_folder_and_name(self, tmp_path):
        """The sign may come from the folder and the signer from the name."""
        root = touch(tmp_path / "b", "0000/User_2_001.mp4", "0000/User_4_001.mp4", "0743/User_2_005.mp4", "0743/x.txt")
        source = opened(root, layout="{sign:04d}/User_{signer}_{video}.mp4", splits=["all"])
        assert held(source) == {"2-all/0000": ["001"], "4-all/0000": ["001"], "2-all/0743": ["005"]}
        assert source.strays() == [("0743/x.txt", "no video")]
        assert source.presence(Unit("4", "all", 743)) == "absent"

    def test_stated_names(self, tmp_path):
        """Names of signers that hold the separator are told apart where the config states them."""
        root = touch(tmp_path / "d", "1_ann_b_x.mp4", "1_ann_y.mp4")
        layout = "{sign}_{signer}_{video}.mp4"
        assert held(opened(root, layout=layout, splits=["all"])) == {"ann-all/0001": ["b_x", "y"]}
        stated = opened(root, layout=layout, splits=["all"], signers=["ann", "ann_b"])
        assert held(stated) == {"ann_b-all/0001": ["x"], "ann-all/0001": ["y"]}

    def test_suffixes(self, tmp_path):
        """A layout without a suffix takes any video, and directories of frames."""
        root = touch(tmp_path / "d", "1_a.mp4", "1_b.MKV", "1_c/f.jpg", "1_a.webm", "notes.txt", "1_d.jpg")
        source = opened(root, layout="{sign}_{video}", signers=["x"], splits=["all"])
        videos = source.listing(Unit("x", "all", 1)).videos
        names = {video.name: video.path.name for video in videos}
        assert names == {"a": "1_a.mp4", "a.webm": "1_a.webm", "b": "1_b.MKV", "c": "1_c"}
        assert sorted(source.strays()) == [
            ("1_d.jpg", "a frame outside of a video's directory"),
            ("notes.txt", "no video"),
        ]

    def test_other_files(self, tmp_path):
        """What is not named like the layout is told, not taken."""
        root = touch(tmp_path / "d", "1_a_color.mp4", "1_a_depth.mp4", "01_b_color.mp4")
        source = opened(root, layout="{sign}_{video}_color.mp4", signers=["x"], splits=["all"])
        assert held(source) == {"x-all/0001": ["a"]}
        strays = [
            ("01_b_color.mp4", "not named like dataset.layout"),
            ("1_a_depth.mp4", "not named like dataset.layout"),
        ]
        assert sorted(source.strays()) == strays

    def test_missing(self, tmp_path):
        """Nothing that fits: the error names what was tried and what is there."""
        root = touch(tmp_path / "d", "one.mp4")
        source = opened(root, layout="{sign:03d}_{video}.mp4", signers=["x"], splits=["all"], signs=[4])
        assert f"tried {root}/004_*.mp4; {root} holds 'one.mp4'. Correct" in str(source.no_video())
        looking = opened(root, layout="{sign:03d}_{signer}_{video}.mp4", splits=["all"])
        assert looking.units() == []
        assert "no signer found" in str(looking.no_video())

    @pytest.mark.parametrize(
        ("layout", "says"),
        [
            ("{video}/{sign}", "is not once in the last part"),
            ("{sign}{video}", "fields without anything between them"),
            ("{video}.mp4", "has no {sign}"),
            ("{sign}_{video}.mp4", "signers: [unknown]"),
        ],
    )
    def test_refused(self, tmp_path, layout, says):
        """Layouts that leave open what belongs where are refused."""
        with pytest.raises(ValueError, match=says.replace("{", r"\{").replace("[", r"\[").replace("(", r"\(")):
            config(tmp_path, layout=layout, splits=["all"])


words = st.text("abcXYZ01 -.é(", min_size=1, max_size=6).filter(lambda w: w.strip() == w and w[0] not in "._-")


@settings(max_examples=100, deadline=None)
@given(
    files=st.sets(st.tuples(st.integers(0, 99_999), words, words), min_size=1, max_size=8),
    layout=st.sampled_from(
        ["{sign:03d}_{signer}_{video}.mp4", "{signer}/{sign}_{video}", "{sign:05d}/x{signer}_{video}.MOV"]
    ),
)
def test_any_names(files, layout, tmp_path_factory):
    """Whatever signs, signers and videos a layout is filled with, they are found again, and nothing else."""
    root = tmp_path_factory.mktemp("names") / "d"
    expected: dict[str, set[str]] = {}
    for sign, signer, video in files:
        name = layout.format(sign=sign, signer=signer, video=video)
        touch(root, name if "." in layout else f"{name}.mp4")
        expected.setdefault(f"{signer}-all/{sign:04}", set()).add(video)
    source = opened(root, layout=layout, splits=["all"])
    assert {unit: set(names) for unit, names in held(source).items()} == expected
    assert source.strays() == []


class TestFoundByLooking:
    def test_tree(self, tmp_path):
        """Signers, splits and signs of a tree are found by listing its folders; odd folders are passed over."""
        root = tmp_path / "karsl"
        for folder in ("01/01/train/0001/v", "01/01/test/0002/v", "03/03/train/0007/v", "03/04/train/0008/v",
                       ".git/.git/train/0009/v", "__MACOSX/x", "01/01/train/12/v", "01/01/train/x/v"):  # fmt: skip
            (root / folder).mkdir(parents=True)
        source = opened(root, splits="all")
        assert (source.signers, source.splits, source.signs) == (("01", "03"), ("test", "train"), (1, 2, 7))
        assert list(held(source)) == ["01-train/0001", "01-test/0002", "03-train/0007"]

    def test_only_what_is_asked(self, tmp_path, monkeypatch):
        """With stated splits and signs, only the folder of the signers is listed."""
        root = tmp_path / "karsl"
        (root / "01/01/train/0001/v").mkdir(parents=True)
        source = opened(root, signs="1-502", splits=["train"])
        assert isinstance(source, LayoutSource)
        calls: list[str] = []
        entries = type(source.folders).entries
        monkeypatch.setattr(type(source.folders), "entries", lambda self, f: calls.append(f) or entries(self, f))
        assert source.signers == ("01",)
        assert len(calls) <= 2

    def test_stated_is_not_looked_for(self, tmp_path):
        """A config that states all keeps its order and its absent ones."""
        (tmp_path / "d" / "other").mkdir(parents=True)
        source = opened(tmp_path / "d", signers=["2", "1"], splits=["b", "a"], signs="3,1")
        assert source.units([3]) == [Unit("2", "b", 3), Unit("2", "a", 3), Unit("1", "b", 3), Unit("1", "a", 3)]
        assert [source.presence(unit) for unit in source.units([3])] == ["absent"] * 4


class TestArchives:
    @pytest.fixture
    def tree(self, tmp_path) -> Path:
        """A tree like KArSL's, with everything that lies around in such trees."""
        root = tmp_path / "tree"
        rng = np.random.default_rng(0)
        for unit in ("01/01/train/0001", "01/01/test/0001", "02/02/train/0007"):
            for video in ("v 2", "v 10", "إشارة (1)"):
                for frame in (1, 2, 10):
                    path = root / unit / video / f"f{frame}.jpg"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    good, data = cv2.imencode(".jpg", rng.integers(0, 255, (48, 64, 3), np.uint8))
                    assert good
                    path.write_bytes(data.tobytes())
        broken = root / "01/01/train/0001/v 2/f3.jpg"
        broken.write_bytes(path.read_bytes()[:200])
        touch(root, "01/01/train/0001/Thumbs.db", "01/01/train/0001/.DS_Store", "01/01/train/0001/v 2/.hidden.jpg")
        touch(root, "01/01/train/0001/frame.jpg", "01/01/train/0001/v 2/empty.jpg")
        (root / "02/02/train/0008").mkdir()
        return root

    @pytest.mark.parametrize("kind", ["zip", "deflated.zip", "tar"])
    def test_like_the_tree(self, tree, kind):
        """Units, names, odd entries, order and frames of an archive are those of the tree that was packed."""
        disk, packed = opened(tree), opened(pack(tree, kind))
        assert (disk.signers, disk.splits, disk.signs) == (packed.signers, packed.splits, packed.signs)
        assert disk.units() == packed.units()
        for unit in disk.units():
            ours, theirs = packed.listing(unit), disk.listing(unit)
            assert (ours.exists, ours.odd, ours.problem) == (theirs.exists, theirs.odd, theirs.problem)
            assert [(v.name, v.is_file) for v in ours.videos] == [(v.name, v.is_file) for v in theirs.videos]
            assert packed.presence(unit) == disk.presence(unit)
            for one, other in zip(ours.videos, theirs.videos, strict=True):
                assert frames_of(one) == frames_of(other)
                assert listed_size(one) > 0

    @pytest.mark.parametrize("kind", ["zip", "deflated.zip", "tar"])
    @needs_ffmpeg
    def test_video_files(self, tmp_path, monkeypatch, kind):
        """Video files in an archive give the frames that they give on disk, and segments of them, too."""
        pytest.importorskip("av")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        folder = tmp_path / "tree" / "0007"
        folder.mkdir(parents=True)
        for name in ("a.mp4", "b.mkv", "c.avi"):
            command = [
                "ffmpeg",
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                "testsrc=size=64x48:rate=25:duration=2",
                "-g",
                "10",
            ]
            subprocess.run([*command, folder / name], check=True)
        tree = {"layout": "{sign:04d}", "signers": ["x"], "splits": ["all"]}
        unit = Unit("x", "all", 7)
        on_disk = opened(tmp_path / "tree", **tree).listing(unit).videos
        packed = opened(pack(tmp_path / "tree", kind), **tree).listing(unit).videos
        assert [video.name for video in packed] == ["a", "b", "c"]
        for one, other in zip(packed, on_disk, strict=True):
            whole = frames_of(other)
            assert len(whole) == 50
            assert frames_of(one) == whole
            for segment, number in (
                (Segment(0.4, 0.8, "s"), 10),
                (Segment(30, 34, "frames"), 4),
                (Segment(1.6, None, "s"), 10),
            ):
                part = frames_of(Video(**{**vars(one), "segment": segment}))
                first = round(segment.start * (25 if segment.unit == "s" else 1))
                assert [frame[0] for frame in part] == [frame[0] for frame in whole[first : first + number]]
        assert not list(scratch.iterdir())

    @needs_ffmpeg
    @pytest.mark.parametrize("kind", ["", "zip"])
    def test_segments_together(self, tmp_path, kind):
        """Segments that are read in one pass give the frames that each gives by itself."""
        pytest.importorskip("av")
        (tmp_path / "tree/0001").mkdir(parents=True)
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=12", "-g", "25"]
        subprocess.run([*command, tmp_path / "tree/0001/a.mp4"], check=True)
        place = pack(tmp_path / "tree", kind) if kind else tmp_path / "tree"
        [whole] = opened(place, layout="{sign:04d}", signers=["x"], splits=["all"]).listing(Unit("x", "all", 1)).videos
        for unit, scale in (("s", 1), ("frames", 25)):
            times = [(9.0, 11.0), (0.0, 1.0), (0.52, 2.0), (20.0, 21.0), (2.0, 2.4)]
            videos = [
                Video(**{**vars(whole), "name": f"{start}", "segment": Segment(start * scale, end * scale, unit)})
                for start, end in times
            ]
            groups = together(videos, seconds=2.2)
            assert [[video.name for video in group] for group in groups] == [
                ["0.0", "0.52"],
                ["2.0"],
                ["9.0"],
                ["20.0"],
            ]
            assert [[v.name for v in g] for g in together(videos)] == [["0.0", "0.52", "2.0"], ["9.0"], ["20.0"]]
            found: dict[int, list[Any]] = {}
            for number, frame in read_together(videos, max_pixels=10**6):
                assert frame.image is not None
                found.setdefault(number, []).append((frame.image.tobytes(), frame.timestamp, frame.name, ""))
            assert {number: len(frames) for number, frames in found.items()} == {0: 50, 1: 25, 2: 37, 4: 10}
            assert all(found[number] == frames_of(videos[number]) for number in found)
            with pytest.raises(DatasetError, match=r"has no frame from 5?[02]0 to 5?2[15]? "):
                frames_of(videos[3])

    def test_segments_of_frames(self, tree):
        """A folder of frames has segments as well, by its frame rate or by number."""
        video = opened(tree).listing(Unit("01", "test", 1)).videos[0]
        for segment, names in (
            (Segment(1, 3, "frames"), ["f2.jpg", "f10.jpg"]),
            (Segment(0.04, 0.08, "s"), ["f2.jpg"]),
        ):
            assert [f[2] for f in frames_of(Video(**{**vars(video), "segment": segment}))] == names

    def test_damaged_member(self, tree):
        """A frame that is damaged in the archive is one bad frame, with the reason."""
        path = pack(tree, "zip")
        frame = (tree / "02/02/train/0007/v 2/f2.jpg").read_bytes()
        path.write_bytes(path.read_bytes().replace(frame, frame[:-3] + b"abc"))
        video = next(v for v in opened(path).listing(Unit("02", "train", 7)).videos if v.name == "v 2")
        problems = [frame[3] for frame in frames_of(video)]
        assert problems == ["", "can't be read: damaged in the archive: its checksum differs", ""]

    def test_table_in_the_archive(self, tmp_path):
        """A manifest may lie in the archive of its videos."""
        root = touch(tmp_path / "citizen", "videos/1-HELLO.mp4", "videos/2-BYE.mp4")
        (root / "splits").mkdir()
        (root / "splits/train.csv").write_text("Participant ID,Video file,Gloss\nP1,1-HELLO.mp4,HELLO1\n")
        (root / "splits/val.csv").write_text("Participant ID,Video file,Gloss\nP2,2-BYE.mp4,BYE\n")
        path = pack(root, "zip")
        tables = {split: str(path / "splits" / f"{split}.csv") for split in ("train", "val")}
        columns = {"video": "videos/{Video file}", "signer": "Participant ID", "label": "Gloss"}
        source = opened(path, manifest={"path": tables, "columns": columns})
        assert held(source) == {"all-train/0001": ["1-HELLO"], "all-val/0001": ["2-BYE"]}
        [video] = source.listing(Unit("all", "val", 1)).videos
        assert (video.label, video.signer, video.path) == ("BYE", "P2", path / "videos/2-BYE.mp4")
        with pytest.raises(ConfigError, match="does not exist"):
            opened(path, manifest={"path": str(path / "splits/no.csv"), "columns": columns})

    def test_index_folder(self, tree):
        """The index goes to the folder that is named; where that can't be, it is told."""
        path = pack(tree, "zip")
        open_source(config(path), tree.parent / "deep" / "index")
        assert [file.suffix for file in (tree.parent / "deep" / "index").iterdir()] == [".index"]
        (tree.parent / "file").touch()
        with pytest.raises(OutputError, match="the index of the archive can't be written"):
            open_source(config(path), tree.parent / "file" / "index")

    def test_missing_root(self, tmp_path):
        """A root that is not there is told as before."""
        with pytest.raises(DatasetError, match=r"dataset\.root: .* does not exist"):
            opened(tmp_path / "nowhere")

    @pytest.mark.skipif(not SHARED.is_dir(), reason="the real KArSL videos are not here")
    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_real_videos(self, tmp_path, kind):
        """Real KArSL videos give the same names, order and pixels from an archive."""
        shutil.copytree(SHARED, tmp_path / "karsl")
        packed = opened(pack(tmp_path / "karsl", kind), splits=["train"])
        disk = open_source(config(SHARED, splits=["train"]), tmp_path)
        assert disk.units() == packed.units()
        videos = 0
        for unit in disk.units():
            for one, other in zip(packed.listing(unit).videos, disk.listing(unit).videos, strict=True):
                assert (one.name, frames_of(one)) == (other.name, frames_of(other))
                videos += 1
        assert videos == 24
