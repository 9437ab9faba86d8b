"""The command line: parses, calls, prints."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

import kpsbatch
from kpsbatch.errors import ConfigError, InterruptedRun, KpsbatchError, printable

if TYPE_CHECKING:
    from kpsbatch.cluster.plan import Plan
    from kpsbatch.config import Config
    from kpsbatch.inspect.verify import Verdict

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
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
    except ImportError as error:
        if debug or "cv2" not in str(error.path):
            raise
        print(
            f"kpsbatch: OpenCV must be importable (got: {_one_line(error)}); on a machine without a desktop, run "
            "`pip uninstall -y opencv-contrib-python` and then `pip install opencv-python-headless==4.11.0.86`",
            file=sys.stderr,
        )
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {_one_line(error)}"
        print(f"kpsbatch: unexpected {what} (--debug shows where)", file=sys.stderr)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    """An error's text; paths in it can hold line breaks."""
    return printable(str(error))


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
    from kpsbatch.store.run_state import Origin
    from kpsbatch.work.run import run as run_units
    from kpsbatch.work.shards import signs_of_shard
    from kpsbatch.work.signals import stop_on_signals

    mine = settings.dataset.signs
    origin = Origin()
    if shard is not None:
        number, shards = _parse_shard(shard)
        mine = signs_of_shard(mine, number, shards)
        origin = Origin(shard=number, shards=shards)
        if not mine:
            print(f"shard {shard} of {len(settings.dataset.signs)} signs holds none: nothing to do")
            return
    else:
        _mind_other_runs(settings, overwrite)
    with stop_on_signals() as stop, run_progress(quiet=quiet) as show:
        summary = run_units(
            settings,
            mine,
            overwrite=overwrite,
            retry_failed=retry_failed,
            on_progress=show,
            stop_reason=stop,
            origin=origin,
        )
    from kpsbatch.summary import print_summary

    print_summary(settings, summary)
    raise typer.Exit(summary.exit_status)


def _mind_other_runs(config: Config, overwrite: bool) -> None:
    """Say that another run is at work on the same outputs; refuse to overwrite them meanwhile."""
    from kpsbatch.errors import OutputError
    from kpsbatch.store.run_state import is_lost, read_runs

    live = [run for run in read_runs(config.output.root) if run["state"] == "running" and not is_lost(run)]
    if not live:
        return
    first = f"process {live[0]['pid']} on {live[0]['host']} since {live[0]['started']}"
    others = f"{first} and {len(live) - 1} more" if len(live) > 1 else first
    if overwrite:
        raise OutputError(
            f"--overwrite must have {config.output.root} for itself: {others} is at work there; wait for it"
        )
    print(f"kpsbatch: another run is at work on these outputs ({others}); both may do the same", file=sys.stderr)


@app.command()
def plan(
    config: ConfigPath,
    overrides: Set = None,
    signers: Signers = None,
    splits: Splits = None,
    signs: Signs = None,
    adjusted: Adjusted = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure one sign here and say what the whole dataset takes: core-hours, chunk size, time and memory."""
    settings = _load(config, overrides, signers, splits, signs, adjusted)
    from kpsbatch.inspect.estimate import estimate
    from kpsbatch.progress import run_progress, show_duration
    from kpsbatch.work.signals import stop_on_signals

    with stop_on_signals() as stop, run_progress(quiet=quiet) as show:
        found = estimate(settings, on_progress=show, stop_reason=stop)
    hours, minutes = divmod(found.time_minutes, 60)
    at_once = min(found.tasks, settings.slurm.array_parallelism)
    print(
        f"measured: {found.unit.name}, {found.videos} videos, {found.frames} frames: "
        f"{found.frames_per_core_second:.1f} frames a second and core, {found.core_seconds:.2f} s of a core for a "
        f"video, {found.worker_megabytes} MB a worker\n"
        f"dataset:  {found.dataset_videos} videos of {found.signs} signs: {found.core_hours:.1f} core-hours on cores "
        f"like these\n"
        f"advice:   {found.tasks} array tasks of {found.chunk_size} signs, {show_duration(found.task_seconds)} each; "
        f"{show_duration(found.task_seconds * -(-found.tasks // at_once))} in all with {at_once} at once\n\n"
        f"run:\n  chunk_size: {found.chunk_size}\n"
        f'slurm:\n  time: "{hours:02d}:{minutes:02d}:00"\n  cpus_per_task: {settings.slurm.cpus_per_task}\n'
        f"  mem: {found.memory_gigabytes}G"
    )


@app.command()
def submit(
    config: ConfigPath,
    cluster: Annotated[
        Optional[str], typer.Option(metavar="slurm|local", help="Where to; default slurm, where sbatch is.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the batch script and submit nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while jobs for the same output are live.")] = False,
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
    """Submit what is unfinished: a SLURM job array, or here, one shard after another. Run it again at any time."""
    from kpsbatch.cluster import submit as cluster_submit
    from kpsbatch.cluster.plan import make_plan
    from kpsbatch.progress import counted

    if cluster not in (None, "slurm", "local"):
        raise ConfigError(f"--cluster must be slurm or local (got {cluster!r})")
    settings = _load(config, overrides, signers, splits, signs, adjusted)
    cluster = cluster_submit.choose_cluster(cluster)
    if not (force or dry_run):
        cluster_submit.refuse_live(settings.output.root, cluster)
    plan = make_plan(settings, overwrite=overwrite, retry_failed=retry_failed)
    missing = f", {plan.missing} have no video" if plan.missing else ""
    if not plan.shards:
        print(
            f"nothing left to do: {counted(plan.finished, 'unit')} finished{missing}; outputs: {settings.output.root}"
        )
        if plan.failing:
            print(f"units with failed videos: {plan.failing}; mend the data, then submit again with --retry-failed")
        raise typer.Exit(int(plan.failing > 0))
    shards = counted(len(plan.shards), "shard")
    print(f"{counted(plan.units, 'unit')} in {shards}; {plan.finished} finished before{missing}")
    if cluster == "local":
        if not dry_run:
            status = _submit_here(settings, plan, quiet)
            if status == 1:
                look = _command("status", config, overrides, signers, splits, signs, adjusted)
                print(f"some videos failed; which and why: {look}")
            elif status == 2:
                look = _command("logs", config, overrides)
                print(f"kpsbatch: a shard failed; why: {look} --failed", file=sys.stderr)
            raise typer.Exit(status)
        print("would run here, one shard after another")
    elif dry_run:
        _print_scripts(settings, plan)
    else:
        done = cluster_submit.submit_slurm(settings, plan)
        print(f"jobs:  {' '.join(done.jobs)}")
        print(f"logs:  {done.folder / 'logs'}")
        print(f"watch: squeue --jobs={','.join(done.jobs)}")
        print(f"look:  {_command('logs', config, overrides)}")


def _print_scripts(config: Config, plan: Plan) -> None:
    """Print what sbatch would get, array by array."""
    from kpsbatch.cluster.submit import array_sizes, batch_script

    sizes = array_sizes(len(plan.shards))
    for number, size in enumerate(sizes):
        if len(sizes) > 1:
            print(f"### array {number + 1} of {len(sizes)}")
        print(batch_script(config, plan, size, after=f"<job {number}>" if number else ""))


def _submit_here(config: Config, plan: Plan, quiet: bool) -> int:
    """Run a plan on this machine, with progress; returns the exit status."""
    import time

    from kpsbatch.cluster.submit import submit_local
    from kpsbatch.progress import count_progress, show_duration
    from kpsbatch.store.run_state import Origin, read_run
    from kpsbatch.work.signals import stop_on_signals

    starts = [sum(shard.units for shard in plan.shards[:number]) for number in range(len(plan.shards))]
    began = time.monotonic()
    with stop_on_signals() as stop, count_progress("units", quiet=quiet) as show:

        def units_done(number: int) -> int:
            state = read_run(config.output.root, Origin(plan.id, number))
            return int(state["units_done"]) if state else 0

        def on_end(number: int, status: int) -> None:
            nonlocal began
            how = {0: "finished", 1: "finished, some videos failed", 3: "interrupted"}.get(status, "failed")
            seconds, began = time.monotonic() - began, time.monotonic()
            name = f"shard {number} of {len(plan.shards)}"
            print(f"{name}: {how}, {units_done(number)} units, {show_duration(seconds)}", flush=True)

        status = submit_local(
            config,
            plan,
            on_start=lambda folder: print(f"logs: {folder / 'logs'}", flush=True),
            on_wait=lambda number: show(starts[number] + units_done(number), plan.units),
            on_end=on_end,
            stop=stop,
        )
    if status == 3:
        raise InterruptedRun(f"interrupted by {stop.reason}: finished units are kept; run the same command to go on")
    return status


@app.command()
def logs(
    config: ConfigPath,
    failed: Annotated[bool, typer.Option("--failed", help="Only tasks that failed, were interrupted or lost.")] = False,
    lines: Annotated[
        Optional[int], typer.Option("--lines", "-n", min=0, help="Lines of each log; default 2, or 20 of failed tasks.")
    ] = None,
    overrides: Set = None,
    adjusted: Adjusted = False,
    debug: Debug = False,
) -> None:
    """Show each task of the newest submission: its state, its node, the tail of its log. Reads files only."""
    settings = _load(config, overrides, adjusted=adjusted)
    from kpsbatch.inspect.logs import task_logs

    tasks = task_logs(settings.output.root)
    shown = [task for task in tasks if task.needs_a_look or not failed]
    if not tasks:
        print(f"nothing was submitted or run yet for {settings.output.root}")
    for task in shown:
        place = " ".join(part for part in (f"job {task.job}" if task.job else "", task.node) if part)
        print(", ".join(part for part in (task.name, place, task.state, task.counts) if part))
        if task.error:
            print(f"    {task.error}")
        for line in task.tail((20 if task.needs_a_look else 2) if lines is None else lines):
            print(f"  | {line}")
        if task.log is not None and task.needs_a_look:
            print(f"    whole log: {task.log}")
    if failed and tasks and not shown:
        print(f"none of {len(tasks)} tasks failed")


@app.command()
def status(
    config: ConfigPath,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="A live screen; Ctrl-C ends it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for scripts (docs/status.md).")] = False,
    overrides: Set = None,
    signers: Signers = None,
    splits: Splits = None,
    signs: Signs = None,
    adjusted: Adjusted = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what is done, running, failed and left, the rate and the time to go. Reads files only, never an npz."""
    settings = _load(config, overrides, signers, splits, signs, adjusted)
    from kpsbatch.inspect.status_screen import show_status

    show_status(settings, watch=watch, as_json=as_json, quiet=quiet)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="An output file.")],
    debug: Debug = False,
) -> None:
    """Show what an output file holds: videos, lengths, how often each part was found."""
    from kpsbatch.inspect.contents import show_contents

    show_contents(file)


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
def verify(
    config: ConfigPath,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is wrong, npz and record; the next run redoes it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    overrides: Set = None,
    signers: Signers = None,
    splits: Splits = None,
    signs: Signs = None,
    adjusted: Adjusted = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Read every output to the last byte; check it against the contract, its record and the dataset."""
    settings = _load(config, overrides, signers, splits, signs, adjusted)
    from kpsbatch.inspect.verify import verify as verify_outputs
    from kpsbatch.progress import count_progress

    with count_progress("units verified", quiet=quiet) as show:
        verdict = verify_outputs(settings, repair=repair, on_unit=show)
    if as_json:
        import json

        print(json.dumps(verdict.as_tree(), indent=1))
    else:
        again = _command("run", config, overrides, signers, splits, signs, adjusted)
        print_verdict(verdict, again, repair=repair)
    raise typer.Exit(verdict.exit_status)


def print_verdict(verdict: Verdict, again: str, *, repair: bool) -> None:
    """Say what is wrong with which output, and what to do; `again` is the command that does what is left."""
    from kpsbatch.progress import counted

    for problem in verdict.problems:
        print(printable(f"{problem.place}: {problem.what}"))
    units = {problem.unit for problem in verdict.problems}
    right = verdict.units - len(units - {None})
    read = f"{counted(verdict.units, 'unit')} with {counted(verdict.videos, 'video')}"
    print(f"{read} read: {right} right, {verdict.units - right} wrong")
    if verdict.failed_videos:
        failed = counted(verdict.failed_videos, "video")
        print(f"{failed} recorded as failed; mend the data, then run with --retry-failed")
    for why, count in Counter(why for _, why in verdict.kept).items():
        print(f"--repair leaves {counted(count, 'unit')}: {why}")
    if verdict.repaired:
        print(f"{counted(len(verdict.repaired), 'unit')} removed; next: {again}")
    elif not repair and units - {unit for unit, _ in verdict.kept}:
        print("--repair removes what is wrong, so that the next run redoes just that")
    if verdict.left:
        next_command = "" if verdict.kept else f"; next: {again}"  # a run would refuse outputs of other settings
        print(f"{counted(len(verdict.left), 'unit')} not done yet{next_command}")


@app.command()
def preview(
    source: Annotated[Path, typer.Argument(metavar="CONFIG|NPZ", help="A config, or one output file.")],
    sign: Annotated[Optional[int], typer.Option(help="The sign; default the first with an output.")] = None,
    signer: Annotated[Optional[str], typer.Option(help="The signer.")] = None,
    split: Annotated[Optional[str], typer.Option(help="The split.")] = None,
    video: Annotated[Optional[str], typer.Option(help="The video, or a part of its name; default the first.")] = None,
    picture: Annotated[
        Optional[Path],
        typer.Option("--output", "-o", metavar="FILE", help=".png (a contact sheet), .mp4 or .gif (all frames)."),
    ] = None,
    frames: Annotated[
        Optional[Path], typer.Option(metavar="PATH", help="With an npz: its directory of frames or video file.")
    ] = None,
    blank: Annotated[bool, typer.Option("--blank", help="Draw on an empty canvas.")] = False,
    adjusted: Annotated[
        bool, typer.Option("--adjusted", help="The coordinates are adjusted, however they look.")
    ] = False,
    overrides: Set = None,
    debug: Debug = False,
) -> None:
    """Draw the keypoints of a video on its frames. Adjusted coordinates go on an empty canvas."""
    from kpsbatch.dataset.labels import labels_of
    from kpsbatch.inspect import preview as previews

    if picture is not None:
        previews.check_picture(picture)
    if source.suffix.lower() == ".npz":
        if (sign, signer, split) != (None, None, None):
            raise ConfigError("--sign, --signer and --split go with a config; an npz takes --video and --frames")
        clip = previews.clip_of_file(source, video, None if blank else frames, adjusted=adjusted)
        picture = picture or Path(f"preview-{source.parent.name}-{source.stem}.png")
    else:
        if frames is not None:
            raise ConfigError("--frames goes with an npz; a config knows where its frames are")
        settings = _load(source, overrides)
        unit = previews.choose_unit(settings, sign, signer, split)
        names = labels_of(settings.dataset.labels)
        clip = previews.clip_of_unit(settings, unit, video, adjusted=adjusted, blank=blank, names=names)
        picture = picture or Path(f"preview-{unit.folder}-{unit.sign:04}.png")
    drawn = previews.write_preview(clip, picture)
    print(f"{clip.title} ({drawn} of {len(clip.keypoints)} frames)\npreview: {picture}")


@app.command()
def report(
    config: ConfigPath,
    page: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to.")] = Path("report.html"),
    samples: Annotated[
        int, typer.Option(min=0, max=50, help="Draw so many of the best, the median and the worst videos.")
    ] = 3,
    overrides: Set = None,
    signers: Signers = None,
    splits: Splits = None,
    signs: Signs = None,
    adjusted: Adjusted = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write one HTML page about a run: progress, detection rates, failures, samples. Reads files only."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"-o must end in .html or .htm (got {page.name!r})")
    settings = _load(config, overrides, signers, splits, signs, adjusted)
    from kpsbatch.dataset.labels import labels_of
    from kpsbatch.inspect.report import write_report
    from kpsbatch.inspect.report_data import gather
    from kpsbatch.progress import count_progress

    names = labels_of(settings.dataset.labels)
    with count_progress("units read", quiet=quiet) as show:
        data = gather(settings, show)
    with count_progress("samples drawn", quiet=quiet) as show:
        size = write_report(page, settings, data, config_path=config, samples=samples, names=names, on_sample=show)
    print(f"report: {page} ({size / 1e6:.1f} MB, {len(data.videos)} videos in {len(data.units)} units)")


@app.command()
def models(
    wheel: Annotated[
        Optional[Path], typer.Option("--wheel", metavar="FILE", help="Take the networks from this mediapipe wheel.")
    ] = None,
    copy_from: Annotated[
        Optional[Path], typer.Option("--from", metavar="DIR", help="Take the bundles that --export wrote elsewhere.")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Do it again, whatever is in the cache.")] = False,
    export: Annotated[
        Optional[Path], typer.Option("--export", metavar="DIR", help="Copy the bundles to a folder.")
    ] = None,
    directory: Annotated[
        Optional[Path], typer.Option("--models", metavar="DIR", help="Only list the bundles of this folder.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Get the models, once: from the package index into the cache. List them, export them."""
    from kpsbatch.landmarks import bundles

    if directory is not None:
        found = bundles.find_bundles(directory)
    else:
        found = bundles.obtain_bundles(wheel=wheel, copy_from=copy_from, rebuild=rebuild)
        if export is not None:
            found = bundles.export_bundles(export)
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
        print(f"next:    {_command('run', config)}")
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
    unit = Unit(config.dataset.signers[0], config.dataset.splits[0], config.dataset.signs[:2][-1])  # two hands
    video = list_unit(config.dataset, unit).videos[0]
    contact_sheet(config, unit, video, picture)


def _command(
    name: str,
    config: Path,
    overrides: list[str] | None = None,
    signers: list[str] | None = None,
    splits: list[str] | None = None,
    signs: list[str] | None = None,
    adjusted: bool = False,
) -> str:
    """A command to go on with, as to be typed: started in the way this one was, with the same choices."""
    program = ["kpsbatch"] if Path(sys.argv[0]).name == "kpsbatch" else ["python", "-m", "kpsbatch"]
    words = [*program, name, str(config)]
    words += [f"--set={change}" for change in overrides or ()]  # its value can end in .yaml, see spread_values
    for option, values in (("signers", signers), ("splits", splits), ("signs", signs)):
        words += [f"--{option}", *values] if values else []
    return shlex.join([*words, "--adjusted"] if adjusted else words)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"kpsbatch {kpsbatch.__version__}")
        raise typer.Exit()
