"""Pictures of a video with its keypoints drawn on: a contact sheet, an mp4 or a GIF."""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kpsbatch.config import Config, format_signs
from kpsbatch.dataset.frames import read_video, video_info
from kpsbatch.dataset.labels import Label
from kpsbatch.dataset.layout import Video, list_unit
from kpsbatch.dataset.units import Unit
from kpsbatch.errors import ConfigError, DatasetError, OutputError
from kpsbatch.inspect.draw import (
    BACKGROUND,
    COLOURS,
    RGB,
    WARNING,
    WHITE,
    draw_keypoints,
    empty_canvas,
    enlarge,
    legend,
    looks_adjusted,
    mark_frame,
    place_adjusted,
    stack,
    tile,
)
from kpsbatch.landmarks.topology import Topology
from kpsbatch.store.json_files import read_json
from kpsbatch.store.npz import write_atomically
from kpsbatch.store.outputs import records_of, settings_of_record

CELL = 320
COLUMNS = 4
MAX_CELLS = 12
MP4_SIDE = 512
GIF_SIDE = 256
SUFFIXES = (".png", ".mp4", ".gif")
SHOWN_NAMES = 8


@dataclass(frozen=True)
class Clip:
    """One video, ready to be drawn.

    Attributes:
        title: What is written above it.
        keypoints: (T, 184, 4).
        frames: A directory of frames or a video file; None for an empty canvas.
        adjusted: Whether the coordinates are adjusted, which an empty canvas shows.
        aspect: Width by height of the frames, where there are none to look at.
        frame_rate: Frames a second of a directory of frames.
        max_pixels: Larger frames are not decoded.
        frame_rate_out: The rate that the frames were given before the keypoints were computed; None for their own.
    """

    title: str
    keypoints: NDArray[Any]
    frames: Path | None
    adjusted: bool = False
    aspect: float = 1.0
    frame_rate: float = 30.0
    max_pixels: int = 50_000_000
    frame_rate_out: float | None = None


class Drawn(NamedTuple):
    """One drawn frame: its image, its number from 0, its time in milliseconds."""

    image: RGB
    number: int
    timestamp: int


def choose_unit(config: Config, sign: int | None, signer: str | None, split: str | None) -> Unit:
    """The unit that is meant; what is left open is the first that has an output.

    Raises:
        ConfigError: The config has no such sign, signer or split.
        OutputError: There is no output; names the signs that have one.
    """
    for option, got, valid in (
        ("signer", signer, config.dataset.signers),
        ("split", split, config.dataset.splits),
    ):
        if got is not None and got not in valid:
            raise ConfigError(f"--{option} must be among the config's: {', '.join(valid)} (got {got!r})")
    if sign is not None and sign not in config.dataset.signs:
        raise ConfigError(f"--sign must be among the config's: {format_signs(config.dataset.signs)} (got {sign})")
    finished: set[int] = set()
    for one in config.dataset.signers if signer is None else (signer,):
        for other in config.dataset.splits if split is None else (split,):
            there = _finished_signs(config, one, other)
            if there and (sign is None or sign in there):
                return Unit(one, other, min(there) if sign is None else sign)
            finished |= there
    wanted = " ".join(part for part in (f"sign {sign}" if sign else "", signer or "", split or "") if part)
    these = f"; signs with an output: {format_signs(finished)}" if finished else "; run the config first"
    raise OutputError(f"a preview needs an output: {config.output.root} has none of {wanted or 'this config'}{these}")


def _finished_signs(config: Config, signer: str, split: str) -> set[int]:
    """Signs of the config that have an output file."""
    try:
        stems = {path.stem for path in (config.output.root / f"{signer}-{split}").glob("*.npz")}
    except OSError:
        return set()
    return {sign for sign in config.dataset.signs if f"{sign:04}" in stems}


def clip_of_unit(
    config: Config,
    unit: Unit,
    video: str | None = None,
    *,
    adjusted: bool = False,
    blank: bool = False,
    names: Mapping[int, Label] | None = None,
) -> Clip:
    """One video of a finished unit.

    Args:
        config: The config.
        unit: The unit.
        video: Its name or a part of it that no other has; default the first.
        adjusted: Draw adjusted coordinates even where the settings of the output can't be found.
        blank: Draw on an empty canvas, so that the dataset need not be there.
        names: The names of the signs.

    Raises:
        OutputError: The unit has no output file, or that holds no such video.
        DatasetError: The video is not in the dataset any more.
    """
    name, keypoints = load_video(config.output.root / f"{unit.name}.npz", video)
    settings, record = _made_with(config.output.root, unit)
    coordinates = settings.get("landmarks", {}).get("coordinates")
    is_adjusted = (adjusted or looks_adjusted(keypoints)) if coordinates is None else coordinates == "adjusted"
    frames = None
    if not (blank or is_adjusted):
        listing = list_unit(config.dataset, unit)
        found: dict[str, Video] = {entry.name: entry for entry in listing.videos}
        if name not in found:
            raise DatasetError(f"the frames must be in the dataset: {listing.folder} has no {name!r}; mend, or --blank")
        frames = found[name].path
    sign = f"sign {unit.sign}"
    if names and (label := names.get(unit.sign)) and label.english:
        sign += f" {label.english}"
    return Clip(
        f"{unit.signer} {unit.split}, {sign}: {name}",
        keypoints,
        frames,
        is_adjusted,
        _aspect(record, name),
        config.landmarks.frame_rate,
        config.run.max_pixels,
        config.dataset.frame_rate_out,
    )


def clip_of_file(
    path: Path,
    video: str | None = None,
    frames: Path | None = None,
    *,
    adjusted: bool = False,
    frame_rate: float = 30.0,
) -> Clip:
    """One video of any npz, with its frames where they are known.

    Raises:
        OutputError: The file holds no such video.
        DatasetError: The frames are not there.
    """
    name, keypoints = load_video(path, video)
    if frames is not None and not frames.exists():
        raise DatasetError(f"--frames must be a directory of frames or a video file: {frames} does not exist")
    is_adjusted = adjusted or looks_adjusted(keypoints)
    shown = None if is_adjusted else frames
    return Clip(f"{path.parent.name}/{path.stem}: {name}", keypoints, shown, is_adjusted, frame_rate=frame_rate)


def load_video(path: Path, video: str | None = None) -> tuple[str, NDArray[Any]]:
    """One video's name and (T, 184, 4) keypoints.

    Args:
        path: An output file.
        video: The name or a part of it that no other has; default the first.

    Raises:
        OutputError: The file is missing or no output, or holds no such video.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            name = _choose_video(path, list(arrays.files), video)
            keypoints = np.asarray(arrays[name])
    except FileNotFoundError:
        raise OutputError(f"a preview needs an output: {path} does not exist; run the config first") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, AttributeError) as error:
        raise OutputError(f"an output must be a readable npz: {path}: {error}; `verify` says which to redo") from None
    if keypoints.ndim != 3 or keypoints.shape[1:] != (Topology.POINTS, 4) or not len(keypoints):
        raise OutputError(f"a video must be (T, 184, 4): {path} holds {name!r} with {keypoints.shape}")
    return name, keypoints


def _choose_video(path: Path, names: Sequence[str], video: str | None) -> str:
    if not names:
        raise OutputError(f"an output must hold a video: {path} holds none")
    if video is None or video in names:
        return names[0] if video is None else video
    similar = [name for name in names if video in name]
    if len(similar) == 1:
        return similar[0]
    valid = similar or names
    more = f", and {len(valid) - SHOWN_NAMES} more" if len(valid) > SHOWN_NAMES else ""
    shown = ", ".join(map(repr, valid[:SHOWN_NAMES]))
    raise OutputError(f"--video must name one video of {path}: {shown}{more} (got {video!r})")


def _made_with(root: Path, unit: Unit) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that made an output, and its record; empty where they can't be found."""
    record = next(records_of(root, unit.name), None)
    return (settings_of_record(record) or {}, read_json(record) or {}) if record else ({}, {})


def _aspect(record: Mapping[str, Any], video: str) -> float:
    """Width by height of most of a video's frames, 1 where the record does not say."""
    sizes = record.get("videos", {}).get(video, {}).get("sizes", {})
    match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", max(sizes, key=sizes.__getitem__, default=""))
    return int(match[1]) / int(match[2]) if match else 1.0


def drawn_frames(clip: Clip, side: int, chosen: set[int] | None = None) -> Iterator[Drawn]:
    """Draw the frames of a video, one after another, all of one size.

    Args:
        clip: The video.
        side: Of the shorter side, in pixels.
        chosen: The numbers of the frames to draw; default all.

    Raises:
        DatasetError: The frames can't be read.
    """
    shape: tuple[int, ...] = ()
    for number, (image, timestamp, problem) in enumerate(_images(clip)):
        if number >= len(clip.keypoints):
            return
        if chosen is not None and number not in chosen:
            continue
        keypoints = clip.keypoints[number]
        if image is None:
            height, width = shape[:2] if shape else _blank_size(clip, side)
            canvas = empty_canvas(height, width)
        else:
            canvas = enlarge(image, side)
        if shape and canvas.shape != shape:
            canvas = np.asarray(cv2.resize(canvas, (shape[1], shape[0])), dtype=np.uint8)
        shape = canvas.shape
        drawn = draw_keypoints(canvas, place_adjusted(keypoints, clip.aspect) if clip.adjusted else keypoints)
        mark_frame(drawn, keypoints, number, [f"unreadable: {problem}"] if problem else [])
        yield Drawn(drawn, number, timestamp)


def _blank_size(clip: Clip, side: int) -> tuple[int, int]:
    """Height and width of an empty canvas."""
    if clip.adjusted:
        return side, side
    aspect = min(max(clip.aspect, 0.25), 4.0)
    return (side, round(side * aspect)) if aspect >= 1 else (round(side / aspect), side)


def _images(clip: Clip) -> Iterator[tuple[RGB | None, int, str]]:
    """Image, time and problem of every frame."""
    if clip.frames is None:
        for number in range(len(clip.keypoints)):
            yield None, round(number * 1000 / clip.frame_rate), ""
        return
    frames = read_video(
        clip.frames, frame_rate=clip.frame_rate, max_pixels=clip.max_pixels, frame_rate_out=clip.frame_rate_out
    )
    for frame in frames:
        yield frame.image, frame.timestamp, frame.problem


def spread(length: int, count: int) -> set[int]:
    """At most `count` numbers below `length`, evenly spread, the first and the last among them."""
    return set(np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int)).tolist())


def check_picture(path: Path) -> None:
    """Refuse a name that no format goes by.

    Raises:
        ConfigError: Names the formats.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"-o must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} (got {path.name!r})")


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
    _write_bytes(picture, data)
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
                        raise OutputError(f"OpenCV can't write mp4 here: {picture}; take .gif or .png")
                writer.write(cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
                written += 1
        finally:
            if writer is not None:
                writer.release()
        if not written:
            raise _no_frames(clip)
        _write_bytes(picture, path.read_bytes())
    return written


def _frame_rate(clip: Clip) -> float:
    """Frames a second, from a video file's own times; reads no frame of a directory."""
    if clip.frame_rate_out is not None:
        return clip.frame_rate_out
    if clip.frames is None or clip.frames.is_dir():
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

    def save(file: Any) -> None:
        pages[0].save(file, "GIF", save_all=True, append_images=pages[1:], duration=durations, loop=0, optimize=False)

    _write(picture, save)
    return len(pages)


def _palette(page: Image.Image) -> Image.Image:
    """256 colours for a whole GIF: those of the first frame, and exactly those that the parts are drawn in."""
    ours = [*COLOURS.values(), WHITE, WARNING, BACKGROUND]
    theirs = page.quantize(256 - len(ours)).getpalette() or []
    theirs = theirs[: 3 * (256 - len(ours))]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(value for colour in ours for value in colour), *theirs])
    return palette


def _no_frames(clip: Clip) -> DatasetError:
    return DatasetError(f"a preview needs frames: {clip.frames} has none that match its output")


def _write_bytes(path: Path, data: bytes) -> None:
    _write(path, lambda file: file.write(data))


def _write(path: Path, write: Any) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, write)
    except OSError as error:
        raise OutputError(f"the file must be writable: {path}: {error.strerror or error}; choose another -o") from None


def contact_sheet(config: Config, unit: Unit, video: Video, picture: Path) -> None:
    """Draw up to 12 frames of a video of a finished unit as one PNG.

    Raises:
        OutputError: There is no output to draw, or the picture can't be written.
        DatasetError: The video can't be read.
    """
    write_preview(clip_of_unit(config, unit, video.name), picture)
