"""The Python API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from synthetic.signer import render_video

import kpsbatch
from kpsbatch import api
from kpsbatch.errors import ConfigError, DatasetError, KpsbatchError
from kpsbatch.landmarks import kept_networks
from kpsbatch.landmarks.networks import Networks

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of three frames of a two-handed sign; the second can't be read."""
    folder = tmp_path_factory.mktemp("a video")
    for number, frame in enumerate(render_video(2, 1, 1, 3)[0]):
        cv2.imwrite(str(folder / f"{number}.png"), frame[..., ::-1])
    (folder / "1.png").write_bytes(b"")
    return folder


def is_open(networks: Networks) -> bool:
    return all(network._embedder is not None for network in networks._loaded.values())


def run_code(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python code in a process of its own, with what it writes."""
    words = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)


class TestNames:
    def test_public_names(self):
        """What is exported is there."""
        assert {"Topology", "__version__", "close_landmarkers", "extract_video", "load", "open_dataset"} <= {
            *kpsbatch.__all__
        }
        assert all(getattr(kpsbatch, name) for name in kpsbatch.__all__)
        assert dir(kpsbatch) == sorted(kpsbatch.__all__)

    def test_unknown_name(self):
        """Anything else is an AttributeError."""
        with pytest.raises(AttributeError, match="no attribute 'extract'"):
            _ = kpsbatch.extract

    def test_import_is_light(self):
        """`import kpsbatch` and the command line's module load neither NumPy nor OpenCV nor MediaPipe."""
        code = "import kpsbatch.cli.main, sys; print(*sorted({'numpy', 'cv2', 'mediapipe'} & sys.modules.keys()))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
        )
        assert done.stdout == "\n"

    def test_one_root(self):
        """Every error of the package has one root, and an exit status."""
        assert issubclass(ConfigError, KpsbatchError)
        assert {error.exit_status for error in KpsbatchError.__subclasses__()} == {2, 3}


class TestRepresentations:
    def test_short(self, tmp_path):
        """What the API returns shows itself in a line, however much it holds."""
        (tmp_path / "01-train").mkdir()
        for sign in range(1, 30):
            np.savez(tmp_path / "01-train" / f"{sign:04}.npz", clip=np.zeros((5, 184, 4), np.float32))
        dataset = kpsbatch.open_dataset(tmp_path)
        assert repr(dataset) == f"<OutputDataset {tmp_path}: 29 units>"
        sample = next(iter(dataset))
        assert repr(sample) == (
            "Sample(signer='01', split='train', sign=1, video='clip', keypoints=float32(5, 184, 4))"
        )


class TestExtractVideo:
    def test_result(self, video):
        """A video gives (T, 184, 4); a bad frame's row is zeros."""
        kps = kpsbatch.extract_video(video, max_bad_frames=0.5)
        assert (kps.shape, kps.dtype) == ((3, 184, 4), np.float32)
        assert [row.any() for row in kps] == [True, False, True]
        for part in kpsbatch.Topology.PARTS.values():
            assert kps[0, part, 3].any()

    def test_settings(self, video):
        """The settings of the config's landmarks section and the dtype are taken, a path as text, too."""
        kps = kpsbatch.extract_video(
            str(video), dtype="float64", max_bad_frames=0.5, running_mode="image", parts=["pose"]
        )
        assert kps.dtype == np.float64
        assert kps[0, kpsbatch.Topology.POSE, 3].any()
        assert not kps[:, kpsbatch.Topology.FACE].any()

    def test_networks_are_kept(self, video, monkeypatch):
        """A second call with the same settings loads nothing and gives the same; a few are kept, then closed."""
        kpsbatch.close_landmarkers()
        loaded: list[Networks] = []

        class Counted(Networks):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                loaded.append(self)

        monkeypatch.setattr(kept_networks, "Networks", Counted)
        monkeypatch.setattr(kept_networks, "MAX_KEPT", 1)
        first, second = (kpsbatch.extract_video(video, max_bad_frames=0.5) for _ in range(2))
        assert np.array_equal(first, second)
        assert len(loaded) == 1
        with pytest.raises(DatasetError):
            kpsbatch.extract_video(video)  # too many bad frames: nothing is wrong with the networks
        assert (len(loaded), is_open(loaded[0])) == (1, True)
        kpsbatch.extract_video(video, max_bad_frames=0.5, running_mode="image", parts=["pose"])
        assert (len(loaded), is_open(loaded[0]), is_open(loaded[1])) == (2, False, True)  # there was room for one
        kpsbatch.close_landmarkers()
        assert not is_open(loaded[1])

    def test_error_of_mediapipe(self, video, monkeypatch):
        """Networks that failed are closed, not kept."""
        kpsbatch.close_landmarkers()
        used: list[Networks] = []

        def fail(frames: object, networks: Networks, *arguments: object, **options: object) -> None:
            used.append(networks)
            raise RuntimeError("a graph has failed")

        monkeypatch.setattr(api, "extract", fail)
        with pytest.raises(RuntimeError, match="a graph has failed"):
            kpsbatch.extract_video(video)
        assert not is_open(used[0])

    def test_silence(self, video):
        """Nothing is written to standard error, by several threads neither, and Python's messages come out afterwards.

        A process that is forked afterwards computes the same with networks of its own, and both end.
        """
        code = """
import os, sys, threading
import numpy as np
import kpsbatch
def work(results=[]):
    results.append(kpsbatch.extract_video(sys.argv[1], max_bad_frames=0.5, running_mode="image"))
    return results
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
child = os.fork()
if not child:
    a, b, c = work()
    sys.exit(0 if np.array_equal(a, b) and np.array_equal(a, c) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("a message", file=sys.stderr)
"""
        done = run_code(code, video)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "a message\n")

    def test_standard_error_of_others(self, video):
        """What other threads, and children that are started or forked meanwhile, write to standard error comes out."""
        code = """
import os, subprocess, sys, threading
import kpsbatch.api as api
inside, go_on = threading.Event(), threading.Event()
extract = api.extract
def slow(*arguments, **options):
    inside.set()
    go_on.wait()
    return extract(*arguments, **options)
api.extract = slow
work = dict(max_bad_frames=0.5, running_mode="image")
thread = threading.Thread(target=api.extract_video, args=sys.argv[1:], kwargs=work)
thread.start()
inside.wait()
os.write(2, b"1 a thread\\n")
subprocess.run([sys.executable, "-c", "import os; os.write(2, b'2 a child\\\\n')"])
if not (child := os.fork()):
    import ctypes
    ctypes.CDLL(None).perror(b"3 a forked child's C code")
    os._exit(0)
os.waitpid(child, 0)
go_on.set()
thread.join()
"""
        done = run_code(code, video)
        assert done.returncode == 0
        assert [line[:11] for line in done.stderr.splitlines()] == ["1 a thread", "2 a child", "3 a forked "]

    def test_too_many_bad_frames(self, video):
        """Too many bad frames are an error that names the first."""
        with pytest.raises(DatasetError, match=r"1 of 3 frames are unreadable .*; first: 1\.png is empty"):
            kpsbatch.extract_video(video)

    def test_missing(self, tmp_path):
        """A video that is not there is an error."""
        with pytest.raises(DatasetError, match="does not exist"):
            kpsbatch.extract_video(tmp_path / "none.mp4")

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"runing_mode": "video"}, "landmarks.runing_mode is not a setting. Did you mean 'running_mode'"),
            ({"running_mode": "film"}, "running_mode: 'film' is not valid. Choose 'clip' or 'image'"),
            ({"dtype": "int8"}, "dtype: 'int8' is not valid. Choose 'float32', 'float64' or 'float16'."),
        ],
    )
    def test_bad_settings(self, video, settings, says):
        """A bad setting is refused as in the config, before anything is computed."""
        with pytest.raises(ConfigError) as caught:
            kpsbatch.extract_video(video, **settings)
        assert says in str(caught.value)


class TestFrames:
    def test_given(self, video):
        """Frames that are given have the keypoints of a folder of them, as an array, a list or an iterator."""
        images = [cv2.imread(str(video / f"{number}.png"))[..., ::-1] for number in (0, 2)]
        folder = kpsbatch.extract_video(video, max_bad_frames=0.5)
        for frames in (np.stack(images), images, iter(images)):
            keypoints = kpsbatch.extract_video(frames, frame_rate=15)
            assert keypoints.shape == (2, 184, 4)
            assert np.abs(keypoints[0] - folder[0]).max() < 0.05

    @pytest.mark.parametrize(
        ("frames", "says"),
        [
            (3, "path: a path is needed, not int. Name a video file or a folder, or give frames."),
            ([], "path: there is no frame. Give at least one array"),
            (np.zeros((8, 8, 3), np.uint8), "path: frame 0 is uint8 of shape (8, 3). Give a file, a folder, or frames"),
            (np.zeros((2, 8, 8, 3)), "(frames * 255).astype('uint8')"),
            (["clip.mp4"], "path: frame 0 is str."),
        ],
    )
    def test_wrong_types(self, frames, says):
        """What is no video is one line of ours."""
        with pytest.raises(KpsbatchError) as raised:
            kpsbatch.extract_video(frames)
        assert says in str(raised.value)

    @pytest.mark.parametrize("rate", [0, "25", True, float("nan")])
    def test_rates(self, rate):
        """A rate is a number above 0."""
        with pytest.raises(ConfigError, match="is no rate"):
            kpsbatch.extract_video([np.zeros((8, 8, 3), np.uint8)], frame_rate=rate)

    @pytest.mark.parametrize("read", [kpsbatch.load, kpsbatch.open_dataset])
    def test_no_path(self, read):
        """An array in the place of a path is said to be one."""
        with pytest.raises(ConfigError, match=r"a path is needed, not ndarray of shape \(3,\)"):
            read(np.zeros(3))


class TestDraw:
    def test_draws(self):
        """Keypoints are drawn on a copy; the points of each set are known by their number."""
        image = np.full((64, 64, 3), 90, np.uint8)
        for points in (184, 553, 628):
            keypoints = np.random.default_rng(0).random((points, 4)).astype(np.float32)
            drawn = kpsbatch.draw(image, keypoints)
            assert drawn.shape == image.shape
            assert (drawn != image).any()
        assert (image == 90).all()
        assert (kpsbatch.draw(image, np.zeros((184, 4))) == image).all()
        hands = kpsbatch.topology_of(["hands"])
        assert kpsbatch.draw(image, np.full((42, 4), 0.5), hands).any()

    @pytest.mark.parametrize(
        ("image", "keypoints", "says"),
        [
            (np.zeros((8, 8, 3)), np.zeros((184, 4)), "image: it is no picture"),
            ("a.png", np.zeros((184, 4)), "image: it is no picture"),
            (np.zeros((8, 8, 3), np.uint8), np.zeros((5, 184, 4)), "this is (5, 184, 4). Take keypoints[0]."),
            (np.zeros((8, 8, 3), np.uint8), np.zeros((7, 4)), "7 points are of another set"),
        ],
    )
    def test_wrong_types(self, image, keypoints, says):
        """Other shapes are one line of ours."""
        with pytest.raises(ConfigError) as raised:
            kpsbatch.draw(image, keypoints)
        assert says in str(raised.value)
