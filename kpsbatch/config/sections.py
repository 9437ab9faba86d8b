"""The sections of the config but the dataset's: what to compute, where it goes, how and where a run works."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from kpsbatch.config.dataset import DatasetConfig
from kpsbatch.config.types import AnyPath, Points, Section, one_or_more, unique
from kpsbatch.errors import ConfigError
from kpsbatch.points import topology_of

Part = Literal["pose", "face", "hands"]
PART_NAMES: tuple[Part, ...] = ("pose", "face", "hands")
Share = Annotated[float, Field(ge=0, le=1)]


REMOVED_SETTINGS: Mapping[str, tuple[object, str]] = {
    "assign_hands": ("pose", "a hand goes to the side whose wrist of the pose is nearest. Remove it"),
    "recover_hands": (True, "hands are always searched at the wrists of the pose. Remove it"),
    "confidence.pose_tracking": (0.5, "pose_presence decides. Remove it"),
    "confidence.face_tracking": (0.5, "face_presence takes its place. Rename it"),
    "confidence.hand_tracking": (0.5, "hand_presence decides. Remove it"),
}
"""Settings below `landmarks` of version 0.2: the default, which is passed over, and the remedy for other values."""


def without_removed(landmarks: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[str, object]]:
    """A `landmarks` section without what version 0.2 had more, and of that what has not its default, by its key."""
    kept, removed = dict(landmarks), {}
    if isinstance(kept.get("confidence"), Mapping):
        kept["confidence"] = dict(kept["confidence"])
    for key, (default, _) in REMOVED_SETTINGS.items():
        section, _, name = key.rpartition(".")
        tree = kept.get(section) if section else kept
        if isinstance(tree, dict) and name in tree and (value := tree.pop(name)) != default:
            removed[key] = value
    if kept.get("running_mode") == "video":
        removed["running_mode"] = kept.pop("running_mode")
    return kept, removed


class ConfidenceConfig(Section):
    """Thresholds of the networks' scores, 0 to 1.

    Attributes:
        pose_detection, face_detection, hand_detection: Below it, a detector's find does not count.
        pose_presence, face_presence, hand_presence: Below it, landmarks count as missing.
    """

    pose_detection: Share = 0.5
    pose_presence: Share = 0.5
    face_detection: Share = 0.5
    face_presence: Share = 0.5
    hand_detection: Share = 0.5
    hand_presence: Share = 0.5


class LandmarksConfig(Section):
    """What to compute. All of it changes values, so all of it is part of the fingerprint (`models` by hash).

    Attributes:
        models: A folder of other networks than those that `kpsbatch models` gets: what `models --export` wrote.
        running_mode: clip: the whole clip, forwards and backwards. image: every frame by itself.
        coordinates: image: x and y in frame widths and heights. adjusted: relative to the body part.
        parts: What to compute: pose, face, hands; what is left out stays zero.
        confidence: Thresholds of the networks' scores.
        frame_rate: Frames a second of folders of frames; video files have their own times.
        decode: fast: JPEG frames of 960 px and more are decoded at 1/2 to 1/8 of their size.
        delegate: gpu: the networks run on a GPU; for a few workers on a machine that has one.
    """

    models: AnyPath | None = None
    running_mode: Literal["clip", "image"] = "clip"
    coordinates: Literal["image", "adjusted"] = "image"
    parts: Annotated[
        tuple[Part, ...],
        BeforeValidator(lambda v: v if isinstance(v, (list, tuple)) else (v,)),
        AfterValidator(unique),
        AfterValidator(lambda parts: tuple(sorted(parts, key=PART_NAMES.index))),
        WithJsonSchema(one_or_more({"enum": list(PART_NAMES)})),
    ] = ("pose", "face", "hands")
    confidence: ConfidenceConfig = ConfidenceConfig()
    frame_rate: Annotated[float, Field(gt=0, le=1000)] = 30.0
    decode: Literal["full", "fast"] = "full"
    delegate: Literal["cpu", "gpu"] = "cpu"
    _removed: dict[str, object] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _pass_over_removed(cls, value: Any, handler: ModelWrapValidatorHandler[LandmarksConfig]) -> LandmarksConfig:
        if not isinstance(value, Mapping):
            return handler(value)
        kept, removed = without_removed(value)
        section = handler(kept)
        section._removed = removed
        return section

    @property
    def removed(self) -> Mapping[str, object]:
        """Settings that version 0.2 had more and that have not their default there, by key: nothing computes them."""
        return self._removed

    def refuse_removed(self) -> None:
        """Refuse to compute what only version 0.2 can.

        Raises:
            ConfigError: Names the setting, and what to take.
        """
        for key, value in self._removed.items():
            if key == "running_mode":
                raise ConfigError(
                    "landmarks.running_mode: video is gone since kpsbatch 0.3. Take clip, which follows the signer "
                    "forwards and backwards, or image, which takes every frame by itself."
                )
            shown = str(value).lower() if isinstance(value, bool) else value
            raise ConfigError(f"landmarks.{key}: {shown} is gone since kpsbatch 0.3: {REMOVED_SETTINGS[key][1]}.")


class OutputConfig(Section):
    """Where the keypoints go, and which of them.

    Attributes:
        root: The folder of the outputs, such as `01-train/0007.npz`.
        dtype: Type of the values; float16 halves the files, float64 doubles them.
        points: Which points: contract (184), all (553), or a list of names and sets, such as [pose, face.contours].
        imported: The outputs were made by other scripts; `kpsbatch import` sets it.
    """

    root: AnyPath
    dtype: Literal["float32", "float64", "float16"] = "float32"
    points: Points = "contract"
    imported: bool = False


class RunConfig(Section):
    """How a run works; nothing here changes values.

    Attributes:
        workers: Worker processes; auto: one for each core that may be used. 0: in this process, for debuggers.
        chunk_size: Signs in one shard, that is in one array task.
        video_timeout: Seconds without a new frame after which a video's worker is killed.
        max_attempts: How often a video is tried when its worker is lost.
        max_bad_frames: Share of unreadable frames above which a video fails.
        max_pixels: Larger frames are not decoded.
        videos_per_worker: Videos after which a fresh worker takes a worker's place.
        worker_memory: MB that a worker may use before it is killed; auto: its share of the memory, 1 to 4 GB.
        stage: Folder on a disk of the node, such as $SLURM_TMPDIR, to which frames are copied ahead of the workers.
    """

    workers: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
    chunk_size: Annotated[int, Field(ge=1)] = 10
    video_timeout: Annotated[float, Field(gt=0)] = 600.0
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 2
    max_bad_frames: Share = 0.2
    max_pixels: Annotated[int, Field(ge=64 * 64)] = 50_000_000
    videos_per_worker: Annotated[int, Field(ge=1)] = 500
    worker_memory: Annotated[int, Field(ge=512)] | Literal["auto"] = "auto"
    stage: Annotated[str, Field(min_length=1)] | None = None  # its variables are those of the machine that runs it


def parse_time(value: object) -> int:
    """Read a time limit in one of SLURM's formats, in whole minutes, rounded up.

    The formats: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes,
    days-hours:minutes:seconds.

    Raises:
        ValueError: Not a time limit, or less than a minute.
    """
    text = str(value).strip()
    match = re.fullmatch(r"(?:([0-9]{1,4})-)?([0-9]{1,6})(?::([0-9]{1,6}))?(?::([0-9]{1,6}))?", text)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or match is None:
        raise ValueError(f"{value!r} is not a time limit. Write minutes, or like 04:00:00 or 1-12:00:00.")
    days, first, second, third = (int(part) if part else 0 for part in match.groups())
    if match[1] or match[4]:
        seconds = ((days * 24 + first) * 60 + second) * 60 + third
    else:
        seconds = first * 60 + second
    if seconds < 60:
        raise ValueError(f"{value!r} is less than one minute. Write more.")
    return -(-seconds // 60)


def _check_memory(value: object) -> str:
    if isinstance(value, bool) or not re.fullmatch(r"0|[1-9][0-9]*[KMGT]B?", str(value).strip(), re.IGNORECASE):
        raise ValueError(f"{value!r} is not a size of memory. Write it with its unit, such as 16G or 4000M.")
    return str(value).strip().upper()


def _check_sbatch_value(value: object) -> str:
    if isinstance(value, (bool, float)) or not isinstance(value, (int, str)):
        raise ValueError(f"{value!r} is not text. Put it in quotes.")
    if not str(value).strip() or not str(value).isprintable():
        raise ValueError(f"{value!r} is not one line of text. Write one line without control characters.")
    return str(value).strip()


_OWN = "kpsbatch sets it itself"
_ONE_PROCESS = "a task is one process on one node; use slurm.cpus_per_task"
_LOGS = "the logs lie below output.root"
_ANSWER = "kpsbatch reads sbatch's answer at once"
MANAGED_PARAMETERS = {
    **{key: f"use slurm.{key}" for key in ("time", "mem", "partition", "account", "qos", "constraint")},
    "cpus-per-task": "use slurm.cpus_per_task",
    "array": "use run.chunk_size and slurm.array_parallelism",
    **dict.fromkeys(("output", "error"), _LOGS),
    **dict.fromkeys(("nodes", "ntasks", "ntasks-per-node"), _ONE_PROCESS),
    **dict.fromkeys(("job-name", "signal", "requeue", "no-requeue", "open-mode"), _OWN),
    **dict.fromkeys(("parsable", "wait", "wrap", "test-only", "quiet"), _ANSWER),
}
"""sbatch parameters that `slurm.extra` can't hold, and what to do instead."""


def _check_extra(extra: object) -> dict[str, bool | str]:
    """Further sbatch parameters: long names, none of them managed here; true sets a flag, false leaves it out."""
    if not isinstance(extra, Mapping):
        raise ValueError(f"{extra!r} is not a map of sbatch parameters. Write it like {{mail-type: END}}.")
    checked: dict[str, bool | str] = {}
    for key, value in extra.items():
        name = str(key).strip().removeprefix("--").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z0-9-]+", name):
            raise ValueError(f"{key!r} is not a long name of an sbatch parameter. Write a name such as mail-type.")
        if name in MANAGED_PARAMETERS:
            raise ValueError(f"{key!r} is not allowed here: {MANAGED_PARAMETERS[name]}.")
        try:
            checked[name] = True if value is True else _check_sbatch_value(value)
        except ValueError as error:
            if value is not False:
                raise ValueError(f"{key}: {error}") from None
    return checked


Minutes = Annotated[int, BeforeValidator(parse_time), WithJsonSchema({"type": ["integer", "string"]})]
Memory = Annotated[str, BeforeValidator(_check_memory), WithJsonSchema({"type": ["integer", "string"]})]
SbatchValue = Annotated[str, BeforeValidator(_check_sbatch_value), WithJsonSchema({"type": ["string", "integer"]})]


class SlurmConfig(Section):
    """SLURM's job arrays. A setting that is None is left out of the batch script: the cluster's default applies.

    Attributes:
        time: Time limit of one task, which goes on if it needs longer: minutes, "04:00:00" or "1-12:00:00".
        cpus_per_task: Cores of one task, with a worker on each.
        mem: Memory of one task, such as 6G.
        partition, account, qos, constraint: As for sbatch.
        array_parallelism: Tasks that run at once.
        setup: Shell lines before the task, such as `module load python`.
        container: An Apptainer image; the task then runs inside it.
        dataset_image: With container: a SquashFS image that is mounted as dataset.root.
        extra: Further parameters of sbatch by their long names, such as {mail-type: END}.
    """

    time: Minutes = 240
    cpus_per_task: Annotated[int, Field(ge=1)] = 8
    mem: Memory | None = None
    partition: SbatchValue | None = None
    account: SbatchValue | None = None
    qos: SbatchValue | None = None
    constraint: SbatchValue | None = None
    array_parallelism: Annotated[int, Field(ge=1)] = 20
    setup: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda v: tuple(v) if isinstance(v, (list, tuple)) else (v,)),
        WithJsonSchema(one_or_more({"type": "string"})),
    ] = ()
    container: AnyPath | None = None
    dataset_image: AnyPath | None = None
    extra: Annotated[
        dict[str, bool | str],
        BeforeValidator(_check_extra),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _image_in_a_container(self) -> SlurmConfig:
        if self.dataset_image is not None and self.container is None:
            raise ValueError("dataset_image is set, but container, which mounts it, is not. Set slurm.container.")
        return self


class Config(Section):
    """A whole config, validated and frozen.

    Attributes:
        dataset: Which videos to read.
        landmarks: What to compute.
        output: Where the keypoints go.
        run: How a run works; nothing here changes values.
        slurm: What `submit` requests from the cluster.
    """

    dataset: DatasetConfig
    landmarks: LandmarksConfig = LandmarksConfig()
    output: OutputConfig
    run: RunConfig = RunConfig()
    slurm: SlurmConfig = SlurmConfig()

    @model_validator(mode="after")
    def _parts_that_have_points(self) -> Config:
        parts = parts_with_points(self.landmarks, self.output)
        return self.model_copy(update={"landmarks": self.landmarks.model_copy(update={"parts": parts})})

    @model_validator(mode="after")
    def _output_outside_dataset(self) -> Config:
        if self.output.root == self.dataset.root or self.output.root in self.dataset.root.parents:
            raise ValueError(
                f"output.root: {self.output.root} is the dataset's own folder or above it. Choose another folder."
            )
        return self


def parts_with_points(landmarks: LandmarksConfig, output: OutputConfig) -> tuple[Part, ...]:
    """The parts of `landmarks.parts` that the output has points of: others are not computed.

    Raises:
        ValueError: There is none.
    """
    there = {"hands" if part.endswith("_hand") else part for part in topology_of(output.points).parts}
    parts = tuple(part for part in landmarks.parts if part in there)
    if not parts:
        raise ValueError(
            f"output.points: {output.points} has no point of landmarks.parts ({', '.join(landmarks.parts)}). Add some."
        )
    return parts
