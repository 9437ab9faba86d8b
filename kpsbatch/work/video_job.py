"""What a worker does with a video, or with segments of one file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from kpsbatch.config import ALL_PEOPLE, AUTO, Config, LandmarksConfig
from kpsbatch.dataset import reading
from kpsbatch.dataset.reading import stored_size
from kpsbatch.dataset.video import Segment, Unit, Video
from kpsbatch.errors import DatasetError, KpsbatchError, ModelError, without_opencv
from kpsbatch.landmarks.facts import OddFrames
from kpsbatch.points import topology_of
from kpsbatch.store.records import key_of
from kpsbatch.work.cores import available_cores
from kpsbatch.work.worker import Heartbeat

if TYPE_CHECKING:
    from kpsbatch.dataset.frame import Frame
    from kpsbatch.landmarks.extract import VideoKeypoints
    from kpsbatch.landmarks.network_files import NetworkFiles
    from kpsbatch.landmarks.pieces import Piece, WholeVideo
    from kpsbatch.landmarks.signer import Wish


class VideoTask(NamedTuple):
    """One video of a unit, or segments of one file that are decoded in one pass (`together`), or a piece of a video."""

    unit: Unit
    videos: tuple[Video, ...]
    piece: Piece | None = None


SHORT = 0.0005
"""Seconds: less than a frame, more than times are rounded by."""

LEAST_BYTES = 1 << 20
"""A smaller file is not asked how long it is: it is done as a whole."""


def tasks_of(videos: Sequence[Video]) -> int:
    """How many tasks some videos are at most, by the sizes of their files; where they are many it is their number."""
    if len(videos) >= available_cores():
        return len(videos)
    whole = [video for video in videos if video.is_file and video.segment is None]
    return len(videos) + sum(stored_size(video) // LEAST_BYTES for video in whole)


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

    def do(self, task: VideoTask, heartbeat: Heartbeat) -> list[VideoKeypoints | None] | WholeVideo:
        """Compute the keypoints of the videos of a task.

        Returns:
            Those of each video, in their order; None for a segment of several that has to be tried by itself. Where all
            people are asked for, those of each person, see `people_of_each`. Of a long
            video file the first look at it: its pieces are tasks of their own.

        Raises:
            DatasetError: Too little of the one video can be read, or the file of several can't be opened.
        """

        def skipped() -> None:
            heartbeat(0)

        if task.piece is not None:
            return [self._piece(task.videos[0], task.piece, heartbeat)]
        if len(task.videos) == 1:
            [video] = task.videos
            if (whole := self._look(video, heartbeat)) is not None:
                return whole
            odd: dict[str, OddFrames] = {}

            def note(names: Mapping[str, list[str]]) -> None:
                odd.update({kind: OddFrames(count=len(of), first=of[0]) for kind, of in names.items()})

            frames = self._read(video, skipped, note)
            found = self._extract(video, frames, heartbeat)
            return [replace(one, facts=one.facts.model_copy(update={"odd_frames": odd})) for one in found]
        made: list[list[VideoKeypoints]] = [[] for _ in task.videos]
        segments = reading.read_each(
            task.videos, max_pixels=self.max_pixels, frame_rate_out=self.frame_rate_out, on_skipped=skipped
        )
        for number, segment in segments:
            if segment is not None:
                with contextlib.suppress(Exception):  # which one, and why, comes out when it is tried by itself
                    made[number] = self._extract(task.videos[number], segment, heartbeat)
        return [one for people in made for one in (*people,) or (None,)]

    def _look(self, video: Video, heartbeat: Heartbeat) -> WholeVideo | None:
        """The first look at a long video file; None for what is done as a whole."""
        pieces = self._pieces()
        if not video.is_file or video.segment is not None or self.frame_rate_out or self._person(video) == ALL_PEOPLE:
            return None
        if self.settings.running_mode == "image" or stored_size(video) < LEAST_BYTES:
            return None
        try:
            info = reading.video_info(video, frame_rate=self.settings.frame_rate, max_pixels=self.max_pixels)
        except DatasetError:  # what reads it says why
            return None
        if (info.frames or (info.seconds or 0) * info.average_rate) <= pieces.PIECE_FRAMES:
            return None

        def alive() -> None:
            heartbeat(0)

        with self._healthy_networks():
            whole = pieces.look_at_video(
                self._read(video, alive), self._loaded, self._wish(video), self.max_bad_frames, alive
            )
        return whole if whole.frames > pieces.PIECE_FRAMES else None

    def _piece(self, video: Video, piece: Piece, heartbeat: Heartbeat) -> VideoKeypoints:
        """A piece of a long video: by searching in the file; decoded from its start where that gives other frames."""
        pieces = self._pieces()

        def alive() -> None:
            heartbeat(0)

        def made(frames: Iterator[Frame]) -> VideoKeypoints:
            with self._healthy_networks():
                keypoints: VideoKeypoints = pieces.extract_piece(
                    frames, self._loaded, piece, self._wish(video),
                    dtype=self.dtype, topology=topology_of(self.points),
                    keep=(lambda packed: packed.tobytes()) if self.keep else None, on_frame=heartbeat,
                )  # fmt: skip
            return keypoints

        try:
            begins = reading.first_moment(video, max_pixels=self.max_pixels)
            until = None if piece.read_until is None else begins + piece.read_until / 1000 - SHORT
            segment = Segment(max(0.0, begins + piece.read_from / 1000 - SHORT), until, "s")
            return made(self._read(replace(video, segment=segment), alive))
        except (pieces.OtherFrames, DatasetError):
            frames = self._read(video, alive)
            for _ in islice(frames, piece.first):
                alive()
            try:
                return made(islice(frames, len(piece.checks)))
            except pieces.OtherFrames:
                raise DatasetError(
                    f"{video.path}: has changed while it was worked on. Run the same command again."
                ) from None

    def _person(self, video: Video) -> str:
        return video.person or (AUTO if video.box and self.person == ALL_PEOPLE else self.person)

    def _wish(self, video: Video) -> Wish:
        wish: Wish = self._pieces().Wish(self._person(video), video.box, self.mirrored)
        return wish

    @staticmethod
    def _pieces() -> ModuleType:
        from kpsbatch.landmarks import pieces  # NumPy and MediaPipe, which that process does without, too

        return pieces

    def _read(
        self,
        video: Video,
        skipped: Callable[[], None],
        on_odd: Callable[[Mapping[str, list[str]]], None] = lambda names: None,
    ) -> Iterator[Frame]:
        frames: Iterator[Frame] = reading.read_frames(
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
        person = self._person(video)
        keep = partial(npz_bytes, video.name) if self.keep else None
        with self._healthy_networks():
            if person == ALL_PEOPLE:
                keeps = (lambda number: partial(npz_bytes, key_of(video.name, number))) if self.keep else None
                return extract.extract_people(frames, self._loaded, keep=keeps, **settings)
            return [extract.extract(frames, self._loaded, box=video.box, person=person, keep=keep, **settings)]

    @contextlib.contextmanager
    def _healthy_networks(self) -> Iterator[None]:
        """Load the networks again after an error: a graph of MediaPipe answers every call after one with that error."""
        try:
            yield
        except (KpsbatchError, self._pieces().OtherFrames):  # about the video: the networks are as good as before
            raise
        except Exception:
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
