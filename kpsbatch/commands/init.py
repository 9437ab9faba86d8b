"""`kpsbatch init`: a config for a dataset as it lies."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.commands.demo import program
from kpsbatch.commands.options import Quiet
from kpsbatch.errors import ConfigError, printable


def init(
    place: Annotated[
        Optional[Path],
        typer.Argument(metavar="FOLDER|ARCHIVE|TABLE", help="The videos, or a table beside them."),
    ] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="The config to write.")] = Path("config.yaml"),
    like: Annotated[
        Optional[str],
        typer.Option(metavar="NAME", help="The config of a known dataset, such as wlasl; list: show their names."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Look at a dataset and write a config for it; what is unsure is listed."""
    from kpsbatch.config import load_config
    from kpsbatch.config.schema import SCHEMA_FILE, SCHEMA_LINE, write_schema
    from kpsbatch.dataset import init_config
    from kpsbatch.dataset.guess import guess
    from kpsbatch.dataset.source import INDEX_FOLDER
    from kpsbatch.progress import count_progress

    if like == "list":
        print("\n".join(init_config.recipe_names()))
        return
    recipe = None if like is None else init_config.recipe_like(like)
    if place is None:
        raise ConfigError("init has no videos to look at. Name a folder, an archive or a table.")
    summary, notes, written = f"the recipe {recipe}", list[str](), [config]
    if recipe is not None:
        init_config.write_recipe(recipe, place, config, SCHEMA_LINE)
    else:
        with count_progress("members of the archive", quiet=quiet) as show:
            guessed = guess(place, config.parent / init_config.OUTPUT_ROOT / INDEX_FOLDER, show)
        written = init_config.write_config(guessed, config, first_line=SCHEMA_LINE)
        summary, notes = guessed.found, guessed.notes
    with contextlib.suppress(OSError):  # editors do without
        write_schema(config.parent / SCHEMA_FILE)
    dataset = load_config(config).dataset  # it must be one that every other command accepts
    print(f"found: {printable(summary)}")
    notes += [f"{table} is not there; see docs/datasets.md" for table in init_config.tables_not_there(dataset)]
    for note in notes:
        print(f"unsure: {printable(note)}")
    print(f"wrote {' and '.join(map(str, written))}. Look at it, then: {program()} scan {shlex.quote(str(config))}")
