"""Reading tables: CSV and its like, JSON and JSON lines, as rows with named columns."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kpsbatch.errors import ConfigError

Row = dict[str, Any]
"""Values by column: text from CSV, any JSON value from JSON."""

SEPARATORS = {"csv": ",", "tsv": "\t", "psv": "|", "ssv": ";"}
"""ssv is what spreadsheets call CSV where the comma is for decimals."""
_EXTRA = "\0extra"
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".psv": "psv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SAVE_AGAIN = 'save it as "CSV UTF-8 (comma delimited)"'
_BINARY = {
    b"PK\3\4": f"a workbook or an archive; open it and {_SAVE_AGAIN}",
    b"\xd0\xcf\x11\xe0": f"a workbook; open it and {_SAVE_AGAIN}",
    b"PAR1": 'Parquet; write it as CSV (python -c "import pandas as p; p.read_parquet(IN).to_csv(OUT, index=False)")',
    b"\x1f\x8b": "gzip; gunzip it",
    **dict.fromkeys((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a pickle"),
}
_PICKLE = (
    "which can run any code when it is opened; if you trust it, write it as JSON first "
    "(python -c \"import json, pickle; json.dump(pickle.load(open(IN, 'rb')), open(OUT, 'w'))\")"
)


def decode_table(data: bytes, setting: str, path: Path | str) -> str:
    """Text of a table: UTF-8 or UTF-16, with or without a byte order mark.

    Args:
        setting: The setting that names it, for errors.
        path: Its path, for errors.

    Raises:
        ConfigError: It is none of them, or no text at all; says what to do.
    """
    for magic, what in _BINARY.items():
        if data.startswith(magic):
            pickled = f", {_PICKLE}" if what == "a pickle" else ""
            raise ConfigError(f"{setting}: {path} is no CSV, TSV or JSON file but {what}{pickled}.")
    if str(path).lower().endswith((".pkl", ".pickle")):
        raise ConfigError(f"{setting}: {path} is no CSV, TSV or JSON file but a pickle, {_PICKLE}.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif data[1:2] == b"\0" or data[:1] == b"\0":
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
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
    text: str, form: str, path: Path, setting: str, header: Sequence[str] | None = None
) -> Iterator[tuple[int, Row | str]]:
    """Rows of a table, each with its line (CSV, JSON lines) or number from 1 (JSON); for a bad one, what is wrong.

    In TSV and |-separated files quotation marks are text. A JSON table is a list of objects, or an object of objects,
    whose names are the column "key"; where every object holds one list of objects, those are the rows, each with the
    other values of its parent, whose number from 0 is the column "group".

    Args:
        form: csv, tsv, psv, ssv, json or jsonl.
        path: The table's path, for errors.
        setting: The setting that names it, for errors.
        header: Names of the columns where the table has no line of them.

    Raises:
        ConfigError: It is no such table at all.
    """
    if form in SEPARATORS:
        yield from _read_separated(text, form, path, setting, header)
    elif form == "jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, _json_row(line)
    else:
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{setting}: {path} is not valid JSON: {error}. Correct it, or set the format.") from None
        yield from enumerate(_flatten(tree, path, setting), 1)


def columns_of(rows: Sequence[tuple[int, Row | str]]) -> list[str]:
    """The columns of some rows."""
    names: dict[str, None] = {}
    for _, row in rows:
        if isinstance(row, dict):
            names.update(dict.fromkeys(row))
    return list(names)


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
    text: str, form: str, path: Path, setting: str, header: Sequence[str] | None
) -> Iterator[tuple[int, Row | str]]:
    lines = io.StringIO(text, newline="")
    reader: csv.DictReader[str] = csv.DictReader(
        lines,
        fieldnames=header,
        restkey=_EXTRA,
        delimiter=SEPARATORS[form],
        quoting=csv.QUOTE_MINIMAL if form in ("csv", "ssv") else csv.QUOTE_NONE,
    )
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise ConfigError(
            f"{setting}: {path} is no {form.upper()} table: {error}. Correct it, or set the format."
        ) from None
    if not names:
        raise ConfigError(f"{setting}: {path} is empty. Write a line of column names and a row for each video.")
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ConfigError(f"{setting}: {path} has two columns {twice!r}. Rename one.")
    reader.fieldnames = names
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, str(error)
            continue
        line = reader.line_num  # where a row of several lines ends
        if _EXTRA in row:
            yield line, f"has {len(names) + len(row[_EXTRA])} cells instead of {len(names)}"
        elif None in row.values():
            yield line, f"has {sum(value is not None for value in row.values())} cells instead of {len(names)}"
        else:
            yield line, row


def _json_row(line: str) -> Row | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    return row if isinstance(row, dict) else "is no JSON object"


def _flatten(tree: Any, path: Path, setting: str) -> Iterator[Row | str]:
    if isinstance(tree, dict) and tree and all(isinstance(value, dict) for value in tree.values()):
        tree = [{"key": key, **value} for key, value in tree.items()]
    if isinstance(tree, dict) and len(lists := [v for v in tree.values() if _is_table(v)]) == 1:
        tree = lists[0]
    if not isinstance(tree, list):
        raise ConfigError(
            f"{setting}: {path} is neither a list of objects nor an object of objects. Write one of them."
        )
    nested = _nested(tree)
    for number, row in enumerate(tree):
        if not isinstance(row, dict):
            yield "is no JSON object"
        elif nested is None:
            yield row
        else:
            parent = {key: value for key, value in row.items() if key != nested}
            children = row.get(nested)
            for child in children if isinstance(children, list) else ():
                yield {"group": number, **parent, **child} if isinstance(child, dict) else "is no JSON object"


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _nested(tree: Sequence[Any]) -> str | None:
    """The one member of all objects that is a list of objects."""
    first = next((row for row in tree if isinstance(row, dict)), {})
    names = [key for key, value in first.items() if _is_table(value)]
    return names[0] if len(names) == 1 else None


def table_name(path: Path) -> str:
    """How a table is called in messages, on one line."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace").replace("\n", "\\n")
