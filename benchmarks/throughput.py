"""Frames for each core-second: kpsbatch against the plain way and the legacy Holistic, side by side.

    python benchmarks/throughput.py [--rounds 3] [--signs 6] [--clip FILE] [--videos 24] [--workers N]

All ways do the same dataset (the demo, or videos of 40 frames at 256x256 cut out of a clip), each as whole processes,
in turn, several rounds after a warm-up; medians, and ratios of the medians. Frames per second are of the whole run,
start-up included, and without the start-up (a run over one video of one frame for each worker).
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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import clips
import cv2

from kpsbatch.demo.dataset import write_demo
from kpsbatch.demo.signer import render_video
from kpsbatch.work.cores import available_cores

ROOT = Path(__file__).parents[1]
LENGTH = 40
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


def frames_of(clip: Path | None) -> list[bytes]:
    """The frames of a clip, or of the demo's signer, at 256x256, as JPEG files."""
    images = clips.load(clip, 256) if clip else render_video(2, 1, 1, 80)[0]
    return [cv2.imencode(".jpg", image[..., ::-1])[1].tobytes() for image in images]


def videos_from(clip: Sequence[bytes], count: int, length: int = LENGTH) -> Iterator[list[bytes]]:
    """Cut videos out of a clip: each begins seven frames later than the one before, and may go on at the beginning."""
    for video in range(count):
        yield [clip[(7 * video + index) % len(clip)] for index in range(length)]


def lay_out(videos: Iterable[Sequence[bytes]], data: Path) -> None:
    """Write a dataset of JPEG folders, four videos a sign, and its config.yaml."""
    sign = 1
    for number, frames in enumerate(videos):
        sign = number // 4 + 1
        folder = data / "dataset" / "01" / "01" / "train" / f"{sign:04d}" / f"part{number % 4}"
        folder.mkdir(parents=True)
        for index, frame in enumerate(frames):
            (folder / f"{index:04d}.jpg").write_bytes(frame)
    (data / "config.yaml").write_text(
        f'dataset: {{root: dataset, signers: ["01"], splits: [train], signs: 1-{sign}}}\noutput: {{root: out}}\n'
    )


def worker_seconds(output: Path) -> dict[str, float]:
    """Where the workers' seconds went, from the records: in all, and by what they did."""
    seconds: dict[str, float] = defaultdict(float)
    for record in output.glob("_kpsbatch/records/*/*/*.json"):
        for video in json.loads(record.read_text())["videos"].values():
            for name, value in video["seconds"].items():
                seconds[name] += value
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--signs", type=int, default=6)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--videos", type=int, default=24, help="to cut out of the clip")
    parser.add_argument("--workers", type=int, default=available_cores())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, Path(scratch))


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    data, tiny = scratch / "data", scratch / "tiny"
    if arguments.clip:
        lay_out(videos_from(frames_of(arguments.clip), arguments.videos), data)
        frames = arguments.videos * LENGTH
    else:
        frames = sum(video.frames for video in write_demo(data, signs=arguments.signs).videos)
    start_frame = next((data / "dataset").rglob("*.jpg")).read_bytes()
    lay_out([[start_frame]] * arguments.workers, tiny)  # a video for each worker, so that all of them start
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
        rate, steady = frames / seconds, (frames - arguments.workers) / max(seconds - start, 1e-9)
        plain, plain_steady = plain or rate, plain_steady or steady
        print(
            f"| {way} | {rate:.1f} | {rate / arguments.workers:.1f} | {rate / plain:.2f} | {steady:.1f} | "
            f"{steady / plain_steady:.2f} | {1000 * cpu / frames:.1f} | {start:.2f} | {peak:.0f} |"
        )
    print("\nwhere the workers' time goes:")
    for way in commands:
        if way.startswith("kpsbatch"):
            spent = worker_seconds(scratch / f"out-{way}-{arguments.rounds}")
            steady = arguments.workers * (runs[way][-1].seconds - starts[way][-1].seconds)
            parts = {name: value / spent["total"] for name, value in spent.items() if name != "total"}
            print(
                f"  {way}: " + ", ".join(f"{name} {value:.1%}" for name, value in parts.items()) + "; waiting (for "
                f"transport, storing, the last video) {max(0.0, 1 - spent['total'] / steady):.1%}, start left out"
            )


if __name__ == "__main__":
    main()
