"""What comes before the work: which units are to be done, who else is at work, whether settings and data are right."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping

from kpsbatch.config import Config
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.store.outputs import Outputs, OutputState, states_to_redo
from kpsbatch.store.records import RECORDED_STATES, UnitRecord, host_facts
from kpsbatch.store.run_state import Origin, Progress, other_live_runs, restarts
from kpsbatch.store.settings import Fingerprint, differences
from kpsbatch.store.survey import Depth, Survey, survey
from kpsbatch.stored import read_stored
from kpsbatch.words import some_of

MOST_SHOWN = 5


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

    surveyed = survey(source, outputs, units, states=states, depth=depth, redo=redo)
    whole = len(units) == len(source.units())  # a shard may well have no video
    if whole and not surveyed.outputs and all(unit.presence in ("absent", "empty") for unit in surveyed):
        raise source.no_video()
    return surveyed


def count_earlier_starts(surveyed: Survey, outputs: Outputs, progress: Progress) -> None:
    """Count in `progress` what a job that was requeued did before: the units that have a record of this very job."""
    if not restarts():
        return
    job = host_facts().slurm
    for unit, state in surveyed.outputs.items():
        if state not in RECORDED_STATES:
            continue
        record = read_stored(outputs.record_path(unit, state), UnitRecord)
        if record is not None and record.slurm == job:
            progress.units_before += 1
            progress.videos_before += len(record.videos)
            progress.failed_before += len(record.failed)


def refuse_other_settings(origin: Origin, ours: Fingerprint) -> None:
    """Refuse to compute other values than the submission froze.

    Raises:
        OutputError: Names what differs, and the remedy.
    """
    if origin.settings is not None and (differing := differences(origin.settings, ours.settings)):
        raise OutputError(
            f"on {socket.gethostname()} other values would be computed than where this was submitted: "
            f"{'; '.join(differing[:MOST_SHOWN])}. "
            "Give all nodes the same kpsbatch, mediapipe and models, then submit again."
        )


def check_other_runs(config: Config, origin: Origin, overwrite: bool, on_notice: Callable[[str], None]) -> None:
    """Tell that another run is at work on the same outputs; refuse to overwrite them meanwhile.

    Raises:
        OutputError: They were to be overwritten.
    """
    live = other_live_runs(config.output.root, origin)
    if not live:
        return
    first = f"process {live[0].pid} on {live[0].host} since {live[0].started}"
    others = f"{first} and {len(live) - 1} more" if len(live) > 1 else first
    if overwrite:
        raise OutputError(
            f"another run is at work on {config.output.root} ({others}), so --overwrite is refused. Wait for it."
        )
    on_notice(f"another run is at work on these outputs ({others}); both may do the same")


def lacking_units(survey: Survey, counted: Mapping[str, int]) -> dict[str, str]:
    """Units to do that have fewer videos than were counted, and how many; the table may not even know a unit here."""
    listings = {surveyed.unit.name: surveyed.listing for surveyed in survey}
    lacking: dict[str, str] = {}
    for name, count in counted.items():
        listing = listings.get(name)
        videos = len(listing.videos) if listing is not None else 0
        finished = name in listings and listing is None
        if videos < count and not finished and not (listing is not None and listing.problem):
            lacking[name] = f"{videos} of {count} videos"
    return lacking


def describe_lacking(lacking: Mapping[str, str]) -> str:
    """One line about units that lack videos, with the remedy; "" for none."""
    if not lacking:
        return ""
    shown = some_of([f"{name} ({how_many})" for name, how_many in lacking.items()], MOST_SHOWN)
    return (
        f"on {socket.gethostname()} the dataset holds less than where this was submitted: {shown}; not done. "
        "Let the node see all of dataset.root and what links in it point to, then submit again."
    )
