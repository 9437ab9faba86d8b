"""The YAML config: loaded, changed by `--set`, validated, frozen."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from kpsbatch.config_types import MAX_SIGN, AnyPath, Section, format_signs, parse_signs, unique
from kpsbatch.dataset.config import DatasetConfig
from kpsbatch.errors import ConfigError
from kpsbatch.yaml_text import read_yaml

__all__ = ["MAX_SIGN", "DatasetConfig", "format_signs", "parse_signs"]

TEMPLATES = ("layout", "video", "id", "signer", "split", "sign", "label", "start", "end", "box", "view")
"""Settings below `dataset` that can start with a brace."""

PART_NAMES = ("pose", "face", "hands")
PATH_SETTINGS = (
    ("dataset", "root"),
    ("dataset", "labels"),
    ("dataset", "manifest", "path"),
    ("dataset", "manifest", "boxes"),
    ("output", "root"),
    ("landmarks", "models"),
    ("slurm", "container"),
    ("slurm", "dataset_image"),
)


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


Minutes = Annotated[int, BeforeValidator(parse_time)]
Memory = Annotated[str, BeforeValidator(_check_memory)]
SbatchValue = Annotated[str, BeforeValidator(_check_sbatch_value)]
Share = Annotated[float, Field(ge=0, le=1)]


class ConfidenceConfig(Section):
    """MediaPipe's thresholds, 0 to 1; tracking counts in video mode only.

    The face landmarker of the Tasks API ignores its presence threshold, so there is no such setting.
    """

    pose_detection: Share = 0.5
    pose_presence: Share = 0.5
    pose_tracking: Share = 0.5
    face_detection: Share = 0.5
    face_tracking: Share = 0.5
    hand_detection: Share = 0.5
    hand_presence: Share = 0.5
    hand_tracking: Share = 0.5


class LandmarksConfig(Section):
    """What to compute. All of it changes values, so all of it is part of the fingerprint (`models` by hash)."""

    models: AnyPath | None = None
    running_mode: Literal["clip", "image", "video"] = "clip"
    coordinates: Literal["image", "adjusted"] = "image"
    parts: Annotated[
        tuple[Literal["pose", "face", "hands"], ...],
        BeforeValidator(lambda v: v if isinstance(v, (list, tuple)) else (v,)),
        AfterValidator(unique),
        AfterValidator(lambda parts: tuple(sorted(parts, key=PART_NAMES.index))),
    ] = ("pose", "face", "hands")
    assign_hands: Literal["pose", "label"] = "pose"
    recover_hands: bool = True
    confidence: ConfidenceConfig = ConfidenceConfig()
    frame_rate: Annotated[float, Field(gt=0, le=1000)] = 30.0
    decode: Literal["full", "fast"] = "full"
    delegate: Literal["cpu", "gpu"] = "cpu"

    @model_validator(mode="after")
    def _clip_places_hands_by_the_pose(self) -> LandmarksConfig:
        if self.running_mode == "clip" and (self.assign_hands == "label" or not self.recover_hands):
            setting = "assign_hands: label" if self.assign_hands == "label" else "recover_hands: false"
            raise ValueError(
                f"{setting} does not work with running_mode: clip, which places hands by the pose and looks again. "
                "Remove that setting, or choose running_mode: image or video."
            )
        return self


class OutputConfig(Section):
    """Where the keypoints go."""

    root: AnyPath
    dtype: Literal["float32", "float64", "float16"] = "float32"


class RunConfig(Section):
    """How a run works; nothing here changes values."""

    workers: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
    chunk_size: Annotated[int, Field(ge=1)] = 10
    video_timeout: Annotated[float, Field(gt=0)] = 600.0
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 2
    max_bad_frames: Share = 0.2
    max_pixels: Annotated[int, Field(ge=64 * 64)] = 50_000_000
    videos_per_worker: Annotated[int, Field(ge=1)] = 500
    worker_memory: Annotated[int, Field(ge=512)] | Literal["auto"] = "auto"


class SlurmConfig(Section):
    """SLURM's job arrays. A setting that is None is left out of the batch script: the cluster's default applies."""

    time: Minutes = 240
    cpus_per_task: Annotated[int, Field(ge=1)] = 8
    mem: Memory | None = None
    partition: SbatchValue | None = None
    account: SbatchValue | None = None
    qos: SbatchValue | None = None
    constraint: SbatchValue | None = None
    array_parallelism: Annotated[int, Field(ge=1)] = 20
    setup: Annotated[
        tuple[str, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, (list, tuple)) else (v,))
    ] = ()
    container: AnyPath | None = None
    dataset_image: AnyPath | None = None
    extra: Annotated[dict[str, bool | str], BeforeValidator(_check_extra)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _image_in_a_container(self) -> SlurmConfig:
        if self.dataset_image is not None and self.container is None:
            raise ValueError("dataset_image is set, but container, which mounts it, is not. Set slurm.container.")
        return self


class Config(Section):
    """A whole config, validated and frozen."""

    dataset: DatasetConfig
    landmarks: LandmarksConfig = LandmarksConfig()
    output: OutputConfig
    run: RunConfig = RunConfig()
    slurm: SlurmConfig = SlurmConfig()

    @model_validator(mode="after")
    def _output_outside_dataset(self) -> Config:
        if self.output.root == self.dataset.root or self.output.root in self.dataset.root.parents:
            raise ValueError(
                f"output.root: {self.output.root} is the dataset's own folder or above it. Choose another folder."
            )
        return self


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a config.

    Args:
        path: The YAML file; relative paths in it are relative to its folder.
        overrides: `section.key=value` with a YAML value, such as `landmarks.running_mode=video`; relative paths
            in them are relative to the current directory.

    Raises:
        ConfigError: One line with every mistake: the key, what is wrong, and the remedy.
    """
    path = Path(path)
    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. {_advice(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {_one_line(error)}. Name a YAML file in UTF-8.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {_one_line(error)}. Correct that place.") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds {_kind(tree)} and no sections. Add the sections dataset and output.")
    return make_config(tree, overrides, base=Path(os.path.abspath(path)).parent, where=f"{path}: ")


def make_config(tree: dict[Any, Any], overrides: Sequence[str], *, base: Path, where: str = "") -> Config:
    """Validate the sections of a config, changed by overrides; errors as `load_config`, with `where` before them."""
    for override in overrides:
        _apply_override(tree, override)
    try:
        return Config.model_validate(tree, context={"base": base})
    except ValidationError as error:
        changed = {override.partition("=")[0].strip() for override in overrides}
        raise ConfigError(f"{where}{explain(error, changed=changed)}") from None


def load_frozen_config(path: Path) -> Config:
    """Read what `dump_config` wrote: paths are absolute, and taken as they stand.

    Raises:
        ConfigError: It can't be read.
    """
    try:
        return Config.model_validate(read_yaml(path.read_text(encoding="utf-8")), context={"expand": False})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"the submission's config {path} can't be read: {_one_line(error)}. Submit again.") from None


def _apply_override(tree: dict[Any, Any], override: str) -> None:
    """Set `section.key=value` in the tree, in place."""
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {override!r} has no key or no value. Write it like landmarks.running_mode=video.")
    try:
        template = names[:1] == ["dataset"] and names[-1] in TEMPLATES
        braces = template and text.lstrip().startswith("{")  # no YAML mapping
        value = text.strip() if braces else read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--set {key}: {text!r} is not valid YAML: {_one_line(error)}. Put it in quotes.") from None
    if tuple(names) in PATH_SETTINGS and isinstance(value, str):
        value = value if value.startswith(("~", "$")) else os.path.abspath(value)
    for name in names[:-1]:
        child = tree.get(name)
        if child is None:
            child = tree[name] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {key}: {name} is not a section, it is {child!r}. Correct the key.")
        tree = child
    tree[names[-1]] = value


def explain(error: ValidationError, section: str = "", changed: Collection[str] = ()) -> str:
    """Turn pydantic's findings into one line, each with the key, what is wrong and the remedy.

    Args:
        error: What pydantic found.
        section: The section that was validated; "" for a whole config.
        changed: The keys that `--set` has changed.
    """
    found: dict[str, str] = {}
    misspelt: set[str] = set()
    for finding in sorted(error.errors(include_url=False), key=lambda finding: finding["type"] != "extra_forbidden"):
        where = [section] if section else []
        for item in map(str, finding["loc"]):
            if not item.startswith(("literal[", "constrained-", "function-")) and item not in ("int", "float"):
                where.append(item)
        key = ".".join(where)
        if finding["type"] == "extra_forbidden":
            valid = _valid_keys(where[:-1])
            near = difflib.get_close_matches(where[-1], valid, n=1, cutoff=0.5)
            misspelt.update(".".join([*where[:-1], name]) for name in near)
            hint = f"Did you mean {near[0]!r}?" if near else f"Choose among {', '.join(valid)}."
            found[key] = f"{key} is not a setting. {hint}"
        elif not (finding["type"] == "missing" and key in misspelt):
            found.setdefault(key, _explain_value(key, finding))
    texts = [f"--set {text}" if key in changed else text for key, text in found.items()]
    numbered = [f"({number}) {text}" for number, text in enumerate(texts, 1)]
    return texts[0] if len(texts) == 1 else " ".join([f"{len(texts)} mistakes.", *numbered])


def _explain_value(key: str, finding: ErrorDetails) -> str:
    """What is wrong with the value of a setting."""
    got = finding.get("input")
    if finding["type"] == "missing":
        return f"{key} is not set. Add it."
    if finding["type"] == "literal_error":
        return f"{key}: {got!r} is not valid. Choose {finding['ctx']['expected']}."
    if finding["type"] in ("value_error", "assertion_error"):
        return f"{key}: {finding['ctx']['error']}".removeprefix(": ")
    if finding["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key} holds {_kind(got)} and no settings. Write its settings below it, indented."
    message = finding["msg"][0].lower() + finding["msg"][1:]
    return f"{key}: {str(got)[:80]!r} is not valid: {_one_line(message)}."


def _advice(path: Path) -> str:
    """What to do about a config that does not exist."""
    there = [file.name for file in path.parent.glob("*.y*ml")]
    if near := difflib.get_close_matches(path.name, there, n=1, cutoff=0.5):
        return f"Did you mean {path.with_name(near[0])}?"
    return "Correct the path, or write a config: kpsbatch init FOLDER (for a demo: kpsbatch demo demo)."


def _valid_keys(where: Sequence[str]) -> list[str]:
    model: Any = Config
    for name in where:
        annotation = model.model_fields[name].annotation
        model = next((kind for kind in get_args(annotation) if hasattr(kind, "model_fields")), annotation)
    return list(model.model_fields)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else f"{str(value)[:60]!r}"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def dump_config(config: Config) -> str:
    """Write a config as YAML that `load_config` reads back to the same settings."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
