"""Landmarks in metres beside those of legacy MediaPipe, on the same frames.

    PYTHONPATH=. python benchmarks/world.py --legacy-python PYTHON CLIP ...

PYTHON has mediapipe 0.10.21, whose Pose and Hands (every frame by itself) give landmarks in metres. Compared are
frames in which both put the part at the same place of the picture (shoulders or hand within 2% of its size):
millimetres between the points, each part's middle at 0 in both, since the two are given a different square. Of a pose
the points of head and arms count: hips and legs are guesses where the picture ends at the waist.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from clips import read_clips

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.full import unpack
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import FULL

LEGACY = """
import sys, numpy as np, mediapipe as mp
frames = np.load(sys.argv[1])
image, world = np.full((len(frames), 3, 33, 3), np.nan), np.full((len(frames), 3, 33, 3), np.nan)
def put(t, part, found, metres):
    for where, landmarks in ((image, found), (world, metres)):
        points = [(p.x, p.y, p.z) for p in landmarks.landmark]
        where[t, part, : len(points)] = points
pose = mp.solutions.pose.Pose(static_image_mode=True, model_complexity=1)
hands = mp.solutions.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=1)
for t, frame in enumerate(frames):
    found = pose.process(frame)
    if found.pose_landmarks:
        put(t, 0, found.pose_landmarks, found.pose_world_landmarks)
    found = hands.process(frame)
    for part, both in enumerate(zip(found.multi_hand_landmarks or (), found.multi_hand_world_landmarks or ()), 1):
        put(t, part, *both)
np.savez(sys.argv[2], image=image, world=world)
"""
SAME_PLACE = 0.02
COMPARED = {"pose": slice(0, 17), "right_hand": slice(21), "left_hand": slice(21)}


def legacy(python: str, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, 33, 3) in the picture and in metres: pose, and two hands in no order; NaN where not found."""
    with TemporaryDirectory() as scratch:
        given, out = Path(scratch, "frames.npy"), Path(scratch, "out.npz")
        np.save(given, frames)
        subprocess.run([python, "-c", LEGACY, str(given), str(out)], check=True, capture_output=True)
        with np.load(out) as made:
            return made["image"], made["world"]


def apart(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Millimetres between the points of a part (N, 3), its middle at 0 in both."""
    return 1000 * np.linalg.norm((ours - ours.mean(axis=0)) - (theirs - theirs.mean(axis=0)), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--legacy-python", required=True, help="a Python with mediapipe 0.10.21")
    chosen = parser.parse_args()
    off: dict[str, list[np.ndarray]] = {"pose": [], "hands": []}
    sizes: dict[str, list[float]] = {"pose": [], "hands": []}
    with Networks(LandmarksConfig(running_mode="image"), find_networks()) as networks:
        for clip in (clip for path in chosen.clips for clip in read_clips(path)):
            kept: list[np.ndarray] = []
            extract(clip.frames, networks, keep=lambda packed, kept=kept: kept.append(packed) or b"")
            image, world = legacy(chosen.legacy_python, np.stack([frame.image for frame in clip.frames]))
            for t, frame in enumerate(unpack(kept[0])):
                for part in ("pose", "right_hand", "left_hand"):
                    place, metres = frame[FULL.parts[part], :3], frame[FULL.parts[f"{part}_world"], :3]
                    if not place.any():
                        continue
                    for candidate in (0,) if part == "pose" else (1, 2):
                        theirs = image[t, candidate, : len(place)]
                        chosen_points = slice(11, 13) if part == "pose" else slice(None)
                        size = np.linalg.norm(np.ptp(place[chosen_points, :2], axis=0))
                        gap = np.linalg.norm(theirs[chosen_points, :2] - place[chosen_points, :2], axis=1).max()
                        if gap < SAME_PLACE * size:
                            kind = "pose" if part == "pose" else "hands"
                            points = COMPARED[part]
                            off[kind].append(apart(metres[points], world[t, candidate][points]))
                            sizes[kind].append(1000 * float(np.linalg.norm(np.ptp(metres, axis=0))))
    for kind, distances in off.items():
        if not distances:
            print(f"{kind}: in no frame at the same place", file=sys.stderr)
            continue
        every = np.concatenate(distances)
        print(
            f"{kind}: {len(distances)} in the same place, {np.median(sizes[kind]):.0f} mm large; "
            f"apart by {np.median(every):.1f} mm (median), {np.percentile(every, 95):.1f} (95%)"
        )


if __name__ == "__main__":
    main()
