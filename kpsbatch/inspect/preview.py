"""Pictures of a video with its keypoints drawn on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import Config
from kpsbatch.dataset.frames import read_video
from kpsbatch.dataset.layout import Video
from kpsbatch.dataset.units import Unit
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.inspect.draw import RGB, WARNING, draw_keypoints, enlarge, legend, missing_parts, tile, write_text
from kpsbatch.store.npz import write_atomically

CELL = 320
COLUMNS = 4
MAX_CELLS = 12


def load_keypoints(config: Config, unit: Unit, video: str) -> NDArray[Any]:
    """The (T, 184, 4) keypoints of one video of a finished unit.

    Raises:
        OutputError: The unit has no output file, or that holds no such video.
    """
    path = config.output.root / f"{unit.name}.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if video not in arrays:
                raise OutputError(f"{path} must hold the video {video!r} (it holds {len(arrays.files)} others)")
            return np.asarray(arrays[video])
    except FileNotFoundError:
        raise OutputError(f"a preview needs an output: {path} does not exist; run the config first") from None


def contact_sheet(config: Config, unit: Unit, video: Video, picture: Path) -> None:
    """Draw up to 12 frames of a video, evenly spread, with their keypoints, as one PNG.

    Raises:
        OutputError: There is no output to draw, or the picture can't be written.
        DatasetError: The video can't be read.
    """
    keypoints = load_keypoints(config, unit, video.name)
    chosen = set(np.unique(np.linspace(0, len(keypoints) - 1, MAX_CELLS).round().astype(int)).tolist())
    cells: list[RGB] = []
    frames = read_video(video.path, frame_rate=config.landmarks.frame_rate, max_pixels=config.run.max_pixels)
    for index, frame in enumerate(frames):
        if index in chosen and index < len(keypoints):
            image = frame.image if frame.image is not None else np.zeros((CELL, CELL, 3), np.uint8)
            cell = draw_keypoints(enlarge(image, CELL), keypoints[index])
            write_text(cell, f"{index}", 6, 16)
            if missing := missing_parts(keypoints[index]):
                write_text(cell, "no " + ", ".join(name.replace("_", " ") for name in missing), 6, 32, WARNING)
            cells.append(cell if not cells or cell.shape == cells[0].shape else enlarge_to(cell, cells[0]))
    if not cells:
        raise DatasetError(f"a preview needs frames: {video.path} has none that match its output")
    sheet = tile(cells, min(COLUMNS, len(cells)))
    header = legend(max(sheet.shape[1], 700), f"{unit.name}  {video.name}")
    width = max(sheet.shape[1], header.shape[1])
    page = np.full((sheet.shape[0] + header.shape[0], width, 3), 24, np.uint8)
    page[: header.shape[0], : header.shape[1]] = header
    page[header.shape[0] :, : sheet.shape[1]] = sheet
    write_png(picture, page)


def enlarge_to(cell: RGB, other: RGB) -> RGB:
    """Scale a cell to the size of another."""
    return np.asarray(cv2.resize(cell, (other.shape[1], other.shape[0])), dtype=np.uint8)


def write_png(path: Path, image: RGB) -> None:
    """Write an RGB image as PNG, atomically.

    Raises:
        OutputError: It can't be written.
    """
    data = io.BytesIO(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(data.getvalue()))
    except OSError as error:
        raise OutputError(f"the picture must be writable: {path}: {error.strerror}") from None
