"""Frames for each core-second: kpsbatch against the plain way and the legacy Holistic, side by side.

    python benchmarks/throughput.py [--rounds 3] [--signs 6] [--clip FILE] [--workers N]

All ways do the same dataset (the demo, or a clip cut into videos of 60 frames at 256x256), each as whole processes,
in turn, several rounds after a warm-up; medians, and ratios of the medians. Frames per second are of the whole run,
start-up included, and without the start-up (a run over one video of one frame).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2

from kpsbatch.demo.dataset import write_demo
from kpsbatch.work.cores import available_cores

ROOT = Path(__file__).parents[1]
QUIET = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Run:
    """A finished process and its children: seconds, CPU seconds, peak memory of the largest process in MB."""

    seconds: float
    cpu: float
    peak: float


def ways(workers: int) -> dict[str, list[str]]:
    ours = [sys.executable, "-m", "kpsbatch", "run", "{config}", "--quiet", "--set", "output.root={output}"]
    ours += ["--set", f"run.workers={workers}"]
    plain = [sys.executable, str(ROOT / "benchmarks" / "plain.py"), "{dataset}", "{output}", "--workers", str(workers)]
    return {
        "plain way": plain,
        "kpsbatch image, no second look": [*ours, "--set", "landmarks.recover_hands=false"],
        "kpsbatch image": ours,
        "kpsbatch video, no second look": [
            *ours, "--set", "landmarks.running_mode=video", "--set", "landmarks.recover_hands=false",
        ],
        "kpsbatch video": [*ours, "--set", "landmarks.running_mode=video"],
        "legacy Holistic": [*plain, "--holistic"],
    }  # fmt: skip


def execute(command: list[str], data: Path, output: Path) -> Run:
    filled = [
        part.replace("{config}", str(data / "config.yaml"))
        .replace("{dataset}", str(data / "dataset"))
        .replace("{output}", str(output))
        for part in command
    ]
    started = time.perf_counter()
    process = subprocess.Popen(filled, env={**os.environ, **QUIET}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(filled)} ended with {status}:\n{said}")
    return Run(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def cut_clip(clip: Path, data: Path) -> int:
    """Lay a clip out as videos of 60 frames; returns the number of frames."""
    capture, total = cv2.VideoCapture(str(clip)), 0
    while True:
        there, image = capture.read()
        if not there:
            break
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        square = cv2.resize(image[top : top + side, left : left + side], (256, 256), interpolation=cv2.INTER_AREA)
        folder = data / "dataset" / "01" / "01" / "train" / f"{total // 240 + 1:04d}" / f"part{total // 60 % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{total % 60:04d}.jpg"), square, [cv2.IMWRITE_JPEG_QUALITY, 95])
        total += 1
    signs = total // 240 + 1
    (data / "config.yaml").write_text(
        f'dataset: {{root: dataset, signers: ["01"], splits: [train], signs: 1-{signs}}}\noutput: {{root: out}}\n'
    )
    return total


def shares(output: Path) -> dict[str, float]:
    """Where the workers' seconds went, from the records."""
    seconds: dict[str, float] = defaultdict(float)
    for record in output.glob("_kpsbatch/records/*/*/*.json"):
        for video in json.loads(record.read_text())["videos"].values():
            for name, value in video["seconds"].items():
                seconds[name] += value
    return {name: value / seconds["total"] for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--signs", type=int, default=6)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--scaling", action="store_true", help="also run kpsbatch with 1 to --workers workers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, Path(scratch))


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    data, tiny = scratch / "data", scratch / "tiny"
    if arguments.clip:
        frames = cut_clip(arguments.clip, data)
    else:
        frames = sum(video.frames for video in write_demo(data, signs=arguments.signs).videos)
    folder = tiny / "dataset" / "01" / "01" / "train" / "0001" / "one"
    folder.mkdir(parents=True)
    picture = next((data / "dataset").rglob("*.jpg"))
    (folder / "1.jpg").write_bytes(picture.read_bytes())
    (tiny / "config.yaml").write_text(
        'dataset: {root: dataset, signers: ["01"], splits: [train], signs: 1}\noutput: {root: out}\n'
    )
    commands = ways(arguments.workers)
    runs: dict[str, list[Run]] = defaultdict(list)
    starts: dict[str, list[Run]] = defaultdict(list)
    for turn in range(arguments.rounds + 1):
        for way, command in commands.items():
            start = execute(command, tiny, scratch / f"tiny-{way}-{turn}")
            run = execute(command, data, scratch / f"out-{way}-{turn}")
            if turn:
                runs[way].append(run)
                starts[way].append(start)
        print(f"round {turn} of {arguments.rounds} done{'' if turn else ' (warm-up)'}", file=sys.stderr)
    print(f"{frames} frames, {arguments.workers} workers, {arguments.rounds} rounds; medians\n")
    print(
        "| way | frames/s | per core | against plain | steady frames/s | against plain | CPU ms a frame | start s "
        "| peak MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    plain = plain_steady = 0.0
    for way in commands:
        seconds = statistics.median(run.seconds for run in runs[way])
        start = statistics.median(run.seconds for run in starts[way])
        cpu = statistics.median(run.cpu for run in runs[way])
        peak = statistics.median(run.peak for run in runs[way])
        rate, steady = frames / seconds, (frames - 1) / max(seconds - start, 1e-9)
        plain, plain_steady = plain or rate, plain_steady or steady
        print(
            f"| {way} | {rate:.1f} | {rate / arguments.workers:.1f} | {rate / plain:.2f} | {steady:.1f} | "
            f"{steady / plain_steady:.2f} | {1000 * cpu / frames:.1f} | {start:.2f} | {peak:.0f} |"
        )
    print("\nwhere the workers' time goes:")
    for way in commands:
        if way.startswith("kpsbatch"):
            share = shares(scratch / f"out-{way}-{arguments.rounds}")
            print(f"  {way}: " + ", ".join(f"{name} {value:.1%}" for name, value in share.items() if name != "total"))
    if arguments.scaling:
        print("\n| workers | frames/s, start-up left out | against one |\n|---|---|---|")
        one = 0.0
        for workers in range(1, arguments.workers + 1):
            command = ways(workers)["kpsbatch image, no second look"]
            steady = []
            for turn in range(arguments.rounds):
                start = execute(command, tiny, scratch / f"tiny-scale-{workers}-{turn}")
                run = execute(command, data, scratch / f"out-scale-{workers}-{turn}")
                steady.append((frames - 1) / (run.seconds - start.seconds))
            rate = statistics.median(steady)
            one = one or rate
            print(f"| {workers} | {rate:.1f} | {rate / one:.2f} |")


if __name__ == "__main__":
    main()
