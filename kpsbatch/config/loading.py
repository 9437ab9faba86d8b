"""The config from its YAML file: read, changed by `--set`, validated; mistakes become one line with the remedy."""

from __future__ import annotations

import difflib
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kpsbatch.config.sections import Config
from kpsbatch.errors import ConfigError, one_line
from kpsbatch.untrusted import MAX_DIGITS

TEMPLATES = ("layout", "video", "id", "signer", "split", "sign", "label", "start", "end", "box", "person", "view")
"""Settings below `dataset` that can start with a brace."""

PATH_SETTINGS = (
    *("dataset.root", "dataset.labels", "dataset.manifest.path", "dataset.manifest.boxes"),
    *("output.root", "landmarks.models", "slurm.container", "slurm.dataset_image"),
)


MAX_VALUES = 1_000_000
"""Values that a config may have; a list of all 75,000 videos of a dataset is a table, and none."""


MAX_MISTAKES, MAX_TEXT = 50, 600
"""Mistakes that one line names, and characters of each."""


class _Loader(yaml.SafeLoader):
    """YAML without numbers to the base of 60 (`time: 4:00:00` stays a text), and without keys that are there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that would silently win over an earlier one."""
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<")
        if twice := next((key for key, count in keys.items() if count > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)

    def get_single_node(self) -> yaml.Node | None:
        """Refuse anchors that stand for more than a config has: each `*` is what its `&` holds, again and again."""
        root: yaml.Node | None = super().get_single_node()
        if root is not None and _size(root) > MAX_VALUES:
            problem = f"with its anchors (& and *) it holds more than {MAX_VALUES:,} values"
            raise yaml.constructor.ConstructorError(None, None, problem, root.start_mark)
        return root

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse a number that no setting takes."""
        if len(node.value) > MAX_DIGITS:
            problem = f"a number has {len(node.value)} characters"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return int(super().construct_yaml_int(node))


def _size(root: yaml.Node) -> int:
    """How many values a text stands for; more than any limit where a value holds itself."""
    sizes: dict[int, float] = {}
    waiting = [root]
    while waiting:
        node = waiting[-1]
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        if id(node) not in sizes:
            sizes[id(node)] = math.inf  # until its parts are counted
            waiting += [part for part in parts if id(part) not in sizes]
        else:
            waiting.pop()
            if sizes[id(node)] == math.inf:
                sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
    return int(min(sizes[id(root)], 2 * MAX_VALUES))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.yaml_implicit_resolvers = {
    char: [
        (tag, re.compile(r"^(?![-+]?[0-9][0-9_]*:)(?:" + pattern.pattern + ")", re.VERBOSE))
        if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        else (tag, pattern)
        for tag, pattern in resolvers
    ]
    for char, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: It is no YAML.
    """
    return yaml.load(text, Loader=_Loader)


def _begins(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError:
        return b""


def no_config(path: Path) -> str:
    """What a path is that stands in the place of a config, and what to do with it; "" where it can be a config."""
    if path.suffix == ".npz":
        return f"is an output, no config. To see what it holds: kpsbatch inspect {shlex.quote(str(path))}"
    if path.is_file() and path.suffix not in (".yaml", ".yml") and b"\0" in _begins(path):
        return f"is not text, so not a config. For the keypoints of a video: kpsbatch extract {shlex.quote(str(path))}"
    if not path.is_dir():
        return ""
    configs = sorted(file for file in path.glob("*.y*ml"))
    if len(configs) == 1:
        return f"is a folder, no config. Did you mean {configs[0]}?"
    return (
        f"is a folder, no config. Of a dataset, write one: kpsbatch init {shlex.quote(str(path))}. Outputs are taken "
        "by verify, export, view, preview and about, those of a run also by status, logs and report."
    )


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
        there = [file.name for file in path.parent.glob("*.y*ml")]
        advice = "Correct the path, or write a config: kpsbatch init FOLDER (for a demo: kpsbatch demo demo)."
        if near := difflib.get_close_matches(path.name, there, n=1, cutoff=0.5):
            advice = f"Did you mean {path.with_name(near[0])}?"
        raise ConfigError(f"{path} does not exist. {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        problem = no_config(path) or f"can't be read: {one_line(error)}. Name a YAML file in UTF-8."
        raise ConfigError(f"{path} {problem}") from None
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


def load_frozen_config(path: Path, data: bytes | None = None) -> Config:
    """Read what `dump_config` wrote, or what was read of it already: paths are absolute, and taken as they stand.

    Raises:
        ConfigError: It can't be read.
    """
    try:
        text = (path.read_bytes() if data is None else data).decode()
        return Config.model_validate(read_yaml(text), context={"expand": False})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} can't be read: {one_line(error)}. Run or submit again with your config.") from None


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
    if ".".join(names) in PATH_SETTINGS and isinstance(value, str):
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
        section: The section that was validated; "" for a whole config.
        changed: The keys that `--set` has changed.
    """
    found: dict[str, str] = {}
    misspelt: set[str] = set()
    findings = sorted(error.errors(include_url=False), key=lambda finding: finding["type"] != "extra_forbidden")
    for finding in findings[:MAX_MISTAKES]:
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
            if len(where) == 1 and (homes := [f"{name}.{key}" for name in valid if key in _valid_keys([name])]):
                hint = f"Did you mean {' or '.join(homes)}?"
            found[key] = f"{key} is not a setting. {hint}"
        elif not (finding["type"] == "missing" and key in misspelt):
            found.setdefault(key, _explain_value(key, finding))
    texts = [f"--set {text}" if key in changed else text for key, text in found.items()]
    texts = [text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..." for text in texts]
    numbered = [f"({number}) {text}" for number, text in enumerate(texts, 1)]
    count = f"{len(texts)} mistakes." if len(findings) <= MAX_MISTAKES else f"{len(findings)} mistakes, the first ones:"
    return texts[0] if len(texts) == 1 else " ".join([count, *numbered])


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
