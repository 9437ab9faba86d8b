"""A dataset of KArSL's shape whose pictures tell which video and frame they are: every output can be checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIGNERS, SPLITS, SIGNS = ("01", "02", "03"), ("train", "test"), 502
REPETITIONS = {"train": 42, "test": 8}
"""Videos of a unit: 75,300 in all, as in KArSL (some units there have one more or one less)."""

KEPT = 6
"""Points of the pose that an output holds; they come first."""

BASE, DARKEST = 200, 20
"""A picture's three colours are the digits of its number, to this base; none is black, which would be no signer."""


@dataclass(frozen=True)
class Dataset:
    """The folder, and what is in it: unit -> video -> the numbers of its pictures."""

    root: Path
    units: Mapping[str, Mapping[str, tuple[int, ...]]]

    @property
    def videos(self) -> int:
        return sum(map(len, self.units.values()))


def write_dataset(root: Path, signs: int = SIGNS) -> Dataset:
    """Write it: one or two PNG pictures of 8x8 pixels for each video."""
    units: dict[str, dict[str, tuple[int, ...]]] = {}
    number = 0
    for signer in SIGNERS:
        for split in SPLITS:
            for sign in range(1, signs + 1):
                videos = units[f"{signer}-{split}/{sign:04}"] = {}
                for repetition in range(1, REPETITIONS[split] + 1):
                    name = f"{signer}_{sign:04}_({repetition:02})_c"
                    folder = root / signer / signer / split / f"{sign:04}" / name
                    folder.mkdir(parents=True)
                    videos[name] = tuple(range(number, number + 1 + repetition % 2))
                    for picture in videos[name]:
                        (folder / f"frame_{picture - number + 1:04}.png").write_bytes(_picture(picture))
                    number += len(videos[name])
    return Dataset(root, units)


def _picture(number: int) -> bytes:
    digits = [DARKEST + digit for digit in _digits(number)]
    return bytes(cv2.imencode(".png", np.full((8, 8, 3), digits, np.uint8)[..., ::-1])[1])


def _digits(number: int) -> tuple[int, int, int]:
    return number // BASE**2, number // BASE % BASE, number % BASE


def numbers_in(keypoints: NDArray[Any]) -> Iterator[int]:
    """The numbers of the pictures that (T, 184, 4) keypoints were made from by `pose_of`; -1 where they fit none."""
    for row in keypoints:
        digits = np.rint(row[0, :3] * 256).astype(int) - DARKEST
        number = int(digits @ [BASE**2, BASE, 1])
        expected = np.zeros_like(row)
        expected[:KEPT] = pose_of(digits + DARKEST)[:KEPT]
        yield number if np.array_equal(row, expected) else -1


def pose_of(colour: NDArray[Any]) -> NDArray[np.float32]:
    """The stand-in for the networks: a (33, 4) pose that is the colour of the first pixel, in 256ths, all visible."""
    point = np.append(colour.astype(np.float32) / 256, np.float32(1))
    return np.tile(point, (33, 1)).astype(np.float32)
