"""Records, small JSON files: of a unit (what became of each video, the host, the versions, the settings), of a clip."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, AliasChoices, Field, ValidationError

import kpsbatch
from kpsbatch.dataset.video import Made, Unit
from kpsbatch.files import json_bytes
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.store.settings import UNKNOWN, installed_version
from kpsbatch.stored import Stored, Text
from kpsbatch.untrusted import parse_json

RECORD_FORMAT = 2
"""1 was written until 0.1.0, under the name `record_version`; everything in it is read."""

PACKAGES = ("mediapipe", "numpy", "opencv-python-headless", "opencv-contrib-python", "av")
"""Those whose versions a record has."""

RecordedState = Literal["complete", "partial", "failed"]
"""All videos are in the output, some failed, all failed (then there is no output)."""

RECORDED_STATES: tuple[RecordedState, ...] = ("complete", "partial", "failed")

RECORD_SUFFIXES: dict[str, RecordedState] = {
    ".partial.json": "partial",
    ".failed.json": "failed",
    ".json": "complete",
}
"""How a record's file name ends, by what it says of its unit; the first that fits counts."""


def _check_moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Moment = Annotated[str, AfterValidator(_check_moment)]
"""A time with its zone, such as 2026-11-24T18:40:03+00:00."""


def seconds_of(moment: str) -> float:
    """A moment as seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


class UnitName(Stored):
    """The unit that the record describes."""

    signer: str
    split: str
    sign: int

    @property
    def unit(self) -> Unit:
        """The unit of this name."""
        return Unit(self.signer, self.split, self.sign)


class VideoRecord(VideoFacts):
    """A video whose keypoints are in the output.

    Attributes:
        attempts: How often it was tried.
        bytes, made_from: What it was made from, see `Made`.
        kept_since: Why the array of an earlier run was kept in a redo; "" for an array of this run.
        gone_since: When a run found that the dataset, or its table, has the video no more; "" while it has it.
        row: What a table says of it, as index.csv has it, by column; none without a table.
    """

    attempts: int = 1
    bytes: int | None = None
    made_from: str = ""
    row: dict[str, str] = Field(default_factory=dict)
    kept_since: Text = ""
    gone_since: str = ""


class FailedVideo(Stored):
    """A video that failed.

    Attributes:
        error: Why.
        attempts: How often it was tried.
        output: What its worker wrote last.
        out_of_memory: Whether the kernel killed its worker, for memory as far as can be told: the next run tries again.
        bytes, made_from: What it was to be made from, see `Made`.
    """

    error: Text
    attempts: int = 1
    output: Text = ""
    out_of_memory: bool = False
    bytes: int | None = None
    made_from: str = ""


def key_of(name: str, person: int) -> str:
    """The key of a video in the npz; of one of which each person has an array, that of a person: `NAME.1`."""
    return f"{name}.{person}" if person else name


def source_name(key: str, video: FailedVideo | VideoFacts) -> str:
    """The name of the video that an array, or a failure, is of; see `key_of`."""
    return key.removesuffix(f".{video.person}") if isinstance(video, VideoFacts) and video.person else key


class SlurmTask(Stored):
    """The job that a unit was made in."""

    job: str | None = None
    array_job: str | None = None
    array_task: str | None = None


class NpzFile(Stored):
    """The output file, as it was written."""

    sha256: str
    bytes: int


class MadeDigest(Stored):
    """The part of a unit's record that tells what its videos were made from (`made_digest`); it comes first."""

    made_digest: str = ""


def made_digest(made: Mapping[str, Made]) -> str:
    """Changes when what the videos of a unit are made from changes: their names, files' sizes, or rows of a table."""
    text = "\n".join(f"{name}\0{bytes}\0{made_from}" for name, (bytes, made_from) in sorted(made.items()))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


class GoneVideos(Stored):
    """Of all records, the videos with `gone_since`, by the names of their units."""

    units: dict[str, dict[str, str]] = Field(default_factory=dict)


class UnitRecord(MadeDigest):
    """The record of a unit; only what a unit always has is required.

    Attributes:
        format: `RECORD_FORMAT` of the release that wrote it.
        unit: The unit that the record describes.
        state: The same state that its file name contains.
        videos: By key, in the order of the npz; a video that failed, by its name.
        odd_entries: Entries of the unit's folder that are no videos, and what is odd about them.
        dataset, source: The dataset's folder, and the unit's below it.
        made_digest: What the videos were made from, those left out that the dataset has no more.
        points, coordinates, dtype: What the npz holds of the landmarks: the set of points, see `topology_of`; image or
            adjusted; the type of the values. They can change without another run, and are not part of the fingerprint.
        imported: The folder that the npz was imported from; "" where a run made it.
        fingerprint, models: What made it: the digest of the settings, and the hashes of the networks.
        host, container, slurm, versions: Where it was made, and with which packages.
        processor: The model of the host's processor; "" in records of version 0.2 and before.
        started, finished: When.
        workers: Worker processes of the run.
        npz: The output file; None where all videos failed.
        full: The file of all landmarks; None where they are not kept.
    """

    format: int = Field(default=1, validation_alias=AliasChoices("format", "record_version"))
    unit: UnitName | None = None
    state: RecordedState | None = None
    videos: dict[str, FailedVideo | VideoRecord] = Field(default_factory=dict)
    odd_entries: dict[Text, Text] = Field(default_factory=dict)
    dataset: Text = ""
    source: Text = ""
    points: str = "contract"
    coordinates: str = ""
    dtype: str = ""
    imported: Text = ""
    fingerprint: str = ""
    models: dict[str, str] = Field(default_factory=dict)
    host: str = ""
    container: str | None = None
    slurm: SlurmTask | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    processor: Text = ""
    started: Moment | None = None
    finished: Moment | None = None
    workers: int = 0
    npz: NpzFile | None = None
    full: NpzFile | None = None

    @property
    def good(self) -> dict[str, VideoRecord]:
        """The videos that are in the output."""
        return {name: video for name, video in self.videos.items() if isinstance(video, VideoRecord)}

    @property
    def sources(self) -> dict[str, FailedVideo | VideoRecord]:
        """The videos by their names, each once: one of which each person has an array is told by the first."""
        videos: dict[str, FailedVideo | VideoRecord] = {}
        for key, video in self.videos.items():
            videos.setdefault(source_name(key, video), video)
        return videos

    @property
    def made(self) -> dict[str, Made]:
        """What the videos were made from, those left out that are known to be in the dataset no more."""
        there = {name: video for name, video in self.sources.items() if not getattr(video, "gone_since", "")}
        return {name: Made(video.bytes, video.made_from) for name, video in there.items()}

    @property
    def gone(self) -> dict[str, str]:
        """The videos that are in the output, though the dataset has them no more, and since when."""
        return {source_name(key, video): video.gone_since for key, video in self.good.items() if video.gone_since}

    @property
    def failed(self) -> dict[str, FailedVideo]:
        """The videos that failed."""
        return {name: video for name, video in self.videos.items() if isinstance(video, FailedVideo)}


class ClipRecord(Stored):
    """What `kpsbatch extract` writes beside an npz.

    Attributes:
        clip: Where the clip lies.
        bytes: The size of its file, or of its frames; None in records of version 0.2.
        unit: Signer, split and sign of the unit that it is in the output folder; None in records of version 0.2.
        landmarks: The settings that made the keypoints.
        points: The set of points, see `topology_of`.
        models: The hashes of the networks.
        versions: Of the packages.
        video: What is known of the clip; of all its people, of the first from the left.
        people: What is known of each person, by the key in the npz, where all are asked for.
    """

    clip: Text
    bytes: int | None = None
    unit: tuple[str, str, int] | None = None
    landmarks: dict[str, Any] = Field(default_factory=dict)
    points: str = "contract"
    models: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    video: VideoFacts
    people: dict[str, VideoFacts] = Field(default_factory=dict)


class RecordFile(NamedTuple):
    """A record as it was read: `record`, or None and `problem`, which says what is wrong with the file."""

    record: UnitRecord | None
    problem: str = ""


def record_bytes(record: UnitRecord) -> bytes:
    """The bytes of a record's file, with `check`, the SHA-256 of the rest of it, so that damage is found."""
    return json_bytes(_sealed(record.model_dump(mode="json")))


def read_record(path: Path) -> RecordFile:
    """Read a record and compare it with its checksum."""
    try:
        data = path.read_bytes()
        tree = parse_json(data)
    except OSError as error:
        return RecordFile(None, f"its record can't be read: {error.strerror}")
    except ValueError:
        return RecordFile(None, "its record can't be read: it is not JSON")
    if not isinstance(tree, dict):
        return RecordFile(None, "its record can't be read: it holds no fields")
    try:
        whole = data == json_bytes(_sealed(tree))
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        return RecordFile(None, "its record is damaged: it differs from its own checksum")
    try:
        return RecordFile(UnitRecord.model_validate(tree))
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
        return RecordFile(None, f"its record has an unusable {where}")


def _sealed(tree: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in tree.items() if key != "check"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {**rest, "check": hashlib.sha256(canonical.encode()).hexdigest()}


class HostFacts(NamedTuple):
    """What is the same for all records of a process; see `UnitRecord`."""

    host: str
    container: str | None
    slurm: SlurmTask | None
    versions: dict[str, str]
    processor: str


@cache
def host_facts() -> HostFacts:
    """The facts of this process's host, environment and packages; computed once."""
    names = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")
    job, array_job, array_task = map(os.environ.get, names)
    in_job = any(name in os.environ for name in names)
    return HostFacts(
        socket.gethostname(),
        os.environ.get("APPTAINER_CONTAINER") or os.environ.get("KPSBATCH_IMAGE"),
        SlurmTask(job=job, array_job=array_job, array_task=array_task) if in_job else None,
        {
            "kpsbatch": kpsbatch.__version__,
            "python": platform.python_version(),
            **{package: version for package in PACKAGES if (version := installed_version(package)) != UNKNOWN},
        },
        processor_model(),
    )


def processor_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model of this host's processor, such as "AMD EPYC 7763 64-Core Processor"; else its architecture.

    Args:
        cpuinfo: As Linux has it: `model name` on x86; Arm's kernels name implementer and part by number only.
    """
    try:
        lines = [line.partition(":") for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        lines = []
    fields = {key.strip().lower(): " ".join(value.split()) for key, _, value in reversed(lines)}
    if name := fields.get("model name") or fields.get("cpu"):
        return name
    arm = [fields[key] for key in ("cpu implementer", "cpu part") if fields.get(key)]
    return " ".join([platform.machine(), *(f"({' '.join(arm)})" for _ in arm[:1])])
