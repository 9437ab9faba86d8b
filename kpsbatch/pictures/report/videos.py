"""The videos that the page shows: the best, the median and the worst, drawn; and those that failed, with their logs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from kpsbatch.config import Config
from kpsbatch.dataset.reading import read_frames
from kpsbatch.errors import KpsbatchError
from kpsbatch.files import last_lines
from kpsbatch.pictures.clip import Candidate, Clip, load_clip, spread
from kpsbatch.pictures.draw import drawn_frames, enlarge, jpeg_in_base64
from kpsbatch.pictures.player import sample_player
from kpsbatch.pictures.report.gather import Failure, ReportData, UnitName, VideoRow, percent, pick_samples, show_percent
from kpsbatch.store.run_state import RunState
from kpsbatch.words import counted

SAMPLE_FRAMES = 6
SAMPLE_SIDE = 224
SAMPLE_QUALITY = 82
NO_PLAYER = Markup()

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
class Sample:
    """One video.

    Attributes:
        unit, video: Which one.
        rates: Its length and what was found how often.
        pictures: Some of its frames, drawn: the number of each, and its JPEG in base64.
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
    pictures: tuple[tuple[int, str], ...] = ()
    warning: str = ""
    error: str = ""


IN_DOUBT = "the signer is in doubt"


def draw_samples(
    config: Config,
    data: ReportData,
    worst_first: Sequence[VideoRow],
    count: int,
    *,
    config_path: Path,
    pictures: bool,
    on_sample: Callable[[int, int], None],
) -> dict[str, list[Sample]]:
    """Draw so many of the worst, the median, the best videos and those in doubt; the arguments are those of `view_of`.

    Returns:
        The samples below their headings, none of which is empty.
    """
    chosen = pick_samples(worst_first, count)
    in_doubt = {(unit, name) for unit, name, _ in data.doubtful}
    chosen[IN_DOUBT] = [video for video in worst_first if (video.unit, video.name) in in_doubt][:count]
    total, done = sum(map(len, chosen.values())), 0
    groups: dict[str, list[Sample]] = {}
    for kind in (IN_DOUBT, "worst", "median", "best"):
        for video in chosen[kind]:
            sample = _sample(config, data, config_path, video, with_frames=pictures)
            groups.setdefault(kind.capitalize(), []).append(sample)
            done += 1
            on_sample(done, total)
    return groups


def _sample(config: Config, data: ReportData, config_path: Path, video: VideoRow, *, with_frames: bool) -> Sample:
    """A few frames of one video; on an empty canvas where its frames are not there."""
    unit = video.unit
    shares = {"any hand": video.hand_rate, "face": video.rate("face"), "pose": video.rate("pose")}
    shown = ", ".join(f"{show_percent(percent(share, 1))} {part}" for part, share in shares.items())
    rates = f"{counted(video.frames, 'frame')}: {shown}"
    where = {"signers": unit.signer, "splits": unit.split, "signs": unit.sign, "video": video.name}
    words = [word for option, value in where.items() for word in (f"--{option}", str(value))]
    command = shlex.join(["kpsbatch", "preview", str(config_path), *words, "-o", "video.webm"])
    pictures: tuple[tuple[int, str], ...] = ()
    player, warning, error = NO_PLAYER, "", ""
    try:
        real, name = (unit, video.name) if data.named is None else data.named[unit, video.name]
        candidate = Candidate(config.output.root / f"{real.name}.npz", name, real)
        clip = load_clip(candidate, config, source=data.source, pictures=with_frames)
        warning = clip.note
        if data.named is not None:
            clip = replace(clip, title=video.name, note="")
        player = sample_player(clip)
        try:
            pictures = _draw(clip)
        except KpsbatchError as problem:
            pictures, warning = _draw(replace(clip, frames=None)), str(problem)
    except KpsbatchError as problem:
        warning, error = "", str(problem)
    if data.named is not None:
        command, warning, error = "", warning and "not shown", error and "it can't be drawn"
    return Sample(data.name(unit), video.name, rates, command, player, pictures, warning, error)


def _draw(clip: Clip) -> tuple[tuple[int, str], ...]:
    numbers = spread(len(clip.keypoints), SAMPLE_FRAMES)
    images = drawn_frames(clip, SAMPLE_SIDE, numbers)  # fewer, where frames are gone by now
    numbered = zip(images, sorted(numbers), strict=False)
    return tuple((number, jpeg_in_base64(image, SAMPLE_QUALITY)) for image, number in numbered)


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
