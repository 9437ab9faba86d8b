"""One video's frames to its (T, points, 4) keypoints and a summary of what was found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import RGB, Frame, FrameLog
from kpsbatch.dataset.video import Box
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.clip.whole_clip import WholeClip
from kpsbatch.landmarks.crop import Crop, crop_to, in_whole_frames
from kpsbatch.landmarks.detection import Detection, Hand
from kpsbatch.landmarks.faces import FACE_COUNTS, find_face
from kpsbatch.landmarks.facts import BadFrame, FaceCounts, FoundFrames, HandCounts, VideoFacts, WorkSeconds
from kpsbatch.landmarks.found import DETECTED, TRACKED, Letter, how_found, is_found
from kpsbatch.landmarks.hands import is_same_hand
from kpsbatch.landmarks.keypoints import empty_row, frame_keypoints, mirror
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.second_look import find_hands
from kpsbatch.landmarks.topology import CONTRACT, Topology

MAX_EXAMPLES = 5
HAND_COUNTS = (
    "detected",  # hands that the hand landmarker found
    "far",  # of these, dropped: far from both wrists of the signer
    "twice",  # of these, dropped: another detection of a hand that is there already
    "outside",  # of these, dropped: more than half of the joints are outside the frame
    "relabelled",  # hands that went to another side than the model's label says
    "recovered",  # hands that only the second look found
    "both",  # frames with both hands
    "one",  # frames with one hand
    "none",  # frames without a hand
    "wrists",  # pose wrists whose hand can be seen, see `hand_can_be_seen` in hands.py
    "wrists_without_hand",  # of these, without a hand in the end
)


@dataclass(frozen=True)
class VideoKeypoints:
    """What became of one video.

    Attributes:
        keypoints: (T, points, 4), rows of zeros for frames that could not be read.
        facts: What the record says of it.
    """

    keypoints: NDArray[Any]
    facts: VideoFacts


class FrameByFrame:
    """Finds the signer in the frames of one video, one after the other: the running modes image and video."""

    def __init__(
        self,
        landmarker: Landmarker,
        settings: LandmarksConfig,
        hands: Counter[str],
        faces: Counter[str],
        topology: Topology = CONTRACT,
    ) -> None:
        """Take the landmarkers, the settings, what `HAND_COUNTS` and `FACE_COUNTS` are counted in, and the points."""
        self._landmarker, self._settings, self._hands, self._faces = landmarker, settings, hands, faces
        self._topology = topology
        self._before: Detection | None = None  # of the last frame that could be read

    def rows(self, frames: Iterable[Frame]) -> Iterator[tuple[NDArray[np.float32], dict[str, Letter]]]:
        """Of each frame its (points, 4) keypoints and the letter of each part found; zeros where unreadable."""
        for frame in frames:
            if frame.image is None:
                yield empty_row(self._topology), {}
            else:
                yield self.keypoints(frame.image, frame.timestamp)

    def keypoints(self, image: RGB, timestamp: int) -> tuple[NDArray[np.float32], dict[str, Letter]]:
        """One frame's (points, 4) keypoints, and the letter of each part that was found.

        Args:
            image: (H, W, 3) RGB.
            timestamp: Milliseconds since the video's first frame.
        """
        height, width = image.shape[:2]
        if self._before is None:
            self._landmarker.start_video(height, width)
        found = self._landmarker.detect(image, timestamp)
        if self._settings.running_mode == "video" and self._before is not None:
            hands = [replace(hand, how=tracked(hand, self._before.hands, width, height)) for hand in found.hands]
            found = replace(found, hands=hands)
        how: dict[str, Letter] = {}
        pose = found.pose if "pose" in self._settings.parts else None
        if pose is not None:
            how["pose"] = self._letter("pose")
        face = find_face(image, found, self._landmarker, self._faces) if "face" in self._settings.parts else None
        if face is not None:
            how["face"] = self._letter("face") if face[1] == DETECTED else face[1]
        slots = find_hands(image, found, self._landmarker, self._settings, self._hands)
        how |= {f"{side}_hand": hand.how for side, hand in slots.items()}
        self._before = found
        row = frame_keypoints(
            pose,
            face[0] if face else None,
            slots["right"].points if "right" in slots else None,
            slots["left"].points if "left" in slots else None,
            adjusted=self._settings.coordinates == "adjusted",
            topology=self._topology,
        )
        return row, how

    def _letter(self, part: str) -> Letter:
        """Of pose or face: MediaPipe's video mode runs their detectors only where the frame before had none."""
        before = self._settings.running_mode == "video" and getattr(self._before, part, None) is not None
        return TRACKED if before else DETECTED


def tracked(hand: Hand, before: Iterable[Hand], width: int, height: int) -> Letter:
    """Whether video mode tracked a hand or detected it, which MediaPipe doesn't tell.

    It goes on with a hand of the frame before where that has not moved away, so such a hand counts as tracked.
    """
    return TRACKED if any(is_same_hand(hand, other, width, height, apart=1.0) for other in before) else DETECTED


def extract(
    frames: Iterable[Frame],
    landmarker: Landmarker,
    settings: LandmarksConfig,
    *,
    mirrored: bool = False,
    dtype: str = "float32",
    topology: Topology = CONTRACT,
    max_bad_frames: float = 0.2,
    box: Box | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoKeypoints:
    """Compute the keypoints of one video.

    Args:
        frames: Its frames in order.
        landmarker: The process's landmarkers; tracking of the video before is reset.
        settings: The `landmarks` section.
        mirrored: The frames are mirror images, see `dataset.mirrored`: right becomes the signer's own right, while the
            coordinates are those of the frames as they are.
        dtype: Of the result.
        topology: The points of the result.
        max_bad_frames: Share of unreadable frames above which the video fails.
        box: Where the signer is: only this part of the frames is looked at (`crop_to`); the coordinates are those of
            the whole frames all the same.
        on_frame: Called after every frame.

    Raises:
        DatasetError: No frame, or too many frames, can't be read.
    """
    rows: list[NDArray[np.float32]] = []
    how: list[Mapping[str, Letter]] = []
    hands: Counter[str] = Counter(dict.fromkeys(HAND_COUNTS, 0))
    faces: Counter[str] = Counter(dict.fromkeys(FACE_COUNTS, 0))
    started = time.perf_counter()
    pictures = Pictures(frames, mirrored=mirrored, box=box)
    networks = landmarker.networks
    args = settings, hands, faces, topology
    signer = WholeClip(networks, *args) if networks is not None else FrameByFrame(landmarker, *args)
    for row, letters in signer.rows(pictures):
        rows.append(row)
        how.append(letters)
        on_frame()
    check_readable(pictures.bad, len(rows), max_bad_frames)
    keypoints = in_the_file(np.stack(rows), pictures.crops, settings, topology, mirrored=mirrored)
    facts = VideoFacts(
        **pictures.log.timing().model_dump(),
        frames=len(rows),
        bad_frames=len(pictures.bad),
        bad_examples=[BadFrame(frame=frame.name, problem=frame.problem) for frame in pictures.bad[:MAX_EXAMPLES]],
        sizes=dict(pictures.sizes),
        found=found_frames(keypoints, topology),
        how=how_found(how, topology),
        hands=HandCounts(**hands),
        faces=FaceCounts(**faces),
        seconds=_work_seconds(time.perf_counter() - started, pictures.seconds),
    )
    return VideoKeypoints(keypoints.astype(dtype, copy=False), facts)


def in_the_file(
    keypoints: NDArray[np.float32],
    crops: Sequence[Crop | None],
    settings: LandmarksConfig,
    topology: Topology,
    *,
    mirrored: bool,
) -> NDArray[np.float32]:
    """Keypoints (T, points, 4) of flipped and cut frames in the coordinates of the frames as the file has them."""
    adjusted = settings.coordinates == "adjusted"
    if mirrored:
        keypoints = mirror(keypoints, adjusted=adjusted, topology=topology)
    if any(crops) and not adjusted:
        keypoints = in_whole_frames(keypoints, crops, topology)
    return keypoints


def found_frames(keypoints: NDArray[Any], topology: Topology) -> FoundFrames:
    """In how many frames of (T, points, 4) each part was found."""
    return FoundFrames(**{name: int(is_found(keypoints, part).sum()) for name, part in topology.parts.items()})


def _work_seconds(total: float, decoding: float) -> WorkSeconds:
    return WorkSeconds(total=round(total, 4), landmarkers=round(total - decoding, 4), decoding=round(decoding, 4))


class Pictures:
    """The frames of a video as they are read, cut to the signer's box, flipped where they are mirror images.

    Attributes:
        bad: Frames that can't be read.
        log: Their times.
        sizes: How many frames have each size, such as "256x256".
        crops: What part of each frame is looked at, None for a frame that can't be read; empty without a box.
        seconds: Spent on reading and decoding.
    """

    def __init__(self, frames: Iterable[Frame], *, mirrored: bool, box: Box | None = None) -> None:
        self._frames, self._mirrored, self._box = frames, mirrored, box
        self.bad: list[Frame] = []
        self.log = FrameLog()
        self.sizes: Counter[str] = Counter()
        self.crops: list[Crop | None] = []
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Frame]:
        frames = iter(self._frames)
        while True:
            began = time.perf_counter()
            frame = next(frames, None)
            self.seconds += time.perf_counter() - began
            if frame is None:
                return
            self.log.add(frame)
            if frame.image is None:
                self.bad.append(frame)
                self.crops.append(None)
                yield frame
            else:
                self.sizes["{1}x{0}".format(*frame.image.shape)] += 1
                yield replace(frame, image=self._picture(frame.image))

    def _picture(self, image: RGB) -> RGB:
        if self._box is not None:
            crop = crop_to(self._box, image.shape[1], image.shape[0])
            self.crops.append(crop)
            image = crop.of(image)
        return np.ascontiguousarray(image[:, ::-1]) if self._mirrored else image


def check_readable(bad: list[Frame], frames: int, max_bad_frames: float) -> None:
    """Refuse a video of which too little can be read.

    Raises:
        DatasetError: No frame, or more than a share of them, can't be read.
    """
    if len(bad) < frames and len(bad) <= max_bad_frames * frames:
        return
    first = f"; first: {bad[0].name} {bad[0].problem}" if bad else ""
    raise DatasetError(
        f"{len(bad)} of {frames} frames are unreadable (limit {max_bad_frames:.0%}, run.max_bad_frames){first}"
    )
