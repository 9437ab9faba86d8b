"""What a report shows, gathered from records, state files and listings; no npz and no frame is opened."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from kpsbatch.config import Config
from kpsbatch.dataset.layout import may_have_video
from kpsbatch.dataset.units import Unit, units_of
from kpsbatch.errors import OutputError
from kpsbatch.landmarks.topology import Topology
from kpsbatch.store.fingerprint import differences_of, settings_of
from kpsbatch.store.json_files import read_json
from kpsbatch.store.outputs import INTERNAL, RECORD_SUFFIXES
from kpsbatch.store.run_state import is_lost, read_runs

PARTS = tuple(Topology.PARTS)
READERS = 8


class VideoRow(NamedTuple):
    """One video that succeeded.

    Attributes:
        unit: Its unit.
        name: Its name.
        frames: How many it has.
        bad: Of these, unreadable.
        found: Frames with pose, face, right hand, left hand.
        no_hand: Frames without any hand, unreadable ones included.
        wrists: Pose wrists inside the frame.
        bare_wrists: Of these, without a hand.
        seconds: Of one worker.
    """

    unit: Unit
    name: str
    frames: int
    bad: int
    found: tuple[int, ...]
    no_hand: int
    wrists: int
    bare_wrists: int
    seconds: float

    @property
    def hand_rate(self) -> float:
        """Share of frames with at least one hand."""
        return 1 - self.no_hand / self.frames

    def rate(self, part: str) -> float:
        """Share of frames with a part."""
        return self.found[PARTS.index(part)] / self.frames


class Failure(NamedTuple):
    """One video that failed."""

    unit: Unit
    name: str
    error: str


@dataclass
class UnitRow:
    """One unit and the sums over its videos; see `VideoRow` for the counts.

    Its state is what its record tells (one of `outputs.STATES`: it is finished), or foreign: an output without a
    record; left: not done yet; absent: no video in the dataset.
    """

    unit: Unit
    state: str
    videos: int = 0
    failed: int = 0
    frames: int = 0
    bad: int = 0
    found: list[int] = field(default_factory=lambda: [0] * len(PARTS))
    no_hand: int = 0
    wrists: int = 0
    bare_wrists: int = 0
    seconds: float = 0.0
    host: str = ""
    finished: float = 0.0

    def add(self, video: VideoRow) -> None:
        """Count a video in."""
        self.frames += video.frames
        self.bad += video.bad
        self.found = [mine + its for mine, its in zip(self.found, video.found, strict=True)]
        self.no_hand += video.no_hand
        self.wrists += video.wrists
        self.bare_wrists += video.bare_wrists
        self.seconds += video.seconds


@dataclass
class ReportData:
    """Everything that a report shows.

    Attributes:
        units: One row for every unit of the config, in its order.
        videos: The videos that succeeded.
        failures: Those that failed.
        bad_examples: (unit, video, frame, problem) of unreadable frames, a few of each video.
        runs: State files, the oldest first, each with `lost` added.
        settings: By fingerprint: the settings, and how many units have them.
        other_settings: By fingerprint: how they differ from the config's, which a run would refuse.
        versions: How many units were made with which version of what.
        hosts: How many units each host made.
        odd: Entries of the dataset that are no videos, by what is odd about them.
        unreadable_records: Records that can't be read.
    """

    units: list[UnitRow]
    videos: list[VideoRow] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    bad_examples: list[tuple[Unit, str, str, str]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)
    other_settings: dict[str, str] = field(default_factory=dict)
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    unreadable_records: list[str] = field(default_factory=list)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that were computed."""
        wanted = {part for settings, _ in self.settings.values() for part in settings["landmarks"]["parts"]}
        shown = tuple(part for part in PARTS if ("hands" if part.endswith("hand") else part) in wanted)
        return shown or PARTS


def gather(config: Config, on_unit: Callable[[int, int], None] = lambda done, total: None) -> ReportData:
    """Read the records and state files of a config's output folder.

    Args:
        config: The config.
        on_unit: Called with (units read, units in all).

    Raises:
        OutputError: There is no output folder yet, or it can't be listed.
    """
    root = config.output.root
    if not root.is_dir():
        raise OutputError(f"a report needs outputs: {root} does not exist; run the config first")
    units = units_of(config.dataset)
    found = _find_records(root, {unit.folder for unit in units})
    npz = {folder: _names(root / folder) for folder in {unit.folder for unit in units}}
    data = ReportData([], runs=_runs(root))
    fingerprints: Counter[str] = Counter()
    with ThreadPoolExecutor(READERS) as readers:  # a network file system answers many requests at once
        records = readers.map(lambda unit: _load(found.get(unit.name)), units)
        for done, (unit, record) in enumerate(zip(units, records, strict=True), 1):
            stored = f"{unit.sign:04}.npz" in npz[unit.folder]
            row = UnitRow(unit, "foreign" if stored else "left")
            data.units.append(row)
            if unit.name in found:
                path, state = found[unit.name]
                if record is None or not _add(data, row, record):
                    data.unreadable_records.append(str(path.relative_to(root)))
                elif stored or state == "failed":
                    row.state = state
                    fingerprints[path.parents[1].name] += 1
            on_unit(done, len(units))
    if config.dataset.root.is_dir():
        for row in data.units:
            if row.state == "left" and not may_have_video(config.dataset, row.unit):
                row.state = "absent"
    ours = settings_of(config)
    for digest, count in fingerprints.most_common():
        settings = read_json(root / INTERNAL / "records" / digest / "settings.json") or {}
        if what := differences_of(settings, ours):
            data.other_settings[digest] = "; ".join(what[:3])
        settings.setdefault("landmarks", {}).setdefault("parts", ["pose", "face", "hands"])
        data.settings[digest] = (settings, count)
    return data


def _find_records(root: Path, folders: Iterable[str]) -> dict[str, tuple[Path, str]]:
    """The record of every unit that has one, and the state that its name says; the newest where there are two."""
    found: dict[str, tuple[Path, str]] = {}
    times: dict[str, float] = {}
    for records in sorted((root / INTERNAL / "records").glob("*/")):
        for folder in folders:
            for name in _names(records / folder):
                suffix = next((suffix for suffix in RECORD_SUFFIXES if name.endswith(suffix)), "")
                if not suffix or name.startswith("."):
                    continue
                unit, path = f"{folder}/{name.removesuffix(suffix)}", records / folder / name
                if unit in found:
                    for older in (found[unit][0], path):
                        times.setdefault(str(older), _modified(older))
                    if times[str(found[unit][0])] >= times[str(path)]:
                        continue
                found[unit] = path, RECORD_SUFFIXES[suffix]
    return found


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise OutputError(f"the output folder must be readable: {folder}: {error.strerror}") from None


def _load(found: tuple[Path, str] | None) -> dict[str, Any] | None:
    return None if found is None else read_json(found[0])


def _add(data: ReportData, row: UnitRow, record: Mapping[str, Any]) -> bool:
    """Count a record in; False, and nothing counted, where it is no record."""
    try:
        videos = [_video(row.unit, name, entry) for name, entry in record["videos"].items() if "error" not in entry]
        failures = [
            Failure(row.unit, name, str(entry["error"])) for name, entry in record["videos"].items() if "error" in entry
        ]
        bad = [
            (row.unit, name, str(example["frame"]), str(example["problem"]))
            for name, entry in record["videos"].items()
            for example in entry.get("bad_examples", ())
        ]
        finished = datetime.fromisoformat(record["finished"]).timestamp()
        host, versions, odd = str(record["host"]), dict(record["versions"]), dict(record["odd_entries"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    for video in videos:
        row.add(video)
    row.videos, row.failed = len(videos) + len(failures), len(failures)
    row.host, row.finished = host, finished
    data.videos += videos
    data.failures += failures
    data.bad_examples += bad
    data.hosts[host] += 1
    data.versions.update((str(name), str(version)) for name, version in versions.items())
    data.odd.update(str(problem) for problem in odd.values())
    return True


def _video(unit: Unit, name: str, entry: Mapping[str, Any]) -> VideoRow:
    frames, hands = int(entry["frames"]), entry["hands"]
    if frames < 1:
        raise ValueError("a video must have a frame")
    return VideoRow(
        unit,
        name,
        frames,
        int(entry["bad_frames"]),
        tuple(int(entry["found"][part]) for part in PARTS),
        frames - int(hands["both"]) - int(hands["one"]),
        int(hands["wrists"]),
        int(hands["wrists_without_hand"]),
        float(entry["seconds"]["total"]),
    )


def _runs(root: Path) -> list[dict[str, Any]]:
    """State files with everything that a report shows of them; others are passed over."""
    runs: list[dict[str, Any]] = []
    for run in read_runs(root):
        try:
            started = datetime.fromisoformat(run["started"]).timestamp()
            seconds = datetime.fromisoformat(run["updated"]).timestamp() - started
            counts = {key: int(run[key]) for key in ("units", "units_done", "videos_done", "videos_failed", "frames")}
            runs.append({**run, **counts, "began": started, "seconds": max(0.0, seconds), "lost": is_lost(run)})
        except (KeyError, TypeError, ValueError):
            continue
    return sorted(runs, key=lambda run: float(run["began"]))


def score(video: VideoRow, parts: Sequence[str] = PARTS) -> tuple[float, float]:
    """How well a video was read: the rate of what was found least of pose, face and any hand; then their sum."""
    rates = [video.rate(part) for part in parts if not part.endswith("hand")]
    if any(part.endswith("hand") for part in parts):
        rates.append(video.hand_rate)
    return (min(rates), sum(rates)) if rates else (0.0, 0.0)


def ranked(data: ReportData) -> list[VideoRow]:
    """The videos, the worst first; among equals the longest."""
    parts = data.parts
    return sorted(data.videos, key=lambda video: (score(video, parts), -video.frames, video.unit, video.name))


def pick_samples(worst_first: Sequence[VideoRow], count: int) -> dict[str, list[VideoRow]]:
    """The worst, the median and the best videos; different units as far as there are enough, none twice."""
    taken: set[VideoRow] = set()

    def pick(order: Iterable[VideoRow]) -> list[VideoRow]:
        chosen: list[VideoRow] = []
        spare: list[VideoRow] = []
        units: set[Unit] = set()
        for video in order:
            if len(chosen) == count:
                break
            if video in taken:
                continue
            if video.unit in units:
                spare.append(video)
                continue
            units.add(video.unit)
            chosen.append(video)
        chosen += spare[: count - len(chosen)]
        taken.update(chosen)
        return chosen

    middle = len(worst_first) // 2
    around = sorted(range(len(worst_first)), key=lambda place: abs(place - middle))
    return {
        "worst": pick(worst_first),
        "best": pick(reversed(worst_first)),
        "median": pick(worst_first[place] for place in around),
    }


def reason_of(error: str) -> str:
    """What errors of one kind have in common: an error's text without its names, paths and numbers."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "…", error)
    text = re.sub(r"; the first: .*", "", text)
    text = re.sub(r"(?<![\w/])/[^:;,]*", "…", text)
    text = re.sub(r"\b[0-9]+(?:[.,][0-9]+)*", "N", text)
    return " ".join(text.split())


def failures_by_reason(failures: Iterable[Failure]) -> list[tuple[str, list[Failure]]]:
    """Failures of one kind together, the most frequent first."""
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(reason_of(failure.error), []).append(failure)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def histogram(values: Sequence[float], bins: int) -> list[tuple[float, float, int]]:
    """(from, to, count) of at most `bins` bins of one round width, from the least to the greatest value."""
    if not values:
        return []
    low, high = min(values), max(values)
    step = next(
        step for power in range(-3, 9) for factor in (1, 2, 5) if (high - low) / (step := factor * 10**power) < bins - 1
    )
    step = max(step, 1) if all(float(value).is_integer() for value in values) else step
    first = int(low // step)
    counts = Counter(int(value // step) - first for value in values)
    return [((first + place) * step, (first + place + 1) * step, counts[place]) for place in range(max(counts) + 1)]
