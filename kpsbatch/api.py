"""The Python API for one video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kpsbatch.config import ALL_PEOPLE, AUTO, LandmarksConfig, OutputConfig, explain, parse_person, parts_with_points
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.video import video_of
from kpsbatch.errors import ConfigError, DatasetError, named_path
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.kept_networks import borrowed_networks, close_landmarkers
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.points import ALL, FULL, topology_of

__all__ = ["close_landmarkers", "extract_video"]


def extract_video(
    path: Path | str | NDArray[Any] | Iterable[NDArray[Any]],
    *,
    frame_rate: float | None = None,
    mirrored: bool = False,
    dtype: str = "float32",
    points: str | Sequence[str] = "contract",
    max_bad_frames: float = 0.2,
    max_pixels: int = 50_000_000,
    frame_rate_out: float | None = None,
    person: str | int = AUTO,
    **landmarks: Any,
) -> NDArray[Any]:
    """Compute the keypoints of one video, in this process; MediaPipe's messages are not shown.

        keypoints = kpsbatch.extract_video("clip.mp4")
        keypoints.shape  # (T, 184, 4)
        kpsbatch.extract_video("clip.mp4", points=["pose", "hands"]).shape  # (T, 75, 4)

    The networks are kept for further calls with the same settings; `close_landmarkers` frees them earlier than the
    end of the program. Threads may call it at once: each then has networks of its own.

        kpsbatch.extract_video(frames, frame_rate=25)  # (T, height, width, 3), uint8, RGB

    Args:
        path: A directory of frames, a video file, or the frames themselves: an array or an iterator of (height, width,
            3) arrays, uint8, RGB. All of them are held in memory.
        frame_rate: Frames a second of frames that are given, or of a directory of them; default
            `landmarks.frame_rate`, 30. A video file has its own.
        mirrored: The picture is a mirror image: right is the signer's own right all the same.
        dtype: float32, float64 or float16.
        points: The set of points, as in `output.points`; `topology_of(points)` names them. `full`: all landmarks,
            those in metres too, see `load`.
        max_bad_frames: Share of unreadable frames above which it fails.
        max_pixels: Larger frames are not decoded.
        frame_rate_out: Give the video as many frames a second first, each the nearest in time; None for its own.
        person: Who the signer is, of several people, as `dataset.person`: auto, left, right, largest, x=0.3, or a
            number from the left.
        landmarks: The settings of the config's `landmarks` section, such as `running_mode`, `coordinates`, `parts`.

    Returns:
        (T, points, 4): x, y, z, visibility of the points of `points`; zeros where a part is missing.

    Raises:
        ConfigError: A setting is unknown or unusable, an argument is of another type, or the frame rate is not above 0.
        DatasetError: The video is missing, or too little of it can be read.
        ModelError: mediapipe or its networks can't be used.
    """
    settings, output = _checked(landmarks, dtype, points)
    settings.refuse_removed()
    if frame_rate is not None:
        if isinstance(frame_rate, bool) or not isinstance(frame_rate, (int, float)) or not 0 < frame_rate <= 1000:
            raise ConfigError(f"frame_rate: {frame_rate!r} is no rate. Give frames a second, such as 25.")
        settings = settings.model_copy(update={"frame_rate": float(frame_rate)})
    given: list[NDArray[Any]] = []
    if isinstance(path, Iterable) and not isinstance(path, (str, os.PathLike)):
        if frame_rate_out is not None:
            raise ConfigError("frame_rate_out: it goes with a video file or a folder. Give the frames at that rate.")
        given = _checked_frames(path)
    elif not (file := named_path("path", path, "Name a video file or a folder, or give frames.")).exists():
        raise DatasetError(f"{file} does not exist. Name a video file or a folder of frames.")
    try:
        person = parse_person(person)
        if person == ALL_PEOPLE:
            raise ValueError("all gives an array for each person. Name one, or use `kpsbatch extract --person all`.")
    except ValueError as error:
        raise ConfigError(f"person: {error}") from None

    def frames() -> Iterator[Frame]:
        if given:
            return _frames_of(given, settings.frame_rate)
        return read_frames(
            video_of(file),
            frame_rate=settings.frame_rate,
            max_pixels=max_pixels,
            reduced=settings.decode == "fast",
            frame_rate_out=frame_rate_out,
        )

    with borrowed_networks(settings, find_networks(settings.models)) as networks:
        made = extract(
            frames(),
            networks,
            mirrored=mirrored,
            dtype=dtype,
            topology=FULL if points == FULL.name else topology_of(output.points),
            max_bad_frames=max_bad_frames,
            person=person,
            again=frames,
        )
    return made.keypoints


def _checked_frames(frames: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    """Frames that a caller gives.

    Raises:
        ConfigError: One of them is no picture of 8 bits.
        DatasetError: There is none.
    """
    given = list(frames)
    for number, image in enumerate(given):
        if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8):
            kind = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise ConfigError(
                f"path: frame {number} is {kind}. Give a file, a folder, or frames of (height, width, 3), uint8, RGB: "
                "of floats from 0 to 1, (frames * 255).astype('uint8')."
            )
    if not given:
        raise DatasetError("path: there is no frame. Give at least one array of (height, width, 3).")
    return given


def _frames_of(images: Iterable[NDArray[Any]], rate: float) -> Iterator[Frame]:
    for number, image in enumerate(images):
        time = 1000 * number / rate
        yield Frame(np.ascontiguousarray(image), round(time), str(number), time=time, rate=rate)


def _checked(
    landmarks: Mapping[str, Any], dtype: str, points: str | Sequence[str]
) -> tuple[LandmarksConfig, OutputConfig]:
    """The settings, validated as those of a config.

    Raises:
        ConfigError: One is unknown or unusable.
    """
    try:
        settings = LandmarksConfig.model_validate(landmarks)
    except ValidationError as error:
        raise ConfigError(explain(error, section="landmarks")) from None
    try:
        known = ALL.name if points == FULL.name else points
        output = OutputConfig.model_validate({"root": ".", "dtype": dtype, "points": known})
        return settings.model_copy(update={"parts": parts_with_points(settings, output)}), output
    except ValidationError as error:
        raise ConfigError(explain(error)) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None
