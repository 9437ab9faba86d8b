"""Frames for each CPU second: kpsbatch against the plain way and the legacy Holistic, side by side.

    python benchmarks/throughput.py [--clip FILE | --karsl ROOT] [--ways clip,plain,holistic] [--rounds 5] [--workers N]

All ways do the same dataset (the demo, videos of 40 frames at 256x256 cut out of a clip, or a tree in KArSL's layout),
each as whole processes, in turn, several rounds after a warm-up; medians, and ratios of the medians. CPU seconds are of
a whole run with all its processes, and without the start-up (a run over one video of one frame for each worker). Legacy
Holistic needs a Python with mediapipe 0.10.21: `--holistic-python PYTHON`.
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

from kpsbatch.work.cores import available_cores
from tests.synthetic.demo import render_demo
from tests.synthetic.signer import render_video

ROOT = Path(__file__).parents[1]
LENGTH = 40
QUIET = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Run:
    """A finished process and its children: seconds, CPU seconds, peak memory of the largest process in MB."""

    seconds: float
    cpu: float
    peak: float


def ways(names: Sequence[str], workers: int, holistic_python: str) -> dict[str, list[str]]:
    """The command of each way."""
    ours = [sys.executable, "-m", "kpsbatch", "run", "{config}", "--quiet", "--set", "output.root={output}"]
    ours += ["--set", f"run.workers={workers}", "--set"]
    plain = [str(ROOT / "benchmarks" / "plain.py"), "{dataset}", "{output}", "--workers", str(workers)]
    every = {mode: [*ours, f"landmarks.running_mode={mode}"] for mode in ("clip", "image")}
    every |= {pace: [*ours, f"landmarks.pace={pace}"] for pace in ("auto", "fast")}
    check = "import mediapipe; mediapipe.solutions.holistic.Holistic"
    if "holistic" in names and subprocess.run([holistic_python, "-c", check], capture_output=True).returncode:
        print("holistic is left out: name a Python with mediapipe 0.10.21, --holistic-python", file=sys.stderr)
        names = [name for name in names if name != "holistic"]
    every |= {"plain": [sys.executable, *plain], "holistic": [holistic_python, *plain, "--holistic"]}
    return {name: every[name] for name in names}


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


def take_karsl(root: Path, data: Path) -> int:
    """Make a config for a tree in KArSL's layout, and count its frames."""
    data.mkdir()
    (data / "dataset").symlink_to(root.resolve())
    signers = sorted({path.name for path in root.iterdir() if path.is_dir()})
    signs = sorted({int(path.name) for path in root.glob("*/*/*/*") if path.is_dir()})
    (data / "config.yaml").write_text(
        f"dataset: {{root: dataset, signers: {json.dumps(signers)}, splits: [train], signs: {signs[0]}-{signs[-1]}}}\n"
        "output: {root: out}\n"
    )
    return sum(1 for _ in root.rglob("*.jpg"))


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
    parser.add_argument("--ways", default="plain,clip,image,holistic")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--signs", type=int, default=6, help="of the demo")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--videos", type=int, default=24, help="to cut out of the clip")
    parser.add_argument("--karsl", type=Path, metavar="ROOT")
    parser.add_argument("--holistic-python", default=sys.executable, help="a Python with mediapipe 0.10.21")
    parser.add_argument("--workers", type=int, default=available_cores())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, Path(scratch))


def prepare(arguments: argparse.Namespace, data: Path) -> int:
    """Lay out the dataset that was asked for; returns its frames."""
    if arguments.karsl:
        return take_karsl(arguments.karsl, data)
    if arguments.clip:
        lay_out(videos_from(frames_of(arguments.clip), arguments.videos), data)
        return arguments.videos * LENGTH
    return sum(video.frames for video in render_demo(data, signs=arguments.signs).videos)


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    data, tiny = scratch / "data", scratch / "tiny"
    frames = prepare(arguments, data)
    start_frame = next(path for path in (data / "dataset").resolve().rglob("*.jpg")).read_bytes()
    lay_out([[start_frame]] * arguments.workers, tiny)  # a video for each worker, so that all of them start
    commands = ways(arguments.ways.split(","), arguments.workers, arguments.holistic_python)
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
    print_table(runs, starts, frames, arguments.workers)
    print("\nwhere the workers' time goes:")
    for way in commands:
        if way in ("clip", "image", "video"):
            spent = worker_seconds(scratch / f"out-{way}-{arguments.rounds}")
            steady = arguments.workers * (runs[way][-1].seconds - starts[way][-1].seconds)
            parts = {name: value / spent["total"] for name, value in spent.items() if name != "total"}
            print(
                f"  {way}: " + ", ".join(f"{name} {value:.1%}" for name, value in parts.items()) + "; waiting (for "
                f"transport, storing, the last video) {max(0.0, 1 - spent['total'] / steady):.1%}, start left out"
            )


def print_table(runs: dict[str, list[Run]], starts: dict[str, list[Run]], frames: int, workers: int) -> None:
    """Medians of the rounds; ratios are of frames for each CPU second."""

    def median(of: list[Run], what: str) -> float:
        return statistics.median(getattr(run, what) for run in of)

    cpu = {way: 1000 * median(of, "cpu") / frames for way, of in runs.items()}
    print(
        "| way | CPU ms a frame |" + "".join(f" against {way} |" for way in ("plain", "holistic") if way in cpu), end=""
    )
    print(" start left out | frames/s | start CPU s | peak MB |")
    print("|---" * (6 + ("plain" in cpu) + ("holistic" in cpu)) + "|")
    for way, each in cpu.items():
        ratios = "".join(f" {cpu[other] / each:.2f} |" for other in ("plain", "holistic") if other in cpu)
        start = median(starts[way], "cpu")
        steady = 1000 * (median(runs[way], "cpu") - start) / (frames - workers)
        rate, peak = frames / median(runs[way], "seconds"), median(runs[way], "peak")
        print(f"| {way} | {each:.1f} |{ratios} {steady:.1f} | {rate:.1f} | {start:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
