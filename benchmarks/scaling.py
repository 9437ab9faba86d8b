"""How kpsbatch scales from 1 worker to N: whole runs with their start left out, the numbers of workers in turn.

    python benchmarks/scaling.py [--clip FILE] [--workers N] [--rounds 3] [--videos 48] [--mode image]

Videos of 40 frames at 256x256, without the second look. Where CPU time per frame grows with the number of workers, the
machine gets slower (shared caches, memory, turbo); where it stays and the rate lags, it is the program.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import throughput

from kpsbatch.work.cores import available_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="default: the demo's signer")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=int, default=48, help="many, so that the last ones don't decide")
    parser.add_argument("--mode", choices=("image", "video"), default="image")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, Path(scratch))


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    clip = throughput.frames_of(arguments.clip)
    throughput.lay_out(throughput.videos_from(clip, arguments.videos), scratch / "data")
    step = max(1, arguments.workers // 4)
    counts = sorted({1, *range(step, arguments.workers, step), arguments.workers})
    rates: dict[int, list[float]] = {count: [] for count in counts}
    cpu: dict[int, list[float]] = {count: [] for count in counts}
    frames = arguments.videos * throughput.LENGTH
    for count in counts:  # a video for each worker, so that all of them start
        throughput.lay_out([clip[:1]] * count, scratch / f"start-{count}")
    for turn in range(arguments.rounds + 1):
        for count in counts:
            way = f"kpsbatch {arguments.mode}, no second look"
            command = throughput.ways(count)[way]
            start = throughput.execute(command, scratch / f"start-{count}", scratch / f"started-{turn}-{count}")
            run = throughput.execute(command, scratch / "data", scratch / f"out-{turn}-{count}")
            if turn:  # the first is a warm-up
                rates[count].append((frames - count) / (run.seconds - start.seconds))
                cpu[count].append(1000 * (run.cpu - start.cpu) / (frames - count))
    print(f"{arguments.mode} mode, {frames} frames, {arguments.rounds} rounds; medians, of the ratios too\n")
    print("| workers | frames/s | against one | from | to | CPU ms a frame |\n|---|---|---|---|---|---|")
    for count in counts:
        ratios = [rate / one for rate, one in zip(rates[count], rates[1], strict=True)]
        print(
            f"| {count} | {statistics.median(rates[count]):.1f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f} | {max(ratios):.2f} | {statistics.median(cpu[count]):.1f} |"
        )


if __name__ == "__main__":
    main()
