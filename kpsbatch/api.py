"""The Python API for one video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError

from kpsbatch.config import LandmarksConfig, OutputConfig, explain
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.video import video_of
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.kept import borrowed_landmarker, close_landmarkers

__all__ = ["close_landmarkers", "extract_video"]


def extract_video(
    path: Path | str,
    *,
    mirrored: bool = False,
    dtype: str = "float32",
    max_bad_frames: float = 0.2,
    max_pixels: int = 50_000_000,
    frame_rate_out: float | None = None,
    **landmarks: Any,
) -> NDArray[Any]:
    """Compute the keypoints of one video, in this process; standard error is silent meanwhile.

        keypoints = kpsbatch.extract_video("clip.mp4")
        keypoints.shape  # (T, 184, 4)

    The landmarkers are kept for further calls with the same settings; `close_landmarkers` frees them earlier than the
    end of the program. Threads may call it at once: each then has landmarkers of its own.

    Args:
        path: A directory of frames or a video file.
        mirrored: The picture is a mirror image: right is the signer's own right all the same.
        dtype: float32, float64 or float16.
        max_bad_frames: Share of unreadable frames above which it fails.
        max_pixels: Larger frames are not decoded.
        frame_rate_out: Give the video as many frames a second first, each the nearest in time; None for its own.
        landmarks: The settings of the config's `landmarks` section, such as `running_mode`, `coordinates`, `parts`.

    Returns:
        (T, 184, 4): x, y, z, visibility of the points that `kpsbatch.Topology` names; zeros where a part is missing.

    Raises:
        ConfigError: A setting is unknown or unusable.
        DatasetError: The video is missing, or too little of it can be read.
        ModelError: mediapipe or its bundles can't be used.
    """
    try:
        settings = LandmarksConfig.model_validate(landmarks)
    except ValidationError as error:
        raise ConfigError(explain(error, section="landmarks")) from None
    try:
        OutputConfig.model_validate({"root": ".", "dtype": dtype})
    except ValidationError as error:
        raise ConfigError(explain(error)) from None
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path} does not exist. Name a video file or a folder of frames.")
    with borrowed_landmarker(settings, find_bundles(settings.models)) as landmarker:
        reduced = settings.decode == "fast"
        frames = read_frames(
            video_of(path),
            frame_rate=settings.frame_rate,
            max_pixels=max_pixels,
            reduced=reduced,
            frame_rate_out=frame_rate_out,
        )
        made = extract(frames, landmarker, settings, mirrored=mirrored, dtype=dtype, max_bad_frames=max_bad_frames)
    return made.keypoints
