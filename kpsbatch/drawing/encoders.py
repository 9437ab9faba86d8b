"""A clip as a picture: a contact sheet (.png), or all its frames (.mp4, .gif)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from kpsbatch.dataset.reading import video_info
from kpsbatch.drawing.clip import Clip
from kpsbatch.drawing.colours import BACKGROUND, COLOURS, OUTLINE, RGB, WARNING, WHITE
from kpsbatch.drawing.frames import drawn_frames, spread
from kpsbatch.drawing.sheet import legend, stack, tile
from kpsbatch.errors import ConfigError, DatasetError, OutputError
from kpsbatch.files import write_atomically

CELL = 320
COLUMNS = 4
MAX_CELLS = 12
MP4_SIDE = 512
GIF_SIDE = 256
SUFFIXES = (".png", ".mp4", ".gif")


def check_picture(path: Path) -> None:
    """Refuse a name that no format goes by.

    Raises:
        ConfigError: Names the formats.
    """
    if path.suffix.lower() not in SUFFIXES:
        formats = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise ConfigError(f"-o: {path.name!r} names no known format. Let it end in {formats}.")


def write_preview(clip: Clip, picture: Path) -> int:
    """Draw a video: a contact sheet for .png, all its frames for .mp4 and .gif.

    Returns:
        How many frames were drawn.

    Raises:
        ConfigError: The name ends otherwise.
        DatasetError: The frames can't be read.
        OutputError: The picture can't be written.
    """
    check_picture(picture)
    write = {".png": _write_sheet, ".mp4": _write_mp4, ".gif": _write_gif}[picture.suffix.lower()]
    return write(clip, picture)


def _write_sheet(clip: Clip, picture: Path) -> int:
    """Up to 12 frames, evenly spread."""
    cells = [drawn.image for drawn in drawn_frames(clip, CELL, spread(len(clip.keypoints), MAX_CELLS))]
    if not cells:
        raise _no_frames(clip)
    sheet = tile(cells, min(COLUMNS, len(cells)))
    page = stack(legend(max(sheet.shape[1], 2 * CELL), clip.title), sheet)
    data = cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    save(picture, lambda file: file.write(data))
    return len(cells)


def _write_mp4(clip: Clip, picture: Path) -> int:
    """All frames at their own rate."""
    rate = _frame_rate(clip)
    written = 0
    with tempfile.TemporaryDirectory(prefix="kpsbatch-") as folder:
        path = Path(folder) / "preview.mp4"
        writer = None
        try:
            for drawn in drawn_frames(clip, MP4_SIDE):
                page = _even(stack(legend(max(drawn.image.shape[1], MP4_SIDE), clip.title), drawn.image))
                if writer is None:
                    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
                    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, rate, (page.shape[1], page.shape[0]))
                    if not writer.isOpened():
                        raise OutputError(f"{picture}: OpenCV can't write mp4 here. Choose .gif or .png.")
                writer.write(cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
                written += 1
        finally:
            if writer is not None:
                writer.release()
        if not written:
            raise _no_frames(clip)
        save(picture, lambda file: file.write(path.read_bytes()))
    return written


def _frame_rate(clip: Clip) -> float:
    """Frames a second, from a video file's own times; reads no frame of a directory."""
    if clip.frame_rate_out is not None:
        return clip.frame_rate_out
    if clip.frames is None or not clip.frames.is_file:
        return clip.frame_rate
    info = video_info(clip.frames, frame_rate=clip.frame_rate, max_pixels=clip.max_pixels)
    return info.average_rate or clip.frame_rate


def _even(image: RGB) -> RGB:
    """Cut the last row and column where mp4 wants even sides."""
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


def _write_gif(clip: Clip, picture: Path) -> int:
    """All frames at their own rate, in the hundredths of a second that GIF knows."""
    pages: list[Image.Image] = []
    palette: Image.Image | None = None
    for drawn in drawn_frames(clip, GIF_SIDE):
        page = stack(legend(max(drawn.image.shape[1], GIF_SIDE), clip.title), drawn.image)
        picture_of_page = Image.fromarray(page)
        palette = palette or _palette(picture_of_page)
        pages.append(picture_of_page.quantize(palette=palette, dither=Image.Dither.NONE))
    if not pages:
        raise _no_frames(clip)
    rate = _frame_rate(clip)
    times = [round(number * 100 / rate) * 10 for number in range(len(pages) + 1)]
    durations = [max(20, after - before) for before, after in pairwise(times)]

    options = {"save_all": True, "append_images": pages[1:], "duration": durations, "loop": 0, "optimize": False}
    save(picture, lambda file: pages[0].save(file, "GIF", **options))
    return len(pages)


def _palette(page: Image.Image) -> Image.Image:
    """256 colours for a whole GIF: those of the first frame, and exactly those that the parts are drawn in."""
    ours = [*COLOURS.values(), OUTLINE, WHITE, WARNING, BACKGROUND]
    theirs = page.quantize(256 - len(ours)).getpalette() or []
    theirs = theirs[: 3 * (256 - len(ours))]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(value for colour in ours for value in colour), *theirs])
    return palette


def _no_frames(clip: Clip) -> DatasetError:
    return DatasetError(f"{clip.frames} holds no frames. Restore them, or draw on an empty canvas with --blank.")


def save(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write the file that -o names, whole or not at all.

    Raises:
        OutputError: It can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}. Choose another -o.") from None
