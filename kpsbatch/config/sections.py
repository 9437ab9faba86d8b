"""The sections of the config: which videos, what to compute, where it goes, how and where a run works."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import product, takewhile
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import WrapValidator

from kpsbatch.errors import ConfigError
from kpsbatch.points import topology_of

MAX_SIGN = 99_999
MAX_NAME_BYTES = 100


def parse_signs(value: object) -> tuple[int, ...]:
    """Read sign IDs such as `7`, `"1-502"`, `"1, 5, 7-9"` or `[1, 5, "7-9"]`.

    Returns:
        The IDs, sorted, each once.

    Raises:
        ValueError: Not a sign ID or range, a range that runs backwards, or an ID outside 0 to 99999.
    """
    items: list[object]
    if isinstance(value, str):
        items = [item for item in re.split(r"[,\s]+", re.sub(r"\s*-\s*", "-", value.strip())) if item]
    elif isinstance(value, (list, tuple)):
        items = list(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        items = [value]
    else:
        raise ValueError(f"{value!r} is not a list of signs. Write 1-502 or [1, 5, 7-9].")
    signs: set[int] = set()
    for item in items:
        match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", str(item).strip())
        if match is None or isinstance(item, (bool, float)):
            raise ValueError(f"{item!r} is not a sign. Write 1-502 or [1, 5, 7-9].")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last:
            raise ValueError(f"the range of signs {item!r} runs downwards. Did you mean {last}-{first}?")
        if last > MAX_SIGN:
            raise ValueError(f"{item!r} is not from 0 to {MAX_SIGN}. Correct the sign.")
        signs.update(range(first, last + 1))
    if not signs:
        raise ValueError("it names no sign. Write at least one, such as 1-502.")
    return tuple(sorted(signs))


def format_signs(signs: Iterable[int]) -> str:
    """Write sign IDs the way `parse_signs` reads them: `1-3,7`."""
    ranges: list[list[int]] = []
    for sign in sorted(set(signs)):
        if ranges and sign == ranges[-1][1] + 1:
            ranges[-1][1] = sign
        else:
            ranges.append([sign, sign])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


AUTO = "auto"
ALL_PEOPLE = "all"
MOST_PEOPLE = 99


def parse_person(value: object) -> str:
    """Read who the signer is: auto, left, right, largest, a place such as x=0.3, a number from the left, from 1 on.

    Or `all`, everybody: each person of a video has an array.

    Returns:
        The same in one spelling.

    Raises:
        ValueError: It is none of them.
    """
    text = "" if isinstance(value, (bool, float)) else str(value).strip().casefold()
    if text in (AUTO, ALL_PEOPLE, "left", "right", "largest"):
        return text
    number = re.fullmatch(r"0*([1-9][0-9]?)", text)
    place = re.fullmatch(r"x ?= ?([01]?\.?[0-9]*)", text)
    if number is not None:
        return number[1]
    if place is not None and place[1] not in ("", ".") and float(place[1]) <= 1:
        return f"x={float(place[1]):g}"
    raise ValueError(
        f"{value!r} is not a choice of person. Write auto, left, right, largest, a place such as x=0.3 (0 is the "
        f"left edge), a number from the left (1 to {MOST_PEOPLE}), or all."
    )


def expand_path(value: object, info: ValidationInfo) -> Path:
    """Expand `~` and `$VARIABLES`; a relative path is relative to the config's own folder."""
    if not isinstance(value, (str, Path)) or not str(value).strip():
        raise ValueError(f"{value!r} is not a path. Put it in quotes.")
    if not (info.context or {}).get("expand", True):
        return Path(value)
    for name in re.findall(r"\$\{?(\w+)", str(value)):
        if os.environ.get(name) == "":
            raise ValueError(f"the environment variable ${name} in {str(value)!r} is empty. Set it.")
    text = os.path.expandvars(str(value))
    if missing := re.search(r"\$(\w+|\{[^}]*\})", text):
        raise ValueError(f"the environment variable {missing[0]} in {str(value)!r} is not set. Set it.")
    if "\0" in text:
        raise ValueError("it contains a zero byte. Remove it.")
    base = (info.context or {}).get("base", Path.cwd())
    try:
        return Path(os.path.normpath(base / Path(text).expanduser()))
    except RuntimeError:
        raise ValueError(f"the home directory in {str(value)!r} is not known here. Write the whole path.") from None


def check_name(name: str) -> str:
    """Signer and split become parts of paths, so they must be plain names."""
    if name in ("", ".", "..") or name.startswith((".", "_")) or name != name.strip():
        raise ValueError(f"{name!r} is not a folder name. Choose another name.")
    if any(char in "/\\" or unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise ValueError(f"{name!r} contains a slash or a control character. Remove it.")
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise ValueError(
            f"{name[:20]!r}... has {len(os.fsencode(name))} bytes, more than {MAX_NAME_BYTES}. Shorten it."
        )
    return name


def _as_names(value: object) -> object:
    """Accept one name for a list of one; refuse numbers, since YAML reads 01 as 1."""
    items = value if isinstance(value, (list, tuple)) else [value]
    for item in items:
        if not isinstance(item, str):
            raise ValueError(
                f'{item!r} is not text (YAML reads 01 as the number 1). Put names in quotes, such as ["01", "02"].'
            )
    return tuple(items)


def unique(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that is empty, or names something twice, case aside."""
    if not names:
        raise ValueError("it is empty. Name at least one.")
    seen: dict[str, object] = {}
    for name in names:
        key = unicodedata.normalize("NFC", str(name)).casefold()
        if key in seen:
            raise ValueError(f"{seen[key]!r} and {name!r} are the same, case aside. Remove or rename one.")
        seen[key] = name
    return names


def _parse_points(value: object) -> str:
    """The name of a set of points, see `topology_of`."""
    items = value if isinstance(value, (list, tuple)) else [value]
    names = [item for item in items if isinstance(item, str)]
    if len(names) < len(items):
        raise ValueError(f"{value!r} is not a set of points. Write contract, all, or a list such as [pose, hands].")
    try:
        return topology_of(", ".join(names)).name
    except ConfigError as error:
        raise ValueError(str(error)) from None


def one_or_more(item: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of one item, or a list of them."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


AnyPath = Annotated[Path, BeforeValidator(expand_path), WithJsonSchema({"type": "string"})]
Points = Annotated[str, BeforeValidator(_parse_points), WithJsonSchema(one_or_more({"type": "string"}))]
Name = Annotated[str, AfterValidator(check_name)]
Names = Annotated[
    tuple[Name, ...],
    BeforeValidator(_as_names),
    AfterValidator(unique),
    WithJsonSchema(one_or_more({"type": "string"})),
]


class Section(BaseModel):
    """What all sections share: frozen, and unknown keys are errors; docstrings describe every setting (`schema.py`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


ALL = "all"

Format = Literal["csv", "tsv", "psv", "ssv", "json", "jsonl", "srt", "vtt", "eaf"]
CAPTION_FORMATS: tuple[Format, ...] = ("srt", "vtt", "eaf")
Unit = Literal["s", "ms", "frames"]
BoxOrder = Literal["xywh", "xyxy", "yxyx"]


AllOrNames = Annotated[
    Names,
    WrapValidator(lambda value, read: () if value in (ALL, ()) else read(value)),
    WithJsonSchema(one_or_more({"type": "string"})),
]
Person = Annotated[str, BeforeValidator(parse_person), WithJsonSchema({"type": ["string", "integer"]})]
PersonOrNone = Annotated[
    str,
    BeforeValidator(lambda value: "" if value in (None, "") else parse_person(value)),
    WithJsonSchema({"type": ["string", "integer", "null"]}),
]
AllOrSigns = Annotated[
    tuple[int, ...],
    BeforeValidator(lambda v: () if v in (ALL, ()) else parse_signs(v)),
    WithJsonSchema(one_or_more({"type": ["integer", "string"]})),
]


def _check_excluded(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[^/]+-[^/]+/[0-9]{4,5}/.+", name, re.DOTALL):
            raise ValueError(
                f"{name!r} is no video. Write where its output lies and its name, such as 01-train/0007/take 2, as "
                "the pages of report and view do."
            )
    return tuple(dict.fromkeys(names))


Excluded = Annotated[
    tuple[str, ...], AfterValidator(_check_excluded), WithJsonSchema({"type": "array", "items": {"type": "string"}})
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
        video: The file, or directory of frames, below `dataset.root`; its suffix may be left out. A table needs it;
            subtitles and ELAN files (docs/captions.md) have columns for all of these.
        id: The key in the npz; default the file's name without suffix, made unique.
        signer, split: As in the output's path.
        sign: A number from 0 on. Without it, rows are put together in order, see `videos_per_unit`.
        label: Any text; copied to index.csv.
        start, end: When a segment starts and ends in the file, in `unit`.
        box: Where the person is: one column with four numbers, or four columns.
        person: Who the signer is, as `dataset.person`, which holds where the cell is empty.
        view: The camera; copied to index.csv.
    """

    video: Template = "video"
    id: Template | None = None
    signer: Template | None = None
    split: Template | None = None
    sign: Template | None = None
    label: Template | None = None
    start: Template | None = None
    end: Template | None = None
    box: Template | Annotated[tuple[Template, ...], Field(min_length=4, max_length=4)] | None = None
    person: Template | None = None
    view: Template | None = None


def pattern_folder(path: Path) -> Path:
    """The folder before the first part of a path that has a `*`."""
    return Path(*takewhile(lambda part: "*" not in part, path.parts))


CAPTION_COLUMNS = {
    "id": "id",
    "signer": "participant",
    "label": "text",
    "start": "start",
    "end": "end",
    "person": "person",
}
"""The columns of subtitles and ELAN files (dataset/captions.py) by what they are, `video` besides."""


_CAPTION_FILE: Any = {"type": "string", "pattern": rf"\.({'|'.join(CAPTION_FORMATS)})$"}
_ARE_CAPTIONS: Any = (
    {"properties": {"path": _CAPTION_FILE}},
    {"properties": {"path": {"type": "object", "additionalProperties": _CAPTION_FILE}}},
    {"properties": {"format": {"enum": [*CAPTION_FORMATS]}}, "required": ["format"]},
)
"""What tells in the schema that columns may be left out."""


class ManifestConfig(Section):
    """A table with a row for each output video.

    Attributes:
        path: The table; or a table for each split, as {train: a.csv, test: b.csv}. Of subtitles and ELAN files also a
            pattern, such as data/*.vtt, or data/**/*.eaf for those in folders in it.
        format: csv, tsv, psv (columns separated by |), ssv (by ;), json (a list of objects), jsonl, srt, vtt or eaf
            (ELAN); default by its name and first line.
        header: Names of the columns of a table that has no line of them.
        columns: Which column holds what.
        unit: Of start and end. Frames count from `first_frame`; the end is the first frame, or moment, outside
            (where frames count from 1, the last one inside).
        first_frame: The number of a file's first frame, 0 or 1, where `unit` is frames.
        margin: How much earlier and later than start and end, in the same unit.
        offset: Added to start and end, in the same unit.
        tiers: Of ELAN files: the tiers to take, by name or linguistic type, with * for any characters, and the person
            who signs there (as `dataset.person`; "" where nobody is named): {"*_A": left, "*_B": right}.
        box_order: What the four numbers of a box are.
        box_unit: Pixels, or shares of the frame's width and height; default shares if no number is above 1.
        boxes: A JSON file of boxes by key; `columns.box` then names the column of the key.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["columns"]}, *_ARE_CAPTIONS]})

    path: AnyPath | Annotated[dict[Name, AnyPath], Field(min_length=1)]
    format: Format | None = None
    header: tuple[str, ...] | None = None
    columns: Columns = Columns()
    unit: Unit = "s"
    first_frame: Literal[0, 1] = 0
    margin: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.0, 0.0)
    offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    tiers: Annotated[dict[str, PersonOrNone], Field(min_length=1)] | None = None
    box_order: BoxOrder = "xywh"
    box_unit: Literal["pixels", "shares"] | None = None
    boxes: AnyPath | None = None

    @property
    def tables(self) -> list[tuple[str | None, Path]]:
        """Its tables, each with its split where the config names one."""
        return list(self.path.items()) if isinstance(self.path, dict) else [(None, self.path)]

    @property
    def places(self) -> list[Path]:
        """What its tables are on disk: files, and of a pattern the folder that its files lie in or below."""
        return [pattern_folder(path) if "*" in str(path) else path for _, path in self.tables]

    @property
    def captions(self) -> Format | None:
        """The format, where it is one of subtitles or of ELAN files; None for a table."""
        suffixes = {path.suffix.lower().lstrip(".") for _, path in self.tables}
        named = self.format or (suffixes.pop() if len(suffixes) == 1 else "")
        return next((form for form in CAPTION_FORMATS if form == named), None)

    @model_validator(mode="after")
    def _of_captions(self) -> ManifestConfig:
        if self.captions is None:
            if "video" not in self.columns.model_fields_set:
                raise ValueError("columns.video is not set. Name the column of the videos.")
            if self.tiers is not None:
                raise ValueError("tiers goes with ELAN files (.eaf). Leave it out.")
            if pattern := next((path for _, path in self.tables if "*" in str(path)), None):
                raise ValueError(f"path: {pattern} is a pattern, which goes with .srt, .vtt and .eaf. Name the table.")
            return self
        if self.unit != "s" or self.header is not None:
            raise ValueError("unit and header go with tables; subtitles and ELAN files have seconds. Leave them out.")
        if self.tiers is not None and self.captions != "eaf":
            raise ValueError("tiers goes with ELAN files (.eaf). Leave it out.")
        for tier, person in (self.tiers or {}).items():
            if person == ALL_PEOPLE:
                raise ValueError(f"tiers.{tier} is all. Name one person: left, right, x=0.3 or a number from the left.")
        unset = {name: column for name, column in CAPTION_COLUMNS.items() if getattr(self.columns, name) is None}
        object.__setattr__(self, "columns", self.columns.model_copy(update=unset))
        return self

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
        person: Who the signer is, of several people: auto (who signs most), left, right, largest, a place such as
            x=0.3, or a number from the left; `all`: each of them has a key, NAME.1, NAME.2, ... from the left.
        frame_rate_out: Give as many frames a second, each the nearest in time; None for all as they are.
        follow_links: anywhere, or inside for no link that leads out of `root`.
        exclude: Videos that are not read and not exported, as `01-train/0007/NAME`: the pages of `report` and `view`
            write the list. Their keypoints of an earlier run stay in the outputs until `run --prune`.
    """

    root: AnyPath
    layout: str = "{signer}/{signer}/{split}/{sign:04d}"
    manifest: ManifestConfig | None = None
    signers: AllOrNames = ()
    splits: AllOrNames = ("train", "test")
    signs: AllOrSigns = ()
    videos_per_unit: Annotated[int, Field(ge=1, le=10_000)] = 100
    labels: AnyPath | None = None
    mirrored: bool = False
    person: Person = AUTO
    frame_rate_out: Annotated[float, Field(gt=0, le=1000)] | None = None
    follow_links: Literal["anywhere", "inside"] = "anywhere"
    exclude: Excluded = ()
    _whole: DatasetConfig | None = PrivateAttr(None)
    _labels: frozenset[str] = PrivateAttr(frozenset())
    _row_signers: frozenset[str] = PrivateAttr(frozenset())

    @property
    def whole(self) -> DatasetConfig:
        """The section as the config states it, before a command's --signers, --splits and --signs."""
        return self._whole or self

    def narrowed(
        self, chosen: Mapping[str, Any], labels: Iterable[str] = (), row_signers: Iterable[str] = ()
    ) -> DatasetConfig:
        """The section with some of its signers, splits or signs, and of a table's rows some labels, signers."""
        copy = self.model_copy(update=chosen)
        copy._whole = self.whole
        copy._labels, copy._row_signers = self._labels | {*labels}, self._row_signers | {*row_signers}
        return copy

    @property
    def chooses_rows(self) -> bool:
        """Whether a command's --label or --signers choose among the rows of a unit."""
        return bool(self._labels or self._row_signers)

    def wants(self, label: str, signer: str) -> bool:
        """Whether a row of a table is among those that --label and --signers choose."""
        return (not self._labels or label in self._labels) and (not self._row_signers or signer in self._row_signers)

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
            fields = [(name, spec) for _, name, spec, _ in Formatter().parse(layout) if name is not None]
            for name, spec in fields:
                if name not in ("signer", "split", "sign", "video"):
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
        pace: every: the networks look at each frame. auto: where nothing moves, pose and face are looked at in key
            frames, and interpolated between these. fast: hands that rest, too. For running_mode clip.
        coordinates: image: x and y in frame widths and heights. adjusted: relative to the body part.
            adjusted-arabic-sl: the same from other references, as Word-level-Arabic-Sign-language has it.
        parts: What to compute: pose, face, hands; what is left out stays zero.
        confidence: Thresholds of the networks' scores.
        frame_rate: Frames a second of folders of frames; video files have their own times.
        decode: fast: JPEG frames of 960 px and more are decoded at 1/2 to 1/8 of their size.
        delegate: gpu: the networks run on a GPU; for a few workers on a machine that has one.
    """

    models: AnyPath | None = None
    running_mode: Literal["clip", "image"] = "clip"
    pace: Literal["every", "auto", "fast"] = "every"
    coordinates: Literal["image", "adjusted", "adjusted-arabic-sl"] = "image"
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
                    "landmarks.running_mode: video was removed in kpsbatch 0.3. Take clip, which follows the signer "
                    "forwards and backwards, or image, which takes every frame by itself."
                )
            shown = str(value).lower() if isinstance(value, bool) else value
            raise ConfigError(f"landmarks.{key}: {shown} was removed in kpsbatch 0.3: {REMOVED_SETTINGS[key][1]}.")


class OutputConfig(Section):
    """Where the keypoints go, and which of them.

    Attributes:
        root: The folder of the outputs, such as `01-train/0007.npz`.
        dtype: Type of the values; float16 halves the files, float64 doubles them.
        points: Which points: contract (184), all (553), or a list of names and sets, such as [pose, face.contours].
        keep: full: all landmarks are kept beside the outputs, so that points, coordinates and dtype can be changed
            without another run. contract: only what the outputs hold.
        imported: The outputs were made by other scripts; `kpsbatch import` sets it.
    """

    root: AnyPath
    dtype: Literal["float32", "float64", "float16"] = "float32"
    points: Points = "contract"
    keep: Literal["full", "contract"] = "full"
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


MANAGED_PARAMETERS = {
    **{key: f"use slurm.{key}" for key in ("time", "mem", "partition", "account", "qos", "constraint")},
    "cpus-per-task": "use slurm.cpus_per_task",
    "array": "use run.chunk_size and slurm.array_parallelism",
    **dict.fromkeys(("output", "error"), "the logs lie below output.root"),
    **dict.fromkeys(
        ("nodes", "ntasks", "ntasks-per-node"), "a task is one process on one node; use slurm.cpus_per_task"
    ),
    **dict.fromkeys(("job-name", "signal", "requeue", "no-requeue", "open-mode"), "kpsbatch sets it itself"),
    **dict.fromkeys(("parsable", "wait", "wrap", "test-only", "quiet"), "kpsbatch reads sbatch's answer at once"),
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
        then: What a job does when all tasks have ended: verify, report, or both.
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
    then: Annotated[
        tuple[Literal["verify", "report"], ...],
        BeforeValidator(lambda v: tuple(v) if isinstance(v, (list, tuple)) else (v,)),
        WithJsonSchema(one_or_more({"enum": ["verify", "report"]})),
    ] = ()

    @model_validator(mode="after")
    def _image_in_a_container(self) -> SlurmConfig:
        if self.dataset_image is not None and self.container is None:
            raise ValueError("dataset_image is set, but container, which mounts it, is not. Set slurm.container.")
        return self


class PrivacyConfig(Section):
    """What pages and pictures may show. A site decides for all by KPSBATCH_PRIVACY; the stricter one counts.

    Attributes:
        pictures: Whether frames of videos may be shown.
        names: keep, or pseudonyms for signers and videos.
    """

    pictures: bool = True
    names: Literal["keep", "pseudonyms"] = "keep"


class Config(Section):
    """A whole config, validated and frozen.

    Attributes:
        dataset: Which videos to read.
        landmarks: What to compute.
        output: Where the keypoints go.
        run: How a run works; nothing here changes values.
        slurm: What `submit` requests from the cluster.
        privacy: What pages and pictures may show.
    """

    dataset: DatasetConfig
    landmarks: LandmarksConfig = LandmarksConfig()
    output: OutputConfig
    run: RunConfig = RunConfig()
    slurm: SlurmConfig = SlurmConfig()
    privacy: PrivacyConfig = PrivacyConfig()

    @model_validator(mode="after")
    def _points_of_the_parts(self) -> Config:
        parts_with_points(self.landmarks, self.output)
        return self

    @model_validator(mode="after")
    def _output_outside_dataset(self) -> Config:
        if self.output.root == self.dataset.root or self.output.root in self.dataset.root.parents:
            raise ValueError(
                f"output.root: {self.output.root} is the dataset's own folder or above it. Choose another folder."
            )
        return self


def parts_with_points(landmarks: LandmarksConfig, output: OutputConfig) -> tuple[Part, ...]:
    """The parts of `landmarks.parts` that the output has points of.

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
