"""The best, the median and the worst videos, drawn."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from kpsbatch.config import Config
from kpsbatch.dataset.source import Source
from kpsbatch.drawing.clip import clip_of_unit
from kpsbatch.drawing.frames import drawn_frames, spread
from kpsbatch.drawing.sheet import jpeg_in_base64
from kpsbatch.errors import KpsbatchError
from kpsbatch.player.page import sample_player
from kpsbatch.report.figures import Labels, UnitName, name_unit, percent, show_percent
from kpsbatch.report.gather import VideoRow, pick_samples
from kpsbatch.words import counted

FRAMES = 6
SIDE = 224
JPEG_QUALITY = 82
NO_PLAYER = Markup()


@dataclass(frozen=True)
class Picture:
    """A drawn frame: its number, and its JPEG in base64."""

    frame: int
    jpeg: str


@dataclass(frozen=True)
class Sample:
    """One video.

    Attributes:
        unit, video: Which one.
        rates: Its length and what was found how often.
        pictures: Some of its frames, drawn.
        command: What to type for all of them.
        player: The video, to be played.
        warning: Why it is drawn without its frames, "" where it is not.
        error: Why it is not drawn, "" where it is.
    """

    unit: UnitName
    video: str
    rates: str
    command: str
    player: Markup = NO_PLAYER
    pictures: tuple[Picture, ...] = ()
    warning: str = ""
    error: str = ""


@dataclass(frozen=True)
class SampleGroup:
    """Samples of one kind."""

    title: str
    samples: list[Sample]


def draw_samples(
    config: Config,
    source: Source | None,
    worst_first: Sequence[VideoRow],
    count: int,
    labels: Labels,
    *,
    config_path: Path,
    pictures: bool,
    on_sample: Callable[[int, int], None],
) -> list[SampleGroup]:
    """Draw so many of the worst, the median and the best videos.

    Args:
        source: Its dataset, if it is open already.
        worst_first: The videos.
        count: How many of each kind.
        labels: The names of the signs.
        config_path: The config's file, for the commands that are shown.
        pictures: Whether frames of the videos are shown.
        on_sample: Called with (samples drawn, samples in all).
    """
    chosen = pick_samples(worst_first, count)
    total, done = sum(map(len, chosen.values())), 0
    groups: list[SampleGroup] = []
    for kind in ("worst", "median", "best"):
        group = SampleGroup(kind.capitalize(), [])
        for video in chosen[kind]:
            group.samples.append(_sample(config, source, config_path, video, labels, pictures))
            done += 1
            on_sample(done, total)
        groups += [group] if group.samples else []
    return groups


def _sample(
    config: Config, source: Source | None, config_path: Path, video: VideoRow, labels: Labels, with_frames: bool
) -> Sample:
    """A few frames of one video; on an empty canvas where its frames are not there."""
    unit = video.unit
    shares = {"any hand": video.hand_rate, "face": video.rate("face"), "pose": video.rate("pose")}
    rates = ", ".join(f"{show_percent(percent(share, 1))} {what}" for what, share in shares.items())
    where = {"signers": unit.signer, "splits": unit.split, "signs": unit.sign, "video": video.name}
    words = [word for option, value in where.items() for word in (f"--{option}", str(value))]
    command = shlex.join(["python", "-m", "kpsbatch", "preview", str(config_path), *words, "-o", "video.webm"])
    pictures: tuple[Picture, ...] = ()
    warning = error = ""
    player = NO_PLAYER
    try:
        player = sample_player(config, unit, video.name, pictures=with_frames)
        try:
            pictures = _draw(config, source, video, blank=not with_frames)
        except KpsbatchError as problem:
            warning = str(problem)
            pictures = _draw(config, source, video, blank=True)
    except KpsbatchError as problem:
        warning, error = "", str(problem)
    rates = f"{counted(video.frames, 'frame')}: {rates}"
    return Sample(name_unit(unit, labels), video.name, rates, command, player, pictures, warning, error)


def _draw(config: Config, source: Source | None, video: VideoRow, *, blank: bool) -> tuple[Picture, ...]:
    clip = clip_of_unit(config, video.unit, video.name, source=source, blank=blank)
    frames = drawn_frames(clip, SIDE, spread(len(clip.keypoints), FRAMES))
    return tuple(Picture(drawn.number, jpeg_in_base64(drawn.image, JPEG_QUALITY)) for drawn in frames)
