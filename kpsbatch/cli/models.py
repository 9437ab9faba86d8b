"""`kpsbatch models`: the networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.cli.options import flag


def models(
    wheel: Annotated[
        Optional[Path], typer.Option("--wheel", metavar="FILE", help="Take the networks from this mediapipe wheel.")
    ] = None,
    origin: Annotated[
        Optional[Path],
        typer.Option(
            "--from", metavar="DIR", help="Take them from a folder: what --export wrote, or Google's bundles (*.task)."
        ),
    ] = None,
    rebuild: Annotated[bool, flag("--rebuild", help="Build them again, whatever is in the cache.")] = False,
    export: Annotated[
        Optional[Path], typer.Option("--export", metavar="DIR", help="Put the networks into this folder.")
    ] = None,
    directory: Annotated[
        Optional[Path], typer.Option("--models", metavar="DIR", help="Only list the networks of this folder.")
    ] = None,
) -> None:
    """Get the networks, once, from the package index into the cache; list them, export them."""
    if directory is not None:
        from kpsbatch.landmarks.network_files import find_networks

        networks = find_networks(directory)
    else:
        from kpsbatch.models.build import obtain_networks  # NumPy and flatbuffers

        networks = obtain_networks(wheel=wheel, origin=origin, rebuild=rebuild, export=export)
    for file in networks.values():
        print(f"{file.sha256}  {file.path.stat().st_size:>9}  {file.origin:<17}  {file.path}")
