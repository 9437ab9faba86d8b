"""The landmarkers alone, in one process, against the plain way: frame by frame in turn, so that load hits all alike.

    python benchmarks/landmarkers.py CLIP [--square 256] [--length 60]

`--length` is the length of a video in frames: in video mode each begins with a reset, which is counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import clips
import plain

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.second_look import find_hands

OURS = {
    "image": {"recover_hands": False},
    "image, second look": {},
    "video": {"running_mode": "video", "recover_hands": False},
    "video, second look": {"running_mode": "video"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--square", type=int, default=256)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    frames = clips.load(arguments.clip, arguments.square)
    plain.open_landmarkers(False)
    bundles = find_bundles()
    settings = {way: LandmarksConfig.model_validate(options) for way, options in OURS.items()}
    landmarkers = {way: Landmarker(settings[way], bundles) for way in OURS}
    for landmarker in landmarkers.values():
        landmarker.start_video(*frames[0].shape[:2])
        landmarker.detect(frames[0], 0)
    plain.detect(frames[0])
    times: dict[str, list[float]] = {"plain way": [], **{way: [] for way in OURS}}
    for _ in range(arguments.rounds):
        for index, image in enumerate(frames):
            started = time.perf_counter()
            plain.detect(image)
            times["plain way"].append(time.perf_counter() - started)
            for way, landmarker in landmarkers.items():
                started = time.perf_counter()
                if index % arguments.length == 0:
                    landmarker.start_video(*image.shape[:2])
                found = landmarker.detect(image, index % arguments.length * 33)
                find_hands(image, found, landmarker, settings[way], Counter())
                times[way].append(time.perf_counter() - started)
    base = statistics.fmean(times["plain way"])
    print(
        f"{len(frames)} frames of {arguments.square} px, {arguments.rounds} rounds, videos of {arguments.length} frames"
    )
    print("| way | ms a frame | against plain |\n|---|---|---|")
    for way, values in times.items():
        print(f"| {way} | {1000 * statistics.fmean(values):.1f} | {base / statistics.fmean(values):.2f} |")
    for landmarker in landmarkers.values():
        landmarker.close()


if __name__ == "__main__":
    main()
