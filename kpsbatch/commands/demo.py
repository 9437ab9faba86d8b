"""`kpsbatch demo`: a small synthetic dataset, to try everything on."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from kpsbatch.commands.options import Quiet, flag
from kpsbatch.commands.run import run
from kpsbatch.commands.selection import Selection


def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the demo.")] = Path("demo"),
    run_it: Annotated[bool, flag("--run", help="Run it too, and draw a preview.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a small dataset of a synthetic signer and its config, to try everything on."""
    from kpsbatch.demo import write_demo
    from kpsbatch.progress import count_progress

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
    for arguments, what in (
        (("view", str(selection.config)), "a page in which the keypoints move"),
        (("extract", "YOUR_CLIP.mp4"), "the keypoints of a video of your own"),
        (("report", str(selection.config)), "a page about the whole run"),
    ):
        print(f"  {program()} {shlex.join(arguments)}  # {what}")


def program() -> str:
    """What to type to start this program again, from the same folder and without activating anything."""
    if Path(sys.argv[0]).name == "kpsbatch":
        return "kpsbatch"
    found = shutil.which("python")
    python = "python" if found and os.path.samefile(found, sys.executable) else os.path.relpath(sys.executable)
    return f"{python} -m kpsbatch"


def _write_preview(selection: Selection, picture: Path) -> None:
    from kpsbatch.dataset.units import Unit
    from kpsbatch.drawing.clip import clip_of_unit
    from kpsbatch.drawing.encoders import write_preview

    config = selection.load()
    unit = Unit(config.dataset.signers[0], config.dataset.splits[0], config.dataset.signs[:2][-1])  # two hands
    write_preview(clip_of_unit(config, unit), picture)
