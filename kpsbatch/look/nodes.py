"""The nodes of a cluster that could not do the tasks that started there, and what leaves them out."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence

from kpsbatch.errors import printable
from kpsbatch.store.run_state import RunState
from kpsbatch.words import counted

EXCLUDE = "exclude"
"""The parameter of sbatch; `--set slurm.extra.exclude=n3` needs no quotes in a shell and keeps other parameters."""


def started_again(runs: Sequence[RunState]) -> list[str]:
    """A line on how often SLURM started tasks again; none where it did not."""
    again = [run.restarts for run in runs if run.restarts]
    if not again:
        return []
    times = counted(sum(again), "time")
    return [
        f"SLURM started {counted(len(again), 'task')} again, {times} in all: after a time limit, a pre-emption or the "
        "loss of a node, or as a node could not do it"
    ]


def bad_nodes(runs: Sequence[RunState], command: str, excluded: str = "") -> list[str]:
    """A line for each reason for which nodes could not do their tasks, with the command that leaves these nodes out.

    Where no other node did anything, the reason is not the node's: there is no such command then.

    Args:
        command: What submits, as it is typed.
        excluded: The nodes that the config leaves out already.
    """
    nodes: dict[str, str] = {}
    starts: dict[str, int] = defaultdict(int)
    for run in runs:
        for node, why in run.given_back:
            nodes.setdefault(node, why)
            starts[node] += 1
    good = {run.host for run in runs if run.units_done + run.units_before} - nodes.keys()
    by_reason: dict[str, list[str]] = defaultdict(list)
    for node in sorted(nodes):
        by_reason[nodes[node]].append(node)
    lines = []
    for why, names in by_reason.items():
        times = counted(sum(starts[name] for name in names), "start")
        line = f"node {', '.join(names)} could not do what started there ({times}): {why}"
        if good:
            left_out = shlex.quote(",".join([*filter(None, [excluded]), *names]))
            line += f" To leave it out: {command} --set slurm.extra.{EXCLUDE}={left_out}"
        lines.append(printable(line))
    return lines
