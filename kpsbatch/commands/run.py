"""`kpsbatch run`: do the work on this machine."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kpsbatch.commands.options import Overwrite, Quiet, RetryFailed
from kpsbatch.commands.selection import Selection
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.words import counted

if TYPE_CHECKING:
    from kpsbatch.config import Config


def run(
    selection: Selection,
    shard: Annotated[
        Optional[str],
        typer.Option(
            metavar="I/N|auto", help="Only shard I of N, from 0 on; auto: that of the batch system's array task."
        ),
    ] = None,
    overwrite: Overwrite = False,
    retry_failed: RetryFailed = False,
    quiet: Quiet = False,
) -> None:
    """Compute the keypoints on this machine. Stop it at any time; the same command resumes."""
    config = selection.load()
    from kpsbatch.commands.dataset import open_dataset
    from kpsbatch.progress import run_progress
    from kpsbatch.store.run_state import Origin
    from kpsbatch.summary import print_summary
    from kpsbatch.work.run import refuse_uncomputable
    from kpsbatch.work.run import run as run_units
    from kpsbatch.work.shards import signs_of_shard
    from kpsbatch.work.signals import stop_on_signals

    if "SLURM_ARRAY_TASK_ID" not in os.environ:  # thousands of tasks would ask squeue
        _look_for_waiting_jobs(config, overwrite=overwrite)
    part = None if shard is None else parse_shard(shard)
    refuse_uncomputable(config)
    source = open_dataset(config, quiet=quiet)
    signs, origin = source.signs, Origin()
    if part is not None:
        signs, origin = signs_of_shard(signs, *part), Origin(shard=part[0], shards=part[1])
        if not signs:
            print(f"Nothing to do: shard {shard} holds none of the {counted(len(source.signs), 'sign')}.")
            return
    with stop_on_signals() as stop, run_progress(quiet=quiet) as show:
        summary = run_units(
            config,
            signs,
            source=source,
            overwrite=overwrite,
            retry_failed=retry_failed,
            on_progress=show,
            on_notice=lambda notice: print(f"kpsbatch: {notice}", file=sys.stderr),
            stop_reason=stop,
            origin=origin,
        )
    print_summary(config, summary)
    raise typer.Exit(summary.exit_status)


def _look_for_waiting_jobs(config: Config, *, overwrite: bool) -> None:
    """Tell that jobs wait to work on the same outputs; refuse to overwrite them meanwhile.

    Raises:
        OutputError: They were to be overwritten.
    """
    from kpsbatch.cluster.waiting import waiting_jobs

    if waiting := waiting_jobs(config.output.root):
        if overwrite:
            raise OutputError(
                f"jobs wait to work on {config.output.root} ({waiting}), so --overwrite is refused. Cancel them "
                "(scancel), or wait."
            )
        print(f"kpsbatch: jobs wait to work on these outputs ({waiting}); both may do the same", file=sys.stderr)


def parse_shard(text: str) -> tuple[int, int]:
    """Read `I/N`, or with `auto` what the batch system says.

    Raises:
        ConfigError: It is anything else, or no batch system says it.
    """
    if text == "auto":
        from kpsbatch.cluster.environment import shard_of_environment

        return shard_of_environment()
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None:
        raise ConfigError(f"--shard: {text!r} is not a shard. Write auto, or I/N with I from 0 to N-1, such as 0/50.")
    return int(match[1]), int(match[2])
