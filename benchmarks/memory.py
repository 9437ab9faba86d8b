"""Memory of the real workers, and of their parent, over many videos: none of it may grow.

    python benchmarks/memory.py [--clip FILE] [--videos 2000] [--frames 10] [--mode clip] [--workers N]

The workers are not replaced on the way (`run.videos_per_worker`).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import throughput

from kpsbatch.config import load_config
from kpsbatch.store.tracking import resident_bytes
from kpsbatch.work.cores import available_cores
from kpsbatch.work.run import Progress, run


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/self/task/{process}/children").read_text().split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="default: the demo's signer")
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--mode", choices=("clip", "image"), default="clip")
    parser.add_argument("--workers", type=int, default=available_cores())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, Path(scratch))


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    clip = throughput.frames_of(arguments.clip)
    throughput.lay_out(throughput.videos_from(clip, arguments.videos, arguments.frames), scratch)
    settings = [f"run.workers={arguments.workers}", "run.videos_per_worker=1000000"]
    settings += [f"landmarks.running_mode={arguments.mode}"]
    config = load_config(scratch / "config.yaml", settings)
    seen: list[tuple[int, int, list[int]]] = []

    def note(progress: Progress) -> None:
        if progress.videos_done >= len(seen) * arguments.videos / 20:
            own = os.getpid()
            seen.append((progress.videos_done, resident_bytes(own), [resident_bytes(w) for w in children(own)]))

    summary = run(config, on_progress=note)
    print(f"{summary.progress.videos_done} videos of {arguments.frames} frames, {arguments.mode} mode\n")
    print("| videos done | parent MB | workers MB |\n|---|---|---|")
    for done, parent, workers in seen:
        print(f"| {done} | {parent / 1e6:.0f} | {', '.join(f'{size / 1e6:.0f}' for size in workers)} |")


if __name__ == "__main__":
    main()
