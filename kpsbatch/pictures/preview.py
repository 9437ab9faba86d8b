"""A clip as a picture: a contact sheet (.png), or all its frames (.webm, .mp4, .gif)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from kpsbatch.dataset.reading import video_info
from kpsbatch.errors import ConfigError, DatasetError, OutputError
from kpsbatch.files import write_named
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.pictures.clip import Clip, spread
from kpsbatch.pictures.draw import (
    BACKGROUND,
    COLOURS,
    OUTLINE,
    RGB,
    WARNING,
    WHITE,
    drawn_frames,
    encode_image,
    text_width,
    write_text,
)

CELL = 320
COLUMNS = 4
MAX_CELLS = 12
VIDEO_SIDE = 512
GIF_SIDE = 256
SUFFIXES = (".png", ".webm", ".mp4", ".gif")

CODECS: dict[str, tuple[str, dict[str, str]]] = {
    ".webm": ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}),
    ".mp4": ("libx264", {"crf": "20", "preset": "fast"}),
}
"""Encoder and its options by suffix. All browsers play H.264 in mp4 and VP9 in WebM; OpenCV's mp4v they don't."""


def check_picture(path: Path, speed: float = 1.0) -> None:
    """Refuse a name that no format goes by, and a speed for what does not move.

    Raises:
        ConfigError: Names the formats.
    """
    if path.suffix.lower() not in SUFFIXES:
        formats = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise ConfigError(f"-o: {path.name!r} names no known format. Let it end in {formats}.")
    if path.suffix.lower() == ".png" and speed != 1:
        raise ConfigError("--speed: a contact sheet does not move. Let -o end in .webm, .mp4 or .gif.")


def write_preview(clip: Clip, picture: Path, speed: float = 1.0) -> int:
    """Draw a video: a contact sheet for .png, all its frames for .webm, .mp4 and .gif.

    Args:
        picture: Where to.
        speed: How fast it plays: 0.5 for half as fast.

    Returns:
        How many frames were drawn.

    Raises:
        ConfigError: The name ends otherwise, or a speed is given for a contact sheet.
        DatasetError: The frames can't be read.
        OutputError: The picture can't be written.
    """
    check_picture(picture, speed)
    suffix = picture.suffix.lower()
    if suffix == ".png":
        return write_sheet(clip, picture, spread(len(clip.keypoints), MAX_CELLS))
    return _write_gif(clip, picture, speed) if suffix == ".gif" else _write_video(clip, picture, speed)


def write_doubts(clip: Clip, facts: VideoFacts, picture: Path) -> int:
    """A contact sheet of a clip whose signer is in doubt, and why: the middle of each shot, of one shot more frames.

    Returns:
        How many frames were drawn.

    Raises:
        DatasetError: The frames can't be read.
        OutputError: The picture can't be written.
    """
    middles = [(shot.first + shot.last) // 2 for shot in facts.shots]
    shown = {middles[place] for place in spread(len(middles), MAX_CELLS)}
    if len(shown) < 2:
        shown = spread(len(clip.keypoints), COLUMNS)
    return write_sheet(replace(clip, title="; ".join(facts.doubts)), picture, shown)


def write_sheet(clip: Clip, picture: Path, frames: set[int]) -> int:
    """Some frames of a clip, by their numbers; see `write_doubts`."""
    cells = list(drawn_frames(clip, CELL, frames))
    if not cells:
        raise _no_frames(clip)
    sheet = tile(cells, min(COLUMNS, len(cells)))
    page = stack(legend(max(sheet.shape[1], 2 * CELL), clip.title), sheet)
    data = encode_image(page, ".png", cv2.IMWRITE_PNG_COMPRESSION, 9)
    write_named(picture, lambda file: file.write(data))
    return len(cells)


def _write_video(clip: Clip, picture: Path, speed: float) -> int:
    """All frames at their own rate, in a codec that browsers play."""
    codec, options = CODECS[picture.suffix.lower()]
    rate = Fraction(_frame_rate(clip) * speed).limit_denominator(1001)
    written = 0
    with tempfile.TemporaryDirectory(prefix="kpsbatch-") as folder:
        path = Path(folder) / f"preview{picture.suffix.lower()}"
        with av.open(str(path), "w", options={"movflags": "+faststart"} if codec == "libx264" else {}) as container:
            stream: VideoStream | None = None
            for image in drawn_frames(clip, VIDEO_SIDE):
                page = stack(legend(max(image.shape[1], VIDEO_SIDE), clip.title), image)
                height, width = page.shape[0] // 2 * 2, page.shape[1] // 2 * 2  # video wants even sides
                page = np.ascontiguousarray(page[:height, :width])
                stream = stream or _stream(container, codec, options, rate, page, picture)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(page, format="rgb24")))
                written += 1
            if stream is None:
                raise _no_frames(clip)
            container.mux(stream.encode(None))
        write_named(picture, lambda file: file.write(path.read_bytes()))
    return written


def _stream(
    container: OutputContainer, codec: str, options: dict[str, str], rate: Fraction, page: RGB, picture: Path
) -> VideoStream:
    try:
        stream = container.add_stream(codec, rate=rate, options=options)
    except (ValueError, av.FFmpegError):  # a PyAV built without that encoder
        others = " or ".join(sorted({*SUFFIXES} - {picture.suffix.lower()}))
        raise OutputError(f"{picture}: PyAV has no encoder {codec} here. Choose {others}.") from None
    assert isinstance(stream, VideoStream)
    stream.height, stream.width = page.shape[:2]
    stream.pix_fmt = "yuv420p"  # what browsers and phones play
    return stream


def _frame_rate(clip: Clip) -> float:
    """Frames a second, from a video file's own times; reads no frame of a directory."""
    if clip.frame_rate_out is not None:
        return clip.frame_rate_out
    if clip.frames is None or not clip.frames.is_file:
        return clip.frame_rate
    info = video_info(clip.frames, frame_rate=clip.frame_rate, max_pixels=clip.max_pixels)
    return info.average_rate or clip.frame_rate


def _write_gif(clip: Clip, picture: Path, speed: float) -> int:
    """All frames at their own rate, in the hundredths of a second that GIF knows."""
    pages: list[Image.Image] = []
    palette: Image.Image | None = None
    for image in drawn_frames(clip, GIF_SIDE):
        page = Image.fromarray(stack(legend(max(image.shape[1], GIF_SIDE), clip.title), image))
        palette = palette or _palette(page)
        pages.append(page.quantize(palette=palette, dither=Image.Dither.NONE))
    if not pages:
        raise _no_frames(clip)
    rate = _frame_rate(clip) * speed
    times = [round(number * 100 / rate) * 10 for number in range(len(pages) + 1)]
    durations = [max(20, after - before) for before, after in pairwise(times)]
    options = {"save_all": True, "append_images": pages[1:], "duration": durations, "loop": 0, "optimize": False}
    write_named(picture, lambda file: pages[0].save(file, "GIF", **options))
    return len(pages)


def _palette(page: Image.Image) -> Image.Image:
    """256 colours for a whole GIF: those of the first frame, and exactly those that the parts are drawn in."""
    ours = [*COLOURS.values(), OUTLINE, WHITE, WARNING, BACKGROUND]
    theirs = (page.quantize(256 - len(ours)).getpalette() or [])[: 3 * (256 - len(ours))]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(value for colour in ours for value in colour), *theirs])
    return palette


def _no_frames(clip: Clip) -> DatasetError:
    return DatasetError(f"{clip.frames} holds no frames. Restore them, or leave them out with --no-pictures.")


def tile(cells: Sequence[RGB], columns: int) -> RGB:
    """Lay images of one size out in rows."""
    gap = 6
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), BACKGROUND, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def legend(width: int, title: str) -> RGB:
    """A strip that says what is shown and names the colours, in as many lines as it needs."""
    names = {name: name.replace("_", " ") for name in COLOURS}
    widths = {name: text_width(shown) + 36 for name, shown in names.items()}
    x, line = width - sum(widths.values()), 0
    if text_width(title) + 24 > x:
        x, line = 8, 1
    places: dict[str, tuple[int, int]] = {}
    for name, needed in widths.items():
        if x + needed > width and x > 8:
            x, line = 8, line + 1
        places[name] = x, 5 + 24 * line
        x += needed
    strip = np.full((30 + 24 * line, width, 3), BACKGROUND, np.uint8)
    write_text(strip, title, 2, 5)
    for name, (left, top) in places.items():
        cv2.circle(strip, (left + 6, top + 10), 5, COLOURS[name], -1, cv2.LINE_AA)
        write_text(strip, names[name], left + 13, top)
    return strip


def stack(strip: RGB, image: RGB) -> RGB:
    """Put a strip on top of an image; the narrower one is filled up."""
    width = max(strip.shape[1], image.shape[1])
    page = np.full((strip.shape[0] + image.shape[0], width, 3), BACKGROUND, np.uint8)
    page[: strip.shape[0], : strip.shape[1]] = strip
    page[strip.shape[0] :, : image.shape[1]] = image
    return page
