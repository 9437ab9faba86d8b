"""Tables (CSV and its like, JSON, JSON lines) as rows with named columns; signs, times, boxes, names of signs in rows.

Errors name the `setting` that holds the table, and its `path` or its name (`table`): functions take them for that only.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from kpsbatch.config import ALL_PEOPLE, MAX_SIGN, BoxOrder, ManifestConfig, parse_person
from kpsbatch.dataset.video import Box, Segment
from kpsbatch.errors import ConfigError
from kpsbatch.untrusted import encoding_of, parse_json
from kpsbatch.words import counted

Row = dict[str, Any]
"""Values by column: text from CSV, any JSON value from JSON."""

SEPARATORS = {"csv": ",", "tsv": "\t", "psv": "|", "ssv": ";"}
"""ssv is what spreadsheets call CSV where the comma is for decimals."""
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".psv": "psv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SAVE_AGAIN = 'save it as "CSV UTF-8 (comma delimited)"'
_BINARY = {
    b"PK\3\4": f"a workbook or an archive; open it and {_SAVE_AGAIN}",
    b"\xd0\xcf\x11\xe0": f"a workbook; open it and {_SAVE_AGAIN}",
    b"PAR1": 'Parquet; write it as CSV (python -c "import pandas as p; p.read_parquet(IN).to_csv(OUT, index=False)")',
    b"\x1f\x8b": "gzip; gunzip it",
}
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PICKLE = (
    "a pickle, which can run any code when it is opened; if you trust it, write it as JSON first "
    "(python -c \"import json, pickle; json.dump(pickle.load(open(IN, 'rb')), open(OUT, 'w'))\")"
)


def decode_table(data: bytes, setting: str, path: Path | str) -> str:
    """Text of a table: UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        ConfigError: It is none of them, or no text at all; says what to do.
    """
    kind = next((kind for start, kind in _BINARY.items() if data.startswith(start)), "")
    if not kind and (data.startswith(_PICKLE_STARTS) or str(path).lower().endswith((".pkl", ".pickle"))):
        kind = _PICKLE
    if kind:
        raise ConfigError(f"{setting}: {path} is not a CSV, TSV or JSON file but {kind}.")
    try:
        return data.decode(encoding_of(data))
    except UnicodeDecodeError:
        raise ConfigError(f"{setting}: {path} is neither UTF-8 nor UTF-16; {_SAVE_AGAIN}.") from None


def guess_format(path: Path, text: str) -> str:
    """The format of a table by its name; of a .csv or .txt also by its first line, since many hold tabs or bars."""
    named = _SUFFIXES.get(path.suffix.lower(), "csv")
    if named != "csv":
        return named
    start = text.lstrip()[:1]
    if start == "[" or (start == "{" and path.suffix.lower() != ".csv"):
        return "json"
    first = text.partition("\n")[0]
    return max(SEPARATORS, key=lambda name: (first.count(SEPARATORS[name]), name == "csv"))


def read_rows(
    data: bytes,
    path: Path,
    setting: str,
    form: str | None = None,
    header: Sequence[str] | None = None,
    is_row: Callable[[Row], bool] = lambda row: True,
) -> Iterator[tuple[int, Row | str]]:
    """Rows of a table, each with its first line (CSV, JSON lines) or number from 1 (JSON); why a bad one is bad.

    In TSV and |-separated files quotation marks are text. A JSON table is a list of objects, or an object of objects,
    whose names are the column "key"; where every object holds one list of objects, those are the rows, each with the
    other values of its parent, whose number from 0 is the column "group".

    Args:
        form: csv, tsv, psv, ssv, json or jsonl; None to guess it.
        header: Names of the columns where the table has no line of them.
        is_row: Whether a line inside a quoted cell, which has as many cells as the table, is a row that a quotation
            mark takes in by mistake.

    Raises:
        ConfigError: It is no such table at all.
    """
    text = decode_table(data, setting, path)
    form = form or guess_format(path, text)
    if form in SEPARATORS:
        yield from _read_separated(text, form, path, setting, header, is_row)
    elif form == "jsonl":
        for number, line in enumerate(io.StringIO(text, newline=""), 1):  # splitlines() also splits at U+2028
            if not (line := line.strip()):
                continue
            try:
                row = _load_json(line)
            except ValueError as error:
                comma = "ends with a comma, which a row of JSON lines must not"
                yield number, comma if line.endswith("},") else f"is not JSON: {error}"
            else:
                yield number, row if isinstance(row, dict) else "is not a JSON object"
    else:
        try:
            tree = _load_json(text)
        except ValueError as error:
            raise ConfigError(f"{setting}: {path} is not valid JSON: {error}. Correct it, or set the format.") from None
        yield from enumerate(_flatten(tree, path, setting), 1)


def columns_of(rows: Iterable[Row | str]) -> list[str]:
    """The columns of some rows."""
    return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))


def plain_name(column: str) -> str:
    """A column's name without capitals and punctuation."""
    return re.sub(r"[\W_]+", "", column).casefold()


def read_bytes(path: Path, setting: str) -> bytes:
    """A whole file.

    Raises:
        ConfigError: It can't be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{setting}: {path} does not exist. Correct the path.") from None
    except OSError as error:
        raise ConfigError(
            f"{setting}: {path} can't be read: {error.strerror}. Correct the path or its permissions."
        ) from None


def _read_separated(
    text: str, form: str, path: Path, setting: str, header: Sequence[str] | None, is_row: Callable[[Row], bool]
) -> Iterator[tuple[int, Row | str]]:
    """Rows of a table with separators. A line that a quotation mark of an earlier line takes in by mistake is read."""
    dialect: dict[str, Any] = {"delimiter": SEPARATORS[form]}
    if form not in ("csv", "ssv"):
        dialect["quoting"] = csv.QUOTE_NONE
    lines = list(io.StringIO(text, newline=""))
    if lines and re.fullmatch(r"sep=.", first := lines[0].strip().strip('"')):
        raise ConfigError(f"{setting}: {path} starts with {first!r}, which only spreadsheets read. Remove that line.")
    records = _Records(lines, dialect)
    try:
        names = [name.strip() for name in (header if header is not None else records.read())]
    except StopIteration:
        raise ConfigError(
            f"{setting}: {path} is empty. Write a line of column names and a row for each video."
        ) from None
    except csv.Error as error:
        raise ConfigError(
            f"{setting}: {path} is not a {form.upper()} table: line 1 {error}. Correct it, or set the format."
        ) from None
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ConfigError(f"{setting}: {path} has two columns {twice!r}. Rename one.")
    second = next(filter(str.strip, lines[records.position :]), "")
    cells_below = second.count(dialect["delimiter"]) + 1
    if header is None and names[0].startswith("#") and (len(names) == 1 or cells_below != len(names)):
        raise ConfigError(
            f"{setting}: {path} starts with a comment, {names[0][:40]!r}. Remove the lines above the column names."
        )

    def stands_alone(line: str, *, more: bool = False) -> bool:
        """Whether a line of a row looks like a row; `more` lets it have more cells, as a text with commas has."""
        cells = line.rstrip("\r\n").split(dialect["delimiter"])
        fits = len(cells) == len(names) or (more and len(cells) > len(names))
        return fits and is_row(dict(zip(names, cells, strict=False)))

    def taken_in() -> int | None:
        """The number of a line of the last record that is a row by itself. Its last line may look so if a text ends
        there; then its first line must look so too."""
        first, *between, last = range(records.start, records.position)
        if (number := next((number for number in between if stands_alone(lines[number])), None)) is not None:
            return number + 1
        return last + 1 if stands_alone(lines[last]) and stands_alone(lines[first], more=True) else None

    while True:
        try:
            cells = records.read()
        except StopIteration:
            return
        except csv.Error as error:
            yield records.retry(), str(error)
            continue
        if records.position > records.start + 1 and (other := taken_in()):
            yield records.retry(), f"{_UNCLOSED}, and line {other} is a row by itself"
        elif len(cells) != len(names):
            yield records.retry(), f"has {counted(len(cells), 'cell')} instead of {len(names)}"
        else:
            yield records.start + 1, dict(zip(names, cells, strict=True))


_UNCLOSED = "opens a quotation mark that is not closed"


class _Records:
    """The records of a table, each of one line or, where a quoted cell has line breaks, of several.

    Attributes:
        start: The first line of the record that was read last, from 0.
        position: The line after it.
    """

    def __init__(self, lines: list[str], dialect: dict[str, Any]) -> None:
        self._lines, self._dialect = lines, dialect
        self.start = self.position = 0
        self._reader = csv.reader(self._rest(), **dialect)

    def _rest(self) -> Iterator[str]:
        while self.position < len(self._lines):
            self.position += 1
            yield self._lines[self.position - 1]

    def read(self) -> list[str]:
        """The cells of the next record that is not blank.

        Raises:
            csv.Error: It can't be read, or a quotation mark is not closed where it must be.
            StopIteration: There is none.
        """
        self.start = self.position
        try:
            while not (cells := next(self._reader)):
                self.start = self.position
        except csv.Error as error:
            raise csv.Error(f"can't be read ({error}): a quotation mark may not be closed") from None
        if self.position == len(self._lines) or self.position > self.start + 1:
            try:
                list(csv.reader(self._lines[self.start : self.position], strict=True, **self._dialect))
            except csv.Error as error:
                if self.position > self.start + 1 or "end of data" in str(error):  # else marks inside of a cell
                    raise csv.Error(_UNCLOSED) from None
        return cells

    def retry(self) -> int:
        """Go on with the line after the first of the record that was read last; the number of the first, from 1."""
        self.position = self.start + 1
        self._reader = csv.reader(self._rest(), **self._dialect)
        return self.position


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where it names a value twice, of which all but the last would be lost."""
    tree = dict(pairs)
    if len(tree) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return tree


def _load_json(text: str) -> Any:
    """A JSON text; a number that is none stays a text, so that its row is bad and no other."""
    return parse_json(text, _unique, odd=str)


def _flatten(tree: Any, path: Path, setting: str) -> Iterator[Row | str]:
    if isinstance(tree, dict) and tree and all(isinstance(value, dict) for value in tree.values()):
        tree = [{"key": key, **value} for key, value in tree.items()]
    if isinstance(tree, dict) and len(lists := [v for v in tree.values() if _is_table(v)]) == 1:
        tree = lists[0]
    if not isinstance(tree, list):
        raise ConfigError(
            f"{setting}: {path} is neither a list of objects nor an object of objects. Write one of them."
        )
    first = next((row for row in tree if isinstance(row, dict)), {})
    names = [
        key
        for key, value in first.items()
        if _is_table(value) or (value == [] and any(isinstance(row, dict) and _is_table(row.get(key)) for row in tree))
    ]
    nested = names[0] if len(names) == 1 else None
    for number, row in enumerate(tree):
        if not isinstance(row, dict):
            yield "is not a JSON object"
        elif nested is None:
            yield row
        else:
            parent = {key: value for key, value in row.items() if key != nested}
            children = row.get(nested)
            if not isinstance(children, list):
                yield f"has no list {nested!r}"
                continue
            for child in children:
                yield {"group": number, **parent, **child} if isinstance(child, dict) else "is not a JSON object"


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


Getter = Callable[[Row], str]
NO_TIME = ("", "-1", "-1.0")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
"""Milliseconds as spreadsheets show them: 1,200."""
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)")
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


class BadRow(ValueError):
    """A row that can't be used; says why."""


def compile_template(template: str, columns: Sequence[str], setting: str, table: str) -> Getter:
    """A function that takes a column's text, or the text of a template, from a row.

    Args:
        template: A column's name, or a text with columns in braces, each with an optional regular expression whose
            one group is taken: `{name}`, `{url:v=([\\w-]+)}`.

    Raises:
        ConfigError: The table has no such column.
    """
    if "{" not in template:
        return _column(template, None, columns, setting, table)
    parts = [
        (literal, None if name is None else _column(name, pattern, columns, setting, table))
        for literal, name, pattern, _ in Formatter().parse(template)
    ]
    return lambda row: "".join(literal + (getter(row) if getter else "") for literal, getter in parts)


def _column(name: str, pattern: str | None, columns: Sequence[str], setting: str, table: str) -> Getter:
    if name not in columns:
        near = difflib.get_close_matches(name, columns, n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]!r}?" if near else f"Choose among {', '.join(map(repr, columns[:30]))}."
        if columns and columns[0].startswith("#"):
            hint = f"Its first line, {columns[0][:40]!r}, looks like a comment. Remove it and what is above the names."
        raise ConfigError(f"{setting}: {table} has no column {name!r}. {hint}")
    if not pattern:
        return lambda row: _text(row.get(name))
    search = re.compile(pattern).search

    def taken(row: Row) -> str:
        text = _text(row.get(name))
        if (match := search(text)) is None:
            raise BadRow(f"{pattern!r} does not fit {name} ({text[:60]!r})")
        return match[1] or ""

    return taken


def encodable(text: str) -> str:
    """A text that can be written: halves of characters, which JSON allows, are spelled as there (`\\ud83d`)."""
    return text.encode("utf-8", "backslashreplace").decode()


def writable(text: str) -> str:
    """A text for a cell of index.csv, with halves of characters as `encodable` spells them.

    Raises:
        BadRow: Readers of CSV files refuse a cell of its length.
    """
    text = encodable(text)
    if len(text) > csv.field_size_limit():
        raise BadRow(f"the text {text[:20]!r}... has more than {csv.field_size_limit():,} characters")
    return text


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def read_sign(text: str) -> int:
    """A sign's number; spreadsheets write 7 as 7.0.

    Raises:
        BadRow: It is none from 0 to 99999.
    """
    match = re.fullmatch(r"\s*(\d{1,9})(?:[.,٫]0*)?\s*", text)  # \d: Arabic digits too
    if match is None or int(match[1]) > MAX_SIGN:
        raise BadRow(f"the sign {text[:40]!r} is not a number from 0 to {MAX_SIGN}")
    return int(match[1])


def read_person(text: str) -> str:
    """Who the signer of a row is, see `parse_person`; "" where the cell is empty.

    Raises:
        BadRow: It names nobody.
    """
    try:
        person = parse_person(text.strip().removesuffix(".0")) if text.strip() else ""
    except ValueError as error:
        raise BadRow(f"the person {error}".rstrip(".")) from None
    if person == ALL_PEOPLE:
        raise BadRow("the person is all: a row is one person. Leave the cell empty and set dataset.person: all")
    return person


def read_segment(start: str, end: str, manifest: ManifestConfig) -> Segment | None:
    """The part of a file that a row is, margins included; None for all of it. A time of -1, or none, is the file's.

    Raises:
        BadRow: No times, or an end before the start.
    """
    first = 0.0 if start.strip() in NO_TIME else _time(start, "start", manifest)
    last = None if end.strip() in NO_TIME else _time(end, "end", manifest)
    if manifest.unit == "frames" and start.strip() not in NO_TIME:
        first -= manifest.first_frame
        if first < 0:
            raise BadRow(f"the start {start.strip()!r} is before the first frame, {manifest.first_frame}")
    before, after = (margin / 1000 if manifest.unit == "ms" else margin for margin in manifest.margin)
    if last is not None and last < first:
        raise BadRow(f"it ends ({end.strip()}) before it starts ({start.strip() or '0'})")
    shift = manifest.offset / 1000 if manifest.unit == "ms" else manifest.offset
    first += 0 if start.strip() in NO_TIME else shift
    last = None if last is None else last + shift
    if last is not None and last + after <= 0:
        raise BadRow(f"it ends before the file starts (offset: {manifest.offset:g})")
    first, last = round(max(0.0, first - before), 6), None if last is None else round(last + after, 6)
    if last is not None and last <= first:
        raise BadRow(f"it ends ({end.strip()}) where it starts")
    if first == 0 and last is None:
        return None
    return Segment(first, last, "frames" if manifest.unit == "frames" else "s")


def _time(text: str, name: str, manifest: ManifestConfig) -> float:
    text = text.strip()
    if manifest.unit == "frames":
        if not re.fullmatch(r"[0-9]+(?:\.0*)?", text):
            raise BadRow(f"the {name} {text[:40]!r} is not a number of a frame")
        return float(text)
    if manifest.unit == "ms" and _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if (match := _TIME.fullmatch(text)) is None:
        if re.fullmatch(_NUMBER, text) and float(text) >= 0:
            return float(text) / (1000 if manifest.unit == "ms" else 1)
        raise BadRow(f"the {name} {text[:40]!r} is not a time in {manifest.unit}, and not like 1:02:03.5")
    hours, minutes, seconds = int(match[1] or 0), int(match[2] or 0), float(match[3].replace(",", "."))
    if match[2] is not None:
        return hours * 3600 + minutes * 60 + seconds
    return seconds / (1000 if manifest.unit == "ms" else 1)


def read_box(value: Any, order: BoxOrder, unit: str | None) -> Box | None:
    """A box of four numbers, or a text of them; None where there is nothing.

    Raises:
        BadRow: Not four numbers, or nothing inside.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    texts = (
        _NUMBER.findall(value) if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []
    )
    try:
        a, b, c, d = (float(text) for text in texts)
    except (ValueError, TypeError):
        raise BadRow(f"the box {str(value)[:60]!r} is not four numbers") from None
    if order == "yxyx":
        a, b, c, d = b, a, d, c
    if order != "xywh":
        c, d = c - a, d - b
    if not (c > 0 and d > 0):
        raise BadRow(f"the box {str(value)[:60]!r} ({order}) has no width or no height")
    shares = unit == "shares" or (unit is None and max(a + c, b + d) <= 1.001)
    return Box(a, b, c, d, "shares" if shares else "pixels")


def box_reader(
    manifest: ManifestConfig, columns: Sequence[str], table: str, boxes: Mapping[str, Any]
) -> Callable[[Row], Box | None]:
    """A function that takes the box from a row; see `ManifestConfig`.

    Raises:
        ConfigError: The table has no such column.
    """
    column, setting = manifest.columns.box, "dataset.manifest.columns.box"
    order, unit = manifest.box_order, manifest.box_unit
    if column is None:
        return lambda row: None
    if not isinstance(column, str):
        getters = [compile_template(part, columns, setting, table) for part in column]
        return lambda row: read_box(" ".join(getter(row) for getter in getters), order, unit)
    getter = compile_template(column, columns, setting, table)
    if manifest.boxes is not None:
        return lambda row: read_box(boxes.get(getter(row)), order, unit)
    if "{" in column:
        return lambda row: read_box(getter(row), order, unit)
    return lambda row: read_box(row.get(column), order, unit)


LABELS = "dataset.labels"
LABEL_COLUMNS = {
    "id": ("id", "sign", "signid", "class", "classid"),
    "arabic": ("arabic", "signarabic"),
    "english": ("english", "signenglish", "label", "gloss", "name"),
}
"""How a column may be called, capitals and punctuation aside."""


class Label(NamedTuple):
    """The names of a sign; "" where the file has none."""

    id: int
    arabic: str
    english: str

    @property
    def text(self) -> str:
        """Both names on one line, the Arabic last, where a terminal's text direction does least harm."""
        return " · ".join(name for name in (self.english, self.arabic) if name)


def load_labels(path: Path | str | None) -> dict[int, Label]:
    """Read the names of signs (`dataset.labels`).

    Args:
        path: A table with named columns, see `LABEL_COLUMNS`, as `read_rows` takes it; IDs may be `0001` or `1.0`.

    Returns:
        A label for each sign in the file, by ID in the order of the file; none without a file.

    Raises:
        ConfigError: One line that names the file, the row and what is wrong with it.
    """
    if path is None:
        return {}
    path = Path(path)
    rows = list(read_rows(read_bytes(path, LABELS), path, LABELS))
    if bad := next((f"{path}, line {line} {row}" for line, row in rows if isinstance(row, str)), None):
        raise ConfigError(f"{LABELS}: {bad}. Give every row the same columns.")
    columns = _label_columns(columns_of(row for _, row in rows), path)
    labels: dict[int, Label] = {}
    lines: dict[int, int] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        if isinstance(row, str) or not any(str(value).strip() for value in row.values()):
            continue
        try:
            cells = {field: " ".join(writable(str(row.get(name) or "")).split()) for field, name in columns.items()}
            label = Label(read_sign(cells["id"]), cells.get("arabic", ""), cells.get("english", ""))
        except BadRow as error:
            raise ConfigError(f"{LABELS}: {where}: {error}") from None
        if re.fullmatch(r"[?\s]*\?[?\s]*", label.arabic):
            raise ConfigError(
                f'{LABELS}: {where}: the Arabic was lost when it was saved. Save it as "CSV UTF-8 (comma delimited)".'
            )
        if labels.setdefault(label.id, label) != label:
            raise ConfigError(
                f"{LABELS}: {path}, lines {lines[label.id]} and {line} both name sign {label.id}: "
                f"{labels[label.id].text!r} and {label.text!r}. Remove one."
            )
        lines.setdefault(label.id, line)
    return labels


def _label_columns(names: list[str], path: Path) -> dict[str, str]:
    """The table's columns by what they hold."""
    fields = {heading: field for field, headings in LABEL_COLUMNS.items() for heading in headings}
    columns = {fields[plain]: name for name in reversed(names) if (plain := plain_name(name)) in fields}
    if not names:
        raise ConfigError(f"{LABELS}: {path} has no rows. Add rows such as 7,سلام,peace.")
    if "id" not in columns or len(columns) < 2:
        raise ConfigError(
            f"{LABELS}: {path} has the columns {', '.join(map(repr, names))}. Name the columns id and "
            "arabic, english or both in its first line."
        )
    return columns
