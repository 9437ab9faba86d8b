"""The plain way to do the main job, as a yardstick: what people write first.

One process per core by os.cpu_count(), a whole sign per task, three image-mode landmarkers (the pose network with
its mask), labels for hands, float64, np.savez_compressed. `--holistic` uses the legacy
Holistic solution instead, which mediapipe 0.10.21 is the last to have: run that with a Python of its own.

    python benchmarks/plain.py DATASET_ROOT OUTPUT_ROOT [--workers N] [--holistic]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from pathlib import Path

import cv2
import numpy as np


def open_landmarkers(holistic: bool) -> None:
    global detect
    if holistic:
        import mediapipe as mp

        solution = mp.solutions.holistic.Holistic(model_complexity=1, refine_face_landmarks=True)

        def detect(image):
            found = solution.process(image)
            parts = (
                (found.pose_landmarks, 33),
                (found.face_landmarks, 478),
                (found.right_hand_landmarks, 21),
                (found.left_hand_landmarks, 21),
            )
            return [
                np.array([(p.x, p.y, p.z) for p in part.landmark]) if part else np.zeros((n, 3)) for part, n in parts
            ]

        return

    from mediapipe_landmarkers import open_landmarker
    from mediapipe_landmarkers import picture as to_picture

    pose, face = open_landmarker("pose"), open_landmarker("face")
    hands = open_landmarker("hand", num_hands=2)

    def detect(image):
        picture = to_picture(image)
        parts = [np.zeros((33, 3)), np.zeros((478, 3)), np.zeros((21, 3)), np.zeros((21, 3))]
        if result := pose.detect(picture).pose_landmarks:
            parts[0] = np.array([(p.x, p.y, p.z) for p in result[0]])
        if result := face.detect(picture).face_landmarks:
            parts[1] = np.array([(p.x, p.y, p.z) for p in result[0]])
        result = hands.detect(picture)
        for points, label in zip(result.hand_landmarks, result.handedness, strict=True):
            side = 2 if label[0].category_name == "Right" else 3
            parts[side] = np.array([(p.x, p.y, p.z) for p in points])
        return parts


def frames_of(video: Path):
    if video.is_dir():
        for name in sorted(os.listdir(video)):
            image = cv2.imread(str(video / name))
            if image is not None:
                yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return
    capture = cv2.VideoCapture(str(video))
    while True:
        there, image = capture.read()
        if not there:
            return
        yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def do_sign(task: tuple[Path, Path]) -> None:
    folder, output = task
    from kpsbatch.points import Topology

    arrays = {}
    for video in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        rows = []
        for image in frames_of(video):
            pose, face, right, left = detect(image)
            points = np.concatenate([pose[list(Topology.POSE_LANDMARKS)], face[list(Topology.FACE_MESH)], right, left])
            rows.append(np.concatenate([points, np.ones((184, 1))], axis=1))
        arrays[video.stem] = np.array(rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--holistic", action="store_true")
    arguments = parser.parse_args()
    folders = sorted(path for path in arguments.dataset.glob("*/*/*/*") if path.is_dir())
    tasks = [(f, arguments.output / f"{f.parts[-4]}-{f.parts[-2]}" / f"{f.name}.npz") for f in folders]
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.workers, open_landmarkers, (arguments.holistic,)) as pool:
        for _ in pool.imap_unordered(do_sign, tasks):
            pass


if __name__ == "__main__":
    main()
