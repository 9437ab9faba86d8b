"""A clip as the player's page holds it: quantised keypoints, small pictures, how each part was found."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kpsbatch.drawing.adjusted import place_adjusted
from kpsbatch.drawing.clip import Clip
from kpsbatch.drawing.colours import CANVAS, COLOURS, OUTLINE, RGB
from kpsbatch.drawing.frames import plain_frames
from kpsbatch.drawing.sheet import encode_image, enlarge
from kpsbatch.drawing.strokes import strokes_of
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.landmarks.found import MEANING, MISSING, is_found
from kpsbatch.landmarks.topology import CONTRACT, Topology, topology_of

STEPS: Final = 4096
"""Steps of a coordinate in a frame's width or height: a quarter of a pixel of a frame of 1,024."""

FOUND: Final = "f"
"""The letter of a part that was found where no record tells how."""

KNOWN_SETS: Final = ("contract", "all")
"""Sets that the script knows anyway: those that an npz without a record is taken for."""

Entry = dict[str, Any]
"""What the page's script reads of one clip, see `encode_clip`."""


def player_spec() -> dict[str, Any]:
    """What the player's script knows of keypoints: sets of points, colours and the words for the letters."""
    return {
        "steps": STEPS,
        "parts": list(Topology.PARTS),
        "sets": {name: set_spec(topology_of(name)) for name in KNOWN_SETS},
        "colours": {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in COLOURS.items()},
        "outline": "#{:02x}{:02x}{:02x}".format(*OUTLINE),
        "canvas": "#{:02x}{:02x}{:02x}".format(*CANVAS),
        "meaning": {**MEANING, FOUND: "found"},
    }


def set_spec(topology: Topology) -> dict[str, Any]:
    """What the script knows of a set of points: which landmarks they are, where parts lie, what is drawn."""
    return {
        "points": topology.points,
        "parts": {name: [part.start, part.stop] for name, part in topology.parts.items()},
        "sources": topology.sources,
        "strokes": [
            {"name": one.name, "part": one.part, "paths": one.paths, "dots": one.dots, "fine": one.is_fine}
            for one in strokes_of(topology)
        ],
    }


def encode_clip(
    clip: Clip, facts: VideoFacts | None = None, *, side: int = 0, quality: int = 60, budget: int = 0
) -> Entry:
    """Pack a clip for the page.

    Args:
        clip: The clip; adjusted coordinates are put together to a body.
        facts: What the record says of it.
        side: Shorter side of the pictures in pixels; 0 for none.
        quality: Of the pictures, 1 to 100.
        budget: Bytes that the pictures may take, about; every n-th frame has one if need be.

    Returns:
        `name`, `set` (of points), `frames`, `rate` and `times` (ms, None where the rate is constant),
        `width` and `height` of the frames in pixels (0 where not known), `aspect`, `adjusted`, `letters` by part,
        `points` (`pack_points`), and `pictures` in base64, of every `every`-th frame.

    Raises:
        DatasetError: Its frames can't be read.
    """
    known = facts if facts is not None and facts.frames == len(clip.keypoints) else None
    keypoints = clip.keypoints
    if clip.adjusted:
        keypoints = np.stack([place_adjusted(frame, clip.aspect, clip.topology) for frame in keypoints])
    entry: Entry = {
        "name": clip.title,
        "set": clip.topology.name,
        "frames": len(keypoints),
        "rate": (known and known.frame_rate) or clip.frame_rate_out or clip.frame_rate,
        "times": known.times if known else None,
        "width": known.width if known else 0,
        "height": known.height if known else 0,
        "aspect": 1.0 if clip.adjusted else clip.aspect,
        "adjusted": clip.adjusted,
        "letters": letters_of(clip.keypoints, known.how if known else clip.how, clip.topology),
        "points": pack_points(keypoints),
        "every": 1,
        "pictures": [],
    }
    if side and clip.frames is not None:
        _add_pictures(entry, clip, side, quality, budget, timed=known is None)
    return entry


def letters_of(keypoints: NDArray[Any], how: Mapping[str, str], topology: Topology = CONTRACT) -> dict[str, str]:
    """How each part of each frame was found: the record's letters, or `f` and `-` by the values.

    Args:
        keypoints: (T, points, 4).
        how: The record's letters; parts of another length than T are passed over.
        topology: Which points they are.
    """
    letters: dict[str, str] = {}
    for name, part in topology.parts.items():
        recorded = how.get(name, "")
        found = is_found(keypoints, part)
        letters[name] = (
            recorded if len(recorded) == len(keypoints) else "".join(FOUND if one else MISSING for one in found)
        )
    return letters


def pack_points(keypoints: NDArray[Any]) -> str:
    """Quantise x, y and visibility, and pack them: base64 of zlib of three planes of bytes.

    x and y are rounded to 1/4096 of a width or height and kept within -8 to 8. Of each coordinate the difference from
    the frame before is stored, point by point: first all low bytes, then all high bytes, then visibility in 255ths.

    Args:
        keypoints: (T, points, 4) in image coordinates.
    """
    values = np.nan_to_num(keypoints.astype(np.float64), posinf=0, neginf=0)
    places = np.clip(np.round(values[..., :2] * STEPS), -(1 << 15), (1 << 15) - 1).astype(np.int64)
    moves = np.diff(places.reshape(len(places), -1), axis=0, prepend=0).T.astype(np.uint16)  # modulo 2^16
    seen = np.round(np.clip(values[..., 3], 0, 1) * 255).astype(np.uint8)
    planes = (moves & 255).astype(np.uint8).tobytes() + (moves >> 8).astype(np.uint8).tobytes() + seen.T.tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode()


def _add_pictures(entry: Entry, clip: Clip, side: int, quality: int, budget: int, *, timed: bool) -> None:
    """Add the frames, and the size and the times that they have."""
    pictures: list[str] = []
    times: list[int] = []
    every = 1
    for number, (image, timestamp, _) in enumerate(plain_frames(clip)):
        times.append(timestamp)
        if image is not None and not (entry["width"] and pictures):
            entry["width"], entry["height"] = entry["width"] or image.shape[1], entry["height"] or image.shape[0]
            entry["aspect"] = image.shape[1] / image.shape[0]
        if number % every:
            continue
        picture = "" if image is None else _webp(image, side, quality)
        if not pictures and budget:
            every = max(1, -(-len(picture) * entry["frames"] // budget))
        pictures.append(picture)
    if not times:
        raise DatasetError(f"{clip.title} has no frames any more. Restore them, or use --no-pictures.")
    entry["pictures"], entry["every"] = pictures, every
    if timed and len(times) == entry["frames"] > 1 and times[-1] > times[0]:
        entry["rate"] = 1000 * (len(times) - 1) / (times[-1] - times[0])
        entry["times"] = times


def _webp(image: RGB, side: int, quality: int) -> str:
    """An image, no larger than it is, as a WebP in base64: a quarter smaller than a JPEG of the same look."""
    small = enlarge(image, min(side, *image.shape[:2]))
    return base64.b64encode(encode_image(small, ".webp", cv2.IMWRITE_WEBP_QUALITY, quality)).decode()
