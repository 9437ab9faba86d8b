"""`kpsbatch view`: a page in which keypoints move."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.commands.options import NoPictures, Quiet
from kpsbatch.commands.selection import ConfigFile, Source, Video
from kpsbatch.words import counted


def view(
    source: Source,
    page: Annotated[Optional[Path], typer.Option("--output", "-o", metavar="FILE", help="Where to, an .html.")] = None,
    video: Video = None,
    compare: Annotated[
        Optional[Path], typer.Option(metavar="NPZ|OUT", help="Compare with the same videos in another output.")
    ] = None,
    no_pictures: NoPictures = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page that plays keypoints over their video: slow, frame by frame, two outputs compared."""
    from kpsbatch.pictures.choose import candidates
    from kpsbatch.pictures.player import check_page, view_page, write_page
    from kpsbatch.progress import count_progress

    check_page(page)
    opened = source.open()
    config = None if isinstance(opened, Path) else opened
    if compare is not None and compare.suffix.lower() in (".yaml", ".yml"):
        compare = ConfigFile(compare).load().output.root
    shown, rest = candidates(opened, video)
    with count_progress("clips packed", quiet=quiet) as show:
        html = view_page(
            shown, config=config, adjusted=source.adjusted, compare=compare, pictures=not no_pictures, on_clip=show
        )
    page = page or Path(f"view-{default_name(source.config)}.html")
    size = write_page(page, html)
    print(f"view: {page} ({size / 1e6:.1f} MB, {counts(len(shown), rest)})")


def counts(shown: int, rest: str) -> str:
    """How many videos a page shows, and of how many."""
    return f"{counted(shown, 'video')} of {rest}; --video chooses others" if rest else counted(shown, "video")


def default_name(source: Path) -> str:
    """What a page about a source is called: `01-train-0007`, or the name of a config's or output's folder."""
    source = source.absolute()
    if source.suffix.lower() == ".npz":
        return f"{source.parent.name}-{source.stem}" if source.stem.isdecimal() else source.stem
    return source.name if source.is_dir() else f"{source.parent.name}-{source.stem}"
