"""How many cores this process may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def available_cores(
    environment: Mapping[str, str] = os.environ,
    cgroups: Path = Path("/sys/fs/cgroup"),
    membership: Path = Path("/proc/self/cgroup"),
) -> int:
    """Cores of the SLURM allocation, else of the CPU affinity; never more than the cgroup's quota allows.

    Args:
        environment: Where SLURM_CPUS_PER_TASK may be.
        cgroups: Where the cgroup file system is mounted (version 2, or 1 with its `cpu` controller).
        membership: Tells which cgroup this process is in.
    """
    asked = environment.get("SLURM_CPUS_PER_TASK", "")
    cores = int(asked) if asked.isdecimal() and int(asked) > 0 else len(os.sched_getaffinity(0))
    quotas = [quota for folder in _cgroup_folders(cgroups, membership) if (quota := _quota(folder)) is not None]
    return max(1, min([cores, *(int(quota) for quota in quotas)]))


def _cgroup_folders(cgroups: Path, membership: Path) -> list[Path]:
    """The folders of this process's cgroup and of all above it: each can set a quota."""
    folders = [cgroups, cgroups / "cpu", cgroups / "cpu,cpuacct"]
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        base = cgroups if not controllers else cgroups / controllers
        if not controllers or "cpu" in controllers.split(","):
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
