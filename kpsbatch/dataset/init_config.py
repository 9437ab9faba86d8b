"""The config that `kpsbatch init` writes: one that was guessed, with comments, or the recipe of a known dataset."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.tables import plain_name
from kpsbatch.dataset.video import natural_key
from kpsbatch.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from kpsbatch.dataset.guess import Guess

RECIPES = Path(__file__).parents[1] / "recipes"
"""Configs of known datasets, as docs/known_datasets.md shows them."""

MOST_NAMED = 60
"""Characters of a dataset's name that are a part of another."""

COMMENTS = {
    "root": "the folder of the videos, or a zip or tar archive of it",
    "layout": "pattern of the folder that holds the videos of one sign, or of every video; see docs/datasets.md",
    "signers": "or a list, quoted: YAML reads 01 as the number 1",
    "splits": "or a list",
    "signs": "or like 1-100, or [1, 5, 7-9]",
    "path": "a row for each output video",
    "video": "below root; the suffix may be left out",
    "id": "the key in the npz",
    "signer": "who signs",
    "split": "becomes a part of the output's path",
    "sign": "a number: the rows of a sign are one output file",
    "label": "any text; copied to index.csv",
    "start": "of the segment in the file",
    "box": "of the person in the picture",
    "tiers": "of the ELAN files, and the person who signs there",
    "person": "left, right, largest, x=0.3 or a number from the left",
}


def output_root(place: Path) -> str:
    """Where the outputs of a dataset go, beside the config: each dataset has a folder of its own.

    Args:
        place: Its folder, archive or table.
    """
    name = Path(os.path.abspath(place)).name
    if place.is_file():
        name = name.partition(".")[0] or name
    plain = re.sub(r"[^\w.+-]+", "-", name)[:MOST_NAMED]
    return f"kps-{plain}".rstrip("-.")


def config_text(guess: Guess, output: str, first_line: str = "") -> str:
    """The YAML of a guessed config: what was found, what is unsure, the dataset, and where the outputs go."""
    lines = [first_line, "#"] if first_line else []
    lines += [f"# Written by `kpsbatch init`. Found: {_line(guess.found)}."]
    if guess.notes:
        lines += ["#", "# Look at this before you run it:", *(f"#   - {_line(note)}" for note in guess.notes)]
    lines += ["#", "# `kpsbatch scan` with this file shows what is there.", "", "dataset:"]
    lines += _yaml(guess.dataset, "  ")
    lines += ["", "output:", f"  root: {_scalar(output)}    # keypoints, and records below _kpsbatch/", ""]
    return "\n".join(lines)


def write_config(guess: Guess, path: Path, output: str, first_line: str = "") -> list[Path]:
    """Write a guessed config, and the table that it needs, if any; relative paths where that is possible.

    Args:
        output: `output_root` of what was looked at.
        first_line: A comment for editors, if any.

    Returns:
        The files that were written, the config first.

    Raises:
        ConfigError: A file is there already, or can't be written.
    """
    folder = Path(os.path.abspath(path)).parent
    dataset = _relative(guess.dataset, folder)
    files = {path: ""}
    if guess.table:
        table = folder / f"{path.stem}-videos.csv"
        dataset["manifest"]["path"] = table.name
        files[table] = guess.table
    files[path] = config_text(replace(guess, dataset=dataset), output, first_line)
    _write_new(files)
    return list(files)


def recipe_names() -> list[str]:
    """The names of the recipes, such as wlasl."""
    return sorted((path.stem for path in RECIPES.glob("*.yaml")), key=natural_key)


def recipe_like(name: str) -> str:
    """The name of a recipe as it is written, from one with other capitals and punctuation.

    Raises:
        ConfigError: There is no such recipe; names all.
    """
    recipe = next((known for known in recipe_names() if plain_name(known) == plain_name(name)), None)
    if recipe is None:
        raise ConfigError(
            f"--like {name}: there is no known dataset of that name. Choose among {', '.join(recipe_names())}."
        )
    return recipe


def recipe_text(recipe: str, dataset: Path, folder: Path, output: str) -> str:
    """The config of a known dataset for the place where it lies.

    Args:
        dataset: Its folder or archive; its path in the config is relative where that is possible.
        folder: The one that the config's paths are relative to.
        output: Where the outputs go.

    Raises:
        DatasetError: The dataset is not there.
    """
    if not dataset.exists():
        raise DatasetError(f"{dataset} does not exist. Correct the path or mount the drive.")
    text = (RECIPES / f"{recipe}.yaml").read_text(encoding="utf-8")
    old = re.escape(yaml.safe_load(text)["dataset"]["root"])
    new = _short(os.path.abspath(dataset), Path(os.path.abspath(folder)))
    text = re.sub(rf"(?m)^( +\w+: ){old}((?:/\S+)?)$", lambda match: match[1] + _scalar(new + match[2]), text)
    return re.sub(r"(?m)^  root: kps$", lambda match: f"  root: {_scalar(output)}", text)


def write_recipe(recipe: str, dataset: Path, path: Path, first_line: str = "") -> None:
    """Write the config of a known dataset for the place where it lies.

    Args:
        dataset: Its folder or archive.
        first_line: A comment for editors, if any.

    Raises:
        ConfigError: The config is there already, or can't be written.
        DatasetError: The dataset is not there.
    """
    text = recipe_text(recipe, dataset, path.parent, output_root(dataset))
    lines = [*([first_line, "#"] if first_line else []), f"# Written by `kpsbatch init --like {recipe}`.", "#", text]
    _write_new({path: "\n".join(lines)})


def tables_not_there(dataset: DatasetConfig) -> list[Path]:
    """The tables that a manifest names and that are not on disk, those in an archive left out."""
    if dataset.manifest is None:
        return []
    paths = [*dataset.manifest.places, dataset.manifest.boxes]
    packed = dataset.root.is_file()
    return [path for path in paths if path and not path.exists() and not (packed and dataset.root in path.parents)]


def _write_new(files: dict[Path, str]) -> None:
    """Write files, none of which may be there."""
    if existing := next((file for file in files if file.exists()), None):
        raise ConfigError(f"{existing} exists already. Choose another name, or remove it.")
    try:
        for file, text in files.items():
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
    except OSError as error:
        raise ConfigError(f"{file} can't be written: {error.strerror}. Choose another folder.") from None


def _relative(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same settings, with paths relative to the config's folder where they lie below it."""
    changed: dict[str, Any] = {}
    for key, value in tree.items():
        if key == "path" and isinstance(value, dict):
            changed[key] = {split: _short(table, folder) for split, table in value.items()}
        elif isinstance(value, dict):
            changed[key] = _relative(value, folder)
        else:
            changed[key] = _short(value, folder) if key in ("root", "path", "boxes") else value
    return changed


def _short(path: str, folder: Path) -> str:
    return os.path.relpath(path, folder) if Path(path).is_relative_to(folder) else path


def _yaml(tree: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines += [f"{indent}{_scalar(key)}:", *_yaml(value, indent + "  ")]
        else:
            line = f"{indent}{_scalar(key)}: {_scalar(value)}"
            lines.append(f"{line:<44}  # {COMMENTS[key]}" if key in COMMENTS else line)
    return lines


def _scalar(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, (list, tuple)):
        return json.dumps(value, ensure_ascii=False)
    text = yaml.safe_dump(value, width=100_000, allow_unicode=True, default_flow_style=True).strip()
    return text.removesuffix("...").strip()


def _line(text: str) -> str:
    return " ".join(text.split())
