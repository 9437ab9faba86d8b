"""What a report shows and its rates, gathered from records, state files and listings; no npz or frame is opened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from kpsbatch.config import Config
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_if_there
from kpsbatch.dataset.tables import Label, load_labels
from kpsbatch.dataset.video import Unit, natural_key
from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL, in_threads
from kpsbatch.landmarks.found import MISSING
from kpsbatch.points import Topology, topology_of
from kpsbatch.store.reading import find_records
from kpsbatch.store.records import SlurmTask, UnitRecord, seconds_of, source_name
from kpsbatch.store.run_state import RunState, read_runs
from kpsbatch.store.settings import Settings, differences_in_config, settings_of
from kpsbatch.store.survey import Depth, UnitState, outputs_without_models, survey
from kpsbatch.stored import read_stored
from kpsbatch.words import said

PARTS = tuple(Topology.PARTS)
PART_LABELS = {"pose": "Pose", "face": "Face", "right_hand": "Right hand", "left_hand": "Left hand"}
_KEYS = {"right_hand": "right", "left_hand": "left"}


class VideoRow(NamedTuple):
    """One video that succeeded, or one person of it.

    Attributes:
        unit, name: Which one, by its key in the npz.
        frames, bad: How many it has, and how many of them are unreadable.
        found: Frames with pose, face, right hand, left hand.
        no_hand: Frames without any hand, unreadable ones included.
        wrists: Pose wrists inside the frame.
        bare_wrists: Of these, without a hand.
        seconds: Of one worker.
        person: Which person of the video it is, where each has a row; else 0.
        label, signer: Its word and who signs, as the table or the numbers of the signs say; "" where nothing does.
        bare: The wrists without a hand, right and left; None where the record does not say which.
        worst_frame: The middle of the longest stretch in which a hand is missing.
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
    person: int = 0
    label: str = ""
    signer: str = ""
    bare: tuple[int, int] | None = None
    worst_frame: int = 0

    @property
    def hand_rate(self) -> float:
        """Share of frames with at least one hand."""
        return 1 - self.no_hand / self.frames

    def rate(self, part: str) -> float:
        """Share of frames with a part."""
        return self.found[PARTS.index(part)] / self.frames


class TaskOfUnit(NamedTuple):
    """Where a unit was made: the host, the SLURM job ("" outside of SLURM), and when it was stored."""

    host: str
    job: str
    finished: float


class Failure(NamedTuple):
    """One video that failed.

    Attributes:
        unit, name: Which one.
        error: Why.
        output: What its worker wrote last, "" where the worker was not lost.
        task: Where and when its unit was made; None where its record doesn't say.
        label, signer: As in `VideoRow`.
    """

    unit: Unit
    name: str
    error: str
    output: str = ""
    task: TaskOfUnit | None = None
    label: str = ""
    signer: str = ""

    @property
    def lost_worker(self) -> bool:
        """Whether it stopped or stalled the process that read it."""
        return self.error.startswith("attempt ")


@dataclass
class UnitRow:
    """One unit and the sums over its videos; see `VideoRow` for the counts.

    Its state is the survey's, but for an unreadable record, whose output counts as foreign; `empty` counts as absent,
    `unreadable` and `changed` as left.
    """

    unit: Unit
    state: UnitState
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


@dataclass(frozen=True)
class UnitName:
    """What the page writes of a unit, or of the videos of one label: `text`, or else its signer, split and sign."""

    signer: str
    split: str
    sign: Label
    text: str = ""


class Word(NamedTuple):
    """What a table says of a video: its label, and who signs."""

    label: str
    signer: str


@dataclass
class ReportData:
    """Everything that a report shows.

    Attributes:
        units: One row for every unit of the config, in its order.
        source: The dataset.
        labels: The names of the signs.
        videos: The videos that succeeded; of one of which all people are asked for, each person.
        failures: Those that failed.
        bad_examples: (unit, video, frame, problem) of unreadable frames, a few of each video.
        doubtful: (unit, key, why) of videos whose signer is in doubt; of several people of one, the first.
        runs: State files, the oldest first.
        settings: By fingerprint: the settings, and how many units have them.
        other_settings: By fingerprint: how they differ from the config's, which a run would refuse.
        versions: How many units were made with which version of what.
        hosts: How many units each host made.
        odd: Entries of the dataset that are no videos, by what is odd about them.
        unreadable_records: Records that can't be read.
        named: What stands behind pseudonyms: the unit and name of each video; None where names are shown.
        wants: Whether a video of this label and signer is asked for.
        has_signs: Whether units are of numbered signs; else each video has a label, and units are rows of a table.
    """

    units: list[UnitRow]
    source: Source | None = None
    labels: Mapping[int, Label] = field(default_factory=dict)
    videos: list[VideoRow] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    bad_examples: list[tuple[Unit, str, str, str]] = field(default_factory=list)
    doubtful: list[tuple[Unit, str, str]] = field(default_factory=list)
    runs: list[RunState] = field(default_factory=list)
    settings: dict[str, tuple[Settings, int]] = field(default_factory=dict)
    other_settings: dict[str, str] = field(default_factory=dict)
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    unreadable_records: list[str] = field(default_factory=list)
    named: Mapping[tuple[Unit, str], tuple[Unit, str]] | None = None
    has_signs: bool = True
    wants: Callable[[str, str], bool] = lambda label, signer: True

    def name(self, unit: Unit) -> UnitName:
        """A unit with the names of its sign."""
        text = "" if self.has_signs else unit.name
        return UnitName(unit.signer, unit.split, self.labels.get(unit.sign, Label(unit.sign, "", "")), text)

    def name_of_video(self, video: VideoRow) -> UnitName:
        """Whose video it is: the unit's name; the label and the signer where a table tells them."""
        name = self.name(video.unit)
        return name if self.has_signs else replace(name, text=said(video.label, video.signer) or video.unit.name)

    @property
    def classes(self) -> list[tuple[UnitName, UnitRow]]:
        """What the map shows: every unit; of a table without numbered signs the videos of a label, signer and split."""
        if self.has_signs:
            return [(self.name(row.unit), row) for row in self.units]
        rows: dict[tuple[str, str, str], UnitRow] = {}
        both: list[VideoRow | Failure] = [*self.videos, *self.failures]
        for video in both:
            key = video.label, video.signer, video.unit.split
            row = rows.setdefault(key, UnitRow(Unit(video.signer, video.unit.split, 0), "failed"))
            row.videos += 1
            if isinstance(video, VideoRow):
                row.add(video)
            else:
                row.failed += 1
        for row in rows.values():
            row.state = "failed" if row.failed == row.videos else "partial" if row.failed else "complete"
        keys = sorted(rows, key=lambda key: (natural_key(key[0]), natural_key(key[1]), key[2]))
        return [
            (UnitName(signer, split, Label(0, "", label), said(label, signer) or split), rows[label, signer, split])
            for label, signer, split in keys
        ]

    def names(self, units: Iterable[Unit]) -> tuple[UnitName, ...]:
        """Units with the names of their signs, each once."""
        return tuple(map(self.name, dict.fromkeys(units)))

    @property
    def each_video(self) -> list[VideoRow]:
        """The videos that succeeded, each once: of several people of one, the first."""
        return [people[0] for people in self.people_of_each]

    @property
    def people_of_each(self) -> list[list[VideoRow]]:
        """The videos that succeeded, each with all of its people, or with its signer."""
        videos: list[list[VideoRow]] = []
        for row in self.videos:
            if row.person <= 1 or not videos:
                videos.append([])
            videos[-1].append(row)
        return videos

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that were computed."""
        wanted = {part for settings, _ in self.settings.values() for part in settings.parts}
        there = {part for settings, _ in self.settings.values() for part in topology_of(settings.points).parts}
        shown = (part for part in PARTS if ("hands" if part.endswith("hand") else part) in wanted)
        return tuple(part for part in shown if part in there) or PARTS


def gather(
    config: Config,
    on_unit: Callable[[int, int], None] = lambda done, total: None,
    on_index: Callable[[int, int], None] = lambda done, total: None,
) -> ReportData:
    """Read the records and state files of a config's output folder.

    Args:
        on_unit: Called with (units read, units in all).
        on_index: Called with (done, total) while an archive's index is built.

    Raises:
        OutputError: There is no output folder yet, or it can't be listed.
        DatasetError: The dataset is not there, and the config does not state all of its units.
        ConfigError: The table of labels can't be used.
    """
    root = config.output.root
    if not root.is_dir():
        raise OutputError(f"output.root: {root} does not exist. Run the config first.")
    known = outputs_without_models(config)
    source, here = open_if_there(config.dataset, root / INDEX_FOLDER, on_index)
    depth: Depth = "presence" if here else "outputs"
    surveyed = survey(source, known.outputs, depth=depth)
    record_paths = find_records(root, failed=True)
    runs = sorted(read_runs(root), key=lambda run: run.began)
    manifest = config.dataset.manifest
    data = ReportData(
        [],
        source,
        load_labels(config.dataset.labels),
        runs=runs,
        has_signs=manifest is None or manifest.columns.sign is not None,
        wants=config.dataset.wants,
    )
    fingerprints: Counter[str] = Counter()
    merged: dict[str, UnitState] = {"empty": "absent", "unreadable": "left", "changed": "left"}
    paths = [record_paths.get(unit.unit.name) for unit in surveyed]
    records = in_threads(lambda path: None if path is None else read_stored(path, UnitRecord), paths)
    for done, (unit, path, record) in enumerate(zip(surveyed, paths, records, strict=True), 1):
        row = UnitRow(unit.unit, merged.get(unit.state, unit.state))
        data.units.append(row)
        if path is not None and not (record and _add(data, row, record)):
            data.unreadable_records.append(str(path.relative_to(root)))
            row.state = "foreign" if unit.output in ("complete", "partial") else row.state
        elif path is not None and unit.output is not None:
            fingerprints[path.parents[1].name] += 1
        on_unit(done, len(surveyed.units))
    ours = settings_of(config)
    for digest, count in fingerprints.most_common():
        settings = read_stored(root / INTERNAL / "records" / digest / "settings.json", Settings) or Settings()
        if differences := differences_in_config(settings, ours):
            data.other_settings[digest] = "; ".join(differences[:3])
        data.settings[digest] = (settings, count)
    return data


def _add(data: ReportData, row: UnitRow, record: UnitRecord) -> bool:
    """Count a record in; False, and nothing counted, where it holds no video."""
    if not record.videos:
        return False
    row.videos, row.failed = len(record.sources), len(record.failed)
    row.host, row.finished = record.host, seconds_of(record.finished) if record.finished else 0.0
    doubts: dict[str, tuple[str, list[str]]] = {}
    for name, video in record.good.items():
        if not data.wants(*_word(data, row.unit, video.row)):
            continue
        hands, found = video.hands, tuple(video.found.of(part) for part in PARTS)
        counts = (video.frames, video.bad_frames, found, video.frames - hands.both - hands.one)
        bare = (hands.right_wrists_without_hand, hands.left_wrists_without_hand)
        shown = VideoRow(
            row.unit,
            name,
            *counts,
            hands.wrists,
            hands.wrists_without_hand,
            video.seconds.total,
            video.person,
            *_word(data, row.unit, video.row),
            bare if sum(bare) == hands.wrists_without_hand else None,
            _worst_frame(video.how, bare),
        )
        row.add(shown)
        data.videos.append(shown)
        if video.doubts:
            doubts.setdefault(source_name(name, video), (name, []))[1].extend(video.doubts)
        data.bad_examples += [(row.unit, name, bad.frame, bad.problem) for bad in video.bad_examples]
    data.doubtful += [(row.unit, name, "; ".join(of_video)) for name, of_video in doubts.values()]
    task = None
    if record.finished:
        job = record.slurm or SlurmTask()
        job_name = f"{job.array_job}_{job.array_task}" if job.array_task else job.job or ""
        task = TaskOfUnit(record.host, job_name, row.finished)
    if record.failed and data.source is not None and not data.has_signs:
        said_of = {
            video.name: {"label": video.label, "signer": video.signer} for video in data.source.listing(row.unit).videos
        }
    else:
        said_of = {}
    data.failures += [
        Failure(row.unit, name, bad.error, bad.output, task, *_word(data, row.unit, said_of.get(name, {})))
        for name, bad in record.failed.items()
        if data.wants(*_word(data, row.unit, said_of.get(name, {})))
    ]
    data.hosts[record.host] += 1
    data.versions.update(record.versions.items())
    data.odd.update(record.odd_entries.values())
    return True


def _word(data: ReportData, unit: Unit, row: Mapping[str, str]) -> Word:
    if data.has_signs:
        return Word(data.labels[unit.sign].text if unit.sign in data.labels else row.get("label", ""), unit.signer)
    return Word(row.get("label", ""), row.get("signer", ""))


def _worst_frame(how: Mapping[str, str], bare: tuple[int, int]) -> int:
    """The middle of the longest stretch of frames without the hand whose wrist shows most often without it."""
    letters = how.get("right_hand" if bare[0] >= bare[1] else "left_hand", "")
    pose = how.get("pose", "")
    if len(pose) == len(letters):  # a frame in which nobody was found tells nothing of hands
        letters = "".join(letter if there != MISSING else " " for letter, there in zip(letters, pose, strict=True))
    stretches = [match.span() for match in re.finditer(f"{MISSING}+", letters)]
    first, end = max(stretches, key=lambda span: span[1] - span[0], default=(0, 1))
    return (first + end - 1) // 2


def ranked(data: ReportData) -> list[VideoRow]:
    """The videos, the worst first; among equals the longest.

    What counts is how many wrists show without a hand, by frame; then the rate of what was found least of pose and
    face.
    """
    alone = [part for part in data.parts if not part.endswith("hand")]
    hands = has_hands(data)

    def order(video: VideoRow) -> tuple[float, float, int, Unit, str]:
        bare = video.bare_wrists / video.frames if hands else 0.0
        return -bare, min(map(video.rate, alone), default=1.0), -video.frames, video.unit, video.name

    return sorted(data.videos, key=order)


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
    return [((first + bin) * step, (first + bin + 1) * step, counts[bin]) for bin in range(max(counts) + 1)]


Rate = Callable[[UnitRow | VideoRow], float | None]


@dataclass(frozen=True)
class Metric:
    """A detection rate.

    Attributes:
        key: Its name in filters.
        label: Its heading.
        rate: In percent of a row's frames (or wrists); None where there are none.
        help: What it is, in a sentence.
    """

    key: str
    label: str
    rate: Rate
    help: str

    @property
    def kind(self) -> str:
        """A low rate of one hand is normal: many signs take one hand only."""
        return "share" if self.key in _KEYS.values() else "percent"


def metrics_of(data: ReportData) -> list[Metric]:
    """What the map and the tables show, for the parts that were computed."""
    metrics: list[Metric] = []
    if has_hands(data):
        metrics.append(
            Metric(
                "hand",
                "Any hand",
                lambda row: percent(row.frames - row.no_hand, row.frames),
                "Percent of all frames in which at least one hand was found.",
            )
        )
        metrics.append(
            Metric(
                "wrists",
                "Wrists with hand",
                lambda row: percent(row.wrists - row.bare_wrists, row.wrists),
                "Percent of the wrists whose hand can be seen for which a hand was found.",
            )
        )
    for part in sorted(data.parts, key=lambda part: not part.endswith("hand")):
        help = f"Percent of all frames in which the {part.replace('_', ' ')} was found"
        help += "; low is normal, since many signs take one hand." if part.endswith("hand") else "."
        metrics.append(Metric(_KEYS.get(part, part), PART_LABELS[part], _rate_of(part), help))
    return metrics


def _rate_of(part: str) -> Rate:
    index = PARTS.index(part)
    return lambda row: percent(row.found[index], row.frames)


def has_hands(data: ReportData) -> bool:
    """Whether hands were computed."""
    return any(part.endswith("hand") for part in data.parts)


def percent(part: float, whole: float) -> float | None:
    """A share in percent, rounded so that only all is 100 and only none is 0."""
    if not whole:
        return None
    share = round(100 * part / whole, 1)
    return min(max(share, 0.1), 99.9) if 0 < part < whole else share


def show_percent(share: float | None) -> str:
    """A share that `percent` computed, as text."""
    return "–" if share is None else f"{share:.1f}%"
