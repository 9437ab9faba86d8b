"""The demo dataset: synthetic signers in KArSL's layout, with the usual irregularities and the true joints."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.demo.signer import Truth, render_video
from kpsbatch.errors import OutputError
from kpsbatch.files import explained

# Raise this when the pictures, the layout or the config change: older demos are then written again.
_VERSION = "1"
_MARKER = ".kpsbatch-demo"
_TAKES = {"train": (1, 2), "test": (3,)}
_FRAMES_PER_SECOND = 10.0
_JPEG_QUALITY = 92
_CONFIG = """\
# A synthetic signer, to try every command on. Paths are relative to this file's folder.
dataset:
  root: dataset
  layout: "{{signer}}/{{signer}}/{{split}}/{{sign:04d}}"
  signers: [{signers}]
  splits: [train, test]
  signs: 1-{signs}
output:
  root: out
"""


@dataclass(frozen=True)
class DemoVideo:
    """One video of the demo; `sign` counts from 1, `frames` is its length."""

    signer: str
    split: str
    sign: int
    name: str
    take: int
    frames: int
    as_file: bool


@dataclass(frozen=True)
class DemoDataset:
    """Where a demo is, and what is in it."""

    directory: Path
    videos: tuple[DemoVideo, ...]

    @property
    def config(self) -> Path:
        """The demo's config file."""
        return self.directory / "config.yaml"

    def folder(self, video: DemoVideo) -> Path:
        """Return the directory that holds the entry of a video."""
        return self.directory / "dataset" / video.signer / video.signer / video.split / f"{video.sign:04d}"

    def truth(self, video: DemoVideo) -> Path:
        """Return the npz that holds the true joints of a video under the video's name."""
        return self.directory / "truth" / f"{video.signer}-{video.split}" / f"{video.sign:04d}.npz"


def truth_array(truth: Truth) -> NDArray[np.float32]:
    """Return pose 6, right hand 21 and left hand 21 as one (T, 48, 2) array, in pixels, NaN where not rendered."""
    return np.concatenate([truth.pose, truth.right_hand, truth.left_hand], axis=1)


def write_demo(
    directory: Path, *, signers: int = 2, signs: int = 4, on_progress: Callable[[int, int], None] | None = None
) -> DemoDataset:
    """Write the demo dataset, its true joints and its config; a complete demo is left alone.

    Args:
        directory: where `dataset/`, `truth/` and `config.yaml` go. The first two are replaced when not complete.
        signers: number of signers, named 01 and up.
        signs: number of signs, from 1.
        on_progress: called with the number of videos written and their total after each video.

    Returns:
        What the directory holds.

    Raises:
        OutputError: The directory can't be written, or holds a dataset that is not a demo.
    """
    demo = DemoDataset(directory, tuple(_plan(signers, signs)))
    marker = directory / _MARKER
    label = f"{_VERSION} signers={signers} signs={signs}\n"
    with explained(directory, ""):
        if marker.is_file() and marker.read_text(encoding="utf-8") == label:
            return demo
        ours = [directory / name for name in ("dataset", "truth", "config.yaml")]
        if not marker.is_file() and (theirs := [path for path in ours if path.exists()]):
            raise OutputError(f"{theirs[0]} exists already and is not a demo. Choose another folder for the demo.")
        directory.mkdir(parents=True, exist_ok=True)
        marker.write_text("unfinished\n", encoding="utf-8")
        for part in ("dataset", "truth"):
            shutil.rmtree(directory / part, ignore_errors=True)
        _write(demo, signers, signs, on_progress)
        marker.write_text(label, encoding="utf-8")
    return demo


def _write(demo: DemoDataset, signers: int, signs: int, on_progress: Callable[[int, int], None] | None) -> None:
    truths: dict[Path, dict[str, NDArray[np.float32]]] = {}
    for done, video in enumerate(demo.videos, start=1):
        frames, truth = render_video(video.sign, int(video.signer), video.take, video.frames)
        folder = demo.folder(video)
        folder.mkdir(parents=True, exist_ok=True)
        if video.as_file:
            _write_file(folder / f"{video.name}.mp4", frames)
        else:
            _write_frames(folder / video.name, frames)
        truths.setdefault(demo.truth(video), {})[video.name] = truth_array(truth)
        if on_progress is not None:
            on_progress(done, len(demo.videos))
    for path, arrays in truths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    _write_strays(demo)
    text = _CONFIG.format(signers=", ".join(f'"{s:02d}"' for s in range(1, signers + 1)), signs=signs)
    demo.config.write_text(text, encoding="utf-8")


def _plan(signers: int, signs: int) -> Iterator[DemoVideo]:
    for signer in range(1, signers + 1):
        for split, takes in _TAKES.items():
            for sign in range(1, signs + 1):
                for take in takes:
                    clock = f"{5 + take:02d}_{(17 * sign + 5 * signer) % 60:02d}"
                    yield DemoVideo(
                        signer=f"{signer:02d}",
                        split=split,
                        sign=sign,
                        name=f"{signer:02d}_01_{sign:04d}_(12_10_16_14_{clock})_c",
                        take=take,
                        frames=14 + (5 * sign + 3 * take + 2 * signer) % 9,
                        as_file=signer == 2 and sign == 4,
                    )


def _write_frames(folder: Path, frames: NDArray[np.uint8]) -> None:
    folder.mkdir()
    for number, frame in enumerate(frames, start=1):
        done, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if not done:
            raise OSError(f"OpenCV could not encode frame {number} of {folder}")
        (folder / f"frame{number}.jpg").write_bytes(data.tobytes())


def _write_file(path: Path, frames: NDArray[np.uint8]) -> None:
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), _FRAMES_PER_SECOND, (width, height))
    if not writer.isOpened():
        raise OSError(f"OpenCV could not open {path} for writing")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def _write_strays(demo: DemoDataset) -> None:
    """Leave the files that Windows and macOS leave in real copies."""
    first = next((v for v in demo.videos if not v.as_file), None)
    if first is None:
        return
    (demo.folder(first) / first.name / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    (demo.folder(first) / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
