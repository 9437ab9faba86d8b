"""Reading one video, a folder of frames or a video file, as RGB arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kpsbatch.dataset.frame import RGB, Frame
from kpsbatch.dataset.frame_folder import list_frames, read_frame_folder
from kpsbatch.dataset.images import image_size
from kpsbatch.dataset.segments import read_video_file
from kpsbatch.dataset.storage import with_retries
from kpsbatch.dataset.times import resample
from kpsbatch.dataset.video_file import VideoFile, VideoInfo

__all__ = ["RGB", "Frame", "list_frames", "read_video", "video_info"]


def read_video(
    path: Path,
    *,
    frame_rate: float,
    max_pixels: int,
    reduced: bool = False,
    frame_rate_out: float | None = None,
) -> Iterator[Frame]:
    """Read the frames of one video, decoding as it goes.

    Args:
        path: A folder of frames, or a video file.
        frame_rate: Frames a second of a folder of frames (a video file brings its own times).
        max_pixels: Larger frames are not decoded; a video file with larger frames is refused.
        reduced: Decode large JPEG frames at a reduced scale (`decode_image`).
        frame_rate_out: Give as many frames a second, each the nearest in time (`resample`); None for all as they are.

    Raises:
        DatasetError: There is no frame at all, a video file can't be opened, or storage goes on failing.
    """
    if path.is_dir():
        frames = read_frame_folder(path, frame_rate=frame_rate, max_pixels=max_pixels, reduced=reduced)
    else:
        frames = read_video_file(path, max_pixels=max_pixels)
    return frames if frame_rate_out is None else resample(frames, frame_rate_out)


def video_info(path: Path, *, frame_rate: float, max_pixels: int) -> VideoInfo:
    """What a video says about itself; decodes at most its first frame.

    Args:
        path: A folder of frames, or a video file.
        frame_rate: Frames a second of a folder of frames.
        max_pixels: A video file with larger frames is refused.

    Raises:
        DatasetError: It can't be read.
    """
    if not path.is_dir():
        with VideoFile(path, max_pixels=max_pixels) as video:
            return video.info()
    names = with_retries(path, lambda: list_frames(path))
    size = image_size(with_retries(path, (path / names[0]).read_bytes)) if names else None
    width, height = size or (0, 0)
    return VideoInfo(width, height, frame_rate, frame_rate, len(names), len(names) / frame_rate)
