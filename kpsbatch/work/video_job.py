"""What a worker does with a video, or with segments of one file."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kpsbatch.config import Config, LandmarksConfig
from kpsbatch.dataset.video import Unit, Video
from kpsbatch.errors import ModelError, without_opencv
from kpsbatch.work.job import Heartbeat

if TYPE_CHECKING:
    from kpsbatch.dataset.frame import Frame
    from kpsbatch.landmarks.bundles import Bundle
    from kpsbatch.landmarks.clip.network_edits import EditedNetwork
    from kpsbatch.landmarks.extract import VideoKeypoints


class VideoTask(NamedTuple):
    """One video of a unit, or segments of one file that are decoded in one pass (`together`)."""

    unit: Unit
    videos: tuple[Video, ...]


@dataclass
class VideoJob:
    """Opens the landmarkers once in a worker."""

    settings: LandmarksConfig
    mirrored: bool
    bundles: Mapping[str, Bundle]
    dtype: str
    points: str
    max_bad_frames: float
    max_pixels: int
    frame_rate_out: float | None = None
    networks: Path | None = None

    @classmethod
    def of(cls, config: Config, bundles: Mapping[str, Bundle]) -> VideoJob:
        """The job that a config asks for."""
        run = config.run
        return cls(
            config.landmarks,
            config.dataset.mirrored,
            bundles,
            config.output.dtype,
            config.output.points,
            run.max_bad_frames,
            run.max_pixels,
            config.dataset.frame_rate_out,
        )

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Edit the networks of clip mode once for all workers, which can read them for the time of the block.

        They lie in memory, in a file without a name. Where a model is unusable there are none: the workers tell why.
        """
        if self.settings.running_mode != "clip":
            yield
            return
        from kpsbatch.landmarks.clip.network_edits import edited_networks

        try:
            networks = pickle.dumps(edited_networks(self.bundles))
        except ModelError:
            yield
            return
        with open(os.memfd_create("networks"), "wb") as file:
            file.write(networks)
            file.flush()
            del networks
            self.networks = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
            try:
                yield
            finally:
                self.networks = None

    def _edited_networks(self) -> Mapping[str, EditedNetwork] | None:
        """What `prepared` has made; None where that is out of reach."""
        if self.networks is None:
            return None
        try:
            networks: Mapping[str, EditedNetwork] = pickle.loads(self.networks.read_bytes())
        except OSError:
            return None
        return networks

    def open(self) -> None:
        """Load the landmarkers.

        Raises:
            ModelError: They, or OpenCV, can't be loaded.
        """
        try:
            import cv2
        except ImportError as error:
            raise ModelError(without_opencv(error)) from None

        from kpsbatch.landmarks.landmarker import Landmarker

        cv2.setNumThreads(1)
        self._landmarker = Landmarker(self.settings, self.bundles, self._edited_networks())

    def do(self, task: VideoTask, heartbeat: Heartbeat) -> list[VideoKeypoints | None]:
        """Compute the keypoints of the videos of a task.

        Returns:
            Those of each video, in their order; None for a segment of several that has to be tried by itself.

        Raises:
            DatasetError: Too little of the one video can be read, or the file of several can't be opened.
        """
        from kpsbatch.dataset.reading import read_each, read_frames

        def skipped() -> None:
            heartbeat(0)

        if len(task.videos) == 1:
            [video] = task.videos
            frames = read_frames(
                video,
                frame_rate=self.settings.frame_rate,
                max_pixels=self.max_pixels,
                reduced=self.settings.decode == "fast" and video.box is None,  # a box is in pixels of the whole frame
                frame_rate_out=self.frame_rate_out,
                on_skipped=skipped,
            )
            return [self._extract(video, frames, heartbeat)]
        made: list[VideoKeypoints | None] = [None] * len(task.videos)
        segments = read_each(
            task.videos, max_pixels=self.max_pixels, frame_rate_out=self.frame_rate_out, on_skipped=skipped
        )
        for number, segment in segments:
            if segment is not None:
                with contextlib.suppress(Exception):  # which one, and why, comes out when it is tried by itself
                    made[number] = self._extract(task.videos[number], segment, heartbeat)
        return made

    def _extract(self, video: Video, frames: Iterator[Frame], heartbeat: Heartbeat) -> VideoKeypoints:
        from kpsbatch.landmarks.extract import extract
        from kpsbatch.landmarks.topology import topology_of

        try:
            return extract(
                frames,
                self._landmarker,
                self.settings,
                mirrored=self.mirrored,
                dtype=self.dtype,
                topology=topology_of(self.points),
                max_bad_frames=self.max_bad_frames,
                box=video.box,
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
        """Environment of the workers: one thread each, no GPU unless the config has it, no messages, bounded images."""
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        quiet = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2", "OPENCV_LOG_LEVEL": "ERROR"}
        limits = {"OPENCV_IO_MAX_IMAGE_PIXELS": str(self.max_pixels), "OPENCV_FFMPEG_LOGLEVEL": "-8"}
        gpu = {"MEDIAPIPE_DISABLE_GPU": "1"} if self.settings.delegate == "cpu" else {}
        return {**one_thread, **quiet, **limits, **gpu}
