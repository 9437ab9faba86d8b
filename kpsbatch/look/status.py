"""Where a whole job stands, from names of files, state files and the records of failures.

No model is sought, no npz is opened. SLURM is asked only where tasks wait: whether they are still in its queue.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kpsbatch.cluster.queue import in_queue
from kpsbatch.config import Config, format_signs
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_if_there
from kpsbatch.dataset.video import Presence, Unit
from kpsbatch.look.logs import (
    Task,
    tasks_in_queue,
    tasks_of,
    waiting_for_slurm,
    without_a_trace,
    without_superseded,
)
from kpsbatch.look.nodes import EXCLUDE, bad_nodes, started_again
from kpsbatch.store.outputs import Outputs, records_of, settings_of_record
from kpsbatch.store.records import RecordedState, UnitRecord
from kpsbatch.store.run_state import RunState, union_seconds
from kpsbatch.store.settings import differences_in_config
from kpsbatch.store.submissions import submit_command
from kpsbatch.store.survey import FINISHED, Survey, gone_units, outputs_without_models, survey
from kpsbatch.stored import read_stored
from kpsbatch.words import JSON_VERSION, counted, said

if TYPE_CHECKING:
    from kpsbatch.dataset.tables import Label

MAX_RECORDS = 200
MAX_REASONS = 5
MAX_SLOWEST = 5
QUEUE_SECONDS = 60.0

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
        left: Units to do, those included that have new videos by now.
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
class Rate:
    """Videos and frames a second."""

    videos: float = 0.0
    frames: float = 0.0


@dataclass(frozen=True)
class Failing:
    """A unit of which videos failed, with (video, reason) of the first of them.

    Attributes:
        label: The name of its sign; of rows of a table the label and the signer of the first video that failed.
    """

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
        now: Rate of what runs now, and has given a sign of life within half a minute.
        average: Rate over the time in which any of the tasks ran.
        videos_left: An estimate from the tasks' counts, None where there are none yet.
        seconds_to_go: At the rate of now; None when nothing runs, all that runs is silent, or nothing is known yet.
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

    def count(self, name: str) -> int:
        """The sum of an attribute of the groups, such as `left`."""
        return sum(getattr(group, name) for group in self.groups)

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

    @property
    def is_live(self) -> bool:
        """Whether a task runs, starts or waits."""
        return any(self.task_states[state] for state in ("running", "starting", "waiting"))

    def as_json(self) -> dict[str, Any]:
        """The form that docs/json.md describes; keys are only ever added."""
        names = ("units", "complete", "partial", "failed", "other", "absent", "empty", "left")
        return {
            "version": JSON_VERSION,
            "time": datetime.fromtimestamp(self.moment, timezone.utc).isoformat(timespec="seconds"),
            "output": str(self.output),
            "fingerprint": self.fingerprint or None,
            "all": {name: self.count(name) for name in names},
            "groups": [vars(group) for group in self.groups],
            "tasks": [{**task.as_tree(), "videos_per_second": round(task.videos_per_second, 3)} for task in self.tasks],
            "rate": {
                "videos_per_second": round(self.now.videos, 3),
                "frames_per_second": round(self.now.frames, 3),
                "average_videos_per_second": round(self.average.videos, 3),
                "average_frames_per_second": round(self.average.frames, 3),
            },
            "videos_left": self.videos_left,
            "seconds_to_go": None if self.seconds_to_go is None else round(self.seconds_to_go),
            "slowest": [{"unit": unit, "seconds": seconds, "label": label} for unit, seconds, label in self.slowest],
            "failing": [
                {**vars(unit), "videos": [{"video": video, "reason": reason} for video, reason in unit.videos]}
                for unit in self.failing
            ],
            "failing_unread": self.failing_unread,
            "notes": self.notes,
        }


class StatusReader:
    """Reads the status of a config again and again; remembers which units have videos.

        StatusReader(config).read().count("left")

    Args:
        on_index: Called with (done, total) while an archive's index is built.

    Raises:
        ConfigError: The labels file or the manifest can't be used.
        DatasetError: The dataset is not there, and the config does not state all of its units.
    """

    def __init__(self, config: Config, on_index: OnUnit = lambda done, total: None) -> None:
        self._config = config
        self._labels: Mapping[int, Label] = {}
        if config.dataset.labels is not None:
            from kpsbatch.dataset.tables import load_labels  # here: a config without labels reads no table

            self._labels = load_labels(config.dataset.labels)
        self._source, self._here = open_if_there(config.dataset, config.output.root / INDEX_FOLDER, on_index)
        self._with_video: dict[Unit, Presence] = {}
        self._unchanged: set[Unit] = set()
        self._queue: set[str] | None = None
        self._asked = -math.inf

    def read(self, on_unit: OnUnit = lambda done, total: None) -> Status:
        """Read the files.

        Args:
            on_unit: Called with (units surveyed, units in all).

        Raises:
            OutputError: The output folder can't be listed.
            SubmitError: The newest submission's plan is damaged.
        """
        known = outputs_without_models(self._config)
        notes = list(known.notes)
        if not self._here and not self._config.output.imported:
            notes.append(f"the dataset is not here ({self._source.root}): units without videos count as left")
        surveyed = survey(
            self._source, known.outputs, depth="presence" if self._here else "outputs",
            known=self._with_video, unchanged=self._unchanged, on_unit=on_unit,
        )  # fmt: skip
        self._with_video.update({unit.unit: unit.presence for unit in surveyed if unit.presence == "videos"})
        self._unchanged.update(unit.unit for unit in surveyed if unit.state in FINISHED and not unit.changes.record)
        status = Status(known.outputs.root, known.outputs.fingerprint.digest, self._groups(surveyed), notes=notes)
        if views := [unit for unit in surveyed if unit.output == "view"]:
            notes.append(
                f"{counted(len(views), 'unit')} (such as {views[0].unit.name}) to be re-made from what is kept, since "
                "the npz is missing or of another view; a run does that, and reads no video"
            )
        if other := surveyed.of_state("foreign"):
            notes.append(_describe_other(known.outputs, other))
        status.failing, status.failing_unread = self._failing(known.outputs, surveyed)
        if self._here:
            notes += _describe_changes(surveyed)
            notes += _describe_gone(self._config, self._source, known.outputs, surveyed)
        if note := without_a_trace(known.outputs.root):
            notes.append(note)
        status.tasks = without_superseded(self._tasks(known.outputs.root, notes))
        runs = [task.run for task in status.tasks if task.run is not None]
        excluded = str(self._config.slurm.extra.get(EXCLUDE, ""))
        notes += [*started_again(runs), *bad_nodes(runs, submit_command(known.outputs.root), excluded)]
        if doubtful := [run for run in runs if run.videos_doubtful]:
            count = counted(sum(run.videos_doubtful for run in doubtful), "video")
            notes.append(f"{count} whose signer is in doubt, first {doubtful[0].doubtful} (report lists all)")
        status.slowest = self._slowest(runs)
        _estimate(status, runs)
        return status

    def _tasks(self, root: Path, notes: list[str]) -> list[Task]:
        """The tasks; those that wait as SLURM sees them, which is asked once a minute at most."""
        tasks = tasks_of(root)
        if not waiting_for_slurm(root, tasks):
            return tasks
        if time.monotonic() - self._asked > QUEUE_SECONDS:
            self._queue, self._asked = in_queue(root), time.monotonic()
            tasks = tasks_of(root)  # one that started meanwhile has left its files
        if self._queue is None:
            notes.append("waiting: by files alone, as squeue is not here or does not answer; they may be cancelled")
            return tasks
        return tasks_in_queue(tasks, self._queue)

    def _label(self, sign: int) -> str:
        label = self._labels.get(sign)
        return label.text if label else ""

    def _groups(self, surveyed: Survey) -> list[Group]:
        groups: dict[tuple[str, str], Group] = {}
        left: dict[tuple[str, str], list[int]] = {}
        for each in surveyed:
            unit = each.unit
            group = groups.setdefault((unit.signer, unit.split), Group(unit.signer, unit.split))
            name = {"foreign": "other", "unreadable": "left", "changed": "left"}.get(each.state, each.state)
            group.units += 1
            setattr(group, name, getattr(group, name) + 1)
            if name == "left":
                left.setdefault((unit.signer, unit.split), []).append(unit.sign)
        for key, signs in left.items():
            groups[key].left_signs = format_signs(signs)
        return list(groups.values())

    def _failing(self, outputs: Outputs, surveyed: Survey) -> tuple[list[Failing], int]:
        """Units with failed videos, from their records; at most `MAX_RECORDS` are read."""
        states: list[tuple[RecordedState, Unit]] = [("failed", unit) for unit in surveyed.of_state("failed")]
        states += [("partial", unit) for unit in surveyed.of_state("partial")]
        failing: list[Failing] = []
        for state, unit in states[:MAX_RECORDS]:
            record = read_stored(outputs.record_path(unit, state), UnitRecord)
            failed = record.failed if record else {}
            reasons = [(name, " ".join(video.error.split())) for name, video in failed.items()]
            label = self._label(unit.sign)
            if not self._source.has_signs and failed:
                rows = {video.name: said(video.label, video.signer) for video in self._source.listing(unit).videos}
                label = rows.get(reasons[0][0], "")
            failing.append(Failing(unit.name, state, label, len(reasons), reasons[:MAX_REASONS]))
        return failing, max(0, len(states) - MAX_RECORDS)

    def _slowest(self, runs: Iterable[RunState]) -> list[tuple[str, float, str]]:
        """The slowest units that the runs noted."""
        seconds: dict[str, float] = {unit: value for run in runs for unit, value in run.slowest}
        ranked = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:MAX_SLOWEST]
        signs = [unit.rpartition("/")[2] for unit, _ in ranked]
        labels = [self._label(int(sign)) if sign.isdecimal() else "" for sign in signs]
        return [(unit, value, label) for (unit, value), label in zip(ranked, labels, strict=True)]


def _describe_other(outputs: Outputs, units: Sequence[Unit]) -> str:
    """One line about outputs that were made with other settings."""
    why = "they have no record"
    for record in records_of(outputs.root, units[0].name):
        if (theirs := settings_of_record(record)) is not None:
            why = "; ".join(differences_in_config(theirs, outputs.fingerprint.settings)[:3]) or "unknown"
    return f"{len(units)} outputs (such as {units[0].name}.npz) were made with other settings: {why}"


def _describe_changes(surveyed: Survey) -> Iterator[str]:
    """Lines about videos that finished units do not know, and about those whose files were replaced."""
    added = [f"{each.unit.name}/{name}" for each in surveyed for name in each.changes.added]
    replaced = [f"{each.unit.name}/{name}" for each in surveyed for name in each.changes.replaced]
    if added:
        yield f"{counted(len(added), 'video')} new in units that are finished (such as {added[0]}); a run does that"
    if replaced:
        which = f"{counted(len(replaced), 'video')} (such as {replaced[0]})"
        yield f"{which} with another file than its keypoints were made from; run --overwrite redoes that"


def _describe_gone(config: Config, source: Source, outputs: Outputs, surveyed: Survey) -> Iterator[str]:
    """A line about outputs that are kept although the dataset does not have their videos any more."""
    noted = outputs.gone
    gone = [(since, f"{unit}/{name}") for unit, names in noted.items() for name, since in names.items()]
    new = ((each.unit.name, name) for each in surveyed for name in each.changes.gone)
    gone += [("", f"{unit}/{name}") for unit, name in new if name not in noted.get(unit, {})]
    units = [unit.name for unit in gone_units(config, source, outputs)]
    what: list[str] = []
    if gone:
        since, name = min(gone)
        what.append(f"{counted(len(gone), 'video')} (such as {name}{since and f', since {since[:10]}'})")
    what += [f"{counted(len(units), 'unit')} (such as {units[0]})"] if units else []
    if what:
        yield f"kept, but not in the dataset any more: {' and '.join(what)}; run --prune removes them"


def _estimate(status: Status, runs: Sequence[RunState]) -> None:
    """Fill in rates, the videos that are left and the time to go."""
    running = [task for task in status.tasks if task.state == "running"]
    heard = [task for task in running if not task.is_silent]
    status.now = Rate(
        sum((task.videos_per_second for task in heard), 0.0), sum((task.frames_per_second for task in heard), 0.0)
    )
    spans = [span for run in runs for span in (*run.before.spans, (run.began, run.last_sign))]
    busy = union_seconds(spans)
    if busy:
        done = sum(task.videos_done - task.videos_before for task in status.tasks)
        done += sum(run.before.videos for run in runs)
        frames = sum(task.frames for task in status.tasks) + sum(run.before.frames for run in runs)
        status.average = Rate(done / busy, frames / busy)
    left = status.count("left")
    units, videos = (sum(getattr(task, name) for task in status.tasks) for name in ("units", "videos"))
    if not left:
        status.videos_left = 0
    elif units:
        in_hand = sum(task.units - task.units_done for task in running)
        in_progress = sum(task.videos - task.videos_done for task in running)
        known = in_progress - sum(  # what they have done since their last sign of life, at their rate
            min(task.videos - task.videos_done, task.silent * task.videos_per_second) for task in heard
        )
        estimate = known + max(0, left - in_hand) * videos / units
        status.videos_left = round(min(estimate, left * videos / units))  # files are newer than what the tasks say
    if not left and not running:
        status.seconds_to_go = 0.0
    elif status.videos_left is not None and status.now.videos:
        status.seconds_to_go = status.videos_left / status.now.videos
