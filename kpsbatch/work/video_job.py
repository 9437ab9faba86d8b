"""What a worker does with one video."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kpsbatch.config import Config, LandmarksConfig
from kpsbatch.dataset.layout import Video
from kpsbatch.dataset.units import Unit

if TYPE_CHECKING:
    from kpsbatch.landmarks.bundles import Bundle
    from kpsbatch.landmarks.extract import VideoKeypoints


class VideoTask(NamedTuple):
    """One video of one unit."""

    unit: Unit
    video: Video


@dataclass
class VideoJob:
    """Opens the landmarkers once in a worker; a task is one video."""

    settings: LandmarksConfig
    mirrored: bool
    bundles: Mapping[str, Bundle]
    dtype: str
    max_bad_frames: float
    max_pixels: int
    frame_rate_out: float | None = None

    @classmethod
    def of(cls, config: Config, bundles: Mapping[str, Bundle]) -> VideoJob:
        """The job that a config asks for."""
        run = config.run
        return cls(
            config.landmarks,
            config.dataset.mirrored,
            bundles,
            config.output.dtype,
            run.max_bad_frames,
            run.max_pixels,
            config.dataset.frame_rate_out,
        )

    def open(self) -> None:
        """Load the landmarkers.

        Raises:
            ModelError: They can't be loaded.
        """
        import cv2

        from kpsbatch.landmarks.landmarker import Landmarker

        cv2.setNumThreads(1)
        self._landmarker = Landmarker(self.settings, self.bundles)

    def do(self, task: VideoTask, heartbeat: Callable[[], None]) -> VideoKeypoints:
        """Compute the keypoints of one video.

        Raises:
            DatasetError: Too little of it can be read.
        """
        from kpsbatch.dataset.frames import read_video
        from kpsbatch.landmarks.extract import extract

        frames = read_video(
            task.video.path,
            frame_rate=self.settings.frame_rate,
            max_pixels=self.max_pixels,
            reduced=self.settings.decode == "fast",
            frame_rate_out=self.frame_rate_out,
        )
        try:
            return extract(
                frames,
                self._landmarker,
                self.settings,
                mirrored=self.mirrored,
                dtype=self.dtype,
                max_bad_frames=self.max_bad_frames,
                on_frame=heartbeat,
            )
        except Exception:  # in the middle of a video: its clock and its tracking are left as they were
            self._landmarker.close()
            self.open()
            raise

    def close(self) -> None:
        """Close the landmarkers: MediaPipe's hang when they are left to the garbage collector."""
        self._landmarker.close()

    def environment(self) -> dict[str, str]:
        """Environment of the workers: one thread each, no GPU unless asked for, no chatter, bounded images."""
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        quiet = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2", "OPENCV_LOG_LEVEL": "ERROR"}
        limits = {"OPENCV_IO_MAX_IMAGE_PIXELS": str(self.max_pixels), "OPENCV_FFMPEG_LOGLEVEL": "-8"}
        gpu = {"MEDIAPIPE_DISABLE_GPU": "1"} if self.settings.delegate == "cpu" else {}
        return {**one_thread, **quiet, **limits, **gpu}
