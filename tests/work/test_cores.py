"""No more workers than cores that this job may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kpsbatch.work.cores import available_cores


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch):
    """A process that is bound to 16 of the machine's 64 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)


def cores(tmp_path: Path, environment: dict[str, str] | None = None, membership: str = "0::/\n") -> int:
    (tmp_path / "membership").write_text(membership)
    return available_cores(environment or {}, tmp_path / "cgroup", tmp_path / "membership")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_affinity(tmp_path):
    """Without SLURM the CPU affinity counts, not the machine."""
    assert cores(tmp_path) == 16


def test_slurm(tmp_path):
    """In a SLURM job the cores of the task count."""
    assert cores(tmp_path, {"SLURM_CPUS_PER_TASK": "4"}) == 4


@pytest.mark.parametrize(
    "variables",
    [
        {"NSLOTS": "4", "JOB_ID": "7"},
        {"LSB_DJOB_NUMPROC": "4", "LSB_JOBID": "7"},
        {"NCPUS": "4", "PBS_JOBID": "7.server"},
        {"PBS_NUM_PPN": "4", "PBS_JOBID": "7.server"},
    ],
    ids=["Grid Engine", "LSF", "PBS Pro", "Torque"],
)
def test_other_batch_systems(tmp_path, variables):
    """In a job of another batch system its cores count; outside of a job its variable means nothing."""
    assert cores(tmp_path, variables) == 4
    outside = dict([next(iter(variables.items()))])
    assert cores(tmp_path, outside) == 16


@pytest.mark.parametrize("nonsense", ["", "0", "four", "-1", "4(x2)"])
def test_nonsense_from_slurm(tmp_path, nonsense):
    """An unusable SLURM_CPUS_PER_TASK is passed over."""
    assert cores(tmp_path, {"SLURM_CPUS_PER_TASK": nonsense}) == 16


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 16), ("300000 100000", 3), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", 16)],
)
def test_cgroup_2(tmp_path, quota, expected):
    """The quota of cgroup version 2 is an upper limit, rounded down, at least one."""
    write(tmp_path / "cgroup" / "cpu.max", f"{quota}\n")
    assert cores(tmp_path) == expected


@pytest.mark.parametrize("where", ["cpu.max", "slurm/cpu.max", "slurm/job_7/cpu.max"])
def test_every_level_counts(tmp_path, where):
    """A quota on any cgroup from the root down to the process's own limits it."""
    write(tmp_path / "cgroup" / where, "200000 100000\n")
    write(tmp_path / "cgroup" / "elsewhere" / "cpu.max", "100000 100000\n")
    assert cores(tmp_path, membership="0::/slurm/job_7\n") == 2


@pytest.mark.parametrize(("quota", "expected"), [("-1", 16), ("200000", 2)])
def test_cgroup_1(tmp_path, quota, expected):
    """The quota of cgroup version 1 is an upper limit, too; -1 is none."""
    folder = tmp_path / "cgroup" / "cpu,cpuacct" / "docker" / "x"
    write(folder / "cpu.cfs_quota_us", f"{quota}\n")
    write(folder / "cpu.cfs_period_us", "100000\n")
    assert cores(tmp_path, membership="4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n") == expected


def test_quota_over_slurm(tmp_path):
    """The smaller of SLURM's cores and the quota counts."""
    write(tmp_path / "cgroup" / "cpu.max", "300000 100000\n")
    assert cores(tmp_path, {"SLURM_CPUS_PER_TASK": "8"}) == 3


@pytest.mark.parametrize("text", ["", "nonsense", "max", "1 0", "a b"])
def test_unreadable_quota(tmp_path, text):
    """A quota that can't be understood is no limit."""
    write(tmp_path / "cgroup" / "cpu.max", text)
    assert cores(tmp_path) == 16


def test_no_cgroups(tmp_path):
    """A machine without cgroups has no quota."""
    assert available_cores({}, tmp_path / "none", tmp_path / "neither") == 16


def test_here():
    """On this very machine the answer is between one and the affinity."""
    assert 1 <= available_cores({}) <= 16
