"""A node of a real SLURM that can't do its tasks: they are done elsewhere, and whoever reads the status is told."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest
from conftest import REPO, Cluster, Project

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(200)]

NewProject = Callable[..., Project]
UNITS = {f"{s}-{t}/{n:04}" for s in ("01", "02") for t in ("train", "test") for n in range(1, 7)}


@pytest.fixture
def project(new_project: NewProject, cluster: Cluster) -> Project:
    """Six signs; a node that can't do a task waits for a second, not a minute."""
    project = new_project(signs=6, videos=1, seconds=0.2)
    project.variables["KPSBATCH_NODE_SECONDS"] = "1"
    return project


def given_back(project: Project) -> set[str]:
    """The nodes that tasks were given back from."""
    return {node for run in project.runs() for node, _ in run.given_back}


class TestHiddenDataset:
    def test_submission(self, project, cluster):
        """All is done, nothing fails, each task leaves the bad node once; the line that helps works as it is typed."""
        with cluster.hidden(project.folder / "dataset", "n3"):
            first = project.submit()
            second = str(int(first) + 4)
            project.finish(first, 120)
            for job in {job.partition("_")[0] for job, _ in cluster.jobs()} | {second}:
                project.finish(job, 120)
        assert project.units() == UNITS
        assert {run.state for run in project.runs()} == {"finished"}
        assert given_back(project) == {"n3"}
        assert max(len(run.given_back) for run in project.runs()) == 1
        for command in ("status", "logs"):
            shown = project.kpsbatch(command).stdout
            assert re.search(
                r"node n3 could not do what started there \(\d starts?\): dataset.root: .* is empty", shown
            )
            [line] = re.findall("To leave it out: (.*)", shown)
            assert line.endswith(" --set slurm.extra.exclude=n3")
        (project.out / "01-train" / "0001.npz").unlink()
        typed = subprocess.run(
            ["bash", "-c", f"{line} --dry-run"],
            capture_output=True,
            text=True,
            env=project.environment,
            cwd="/",
            check=False,
        )
        assert "#SBATCH --exclude=n3\n" in typed.stdout, typed.stderr
        assert "last time node n3 could not do" in typed.stderr

    def test_outputs_too(self, project, cluster):
        """A node that sees neither the outputs nor the folder of the logs: the same, and the status says so."""
        project.out.mkdir()
        with cluster.hidden(project.out, "n3"):
            job = project.submit("--set", "run.chunk_size=2", "--set", "slurm.cpus_per_task=4")
            project.finish(job, 120)
        assert project.units() == UNITS
        assert {run.state for run in project.runs()} == {"finished"}
        assert given_back(project) == {"n3"}
        assert "is not seen there" in project.kpsbatch("status").stdout

    def test_array_script(self, project, cluster):
        """The same for slurm/array.sh."""
        with cluster.hidden(project.folder / "dataset", "n3"):
            job = project.sbatch("--array=0-3", str(REPO / "slurm" / "array.sh"), str(project.config))
            project.finish(job, 120)
        assert project.units() == UNITS
        assert {run.state for run in project.runs()} == {"finished"}
        assert given_back(project) == {"n3"}

    def test_missing_everywhere(self, project, cluster):
        """A dataset that no node sees is given up after four starts; no node is advised against."""
        job = project.submit("--set", "run.chunk_size=6", "--set", "slurm.extra.hold=true")
        (project.folder / "dataset").rename(project.folder / "elsewhere")
        cluster.ask("scontrol", "release", job)
        project.finish(job, 120)
        [run] = project.runs()
        assert run.state == "failed"
        assert len(run.given_back) == 4
        shown = project.kpsbatch("logs").stdout
        assert "dataset.root:" in shown
        assert "exclude" not in shown

    def test_unseen_output(self, project, cluster):
        """An output folder that the node does not see is refused; nothing is in the queue."""
        project.out.mkdir()
        with cluster.hidden(project.out, "n3"):
            refused = project.kpsbatch("submit", "--set", "slurm.extra.nodelist=n3")
            assert refused.returncode == 2
            assert "output.root: a node does not see" in refused.stderr
            assert not cluster.jobs()

    def test_mistake_in_the_config(self, project, cluster):
        """It fails at once, everywhere: nothing is waited for, nothing is started again."""
        arguments = ("--array=0-3", str(REPO / "slurm" / "array.sh"), str(project.config), "--set", "run.workers=many")
        job = project.sbatch(*arguments)
        project.finish(job, 30)
        shown = cluster.ask("scontrol", "show", "job", job)
        assert "Restarts=0" in shown
        assert set(re.findall(r"ExitCode=(\S+)", shown)) == {"2:0"}
