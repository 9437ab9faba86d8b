"""The output folder: which units are finished, and how a unit's three files get there.

    <root>/01-train/0007.npz                                      the keypoints, by the output contract
    <root>/_kpsbatch/full/<fingerprint>/01-train/0007.npz         all landmarks, of which the keypoints are a view
    <root>/_kpsbatch/records/<fingerprint>/settings.json          the settings that made them
    <root>/_kpsbatch/records/<fingerprint>/gone.json             videos that the dataset has no more, of all records
    <root>/_kpsbatch/records/<fingerprint>/01-train/0007.json     the record: all videos are in
                                                    0007.partial.json    some videos failed
                                                    0007.failed.json     all failed; there is no npz

A unit is finished when its npz is there and its record under the current fingerprint. Both are found by listing
folders; no file is opened. All landmarks are on disk before the record, and the record before the npz appears.

Records of another view of the same landmarks (other points, coordinates, dtype) lie in <fingerprint>+<view>; where all
landmarks of a unit are there, its npz is made again from them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import (
    INTERNAL,
    discard,
    explained,
    fingerprint_in,
    look_anew,
    names_in,
    publish,
    refuse_outside,
    sha256_of,
    sync_directory,
    try_lock,
    write_bytes,
    write_json,
    write_temporary,
)
from kpsbatch.store.records import (
    RECORD_SUFFIXES,
    RECORDED_STATES,
    GoneVideos,
    NpzFile,
    UnitRecord,
    VideoRecord,
    read_record,
    record_bytes,
)
from kpsbatch.store.settings import Fingerprint, Settings, differences
from kpsbatch.stored import read_stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOCK_SECONDS = 60.0

SET_ASIDE = "-"
"""In the name of a folder of records that `Outputs.set_aside` put by; digests are without."""

OutputState = Literal["complete", "partial", "failed", "foreign", "changed", "view"]
"""complete, partial, failed: as recorded. foreign: an npz without a record under the current fingerprint. changed: as
recorded, but the dataset has other videos of it than were known then (only a survey tells). view: recorded under the
current fingerprint and its landmarks are kept, but the npz is not there, or of another view of them."""

_DIGEST = re.compile(rb'\{\s*"made_digest": "([0-9a-f]+)"')


def states_to_redo(retry_failed: bool) -> set[OutputState]:
    """States of units that are done again: outputs of other settings or videos, on request those with failed videos."""
    return {"foreign", "changed", "partial", "failed"} if retry_failed else {"foreign", "changed"}


class StoredVideo(NamedTuple):
    """A video of an output: (T, points, 4), its part of the record, all landmarks as `npz_bytes` or nothing."""

    keypoints: NDArray[Any]
    record: VideoRecord
    full: bytes


@dataclass(frozen=True)
class Outputs:
    """An output folder, and one set of settings."""

    root: Path
    fingerprint: Fingerprint

    @property
    def records(self) -> Path:
        """Where the records of the current settings lie."""
        return self.root / INTERNAL / "records" / self.fingerprint.folder

    @property
    def full(self) -> Path:
        """Where all landmarks lie that were computed with the current settings."""
        return self.root / INTERNAL / "full" / self.fingerprint.digest

    @property
    def pieces(self) -> Path:
        """Where the pieces of long videos lie while they are worked on (`work/long_videos.py`)."""
        return self.root / INTERNAL / "pieces" / self.fingerprint.folder

    def full_path(self, unit: Unit) -> Path:
        """The file of all landmarks of a unit."""
        return self.full / f"{unit.name}.npz"

    def npz_path(self, unit: Unit) -> Path:
        """The output file of a unit."""
        return self.root / f"{unit.name}.npz"

    def record_path(self, unit: Unit, state: OutputState) -> Path:
        """The record of a unit in a given state."""
        suffix = next(suffix for suffix, named in RECORD_SUFFIXES.items() if named == state)
        return self.records / f"{unit.name}{suffix}"

    @property
    def has_records(self) -> bool:
        """Whether any unit was recorded under the current settings, also where that was set aside."""
        return any(self.records.parent.glob(f"{self.fingerprint.digest}*/*/*.json"))

    @property
    def settings_path(self) -> Path:
        """The file that holds the current settings."""
        return self.records / "settings.json"

    def prepare(self, folders: Iterable[Path] = ()) -> None:
        """Make the folder and write the settings to it.

        Args:
            folders: Folders below it that are going to be written to.

        Raises:
            OutputError: It can't be written, or would lead out of itself by a link.
        """
        with explained(self.root):
            internal = self.root / INTERNAL
            inner = [internal / name for name in ("runs", "submissions", "archives")]
            refuse_outside(self.root, self.records, self.full, *inner, *folders)
            self.records.mkdir(parents=True, exist_ok=True)
            if not self.settings_path.exists():
                write_json(self.settings_path, self.fingerprint.settings.tree())

    def prepare_for(self, units: Iterable[Unit]) -> None:
        """Make the folder, check those of some units, and remove what killed runs left.

        Raises:
            OutputError: As `prepare` and `sweep`.
        """
        self.prepare(sorted({folder / unit.folder for unit in units for folder in (self.root, self.records)}))
        self.sweep()

    def sweep(self) -> None:
        """Remove stale temporary files of everything but the units, which `states` looks after.

        Raises:
            OutputError: A folder can't be listed.
        """
        internal = self.root / INTERNAL
        with explained(self.root):
            patterns = ("records/*", "full/*", "full/*/*", "submissions/*")
            several = (folder for pattern in patterns for folder in internal.glob(pattern))
            for folder in (self.root, internal, internal / "runs", internal / "archives", *several):
                if folder.is_dir():
                    names_in(folder, sweep=True)

    def states(self, units: Iterable[Unit], *, sweep: bool = True) -> dict[Unit, OutputState]:
        """The state of every unit that has one, by listing folders.

        Args:
            sweep: Whether stale temporary files are removed on the way.

        Raises:
            OutputError: A folder can't be listed.
        """
        folders: dict[str, list[Unit]] = {}
        for unit in units:
            folders.setdefault(unit.folder, []).append(unit)
        states: dict[Unit, OutputState] = {}
        for folder, members in folders.items():
            with explained(self.root):
                files = names_in(self.root / folder, sweep=sweep)
                records = names_in(self.records / folder, sweep=sweep)
                current = {unit: _state_of(unit, files, records) for unit in members}
                if odd := [unit for unit, state in current.items() if state == "foreign"]:
                    records = self._records_anew(folder, records, odd, write=sweep)
                    current = {unit: _state_of(unit, files, records) for unit in members}
                current |= dict.fromkeys(self._kept_only(folder, records, current), "view")
            states.update({unit: state for unit, state in current.items() if state is not None})
        return states

    def _kept_only(
        self, folder: str, records: Collection[str], states: Mapping[Unit, OutputState | None]
    ) -> Iterator[Unit]:
        """Of the units of a folder those whose npz is to be made from all landmarks, by the names of files."""
        without = [unit for unit, state in states.items() if state in (None, "foreign")]
        if not without:
            return
        others = (view for view in self._folders_of_views() if view != self.records)
        recorded = set(records).union(*(names_in(other / folder) for other in others))
        recorded_units = {
            name[: -len(suffix)] for name in recorded for suffix, state in RECORD_SUFFIXES.items()
            if state != "failed" and name.endswith(suffix)
        }  # fmt: skip
        without = [unit for unit in without if f"{unit.sign:04}" in recorded_units]
        kept: set[str] = names_in(self.full / folder) if without else set()
        yield from (unit for unit in without if f"{unit.sign:04}.npz" in kept)

    def _folders_of_views(self) -> list[Path]:
        """The folders of records of the current fingerprint, of any view."""
        digest = self.fingerprint.digest
        folders = self.records.parent.glob(f"{digest}*")
        return sorted(folder for folder in folders if fingerprint_in(folder.name) == digest)

    def _records_anew(self, folder: str, records: set[str], units: Iterable[Unit], *, write: bool) -> set[str]:
        """Names of records, of which some units' were not found: this host may have listed them before the npz came."""
        if write:
            look_anew(self.records / folder)
            return names_in(self.records / folder)
        if not (self.records / folder).is_dir():
            return records
        names = {f"{unit.sign:04}{suffix}" for unit in units for suffix in RECORD_SUFFIXES}
        return records - names | {name for name in names if (self.records / folder / name).exists()}

    def recorded_since(self, unit: Unit, state: OutputState, moment: float) -> bool:
        """Whether a unit's record was written after a moment of the file system's clock."""
        if state not in RECORDED_STATES:
            return False
        try:
            return self.record_path(unit, state).stat().st_mtime > moment
        except OSError:
            return False

    def ran_out_of_memory(self, unit: Unit, state: OutputState) -> bool:
        """Whether a video of a unit failed because memory ran out; opens the record of one with failed videos."""
        if state not in ("partial", "failed"):
            return False
        record = read_stored(self.record_path(unit, state), UnitRecord)
        return record is not None and any(video.out_of_memory for video in record.failed.values())

    def made_digest(self, unit: Unit, state: OutputState) -> str:
        """What a unit was made from, as its record says in its first line; "" where that is not known."""
        try:
            with self.record_path(unit, state).open("rb", buffering=0) as file:
                first = _DIGEST.match(file.read(64))
        except OSError:
            return ""
        return first[1].decode() if first else ""

    def refuse_foreign(self, states: Mapping[Unit, OutputState]) -> None:
        """Refuse an output folder that holds outputs of other settings, among these units or anywhere.

        Raises:
            OutputError: Names one, the settings that differ, and the remedy.
        """
        foreign = [unit.name for unit, state in states.items() if state == "foreign"]
        if name := next(iter(foreign), None) or self._foreign_elsewhere():
            raise self._mixed_settings(name)

    def _foreign_elsewhere(self) -> str | None:
        """The name of any unit with an output under other settings."""
        for folder in (self.root / INTERNAL / "records").glob("*/*/"):
            if fingerprint_in(folder.parent.name) == self.fingerprint.digest or not folder.is_dir():
                continue
            for name in names_in(folder):
                unit = f"{folder.name}/{name.partition('.')[0]}"
                if (self.root / f"{unit}.npz").exists():
                    return unit
        return None

    def set_aside(self, units: Collection[Unit]) -> None:
        """Let no output count as one of these settings: these units' are foreign, others' are removed; hold the lock.

        Args:
            units: Those that a run with --overwrite is going to replace.
        """
        digest = self.fingerprint.digest
        for folder in self._folders_of_views():
            names = (folder.name.replace(digest, f"{digest}{SET_ASIDE}{number}") for number in count(1))
            folder.rename(next(path for name in names if not (path := folder.with_name(name)).exists()))
            sync_directory(folder.parent)
        for path in self.records.parent.glob(f"{digest}{SET_ASIDE}*/*/*.json"):
            record = read_stored(path, UnitRecord)
            if record is not None and record.unit is not None and record.unit.unit not in units:
                self.remove(record.unit.unit)

    def _mixed_settings(self, name: str) -> OutputError:
        why = "it has no record"
        for record in records_of(self.root, name):
            if (theirs := settings_of_record(record)) is not None:
                differing = differences(theirs, self.fingerprint.settings)[:5]
                why = "it was imported" if theirs.imported else "; ".join(differing) or "it is of another dataset"
        return OutputError(
            f"{self.root}: {name}.npz was made with other settings: {why}. Choose another output.root, or --overwrite."
        )

    def store(
        self,
        unit: Unit,
        arrays: Mapping[str, NDArray[Any]],
        record: UnitRecord,
        *,
        full: Mapping[str, bytes] | None = None,
        replace: bool,
        locked: bool = False,
    ) -> bool:
        """Write all landmarks of a unit, its record, and its npz unless all its videos failed.

        At every moment an npz that is there belongs to the record that is there, and so do the landmarks: what is
        replaced goes first.

        Args:
            arrays: (T, points, 4) for every video that succeeded; none only when the record's state is "failed".
            record: What the record holds besides the files' sizes and hashes.
            full: All landmarks of these videos, each as `npz_bytes` of it; kept only where they are of all of them.
            replace: Whether an output of the same settings is replaced (else the first one written stays).
            locked: Whether the caller holds the unit's lock.

        Returns:
            Whether it was written: False when another run was first.

        Raises:
            OutputError: It could not be written, or another run has stored it with other settings; nothing is
                half-written.
        """
        if record.state is None or bool(arrays) == (record.state == "failed"):
            raise ValueError(f"a unit with {len(arrays)} videos can't be recorded as {record.state}")
        from kpsbatch.store.npz import join_npz, write_npz  # here: NumPy, which whoever looks at names does without

        final, recorded = self.npz_path(unit), self.record_path(unit, record.state)
        parts = full if full and full.keys() == arrays.keys() else {}
        with explained(self.root), contextlib.ExitStack() as cleanup:
            self.prepare((final.parent, recorded.parent))
            # all are whole and on disk before anything that they replace goes
            write = partial(_write, cleanup)
            full_file = write(self.full_path(unit), lambda file: join_npz(file, parts.values())) if parts else None
            npz = write(final, lambda file: write_npz(file, arrays)) if arrays else None
            data = record_bytes(
                record.model_copy(update={"npz": npz and npz.facts, "full": full_file and full_file.facts})
            )
            record_file = write(recorded, lambda file: file.write(data))
            with contextlib.nullcontext() if locked else self.lock_unit(unit):
                if not replace:
                    states = self.states([unit])
                    if states.get(unit) == "foreign":  # a run with other settings has written it meanwhile
                        raise self._mixed_settings(unit.name)
                    if states.get(unit) in ("complete", "partial"):
                        return False
                self._note_gone(unit, record.gone)
                self._remove_files(unit)
                for written in (full_file, record_file, npz):
                    if written is not None:
                        publish(written.temporary, written.path)
        return True

    def publish_again(self, unit: Unit, record: UnitRecord, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the npz and the record of a unit in the state "view", unless another run was first.

        It can be killed at any moment: there is a record until the new one is there, so that nothing is computed again.

        Args:
            arrays: (T, points, 4) for every video of the record.

        Raises:
            OutputError: They can't be written.
        """
        from kpsbatch.store.npz import write_npz

        assert record.state is not None
        final, recorded = self.npz_path(unit), self.record_path(unit, record.state)
        with explained(self.root), contextlib.ExitStack() as cleanup:
            self.prepare((final.parent, recorded.parent))
            npz = _write(cleanup, final, lambda file: write_npz(file, arrays))
            data = record_bytes(record.model_copy(update={"npz": npz.facts}))
            record_file = _write(cleanup, recorded, lambda file: file.write(data))
            with self.lock_unit(unit):
                if self.states([unit]).get(unit) != "view":
                    return
                self._note_gone(unit, record.gone)
                _remove(final)
                publish(record_file.temporary, recorded)
                for path in self.records_of_views(unit):
                    if path != recorded:
                        _remove(path)
                publish(npz.temporary, final)

    def records_of_views(self, unit: Unit) -> list[Path]:
        """The records of a unit under the current fingerprint, of any view."""
        folders = self._folders_of_views()
        return [path for path in records_of(self.root, unit.name) if path.parents[1] in folders]

    def _remove_files(self, unit: Unit) -> None:
        """Remove the files of a unit, of any settings: the npz first, then the records, then all landmarks."""
        _remove(self.npz_path(unit))
        for path in records_of(self.root, unit.name):
            _remove(path)
        for path in sorted((self.root / INTERNAL / "full").glob(f"*/{unit.name}.npz")):
            _remove(path)

    def good_videos(self, unit: Unit) -> dict[str, StoredVideo]:
        """The videos of a unit's output under the current settings.

        Returns:
            Nothing where there is no output, or it is not whole.
        """
        import numpy as np

        for state in RECORDED_STATES:
            record = read_record(self.record_path(unit, state)).record
            if record is None or record.npz is None:
                continue
            try:
                data = self.npz_path(unit).read_bytes()
                if hashlib.sha256(data).hexdigest() == record.npz.sha256:
                    full = self._full_of(unit, record)
                    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                        return {
                            name: StoredVideo(stored[name], record.good[name], full.get(name, b""))
                            for name in stored.files
                        }
            except (OSError, ValueError, KeyError):
                pass
        return {}

    def _full_of(self, unit: Unit, record: UnitRecord) -> dict[str, bytes]:
        """All landmarks of a unit's videos, each as `npz_bytes` of it; nothing where they are not kept, or damaged."""
        from kpsbatch.store.npz import npz_bytes, open_npz

        path = self.full_path(unit)
        try:
            if record.full is None or sha256_of(path) != record.full.sha256:
                return {}
            with open_npz(path) as kept:
                return {name: npz_bytes(name, kept.read(name)) for name in kept.members}
        except (OSError, OutputError):
            return {}

    @property
    def gone(self) -> dict[str, dict[str, str]]:
        """By unit, the videos that are kept though the dataset has them no more, and since when."""
        noted = read_stored(self.records / "gone.json", GoneVideos)
        return noted.units if noted is not None else {}

    def _note_gone(self, unit: Unit, videos: Mapping[str, str]) -> None:
        gone = self.gone
        if gone.get(unit.name, {}) != videos:
            units = {**gone, unit.name: videos}
            write_json(self.records / "gone.json", {"units": {name: each for name, each in units.items() if each}})

    def remove(self, unit: Unit) -> None:
        """Remove a unit's files, of any settings, so that the next run redoes it; hold its lock.

        Raises:
            OutputError: They can't be removed.
        """
        with explained(self.root):
            refuse_outside(self.root, self.npz_path(unit).parent, self.records / unit.folder)
            self._note_gone(unit, {})
            self._remove_files(unit)

    def remove_damaged(self, unit: Unit) -> None:
        """Remove a unit as `remove`; of one whose landmarks are whole the npz alone, which is made from them again."""
        path = self.full_path(unit)
        recorded = [
            record for state in RECORDED_STATES if (record := read_record(self.record_path(unit, state)).record)
        ]
        with explained(self.root):
            if len(recorded) == 1 and recorded[0].full and path.exists() and sha256_of(path) == recorded[0].full.sha256:
                refuse_outside(self.root, self.npz_path(unit).parent)
                _remove(self.npz_path(unit))
                return
        self.remove(unit)

    def other_records(self, unit: Unit) -> list[Path]:
        """The records of a unit under other settings.

        Raises:
            OutputError: They can't be listed.
        """
        with explained(self.root):
            return [path for path in records_of(self.root, unit.name) if self.records not in path.parents]

    def slim(self, unit: Unit) -> int:
        """Remove the landmarks of a unit that its npz does not hold; the record says so first. Returns the bytes.

        Raises:
            OutputError: They can't be removed.
        """
        path = self.full_path(unit)
        with explained(self.root), self.lock_unit(unit):
            state = self.states([unit]).get(unit)
            if not path.exists() or state not in ("complete", "partial"):
                return 0
            record_path = self.record_path(unit, state)
            record = read_record(record_path).record
            if record is None:
                return 0
            write_bytes(record_path, record_bytes(record.model_copy(update={"full": None})))
            size = path.stat().st_size
            _remove(path)
            return size

    @contextlib.contextmanager
    def lock_unit(self, unit: Unit) -> Iterator[None]:
        """Hold the store's lock; what other hosts have stored of the unit until then is seen."""
        with self.lock():
            for folder in (self.root, self.records):
                look_anew(folder / unit.folder)
            yield

    @contextlib.contextmanager
    def lock(self, name: str = "store.lock") -> Iterator[None]:
        """Keep other processes from storing at the same moment; the kernel frees it when its holder dies.

        Where the file system has no locks, or a stopped process holds this one for a minute, it does without: then
        only two runs that store the same unit in the same few milliseconds can leave an npz beside the other's
        record, which `verify` finds.
        """
        path = self.root / INTERNAL / name
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "ab") as file:
            give_up = time.monotonic() + LOCK_SECONDS
            while not try_lock(file) and time.monotonic() < give_up:
                time.sleep(0.01)
            yield


class _Written(NamedTuple):
    """A file that is whole and on disk, under a temporary name, and where it goes."""

    temporary: Path
    path: Path

    @property
    def facts(self) -> NpzFile:
        """Its hash and size, for the record."""
        return NpzFile(sha256=sha256_of(self.temporary), bytes=self.temporary.stat().st_size)


def _write(cleanup: contextlib.ExitStack, path: Path, write: Callable[[BinaryIO], object]) -> _Written:
    """Write a file under a temporary name, which `cleanup` removes unless it was published."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = _Written(write_temporary(path, write), path)
    cleanup.callback(discard, written.temporary)
    return written


def _state_of(unit: Unit, files: Collection[str], records: Collection[str]) -> OutputState | None:
    """The state of a unit by the names of the files and of the records in its folders."""
    stem = f"{unit.sign:04}"
    recorded = [state for suffix, state in RECORD_SUFFIXES.items() if stem + suffix in records]
    if f"{stem}.npz" in files:  # two records: folders of two clusters were copied together, and joined.py settles it
        return next((state for state in recorded if state != "failed"), "foreign")
    return "failed" if "failed" in recorded else None


def records_of(root: Path, unit: str) -> Iterator[Path]:
    """Every record of a unit that is there, under any settings.

    Args:
        unit: Its name, such as 01-train/0007.
    """
    for folder in sorted((root / INTERNAL / "records").glob("*")):
        for suffix in RECORD_SUFFIXES:
            if (path := folder / f"{unit}{suffix}").exists():
                yield path


def settings_of_record(record: Path) -> Settings | None:
    """The settings under which a record lies, if they can be read."""
    return read_stored(record.parents[1] / "settings.json", Settings)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_directory(path.parent)
