"""The whole program on tables and archives: each row once, whatever file it lies in; outputs as from a plain tree."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_config, write_config, write_frames
from made_pictures import write_mp4
from numpy.typing import NDArray
from synthetic.demo import write_demo

from kpsbatch.cli.main import main
from kpsbatch.cluster.script import interpreter
from kpsbatch.cluster.submission import plan_submission
from kpsbatch.config import Config, LandmarksConfig, load_config
from kpsbatch.dataset.frame import RGB, Frame
from kpsbatch.dataset.reading import read_each, read_frames, together
from kpsbatch.dataset.source import open_source
from kpsbatch.dataset.video import Box, Segment, Unit, Video
from kpsbatch.errors import InterruptedRun, OutputError
from kpsbatch.files import INTERNAL
from kpsbatch.landmarks import clip, networks
from kpsbatch.landmarks.clip import FrameLandmarks
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.shots import around
from kpsbatch.landmarks.signer import Wish
from kpsbatch.look.status import StatusReader
from kpsbatch.look.verify import verify
from kpsbatch.pictures.report.gather import gather
from kpsbatch.store.reading import open_dataset
from kpsbatch.work.run import Summary, open_outputs, run, survey_to_do
from kpsbatch.work.video_job import VideoJob, VideoTask
from kpsbatch.work.worker import SentHeartbeat, receive

SHADES = [(4 * number + 12,) * 3 for number in range(60)]
"""Of the frames of the long video, 10 a second: dark to bright, so that a frame is known by its shade."""


class Stub:
    """Stands for the networks."""

    def __init__(self, settings: LandmarksConfig, *_: Any) -> None:
        self.settings = settings
        self.seen: list[RGB] = []

    def close(self) -> None:
        pass


def follow_clip(images: Iterable[RGB], stub: Stub, *_: Any) -> Iterator[FrameLandmarks]:
    """A pose where the picture is brightest, as large as the picture is bright."""
    for image in images:
        stub.seen.append(image)
        if 107 <= image.mean() <= 112:  # frame 25
            raise RuntimeError("a graph that fails")
        place = np.unravel_index(int(image.sum(axis=2).argmax()), image.shape[:2])
        pose = np.full((33, 4), 0.5, np.float32)
        pose[:, 0], pose[:, 1] = place[1] / image.shape[1], place[0] / image.shape[0]
        pose[:, 2] = image.mean() / 255
        yield FrameLandmarks(pose, how={"pose": "d"})


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "Networks", Stub)
    monkeypatch.setattr(clip, "follow_clip", follow_clip)


def write_rows(folder: Path, rows: Sequence[tuple[Any, ...]]) -> None:
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "key", "text", "start", "end"), *rows])


ROWS = [
    ("long.mp4", "a", "one", 0.0, 1.0),
    ("long.mp4", "b", "two", 0.5, 1.5),  # overlaps
    ("long.mp4", "c", "three", 4.0, 5.0),
    ("short.mp4", "d", "four", "", ""),
    ("gone.mp4", "e", "five", 0, 1),
    ("long.mp4", "f", "six", 3, 2),
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A config of a table of two long files; two of its rows are bad."""
    (tmp_path / "data").mkdir()
    write_mp4(tmp_path / "data" / "long.mp4", SHADES)
    write_mp4(tmp_path / "data" / "short.mp4", SHADES[30:35])
    write_rows(tmp_path, ROWS)
    columns = {"video": "file", "id": "key", "label": "text", "start": "start", "end": "end"}
    return write_config(
        tmp_path,
        dataset={
            "signers": "all", "splits": "all", "signs": "all", "videos_per_unit": 4,
            "manifest": {"path": "table.csv", "columns": columns},
        },
        run={"workers": 0},
    )  # fmt: skip


def arrays(config: Config) -> dict[str, NDArray[np.float32]]:
    """Every video of every output."""
    found: dict[str, NDArray[np.float32]] = {}
    for path in sorted(config.output.root.glob("*-*/*.npz")):
        with np.load(path) as stored:
            found.update({f"{path.stem}/{name}": stored[name] for name in stored.files})
    return found


def index_of(config: Config) -> list[dict[str, str]]:
    with (config.output.root / "index.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def shades(keypoints: NDArray[np.float32]) -> list[int]:
    """The numbers of the frames of the long video that keypoints are of."""
    return [int((float(z) * 255 - 8) // 4) for z in keypoints[:, 0, 2]]  # the codec darkens by 2 or 3


def names(summary: Summary) -> list[str]:
    return sorted(unit.name for unit in summary.stored)


@pytest.mark.usefixtures("stubbed")
class TestTable:
    def test_every_row_once(self, table):
        """Segments, also overlapping ones, hold their frames and no others; bad rows are left out."""
        config = load_config(table)
        summary = run(config)
        assert (summary.exit_status, summary.failures) == (0, [])
        found = {name: shades(array) for name, array in arrays(config).items()}
        assert found == {
            "0001/a": list(range(10)),
            "0001/b": list(range(5, 15)),
            "0001/c": list(range(40, 50)),
            "0001/d": list(range(30, 35)),
        }
        record = json.loads(next((config.output.root / INTERNAL / "records").glob("*/*/0001.json")).read_text())
        assert len(record["made_digest"]) == 16
        assert record["videos"]["b"]["frame_rate"] == 10.0

    def test_index(self, table):
        """index.csv tells of every video in the outputs, also after a run of a part of the table."""
        config = load_config(table)
        write_rows(table.parent, [*ROWS, ("short.mp4", "g", 'a "word"', 0.1, 0.3)])
        run(config, [2])
        run(config)
        rows = index_of(config)
        assert [(row["file"], row["key"], row["label"], row["frames"]) for row in rows] == [
            ("all-all/0001.npz", "a", "one", "10"),
            ("all-all/0001.npz", "b", "two", "10"),
            ("all-all/0001.npz", "c", "three", "10"),
            ("all-all/0001.npz", "d", "four", "5"),
            ("all-all/0002.npz", "g", 'a "word"', "2"),
        ]
        assert [rows[2][name] for name in ("source", "start", "end", "rate", "width", "height")] == [
            "table.csv:4", "4.0", "5.0", "10.0", "64", "48",
        ]  # fmt: skip

    def test_new_labels(self, table):
        """A label that changes redoes nothing, and is told by the next run's index."""
        config = load_config(table)
        run(config)
        write_rows(table.parent, [(file, key, "new", start, end) for file, key, _, start, end in ROWS])
        assert names(run(config)) == []
        rows = index_of(config)
        assert [row["label"] for row in rows] == ["new"] * 4

    def test_changed_rows(self, table, capsys):
        """Units of changed rows are left to do, and redone; what the table has no more is kept until --prune."""
        config = load_config(table)
        more = [("short.mp4", f"g{number}", "", "", "") for number in range(4)]
        write_rows(table.parent, [*ROWS, *more])
        assert names(run(config)) == ["all-all/0001", "all-all/0002", "all-all/0003"]
        assert run(config).stored == []
        before = arrays(config)
        write_rows(table.parent, [*ROWS[:2], ("long.mp4", "z", "", 2.0, 2.2), *ROWS[3:], *more])
        status = StatusReader(config).read()
        assert (status.count("complete"), status.count("left")) == (2, 1)
        assert [unit.name for unit in verify(config).left] == ["all-all/0001"]
        assert names(run(config)) == ["all-all/0001"]
        assert shades(arrays(config)["0001/z"]) == [20, 21]
        np.testing.assert_array_equal(arrays(config)["0001/c"], before["0001/c"])
        assert "c" not in [row["key"] for row in index_of(config)]
        assert sorted(video.video for video in open_dataset(config.output.root).videos)[:4] == ["a", "b", "d", "g0"]
        assert verify(config).exit_status == 0
        write_rows(table.parent, [*ROWS[:2], ("long.mp4", "z", "", 2.0, 2.2), *ROWS[3:]])
        [note] = StatusReader(config).read().notes
        assert note.startswith("kept, but not in the dataset any more: 1 video (such as all-all/0001/c, since 20")
        assert note.endswith(") and 1 unit (such as all-all/0003); run --prune removes them")
        assert run(config).stored == []
        assert "0003/g3" in arrays(config)
        assert call("run", str(table), "--prune", "-q") == 0
        said = capsys.readouterr().out
        assert said.startswith("not in the dataset any more: all-all/0001.npz: c\n")
        assert "all-all/0003.npz: g2, g3\n" in said
        assert sorted(arrays(config)) == [f"0001/{name}" for name in "abdz"]
        assert StatusReader(config).read().notes == []
        assert verify(config).exit_status == 0

    def test_kept_only_of_the_same_row(self, table):
        """A video that fails in a redo keeps its keypoints, unless they were made from another segment."""
        config = load_config(table)
        run(config)
        before = arrays(config)
        (table.parent / "data" / "long.mp4").write_bytes(b"broken")
        write_rows(table.parent, [ROWS[0], ("long.mp4", "b", "", 0.6, 1.5), *ROWS[2:]])
        assert run(config).exit_status == 1
        after = arrays(config)
        assert sorted(after) == ["0001/a", "0001/c", "0001/d"]
        np.testing.assert_array_equal(after["0001/a"], before["0001/a"])

    def test_a_segment_that_fails(self, table):
        """A segment that fails does no harm to those that were read with it, and says why."""
        config = load_config(table)
        write_rows(table.parent, [*ROWS[:2], ("long.mp4", "bad", "", 2.0, 3.0), ("long.mp4", "far", "", 99, 100)])
        summary = run(config)
        assert {name: shades(array) for name, array in arrays(config).items()} == {
            "0001/a": list(range(10)), "0001/b": list(range(5, 15)),
        }  # fmt: skip
        reasons = dict(summary.failures)
        assert "a graph that fails" in reasons["all-all/0001/bad"]
        assert "has no frame from 99 to 100 s. Correct table.csv:5." in reasons["all-all/0001/far"]
        assert summary.progress.videos_done == 4

    def test_commands(self, table, capsys, tmp_path):
        """scan names bad rows with their lines; report, preview and verify work."""
        assert call("scan", str(table)) == 0
        said = capsys.readouterr().out
        assert "2 rows of the table can't be used:\n  table.csv:6: " in said
        assert "table.csv:7: " in said
        assert "table: 6 rows: 4 videos, 2 that can't be used\n" in said
        assert call("run", str(table), "--quiet") == 0
        said = capsys.readouterr().err
        assert "2 rows of the table can't be used: table.csv:6: " in said
        assert "(6 rows: 4 videos, 2 that can't be used)" in said
        assert call("verify", str(table), "--quiet") == 0
        data = gather(load_config(table))
        assert [video.name for video in data.videos] == ["a", "b", "c", "d"]
        assert call("report", str(table), "--quiet", "-o", str(tmp_path / "r.html")) == 0
        assert call("preview", str(table), "--video", "c", "-o", str(tmp_path / "c.png")) == 0
        assert "(10 of 10 frames)" in capsys.readouterr().out


class TestSharedPass:
    def test_grouped(self, tmp_path):
        """Segments of a file that overlap, each read by itself or in one pass, are the same, and decoded once."""
        path = write_mp4(tmp_path / "long.mp4", SHADES)
        parts = [(0.0, 2.0), (0.5, 0.9), (1.5, 3.0), (3.4, 3.5), (5.9, 9.0)]
        videos = [Video(str(n), path, True, segment=Segment(a, b, "s")) for n, (a, b) in enumerate(parts)]
        assert together(videos) == [videos[:4], videos[4:]]
        skipped: list[int] = []
        each = read_each(videos, max_pixels=10**6, on_skipped=lambda: skipped.append(1))
        found = {number: list(frames or ()) for number, frames in each}
        for number, video in enumerate(videos):
            alone = list(read_frames(video, frame_rate=1, max_pixels=10**6))
            assert [frame.time for frame in found[number]] == [frame.time for frame in alone]
            for one, other in zip(found[number], alone, strict=True):
                np.testing.assert_array_equal(one.image, other.image)
        assert len(skipped) >= 4  # frames 30-33, at least

    def test_overlap_that_is_too_long(self, tmp_path, monkeypatch):
        """Frames are kept up to a limit; a segment beyond it is to be read by itself."""
        monkeypatch.setattr("kpsbatch.dataset.reading.MAX_KEPT_BYTES", 5 * 64 * 48 * 3)
        path = write_mp4(tmp_path / "long.mp4", SHADES)
        parts = [(0.0, 2.0), (1.0, 2.0), (2.0, 3.0)]
        videos = [Video(str(n), path, True, segment=Segment(a, b, "s")) for n, (a, b) in enumerate(parts)]
        found = {n: frames and len(list(frames)) for n, frames in read_each(videos, max_pixels=10**6)}
        assert found == {0: 20, 1: None, 2: 10}


class TestSignOfLife:
    @pytest.mark.usefixtures("stubbed")
    @pytest.mark.parametrize("count", [1, 2])
    def test_frames_before_a_segment(self, tmp_path, count):
        """A frame that is decoded on the way to a segment is a sign of life, and no frame of the video."""
        path = write_mp4(tmp_path / "long.mp4", SHADES)
        parts = [Segment(1.5, 2.0, "s"), Segment(2.8, 3.3, "s")][:count]  # too near to be sought
        videos = tuple(Video(str(n), path, True, segment=part) for n, part in enumerate(parts))
        config = make_config(tmp_path, landmarks={"parts": "pose"})
        job = VideoJob.of(config, {})
        job.open()
        beats: list[int] = []
        made = job.do(VideoTask(Unit("a", "b", 1), videos), lambda steps=1: beats.append(steps))
        assert [one and one.facts.frames for one in made] == [5] * count
        assert beats.count(1) == 5 * count
        assert beats[:15] == [0] * 15
        assert beats.count(0) >= (15, 23)[count - 1]

    def test_is_told_to_the_parent(self):
        """A worker tells of it though no frame is done, at most twice a second."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            heartbeat = SentHeartbeat(theirs)
            heartbeat._next = 0.0
            heartbeat(0)
            assert receive(ours) == 0
            heartbeat(2)
            heartbeat.flush()
            assert receive(ours) == 2


class TestBox:
    def test_a_box_is_in_the_picture_as_the_file_has_it(self, stubbed):
        """What is looked at is the whole frame, flipped where it is mirrored; the box is flipped with it."""
        image = np.zeros((80, 120, 3), np.uint8)
        image[50, 72] = 255
        for mirrored in (False, True):
            stub: Any = Stub(LandmarksConfig(parts=("pose",)))
            made = extract([Frame(image, 0, "0")], stub, box=Box(60, 40, 24, 24, "pixels"), mirrored=mirrored)
            assert stub.seen[0].shape == image.shape
            np.testing.assert_allclose(made.keypoints[0, 0, :2], [72 / 120, 50 / 80], atol=2**-17 + mirrored / 120)
            assert made.facts.sizes == {"120x80": 1}
        for box in (Box(0.5, 0.5, 0.2, 0.3, "shares"), Box(60, 40, 24, 24, "pixels")):
            assert Wish(box=box).box_in((120, 80)) == pytest.approx((60, 40, 84, 64))
            assert Wish(box=box, mirrored=True).box_in((120, 80)) == pytest.approx((36, 40, 60, 64))

    @pytest.mark.parametrize("box", [Box(900, 10, 50, 50, "pixels"), Box(5, 5, 0, 9, "pixels")])
    def test_a_box_that_holds_nothing(self, box):
        """A box outside of the frame, or without width, is none."""
        assert Wish(box=box).box_in((640, 480)) is None

    def test_people_are_searched_around_a_box(self):
        """In a part of the frame that has its shape, and holds the box with its margin where there is room."""
        assert around((0, 0, 640, 480), (640, 480)) == (0, 0, 640, 480)
        for box in ((0, 108, 384, 648), (1536, 864, 1920, 1080), (768, 432, 960, 756)):
            left, top, width, height = around(box, (1920, 1080))
            assert abs(width / height - 16 / 9) < 0.01
            assert 0 <= left <= box[0] + 1
            assert box[2] <= left + width + 1 <= 1921
            assert 0 <= top <= box[1] + 1
            assert box[3] <= top + height + 1 <= 1081


def call(*arguments: str) -> int | str | None:
    """Run the command line in this process; returns its exit status."""
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    return done.value.code


def zip_tree(root: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(root.rglob("*")):
            file.write(path, path.relative_to(root).as_posix())
    return archive


class TestArchive:
    @pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")
    def test_outputs_are_those_of_the_tree(self, tmp_path):
        """From the zip, every output has the bytes that it has from the tree, with the real networks."""
        demo = write_demo(tmp_path / "demo", signers=1, signs=1)
        archive = zip_tree(demo.directory / "dataset", tmp_path / "demo.zip")
        files: list[dict[str, bytes]] = []
        for name, root in (("tree", demo.directory / "dataset"), ("zip", archive)):
            out = tmp_path / name
            config = load_config(demo.config, [f"dataset.root={root}", f"output.root={out}", "run.workers=1"])
            assert run(config).exit_status == 0
            files.append({str(path.relative_to(out)): path.read_bytes() for path in sorted(out.glob("*-*/*.npz"))})
        assert files[0] == files[1]
        assert len(files[0]) == 2

    @pytest.mark.usefixtures("stubbed")
    def test_commands(self, tmp_path, capsys):
        """scan, run, status, verify, report and preview take an archive; its index is built once."""
        demo = write_demo(tmp_path / "demo", signers=1, signs=1)
        archive = zip_tree(demo.directory / "dataset", tmp_path / "demo.zip")
        shutil.rmtree(demo.directory / "dataset")
        for command in (["scan"], ["run", "--quiet"], ["status"], ["verify", "--quiet"]):
            settings = ["--set", f"dataset.root={archive}", "--set", "run.workers=0"]
            assert call(command[0], str(demo.config), *settings, *command[1:]) == 0, capsys.readouterr()
        picture, page = tmp_path / "p.png", tmp_path / "r.html"
        assert call("preview", str(demo.config), "--set", f"dataset.root={archive}", "-o", str(picture)) == 0
        assert call("report", str(demo.config), "--set", f"dataset.root={archive}", "-o", str(page), "--quiet") == 0
        assert "dataset is not here" not in page.read_text()
        [index] = (tmp_path / "demo" / "out" / INTERNAL / "archives").iterdir()
        assert index.name.startswith("demo.zip-")

    def test_image_in_a_container(self, tmp_path):
        """`slurm.dataset_image` is mounted as `dataset.root`, and what a task reads besides at its own place."""
        config = make_config(
            tmp_path,
            dataset={
                "root": "/data", "signers": "all", "splits": "all", "signs": "all",
                "manifest": {"path": {"a": "a.csv", "b": "/data/b.csv"}, "columns": {"video": "file"}},
            },
            slurm={"container": "kps.sif", "dataset_image": "karsl.sqsh"},
        )  # fmt: skip
        assert interpreter(config, "apptainer").split(" --mount ")[1:] == [
            f"type=bind,source={tmp_path}/karsl.sqsh,destination=/data,image-src=/,ro",
            f"type=bind,source={tmp_path}/out,destination={tmp_path}/out",
            f"type=bind,source={tmp_path}/a.csv,destination={tmp_path}/a.csv,ro {tmp_path}/kps.sif python",
        ]


@pytest.mark.usefixtures("stubbed")
class TestOneDataset:
    """A folder of outputs belongs to one dataset."""

    @pytest.fixture
    def monday(self, tmp_path: Path) -> Config:
        """A config of a folder whose videos were computed."""
        write_mp4(self.folder(tmp_path / "monday" / "01" / "train" / "0001") / "a.mp4", SHADES[:4])
        write_mp4(self.folder(tmp_path / "monday" / "01" / "test" / "0001") / "b.mp4", SHADES[:5])
        config = self.config(tmp_path, "monday")
        run(config)
        return config

    @staticmethod
    def folder(path: Path) -> Path:
        path.mkdir(parents=True)
        return path

    @staticmethod
    def config(folder: Path, root: str, **dataset: Any) -> Config:
        every = {"signers": "all", "splits": "all", "signs": "all", "layout": "{signer}/{split}/{sign:04d}"}
        return make_config(folder, dataset={"root": root, **every, **dataset}, run={"workers": 0})

    @pytest.mark.parametrize("name", ["x.mp4", "a.mp4"])  # the name may be the same, the size is not
    def test_another_is_refused(self, monday, tmp_path, name):
        """By run and submit, with the names of both; --overwrite replaces all, also when it was stopped between."""
        write_mp4(self.folder(tmp_path / "tuesday" / "01" / "train" / "0001") / name, SHADES[:3])
        before = arrays(monday)
        tuesday = self.config(tmp_path, "tuesday")
        for refused in (run, plan_submission):
            with pytest.raises(OutputError, match=r"dataset: .*/monday; none of its videos is in .*/tuesday\. "):
                refused(tuesday)
        assert arrays(monday).keys() == before.keys()
        assert plan_submission(tuesday, overwrite=True).units == 1
        assert names(run(tuesday, overwrite=True)) == ["01-train/0001"]
        assert arrays(tuesday).keys() == {f"0001/{name[0]}"}
        assert len(arrays(tuesday)[f"0001/{name[0]}"]) == 3
        assert run(tuesday).stored == []
        with pytest.raises(OutputError, match=r"another dataset: .*/tuesday; none of its videos is in .*/monday\. "):
            run(monday)

    def test_what_an_overwrite_left_is_not_taken_for_ones_own(self, monday, tmp_path):
        """Units that --overwrite has not come to yet are of another dataset for the next run."""
        for split in ("train", "test"):
            write_mp4(self.folder(tmp_path / "tuesday" / "01" / split / "0001") / "x.mp4", SHADES[:3])
        tuesday = self.config(tmp_path, "tuesday")

        def stop_reason() -> str:
            return "enough" if any((tmp_path / "out" / "_kpsbatch" / "records").glob("*-1/")) else ""

        with pytest.raises(InterruptedRun):
            run(tuesday, overwrite=True, stop_reason=stop_reason)
        with pytest.raises(OutputError, match="it is of another dataset"):
            run(tuesday)
        run(tuesday, overwrite=True)
        assert arrays(tuesday).keys() == {"0001/x"}
        assert len(arrays(tuesday)["0001/x"]) == 3

    def test_the_same_is_not_refused(self, monday, tmp_path):
        """A part of it, a part that was not computed before, a folder of it, and one that was moved or packed."""
        write_mp4(self.folder(tmp_path / "monday" / "02" / "train" / "0002") / "c.mp4", SHADES[:3])
        assert names(run(self.config(tmp_path, "monday", signers=["02"]))) == ["02-train/0002"]
        assert run(self.config(tmp_path, "monday/01", layout="{split}/{sign:04d}", signers=["01"])).stored == []
        with zipfile.ZipFile(tmp_path / "monday.zip", "w") as packed:
            for path in (tmp_path / "monday").rglob("*.mp4"):
                packed.write(path, path.relative_to(tmp_path / "monday"))
        assert run(self.config(tmp_path, "monday.zip")).stored == []
        (tmp_path / "monday").rename(tmp_path / "moved")
        config = self.config(tmp_path, "moved")
        assert run(config).stored == []
        shutil.rmtree(tmp_path / "moved")
        self.folder(tmp_path / "moved")
        (tmp_path / "moved" / "other").mkdir()
        assert run(self.config(tmp_path, "moved", signers=["01"], splits=["train"], signs="1")).stored == []
        assert len(arrays(config)) == 3

    @pytest.mark.parametrize("earlier", [False, True])
    def test_an_edited_table_is_not_refused(self, table, earlier):
        """No row is as before, but the files are there; where no dataset is noted (0.2), records tell by names."""
        config = load_config(table)
        run(config)
        if earlier:
            shutil.rmtree(config.output.root / INTERNAL / "datasets")
        write_rows(table.parent, [("short.mp4", "d" if earlier else "n", "", "", "")])
        assert names(run(config)) == ["all-all/0001"]


@pytest.mark.usefixtures("stubbed")
class TestNewVideos:
    """New and replaced videos of units that are finished: by names and sizes of files."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Config:
        """A finished run over a.mp4 and the frames of b."""
        self.sign(tmp_path).mkdir(parents=True)
        write_mp4(self.sign(tmp_path) / "a.mp4", SHADES[:4])
        write_frames(self.sign(tmp_path) / "b", 3)
        config = make_config(tmp_path, dataset={"layout": "{sign:04d}"}, run={"workers": 0})
        assert names(run(config)) == ["01-train/0001"]
        return config

    @staticmethod
    def sign(folder: Path) -> Path:
        return folder / "data" / "0001"

    @staticmethod
    def record(config: Config) -> dict[str, Any]:
        [path] = (config.output.root / INTERNAL / "records").glob("*/*/0001*.json")
        videos: dict[str, Any] = json.loads(path.read_text())["videos"]
        return videos

    @staticmethod
    def said(config: Config) -> tuple[list[str], list[tuple[str, str]], int]:
        """What status notes; the news of verify, and its exit status."""
        verdict = verify(config)
        assert verdict.problems == []
        news = [(news.name, news.text) for news in verdict.news]
        return StatusReader(config).read().notes, news, verdict.exit_status

    def test_added(self, config, tmp_path, capsys):
        """status and verify name it; a run computes it alone and keeps the rest as it is; then nothing is left."""
        arrays_before, record_before = arrays(config), self.record(config)
        write_frames(self.sign(tmp_path) / "c", 2)
        notes, news, status = self.said(config)
        assert notes == ["1 video new in units that are finished (such as 01-train/0001/c); a run does that"]
        assert news == [("01-train/0001/c", "the dataset has it, the output and its record do not")]
        assert (status, StatusReader(config).read().count("left"), plan_submission(config).units) == (1, 1, 1)
        assert call("run", str(tmp_path / "config.yaml"), "-q") == 0
        said = capsys.readouterr().out
        assert "1 unit finished now (1 video, 2 frames, " in said
        assert "1 video new in units that were finished before: 01-train/0001/c\n" in said
        assert self.said(config) == ([], [], 0)
        assert list(self.record(config)) == ["a", "b", "c"]
        for name in ("a", "b"):
            assert self.record(config)[name] == record_before[name]
            np.testing.assert_array_equal(arrays(config)[f"0001/{name}"], arrays_before[f"0001/{name}"])
        assert run(config).stored == []

    def test_replaced(self, config, tmp_path, capsys):
        """A file of another size is named by run, status and verify, and redone with --overwrite, it alone."""
        write_mp4(self.sign(tmp_path) / "a.mp4", SHADES[:9])
        sizes = [(self.sign(tmp_path) / "a.mp4").stat().st_size, self.record(config)["a"]["bytes"]]
        for _ in range(2):
            assert call("run", str(tmp_path / "config.yaml"), "-q") == 0
            what = (
                "1 video with another file than its keypoints were made from; --overwrite redoes that: 01-train/0001/a"
            )
            assert what in capsys.readouterr().out
        assert len(arrays(config)["0001/a"]) == 4
        notes, news, status = self.said(config)
        assert notes == [
            "1 video (such as 01-train/0001/a) with another file than its keypoints were made from; "
            "run --overwrite redoes that"
        ]
        assert news == [("01-train/0001/a", "its file has {} bytes; its keypoints are of one of {}".format(*sizes))]
        assert (status, plan_submission(config).units, plan_submission(config, overwrite=True).units) == (1, 0, 1)
        assert verify(config, decode=True).problems == []
        summary = run(config, overwrite=True)
        assert (summary.progress.videos_done, len(arrays(config)["0001/a"])) == (1, 9)
        assert self.said(config) == ([], [], 0)
        assert verify(config, decode=True).exit_status == 0
        assert run(config, overwrite=True).stored == []

    def test_times_do_not_count(self, config, tmp_path):
        """A dataset that was purged and copied back is the same."""
        shutil.copytree(tmp_path / "data", tmp_path / "copy")
        shutil.rmtree(tmp_path / "data")
        for path in (tmp_path / "copy").rglob("*"):
            os.utime(path, (1, 1))
        (tmp_path / "copy").rename(tmp_path / "data")
        assert self.said(config) == ([], [], 0)
        assert run(config, overwrite=True).stored == []

    def test_beside_failed_and_gone(self, config, tmp_path):
        """What failed is not tried again for it, and what is gone is kept."""
        (self.sign(tmp_path) / "x.mp4").write_bytes(b"broken")
        assert (run(config).exit_status, self.record(config)["x"]["bytes"]) == (1, 6)
        (self.sign(tmp_path) / "a.mp4").unlink()
        write_frames(self.sign(tmp_path) / "c", 2)
        failed = self.record(config)["x"]
        [new, gone] = StatusReader(config).read().notes
        assert new.startswith("1 video new") and gone.startswith("kept, but not in the dataset any more: 1 video (such")
        summary = run(config)
        assert (summary.progress.videos_done, summary.exit_status) == (1, 1)
        assert sorted(arrays(config)) == ["0001/a", "0001/b", "0001/c"]
        assert self.record(config)["x"] == failed
        write_mp4(self.sign(tmp_path) / "a.mp4", SHADES[:4])
        assert run(config).progress.videos_done == 0
        assert (self.record(config)["a"]["gone_since"], self.said(config)[:2]) == ("", ([], []))

    def test_output_that_is_damaged(self, config, tmp_path):
        """What can't be kept is computed again."""
        [npz] = config.output.root.glob("*/*.npz")
        npz.write_bytes(npz.read_bytes()[:-9])
        write_frames(self.sign(tmp_path) / "c", 2)
        assert run(config).progress.videos_done == 3
        assert self.said(config) == ([], [], 0)

    def test_a_file_that_a_table_names(self, table):
        """All of its rows are named, and no other row is done again."""
        config = load_config(table)
        run(config)
        write_mp4(table.parent / "data" / "short.mp4", SHADES[:9])
        summary = run(config)
        assert (summary.stored, summary.replaced) == ([], ["all-all/0001/d"])
        assert run(config, overwrite=True).progress.videos_done == 1
        assert len(arrays(config)["0001/d"]) == 9
        assert verify(config).exit_status == 0

    def test_appended_rows(self, table):
        """Of a unit that grows only the new rows are computed."""
        config = load_config(table)
        run(config)
        short = [row for row in ROWS if row[1] != "e"]
        write_rows(table.parent, [*short[:3], ("short.mp4", "d", "four", "", ""), *short[4:]])
        run(config)
        write_rows(table.parent, [*short[:3], ("short.mp4", "d", "four", "", ""), ("short.mp4", "h", "", "", "")])
        assert run(config).progress.videos_done == 1

    def test_no_folder_of_frames_is_listed(self, config, tmp_path, monkeypatch):
        """A run with nothing to do lists the folder of a unit, and none of its videos; the claim looks at some."""
        listed: list[str] = []
        scandir = os.scandir

        def noted(path: Any = ".") -> Any:
            listed.append(os.fspath(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", noted)
        surveyed = survey_to_do(open_source(config.dataset, tmp_path), open_outputs(config)[0], depth="videos")
        assert [unit.state for unit in surveyed] == ["complete"]
        below = [path for path in listed if path.startswith(str(tmp_path / "data"))]
        assert set(below) == {str(tmp_path / "data"), str(self.sign(tmp_path))}
