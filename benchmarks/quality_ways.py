"""What quality.py measures: each way from frames to keypoints, and the reference that all are measured against."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import plain
from clips import Clip
from mediapipe_landmarkers import OPENED, TrackedPose, open_landmarker, picture
from pydantic import ValidationError

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.video import Box
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.full import frame_row
from kpsbatch.landmarks.keypoints import view
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import ALL

MODES = ("image", "clip")


@dataclass(frozen=True)
class Result:
    """What a way made of a clip: (T, 184, 4), the letters of each part (may be empty), seconds of processor time."""

    keypoints: np.ndarray
    how: dict[str, str]
    cpu: float


class Mode:
    """A running mode of kpsbatch."""

    def __init__(self, mode: str) -> None:
        try:
            settings = LandmarksConfig.model_validate({"running_mode": mode})
        except ValidationError:
            raise ValueError("this kpsbatch has no such running mode") from None
        self._networks = Networks(settings, find_networks())
        OPENED.append(self._networks)

    def __call__(self, clip: Clip, box: Box | None = None) -> Result:
        started = time.process_time()
        made = extract(clip.frames, self._networks, box=box)
        return Result(made.keypoints, made.facts.how, time.process_time() - started)


class Plain:
    """Three landmarkers in image mode, hands by their label, a later one over an earlier one, any face."""

    def __init__(self) -> None:
        plain.open_landmarkers(False)

    def __call__(self, clip: Clip) -> Result:
        rows = []
        started = time.process_time()
        for frame in clip.frames:
            pose, *others = (part.astype(np.float32) if part.any() else None for part in plain.detect(frame.image))
            if pose is not None:
                pose = np.column_stack([pose, np.ones(len(pose), np.float32)])
            rows.append(frame_row(dict(zip(ALL.parts, (pose, *others), strict=True))))
        return Result(view(np.stack(rows)), {}, time.process_time() - started)


class Holistic:
    """Legacy Holistic as it tracks a video, in another process, since mediapipe 1.2 has it no more."""

    def __init__(self, python: str) -> None:
        self._python = python
        check = "import mediapipe; mediapipe.solutions.holistic.Holistic"
        if subprocess.run([python, "-c", check], capture_output=True, check=False).returncode:
            raise ValueError("its mediapipe has no legacy Holistic; name a Python with 0.10.21: --holistic-python")

    def __call__(self, clip: Clip) -> Result:
        with TemporaryDirectory() as scratch:
            frames, out = Path(scratch) / "frames.npy", Path(scratch) / "out.npz"
            np.save(frames, np.stack([frame.image for frame in clip.frames]))
            script = Path(__file__).with_name("holistic.py")
            subprocess.run([self._python, str(script), str(frames), str(out)], check=True, capture_output=True)
            with np.load(out) as made:
                names = zip(ALL.parts, ("pose", "face", "right", "left"), strict=True)
                parts = {part: made[name].astype(np.float32) for part, name in names}
                cpu = float(made["cpu"])
        rows = [
            frame_row({name: None if np.isnan(part[t]).any() else part[t] for name, part in parts.items()})
            for t in range(len(clip.frames))
        ]
        return Result(view(np.stack(rows)), {}, cpu)


def open_way(name: str, holistic_python: str = sys.executable) -> Mode | Plain | Holistic:
    """Make a way ready.

    Raises:
        ValueError: This kpsbatch or this mediapipe does not have it.
    """
    if name == "plain":
        return Plain()
    return Holistic(holistic_python) if name == "holistic" else Mode(name)


def windows(width: int, height: int) -> list[tuple[int, int, int]]:
    """Overlapping squares over a frame: x, y, side; of its shorter side, and of half of that."""
    squares = []
    for side in (min(width, height), min(width, height) // 2):
        xs, ys = (np.linspace(0, length - side, -(-(length - side) * 2 // side) + 1) for length in (width, height))
        squares += [(int(x), int(y), side) for y in ys for x in xs]
    return squares


class Reference:
    """The signer's pose in each frame, by several passes of which none is a mode that is measured.

    Up to three people in each frame by itself (in windows where the whole frame shows nobody), one person in video
    mode forwards, one backwards. People are followed through the clip; the signer is who is large, there for long and
    moves the wrists, or who stands nearest to `signer` (0 to 1 from the left). Where several passes saw the signer,
    each point is the median of theirs: the lags of forwards and backwards cancel out.
    """

    def __init__(self) -> None:
        self._people = open_landmarker("pose", num_poses=3)
        self._video = TrackedPose()

    def __call__(self, clip: Clip, signer: float | None = None) -> np.ndarray:
        """(T, 33, 4), NaN where no pass saw the signer, who stands nearest to `signer` if it is told."""
        passes = [self._in_frames(clip), self._tracked(clip, 1), self._tracked(clip, -1)]
        people = [[pose for one in passes for pose in one[t]] for t in range(len(clip.frames))]
        return choose_signer(people, clip.size, signer)

    def _in_frames(self, clip: Clip) -> list[list[np.ndarray]]:
        return [self._in_picture(frame.image) or self._in_windows(frame.image) for frame in clip.frames]

    def _in_picture(self, image: np.ndarray) -> list[np.ndarray]:
        poses = self._people.detect(picture(image)).pose_landmarks
        return [np.array([(p.x, p.y, p.z, p.visibility) for p in pose]) for pose in poses]

    def _in_windows(self, image: np.ndarray) -> list[np.ndarray]:
        height, width = image.shape[:2]
        found = []
        for x, y, side in windows(width, height):
            for pose in self._in_picture(image[y : y + side, x : x + side]):
                pose[:, :2] = (pose[:, :2] * side + (x, y)) / (width, height)
                found.append(pose)
        return found

    def _tracked(self, clip: Clip, step: int) -> list[list[np.ndarray]]:
        self._video.start_video(*clip.frames[0].image.shape[:2])
        found = [self._video.detect(frame.image, 33 * t) for t, frame in enumerate(clip.frames[::step])]
        return [[] if pose is None else [pose] for pose in found[::step]]


def choose_signer(people: list[list[np.ndarray]], size: tuple[int, int], signer: float | None) -> np.ndarray:
    """Follow everybody through a clip, choose one, and take the median of each frame's poses of that one."""
    tracks: list[dict[int, list[np.ndarray]]] = []
    for t, poses in enumerate(people):
        for pose in poses:
            near = [(gap, track) for track in tracks if (gap := _gap(track, pose, t, size)) < 0.5]
            if near:
                min(near, key=lambda option: option[0])[1].setdefault(t, []).append(pose)
            else:
                tracks.append({t: [pose]})
    chosen = np.full((len(people), 33, 4), np.nan)
    if tracks:
        merged = [{t: np.median(poses, axis=0) for t, poses in track.items()} for track in tracks]
        for t, pose in max(merged, key=lambda track: _weight(track, size, signer)).items():
            chosen[t] = pose
    return chosen


def _gap(track: dict[int, list[np.ndarray]], pose: np.ndarray, t: int, size: tuple[int, int]) -> float:
    """How far a pose's shoulders are from a track's last, in shoulder widths of the larger."""
    last = max(track)
    if t - last > 30:
        return np.inf
    one, other = (p[11:13, :2] * size for p in (track[last][0], pose))
    width = max(*(float(np.linalg.norm(s[0] - s[1])) for s in (one, other)), 1.0)
    return float(np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))) / width


def _weight(track: dict[int, np.ndarray], size: tuple[int, int], signer: float | None) -> float:
    poses = np.stack([track[t] for t in sorted(track)])
    if signer is not None:
        return len(track) * (1 - abs(float(np.median(poses[:, 11:13, 0])) - signer)) ** 4
    pixels = poses[..., :2] * size
    width = float(np.median(np.linalg.norm(pixels[:, 11] - pixels[:, 12], axis=-1)))
    moved = np.linalg.norm(np.diff(pixels[:, 15:17], axis=0), axis=-1)
    return len(track) * width * (1 + float(moved.mean()) / max(width, 1.0) if len(poses) > 1 else 1.0)
