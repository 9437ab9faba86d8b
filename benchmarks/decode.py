"""What `landmarks.decode: fast` saves, and what it does to accuracy: the rendered signer at 1080 pixels.

    python benchmarks/decode.py [--size 1080] [--frames 8]
    python benchmarks/decode.py --videos CLIP.mp4 ...   CPU time of reading video files, beside OpenCV's VideoCapture

Errors are against the rendered joints: the median over a hand's joints in sizes (diagonals) of the hand.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.images import decode_image
from kpsbatch.dataset.reading import read_frames, video_info
from kpsbatch.dataset.video import video_of
from kpsbatch.landmarks.clip import follow_clip
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from tests.synthetic.signer import render_video


def compare_readers(paths: list[Path], rounds: int = 5) -> None:
    """CPU time (all threads) for each frame of a video file: PyAV, as we read, and OpenCV; the least of some rounds."""

    def ours(path: Path) -> int:
        return sum(1 for _ in read_frames(video_of(path), frame_rate=30, max_pixels=10**8))

    def opencv(path: Path) -> int:
        capture, count = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]), 0
        while (read := capture.read())[0]:
            cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
            count += 1
        return count

    print("| file | size | frames | ours ms | OpenCV ms | ratio |\n|---|---|---|---|---|---|")
    for path in paths:
        least = {}
        for reader in (ours, opencv):
            times = []
            for _ in range(rounds):
                started = time.process_time()
                count = reader(path)
                times.append(1000 * (time.process_time() - started) / count)
            least[reader] = min(times)
        info = video_info(video_of(path), frame_rate=30, max_pixels=10**8)
        print(
            f"| {path.name} | {info.width}x{info.height} | {ours(path)} | {least[ours]:.2f} | {least[opencv]:.2f} | "
            f"{least[ours] / least[opencv]:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1080)
    parser.add_argument("--frames", type=int, default=8, help="of each of 4 signs")
    parser.add_argument("--videos", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    if arguments.videos:
        cv2.setNumThreads(1)
        compare_readers(arguments.videos)
        return
    settings = LandmarksConfig(running_mode="image")
    errors: dict[bool, list[float]] = {False: [], True: []}
    seconds: Counter[tuple[bool, str]] = Counter()
    moved = []
    frames = 0
    with Networks(settings, find_networks()) as networks:
        for sign in (1, 2, 3, 4):
            images, truth = render_video(sign, 1 + sign % 2, 1, arguments.frames, arguments.size)
            for index, image in enumerate(images):
                data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
                frames += 1
                found = {}
                for reduced in (False, True):
                    started = time.perf_counter()
                    decoded, _ = decode_image(data, 10**8, reduced=reduced)
                    between = time.perf_counter()
                    (signer,) = follow_clip([decoded], networks)
                    seconds[reduced, "decoding"] += between - started
                    seconds[reduced, "landmarks"] += time.perf_counter() - between
                    found[reduced] = {side: hand[:, :2] * arguments.size for side, hand in signer.hands.items()}
                    for side, joints in (("right", truth.right_hand[index]), ("left", truth.left_hand[index])):
                        if side in found[reduced] and not np.isnan(joints).any():
                            distance = np.linalg.norm(found[reduced][side] - joints, axis=1)
                            errors[reduced].append(np.median(distance) / np.linalg.norm(np.ptp(joints, axis=0)))
                for side in found[False].keys() & found[True].keys():
                    distance = np.linalg.norm(found[False][side] - found[True][side], axis=1)
                    moved.append(np.median(distance) / np.linalg.norm(np.ptp(found[False][side], axis=0)))
    print("| decode | decoding ms | landmarks ms | hands | median error | 95th percentile |\n|---|---|---|---|---|---|")
    for reduced, name in ((False, "full"), (True, "fast")):
        print(
            f"| {name} | {1000 * seconds[reduced, 'decoding'] / frames:.1f} | "
            f"{1000 * seconds[reduced, 'landmarks'] / frames:.1f} | {len(errors[reduced])} | "
            f"{np.median(errors[reduced]):.2%} | {np.percentile(errors[reduced], 95):.2%} |"
        )
    median, high = np.median(moved), np.percentile(moved, 95)
    print(f"\nhands move by {median:.2%} of their size (median), {high:.2%} (95th percentile)")


if __name__ == "__main__":
    main()
