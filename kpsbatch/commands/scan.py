"""`kpsbatch scan`: what the dataset holds."""

from __future__ import annotations

from typing import Annotated

import typer

from kpsbatch.commands.options import AsJson, Quiet
from kpsbatch.commands.printing import print_json, print_scan
from kpsbatch.commands.selection import Selection


def scan(
    selection: Selection,
    frames: Annotated[bool, typer.Option(help="List the directory of each video too, and count its frames.")] = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what the dataset holds for each signer and split, what is missing and what is odd. Reads listings only."""
    config = selection.load()
    from kpsbatch.dataset.source import INDEX_FOLDER, open_source
    from kpsbatch.look.scan import scan as scan_dataset
    from kpsbatch.progress import count_progress

    with count_progress("members of the archive", quiet=quiet) as show:
        source = open_source(config.dataset, config.output.root / INDEX_FOLDER, show)
    with count_progress("units listed", quiet=quiet) as show:
        found = scan_dataset(source, frames=frames, on_unit=show)
    if as_json:
        print_json({"root": str(config.dataset.root), **found.as_tree(frames)})
    else:
        print_scan(config, found, frames=frames)
