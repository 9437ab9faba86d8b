"""What a run checks before it works: who else is at work, which settings count, whether all data is there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from kpsbatch.config import Config
from kpsbatch.errors import OutputError
from kpsbatch.store.run_state import Origin, other_live_runs
from kpsbatch.store.settings import Fingerprint, differences
from kpsbatch.store.survey import Survey
from kpsbatch.words import some_of

MOST_SHOWN = 5


def refuse_other_settings(origin: Origin, ours: Fingerprint) -> None:
    """Refuse to compute other values than the submission froze.

    Raises:
        OutputError: Names what differs, and the remedy.
    """
    if origin.settings is not None and (found := differences(origin.settings, ours.settings)):
        raise OutputError(
            f"on {socket.gethostname()} other values would be computed than where this was submitted: "
            f"{'; '.join(found[:MOST_SHOWN])}. "
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
    found = {surveyed.unit.name: surveyed.listing for surveyed in survey}
    lacking: dict[str, str] = {}
    for name, count in counted.items():
        listing = found.get(name)
        videos = len(listing.videos) if listing is not None else 0
        finished = name in found and listing is None
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
