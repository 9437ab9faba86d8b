"""The Python API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import kpsbatch
from kpsbatch.demo.signer import render_video
from kpsbatch.errors import ConfigError, DatasetError, KpsbatchError

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of three frames of a two-handed sign; the second can't be read."""
    folder = tmp_path_factory.mktemp("a video")
    for number, frame in enumerate(render_video(2, 1, 1, 3)[0]):
        cv2.imwrite(str(folder / f"{number}.png"), frame[..., ::-1])
    (folder / "1.png").write_bytes(b"")
    return folder


class TestNames:
    def test_public_names(self):
        """What is exported is there."""
        assert sorted(kpsbatch.__all__) == ["Topology", "__version__", "extract_video", "load", "open_dataset"]
        assert all(getattr(kpsbatch, name) for name in kpsbatch.__all__)

    def test_unknown_name(self):
        """Anything else is an AttributeError."""
        with pytest.raises(AttributeError, match="no attribute 'extract'"):
            _ = kpsbatch.extract

    def test_import_is_light(self):
        """`import kpsbatch` and the command line's module load neither NumPy nor OpenCV nor MediaPipe."""
        code = "import kpsbatch.cli, sys; print(*sorted({'numpy', 'cv2', 'mediapipe'} & sys.modules.keys()))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
        )
        assert done.stdout == "\n"

    def test_one_root(self):
        """Every error of the package has one root, and an exit status."""
        assert issubclass(ConfigError, KpsbatchError)
        assert {error.exit_status for error in KpsbatchError.__subclasses__()} == {2, 3}


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
            str(video), dtype="float64", max_bad_frames=0.5, running_mode="video", parts=["pose"]
        )
        assert kps.dtype == np.float64
        assert kps[0, kpsbatch.Topology.POSE, 3].any()
        assert not kps[:, kpsbatch.Topology.FACE].any()

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
            ({"running_mode": "film"}, "running_mode: 'film' is not valid. Choose 'clip', 'image' or 'video'"),
            ({"dtype": "int8"}, "dtype: 'int8' is not valid. Choose 'float32', 'float64' or 'float16'."),
        ],
    )
    def test_bad_settings(self, video, settings, says):
        """A bad setting is refused as in the config, before anything is computed."""
        with pytest.raises(ConfigError) as caught:
            kpsbatch.extract_video(video, **settings)
        assert says in str(caught.value)
