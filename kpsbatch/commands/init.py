"""`kpsbatch init`: a config for a dataset as it lies."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Annotated

import typer

from kpsbatch.commands.demo import program
from kpsbatch.commands.options import Quiet
from kpsbatch.errors import printable


def init(
    place: Annotated[Path, typer.Argument(metavar="FOLDER|ARCHIVE|TABLE", help="The videos, or a table beside them.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The config to write.")] = Path("config.yaml"),
    quiet: Quiet = False,
) -> None:
    """Look at a dataset and write a config for it; what is unsure is listed."""
    from kpsbatch.config import load_config
    from kpsbatch.config.schema import SCHEMA_FILE, SCHEMA_LINE, write_schema
    from kpsbatch.dataset.guess import guess
    from kpsbatch.dataset.init_config import OUTPUT_ROOT, write_config
    from kpsbatch.dataset.source import INDEX_FOLDER
    from kpsbatch.progress import count_progress

    with count_progress("members of the archive", quiet=quiet) as show:
        guessed = guess(place, config.parent / OUTPUT_ROOT / INDEX_FOLDER, show)
    written = write_config(guessed, config, first_line=SCHEMA_LINE)
    with contextlib.suppress(OSError):  # editors do without
        write_schema(config.parent / SCHEMA_FILE)
    load_config(config)  # it must be one that every other command accepts
    print(f"found: {printable(guessed.found)}")
    for note in guessed.notes:
        print(f"unsure: {printable(note)}")
    print(f"wrote {' and '.join(map(str, written))}. Look at it, then: {program()} scan {shlex.quote(str(config))}")
