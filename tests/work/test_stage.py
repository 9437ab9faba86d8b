"""Staging: workers read copies on a local disk, which are bounded and never left behind."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from factories import make_config, write_frames

from kpsbatch.dataset.reading import copy_video, read_frames
from kpsbatch.dataset.source import open_source
from kpsbatch.dataset.video import Segment, Unit, Video, video_of
from kpsbatch.errors import ConfigError
from kpsbatch.landmarks.extract import VideoKeypoints
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.work.run import run
from kpsbatch.work.stage import Stage
from kpsbatch.work.video_job import VideoJob, VideoTask

UNIT = Unit("01", "train", 1)


def frames_of(video: Video) -> list[tuple[str, float | None, bytes]]:
    frames = read_frames(video, frame_rate=30, max_pixels=10**6)
    return [(frame.name, frame.time, b"" if frame.image is None else frame.image.tobytes()) for frame in frames]


def write_clip(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    for number in range(20):
        writer.write(np.full((48, 64, 3), number * 10, np.uint8))
    writer.release()
    return path


def shaded_frames(folder: Path, count: int = 9) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((8, 8, 3), 20 * number, np.uint8))
    (folder / "notes.txt").write_text("no frame")
    (folder / "5.png").write_bytes(b"damaged")
    return folder


class TestCopy:
    def test_frames(self, tmp_path):
        """A copied folder of frames, or a segment of one, gives the same frames, names and times; also bad ones."""
        whole = video_of(shaded_frames(tmp_path / "clip"))
        for number, video in enumerate(
            [whole, replace(whole, segment=Segment(2, 7, "frames")), replace(whole, segment=Segment(0.1, None, "s"))]
        ):
            copied = copy_video(video, tmp_path / f"copy{number}", frame_rate=30, room=lambda: 10**6)
            assert copied is not None
            assert tmp_path / f"copy{number}" in copied.video.path.parents
            assert frames_of(copied.video) == frames_of(video)

    def test_files_and_archives(self, tmp_path):
        """A copied video file, and what lies in an archive, give the same frames."""
        write_clip(tmp_path / "data.mp4")
        shaded_frames(tmp_path / "frames")
        with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / "data.mp4", "01/01/train/0001/clip.mp4")
            for path in (tmp_path / "frames").iterdir():
                archive.write(path, f"01/01/train/0001/frames/{path.name}")
        source = open_source(make_config(tmp_path, dataset={"root": "data.zip"}).dataset, tmp_path / "index")
        archived = source.listing(UNIT).videos
        assert len(archived) == 2
        for number, video in enumerate([video_of(tmp_path / "data.mp4"), *archived]):
            copied = copy_video(video, tmp_path / f"copy{number}", frame_rate=30, room=lambda: 10**6)
            assert copied is not None
            assert copied.video.index is None
            assert frames_of(copied.video) == frames_of(video)

    def test_what_is_not_copied(self, tmp_path):
        """Parts of a video file, folders without a frame, and what there is no room for are left where they are."""
        clip = video_of(write_clip(tmp_path / "clip.mp4"))
        (tmp_path / "empty").mkdir()
        part = replace(clip, segment=Segment(0, 1, "s"))
        for number, (video, room) in enumerate([(part, 10**6), (video_of(tmp_path / "empty"), 10**6), (clip, 100)]):
            place = tmp_path / f"copy{number}"
            assert copy_video(video, place, frame_rate=30, room=lambda room=room: room) is None


class TestStage:
    def tasks(self, folder: Path, count: int) -> list[VideoTask]:
        return [VideoTask(UNIT, (video_of(write_frames(folder / f"v{n}", 3, shade=n)),)) for n in range(count)]

    def test_order_and_end(self, tmp_path):
        """Tasks come in their order, of copies; a unit's copies go with it, the rest at the end."""
        tasks = self.tasks(tmp_path / "data", 7)
        local = tmp_path / "local"
        with Stage(str(local), ahead=2, frame_rate=30) as stage:
            staged = list(stage.ahead(iter(tasks)))
            assert [task.videos[0].name for task in staged] == [f"v{n}" for n in range(7)]
            assert all(local in task.videos[0].path.parents for task in staged)
            assert stage.with_real_paths(UNIT, f"{staged[3].videos[0].path}: bad") == f"{tmp_path}/data/v3: bad"
            stage.release(UNIT)
            assert not list(local.rglob("*.png"))
            list(stage.ahead(iter(tasks)))
        assert list(local.iterdir()) == []

    def test_bound(self, tmp_path):
        """Beyond the bound videos are read where they are; released units make room again."""
        tasks = self.tasks(tmp_path / "data", 6)
        size = sum(path.stat().st_size for path in tasks[0].videos[0].path.iterdir())
        local = tmp_path / "local"
        with Stage(str(local), ahead=0, frame_rate=30, max_bytes=2 * size) as stage:
            for _ in range(2):
                staged = [local in task.videos[0].path.parents for task in stage.ahead(iter(tasks))]
                assert 1 <= sum(staged) <= 3
                assert sum(path.stat().st_size for path in local.rglob("*.png")) <= 3 * size
                stage.release(UNIT)

    def test_missing_video(self, tmp_path):
        """What can't be copied is left to the worker, which says why."""
        task = VideoTask(UNIT, (Video("gone", tmp_path / "gone"),))
        with Stage(str(tmp_path / "local"), ahead=1, frame_rate=30) as stage:
            assert list(stage.ahead(iter([task]))) == [task]

    def test_killed_run(self, tmp_path):
        """What a killed run left is removed by the next one on that machine; what a living one uses is not."""
        local = tmp_path / "local"
        code = (
            "import os, sys; from kpsbatch.work.stage import Stage\n"
            f"Stage({str(local)!r}, ahead=1, frame_rate=30).__enter__(); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code], check=False)
        assert len(list(local.iterdir())) == 1
        with (
            Stage(str(local), ahead=1, frame_rate=30),
            Stage(str(local), ahead=1, frame_rate=30),
        ):
            assert len(list(local.iterdir())) == 2

    def test_unusable(self, tmp_path, monkeypatch):
        """A variable that is not set on the node, or a folder that can't be written, is one line with the remedy."""
        monkeypatch.delenv("SLURM_TMPDIR", raising=False)
        (tmp_path / "file").touch()
        for setting, said in (
            ("$SLURM_TMPDIR/kps", r"run.stage: \$SLURM_TMPDIR is not set on this machine"),
            ("somewhere", "is not an absolute path"),
            (str(tmp_path / "file"), "can't be written"),
        ):
            with pytest.raises(ConfigError, match=said), Stage(setting, ahead=1, frame_rate=30):
                pass


@pytest.fixture
def seen(monkeypatch):
    """Where each video's frames were read; a stand-in for the landmarkers, which takes a frame's grey for all."""
    paths = []

    def do(self, task, heartbeat):
        [video] = task.videos
        paths.append(video.path)
        frames = [frame.image for frame in read_frames(video, frame_rate=30, max_pixels=10**6)]
        points = np.stack([np.full((184, 4), frame[0, 0, 0] / 255, np.float32) for frame in frames])
        return [VideoKeypoints(points, VideoFacts(frames=len(frames)))]

    monkeypatch.setattr(VideoJob, "do", do)
    monkeypatch.setattr(VideoJob, "open", lambda self: None)
    monkeypatch.setattr(VideoJob, "close", lambda self: None)
    return paths


def test_run(seen, tmp_path, monkeypatch):
    """A run with run.stage reads copies only, gives the same outputs as one without, and leaves nothing there."""
    for sign in (1, 2):
        for video in range(5):
            write_frames(tmp_path / "data" / "01" / "01" / "train" / f"{sign:04}" / f"v{video}", 2, shade=40 * video)
    monkeypatch.setenv("LOCAL_DISK", str(tmp_path / "local"))
    made = {}
    for stage in ("$LOCAL_DISK/stage", None):
        sections = {"output": {"root": f"out-{stage is None}"}, "run": {"workers": 0, "stage": stage}}
        config = make_config(tmp_path, dataset={"signs": "1-2"}, **sections)
        seen.clear()
        assert run(config).exit_status == 0
        root = tmp_path / ("local" if stage else "data")
        assert len(seen) == 10
        assert all(root in path.parents for path in seen)
        made[stage] = {}
        for path in config.output.root.glob("*-*/*.npz"):
            with np.load(path) as stored:
                made[stage][path.name] = {name: stored[name].tobytes() for name in stored.files}
    first, second = made.values()
    assert first == second
    assert len(first) == 2
    assert list((tmp_path / "local" / "stage").iterdir()) == []
