"""Keypoints drawn on a frame, and text that can be read on any picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kpsbatch.landmarks.topology import FACE_MESH, FACE_PATHS, HAND_PATHS, POSE_PATHS, Topology

RGB = NDArray[np.uint8]
Colour = tuple[int, int, int]
Paths = Sequence[Sequence[int]]

# Colours that people with a red-green weakness tell apart (Okabe and Ito, 2008).
COLOURS: dict[str, Colour] = {
    "pose": (240, 228, 66),
    "face": (220, 220, 220),
    "irises": (0, 200, 145),
    "right_hand": (230, 130, 0),
    "left_hand": (86, 180, 233),
}
WHITE: Final[Colour] = (255, 255, 255)
WARNING: Final[Colour] = (255, 176, 160)
BACKGROUND: Final[Colour] = (24, 24, 24)
CANVAS: Final[Colour] = (44, 47, 51)

_FACE_PLACE = {mesh: place for place, mesh in enumerate(FACE_MESH)}
_FACE: Paths = [[_FACE_PLACE[mesh] for mesh in path] for path in FACE_PATHS]
_IRISES = 2  # the last two of FACE_PATHS
_STROKES: tuple[tuple[str, slice, Paths], ...] = (
    ("pose", Topology.POSE, POSE_PATHS),
    ("face", Topology.FACE, _FACE[:-_IRISES]),
    ("irises", Topology.FACE, _FACE[-_IRISES:]),
    ("right_hand", Topology.RIGHT_HAND, HAND_PATHS),
    ("left_hand", Topology.LEFT_HAND, HAND_PATHS),
)
_SHIFT = 4  # OpenCV draws at sixteenths of a pixel

# Where adjusted parts go on a square canvas, in its sides: the nose, the shoulder width, and how many shoulder
# widths the distance of the iris centres and the width of a palm (thumb MCP to pinky MCP) are on people.
_NOSE = (0.5, 0.22)
_SHOULDERS = 0.34
_IRIS_DISTANCE = 0.19
_PALM = 0.25
_MAX_HAND = 0.75  # a hand seen from its edge has a tiny palm, and would fill the picture
_WRISTS = {"right_hand": 5, "left_hand": 4}  # among the pose points
_WRISTS_WITHOUT_POSE = {"right_hand": (-0.8, 1.6), "left_hand": (0.8, 1.6)}


def missing_parts(keypoints: NDArray[Any]) -> list[str]:
    """Names of the parts that one frame's (184, 4) keypoints do not have."""
    return [name for name, part in Topology.PARTS.items() if not keypoints[part, 3].any()]


def draw_keypoints(image: RGB, keypoints: NDArray[Any]) -> RGB:
    """Draw one frame's keypoints on a copy of its image.

    Args:
        image: (H, W, 3) uint8 RGB, at the size the drawing shall have.
        keypoints: (184, 4) in image coordinates: x and y in widths and heights.

    Returns:
        A new (H, W, 3) image.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    scale = max(1, round(min(height, width) / 256))
    for name, part, paths in _STROKES:
        points = keypoints[part]
        if not points[:, 3].any():
            continue
        places = np.clip(np.nan_to_num(points[:, :2].astype(np.float64)), -9, 9)
        pixels = np.clip(places * (width, height), -1e4, 1e4)
        fixed = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
        thickness = max(1, scale // 2) if name in ("face", "irises") else scale
        for path in paths:
            line = fixed[list(path)].reshape(-1, 1, 2)
            cv2.polylines(canvas, [line], False, COLOURS[name], thickness, cv2.LINE_AA, _SHIFT)
        if name not in ("face", "irises"):
            for x, y in fixed.tolist():
                cv2.circle(canvas, (x, y), (scale * 3 << _SHIFT) // 2, COLOURS[name], -1, cv2.LINE_AA, _SHIFT)
    return canvas


def looks_adjusted(keypoints: NDArray[Any]) -> bool:
    """Whether (T, 184, 4) keypoints are adjusted: a hand's wrist is at 0 then, and the shoulders are 1 apart."""
    for part in (Topology.RIGHT_HAND, Topology.LEFT_HAND):
        found = keypoints[keypoints[:, part, 3].any(axis=1)][:, part]
        if len(found):
            return not found[:, 0, :2].any()
    pose = keypoints[keypoints[:, Topology.POSE, 3].any(axis=1)][:, Topology.POSE].astype(np.float64)
    if len(pose):
        shoulders = np.hypot(*(pose[:, 0, :2] - pose[:, 1, :2]).T)
        return bool(np.abs(shoulders - 1).max() < 0.01)
    face = keypoints[keypoints[:, Topology.FACE, 3].any(axis=1)][:, Topology.FACE]
    return bool(len(face) and np.median(face[..., 0].min(axis=1)) < -0.3)


def place_adjusted(keypoints: NDArray[Any], aspect: float = 1.0) -> NDArray[np.float64]:
    """Put adjusted parts together to a body on a square canvas.

    The body keeps its pose, the face is put on its nose, each hand on its wrist, at the size it has on people.
    Without a pose every part has a place of its own.

    Args:
        keypoints: (184, 4), adjusted.
        aspect: Width by height of the frames: x counts in widths, y in heights.

    Returns:
        (184, 4) in image coordinates of the canvas, visibility unchanged.
    """
    placed = np.nan_to_num(keypoints.astype(np.float64))
    placed[:, 1] /= aspect
    nose = np.array(_NOSE)
    body = placed[Topology.POSE, :2].copy()
    has_pose = bool(placed[Topology.POSE, 3].any())
    placed[Topology.POSE, :2] = nose + body * _SHOULDERS if has_pose else 0
    placed[Topology.FACE, :2] = nose + placed[Topology.FACE, :2] * _SHOULDERS * _IRIS_DISTANCE
    for name, wrist in _WRISTS.items():
        part = Topology.PARTS[name]
        hand = placed[part, :2]
        at = body[wrist] if has_pose else np.array(_WRISTS_WITHOUT_POSE[name])
        reach = float(np.hypot(*hand.T).max()) * _PALM
        size = _PALM * min(1.0, _MAX_HAND / max(reach, 1e-9))
        placed[part, :2] = nose + (at + hand * size) * _SHOULDERS
    return placed


@lru_cache(8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which knows Latin, Greek, Cyrillic and Arabic."""
    return ImageFont.truetype(str(Path(__file__).with_name("DejaVuSans.ttf")), size)


@lru_cache(256)
def text_width(text: str, size: int = 13) -> int:
    """How wide a line of text is, in pixels."""
    return round(_font(size).getlength(text))


@lru_cache(256)
def _rendered(text: str, colour: Colour, background: Colour, size: int) -> RGB:
    """A line of text on a solid ground, (H, W, 3)."""
    image = Image.new("RGB", (text_width(text, size) + size // 2 * 2, round(size * 1.55)), background)
    ImageDraw.Draw(image).text((size // 2, image.height / 2), text, colour, _font(size), anchor="lm")
    return np.asarray(image, dtype=np.uint8)


def write_text(
    canvas: RGB, text: str, x: int, y: int, colour: Colour = WHITE, *, size: int = 13, background: Colour = BACKGROUND
) -> int:
    """Write a line of text on a solid label, in place; (x, y) is its upper left. Too long a text is cut.

    Returns:
        The width of the label.
    """
    shown = fit_text(text, canvas.shape[1] - x - size // 2 * 2, size)
    if not shown or y >= canvas.shape[0]:
        return 0
    label = _rendered(shown, colour, background, size)
    label = label[: canvas.shape[0] - y, : canvas.shape[1] - x]
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


def mark_frame(image: RGB, keypoints: NDArray[Any], number: int, notes: Sequence[str] = ()) -> None:
    """Write a frame's number, its missing parts and further notes into its upper left, in place."""
    write_text(image, f"{number}", 0, 0)
    missing = [name.replace("_", " ") for name in missing_parts(keypoints)]
    warnings = [*notes, "no " + ", ".join(missing)] if missing else [*notes]
    for line, text in enumerate(warnings, 1):
        write_text(image, text, 0, 20 * line, WARNING)


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


def tile(images: Iterable[RGB], columns: int, gap: int = 6) -> RGB:
    """Lay images of one size out in rows."""
    cells = list(images)
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
