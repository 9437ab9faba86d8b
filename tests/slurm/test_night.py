"""A night on a real SLURM: one node without the dataset, one that crashes, one pre-emption; and what is read then."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

import pytest
from conftest import HERE, Cluster, Project, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]


def test_night(new_project: Callable[..., Project], cluster: Cluster) -> None:
    """All units are done in the morning, and `status OUT` alone says which node was bad, and what leaves it out."""
    project = new_project(signs=8, videos=3, seconds=1)
    project.variables["KPSBATCH_NODE_SECONDS"] = "3"
    sizes = ("--set", "slurm.cpus_per_task=2", "--set", "slurm.array_parallelism=6")
    with cluster.hidden(project.folder / "dataset", "n3"):
        project.submit(*sizes)
        wait_until("a unit", project.units, 60, project.describe)
        victim = next(run for run in project.running() if run.host == "n2")
        subprocess.run([HERE / "node_crash.sh", "n2", cluster.folder], timeout=30, check=True)
        cluster.ask("scontrol", "update", "nodename=n2", "state=down", "reason=test")
        cluster.pre_empt("n1")
        time.sleep(15)
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        subprocess.run(["slurmd", "-N", "n2"], env={**cluster.environment, "PATH": path}, timeout=30, check=True)
        wait_until("all jobs to end", lambda: not cluster.jobs(), 240, project.describe)
    assert len(project.units()) == 2 * 2 * 8
    runs = project.runs()
    assert {run.state for run in runs} == {"finished"}
    assert next(run for run in runs if run.run == victim.run).restarts >= 1
    assert {node for run in runs for node, _ in run.given_back} == {"n3"}
    for command in ("status", "logs"):
        done = project.kpsbatch(command, config=project.out)
        print(f"$ kpsbatch {command} OUT\n{done.stdout}{done.stderr}")
        assert done.returncode == 0
        assert "node n3 could not do what started there" in done.stdout
        assert "--set slurm.extra.exclude=n3" in done.stdout
