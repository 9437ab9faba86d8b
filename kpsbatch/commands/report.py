"""`kpsbatch report`: one HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.commands.options import NoPictures, Quiet
from kpsbatch.commands.selection import Selection
from kpsbatch.words import counted

PAGE = "report.html"


def report(
    selection: Selection,
    page: Annotated[
        Optional[Path],
        typer.Option("--output", "-o", metavar="FILE", help="Where to; default report.html in the output folder."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, max=50, help="Draw so many of the best, the median and the worst videos.")
    ] = 3,
    no_pictures: NoPictures = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page about a run: progress, detection rates, failures, samples. Reads files only."""
    from kpsbatch.pictures.player import check_page, write_page
    from kpsbatch.pictures.report.gather import gather
    from kpsbatch.pictures.report.view import render, view_of
    from kpsbatch.progress import count_progress

    check_page(page)
    config = selection.load()
    with count_progress("units read", quiet=quiet) as show:
        data = gather(config, show, on_index=show)
    with count_progress("samples drawn", quiet=quiet) as show:
        view = view_of(
            config, data, config_path=selection.config, samples=samples, pictures=not no_pictures, on_sample=show
        )
    page = page or config.output.root / PAGE
    size = write_page(page, render(view))
    counts = (
        f"{counted(len(data.videos), 'video')} read, {len(data.failures):,} failed, {counted(len(data.units), 'unit')}"
    )
    print(f"report: {page} ({size / 1e6:.1f} MB: {counts})")
