"""How far a run is, what its tasks say, what a file holds: `status`, `logs`, `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.cli.options import AsJson, Quiet, flag
from kpsbatch.cli.printing import print_json, print_task
from kpsbatch.cli.selection import RunFile, RunSelection
from kpsbatch.cluster.queue import in_queue
from kpsbatch.look.logs import tasks_in_queue, tasks_of, waiting_for_slurm, without_a_trace
from kpsbatch.look.nodes import EXCLUDE, bad_nodes, started_again
from kpsbatch.look.status_screen import show_status
from kpsbatch.look.usage import usage_lines, usage_of
from kpsbatch.store.submissions import submit_command
from kpsbatch.words import counted, say

TAIL_LINES = 2
FAILED_TAIL_LINES = 20


def status(
    selection: RunSelection,
    watch: Annotated[bool, flag("--watch", "-w", help="A live screen, until the job ends or Ctrl-C.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what is done, running, failed and left, and the time to go. Reads files; asks squeue of waiting tasks."""
    show_status(selection.load(), watch=watch, as_json=as_json, quiet=quiet)


def logs(
    file: RunFile,
    failed: Annotated[bool, flag("--failed", help="Only tasks that failed, were interrupted or lost.")] = False,
    lines: Annotated[
        Optional[int], typer.Option("--lines", "-n", min=0, help="Lines of each log; default 2, or 20 of failed tasks.")
    ] = None,
) -> None:
    """Show each task of the newest submission: its state, its node, the tail of its log."""
    config = file.load()
    tasks = tasks_of(config.output.root)
    if waiting_for_slurm(config.output.root, tasks) and (queue := in_queue(config.output.root)) is not None:
        tasks = tasks_in_queue(tasks_of(config.output.root), queue)  # again: one may have started meanwhile
    shown = [task for task in tasks if task.needs_attention or not failed]
    if not tasks:
        say(f"Nothing was submitted or run yet for {config.output.root}.")
    for task in shown:
        print_task(task, (FAILED_TAIL_LINES if task.needs_attention else TAIL_LINES) if lines is None else lines)
    if tasks:
        runs = [task.run for task in tasks if task.run is not None]
        excluded = str(config.slurm.extra.get(EXCLUDE, ""))
        for line in [*started_again(runs), *bad_nodes(runs, submit_command(config.output.root), excluded)]:
            say(f"note: {line}")
    for line in usage_lines(usage_of([task.run for task in tasks if task.run is not None])):
        say(line)
    if note := without_a_trace(config.output.root):
        say(f"note: {note}")
    elif failed and tasks and not shown:
        say(f"None of {counted(len(tasks), 'task')} failed.")


def inspect_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="An output file.")], as_json: AsJson = False
) -> None:
    """Show what an output file holds: videos, lengths, how often each part was found."""
    from kpsbatch.look.contents import file_contents, show_contents  # here: NumPy, which `status` does without

    contents = file_contents(file)
    if as_json:
        print_json(contents.as_tree())
    else:
        show_contents(contents)
