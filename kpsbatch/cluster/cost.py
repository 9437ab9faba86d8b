"""What a submission is about to spend: core-hours, by what videos took, and memory, where tasks were killed for it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from kpsbatch.config import Config
from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL, last_lines, refuse_outside, write_json
from kpsbatch.store.run_state import read_runs
from kpsbatch.store.submissions import Plan, list_submissions, log_file, read_jobs
from kpsbatch.stored import Amount, Stored, read_stored
from kpsbatch.words import counted

FEW_VIDEOS = 5
"""Fewer than these say little about the others."""

TAIL_BYTES = 64 * 1024
MOST_TIMES = 4
"""The limit of memory, in times of slurm.mem, where no node's memory is known."""

OUT_OF_MEMORY = re.compile(r"oom[-_ ]kill|out[ -]of[ -]memory handler|OUT_OF_MEMORY|Exceeded job memory limit", re.I)
"""What slurmstepd and slurmd write into a task's log."""


class MeasuredCost(Stored):
    """What `plan` measured."""

    format: int = 1
    core_seconds: Amount


def note_cost(root: Path, core_seconds: float) -> None:
    """Keep the seconds of a core that a video takes, for `submit`; where it can't be written, nothing is."""
    with contextlib.suppress(OSError, OutputError):
        path = _cost_file(root)
        refuse_outside(root, path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, MeasuredCost(core_seconds=core_seconds).model_dump(mode="json"))


def cost_of(config: Config, plan: Plan) -> str:
    """The core-hours that a plan is about to spend, as far as that is known, and the most that its limits allow."""
    slurm, tasks = config.slurm, len(plan.shards)
    most = tasks * slurm.cpus_per_task * slurm.time / 60
    each = f"{counted(slurm.cpus_per_task, 'core')} x {slurm.time} minutes"
    limit = f"at most {_hours(most)} core-hours a start ({counted(tasks, 'task')} x {each})"
    videos = sum(count for shard in plan.shards for count in shard.videos.values())
    seconds, source = _core_seconds(config.output.root)
    if not seconds:
        return f"{limit}; kpsbatch plan measures how many it takes"
    return f"about {_hours(videos * seconds / 3600)} core-hours, by {source}; {limit}"


def grown_memory(config: Config, node_megabytes: Sequence[int]) -> tuple[str | None, str]:
    """The memory to request, and what to say: more by slurm.mem than tasks had that were killed for it.

    Only what the newest submission left counts. SLURM can't give a task of an array more when it requeues it, and what
    was killed for memory is not requeued: so the next submission asks for more, for all of its tasks.

    Args:
        node_megabytes: The memory of the nodes that may be used: no more than the largest is asked for.
    """
    mem = config.slurm.mem
    killed = _killed_for_memory(config.output.root)
    if mem is None or mem == "0" or not killed:
        tasks = counted(len(killed), "task")
        return mem, f"{tasks} of the last submission ran out of memory: raise slurm.mem" if killed else ""
    stated = megabytes(mem)
    had = max([stated, *killed])
    limit = max(node_megabytes, default=MOST_TIMES * stated)
    wanted = min(had + stated, max(limit, stated))
    what = f"{counted(len(killed), 'task')} of the last submission ran out of memory ({had} MB)"
    if wanted <= had:
        remedy = "lower slurm.cpus_per_task, so that fewer workers share it"
        return f"{had}M", f"{what}; no more is to be had ({limit} MB): {remedy}"
    return f"{wanted}M", f"{what}, so {wanted} MB are requested; slurm.mem is the place for it"


def megabytes(text: str) -> int:
    """Memory as sbatch takes it, such as 6G, in MiB; without a unit these are meant."""
    match = re.fullmatch(r"([0-9]+)([KMGT]?)B?", text.strip().upper())
    if match is None:
        return 0
    return int(int(match[1]) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[match[2]])


def _killed_for_memory(root: Path) -> list[int]:
    """The memory, in MiB or 0, that each task of the newest submission had that was killed for it."""
    submissions = list_submissions(root)
    if not submissions:
        return []
    folder = submissions[-1]
    runs = {run.shard: run for run in read_runs(root) if run.submission == folder.name}
    killed = []
    for shard, job in enumerate(read_jobs(folder).jobs):
        run = runs.get(shard)
        if run is not None and run.state == "finished" and not run.videos_failed:
            continue
        if any(OUT_OF_MEMORY.search(line) for line in last_lines(log_file(folder, job), TAIL_BYTES)):
            killed.append(run.requested.memory_megabytes if run is not None else 0)
    return killed


def _core_seconds(root: Path) -> tuple[float, str]:
    """Seconds of a core that a video takes, and by what that is known; 0 where it is not."""
    runs = read_runs(root)
    videos = sum(run.videos_done + run.before.videos for run in runs if run.cpu_seconds)
    if videos >= FEW_VIDEOS:
        cpu = sum(run.cpu_seconds + run.before.cpu_seconds for run in runs if run.cpu_seconds)
        return cpu / videos, f"what {counted(videos, 'video')} took here"
    measured = read_stored(_cost_file(root), MeasuredCost)
    return (measured.core_seconds, "what plan measured") if measured is not None else (0.0, "")


def _cost_file(root: Path) -> Path:
    return root / INTERNAL / "cost.json"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
