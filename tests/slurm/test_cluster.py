"""Submissions to a real SLURM: whatever it does to the jobs, the dataset gets done."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import HERE, REPO, Cluster, Project, wait_until
from synthetic.demo import write_demo

from kpsbatch.store.submissions import list_submissions


class Bomb:
    """Makes a file when it is loaded from a pickle."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> object:
        return Path.touch, (self.mark,)


pytestmark = [pytest.mark.slurm, pytest.mark.timeout(200)]

NewProject = Callable[..., Project]


@pytest.fixture(scope="module", autouse=True)
def out_of_time(new_project: NewProject) -> tuple[Project, str]:
    """Submitted before all tests, as it takes two minutes: 80 s of work for a job of one minute."""
    project = new_project(signs=2, videos=2, seconds=5)
    settings = ("--set", "slurm.time=1", "--set", "run.chunk_size=2")
    return project, project.submit(*settings)


@pytest.fixture(autouse=True)
def no_jobs_left(cluster: Cluster, out_of_time: tuple[Project, str]) -> Iterator[None]:
    """Whatever a test leaves in the queue is cancelled."""
    yield
    for job, _ in cluster.jobs():
        if job.partition("_")[0] != out_of_time[1]:
            cluster.ask("scancel", job)


def all_units(signs: int) -> set[str]:
    return {f"{s}-{t}/{n:04}" for s in ("01", "02") for t in ("train", "test") for n in range(1, signs + 1)}


class TestSubmission:
    def test_equals_a_local_run(self, new_project, tmp_path):
        """The demo over two nodes gives the files that a run on this machine gives."""
        project = new_project(signs=0)
        project.fake_seconds = None
        demo = write_demo(tmp_path / "demo", signers=1, signs=2)
        text = demo.config.read_text().replace("root: dataset", f"root: {demo.directory / 'dataset'}")
        project.config.write_text(text.replace("root: out", 'root: out "put" it\'s'))
        job = project.submit("--set", "run.chunk_size=1", "--set", "slurm.cpus_per_task=1")
        local = subprocess.run(
            [shutil.which("env") or "env", "-u", "FAKE_SECONDS", *_run_here(demo.config)],
            env=project.environment,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert local.returncode == 0, local.stderr
        project.finish(job, 120)
        assert {run.state for run in project.runs()} == {"finished"}
        assert len({run.host for run in project.runs()}) == 2
        ours = sorted(path.relative_to(project.out) for path in project.out.glob("*-*/*.npz"))
        theirs = sorted(path.relative_to(demo.directory / "out") for path in (demo.directory / "out").glob("*-*/*.npz"))
        assert ours == theirs
        assert len(ours) == 4
        for name in ours:
            with np.load(project.out / name) as left, np.load(demo.directory / "out" / name) as right:
                assert left.files == right.files
                for video in left.files:
                    np.testing.assert_allclose(left[video], right[video], atol=1e-3)

    def test_throttle(self, new_project, cluster):
        """At most array_parallelism tasks run at once, and that many do."""
        project = new_project(signs=4, seconds=0.3)
        job = project.submit("--set", "slurm.array_parallelism=2")
        most = 0

        def watch() -> bool:
            nonlocal most
            jobs = cluster.jobs(job)
            most = max(most, sum(state == "RUNNING" for _, state in jobs))
            return not jobs

        wait_until("the array to end", watch, 60, project.describe)
        assert most == 2
        assert project.units() == all_units(4)
        assert set(project.begun().values()) == {1}

    def test_more_shards_than_an_array_holds(self, new_project, cluster):
        """Six shards make arrays of four and two, the second after the first; a single shard makes no array."""
        project = new_project(signs=6, seconds=0.1)
        done = project.kpsbatch("submit")
        arrays = done.stdout.split("jobs:")[1].split("\n")[0].split()
        assert len(arrays) == 2, done.stdout
        shown = cluster.ask("scontrol", "show", "job", arrays[1])
        assert f"afterany:{arrays[0]}" in shown
        project.finish(arrays[0])
        project.finish(arrays[1])
        assert project.units() == all_units(6)
        alone = new_project(signs=1, seconds=0.1)
        job = alone.submit()
        assert "ArrayJobId" not in cluster.ask("scontrol", "show", "job", job)
        alone.finish(job)
        assert alone.units() == all_units(1)

    def test_cancelled_while_it_waited(self, new_project, cluster):
        """A task that was cancelled while it waited is told as that, by `status` and `logs`; the others wait or run."""
        project = new_project(signs=3, seconds=2)
        job = project.submit("--set", "slurm.array_parallelism=1")
        wait_until("the first task to run", project.running, 30, project.describe)
        cluster.ask("scancel", f"{job}_2")
        shown = project.kpsbatch("status").stdout
        assert "tasks: 1 cancelled, 1 running, 1 waiting" in shown, shown
        assert "squeue does not show it" in project.kpsbatch("logs", "--failed").stdout
        cluster.ask("scancel", job)

    def test_used_and_requested(self, new_project):
        """What SLURM gave a task stands beside what it used, with each node's core-hours; `submit` says the cost."""
        project = new_project(signs=2, seconds=0.5)
        job = project.submit("--set", "slurm.mem=500M", "slurm.cpus_per_task=2")
        project.finish(job)
        assert {(run.requested.cores, run.requested.memory_megabytes) for run in project.runs()} == {(2, 500)}
        shown = project.kpsbatch("status").stdout
        assert re.search(r"^used by the largest of 2 tasks: [0-9.]+ of 0\.5 GB", shown, re.MULTILINE), shown
        assert re.search(r"^allocation: [0-9.]+ core-hours; n[0-9]+ [0-9.]+ \(", shown, re.MULTILINE), shown
        assert re.search(r"^shard 0 of 2, .*[0-9.]+ of 0\.5 GiB$", project.kpsbatch("logs").stdout, re.MULTILINE)
        (project.folder / "dataset/01/train/0001/new").mkdir()
        again = project.kpsbatch("submit", "--dry-run").stdout
        assert re.search(r"^cost:  about \S+ core-hours, by what 16 videos took here; at most", again, re.MULTILINE), (
            again
        )

    def test_live_submission(self, new_project):
        """While jobs for the same output are live, another submission is refused and names them; --force submits."""
        project = new_project(signs=2, seconds=3)
        job = project.submit()
        refused = project.kpsbatch("submit")
        assert refused.returncode == 2
        assert f"job {job} (" in refused.stderr
        assert "--force" in refused.stderr
        assert project.kpsbatch("submit", "--force").returncode == 0

    def test_container(self, new_project):
        """With slurm.container the task runs inside `apptainer exec`, and is requeued from outside of it."""
        project = new_project(signs=1, seconds=0.8)
        (project.folder / "image.sif").touch()
        job = project.submit("--set", "slurm.container=image.sif")
        wait_until("the task to run", project.running, 30, project.describe)
        project.cluster.ask("scancel", "--batch", "--signal=USR2", job)
        wait_until("the requeue", lambda: "PENDING" in dict(project.cluster.jobs()).get(job, ""), 20)
        project.finish(job)
        assert project.units() == all_units(1)

    def test_image_that_a_process_serves(self, new_project, cluster):
        """SLURM's warning leaves the process alone that serves the container's image: a clean stop, and all units."""
        project = new_project(signs=1, videos=2, seconds=0.8)
        project.make_image()
        job = project.submit("--set", "slurm.container=image.sif", "--set", "slurm.extra={nodelist: n2}")
        wait_until("a unit", project.units, 30, project.describe)
        cluster.pre_empt("n2")
        wait_until("the interruption", lambda: project.runs()[0].state == "interrupted", 20, project.describe)
        project.finish(job)
        [run] = project.runs()
        assert (run.state, run.restarts) == ("finished", 1)
        assert project.units() == all_units(1)

    def test_image_that_goes_away(self, new_project, cluster):
        """A task that dies because a signal ended the process that serves its image is started again, three times."""
        project = new_project(signs=1, videos=2, seconds=0.8)
        project.make_image()
        job = project.submit("--set", "slurm.container=image.sif")
        wait_until("a unit", project.units, 30, project.describe)
        cluster.ask("scancel", "--signal=USR2", job)
        project.finish(job)
        assert project.units() == all_units(1)

    def test_environment_that_is_not_passed_on(self, new_project):
        """With `sbatch --export=NONE`, which some sites make the default, the tasks find all that they need."""
        project = new_project(signs=1, seconds=0.1)
        names = ("PATH", "PYTHONPATH", "FAKE_SECONDS", "FAKE_LOG")
        setup = [f"export {name}={shlex.quote(project.environment[name])}" for name in names]
        job = project.submit("--set", f"slurm.setup={json.dumps(setup)}", "--set", "slurm.extra={export: NONE}")
        project.finish(job)
        assert project.units() == all_units(1)

    def test_pickles_in_the_output_folder(self, new_project, cluster):
        """What another user puts below the outputs while the jobs wait is not run: the jobs do their work."""
        project = new_project(signs=2, seconds=0.1)
        job = project.submit("--set", "slurm.extra={hold: true}")
        assert not list(project.out.rglob("*.pkl"))
        [folder] = list_submissions(project.out)
        mark = project.folder / "was here"
        bomb = pickle.dumps(Bomb(mark))
        for task in (0, 1):
            for name in (f"{job}_{task}_submitted.pkl", f"{job}_{task}_0_result.pkl"):
                (folder / "logs" / name).write_bytes(bomb)
        cluster.ask("scontrol", "release", job)
        project.finish(job)
        assert project.units() == all_units(2)
        assert not mark.exists()

    def test_another_tree_in_the_output_folder(self, new_project, cluster):
        """Where `_kpsbatch` was replaced while the jobs wait, they end with one line that says so, and do nothing."""
        project = new_project(signs=2, seconds=0.1)
        job = project.submit("--set", "slurm.extra={hold: true}")
        internal = project.out / "_kpsbatch"
        internal.rename(internal.with_name("away"))
        shutil.copytree(internal.with_name("away"), internal)
        [folder] = list_submissions(project.out)
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("cpus_per_task: 1", "cpus_per_task: 2"))
        cluster.ask("scontrol", "release", job)
        project.finish(job)
        assert project.units() == set()
        logs = [path.read_text() for path in (folder / "logs").glob(f"{job}_*_0_log.out")]
        assert len(logs) == 2
        assert all("are not those that were submitted, so this task does nothing" in log for log in logs)

    def test_more_than_a_node_has(self, new_project):
        """A number of cores that no node has is named before it waits for ever."""
        project = new_project(signs=1)
        done = project.kpsbatch("submit", "--dry-run", "--set", "slurm.cpus_per_task=16")
        assert "no node of partition main has 16 cores (at most 4)" in done.stderr
        assert "cores" not in project.kpsbatch("submit", "--dry-run").stderr


class TestInterruption:
    @pytest.mark.parametrize("name", ["USR2", "TERM"])
    def test_signal(self, new_project, cluster, name):
        """A signal stops a task within 10 s, leaves no process behind, and the requeued task does only the rest."""
        project = new_project(signs=2, videos=2, seconds=0.8)
        job = project.submit("--set", "run.chunk_size=2")
        wait_until("two units", lambda: len(project.units()) >= 2, 30, project.describe)
        [run] = project.running()
        began = time.monotonic()
        cluster.ask("scancel", f"--signal={name}", job)
        wait_until("the stop", lambda: not Path(f"/proc/{run.pid}/cmdline").exists(), 10, project.describe)
        wait_until("the end of the pool", lambda: not _children_of(run.pid, str(project.folder)), 10)
        assert time.monotonic() - began < 10
        kept = project.units()
        assert len(kept) >= 2
        assert not list(project.out.rglob(".*partial"))
        project.finish(job)
        assert project.units() == all_units(2)
        [run] = project.runs()
        assert (run.state, run.restarts) == ("finished", 1)
        begun = project.begun()
        assert {video for video, times in begun.items() if times > 1} <= {
            f"{unit}/v{n}" for unit in all_units(2) - kept for n in (0, 1)
        }

    def test_pre_emption(self, new_project, cluster):
        """Pre-empted by a higher partition, a task stops cleanly, waits, and goes on where it stopped."""
        project = new_project(signs=1, videos=2, seconds=0.8)
        job = project.submit("--set", "slurm.extra={nodelist: n2}")
        wait_until("a unit", project.units, 30, project.describe)
        kept = project.units()
        cluster.pre_empt("n2")
        wait_until("the interruption", lambda: project.runs()[0].state == "interrupted", 20, project.describe)
        project.finish(job)
        [run] = project.runs()
        assert (run.state, run.restarts) == ("finished", 1)
        assert project.units() == all_units(1)
        assert all(project.begun()[f"{unit}/v{n}"] == 1 for unit in kept for n in (0, 1))

    def test_cancelled_task(self, new_project, cluster):
        """A cancelled task stays cancelled, and the next submission does what it left, nothing else."""
        project = new_project(signs=3, videos=2, seconds=0.8)
        job = project.submit()
        wait_until("all tasks to run", lambda: len(project.running()) == 3, 30, project.describe)
        cluster.ask("scancel", f"{job}_1")
        project.finish(job)
        left = all_units(3) - project.units()
        assert left
        assert {unit[-4:] for unit in left} == {"0002"}
        before = project.begun()
        again = project.kpsbatch("submit")
        assert f"{len(left)} unit" in again.stdout
        assert "in 1 shard;" in again.stdout
        project.finish(again.stdout.split("jobs:")[1].split()[0])
        assert project.units() == all_units(3)
        assert {video[:-3] for video in (project.begun() - before)} == left
        assert "Nothing to do" in project.kpsbatch("submit").stdout

    def test_scheduler_away(self, new_project, cluster):
        """A task that is interrupted while the scheduler does not answer is requeued as soon as it does."""
        project = new_project(signs=1, videos=2, seconds=0.8)
        job = project.submit()
        wait_until("a unit", project.units, 30, project.describe)
        [run] = project.running()
        with cluster.without_scheduler():
            os.kill(run.pid, signal.SIGUSR2)
            wait_until("the stop", lambda: project.runs()[0].state == "interrupted", 10)
            time.sleep(15)  # squeue itself waits for ten seconds (MessageTimeout)
        project.finish(job, 150)  # slurmstepd reports the end of a step once a minute
        [run] = project.runs()
        assert (run.state, run.restarts) == ("finished", 1)
        assert project.units() == all_units(1)

    def test_lost_node(self, new_project, cluster):
        """When a node dies, its task starts again on another node, and only the units in flight are done over."""
        project = new_project(signs=2, videos=2, seconds=0.8)
        job = project.submit()
        wait_until(
            "a unit of each", lambda: {u[-4:] for u in project.units()} == {"0001", "0002"}, 30, project.describe
        )
        victim = next(run for run in project.running() if run.shard == 0)
        kept = project.units()
        subprocess.run([HERE / "node_crash.sh", victim.host, cluster.folder], timeout=30, check=True)
        cluster.ask("scontrol", "update", f"nodename={victim.host}", "state=down", "reason=test")
        try:
            project.finish(job)
        finally:
            subprocess.run(["slurmd", "-N", victim.host], env=_with_sbin(cluster), timeout=30, check=True)
            wait_until("the node's return", lambda: "idle" in cluster.ask("sinfo", "-hN", "-n", victim.host), 30)
        assert project.units() == all_units(2)
        restarted = next(run for run in project.runs() if run.shard == 0)
        assert restarted.state == "finished"
        assert restarted.restarts == 1
        assert all(project.begun()[f"{unit}/v{n}"] == 1 for unit in kept for n in (0, 1))


class TestArrayScript:
    def test_by_itself(self, new_project):
        """`sbatch slurm/array.sh` splits the signs among its tasks, wherever --array starts."""
        project = new_project(signs=3, seconds=0.1)
        job = project.sbatch("--array=2-3", str(REPO / "slurm" / "array.sh"), str(project.config))
        project.finish(job)
        assert project.units() == all_units(3)
        assert sorted((run.shard, run.units_done) for run in project.runs()) == [(0, 4), (1, 8)]
        assert "finished, 8/8 units" in project.kpsbatch("logs").stdout

    def test_environment_that_is_not_passed_on(self, new_project):
        """With `sbatch --export=NONE` it finds the variables that stand before the config."""
        project = new_project(signs=1, seconds=0.1)
        text = project.config.read_text().replace("root: dataset", "root: $THE_DATA")
        project.config.write_text(text)
        given = {"THE_DATA": str(project.folder / "dataset"), **project.environment}
        names = ("THE_DATA", "PATH", "PYTHONPATH", "FAKE_SECONDS", "FAKE_LOG", "FAKE_PYTHON")
        words = [f"{name}={given[name]}" for name in names]
        script = str(REPO / "slurm" / "array.sh")
        project.finish(project.sbatch("--export=NONE", "--array=0-1", script, *words, str(project.config)))
        assert project.units() == all_units(1)

    def test_what_is_there_is_dealt_out(self, new_project):
        """Of signs 1 to 40 four are there: each of four tasks does one, by a list that the first of them made."""
        project = new_project(signs=40, videos=0, seconds=0.3)
        for sign in (2, 3, 5, 30):
            (project.folder / "dataset" / "01" / "train" / f"{sign:04}" / "v").mkdir(parents=True)
        job = project.sbatch("--array=0-3", str(REPO / "slurm" / "array.sh"), str(project.config))
        project.finish(job)
        assert sorted((run.shard, run.units_done) for run in project.runs()) == [(0, 1), (1, 1), (2, 1), (3, 1)]
        assert set(project.begun().values()) == {1}
        assert [path.stem.split("-")[0] for path in (project.out / "_kpsbatch" / "shards").iterdir()] == [job]

    def test_from_a_folder_of_downloads(self, new_project):
        """Submitted from a folder that holds a `kpsbatch` and a `signal.py`, it takes the repository it lies in."""
        project = new_project(signs=1, seconds=0.1)
        mark = project.folder / "ran"
        (project.folder / "kpsbatch").mkdir()
        for name in ("kpsbatch/__init__.py", "kpsbatch/__main__.py", "signal.py", "runpy.py", "numpy.py"):
            (project.folder / name).write_text(f"open({str(mark)!r}, 'a').write(__file__)\n")
        job = project.sbatch("--array=0-1", str(REPO / "slurm" / "array.sh"), str(project.config))
        project.finish(job)
        assert project.units() == all_units(1)
        assert not mark.exists()

    @pytest.mark.parametrize("how", [["--batch"], []])
    def test_warning(self, new_project, cluster, how):
        """The warning signal, to the shell or to the step, stops a task; it is requeued alone and completes."""
        project = new_project(signs=2, videos=2, seconds=0.8)
        project.variables["KPSBATCH_CONTAINER"] = "image.sif" if how else ""
        job = project.sbatch("--array=0-1", str(REPO / "slurm" / "array.sh"), str(project.config))
        wait_until("both tasks to run", lambda: len(project.running()) == 2, 30, project.describe)
        cluster.ask("scancel", *how, "--signal=USR2", f"{job}_1")
        wait_until("the requeue", lambda: "PENDING" in dict(cluster.jobs(job)).get(f"{job}_1", ""), 20)
        project.finish(job)
        assert project.units() == all_units(2)
        assert sorted(run.restarts for run in project.runs()) == [0, 1]


def test_time_limit(out_of_time, cluster):
    """A job that runs into its real time limit stops before it, is requeued and completes."""
    project, job = out_of_time
    project.finish(job, 180)
    assert project.units() == all_units(2)
    [run] = project.runs()
    assert run.state == "finished"
    assert run.restarts >= 1
    log = "\n".join(path.read_text() for path in project.out.glob("_kpsbatch/submissions/*/logs/*_log.out"))
    assert "Stopped (SIGUSR2)" in log
    assert "DUE TO TIME LIMIT" not in log


def _run_here(config: Path) -> list[str]:
    import sys

    return [sys.executable, "-m", "kpsbatch", "run", str(config)]


def _with_sbin(cluster: Cluster) -> dict[str, str]:
    environment = cluster.environment
    return {**environment, "PATH": f"{environment['PATH']}:/usr/sbin:/sbin"}


def _children_of(pid: int, folder: str) -> list[str]:
    """Worker processes of a task: they name their parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"kpsbatch.work.worker" in words and str(pid).encode() in words:
            found.append(str(path))
    return found
