"""Rows of a table of segments by themselves, without the videos that they name: to cut keypoints that are there."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from kpsbatch.config import DatasetConfig, ManifestConfig, explain, load_config, pattern_folder
from kpsbatch.dataset.captions import COLUMNS, read_captions
from kpsbatch.dataset.manifest import RowParser
from kpsbatch.dataset.tables import (
    BadRow,
    Row,
    columns_of,
    decode_table,
    guess_format,
    plain_name,
    read_bytes,
    read_person,
    read_rows,
    read_segment,
    writable,
)
from kpsbatch.dataset.video import Segment, without_suffix
from kpsbatch.errors import ConfigError
from kpsbatch.words import some_of

SETTING = "--segments"


class SegmentRow(NamedTuple):
    """A row: a part of a video.

    Attributes:
        source: Where it is in the table, such as train.csv:17.
        video: The path or name of the video, without suffix, with /.
        segment: The part; None for all of it.
        id: The key that it is to have; "" where the table has none.
        label, signer: As in the table.
        person: Who it is of, see `dataset.person`; "" where that is not said.
    """

    source: str
    video: str
    segment: Segment | None
    id: str
    label: str
    signer: str
    person: str


class BadSegment(NamedTuple):
    """A row that can't be used: where it is, and why."""

    source: str
    text: str


def read_segment_rows(segments: Path | str | Mapping[str, Any]) -> list[SegmentRow | BadSegment]:
    """The rows of tables, subtitles or ELAN files.

    Args:
        segments: A config, whose `dataset.manifest` is taken; or such a manifest; or a table, whose columns are named
            like those of a manifest (video, start, end, and id, label, signer, person where it has them), with times in
            seconds; or subtitles or ELAN files, which may be a pattern.

    Raises:
        ConfigError: They can't be read, or no column names the videos.
    """
    manifest = _manifest(segments)
    dataset = DatasetConfig.model_validate({"root": ".", "splits": "all", "manifest": manifest})
    rows: list[SegmentRow | BadSegment] = []
    for _, path in manifest.tables:
        for source, row, parse in _rows(dataset, manifest, path):
            try:
                if isinstance(row, str):
                    raise BadRow(row)
                video = without_suffix(parse.video(row).strip().replace("\\", "/")).lstrip("/")
                if not video:
                    raise BadRow("it names no video")
                rows.append(
                    SegmentRow(
                        source,
                        video,
                        read_segment(parse.start(row), parse.end(row), manifest),
                        parse.id(row).strip() if parse.id else "",
                        writable(parse.label(row)),
                        writable(parse.signer(row)),
                        read_person(parse.person(row)),
                    )
                )
            except BadRow as error:
                rows.append(BadSegment(source, str(error)))
    return rows


def _manifest(segments: Path | str | Mapping[str, Any]) -> ManifestConfig:
    """What says how the tables are read."""
    try:
        if isinstance(segments, Mapping):
            return ManifestConfig.model_validate(dict(segments))
        path = Path(segments)
        if path.suffix.lower() in (".yaml", ".yml"):
            manifest = load_config(path).dataset.manifest
            if manifest is None:
                raise ConfigError(f"{SETTING}: {path} has no dataset.manifest. Name a table, or a config that has one.")
            return manifest
        if path.suffix.lower().lstrip(".") in ("srt", "vtt", "eaf"):
            return ManifestConfig(path=path.absolute())
        return ManifestConfig.model_validate({"path": path.absolute(), "columns": _columns(path)})
    except ValidationError as error:
        raise ConfigError(f"{SETTING}: {explain(error, section='manifest')}") from None


def _columns(path: Path) -> dict[str, str]:
    """The columns of a table that are named like those of a manifest."""
    data = read_bytes(path, SETTING)
    form = guess_format(path, decode_table(data, SETTING, path))
    names = columns_of(row for _, row in read_rows(data, path, SETTING, form))
    plain = {plain_name(name): name for name in reversed(names)}
    wanted = ("video", "id", "label", "signer", "start", "end", "person")
    columns = {name: plain[name] for name in wanted if name in plain}
    if "video" not in columns:
        there = some_of(names, 10) or "none"
        raise ConfigError(
            f"{SETTING}: {path} has no column video; its columns are {there}. Rename them to video, start, end, label "
            "and id, or name a config whose dataset.manifest says which they are."
        )
    return columns


def _rows(dataset: DatasetConfig, manifest: ManifestConfig, path: Path) -> Iterator[tuple[str, Row | str, RowParser]]:
    """The rows of a table, or of all files of a pattern, with where they are and what takes values from them."""
    form = manifest.captions
    if form is None:
        data = read_bytes(path, SETTING)
        read = list(read_rows(data, path, SETTING, manifest.format, manifest.header))
        columns = columns_of(row for _, row in read)
        if not columns:
            raise ConfigError(f"{SETTING}: {path} has no row that can be read. Correct it.")
        parse = RowParser(dataset, columns, path.name, {}, None)
        yield from ((f"{path.name}:{line}", row, parse) for line, row in read)
        return
    files = [path] if "*" not in str(path) else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    if not files:
        raise ConfigError(f"{SETTING}: no file is named like {path}. Correct the pattern.")
    parse = RowParser(dataset, COLUMNS, path.name, {}, None)
    for file in files:
        below = file.relative_to(pattern_folder(path) if "*" in str(path) else path.parent)
        for line, row in read_captions(read_bytes(file, SETTING), form, file.stem, manifest.tiers):
            if not isinstance(row, str):
                row["video"] = "/".join((*below.parent.parts, row["name"]))
                row["id"] = "-".join((*below.parent.parts, row["id"]))
            yield f"{below.as_posix()}:{line}", row, parse
