"""`kpsbatch inspect`: what an output file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kpsbatch.commands.options import AsJson
from kpsbatch.commands.printing import print_json


def inspect_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="An output file.")], as_json: AsJson = False
) -> None:
    """Show what an output file holds: videos, lengths, how often each part was found."""
    from kpsbatch.look.contents import file_contents, show_contents

    found = file_contents(file)
    if as_json:
        print_json(found.as_tree())
    else:
        show_contents(found)
