"""`kpsbatch verify`: check every output."""

from __future__ import annotations

from typing import Annotated

import typer

from kpsbatch.commands.options import AsJson, Quiet, flag
from kpsbatch.commands.printing import print_json, print_verdict
from kpsbatch.commands.selection import Selection


def verify(
    selection: Selection,
    repair: Annotated[
        bool, flag("--repair", help="Remove damaged units, npz and record; the next run redoes them.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check every output to the last byte, against the output contract, its record and the dataset."""
    config = selection.load()
    from kpsbatch.commands.dataset import open_dataset
    from kpsbatch.look.verify import verify as verify_outputs
    from kpsbatch.progress import count_progress

    source = None if config.output.imported else open_dataset(config, quiet=quiet)
    with count_progress("units verified", quiet=quiet) as show:
        verdict = verify_outputs(config, source=source, repair=repair, on_unit=show)
    if as_json:
        print_json(verdict.as_tree())
    else:
        print_verdict(verdict, selection.command("run"), repair=repair)
    raise typer.Exit(verdict.exit_status)
