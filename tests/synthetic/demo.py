"""The demo dataset: `kpsbatch demo` unpacks it, this renders it and says what is in it.

python -m tests.synthetic.demo        renders kpsbatch/demo.tar.gz again
"""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch import demo

from .signer import Truth, render_video

_TAKES = {"train": (1, 2), "test": (3,)}
_FRAMES_PER_SECOND = 10.0
_JPEG_QUALITY = 92


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

    def entry(self, video: DemoVideo) -> Path:
        """Return the folder of frames or the video file of a video."""
        return self.folder(video) / (f"{video.name}.mp4" if video.as_file else video.name)

    def truth(self, video: DemoVideo) -> Path:
        """Return the npz that holds the true joints of a video under the video's name."""
        return self.directory / "truth" / f"{video.signer}-{video.split}" / f"{video.sign:04d}.npz"


def truth_array(truth: Truth) -> NDArray[np.float32]:
    """Return pose 6, right hand 21 and left hand 21 as one (T, 48, 2) array, in pixels, NaN where not rendered."""
    return np.concatenate([truth.pose, truth.right_hand, truth.left_hand], axis=1)


def write_demo(directory: Path, *, signers: int = demo.SIGNERS, signs: int = demo.SIGNS) -> DemoDataset:
    """Unpack the demo, or the part of it with the first signers and signs."""
    demo.write_demo(directory, signers=signers, signs=signs)
    return DemoDataset(directory, tuple(plan(signers, signs)))


def render_demo(directory: Path, *, signers: int = demo.SIGNERS, signs: int = demo.SIGNS) -> DemoDataset:
    """Render the demo into a new or empty directory, with any number of signers and signs, and its config."""
    made = DemoDataset(directory, tuple(plan(signers, signs)))
    truths: dict[Path, dict[str, NDArray[np.float32]]] = {}
    for video in made.videos:
        truths.setdefault(made.truth(video), {})[video.name] = render_entry(made, video)
    for path, arrays in truths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    _write_strays(made)
    made.config.write_text(demo.config_text(signers, signs), encoding="utf-8")
    return made


def render_entry(made: DemoDataset, video: DemoVideo) -> NDArray[np.float32]:
    """Render one video into its folder; returns its true joints, (T, 48, 2) as `truth_array` has them."""
    frames, truth = render_video(video.sign, int(video.signer), video.take, video.frames)
    entry = made.entry(video)
    entry.parent.mkdir(parents=True, exist_ok=True)
    if video.as_file:
        _write_file(entry, frames)
    else:
        _write_frames(entry, frames)
    return truth_array(truth)


def pack_demo(archive: Path) -> None:
    """Render the whole demo into the archive that the package ships."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        open(archive, "wb") as raw,
        gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed,  # no name, no time: the same bytes every time
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        folder = Path(scratch)
        render_demo(folder)
        for part in ("dataset", "truth"):
            for path in sorted(path for path in (folder / part).rglob("*") if path.is_file()):
                content = path.read_bytes()
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def plan(signers: int, signs: int) -> Iterator[DemoVideo]:
    """What is in a demo, in the order in which it is rendered."""
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


def _write_strays(made: DemoDataset) -> None:
    """Leave the files that Windows and macOS leave in real copies."""
    first = next((v for v in made.videos if not v.as_file), None)
    if first is None:
        return
    (made.folder(first) / first.name / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    (made.folder(first) / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")


if __name__ == "__main__":
    pack_demo(demo.ARCHIVE)
