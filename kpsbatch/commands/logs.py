"""`kpsbatch logs`: the tasks of the newest submission."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from kpsbatch.commands.options import flag
from kpsbatch.commands.printing import print_task
from kpsbatch.commands.selection import ConfigFile
from kpsbatch.words import counted

TAIL_LINES = 2
FAILED_TAIL_LINES = 20


def logs(
    file: ConfigFile,
    failed: Annotated[bool, flag("--failed", help="Only tasks that failed, were interrupted or lost.")] = False,
    lines: Annotated[
        Optional[int], typer.Option("--lines", "-n", min=0, help="Lines of each log; default 2, or 20 of failed tasks.")
    ] = None,
) -> None:
    """Show each task of the newest submission: its state, its node, the tail of its log. Reads files only."""
    config = file.load()
    from kpsbatch.look.logs import tasks_of, without_a_trace

    tasks = tasks_of(config.output.root)
    shown = [task for task in tasks if task.needs_attention or not failed]
    if not tasks:
        print(f"Nothing was submitted or run yet for {config.output.root}.")
    for task in shown:
        print_task(task, (FAILED_TAIL_LINES if task.needs_attention else TAIL_LINES) if lines is None else lines)
    if note := without_a_trace(config.output.root):
        print(f"note: {note}")
    elif failed and tasks and not shown:
        print(f"None of {counted(len(tasks), 'task')} failed.")
