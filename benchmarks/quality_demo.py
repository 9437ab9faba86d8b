"""The demo dataset's part of quality.py: how far hands are from the joints that were rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from clips import Clip, read_clips
from quality_measures import SIDES, there
from quality_ways import Result

from tests.synthetic.demo import write_demo

LARGE = 40  # pixels, width or height: smaller hands are not counted
FAST = 0.12  # shoulder widths that a hand moves in a frame
WRONG = 0.35  # sizes of the hand: farther off on the median it is not that hand
TRUTH = {"right": slice(6, 27), "left": slice(27, 48)}


def errors(keypoints: np.ndarray, truth: np.ndarray, size: int) -> list[tuple[float, bool]]:
    """For each rendered hand: its error, in diagonals of the hand (infinite where it was not found), and if it is fast.

    Args:
        keypoints: (T, 184, 4).
        truth: (T, 48, 2) pixels: pose 6, right hand, left hand; NaN where not in the picture.
        size: Width and height of the frames.
    """
    rows = []
    width = float(np.nanmedian(np.linalg.norm(truth[:, 0] - truth[:, 1], axis=-1)))
    for side, (part, *_) in SIDES.items():
        joints = truth[:, TRUTH[side]]
        moved = np.linalg.norm(np.diff(joints, axis=0, prepend=joints[:1]), axis=-1).mean(axis=1) / width
        found = there(keypoints, part)
        for t in np.flatnonzero(np.isfinite(joints).all(axis=(1, 2)) & (np.ptp(joints, axis=1).max(axis=1) >= LARGE)):
            off = np.linalg.norm(keypoints[t, part, :2] * size - joints[t], axis=-1)
            error = float(np.median(off) / np.linalg.norm(np.ptp(joints[t], axis=0)))
            rows.append((error if found[t] and error < WRONG else np.inf, bool(moved[t] > FAST)))
    return rows


def measure_demo(directory: Path, ways: Mapping[str, Callable[[Clip], Result]]) -> dict[str, dict[str, float]]:
    """Measure every way on the demo, print a table, return the figures."""
    demo = write_demo(directory)
    rows: dict[str, list[tuple[float, bool]]] = {way: [] for way in ways}
    for video in demo.videos:
        path = demo.folder(video) / (f"{video.name}.mp4" if video.as_file else video.name)
        with np.load(demo.truth(video)) as truths:
            truth = truths[video.name]
        (clip,) = read_clips(path)
        for way, run in ways.items():
            rows[way] += errors(run(clip).keypoints, truth, clip.size[0])
    print(
        "| demo, way | hands of 40 px | found | median error | 95th percentile | 99th | fast hands | found | median |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    figures = {}
    for way, pairs in rows.items():
        every, fast = np.array([e for e, _ in pairs]), np.array([e for e, is_fast in pairs if is_fast])
        good, quick = every[np.isfinite(every)], fast[np.isfinite(fast)]
        median, high, highest = np.percentile(good, [50, 95, 99]) if len(good) else [np.nan] * 3
        fast_median = float(np.median(quick)) if len(quick) else np.nan
        print(
            f"| {way} | {len(every)} | {len(good)} | {median:.2%} | {high:.2%} | {highest:.2%} | {len(fast)} | "
            f"{len(quick)} | {fast_median:.2%} |"
        )
        figures[way] = {
            "hands": len(every), "found": len(good), "median": median, "p95": high, "p99": highest,
            "fast": len(fast), "fast_found": len(quick), "fast_median": fast_median,
        }  # fmt: skip
    print()
    return figures
