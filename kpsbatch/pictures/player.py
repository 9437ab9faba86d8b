"""The player: one HTML page, or a part of one, in which keypoints move.

A clip travels in the page as quantised keypoints, small pictures, and how each part was found.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

import kpsbatch
from kpsbatch.config import Config
from kpsbatch.dataset.video import video_key
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.files import explained, write_named
from kpsbatch.landmarks.found import MEANING, MISSING, is_found
from kpsbatch.pictures.clip import Candidate, Clip, load_clip, pair_up
from kpsbatch.pictures.draw import (
    CANVAS,
    COLOURS,
    IRIS_DISTANCE,
    MAX_HAND,
    NOSE,
    OUTLINE,
    PALM,
    PLACES_WITHOUT_WRIST,
    RGB,
    SHOULDERS,
    WRISTS,
    blank_canvas,
    draw_keypoints,
    encode_image,
    enlarge,
    jpeg_in_base64,
    place_adjusted,
    plain_frames,
    strokes_of,
)
from kpsbatch.points import (
    HAND_WRIST,
    POSE_LEFT_SHOULDER,
    POSE_NAMES,
    POSE_RIGHT_SHOULDER,
    Topology,
    topology_of,
)
from kpsbatch.store.reading import LEFT_OF_REFERENCE, NEAR_ONE

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("npz.js", "drawing.js", "ribbon.js", "player.js")
SIDE = 360
QUALITY = 60
BUDGET = 6_000_000
"""Bytes of the pictures of a whole page."""

INSIDE = 24
"""Videos that a page holds itself; of more, the data lie beside it."""

LISTED_SIDE = 72
THUMBNAIL_QUALITY = 65

SAMPLE_SIDE = 160
SAMPLE_QUALITY = 40
SAMPLE_BUDGET = 40_000
"""The same for one sample of a report, which may hold dozens."""

STEPS: Final = 4096
"""Steps of a coordinate in a frame's width or height: a quarter of a pixel of a frame of 1,024."""

FOUND: Final = "f"
"""The letter of a part that was found where no record tells how."""

KNOWN_SETS: Final = ("contract", "all")
"""Sets that the script knows anyway: those that an npz without a record is taken for."""

Entry = dict[str, Any]
"""What the page's script reads of one clip, see `encode_clip`."""


def view_page(
    shown: Sequence[Candidate],
    *,
    beside: Path | None = None,
    config: Config | None = None,
    compare: Path | None = None,
    pictures: bool = True,
    pictures_from: Sequence[Path] = (),
    names: bool = True,
    adjusted: bool = False,
    on_clip: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """The page that `kpsbatch view` writes, in one file that loads nothing; of many videos, with data beside it.

    Args:
        shown: The videos, at least one.
        beside: The folder for the data of each video where there are more than `INSIDE`, made here; it lies beside
            the page, and what an earlier page left in it is replaced.
        config: The config that they were made with, if known.
        compare: Another npz or folder, whose videos are compared with these.
        pictures: Whether frames of the videos are shown behind the keypoints.
        pictures_from: Without a config: files and folders of which pictures may be shown.
        names: Whether the names of the videos are shown; else `video 1`, and no reason that could hold one.
        adjusted: Whether the coordinates of an npz are adjusted, where no record tells.
        on_clip: Called with (clips packed, clips in all).

    Raises:
        OutputError: An npz can't be read, `compare` holds none of the videos, or `beside` can't be written.
    """
    if len(shown) <= INSIDE:
        beside = None
    pairs = pair_up(shown, compare) if compare is not None else []
    wanted = len(shown) + sum(pair is not None for pair in pairs)
    side, budget = SIDE if pictures else 0, BUDGET // min(len(shown), INSIDE)
    entries: list[Entry] = []

    def add(entry: Entry) -> None:
        if not names:
            number = len(entries) + 1
            entry |= {"name": f"video {number}", "note": entry["note"] and "Shown without its frames."}
            entry |= {"key": f"video {number}", "label": "", "signer": "", "flag": ""}
        entry["pictured"] = bool(entry["pictures"])
        entries.append(entry if beside is None else _write_beside(beside, len(entries) + 1, entry))
        on_clip(len(entries), wanted)

    for candidate in shown:
        clip = load_clip(candidate, config, pictures=pictures, pictures_from=pictures_from, adjusted=adjusted)
        entry = pack(clip, side=side, budget=budget)
        entry["flag"] = video_key(candidate.unit, candidate.video) if candidate.unit is not None else ""
        if len(shown) > 1:
            entry["thumb"] = thumbnail(clip, entry, len(clip.keypoints) // 2, LISTED_SIDE)
        add(entry)
    for number, pair in enumerate(pairs):
        if pair is not None:
            entries[number]["compare"] = len(entries)
            entry = pack(load_clip(pair, pictures=False))
            add(entry | {"name": f"{entry['name']} ({compare.absolute().name if compare else ''})", "key": ""})
    title = entries[0]["name"] if len(shown) == 1 else f"{len(shown)} videos"
    style, script = player_assets()
    page: dict[str, Any] = {"style": style, "script": script, "player": player_html(entries)}
    pictured = [entry["name"] for entry in entries if entry["pictured"]]
    page["pictured"] = ", ".join(pictured) if len(pictured) <= INSIDE else f"{len(pictured):,} videos"
    page |= {"title": f"Keypoints: {title}", "version": kpsbatch.__version__, "beside": beside.name if beside else ""}
    return templates().get_template("player/page.html").render(**page)


def _write_beside(folder: Path, number: int, entry: Entry) -> Entry:
    """Write a clip's data beside the page, as a script, which is all that a page opened from a disk may load.

    Returns:
        What the page lists of it.
    """
    name = f"{number:05}.js"
    src = f"{quote(folder.name)}/{name}"
    text = f"kpArrive({json.dumps(src)}, {json.dumps(entry, separators=(',', ':'))});\n"
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_named(folder / name, lambda file: file.write(text.encode()))
    kept = ("name", "key", "label", "signer", "flag", "thumb", "pictured")
    return {key: entry[key] for key in kept if key in entry} | {"src": src, "letters": {}}


def thumbnail(clip: Clip, entry: Entry, frame: int, side: int) -> str:
    """A frame with its keypoints as a JPEG in base64, on the picture of it that the entry has, if any."""
    keypoints = clip.keypoints[frame]
    if picture := entry["pictures"] and entry["pictures"][frame // entry["every"]]:
        data = np.frombuffer(base64.b64decode(picture), np.uint8)
        image = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        canvas = enlarge(np.asarray(image, np.uint8), side)
        keypoints = clip.keypoints[frame - frame % entry["every"]]
    else:
        canvas = blank_canvas(clip, side)
    if clip.adjusted:
        keypoints = place_adjusted(keypoints, clip.aspect, clip.topology)
    return jpeg_in_base64(draw_keypoints(canvas, keypoints, clip.topology), THUMBNAIL_QUALITY)


def pack(clip: Clip, *, side: int = 0, quality: int = QUALITY, budget: int = 0) -> Entry:
    """A clip for the page; without pictures, and with a note that says why, where its frames can't be read."""
    try:
        entry, note = encode_clip(clip, side=side, quality=quality, budget=budget), clip.note
    except DatasetError as error:
        entry, note = encode_clip(clip), str(error).split(". ")[0]
    entry["note"] = f"Shown without its frames: {note}" if note else ""
    doubts = clip.facts.doubts if clip.facts is not None else []
    entry["doubt"] = f"Who signs is in doubt: {'; '.join(doubts)}." if doubts else ""
    return entry


def player_html(entries: Sequence[Entry]) -> Markup:
    """A player for a part of a page, which must also hold `flags.js` and `player_assets` once.

    Args:
        entries: The clips; with several, the reader chooses.
    """
    sets = {name: set_spec(topology_of(name)) for name in {entry["set"] for entry in entries if "set" in entry}}
    data = {"clips": list(entries), "sets": {name: spec for name, spec in sets.items() if name not in KNOWN_SETS}}
    return Markup(templates().get_template("player/player.html").render(data=data))


def player_assets() -> tuple[Markup, Markup]:
    """The style sheet and the scripts, for `<style>` and `<script>`; the scripts find every player of the page."""
    spec = templates().from_string("const kpSpec = {{ spec | tojson }};\n").render(spec=player_spec())
    return _asset("player/player.css"), Markup(spec) + Markup().join(_asset(f"player/{name}") for name in SCRIPTS)


def check_page(path: Path | None) -> None:
    """Refuse a name of a page that no browser would open.

    Raises:
        ConfigError: Says which endings there are.
    """
    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"-o: {path.name!r} is not a page. Let it end in .html or .htm.")


def write_page(path: Path, page: str) -> int:
    """Write a page to a file; returns its size in bytes.

    Raises:
        OutputError: It can't be written.
    """
    content = page.encode("utf-8", "replace")
    write_named(path, lambda file: file.write(content))
    return len(content)


@lru_cache(1)
def templates() -> Environment:
    """The templates of all pages, in which every text is escaped: names in a dataset can hold anything."""
    loader = FileSystemLoader(TEMPLATES)
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    templates.globals["file"] = _asset
    return templates


def _asset(name: str) -> Markup:
    """A file of our own that goes into a page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


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
        "adjusted": {
            "wristPoint": HAND_WRIST,
            "shoulderPoints": [POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER],
            "nearOne": NEAR_ONE,
            "leftOfReference": LEFT_OF_REFERENCE,
            "nose": NOSE,
            "shoulders": SHOULDERS,
            "irises": IRIS_DISTANCE,
            "palm": PALM,
            "most": MAX_HAND,
            "hands": [[part, POSE_NAMES.index(wrist), PLACES_WITHOUT_WRIST[part]] for part, wrist in WRISTS.items()],
        },
    }


def set_spec(topology: Topology) -> dict[str, Any]:
    """What the script knows of a set of points: which landmarks they are, where parts lie, what is drawn."""
    return {
        "points": topology.points,
        "parts": {name: [part.start, part.stop] for name, part in topology.parts.items()},
        "sources": topology.sources,
        "strokes": [
            {"name": name, "part": part, "paths": paths, "dots": dots, "fine": is_fine}
            for name, part, paths, dots, is_fine in strokes_of(topology)
        ],
    }


def encode_clip(clip: Clip, *, side: int = 0, quality: int = QUALITY, budget: int = 0) -> Entry:
    """Pack a clip for the page.

    Args:
        clip: The clip; adjusted coordinates are put together to a body.
        side: Shorter side of the pictures in pixels; 0 for none.
        quality: Of the pictures, 1 to 100.
        budget: Bytes that the pictures may take, about; every n-th frame has one if need be.

    Returns:
        `name`, `key` (what links name), `label`, `signer`, `set` (of points),
        `frames`, `rate` and `times` (ms, None where the rate is constant),
        `width` and `height` of the frames in pixels (0 where not known), `aspect`, `adjusted`, `letters` by part,
        `points` (`pack_points`), and `pictures` in base64, of every `every`-th frame.

    Raises:
        DatasetError: Its frames can't be read.
    """
    known = clip.facts if clip.facts is not None and clip.facts.frames == len(clip.keypoints) else None
    keypoints = clip.keypoints
    if clip.adjusted:
        keypoints = np.stack([place_adjusted(frame, clip.aspect, clip.topology) for frame in keypoints])
    entry: Entry = {
        "name": clip.title,
        "key": clip.key,
        "label": clip.label,
        "signer": clip.signer,
        "set": clip.topology.name,
        "frames": len(keypoints),
        "rate": (known and known.frame_rate) or clip.frame_rate_out or clip.frame_rate,
        "times": known.times if known else None,
        "width": known.width if known else 0,
        "height": known.height if known else 0,
        "aspect": 1.0 if clip.adjusted else clip.aspect,
        "adjusted": clip.adjusted,
        "letters": _letters(clip),
        "points": pack_points(keypoints),
        "every": 1,
        "pictures": [],
    }
    if side and clip.frames is not None:
        _add_pictures(entry, clip, side, quality, budget, timed=known is None)
    return entry


def _letters(clip: Clip) -> dict[str, str]:
    """How each part of each frame was found: the record's letters, if there are as many, or `f` and `-` by value."""
    letters: dict[str, str] = {}
    for name, part in clip.topology.parts.items():
        letters[name] = clip.how.get(name, "")
        if len(letters[name]) != len(clip.keypoints):
            letters[name] = "".join(FOUND if there else MISSING for there in is_found(clip.keypoints, part))
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
    for number, frame in enumerate(plain_frames(clip)):
        image = frame.image
        times.append(frame.timestamp)
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
    """An image, no larger than it is, as a WebP in base64: a quarter smaller than a JPEG of the same quality."""
    small = enlarge(image, min(side, *image.shape[:2]))
    return base64.b64encode(encode_image(small, ".webp", cv2.IMWRITE_WEBP_QUALITY, quality)).decode()
