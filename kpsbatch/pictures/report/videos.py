"""The videos that the page shows: the worst and some at random, to be played; those that failed, with their logs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from kpsbatch.config import Config
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.video import Unit, video_key
from kpsbatch.errors import KpsbatchError
from kpsbatch.files import last_lines
from kpsbatch.pictures.clip import Candidate, load_clip
from kpsbatch.pictures.draw import enlarge, jpeg_in_base64
from kpsbatch.pictures.player import SAMPLE_BUDGET, SAMPLE_QUALITY, SAMPLE_SIDE, Entry, pack, player_html
from kpsbatch.pictures.player import thumbnail as draw_thumbnail
from kpsbatch.pictures.report.gather import Failure, ReportData, UnitName, VideoRow
from kpsbatch.store.run_state import RunState
from kpsbatch.words import counted

THUMBNAIL_SIDE = 144

MAX_FAILURES = 2000
MAX_PICTURES = 40
MAX_FRAMES_READ = 300
"""Frames of a failed video that are read until one is readable."""

PICTURE_SIDE = 96
PICTURE_QUALITY = 55
LOG_BYTES = 4 << 20
MAX_LINES = 5
MAX_LINE = 300
CLOCK_SLACK = 5.0
"""Seconds by which clocks differ."""


@dataclass(frozen=True)
class Thumbnail:
    """One video of the page's player.

    Attributes:
        key, frame: What its link names.
        unit, video: Which one.
        text: What was not found, in words.
        picture: The frame, drawn, as a JPEG in base64.
        warning: That it is drawn without its frames, and why; "" where it is not.
        error: Why it is not drawn, "" where it is.
    """

    key: str
    frame: int
    unit: UnitName
    video: str
    text: str
    picture: str = ""
    warning: str = ""
    error: str = ""


@dataclass(frozen=True)
class Gallery:
    """Thumbnails below their headings, and the player that plays these videos."""

    groups: Mapping[str, Sequence[Thumbnail]]
    player: Markup


IN_DOUBT = "The signer is in doubt"
WORST = "Worst first"
AT_RANDOM = "Others, at random"


def key_of(unit: Unit, video: str) -> str:
    """What links to the player name a video by, and `kpsbatch view --video`: `01-train/0007: take 2`."""
    return f"{unit.name}: {video}"


def flag_of(data: ReportData, video: VideoRow) -> str:
    """A video as `dataset.exclude` names it; "" where names are not shown."""
    return video_key(video.unit, video.name) if data.named is None else ""


def pick_videos(
    worst_first: Sequence[VideoRow], count: int, in_doubt: Set[tuple[Unit, str]]
) -> dict[str, list[VideoRow]]:
    """So many of the worst, half as many of the others at random (the same in each report), and as many in doubt."""
    doubtful = [video for video in worst_first if (video.unit, video.name) in in_doubt][: count // 2]
    rest = worst_first[count:]
    chosen = sorted(random.Random(0).sample(range(len(rest)), min(count // 2, len(rest))))
    return {IN_DOUBT: doubtful, WORST: [*worst_first[:count]], AT_RANDOM: [rest[place] for place in chosen]}


def draw_gallery(
    config: Config,
    data: ReportData,
    worst_first: Sequence[VideoRow],
    count: int,
    *,
    pictures: bool,
    on_sample: Callable[[int, int], None],
) -> Gallery | None:
    """Draw the worst videos, some at random, and those in doubt; the arguments are those of `view_of`.

    Returns:
        None where there is no video to be shown.
    """
    chosen = pick_videos(worst_first, count, {(unit, name) for unit, name, _ in data.doubtful})
    drawn: dict[VideoRow, tuple[Thumbnail, Entry | None]] = {}
    total = len({video for videos in chosen.values() for video in videos})
    for video in (video for videos in chosen.values() for video in videos):
        if video not in drawn:
            drawn[video] = _draw_video(config, data, video, with_frames=pictures)
            on_sample(len(drawn), total)
    if not drawn:
        return None
    groups = {heading: [drawn[video][0] for video in videos] for heading, videos in chosen.items() if videos}
    return Gallery(groups, player_html([entry for _, entry in drawn.values() if entry is not None]))


def _draw_video(
    config: Config, data: ReportData, video: VideoRow, *, with_frames: bool
) -> tuple[Thumbnail, Entry | None]:
    """A video's thumbnail and its entry for the player; on an empty canvas where its frames are not there."""
    thumbnail = Thumbnail(
        key_of(video.unit, video.name), video.worst_frame, data.name_of_video(video), video.name, what_is_lost(video)
    )
    try:
        real, name = (video.unit, video.name) if data.named is None else data.named[video.unit, video.name]
        candidate = Candidate(config.output.root / f"{real.name}.npz", name, real)
        clip = load_clip(candidate, config, source=data.source, pictures=with_frames)
        clip = replace(clip, key=thumbnail.key, label=video.label, signer=video.signer)
        if data.named is not None:
            clip = replace(clip, title=video.name)
        entry = pack(clip, side=SAMPLE_SIDE, quality=SAMPLE_QUALITY, budget=SAMPLE_BUDGET)
        entry["flag"] = flag_of(data, video)
        frame = min(video.worst_frame, len(clip.keypoints) - 1)
        entry["thumb"] = draw_thumbnail(clip, entry, frame, THUMBNAIL_SIDE)
        if data.named is not None:
            entry["note"] = entry["note"] and "Shown without its frames."
        return replace(thumbnail, frame=frame, picture=entry["thumb"], warning=entry["note"]), entry
    except KpsbatchError as problem:
        return replace(thumbnail, error="it can't be drawn" if data.named is not None else str(problem)), None


def what_is_lost(video: VideoRow) -> str:
    """`hands lost in 12 (right), 3 (left) of 60 frames`."""
    of = f"of {counted(video.frames, 'frame')}"
    if not video.bare_wrists:
        return f"no hand lost {of.replace('of', 'in', 1)}"
    if video.bare is None:
        return f"{counted(video.bare_wrists, 'hand')} lost in {counted(video.frames, 'frame')}"
    sides = [f"{side} hand in {lost:,}" for side, lost in zip(("right", "left"), video.bare, strict=True) if lost]
    return f"lost: {', '.join(sides)} {of}"


@dataclass(frozen=True)
class FailedVideo:
    """A failed video.

    Attributes:
        failure: Which one, and why.
        picture: A JPEG as a data: URL, "" for none.
        caption: What the picture shows, or why there is none.
        log: The log of the run that tried it, "" where that is not known.
        lines: What the log says of it.
    """

    failure: Failure
    picture: str
    caption: str
    log: str
    lines: tuple[str, ...]


def failed_videos(config: Config, data: ReportData, *, pictures: bool) -> list[FailedVideo]:
    """The first `MAX_FAILURES` failed videos; with `pictures` a readable frame of each of the first `MAX_PICTURES`."""
    logs = _Logs(data.runs)
    shown: list[FailedVideo] = []
    for number, failure in enumerate(data.failures[:MAX_FAILURES]):
        jpeg, caption = _picture(config, data, failure) if pictures and number < MAX_PICTURES else ("", "")
        log = logs.log_of(failure)
        lines = logs.lines_about(log, failure) if log else ()
        shown.append(FailedVideo(failure, jpeg, caption, log, lines))
    return shown


def _picture(config: Config, data: ReportData, failure: Failure) -> tuple[str, str]:
    """The first frame that can be read, and what it is; "" and the reason where there is none.

    A video that stopped or stalled its worker is not read: it might stop this process, too.
    """
    if failure.lost_worker:
        return "", "not read again: it stopped its worker"
    source, unit, name = data.source, failure.unit, failure.name
    if data.named is not None:
        unit, name = data.named[unit, name]
    try:
        videos = source.listing(unit).videos if source is not None else ()
        video = next((video for video in videos if video.name == name), None)
        if video is None:
            return "", "not in the dataset"
        frames = read_frames(video, frame_rate=config.landmarks.frame_rate, max_pixels=config.run.max_pixels)
        for number, frame in enumerate(frames):
            if frame.image is not None:
                jpeg = jpeg_in_base64(enlarge(frame.image, PICTURE_SIDE), PICTURE_QUALITY)
                return f"data:image/jpeg;base64,{jpeg}", f"frame {number}"
            if number == MAX_FRAMES_READ:
                break
    except KpsbatchError:
        pass
    return "", "no readable frame"


class _Logs:
    """The logs of the runs, each read once."""

    def __init__(self, runs: list[RunState]) -> None:
        self._runs = [run for run in runs if run.log]
        self._lines: dict[str, dict[str, list[str]]] = {}

    def log_of(self, failure: Failure) -> str:
        """The log of the one run that can have tried a video: by its job, else by host and time."""
        if (task := failure.task) is None:
            return ""
        if named := [run for run in self._runs if task.job and run.job_name == task.job]:
            return named[-1].log or ""
        there = [run for run in self._runs if run.host == task.host]
        away = sorted((_seconds_between(run, task.finished), run.log or "") for run in there)
        if not away or away[0][0] > CLOCK_SLACK or (len(away) > 1 and away[0][0] == away[1][0]):
            return ""
        return away[0][1]

    def lines_about(self, log: str, failure: Failure) -> tuple[str, ...]:
        """The last lines of a log that name a video and say more than its record."""
        name = f"{failure.unit.name}/{failure.name}"
        if log not in self._lines:
            self._lines[log] = _lines_by_sign(Path(log))
        lines = self._lines[log].get(f"{failure.unit.sign:04}", [])
        telling = [line.strip()[:MAX_LINE] for line in lines if name in line and failure.error not in line]
        return tuple(telling[-MAX_LINES:])


def _seconds_between(run: RunState, moment: float) -> float:
    """How long before or after a run a moment was; 0 for one while it ran. State files count in whole seconds."""
    return max(run.began - moment, moment - (run.last_sign + 1), 0.0)


def _lines_by_sign(log: Path) -> dict[str, list[str]]:
    """The lines of a log's end that name a unit, such as 01-train/0007/a video, by its sign as it is written there."""
    lines: dict[str, list[str]] = {}
    for line in last_lines(log, LOG_BYTES):
        for sign in set(re.findall(r"/([0-9]{4,})/", line)):
            lines.setdefault(sign, []).append(line)
    return lines
