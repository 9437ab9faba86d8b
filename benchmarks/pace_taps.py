"""What key frames (`landmarks.pace`) leave of short movements of a rendered signer: taps, nods, blinks, mouth.

    PYTHONPATH=. python benchmarks/pace_taps.py [--rate 25] [--reach 0.1] [--length 3]

A wrist that is held up, or rests near the picture's lower edge, goes down and comes back; the head nods; the eyes
close and open; the mouth opens and closes. Each lasts `--length` frames and comes ten times, each time at another frame
of the step between key frames. Printed is the share of the way that is kept, in the median movement and in the
smallest: of a tap against the rendered joints, of the face against the same movement held for ten frames, each frame of
which is looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from unittest import mock

import numpy as np

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.clip import FrameLandmarks, follow_clip
from kpsbatch.landmarks.network_files import NetworkFiles, find_networks
from kpsbatch.landmarks.networks import Networks
from tests.synthetic import signer
from tests.synthetic.hand import shape_angles
from tests.synthetic.looks import LOOKS
from tests.synthetic.motion import ArmMotion, FaceMotion

EVERY = 23
"""Frames between two movements: no multiple of any step, so that they fall on all of its frames."""

COUNT = 10
HELD = 10
PACES = ("every", "auto", "fast")

FACE = {  # what moves: how far it is rendered, and how it is measured on a face, in heights of the face
    "nod": (0.015, lambda face: face[4, 1] / np.ptp(face[:, 1])),
    "blink": (
        1.0,
        lambda face: -np.mean([face[145, 1] - face[159, 1], face[374, 1] - face[386, 1]]) / np.ptp(face[:, 1]),
    ),
    "mouth": (0.15, lambda face: (face[14, 1] - face[13, 1]) / np.ptp(face[:, 1])),
}


def movement(length: int) -> np.ndarray:
    """(frames,) of `COUNT` movements from 0 to 1 and back, `length` frames each that are not 0."""
    shape = np.sin(np.pi * np.arange(1, length + 1) / (length + 1))
    moves = np.zeros(EVERY * (COUNT + 1), np.float32)
    for start in range(EVERY, len(moves) - length, EVERY):
        moves[start : start + length] = shape / shape.max()
    return moves


def held() -> np.ndarray:
    """(frames,) of a movement that is held."""
    moves = np.zeros(3 * EVERY, np.float32)
    moves[EVERY : EVERY + HELD] = 1
    return moves


def ways(values: np.ndarray, length: int) -> np.ndarray:
    """(COUNT,): how far values (T,) go in each movement from where they are before and after."""
    starts = range(EVERY, len(values) - length, EVERY)
    rest = [np.nanmedian([*values[s - 6 : s - 1], *values[s + length + 1 : s + length + 6]]) for s in starts]
    return np.array([np.nanmax(values[s : s + length]) - at for s, at in zip(starts, rest, strict=True)])


def tapping_arm(down: np.ndarray, below: float) -> ArmMotion:
    """An arm that holds its hand up, or lets it rest; the wrist `below` metres under the shoulders, and `down` more."""
    one = np.ones((len(down), 1), np.float32)
    wrist = one * np.array([[0.25, below, 0.24]], np.float32)
    wrist[:, 1] += down
    fingers = one * np.array([[-0.1, -0.97, 0.2]], np.float32)
    return ArmMotion(wrist, fingers, one * np.array([[0.0, 0.1, 1.0]], np.float32), one * shape_angles("five"))


def followed(images: np.ndarray, pace: str, rate: float, files: NetworkFiles) -> list[FrameLandmarks]:
    """The landmarks of a rendered video."""
    with Networks(LandmarksConfig(pace=pace, frame_rate=rate), files) as networks:
        return list(follow_clip([np.ascontiguousarray(image) for image in images], networks))


def shares(kept: np.ndarray) -> str:
    return f"{np.median(kept):.2f}, {kept.min():.2f}"


def taps(rate: float, reach: float, length: int, files: NetworkFiles) -> None:
    down = movement(length) * reach * 2 * LOOKS[0].shoulder
    for name, below in (("raised", 0.15), ("resting", 0.34)):
        arm = tapping_arm(down, below)
        with mock.patch.object(signer, "arm_motion", lambda *_, arm=arm: arm):
            images, truth = signer.render_video(1, 1, 1, len(down))
        way = ways(truth.pose[:, 5, 1] / 256, length)
        for pace in PACES:
            found = followed(images, pace, rate, files)
            pose = np.array([frame.pose[16, 1] for frame in found])
            hand = np.array([frame.hands["right"][0, 1] if "right" in frame.hands else np.nan for frame in found])
            line = "  ".join(
                f"{part} {shares(ways(of, length) / way)}" for part, of in (("pose", pose), ("hand", hand))
            )
            print(f"tap, {name:8s} {pace:6s} {line}  {interpolated(found, 'pose')}", flush=True)


def faces(rate: float, length: int, files: NetworkFiles) -> None:
    for name, (far, measure) in FACE.items():
        long = track(followed(face_video(name, held() * far), "every", rate, files), measure)
        way = np.nanmedian(long[EVERY + 2 : EVERY + HELD - 2]) - np.nanmedian([*long[8:EVERY], *long[-EVERY:]])
        images = face_video(name, movement(length) * far)
        for pace in PACES:
            found = followed(images, pace, rate, files)
            kept = ways(track(found, measure), length) / way
            print(f"{name:13s} {pace:6s} face {shares(kept)}  {interpolated(found, 'face')}", flush=True)


def face_video(name: str, moves: np.ndarray) -> np.ndarray:
    """A signer whose hands hang, and whose face moves."""
    still = np.zeros_like(moves)
    parts = [moves if part == name else still for part in FACE]
    return signer.render_video(1, 1, 1, len(moves), rest=0.7, face=FaceMotion(*parts), sways=False)[0]


def track(found: list[FrameLandmarks], measure: Callable[[np.ndarray], float]) -> np.ndarray:
    return np.array([np.nan if frame.face is None else measure(frame.face) for frame in found])


def interpolated(found: list[FrameLandmarks], part: str) -> str:
    letters = [frame.how.get(part, "-") for frame in found]
    return f"interpolated {letters.count('i')} of {len(letters)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=25.0, help="frames a second")
    parser.add_argument("--reach", type=float, default=0.1, help="of a tap, in shoulder widths")
    parser.add_argument("--length", type=int, default=3, help="frames of a movement")
    arguments = parser.parse_args()
    files = find_networks()
    faces(arguments.rate, arguments.length, files)
    taps(arguments.rate, arguments.reach, arguments.length, files)


if __name__ == "__main__":
    main()
