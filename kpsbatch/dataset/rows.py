"""What a row of a manifest says: templates of columns, times, boxes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any

from kpsbatch.config import MAX_SIGN, BoxOrder, ManifestConfig
from kpsbatch.dataset.tables import Row
from kpsbatch.dataset.video import Box, Segment
from kpsbatch.errors import ConfigError

Getter = Callable[[Row], str]
NO_TIME = ("", "-1", "-1.0")
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)")
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


class BadRow(ValueError):
    """A row that can't be used; says why."""


def compile_template(template: str, columns: Sequence[str], setting: str, table: str) -> Getter:
    """A function that takes a column's text, or the text of a template, from a row.

    Args:
        template: A column's name, or a text with columns in braces, each with an optional regular expression whose
            one group is taken: `{name}`, `{url:v=([\\w-]+)}`.
        setting: The setting that holds the template, for errors.
        table: The table's name, for errors.

    Raises:
        ConfigError: The table has no such column.
    """
    if "{" not in template:
        return _column(template, columns, setting, table)
    parts: list[tuple[str, Getter | None]] = []
    for literal, name, pattern, _ in Formatter().parse(template):
        getter = None if name is None else _column(name, columns, setting, table)
        if getter is not None and pattern:
            getter = _search(re.compile(pattern), getter, str(name))
        parts.append((literal, getter))

    def fill(row: Row) -> str:
        return "".join(literal + (getter(row) if getter else "") for literal, getter in parts)

    return fill


def _column(name: str, columns: Sequence[str], setting: str, table: str) -> Getter:
    if name not in columns:
        near = difflib.get_close_matches(name, columns, n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]!r}?" if near else f"Choose among {', '.join(map(repr, columns[:30]))}."
        raise ConfigError(f"{setting}: {table} has no column {name!r}. {hint}")
    return lambda row: _text(row.get(name))


def _search(pattern: re.Pattern[str], getter: Getter, name: str) -> Getter:
    def search(row: Row) -> str:
        text = getter(row)
        if (match := pattern.search(text)) is None:
            raise BadRow(f"{pattern.pattern!r} does not fit {name} ({text[:60]!r})")
        return match[1] or ""

    return search


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def read_sign(text: str) -> int:
    """A sign's number; spreadsheets write 7 as 7.0.

    Raises:
        BadRow: It is none from 0 to 99999.
    """
    match = re.fullmatch(r"\s*(\d{1,9})(?:[.,٫]0*)?\s*", text)  # \d: Arabic digits too
    if match is None or int(match[1]) > MAX_SIGN:
        raise BadRow(f"the sign {text[:40]!r} is not a number from 0 to {MAX_SIGN}")
    return int(match[1])


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
        getters = [compile_template(one, columns, setting, table) for one in column]
        return lambda row: read_box(" ".join(getter(row) for getter in getters), order, unit)
    getter = compile_template(column, columns, setting, table)
    if manifest.boxes is not None:
        return lambda row: read_box(boxes.get(getter(row)), order, unit)
    if "{" in column:
        return lambda row: read_box(getter(row), order, unit)
    return lambda row: read_box(row.get(column), order, unit)
