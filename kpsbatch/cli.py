"""The command line: parses, calls, prints."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

import kpsbatch
from kpsbatch.errors import ConfigError, KpsbatchError

if TYPE_CHECKING:
    from kpsbatch.config import Config
    from kpsbatch.work.run import Summary

MANY = ("--signers", "--splits", "--signs", "--set")
"""Options that take several values: `--signers 01 02`."""

TYPER_INTERRUPTED = 130
"""What Typer exits with after a KeyboardInterrupt, which it keeps to itself."""

app = typer.Typer(
    name="kpsbatch",
    help="Sign-language video datasets to MediaPipe keypoints, on one machine or a SLURM cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML config.")]
Set = Annotated[
    Optional[list[str]],
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, such as landmarks.running_mode=video."),
]
Signers = Annotated[Optional[list[str]], typer.Option("--signers", metavar="NAME...", help="Only these signers.")]
Splits = Annotated[Optional[list[str]], typer.Option("--splits", metavar="NAME...", help="Only these splits.")]
Signs = Annotated[
    Optional[list[str]], typer.Option("--signs", metavar="RANGE...", help="Only these signs, such as 1-10.")
]
Adjusted = Annotated[bool, typer.Option("--adjusted", help="Short for --set landmarks.coordinates=adjusted.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that were made with other settings.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Also redo units of which videos failed.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs the command line and exits with 0, 1, 2 or 3."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that the terminal can't show
    try:
        app(args=spread_values(arguments), prog_name="kpsbatch", standalone_mode=True)
    except KpsbatchError as error:
        if debug:
            raise
        print(f"kpsbatch: {_one_line(error)}", file=sys.stderr)
        sys.exit(error.exit_status)
    except SystemExit as ended:
        if ended.code != TYPER_INTERRUPTED:
            raise
        print("kpsbatch: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(3)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {_one_line(error)}"
        print(f"kpsbatch: unexpected {what} (--debug shows where)", file=sys.stderr)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    """An error's text; paths in it can hold line breaks."""
    return str(error).replace("\r", "\\r").replace("\n", "\\n")


def spread_values(arguments: Sequence[str]) -> list[str]:
    """Write `--signers 01 02` as `--signers 01 --signers 02`; values end at an option or at a YAML file."""
    spread: list[str] = []
    option = ""
    fresh = False
    for position, argument in enumerate(arguments):
        if argument == "--":
            return spread + list(arguments[position:])
        if argument in MANY:
            option, fresh = argument, True
            spread.append(argument)
        elif option and not argument.startswith("-") and not argument.lower().endswith((".yaml", ".yml")):
            spread += [argument] if fresh else [option, argument]
            fresh = False
        else:
            option = ""
            spread.append(argument)
    return spread


def _load(
    path: Path,
    overrides: list[str] | None,
    signers: list[str] | None = None,
    splits: list[str] | None = None,
    signs: list[str] | None = None,
    adjusted: bool = False,
) -> Config:
    """Load the config with what the command line overrides or selects."""
    from kpsbatch.config import load_config

    changes = list(overrides or [])
    if adjusted:
        changes.append("landmarks.coordinates=adjusted")
    return _select(load_config(path, changes), signers, splits, signs)


def _select(config: Config, signers: list[str] | None, splits: list[str] | None, signs: list[str] | None) -> Config:
    """Narrow a config to some of its signers, splits and signs."""
    from kpsbatch.config import format_signs, parse_signs

    chosen: dict[str, Any] = {}
    for option, names, valid in (
        ("signers", signers, config.dataset.signers),
        ("splits", splits, config.dataset.splits),
    ):
        if names is not None:
            if unknown := [name for name in names if name not in valid]:
                raise ConfigError(f"--{option} must be among the config's: {', '.join(valid)} (got {unknown[0]!r})")
            chosen[option] = tuple(name for name in valid if name in names)
    if signs is not None:
        try:
            wanted = parse_signs(",".join(signs))
        except ValueError as error:
            raise ConfigError(f"--signs: {error}") from None
        if unknown_signs := set(wanted) - set(config.dataset.signs):
            raise ConfigError(
                f"--signs must be among the config's: {format_signs(config.dataset.signs)} "
                f"(got {format_signs(unknown_signs)}; --set dataset.signs={format_signs(wanted)} adds them)"
            )
        chosen["signs"] = wanted
    return config.model_copy(update={"dataset": config.dataset.model_copy(update=chosen)})


def _parse_shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None:
        raise ConfigError(f"--shard must be I/N with I from 0 to N-1, such as 0/50 (got {text!r})")
    return int(match[1]), int(match[2])


@app.command()
def run(
    config: ConfigPath,
    shard: Annotated[Optional[str], typer.Option(metavar="I/N", help="Only shard I (from 0) of N.")] = None,
    overrides: Set = None,
    signers: Signers = None,
    splits: Splits = None,
    signs: Signs = None,
    adjusted: Adjusted = False,
    overwrite: Overwrite = False,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Do the work here, with a progress bar. Killed at any time, the same command goes on."""
    settings = _load(config, overrides, signers, splits, signs, adjusted)
    from kpsbatch.progress import run_progress
    from kpsbatch.work.run import run as run_units
    from kpsbatch.work.shards import signs_of_shard
    from kpsbatch.work.signals import stop_on_signals

    mine = settings.dataset.signs
    if shard is not None:
        mine = signs_of_shard(mine, *_parse_shard(shard))
        if not mine:
            print(f"shard {shard} of {len(settings.dataset.signs)} signs holds none: nothing to do")
            return
    with stop_on_signals() as stop, run_progress(quiet=quiet) as show:
        summary = run_units(
            settings, mine, overwrite=overwrite, retry_failed=retry_failed, on_progress=show, stop_reason=stop
        )
    print_summary(settings, summary)
    raise typer.Exit(summary.exit_status)


def print_summary(config: Config, summary: Summary) -> None:
    """Say what a run did, what failed and why, and where the outputs are."""
    from collections import Counter

    from kpsbatch.config import format_signs
    from kpsbatch.progress import show_duration

    done = summary.progress
    before = len(summary.states) - len(set(summary.stored) & summary.states.keys())
    print(
        f"{len(summary.stored)} units finished now ({done.videos_done} videos, {done.frames} frames, "
        f"{show_duration(summary.seconds)}, {summary.workers} workers), {before} finished before"
    )
    for what, units in (("without a folder in the dataset", summary.absent), ("without a video", summary.empty)):
        if units:
            signs = format_signs(unit.sign for unit in units)
            print(f"{len(units)} units {what}: signs {signs if len(signs) < 60 else signs[:57] + '...'}")
    if summary.odd:
        print("passed over: " + ", ".join(f"{count} x {what}" for what, count in summary.odd.most_common(5)))
    counts = Counter(summary.states.values())
    if summary.failures:
        unread = f", {len(summary.unreadable)} folders can't be listed" if summary.unreadable else ""
        print(f"{done.videos_failed} videos failed{unread}:")
        for name, reason in summary.failures[:10]:
            print(f"  {name}: {reason}")
        if len(summary.failures) > 10:
            print(f"  ... and {len(summary.failures) - 10} more, in the records")
    if counts["partial"] or counts["failed"]:
        print(
            f"units with failed videos: {counts['partial']} partial, {counts['failed']} failed; "
            "mend the data, then run again with --retry-failed"
        )
    print(f"outputs: {config.output.root}")


@app.command()
def scan(
    config: ConfigPath,
    overrides: Set = None,
    signers: Signers = None,
    splits: Splits = None,
    signs: Signs = None,
    frames: Annotated[bool, typer.Option(help="Count the frames too (lists every video's directory).")] = True,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what the dataset holds: signers x splits, what is absent, what is odd. Reads listings only."""
    settings = _load(config, overrides, signers, splits, signs)
    from rich.console import Console
    from rich.table import Table

    from kpsbatch.config import format_signs
    from kpsbatch.inspect.scan import scan as scan_dataset
    from kpsbatch.progress import count_progress

    with count_progress("signs listed", quiet=quiet) as show:
        result = scan_dataset(settings.dataset, count_frames=frames, on_unit=show)
    table = Table(title=f"{settings.dataset.root}", title_justify="left")
    for heading in ("signer", "split"):
        table.add_column(heading)
    for heading in ("signs", "videos", "a sign", "frames", "absent", "empty"):
        table.add_column(heading, justify="right")
    for (signer, split), group in result.groups.items():
        table.add_row(
            signer,
            split,
            f"{group.units}",
            f"{group.videos}" + (f" ({group.files} files)" if group.files else ""),
            f"{group.fewest}-{group.most}" if group.fewest != group.most else f"{group.most}",
            f"{group.frames}" if frames else "-",
            f"{len(group.absent)}",
            f"{len(group.empty)}",
        )
    Console().print(table)
    for (signer, split), group in result.groups.items():
        for what, missing in (("absent", group.absent), ("empty", group.empty)):
            if missing:
                print(f"{what} in {signer} {split}: signs {format_signs(missing)}")
    if result.odd_counts:
        print("odd: " + ", ".join(f"{count} x {what}" for what, count in result.odd_counts.most_common()))
        for path, what in result.odd:
            print(f"  {path}: {what}")
        if (more := sum(result.odd_counts.values()) - len(result.odd)) > 0:
            print(f"  ... and {more} more")


@app.command()
def models(
    directory: Annotated[
        Optional[Path], typer.Option("--models", metavar="DIR", help="List the bundles of this folder.")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build them again, whatever is in the cache.")] = False,
    export: Annotated[
        Optional[Path], typer.Option("--export", metavar="DIR", help="Write the built bundles to a folder.")
    ] = None,
    debug: Debug = False,
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


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it.")] = Path("demo"),
    run_it: Annotated[bool, typer.Option("--run", help="Run it too, and draw a preview.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a small synthetic signer dataset and its config, so that everything can be tried at once."""
    from kpsbatch.demo.dataset import write_demo
    from kpsbatch.progress import count_progress

    with count_progress("videos rendered", quiet=quiet) as show:
        write_demo(directory, on_progress=show)
    config = directory / "config.yaml"
    print(f"dataset: {directory / 'dataset'}\nconfig:  {config}")
    if not run_it:
        print(f"next:    {_program()} run {config}")
        return
    try:
        run(config, quiet=quiet)
    except typer.Exit as done:
        if done.exit_code != 0:
            raise
    picture = directory / "preview.png"
    _write_demo_preview(config, picture)
    print(f"preview: {picture}")


def _write_demo_preview(config_path: Path, picture: Path) -> None:
    from kpsbatch.config import load_config
    from kpsbatch.dataset.layout import list_unit
    from kpsbatch.dataset.units import Unit
    from kpsbatch.inspect.preview import contact_sheet

    config = load_config(config_path)
    unit = Unit(config.dataset.signers[0], config.dataset.splits[0], config.dataset.signs[0])
    video = list_unit(config.dataset, unit).videos[0]
    contact_sheet(config, unit, video, picture)


def _program() -> str:
    """How this program was started, for commands that are shown."""
    return "kpsbatch" if Path(sys.argv[0]).name == "kpsbatch" else "python -m kpsbatch"


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"kpsbatch {kpsbatch.__version__}")
        raise typer.Exit()
