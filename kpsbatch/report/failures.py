"""What the page shows of each failed video: a picture of it, the run's log, and what the log says of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kpsbatch.config import Config
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.source import Source
from kpsbatch.drawing.sheet import enlarge, jpeg_in_base64
from kpsbatch.errors import KpsbatchError
from kpsbatch.files import last_lines
from kpsbatch.report.gather import Failure, ReportData
from kpsbatch.store.run_state import RunState

MAX_SHOWN = 2000
MAX_PICTURES = 40
MAX_LOOKED_AT = 300
SIDE = 96
JPEG_QUALITY = 55
LOG_BYTES = 4 << 20
MAX_LINES = 5
MAX_LINE = 300
CLOCK_SLACK = 5.0
"""Seconds by which clocks differ."""


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
    """The first `MAX_SHOWN` failed videos; a readable frame of each of the first `MAX_PICTURES`.

    Args:
        data: What `gather` found.
        pictures: Whether frames of the videos are shown.
    """
    logs = _Logs(data.runs)
    shown: list[FailedVideo] = []
    for number, failure in enumerate(data.failures[:MAX_SHOWN]):
        jpeg, caption = _picture(config, data.source, failure) if pictures and number < MAX_PICTURES else ("", "")
        log = logs.log_of(failure)
        lines = logs.lines_about(log, failure) if log else ()
        shown.append(FailedVideo(failure, jpeg, caption, log, lines))
    return shown


def _picture(config: Config, source: Source | None, failure: Failure) -> tuple[str, str]:
    """The first frame that can be read, and what it is; "" and the reason where there is none.

    A video that stopped or stalled its worker is not read: it might stop this process, too.
    """
    if failure.lost_worker:
        return "", "not read again: it stopped its worker"
    try:
        videos = source.listing(failure.unit).videos if source is not None else ()
        video = next((video for video in videos if video.name == failure.name), None)
        if video is None:
            return "", "not in the dataset"
        frames = read_frames(video, frame_rate=config.landmarks.frame_rate, max_pixels=config.run.max_pixels)
        for number, frame in enumerate(frames):
            if frame.image is not None:
                jpeg = jpeg_in_base64(enlarge(frame.image, SIDE), JPEG_QUALITY)
                return f"data:image/jpeg;base64,{jpeg}", f"frame {number}"
            if number == MAX_LOOKED_AT:
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
        away = sorted(
            (_seconds_between(run, task.finished), run.log or "") for run in self._runs if run.host == task.host
        )
        if not away or away[0][0] > CLOCK_SLACK or (len(away) > 1 and away[0][0] == away[1][0]):
            return ""
        return away[0][1]

    def lines_about(self, log: str, failure: Failure) -> tuple[str, ...]:
        """The last lines of a log that name a video and say more than its record."""
        name = f"{failure.unit.name}/{failure.name}"
        if log not in self._lines:
            self._lines[log] = _lines_by_sign(Path(log))
        lines = self._lines[log].get(f"{failure.unit.sign:04}", [])
        found = [line.strip()[:MAX_LINE] for line in lines if name in line and failure.error not in line]
        return tuple(found[-MAX_LINES:])


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
