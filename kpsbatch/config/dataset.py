"""The `dataset` section of the config: where the videos are, and how their signer, split and sign are found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import WrapValidator

from kpsbatch.config.types import AnyPath, Name, Names, Section, format_signs, one_or_more, parse_signs

ALL = "all"
LAYOUT_FIELDS = ("signer", "split", "sign", "video")
DEFAULT_SPLITS = ("train", "test")

Format = Literal["csv", "tsv", "psv", "ssv", "json", "jsonl"]
Unit = Literal["s", "ms", "frames"]
BoxOrder = Literal["xywh", "xyxy", "yxyx"]


AllOrNames = Annotated[
    Names,
    WrapValidator(lambda value, read: () if value in (ALL, ()) else read(value)),
    WithJsonSchema(one_or_more({"type": "string"})),
]
AllOrSigns = Annotated[
    tuple[int, ...],
    BeforeValidator(lambda v: () if v in (ALL, ()) else parse_signs(v)),
    WithJsonSchema(one_or_more({"type": ["integer", "string"]})),
]


def _check_template(text: str) -> str:
    """A column's name, or a text with columns in braces: `raw/{NAME}.mp4`, `{path:^(P\\d+)-}`."""
    if not text.strip():
        raise ValueError("it is empty. Name a column.")
    if "{" not in text:
        return text
    try:
        fields = [(name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a template: {error}. Name a column, or write it like raw/{{NAME}}.mp4."
        ) from None
    for name, pattern in fields:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(
                f"{pattern!r} in {{{name}:...}} is not a regular expression: {error}. Correct it."
            ) from None
        if pattern and groups != 1:
            raise ValueError(f"{pattern!r} in {{{name}:...}} has not one group. Put what to take in parentheses.")
    return text


Template = Annotated[str, AfterValidator(_check_template)]


class Columns(Section):
    """Which column holds what; `{a}_{b}` joins columns, `{a:regex}` takes the regular expression's one group of it.

    Attributes:
        video: The file, or directory of frames, below `dataset.root`; its suffix may be left out.
        id: The key in the npz; default the file's name without suffix, made unique.
        signer, split: As in the output's path.
        sign: A number from 0 on. Without it, rows are put together in order, see `videos_per_unit`.
        label: Any text; copied to index.csv.
        start, end: When a segment starts and ends in the file, in `unit`.
        box: Where the person is: one column with four numbers, or four columns.
        view: The camera; copied to index.csv.
    """

    video: Template
    id: Template | None = None
    signer: Template | None = None
    split: Template | None = None
    sign: Template | None = None
    label: Template | None = None
    start: Template | None = None
    end: Template | None = None
    box: Template | Annotated[tuple[Template, ...], Field(min_length=4, max_length=4)] | None = None
    view: Template | None = None


class ManifestConfig(Section):
    """A table with a row for each output video.

    Attributes:
        path: The table; or a table for each split, as {train: a.csv, test: b.csv}.
        format: csv, tsv, psv (columns separated by |), ssv (by ;), json (a list of objects) or jsonl; default by its
            name and first line.
        header: Names of the columns of a table that has no line of them.
        columns: Which column holds what.
        unit: Of start and end. Frames count from `first_frame`; the end is the first frame, or moment, outside
            (where frames count from 1, the last one inside).
        first_frame: The number of a file's first frame, 0 or 1, where `unit` is frames.
        margin: How much earlier and later than start and end, in the same unit.
        box_order: What the four numbers of a box are.
        box_unit: Pixels, or shares of the frame's width and height; default shares if no number is above 1.
        boxes: A JSON file of boxes by key; `columns.box` then names the column of the key.
    """

    path: AnyPath | Annotated[dict[Name, AnyPath], Field(min_length=1)]
    format: Format | None = None
    header: tuple[str, ...] | None = None
    columns: Columns
    unit: Unit = "s"
    first_frame: Literal[0, 1] = 0
    margin: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.0, 0.0)
    box_order: BoxOrder = "xywh"
    box_unit: Literal["pixels", "shares"] | None = None
    boxes: AnyPath | None = None

    @property
    def tables(self) -> list[tuple[str | None, Path]]:
        """Its tables, each with its split where the config names one."""
        return list(self.path.items()) if isinstance(self.path, dict) else [(None, self.path)]

    @model_validator(mode="after")
    def _complete(self) -> ManifestConfig:
        if self.boxes is not None and not isinstance(self.columns.box, str):
            raise ValueError("columns.box is not set, but boxes is. Name the column of the key in columns.box.")
        return self


class DatasetConfig(Section):
    """Which videos to read.

    Attributes:
        root: The folder of the dataset, or a zip or tar archive of it.
        layout: The path of a unit's folder, or, where it holds {video}, of every video. Not used with a manifest.
        manifest: A table of the videos, instead of a layout.
        signers, splits, signs: Which ones; `all` (kept as an empty tuple) takes those that are found.
        videos_per_unit: Rows in a unit of a manifest without numbered signs.
        labels: A table with the names of the signs: columns id, arabic, english.
        mirrored: The pictures are mirror images: right is the signer's own right all the same.
        frame_rate_out: Give as many frames a second, each the nearest in time; None for all as they are.
    """

    root: AnyPath
    layout: str = "{signer}/{signer}/{split}/{sign:04d}"
    manifest: ManifestConfig | None = None
    signers: AllOrNames = ()
    splits: AllOrNames = DEFAULT_SPLITS
    signs: AllOrSigns = ()
    videos_per_unit: Annotated[int, Field(ge=1, le=10_000)] = 100
    labels: AnyPath | None = None
    mirrored: bool = False
    frame_rate_out: Annotated[float, Field(gt=0, le=1000)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _splits_of_a_table(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and tree.get("manifest") is not None and "splits" not in tree:
            return {**tree, "splits": ALL}
        return tree

    @field_serializer("signers", "splits", when_used="json")
    def _write_names(self, names: tuple[str, ...]) -> list[str] | str:
        return list(names) or ALL

    @field_serializer("signs", when_used="json")
    def _write_signs(self, signs: tuple[int, ...]) -> str:
        return format_signs(signs) or ALL

    @field_validator("layout")
    @classmethod
    def _check_layout(cls, layout: str) -> str:
        try:
            parts = list(Formatter().parse(layout))
            fields = [(name, spec) for _, name, spec, _ in parts if name is not None]
            for name, spec in fields:
                if name not in LAYOUT_FIELDS:
                    raise ValueError(f"{{{name}}} is not a field. Use {{signer}}, {{split}}, {{sign}} and {{video}}.")
                if name == "sign" and not re.fullmatch(r"|0?[1-9][0-9]?d?", spec or ""):
                    raise ValueError(
                        f"{{sign:{spec}}} has no valid width. Write {{sign}}, or a width such as {{sign:04d}}."
                    )
                if name != "sign" and spec:
                    raise ValueError(f"{{{name}:{spec}}} has a format. Write {{{name}}}.")
            sample = layout.format(signer="s", split="t", sign=1, video="v")
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise ValueError(
                f"it is not a template: {error}. Write it like {{signer}}/{{split}}/{{sign:04d}}."
            ) from None
        names = [name for name, _ in fields]
        if "sign" not in names:
            raise ValueError(f"{layout!r} has no {{sign}}. Add it; where a table has the signs, set manifest.")
        if names.count("video") > 1 or "{video}" in layout.rpartition("/")[0]:
            raise ValueError(f"{{video}} in {layout!r} is not once in the last part of the path. Move it there.")
        if sample.startswith("/") or ".." in sample.split("/") or "\0" in sample:
            raise ValueError(
                f"{layout!r} is not a path below dataset.root. Write it without '..' and without a slash at its start."
            )
        return layout

    @model_validator(mode="after")
    def _one_place_for_each_unit(self) -> DatasetConfig:
        if twice := _repeated(f"{signer}-{split}" for signer in self.signers for split in self.splits):
            raise ValueError(f"two pairs of signer and split would share the output folder {twice!r}. Rename one.")
        if self.manifest is None:
            self._check_fields()
        elif self.manifest.columns.sign is None and self.signers not in ((), (ALL,)):
            raise ValueError(
                "signers can't be chosen where the manifest has no column of numbered signs. Remove signers."
            )
        return self

    def _check_fields(self) -> None:
        """Every signer, split and sign must have a place of its own by the layout."""
        looked_for = not (self.signers and self.splits and self.signs)
        touching = r"\}\{" if looked_for or "{video}" in self.layout else None
        if touching and re.search(touching, self.layout):
            raise ValueError(f"layout: {self.layout!r} has fields without anything between them. Put - or _ there.")
        for field, names in (("signer", self.signers), ("split", self.splits)):
            if len(names) == 1 or f"{{{field}}}" in self.layout:
                continue
            if not names:
                raise ValueError(
                    f"layout: {self.layout!r} has no {{{field}}}, so that {field}s can't be found. Add it, or write "
                    f"one name, such as {field}s: [unknown]."
                )
            raise ValueError(f"layout: {self.layout!r} has no {{{field}}}, but there are several. Add it.")
        if not looked_for and "{video}" not in self.layout and re.search(r"\}[^/]*\{", self.layout):
            # two fields in one name can run into each other: 1, "11" and 11, "1"
            units = product(self.signs, self.signers, self.splits)
            folders = (self.layout.format(signer=signer, split=split, sign=sign) for sign, signer, split in units)
            if folder := _repeated(folders):
                raise ValueError(
                    f"layout: by {self.layout!r} the folder {folder!r} belongs to two units. Put something between "
                    "its fields."
                )


def _repeated(texts: Iterable[str]) -> str | None:
    """A text that is there twice."""
    return next((text for text, count in Counter(texts).items() if count > 1), None)
