"""Names of signs, from a table with a row for each sign: `id,arabic,english`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from kpsbatch.dataset.tables import (
    BadRow,
    columns_of,
    plain_name,
    read_bytes,
    read_rows,
    read_sign,
)
from kpsbatch.errors import ConfigError

SETTING = "dataset.labels"
HEADINGS = {
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
        path: A table with named columns, see `HEADINGS`, as `read_rows` takes it; IDs may be `0001` or `1.0`.

    Returns:
        A label for each sign in the file, by ID in the order of the file; none without a file.

    Raises:
        ConfigError: One line that names the file, the row and what is wrong with it.
    """
    if path is None:
        return {}
    path = Path(path)
    rows = list(read_rows(read_bytes(path, SETTING), path, SETTING))
    if bad := next((f"{path}, line {line} {row}" for line, row in rows if isinstance(row, str)), None):
        raise ConfigError(f"{SETTING}: {bad}. Give every row the same columns.")
    columns = _columns(columns_of(row for _, row in rows), path)
    labels: dict[int, Label] = {}
    lines: dict[int, int] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        if isinstance(row, str) or not any(str(value).strip() for value in row.values()):
            continue
        cells = {field: " ".join(str(row.get(name) or "").split()) for field, name in columns.items()}
        try:
            label = Label(read_sign(cells["id"]), cells.get("arabic", ""), cells.get("english", ""))
        except BadRow as error:
            raise ConfigError(f"{SETTING}: {where}: {error}") from None
        if re.fullmatch(r"[?\s]*\?[?\s]*", label.arabic):
            raise ConfigError(
                f'{SETTING}: {where}: the Arabic was lost when it was saved. Save it as "CSV UTF-8 (comma delimited)".'
            )
        if labels.setdefault(label.id, label) != label:
            raise ConfigError(
                f"{SETTING}: {path}, lines {lines[label.id]} and {line} both name sign {label.id}: "
                f"{labels[label.id].text!r} and {label.text!r}. Remove one."
            )
        lines.setdefault(label.id, line)
    return labels


def _columns(names: list[str], path: Path) -> dict[str, str]:
    """The table's columns by what they hold."""
    columns: dict[str, str] = {}
    for name in names:
        field = next((field for field, headings in HEADINGS.items() if plain_name(name) in headings), None)
        if field is not None:
            columns.setdefault(field, name)
    if not names:
        raise ConfigError(f"{SETTING}: {path} has no rows. Add rows such as 7,سلام,peace.")
    if "id" not in columns or len(columns) < 2:
        raise ConfigError(
            f"{SETTING}: {path} has the columns {', '.join(map(repr, names))}. Name the columns id and "
            "arabic, english or both in its first line."
        )
    return columns
