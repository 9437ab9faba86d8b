"""Guessing how a dataset is to be read, for `kpsbatch init`: a layout, or a table and its columns."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from kpsbatch.config import DatasetConfig, check_name
from kpsbatch.dataset.explore import TABLE_SUFFIXES, Sample, explore
from kpsbatch.dataset.folders import Folders
from kpsbatch.dataset.guess_layout import SPLITS, guess_layout
from kpsbatch.dataset.guess_table import ROWS, guess_boxes, guess_columns, guess_video, sibling_tables
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.dataset.manifest import SETTING, SHOWN, ManifestSource
from kpsbatch.dataset.source import open_folders, read_table
from kpsbatch.dataset.tables import SEPARATORS, Row, columns_of, decode_table, guess_format, read_rows
from kpsbatch.dataset.video import natural_key
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.words import counted

UNREAD = (".pkl", ".pickle", ".xlsx", ".parquet")


@dataclass(frozen=True)
class Guess:
    """How a dataset can be read.

    Attributes:
        dataset: The `dataset` section that was guessed.
        found: What it finds, in a line.
        notes: What is unsure, or left out, a line each.
        table: The text of a table to be written beside the config, where no name contains a sign's number.
    """

    dataset: dict[str, Any]
    found: str
    notes: list[str] = field(default_factory=list)
    table: str = ""


def guess(place: Path, index_folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Guess:
    """Look at a folder, an archive or a table, and guess the `dataset` section of a config.

    Args:
        place: The folder or archive of videos, or a table beside them.
        index_folder: Where the index of an archive is kept.
        on_progress: Called with (done, total) while the index of an archive is built.

    Raises:
        DatasetError: There is no video.
        ConfigError: The table can't be read, or fits no video.
    """
    place = Path(os.path.abspath(place))
    if place.is_file() and place.suffix.lower() in TABLE_SUFFIXES:
        folders = open_folders(place.parent, index_folder)
        sample = _explored(folders, place.parent)
        found = _from_table(folders, sample, place.name)
        if found is None:
            raise ConfigError(
                f"no column of {place} names the videos that lie below {place.parent}, such as {sample.videos[0]!r}. "
                "Put the table above the videos, or write dataset.manifest by hand."
            )
        return found
    folders = open_folders(place, index_folder, on_progress)
    sample = _explored(folders, place)
    by_layout = _from_layout(folders, sample)
    if by_layout is not None and not by_layout.notes:
        return by_layout
    for name in sample.tables:
        by_table = _from_table(folders, sample, name)
        if by_table is not None:
            return by_table
    return by_layout or _from_names(folders, sample)


def _explored(folders: Folders, place: Path) -> Sample:
    try:
        sample = explore(folders)
    except OSError as error:
        raise DatasetError(f"{place} can't be listed: {error.strerror}. Correct its permissions.") from None
    if not sample.videos:
        raise DatasetError(
            f"there is no video below {place}: no video file, and no folder of images. Correct the path."
        )
    return sample


def _from_layout(folders: Folders, sample: Sample) -> Guess | None:
    made = guess_layout(sample)
    if made is None:
        return None
    tree: dict[str, Any] = {"root": str(folders.root), "layout": made.layout}
    tree["signers"] = "all" if made.signers else ["unknown"]
    tree["splits"] = "all" if made.splits else ["all"]
    tree["signs"] = "all"
    try:
        source = LayoutSource(DatasetConfig.model_validate(tree), folders)
        units = source.units()
    except ValueError:
        return None
    videos = next((source.listing(unit) for unit in units if source.presence(unit) == "videos"), None)
    if videos is None:
        return None
    found = (
        f"{len(source.signs)} signs ({source.signs[0]} to {source.signs[-1]}), "
        f"{_count_names(source.signers, 'signer')}, {_count_names(source.splits, 'split')}"
    )
    notes = made.notes
    if strays := source.strays():
        notes = [*notes, f"{len(strays)} files are not named like the layout, such as {strays[0][0]!r}"]
    return Guess(tree, found, notes)


def _count_names(names: Sequence[str], what: str) -> str:
    return f"{counted(len(names), what)} ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})"


def _from_table(folders: Folders, sample: Sample, name: str) -> Guess | None:
    """The guess from a table below the root; None where it fits no video."""
    rows, form, header = _first_rows(folders, name)
    columns = columns_of([(0, row) for row in rows])
    video = guess_video(rows, columns, sample) if rows else None
    if video is None:
        return None
    template, share = video
    found, settings, notes = guess_columns(rows, columns, template)
    notes.insert(0, f"it takes {template} as the video, which fits {share:.0%} of the rows that were looked at")
    root = folders.root
    path: Any = str(root / name)
    if siblings := sibling_tables(name, sample.tables):
        path = {split: str(root / other) for split, other in siblings.items()}
        mine = next(split for split, other in siblings.items() if other == name)
        template = re.sub(rf"(?<![^/]){mine}/", "{split}/", template) if "{" in template else template
        found.pop("split", None)
    manifest = {"path": path, "format": form, "header": header, "columns": {"video": template, **found}, **settings}
    manifest = {key: value for key, value in manifest.items() if value is not None}
    manifest.update(_boxes_beside(folders, sample, rows, columns, manifest["columns"], notes))
    notes += [f"{other} can't be read; see docs/datasets.md" for other in sample.tables if other.endswith(UNREAD)]
    return _described(folders, manifest, notes)


def _described(folders: Folders, manifest: dict[str, Any], notes: list[str]) -> Guess | None:
    """The guess of a manifest with what it finds; None where it finds nothing."""
    tree = {"root": str(folders.root), "manifest": manifest}
    source = ManifestSource(DatasetConfig.model_validate(tree), folders, lambda path: read_table(folders, path))
    units = source.units()
    videos = sum(len(source.listing(unit).videos) for unit in units)
    if not videos:
        return None
    if "sign" in manifest["columns"] and len(units) > videos / 2:
        sign = manifest["columns"].pop("sign")
        manifest["columns"].setdefault("label", sign)
        notes = [note for note in notes if "as the number of the sign" not in note]
        notes.append(
            f"a signer has few videos of a sign, so rows are put together in order; `sign: {sign}` makes an output "
            "file of each signer, split and sign"
        )
        return _described(folders, manifest, notes)
    if source.problems:
        shown = "; ".join(f"{problem.source}: {problem.text}" for problem in source.problems[: SHOWN // 3])
        notes.append(f"{len(source.problems)} of {source.rows} rows can't be used: {shown}")
    found = f"{videos} videos of {source.rows} rows, {len(units)} units, {_count_names(source.splits, 'split')}"
    return Guess(tree, found, notes)


def _boxes_beside(
    folders: Folders, sample: Sample, rows: list[Row], columns: list[str], found: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    """A JSON file of boxes by key that lies beside a table."""
    for name in sample.tables:
        if "box" in found or not name.endswith(".json"):
            continue
        try:
            boxes = json.loads(read_table(folders, folders.root / name))
        except (ConfigError, ValueError):
            continue
        if column := guess_boxes(rows, columns, boxes):
            found["box"] = column
            notes.append(f"it takes the boxes in {name} as left, top, right, bottom (box_order: xyxy)")
            return {"boxes": str(folders.root / name), "box_order": "xyxy"}
    return {}


def _first_rows(folders: Folders, name: str) -> tuple[list[Row], str, list[str] | None]:
    """Rows of a file that may be a table, its format, and names for its columns where it has none."""
    path = folders.root / name
    try:
        text = decode_table(read_table(folders, path), SETTING, path)
        form = guess_format(path, text)
        rows = _dicts(read_rows(text, form, path, SETTING))
        names = columns_of([(0, row) for row in rows])
        if form not in SEPARATORS or not any(re.fullmatch(r"\d+(\.\d+)?", cell) for cell in names):
            return rows, form, None
        header = [f"column{number}" for number in range(1, len(names) + 1)]
        return _dicts(read_rows(text, form, path, SETTING, header)), form, header
    except ConfigError:
        return [], "", None


def _dicts(rows: Iterator[tuple[int, Row | str]]) -> list[Row]:
    return [row for _, row in islice(rows, ROWS) if isinstance(row, dict)]


def _from_names(folders: Folders, sample: Sample) -> Guess:
    """A table of all videos, the folder of each as its label: for a dataset whose paths contain no number of a sign."""
    videos = sample.videos if sample.whole else explore(folders, everywhere=True).videos
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "split", "label"])
    for path in sorted(videos, key=natural_key):
        parts = path.split("/")[:-1]
        split = next((part for part in parts if part.casefold() in SPLITS and _is_name(part)), "all")
        label = next((part for part in reversed(parts) if part != split), "")
        writer.writerow([path, split, label])
    manifest = {"path": "", "columns": {"video": "video", "split": "split", "label": "label"}}
    notes = [
        "no number in the paths tells the sign, so a table of the videos is written, each with its folder as the "
        "label; correct it as you like (a column of numbered signs makes a unit of each sign)"
    ]
    return Guess({"root": str(folders.root), "manifest": manifest}, f"{len(videos)} videos", notes, text.getvalue())


def _is_name(text: str) -> bool:
    try:
        check_name(text)
    except ValueError:
        return False
    return True
