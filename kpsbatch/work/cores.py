"""How many cores and how much memory this process may use, and how many workers that makes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

WORKER_BYTES = 500 << 20
"""Room for one worker: it peaks at about 350 MB."""

PARENT_BYTES = 300 << 20
"""Room for this process, with the keypoints of the units that are not stored yet."""

MIN_LIMIT_BYTES = 1 << 30
"""A worker may always use this much: frames of `run.max_pixels` need some."""

MAX_LIMIT_BYTES = 4 << 30
"""No video needs more: a worker above it leaks memory."""

JOB_CORES = {
    "SLURM_CPUS_PER_TASK": "",
    "NSLOTS": "JOB_ID",
    "LSB_DJOB_NUMPROC": "LSB_JOBID",
    "NCPUS": "PBS_JOBID",
    "PBS_NUM_PPN": "PBS_JOBID",
}
"""Variables with the cores of a job (SLURM, Grid Engine, LSF, PBS Pro, Torque), and the variable that the same system
sets in every job: without it the first may come from elsewhere."""

CGROUPS = Path("/sys/fs/cgroup")
"""Where the cgroup file system is mounted: version 2, or 1 with its controllers `cpu` and `memory`."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""Tells which cgroup this process is in."""


def worker_count(
    wanted: int | Literal["auto"], videos: int, *, cores: int | None = None, memory: int | None = None
) -> int:
    """Workers to start: the setting, or one for each core as far as the memory goes; never more than videos.

    0 stands for no worker process: the videos are done in this process.

    Args:
        wanted: The setting `run.workers`.
        cores, memory: Default what this process may use; memory in bytes.
    """
    if wanted == "auto":
        cores = available_cores() if cores is None else cores
        memory = available_memory() if memory is None else memory
        return max(1, min(cores, (memory - PARENT_BYTES) // WORKER_BYTES, videos))
    return min(wanted, max(1, videos))


def worker_memory(wanted: int | Literal["auto"], workers: int, *, memory: int | None = None) -> int:
    """Bytes that one worker may use: the setting, or its share of the memory, from 1 GB to 4 GB.

    Args:
        wanted: The setting `run.worker_memory`, in MB.
        memory: Bytes that the workers share; default `available_memory()`.
    """
    if wanted != "auto":
        return wanted << 20
    memory = available_memory() if memory is None else memory
    return min(MAX_LIMIT_BYTES, max(MIN_LIMIT_BYTES, (memory - PARENT_BYTES) // max(1, workers)))


def available_cores(
    environment: Mapping[str, str] = os.environ, cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP
) -> int:
    """Cores of the batch system's job, else of the CPU affinity; never more than the cgroup's quota allows."""
    return max(1, int(min(core_limits(environment, cgroups, membership).values())))


def core_limits(
    environment: Mapping[str, str] = os.environ, cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP
) -> dict[str, float]:
    """What limits the cores of this process: `batch job` or `affinity`, and `quota` where a cgroup sets one.

    Args:
        environment: Where a batch system's variable may be (`JOB_CORES`).
    """
    values = (environment.get(name, "") for name, job in JOB_CORES.items() if not job or environment.get(job))
    counts = [int(count) for count in values if count.isdecimal() and int(count) > 0]
    limits: dict[str, float] = {"batch job": counts[0]} if counts else {"affinity": len(os.sched_getaffinity(0))}
    folders = _cgroup_folders("cpu", cgroups, membership)
    if quotas := [quota for folder in folders if (quota := _quota(folder)) is not None]:
        limits["quota"] = min(quotas)
    return limits


def available_memory(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Bytes of the machine's memory that this process may use: all of it, or what its cgroup allows."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_memory_limit(folder) for folder in _cgroup_folders("memory", cgroups, membership)]
    return min([machine, *(limit for limit in limits if limit is not None)])


def _cgroup_folders(controller: str, cgroups: Path, membership: Path) -> list[Path]:
    """The folders of this process's cgroup and of all above it: each can set a limit."""
    folders = [cgroups, cgroups / controller, cgroups / "cpu,cpuacct"]
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        base = cgroups if not controllers else cgroups / controllers
        if not controllers or controller in controllers.split(","):
            parts = Path(path.lstrip("/")).parts
            folders += [base.joinpath(*parts[: depth + 1]) for depth in range(len(parts))]
    return folders


def _quota(folder: Path) -> float | None:
    """Cores that one cgroup folder allows, or None where it sets no limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _memory_limit(folder: Path) -> int | None:
    """Bytes that one cgroup folder allows, or None where it sets no limit."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((folder / name).read_text())  # "max" is no number
        except (OSError, ValueError):
            pass
    return None
