"""`kpsbatch plan`: what the whole dataset takes."""

from __future__ import annotations

from kpsbatch.commands.options import AsJson, Quiet
from kpsbatch.commands.printing import print_estimate, print_json
from kpsbatch.commands.selection import Selection


def plan(selection: Selection, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Measure one sign here and estimate the whole dataset: core-hours, tasks, time and memory."""
    config = selection.load()
    config.landmarks.refuse_removed()
    from kpsbatch.commands.dataset import open_dataset
    from kpsbatch.look.estimate import estimate
    from kpsbatch.progress import run_progress
    from kpsbatch.work.signals import stop_on_signals

    source = open_dataset(config, quiet=quiet)
    with stop_on_signals() as stop, run_progress(quiet=quiet) as show:
        found = estimate(config, source=source, on_progress=show, stop_reason=stop)
    if as_json:
        print_json(found.as_tree())
    else:
        print_estimate(config, found)
