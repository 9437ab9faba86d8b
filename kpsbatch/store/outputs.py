"""The output folder: which units are finished, and how a unit's two files get there.

    <root>/01-train/0007.npz                                      the keypoints, by the output contract
    <root>/_kpsbatch/records/<fingerprint>/settings.json          the settings that made them
    <root>/_kpsbatch/records/<fingerprint>/01-train/0007.json     the record: all videos are in
                                                    0007.partial.json    some videos failed
                                                    0007.failed.json     all failed; there is no npz

A unit is finished when its npz is there and its record under the current fingerprint. Both are found by listing
folders; no file is opened. The record is on disk before the npz appears.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from kpsbatch.dataset.units import Unit
from kpsbatch.errors import OutputError
from kpsbatch.store.fingerprint import Fingerprint, differences
from kpsbatch.store.npz import (
    is_stale,
    publish,
    sha256_of,
    sync_directory,
    write_atomically,
    write_npz,
    write_temporary,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTERNAL = "_kpsbatch"
LOCK_SECONDS = 60.0

State = Literal["complete", "partial", "failed", "foreign"]
"""complete, partial, failed: as recorded. foreign: an npz without a record under the current fingerprint."""

_SUFFIXES: dict[str, State] = {".partial.json": "partial", ".failed.json": "failed", ".json": "complete"}


@dataclass(frozen=True)
class Outputs:
    """An output folder as seen with one set of settings."""

    root: Path
    fingerprint: Fingerprint

    @property
    def records(self) -> Path:
        """Where the records of the current settings lie."""
        return self.root / INTERNAL / "records" / self.fingerprint.digest

    def npz_path(self, unit: Unit) -> Path:
        """The output file of a unit."""
        return self.root / f"{unit.name}.npz"

    def record_path(self, unit: Unit, state: State) -> Path:
        """The record of a unit in a given state."""
        suffix = next(suffix for suffix, named in _SUFFIXES.items() if named == state)
        return self.records / f"{unit.name}{suffix}"

    def prepare(self) -> None:
        """Make the folder and note the settings.

        Raises:
            OutputError: It can't be written.
        """
        with explained(self.root):
            self.records.mkdir(parents=True, exist_ok=True)
            settings = self.records / "settings.json"
            if not settings.exists():
                write_json(settings, self.fingerprint.settings)

    def states(self, units: Iterable[Unit], *, sweep: bool = True) -> dict[Unit, State]:
        """The state of every unit that has one, by listing folders.

        Args:
            units: The units.
            sweep: Whether stale temporary files are removed on the way.

        Raises:
            OutputError: A folder can't be listed.
        """
        folders: dict[str, list[Unit]] = {}
        for unit in units:
            folders.setdefault(unit.folder, []).append(unit)
        states: dict[Unit, State] = {}
        for folder, members in folders.items():
            with explained(self.root):
                files = _names_in(self.root / folder, sweep)
                records = _names_in(self.records / folder, sweep)
            for unit in members:
                stem = f"{unit.sign:04}"
                recorded = next((state for suffix, state in _SUFFIXES.items() if stem + suffix in records), None)
                if f"{stem}.npz" in files:
                    states[unit] = recorded if recorded in ("complete", "partial") else "foreign"
                elif recorded == "failed":
                    states[unit] = "failed"
        return states

    def recorded_since(self, unit: Unit, state: State, moment: float) -> bool:
        """Whether a unit's record was written after a moment of the file system's clock."""
        if state == "foreign":
            return False
        try:
            return self.record_path(unit, state).stat().st_mtime > moment
        except OSError:
            return False

    def refuse_foreign(self, states: Mapping[Unit, State]) -> None:
        """Refuse outputs that were made with other settings.

        Raises:
            OutputError: Names how many, the settings that differ, and the remedy.
        """
        foreign = [unit for unit, state in states.items() if state == "foreign"]
        if not foreign:
            return
        why = "they have no record"
        for settings in sorted((self.root / INTERNAL / "records").glob("*/settings.json")):
            if any((settings.parent / f"{foreign[0].name}{suffix}").exists() for suffix in _SUFFIXES):
                with contextlib.suppress(OSError, ValueError):
                    theirs = json.loads(settings.read_text(encoding="utf-8"))
                    why = "; ".join(differences(theirs, self.fingerprint.settings)[:5])
        raise OutputError(
            f"outputs must come from one set of settings: {len(foreign)} in {self.root} (such as "
            f"{foreign[0].name}.npz) were made with others: {why}; choose another output.root, or --overwrite them"
        )

    def store(
        self,
        unit: Unit,
        arrays: Mapping[str, NDArray[Any]],
        record: Mapping[str, Any],
        state: Literal["complete", "partial", "failed"],
        *,
        replace: bool,
    ) -> bool:
        """Write a unit's record, and its npz unless all its videos failed.

        At every moment an npz that is there belongs to the record that is there: what is replaced goes first.

        Args:
            unit: The unit.
            arrays: (T, 184, 4) for every video that succeeded; none only when `state` is "failed".
            record: What the record holds besides the npz's size and hash.
            state: What to record.
            replace: Whether an output of the same settings is replaced (else the first one written stays).

        Returns:
            Whether it was written: False when another run was first.

        Raises:
            OutputError: It could not be written, or another run has stored it with other settings; nothing is
                half-written.
        """
        if bool(arrays) == (state == "failed"):
            raise ValueError(f"a unit with {len(arrays)} videos can't be recorded as {state}")
        final = self.npz_path(unit)
        with explained(self.root):
            final.parent.mkdir(parents=True, exist_ok=True)
            self.record_path(unit, state).parent.mkdir(parents=True, exist_ok=True)
            self.prepare()
            temporary = write_temporary(final, lambda file: write_npz(file, arrays)) if arrays else None
            try:
                with self._lock():
                    if not replace:
                        states = self.states([unit])
                        self.refuse_foreign(states)  # a run with other settings came in between
                        if states.get(unit) in ("complete", "partial"):
                            return False
                    _remove(final)
                    for path in self._all_records(unit):
                        _remove(path)
                    npz = {"sha256": sha256_of(temporary), "bytes": temporary.stat().st_size} if temporary else None
                    write_json(self.record_path(unit, state), {**record, "npz": npz})
                    if temporary is not None:
                        publish(temporary, final)
            finally:
                if temporary is not None:
                    temporary.unlink(missing_ok=True)
        return True

    def _all_records(self, unit: Unit) -> Iterator[Path]:
        """Every record of a unit that is there, under any fingerprint."""
        for folder in (self.root / INTERNAL / "records").iterdir():
            for suffix in _SUFFIXES:
                if (path := folder / f"{unit.name}{suffix}").exists():
                    yield path

    def read_record(self, unit: Unit, state: State) -> dict[str, Any] | None:
        """The record of a unit, or None where it is missing or unreadable."""
        try:
            record = json.loads(self.record_path(unit, state).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) else None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other processes from storing at the same moment; the kernel frees it when its holder dies.

        Where the file system knows no locks, or a stopped process holds this one for a minute, it does without: then
        only two runs that store the same unit in the same few milliseconds can leave an npz beside the other's
        record, which `verify` finds.
        """
        with (self.root / INTERNAL / "store.lock").open("ab") as file:
            give_up = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() < give_up:
                        time.sleep(0.01)
                        continue
                except OSError:
                    pass
                break
            yield


@contextlib.contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn an OSError below the output root into one line with the remedy."""
    try:
        yield
    except OSError as error:
        _explain(root, error)


def _explain(root: Path, error: OSError) -> NoReturn:
    remedy = {
        errno.ENOSPC: "free space there",
        errno.EDQUOT: "free some of your quota",
        errno.EROFS: "choose another folder",
        errno.EACCES: "make it writable, or choose another folder",
        errno.ENOTDIR: "choose another folder",
        errno.ENAMETOOLONG: "choose shorter names",
    }.get(error.errno or 0, "mend it, or choose another folder")
    raise OutputError(
        f"the output folder must be writable: {root}: {error.strerror or error}; {remedy}, then run the same command "
        "again"
    ) from error


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, readable by people.

    Raises:
        OSError: It could not be written.
    """
    text = json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    data = io.BytesIO(text.encode("utf-8", "backslashreplace"))
    write_atomically(path, lambda file: _copy(data, file))


def _copy(source: io.BytesIO, target: Any) -> None:
    target.write(source.getvalue())


def _names_in(folder: Path, sweep: bool) -> set[str]:
    """Names in a folder (none where it is missing); with `sweep`, stale temporary files are removed."""
    names: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if sweep and is_stale(entry):
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)
                else:
                    names.add(entry.name)
    except FileNotFoundError:
        pass
    return names


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_directory(path.parent)
