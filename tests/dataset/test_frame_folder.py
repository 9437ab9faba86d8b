"""A folder of image files is a video: its frames keep their order, places and times."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_pictures import encode, noise, picture

from kpsbatch.dataset import storage
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.reading import (
    AFTER_GAP,
    COPY,
    NOT_JPG,
    NOT_READ,
    TWICE,
    VIDEO_BESIDE,
    odd_frames,
    read_frames,
    stored_frames,
)
from kpsbatch.dataset.video import video_of
from kpsbatch.errors import DatasetError


def read(path: Path, frame_rate: float = 25.0) -> list[Frame]:
    return list(read_frames(video_of(path), frame_rate=frame_rate, max_pixels=10**8))


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
        assert stored_frames(video_of(directory), 25.0).names() == ["1.JPG"]
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
            "is empty",
            "is a truncated JPEG",
            "is not a readable image",
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
        with pytest.raises(DatasetError, match=r"has no frame\. Put image files \(\.jpg, "):
            read(directory)

    def test_unreadable(self, directory, monkeypatch):
        """A directory that can't be listed is refused."""

        def refuse(path):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.listdir", refuse)
        with pytest.raises(DatasetError, match=r"can't be read: Permission denied"):
            read(directory)


def flaky(failures: int, number: int) -> Callable[..., Any]:
    """`Path.open`, which fails some times before it works, for one frame."""
    real = Path.open
    left = iter(range(failures))

    def open_path(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "2.jpg" and next(left, None) is not None:
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **options)

    return open_path


class TestStorage:
    @pytest.fixture(autouse=True)
    def no_waits(self, monkeypatch):
        monkeypatch.setattr(storage, "WAITS", (0.0, 0.0, 0.0))

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
        with pytest.raises(
            DatasetError, match=r"2\.jpg: can't be read: Input/output error, 4 times\. Check the storage"
        ):
            read(directory)

    def test_other_errors(self, directory, monkeypatch):
        """An error that waiting does not fix makes the frame bad at once."""
        monkeypatch.setattr(Path, "open", flaky(1, errno.EACCES))
        assert [frame.problem for frame in read(directory)] == ["", "can't be read: Permission denied", ""]


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        ("1.jpg 1.png 2.png", {TWICE: ["1.png"]}),
        ("001.jpg 1.jpg 2.jpg", {TWICE: ["1.jpg"]}),
        ("a1.png a2.png a4.png a5.png", {AFTER_GAP: ["a4.png"]}),
        ("0.png 5.png 10.png 20.png", {AFTER_GAP: ["20.png"]}),
        ("t33.png t66.png t100.png t133.png", {}),
        ("f_(1).png f_(2).png", {}),
        ("2.png|2_-_Copy.png|2_(1).png|2_copy_3.png", {COPY: ["2 (1).png", "2 - Copy.png", "2 copy 3.png"]}),
        ("1.jpg 2.jfif 3.JPE", {NOT_JPG: ["2.jfif", "3.JPE"]}),
        ("1.jpg 2.heic clip.mp4 Thumbs.db .3.heic", {NOT_READ: ["2.heic"], VIDEO_BESIDE: ["clip.mp4"]}),
    ],
)
def test_odd_frames(names, odd):
    """Names that a folder of frames should not have are told apart: what is twice, a copy, a gap, another kind."""
    assert odd_frames(name.replace("_", " ") for name in names.replace("|", " ").split()) == odd
