"""A video file that is damaged or cut off is found; storage that fails is no end of a video; segments are sought."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shlex
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from made_pictures import COLOURS, write_mp4
from video_corpus import HAS_FFMPEG, NO_FFMPEG, VPX, X264, ffmpeg

from kpsbatch.dataset import storage
from kpsbatch.dataset.frame import Frame, FrameLog
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.storage import StoredFile
from kpsbatch.dataset.video import video_of
from kpsbatch.dataset.video_file import VideoFile, read_segments, read_video_file, segments_in_seconds
from kpsbatch.errors import DatasetError

MANY = 10**8
with_ffmpeg = pytest.mark.skipif(not HAS_FFMPEG, reason=NO_FFMPEG)


def read(path: Path, max_pixels: int = MANY) -> list[Frame]:
    return list(read_frames(video_of(path), frame_rate=99.0, max_pixels=max_pixels))


def draw(path: Path, options: str, seconds: float, size: str = "64x48", sound: bool = False) -> Path:
    """A video file of 25 frames a second, made with ffmpeg."""
    drawn = f"testsrc2=size={size}:rate=25:duration={seconds},noise=alls=20:allf=t,format=yuv420p"  # no frame is short
    picture = ["-f", "lavfi", "-i", drawn]
    tone = ["-f", "lavfi", "-i", f"sine=duration={seconds}"] if sound else []
    ffmpeg(*picture, *tone, "-threads", "1", *options.split(), path)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep a share of the file's bytes."""
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    return path


class TestFrames:
    def test_frames_and_times(self, tmp_path):
        """A video file gives its frames in order, in RGB, with its own times."""
        frames = read(write_mp4(tmp_path / "a clip (1).mp4", COLOURS, rate=10.0))
        assert [frame.timestamp for frame in frames] == [0, 100, 200, 300, 400]
        assert [frame.name for frame in frames] == ["0", "1", "2", "3", "4"]
        for frame, colour in zip(frames, COLOURS, strict=True):
            assert (frame.image.shape, frame.image.dtype) == ((48, 64, 3), np.uint8)
            assert frame.image.flags.c_contiguous
            np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(0), colour, atol=6)

    def test_one_frame(self, tmp_path):
        """A video file of one frame is a video."""
        [frame] = read(write_mp4(tmp_path / "clip.mp4", COLOURS[:1]))
        assert (frame.timestamp, frame.problem) == (0, "")

    def test_rising_times(self, tmp_path):
        """Timestamps rise strictly, whatever the file says."""
        times = [frame.timestamp for frame in read(write_mp4(tmp_path / "clip.mp4", COLOURS * 6, rate=999.0))]
        assert times == sorted(set(times))

    @with_ffmpeg
    @pytest.mark.parametrize(
        "kind", [f"mp4 {X264} -bf 2", f"webm -c:v libvpx-vp9 {VPX}", "mkv -c:v libaom-av1 -cpu-used 8 -usage realtime"]
    )
    def test_one_thread(self, tmp_path, kind):
        """Decoding and converting stay in the worker's own thread: it owns one core."""
        suffix, _, options = kind.partition(" ")
        path = draw(tmp_path / f"clip.{suffix}", options, 0.4, "640x480")
        before = len(os.listdir("/proc/self/task"))
        threads = {len(os.listdir("/proc/self/task")) for _ in read_video_file(path, max_pixels=MANY)}
        assert threads == {before}

    @with_ffmpeg
    def test_cover(self, tmp_path):
        """A cover picture in the file is not the video."""
        clip = draw(tmp_path / "clip.mp4", X264, 0.4)
        picture = tmp_path / "cover.png"
        ffmpeg("-f", "lavfi", "-i", "color=red:size=320x240", "-frames:v", "1", picture)
        path = tmp_path / "covered.mp4"
        maps = ["-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic"]
        ffmpeg("-i", clip, "-i", picture, *maps, path)
        assert [frame.image.shape for frame in read(path)] == [(48, 64, 3)] * 10


class TestRefused:
    @pytest.mark.parametrize("data", [b"", b"no video", bytes(10_000)])
    def test_no_video(self, tmp_path, data):
        """A file that FFmpeg can't open is refused by name, with the remedy."""
        (tmp_path / "clip.mp4").write_bytes(data)
        with pytest.raises(DatasetError, match=r"clip\.mp4: can't be opened by FFmpeg: .*copy it again"):
            read(tmp_path / "clip.mp4")

    @with_ffmpeg
    def test_sound_only(self, tmp_path):
        """So is one without a picture."""
        ffmpeg("-f", "lavfi", "-i", "sine=duration=0.5", "-c:a", "aac", tmp_path / "clip.mp4")
        with pytest.raises(DatasetError, match=r"clip\.mp4: has no video"):
            read(tmp_path / "clip.mp4")

    def test_missing(self, tmp_path):
        """A file that is not there is named."""
        with pytest.raises(DatasetError, match=r"nowhere\.mp4: can't be read: No such file"):
            read(tmp_path / "nowhere.mp4")

    def test_too_large(self, tmp_path, monkeypatch):
        """A video file with frames above max_pixels is refused before anything is decoded."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS)
        assert len(read(path, max_pixels=64 * 48)) == len(COLOURS)
        monkeypatch.setattr(VideoFile, "_decode", None)
        with pytest.raises(DatasetError, match=r"has frames of 64x48, larger than run\.max_pixels \(3071\)"):
            read(path, max_pixels=64 * 48 - 1)

    @pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
    def test_playlist(self, tmp_path, suffix):
        """A playlist in the place of a video opens no other file."""
        clip = write_mp4(tmp_path / "other.mp4", COLOURS)
        path = tmp_path / f"clip.{suffix}"
        for text in (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{clip}\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile {clip.name}\n",
        ):
            path.write_text(text)
            with pytest.raises(DatasetError, match=r"can't be opened|has no video|no readable frame"):
                read(path)


class TestCutOff:
    def test_missing_index(self, tmp_path):
        """An mp4 that was cut off before its index can't be opened."""
        path = cut(write_mp4(tmp_path / "clip.mp4", COLOURS * 4), 0.5)
        with pytest.raises(DatasetError, match="can't be opened"):
            read(path)

    @with_ffmpeg
    @pytest.mark.parametrize(
        ("name", "options", "sound"),
        [
            ("clip.mp4", f"{X264} -movflags +faststart", False),
            ("clip.mov", f"{X264} -bf 0 -movflags +faststart -c:a aac", True),
            ("clip.mkv", X264, False),
            ("clip.webm", f"-c:v libvpx-vp9 {VPX} -c:a libopus", True),
            ("clip.avi", "-c:v mpeg4", False),
            ("clip.flv", "-c:v flv", False),
        ],
    )
    def test_frames_at_the_end(self, tmp_path, name, options, sound):
        """The frames that a cut-off file lacks are there as missing ones; of a whole file none is."""
        path = draw(tmp_path / name, options, 4, sound=sound)
        whole = read(path)
        assert [frame.problem for frame in whole] == [""] * 100
        frames = read(cut(path, 0.75))
        assert len(frames) == pytest.approx(100, abs=4)  # the order of decoding hides some
        missing = [frame for frame in frames if frame.problem == "missing from the file"]
        assert 5 < len(missing) < 50
        assert frames[-len(missing) :] == missing
        assert frames[-1].time == pytest.approx(3960, abs=160)
        for frame, same in zip(frames[:60], whole, strict=False):
            if frame.image is not None:
                np.testing.assert_array_equal(frame.image, same.image)

    @with_ffmpeg
    @pytest.mark.parametrize(("name", "options"), [("a.mp4", f"{X264} -movflags +faststart"), ("a.mkv", X264)])
    def test_more_than_half(self, tmp_path, name, options):
        """A file that lacks more than half of its frames is refused."""
        path = cut(draw(tmp_path / name, options, 4), 0.4)
        with pytest.raises(DatasetError, match=r"is cut off: [0-9]+ of its [0-9]+ frames are missing\. Copy it again"):
            read(path)

    @with_ffmpeg
    def test_cut_by_an_edit_list(self, tmp_path):
        """Frames that an edit list leaves out are not missing, also where the file is cut off as well."""
        whole, path = draw(tmp_path / "whole.mp4", f"{X264} -bf 0", 2), tmp_path / "clip.mp4"
        ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", "-movflags", "+faststart", path)
        shown = 50 - 13  # from 0.52 s on
        assert [frame.problem for frame in read(path)] == [""] * shown
        frames = read(cut(path, 0.8))
        assert len(frames) == shown
        assert {frame.problem for frame in frames} - {"damaged"} == {"", "missing from the file"}


def put(path: Path, mark: bytes, skipped: int, data: bytes) -> Path:
    """Overwrite a file some bytes after the first place of a mark."""
    old = path.read_bytes()
    place = old.index(mark) + skipped
    path.write_bytes(old[:place] + data + old[place + len(data) :])
    return path


@with_ffmpeg
class TestHeaders:
    """What a header says about the end counts only where the file ends before its container does."""

    @pytest.mark.parametrize("seconds", [0.1, 2.4, 8.0, 2147483.63, 1e300, math.inf, math.nan])
    def test_flv_duration(self, tmp_path, seconds):
        """An flv that is whole has the frames that it holds, whatever its duration says."""
        path = draw(tmp_path / "clip.flv", X264, 2)
        frames = read(put(path, b"duration", 9, struct.pack(">d", seconds)))
        assert [frame.problem for frame in frames] == [""] * 50

    @pytest.mark.parametrize("name", ["clip.mkv", "clip.webm"])
    @pytest.mark.parametrize("milliseconds", [100.0, 2400.0, 1e12])
    def test_matroska_duration(self, tmp_path, name, milliseconds):
        """So has a mkv or webm."""
        path = draw(tmp_path / name, X264 if name == "clip.mkv" else f"-c:v libvpx {VPX}", 2)
        frames = read(put(path, b"\x44\x89\x88", 3, struct.pack(">d", milliseconds)))
        assert [frame.problem for frame in frames] == [""] * 50

    @pytest.mark.parametrize("number", [1, 60, 400, 0x7FFFFFFF])
    def test_avi_count(self, tmp_path, number):
        """So has an avi, whatever number of frames it promises."""
        path = draw(tmp_path / "clip.avi", "-c:v mpeg4", 2)
        put(path, b"avih", 24, struct.pack("<I", number))
        frames = read(put(path, b"strh", 40, struct.pack("<I", number)))
        assert [frame.problem for frame in frames] == [""] * 50

    @pytest.mark.parametrize("suffix", ["mkv", "flv"])
    @pytest.mark.parametrize("start", [0.6, 100])
    def test_late_start(self, tmp_path, suffix, start):
        """A file whose times begin late is whole; cut off, it lacks the frames behind the cut."""
        path = draw(tmp_path / f"clip.{suffix}", f"{X264} -output_ts_offset {start}", 4)
        assert [frame.problem for frame in read(path)] == [""] * 100
        frames = read(cut(path, 0.75))
        assert len(frames) == pytest.approx(100, abs=4)
        assert 5 < sum(frame.problem == "missing from the file" for frame in frames) < 50

    def test_cut_off_and_wrong(self, tmp_path):
        """A cut-off file with an endless duration is refused in no time, and the remedy works as it is typed."""
        path = draw(tmp_path / "a clip.flv", X264, 4)
        cut(put(path, b"duration", 9, struct.pack(">d", 1e9)), 0.75)
        with pytest.raises(DatasetError, match=r"is cut off: [0-9]+ of its .*: ffmpeg -i '.*' -c copy ") as caught:
            read(path)
        command = shlex.split(str(caught.value).rpartition("its place: ")[2].removesuffix("."))
        subprocess.run([*command, "-v", "error"], check=True)
        problems = [frame.problem for frame in read(Path(command[-1]))]
        assert 60 < len(problems) < 90
        assert set(problems[:-4]) == {""}


def joined(path: Path, *parts: Path) -> Path:
    """The parts' bytes, one after another."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@with_ffmpeg
class TestJumps:
    """Times that jump, repeat or wrap are put right as ffmpeg does it; no frame is lost or damaged by them."""

    @pytest.fixture(params=[f"ts {X264} -bf 2", f"ts {X264} -bf 0", "mpg -c:v mpeg2video -bf 2", "ts -c:v mpeg2video"])
    def parts(self, request, tmp_path):
        """Two files of one kind: 50 and 30 frames."""
        suffix, _, options = request.param.partition(" ")
        return [draw(tmp_path / f"{name}.{suffix}", options, n / 25) for name, n in (("a", 50), ("b", 30))]

    def test_concatenated(self, tmp_path, parts):
        """Files put one after another are one video: all frames, in order, at an even rate, at any rate out."""
        path = joined(tmp_path / f"all{parts[0].suffix}", parts[0], parts[1], parts[0])
        frames, single = read(path), [*read(parts[0]), *read(parts[1]), *read(parts[0])]
        assert [frame.problem for frame in frames] == [""] * 130
        for frame, same in zip(frames, single, strict=True):
            np.testing.assert_array_equal(frame.image, same.image)
        log = FrameLog()
        for frame in frames:
            log.add(frame)
        assert (log.timing().frame_rate, log.timing().jumps) == (25.0, 2)
        again = list(read_frames(video_of(path), frame_rate=99, max_pixels=MANY, frame_rate_out=25))
        assert [frame.name for frame in again] == [frame.name for frame in frames]

    def test_segments(self, tmp_path, parts):
        """Segments of such a file are found by the corrected times, and by frame numbers."""
        path = joined(tmp_path / f"all{parts[0].suffix}", *[parts[0], parts[1]] * 3)
        whole = read(path)
        asked = [(5.2, 5.6), *segments_in_seconds(path, [(200, 210)], max_pixels=MANY)]
        frames = list(read_segments(path, asked, max_pixels=MANY))
        for number, (start, end) in enumerate([(130, 140), (200, 210)]):
            for frame, same in zip([it for at, it in frames if at == number], whole[start:end], strict=True):
                np.testing.assert_array_equal(frame.image, same.image)

    @pytest.mark.parametrize(("start", "jumps"), [(100, 1), (5, 0)])
    def test_forward(self, tmp_path, start, jumps):
        """A part that begins much later follows at once; a pause of seconds is a pause."""
        first = draw(tmp_path / "a.ts", X264, 0.4)
        later = draw(tmp_path / "b.ts", f"{X264} -output_ts_offset {start}", 0.4)
        frames = read(joined(tmp_path / "all.ts", first, later))
        assert [frame.problem for frame in frames] == [""] * 20
        assert frames[-1].jumps == jumps
        assert (frames[-1].time > 5000) is (start == 5)

    def test_wrapped(self, tmp_path):
        """The clock of 33 bits of a ts may wrap."""
        frames = read(draw(tmp_path / "clip.ts", f"{X264} -output_ts_offset 95442.5", 2))
        assert [frame.time for frame in frames] == pytest.approx([40 * number for number in range(50)], abs=0.1)
        assert frames[-1].problem == ""

    @pytest.mark.parametrize("suffix", ["mkv", "mp4"])
    @pytest.mark.parametrize("seconds", ["-0.2", "2000000"])
    def test_no_clock(self, tmp_path, suffix, seconds):
        """Times that go back stand still, and impossible ones go on, in containers without a clock of their own."""
        clip, path = draw(tmp_path / "clip.ts", f"{X264} -bf 0", 0.4), tmp_path / f"moved.{suffix}"
        late = f"if(gt(N\\,4)\\,{seconds}/TB\\,0)"
        ffmpeg("-i", clip, "-c", "copy", "-bsf:v", f"setts=pts=PTS+{late}:dts=DTS+{late}", path)
        frames = read(path)
        times = [frame.time for frame in frames]
        assert [frame.problem for frame in frames] == [""] * 10
        assert times == sorted(times)
        assert times[-1] < 500


class TestDamaged:
    def test_all_media(self, tmp_path):
        """An mp4 whose media data is zeroed never passes for a whole one."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS * 4)
        data = bytearray(path.read_bytes())
        start = data.index(b"mdat") + 4
        end = data.index(b"moov", start) - 4
        data[start:end] = bytes(end - start)
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"holds no readable frame|is cut off"):
            read(path)

    @with_ffmpeg
    @pytest.mark.parametrize(
        "kind",
        [
            f"mp4 {X264} -bf 0 -g 5",
            f"mkv {X264} -bf 2",
            "mov -c:v mjpeg",
            "avi -c:v mjpeg",
            "mov -c:v prores_ks",
            "mov -c:v png",
        ],
    )
    def test_one_frame(self, tmp_path, kind):
        """A frame whose data is damaged is bad in its place; the frames around it keep their times."""
        suffix, _, options = kind.partition(" ")
        path = draw(tmp_path / f"clip.{suffix}", options, 0.8)
        whole = read(path)
        with av.open(str(path)) as container:
            packet = bytes(list(container.demux(video=0))[10])
        path.write_bytes(path.read_bytes().replace(packet, bytes(len(packet))))
        frames = read(path)
        assert [frame.time for frame in frames] == pytest.approx([frame.time for frame in whole], abs=0.01)
        bad = [number for number, frame in enumerate(frames) if frame.image is None]
        assert bad
        assert {frames[number].problem for number in bad} == {"damaged"}
        assert min(bad) >= 8
        np.testing.assert_array_equal(frames[7].image, whole[7].image)

    @with_ffmpeg
    def test_nothing_on_stderr(self, tmp_path, capfd):
        """FFmpeg's own complaints about a damaged file don't reach the log."""
        path = cut(draw(tmp_path / "clip.mkv", X264, 2), 0.7)
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
        path.write_bytes(data)
        with contextlib.suppress(DatasetError):
            read(path)
        assert capfd.readouterr() == ("", "")


def flaky(failures: int, number: int, after: int = 0) -> Callable[..., Any]:
    """`os.pread`, which fails some times for every place in the file beyond `after` bytes."""
    real = os.pread
    left = iter(range(failures))

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        if offset >= after and next(left, None) is not None:
            raise OSError(number, os.strerror(number))
        return real(descriptor, size, offset)

    return pread


class TestStorage:
    @pytest.fixture(autouse=True)
    def no_waits(self, monkeypatch):
        monkeypatch.setattr(storage, "WAITS", (0.0, 0.0, 0.0))

    @pytest.fixture
    def clip(self, tmp_path):
        path = write_mp4(tmp_path / "clip.mp4", COLOURS * 20)
        path.write_bytes(path.read_bytes() + (8 + 2**20).to_bytes(4, "big") + b"free" + bytes(2**20))
        return path

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
    @pytest.mark.parametrize("after", [0, 1])
    def test_for_a_moment(self, clip, monkeypatch, number, after):
        """An error of storage that passes is not seen in the result."""
        monkeypatch.setattr(os, "pread", flaky(3, number, after))
        assert [frame.problem for frame in read(clip)] == [""] * 100

    def test_for_good(self, clip, monkeypatch):
        """One that stays fails the video: FFmpeg would take it for the video's end."""
        monkeypatch.setattr(os, "pread", flaky(99, errno.EIO))
        with pytest.raises(DatasetError, match=r"clip\.mp4: can't be read: Input/output error, 4 times\. Check"):
            read(clip)

    @with_ffmpeg
    def test_in_the_middle(self, tmp_path, monkeypatch):
        """So does one that comes in the middle, in every container."""
        for name, options in (("a.mkv", X264), ("a.ts", X264), ("a.avi", "-c:v mjpeg"), ("a.mp4", X264)):
            path = draw(tmp_path / name, f"{options} -b:v 4M", 4, "320x240")
            assert path.stat().st_size > 2**19
            with monkeypatch.context() as patch:
                patch.setattr(os, "pread", flaky(10**6, errno.EIO, path.stat().st_size // 2))
                with pytest.raises(DatasetError, match="Input/output error, 4 times"):
                    read(path)

    def test_other_errors(self, clip, monkeypatch):
        """An error that waiting does not fix fails the video at once."""
        monkeypatch.setattr(os, "pread", flaky(1, errno.EACCES))
        with pytest.raises(DatasetError, match=r"clip\.mp4: can't be read: Permission denied"):
            read(clip)

    def test_part_of_a_file(self, clip, tmp_path):
        """A video that lies uncompressed in an archive is read there."""
        archive = tmp_path / "archive"
        archive.write_bytes(b"before" * 99 + clip.read_bytes() + clip.read_bytes()[:5000])
        member = StoredFile(archive, 6 * 99, clip.stat().st_size)
        frames = list(read_video_file(archive / "clip.mp4", max_pixels=MANY, stored=member))
        for frame, same in zip(frames, read(clip), strict=True):
            np.testing.assert_array_equal(frame.image, same.image)


LONG = [
    ("long.mp4", f"{X264} -bf 2 -g 25"),
    ("long.mkv", f"{X264} -bf 2 -g 25"),
    ("long.ts", f"{X264} -bf 2 -g 25"),
    ("long.webm", f"-c:v libvpx-vp9 {VPX} -g 25"),
    ("long.avi", "-c:v mpeg4 -g 25"),
    ("long.mpg", "-c:v mpeg2video -bf 2 -g 25"),
    ("long.wmv", "-c:v wmv2 -g 25"),
    ("long.mov", "-c:v mjpeg"),
    ("one_key_frame.mp4", f"{X264} -g 10000"),
]


@pytest.fixture(scope="module", params=LONG, ids=[name for name, _ in LONG])
def long(request, tmp_path_factory):
    name, options = request.param
    return draw(tmp_path_factory.mktemp("long") / name, options, 30, "32x32")


@with_ffmpeg
class TestLongFiles:
    """Segments of a file of 750 frames."""

    ASKED = ((20.0, 21.0), (2.02, 3.0), (10.0, 10.2), (10.12, 10.4), (29.5, 99.0), (50.0, 51.0))
    NUMBERS = ((500, 525), (51, 75), (250, 255), (253, 260), (738, 750), (750, 750))

    @pytest.fixture
    def decoded(self, monkeypatch):
        """Counts the packets that are decoded."""
        real = VideoFile._decode
        packets: list[object] = []

        def count(video: VideoFile, packet: Any, *rest: Any) -> Any:
            packets.append(packet)
            return real(video, packet, *rest)

        monkeypatch.setattr(VideoFile, "_decode", count)
        return packets

    def test_segments(self, long, decoded):
        """Each holds its frames; the file is decoded around them only, where it has key frames to begin at."""
        found: dict[int, list[Frame]] = {number: [] for number in range(len(self.ASKED))}
        for number, frame in read_segments(long, self.ASKED, max_pixels=MANY):
            found[number].append(frame)
        packets = len(decoded)
        whole = read(long)
        assert len(whole) == 750
        for number, (start, end) in enumerate(self.NUMBERS):
            assert len(found[number]) == end - start
            for frame, same in zip(found[number], whole[start:end], strict=True):
                np.testing.assert_array_equal(frame.image, same.image)
        if long.name == "one_key_frame.mp4":
            assert 750 <= packets < 760  # all of it, but only once
        else:
            assert packets < 300

    def test_one_segment(self, long, decoded):
        """One segment far in the file is decoded from the key frame before it."""
        frames = [frame for _, frame in read_segments(long, [(25.0, 25.4)], max_pixels=MANY)]
        assert [frame.timestamp for frame in frames] == [40 * number for number in range(10)]
        assert [frame.name for frame in frames] == [str(number) for number in range(10)]
        assert len(decoded) < 100 or long.name == "one_key_frame.mp4"

    def test_in_frames(self, long, decoded):
        """Frame numbers become seconds without decoding more than a frame."""
        asked = segments_in_seconds(long, self.NUMBERS[:2], max_pixels=MANY)
        assert len(decoded) < 8
        counts = [0, 0]
        for number, _ in read_segments(long, asked, max_pixels=MANY):
            counts[number] += 1
        assert counts == [25, 24]

    def test_cut_off(self, long, tmp_path):
        """A segment that lies beyond the end of a cut-off file has no readable frame."""
        path = tmp_path / long.name
        path.write_bytes(long.read_bytes())
        try:
            frames = list(read_segments(cut(path, 0.5), [(28.0, 29.0)], max_pixels=MANY))
        except DatasetError as error:
            assert "can't be opened" in str(error)
        else:
            assert [frame.image for _, frame in frames] == [None] * len(frames)
