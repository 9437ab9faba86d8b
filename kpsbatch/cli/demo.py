"""`kpsbatch demo`: a small synthetic dataset, to try everything on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from kpsbatch.cli.options import Quiet, flag
from kpsbatch.cli.run import run
from kpsbatch.cli.selection import Selection
from kpsbatch.dataset.video import Unit
from kpsbatch.demo import write_demo
from kpsbatch.pictures.clip import clip_of_unit
from kpsbatch.pictures.preview import write_preview
from kpsbatch.progress import count_progress
from kpsbatch.words import program


def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the demo.")] = Path("demo"),
    run_it: Annotated[bool, flag("--run", help="Run it too, and draw a preview.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a small dataset of a synthetic signer and its config, to try everything on."""
    with count_progress("files written", quiet=quiet) as show:
        write_demo(directory, on_progress=show)
    selection = Selection(directory / "config.yaml")
    print(f"dataset: {directory / 'dataset'}\nconfig:  {selection.config}")
    if not run_it:
        print(f"next:    {selection.command('run')}")
        return
    try:
        run(selection, quiet=quiet)
    except typer.Exit as done:
        if done.exit_code != 0:
            raise
    picture = directory / "preview.png"
    _write_preview(selection, picture)
    print(f"preview: {picture}\n\nnext, for example:")
    for arguments, purpose in (
        (("view", str(selection.config)), "a page in which the keypoints move"),
        (("extract", "YOUR_CLIP.mp4"), "the keypoints of a video of your own"),
        (("report", str(selection.config)), "a page about the whole run"),
    ):
        print(f"  {program()} {shlex.join(arguments)}  # {purpose}")


def _write_preview(selection: Selection, picture: Path) -> None:
    config = selection.load()
    unit = Unit(config.dataset.signers[0], config.dataset.splits[0], config.dataset.signs[:2][-1])  # two hands
    write_preview(clip_of_unit(config, unit), picture)
