"""How far filled hands are from those that were found: gaps are made where a hand was found all along, and filled.

    python benchmarks/filled_gaps.py OUT [--frames 1 2 3 5 8]

OUT are outputs in image coordinates. Gaps that are there by nature lie where a hand is fast, blurred or hidden: their
error is larger.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import kpsbatch
from kpsbatch.store.cleaning import fill_gaps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 2, 3, 5, 8])
    arguments = parser.parse_args()
    dataset = kpsbatch.open_dataset(arguments.outputs)
    for gap in arguments.frames:
        errors = []
        for sample in dataset:
            pixels = np.array([sample.width, sample.height])
            for part in ("right_hand", "left_hand"):
                place, found = sample.parts[part], ~sample.missing[part]
                for start in range(len(found) - gap - 1):
                    hidden = slice(start + 1, start + gap + 1)
                    if found[start : start + gap + 2].all():
                        keypoints = sample.keypoints.copy()
                        keypoints[hidden, place] = 0
                        filled = fill_gaps(keypoints, dataset.topology, gap)[hidden, place, :2]
                        errors.append(np.hypot(*((filled - sample.keypoints[hidden, place, :2]) * pixels).T).mean())
        shares = np.quantile(errors, [0.5, 0.9])
        print(f"{gap} frames, {len(errors)} gaps: median {shares[0]:.1f} px, 90% below {shares[1]:.1f} px")


if __name__ == "__main__":
    main()
