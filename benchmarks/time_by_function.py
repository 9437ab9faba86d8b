"""Where a core's time goes by function, as Linux's perf samples it, and whether the networks' runs account for it.

    python benchmarks/time_by_function.py CLIP... [--mode clip|image] [--square 256] [--length 60]

perf notes the running function 999 times in a second of processor time; functions are put into the groups
below by name and library. The networks' share is then compared with what benchmarks/network_times.py adds up: runs of
each network times its own time in a single run. Both are of one process. Needs `perf` (Debian: linux-perf).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cv2
import network_times

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks

GROUPS = (
    ("networks (XNNPACK, LiteRT)", "libmediapipe", r"xnn_|tflite|TfLite|TFLite|pthreadpool|setup_\w+_n[hc]wc?"),
    ("MediaPipe's pictures to tensors (OpenCV inside)", "libmediapipe", r"cv::"),
    ("MediaPipe's graph and results", "libmediapipe", r"mediapipe::|absl::|drishti::|proto|google::"),
    ("MediaPipe, other functions", "libmediapipe", r""),
    ("kpsbatch's cuts (OpenCV)", r"cv2\.", r""),
    ("NumPy", r"_umath|openblas", r""),
    ("Python, ctypes", r"libpython|/python3|_ctypes|libffi", r""),
    ("memory and locks (libc)", r"/libc\.|/ld-|libm\.", r""),
    ("Linux", r"kernel", r""),
)
"""What a group is called, its library, its functions; the first that fits counts."""


def run_mode(arguments: argparse.Namespace) -> None:
    """Do the clips twice in one mode, the second time between two time stamps; then measure single runs."""
    cv2.setNumThreads(1)
    videos = list(network_times.cut_videos(arguments))
    files = find_networks()
    networks = Networks(LandmarksConfig.model_validate({"running_mode": arguments.mode}), files)
    for video in videos:
        extract(video, networks)
    before = Counter(networks.runs)
    started, spent = time.monotonic(), time.process_time()
    for video in videos:
        extract(video, networks)
    ended, spent = time.monotonic(), time.process_time() - spent
    frames = sum(map(len, videos))
    runs = Counter(networks.runs) - before
    times = network_times.NetworkTimes(networks, files, videos[0][0].image)
    for _ in range(5):
        times.measure()
    own = {name: (runs[name] / frames, middle["own"]) for name, middle in times.medians().items()}
    print(json.dumps({"window": (started, ended), "frames": frames, "ms": 1000 * spent / frames, "networks": own}))
    times.close()
    networks.close()


def group_of(function: str, library: str) -> str:
    for group, where, what in GROUPS:
        if re.search(where, library) and re.search(what, function):
            return group
    return "not named"


def sampled_groups(samples: Path, start: float, end: float) -> Counter[str]:
    """How many samples between two times fell into each group."""
    script = ["perf", "script", "-i", str(samples), "--time", f"{start},{end}", "-F", "ip,sym,dso"]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    groups: Counter[str] = Counter()
    for line in filter(None, map(str.strip, printed.splitlines())):
        found = re.fullmatch(r"[0-9a-f]+ (.*) \((.*)\)", line)
        groups[group_of(found[1], found[2]) if found else "not named"] += 1
    return groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--mode", choices=network_times.MODES, default="clip")
    parser.add_argument("--square", type=int)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--sampled", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.sampled:
        run_mode(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples"
        record = ["perf", "record", "-q", "-o", str(samples), "-k", "CLOCK_MONOTONIC", "-F", "999", "--"]
        again = [sys.executable, __file__, *sys.argv[1:], "--sampled"]
        done = subprocess.run([*record, *again], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit("perf or the run failed; its message is above")
        run = json.loads(done.stdout)
        groups = sampled_groups(samples, *run["window"])
    total, count = run["ms"], groups.total()
    print(f"{arguments.mode}: {run['frames']} frames, {total:.1f} ms of CPU time a frame, {count} samples\n")
    print("| where | ms a frame | share |\n|---|---|---|")
    for group, number in groups.most_common():
        print(f"| {group} | {total * number / count:.2f} | {number / count:.1%} |")
    by_samples = total * groups[GROUPS[0][0]] / count
    print("\n| network | runs a frame | ms a run | ms a frame |\n|---|---|---|---|")
    by_runs = 0.0
    for name, (runs, own) in run["networks"].items():
        by_runs += runs * own
        print(f"| {name} | {runs:.2f} | {own:.2f} | {runs * own:.2f} |")
    print(f"\nnetworks by samples {by_samples:.1f} ms a frame, by their runs {by_runs:.1f}: {by_runs / by_samples:.1%}")


if __name__ == "__main__":
    main()
