"""`kpsbatch schema`: the JSON Schema of the config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.errors import OutputError


def schema(
    file: Annotated[
        Optional[Path], typer.Option("--output", "-o", metavar="FILE", help="Write it to a file, and do not print it.")
    ] = None,
) -> None:
    """Print the JSON Schema of the config, with which editors complete and check it."""
    from kpsbatch.config.schema import SCHEMA_FILE, SCHEMA_LINE, schema_text, write_schema

    if file is None:
        print(schema_text(), end="")
        return
    try:
        write_schema(file)
    except OSError as error:
        raise OutputError(f"{file} can't be written: {error.strerror or error}. Choose another -o.") from None
    line = SCHEMA_LINE.replace(SCHEMA_FILE, file.name)
    print(f"schema: {file}; first line of the configs beside it: {line}")
