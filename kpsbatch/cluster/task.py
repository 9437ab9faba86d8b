"""What a task of a submission does: one shard of its plan.

A task's command line holds the submission's folder, the number of the shard, and the SHA-256 of what it reads there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from kpsbatch.config import Config, format_signs, load_frozen_config
from kpsbatch.errors import DatasetError, InterruptedRun, KpsbatchError
from kpsbatch.progress import print_summary, run_progress
from kpsbatch.startup import in_batch_script
from kpsbatch.store.run_state import Origin, Progress, read_run, restarts
from kpsbatch.store.submissions import Plan, read_frozen, read_plan
from kpsbatch.words import say
from kpsbatch.work.node import given_back, on_this_node
from kpsbatch.work.signals import StopRequest, stop_on_signals

SIGNAL_DELAY_SECONDS = 90
SIGNAL_EARLY_SECONDS = 75
"""SLURM may send the signal a minute early; the remaining time is for the interpreter's start."""

STATUS_FILE = "KPSBATCH_STATUS_FILE"
"""The variable that names the file for the exit status: submitit's local executor does not report it."""


class Task:
    """What the pickle of a task names that an earlier version has submitted: it is not done."""

    def __call__(self) -> None:
        """Say what to do."""
        say("kpsbatch: this task was submitted by an earlier version of kpsbatch. Submit again.", error=True)
        sys.exit(2)


def main() -> None:
    """Entry point of a task; ends with its exit status."""
    folder, number, digest = sys.argv[1:4]
    status = run_shard(Path(folder), int(number), digest)
    if path := os.environ.get(STATUS_FILE):
        with contextlib.suppress(OSError):
            Path(path).write_text(str(status), encoding="ascii")
    sys.exit(status)


def signal_delay(minutes: int) -> int:
    """Seconds before the time limit at which SLURM sends a signal: 90, less for limits of a few minutes."""
    return min(SIGNAL_DELAY_SECONDS, minutes * 15)


def run_shard(folder: Path, number: int, digest: str) -> int:
    """Do one shard; errors are printed, as the command line does.

    Args:
        folder: The submission's.
        digest: `digest_of` what was frozen there.

    Returns:
        The exit status: 0, 1, 2, or 3 when the task is to be started again, and `GIVEN_BACK`, on another node.
    """
    started = time.monotonic()
    with stop_on_signals() as stop:
        root = folder.parents[2]  # of the outputs: see store/submissions.py
        here = Origin(folder.name, number)

        def work() -> int:
            files = read_frozen(folder, digest)
            config = load_frozen_config(folder / "config.yaml", files["config.yaml"])
            return _run(config, read_plan(folder, files["plan.json"]), folder, number, stop, started)

        try:
            return on_this_node(work, root, here, stop)
        except KpsbatchError as error:
            say(f"kpsbatch: {error}", error=True)
            return error.exit_status


def _run(config: Config, plan: Plan, folder: Path, number: int, stop: StopRequest, started: float) -> int:
    from kpsbatch.work.run import run  # here: whoever submits needs no NumPy, and a task first listens to signals

    shard = plan.shards[number]
    again = f", start {restarts() + 1}" if restarts() else ""
    say(f"submission {plan.id}, shard {number} of {len(plan.shards)}: signs {format_signs(shard.signs)}{again}")
    submitted = (folder / "plan.json").stat().st_mtime
    origin = Origin(plan.id, number, len(plan.shards), submitted, shard.videos, plan.settings)
    last_start = read_run(config.output.root, origin) if restarts() else None
    units_done = 0
    with run_progress(quiet=False) as show:

        def count_and_show(progress: Progress) -> None:
            nonlocal units_done
            units_done = progress.units_done
            show(progress)

        try:
            summary = run(
                config,
                shard.signs,
                overwrite=plan.overwrite,
                retry_failed=plan.retry_failed,
                on_progress=count_and_show,
                stop_reason=stop,
                origin=origin,
            )
        except InterruptedRun as error:
            limit = config.slurm.time * 60
            at_limit = time.monotonic() - started > limit - signal_delay(config.slurm.time) - SIGNAL_EARLY_SECONDS
            if stop.reason == "SIGUSR2" and at_limit and not units_done and last_start and not last_start.units_done:
                raise KpsbatchError(
                    f"no unit was finished within slurm.time ({config.slurm.time} minutes) in two starts. "
                    "Raise slurm.time or slurm.cpus_per_task, then submit again."
                ) from error
            raise
    print_summary(config, summary, plan.command if in_batch_script() else "")
    if summary.lacking:
        raise given_back(config.output.root, origin, DatasetError(summary.progress.error))
    return summary.exit_status


if __name__ == "__main__":
    from kpsbatch.startup import keep_out_current_folder, shorten_imports

    shorten_imports()
    keep_out_current_folder()
    main()
