"""How many workers a run starts: cores, memory, and what the user asked for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kpsbatch.store.tracking import resident_bytes
from kpsbatch.work.cores import (
    PARENT_BYTES,
    WORKER_BYTES,
    available_memory,
    worker_count,
    worker_memory,
)

GIB = 1 << 30
MACHINE = available_memory(Path("/nowhere"), Path("/nowhere"))


class TestWorkerCount:
    """`run.workers: auto` is one for each core, as far as memory and videos go."""

    @pytest.mark.parametrize(
        ("cores", "memory", "workers"),
        [
            (2, 64 * GIB, 2),
            (64, 2 * GIB, 3),
            (2, 1 * GIB, 1),
            (8, PARENT_BYTES + 3 * WORKER_BYTES, 3),
            (8, PARENT_BYTES + 3 * WORKER_BYTES - 1, 2),
        ],
    )
    def test_auto_takes_the_scarcer_of_cores_and_memory(self, cores: int, memory: int, workers: int) -> None:
        assert worker_count("auto", 1000, cores=cores, memory=memory) == workers

    def test_there_is_one_worker_however_small_the_memory(self) -> None:
        assert worker_count("auto", 1000, cores=8, memory=64 << 20) == 1

    def test_what_the_user_asks_for_is_not_cut_by_memory(self) -> None:
        assert worker_count(6, 1000, cores=1, memory=64 << 20) == 6

    def test_no_more_workers_than_videos(self) -> None:
        assert worker_count(6, 4) == 4
        assert worker_count("auto", 3, cores=8, memory=64 * GIB) == 3

    def test_none_is_asked_for(self) -> None:
        """0 stays 0: the videos are done in this process, which may use all the memory."""
        assert worker_count(0, 1000) == 0
        assert worker_memory("auto", 0, memory=PARENT_BYTES + 2 * GIB) == 2 * GIB

    def test_no_video_still_means_one(self) -> None:
        assert worker_count("auto", 0, cores=8, memory=64 * GIB) == 1


class TestAvailableMemory:
    """The smallest limit of this cgroup and those above it, else the machine's memory."""

    def test_no_cgroup_means_the_machine(self) -> None:
        assert MACHINE > 128 << 20

    @pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
    def test_limit_seen_from_inside_a_container(self, tmp_path: Path, name: str) -> None:
        """A container sees its own cgroup as the root, in version 2 and in version 1."""
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{96 << 20}\n")
        assert available_memory(tmp_path, tmp_path / "missing") == 96 << 20

    @pytest.mark.parametrize(
        ("name", "text"), [("memory.max", "max"), ("memory.limit_in_bytes", "9223372036854771712")]
    )
    def test_unlimited(self, tmp_path: Path, name: str, text: str) -> None:
        (tmp_path / name).write_text(f"{text}\n")
        assert available_memory(tmp_path, tmp_path / "missing") == MACHINE

    def test_a_job_above_this_step_limits_too(self, tmp_path: Path) -> None:
        """SLURM sets the limit on the job's cgroup, and the step's own file can say max."""
        step = tmp_path / "system.slice/slurmstepd.scope/job_7/step_0"
        step.mkdir(parents=True)
        (step / "memory.max").write_text("max\n")
        (step.parent / "memory.max").write_text(f"{80 << 20}\n")
        membership = tmp_path / "cgroup"
        membership.write_text("0::/system.slice/slurmstepd.scope/job_7/step_0\n")
        assert available_memory(tmp_path, membership) == 80 << 20

    def test_version_1_job(self, tmp_path: Path) -> None:
        job = tmp_path / "memory/slurm/uid_5/job_7"
        job.mkdir(parents=True)
        (job / "memory.limit_in_bytes").write_text(f"{72 << 20}\n")
        membership = tmp_path / "cgroup"
        membership.write_text("9:cpu,cpuacct:/slurm/uid_5/job_7/step_0\n4:memory:/slurm/uid_5/job_7/step_0\n")
        assert available_memory(tmp_path, membership) == 72 << 20


class TestWorkerMemory:
    """`run.worker_memory: auto` is a worker's share, within what a video can need."""

    @pytest.mark.parametrize(
        ("workers", "memory", "limit"),
        [
            (1, 64 * GIB, 4 * GIB),
            (4, PARENT_BYTES + 8 * GIB, 2 * GIB),
            (4, 2 * GIB, 1 * GIB),
        ],
    )
    def test_auto(self, workers: int, memory: int, limit: int) -> None:
        assert worker_memory("auto", workers, memory=memory) == limit

    def test_as_asked_for(self) -> None:
        assert worker_memory(700, 64, memory=GIB) == 700 << 20

    def test_resident_bytes(self) -> None:
        """Memory of a process, and nothing for one that has ended."""
        assert resident_bytes(os.getpid()) > 10 << 20
        with subprocess.Popen(["true"]) as ended:
            pass
        assert resident_bytes(ended.pid) == 0
