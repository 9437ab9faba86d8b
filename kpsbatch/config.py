"""The YAML config: loaded, changed by `--set`, validated, frozen."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails

from kpsbatch.config_slurm import SlurmConfig
from kpsbatch.config_types import MAX_SIGN, AnyPath, Points, Section, format_signs, one_or_more, parse_signs, unique
from kpsbatch.dataset.config import DatasetConfig
from kpsbatch.errors import ConfigError, one_line
from kpsbatch.landmarks.topology import topology_of
from kpsbatch.yaml_text import read_yaml

__all__ = ["MAX_SIGN", "DatasetConfig", "format_signs", "parse_signs"]

TEMPLATES = ("layout", "video", "id", "signer", "split", "sign", "label", "start", "end", "box", "view")
"""Settings below `dataset` that can start with a brace."""

Part = Literal["pose", "face", "hands"]
PART_NAMES: tuple[Part, ...] = ("pose", "face", "hands")
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


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a config.

    Args:
        path: The YAML file; relative paths in it are relative to its folder.
        overrides: `section.key=value` with a YAML value, such as `landmarks.running_mode=image`; relative paths
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
        raise ConfigError(f"{path} can't be read: {one_line(error)}. Name a YAML file in UTF-8.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {one_line(error)}. Correct that place.") from None
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
        raise ConfigError(f"the submission's config {path} can't be read: {one_line(error)}. Submit again.") from None


def _apply_override(tree: dict[Any, Any], override: str) -> None:
    """Set `section.key=value` in the tree, in place."""
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {override!r} has no key or no value. Write it like landmarks.running_mode=image.")
    try:
        template = names[:1] == ["dataset"] and names[-1] in TEMPLATES
        braces = template and text.lstrip().startswith("{")  # no YAML mapping
        value = text.strip() if braces else read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--set {key}: {text!r} is not valid YAML: {one_line(error)}. Put it in quotes.") from None
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
    return f"{key}: {str(got)[:80]!r} is not valid: {one_line(message)}."


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


def dump_config(config: Config) -> str:
    """Write a config as YAML that `load_config` reads back to the same settings."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
