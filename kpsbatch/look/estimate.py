"""What a whole run will take, from one measured unit."""

from __future__ import annotations

import math
import resource
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpsbatch.cluster.slurm import Partition
from kpsbatch.config import Config
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import DatasetError
from kpsbatch.files import INTERNAL
from kpsbatch.store.run_state import Progress
from kpsbatch.work.run import run

TASK_SECONDS = 3600.0
"""How long an array task should take: long against its start, short against the time that a lost node costs."""

SMALL_SECONDS = 1800.0
"""A dataset that takes less than this in one task is not split: more tasks would wait and load models as long."""

MARGIN = 2.0
"""The time limit asked for, against the time expected: nodes differ, and file systems have bad nights."""

PARENT_MEGABYTES = 500


@dataclass(frozen=True)
class Measured:
    """One measured unit, and the size of the dataset.

    Attributes:
        unit: The unit that was measured.
        videos, frames: How many it has.
        core_seconds: Seconds of a core that a video takes, on average.
        worker_megabytes: Peak memory of a worker.
        dataset_videos: Videos of the whole dataset, by listing.
        signs: Signs that have videos.
        npz_bytes, full_bytes: What a video takes, on average, in the outputs and of all landmarks beside them.
    """

    unit: Unit
    videos: int
    frames: int
    core_seconds: float
    worker_megabytes: int
    dataset_videos: int
    signs: int
    npz_bytes: int
    full_bytes: int


@dataclass(frozen=True)
class Estimate(Measured):
    """What follows from it for the dataset.

    Attributes:
        frames_per_core_second: Frames that a core does in a second.
        core_hours: What the whole dataset takes.
        chunk_size: Recommended signs in an array task.
        tasks: Array tasks that this makes.
        task_seconds: What a task then takes, on average.
        time_minutes: Recommended time limit.
        memory_gigabytes: Recommended memory of a task.
    """

    frames_per_core_second: float
    core_hours: float
    chunk_size: int
    tasks: int
    task_seconds: float
    time_minutes: int
    memory_gigabytes: int

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "unit": self.unit.name}


def estimate(
    config: Config,
    *,
    source: Source | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop_reason: Callable[[], str] = lambda: "",
) -> Estimate:
    """Run one unit into a scratch folder, list the dataset, and size the tasks.

    Args:
        config: The config; the first unit with videos is measured.
        source: Its dataset, if it is open already.
        on_progress: Called a few times a second during the measured run.
        stop_reason: As for `run`.

    Raises:
        DatasetError: There is no video.
        ModelError: The models can't be used.
        InterruptedRun: `stop_reason` said so.
    """
    index_folder = config.output.root / INDEX_FOLDER
    source = source or open_source(config.dataset, index_folder)
    counts = {unit: len(source.listing(unit).videos) for unit in source.units()}
    with_videos = [unit for unit, count in counts.items() if count]
    if not with_videos:
        raise source.no_video()
    unit = with_videos[0]
    selection = {"signers": (unit.signer,) if source.has_signs else (), "splits": (unit.split,), "signs": (unit.sign,)}
    with tempfile.TemporaryDirectory(prefix="kpsbatch-plan-") as scratch:
        dataset = config.dataset.model_copy(update=selection)
        output = config.output.model_copy(update={"root": Path(scratch)})
        small = config.model_copy(update={"dataset": dataset, "output": output})
        alone = open_source(dataset, index_folder)
        summary = run(small, source=alone, on_progress=on_progress, stop_reason=stop_reason)
        full_bytes = _bytes_of(Path(scratch, INTERNAL, "full").glob("*/*/*.npz"))
        npz_bytes = _bytes_of(Path(scratch).glob("*/*.npz"))
    good = summary.progress.videos_done - summary.progress.videos_failed
    if not good:
        raise DatasetError(
            f"no video of {unit.name} could be measured: {summary.failures[0][1]}. Choose other signs with --signs."
        )
    measured = Measured(
        unit,
        videos=good,
        frames=summary.frames,
        core_seconds=summary.worker_seconds / good,
        worker_megabytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        dataset_videos=sum(counts.values()),
        signs=len({unit.sign for unit in with_videos}),
        npz_bytes=npz_bytes // good,
        full_bytes=full_bytes // good,
    )
    return size(config, measured)


def _bytes_of(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def size(config: Config, measured: Measured) -> Estimate:
    """Size the tasks: about an hour each, but no fewer tasks than may run at once; one task for a small dataset.

    The config is for `slurm.cpus_per_task` and `slurm.array_parallelism`.
    """
    cores, signs = config.slurm.cpus_per_task, measured.signs
    all_seconds = measured.dataset_videos * measured.core_seconds
    sign_seconds = all_seconds / signs / cores
    fits = max(1, round(TASK_SECONDS / sign_seconds))
    chunk = min(fits, max(1, math.ceil(signs / config.slurm.array_parallelism)))
    if signs * sign_seconds < SMALL_SECONDS:
        chunk = signs
    task_seconds = chunk * sign_seconds
    return Estimate(
        **vars(measured),
        frames_per_core_second=measured.frames / (measured.core_seconds * measured.videos),
        core_hours=all_seconds / 3600,
        chunk_size=chunk,
        tasks=math.ceil(signs / chunk),
        task_seconds=task_seconds,
        time_minutes=math.ceil((MARGIN * task_seconds / 60 + 10) / 10) * 10,
        memory_gigabytes=math.ceil((1.2 * cores * measured.worker_megabytes + PARENT_MEGABYTES) / 1024),
    )


def fits(config: Config, estimate: Estimate, nodes: Sequence[Partition]) -> Iterator[str]:
    """Lines that set the advice beside the nodes of the partition: what they have, and what does not fit there.

    Args:
        nodes: From `known_partitions`; nothing is said without.
    """
    if not nodes:
        return
    sizes = sorted({(row.node_cores, row.node_megabytes // 1024) for row in nodes})
    limits = [row.minutes for row in nodes if row.minutes is not None]
    limit = f"{max(limits)} minutes" if limits else "no time limit"
    shown = ", ".join(f"{cores} cores and {memory} GB" for cores, memory in sizes)
    yield f"\npartition {', '.join(sorted({row.name for row in nodes}))}: nodes of {shown}; {limit}"
    cores = config.slurm.cpus_per_task
    if not any(has >= cores and memory >= estimate.memory_gigabytes for has, memory in sizes):
        yield f"no node has {cores} cores and {estimate.memory_gigabytes} GB: lower slurm.cpus_per_task and plan again"
    if limits and estimate.time_minutes > max(limits):
        yield f"the time is more than the partition allows: take {max(limits)} minutes; a task that needs more goes on"
