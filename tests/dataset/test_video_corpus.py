"""Every video that plays is whole: what is read is what ffprobe and ffmpeg show, frame for frame."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from video_corpus import CORPUS, HAS_FFMPEG, NO_FFMPEG, X264, Made, Truth, ffmpeg, make_all

from kpsbatch.dataset import video_file
from kpsbatch.dataset.frame import Frame, FrameLog
from kpsbatch.dataset.reading import read_frames, video_info
from kpsbatch.dataset.video import VIDEO_SUFFIXES, video_of
from kpsbatch.dataset.video_file import read_segments, segments_in_seconds

pytestmark = pytest.mark.skipif(not HAS_FFMPEG, reason=NO_FFMPEG)
MAX_PIXELS = 10**6
TICK = 0.1  # milliseconds; times of edit lists are rounded to units of the file, in other ways from release to release
SAME_COLOUR = 2  # of 255; releases of FFmpeg may round otherwise

each = pytest.mark.parametrize("made", CORPUS, ids=lambda made: made.name)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Truth]:
    return make_all(tmp_path_factory.mktemp("corpus"))


def read(path: Path) -> list[Frame]:
    return list(read_frames(video_of(path), frame_rate=99, max_pixels=MAX_PIXELS))


def rate_of(made: Made) -> float:
    over, _, under = made.source[2].partition("/")
    return float(over) / float(under or 1)


def test_the_corpus_covers_all_suffixes():
    """There is a file of every suffix that counts as a video."""
    also_as = {".mpeg", ".mts", ".m2ts"}  # .mpg and .ts by other names
    assert set(VIDEO_SUFFIXES) - also_as == {Path(made.name).suffix for made in CORPUS}
    assert len(CORPUS) >= 40


@each
def test_frames(made, corpus):
    """As many frames as ffprobe counts, at its times, with ffmpeg's pixels; none is missing."""
    truth = corpus[made.name]
    frames = read(truth.path)
    assert [frame.problem for frame in frames] == [""] * made.frames
    assert len(truth.times) == len(truth.pixels) == made.frames
    known = ~np.isnan(truth.times)  # ffprobe does not tell the last times of some AVI
    assert known.sum() >= made.frames - 3
    times = np.array([frame.time for frame in frames])
    np.testing.assert_allclose(times[known], np.array(truth.times)[known], rtol=0, atol=TICK)
    for frame, pixels in zip(frames, truth.pixels, strict=True):
        np.testing.assert_allclose(frame.image.astype(int), pixels, rtol=0, atol=SAME_COLOUR)


@each
def test_record(made, corpus):
    """The record tells the rate and the size; it lists times only where they are uneven."""
    log = FrameLog()
    frames = read(corpus[made.name].path)
    for frame in frames:
        log.add(frame)
    timing = log.timing()
    assert (timing.width, timing.height) == (made.size if any(made.size) else made.source[:2])
    assert (timing.times is not None) is not made.constant
    if made.constant:
        assert timing.frame_rate == pytest.approx(rate_of(made), rel=1e-4)
    else:
        assert timing.times == pytest.approx(corpus[made.name].times, abs=TICK)
    timestamps = [frame.timestamp for frame in frames]
    assert timestamps == sorted(set(timestamps))
    assert timestamps[0] == 0


@each
def test_info(made, corpus):
    """Size and rate are known before the frames are read; an index counts as many frames as are shown."""
    info = video_info(video_of(corpus[made.name].path), frame_rate=99, max_pixels=MAX_PIXELS)
    assert (info.width, info.height) == (made.size if any(made.size) else made.source[:2])
    assert info.frames in (made.frames, None)
    if made.constant and made.frames > 1:
        assert info.nominal_rate == pytest.approx(rate_of(made), rel=1e-3)


@each
def test_segments(made, corpus, monkeypatch):
    """Segments hold the frames that the whole file has at these times, wherever decoding begins."""
    monkeypatch.setattr(video_file, "JUMP", 0.05)
    path = corpus[made.name].path
    whole = read(path)
    [(first, _)] = segments_in_seconds(path, [(0, 1)], max_pixels=MAX_PIXELS)
    numbers = [(15, 18), (2, 5), (4, 7), (made.frames - 1, made.frames + 5)]
    asked = (
        [(first + whole[a].time / 1000, first + whole[b].time / 1000) for a, b in numbers[:3]]
        if len(whole) > 18
        else []
    )
    asked.append((first + whole[-1].time / 1000, 1e9))
    found: list[list[Frame]] = [[] for _ in asked]
    for number, frame in read_segments(path, asked, max_pixels=MAX_PIXELS):
        found[number].append(frame)
    for frames, (start, end) in zip(found, numbers[-len(asked) :], strict=True):
        expected = whole[start:end]
        assert len(frames) == len(expected)
        for frame, same in zip(frames, expected, strict=True):
            np.testing.assert_array_equal(frame.image, same.image)
            assert frame.time == pytest.approx(same.time - expected[0].time, abs=1e-6)


@each
def test_segments_in_frames(made, corpus):
    """Frame numbers of a table are the frames that are shown, told without decoding."""
    path = corpus[made.name].path
    numbers = [(0, 1), (made.frames // 2, made.frames // 2 + 2), (0, made.frames), (made.frames, made.frames + 3)]
    asked = segments_in_seconds(path, numbers, max_pixels=MAX_PIXELS)
    counts = [0] * len(asked)
    for number, _ in read_segments(path, asked, max_pixels=MAX_PIXELS):
        counts[number] += 1
    assert counts == [1, min(2, made.frames - made.frames // 2), made.frames, 0]


@pytest.mark.parametrize(
    ("matrix", "pixels"),
    [("bt709", "yuv420p"), ("smpte170m", "yuv420p"), ("bt2020nc", "yuv420p10le"), ("bt709", "yuvj444p")],
)
def test_drawn_colours(tmp_path, matrix, pixels):
    """Colours come out as they were drawn, whatever matrix and range they are stored with."""
    path = tmp_path / "clip.mp4"
    full = "full" if pixels.startswith("yuvj") else "limited"
    scale = f"scale=out_color_matrix={matrix.removesuffix('nc')}:out_range={full},format={pixels}"
    picture = "color=c=0xC81E28:size=64x48:rate=25:duration=0.2"
    ffmpeg("-f", "lavfi", "-i", picture, "-vf", scale, *X264.split(), "-qp", "1", "-colorspace", matrix, path)
    for frame in read(path):
        np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(0), (0xC8, 0x1E, 0x28), atol=5)


def test_ffprobe_counts_the_same(corpus):
    """ffprobe's own count agrees with its list of frames, so that the truth is not of our making."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames", "-of", "json"]
    command += ["-show_entries", "stream=nb_read_frames,nb_frames", str(corpus["h264_cut_at_start.mp4"].path)]
    [stream] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["streams"]
    assert int(stream["nb_read_frames"]) == 12
    assert int(stream["nb_frames"]) > 12  # more are in the file than its edit list shows
