"""The demo dataset: what is on the disk afterwards, and that it is what tests/synthetic/ renders."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic.demo import DemoDataset, DemoVideo, plan, render_entry, write_demo

import kpsbatch.demo
from kpsbatch.config import load_config
from kpsbatch.errors import OutputError

MAX_ARCHIVE_BYTES = 5_000_000


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return write_demo(tmp_path_factory.mktemp("a demo"))


class TestWriteDemo:
    def test_layout(self, demo):
        """Every video is a folder of unpadded JPEG frames or an mp4 of the planned length."""
        assert len(demo.videos) == 2 * 4 * (2 + 1)
        for video in demo.videos:
            entry = demo.folder(video) / video.name
            if video.as_file:
                capture = cv2.VideoCapture(str(entry.with_name(entry.name + ".mp4")))
                assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == video.frames
                capture.release()
            else:
                names = {p.name for p in entry.iterdir() if p.suffix == ".jpg"}
                assert names == {f"frame{n}.jpg" for n in range(1, video.frames + 1)}
        assert {(v.signer, v.sign) for v in demo.videos if v.as_file} == {("02", 4)}

    def test_lengths_are_uneven(self, demo):
        """Videos have 14 to 22 frames, not all the same."""
        lengths = {video.frames for video in demo.videos}
        assert len(lengths) > 3
        assert min(lengths) >= 14
        assert max(lengths) <= 22

    def test_strays(self, demo):
        """The stray files of real copies are there."""
        names = {p.name for p in demo.directory.rglob("*")}
        assert {"Thumbs.db", ".DS_Store", "config.yaml"} <= names

    def test_truth(self, demo):
        """Each unit's npz holds one (T, 48, 2) float32 array per video, under the video's name."""
        for video in demo.videos:
            with np.load(demo.truth(video)) as stored:
                joints = stored[video.name]
            assert (joints.shape, joints.dtype) == ((video.frames, 48, 2), np.float32)

    def test_complete_demo_is_left_alone(self, demo, monkeypatch):
        """A second call writes nothing."""
        before = {p: p.stat().st_mtime_ns for p in demo.directory.rglob("*")}
        monkeypatch.setattr(kpsbatch.demo, "ARCHIVE", None)
        assert write_demo(demo.directory) == demo
        assert {p: p.stat().st_mtime_ns for p in demo.directory.rglob("*")} == before

    def test_folder_that_cannot_be(self, tmp_path):
        """A demo that can't be written is one line that names its folder, and no setting."""
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match=rf"^{tmp_path}/file/demo can't be written: Not a directory\. Choose"):
            write_demo(tmp_path / "file" / "demo")

    def test_killed_write_is_redone(self, tmp_path):
        """Without the marker everything is written again, without leftovers."""

        def kill(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            kpsbatch.demo.write_demo(tmp_path, on_progress=kill)
        assert (tmp_path / kpsbatch.demo.MARKER).read_text() == "unfinished\n"
        assert kpsbatch.demo.write_demo(tmp_path, signers=1, signs=1) == tmp_path / "config.yaml"
        fresh = write_demo(tmp_path / "fresh", signers=1, signs=1).directory
        assert files(tmp_path) - {f"fresh/{name}" for name in files(fresh)} == files(fresh)

    def test_progress(self, tmp_path):
        """What is shown counts up to all files of the demo's dataset and its true joints."""
        seen: list[tuple[int, int]] = []
        kpsbatch.demo.write_demo(tmp_path, signers=1, signs=1, on_progress=lambda *n: seen.append(n))
        total = len(files(tmp_path) - {"config.yaml", kpsbatch.demo.MARKER})
        assert seen == [(done, total) for done in range(1, total + 1)]

    def test_part_of_the_demo(self, demo, tmp_path):
        """The first signers and signs alone are the same files."""
        part = write_demo(tmp_path, signers=1, signs=2)
        assert load_config(part.config).dataset.signs == (1, 2)
        shared = files(tmp_path) - {"config.yaml", kpsbatch.demo.MARKER}
        assert {name.split("/")[1][:2] for name in shared} == {"01"}
        assert len({video.sign for video in part.videos}) == 2
        for name in shared:
            assert (tmp_path / name).read_bytes() == (demo.directory / name).read_bytes()


def test_demo_directory_may_be_new(tmp_path):
    """Parents of the demo directory are made."""
    assert write_demo(tmp_path / "x" / "y", signers=1, signs=1).config.is_file()


VIDEOS = tuple(plan(kpsbatch.demo.SIGNERS, kpsbatch.demo.SIGNS))


def frames_of(entry: Path) -> np.ndarray:
    """(T, H, W, 3) of a folder of frames or a video file."""
    if entry.is_dir():
        paths = sorted(entry.glob("frame*.jpg"), key=lambda path: int(path.stem.removeprefix("frame")))
        return np.stack([cv2.imread(str(path)) for path in paths])
    capture, frames = cv2.VideoCapture(str(entry)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames)


class TestShipped:
    """The archive in the package: `python -m tests.synthetic.demo` makes it."""

    def test_small(self):
        """It has less than five megabytes."""
        assert kpsbatch.demo.ARCHIVE.stat().st_size < MAX_ARCHIVE_BYTES

    def test_same_files(self, demo):
        """Every file of it goes to the disk, and nothing else does but the config and the mark of a whole demo."""
        with tarfile.open(kpsbatch.demo.ARCHIVE) as archive:
            names = archive.getnames()
        assert len(names) == len(set(names))
        assert {*names, "config.yaml", kpsbatch.demo.MARKER} == files(demo.directory)

    @pytest.mark.parametrize(
        "video",
        [
            pytest.param(video, id=video.name, marks=[] if video.take == 1 and video.sign == 4 else pytest.mark.slow)
            for video in VIDEOS
        ],
    )
    def test_is_what_is_rendered(self, demo, video: DemoVideo, tmp_path):
        """Frames and true joints are those of the renderer, within what processors and encoders differ by."""
        rendered = DemoDataset(tmp_path, (video,))
        joints = render_entry(rendered, video)
        with np.load(demo.truth(video)) as stored:
            np.testing.assert_allclose(stored[video.name], joints, atol=1e-3)
        ours, theirs = (frames_of(made.entry(video)).astype(np.int16) for made in (rendered, demo))
        difference = np.abs(ours - theirs)
        assert difference.mean() < 0.1
        assert difference.max() <= 16
