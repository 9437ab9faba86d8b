"""`kpsbatch status`: how far a run is."""

from __future__ import annotations

from typing import Annotated

from kpsbatch.commands.options import AsJson, Quiet, flag
from kpsbatch.commands.selection import Selection


def status(
    selection: Selection,
    watch: Annotated[bool, flag("--watch", "-w", help="A live screen, until the job ends or Ctrl-C.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what is done, running, failed and left, and the time to go. Reads files only, never an npz."""
    config = selection.load()
    from kpsbatch.look.status_screen import show_status

    show_status(config, watch=watch, as_json=as_json, quiet=quiet)
