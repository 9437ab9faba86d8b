"""`kpsbatch inspect`: what an output file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect_file(file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="An output file.")]) -> None:
    """Show what an output file holds: videos, lengths, how often each part was found."""
    from kpsbatch.look.contents import show_contents

    show_contents(file)
