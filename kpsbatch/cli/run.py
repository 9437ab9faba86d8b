"""The work: `run`, `submit`, `plan`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Optional

import typer

from kpsbatch.cli.options import AsJson, Jobs, Overwrite, Quiet, RetryFailed, flag
from kpsbatch.cli.printing import print_estimate, print_json, print_labels, print_plan, print_shard_end
from kpsbatch.cli.selection import ConfigFile, DatasetSelection
from kpsbatch.cluster import local, slurm
from kpsbatch.cluster.cost import cost_of, grown_memory, note_cost
from kpsbatch.cluster.shards import parse_shard, signs_of_part
from kpsbatch.cluster.submission import (
    choose_cluster,
    only_submission,
    plan_submission,
    refuse_live,
    refuse_shared,
    waiting_jobs,
)
from kpsbatch.config import Config, format_signs
from kpsbatch.dataset.classes import stated_classes
from kpsbatch.dataset.manifest import ManifestSource, Problem
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.errors import ConfigError, InterruptedRun, OutputError, SubmitError, printable
from kpsbatch.files import explained
from kpsbatch.look.estimate import estimate, fits
from kpsbatch.look.logs import tasks_of
from kpsbatch.look.nodes import EXCLUDE, bad_nodes
from kpsbatch.progress import count_progress, print_summary, run_progress
from kpsbatch.store.classes import note_classes
from kpsbatch.store.run_state import Origin, read_run
from kpsbatch.store.submissions import Plan, keep_config, unshared_warning
from kpsbatch.words import counted, say, stopped
from kpsbatch.work.assemble import remove_videos
from kpsbatch.work.node import on_this_node
from kpsbatch.work.run import open_outputs, refuse_uncomputable, videos_to_prune
from kpsbatch.work.run import run as run_units
from kpsbatch.work.signals import stop_on_signals

SHOWN_ROWS = 5


def run(
    selection: DatasetSelection,
    shard: Annotated[
        Optional[str],
        typer.Option(
            metavar="I/N|auto", help="Only shard I of N, from 0 on; auto: that of the batch system's array task."
        ),
    ] = None,
    overwrite: Overwrite = False,
    retry_failed: RetryFailed = False,
    prune: Annotated[
        bool, flag("--prune", help="First list and remove the keypoints of videos that the dataset has no more.")
    ] = False,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Compute the keypoints on this machine. Stop it at any time; the same command resumes."""
    if jobs is not None:
        selection = replace(selection, overrides=[*(selection.overrides or ()), f"run.workers={jobs}"])
    config = selection.load()
    if "SLURM_ARRAY_TASK_ID" not in os.environ:  # thousands of tasks would ask squeue
        waiting = waiting_jobs(config.output.root)
        if waiting and overwrite:
            raise OutputError(
                f"jobs wait to work on {config.output.root} ({waiting}), so --overwrite is refused. Cancel them "
                "(scancel), or wait."
            )
        if waiting:
            say(f"kpsbatch: jobs wait to work on these outputs ({waiting}); both may do the same", error=True)
    part = None if shard is None else parse_shard(shard)
    refuse_uncomputable(config)
    root, origin = config.output.root, Origin() if part is None else Origin(shard=part.shard, shards=part.shards)
    source = on_this_node(lambda: open_dataset(config, quiet=quiet), root, origin, lambda: "")
    if prune:
        _prune(config, source)
    signs = source.signs
    if part is not None:
        signs = on_this_node(
            lambda: signs_of_part(config, source, part, overwrite=overwrite, retry_failed=retry_failed),
            root,
            origin,
            lambda: "",
        )
        which = f"shard {part.shard} of {part.shards}"
        if not signs:
            say(f"Nothing to do: {which} holds none of the signs that there are.")
            return
        if not quiet:
            say(f"{which}: {'sign' if len(signs) == 1 else 'signs'} {format_signs(signs)}")
    with stop_on_signals() as stop, run_progress(quiet=quiet) as show:
        work = partial(
            run_units,
            config,
            signs,
            source=source,
            overwrite=overwrite,
            retry_failed=retry_failed,
            on_progress=show,
            on_notice=lambda notice: say(f"kpsbatch: {notice}", error=True),
            stop_reason=stop,
            origin=origin,
        )
        summary = on_this_node(work, root, origin, stop)
    print_summary(config, summary)
    raise typer.Exit(summary.exit_status)


def _prune(config: Config, source: Source) -> None:
    """List the videos of the outputs that the dataset has no more, then remove them."""
    outputs, gone = videos_to_prune(config, source)
    for unit, names in gone.items():
        say(printable(f"not in the dataset any more: {unit.name}.npz: {', '.join(names)}"))
    for unit, names in gone.items():
        remove_videos(outputs, unit, names)
    say(f"{counted(sum(map(len, gone.values())), 'video')} removed from {outputs.root}")


def open_dataset(config: Config, *, quiet: bool) -> Source:
    """Open the dataset of a config, with progress; says which rows of a table can't be used.

    Raises:
        DatasetError, ConfigError, OutputError: See `open_source`.
    """
    with count_progress("members of the archive", quiet=quiet) as show:
        source = open_source(config.dataset, config.output.root / INDEX_FOLDER, show)
    if isinstance(source, ManifestSource) and (bad := source.problems):
        rows = counted(len(bad), "row")
        say(printable(f"kpsbatch: {rows} of the table can't be used: {_shown(bad)} ({source.sum})"), error=True)
    if isinstance(source, ManifestSource) and (notes := source.notes):
        say(printable(f"kpsbatch: look at {counted(len(notes), 'row')} of the captions: {_shown(notes)}"), error=True)
    print_labels(source)
    return source


def _shown(rows: Sequence[Problem]) -> str:
    """The first of some rows of a table, with what is said of them."""
    shown = "; ".join(f"{row.source}: {row.text}" for row in rows[:SHOWN_ROWS])
    return shown + ("; ..., all by kpsbatch scan" if len(rows) > SHOWN_ROWS else "")


def submit(
    selection: DatasetSelection,
    cluster: Annotated[
        Optional[str], typer.Option(metavar="slurm|local", help="Where the work is done; default: slurm.")
    ] = None,
    dry_run: Annotated[bool, flag("--dry-run", help="Print the batch script and submit nothing.")] = False,
    force: Annotated[bool, flag("--force", help="Submit even while jobs for the same output are live.")] = False,
    shared: Annotated[bool, flag("--shared", help="Submit although others can write in the output folder.")] = False,
    overwrite: Overwrite = False,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
) -> None:
    """Submit the unfinished work as a SLURM job array, or run it here shard by shard. Run it again at any time."""
    if cluster not in (None, "slurm", "local"):
        raise ConfigError(f"--cluster: {cluster!r} is unknown. Choose slurm or local.")
    config = selection.load()
    cluster = (cluster or "slurm") if dry_run else choose_cluster(cluster)
    refuse_uncomputable(config)
    if told := refuse_shared(config.output.root, shared or dry_run):
        say(f"kpsbatch: {printable(told)}", error=True)
    source = open_dataset(config, quiet=quiet)
    with contextlib.nullcontext() if force or dry_run else only_submission(config.output.root):
        if not dry_run:
            refuse_shared(config.output.root, shared)  # again, as it may only be there now
        if not (force or dry_run):
            refuse_live(config.output.root, cluster)
        plan = plan_submission(config, source=source, overwrite=overwrite, retry_failed=retry_failed)
        plan = plan.model_copy(update={"words": _submit_words(selection)})
        print_plan(config, plan)
        if not plan.shards:
            raise typer.Exit(int(plan.failing > 0))
        if not dry_run:  # the tasks see what was chosen here, and no more
            note_classes(open_outputs(config)[0], stated_classes(config.dataset, source))
            with explained(config.output.root):
                keep_config(config)
        if cluster == "slurm":
            _submit_to_slurm(selection, config, plan, dry_run=dry_run)
        elif dry_run:
            say("This would run here, one shard after another.")
        else:
            raise typer.Exit(_run_here(selection, config, plan, quiet))


def _submit_to_slurm(selection: DatasetSelection, config: Config, plan: Plan, *, dry_run: bool) -> None:
    """Submit a plan, or print its scripts, and say what to look out for and what to type next."""
    if dry_run and shutil.which("sbatch") is None:
        say("kpsbatch: SLURM is not on this machine; this is what sbatch would get", error=True)
    nodes = slurm.known_partitions(config)
    mem, why = grown_memory(config, [row.node_megabytes for row in nodes if row.node_megabytes])
    config = config.model_copy(update={"slurm": config.slurm.model_copy(update={"mem": mem})})
    runs = [task.run for task in tasks_of(config.output.root) if task.run is not None]
    for line in bad_nodes(runs, plan.command, str(config.slurm.extra.get(EXCLUDE, ""))):
        say(f"kpsbatch: last time {line}", error=True)
    unshared = unshared_warning(config.output.root)
    if unshared and not dry_run:
        if seen := slurm.is_seen(config):
            unshared = ""
        elif seen is False:
            raise SubmitError(
                f"output.root: a node does not see {config.output.root}, which is on a file system of this machine. "
                "Choose a folder that all nodes share."
            )
    for warning in filter(None, [why, *slurm.limit_warnings(config, nodes), unshared]):
        say(f"kpsbatch: {warning}", error=True)
    say(f"cost:  {cost_of(config, plan)}")
    if dry_run:
        scripts = slurm.batch_scripts(config, plan)
        for number, script in enumerate(scripts):
            if len(scripts) > 1:
                say(f"### array {number + 1} of {len(scripts)}")
            say(script)
        return
    submitted = slurm.submit(config, plan)
    say(f"jobs:  {' '.join(submitted.jobs)}")
    say(f"logs:  {submitted.folder / 'logs'}")
    say(f"watch: squeue --jobs={','.join(submitted.jobs)}")
    say(f"look:  {_logs_command(selection)}")


def _run_here(selection: DatasetSelection, config: Config, plan: Plan, quiet: bool) -> int:
    """Run the shards of a plan on this machine, one after another, and say where to look when something failed.

    Returns:
        The exit status.

    Raises:
        InterruptedRun: A signal asked for it.
    """
    starts = [sum(shard.units for shard in plan.shards[:number]) for number in range(len(plan.shards))]
    began = time.monotonic()
    with stop_on_signals() as stop, count_progress("units", quiet=quiet) as show:

        def units_done(number: int) -> int:
            state = read_run(config.output.root, Origin(plan.id, number))
            return state.units_done if state else 0

        def on_end(number: int, status: int) -> None:
            nonlocal began
            seconds, began = time.monotonic() - began, time.monotonic()
            print_shard_end(plan, number, status, units_done(number), seconds)

        status = local.submit(
            config,
            plan,
            on_start=lambda folder: say(f"logs: {folder / 'logs'}"),
            on_wait=lambda number: show(starts[number] + units_done(number), plan.units),
            on_end=on_end,
            stop=stop,
        )
    if status == 3:
        raise InterruptedRun(stopped(stop.reason, "Finished units are saved"))
    if status == 1:
        say(f"Some videos failed. Which and why: {selection.command('status')}")
    elif status == 2:
        say(f"kpsbatch: A shard failed. Why: {_logs_command(selection)} --failed", error=True)
    return status


def _submit_words(selection: DatasetSelection) -> tuple[str, ...]:
    """What submits what is selected, from any folder, without the program; kept in a file, so it has no secrets."""
    overrides = [each for each in selection.overrides or () if not re.match(r"\s*slurm\s*(\.(setup|extra)|=)", each)]
    return (*replace(selection.from_anywhere(), overrides=overrides).words("submit"),)


def _logs_command(selection: DatasetSelection) -> str:
    """`logs` shows all tasks, so it takes no selection; what is printed goes to files, so it has no secrets."""
    if selection.like is not None:
        return selection.command("logs")
    overrides = [each for each in selection.overrides or () if not each.strip().startswith("slurm")]
    return ConfigFile(selection.config, overrides, selection.adjusted).command("logs")


def plan(selection: DatasetSelection, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Measure one sign here and estimate the whole dataset: core-hours, tasks, time and memory."""
    config = selection.load()
    config.landmarks.refuse_removed()
    source = open_dataset(config, quiet=quiet)
    with stop_on_signals() as stop, run_progress(quiet=quiet) as show:
        measured = estimate(config, source=source, on_progress=show, stop_reason=stop)
    note_cost(config.output.root, measured.core_seconds)
    nodes = slurm.known_partitions(config)
    if as_json:
        print_json({**measured.as_tree(), "partition": [row._asdict() for row in nodes]})
        return
    print_estimate(config, measured)
    for line in fits(config, measured, nodes):
        say(line)
