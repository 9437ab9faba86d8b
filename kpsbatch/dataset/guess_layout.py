"""Guessing a layout from the paths of videos."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from kpsbatch.dataset.explore import Sample

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
_SIGNER = re.compile(r"(?i)(?:signer|user|person|subject|participant|speaker|sgn|p|s)[-_ ]?(?=\d)")
_NAMED_SIGNER = re.compile(r"(?i)([a-z_-]*(?:signer|user|person|subject|participant|speaker)[-_ ]?)\d+([-_ ]).+(\.\w+)")
_WORDS = re.compile(r"\d+|[^\d_\-. ]+|[_\-. ]+")


class LayoutGuess(NamedTuple):
    """A layout, whether it names signers and splits, and what is unsure about it."""

    layout: str
    signers: bool
    splits: bool
    notes: list[str]


def guess_layout(sample: Sample) -> LayoutGuess | None:
    """The layout of a tree whose paths contain the number of the sign; None where they do not."""
    if not sample.videos:
        return None
    depths = [path.count("/") for path in sample.videos]
    depth = max(set(depths), key=depths.count)
    paths = [path.split("/") for path in sample.videos if path.count("/") == depth]
    notes = []
    if others := len(sample.videos) - len(paths):
        notes.append(
            f"{others} of {len(sample.videos)} videos that were looked at lie at another depth and are left out"
        )
    levels = [_Level.of([path[i] for path in paths], sample.names.get(i, set())) for i in range(depth)]
    found = _fields_of_levels(levels, paths)
    if "sign" in found.values():
        parts = [_part(level, found.get(i)) for i, level in enumerate(levels)]
        fields = set(found.values())
        if "signer" not in fields and (name := _name_with_signer([path[-1] for path in paths])):
            parts.append(name)
            fields.add("signer")
        return LayoutGuess("/".join(parts), "signer" in fields, "split" in fields, notes + _unsure(levels, found))
    names = _guess_names(paths, found)
    if names is None:
        return None
    part, fields, more = names
    parts = [_part(level, found.get(i)) for i, level in enumerate(levels)]
    fields |= set(found.values())
    return LayoutGuess("/".join([*parts, part]), "signer" in fields, "split" in fields, notes + more)


class _Level(NamedTuple):
    """The names at a depth: all that were seen, and whether they are numbers of one width."""

    names: set[str]
    numbers: bool
    width: int

    @classmethod
    def of(cls, seen: Sequence[str], all_names: set[str]) -> _Level:
        names = set(seen)
        more = {name for name in all_names if not name.startswith((".", "_"))}
        numbers = all(name.isdecimal() and name.isascii() for name in names)
        if numbers:
            names |= {name for name in more if name.isdecimal() and name.isascii()}
        else:
            names |= more
        widths = {len(name) for name in names}
        padded = numbers and any(name.startswith("0") and len(name) > 1 for name in names)
        return cls(names, numbers, min(widths) if padded else 0)


def _fields_of_levels(levels: Sequence[_Level], paths: Sequence[Sequence[str]]) -> dict[int, str]:
    """Which field a folder's name is, by depth."""
    found: dict[int, str] = {}
    for i, level in enumerate(levels):
        if {name.casefold() for name in level.names} <= SPLITS:
            found[i] = "split"
    free = [i for i in range(len(levels)) if i not in found and len(levels[i].names) > 1]
    same = {i: next((j for j in range(i) if all(path[i] == path[j] for path in paths)), i) for i in range(len(levels))}
    numbered = [i for i in free if levels[i].numbers and same[i] == i]
    if numbered:
        sign = max(numbered, key=lambda i: (len(levels[i].names), i))
        found[sign] = "sign"
    elif levels and levels[-1].numbers and levels[-1].width and (len(levels) - 1) not in found:
        found[len(levels) - 1] = "sign"  # a single sign, as in a part of a dataset
    if "sign" in found.values():
        others = [i for i in range(len(levels)) if i not in found and same[i] == i]
        named = [i for i in others if len(levels[i].names) > 1 or list(same.values()).count(i) > 1]
        if named:
            found[named[0]] = "signer"
    for i, first in same.items():
        if first != i and first in found and i not in found:
            found[i] = found[first]
    return found


def _part(level: _Level, field: str | None) -> str:
    if field == "sign":
        return f"{{sign:0{level.width}d}}" if level.width else "{sign}"
    if field:
        return f"{{{field}}}"
    name = min(level.names)
    return name.replace("{", "{{").replace("}", "}}")


def _unsure(levels: Sequence[_Level], found: dict[int, str]) -> list[str]:
    notes = []
    for i, level in enumerate(levels):
        if i not in found and len(level.names) > 1:
            notes.append(
                f"folders at depth {i + 1} differ ({', '.join(sorted(level.names)[:4])}), and the layout takes one of "
                "them only"
            )
    return notes


def _guess_names(paths: Sequence[Sequence[str]], found: dict[int, str]) -> tuple[str, set[str], list[str]] | None:
    """A layout's last part, from names that hold numbers at the same places: 001_002_003.mp4."""
    names = [path[-1] for path in paths]
    suffixes = {os.path.splitext(name)[1] for name in names}
    suffix = suffixes.pop() if len(suffixes) == 1 else ""
    stems = [os.path.splitext(name)[0] for name in names]
    words = [_WORDS.findall(stem) for stem in stems]
    shape = max({_shape(one) for one in words}, key=[_shape(one) for one in words].count)
    fitting = [one for one in words if _shape(one) == shape]
    places = [i for i, kind in enumerate(shape) if kind == "0"]
    values = {i: {one[i] for one in fitting} for i in places}
    varied = [i for i in places if len(values[i]) > 1]
    if len(varied) < 2:
        return None
    fields: dict[int, str] = {}
    for i in varied:
        before = "".join(fitting[0][:i])
        if "signer" not in found.values() and "signer" not in fields.values() and _SIGNER.search(before + "0"):
            fields[i] = "signer"
    rest = sorted((i for i in varied if i not in fields), key=lambda i: (-len(values[i]), i))
    if len(rest) < 2:
        return None
    fields[rest[0]] = "sign"
    if len(rest) > 2 and "signer" not in {*fields.values(), *found.values()}:
        fields[rest[1]] = "signer"
    video = [i for i in varied if i not in fields]
    part, done = "", False
    for i, word in enumerate(fitting[0]):
        if i in video:
            part, done = part + ("" if done else "{video}"), True
        elif i in fields:
            widths = {len(one[i]) for one in fitting}
            padded = any(one[i].startswith("0") and len(one[i]) > 1 for one in fitting)
            spec = f":0{min(widths)}d" if fields[i] == "sign" and padded else ""
            part += f"{{{fields[i]}{spec}}}"
        elif not (done and i > video[0] and i < video[-1]):
            part += word.replace("{", "{{").replace("}", "}}")
    meaning = ", ".join(f"{''.join(fitting[0][i])} as the {field}" for i, field in sorted(fields.items()))
    notes = [
        f"in {names[0]!r} it takes {meaning}, by how many values there are at each place; look whether that is right"
    ]
    if len(fitting) < len(names):
        notes.append(
            f"{len(names) - len(fitting)} of {len(names)} names that were looked at have another form and are left out"
        )
    return part + suffix, set(fields.values()) | {"video"}, notes


def _name_with_signer(names: Sequence[str]) -> str | None:
    """A layout's last part from names such as User_2_001.mp4, where all of them name a signer in the same way."""
    found = {(match[1], match[2], match[3]) if (match := _NAMED_SIGNER.fullmatch(name)) else None for name in names}
    if len(found) != 1 or (form := found.pop()) is None:
        return None
    return f"{form[0]}{{signer}}{form[1]}{{video}}{form[2]}"


def _shape(words: Sequence[str]) -> tuple[str, ...]:
    return tuple("0" if word.isdecimal() and word.isascii() else word for word in words)
