"""Choosing: which units of a dataset a run or a submission does."""

from __future__ import annotations

from collections.abc import Iterable

from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Unit
from kpsbatch.store.outputs import Outputs, OutputState, states_to_redo
from kpsbatch.store.records import RECORDED_STATES, UnitRecord
from kpsbatch.store.run_state import Progress, restarts
from kpsbatch.store.survey import Depth, Survey, survey
from kpsbatch.stored import read_stored
from kpsbatch.work.host import host_facts


def survey_to_do(
    source: Source,
    outputs: Outputs,
    signs: Iterable[int] | None = None,
    *,
    depth: Depth,
    overwrite: bool = False,
    retry_failed: bool = False,
    retried_since: float = float("inf"),
    sweep: bool = False,
) -> Survey:
    """Survey the units of some signs, and look in the dataset for those that are to be done.

    Units of which the kernel killed a worker for memory are done again anyway: with more memory the video may be good.

    Args:
        source: The dataset.
        outputs: The output folder.
        signs: The signs; default all.
        depth: How closely the dataset is looked at.
        overwrite: Whether outputs of other settings are done again.
        retry_failed: Whether units of which videos failed are done again.
        retried_since: Units that were recorded after this moment are not done again.
        sweep: Whether stale temporary files are removed.

    Raises:
        DatasetError: The dataset holds no video at all.
        OutputError: The output folder holds outputs made with other settings, or can't be listed.
    """
    units = source.units(signs)
    states = outputs.states(units, sweep=sweep)
    if not overwrite:
        outputs.refuse_foreign(states)
    redone = states_to_redo(retry_failed)

    def redo(unit: Unit, state: OutputState) -> bool:
        again = state in redone or outputs.ran_out_of_memory(unit, state)
        return again and not outputs.recorded_since(unit, state, retried_since)

    found = survey(source, outputs, units, states=states, depth=depth, redo=redo)
    whole = len(units) == len(source.units())  # a shard may well have no video
    if whole and not found.outputs and all(unit.presence in ("absent", "empty") for unit in found):
        raise source.no_video()
    return found


def count_earlier_starts(found: Survey, outputs: Outputs, progress: Progress) -> None:
    """Count in `progress` what a job that was requeued did before: the units that have a record of this very job."""
    if not restarts():
        return
    job = host_facts().slurm
    for unit, state in found.outputs.items():
        if state not in RECORDED_STATES:
            continue
        record = read_stored(outputs.record_path(unit, state), UnitRecord)
        if record is not None and record.slurm == job:
            progress.units_before += 1
            progress.videos_before += len(record.videos)
            progress.failed_before += len(record.failed)
