"""Hand recall and identity of kpsbatch against the plain way (labels, no second look), on any clip.

    python benchmarks/hands.py CLIP... [--square 256] [--mode image|video]
    python benchmarks/hands.py --demo DIR          also measures against the rendered joints (DIR is made if need be)

recall: share of the pose's wrists inside the frame that have a hand. switches: a slot's hand jumps to where the other
slot's was in the frame before. twice: frames with one hand in both slots. time: per frame, against the plain way.
The ways are run in turn on chunks of the same frames, so that a machine's moods hit them alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frames import read_video
from kpsbatch.demo.dataset import write_demo
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.detection import Hand
from kpsbatch.landmarks.hands import is_same_hand, shoulder_width, wrist_in_frame
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.second_look import find_hands

WAYS = {
    "plain": {"assign_hands": "label", "recover_hands": False},
    "slots": {"assign_hands": "pose", "recover_hands": False},
    "slots + second look": {"assign_hands": "pose", "recover_hands": True},
}


def load(path: Path, square: int | None) -> list[np.ndarray]:
    frames = [f.image for f in read_video(path, frame_rate=30, max_pixels=10**9) if f.image is not None]
    if square is None:
        return frames
    side = min(frames[0].shape[:2])
    cut = [f[(f.shape[0] - side) // 2 :, (f.shape[1] - side) // 2 :][:side, :side] for f in frames]
    return [np.ascontiguousarray(cv2.resize(f, (square, square), interpolation=cv2.INTER_AREA)) for f in cut]


def measure(frames: list[np.ndarray], mode: str) -> dict[str, dict[str, float]]:
    bundles = find_bundles()
    landmarkers, settings, tallies = {}, {}, {way: Counter() for way in WAYS}
    times = {way: [] for way in WAYS}
    before: dict[str, dict[str, Hand]] = {way: {} for way in WAYS}
    for way, options in WAYS.items():
        settings[way] = LandmarksConfig.model_validate({"running_mode": mode, **options})
        landmarkers[way] = Landmarker(settings[way], bundles)
        landmarkers[way].detect(frames[0], 0)  # warm-up
        landmarkers[way].start_video(*frames[0].shape[:2])
    for index, image in enumerate(frames):
        for way in WAYS:
            counts: Counter[str] = Counter()
            started = time.perf_counter()
            found = landmarkers[way].detect(image, index * 33)
            slots = find_hands(image, found, landmarkers[way], settings[way], counts)
            times[way].append(time.perf_counter() - started)
            tally(tallies[way], image, found.pose, slots, before[way])
            tallies[way]["recovered"] += counts["recovered"]
            tallies[way]["far"] += counts["far"]
            before[way] = slots
    for landmarker in landmarkers.values():
        landmarker.close()
    plain = statistics.median(times["plain"])
    return {
        way: {
            "recall": 1 - t["missing"] / max(t["wrists"], 1),
            "wrists": t["wrists"],
            "switches": t["switches"],
            "twice": t["twice"],
            "recovered": t["recovered"],
            "far": t["far"],
            "ms": 1000 * statistics.fmean(times[way]),
            "time": statistics.fmean(times[way]) / statistics.fmean(times["plain"]),
            "median time": statistics.median(times[way]) / plain,
        }
        for way, t in tallies.items()
    }


def measure_demo(directory: Path, mode: str) -> None:
    demo = write_demo(directory)
    bundles = find_bundles()
    settings = {way: LandmarksConfig.model_validate({"running_mode": mode, **options}) for way, options in WAYS.items()}
    landmarkers = {way: Landmarker(settings[way], bundles) for way in WAYS}
    counts: dict[str, Counter[str]] = {way: Counter() for way in WAYS}
    seconds: Counter[str] = Counter()
    errors: dict[str, list[float]] = {way: [] for way in WAYS}
    frames = hands = 0
    for landmarker in landmarkers.values():
        landmarker.detect(np.zeros((256, 256, 3), np.uint8), 0)  # warm-up
    for video in demo.videos:
        path = demo.folder(video) / (f"{video.name}.mp4" if video.as_file else video.name)
        with np.load(demo.truth(video)) as truths:
            truth = truths[video.name]
        for landmarker in landmarkers.values():
            landmarker.start_video(256, 256)
        for frame, joints in zip(read_video(path, frame_rate=10, max_pixels=10**8), truth, strict=True):
            rendered = {"right": joints[6:27], "left": joints[27:48]}
            large = {side: j for side, j in rendered.items() if np.ptp(j, axis=0).max() >= 40}  # NaN is not
            frames, hands = frames + 1, hands + len(large)
            for way in WAYS:
                started = time.perf_counter()
                detection = landmarkers[way].detect(frame.image, frame.timestamp)
                slots = find_hands(frame.image, detection, landmarkers[way], settings[way], counts[way])
                seconds[way] += time.perf_counter() - started
                for side in large.keys() & slots.keys():
                    error = np.linalg.norm(slots[side].points[:, :2] * 256 - large[side], axis=1)
                    error = float(np.median(error) / np.linalg.norm(np.ptp(large[side], axis=0)))
                    if error < 0.35:  # else it is not that hand
                        errors[way].append(error)
    print("| demo, way | frames | hands of 40 px and more | found | median error | 95th percentile | time a frame |")
    print("|---|---|---|---|---|---|---|")
    for way in WAYS:
        print(
            f"| {mode}, {way} | {frames} | {hands} | {len(errors[way])} | {np.median(errors[way]):.2%} | "
            f"{np.percentile(errors[way], 95):.2%} | {seconds[way] / seconds['plain']:.2f} |"
        )
        landmarkers[way].close()


def tally(counts: Counter, image: np.ndarray, pose, slots: dict[str, Hand], before: dict[str, Hand]) -> None:
    height, width = image.shape[:2]
    if pose is not None:
        for side in ("right", "left"):
            if wrist_in_frame(pose, side):
                counts["wrists"] += 1
                counts["missing"] += side not in slots
    if len(slots) == 2 and is_same_hand(slots["right"], slots["left"], width, height):
        counts["twice"] += 1
    if pose is None or len(before) < 2:
        return
    unit = shoulder_width(pose, width, height)
    for side, other in (("right", "left"), ("left", "right")):
        if side in slots:
            here = slots[side].points[:, :2] * (width, height)
            own, theirs = (
                float(np.linalg.norm(here - before[s].points[:, :2] * (width, height), axis=1).mean()) / unit
                for s in (side, other)
            )
            counts["switches"] += own > 0.25 and theirs < 0.5 * own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--demo", type=Path, metavar="DIR", help="measure on the demo dataset in this folder")
    parser.add_argument("--square", type=int, help="crop to the middle square and scale to this many pixels")
    parser.add_argument("--mode", choices=["image", "video"], default="image")
    arguments = parser.parse_args()
    if arguments.demo:
        measure_demo(arguments.demo, arguments.mode)
    if not arguments.clips:
        return
    print("| clip | way | recall | wrists | switches | twice | recovered | dropped as far | time a frame |")
    print("|---|---|---|---|---|---|---|---|---|")
    for clip in arguments.clips:
        frames = load(clip, arguments.square)
        size = f"{frames[0].shape[1]}x{frames[0].shape[0]}"
        for way, row in measure(frames, arguments.mode).items():
            print(
                f"| {clip.name} {size} {arguments.mode} | {way} | {row['recall']:.3f} | {row['wrists']:.0f} | "
                f"{row['switches']:.0f} | {row['twice']:.0f} | {row['recovered']:.0f} | {row['far']:.0f} | "
                f"{row['time']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
