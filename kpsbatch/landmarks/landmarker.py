"""MediaPipe, and nothing else: the only module that imports it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import ModelError
from kpsbatch.landmarks.bundles import MEDIAPIPE_VERSION, Bundle

Points = NDArray[np.float32]
RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Hand:
    """One detected hand.

    Attributes:
        points: (21, 3), x and y in frame widths and heights, z in MediaPipe's unit.
        label: The side that the model takes it for, "right" or "left", of the signer.
        score: How sure it is of the label, 0 to 1.
    """

    points: Points
    label: str
    score: float


@dataclass(frozen=True)
class Detection:
    """What MediaPipe found in one frame.

    Attributes:
        pose: (33, 4) x, y, z, visibility, or None.
        face: (478, 3), or None.
        hands: At most two hands.
    """

    pose: Points | None = None
    face: Points | None = None
    hands: list[Hand] = field(default_factory=list)


class Landmarker:
    """The landmarkers of one process; close it (or use it in a `with`), garbage collection can deadlock.

    In video mode `start_video` must come before the first frame of each video: MediaPipe goes on tracking over the
    change otherwise.
    """

    def __init__(self, settings: LandmarksConfig, bundles: Mapping[str, Bundle]) -> None:
        """Load the landmarkers that `settings.parts` asks for.

        Raises:
            ModelError: mediapipe is missing, a bundle is unusable, or there is no GPU for `delegate: gpu`.
        """
        if settings.delegate == "cpu":
            os.environ["MEDIAPIPE_DISABLE_GPU"] = "1"  # many processes would exhaust the GPU's contexts
        try:
            import mediapipe as mp
            from mediapipe.tasks.python.core.base_options import BaseOptions
        except ImportError as error:
            raise ModelError(
                f"mediapipe {MEDIAPIPE_VERSION} must be installed (got: {error}); run `make setup`"
            ) from None
        self._mp = mp
        vision = mp.tasks.vision
        self._video = settings.running_mode == "video"
        mode = vision.RunningMode.VIDEO if self._video else vision.RunningMode.IMAGE
        sure = settings.confidence
        self._clock = 1000  # milliseconds; MediaPipe's smoothing takes a first timestamp of 0 for "unset"
        self._used = False

        def base(part: str) -> Any:
            gpu = settings.delegate == "gpu"
            delegate = BaseOptions.Delegate.GPU if gpu else BaseOptions.Delegate.CPU
            return BaseOptions(model_asset_buffer=bundles[part].read(), delegate=delegate)

        self._pose = self._face = self._hands = None
        try:
            if "pose" in settings.parts or "hands" in settings.parts:  # hands are placed by the pose's wrists
                self._pose = vision.PoseLandmarker.create_from_options(
                    vision.PoseLandmarkerOptions(
                        base_options=base("pose"),
                        running_mode=mode,
                        min_pose_detection_confidence=sure.pose_detection,
                        min_pose_presence_confidence=sure.pose_presence,
                        min_tracking_confidence=sure.pose_tracking,
                    )
                )
            if "face" in settings.parts:
                self._face = vision.FaceLandmarker.create_from_options(
                    vision.FaceLandmarkerOptions(
                        base_options=base("face"),
                        running_mode=mode,
                        min_face_detection_confidence=sure.face_detection,
                        min_tracking_confidence=sure.face_tracking,
                    )
                )
            if "hands" in settings.parts:
                self._hands = vision.HandLandmarker.create_from_options(
                    vision.HandLandmarkerOptions(
                        base_options=base("hand"),
                        running_mode=mode,
                        num_hands=2,
                        min_hand_detection_confidence=sure.hand_detection,
                        min_hand_presence_confidence=sure.hand_presence,
                        min_tracking_confidence=sure.hand_tracking,
                    )
                )
        except (RuntimeError, ValueError, NotImplementedError) as error:
            self.close()
            reason = " ".join(str(error).split())[:200]
            if settings.delegate == "gpu":
                raise ModelError(
                    f"landmarks.delegate: gpu needs a GPU that MediaPipe can use (got: {reason}); use delegate: cpu"
                ) from None
            raise ModelError(
                f"the model bundles must work with MediaPipe (got: {reason}); check landmarks.models"
            ) from None
        except BaseException:
            self.close()
            raise

    def start_video(self, height: int, width: int) -> None:
        """Forget the video before: in video mode one blank frame resets all tracking, bit-exactly."""
        if self._video and self._used:
            self._clock += 1000
            self._detect(np.zeros((height, width, 3), np.uint8), self._clock)
            self._clock += 1000

    def detect(self, image: RGB, timestamp: int) -> Detection:
        """Find the landmarks of one frame.

        Args:
            image: (H, W, 3) uint8 RGB, contiguous.
            timestamp: Milliseconds since the video's first frame, rising from frame to frame; counts in video mode.
        """
        self._used = True
        return self._detect(image, self._clock + timestamp)

    def end_video(self, timestamp: int) -> None:
        """Note the last timestamp of a video, so that the next one's come after it."""
        self._clock += timestamp

    def _detect(self, image: RGB, clock: int) -> Detection:
        picture = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=image)

        def run(landmarker: Any) -> Any:
            return landmarker.detect_for_video(picture, clock) if self._video else landmarker.detect(picture)

        pose = face = None
        hands: list[Hand] = []
        if self._pose is not None and (found := run(self._pose).pose_landmarks):
            pose = np.array([(p.x, p.y, p.z, p.visibility) for p in found[0]], np.float32)
        if self._face is not None and (found := run(self._face).face_landmarks):
            face = np.array([(p.x, p.y, p.z) for p in found[0]], np.float32)
        if self._hands is not None:
            result = run(self._hands)
            for points, labels in zip(result.hand_landmarks, result.handedness, strict=True):
                hands.append(
                    Hand(
                        np.array([(p.x, p.y, p.z) for p in points], np.float32),
                        labels[0].category_name.lower(),
                        float(labels[0].score),
                    )
                )
        return Detection(pose, face, hands)

    def close(self) -> None:
        """Close the landmarkers; safe to call twice."""
        for name in ("_pose", "_face", "_hands"):
            landmarker = getattr(self, name, None)
            if landmarker is not None:
                landmarker.close()
                setattr(self, name, None)

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
