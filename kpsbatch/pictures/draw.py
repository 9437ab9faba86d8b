"""Keypoints, letters and text drawn on frames, part by part in its own colour."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.reading import read_frames
from kpsbatch.errors import ConfigError
from kpsbatch.landmarks.found import is_found
from kpsbatch.pictures.clip import Clip
from kpsbatch.points import ALL, CONTRACT, FULL, Paths, Topology

RGB = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Colours that people with a red-green weakness tell apart (Okabe and Ito, 2008).
COLOURS: dict[str, Colour] = {
    "pose": (240, 228, 66),
    "face": (220, 220, 220),
    "irises": (70, 240, 185),
    "right_hand": (230, 130, 0),
    "left_hand": (86, 180, 233),
}
OUTLINE: Final[Colour] = (20, 20, 20)
WHITE: Final[Colour] = (255, 255, 255)
WARNING: Final[Colour] = (255, 176, 160)
BACKGROUND: Final[Colour] = (24, 24, 24)
CANVAS: Final[Colour] = (44, 47, 51)

SHADE = 0.6
"""How dark the outline of a fine line is: 1 would be solid."""

LETTER_SIZE = 12
CHANNELS = len(Topology.CHANNELS)

NOSE: Final = (0.5, 0.22)
SHOULDERS: Final = 0.34
"""Where adjusted parts go on a square canvas, in its sides: the nose, and the shoulder width."""

IRIS_DISTANCE: Final = 0.19
PALM: Final = 0.25
"""How many shoulder widths the distance of the iris centres and a palm (thumb MCP to pinky MCP) are on people."""

MAX_HAND: Final = 0.75
"""In shoulder widths: a hand seen from its edge has a tiny palm, and would fill the picture."""

WRISTS: Final = {"right_hand": "right_wrist", "left_hand": "left_wrist"}
PLACES_WITHOUT_WRIST: Final = {"right_hand": (-0.8, 1.6), "left_hand": (0.8, 1.6)}
"""Where a hand goes without a wrist of the pose, in shoulder widths from the nose."""

_SHIFT = 4  # OpenCV draws at sixteenths of a pixel
_PART_OF = {"head": "pose", "irises": "face"}
_FINE = ("head", "face", "irises")


class Stroke(NamedTuple):
    """What is drawn in one colour.

    Attributes:
        name: Of its colour.
        part: The part that it belongs to; where that is missing nothing is drawn.
        paths: Lines, as places among the points of the set.
        dots: Points that get a dot: all of body and hands; of the face those that lie on no line.
        is_fine: Whether it is thin, with a half-transparent outline: a solid one would hide a face.
    """

    name: str
    part: str
    paths: Paths
    dots: tuple[int, ...]
    is_fine: bool


@lru_cache(8)
def strokes_of(topology: Topology) -> tuple[Stroke, ...]:
    """What is drawn of a set of points, in this order."""
    lines = {name: {point for path in paths for point in path} for name, paths in topology.paths.items()}
    strokes = []
    for name, paths in topology.paths.items():
        part = _PART_OF.get(name, name)
        is_fine = name in _FINE
        points = range(topology.points)[topology.parts[part]] if name in topology.parts else []
        thin = {point for other in _FINE for point in lines.get(other, ())}
        dots = tuple(point for point in points if point not in thin)
        strokes.append(Stroke("pose" if name == "head" else name, part, paths, dots, is_fine))
    return tuple(strokes)


def missing_parts(keypoints: NDArray[Any], topology: Topology = CONTRACT) -> list[str]:
    """Names of the parts that one frame's (points, 4) keypoints do not have."""
    return [name for name, part in topology.parts.items() if not is_found(keypoints, part)]


def draw(image: RGB, keypoints: NDArray[Any], topology: Topology | None = None) -> RGB:
    """Draw one frame's keypoints on a copy of its picture.

        drawn = kpsbatch.draw(frame, kpsbatch.extract_video("clip.mp4")[0])

    Args:
        image: (height, width, 3), uint8, RGB.
        keypoints: (points, 4) of one frame, x and y in frame widths and heights (not adjusted).
        topology: Which points they are, as the `topology` of what `load` and `open_dataset` return; default: the
            contract's of 184, all of 553, everything that is kept of 628.

    Returns:
        A new (height, width, 3) picture, uint8, RGB: right and left hand, face and pose in the colours of the preview.

    Raises:
        ConfigError: The picture or the keypoints are of another shape or type.
    """
    if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8):
        raise ConfigError("image: it is no picture. Give an array of (height, width, 3), uint8, RGB.")
    if not (isinstance(keypoints, np.ndarray) and keypoints.ndim == 2 and keypoints.shape[1] == CHANNELS):
        shape = getattr(keypoints, "shape", type(keypoints).__name__)
        raise ConfigError(f"keypoints: (points, 4) are needed, of one frame; this is {shape}. Take keypoints[0].")
    known = {each.points: each for each in (CONTRACT, ALL)}
    if topology is None and len(keypoints) == FULL.points:
        keypoints, topology = keypoints[: ALL.points], ALL
    topology = topology or known.get(len(keypoints))
    if topology is None or topology.points != len(keypoints):
        raise ConfigError(
            f"keypoints: {len(keypoints)} points are of another set. Name it: topology=kpsbatch.topology_of(...)."
        )
    return draw_keypoints(image, keypoints, topology)


def draw_keypoints(image: RGB, keypoints: NDArray[Any], topology: Topology = CONTRACT) -> RGB:
    """Draw one frame's keypoints on a copy of its image.

    Args:
        image: (H, W, 3) uint8 RGB, at the size the drawing shall have.
        keypoints: (points, 4) in image coordinates: x and y in widths and heights.

    Returns:
        A new (H, W, 3) image.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    scale = max(1, round(min(height, width) / 256))
    places = np.clip(np.nan_to_num(keypoints[:, :2].astype(np.float64)), -9, 9)
    pixels = np.clip(places * (width, height), -1e4, 1e4)
    fixed = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
    for stroke in strokes_of(topology):
        if not is_found(keypoints, topology.parts[stroke.part]):
            continue
        thickness = max(1, scale // 2) if stroke.is_fine else scale + 1
        lines = [fixed[list(path)].reshape(-1, 1, 2) for path in stroke.paths]
        if stroke.is_fine:  # a solid outline would hide the face
            shaded = cv2.polylines(canvas.copy(), lines, False, OUTLINE, thickness + 2, cv2.LINE_AA, _SHIFT)
            cv2.addWeighted(shaded, SHADE, canvas, 1 - SHADE, 0, canvas)
        outline = () if stroke.is_fine else ((OUTLINE, scale),)
        for colour, wider in (*outline, (COLOURS[stroke.name], 0)):
            cv2.polylines(canvas, lines, False, colour, thickness + 2 * wider, cv2.LINE_AA, _SHIFT)
            radius = (scale * 3 << _SHIFT) // 5 if stroke.is_fine else (scale * 3 << _SHIFT) // 2 + (wider << _SHIFT)
            for x, y in fixed[list(stroke.dots)].tolist():
                cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA, _SHIFT)
    return canvas


def place_adjusted(keypoints: NDArray[Any], aspect: float = 1.0, topology: Topology = CONTRACT) -> NDArray[np.float64]:
    """Put adjusted parts together to a body on a square canvas.

    The body keeps its pose, the face is put on its nose, each hand on its wrist, at the size it has on people.
    Without a pose wrist a hand has a place of its own.

    Args:
        keypoints: (points, 4), adjusted.
        aspect: Width by height of the frames: x counts in widths, y in heights.

    Returns:
        (points, 4) in image coordinates of the canvas, visibility unchanged.
    """
    placed = np.nan_to_num(keypoints.astype(np.float64))
    placed[:, 1] /= aspect
    nose = np.array(NOSE)
    before = placed.copy()
    sizes = {"pose": SHOULDERS, "face": SHOULDERS * IRIS_DISTANCE}
    for name, part in topology.parts.items():
        if not is_found(keypoints, part):
            placed[part] = 0
        elif name in sizes:
            placed[part, :2] = nose + before[part, :2] * sizes[name]
        else:
            wrist = topology.place(f"pose.{WRISTS[name]}")
            has_wrist = wrist is not None and is_found(keypoints, topology.parts["pose"])
            at = before[wrist, :2] if has_wrist else np.array(PLACES_WITHOUT_WRIST[name])
            hand = before[part, :2]
            reach = float(np.hypot(*hand.T).max()) * PALM
            size = PALM * min(1.0, MAX_HAND / max(reach, 1e-9))
            placed[part, :2] = nose + (at + hand * size) * SHOULDERS
    return placed


@lru_cache(8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has Latin, Greek, Cyrillic and Arabic letters."""
    return ImageFont.truetype(str(Path(__file__).with_name("DejaVuSans.ttf")), size)


@lru_cache(256)
def text_width(text: str, size: int = 13) -> int:
    """How wide a line of text is, in pixels."""
    return round(_font(size).getlength(text))


@lru_cache(256)
def _rendered(text: str, colour: Colour, size: int) -> RGB:
    """A line of text on a solid ground, (H, W, 3)."""
    image = Image.new("RGB", (text_width(text, size) + size // 2 * 2, round(size * 1.55)), BACKGROUND)
    ImageDraw.Draw(image).text((size // 2, image.height / 2), text, colour, _font(size), anchor="lm")
    return np.asarray(image, dtype=np.uint8)


def write_text(canvas: RGB, text: str, x: int, y: int, colour: Colour = WHITE, *, size: int = 13) -> int:
    """Write a line of text on a solid label, in place; (x, y) is its upper left. Too long a text is cut.

    Returns:
        The width of the label.
    """
    shown = fit_text(text, canvas.shape[1] - x - size // 2 * 2, size)
    if not shown or y >= canvas.shape[0]:
        return 0
    label = _rendered(shown, colour, size)[: canvas.shape[0] - y, : canvas.shape[1] - x]
    canvas[y : y + label.shape[0], x : x + label.shape[1]] = label
    return int(label.shape[1])


def fit_text(text: str, width: int, size: int = 13) -> str:
    """Cut a text in its middle, so that it is at most `width` pixels wide."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    if text_width(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        shown = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if text_width(shown, size) <= width:
            return shown
    return ""


def _mark(image: RGB, clip: Clip, number: int, problem: str) -> None:
    """Write onto a frame, in place: upper left its number and what is missing; lower left the letters of found.py."""
    write_text(image, f"{number}", 0, 0)
    missing = [name.replace("_", " ") for name in missing_parts(clip.keypoints[number], clip.topology)]
    warnings = [f"unreadable: {problem}"] if problem else []
    warnings += ["no " + ", ".join(missing)] if missing else []
    for line, text in enumerate(warnings, 1):
        write_text(image, text, 0, 20 * line, WARNING)
    x = 0
    for part in Topology.PARTS:
        letter = clip.how.get(part, "")[number : number + 1]
        if letter:
            write_text(image, letter, x, image.shape[0] - round(LETTER_SIZE * 1.55), COLOURS[part], size=LETTER_SIZE)
            x += text_width("m", LETTER_SIZE) + LETTER_SIZE


def empty_canvas(height: int, width: int) -> RGB:
    """A dark (height, width, 3) canvas."""
    return np.full((height, width, 3), CANVAS, np.uint8)


def enlarge(image: RGB, side: int) -> RGB:
    """Scale an image so that its shorter side is `side`."""
    factor = side / min(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA), dtype=np.uint8
    )


def encode_image(image: RGB, suffix: str, *options: int) -> bytes:
    """An image as the bytes of a file; `options` are OpenCV's, each name with its value."""
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def jpeg_in_base64(image: RGB, quality: int) -> str:
    """An image as a JPEG of a quality from 0 to 100, for a page."""
    return base64.b64encode(encode_image(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)).decode()


def drawn_frames(clip: Clip, side: int, chosen: set[int] | None = None) -> Iterator[RGB]:
    """Draw the frames of a video, one after another, all of one size.

    Args:
        side: Of the shorter side, in pixels.
        chosen: The numbers of the frames to draw; default all.

    Raises:
        DatasetError: The frames can't be read.
    """
    shape: tuple[int, ...] = ()
    for number, frame in enumerate(plain_frames(clip)):
        if chosen is not None and number not in chosen:
            continue
        keypoints = clip.keypoints[number]
        if frame.image is None:
            canvas = empty_canvas(*shape[:2]) if shape else blank_canvas(clip, side)
        else:
            canvas = enlarge(frame.image, side)
        if shape and canvas.shape != shape:
            canvas = np.asarray(cv2.resize(canvas, (shape[1], shape[0])), dtype=np.uint8)
        shape = canvas.shape
        placed = place_adjusted(keypoints, clip.aspect, clip.topology) if clip.adjusted else keypoints
        drawn = draw_keypoints(canvas, placed, clip.topology)
        _mark(drawn, clip, number, frame.problem)
        yield drawn


def blank_canvas(clip: Clip, side: int) -> RGB:
    """A dark canvas of a clip's shape, whose shorter side is `side`."""
    if clip.adjusted:
        return empty_canvas(side, side)
    aspect = min(max(clip.aspect, 0.25), 4.0)
    return empty_canvas(*((side, round(side * aspect)) if aspect >= 1 else (round(side / aspect), side)))


def plain_frames(clip: Clip) -> Iterator[Frame]:
    """The frames of a clip as they are, as many as it has keypoints; without any image where it has no frames.

    Raises:
        DatasetError: The frames can't be read.
    """
    if clip.frames is None:
        for number in range(len(clip.keypoints)):
            yield Frame(None, round(number * 1000 / clip.frame_rate), f"{number}")
        return
    frames = read_frames(
        clip.frames, frame_rate=clip.frame_rate, max_pixels=clip.max_pixels, frame_rate_out=clip.frame_rate_out
    )
    yield from islice(frames, len(clip.keypoints))
