"""Taking away the landmarks that the outputs of a folder do not hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL, explained, fingerprint_in
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitRecord
from kpsbatch.store.settings import Fingerprint, Settings
from kpsbatch.stored import read_stored


class Slimmed(NamedTuple):
    """Of how many units landmarks were removed, and how many bytes."""

    units: int
    bytes: int


def slim_folder(root: Path, on_unit: Callable[[int, int], None] = lambda done, total: None) -> Slimmed:
    """Remove all landmarks of a folder of outputs that are kept beside them, unit by unit; started again, it goes on.

    Args:
        root: The folder; no run is at work on it.
        on_unit: Called with (units looked at, units in all).

    Raises:
        OutputError: It holds no records, or they can't be changed.
    """
    with explained(root):
        records = sorted((root / INTERNAL / "records").glob("*/*/*.json"))
    if not records:
        raise OutputError(f"{root} holds no records of kpsbatch. Name a folder of outputs with {INTERNAL} in it.")
    sizes: list[int] = []
    for done, path in enumerate(records, 1):
        record = read_stored(path, UnitRecord)
        settings = read_stored(path.parents[1] / "settings.json", Settings)
        if record is not None and record.full and record.unit and settings is not None:
            fingerprint = Fingerprint(settings, fingerprint_in(path.parents[1].name))
            sizes.append(Outputs(root, fingerprint).slim(record.unit.unit))
        on_unit(done, len(records))
    return Slimmed(sum(map(bool, sizes)), sum(sizes))
