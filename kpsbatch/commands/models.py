"""`kpsbatch models`: the model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.commands.options import flag


def models(
    directory: Annotated[
        Optional[Path], typer.Option("--models", metavar="DIR", help="List the bundles of this folder.")
    ] = None,
    rebuild: Annotated[bool, flag("--rebuild", help="Build them again, whatever is in the cache.")] = False,
    export: Annotated[
        Optional[Path], typer.Option("--export", metavar="DIR", help="Write the built bundles to a folder.")
    ] = None,
) -> None:
    """Build the model bundles from the mediapipe wheel, list them, export them."""
    from kpsbatch.landmarks import bundles

    if export is not None:
        found = {bundle.part: bundle for bundle in bundles.export_bundles(export)}
    elif rebuild:
        found = bundles.build_bundles(bundles.built_directory(bundles.default_cache()))
    else:
        found = bundles.find_bundles(directory)
    for bundle in found.values():
        print(f"{bundle.sha256}  {bundle.path.stat().st_size:>9}  {bundle.origin:<8}  {bundle.path}")
