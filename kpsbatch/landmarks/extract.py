"""One video's frames to its (T, 184, 4) keypoints and a summary of what was found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.times import FrameLog
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.keypoints import frame_keypoints
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.second_look import find_hands
from kpsbatch.landmarks.topology import Topology

MAX_EXAMPLES = 5
HAND_COUNTS = (
    "detected",  # hands that the hand landmarker found
    "far",  # of these, dropped: far from both wrists of the signer
    "twice",  # of these, dropped: another detection of a hand that is there already
    "relabelled",  # hands that went to another side than the model's label says
    "recovered",  # hands that only the second look found
    "both",  # frames with both hands
    "one",  # frames with one hand
    "none",  # frames without a hand
    "wrists",  # pose wrists inside the frame
    "wrists_without_hand",  # of these, without a hand in the end
)


@dataclass(frozen=True)
class VideoKeypoints:
    """What became of one video.

    Attributes:
        keypoints: (T, 184, 4), rows of zeros for frames that could not be read.
        summary: For the record: frames, bad frames with examples, rate, size, in how many frames each part was found,
            seconds.
    """

    keypoints: NDArray[Any]
    summary: dict[str, Any]


def extract(
    frames: Iterable[Frame],
    landmarker: Landmarker,
    settings: LandmarksConfig,
    *,
    dtype: str = "float32",
    max_bad_frames: float = 0.2,
    on_frame: Callable[[], None] | None = None,
) -> VideoKeypoints:
    """Compute the keypoints of one video.

    Args:
        frames: Its frames in order.
        landmarker: The process's landmarkers; tracking of the video before is reset.
        settings: The `landmarks` section.
        dtype: Of the result.
        max_bad_frames: Share of unreadable frames above which the video fails.
        on_frame: Called after every frame.

    Raises:
        DatasetError: No frame, or too many frames, can't be read.
    """
    rows: list[NDArray[np.float32]] = []
    bad: list[Frame] = []
    log = FrameLog()
    sizes: dict[str, int] = {}
    in_landmarkers = in_decoding = 0.0
    started = asked = time.perf_counter()
    counts: Counter[str] = Counter(dict.fromkeys(HAND_COUNTS, 0))
    for frame in frames:
        in_decoding += time.perf_counter() - asked
        log.add(frame)
        if frame.image is None:
            bad.append(frame)
            rows.append(np.zeros((Topology.POINTS, 4), np.float32))
        else:
            height, width = frame.image.shape[:2]
            before = time.perf_counter()
            if not sizes:
                landmarker.start_video(height, width)
            found = landmarker.detect(frame.image, frame.timestamp)
            slots = find_hands(frame.image, found, landmarker, settings, counts)
            in_landmarkers += time.perf_counter() - before
            sizes[f"{width}x{height}"] = sizes.get(f"{width}x{height}", 0) + 1
            rows.append(
                frame_keypoints(
                    found.pose if "pose" in settings.parts else None,
                    found.face,
                    slots["right"].points if "right" in slots else None,
                    slots["left"].points if "left" in slots else None,
                    adjusted=settings.coordinates == "adjusted",
                )
            )
        if on_frame is not None:
            on_frame()
        asked = time.perf_counter()
    examples = [{"frame": frame.name, "problem": frame.problem} for frame in bad[:MAX_EXAMPLES]]
    if len(bad) == len(rows) or len(bad) > max_bad_frames * len(rows):
        first = f"; the first: {bad[0].name}: {bad[0].problem}" if bad else ""
        raise DatasetError(
            f"at most {max_bad_frames:.0%} of a video's frames may be unreadable (run.max_bad_frames), and not all: "
            f"{len(bad)} of {len(rows)} are{first}"
        )
    keypoints = np.stack(rows).astype(dtype, copy=False)
    return VideoKeypoints(
        keypoints,
        {
            "frames": len(rows),
            "bad_frames": len(bad),
            "bad_examples": examples,
            "sizes": sizes,
            **log.summary(),
            "found": {
                name: int(np.count_nonzero(keypoints[:, part, 3].any(axis=1))) for name, part in Topology.PARTS.items()
            },
            "hands": dict(counts),
            "seconds": {
                "total": round(time.perf_counter() - started, 4),
                "landmarkers": round(in_landmarkers, 4),
                "decoding": round(in_decoding, 4),
            },
        },
    )
