"""Types of settings that several sections of the config share, and how their values are read."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema

from kpsbatch.errors import ConfigError
from kpsbatch.landmarks.topology import topology_of

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
        raise ValueError(f"{value!r} is no set of points. Write contract, all, or a list such as [pose, hands].")
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
