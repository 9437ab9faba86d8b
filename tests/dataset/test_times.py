"""Times are data: rates are told, and another frame rate takes the nearest frames."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from factories import write_config
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import COLOURS, write_mp4

from kpsbatch.api import extract_video
from kpsbatch.config import load_config
from kpsbatch.dataset.frame import Frame, FrameLog, Timing, frame_rate, resample
from kpsbatch.dataset.reading import read_frames, video_info
from kpsbatch.dataset.video import video_of
from kpsbatch.errors import ConfigError
from kpsbatch.store.settings import fingerprint_of, settings_of

BLACK = np.zeros((4, 6, 3), np.uint8)


def frames_at(times: list[float], rate: float = 0.0) -> list[Frame]:
    return [Frame(BLACK, round(time), str(i), "", time, rate) for i, time in enumerate(times)]


class TestFrameRate:
    def test_constant(self):
        """Times that agree with the nominal rate within the rounding of containers have that rate."""
        exact = [1000 * i * 1001 / 30000 for i in range(100)]
        assert frame_rate(exact, 30000 / 1001) == (30000 / 1001, True)
        assert frame_rate([float(round(time)) for time in exact], 30000 / 1001) == (30000 / 1001, True)

    def test_another_constant(self):
        """Where the nominal rate is wrong, the times count."""
        rate, constant = frame_rate([50.0 * i for i in range(9)], 25.0)
        assert (rate, constant) == (pytest.approx(20.0), True)

    def test_uneven(self):
        """Uneven times give the average and say so."""
        assert frame_rate([0.0, 40.0, 120.0, 160.0], 25.0) == (pytest.approx(18.75), False)

    def test_one_frame(self):
        """One frame has the nominal rate."""
        assert frame_rate([0.0], 25.0) == (25.0, True)


class TestLog:
    def test_even(self):
        """An even video's record tells rate and size, no times."""
        log = FrameLog()
        for frame in frames_at([0.0, 40.0, 80.0], 25.0):
            log.add(frame)
        assert log.timing() == Timing(frame_rate=25.0, nominal_rate=25.0, width=6, height=4)

    def test_uneven(self):
        """An uneven one's tells the times too."""
        log = FrameLog()
        for frame in frames_at([0.0, 40.0, 100.1234], 25.0):
            log.add(frame)
        assert log.timing().times == [0.0, 40.0, 100.123]

    def test_resampled(self):
        """A resampled one's tells which frames were taken."""
        log = FrameLog()
        for frame in resample(frames_at([0.0, 40.0, 80.0, 120.0], 25.0), 12.5):
            log.add(frame)
        timing = log.timing()
        assert timing.frame_rate == 12.5
        assert timing.source_times == [0.0, 80.0]
        assert timing.times is None


class TestResample:
    @settings(derandomize=True, max_examples=300, deadline=None)
    @given(
        steps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
        rate=st.sampled_from([1.0, 5.0, 12.5, 25.0, 30000 / 1001, 60.0]),
    )
    def test_nearest(self, steps, rate):
        """Every tick has the frame that is nearest in time; they go to the last frame at least."""
        times = np.concatenate([[0], np.cumsum(steps)]).astype(float)
        found = list(resample(frames_at(times.tolist()), rate))
        length = times[-1] + times[-1] / (len(times) - 1)
        assert len(found) == max(int(times[-1] * rate / 1000) + 1, int(length * rate / 1000 + 0.5))
        for tick, frame in enumerate(found):
            nearest = np.abs(times - tick * 1000 / rate).min()
            assert abs(frame.source_time - tick * 1000 / rate) == pytest.approx(nearest, abs=1e-6)
            assert frame.time == pytest.approx(tick * 1000 / rate)

    def test_same_rate(self):
        """The video's own rate takes every frame once, whatever the rounding of its times."""
        times = [float(round(1000 * i * 1001 / 30000)) for i in range(90)]
        assert [frame.name for frame in resample(frames_at(times), 30000 / 1001)] == [str(i) for i in range(90)]

    @pytest.mark.parametrize("rate", [0, -0.0, -1, math.nan, math.inf, -math.inf, 1000.5])
    def test_no_rate(self, tmp_path, rate):
        """A rate that is none is refused at once, by its name and value, before a frame is read."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS)
        with pytest.raises(ConfigError, match=rf"^frame_rate_out: {rate} is not a frame rate\. Give one above 0"):
            read_frames(video_of(path), frame_rate=99, max_pixels=10**6, frame_rate_out=rate)
        with pytest.raises(ConfigError, match=r"^frame_rate_out: "):
            extract_video(path, frame_rate_out=rate)

    def test_bad_frames(self):
        """A bad frame stays bad; it is not replaced by a good one that is farther."""
        frames = frames_at([0.0, 40.0, 80.0], 25.0)
        frames[1] = Frame(None, 40, "1", "damaged", 40.0, 25.0)
        assert [frame.problem for frame in resample(frames, 50.0)] == ["", "", "damaged", "damaged", "", ""]

    def test_one_frame(self):
        """One frame is a video at any rate."""
        assert [frame.name for frame in resample(frames_at([0.0], 25.0), 25.0)] == ["0"]
        assert [frame.name for frame in resample(frames_at([0.0], 25.0), 50.0)] == ["0", "0"]
        assert [frame.name for frame in resample(frames_at([0.0], 25.0), 1.0)] == ["0"]
        assert list(resample([], 25.0)) == []

    def test_video_file(self, tmp_path):
        """A file of 10 frames a second at 5: every second frame."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS, rate=10.0)
        frames = list(read_frames(video_of(path), frame_rate=99, max_pixels=10**6, frame_rate_out=5))
        assert [frame.timestamp for frame in frames] == [0, 200, 400]
        for frame, colour in zip(frames, COLOURS[::2], strict=False):
            np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(0), colour, atol=6)

    def test_folder(self, tmp_path):
        """A folder of frames at another rate."""
        for number in range(10):
            cv2.imwrite(str(tmp_path / f"{number}.png"), BLACK)
        frames = read_frames(video_of(tmp_path), frame_rate=20, max_pixels=10**6, frame_rate_out=5)
        assert [frame.name for frame in frames] == ["0.png", "4.png", "8.png"]


class TestSetting:
    def config(self, tmp_path, *overrides):
        return load_config(write_config(tmp_path), list(overrides))

    def test_fingerprint(self, tmp_path):
        """Another frame rate is another set of outputs."""
        plain = fingerprint_of(settings_of(self.config(tmp_path)))
        at_25 = fingerprint_of(settings_of(self.config(tmp_path, "dataset.frame_rate_out=25")))
        at_50 = fingerprint_of(settings_of(self.config(tmp_path, "dataset.frame_rate_out=50")))
        assert len({plain.digest, at_25.digest, at_50.digest}) == 3
        assert plain.settings.dataset["frame_rate_out"] is None
        assert at_25.settings.dataset["frame_rate_out"] == 25.0


def test_info_of_a_folder(tmp_path):
    """A folder's size is its first frame's; its rate the one that is set."""
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number}.png"), BLACK)
    info = video_info(video_of(tmp_path), frame_rate=20, max_pixels=10**6)
    assert (info.width, info.height, info.average_rate, info.frames, info.seconds) == (6, 4, 20, 10, 0.5)
