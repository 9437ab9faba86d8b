"""Outputs of two clusters that were copied into one folder: a unit that both have done has two records and one npz.

    0007.failed.json     from where no video could be read
    0007.json, 0007.npz  from where all could

Copying never removes a file, so that a record of another state stays beside the one that came with the npz.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kpsbatch.dataset.video import Unit
from kpsbatch.files import explained, names_in, sha256_of
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import RECORDED_STATES, read_record


def settle(outputs: Outputs, units: Iterable[Unit]) -> list[Unit]:
    """Of units with several records keep the one that is of the npz, or the failure where there is none.

    Nothing is removed of a unit of which no record, or more than one, fits: `verify` tells.

    Returns:
        The units of which a record was removed.

    Raises:
        OutputError: A folder can't be listed or written.
    """
    folders: dict[str, list[Unit]] = {}
    for unit in units:
        folders.setdefault(unit.folder, []).append(unit)
    settled: list[Unit] = []
    with explained(outputs.root):
        for folder, members in folders.items():
            stems = [name.partition(".")[0] for name in names_in(outputs.records / folder) if name.endswith(".json")]
            twice = {stem for stem in stems if stems.count(stem) > 1} if len(stems) > len({*stems}) else set()
            for unit in members:
                if f"{unit.sign:04}" in twice:
                    with outputs.lock_unit(unit):
                        if _settle(outputs, unit):
                            settled.append(unit)
    return settled


def _settle(outputs: Outputs, unit: Unit) -> bool:
    paths = [path for state in RECORDED_STATES if (path := outputs.record_path(unit, state)).exists()]
    fitting = of_npz(paths, outputs.npz_path(unit))
    if len(paths) < 2 or len(fitting) != 1:
        return False
    for path in paths:
        if path not in fitting:
            path.unlink()
    return True


def of_npz(records: Sequence[Path], npz: Path) -> list[Path]:
    """Those of a unit's records that are of its npz, by its SHA-256; where there is none, those of a failure."""
    try:
        digest = sha256_of(npz)
    except FileNotFoundError:
        digest = None
    fitting: list[Path] = []
    for path in records:
        record = read_record(path).record
        if record is not None and (record.npz.sha256 if record.npz else None) == digest:
            fitting.append(path)
    return fitting
