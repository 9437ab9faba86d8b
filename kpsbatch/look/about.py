"""Which values these are: what made the outputs of a folder, for a paper, a README and the data of an export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL, fingerprint_in, in_threads
from kpsbatch.points import topology_of
from kpsbatch.store.outputs import SET_ASIDE, settings_of_record
from kpsbatch.store.reading import find_records
from kpsbatch.store.records import UnitRecord, VideoRecord
from kpsbatch.store.settings import Settings, flatten, landmarks_today
from kpsbatch.stored import read_stored
from kpsbatch.words import counted

ABOUT_FORMAT = 1

NOT_KNOWN = "not recorded"
"""Of records of version 0.2 and before, which lack it."""


@dataclass
class Made:
    """What was made with one set of settings.

    Attributes:
        fingerprint, settings: The settings.
        networks: The SHA-256 of each network as mediapipe has it, and the version of their `edit`.
        units, videos, frames, bad_frames: How many are in the outputs; bad frames could not be read, and are zeros.
        people: How many arrays they have: more where each person of a video has one (`dataset.person: all`).
        failed: How many videos failed, and are not in the outputs.
        signers, splits, signs, labels: The different ones; a table without numbered signs has labels.
        versions: By package, how many units were made with which version.
        processors, hosts: How many units each processor model and host made.
        started, finished: The first and the last moment, such as 2026-11-30T20:07:19.000+00:00; "" where not known.
        worker_seconds: Wall-clock seconds of one worker each, in all.
    """

    fingerprint: str
    settings: Settings
    networks: dict[str, str] = field(default_factory=dict)
    units: int = 0
    videos: int = 0
    frames: int = 0
    bad_frames: int = 0
    people: int = 0
    failed: int = 0
    signers: set[str] = field(default_factory=set)
    splits: set[str] = field(default_factory=set)
    signs: set[int] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    versions: dict[str, Counter[str]] = field(default_factory=dict)
    processors: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    started: str = ""
    finished: str = ""
    worker_seconds: float = 0.0

    def add(self, record: UnitRecord, names: Collection[str] | None) -> None:
        """Count a unit in, or some of its videos."""
        self.units += 1
        self.failed += len(record.failed)
        self.networks.update(record.models)
        for package, version in record.versions.items():
            self.versions.setdefault(package, Counter())[version] += 1
        self.processors[record.processor or NOT_KNOWN] += 1
        self.hosts[record.host or NOT_KNOWN] += 1
        self.started = min(filter(None, (self.started, record.started)), default="")
        self.finished = max(self.finished, record.finished or "")
        for name, video in record.good.items():
            gone = video.gone_since and video.made_from
            if not gone and (names is None or name in names):
                self._add_video(record, video)

    def _add_video(self, record: UnitRecord, video: VideoRecord) -> None:
        self.worker_seconds += video.seconds.total
        self.people += 1
        if not video.stands_for_video:
            return
        self.videos += 1
        self.frames += video.frames
        self.bad_frames += video.bad_frames
        if record.unit is not None:
            self.signers.add(video.row.get("signer", record.unit.signer))
            self.splits.add(record.unit.split)
            if video.row and "sign" not in video.row:
                self.labels.update(filter(None, [video.row.get("label")]))
            else:
                self.signs.add(record.unit.sign)

    def as_tree(self) -> dict[str, Any]:
        """For JSON, and for exports."""
        return {
            "format": ABOUT_FORMAT,
            "text": paragraph(self),
            "fingerprint": self.fingerprint,
            "settings": self.settings.tree(),
            "networks": dict(sorted(self.networks.items())),
            "units": self.units,
            "videos": self.videos,
            "frames": self.frames,
            "bad_frames": self.bad_frames,
            "people": self.people,
            "failed_videos": self.failed,
            "signers": len(self.signers),
            "splits": sorted(self.splits),
            "signs": len(self.signs),
            "labels": len(self.labels),
            "versions": {package: dict(counts.most_common()) for package, counts in self.versions.items()},
            "processors": dict(self.processors.most_common()),
            "hosts": len(self.hosts),
            "started": self.started,
            "finished": self.finished,
            "worker_hours": round(self.worker_seconds / 3600, 3),
        }


def about(root: Path, chosen: Mapping[str, Collection[str]] | None = None) -> list[Made]:
    """What made the outputs of a folder, by their records; those of most videos first.

    Args:
        root: The folder.
        chosen: Names of videos by their unit, such as {"01-train/0007": ["a"]}; default all.

    Raises:
        OutputError: It has no records, or can't be listed.
    """
    paths = {unit: path for unit, path in find_records(root, failed=True).items() if chosen is None or unit in chosen}
    made: dict[str, Made] = {}
    records = in_threads(lambda path: read_stored(path, UnitRecord), [*paths.values()])
    for (unit, path), record in zip(paths.items(), records, strict=True):
        if record is None:
            continue
        folder = path.parents[1].name.partition(SET_ASIDE)[0]
        if folder not in made:
            made[folder] = Made(fingerprint_in(folder), settings_of_record(path) or Settings())
        made[folder].add(record, None if chosen is None else chosen[unit])
    if not made and chosen is None:
        raise OutputError(f"{root} has no records of kpsbatch. Name a folder with {INTERNAL} in it.")
    return sorted(made.values(), key=lambda each: -each.videos)


def paragraph(made: Made) -> str:
    """What made them, for the text of a paper."""
    settings = made.settings
    topology = topology_of(settings.points)
    parts = ", ".join(f"{name.replace('_', ' ')} {part.stop - part.start}" for name, part in topology.parts.items())
    what = f"{topology.points} points a frame ({parts}) as x, y, z and visibility, in {_coordinates(settings)}"
    sentences = [f"The keypoints are of {_amount(made)}: {what}, {settings.dtype}."]
    if settings.imported:
        sentences.append("Other scripts made them; kpsbatch imported them, and knows nothing more of them.")
    else:
        mode = str(settings.landmarks.get("running_mode", "unknown"))
        values = f" (values version {settings.values_version})" if settings.values_version else ""
        sentences.append(
            f"They were computed with kpsbatch {_versions(made, 'kpsbatch')}{values} and MediaPipe "
            f"{settings.mediapipe or _versions(made, 'mediapipe')} in its mode '{mode}', {_when(made)}, on "
            f"{_processors(made)}."
        )
        other = list(_other_than_defaults(settings))
        networks = [f"{name.replace('_', ' ')} {digest[:8]}" for name, digest in sorted(_networks(made).items())]
        if networks:
            sentences.append(f"The SHA-256 of the networks begin with: {_and(networks)}.")
        sentences.append(
            f"Settings are kpsbatch's defaults{f' but for {_and(other)}' if other else ''}; their fingerprint is "
            f"{made.fingerprint}."
        )
    if made.bad_frames:
        sentences.append(f"Zeros stand for {counted(made.bad_frames, 'frame')} that could not be read.")
    if made.failed:
        sentences.append(f"They are without {counted(made.failed, 'further video')} that failed.")
    return " ".join(sentences)


def table(made: Made) -> Iterator[tuple[str, str]]:
    """The facts one by one, for a README: what it is, and its value."""
    yield "videos", f"{made.videos:,} in {counted(made.units, 'unit')}, {made.failed:,} more failed"
    yield "frames", f"{made.frames:,}, of which {made.bad_frames:,} could not be read"
    yield "made", f"{made.started or NOT_KNOWN} to {made.finished or NOT_KNOWN}"
    yield "worker hours", f"{made.worker_seconds / 3600:,.2f} on {counted(len(made.hosts), 'host')}"
    yield "processors", _counted(made.processors, "unit")
    for package, counts in made.versions.items():
        yield package, _counted(counts, "unit")
    for name, value in sorted(flatten(made.settings.tree()).items()):
        if not name.startswith("models.") and name not in made.versions:
            yield name, str(value)
    for name, digest in sorted(_networks(made).items()):
        yield f"{name}, SHA-256", digest
    if edit := made.networks.get("edit"):
        yield "edit of the networks", edit
    yield "fingerprint", made.fingerprint


def _processors(made: Made) -> str:
    return (
        "processors that are not recorded" if {*made.processors} == {NOT_KNOWN} else _counted(made.processors, "unit")
    )


def _networks(made: Made) -> dict[str, str]:
    """The networks, or their bundles of version 0.2, by their SHA-256."""
    return {name: digest for name, digest in made.networks.items() if name != "edit"}


def _amount(made: Made) -> str:
    classes = [counted(len(made.signs), "sign")] if made.signs else []
    classes += [counted(len(made.labels), "label")] if made.labels else []
    splits = f" (split{'s' if len(made.splits) > 1 else ''} {_and(sorted(made.splits))})" if made.splits else ""
    signers = counted(len(made.signers), "signer")
    people = f" with {counted(made.people, 'person', 'people')}" if made.people > made.videos else ""
    videos = f"{counted(made.videos, 'video')}{people} ({counted(made.frames, 'frame')})"
    return f"{videos} of {_and([*classes, signers])}{splits}"


def _coordinates(settings: Settings) -> str:
    return {
        "image": "image coordinates (x and y in frame widths and heights)",
        "adjusted": "coordinates relative to the body part",
        "adjusted-arabic-sl": "coordinates relative to the left shoulder, a point of the face (7) and the wrists",
    }.get(settings.coordinates, settings.coordinates)


def _when(made: Made) -> str:
    first, last = made.started[:10], made.finished[:10]
    if not first or not last:
        return f"on a day that is {NOT_KNOWN}"
    return f"on {first}" if first == last else f"from {first} to {last}"


def _versions(made: Made, package: str) -> str:
    return _and([*made.versions.get(package, {})]) or f"of a version that is {NOT_KNOWN}"


def _other_than_defaults(settings: Settings) -> Iterator[str]:
    ours = {
        "dataset": {"mirrored": False, "frame_rate_out": None},
        "landmarks": LandmarksConfig().model_dump(mode="json", exclude={"models"}),
        "output": {"dtype": "float32"},
    }
    tree = {**settings.tree(), "landmarks": landmarks_today(settings.landmarks)}
    theirs = flatten({section: tree.get(section) or {} for section in ours})
    for name, value in sorted(theirs.items()):
        if name not in ("landmarks.running_mode", "landmarks.coordinates", "output.dtype", "output.points") and (
            flatten(ours).get(name) != value
        ):
            yield f"{name}: {value}"


def _counted(counts: Counter[str], what: str) -> str:
    """Names, with how many of something each has where there are several."""
    if len(counts) == 1:
        return next(iter(counts))
    return _and([f"{name} ({counted(count, what)})" for name, count in counts.most_common()])


def _and(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
