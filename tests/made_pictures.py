"""Small pictures and video files whose content is known."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED, BLUE, WHITE = (200, 30, 40), (20, 60, 220), (240, 240, 240)


def picture(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """White above, red on the left, blue on the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = RED, BLUE
    image[: height // 4] = WHITE
    return image


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def encode(image: Image.Image | NDArray[np.uint8], kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def grey(*colours: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    return [(round(0.299 * r + 0.587 * g + 0.114 * b),) * 3 for r, g, b in colours]


def write_mp4(path: Path, colours: list[tuple[int, int, int]], rate: float = 10.0) -> Path:
    """A video file of uniform 64x48 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (64, 48))
    for colour in colours:
        writer.write(np.full((48, 64, 3), colour[::-1], np.uint8))
    writer.release()
    return path


COLOURS = [(200, 30, 40), (20, 60, 220), (40, 180, 60), (120, 120, 120), (220, 220, 30)]
