"""Reading one video, a directory of frames or a video file, as RGB arrays."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.image_size import image_size
from kpsbatch.dataset.video import IMAGE_SUFFIXES, natural_key
from kpsbatch.errors import DatasetError

RGB = NDArray[np.uint8]
Read = TypeVar("Read")

TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.ECONNRESET, errno.EREMOTEIO})
"""Errors of storage, not of the data: a network file system has them for a moment."""

WAITS = (0.1, 0.5, 2.0)
"""Seconds before another try after such an error."""

REDUCED_SIDE = 480
"""Shorter side, in pixels, that a reduced frame still has: the landmark networks see crops of 192 to 256 pixels."""

_REDUCTIONS = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB, or None where the frame can't be decoded.
        timestamp: Milliseconds since the first frame.
        name: The frame's file name, or its number in a video file.
        problem: Why `image` is None.
    """

    image: RGB | None
    timestamp: int
    name: str
    problem: str = ""


def patiently(path: Path, read: Callable[[], Read]) -> Read:
    """Read something, again after a short wait where storage fails.

    Storage that goes on failing fails the video, not the frame: the frame may be good, and `--retry-failed` can read
    it another day, while a frame that counts as bad stays so in a video that counts as good.

    Raises:
        DatasetError: Storage goes on failing.
        OSError: Any other error, at once.
    """
    for wait in (*WAITS, None):
        try:
            return read()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
            if wait is None:
                raise DatasetError(
                    f"a video must be readable: {path}: {error.strerror}, {len(WAITS) + 1} times; mend the storage, "
                    "then run again with --retry-failed"
                ) from None
            time.sleep(wait)
    raise AssertionError


def list_frames(directory: Path) -> list[str]:
    """Names of the frames in a directory, in natural order; other files are passed over.

    Raises:
        OSError: The directory can't be listed.
    """
    with os.scandir(directory) as entries:
        names = [e.name for e in entries if e.name.lower().endswith(IMAGE_SUFFIXES) and not e.name.startswith(".")]
    return sorted(names, key=natural_key)


def read_video(path: Path, *, frame_rate: float, max_pixels: int, reduced: bool = False) -> Iterator[Frame]:
    """Read the frames of one video, decoding as it goes.

    Args:
        path: A directory of frames, or a video file.
        frame_rate: Frames a second of a directory of frames (a video file brings its own times).
        max_pixels: Larger frames are not decoded; a video file with larger frames is refused.
        reduced: Decode large JPEG frames at a reduced scale (`decode_image`).

    Raises:
        DatasetError: There is no frame at all, a video file can't be opened, or storage goes on failing.
    """
    if path.is_dir():
        yield from _read_directory(path, frame_rate, max_pixels, reduced)
    else:
        yield from _read_file(path, frame_rate, max_pixels)


def _read_directory(directory: Path, frame_rate: float, max_pixels: int, reduced: bool) -> Iterator[Frame]:
    try:
        names = patiently(directory, lambda: list_frames(directory))
    except OSError as error:
        raise DatasetError(f"a video's directory must be readable: {directory}: {error.strerror}") from None
    if not names:
        raise DatasetError(f"a video's directory must hold frames ({', '.join(IMAGE_SUFFIXES)}): {directory} has none")
    for index, name in enumerate(names):
        timestamp = round(index * 1000 / frame_rate)
        try:
            data = patiently(directory / name, (directory / name).read_bytes)
        except OSError as error:
            yield Frame(None, timestamp, name, f"can't be read: {error.strerror}")
            continue
        image, problem = decode_image(data, max_pixels, reduced=reduced)
        yield Frame(image, timestamp, name, problem)


def decode_image(data: bytes, max_pixels: int, *, reduced: bool = False) -> tuple[RGB | None, str]:
    """Decode an image file to 8-bit RGB, upright (EXIF orientation applied).

    Args:
        data: The file.
        max_pixels: Larger images are not decoded.
        reduced: Decode a large JPEG at 1/2, 1/4 or 1/8 of its size, its shorter side still at least 480 pixels; that
            saves most of the decoding, since it leaves out the finer frequencies.

    Returns:
        The (H, W, 3) image and "", or None and why not: empty, truncated, too large, no image.
    """
    if not data:
        return None, "an empty file"
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        return None, "a truncated JPEG"  # OpenCV would return it, grey from where the data ends
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]:
        return None, "a truncated PNG"
    size = image_size(data)
    if size is None:
        return None, "no readable image"
    if size[0] * size[1] > max_pixels:  # before it is decoded
        return None, f"{size[0]}x{size[1]} is larger than run.max_pixels ({max_pixels})"
    buffer = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB | (_reduction(data, size) if reduced else 0))
    except (cv2.error, MemoryError):
        return None, "no readable image"
    if image is None:
        return None, "no readable image"
    if image.shape[0] * image.shape[1] > max_pixels:
        return None, f"{image.shape[1]}x{image.shape[0]} is larger than run.max_pixels ({max_pixels})"
    return np.ascontiguousarray(image, dtype=np.uint8), ""


def _reduction(data: bytes, size: tuple[int, int]) -> int:
    """OpenCV's flag for the smallest decoding of a JPEG that is large enough; 0 for other images."""
    if data.startswith(b"\xff\xd8"):
        for factor, flag in _REDUCTIONS.items():
            if min(size) // factor >= REDUCED_SIDE:
                return flag
    return 0


def _read_through(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(_BLOCK):
            pass


def _read_file(path: Path, frame_rate: float, max_pixels: int) -> Iterator[Frame]:
    try:
        patiently(path, lambda: _read_through(path))  # FFmpeg takes an error of storage for the end of the video
    except OSError as error:
        raise DatasetError(f"a video file must be readable: {path}: {error.strerror}") from None
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise DatasetError(f"a video file must be readable by FFmpeg: {path} can't be opened")
        width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > max_pixels:
            raise DatasetError(f"frames must have at most run.max_pixels ({max_pixels}): {path} has {width}x{height}")
        declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = capture.get(cv2.CAP_PROP_FPS)
        step = 1000 / (rate if 0 < rate <= 1000 else frame_rate)
        index, last = 0, -1
        while True:
            there, image = capture.read()
            if not there:
                break
            if image.shape[0] * image.shape[1] > max_pixels:
                raise DatasetError(
                    f"frames must have at most run.max_pixels ({max_pixels}): {path} has "
                    f"{image.shape[1]}x{image.shape[0]}"
                )
            position = capture.get(cv2.CAP_PROP_POS_MSEC)
            # FFmpeg's own time where it runs forwards; else the nominal one
            last = round(position) if position > last else max(last + 1, round(index * step))
            yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8), last, str(index))
            index += 1
        if index == 0:
            raise DatasetError(f"a video file must hold readable frames: {path} has none")
        if path.suffix.lower() in (".mp4", ".mov"):  # these declare an exact count
            if declared > 2 * index:
                raise DatasetError(
                    f"a video file must be whole: {path} declares {declared} frames, {index} can be read"
                )
            for missing in range(index, declared):
                last = max(last + 1, round(missing * step))
                yield Frame(None, last, str(missing), "missing from the file")
    finally:
        capture.release()
