"""Legacy Holistic on the frames of a file, for quality.py: needs only mediapipe up to 0.10.21, not kpsbatch.

    python benchmarks/holistic.py FRAMES.npy OUT.npz

FRAMES.npy holds (T, H, W, 3) RGB; OUT.npz gets pose (T, 33, 4), face (T, 478, 3), right and left (T, 21, 3), NaN where
a part was not found, and `cpu`, the seconds of processor time.
"""

import sys
import time

import mediapipe as mp
import numpy as np


def main() -> None:
    frames = np.load(sys.argv[1])
    columns = {"pose": 33, "face": 478, "right_hand": 21, "left_hand": 21}
    found = {name: np.full((len(frames), points, 4), np.nan) for name, points in columns.items()}
    with mp.solutions.holistic.Holistic(model_complexity=1, refine_face_landmarks=True) as holistic:
        started = time.process_time()
        for t, image in enumerate(frames):
            result = holistic.process(image)
            for name in columns:
                if part := getattr(result, f"{name}_landmarks"):
                    found[name][t] = [(p.x, p.y, p.z, p.visibility) for p in part.landmark]
        cpu = time.process_time() - started
    arrays = {
        "face": found["face"][..., :3],
        "right": found["right_hand"][..., :3],
        "left": found["left_hand"][..., :3],
    }
    np.savez(sys.argv[2], pose=found["pose"], cpu=cpu, **arrays)


if __name__ == "__main__":
    main()
