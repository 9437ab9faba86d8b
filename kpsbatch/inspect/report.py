"""The report: one HTML page that says what came out of a run, and what to look at."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from importlib.resources import files
from pathlib import Path
from statistics import median
from string import Template
from typing import Any

import cv2

import kpsbatch
from kpsbatch.config import Config
from kpsbatch.dataset.labels import Label
from kpsbatch.dataset.units import Unit
from kpsbatch.errors import KpsbatchError, OutputError
from kpsbatch.files import write_atomically
from kpsbatch.inspect.preview import clip_of_unit, drawn_frames, spread
from kpsbatch.inspect.report_data import (
    ReportData,
    UnitRow,
    VideoRow,
    failures_by_reason,
    histogram,
    pick_samples,
    ranked,
)
from kpsbatch.progress import show_duration
from kpsbatch.store.run_state import union_seconds
from kpsbatch.store.settings import differences, flatten
from kpsbatch.store.survey import FINISHED

Names = Mapping[int, Label]

MAX_VIDEOS = 2000
MAX_FAILURES = 2000
MAX_BAD_FRAMES = 1000
SAMPLE_FRAMES = 6
SAMPLE_SIDE = 224
JPEG_QUALITY = 82
BUCKETS = 60
PART_LABELS = {"pose": "Pose", "face": "Face", "right_hand": "Right hand", "left_hand": "Left hand"}
STATE_LABELS = {
    "complete": "complete",
    "partial": "partial",
    "failed": "failed",
    "foreign": "no record",
    "left": "left",
    "absent": "no video",
}
_SCALE = ("99% and more", "95%", "90%", "75%", "50%", "less")


def write_report(
    path: Path,
    config: Config,
    data: ReportData,
    *,
    config_path: Path | None = None,
    samples: int = 3,
    names: Names | None = None,
    on_sample: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the page.

    Args:
        path: Where to.
        config: The config.
        data: What `gather` found.
        config_path: The config's file, for commands that the page shows.
        samples: How many of the best, the median and the worst videos are drawn.
        names: The names of the signs.
        on_sample: Called with (samples drawn, samples in all).

    Returns:
        The page's size in bytes.

    Raises:
        OutputError: It can't be written.
    """
    page = render(config, data, config_path=config_path, samples=samples, names=names, on_sample=on_sample)
    content = page.encode("utf-8", "replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise OutputError(
            f"the report must be writable: {path}: {error.strerror or error}; choose another -o"
        ) from None
    return len(content)


def render(
    config: Config,
    data: ReportData,
    *,
    config_path: Path | None = None,
    samples: int = 3,
    names: Names | None = None,
    on_sample: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """The page as text; see `write_report`."""
    names = names or {}
    worst_first = ranked(data)
    command = config_path or Path("CONFIG")
    sections = [
        ("look", "Look here first", _findings(data, names)),
        ("progress", "Progress", _progress(data)),
        ("map", "Detection", _detection(data)),
        ("videos", "Videos", _videos(data)),
        ("samples", "Samples", _samples(config, command, pick_samples(worst_first, samples), names, on_sample)),
        ("failures", "Failures", _failures(data)),
        ("units", "Units", _host("units", "units", "Filter: 01 train sign=7 hand<90")),
        ("runs", "Runs", _host("runs", "runs", "Filter: failed") if data.runs else _quiet("No state files.")),
        ("settings", "Settings and versions", _settings(config, data)),
    ]
    sections = [section for section in sections if section[2]]
    title = f"Keypoints of {config.dataset.root.name}"
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    resources = files("kpsbatch.inspect")
    return Template(resources.joinpath("report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        version=escape(kpsbatch.__version__),
        subtitle=f"{escape(str(config.output.root))} as of {escape(now)}",
        css=resources.joinpath("report.css").read_text(encoding="utf-8"),
        js=resources.joinpath("report.js").read_text(encoding="utf-8"),
        nav="".join(f'<a href="#{key}">{escape(heading)}</a>' for key, heading, _ in sections),
        body="\n".join(
            f'<section id="{key}">\n<h2>{escape(heading)}</h2>\n{content}\n</section>'
            for key, heading, content in sections
        ),
        footer=f"Made by kpsbatch {escape(kpsbatch.__version__)}. This page is one file and loads nothing.",
        data=_embedded(_tables(config, data, worst_first, names)),
    )


def _embedded(tree: Any) -> str:
    """JSON that can stand in a script element, whatever the names in it hold."""
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _quiet(text: str) -> str:
    return f'<p class="quiet">{escape(text)}</p>'


def _host(table: str, what: str, hint: str) -> str:
    """Where the page's script builds a table."""
    return (
        f'<div data-table="{table}" data-what="{escape(what)}" data-hint="{escape(hint)}">'
        "<noscript>This table needs JavaScript.</noscript></div>"
    )


def _count(number: float, what: str, plural: str = "") -> str:
    return f"{number:,} {what if number == 1 else plural or what + 's'}"


def _percent(part: float, whole: float) -> float | None:
    """A share in percent, rounded so that only all is 100 and only none is 0."""
    if not whole:
        return None
    share = round(100 * part / whole, 1)
    return min(max(share, 0.1), 99.9) if 0 < part < whole else share


def _show_percent(part: float, whole: float) -> str:
    share = _percent(part, whole)
    return "–" if share is None else f"{share:.1f}%"


def _sign(sign: int, names: Names) -> str:
    """A sign with its names, as HTML."""
    name = names.get(sign, Label(sign, "", ""))
    words = [f"<bdi>{escape(name.english)}</bdi>"] if name.english else []
    words += [f'<bdi dir="rtl" lang="ar">{escape(name.arabic)}</bdi>'] if name.arabic else []
    return f"{sign}" + (f" ({' · '.join(words)})" if words else "")


def _unit(unit: Unit, names: Names) -> str:
    return f"{escape(unit.signer)} {escape(unit.split)} sign {_sign(unit.sign, names)}"


def _examples(units: Sequence[Unit], names: Names, most: int = 3) -> str:
    more = f" and {len(units) - most:,} more" if len(units) > most else ""
    return "; ".join(_unit(unit, names) for unit in units[:most]) + more


# --- what to look at -------------------------------------------------------------------------------------------


def _findings(data: ReportData, names: Names) -> str:
    """The list at the top: what is wrong, what is odd, each with where to see it."""
    labels = {"bad": "Wrong", "warn": "Look", "quiet": "Note", "good": "Good"}
    found = [*_broken(data, names), *_odd_units(data, names), *_odd_videos(data, names)]
    found.sort(key=lambda finding: list(labels).index(finding[0]))
    if not found:
        found = [("good", "Nothing stands out.")]
    items = "\n".join(
        f'<li><span class="tag {level}">{labels[level]}</span><span>{text}</span></li>' for level, text in found
    )
    return f'<ul class="findings">\n{items}\n</ul>'


def _of_state(data: ReportData, state: str) -> list[Unit]:
    return [row.unit for row in data.units if row.state == state]


def _broken(data: ReportData, names: Names) -> Iterable[tuple[str, str]]:
    if data.failures:
        reason, same = failures_by_reason(data.failures)[0]
        yield (
            "bad",
            f'<a href="#failures">{_count(len(data.failures), "video")} failed</a>, '
            f"{len(same):,} of them for: {escape(reason)}",
        )
    if foreign := _of_state(data, "foreign"):
        yield "bad", f"{_count(len(foreign), 'output')} without a readable record: {_examples(foreign, names)}"
    if data.unreadable_records:
        shown = escape(", ".join(data.unreadable_records[:3]))
        yield "bad", f"{_count(len(data.unreadable_records), 'record')} can't be read: {shown}"
    lost = [run for run in data.runs if run.is_lost() or run.state in ("failed", "interrupted")]
    left = _of_state(data, "left")
    if lost and left:
        error = next((run.error for run in reversed(lost) if run.error), "")
        why = f": {escape(error)}" if error else ""
        yield "warn", f'<a href="#runs">{_count(len(lost), "run")} failed, lost or interrupted</a>{why}'
    if left:
        yield "warn", f"{_count(len(left), 'unit')} left to do: {_examples(left, names)}"
    if absent := _of_state(data, "absent"):
        yield "quiet", f"{_count(len(absent), 'unit')} without a video in the dataset: {_examples(absent, names)}"
    for digest, what in data.other_settings.items():
        count = _count(data.settings[digest][1], "unit")
        yield "bad", f'<a href="#settings">{count} made with other settings than the config\'s</a>: {escape(what)}'
    if len(data.settings) > 1 + len(data.other_settings):
        (first, _), (second, _) = list(data.settings.values())[:2]
        what = "; ".join(differences(second, first)[:3])
        yield "bad", f'<a href="#settings">Outputs of {len(data.settings)} different settings</a>: {escape(what)}'


def _odd_units(data: ReportData, names: Names) -> Iterable[tuple[str, str]]:
    rows = [row for row in data.units if row.frames]
    parts = [part for part in data.parts if not part.endswith("hand")]
    measures: list[tuple[str, float, Callable[[UnitRow], float]]] = [
        (PART_LABELS[part].lower(), 0.9, lambda row, part=part: row.found[_place(part)] / row.frames)  # type: ignore[misc]
        for part in parts
    ]
    if _has_hands(data):
        measures.insert(0, ("any hand", 0.75, lambda row: 1 - row.no_hand / row.frames))
    for what, least, rate in measures:
        low = sorted((row for row in rows if rate(row) < least), key=rate)
        if low:
            yield (
                "warn",
                f'<a href="#map">{_count(len(low), "unit")} with {what} in less than {least:.0%} of frames</a>, '
                f"the least ({rate(low[0]):.0%}) in {_examples([row.unit for row in low], names)}",
            )


def _place(part: str) -> int:
    return list(PART_LABELS).index(part)


def _has_hands(data: ReportData) -> bool:
    return any(part.endswith("hand") for part in data.parts)


def _odd_videos(data: ReportData, names: Names) -> Iterable[tuple[str, str]]:
    if not data.videos:
        return
    if _has_hands(data) and (bare := [video for video in data.videos if video.no_hand == video.frames]):
        where = _examples(list(dict.fromkeys(video.unit for video in bare)), names)
        yield "warn", f'<a href="#videos">{_count(len(bare), "video")} without a hand in any frame</a>: {where}'
    if bad := [video for video in data.videos if video.bad]:
        total = sum(video.bad for video in bad)
        yield "warn", f'<a href="#bad-frames">{_count(total, "unreadable frame")}</a> in {_count(len(bad), "video")}'
    middle = median(video.frames for video in data.videos)
    for what, odd in (
        ("shorter than a quarter of", [video for video in data.videos if video.frames < middle / 4]),
        ("longer than four times", [video for video in data.videos if video.frames > middle * 4]),
    ):
        if odd:
            where = _examples(list(dict.fromkeys(video.unit for video in odd)), names)
            yield (
                "warn",
                f'<a href="#lengths">{_count(len(odd), "video")} {what} the median length</a> '
                f"({middle:g} frames): {where}",
            )


# --- progress --------------------------------------------------------------------------------------------------


def _card(value: str, label: str, share: float | None = None) -> str:
    meter = "" if share is None else f'<div class="meter"><i style="width:{share:.1f}%"></i></div>'
    return f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span>{meter}</div>'


def _cards(cards: Iterable[str]) -> str:
    return f'<div class="cards">{"".join(cards)}</div>'


def _progress(data: ReportData) -> str:
    done = sum(row.state in FINISHED for row in data.units)
    possible = sum(row.state != "absent" for row in data.units)
    frames = sum(video.frames for video in data.videos)
    seconds = sum(video.seconds for video in data.videos)
    cards = [
        _card(f"{done:,} of {possible:,}", "units finished", 100 * done / possible if possible else None),
        _card(f"{len(data.videos):,}", "videos read"),
        _card(f"{len(data.failures):,}", "videos failed"),
        _card(f"{frames:,}", "frames"),
    ]
    if seconds:
        cards.append(_card(f"{frames / seconds:.1f}", "frames a second of one worker"))
        cards.append(_card(show_duration(seconds), "of worker time"))
    busy = union_seconds((run.began, run.last_sign) for run in data.runs if run.frames)
    if busy and (in_runs := sum(run.frames for run in data.runs)):
        cards.append(_card(f"{in_runs / busy:,.1f}", "frames a second, all workers"))
    return _cards(cards) + _host("groups", "groups", "Filter: 01 train") + _throughput(data)


def _throughput(data: ReportData) -> str:
    """Frames over time, by when their units were stored."""
    rows = [row for row in data.units if row.finished and row.frames]
    if len(rows) < 3:
        return ""
    start, end = min(row.finished for row in rows), max(row.finished for row in rows)
    if end - start < 1:
        return ""
    width = (end - start) / BUCKETS
    sums = [0] * BUCKETS
    for row in rows:
        sums[min(BUCKETS - 1, int((row.finished - start) / width))] += row.frames
    bars = [
        (f"{_clock(start + place * width)}: {frames:,} frames, {frames / width:,.1f} a second", frames)
        for place, frames in enumerate(sums)
    ]
    return _chart("Frames over time, by when their units were stored", bars, (_clock(start), _clock(end)))


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _chart(heading: str, bars: Sequence[tuple[str, float]], axis: Sequence[str], note: str = "", key: str = "") -> str:
    """Bars with a text each, which shows under the pointer."""
    most = max((value for _, value in bars), default=0) or 1
    drawn = "".join(
        f'<i style="height:{max(100 * value / most, 1.5 if value else 0):.1f}%" title="{escape(text)}"></i>'
        for text, value in bars
    )
    ends = "".join(f"<span>{escape(text)}</span>" for text in axis)
    below = f'<p class="quiet small">{escape(note)}</p>' if note else ""
    anchor = f' id="{key}"' if key else ""
    return (
        f'<div class="chart"{anchor}><h3>{escape(heading)}</h3><div class="bars" role="img" '
        f'aria-label="{escape(heading)}">{drawn}</div><div class="axis">{ends}</div>{below}</div>'
    )


# --- detection -------------------------------------------------------------------------------------------------


def _metrics(data: ReportData) -> list[tuple[str, str, Callable[[UnitRow | VideoRow], float | None]]]:
    """Key, label and percentage of what the map and the tables show."""
    shown: list[tuple[str, str, Callable[[UnitRow | VideoRow], float | None]]] = []
    if _has_hands(data):
        shown.append(("hand", "Any hand", lambda row: _percent(row.frames - row.no_hand, row.frames)))
        shown.append(("wrists", "Wrists with hand", lambda row: _percent(row.wrists - row.bare_wrists, row.wrists)))
    keys = {"right_hand": "right", "left_hand": "left"}
    for part in sorted(data.parts, key=lambda part: not part.endswith("hand")):
        place = _place(part)
        shown.append(
            (keys.get(part, part), PART_LABELS[part], lambda row, at=place: _percent(row.found[at], row.frames))  # type: ignore[misc]
        )
    return shown


def _detection(data: ReportData) -> str:
    if not data.videos:
        return _quiet("No video was read yet.")
    total = UnitRow(data.units[0].unit, "complete")
    for video in data.videos:
        total.add(video)
    cards = []
    for key, label, rate in _metrics(data):
        what = "of wrists in the frame have a hand" if key == "wrists" else f"of frames with {label.lower()}"
        share = rate(total)
        cards.append(_card("–" if share is None else f"{share:.1f}%", what, share))
    scale = "".join(f'<span><i style="background:var(--r{step})"></i>{text}</span>' for step, text in enumerate(_SCALE))
    shares = "".join(
        f'<span><i style="background:var(--bar);opacity:{0.08 + 0.92 * share / 100:.2f}"></i>{share}%</span>'
        for share in (100, 75, 50, 25, 0)
    )
    return (
        _cards(cards) + '<div class="controls"><div class="choices" role="group" aria-label="What the map shows"></div>'
        '</div><div class="canvas"></div>'
        f'<div class="scale"><span data-scale="percent">{scale}</span><span data-scale="share" hidden>{shares}</span>'
        '<span><i style="background:var(--left)"></i>not done</span>'
        '<span><i style="background:var(--failed)"></i>failed</span></div>'
        '<p id="map-note" class="quiet">Each square is a sign of a signer and split. '
        "Point at one to read it, press it to see its row in the table of units.</p>"
    )


# --- videos ----------------------------------------------------------------------------------------------------


def _videos(data: ReportData) -> str:
    if not data.videos:
        return ""
    lengths = [video.frames for video in data.videos]
    bins = histogram(lengths, 40)
    bars = [
        (
            f"{low:g} frames: {count:,} videos"
            if high - low == 1
            else f"{low:g} to {high - 1:g} frames: {count:,} videos",
            count,
        )
        for low, high, count in bins
    ]
    charts = [
        _chart(
            "Video lengths",
            bars,
            (f"{min(lengths):,}", "frames", f"{max(lengths):,}"),
            f"Shortest {min(lengths):,}, median {median(lengths):g}, longest {max(lengths):,} frames.",
            "lengths",
        )
    ]
    if _has_hands(data):
        frames, without = sum(lengths), sum(video.no_hand for video in data.videos)
        charts.append(
            _chart(
                "Frames without a hand, by video",
                _share_bars([video.no_hand / video.frames for video in data.videos]),
                ("0%", "of a video's frames", "100%"),
                f"{without:,} of {frames:,} frames ({_show_percent(without, frames)}) show no hand.",
            )
        )
    bad = [video for video in data.videos if video.bad]
    text = f'<div class="charts">{"".join(charts)}</div>'
    kept = min(len(data.videos), MAX_VIDEOS)
    text += "<h3>Every video, the worst first</h3>" if kept == len(data.videos) else "<h3>The worst videos</h3>"
    text += _host("videos", "videos", "Filter: a name, 01 train, hand<50, bad>0")
    text += '<h3 id="bad-frames">Unreadable frames</h3>'
    if not bad:
        return text + _quiet("None.")
    total = sum(video.bad for video in bad)
    text += f"<p>{_count(total, 'frame')} in {_count(len(bad), 'video')} could not be read; their rows are zeros. "
    text += "Up to five of each video are listed.</p>"
    return text + _host("bad", "frames", "Filter: a name, truncated")


def _share_bars(shares: Sequence[float], bins: int = 20) -> list[tuple[str, float]]:
    """How many videos have which share, exact zeros apart."""
    counts = [0] * (bins + 1)
    for share in shares:
        counts[0 if share == 0 else min(bins, int(share * bins) + 1)] += 1
    texts = ["0%", *(f"{100 * place // bins}% to {100 * (place + 1) // bins}%" for place in range(bins))]
    return [(f"{text}: {count:,} videos", count) for text, count in zip(texts, counts, strict=True)]


# --- samples ---------------------------------------------------------------------------------------------------


def _samples(
    config: Config,
    config_path: Path,
    chosen: Mapping[str, Sequence[VideoRow]],
    names: Names,
    on_sample: Callable[[int, int], None],
) -> str:
    total = sum(map(len, chosen.values()))
    if not total:
        return ""
    parts = ["<p>Rated by what was found least of pose, face and any hand.</p>"]
    done = 0
    for title, kind in (("Worst", "worst"), ("Median", "median"), ("Best", "best")):
        if not chosen[kind]:
            continue
        parts.append(f'<h3>{title}</h3><div class="samples">')
        for video in chosen[kind]:
            parts.append(_sample(config, config_path, video, names))
            done += 1
            on_sample(done, total)
        parts.append("</div>")
    return "".join(parts)


def _sample(config: Config, config_path: Path, video: VideoRow, names: Names) -> str:
    """A few frames of one video; on an empty canvas where its frames are not there."""
    unit = video.unit
    rates = f"{_show_percent(video.frames - video.no_hand, video.frames)} any hand"
    rates += "".join(f", {_show_percent(video.rate(part), 1)} {part}" for part in ("face", "pose"))
    caption = (
        f"<b>{_unit(unit, names)}</b> <bdi>{escape(video.name)}</bdi><br>"
        f'<span class="quiet">{_count(video.frames, "frame")}: {rates}</span>'
    )
    try:
        try:
            images = _drawn(config, unit, video.name, blank=False)
        except KpsbatchError as error:
            images = _drawn(config, unit, video.name, blank=True)
            caption += f'<br><span class="warn">Drawn without its frames: {escape(str(error))}</span>'
    except KpsbatchError as error:
        return f'<figure><figcaption>{caption}<br><span class="bad">{escape(str(error))}</span></figcaption></figure>'
    strip = "".join(
        f'<img src="data:image/jpeg;base64,{image}" alt="Frame {number} with its keypoints">'
        for number, image in images
    )
    where = {"signer": unit.signer, "split": unit.split, "sign": unit.sign, "video": video.name}
    options = " ".join(f"--{option} {shlex.quote(str(value))}" for option, value in where.items())
    command = f"python -m kpsbatch preview {shlex.quote(str(config_path))} {options} -o video.mp4"
    return (
        f'<figure><figcaption>{caption}</figcaption><div class="strip">{strip}</div>'
        f'<details class="small"><summary class="quiet">As a video</summary><code>{escape(command)}</code></details>'
        "</figure>"
    )


def _drawn(config: Config, unit: Unit, video: str, *, blank: bool) -> list[tuple[int, str]]:
    """(number, base64 of a JPEG) of a few frames."""
    clip = clip_of_unit(config, unit, video, blank=blank)
    images: list[tuple[int, str]] = []
    for drawn in drawn_frames(clip, SAMPLE_SIDE, spread(len(clip.keypoints), SAMPLE_FRAMES)):
        bgr = cv2.cvtColor(drawn.image, cv2.COLOR_RGB2BGR)
        data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        images.append((drawn.number, base64.b64encode(data).decode()))
    return images


# --- failures and settings -------------------------------------------------------------------------------------


def _failures(data: ReportData) -> str:
    if not data.failures and not data.odd:
        return _quiet("No video failed.")
    parts = []
    if data.failures:
        parts.append("<p>By reason:</p><ul>")
        for reason, same in failures_by_reason(data.failures)[:30]:
            parts.append(f"<li><b>{len(same):,}</b> {escape(reason)}</li>")
        parts.append("</ul>" + _host("failures", "failures", "Filter: a name, 01 train, truncated"))
        parts.append("<p>Mend the data, then run again with <code>--retry-failed</code>.</p>")
    else:
        parts.append(_quiet("No video failed."))
    if data.odd:
        odd = ", ".join(f"{count:,} × {what}" for what, count in data.odd.most_common(10))
        parts.append(f'<p class="quiet">Passed over in the dataset: {escape(odd)}.</p>')
    return "".join(parts)


def _settings(config: Config, data: ReportData) -> str:
    parts = ["<dl>"]
    parts += _entry("Dataset", f"{config.dataset.root} ({config.dataset.layout})")
    parts += _entry("Outputs", str(config.output.root))
    versions: dict[str, list[str]] = {}
    for (package, version), count in sorted(data.versions.items()):
        versions.setdefault(package, []).append(f"{version} ({_count(count, 'unit')})")
    for package, used in versions.items():
        parts += _entry(package, ", ".join(used))
    if data.hosts:
        hosts = ", ".join(f"{host} ({count:,})" for host, count in data.hosts.most_common(20))
        more = f", and {len(data.hosts) - 20:,} more" if len(data.hosts) > 20 else ""
        parts += _entry("Hosts (units)", hosts + more)
    parts.append("</dl>")
    for digest, (settings, count) in data.settings.items():
        parts.append(f"<h3>Settings {escape(digest)} ({_count(count, 'unit')})</h3><dl>")
        for key, value in flatten(settings.tree()).items():
            parts += _entry(key, _shown(value))
        parts.append("</dl>")
    return "".join(parts)


def _entry(term: str, text: str) -> list[str]:
    return [f"<dt>{escape(term)}</dt><dd><code>{escape(text)}</code></dd>"]


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# --- what the page's script gets -------------------------------------------------------------------------------


def _column(key: str, label: str, kind: str, *, down: bool = False) -> dict[str, Any]:
    """A column: its key in filters, its heading, its kind, and whether the first press sorts downwards."""
    return {"key": key, "label": label, "kind": kind, **({"down": True} if down else {})}


def _kind(metric: str) -> str:
    """A low rate of one hand is nothing to worry about: many signs take one hand only."""
    return "share" if metric in ("right", "left") else "percent"


_WHERE = [_column("sign", "Sign", "sign"), _column("signer", "Signer", "word"), _column("split", "Split", "word")]


def _where(unit: Unit) -> list[Any]:
    return [unit.sign, unit.signer, unit.split]


def _tables(config: Config, data: ReportData, worst_first: Sequence[VideoRow], names: Names) -> dict[str, Any]:
    """The rows of all tables and of the map. Rates are percentages, null where there is nothing to divide by."""
    metrics = _metrics(data)
    rate_columns = [
        _column(key, label.split()[0] if key != "hand" else "Hand", _kind(key)) for key, label, _ in metrics
    ]
    tables = {
        "groups": _groups(config, data),
        "units": {
            "columns": [
                *_WHERE,
                _column("state", "State", "word"),
                _column("videos", "Videos", "number", down=True),
                _column("failed", "Failed", "number", down=True),
                _column("frames", "Frames", "number", down=True),
                _column("bad", "Bad", "number", down=True),
                *rate_columns,
            ],
            "rows": [
                [*_where(row.unit), STATE_LABELS[row.state], row.videos, row.failed, row.frames, row.bad]
                + [rate(row) for _, _, rate in metrics]
                for row in data.units
            ],
        },
        "videos": {
            "columns": [
                *_WHERE,
                _column("video", "Video", "text"),
                _column("frames", "Frames", "number", down=True),
                _column("bad", "Bad", "number", down=True),
                *rate_columns,
            ],
            "rows": [
                [*_where(video.unit), video.name, video.frames, video.bad] + [rate(video) for _, _, rate in metrics]
                for video in worst_first[:MAX_VIDEOS]
            ],
            "note": f"the worst of {len(worst_first):,}" if len(worst_first) > MAX_VIDEOS else "",
        },
        "failures": {
            "columns": [*_WHERE, _column("video", "Video", "text"), _column("reason", "Reason", "text")],
            "rows": [[*_where(one.unit), one.name, one.error[:500]] for one in data.failures[:MAX_FAILURES]],
            "note": f"the first of {len(data.failures):,}" if len(data.failures) > MAX_FAILURES else "",
        },
        "bad": {
            "columns": [
                *_WHERE,
                _column("video", "Video", "text"),
                _column("frame", "Frame", "text"),
                _column("problem", "Problem", "text"),
            ],
            "rows": [
                [*_where(unit), video, frame, problem[:300]]
                for unit, video, frame, problem in data.bad_examples[:MAX_BAD_FRAMES]
            ],
        },
        "runs": _runs(data),
    }
    return {
        "signs": list(config.dataset.signs),
        "lines": [[signer, split] for signer in config.dataset.signers for split in config.dataset.splits],
        "names": {sign: [names[sign].english, names[sign].arabic] for sign in config.dataset.signs if sign in names},
        "metrics": [{"key": key, "label": label, "kind": _kind(key)} for key, label, _ in metrics],
        "tables": tables,
    }


def _groups(config: Config, data: ReportData) -> dict[str, Any]:
    """Signers by splits."""
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for row in data.units:
        group = rows.setdefault((row.unit.signer, row.unit.split), dict.fromkeys(("done", *_GROUP_COUNTS), 0))
        group["done"] += row.state in FINISHED
        for state in ("left", "failed", "absent"):
            group[state] += row.state == state
        group["videos"] += row.videos - row.failed
        group["failed_videos"] += row.failed
        group["frames"] += row.frames
        group["bad"] += row.bad
    columns = [_column("signer", "Signer", "word"), _column("split", "Split", "word")]
    columns += [
        _column("done", "Units finished", "number"),
        *(_column(key, label, "number") for key, label in _GROUP_COUNTS.items()),
    ]
    return {"columns": columns, "rows": [[*key, *group.values()] for key, group in rows.items()]}


_GROUP_COUNTS = {
    "left": "Left",
    "failed": "Failed",
    "absent": "No video",
    "videos": "Videos",
    "failed_videos": "Failed videos",
    "frames": "Frames",
    "bad": "Bad frames",
}


def _runs(data: ReportData) -> dict[str, Any]:
    """The runs, the newest first."""
    columns = [
        _column("run", "Run", "text"),
        _column("state", "State", "word"),
        _column("host", "Host", "word"),
        _column("started", "Started (UTC)", "word", down=True),
        _column("minutes", "Minutes", "number", down=True),
        _column("units", "Units", "number", down=True),
        _column("videos", "Videos", "number", down=True),
        _column("failed", "Failed", "number", down=True),
        _column("rate", "Frames/s", "number", down=True),
        _column("error", "Error", "text"),
    ]
    rows = [
        [
            run.run,
            "lost" if run.is_lost() else run.state,
            run.host,
            _clock(run.began).removesuffix(" UTC"),
            round(run.seconds / 60, 1),
            run.units_done,
            run.videos_done,
            run.videos_failed,
            round(run.frames / run.seconds, 1) if run.seconds else None,
            run.error,
        ]
        for run in reversed(data.runs)
    ]
    return {"columns": columns, "rows": rows}
