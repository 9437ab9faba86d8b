"""The report, one HTML page about what came out of a run: what it shows is computed here, templates write it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import kpsbatch
from kpsbatch.config import Config
from kpsbatch.pictures.player import player_assets, templates
from kpsbatch.pictures.report.charts import Chart, Timeline, frames_without_hand, throughput, timeline, video_lengths
from kpsbatch.pictures.report.findings import Finding, findings_of, headline_of, reasons_of, sentences
from kpsbatch.pictures.report.gather import ReportData, UnitRow, has_hands, metrics_of, ranked, show_percent
from kpsbatch.pictures.report.tables import MAX_VIDEOS, script_data
from kpsbatch.pictures.report.videos import Gallery, draw_gallery, failed_videos
from kpsbatch.store.run_state import union_seconds
from kpsbatch.store.settings import flatten
from kpsbatch.store.survey import FINISHED
from kpsbatch.words import counted, show_duration, some_of

MAX_REASONS = 30
MAX_HOSTS = 20
MAX_ODD = 10
SECTIONS = {
    "findings": "Look here first",
    "gallery": "The worst videos",
    "videos": "Videos",
    "map": "Detection",
    "failures": "Failures",
    "progress": "Progress",
    "units": "Units",
    "runs": "Runs",
    "settings": "Settings and versions",
}
"""Headings, by the name of the section's template and the target of its links."""


@dataclass(frozen=True)
class Card:
    """A figure with what it counts, and a bar of so many percent below it."""

    value: str
    label: str
    share: float | None = None


@dataclass(frozen=True)
class Videos:
    """The section about videos: charts, whether all videos are listed, and a line about unreadable frames."""

    charts: list[Chart]
    all_listed: bool
    bad_frames: str


@dataclass(frozen=True)
class Page:
    """Everything that the template writes.

    Attributes:
        title: Of the page.
        output, moment: Whose page it is, and when it was so.
        headline: How the run stands, in a sentence or two.
        findings: What stands out.
        progress, throughput: Figures and a chart of the run.
        detection: A card for each rate; empty where no video was read.
        videos: None where no video was read.
        gallery: Drawn videos and their player; None where there are none.
        has_labels: Whether the map is one of labels; else of units.
        reasons: Why videos failed, a sentence for each reason, the most frequent first.
        odd: What else is in the dataset, and how often.
        timeline: When the tasks ran; None where there are no state files.
        has_slowest: Whether it is known how long units took.
        settings: Versions and settings: terms and their texts, below their headings.
        script: What the page's script gets.
    """

    title: str
    output: str
    moment: str
    headline: str
    findings: list[Finding]
    progress: list[Card]
    throughput: Chart | None
    detection: list[Card]
    videos: Videos | None
    gallery: Gallery | None
    has_labels: bool
    reasons: list[str]
    odd: list[tuple[int, str]]
    timeline: Timeline | None
    has_slowest: bool
    settings: dict[str, list[tuple[str, str]]]
    script: Mapping[str, Any]

    @property
    def sections(self) -> dict[str, str]:
        """The headings of the sections that have something to show."""
        shown = {"videos": self.videos is not None, "gallery": self.gallery is not None}
        return {key: heading for key, heading in SECTIONS.items() if shown.get(key, True)}


def view_of(
    config: Config,
    data: ReportData,
    *,
    config_path: Path = Path("CONFIG"),
    samples: int = 48,
    pictures: bool = True,
    on_sample: Callable[[int, int], None] = lambda done, total: None,
) -> Page:
    """Compute a page.

    Args:
        data: What `gather` found.
        config_path: The config's file, for commands that the page shows.
        samples: How many of the worst videos are drawn and can be played; half as many at random are, too.
        pictures: Whether they show frames of the videos, or keypoints only.
        on_sample: Called with (videos drawn, videos in all).
    """
    worst_first = ranked(data)
    return Page(
        title="Keypoints" if data.named is not None else f"Keypoints of {config.dataset.root.name}",
        output="Outputs" if data.named is not None else str(config.output.root),
        moment=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        headline=headline_of(data),
        findings=findings_of(data),
        progress=_progress(data),
        throughput=throughput(data),
        detection=_detection(data),
        videos=_videos(data),
        gallery=draw_gallery(config, data, worst_first, samples, pictures=pictures, on_sample=on_sample),
        has_labels=not data.has_signs,
        reasons=sentences(reasons_of(data.failures), MAX_REASONS),
        odd=[(count, problem) for problem, count in data.odd.most_common(MAX_ODD)],
        timeline=timeline(data.runs),
        has_slowest=any(row.seconds for row in data.units),
        settings=_settings(config, data),
        script=script_data(data, worst_first, failed_videos(config, data, pictures=pictures), config_path),
    )


def render(page: Page) -> str:
    """The page as HTML, in one file that loads nothing."""
    style, script = player_assets() if page.gallery else ("", "")
    template = templates().get_template("report/report.html")
    return template.render(
        title=page.title, page=page, player_style=style, player_script=script, version=kpsbatch.__version__
    )


def _progress(data: ReportData) -> list[Card]:
    done = sum(row.state in FINISHED for row in data.units)
    possible = sum(row.state != "absent" for row in data.units)
    frames = sum(video.frames for video in data.each_video)
    seconds = sum(video.seconds for video in data.videos)
    cards = [
        Card(f"{done:,} of {possible:,}", "units finished", 100 * done / possible if possible else None),
        Card(f"{len(data.each_video):,}", "videos read"),
        Card(f"{len(data.failures):,}", "videos failed"),
        Card(f"{frames:,}", "frames"),
    ]
    if seconds:
        cards.append(Card(f"{frames / seconds:.1f}", "frames a second of one worker"))
        cards.append(Card(show_duration(seconds), "of worker time"))
    busy = union_seconds((run.began, run.last_sign) for run in data.runs if run.frames)
    if busy and (in_runs := sum(run.frames for run in data.runs)):
        cards.append(Card(f"{in_runs / busy:,.1f}", "frames a second, all workers"))
    return cards


def _detection(data: ReportData) -> list[Card]:
    if not data.videos:
        return []
    total = UnitRow(data.units[0].unit, "complete")
    for video in data.videos:
        total.add(video)
    cards = []
    for metric in metrics_of(data):
        is_of_wrists, share = metric.key == "wrists", metric.rate(total)
        label = "of wrists in the frame have a hand" if is_of_wrists else f"of frames with {metric.label.lower()}"
        cards.append(Card(show_percent(share), label, share))
    return cards


def _videos(data: ReportData) -> Videos | None:
    if not data.videos:
        return None
    charts = [video_lengths([video.frames for video in data.each_video])]
    if has_hands(data):
        charts.append(frames_without_hand(data))
    charts = [chart for chart in charts if sum(value > 0 for _, value in chart.bars) > 1]
    bad = [video.bad for video in data.each_video if video.bad]
    bad_frames = f"{counted(sum(bad), 'frame')} in {counted(len(bad), 'video')}" if bad else ""
    return Videos(charts, len(data.videos) <= MAX_VIDEOS, bad_frames)


def _settings(config: Config, data: ReportData) -> dict[str, list[tuple[str, str]]]:
    """Where the outputs come from, without a heading, and the settings that they were made with."""
    manifest = config.dataset.manifest
    told_by = config.dataset.layout if manifest is None else ", ".join(str(table) for _, table in manifest.tables)
    entries = [("Dataset", f"{config.dataset.root} ({told_by})"), ("Outputs", str(config.output.root))]
    entries = entries if data.named is None else []
    versions: dict[str, list[str]] = {}
    for (package, version), count in sorted(data.versions.items()):
        versions.setdefault(package, []).append(f"{version} ({counted(count, 'unit')})")
    entries += [(package, ", ".join(used)) for package, used in versions.items()]
    if data.hosts:
        hosts = [f"{host} ({count:,})" for host, count in data.hosts.most_common()]
        entries.append(("Hosts (units)", some_of(hosts, MAX_HOSTS)))
    groups = {"": entries}
    for digest, (settings, count) in data.settings.items():
        groups[f"Settings {digest} ({counted(count, 'unit')})"] = [
            (key, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
            for key, value in flatten(settings.tree()).items()
        ]
    return groups
