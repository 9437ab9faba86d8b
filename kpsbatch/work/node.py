"""What a task of a cluster does where its node can't do it: it waits, tries again, then gives its place back.

A node that lacks the dataset or the models fails a task within a second, takes the next one, and so all of them. So it
keeps the task for a minute; then the batch script (cluster/batch.sh) has SLURM start the task on another node.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kpsbatch.errors import InterruptedRun, KpsbatchError, of_node, of_the_machine
from kpsbatch.startup import in_batch_script
from kpsbatch.store.run_state import Origin
from kpsbatch.store.tracking import note_given_back, this_node
from kpsbatch.words import say, show_duration, stopped

GIVEN_BACK = os.EX_TEMPFAIL
"""The exit status of a task that gives its place back, which the batch script knows."""

MOST = 3
"""How often a task gives its place back; the next failure is the last."""

WAIT_SECONDS = 60.0
WAIT = "KPSBATCH_NODE_SECONDS"
"""The variable for another wait."""

TICK_SECONDS = 0.25

Done = TypeVar("Done")


def on_this_node(work: Callable[[], Done], root: Path, origin: Origin, stop_reason: Callable[[], str]) -> Done:
    """Do the work of a task; where this node can't do it, wait, and do it again.

    Without a batch script that could start the task elsewhere there is one attempt.

    Args:
        root: The output folder, in which the task's state file says that it was given back.
        origin: What the task is a part of.
        stop_reason: Anything but "" ends the wait.

    Raises:
        KpsbatchError: As the work raises it. With the exit status `GIVEN_BACK` where the batch script is to start the
            task again.
        InterruptedRun: `stop_reason` said so.
    """
    for wait in (float(os.environ.get(WAIT) or WAIT_SECONDS), None):
        try:
            return work()
        except KpsbatchError as error:
            problem = error
        except Exception as error:
            if not (text := of_the_machine(error)):
                raise
            problem = of_node(KpsbatchError(text))
        if not (problem.of_node and in_batch_script()):
            raise problem
        if wait is None:
            raise given_back(root, origin, problem)
        say(f"kpsbatch: {problem} (on {this_node()}; it tries again in {show_duration(wait)})", error=True)
        until = time.monotonic() + wait
        while time.monotonic() < until:
            if reason := stop_reason():
                raise InterruptedRun(stopped(reason, "Nothing was begun"))
            time.sleep(TICK_SECONDS)
    raise AssertionError


def given_back(root: Path, origin: Origin, problem: KpsbatchError) -> KpsbatchError:
    """Note that a task could not be done on this node; the error to end with, plain where that was once too often."""
    if not in_batch_script():
        return problem
    times = note_given_back(root, origin, str(problem), MOST)
    if times > MOST:
        return KpsbatchError(f"{problem} (on {this_node()}, the last of {times} starts that could not do it)")
    again = KpsbatchError(
        f"{problem} (on {this_node()}; the task is to start again elsewhere, {times} of {MOST} times)"
    )
    again.exit_status = GIVEN_BACK
    return again
