"""Where a whole job stands, from names of files, state files and the records of failures.

No scheduler is asked, no model is looked for, no npz is opened. Which records count is told by the `settings.json`
beside them: those whose settings are the config's. The mediapipe version and the models are not known without
looking for models, so of several that fit, the one that was written to last counts, and a note says so.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kpsbatch.config import Config, DatasetConfig, format_signs
from kpsbatch.dataset.labels import Label, labels_of
from kpsbatch.dataset.layout import may_have_video, unit_folder
from kpsbatch.dataset.units import Unit, units_of
from kpsbatch.inspect.logs import TaskLog, task_logs
from kpsbatch.store.fingerprint import UNKNOWN, Fingerprint, differences_of, installed_version, settings_of
from kpsbatch.store.json_files import read_json
from kpsbatch.store.outputs import INTERNAL, Outputs, State, records_of, settings_of_record
from kpsbatch.store.run_state import is_lost, union_seconds

JSON_VERSION = 1
MAX_RECORDS = 200
MAX_REASONS = 5
MAX_SLOWEST = 5

OnUnit = Callable[[int, int], None]


@dataclass
class Group:
    """The units of one signer and split, counted; `left` and `left_signs` are what a run would do next.

    Attributes:
        signer, split: Whose units.
        units: Units of the config.
        complete, partial, failed: Finished: all videos are in, some failed, all failed.
        other: Outputs that were made with other settings; a run refuses them.
        absent, empty: Units without a folder in the dataset, and without a video.
        left: Units to do.
        left_signs: Their signs, such as `1-3,7`.
    """

    signer: str
    split: str
    units: int = 0
    complete: int = 0
    partial: int = 0
    failed: int = 0
    other: int = 0
    absent: int = 0
    empty: int = 0
    left: int = 0
    left_signs: str = ""

    @property
    def finished(self) -> int:
        """Units that a run would pass over."""
        return self.complete + self.partial + self.failed


@dataclass(frozen=True)
class Task:
    """A task of the newest submission, or a run by itself.

    Attributes:
        name: The shard of a submission, or the run.
        state: waiting, starting, running, lost, finished, interrupted or failed.
        job, node, log: Where it runs or ran, "" where that is not known.
        units, units_done, videos, videos_done, videos_failed, frames: Its counts.
        seconds: From its start to its last sign of life.
        silent: Seconds since its last sign of life.
        unit: The unit that it stored last.
        error: Why it failed.
    """

    name: str
    state: str
    job: str = ""
    node: str = ""
    log: str = ""
    units: int = 0
    units_done: int = 0
    videos: int = 0
    videos_done: int = 0
    videos_failed: int = 0
    frames: int = 0
    seconds: float = 0.0
    silent: float = 0.0
    unit: str = ""
    error: str = ""

    @property
    def videos_per_second(self) -> float:
        """Its rate since it started."""
        return self.videos_done / self.seconds if self.seconds else 0.0

    @property
    def frames_per_second(self) -> float:
        """Its rate since it started."""
        return self.frames / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Rate:
    """Videos and frames a second."""

    videos: float = 0.0
    frames: float = 0.0


@dataclass(frozen=True)
class Failing:
    """A unit of which videos failed, with (video, reason) of the first of them."""

    unit: str
    state: str
    label: str
    failed: int
    videos: list[tuple[str, str]]


@dataclass
class Status:
    """Everything that `status` shows.

    Attributes:
        output: The output folder.
        fingerprint: Which records count, "" before the first run.
        groups: By signer and split.
        tasks: Tasks of the newest submission, and runs by themselves.
        now: Rate of what runs now.
        average: Rate over the time in which any of the tasks ran.
        videos_left: An estimate from the tasks' counts, None where there are none yet.
        seconds_to_go: At the rate of now; None when nothing runs, or nothing is known yet.
        slowest: (unit, seconds of work, label), slowest first, among the units that the tasks did.
        failing: Units of which videos failed, those that failed entirely first.
        failing_unread: How many more there are whose records were not read.
        notes: What else a person should know.
        moment: When this was so, in seconds since 1970.
    """

    output: Path
    fingerprint: str
    groups: list[Group]
    tasks: list[Task] = field(default_factory=list)
    now: Rate = Rate()
    average: Rate = Rate()
    videos_left: int | None = None
    seconds_to_go: float | None = None
    slowest: list[tuple[str, float, str]] = field(default_factory=list)
    failing: list[Failing] = field(default_factory=list)
    failing_unread: int = 0
    notes: list[str] = field(default_factory=list)
    moment: float = field(default_factory=time.time)

    def count(self, what: str) -> int:
        """The sum of an attribute of the groups, such as `left`."""
        return sum(getattr(group, what) for group in self.groups)

    @property
    def to_do(self) -> int:
        """Units that have videos, as far as that is known."""
        return self.count("units") - self.count("absent") - self.count("empty")

    @property
    def task_states(self) -> Counter[str]:
        """How many tasks are in which state."""
        return Counter(task.state for task in self.tasks)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left and nothing runs."""
        return not self.count("left") and not self.task_states["running"]

    def as_json(self) -> dict[str, Any]:
        """The form that docs/status.md describes; keys are only ever added."""
        names = ("units", "complete", "partial", "failed", "other", "absent", "empty", "left")
        return {
            "version": JSON_VERSION,
            "time": datetime.fromtimestamp(self.moment, timezone.utc).isoformat(timespec="seconds"),
            "output": str(self.output),
            "fingerprint": self.fingerprint or None,
            "all": {name: self.count(name) for name in names},
            "groups": [vars(group) for group in self.groups],
            "tasks": [{**vars(task), "videos_per_second": _short(task.videos_per_second)} for task in self.tasks],
            "rate": {
                "videos_per_second": _short(self.now.videos),
                "frames_per_second": _short(self.now.frames),
                "average_videos_per_second": _short(self.average.videos),
                "average_frames_per_second": _short(self.average.frames),
            },
            "videos_left": self.videos_left,
            "seconds_to_go": None if self.seconds_to_go is None else round(self.seconds_to_go),
            "slowest": [{"unit": unit, "seconds": seconds, "label": label} for unit, seconds, label in self.slowest],
            "failing": [
                {
                    "unit": unit.unit,
                    "state": unit.state,
                    "label": unit.label,
                    "failed": unit.failed,
                    "videos": [{"video": video, "reason": reason} for video, reason in unit.videos],
                }
                for unit in self.failing
            ],
            "failing_unread": self.failing_unread,
            "notes": self.notes,
        }


def _short(number: float) -> float:
    return round(number, 3)


class StatusReader:
    """Reads the status of a config again and again; remembers which units have videos.

        StatusReader(config).read().count("left")

    Raises:
        ConfigError: The labels file can't be used.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._units = units_of(config.dataset)
        self._labels: Mapping[int, Label] = labels_of(config.dataset.labels)
        self._with_video: set[Unit] = set()

    def read(self, on_unit: OnUnit = lambda done, total: None) -> Status:
        """Look at the files.

        Args:
            on_unit: Told (units looked for in the dataset, units to look for).

        Raises:
            OutputError: The output folder can't be listed.
            SubmitError: The newest submission's plan is damaged.
        """
        root = self._config.output.root
        found, notes = find_settings(self._config)
        outputs = Outputs(root, found)
        states = outputs.states(self._units, sweep=False)
        absent, empty = self._without_video([unit for unit in self._units if unit not in states], on_unit, notes)
        status = Status(root, found.digest, self._groups(states, absent, empty), notes=notes)
        if other := [unit for unit, state in states.items() if state == "foreign"]:
            notes.append(_describe_other(outputs, other))
        status.failing, status.failing_unread = self._failing(outputs, states)
        logs = _without_superseded(task_logs(root))
        status.tasks = [_task(log, status.moment) for log in logs]
        status.slowest = self._slowest(log.run for log in logs if log.run is not None)
        _estimate(status, [log.run for log in logs if log.run is not None])
        return status

    def _label(self, sign: int) -> str:
        label = self._labels.get(sign)
        return label.text if label else ""

    def _without_video(self, units: Sequence[Unit], on_unit: OnUnit, notes: list[str]) -> tuple[set[Unit], set[Unit]]:
        """The units without a folder, and those without a video; none where the dataset is not here."""
        dataset = self._config.dataset
        if units and not dataset.root.is_dir():
            notes.append(f"the dataset is not here ({dataset.root}): units without videos count as left")
            return set(), set()
        absent: set[Unit] = set()
        empty: set[Unit] = set()
        names: dict[Path, Collection[str]] = {}
        for done, unit in enumerate(units):
            on_unit(done, len(units))
            if unit in self._with_video:
                continue
            folder = unit_folder(dataset, unit)
            if folder.parent not in names:
                names[folder.parent] = _listed(folder.parent)
            if folder.name not in names[folder.parent]:
                absent.add(unit)
            elif may_have_video(dataset, unit):  # a run tries those again
                self._with_video.add(unit)
            else:
                empty.add(unit)
        return absent, empty

    def _groups(self, states: Mapping[Unit, State], absent: set[Unit], empty: set[Unit]) -> list[Group]:
        dataset: DatasetConfig = self._config.dataset
        groups = {(signer, split): Group(signer, split) for signer in dataset.signers for split in dataset.splits}
        left: dict[tuple[str, str], list[int]] = {}
        for unit in self._units:
            group = groups[unit.signer, unit.split]
            state = states.get(unit)
            what = "absent" if unit in absent else "empty" if unit in empty else "left"
            if state is not None:
                what = "other" if state == "foreign" else state
            group.units += 1
            setattr(group, what, getattr(group, what) + 1)
            if what == "left":
                left.setdefault((unit.signer, unit.split), []).append(unit.sign)
        for key, signs in left.items():
            groups[key].left_signs = format_signs(signs)
        return list(groups.values())

    def _failing(self, outputs: Outputs, states: Mapping[Unit, State]) -> tuple[list[Failing], int]:
        """Units with failed videos, from their records; at most `MAX_RECORDS` are read."""
        units = sorted((state, unit) for unit, state in states.items() if state in ("failed", "partial"))
        failing: list[Failing] = []
        for state, unit in units[:MAX_RECORDS]:
            videos = (outputs.read_record(unit, state) or {}).get("videos")
            reasons = [
                (name, " ".join(str(video["error"]).split()))
                for name, video in (videos.items() if isinstance(videos, dict) else ())
                if isinstance(video, dict) and video.get("error")
            ]
            label = self._label(unit.sign)
            failing.append(Failing(unit.name, state, label, len(reasons), reasons[:MAX_REASONS]))
        return failing, max(0, len(units) - MAX_RECORDS)

    def _slowest(self, runs: Iterable[Mapping[str, Any]]) -> list[tuple[str, float, str]]:
        """The slowest units that the runs noted."""
        seconds: dict[str, float] = {}
        for run in runs:
            with contextlib.suppress(TypeError, ValueError):
                seconds.update((str(unit), float(value)) for unit, value in run.get("slowest") or ())
        ranked = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:MAX_SLOWEST]
        return [(unit, value, self._label(_sign_of(unit))) for unit, value in ranked]


def _sign_of(unit: str) -> int:
    sign = unit.rpartition("/")[2]
    return int(sign) if sign.isdecimal() else 0


def _listed(folder: Path) -> Collection[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return ()


def find_settings(config: Config) -> tuple[Fingerprint, list[str]]:
    """The settings of an output folder that are the config's, without looking for models; and notes about doubts.

    Returns:
        The fingerprint of the records that count, with an empty digest where there are none; notes.
    """
    ours = settings_of(config)
    fitting: list[tuple[bool, float, Fingerprint]] = []
    installed = installed_version("mediapipe")
    for path in (config.output.root / INTERNAL / "records").glob("*/settings.json"):
        theirs = read_json(path)
        if theirs is not None and not differences_of(theirs, ours):
            right_version = installed in (UNKNOWN, theirs.get("mediapipe"))
            fitting.append((right_version, _last_written(path.parent), Fingerprint(theirs, path.parent.name)))
    if not fitting:
        return Fingerprint(ours, ""), []
    right_version, _, chosen = max(fitting, key=lambda item: item[:2])
    notes: list[str] = []
    if not right_version:
        theirs_version = chosen.settings.get("mediapipe")
        notes.append(f"outputs were made with mediapipe {theirs_version}; here is {installed}: a run here refuses them")
    if sum(item[0] == right_version for item in fitting) > 1:
        notes.append(f"outputs of several models are here; those of the models used last ({chosen.digest}) count")
    return chosen, notes


def _last_written(folder: Path) -> float:
    """When a record was last added below a folder."""
    latest = 0.0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            latest = max(latest, entry.stat().st_mtime)
    return latest


def _describe_other(outputs: Outputs, units: Sequence[Unit]) -> str:
    """One line about outputs that were made with other settings."""
    why = "they have no record"
    for record in records_of(outputs.root, units[0].name):
        if (theirs := settings_of_record(record)) is not None:
            why = "; ".join(differences_of(theirs, outputs.fingerprint.settings)[:3]) or "unknown"
    return f"{len(units)} outputs (such as {units[0].name}.npz) were made with other settings: {why}"


def _without_superseded(logs: Sequence[TaskLog]) -> list[TaskLog]:
    """Leave out runs by themselves that ended or were lost before a newer one of the same shard did some work."""
    alone = [log for log in logs if log.run is not None and not log.run.get("submission")]
    newest = {_shard_key(log.run): log for log in alone if log.run is not None}
    newest.update({_shard_key(log.run): log for log in alone if log.run is not None and log.run.get("units_done")})
    return [
        log
        for log in logs
        if log.run is None or log.run.get("submission") or _is_running(log.run) or newest[_shard_key(log.run)] is log
    ]


def _shard_key(run: Mapping[str, Any]) -> tuple[Any, Any]:
    return run.get("shard"), run.get("shards")


def _is_running(run: Mapping[str, Any]) -> bool:
    return run["state"] == "running" and not is_lost(run)


def _task(log: TaskLog, now: float) -> Task:
    run = log.run
    path = "" if log.log is None else str(log.log)
    if run is None:
        failed = log.state not in ("waiting", "starting")
        return Task(log.name, "failed" if failed else log.state, log.job, log=path, error=log.state if failed else "")
    started, updated = _span(run)
    names = ("units", "units_done", "videos", "videos_done", "videos_failed", "frames")
    return Task(
        log.name,
        "lost" if is_lost(run, now) else run["state"],
        log.job,
        log.node,
        path,
        **{name: int(run.get(name) or 0) for name in names},
        seconds=updated - started,
        silent=max(0.0, round(now - updated, 1)),
        unit=str(run.get("unit") or ""),
        error=log.error,
    )


def _span(run: Mapping[str, Any]) -> tuple[float, float]:
    """Start and last sign of life of a run."""
    started, updated = (datetime.fromisoformat(run[key]).timestamp() for key in ("started", "updated"))
    return started, max(started, updated)


def _estimate(status: Status, runs: Sequence[Mapping[str, Any]]) -> None:
    """Fill in rates, the videos that are left and the time to go."""
    running = [task for task in status.tasks if task.state == "running"]
    status.now = Rate(
        sum((task.videos_per_second for task in running), 0.0), sum((task.frames_per_second for task in running), 0.0)
    )
    busy = union_seconds([_span(run) for run in runs])
    if busy:
        done = sum(task.videos_done for task in status.tasks)
        status.average = Rate(done / busy, sum(task.frames for task in status.tasks) / busy)
    left = status.count("left")
    units, videos = (sum(getattr(task, name) for task in status.tasks) for name in ("units", "videos"))
    if not left:
        status.videos_left = 0
    elif units:
        in_hand = sum(task.units - task.units_done for task in running)
        known = sum(_videos_in_hand(task) for task in running)
        estimate = known + max(0, left - in_hand) * videos / units
        status.videos_left = round(min(estimate, left * videos / units))  # files are newer than what the tasks say
    if not left and not running:
        status.seconds_to_go = 0.0
    elif status.videos_left is not None and status.now.videos:
        status.seconds_to_go = status.videos_left / status.now.videos


def _videos_in_hand(task: Task) -> float:
    """Videos that a running task has still to do, if it went on at its rate since its last sign of life."""
    return max(0.0, task.videos - task.videos_done - task.silent * task.videos_per_second)
