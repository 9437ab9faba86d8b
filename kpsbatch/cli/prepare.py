"""What comes before a run: `demo`, `init`, `check`, `scan`, `models`, `schema`."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.check import Finding, as_tree
from kpsbatch.check import check as check_all
from kpsbatch.cli.options import AsJson, Quiet, flag
from kpsbatch.cli.printing import print_findings, print_json, print_labels, print_scan
from kpsbatch.cli.selection import ConfigFile, DatasetSelection, Overrides
from kpsbatch.config import load_config
from kpsbatch.config.schema import SCHEMA_FILE, SCHEMA_LINE, schema_text, write_schema
from kpsbatch.dataset.guess import guess
from kpsbatch.dataset.init_config import (
    output_root,
    recipe_like,
    recipe_names,
    tables_not_there,
    write_config,
    write_recipe,
)
from kpsbatch.dataset.source import INDEX_FOLDER, open_source
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, OutputError, printable
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.look.scan import scan as scan_dataset
from kpsbatch.progress import count_progress
from kpsbatch.words import print_lines, program, say, table_lines


def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the demo.")] = Path("demo"),
    run_it: Annotated[bool, flag("--run", help="Run it too, and draw a preview.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a small dataset of a synthetic signer and its config, to try everything on."""
    from kpsbatch.cli.run import run  # here: NumPy and OpenCV, which `check` may find missing
    from kpsbatch.demo import write_demo
    from kpsbatch.pictures.clip import clip_of_unit
    from kpsbatch.pictures.preview import write_preview

    with count_progress("files written", quiet=quiet) as show:
        write_demo(directory, on_progress=show)
    selection = DatasetSelection(directory / "config.yaml")
    say(f"dataset: {directory / 'dataset'}\nconfig:  {selection.config}")
    if not run_it:
        say(f"next:    {selection.command('run')}")
        return
    try:
        run(selection, quiet=quiet)
    except typer.Exit as done:
        if done.exit_code != 0:
            raise
    picture = directory / "preview.png"
    config = selection.load()
    unit = Unit(config.dataset.signers[0], config.dataset.splits[0], config.dataset.signs[:2][-1])  # two hands
    write_preview(clip_of_unit(config, unit), picture)
    say(f"preview: {picture}\n\nnext, for example:")
    for arguments, purpose in (
        (("view", str(selection.config)), "a page in which the keypoints move"),
        (("extract", "YOUR_CLIP.mp4"), "the keypoints of a video of your own"),
        (("report", str(selection.config)), "a page about the whole run"),
    ):
        say(f"  {program()} {shlex.join(arguments)}  # {purpose}")


def init(
    place: Annotated[
        Optional[Path],
        typer.Argument(metavar="FOLDER|ARCHIVE|TABLE", help="The videos, or a table beside them."),
    ] = None,
    like: Annotated[
        Optional[str],
        typer.Option(metavar="NAME", help="The config of a known dataset, such as wlasl; list: show their names."),
    ] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="The config to write.")] = Path("config.yaml"),
    quiet: Quiet = False,
) -> None:
    """Look at a dataset and write a config for it; what is unsure is listed."""
    if like == "list":
        say("\n".join(recipe_names()))
        return
    recipe = None if like is None else recipe_like(like)
    if place is None:
        raise ConfigError("init has no videos to look at. Name a folder, an archive or a table.")
    summary, notes, written = f"the known dataset {recipe}", list[str](), [config]
    if recipe is not None:
        write_recipe(recipe, place, config, SCHEMA_LINE)
    else:
        with count_progress("members of the archive", quiet=quiet) as show:
            guessed = guess(place, config.parent / output_root(place) / INDEX_FOLDER, show)
        if guessed.shown:
            head, *rows = guessed.shown
            lines = [[(name, "bold") for name in head], *([(cell or "-", "") for cell in row] for row in rows)]
            print_lines(table_lines(lines))
        written = write_config(guessed, config, output_root(place), SCHEMA_LINE)
        summary, notes = guessed.found, guessed.notes
    with contextlib.suppress(OSError):  # editors do without
        write_schema(config.parent / SCHEMA_FILE)
    dataset = load_config(config).dataset  # it must be one that every other command accepts
    say(f"found: {printable(summary)}")
    notes += [f"{table} is not there; see docs/known_datasets.md" for table in tables_not_there(dataset)]
    for note in notes:
        say(f"unsure: {printable(note)}")
    say(f"wrote {' and '.join(map(str, written))}. Look at it, then: {program()} scan {shlex.quote(str(config))}")


def check(
    config: Annotated[
        Optional[Path], typer.Argument(metavar="CONFIG", help="A config; without it, the machine alone.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overrides: Overrides = None,
) -> None:
    """Check whether a run can work here: Python, packages, models, cores, memory, disk, SLURM, container."""
    findings: list[Finding] = []
    loaded = None
    if config is not None:
        try:
            loaded = ConfigFile(config, overrides).load()
        except ConfigError as error:
            text, _, remedy = str(error).partition(". ")
            findings.append(Finding("config", "problem", text, remedy))
        else:
            findings.append(Finding("config", "ok", f"{config} is valid"))
    elif overrides:
        raise ConfigError("--set needs a config. Name one, or leave --set out.")
    with count_progress("checks", quiet=quiet) as show:
        findings += check_all(loaded, show)
    if as_json:
        print_json(as_tree(findings))
    else:
        print_findings(findings)
    raise typer.Exit(int(any(finding.state == "problem" for finding in findings)))


def scan(
    selection: DatasetSelection,
    frames: Annotated[bool, typer.Option(help="List the directory of each video too, and count its frames.")] = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what the dataset holds for each signer and split, what is missing and what is odd. Reads listings only."""
    config = selection.load()
    with count_progress("members of the archive", quiet=quiet) as show:
        source = open_source(config.dataset, config.output.root / INDEX_FOLDER, show)
    with count_progress("units listed", quiet=quiet) as show:
        scanned = scan_dataset(source, frames=frames, on_unit=show)
    if as_json:
        print_json({"root": str(config.dataset.root), **scanned.as_tree(frames)})
    else:
        print_scan(config, scanned, frames=frames)
        print_labels(source)


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
        networks = find_networks(directory)
    else:
        from kpsbatch.models.build import obtain_networks  # NumPy and flatbuffers

        networks = obtain_networks(wheel=wheel, origin=origin, rebuild=rebuild, export=export)
    for file in networks.values():
        say(f"{file.sha256}  {file.path.stat().st_size:>9}  {file.origin:<17}  {file.path}")


def schema(
    file: Annotated[
        Optional[Path], typer.Option("--output", "-o", metavar="FILE", help="Write it to a file, and do not print it.")
    ] = None,
) -> None:
    """Print the JSON Schema of the config, with which editors complete and check it."""
    if file is None:
        say(schema_text().rstrip("\n"))
        return
    try:
        write_schema(file)
    except OSError as error:
        raise OutputError(f"{file} can't be written: {error.strerror or error}. Choose another -o.") from None
    line = SCHEMA_LINE.replace(SCHEMA_FILE, file.name)
    say(f"schema: {file}; first line of the configs beside it: {line}")
