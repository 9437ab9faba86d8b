"""One video's frames to its (T, 184, 4) keypoints and a summary of what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frames import Frame
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.hands import place_by_label
from kpsbatch.landmarks.keypoints import frame_keypoints
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.topology import Topology

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class VideoKeypoints:
    """What became of one video.

    Attributes:
        keypoints: (T, 184, 4), rows of zeros for frames that could not be read.
        summary: For the record: frames, bad frames with examples, in how many frames each part was found, seconds.
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
    sizes: dict[str, int] = {}
    in_landmarkers = 0.0
    started = time.perf_counter()
    last = 0
    for frame in frames:
        if frame.image is None:
            bad.append(frame)
            rows.append(np.zeros((Topology.POINTS, 4), np.float32))
        else:
            height, width = frame.image.shape[:2]
            before = time.perf_counter()
            if not sizes:
                landmarker.start_video(height, width)
            found = landmarker.detect(frame.image, frame.timestamp)
            in_landmarkers += time.perf_counter() - before
            last = frame.timestamp
            sizes[f"{width}x{height}"] = sizes.get(f"{width}x{height}", 0) + 1
            right, left = place_by_label(found.hands)
            rows.append(
                frame_keypoints(
                    found.pose if "pose" in settings.parts else None,
                    found.face,
                    right.points if right else None,
                    left.points if left else None,
                    adjusted=settings.coordinates == "adjusted",
                )
            )
        if on_frame is not None:
            on_frame()
    landmarker.end_video(last)
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
            "found": {
                name: int(np.count_nonzero(keypoints[:, part, 3].any(axis=1))) for name, part in Topology.PARTS.items()
            },
            "seconds": {
                "total": round(time.perf_counter() - started, 4),
                "landmarkers": round(in_landmarkers, 4),
            },
        },
    )
