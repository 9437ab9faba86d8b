"""The main job, from a dataset to its output files, through success, failure, interruption and murder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from factories import fingerprint, make_config, write_config
from memory_job import LargeVideo
from numpy.typing import NDArray
from processes import REPOSITORY, kpsbatch, start, wait_until, wait_until_dead, workers_of
from synthetic.demo import DemoDataset, DemoVideo, write_demo

import kpsbatch.dataset.reading as reading_module
from kpsbatch.config import Config, load_config
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.video import Unit, Video, video_of
from kpsbatch.errors import DatasetError, InterruptedRun, ModelError, OutputError
from kpsbatch.files import INTERNAL
from kpsbatch.landmarks.network_files import find_networks, models_of
from kpsbatch.look.verify import verify
from kpsbatch.points import Topology
from kpsbatch.store import claim
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.run_state import Progress, read_runs
from kpsbatch.work import run as run_module
from kpsbatch.work.run import Summary, run
from kpsbatch.work.video_job import VideoJob, VideoTask

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")

SIGNER = Path(__file__).parents[3] / "shared" / "data" / "signer.mp4"
SIZE = 256
IMAGE_MODE = ("--set", "landmarks.running_mode=image")
TRUTH = {"pose": slice(0, 6), "right_hand": slice(6, 27), "left_hand": slice(27, 48)}
Files = dict[str, dict[str, NDArray[Any]]]


class Done(NamedTuple):
    """A finished run."""

    config: Config
    summary: Summary
    files: Files


def read_outputs(root: Path) -> Files:
    """Read every output the way other people's code does."""
    files: Files = {}
    for path in sorted(root.glob("*-*/*.npz")):
        files[str(path.relative_to(root))] = {}
        with np.load(path) as stored:
            for name, kps in stored.items():
                assert kps.shape[1:] == (184, 4)
                files[str(path.relative_to(root))][name] = kps
    return files


def assert_same(files: Files, others: Files, tolerance: float = 1e-4) -> None:
    assert files.keys() == others.keys()
    for path, videos in files.items():
        assert list(videos) == list(others[path])
        for name, kps in videos.items():
            np.testing.assert_allclose(kps, others[path][name], atol=tolerance, err_msg=f"{path} {name}")


def some(files: Files, beginning: str) -> Files:
    """The outputs whose path begins like this."""
    return {path: videos for path, videos in files.items() if path.startswith(beginning)}


def records(root: Path) -> dict[str, dict[str, Any]]:
    """The records of all units, by the end of their path."""
    folder = root / INTERNAL / "records"
    found = {path: json.loads(path.read_text()) for path in folder.glob("*/*/*.json")}
    return {str(path.relative_to(folder)).split("/", 1)[1]: record for path, record in found.items()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoDataset:
    """Six videos of two signs, a hundred frames."""
    return write_demo(tmp_path_factory.mktemp("a demo (1)"), signers=1, signs=2)


def load(demo: DemoDataset, out: Path, *overrides: str) -> Config:
    return load_config(demo.config, [f"output.root={out}", "run.workers=2", "landmarks.running_mode=image", *overrides])


@pytest.fixture(scope="module")
def image(demo: DemoDataset, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The undisturbed run in image mode."""
    config = load(demo, tmp_path_factory.mktemp("image") / "out")
    return Done(config, run(config), read_outputs(config.output.root))


@pytest.fixture(scope="module")
def clip(demo: DemoDataset, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The undisturbed run in clip mode."""
    config = load(demo, tmp_path_factory.mktemp("clip") / "out", "landmarks.running_mode=clip")
    return Done(config, run(config), read_outputs(config.output.root))


def of(done: Done, entry: DemoVideo) -> NDArray[Any]:
    return done.files[f"{entry.signer}-{entry.split}/{entry.sign:04}.npz"][entry.name]


def truth_of(demo: DemoDataset, entry: DemoVideo) -> NDArray[np.float32]:
    with np.load(demo.truth(entry)) as stored:
        return stored[entry.name]


class TestAccuracy:
    """Against the joints that were rendered, in pixels of 256."""

    @pytest.mark.parametrize(
        ("mode", "part", "median", "worst"),
        [
            ("clip", "right_hand", 1.5, 4.0),
            ("clip", "left_hand", 1.5, 4.0),
            ("clip", "pose", 5.0, 15.0),
            ("image", "right_hand", 1.5, 4.0),
            ("image", "left_hand", 1.5, 4.0),
            ("image", "pose", 5.0, 15.0),
        ],
    )
    def test_error(self, request, demo, mode, part, median, worst):
        """Landmarks lie on the rendered joints: by the median, and in all but a few frames."""
        errors: list[float] = []
        missing = rendered = 0
        for entry in demo.videos:
            points = of(request.getfixturevalue(mode), entry)[:, Topology.PARTS[part]]
            truth = truth_of(demo, entry)[:, TRUTH[part]]
            for found, true in zip(points, truth, strict=True):
                if np.isfinite(true).all():
                    rendered += 1
                    missing += not found[:, 3].any()
                    if found[:, 3].any():
                        errors.append(float(np.median(np.linalg.norm(found[:, :2] * SIZE - true, axis=1))))
        assert rendered >= 50
        assert missing <= 0.1 * rendered
        assert np.median(errors) <= median
        assert np.percentile(errors, 90) <= worst

    @pytest.mark.parametrize("mode", ["image", "clip"])
    def test_hands_are_in_their_slots(self, request, demo, mode):
        """The signer's right hand is in the right slot; a hand that was not rendered is missing."""
        swapped = wrong = frames = 0
        for entry in demo.videos:
            kps, truth = of(request.getfixturevalue(mode), entry), truth_of(demo, entry)
            right, left = (kps[:, Topology.PARTS[part]] for part in ("right_hand", "left_hand"))
            true_right = np.nanmean(truth[:, TRUTH["right_hand"]], axis=1)
            found = right[..., 3].any(axis=1)
            away = np.linalg.norm(right[..., :2].mean(axis=1) * SIZE - true_right, axis=1)
            swapped += int(np.count_nonzero(found & (away > 20)))
            if entry.sign == 1:  # one-handed
                wrong += int(np.count_nonzero(left[..., 3].any(axis=1)))
            frames += len(kps)
        assert swapped <= 0.05 * frames
        assert wrong <= 0.1 * frames

    def test_face(self, image):
        """The face is found in every frame, above the shoulders, with plausible eyes."""
        for videos in image.files.values():
            for kps in videos.values():
                face = kps[:, Topology.FACE]
                assert (face[..., 3] == 1).all()
                assert (face[..., 1].mean(axis=1) < kps[:, :2, 1].min(axis=1)).all()


class TestContract:
    def test_files(self, demo, image):
        """One npz for a (signer, split, sign), keyed by the video names in natural order, and nothing else."""
        assert image.files.keys() == {f"01-{split}/{sign:04}.npz" for split in ("train", "test") for sign in (1, 2)}
        for entry in demo.videos:
            assert of(image, entry).shape == (entry.frames, 184, 4)
            assert of(image, entry).dtype == np.float32
        below = {path.name for path in image.config.output.root.iterdir()}
        assert below == {"01-train", "01-test", INTERNAL}

    def test_missing_parts_are_zero(self, image):
        """Visibility is 1 where face and hands were found; a part that was not found is all zeros."""
        for videos in image.files.values():
            for kps in videos.values():
                assert np.isfinite(kps).all()
                for part in ("face", "right_hand", "left_hand"):
                    points = kps[:, Topology.PARTS[part]]
                    there = points[..., 3].any(axis=1)
                    assert (points[there, :, 3] == 1).all()
                    assert (points[~there] == 0).all()
                assert ((kps[:, Topology.POSE, 3] >= 0) & (kps[:, Topology.POSE, 3] <= 1)).all()

    def test_records(self, demo, image):
        """The record knows the npz, the frames, what was found, the settings and the models."""
        found = records(image.config.output.root)
        assert found.keys() == {f"01-{split}/{sign:04}.json" for split in ("train", "test") for sign in (1, 2)}
        record = found["01-train/0001.json"]
        data = (image.config.output.root / "01-train/0001.npz").read_bytes()
        assert record["npz"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        assert record["state"] == "complete"
        assert record["models"] == models_of(find_networks())
        assert record["odd_entries"] == {".DS_Store": "hidden"}
        for entry in demo.videos:
            if (entry.split, entry.sign) == ("train", 1):
                summary = record["videos"][entry.name]
                assert (summary["frames"], summary["bad_frames"]) == (entry.frames, 0)
                assert summary["sizes"] == {"256x256": entry.frames}
                assert summary["found"]["face"] == entry.frames

    def test_summary(self, demo, image):
        """The summary counts what was done."""
        assert image.summary.exit_status == 0
        assert (image.summary.progress.videos_done, image.summary.progress.units_done) == (6, 4)
        assert image.summary.progress.frames == sum(entry.frames for entry in demo.videos)
        assert set(image.summary.states.values()) == {"complete"}

    def test_slowest_units(self, image):
        """Progress names the units that took the workers longest, slowest first."""
        slowest = image.summary.progress.slowest
        assert 1 <= len(slowest) <= run_module.MAX_SLOWEST
        assert {name for name, _ in slowest} <= {unit.name for unit in image.summary.stored}
        assert [seconds for _, seconds in slowest] == sorted((seconds for _, seconds in slowest), reverse=True)

    def test_shards_and_workers(self, demo, image, tmp_path):
        """Shards, one after another with one worker, leave what one run with two left."""
        config = load(demo, tmp_path / "out", "run.workers=1", "dataset.splits=[test]")
        for sign in (1, 2):
            assert run(config, [sign]).progress.units == 1
        assert_same(read_outputs(config.output.root), some(image.files, "01-test/"))

    def test_two_that_do_the_same_share_it(self, tmp_path):
        """The second of two runs over the same units begins at the other end: each unit is done by one of them."""
        for sign in range(1, 13):
            (tmp_path / "data/01/train" / f"{sign:04}" / "v").mkdir(parents=True)
        layout = "{signer}/{split}/{sign:04d}"
        config = write_config(tmp_path, dataset={"signs": "1-12", "layout": layout}, run={"workers": 1})
        fake = REPOSITORY / "tests" / "slurm" / "fake"
        made_up = {"PYTHONPATH": f"{REPOSITORY}:{fake}", "FAKE_SECONDS": "0.7", "FAKE_LOG": str(tmp_path / "begun")}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
        command = [sys.executable, "-m", "kpsbatch", "run", str(config), "--shard", "0/1"]
        runs = []
        for _ in range(2):
            runs.append(subprocess.Popen(command, cwd=tmp_path, env={**environment, **made_up}))
            wait_until(lambda: (tmp_path / "begun").exists() or runs[-1].poll() is not None)
        assert [run.wait(120) for run in runs] == [0, 0]
        begun = (tmp_path / "begun").read_text().splitlines()
        assert {f"01-train/{sign:04}/v" for sign in range(1, 13)} == set(begun)
        assert len(begun) <= 16  # where they meet, each has a video at work and one that waits
        assert "01-train/0012/v" in begun[1:5]
        [first, second] = sorted(read_runs(tmp_path / "out"), key=lambda state: state.began_by_file)
        assert first.units_done >= 2
        assert second.units_done >= 2

    def test_lists_each_video_once(self, demo, tmp_path, monkeypatch):
        """The run leaves listing a video's frames to its worker, but in the last units, where the longest go first.

        The few videos that the claim names are not counted.
        """
        listed = []
        monkeypatch.setattr(claim, "stored_size", lambda video: 1)
        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path=".": listed.append(Path(path)) or scandir(path))
        config = load(demo, tmp_path / "out", "run.workers=1")
        assert run(config).progress.videos_done == len(demo.videos) == 6
        frames = [path for path in listed if path.name in {video.name for video in demo.videos}]
        units = [[path.parent.parent.name, path.parent.name] for path in frames]
        assert len(set(frames)) == len(frames)
        assert sorted(units) == [["test", "0002"], ["train", "0002"], ["train", "0002"]]

    def test_in_this_process(self, demo, image, tmp_path, monkeypatch):
        """`run.workers: 0` starts no process, so that pdb and profilers work, and leaves what workers left."""
        monkeypatch.setattr(subprocess, "Popen", None)
        config = load(demo, tmp_path / "out", "run.workers=0", "dataset.splits=[test]")
        summary = run(config)
        assert (summary.workers, summary.exit_status) == (0, 0)
        assert_same(read_outputs(config.output.root), some(image.files, "01-test/"))

    def test_nothing_to_do(self, image, monkeypatch):
        """A finished run does nothing again: no worker, no model in memory, no npz opened."""
        npz = image.config.output.root / "01-train/0001.npz"
        whole = npz.read_bytes()
        try:
            npz.write_bytes(b"no npz at all")
            monkeypatch.setattr(run_module, "executor_for", None)
            again = run(image.config)
            assert (again.exit_status, again.stored, again.progress.units) == (0, [], 0)
            assert npz.read_bytes() == b"no npz at all"
        finally:
            npz.write_bytes(whole)


def first_video(demo: DemoDataset, sign: int = 2) -> Video:
    entry = next(entry for entry in demo.videos if entry.sign == sign and not entry.as_file)
    return Video(entry.name, demo.folder(entry) / entry.name)


OPENED: list[VideoJob] = []


@pytest.fixture(autouse=True)
def close_jobs() -> Iterator[None]:
    """Close the networks of a test; the garbage collector can't."""
    yield
    while OPENED:
        OPENED.pop().close()


def open_job(config: Config) -> VideoJob:
    job = VideoJob.of(config, find_networks())
    OPENED.append(job)
    job.open()
    return job


def do(job: VideoJob, video: Video) -> NDArray[Any]:
    [made] = job.do(VideoTask(Unit("01", "train", 1), (video,)), lambda steps=1: None)
    assert made is not None
    return made.keypoints


@pytest.fixture(scope="module")
def videos(demo: DemoDataset, tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    """Two short videos: six frames each of signs 1 and 2."""
    short = []
    for sign in (1, 2):
        source = first_video(demo, sign)
        target = tmp_path_factory.mktemp("videos") / source.name
        target.mkdir()
        for number in range(1, 7):
            shutil.copy(source.path / f"frame{number}.jpg", target)
        short.append(Video(source.name, target))
    return short


def test_a_network_that_fails_costs_one_video(demo, videos, tmp_path, monkeypatch):
    """After an error inside MediaPipe the worker has new networks; closing those that failed raises nothing."""
    job = open_job(load(demo, tmp_path))
    expected = do(job, videos[0])
    failing, mp = job._loaded, job._loaded._mp
    grey = mp.Image(image_format=mp.ImageFormat.GRAY8, data=np.zeros((256, 256), np.uint8))
    monkeypatch.setattr(failing, "_image", lambda picture: grey)  # of one colour instead of three
    with pytest.raises((RuntimeError, ValueError), match=r"Tensor|Graph has errors"):
        do(job, videos[0])
    assert job._loaded is not failing
    np.testing.assert_array_equal(do(job, videos[0]), expected)
    kept = job._loaded
    with pytest.raises(DatasetError):
        do(job, Video("none", tmp_path / "none"))
    assert job._loaded is kept


def test_a_run_reads_networks_and_edits_none(tmp_path):
    """Nothing of the room that builds them is imported by a run, a clip, or what looks at outputs."""
    write_demo(tmp_path / "demo", signers=1, signs=1)
    config = str(next((tmp_path / "demo").glob("*.yaml")))
    some = ["--set", f"output.root={tmp_path / 'out'}", "--set", "landmarks.parts=[pose]", "--set", "run.workers=0"]
    video = str(next(path.parent for path in (tmp_path / "demo").rglob("frame1.jpg")))
    program = (
        "import sys\n"
        "from kpsbatch.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as ended: status = ended.code or 0\n"
        "print([name for name in sys.modules if name.startswith('kpsbatch.models') or name == 'flatbuffers'])\n"
        "sys.exit(status)\n"
    )
    for command in (
        ["run", config, "--quiet", *some],
        ["status", config, *some],
        ["extract", video, "-o", str(tmp_path / "clips"), "--no-pictures", "-q", "--set", "landmarks.parts=[pose]"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *command], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"


class TestSettings:
    def test_adjusted(self, demo, videos, tmp_path):
        """Each part is shifted to its reference point and scaled by its reference length."""
        plain = do(open_job(load(demo, tmp_path)), videos[1])
        adjusted = do(open_job(load(demo, tmp_path, "landmarks.coordinates=adjusted")), videos[1])
        np.testing.assert_array_equal(adjusted[..., 3], plain[..., 3])
        shoulders = adjusted[:, 0, :2] - adjusted[:, 1, :2]
        np.testing.assert_allclose(np.linalg.norm(shoulders, axis=1), 1, atol=1e-4)
        for part, place in Topology.PARTS.items():
            there = plain[:, place, 3].any(axis=1)
            assert there.any()
            assert (adjusted[~there, place] == 0).all()
            before, after = plain[there, place, :3], adjusted[there, place, :3]
            spread = np.ptp(before, axis=1) / np.ptp(after, axis=1)  # one scale for x, y and z
            np.testing.assert_allclose(spread, spread[:, :1].repeat(3, 1), rtol=1e-3)
            if part.endswith("hand"):
                assert (after[:, 0] == 0).all()
                np.testing.assert_allclose(np.linalg.norm(after[:, 2, :2] - after[:, 17, :2], axis=1), 1, atol=1e-4)
        irises = [
            adjusted[:, [6 + Topology.FACE_MESH.index(i) for i in ring], :2].mean(axis=1)
            for ring in ((469, 470, 471, 472), (474, 475, 476, 477))
        ]
        np.testing.assert_allclose(np.linalg.norm(irises[0] - irises[1], axis=1), 1, atol=0.05)

    @pytest.mark.parametrize("parts", [["pose"], ["face"], ["hands"], ["face", "pose"]])
    def test_parts(self, demo, videos, tmp_path, parts):
        """What is left out of `parts` stays zero, what is in it is as ever."""
        whole = do(open_job(load(demo, tmp_path)), videos[1])
        some = do(open_job(load(demo, tmp_path, f"landmarks.parts=[{','.join(parts)}]")), videos[1])
        for part, place in Topology.PARTS.items():
            wanted = part in parts or (part.endswith("hand") and "hands" in parts)
            np.testing.assert_allclose(some[:, place], whole[:, place] if wanted else 0, atol=1e-4)

    @pytest.mark.parametrize("dtype", ["float16", "float64"])
    def test_dtype(self, demo, videos, tmp_path, dtype):
        """Another dtype holds the same values."""
        kps = do(open_job(load(demo, tmp_path, f"output.dtype={dtype}", "landmarks.parts=[pose]")), videos[0])
        plain = do(open_job(load(demo, tmp_path, "landmarks.parts=[pose]")), videos[0])
        assert kps.dtype == dtype
        np.testing.assert_allclose(kps, plain, atol=2e-3 if dtype == "float16" else 1e-4)

    def test_mp4_as_frames(self, demo, videos, tmp_path):
        """A video file gives what its frames give as pictures."""
        clip, folder = tmp_path / "clip.mp4", tmp_path / "pictures"
        writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (SIZE, SIZE))
        for number in range(1, 7):
            writer.write(cv2.imread(str(videos[1].path / f"frame{number}.jpg")))
        writer.release()
        folder.mkdir()
        for index, frame in enumerate(reading_module.read_frames(video_of(clip), frame_rate=30, max_pixels=10**6)):
            assert cv2.imwrite(str(folder / f"{index}.png"), frame.image[..., ::-1])
        for mode in ("image", "clip"):
            config = load(demo, tmp_path, f"landmarks.running_mode={mode}", "landmarks.frame_rate=10")
            file = do(open_job(config), Video("clip", clip, is_file=True))
            assert file[..., 3].any()
            np.testing.assert_allclose(file, do(open_job(config), Video("pictures", folder)), atol=1e-5)

    def test_sizes_change(self, demo, videos, tmp_path):
        """Frames of other sizes in one video are no trouble: x and y are shares of each frame."""
        folder = tmp_path / "video"
        folder.mkdir()
        for number in range(1, 5):
            picture = cv2.imread(str(videos[1].path / f"frame{number}.jpg"))
            size = (SIZE, SIZE) if number % 2 else (2 * SIZE, 2 * SIZE)
            cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))
        mixed = do(open_job(load(demo, tmp_path)), Video("video", folder))
        plain = do(open_job(load(demo, tmp_path)), videos[1])[:4]
        errors = np.linalg.norm(mixed[:, Topology.RIGHT_HAND, :2] - plain[:, Topology.RIGHT_HAND, :2], axis=2)
        assert np.median(errors) < 0.01


class TestOneAfterAnother:
    def test_alone_or_after_another(self, demo, videos, tmp_path):
        """A video's keypoints don't depend on the video before it in the same worker."""
        config = load(demo, tmp_path, "landmarks.running_mode=clip")
        alone = do(open_job(config), videos[1])
        job = open_job(config)
        before = do(job, videos[0])
        after = do(job, videos[1])
        again = do(job, videos[0])
        np.testing.assert_array_equal(after, alone)
        np.testing.assert_array_equal(again, before)

    @pytest.mark.skipif(not SIGNER.is_file(), reason=f"{SIGNER} is not there")
    def test_after_another_on_a_real_signer(self, demo, tmp_path):
        """The same on a real clip, forwards after backwards."""
        pictures = []
        for frame in reading_module.read_frames(video_of(SIGNER), frame_rate=30, max_pixels=10**8):
            pictures.append(frame.image)
            if len(pictures) == 8:
                break
        clips = []
        for name, order in (("forwards", pictures), ("backwards", pictures[::-1])):
            (tmp_path / name).mkdir()
            for index, picture in enumerate(order):
                cv2.imwrite(str(tmp_path / name / f"{index}.png"), picture[..., ::-1])
            clips.append(Video(name, tmp_path / name))
        config = load(demo, tmp_path, "landmarks.running_mode=clip")
        alone = do(open_job(config), clips[0])
        job = open_job(config)
        do(job, clips[1])
        np.testing.assert_array_equal(do(job, clips[0]), alone)

    def test_after_a_broken_video(self, demo, videos, tmp_path, monkeypatch):
        """A video that breaks off in the middle, far on in time, does no harm to the next."""
        config = load(demo, tmp_path, "landmarks.running_mode=clip")
        alone = do(open_job(config), videos[1])
        job = open_job(config)
        real = reading_module.read_frames

        def break_off(video: Video, **options: Any) -> Iterator[Frame]:
            for frame in real(video, **options):
                yield Frame(frame.image, frame.timestamp * 1000, frame.name)
            raise DatasetError("a video file must be whole")

        with monkeypatch.context() as patch, pytest.raises(DatasetError, match="must be whole"):
            patch.setattr(reading_module, "read_frames", break_off)
            do(job, videos[0])
        np.testing.assert_array_equal(do(job, videos[1]), alone)


@pytest.fixture
def small(demo: DemoDataset, videos: list[Video], tmp_path: Path) -> Path:
    """The config of a dataset of two units: one video of six frames each; it can be spoilt."""
    root = tmp_path / "small data"
    for sign, source in enumerate(videos, 1):
        shutil.copytree(source.path, root / "01" / "train" / f"{sign}" / source.name)
    config = tmp_path / "config.yaml"
    config.write_text(
        'dataset: {root: small data, layout: "{signer}/{split}/{sign}", signers: ["01"], splits: [train], signs: 1-2}\n'
        "landmarks: {parts: [pose]}\noutput: {root: out}\nrun: {workers: 1}\n"
    )
    return config


def unit_of(config: Path, sign: int) -> Path:
    return config.parent / "small data" / "01" / "train" / f"{sign}"


class TestBadData:
    def test_failed_videos(self, small, videos):
        """Good videos of a unit are kept, bad ones named and counted; --retry-failed redoes them once mended."""
        unit, good = unit_of(small, 1), videos[0].path
        for name in ("zero bytes", "half", "file", "empty"):
            (unit / name).mkdir()
        for number in range(1, 7):
            data = (good / f"frame{number}.jpg").read_bytes()
            (unit / "zero bytes" / f"{number}.jpg").touch()
            (unit / "half" / f"{number}.jpg").write_bytes(data if number % 2 else data[:2000])
            (unit / "file" / f"{number}.jpg").write_bytes(data if number != 3 else b"no picture")
        (unit / "file" / "7.jfif").touch()
        (unit / "thumbnail.jpg").touch()
        (unit / "corrupt.mp4").write_bytes(b"no video")
        for picture in (unit_of(small, 2) / videos[1].name).iterdir():
            picture.write_bytes(b"")

        done = kpsbatch("run", small, "--quiet", "--set", "landmarks.running_mode=image")
        assert done.returncode == 1
        assert "5 videos failed:" in done.stdout
        assert "1 unreadable frame in 1 video, whose rows are zeros; most in 01-train/0001/file: 1" in done.stdout
        not_read = "a picture that is not read (rename it to .jpg)"
        assert "ignored: 1 x a frame outside of a video's directory" in done.stdout
        assert f"among the frames: 1 x {not_read}, first 01-train/0001/file/7.jfif" in done.stdout
        assert "corrupt.mp4: can't be opened" in done.stdout
        assert "units with failed videos: 1 where some failed, 1 where all did." in done.stdout
        assert done.stderr == ""
        out = small.parent / "out"
        assert {str(path.relative_to(out)) for path in out.glob("*-*/*.npz")} == {"01-train/0001.npz"}
        kept = read_outputs(out)["01-train/0001.npz"]
        assert list(kept) == [videos[0].name, "file"]
        assert [row.any() for row in kept["file"]] == [True, True, False, True, True, True]
        np.testing.assert_allclose(kept["file"][3:], kept[videos[0].name][3:], atol=1e-4)
        record = records(out)["01-train/0001.partial.json"]
        assert record["videos"]["file"]["bad_frames"] == 1
        assert record["videos"]["file"]["odd_frames"] == {not_read: {"count": 1, "first": "7.jfif"}}
        assert record["videos"]["file"]["bad_examples"] == [{"frame": "3.jpg", "problem": "is not a readable image"}]
        assert (
            "3 of 6 frames are unreadable (limit 20%, run.max_bad_frames); first: 2.jpg is a truncated JPEG"
            in record["videos"]["half"]["error"]
        )
        assert (
            "6 of 6 frames are unreadable (limit 20%, run.max_bad_frames); first: 1.jpg is empty"
            in record["videos"]["zero bytes"]["error"]
        )
        assert "has no frame" in record["videos"]["empty"]["error"]
        assert {video["attempts"] for video in record["videos"].values()} == {1}
        assert records(out)["01-train/0002.failed.json"]["npz"] is None

        config = load_config(small, ["landmarks.running_mode=image"])
        again = run(config)
        assert (again.exit_status, again.progress.units) == (1, 0)
        for name in ("zero bytes", "half", "empty"):
            shutil.rmtree(unit / name)
        (unit / "corrupt.mp4").unlink()
        shutil.copytree(videos[1].path, unit_of(small, 2) / videos[1].name, dirs_exist_ok=True)
        mended = run(config, retry_failed=True)
        assert (mended.exit_status, mended.progress.units) == (0, 2)
        assert records(out).keys() == {"01-train/0001.json", "01-train/0002.json"}

    def test_a_redo_loses_no_good_video(self, small, videos, tmp_path):
        """What fails in a redo, and was good before, stays as it was; what is mended is taken."""
        unit = unit_of(small, 1)
        good, second = videos[0].name, "second"
        (unit / "bad").mkdir()
        (unit / "bad" / "1.jpg").touch()
        shutil.copytree(videos[0].path, unit / second)
        out = small.parent / "out"
        config = load_config(small, ["dataset.signs=1"])
        run(config)
        before = read_outputs(out)["01-train/0001.npz"]
        assert set(before) == {good, second}
        for picture in (unit / second).iterdir():
            picture.write_bytes(b"")
        shutil.copytree(videos[0].path, unit / "bad", dirs_exist_ok=True)
        (unit / "bad" / "1.jpg").unlink()
        done = kpsbatch("run", small, "--retry-failed", "--signs", "1", "--quiet")
        assert "1 video of an earlier run kept, since the new attempt failed" in done.stdout
        after = read_outputs(out)["01-train/0001.npz"]
        assert set(after) == {good, second, "bad"}
        np.testing.assert_array_equal(after[second], before[second])
        assert "unreadable" in records(out)["01-train/0001.json"]["videos"][second]["kept_since"]

    def test_a_redo_keeps_what_the_dataset_has_no_more(self, small, videos):
        """A good video whose frames are gone stays in the output of a unit that is done again."""
        unit, good = unit_of(small, 1), videos[0].name
        (unit / "bad").mkdir()
        (unit / "bad" / "1.jpg").touch()
        out = small.parent / "out"
        config = load_config(small, ["dataset.signs=1"])
        run(config)
        before = read_outputs(out)["01-train/0001.npz"]
        shutil.rmtree(unit / good)
        summary = run(config, retry_failed=True)
        assert summary.kept == [f"01-train/0001/{good}"]
        np.testing.assert_array_equal(read_outputs(out)["01-train/0001.npz"][good], before[good])
        assert "does not have it" in records(out)["01-train/0001.partial.json"]["videos"][good]["kept_since"]
        verdict = verify(config, repair=True)
        assert verdict.repaired == []
        assert [why for _, why in verdict.kept] == ["the dataset does not have all of its videos any more"]

    def test_share_of_bad_frames(self, small):
        """run.max_bad_frames decides how many bad frames a video may have."""
        for number in (2, 3, 5):
            (unit_of(small, 1) / os.listdir(unit_of(small, 1))[0] / f"frame{number}.jpg").write_bytes(b"")
        assert run(load_config(small, ["run.max_bad_frames=0.4", "dataset.signs=1"])).exit_status == 1
        config = load_config(small, ["run.max_bad_frames=0.5", "dataset.signs=1"])
        assert run(config, retry_failed=True).exit_status == 0

    def test_absent_and_empty(self, small):
        """Units without a folder or a video are told of, and nothing fails."""
        shutil.rmtree(unit_of(small, 1))
        (unit_of(small, 3)).mkdir()
        (unit_of(small, 3) / "Thumbs.db").touch()
        summary = run(load_config(small, ["dataset.signs=1-3"]))
        assert summary.exit_status == 0
        assert [unit.sign for unit in summary.absent] == [1]
        assert [unit.sign for unit in summary.empty] == [3]
        assert summary.odd == {"no video": 1}

    def test_unreadable_unit(self, small):
        """A unit that can't be listed is a failure: status 1, and the next run tries again."""
        config = load_config(small)
        away = unit_of(small, 1).rename(small.parent / "away")
        unit_of(small, 1).touch()
        summary = run(config)
        assert (summary.exit_status, summary.progress.units_done) == (1, 1)
        assert summary.failures == [("01-train/0001", f"{unit_of(small, 1)} can't be listed: Not a directory")]
        unit_of(small, 1).unlink()
        away.rename(unit_of(small, 1))
        summary = run(config)
        assert (summary.exit_status, summary.progress.units_done) == (0, 1)

    def test_no_video_at_all(self, small):
        """No video under the layout: status 2, the path that was tried and what is there instead."""
        done = kpsbatch("run", small, "--set", "dataset.layout={signer}/{split}/{sign:04d}")
        assert done.returncode == 2
        assert "small data/01/train/0001; " in done.stderr
        assert done.stderr.endswith("small data/01/train holds '1', '2'. Correct the layout, or dataset.root.\n")
        assert done.stderr.count("\n") == 1

    def test_missing_root(self, small):
        """A missing dataset root is status 2."""
        with pytest.raises(DatasetError, match=r"dataset\.root: .* does not exist"):
            run(load_config(small, ["dataset.root=/no/such/root"]))


class TestOutputs:
    def test_other_settings(self, small):
        """Outputs of other settings are refused with the difference; --overwrite replaces them."""
        run(load_config(small))
        changed = load_config(small, ["landmarks.running_mode=image"])
        out = small.parent / "out"
        before = {path: path.read_bytes() for path in out.rglob("*.npz")}
        done = kpsbatch("run", small, *IMAGE_MODE)
        assert done.returncode == 2
        assert "landmarks.running_mode is 'clip' there, 'image' here. Choose another output.root" in done.stderr
        assert {path: path.read_bytes() for path in out.rglob("*.npz")} == before
        assert run(changed, overwrite=True).progress.units_done == 2
        assert {path: path.read_bytes() for path in out.rglob("*.npz")} != before
        assert records(out).keys() == {"01-train/0001.json", "01-train/0002.json"}
        assert run(changed, overwrite=True).progress.units == 0

    def test_one_name(self, small, monkeypatch):
        """A run by itself has one name, in its state file and in its claim, whatever the time is meanwhile."""
        names = (f"run-{number}" for number in range(9))
        monkeypatch.setattr("kpsbatch.store.tracking.run_id", lambda origin: next(names))
        run(load_config(small))
        internal = small.parent / "out" / "_kpsbatch"
        [state] = (internal / "runs").glob("*.json")
        assert json.loads(state.read_text())["run"] == state.stem
        assert json.loads((internal / "claim.json").read_text())["run"] == state.stem

    def test_settings_that_change_no_value(self, small):
        """How a run works can change from run to run."""
        run(load_config(small, ["dataset.signs=1"]))
        summary = run(load_config(small, ["run.workers=2", "run.video_timeout=99", "run.chunk_size=1"]))
        assert summary.progress.units == 1

    def test_file_in_the_way(self, small):
        """An output folder that can't be one is status 2, in one line."""
        (small.parent / "out").touch()
        done = kpsbatch("run", small, "--quiet")
        assert done.returncode == 2
        assert re.fullmatch(r"kpsbatch: output.root: .*/out can't be written: .*\n", done.stderr)

    def test_file_in_the_way_of_a_unit(self, small):
        """The same where it shows up later."""
        (small.parent / "out").mkdir()
        (small.parent / "out" / "01-train").touch()
        with pytest.raises(OutputError, match="can't be written"):
            run(load_config(small))

    def test_full_disk(self, demo, image, tmp_path):
        """A full disk ends the run with status 2 and nothing half-written; with room the same command goes on."""
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
        if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("mounting a small tmpfs needs root and the right to mount")
        try:
            out = disk / "out"
            command = ("run", demo.config, "--quiet", *IMAGE_MODE, "--splits", "train", "--signs", "1")
            command += ("--set", f"output.root={out}")
            done = kpsbatch(*command)
            assert done.returncode == 2
            assert done.stderr.count("\n") == 1
            assert "No space left on device. Free space there, then run the same command again" in done.stderr
            assert read_outputs(out) == {}
            assert not list(out.rglob("*.partial"))
            subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
            assert kpsbatch(*command).returncode == 0
            assert_same(read_outputs(out), some(image.files, "01-train/0001"))
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class TestModels:
    def test_mediapipe_is_missing(self, small, monkeypatch):
        """Without mediapipe the run says so."""

        def missing(package: str) -> str:
            raise PackageNotFoundError(package)

        monkeypatch.setattr("importlib.metadata.version", missing)
        with pytest.raises(ModelError, match="mediapipe is not installed"):
            run(load_config(small))

    def test_mediapipe_is_broken(self, small, tmp_path):
        """A mediapipe that can't be imported is status 2, in one line."""
        find_networks()
        (tmp_path / "shadow" / "mediapipe").mkdir(parents=True)
        (tmp_path / "shadow" / "mediapipe" / "__init__.py").write_text("raise ImportError('libEGL is not here')\n")
        done = kpsbatch("run", small, "--quiet", PYTHONPATH=str(tmp_path / "shadow"))
        assert done.returncode == 2
        assert re.fullmatch(r"kpsbatch: mediapipe .*libEGL is not here.*\n", done.stderr)

    @pytest.mark.parametrize("workers", [0, 1])
    def test_opencv_is_broken(self, small, tmp_path, workers):
        """An OpenCV that can't be imported, as on a machine without a desktop, is status 2, with the remedy."""
        find_networks()
        (tmp_path / "shadow" / "cv2").mkdir(parents=True)
        (tmp_path / "shadow" / "cv2" / "__init__.py").write_text(
            "raise ImportError('libGL.so.1: no such file', name='cv2', path='/nowhere/cv2/cv2.abi3.so')\n"
        )
        path = str(tmp_path / "shadow")
        done = kpsbatch("run", small, "--quiet", "--set", f"run.workers={workers}", PYTHONPATH=path)
        assert done.returncode == 2
        assert re.fullmatch(r"kpsbatch: OpenCV can't be imported \(libGL.*\)\..*pip install.*\n", done.stderr)

    def test_parent_imports_no_opencv(self, small):
        """Workers alone decode frames: the process that gives them their videos starts without OpenCV and Pillow."""
        code = "import kpsbatch.work.run, sys; print(sorted({'cv2', 'PIL', 'av'} & sys.modules.keys()))"
        done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"

    def test_bundles_are_no_networks(self, small, tmp_path):
        """landmarks.models with MediaPipe's bundles is one line that says how to make networks of them."""
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "pose_landmarker.task").write_bytes(b"a bundle")
        with pytest.raises(ModelError, match=r"holds MediaPipe's bundles, not networks. Run `kpsbatch models --from"):
            run(load_config(small, [f"landmarks.models={tmp_path / 'models'}"]))

    def test_network_changes_while_running(self, small, tmp_path, monkeypatch):
        """A network whose bytes are no longer those of the fingerprint is refused by the workers."""
        wrong = {name: dataclasses.replace(file, sha256="0" * 64) for name, file in find_networks().items()}
        monkeypatch.setattr(run_module, "find_networks", lambda models: wrong)
        with pytest.raises(ModelError, match=f"not {'0' * 64}"):
            run(load_config(small))
        assert list((small.parent / "out").rglob("*.npz")) == []


class TestMemory:
    """A worker that the kernel kills for memory says nothing about its video."""

    @pytest.fixture
    def starve(self, tmp_path, monkeypatch):
        """A run of three videos, one of which is killed as often as is wanted; returns the config and that function."""
        for name in ("a", "b", "large"):
            (tmp_path / "data" / "01" / "train" / "0001" / name).mkdir(parents=True)
        (tmp_path / "marks").mkdir()
        layout = "{signer}/{split}/{sign:04d}"
        config = make_config(tmp_path, dataset={"layout": layout, "splits": ["train"]}, run={"workers": 2})
        outputs = Outputs(config.output.root, fingerprint("a" * 12))
        monkeypatch.setattr(run_module, "open_outputs", lambda config: (outputs, LargeVideo(tmp_path / "marks")))

        def start(kills: int) -> Summary:
            for number in range(kills):
                (tmp_path / "marks" / f"{number}").touch()
            return run(config)

        return config, start

    def test_retried_alone(self, starve, tmp_path):
        """Once all the others are done, one worker alone tries it again, in the same run."""
        config, start = starve
        assert start(2).exit_status == 0
        assert (tmp_path / "workers").read_text() == "1"
        [record] = records(config.output.root).values()
        assert (record["state"], record["videos"]["large"]["attempts"]) == ("complete", 3)

    def test_not_failed_for_good(self, starve):
        """If it is killed then too, it fails with the advice about memory, and the next run does it again unasked."""
        config, start = starve
        summary = start(4)
        assert (summary.exit_status, [name for name, _ in summary.failures]) == (1, ["01-train/0001/large"])
        assert "ask for more memory" in summary.failures[0][1]
        [record] = records(config.output.root).values()
        assert (record["state"], set(record["videos"])) == ("partial", {"a", "b", "large"})
        assert record["videos"]["large"]["attempts"] == 4
        again = start(0)
        assert (again.exit_status, again.progress.units_done) == (0, 1)
        assert start(0).progress.units == 0


class TestInterruption:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal(self, demo, image, tmp_path, number):
        """A signal stops the run with status 3; what is finished is kept, and the same command does the rest."""
        out = tmp_path / "out"
        command = ("run", demo.config, "--quiet", *IMAGE_MODE, "--splits", "train", "--set", "run.workers=1")
        command += ("--set", f"output.root={out}")
        process = start(*command)
        wait_until(lambda: process.poll() is not None or list(out.glob("*/*.npz")))
        workers = workers_of(process.pid)
        process.send_signal(number)
        _, error = process.communicate()
        assert process.returncode == 3
        assert re.fullmatch(
            rf"kpsbatch: Stopped{'' if number == signal.SIGINT else r' .SIGTERM.'}\. \d units? saved, \d+ left\. "
            r"Rerun to resume\.\n",
            error,
        )
        wait_until_dead(workers)
        finished = {path: path.stat().st_mtime_ns for path in out.glob("*/*.npz")}
        assert len(finished) == 1
        assert kpsbatch(*command).returncode == 0
        assert_same(read_outputs(out), some(image.files, "01-train/"))
        assert finished.items() <= {path: path.stat().st_mtime_ns for path in out.glob("*/*.npz")}.items()

    def test_before_the_first_video(self, small):
        """A stop before anything is finished leaves nothing that counts."""
        with pytest.raises(InterruptedRun, match=r"^Stopped \(SIGTERM\)\. 0 units saved, 2 left\. Rerun to resume\.$"):
            run(load_config(small), stop_reason=lambda: "SIGTERM")
        assert list((small.parent / "out").rglob("*.npz")) == []

    def test_parent_is_killed(self, demo, image, tmp_path):
        """After kill -9 at any moment the workers are gone, and the same command ends as if nothing had been."""
        moments = random.Random(502)
        out = tmp_path / "out"
        command = ("run", demo.config, "--quiet", *IMAGE_MODE, "--splits", "train", "--set", f"output.root={out}")
        for units in (0, 1):
            process = start(*command)
            begun = partial(self.has_begun, process, out, units)
            wait_until(begun)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moments.random())  # whichever moment of the next second it is, the rest must hold
            workers = workers_of(process.pid)
            process.kill()
            process.communicate()
            wait_until_dead(workers)
            for path in read_outputs(out):
                assert path.replace(".npz", ".json") in records(out)
        done = kpsbatch(*command)
        assert done.returncode == 0
        assert_same(read_outputs(out), some(image.files, "01-train/"))
        assert not list(out.rglob(".*.npz.*"))

    @staticmethod
    def has_begun(process: subprocess.Popen[str], out: Path, units: int) -> bool:
        """Whether a run has workers and a number of outputs (or has ended too early)."""
        finished = len(list(out.glob("*/*.npz")))
        return process.poll() is not None or bool(finished >= units and workers_of(process.pid))

    def test_workers_are_killed(self, demo, image, tmp_path):
        """Workers that are killed at random moments cost attempts, and change no value."""
        moments = random.Random(502)
        kill_at = [moments.randrange(first, first + 20) for first in (1, 35, 70)]
        killed: list[int] = []

        def murder(progress: Progress) -> None:
            if kill_at and progress.frames >= kill_at[0] and (workers := workers_of(os.getpid())):
                kill_at.pop(0)
                killed.append(workers[0])  # the oldest, so never one that still loads its models
                os.kill(killed[-1], signal.SIGKILL)

        config = load(demo, tmp_path / "out", "run.max_attempts=5")
        summary = run(config, on_progress=murder)
        assert len(killed) == 3
        assert summary.exit_status == 0
        assert_same(read_outputs(config.output.root), image.files)
        attempts = [v["attempts"] for r in records(config.output.root).values() for v in r["videos"].values()]
        assert 6 < sum(attempts) <= 9
        assert workers_of(os.getpid()) == []
