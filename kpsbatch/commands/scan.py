"""`kpsbatch scan`: what the dataset holds."""

from __future__ import annotations

from typing import Annotated

import typer

from kpsbatch.commands.options import Quiet
from kpsbatch.commands.printing import print_scan
from kpsbatch.commands.selection import Selection


def scan(
    selection: Selection,
    frames: Annotated[bool, typer.Option(help="List the directory of each video too, and count its frames.")] = True,
    quiet: Quiet = False,
) -> None:
    """Show what the dataset holds: signers x splits, what is absent, what is odd. Reads listings only."""
    config = selection.load()
    from kpsbatch.dataset.source import INDEX_FOLDER, open_source
    from kpsbatch.look.scan import scan as scan_dataset
    from kpsbatch.progress import count_progress

    with count_progress("members of the archive", quiet=quiet) as show:
        source = open_source(config.dataset, config.output.root / INDEX_FOLDER, show)
    with count_progress("units listed", quiet=quiet) as show:
        found = scan_dataset(source, frames=frames, on_unit=show)
    print_scan(config, found, frames=frames)
