"""What becomes of outputs: `export`, `about`, `verify`, `import`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.cli.options import AsJson, Quiet, flag
from kpsbatch.cli.printing import print_json, print_verdict
from kpsbatch.cli.run import open_dataset
from kpsbatch.cli.selection import Selection
from kpsbatch.config import load_config, parse_signs
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, OutputError, printable
from kpsbatch.export.anonymous import anonymous as without_names
from kpsbatch.export.card import write_card
from kpsbatch.export.formats import CONFIDENCES, FORMATS, SHARDED
from kpsbatch.export.recipes import POSE_FILES, RECIPES
from kpsbatch.export.run import Chosen, failed_videos, outputs_of_config
from kpsbatch.export.run import export as write_export
from kpsbatch.look.about import about as about_outputs
from kpsbatch.look.about import paragraph, table
from kpsbatch.look.verify import verify as verify_outputs
from kpsbatch.look.verify import verify_folder
from kpsbatch.progress import count_progress
from kpsbatch.store import reading
from kpsbatch.store.adopt import import_files
from kpsbatch.store.cleaning import Cleaning
from kpsbatch.store.reading import OutputDataset
from kpsbatch.store.run_state import ALONE, other_live_runs
from kpsbatch.store.slim import slim_folder
from kpsbatch.words import counted, program, say, some_of

NAMED = 5
"""Videos that failed, as many as are named on the screen; export.json names all."""


CLEANING_PANEL = "Cleaning, on the way out"


@dataclass(frozen=True)
class CleaningOptions:
    """What is done with keypoints on the way out; see `Cleaning`."""

    fill: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Fill gaps of at most N frames in a part.", rich_help_panel=CLEANING_PANEL
        ),
    ] = 0
    min_score: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="S",
            help="Hands and faces of a lower score are missing.",
            rich_help_panel=CLEANING_PANEL,
        ),
    ] = 0
    rate: Annotated[
        float,
        typer.Option(min=0, metavar="FPS", help="Resample to so many frames a second.", rich_help_panel=CLEANING_PANEL),
    ] = 0
    normalise: Annotated[
        bool, flag("--normalise", help="In shoulder widths from the middle of the shoulders.", panel=CLEANING_PANEL)
    ] = False
    nan: Annotated[bool, flag("--nan", help="NaN where a part is missing, not 0.", panel=CLEANING_PANEL)] = False

    def cleaning(self) -> Cleaning:
        """As data."""
        return Cleaning(self.min_score, self.fill, self.rate, self.normalise, self.nan)


def _list_recipes(name: Optional[str]) -> Optional[str]:
    """Print the recipes where `--as list` asks for them, whatever else is on the command line."""
    if name == "list":
        for recipe, declared in RECIPES.items():
            say(f"{recipe:<16}{declared.count:4} points  {declared.reader}")
        raise typer.Exit()
    return name


def _layout(form: str | None, recipe: str | None, points: str | None, confidence: str, shard_size: float | None) -> str:
    """The name of the format or recipe.

    Raises:
        ConfigError: There is none, or an option does not go with it.
    """
    if (form is None) == (recipe is None):
        raise ConfigError("Name one of --to FORMAT and --as NAME; `kpsbatch export --as list` prints the names.")
    if recipe is not None:
        if recipe not in RECIPES:
            raise ConfigError(f"--as: there is no recipe {recipe!r}. Choose among {', '.join(RECIPES)}.")
        if points is not None:
            raise ConfigError(f"--points: --as {recipe} has points of its own. Leave it out, or take --to FORMAT.")
    elif form not in FORMATS:
        raise ConfigError(f"--to: there is no format {form!r}. Choose among {', '.join(FORMATS)}.")
    name = str(form or recipe)
    if confidence not in CONFIDENCES:
        raise ConfigError(f"--confidence: {confidence!r} is unknown. Choose among {', '.join(CONFIDENCES)}.")
    if confidence != CONFIDENCES[0] and name not in POSE_FILES:
        raise ConfigError(f"--confidence works only with .pose files ({', '.join(POSE_FILES)}). Leave it out.")
    if shard_size is not None and (name not in SHARDED or shard_size <= 0):
        raise ConfigError(f"--shard-size takes megabytes above 0, and goes with --to {' and '.join(SHARDED)}.")
    return name


def export(
    selection: Selection,
    cleaning: CleaningOptions,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The folder to write.")],
    form: Annotated[
        Optional[str],
        typer.Option(
            "--to", metavar="FORMAT", help="mmap, mmap-concatenated, pose, webdataset, parquet or npy: docs/exports.md."
        ),
    ] = None,
    recipe: Annotated[
        Optional[str],
        typer.Option(
            "--as",
            metavar="NAME",
            help="As some training code reads it, such as gislr or spoter; list prints all names.",
            callback=_list_recipes,
            is_eager=True,
        ),
    ] = None,
    points: Annotated[
        Optional[str],
        typer.Option(metavar="SET", help="These points, or full, from all landmarks that are kept; see output.points."),
    ] = None,
    segments: Annotated[
        Optional[Path],
        typer.Option(
            metavar="TABLE",
            help="Cut whole videos into these segments: a table, subtitles, ELAN files, or a config that names them.",
        ),
    ] = None,
    anonymous: Annotated[
        bool, flag("--anonymous", help="Pseudonyms for signers and videos; the key goes to a file beside DEST.")
    ] = False,
    confidence: Annotated[
        str,
        typer.Option(metavar="WHICH", help="Of .pose files: found (1 in all points of a found part) or visibility."),
    ] = "found",
    shard_size: Annotated[
        Optional[float],
        typer.Option(metavar="MB", help="Of webdataset and parquet: how much of arrays goes into a file."),
    ] = None,
    card: Annotated[
        bool, flag("--card", help="Write a README.md, too, in the form of a dataset hub: what was found, what made it.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write the keypoints in another format; CONFIG may be a folder of outputs. Interrupted? Run it again."""
    name = _layout(form, recipe, points, confidence, shard_size)
    dataset, failed, left = _chosen(selection if segments is None else replace(selection, labels=None))
    if segments is not None:
        dataset = dataset.cut(segments, selection.labels)
        if lost := dataset.not_cut:
            shown = some_of([f"{source}: {text}" for source, text in lost], NAMED)
            say(printable(f"kpsbatch: {counted(len(lost), 'segment')} can't be cut: {shown}"), error=True)
    if name in RECIPES and (lacks := RECIPES[name].lacks):
        say(f"kpsbatch: --as {name}: {lacks}", error=True)
    if anonymous:
        dataset, key = without_names(dataset, destination)
        say(f"key: {key} (keep it to yourself)")
    with count_progress("videos exported", quiet=quiet) as show:
        done = write_export(
            dataset,
            name,
            destination,
            show,
            points=points,
            confidence=confidence,
            shard_bytes=round(1e6 * (shard_size or 0)),
            failed=() if anonymous else failed,  # their names are names
            cleaning=cleaning.cleaning(),
        )
    files = counted(done.files, "file")
    amount = f"{counted(done.videos, 'video')} in {files}" + ("" if done.written else ", finished before")
    say(f"export: {destination} ({name}, {amount})")
    if card:
        say(f"card: {write_card(dataset, destination)}")
    if failed:
        named = some_of([f"{each.video} in {each.unit} ({each.error})" for each in failed], NAMED)
        say(f"left out: {counted(len(failed), 'video')} that failed, without keypoints: {named}")
    for note in _about_classes(dataset):
        say(f"kpsbatch: class numbers: {note}", error=True)
    if left:
        say(f"left out: {counted(left, 'unit')} of the config that are not done or not of its settings")


def _about_classes(dataset: OutputDataset) -> Iterator[str]:
    """What a person should know about the class numbers."""
    if len(dataset) > 1 and len(dataset.classes) < 2:
        only = next(iter(dataset.classes), None)
        yield "no video has a label, so there are none" if only is None else f"all videos are of one class, {only!r}"
    if dataset.unstated:
        which = "they" if dataset.unstated == len(dataset.classes) else f"those of {dataset.unstated:,}"
        yield (
            "no run has stated them (as in folders of version 0.2, and imported ones): "
            f"{which} count what {dataset.root} holds, in order. "
            "Export by a config that states all signs for others."
        )
    if dataset.moved:
        yield f"{dataset.moved:,} are others than in the folder that they come from (docs/reading.md)"


def _chosen(selection: Selection) -> Chosen:
    """The videos to export.

    Raises:
        ConfigError: The config or the selection is unusable.
        OutputError: There are no outputs.
    """
    if selection.config.suffix.lower() in (".yaml", ".yml"):
        return outputs_of_config(selection.load())
    if selection.overrides or selection.adjusted:
        raise ConfigError("--set works only with a config. Leave it out.")
    try:
        signs = None if selection.signs is None else parse_signs(",".join(selection.signs))
    except ValueError as error:
        raise ConfigError(f"--signs: {error}") from None
    signers, splits, labels = selection.signers, selection.splits, selection.labels
    dataset = reading.open_dataset(selection.config, signers=signers, splits=splits, signs=signs, labels=labels)

    def wanted(unit: Unit) -> bool:
        chosen = (unit.signer, signers), (unit.split, splits), (unit.sign, signs)
        return all(names is None or name in names for name, names in chosen)

    return Chosen(dataset, failed_videos(selection.config, wanted), 0)


def slim(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A folder of outputs.")], quiet: Quiet = False
) -> None:
    """Remove the landmarks that the outputs do not hold, to free their space; the outputs stay as they are."""
    if live := other_live_runs(folder, ALONE):
        raise OutputError(
            f"process {live[0].pid} on {live[0].host} works on {folder}, so slim is refused. Wait for it."
        )
    with count_progress("units", quiet=quiet) as show:
        removed = slim_folder(folder, show)
    say(
        f"slim: {counted(removed.units, 'unit')}, {removed.bytes / 1e6:,.1f} MB freed. Other points, coordinates or "
        "dtype need another run from now on."
    )


def about(
    place: Annotated[Path, typer.Argument(metavar="CONFIG|OUT", help="A config, or a folder with outputs.")],
    as_json: AsJson = False,
) -> None:
    """Say what made the outputs, for a paper and a README: versions, settings, networks, counts, processors, dates."""
    root = load_config(place).output.root if place.suffix.lower() in (".yaml", ".yml") else place
    made = about_outputs(root)
    if as_json:
        print_json({"output": str(root), "made": [each.as_tree() for each in made]})
        return
    for each in made:
        say(f"{paragraph(each)}\n\n| | |\n|---|---|")
        for name, value in table(each):
            say(f"| {name} | {value} |")
        say("")


def verify(
    selection: Selection,
    repair: Annotated[
        bool, flag("--repair", help="Remove damaged units, npz and record; the next run redoes them.")
    ] = False,
    sources: Annotated[
        bool, flag("--sources", help="Decode the videos, too: their frames and times have to be those of the rows.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check every output to the last byte, against its contract, record and dataset; CONFIG may be a folder."""
    if selection.config.is_dir():
        if repair or any(selection.choices()):
            raise ConfigError("--repair, --set, --signers, --splits, --signs and --label need a config. Name one.")
        with count_progress("units verified", quiet=quiet) as show:
            verdict = verify_folder(selection.config, decode=sources, on_unit=show)
    else:
        config = selection.load()
        source = None if config.output.imported else open_dataset(config, quiet=quiet)
        with count_progress("units verified", quiet=quiet) as show:
            verdict = verify_outputs(config, source=source, repair=repair, decode=sources, on_unit=show)
    if as_json:
        print_json(verdict.as_tree())
    else:
        print_verdict(verdict, "" if selection.config.is_dir() else selection.command("run"), repair=repair)
    raise typer.Exit(verdict.exit_status)


def import_outputs(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="The folder of files such as 01-train/0007.npz, or of .pose files.")
    ],
    output: Annotated[
        Optional[Path],
        typer.Option("--output", "-o", metavar="CONFIG", help="The config to write [default: OLD.yaml]."),
    ] = None,
    to: Annotated[
        Optional[Path],
        typer.Option(
            "--to", metavar="DIR", help="Copy the files there, and leave OLD alone; npz of .pose files go there."
        ),
    ] = None,
    dataset: Annotated[
        Optional[Path], typer.Option("--dataset", metavar="CONFIG", help="A config that says where the videos are.")
    ] = None,
    frame_rate: Annotated[
        Optional[float], typer.Option(metavar="FPS", min=0.01, help="Frames a second of all videos, for .pose exports.")
    ] = None,
    frame_size: Annotated[
        Optional[str], typer.Option(metavar="WxH", help="Size of all frames in pixels, such as 256x256.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Take over npz and .pose files of other scripts, so that verify, status, report and view work on them."""
    theirs = load_config(dataset) if dataset is not None else None
    stated: dict[str, float] = {"frame_rate": frame_rate} if frame_rate else {}
    if frame_size is not None:
        size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", frame_size)
        if size is None:
            raise ConfigError(f"--frame-size: {frame_size!r} is not a size. Write width and height in pixels: 256x256.")
        stated |= {"width": int(size[1]), "height": int(size[2])}
    with count_progress("files read", quiet=quiet) as show:
        imported = import_files(old, output, to=to, dataset=theirs, stated=stated, on_file=show)
    config, videos = imported.config, [video for file in imported.files for video in file.videos.values()]
    frames = counted(sum(video.frames for video in videos), "frame")
    say(f"imported: {counted(len(imported.files), 'file')}, {counted(len(videos), 'video')}, {frames}")
    say(f"they look: {config.landmarks.coordinates} coordinates, {config.output.dtype}")
    if any(file.poses for file in imported.files):
        left_out = sum((file.left_out for file in imported.files), Counter())
        more = "".join(f"; {name} of {counted(count, 'video')} left out" for name, count in left_out.items())
        say(f"not in .pose: labels, moments of frames, how each part was found, what made it{more}")
    say(f"config:   {imported.path}\nnext:     {program()} view {imported.path}")
