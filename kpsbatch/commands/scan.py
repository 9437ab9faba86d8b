"""`kpsbatch scan`: what the dataset holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kpsbatch.commands.options import AsJson, Quiet
from kpsbatch.commands.printing import print_json, print_scan
from kpsbatch.commands.selection import Selection

if TYPE_CHECKING:
    from kpsbatch.look.scan import Scan


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
        print_json({"root": str(config.dataset.root), **_tree(found, frames)})
    else:
        print_scan(config, found, frames=frames)


def _tree(found: Scan, frames: bool) -> dict[str, Any]:
    """For JSON; `frames` of a group is null where they were not counted."""
    return {
        "groups": [
            {"signer": signer, "split": split, **vars(group), "frames": group.frames if frames else None}
            for (signer, split), group in found.groups.items()
        ],
        "bad_rows": [{"row": row, "problem": what} for row, what in found.bad_rows],
        "odd_counts": dict(found.odd_counts),
        "odd": [{"path": path, "problem": what} for path, what in found.odd],
    }
