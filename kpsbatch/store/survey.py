"""One survey of a job: what the dataset holds and what the outputs hold, joined unit by unit.

run, submit, status, report and verify ask it, so that all of them count alike. Listings, sizes of files and first
lines of records only: no npz and no frame is opened, no model is looked for, and records are read only where they
differ from the dataset.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kpsbatch.config import Config
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Listing, Presence, Unit
from kpsbatch.files import INTERNAL, explained, fingerprint_in, in_threads
from kpsbatch.store.changes import UNCHANGED, Changes, changes_of
from kpsbatch.store.outputs import SET_ASIDE, Outputs, OutputState
from kpsbatch.store.places import places_elsewhere
from kpsbatch.store.records import UnitRecord, source_name
from kpsbatch.store.settings import (
    UNKNOWN,
    Fingerprint,
    Settings,
    differences_in_config,
    installed_version,
    is_installed,
    settings_of,
)
from kpsbatch.stored import read_stored

UnitState = Literal["complete", "partial", "failed", "foreign", "changed", "left", "absent", "empty", "unreadable"]
"""complete, partial, failed: finished, as recorded. foreign: an output of other settings, or without a record.
changed: finished, but the dataset has videos by now that are to be done. left: not done yet. absent, empty, unreadable:
not done, and without a folder, without a video, or with a folder that can't be listed in the dataset."""

FINISHED: tuple[UnitState, ...] = ("complete", "partial", "failed")
"""What a run passes over."""

Depth = Literal["outputs", "presence", "videos"]
"""How closely the dataset is looked at: not at all, whether a unit has a video, or all of its videos."""


@dataclass(frozen=True)
class SurveyedUnit:
    """A unit as the outputs and the dataset hold it.

    Attributes:
        unit: The unit.
        output: What the outputs hold of it; None for nothing.
        presence: What the dataset holds of it; None where that was not looked for.
        listing: Its videos; None where they were not listed.
        changes: How these differ from its record, if it is finished and its dataset was looked at.
    """

    unit: Unit
    output: OutputState | None
    presence: Presence | None = None
    listing: Listing | None = None
    changes: Changes = UNCHANGED

    @property
    def state(self) -> UnitState:
        """Both in one word; an output counts, whatever the dataset holds by now."""
        if self.output == "view":
            return "left"
        if self.output is not None:
            return self.output
        return "left" if self.presence is None or self.presence == "videos" else self.presence


@dataclass(frozen=True)
class Survey:
    """All units of a config, or some of them, in its order."""

    units: tuple[SurveyedUnit, ...]

    def __iter__(self) -> Iterator[SurveyedUnit]:
        return iter(self.units)

    def of_state(self, *states: UnitState) -> list[Unit]:
        """The units in any of these states."""
        return [surveyed.unit for surveyed in self.units if surveyed.state in states]

    @property
    def outputs(self) -> dict[Unit, OutputState]:
        """The state of every unit of which the outputs hold something."""
        return {surveyed.unit: surveyed.output for surveyed in self.units if surveyed.output is not None}


def survey(
    source: Source,
    outputs: Outputs,
    units: Iterable[Unit] | None = None,
    *,
    depth: Depth,
    states: Mapping[Unit, OutputState] | None = None,
    redo: Callable[[Unit, OutputState], bool] = lambda unit, state: False,
    known: Mapping[Unit, Presence] | None = None,
    unchanged: Collection[Unit] = (),
    redo_replaced: bool = False,
    on_unit: Callable[[int, int], None] = lambda done, total: None,
) -> Survey:
    """Look at every unit; the dataset only where a run would do the unit.

    Args:
        units: Some of its units; default all.
        states: What the outputs hold; default looked for.
        redo: Whether a unit with an output is done again, and so looked for in the dataset too.
        known: What is known of the dataset already, which is not looked at again.
        unchanged: Units whose outputs are known to be of the videos that the dataset has.
        redo_replaced: Whether a unit of which a file was replaced counts as changed.
        on_unit: Called with (units surveyed, units in all).

    Raises:
        OutputError: The output folder can't be listed.
    """
    chosen = source.units() if units is None else list(units)
    if states is None:
        states = outputs.states(chosen, sweep=False)
    imported = outputs.fingerprint.settings.imported  # then a unit without an output is none that is still to be done

    def joined(unit: Unit) -> SurveyedUnit:
        state = states.get(unit)
        if imported and (state is None or depth != "videos"):
            return SurveyedUnit(unit, state, "absent", source.listing(unit) if depth == "videos" else None)
        changes = UNCHANGED
        again = state == "view" or (state is not None and redo(unit, state))
        if depth != "outputs" and state in FINISHED and not again and unit not in unchanged:
            changes = changes_of(source, outputs, unit, state)
            if changes.ask_for_a_run(redo_replaced):
                state = "changed"
                again = redo(unit, state)
        if depth == "outputs" or (state is not None and not again):
            return SurveyedUnit(unit, state, changes=changes)
        if depth == "videos":
            listing = source.listing(unit)
            return SurveyedUnit(unit, state, listing.presence, listing, changes)
        return SurveyedUnit(unit, state, (known or {}).get(unit) or source.presence(unit), changes=changes)

    def is_slow(unit: Unit) -> bool:
        """Whether files are read or folders listed for a unit."""
        asked = depth == "videos" if imported else depth != "outputs"
        return asked and unit not in unchanged and unit not in (known or ())

    slow = {unit for unit in chosen if is_slow(unit)}
    answers = in_threads(joined, [unit for unit in chosen if unit in slow])
    surveyed: list[SurveyedUnit] = []
    for unit in chosen:
        surveyed.append(next(answers) if unit in slow else joined(unit))
        on_unit(len(surveyed), len(chosen))
    return Survey(tuple(surveyed))


def gone_videos(config: Config, source: Source, outputs: Outputs) -> dict[Unit, list[str]]:
    """The videos of the outputs that the dataset, or its table, has no more.

    What the config leaves out is not looked at, nor what was computed where another part of the dataset lies. All other
    records are read, and all of the dataset is listed.

    Raises:
        OutputError: The records can't be listed.
    """
    gone: dict[Unit, list[str]] = {}
    with explained(outputs.root):
        paths = sorted(outputs.records.glob("*/*.json"))
        elsewhere = places_elsewhere(outputs, source)
    for path in paths:
        record = read_stored(path, UnitRecord)
        if record is None or record.unit is None or not _is_chosen(config, record.unit.unit):
            continue
        if record.dataset in elsewhere:
            continue
        listing = source.listing(record.unit.unit)
        there = {video.name for video in listing.videos}
        good = dict.fromkeys(source_name(key, video) for key, video in record.good.items())
        if not listing.problem and (names := [name for name in good if name not in there]):
            gone[record.unit.unit] = names
    return gone


def gone_units(config: Config, source: Source, outputs: Outputs) -> list[Unit]:
    """Recorded units that the dataset, or its table, has no more, as far as names tell; as `gone_videos` else."""
    units = {unit.name for unit in source.units()}
    elsewhere: set[str] | None = None
    gone: list[Unit] = []
    for path in outputs.records.glob("*/*.json"):
        if f"{path.parent.name}/{path.name.partition('.')[0]}" in units:
            continue
        record = read_stored(path, UnitRecord)
        if record is None or record.unit is None or not _is_chosen(config, record.unit.unit):
            continue
        elsewhere = places_elsewhere(outputs, source) if elsewhere is None else elsewhere
        if record.dataset not in elsewhere:
            gone.append(record.unit.unit)
    return sorted(gone)


def _is_chosen(config: Config, unit: Unit) -> bool:
    """Whether a config leaves a unit's signer, split and sign in."""
    dataset = config.dataset
    chosen = ((unit.signer, dataset.signers), (unit.split, dataset.splits), (unit.sign, dataset.signs))
    return all(not names or name in names for name, names in chosen)


@dataclass(frozen=True)
class KnownOutputs:
    """Outputs as a config sees them that looks for no models, and what a person should know about them."""

    outputs: Outputs
    notes: tuple[str, ...] = ()


def outputs_without_models(config: Config) -> KnownOutputs:
    """Find the outputs of a config's settings by the `settings.json` beside the records.

    The mediapipe version and the models are not known without looking for models, so of several settings that fit,
    the one that was written to last counts, and a note says so. The digest is "" where no records fit.
    """
    ours = settings_of(config)
    root = config.output.root
    fitting: list[tuple[bool, bool, bool, float, Fingerprint]] = []
    for path in (root / INTERNAL / "records").glob("*/settings.json"):
        settings = None if SET_ASIDE in path.parent.name else read_stored(path, Settings)
        if settings is not None and settings.view and ours.view:
            settings = settings.model_copy(update={"view": ours.view})
        if settings is not None and not differences_in_config(settings, ours):
            right_version = settings.imported or is_installed("mediapipe", settings.mediapipe or "")
            right_version = right_version or installed_version("mediapipe") == UNKNOWN  # a machine that only looks
            used = any(path.parent.glob("*/*.json"))  # a run that was refused leaves settings without records
            theirs = used, not settings.is_earlier, right_version, _last_written(path.parent)
            fitting.append((*theirs, Fingerprint(settings, fingerprint_in(path.parent.name))))
    if not fitting:
        return KnownOutputs(Outputs(root, Fingerprint(ours, "")))
    used, same_values, right_version, _, chosen = max(fitting, key=lambda item: item[:4])
    notes: list[str] = []
    if not same_values:
        notes.append("an earlier kpsbatch made the outputs, with other values: a run does not go on with them")
    elif not right_version:
        here = installed_version("mediapipe")
        notes.append(
            f"outputs were made with mediapipe {chosen.settings.mediapipe}; here is {here}, which a run refuses"
        )
    if len({item[4].digest for item in fitting if item[:3] == (used, same_values, right_version)}) > 1:
        notes.append(f"outputs of several models are here; those of the models used last ({chosen.digest}) count")
    return KnownOutputs(Outputs(root, chosen), tuple(notes))


def _last_written(folder: Path) -> float:
    """When a record was last added below a folder."""
    latest = 0.0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            latest = max(latest, entry.stat().st_mtime)
    return latest
