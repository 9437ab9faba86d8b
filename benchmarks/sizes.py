"""What a frame takes on disk and what keeping it costs.

    PYTHONPATH=. python benchmarks/sizes.py FOLDER ...

Bytes a frame of the contract's npz and of all landmarks beside it, one unit a video; CPU seconds of packing and
compressing all landmarks, as a share of all that the worker does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from clips import read_clips

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks import extract as extract_module
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.full import pack
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.store.npz import npz_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    chosen = parser.parse_args()
    frames = npz = full = 0
    keeping = everything = 0.0

    def timed(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def one(value: Any) -> Any:
            nonlocal keeping
            began = time.process_time()
            result = work(value)
            keeping += time.process_time() - began
            return result

        return one

    extract_module.pack = timed(pack)
    keep = timed(partial(npz_bytes, "video"))

    with Networks(LandmarksConfig(), find_networks()) as networks:
        for clip in (clip for folder in chosen.folders for clip in read_clips(folder)):
            began = time.process_time()
            made = extract(clip.frames, networks, keep=keep)
            everything += time.process_time() - began
            frames += len(made.keypoints)
            npz += len(npz_bytes("video", made.keypoints))
            full += len(made.full)
    print(f"{frames} frames: {npz / frames:.0f} bytes a frame in the npz, {full / frames:.0f} of all landmarks")
    share, cpu = keeping / everything, 1000 * everything / frames
    print(f"packing and compressing all landmarks: {share:.2%} of {cpu:.1f} ms CPU a frame")


if __name__ == "__main__":
    main()
