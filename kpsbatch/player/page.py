"""The player as HTML: a page of its own, or a part of another page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import kpsbatch
from kpsbatch.config import Config
from kpsbatch.dataset.video import Unit
from kpsbatch.drawing.choice import Candidate
from kpsbatch.errors import DatasetError
from kpsbatch.landmarks.topology import topology_of
from kpsbatch.player.clips import Found, load_clip, pair_up
from kpsbatch.player.data import KNOWN_SETS, Entry, encode_clip, player_spec, set_spec

FOLDER = Path(__file__).parent
SCRIPTS = ("npz.js", "drawing.js", "ribbon.js", "player.js")
SIDE = 360
QUALITY = 60
BUDGET = 6_000_000
"""Bytes of the pictures of a whole page."""

SAMPLE_SIDE = 160
SAMPLE_QUALITY = 40
SAMPLE_BUDGET = 40_000
"""The same for one sample of a report, which may hold dozens."""


def view_page(
    shown: Sequence[Candidate],
    *,
    config: Config | None = None,
    compare: Path | None = None,
    pictures: bool = True,
    adjusted: bool = False,
    on_clip: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """The page that `kpsbatch view` writes.

    Args:
        shown: The videos, at least one.
        config: The config that they were made with, if known.
        compare: Another npz or folder, whose videos are compared with these.
        pictures: Whether frames of the videos are shown behind the keypoints.
        adjusted: Whether the coordinates of an npz are adjusted, where no record tells.
        on_clip: Called with (clips packed, clips in all).

    Raises:
        OutputError: An npz can't be read, or `compare` holds none of the videos.
    """
    pairs = pair_up(shown, compare) if compare is not None else []
    wanted = len(shown) + sum(pair is not None for pair in pairs)
    side, budget = SIDE if pictures else 0, BUDGET // len(shown)
    entries: list[Entry] = []
    for one in shown:
        entries.append(pack(load_clip(one, config, pictures=pictures, adjusted=adjusted), side=side, budget=budget))
        on_clip(len(entries), wanted)
    for number, pair in enumerate(pairs):
        if pair is not None:
            entries[number]["compare"] = len(entries)
            entries.append(pack(load_clip(pair, pictures=False)))
            entries[-1]["name"] += f" ({compare.absolute().name if compare else ''})"
            on_clip(len(entries), wanted)
    title = entries[0]["name"] if len(shown) == 1 else f"{len(shown)} videos"
    return render_page(f"Keypoints: {title}", entries)


def pack(found: Found, *, side: int = 0, quality: int = QUALITY, budget: int = 0) -> Entry:
    """A clip for the page; without pictures, and with a note that says why, where its frames can't be read."""
    try:
        entry = encode_clip(found.clip, found.facts, side=side, quality=quality, budget=budget)
        note = found.note
    except DatasetError as error:
        entry, note = encode_clip(found.clip, found.facts), str(error).split(". ")[0]
    entry["note"] = f"Shown without its frames: {note}" if note else ""
    return entry


def player_html(entries: Sequence[Entry], *, small: bool = False) -> Markup:
    """A player for a part of a page, which must also hold `player_assets` once.

    Args:
        entries: The clips; with several, the reader chooses.
        small: Smaller, and without what chooses and opens clips.
    """
    sets = {name: set_spec(topology_of(name)) for name in {entry["set"] for entry in entries} - {*KNOWN_SETS}}
    data = {"clips": list(entries), "sets": sets}
    return Markup(_templates().get_template("player.html").render(data=data, small=small))


def sample_player(config: Config, unit: Unit, video: str, *, pictures: bool) -> Markup:
    """A small player of one video of a finished unit, for a page with `player_assets`; some 60 kB.

    Args:
        video: The video's name.
        pictures: Whether frames of the video are shown behind the keypoints.

    Raises:
        OutputError: The unit's npz can't be read, or holds no such video.
    """
    place = Candidate(config.output.root / f"{unit.name}.npz", video, unit)
    side = SAMPLE_SIDE if pictures else 0
    entry = pack(load_clip(place, config, pictures=pictures), side=side, quality=SAMPLE_QUALITY, budget=SAMPLE_BUDGET)
    return player_html([entry], small=True)


def player_assets() -> tuple[Markup, Markup]:
    """The style sheet and the scripts, for `<style>` and `<script>`; the scripts find every player of the page."""
    style = (FOLDER / "player.css").read_text(encoding="utf-8")
    script = _templates().from_string("const kpSpec = {{ spec | tojson }};\n").render(spec=player_spec())
    return Markup(style), Markup(script + "".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS))


def render_page(title: str, entries: Sequence[Entry]) -> str:
    """A page with one player, in one file that loads nothing."""
    style, script = player_assets()
    page: dict[str, Any] = {"title": title, "style": style, "script": script, "player": player_html(entries)}
    return _templates().get_template("template.html").render(**page, version=kpsbatch.__version__)


@lru_cache(1)
def _templates() -> Environment:
    return templates_in(FOLDER)


def templates_in(folder: Path) -> Environment:
    """The templates of a folder, in which every text is escaped: names in a dataset can hold anything."""
    templates = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    return templates
