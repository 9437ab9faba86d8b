"""What `run.stage` gains on a slow file system: how long one worker waits for its frames, and the whole run takes.

    python benchmarks/staging.py [--cost 20] [--videos 15]

Needs cc. A unit of videos with 60 frames of 256x256 is done with and without staging, while every call below the
dataset that names a file takes 0, 1 and 10 ms longer (slow_storage.c). A stand-in
for the landmarkers takes --cost milliseconds for each frame; the time for reading and decoding is measured, and the
run's from its start to its end, in which the first videos are copied before anything is read.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from kpsbatch.config import load_config
from kpsbatch.dataset.reading import read_frames
from kpsbatch.landmarks.extract import VideoKeypoints
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.work.run import run
from kpsbatch.work.video_job import VideoJob, VideoTask
from kpsbatch.work.worker import Heartbeat

FRAMES, SIZE = 60, 256


def make_dataset(root: Path, videos: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE // 8, SIZE // 8, 3), np.uint8)
    data = cv2.imencode(".jpg", cv2.resize(noise, (SIZE, SIZE)))[1].tobytes()
    for video in range(videos):
        folder = root / "data" / "01" / "01" / "train" / "0001" / f"video {video}"
        folder.mkdir(parents=True)
        for frame in range(FRAMES):
            (folder / f"{frame:04}.jpg").write_bytes(data)
    text = 'dataset: {root: data, signers: ["01"], splits: [train], signs: 1}\n'
    (root / "config.yaml").write_text(text + "output: {root: out}\nrun: {workers: 0}\n")


def measure(root: Path, cost: float, stage: str) -> tuple[float, float]:
    """Milliseconds for reading a frame, and seconds of the whole run, in this process."""
    waited = [0.0, 0.0]

    def do(self: VideoJob, task: VideoTask, heartbeat: Heartbeat) -> list[VideoKeypoints | None]:
        started = time.perf_counter()
        for _ in read_frames(task.videos[0], frame_rate=30, max_pixels=10**6):
            waited[0] += time.perf_counter() - started
            waited[1] += 1
            time.sleep(cost / 1000)
            started = time.perf_counter()
        return [VideoKeypoints(np.zeros((FRAMES, 184, 4), np.float32), VideoFacts(frames=FRAMES))]

    config = load_config(root / "config.yaml", [f"output.root={root}/out{time.monotonic_ns()}", f"run.stage={stage}"])
    nothing = mock.Mock(return_value=None)
    with mock.patch.multiple(VideoJob, do=do, open=nothing, close=nothing):
        begun = time.perf_counter()
        run(config)
        seconds = time.perf_counter() - begun
    return waited[0] / waited[1] * 1000, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", type=float, default=20.0, help="milliseconds for a frame")
    parser.add_argument("--videos", type=int, default=15)
    parser.add_argument("--measure", nargs=2, metavar=("DIR", "STAGE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(*measure(Path(arguments.measure[0]), arguments.cost, arguments.measure[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        root, library = Path(folder), f"{folder}/slow_storage.so"
        make_dataset(root, arguments.videos)
        source = Path(__file__).with_name("slow_storage.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
        for delay in (0, 1, 10):
            said = []
            for stage in ("null", f"{folder}/stage"):
                slow = {"LD_PRELOAD": library, "SLOW_BELOW": f"{folder}/data", "SLOW_MS": str(delay)}
                command = [sys.executable, __file__, "--cost", str(arguments.cost), "--measure", folder, stage]
                done = subprocess.run(command, env=os.environ | slow, stdout=subprocess.PIPE, text=True, check=True)
                milliseconds, seconds = map(float, done.stdout.split())
                said.append(f"{milliseconds:.1f} ms for a frame, {seconds:.1f} s for the run")
            print(f"{delay:>2} ms more: {said[0]}; staged {said[1]}", flush=True)


if __name__ == "__main__":
    main()
