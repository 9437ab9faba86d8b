"""`kpsbatch submit`: hand what is unfinished to SLURM, or run it here, shard by shard."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kpsbatch.commands.options import Overwrite, Quiet, RetryFailed, flag
from kpsbatch.commands.printing import print_plan, print_scripts, print_shard_end
from kpsbatch.commands.selection import ConfigFile, Selection
from kpsbatch.errors import ConfigError, InterruptedRun
from kpsbatch.words import stopped

if TYPE_CHECKING:
    from kpsbatch.config import Config
    from kpsbatch.store.submissions import Plan


def submit(
    selection: Selection,
    cluster: Annotated[
        Optional[str], typer.Option(metavar="slurm|local", help="Where the work is done; default: slurm.")
    ] = None,
    dry_run: Annotated[bool, flag("--dry-run", help="Print the batch script and submit nothing.")] = False,
    force: Annotated[bool, flag("--force", help="Submit even while jobs for the same output are live.")] = False,
    overwrite: Overwrite = False,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
) -> None:
    """Submit the unfinished work as a SLURM job array, or run it here shard by shard. Run it again at any time."""
    from kpsbatch.cluster.submission import plan_submission
    from kpsbatch.cluster.submit import choose_cluster, only_submission, refuse_live
    from kpsbatch.commands.dataset import open_dataset
    from kpsbatch.work.run import refuse_uncomputable

    if cluster not in (None, "slurm", "local"):
        raise ConfigError(f"--cluster: {cluster!r} is unknown. Choose slurm or local.")
    config = selection.load()
    cluster = (cluster or "slurm") if dry_run else choose_cluster(cluster)
    refuse_uncomputable(config)
    source = open_dataset(config, quiet=quiet)
    with contextlib.nullcontext() if force or dry_run else only_submission(config.output.root):
        if not (force or dry_run):
            refuse_live(config.output.root, cluster)
        plan = plan_submission(config, source=source, overwrite=overwrite, retry_failed=retry_failed)
        print_plan(config, plan)
        if not plan.shards:
            raise typer.Exit(int(plan.failing > 0))
        if cluster == "slurm":
            _submit_to_slurm(selection, config, plan, dry_run=dry_run)
        elif dry_run:
            print("This would run here, one shard after another.")
        else:
            raise typer.Exit(_run_here(selection, config, plan, quiet))


def _submit_to_slurm(selection: Selection, config: Config, plan: Plan, *, dry_run: bool) -> None:
    """Submit a plan, or print its scripts, and say what to look out for and what to type next."""
    from kpsbatch.cluster import slurm
    from kpsbatch.store.sharing import unshared_warning

    if dry_run and shutil.which("sbatch") is None:
        print("kpsbatch: SLURM is not on this machine; this is what sbatch would get", file=sys.stderr)
    for warning in filter(None, [*slurm.limit_warnings(config), unshared_warning(config.output.root)]):
        print(f"kpsbatch: {warning}", file=sys.stderr)
    if dry_run:
        print_scripts(config, plan)
        return
    submitted = slurm.submit(config, plan)
    print(f"jobs:  {' '.join(submitted.jobs)}")
    print(f"logs:  {submitted.folder / 'logs'}")
    print(f"watch: squeue --jobs={','.join(submitted.jobs)}")
    print(f"look:  {_logs_command(selection)}")


def _run_here(selection: Selection, config: Config, plan: Plan, quiet: bool) -> int:
    """Run a plan on this machine and say where to look when something failed; returns the exit status."""
    status = _run_shards(config, plan, quiet)
    if status == 1:
        print(f"Some videos failed. Which and why: {selection.command('status')}")
    elif status == 2:
        print(f"kpsbatch: A shard failed. Why: {_logs_command(selection)} --failed", file=sys.stderr)
    return status


def _run_shards(config: Config, plan: Plan, quiet: bool) -> int:
    """Run the shards of a plan one after another, with progress; returns the exit status."""
    from kpsbatch.cluster import local
    from kpsbatch.progress import count_progress
    from kpsbatch.store.run_state import Origin, read_run
    from kpsbatch.work.signals import stop_on_signals

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
            on_start=lambda folder: print(f"logs: {folder / 'logs'}", flush=True),
            on_wait=lambda number: show(starts[number] + units_done(number), plan.units),
            on_end=on_end,
            stop=stop,
        )
    if status == 3:
        raise InterruptedRun(stopped(stop.reason, "Finished units are saved"))
    return status


def _logs_command(selection: Selection) -> str:
    """`logs` shows all tasks, so it takes no selection."""
    return ConfigFile(selection.config, selection.overrides, selection.adjusted).command("logs")
