"""Names of signs: an optional CSV file with a number, an Arabic and an English name in each row."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kpsbatch.config import MAX_SIGN
from kpsbatch.errors import ConfigError

MAX_BYTES = 10_000_000
SEPARATORS = ("\t", ";", ",")
_ARABIC = re.compile(r"[\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff]")
_ID_HEADINGS = {
    "id",
    "sign",
    "signid",
    "signno",
    "signnumber",
    "number",
    "no",
    "nr",
    "class",
    "classid",
    "رقم",
    "الرقم",
}
_SAVE_AGAIN = 'save it as "CSV UTF-8 (comma delimited)"'


class Label(NamedTuple):
    """The names of a sign; "" where the file has none."""

    id: int
    arabic: str
    english: str

    @property
    def text(self) -> str:
        """Both names on one line, the Arabic last, where a terminal's text direction does least harm."""
        return " · ".join(name for name in (self.english, self.arabic) if name)


class _Columns(NamedTuple):
    """Where a row holds what; -1 for a column that the file lacks."""

    id: int
    arabic: int
    english: int


def labels_of(path: Path | None) -> dict[int, Label]:
    """The names of the signs where the config names a file of them (`dataset.labels`), else none."""
    return {} if path is None else load_labels(path)


def load_labels(path: Path | str) -> dict[int, Label]:
    """Read the names of signs, as spreadsheets export them.

    UTF-8 or UTF-16, with or without a byte order mark; separated by commas, semicolons or tabs; with or without a
    row of headings, in any order of columns when there is one; empty rows are passed over. IDs may be `0001`, `1.0`
    or Arabic digits.

    Returns:
        A label for each sign in the file, by ID in the order of the file.

    Raises:
        ConfigError: One line that names the file, the row, what must be and what was got.
    """
    path = Path(path)
    rows = _rows(_decode(path))
    if not rows:
        raise ConfigError(f"dataset.labels must hold rows such as 7,سلام,peace: {path} is empty")
    columns, rows = _columns(path, rows)
    labels: dict[int, Label] = {}
    lines: dict[int, int] = {}
    for line, row in rows:
        sign = _sign(_cell(row, columns.id))
        if sign is None:
            raise ConfigError(
                f"dataset.labels must have a sign ID from 1 to {MAX_SIGN} in every row: {path}, line {line}: "
                f"got {_cell(row, columns.id)[:40]!r}"
            )
        label = Label(sign, _cell(row, columns.arabic), _cell(row, columns.english))
        if re.fullmatch(r"[?\s]*\?[?\s]*", label.arabic):
            raise ConfigError(f"dataset.labels lost its Arabic when it was saved: {path}, line {line}; {_SAVE_AGAIN}")
        if labels.setdefault(sign, label) != label:
            raise ConfigError(
                f"dataset.labels must name a sign once: {path}, lines {lines[sign]} and {line} name sign {sign} "
                f"{labels[sign].text!r} and {label.text!r}"
            )
        lines.setdefault(sign, line)
    return labels


def _decode(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"dataset.labels must be a CSV file: {path} does not exist; mend it, or leave it out"
        ) from None
    except OSError as error:
        raise ConfigError(f"dataset.labels must be a readable CSV file: {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"dataset.labels must be a CSV file of at most {MAX_BYTES // 1_000_000} MB: {path} is larger")
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ConfigError(f"dataset.labels must be a CSV file: {path} is a workbook; open it and {_SAVE_AGAIN}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif data[1:2] == b"\0" or data[:1] == b"\0":
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ConfigError(f"dataset.labels must be UTF-8 or UTF-16: {path} is neither; {_SAVE_AGAIN}") from None


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Rows with their line numbers, without empty ones, by the separator under which most rows look like labels."""
    skipped = 0
    if named := re.match(r"sep=(.)\r?\n", text):  # Excel's own mark
        text, skipped = text[named.end() :], 1
    candidates = [named[1]] if named else SEPARATORS
    return max((_parse(text, separator, skipped) for separator in candidates), key=_likeness)


def _parse(text: str, separator: str, skipped: int) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cell.strip(",;") for cell in cells):
                rows.append((reader.line_num + skipped, cells))
    except csv.Error:
        pass  # what was read so far competes with the other separators
    return rows


def _likeness(rows: Sequence[tuple[int, list[str]]]) -> tuple[int, int]:
    widths = Counter(len(row) for _, row in rows if len(row) > 1)
    numbered = sum(len(row) > 1 and any(_sign(cell) is not None for cell in row) for _, row in rows)
    return numbered, max(widths.values(), default=0)


def _columns(path: Path, rows: list[tuple[int, list[str]]]) -> tuple[_Columns, list[tuple[int, list[str]]]]:
    """Find the columns by the headings, else by what they hold; returns them and the rows without the headings."""
    headings = [re.sub(r"[\W_]+", "", cell).casefold() for cell in rows[0][1]]
    has_headings = not any(_sign(cell) is not None for cell in rows[0][1])
    found = _Columns(-1, -1, -1)
    if has_headings:
        rows = rows[1:]
        found = _Columns(
            next((i for i, name in enumerate(headings) if name in _ID_HEADINGS), -1),
            next((i for i, name in enumerate(headings) if "arab" in name or "عرب" in name), -1),
            next((i for i, name in enumerate(headings) if re.search("engl|نجل|نكل", name)), -1),
        )
    width = max((len(row) for _, row in rows), default=0)
    sign = found.id if found.id >= 0 else next((i for i in range(width) if i not in found[1:]), 0)
    others = [i for i in range(width) if i != sign]
    if not others:
        raise ConfigError(
            f"dataset.labels must hold an ID and a name in each row, such as 7,سلام,peace: {path} "
            f"{'holds one column' if width else 'holds no row below its headings'}"
        )
    arabic, english = found.arabic, found.english
    if arabic < 0 and english < 0:
        letters = {i: sum(bool(_ARABIC.search(_cell(row, i))) for _, row in rows) for i in others[:2]}
        arabic = max(letters, key=lambda i: letters[i])
        if len(others) == 1 and not letters[arabic]:
            arabic = -1
        english = next((i for i in others[:2] if i != arabic), -1)
    return _Columns(sign, arabic, english), rows


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if 0 <= column < len(row) else ""


def _sign(cell: str) -> int | None:
    """A sign ID as a spreadsheet may write it, or None."""
    match = re.fullmatch(r"(\d{1,9})(?:[.,٫]0+)?", cell)  # \d: Arabic digits too
    return int(match[1]) if match and 1 <= int(match[1]) <= MAX_SIGN else None
