"""A long video by one worker and by two: seconds, memory, and whether they give the same bytes.

    PYTHONPATH=. python benchmarks/long_video.py CLIP... [--minutes 10] [--empty MINUTES] [--workers 1,2]

The video is the clips one after the other, over and over, scaled to 320x240 at 25 frames a second, MPEG-4 with a key
frame every two seconds; `--empty` adds minutes of grey frames that cost little. Memory is the proportional set size of
all processes of a run at its highest, looked at once a second, and that of its largest worker.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import clips
import cv2
import numpy as np

WIDTH, HEIGHT, RATE = 320, 240, 25


def frames_of(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """The frames of clips, over and over, in the middle of a black frame."""
    made = []
    for path in paths:
        for image in clips.load(path, None):
            scale = min(WIDTH / image.shape[1], HEIGHT / image.shape[0])
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:HEIGHT, :WIDTH]
            frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            top, left = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
            frame[top : top + small.shape[0], left : left + small.shape[1]] = small
            made.append(frame)
    return itertools.cycle(made)


def write(path: Path, frames: Iterator[np.ndarray]) -> None:
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.gop_size, stream.bit_rate = WIDTH, HEIGHT, 2 * RATE, 2_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    children = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True).stdout.split()
    return [pid, *(each for child in children for each in tree(int(child)))]


def megabytes(pid: int) -> float:
    """The proportional set size; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def run(video: Path, output: Path, workers: int) -> tuple[float, float, float]:
    """Seconds, and the highest memory of all processes and of one worker."""
    command = [sys.executable, "-m", "kpsbatch", "extract", str(video), "-o", str(output), "-j", str(workers)]
    began, most, largest = time.monotonic(), 0.0, 0.0
    process = subprocess.Popen([*command, "--no-pictures", "-q"])
    while process.poll() is None:
        time.sleep(1)
        used = [megabytes(pid) for pid in tree(process.pid)]
        most, largest = max(most, sum(used)), max([largest, *used[1:]])
    if process.returncode:
        raise SystemExit(f"extract ended with {process.returncode}")
    return time.monotonic() - began, most, largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--empty", type=float, default=0)
    parser.add_argument("--workers", default="1,2")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        video = Path(scratch) / "long.mp4"
        signing = itertools.islice(frames_of(arguments.clips), round(arguments.minutes * 60 * RATE))
        grey = itertools.repeat(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), round(arguments.empty * 60 * RATE))
        write(video, itertools.chain(signing, grey))
        seconds: list[float] = []
        bytes_of: list[bytes] = []
        for workers in map(int, arguments.workers.split(",")):
            output = Path(scratch) / f"out-{workers}"
            spent, most, largest = run(video, output, workers)
            seconds.append(spent)
            bytes_of.append((output / "long.npz").read_bytes())
            print(
                f"{workers} workers: {spent:.0f} s, {spent / seconds[0]:.2f} of the first; {most:.0f} MB in all, "
                f"{largest:.0f} MB in one worker; {'the same bytes' if bytes_of[-1] == bytes_of[0] else 'OTHER BYTES'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
