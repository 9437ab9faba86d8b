"""How far key frames (`landmarks.pace`) are from a judge that belongs to none of them: the median of seven looks.

    PYTHONPATH=. python benchmarks/pace_judge.py CLIP...

A look is `every` over the clip moved by whole pixels, its points moved back; the judge is the median of the seven in
each frame. Printed is each pace's distance from it at 50, 99 and 99.9% of frames and points: the six points of the
body in shoulder widths, the face in its heights, joints of hands in their diagonals. The clip as it is is none of the
seven, so that `every` has no part in the judge either.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import clips
import cv2
import numpy as np

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import Frame
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.network_files import NetworkFiles, find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import CONTRACT

SHIFTS = ((2, 0), (-2, 0), (0, 2), (0, -2), (1, 1), (-1, -1), (1, -1))
PACES = ("every", "auto", "fast")
PARTS = CONTRACT.parts


def shifted(frames: Sequence[Frame], x: int, y: int) -> list[Frame]:
    """Frames moved to the right and down by whole pixels, their edges repeated."""
    move = np.array([[1, 0, x], [0, 1, y]], float)
    size = frames[0].image.shape[1::-1]
    how = {"flags": cv2.INTER_NEAREST, "borderMode": cv2.BORDER_REPLICATE}
    moved = [cv2.warpAffine(frame.image, move, size, **how) for frame in frames]
    return [Frame(image, frame.timestamp, frame.name) for image, frame in zip(moved, frames, strict=True)]


def points_of(frames: Sequence[Frame], networks: Networks) -> np.ndarray:
    """(T, 184, 2) pixels; NaN where a part is missing."""
    height, width = frames[0].image.shape[:2]
    keypoints = extract(frames, networks).keypoints
    found = keypoints[..., :2].astype(float) * (width, height)
    for part in PARTS.values():
        found[~keypoints[:, part].any(axis=(1, 2)), part] = np.nan
    return found


def unit(judge: np.ndarray, part: str) -> np.ndarray:
    """(T,) pixels in which distances of a part are counted."""
    if part == "pose":
        return np.linalg.norm(judge[:, 0] - judge[:, 1], axis=1)
    box = np.ptp(judge[:, PARTS[part]], axis=1)
    return box[:, 1] if part == "face" else np.hypot(*box.T)


def measure(frames: Sequence[Frame], files: NetworkFiles, off: dict[tuple[str, str], list[np.ndarray]]) -> None:
    with Networks(LandmarksConfig(pace="every"), files) as networks:
        looks = np.stack([points_of(shifted(frames, x, y), networks) - (x, y) for x, y in SHIFTS])
    judge = np.median(looks, axis=0)  # NaN where one look lacks the part
    made = {}
    for pace in PACES:
        with Networks(LandmarksConfig(pace=pace), files) as networks:
            made[pace] = points_of(frames, networks)
    for part, place in PARTS.items():
        for name, points in made.items():
            distance = np.linalg.norm(points[:, place] - judge[:, place], axis=2) / unit(judge, part)[:, None]
            off[part, name].append(distance[np.isfinite(distance)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    arguments = parser.parse_args()
    files = find_networks()
    off: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    count = 0
    for path in arguments.clips:
        for clip in clips.read_clips(path, []):
            measure(clip.frames, files, off)
            count += len(clip.frames)
    print(f"{count} frames; 50, 99, 99.9%")
    for (part, name), distances in off.items():
        print(
            f"{part:11s} {name:7s}", *(f"{np.quantile(np.concatenate(distances), q):.4f}" for q in (0.5, 0.99, 0.999))
        )


if __name__ == "__main__":
    main()
