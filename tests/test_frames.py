"""Frames are read as they are, and a bad one is told from a good one. The truth is drawn here."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import kpsbatch.dataset.frames as frames_module
from kpsbatch.dataset.frames import Frame, decode_image, list_frames, read_video
from kpsbatch.errors import DatasetError

MANY = 10**8
RED, BLUE, WHITE = (200, 30, 40), (20, 60, 220), (240, 240, 240)


def picture(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """White above, red on the left, blue on the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = RED, BLUE
    image[: height // 4] = WHITE
    return image


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def encode(image: Image.Image | NDArray[np.uint8], kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def grey(*colours: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    return [(round(0.299 * r + 0.587 * g + 0.114 * b),) * 3 for r, g, b in colours]


def read(path: Path, frame_rate: float = 25.0, max_pixels: int = MANY) -> list[Frame]:
    return list(read_video(path, frame_rate=frame_rate, max_pixels=max_pixels))


def write_mp4(path: Path, colours: list[tuple[int, int, int]], rate: float = 10.0) -> Path:
    """A video file of uniform 64x48 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (64, 48))
    for colour in colours:
        writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


COLOURS = [(200, 30, 40), (20, 60, 220), (40, 180, 60), (120, 120, 120), (220, 220, 30)]


class TestDecode:
    @pytest.mark.parametrize(
        ("mode", "kind", "options"),
        [
            ("RGB", "JPEG", {"quality": 95}),
            ("RGB", "JPEG", {"quality": 95, "progressive": True}),
            ("CMYK", "JPEG", {"quality": 95}),
            ("RGB", "PNG", {}),
            ("RGBA", "PNG", {}),
            ("RGB", "BMP", {}),
            ("RGB", "WEBP", {"lossless": True}),
            ("RGB", "TIFF", {}),
            ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ],
    )
    def test_colours(self, mode, kind, options):
        """Whatever the file's kind, the result is 8-bit RGB with the colours that were drawn."""
        image, problem = decode_image(encode(Image.fromarray(picture()).convert(mode), kind, **options), MANY)
        assert problem == ""
        assert (image.shape, image.dtype, image.flags.c_contiguous) == ((40, 60, 3), np.uint8, True)
        for (y, x), colour in (((25, 10), RED), ((25, 50), BLUE), ((4, 30), WHITE)):
            np.testing.assert_allclose(image[y, x].astype(int), colour, atol=3)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_grey(self, kind):
        """A grey picture has three equal channels."""
        image, _ = decode_image(encode(Image.fromarray(picture()).convert("L"), kind), MANY)
        red, blue = grey(RED, BLUE)
        np.testing.assert_allclose(image[25, 10].astype(int), red, atol=3)
        np.testing.assert_allclose(image[25, 50].astype(int), blue, atol=3)

    def test_16_bit(self):
        """16 bits a channel become 8: the upper ones."""
        data = cv2.imencode(".png", picture()[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
        np.testing.assert_array_equal(decode_image(data, MANY)[0], picture())

    @pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
    def test_exif(self, orientation, turns):
        """A picture that its EXIF orientation calls turned is turned upright."""
        exif = Image.Exif()
        exif[0x112] = orientation
        image, _ = decode_image(encode(picture(), "JPEG", quality=95, exif=exif), MANY)
        upright = np.rot90(picture(), turns)
        assert image.shape == upright.shape
        assert np.abs(image.astype(int) - upright).mean() < 3

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
    @pytest.mark.parametrize("missing", [10, 0.5, 0.9])
    def test_truncated(self, kind, missing):
        """A file that lacks its end is bad, even where OpenCV would return half a picture."""
        data = encode(noise(), kind)
        cut = len(data) - missing if missing >= 1 else round(len(data) * (1 - missing))
        assert decode_image(data, MANY)[0] is not None
        image, problem = decode_image(data[:cut], MANY)
        assert image is None
        assert problem

    def test_jpeg_with_a_thumbnail(self):
        """The end mark of an embedded thumbnail is not the end of the picture."""
        thumbnail = encode(noise()[:16, :16], "JPEG")
        data = encode(noise(), "JPEG", exif=b"Exif\0\0" + thumbnail)
        assert decode_image(data, MANY)[1] == ""
        assert decode_image(data[:-40], MANY)[1] == "a truncated JPEG"

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "an empty file"),
            (b"hello", "no readable image"),
            (b"<html>not found</html>", "no readable image"),
            (bytes(5000), "no readable image"),
            (b"\xff\xd8", "no readable image"),
        ],
    )
    def test_no_image(self, data, says):
        """What is no image says so."""
        assert decode_image(data, MANY) == (None, says)

    def test_damaged_png(self):
        """A PNG with a flipped byte is bad."""
        data = bytearray(encode(noise(), "PNG"))
        data[len(data) // 2] ^= 0xFF
        assert decode_image(bytes(data), MANY) == (None, "no readable image")

    def test_too_large(self):
        """A picture above max_pixels is bad, and its size is named."""
        image, problem = decode_image(encode(picture(), "PNG"), 40 * 60 - 1)
        assert image is None
        assert problem == "60x40 is larger than run.max_pixels (2399)"
        assert decode_image(encode(picture(), "PNG"), 40 * 60)[1] == ""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "a video (1)"
    path.mkdir()
    return path


class TestDirectory:
    def test_order_and_times(self, directory):
        """Frames come in natural order, with the times of the frame rate."""
        for number, value in ((2, 20), (10, 100), (1, 10)):
            (directory / f"frame{number}.png").write_bytes(encode(np.full((8, 9, 3), value, np.uint8), "PNG"))
        frames = read(directory, frame_rate=25.0)
        assert [(f.name, f.timestamp, int(f.image[0, 0, 0])) for f in frames] == [
            ("frame1.png", 0, 10),
            ("frame2.png", 40, 20),
            ("frame10.png", 80, 100),
        ]

    def test_strays_are_no_frames(self, directory):
        """Stray files and macOS's doubles are passed over."""
        for name in ("Thumbs.db", ".DS_Store", "._1.jpg", "notes.txt", "1.jpg.part"):
            (directory / name).write_bytes(b"x")
        (directory / "1.JPG").write_bytes(encode(picture(), "JPEG"))
        assert list_frames(directory) == ["1.JPG"]
        assert [frame.problem for frame in read(directory)] == [""]

    def test_bad_frames_keep_their_place(self, directory):
        """A bad frame is there, without an image, so that time does not shift."""
        good = encode(noise(), "JPEG")
        for number, data in enumerate([good, b"", good[: len(good) // 2], b"text", good], 1):
            (directory / f"{number}.jpg").write_bytes(data)
        (directory / "6.jpg").mkdir()
        frames = read(directory, frame_rate=10.0)
        assert [frame.timestamp for frame in frames] == [0, 100, 200, 300, 400, 500]
        assert [frame.problem for frame in frames] == [
            "",
            "an empty file",
            "a truncated JPEG",
            "no readable image",
            "",
            "can't be read: Is a directory",
        ]
        assert [frame.image is None for frame in frames] == [bool(frame.problem) for frame in frames]

    def test_different_sizes(self, directory):
        """Frames of one video may differ in size."""
        for number, (height, width) in enumerate([(20, 30), (40, 20), (20, 30)]):
            (directory / f"{number}.png").write_bytes(encode(picture(height, width), "PNG"))
        assert [frame.image.shape[:2] for frame in read(directory)] == [(20, 30), (40, 20), (20, 30)]

    def test_no_frame(self, directory):
        """A directory without a frame is refused, and says what would be one."""
        (directory / "Thumbs.db").touch()
        with pytest.raises(DatasetError, match=r"must hold frames \(\.jpg, .*has none"):
            read(directory)

    def test_unreadable(self, directory, monkeypatch):
        """A directory that can't be listed is refused."""

        def refuse(path):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.scandir", refuse)
        with pytest.raises(DatasetError, match=r"must be readable: .*Permission denied"):
            read(directory)


class TestFile:
    def test_frames_and_times(self, tmp_path):
        """A video file gives its frames in order, in RGB, with its own times."""
        frames = read(write_mp4(tmp_path / "a clip (1).mp4", COLOURS, rate=10.0), frame_rate=99.0)
        assert [frame.timestamp for frame in frames] == [0, 100, 200, 300, 400]
        for frame, colour in zip(frames, COLOURS, strict=True):
            assert frame.image.shape == (48, 64, 3)
            np.testing.assert_allclose(frame.image.reshape(-1, 3).mean(0), colour, atol=6)

    def test_one_frame(self, tmp_path):
        """A video file of one frame is a video."""
        [frame] = read(write_mp4(tmp_path / "clip.mp4", COLOURS[:1]))
        assert (frame.timestamp, frame.problem) == (0, "")

    @pytest.mark.parametrize("data", [b"", b"no video", bytes(10_000)])
    def test_no_video(self, tmp_path, data):
        """A file that FFmpeg can't open is refused by name."""
        (tmp_path / "clip.mp4").write_bytes(data)
        with pytest.raises(DatasetError, match=r"readable by FFmpeg: .*clip\.mp4 can't be opened"):
            read(tmp_path / "clip.mp4")

    def test_missing_index(self, tmp_path):
        """An mp4 that was cut off before its index can't be opened."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS * 4)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DatasetError, match="can't be opened"):
            read(path)

    def test_damaged_media(self, tmp_path):
        """An mp4 whose media data is zeroed never passes for a whole one."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS * 4)
        data = bytearray(path.read_bytes())
        start = data.index(b"mdat") + 4
        end = data.index(b"moov", start) - 4
        data[start:end] = bytes(end - start)
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"must hold readable frames|must be whole"):
            read(path)

    def test_too_large(self, tmp_path):
        """A video file with frames above max_pixels is refused before decoding."""
        path = write_mp4(tmp_path / "clip.mp4", COLOURS)
        with pytest.raises(DatasetError, match=r"at most run\.max_pixels \(3071\): .* has 64x48"):
            read(path, max_pixels=64 * 48 - 1)

    def test_rising_times(self, tmp_path):
        """Times rise strictly, whatever the file says."""
        times = [frame.timestamp for frame in read(write_mp4(tmp_path / "clip.mp4", COLOURS * 6, rate=999.0))]
        assert times == sorted(set(times))


def flaky(failures: int, number: int) -> Callable[..., Any]:
    """`Path.open`, which fails some times before it works, for one frame and for video files."""
    real = Path.open
    left = iter(range(failures))

    def open_path(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name.endswith(("2.jpg", ".mp4")) and next(left, None) is not None:
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **options)

    return open_path


class TestStorage:
    @pytest.fixture(autouse=True)
    def no_waits(self, monkeypatch):
        monkeypatch.setattr(frames_module, "WAITS", (0.0, 0.0, 0.0))

    @pytest.fixture
    def directory(self, tmp_path):
        for number in (1, 2, 3):
            (tmp_path / f"{number}.jpg").write_bytes(encode(picture(), "JPEG"))
        return tmp_path

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
    def test_for_a_moment(self, directory, monkeypatch, number):
        """An error of storage that passes is not seen in the result."""
        monkeypatch.setattr(Path, "open", flaky(3, number))
        assert [frame.problem for frame in read(directory)] == ["", "", ""]

    def test_for_good(self, directory, monkeypatch):
        """One that stays fails the video, not the frame: the data may be good another day."""
        monkeypatch.setattr(Path, "open", flaky(99, errno.EIO))
        with pytest.raises(DatasetError, match=r"2\.jpg: Input/output error, 4 times; mend the storage"):
            read(directory)

    def test_other_errors(self, directory, monkeypatch):
        """An error that waiting does not mend makes the frame bad at once."""
        monkeypatch.setattr(Path, "open", flaky(1, errno.EACCES))
        assert [frame.problem for frame in read(directory)] == ["", "can't be read: Permission denied", ""]

    def test_video_file(self, tmp_path, monkeypatch):
        """FFmpeg would take an error for the end of the video: a video file is read through first."""
        clip = write_mp4(tmp_path / "clip.mp4", COLOURS)
        monkeypatch.setattr(Path, "open", flaky(2, errno.EIO))
        assert len(read(clip)) == len(COLOURS)
        monkeypatch.undo()
        monkeypatch.setattr(frames_module, "WAITS", (0.0, 0.0, 0.0))
        monkeypatch.setattr(Path, "open", flaky(99, errno.ESTALE))
        with pytest.raises(DatasetError, match=r"clip\.mp4: Stale file handle, 4 times"):
            read(clip)


class TestReducedDecoding:
    def picture(self, width, height):
        ramp = np.linspace(0, 255, width, dtype=np.uint8)
        return np.ascontiguousarray(
            np.dstack([np.tile(ramp, (height, 1))] * 2 + [np.full((height, width), 40, np.uint8)])
        )

    @pytest.mark.parametrize(
        ("size", "expected"),
        [((1920, 1080), (960, 540)), ((4096, 2160), (1024, 540)), ((959, 959), (959, 959)), ((256, 256), (256, 256))],
    )
    def test_large_jpeg(self, size, expected):
        """A JPEG is decoded at the smallest scale that leaves 480 pixels; the picture and its colours stay."""
        data = cv2.imencode(".jpg", self.picture(*size)[..., ::-1])[1].tobytes()
        image, problem = decode_image(data, 10**8, reduced=True)
        assert problem == ""
        assert image.shape[1::-1] == expected
        whole, _ = decode_image(data, 10**8)
        assert whole.shape[1::-1] == size
        shrunk = cv2.resize(whole, expected, interpolation=cv2.INTER_AREA)
        assert np.abs(image.astype(int) - shrunk).mean() < 2

    def test_other_kinds_are_decoded_whole(self):
        """A PNG has no reduced scales."""
        data = cv2.imencode(".png", self.picture(1920, 1080))[1].tobytes()
        assert decode_image(data, 10**8, reduced=True)[0].shape == (1080, 1920, 3)
