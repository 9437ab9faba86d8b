"""What key frames (`landmarks.pace`) leave of short movements, against rendered joints.

    PYTHONPATH=. python benchmarks/pace_taps.py [--rate 25] [--reach 0.1]

A rendered signer holds one hand up, or lets it rest near the picture's lower edge. The wrist goes down and comes back
within three frames, ten times, each time at another frame of the step between key frames. Printed is the share of the
rendered way that the wrists of pose and hand keep: in the median tap, and in the worst.
"""

from __future__ import annotations

import argparse
from unittest import mock

import numpy as np

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.clip import follow_clip
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from tests.synthetic import signer
from tests.synthetic.hand import shape_angles
from tests.synthetic.looks import LOOKS
from tests.synthetic.motion import ArmMotion

EVERY = 13
"""Frames between two taps: no multiple of any step, so that taps fall on all of its frames."""

TAP = (0.5, 1.0, 0.5)


def tapping_arm(frames: int, reach: float, below: float) -> ArmMotion:
    """An arm that holds its hand up; `reach` metres of a tap, the wrist `below` metres under the shoulders."""
    down = np.zeros(frames, np.float32)
    for start in range(EVERY, frames - len(TAP), EVERY):
        down[start : start + len(TAP)] = np.array(TAP) * reach
    one = np.ones((frames, 1), np.float32)
    wrist = one * np.array([[0.25, below, 0.24]], np.float32)
    wrist[:, 1] += down
    fingers = one * np.array([[-0.1, -0.97, 0.2]], np.float32)
    return ArmMotion(wrist, fingers, one * np.array([[0.0, 0.1, 1.0]], np.float32), one * shape_angles("five"))


def kept(wrist: np.ndarray, frames: int) -> list[float]:
    """How far the wrist (T,) goes down in each tap from where it is before and after."""
    starts = range(EVERY, frames - len(TAP), EVERY)
    return [float(wrist[s + 1] - (wrist[s - 2] + wrist[s + len(TAP) + 1]) / 2) for s in starts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=25.0, help="frames a second")
    parser.add_argument("--reach", type=float, default=0.1, help="in shoulder widths")
    arguments = parser.parse_args()
    frames = 11 * EVERY
    metres = arguments.reach * 2 * LOOKS[0].shoulder
    files = find_networks()
    for name, below in (("raised", 0.15), ("resting", 0.34)):
        arm = tapping_arm(frames, metres, below)
        with mock.patch.object(signer, "arm_motion", lambda *_, arm=arm: arm):
            images, truth = signer.render_video(1, 1, 1, frames)
        way = np.array(kept(truth.pose[:, 5, 1] / 256, frames))
        for pace in ("every", "auto", "fast"):
            with Networks(LandmarksConfig(pace=pace, frame_rate=arguments.rate), files) as networks:
                found = list(follow_clip([np.ascontiguousarray(image) for image in images], networks))
            letters = "".join(frame.how.get("pose", "-") for frame in found)
            pose = np.array([frame.pose[16, 1] for frame in found])
            hand = np.array([frame.hands["right"][0, 1] if "right" in frame.hands else np.nan for frame in found])
            said = [f"{np.median(s):.2f} {np.nanmin(s):.2f}" for s in (kept(p, frames) / way for p in (pose, hand))]
            print(f"{name:8s} {pace:6s} pose {said[0]}  hand {said[1]}  interpolated {letters.count('i')} of {frames}")


if __name__ == "__main__":
    main()
