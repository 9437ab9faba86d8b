"""`kpsbatch models`: the model bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.cli.options import flag


def models(
    wheel: Annotated[
        Optional[Path], typer.Option("--wheel", metavar="FILE", help="Take the networks from this mediapipe wheel.")
    ] = None,
    copy_from: Annotated[
        Optional[Path], typer.Option("--from", metavar="DIR", help="Take the bundles that --export wrote elsewhere.")
    ] = None,
    rebuild: Annotated[bool, flag("--rebuild", help="Build them again, whatever is in the cache.")] = False,
    export: Annotated[
        Optional[Path], typer.Option("--export", metavar="DIR", help="Copy the bundles to a folder.")
    ] = None,
    directory: Annotated[
        Optional[Path], typer.Option("--models", metavar="DIR", help="Only list the bundles of this folder.")
    ] = None,
) -> None:
    """Get the models, once, from the package index into the cache; list them, export them."""
    from kpsbatch.landmarks import bundles

    if directory is not None:
        found = bundles.find_bundles(directory)
    else:
        found = bundles.obtain_bundles(wheel=wheel, copy_from=copy_from, rebuild=rebuild)
        if export is not None:
            found = bundles.export_bundles(export)
    for bundle in found.values():
        print(f"{bundle.sha256}  {bundle.path.stat().st_size:>9}  {bundle.origin:<8}  {bundle.path}")
