"""The MediaPipe landmarkers of one process; MediaPipe is imported here and in reading.py only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import ModelError
from kpsbatch.landmarks.bundles import Bundle, whole_picture_hand_bundle
from kpsbatch.landmarks.clip.network_edits import EditedNetwork, edited_networks
from kpsbatch.landmarks.clip.networks import Networks
from kpsbatch.landmarks.detection import Detection, Hand
from kpsbatch.landmarks.mediapipe_import import import_mediapipe
from kpsbatch.landmarks.reading import reader_for
from kpsbatch.landmarks.visibility import VisibilityMemory

Points = NDArray[np.float32]
RGB = NDArray[np.uint8]


SECOND_LOOK_PRESENCE = 0.8
"""Factor on the presence threshold of hands in the second look, whose other checks allow a lower one."""

GAP_MILLISECONDS = 1000
"""Gap between two videos on MediaPipe's clock, which must rise through all videos, in milliseconds."""


class Landmarker:
    """The landmarkers of one process; close it (or use it in a `with`), garbage collection can deadlock.

    In clip mode it holds nothing but `networks`, which `WholeClip` runs. In video mode `start_video` must come before
    the first frame of each video: MediaPipe goes on tracking over the change otherwise.
    """

    def __init__(
        self,
        settings: LandmarksConfig,
        bundles: Mapping[str, Bundle],
        edited: Mapping[str, EditedNetwork] | None = None,
    ) -> None:
        """Load the landmarkers that `settings.parts` asks for.

        Args:
            settings: The `landmarks` section.
            bundles: The bundle of every part.
            edited: For clip mode, the `edited_networks` of the bundles; None edits them now.

        Raises:
            ModelError: mediapipe is missing, a bundle is unusable, or there is no GPU for `delegate: gpu`.
        """
        os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's log messages, before it is imported
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if settings.delegate == "cpu":
            os.environ["MEDIAPIPE_DISABLE_GPU"] = "1"  # many processes would exhaust the GPU's contexts
        mp = import_mediapipe()
        self._mp = mp
        self._reader = reader_for(mp)
        self._settings = settings
        self._video = settings.running_mode == "video"
        self._mode = mp.tasks.vision.RunningMode.VIDEO if self._video else mp.tasks.vision.RunningMode.IMAGE
        self._last = 0  # MediaPipe's clock, in milliseconds; it must rise through the landmarkers' life
        self._first = GAP_MILLISECONDS  # its smoothing takes a first timestamp of 0 for "unset"
        self._visibility = VisibilityMemory()
        self._pose = self._face = self._hands = self._face_in = self._hand_in = None
        gpu = settings.delegate == "gpu"
        delegates = mp.tasks.BaseOptions.Delegate
        self._delegate = delegates.GPU if gpu else delegates.CPU
        self.networks: Networks | None = None
        try:
            if settings.running_mode == "clip":
                self.networks = Networks(edited or edited_networks(bundles), self._make_embedder, self._embed)
            else:
                self._load(bundles)
        except (RuntimeError, ValueError, NotImplementedError) as error:
            self.close()
            raise _unusable(error, gpu=gpu) from None
        except BaseException:
            self.close()
            raise

    def _load(self, bundles: Mapping[str, Bundle]) -> None:
        """Load MediaPipe's own landmarkers, for image and video mode."""
        settings = self._settings
        if needs_pose(settings):
            self._pose = self._make_pose(bundles["pose"].read())
        if "face" in settings.parts:
            face_bundle = bundles["face"].read()
            self._face = self._make_face(face_bundle, self._mode)
            if self._video:  # in image mode the landmarker for whole frames serves, since it keeps no state
                self._face_in = self._make_face(face_bundle, self._mp.tasks.vision.RunningMode.IMAGE)
        if "hands" in settings.parts:
            hand_bundle = bundles["hand"].read()
            self._hands = self._make_hands(hand_bundle)
            if settings.recover_hands:
                self._hand_in = self._make_hand_in(whole_picture_hand_bundle(hand_bundle))

    def _base(self, bundle: bytes) -> Any:
        return self._mp.tasks.BaseOptions(model_asset_buffer=bundle, delegate=self._delegate)

    def _make_pose(self, bundle: bytes) -> Any:
        vision, thresholds = self._mp.tasks.vision, self._settings.confidence
        options = vision.PoseLandmarkerOptions(
            base_options=self._base(bundle),
            running_mode=self._mode,
            min_pose_detection_confidence=thresholds.pose_detection,
            min_pose_presence_confidence=thresholds.pose_presence,
            min_tracking_confidence=thresholds.pose_tracking,
        )
        return vision.PoseLandmarker.create_from_options(options)

    def _make_face(self, bundle: bytes, mode: Any) -> Any:
        vision, thresholds = self._mp.tasks.vision, self._settings.confidence
        options = vision.FaceLandmarkerOptions(
            base_options=self._base(bundle),
            running_mode=mode,
            min_face_detection_confidence=thresholds.face_detection,
            min_tracking_confidence=thresholds.face_tracking,
        )
        return vision.FaceLandmarker.create_from_options(options)

    def _make_hands(self, bundle: bytes) -> Any:
        vision, thresholds = self._mp.tasks.vision, self._settings.confidence
        options = vision.HandLandmarkerOptions(
            base_options=self._base(bundle),
            running_mode=self._mode,
            num_hands=2,
            min_hand_detection_confidence=thresholds.hand_detection,
            min_hand_presence_confidence=thresholds.hand_presence,
            min_tracking_confidence=thresholds.hand_tracking,
        )
        return vision.HandLandmarker.create_from_options(options)

    def _make_hand_in(self, bundle: bytes) -> Any:
        vision, thresholds = self._mp.tasks.vision, self._settings.confidence
        options = vision.HandLandmarkerOptions(
            base_options=self._base(bundle),
            min_hand_presence_confidence=SECOND_LOOK_PRESENCE * thresholds.hand_presence,
        )
        return vision.HandLandmarker.create_from_options(options)

    def _make_embedder(self, network: bytes) -> Any:
        vision = self._mp.tasks.vision
        options = vision.ImageEmbedderOptions(base_options=self._base(network))
        return vision.ImageEmbedder.create_from_options(options)

    def _embed(self, embedder: Any, image: RGB) -> list[Points]:
        return self._reader.embeddings(embedder, self._picture(image))

    def start_video(self, height: int, width: int) -> None:
        """Reset the tracking, so that the result of a video does not depend on the videos before it; for video mode.

        One blank frame resets the tracking of all parts bit-exactly; for the pose's visibility see `VisibilityMemory`.

        Args:
            height: Of the video's first frame, in pixels.
            width: Of the video's first frame, in pixels.
        """
        if self._video and self._last:
            self._detect(np.zeros((height, width, 3), np.uint8), self._last + GAP_MILLISECONDS)
        self._visibility.start_video()
        self._first = self._last + GAP_MILLISECONDS

    def detect(self, image: RGB, timestamp: int) -> Detection:
        """Find the landmarks of one frame.

        Args:
            image: (H, W, 3) uint8 RGB, contiguous.
            timestamp: Milliseconds since the video's first frame, rising from frame to frame; counts in video mode.
        """
        return self._detect(image, self._first + timestamp)

    def hand_in(self, image: RGB) -> Hand | None:
        """The landmarks of a hand that is known to fill a picture, fingers up; None where it shows no hand.

        Independent of all other pictures, in video mode too.

        Args:
            image: (H, W, 3) uint8 RGB, square and contiguous.

        Returns:
            The hand, with x, y and z in this picture's widths and heights.
        """
        if self._hand_in is None:
            return None
        return next(iter(self._reader.hands(self._hand_in, self._picture(image), None)), None)

    def face_in(self, image: RGB) -> Points | None:
        """The landmarks of the face in a picture of a head; None where it shows none, or `parts` leaves faces out.

        Independent of all other pictures, in video mode too.

        Args:
            image: (H, W, 3) uint8 RGB, contiguous.

        Returns:
            (478, 3), with x and y in this picture's widths and heights.
        """
        landmarker = self._face_in if self._video else self._face
        return None if landmarker is None else self._reader.face(landmarker, self._picture(image), None)

    def _detect(self, image: RGB, clock: int) -> Detection:
        self._last = clock
        picture = self._picture(image)
        at = clock if self._video else None
        pose = None if self._pose is None else self._reader.pose(self._pose, picture, at)
        return Detection(
            pose if pose is None or not self._video else self._visibility.correct(pose),
            None if self._face is None else self._reader.face(self._face, picture, at),
            [] if self._hands is None else self._reader.hands(self._hands, picture, at),
        )

    def _picture(self, image: RGB) -> Any:
        return self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=image)

    def close(self) -> None:
        """Close the landmarkers; safe to call twice. An earlier error, which MediaPipe repeats here, is not raised."""
        if networks := getattr(self, "networks", None):
            self.networks = None
            networks.close()
        for name in ("_pose", "_face", "_hands", "_face_in", "_hand_in"):
            landmarker = getattr(self, name, None)
            if landmarker is not None:
                setattr(self, name, None)
                with suppress(RuntimeError, ValueError):
                    landmarker.close()

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unusable(error: Exception, *, gpu: bool) -> ModelError:
    reason = " ".join(str(error).split())[:200]
    if not gpu:
        return ModelError(f"the model bundles do not work with MediaPipe: {reason}. Check landmarks.models.")
    if "kGpuService" in reason:
        reason = "it finds none, or no OpenGL ES driver for it"
    return ModelError(f"landmarks.delegate: MediaPipe can't use a GPU here: {reason}. Set delegate: cpu.")


def needs_pose(settings: LandmarksConfig) -> bool:
    """Whether the pose has to be found: for itself, to know the signer's face, or to place hands by its wrists."""
    placing = settings.assign_hands == "pose" or settings.recover_hands
    return not {"pose", "face"}.isdisjoint(settings.parts) or placing
