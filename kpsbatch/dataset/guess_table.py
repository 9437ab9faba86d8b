"""Guessing what the columns of a table are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

from kpsbatch.dataset.explore import Sample
from kpsbatch.dataset.guess_layout import SPLITS
from kpsbatch.dataset.tables import Row, plain_name
from kpsbatch.dataset.video import without_suffix

NAMES = {
    "signer": ("signer", "signerid", "participantid", "participant", "speaker", "user", "userid", "subject", "person"),
    "split": ("split", "set", "subset", "partition", "fold"),
    "label": (
        *("gloss", "word", "cleantext", "text", "sentence", "orth", "annotation", "translation", "rawtext"),
        *("label", "name"),
    ),
    "start": ("start", "startrealigned", "starttime", "framestart", "startframe", "begin", "time"),
    "end": ("end", "endrealigned", "endtime", "frameend", "endframe", "stop", "time"),
    "box": ("box", "bbox", "boundingbox"),
    "id": ("sentencename", "segmentid", "clipid", "id", "vid", "sentenceid"),
    "view": ("view", "camera"),
}
"""How columns are often called, capitals and punctuation aside; the first that is there counts."""

SIGNS = ("sign", "signid", "class", "classid", "classindex", "label", "labelid")
YOUTUBE = r"(?:v=|youtu\.be/|embed/)([\w-]{11})"
SIGNER = "(?i)(?:signer|user|person|subject|participant)[-_ ]?([0-9]+)"
ROWS = 200
LEAST = 0.02
"""Share of the rows whose videos must be there; of what was on YouTube much is gone."""


def guess_video(rows: Sequence[Row], columns: Sequence[str], sample: Sample) -> tuple[str, float] | None:
    """The template that finds the videos of most rows, with the share of rows; None where none does."""
    stems: dict[str, set[str]] = {}
    for path in sample.videos:
        folder, name = split_path(without_suffix(path))
        stems.setdefault(folder, set()).add(name)
    candidates = [
        found
        for column in columns
        for found in _templates(column, [str(row.get(column) or "").strip() for row in rows], stems)
    ]
    template, share, _ = max(candidates, key=lambda found: (found[1], not found[2]), default=("", 0.0, ""))
    return (template, share) if share >= LEAST else None


def _templates(column: str, values: Sequence[str], stems: dict[str, set[str]]) -> list[tuple[str, float, str]]:
    """Templates that turn a column's values into videos, each with the share for which it does, and what it appends."""
    found: list[tuple[str, float, str]] = []
    filled = [value for value in values if value]
    if not filled:
        return found
    plain_values = [without_suffix(PurePosixPath(value.replace("\\", "/")).as_posix()) for value in filled]
    hits = sum(stem in stems.get(folder, ()) for folder, stem in (split_path(value) for value in plain_values))
    found.append((column, hits / len(values), ""))
    ids = {value: match[1] for value in filled if (match := re.search(YOUTUBE, value))}
    for folder, there in stems.items():
        prefix = f"{folder}/" if folder else ""
        if prefix:
            inner = [split_path(prefix + value) for value in plain_values]
            hits = sum(stem in stems.get(where, ()) for where, stem in inner)
            found.append((f"{prefix}{{{column}}}", hits / len(values), ""))
        if ids:
            hits = sum(name in there for name in ids.values())
            found.append((f"{prefix}{{{column}:{YOUTUBE}}}", hits / len(values), ""))
        first = next((value for value in plain_values[:20] if any(name.startswith(value) for name in there)), None)
        if first is not None and first not in there:
            for tail in sorted({name.removeprefix(first) for name in there if name.startswith(first)})[:4]:
                hits = sum(value + tail in there for value in plain_values)
                found.append((f"{prefix}{{{column}}}{tail}", hits / len(values), tail))
    return found


def split_path(path: str) -> tuple[str, str]:
    """A path's folder and last part."""
    folder, _, name = path.rpartition("/")
    return folder, name


def guess_columns(
    rows: Sequence[Row], columns: Sequence[str], video: str
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """What the columns are besides the video's, by their names and what they hold.

    Returns:
        The map of columns, other settings of the manifest, and what is unsure.
    """
    found: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    notes: list[str] = []
    by_plain = {plain_name(name): name for name in reversed(columns)}
    for field, names in NAMES.items():
        if (name := next((by_plain[one] for one in names if one in by_plain), None)) is not None:
            found[field] = name
    unnamed = [plain_name(name) for name in columns if re.fullmatch(r"column\d+", name)]
    sign = next(
        (by_plain[one] for one in (*SIGNS, *unnamed) if one in by_plain and _numbers(rows, by_plain[one])), None
    )
    if sign is not None:
        found["sign"] = sign
        if found.get("label") == sign:
            del found["label"]
        notes.append(f"it takes the column {sign!r} as the number of the sign")
    used = {name for _, name, _, _ in Formatter().parse(video) if name} if "{" in video else {video}
    if found.get("id") is not None and (found["id"] in used or not _unique(rows, found["id"])):
        del found["id"]
    if found.get("label") in used:
        del found["label"]
    if "signer" not in found:
        found.update(_signer_in(rows, sorted(used - {"split"})))
    if ("start" in found) != ("end" in found):
        found.pop("start", None)
        found.pop("end", None)
    if "start" in found and not any(value > 0 for value in _floats(rows, found["end"])) and _floats(rows, found["end"]):
        del found["start"], found["end"]  # -1 everywhere: whole files
    if "start" in found:
        settings.update(_times(rows, found, notes))
    if "box" in found:
        settings.update(_boxes(rows, found, notes))
    if "split" in found and len(_values(rows, found["split"])) > 10:
        notes.append(f"it takes the column {found['split']!r} as the split, which has many values")
    return found, settings, notes


def _signer_in(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, str]:
    """The signer as a part of a file's name: signer0_sample1."""
    for column in columns:
        if rows and all(re.search(SIGNER, str(row.get(column))) for row in rows):
            return {"signer": f"{{{column}:{SIGNER}}}"}
    return {}


def guess_boxes(rows: Sequence[Row], columns: Sequence[str], boxes: Any) -> str | None:
    """The column whose values are the keys of a JSON object of boxes."""
    if not isinstance(boxes, dict) or not all(isinstance(b, list) and len(b) == 4 for b in list(boxes.values())[:10]):
        return None
    return next((name for name in columns if any(str(row.get(name)) in boxes for row in rows)), None)


def _values(rows: Sequence[Row], column: str) -> set[str]:
    return {str(row.get(column)) for row in rows}


def _numbers(rows: Sequence[Row], column: str) -> bool:
    return all(re.fullmatch(r"\d+(\.0*)?", str(row.get(column, "")).strip()) for row in rows)


def _unique(rows: Sequence[Row], column: str) -> bool:
    return len(_values(rows, column)) == len(rows)


def _floats(rows: Sequence[Row], column: str) -> list[float]:
    values = []
    for row in rows:
        try:
            values.append(float(row.get(column)))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            pass
    return values


def _times(rows: Sequence[Row], found: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Whether times are seconds, milliseconds or frames."""
    start, end = found["start"], found["end"]
    if start == end:
        notes.append(f"the column {start!r} names one moment; it takes half a second before and after it")
        return {"margin": [0.5, 0.5]}
    starts, ends = _floats(rows, start), _floats(rows, end)
    whole = bool(starts) and all(value.is_integer() for value in starts + ends)
    if "frame" in plain_name(start) or (whole and any(plain_name(name) == "fps" for name in rows[0])):
        notes.append("it takes start and end as numbers of frames")
        first = 1 if starts and min(starts) >= 1 and "frame" in plain_name(start) else 0
        return {"unit": "frames", **({"first_frame": 1} if first else {})}
    lengths = sorted(b - a for a, b in zip(starts, ends, strict=False) if b > a)
    middle = lengths[len(lengths) // 2] if lengths else 1.0
    unit = "ms" if middle > 200 else "s"
    notes.append(f"it takes start and end as {'milliseconds' if unit == 'ms' else 'seconds'}")
    return {"unit": unit}


def _boxes(rows: Sequence[Row], found: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """In which order the numbers of a box come."""
    boxes = []
    for row in rows:
        value = row.get(found["box"])
        numbers = re.findall(r"-?\d+(?:\.\d+)?", value) if isinstance(value, str) else value
        if isinstance(numbers, (list, tuple)) and len(numbers) == 4:
            boxes.append([float(number) for number in numbers])
    if not boxes:
        del found["box"]
        return {}
    corners = all(c > a and d > b for a, b, c, d in boxes)
    order = "xyxy" if corners else "xywh"
    notes.append(
        f"it takes a box as {'left, top, right, bottom' if corners else 'left, top, width, height'} (box_order: "
        f"{order}; xywh, xyxy and yxyx are there)"
    )
    return {"box_order": order}


def sibling_tables(name: str, names: Sequence[str]) -> dict[str, str]:
    """Tables whose names differ in the split only: {train: a_train.csv, val: a_val.csv}; empty where there is one."""
    found: dict[str, str] = {}
    for split in SPLITS:
        if match := re.search(rf"(?i)(?<![a-z]){split}(?![a-z])", name):
            pattern = re.escape(name[: match.start()]) + r"([A-Za-z]+)" + re.escape(name[match.end() :])
            for other in names:
                fit = re.fullmatch(pattern, other)
                if fit and fit[1].casefold() in SPLITS:
                    found[fit[1].casefold()] = other
    order = ["train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing"]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]))) if len(found) > 1 else {}
