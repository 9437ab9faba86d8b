"""What a worker does with a video, or with segments of one file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from kpsbatch.config import ALL_PEOPLE, AUTO, Config, LandmarksConfig
from kpsbatch.dataset.video import Unit, Video
from kpsbatch.errors import KpsbatchError, ModelError, without_opencv
from kpsbatch.landmarks.facts import OddFrames
from kpsbatch.points import topology_of
from kpsbatch.store.records import key_of
from kpsbatch.work.worker import Heartbeat

if TYPE_CHECKING:
    from kpsbatch.dataset.frame import Frame
    from kpsbatch.landmarks.extract import VideoKeypoints
    from kpsbatch.landmarks.network_files import NetworkFiles


class VideoTask(NamedTuple):
    """One video of a unit, or segments of one file that are decoded in one pass (`together`)."""

    unit: Unit
    videos: tuple[Video, ...]


def people_of_each(made: Iterable[VideoKeypoints | None]) -> list[list[VideoKeypoints]]:
    """What `VideoJob.do` returns, video by video: those of its people where all are asked for, nothing for None."""
    videos: list[list[VideoKeypoints]] = []
    for one in made:
        if one is None or one.facts.stands_for_video:
            videos.append([])
        videos[-1] += [] if one is None else [one]
    return videos


@dataclass
class VideoJob:
    """Loads the networks once in a worker."""

    settings: LandmarksConfig
    mirrored: bool
    networks: NetworkFiles
    dtype: str
    points: str
    max_bad_frames: float
    max_pixels: int
    frame_rate_out: float | None = None
    person: str = AUTO
    keep: bool = False

    @classmethod
    def of(cls, config: Config, networks: NetworkFiles) -> VideoJob:
        """The job that a config asks for."""
        run = config.run
        return cls(
            config.landmarks,
            config.dataset.mirrored,
            networks,
            config.output.dtype,
            config.output.points,
            run.max_bad_frames,
            run.max_pixels,
            config.dataset.frame_rate_out,
            config.dataset.person,
            config.output.keep == "full",
        )

    def open(self) -> None:
        """Load the networks.

        Raises:
            ModelError: They, or OpenCV, can't be loaded.
        """
        try:
            import cv2
        except ImportError as error:
            raise ModelError(without_opencv(error)) from None

        from kpsbatch.landmarks.networks import Networks

        cv2.setNumThreads(1)
        self._loaded = Networks(self.settings, self.networks)

    def do(self, task: VideoTask, heartbeat: Heartbeat) -> list[VideoKeypoints | None]:
        """Compute the keypoints of the videos of a task.

        Returns:
            Those of each video, in their order; None for a segment of several that has to be tried by itself. Where all
            people are asked for, those of each person, see `people_of_each`.

        Raises:
            DatasetError: Too little of the one video can be read, or the file of several can't be opened.
        """

        def skipped() -> None:
            heartbeat(0)

        if len(task.videos) == 1:
            [video] = task.videos
            odd: dict[str, OddFrames] = {}

            def note(names: Mapping[str, list[str]]) -> None:
                odd.update({kind: OddFrames(count=len(of), first=of[0]) for kind, of in names.items()})

            frames = self._read(video, skipped, note)
            found = self._extract(video, frames, heartbeat)
            return [replace(one, facts=one.facts.model_copy(update={"odd_frames": odd})) for one in found]
        made: list[list[VideoKeypoints]] = [[] for _ in task.videos]
        segments = self._reading().read_each(
            task.videos, max_pixels=self.max_pixels, frame_rate_out=self.frame_rate_out, on_skipped=skipped
        )
        for number, segment in segments:
            if segment is not None:
                with contextlib.suppress(Exception):  # which one, and why, comes out when it is tried by itself
                    made[number] = self._extract(task.videos[number], segment, heartbeat)
        return [one for people in made for one in (*people,) or (None,)]

    @staticmethod
    def _reading() -> ModuleType:
        from kpsbatch.dataset import reading  # OpenCV, which the process that starts the workers does without

        return reading

    def _read(
        self,
        video: Video,
        skipped: Callable[[], None],
        on_odd: Callable[[Mapping[str, list[str]]], None] = lambda names: None,
    ) -> Iterator[Frame]:
        frames: Iterator[Frame] = self._reading().read_frames(
            video,
            frame_rate=self.settings.frame_rate,
            max_pixels=self.max_pixels,
            reduced=self.settings.decode == "fast" and video.box is None,  # a box is in pixels of the whole frame
            frame_rate_out=self.frame_rate_out,
            on_skipped=skipped,
            on_odd=on_odd,
        )
        return frames

    def _extract(self, video: Video, frames: Iterator[Frame], heartbeat: Heartbeat) -> list[VideoKeypoints]:
        """Of the signer; of each person, where all are asked for and no row of a table names one."""
        from kpsbatch.landmarks import extract
        from kpsbatch.store.npz import npz_bytes

        def again() -> Iterator[Frame]:
            for frame in self._read(video, lambda: heartbeat(0)):
                heartbeat(0)
                yield frame

        settings: dict[str, Any] = {
            "mirrored": self.mirrored,
            "dtype": self.dtype,
            "topology": topology_of(self.points),
            "max_bad_frames": self.max_bad_frames,
            "again": again,
            "on_frame": heartbeat,
        }
        person = video.person or (AUTO if video.box and self.person == ALL_PEOPLE else self.person)
        keep = partial(npz_bytes, video.name) if self.keep else None
        try:
            if person == ALL_PEOPLE:
                keeps = (lambda number: partial(npz_bytes, key_of(video.name, number))) if self.keep else None
                return extract.extract_people(frames, self._loaded, keep=keeps, **settings)
            return [extract.extract(frames, self._loaded, box=video.box, person=person, keep=keep, **settings)]
        except KpsbatchError:  # about the video: the networks are as good as before
            raise
        except Exception:  # a graph of MediaPipe answers every call after an error with that error
            self._loaded.close()
            self.open()
            raise

    def close(self) -> None:
        """Close the networks: MediaPipe's hang when they are left to the garbage collector."""
        self._loaded.close()

    def environment(self) -> dict[str, str]:
        """Environment of the workers: one thread each, no GPU unless the config has it, no messages, bounded images."""
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        quiet = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2", "OPENCV_LOG_LEVEL": "ERROR"}
        limits = {"OPENCV_IO_MAX_IMAGE_PIXELS": str(self.max_pixels), "OPENCV_FFMPEG_LOGLEVEL": "-8"}
        gpu = {"MEDIAPIPE_DISABLE_GPU": "1"} if self.settings.delegate == "cpu" else {}
        return {**one_thread, **quiet, **limits, **gpu}
