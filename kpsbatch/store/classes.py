"""The map of class numbers: which sign or label has which number, counted from 0. A number never moves.

    <output root>/_kpsbatch/classes/<digest>.json     a list of signs or labels, and when it was written

The map is all lists, the oldest first, each class once. A run writes what its config or table states and no list has
yet, so that classes that come later are appended. A list is never changed, and named after its content: folders of two
clusters that are copied together keep the lists of both, in one order, whichever was copied over the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL, discard, explained, look_anew, names_in, read_json, refuse_outside, write_json

if TYPE_CHECKING:  # pydantic comes with it, which whoever reads does without
    from kpsbatch.store.outputs import Outputs

CLASSES_FORMAT = 1

Class = int | str
"""A class: the number of a sign, or a label where the dataset has no numbers."""


class ClassList(NamedTuple):
    """One of the lists.

    Attributes:
        written: When it was written, in UTC, to the microsecond.
        name: Of its file.
        first: The number of its first class in the folder in which it was written; the others follow.
        classes: Those that it adds.
    """

    written: str
    name: str
    first: int
    classes: tuple[Class, ...]


def classes_folder(root: Path) -> Path:
    """Where the lists of an output folder lie."""
    return root / INTERNAL / "classes"


def read_classes(root: Path) -> tuple[Class, ...]:
    """The classes of an output folder, each at the place that is its number; none where no run has stated any.

    Raises:
        OutputError: A list is damaged, so that numbers are not known.
    """
    return _merged(read_lists(root))


def read_lists(root: Path) -> list[ClassList]:
    """All lists of an output folder, the oldest first.

    Raises:
        OutputError: One is damaged.
    """
    folder = classes_folder(root)
    try:
        names = sorted(name for name in names_in(folder) if name.endswith(".json"))
    except OSError as error:
        raise OutputError(f"{folder} can't be listed: {error.strerror}. Correct its permissions.") from None
    return sorted((_read(folder / name) for name in names), key=lambda each: each[:2])


def _read(path: Path) -> ClassList:
    tree = read_json(path)
    if tree is None or _name(tree) != path.name:
        raise OutputError(
            f"{path} is damaged, so class numbers are not known. Copy it from a backup or another copy of the folder; "
            "where there is none, remove it, and the next run lists its classes again, behind those of other lists."
        )
    return ClassList(tree["written"], path.name, tree["first"], tuple(tree["classes"]))


def _merged(lists: Iterable[ClassList]) -> tuple[Class, ...]:
    return tuple(dict.fromkeys(name for each in lists for name in each.classes))


def _name(tree: Mapping[str, Any]) -> str:
    data = json.dumps([tree.get(key) for key in ("written", "first", "classes")])
    return f"{hashlib.sha256(data.encode()).hexdigest()[:16]}.json"


def moved_classes(lists: Sequence[ClassList]) -> list[Class]:
    """Classes that have another number than where their list was written: folders that disagree were put together."""
    numbers = {name: number for number, name in enumerate(_merged(lists))}
    placed = ((name, each.first + place) for each in lists for place, name in enumerate(each.classes))
    return list(dict.fromkeys(name for name, number in placed if numbers[name] != number))


def note_classes(outputs: Outputs, stated: Iterable[Class]) -> None:
    """Append the classes that no list has yet; the first run of a folder writes all that its config or table states.

    Any number of tasks may do it at once. Where the file system has no locks, tasks that state the same write the same.

    Raises:
        OutputError: The folder can't be written, or a list is damaged.
    """
    stated, folder = list(dict.fromkeys(stated)), classes_folder(outputs.root)
    with explained(outputs.root):
        refuse_outside(outputs.root, folder)
        names_in(folder, sweep=True)
        if not {*stated} - {*read_classes(outputs.root)}:
            return
        with outputs.lock("classes.lock"):
            look_anew(folder)
            lists = read_lists(outputs.root)
            known = _merged(lists)
            taken = {*known}
            if new := [name for name in stated if name not in taken]:
                tree = {"format": CLASSES_FORMAT, "written": _after(lists), "first": len(known), "classes": new}
                write_json(folder / _name(tree), tree)


def _after(lists: list[ClassList]) -> str:
    """A moment that comes after all lists, whatever the clocks of the hosts say."""
    now = datetime.now(timezone.utc)
    if lists:
        now = max(now, datetime.fromisoformat(lists[-1].written) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")


def forget_classes(outputs: Outputs) -> None:
    """Remove all lists: another dataset takes the folder over."""
    for each in read_lists(outputs.root):
        discard(classes_folder(outputs.root) / each.name)
