"""A real SLURM on this machine, and projects to submit to it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kpsbatch.store.run_state import RunState, read_runs
from kpsbatch.store.submissions import list_submissions

HERE = Path(__file__).parent
REPO = HERE.parent.parent
NODES, CPUS, MAX_ARRAY_SIZE = 3, 4, 4
CONFIG = """\
dataset:
  root: dataset
  layout: "{{signer}}/{{split}}/{{sign:04d}}"
  signers: ["01", "02"]
  splits: [train, test]
  signs: 1-{signs}
output:
  root: out "put" it's
run:
  chunk_size: 1
slurm:
  time: 10
  cpus_per_task: 1
"""


HIDE = 'mount -t tmpfs -o ro tmpfs "$1" && exec slurmd -N "$2"'
"""Arguments: the folder, the node."""


def is_alive(process: int) -> bool:
    """Whether it runs; process 1 may reap dead ones late."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(what: str, happened: Callable[[], Any], seconds: float = 60, on_timeout: Callable[[], str] = str) -> Any:
    """Ask again and again until the answer is true; fail after a hard limit."""
    give_up = time.monotonic() + seconds
    while not (answer := happened()):
        if time.monotonic() > give_up:
            pytest.fail(f"waited {seconds:g} s in vain: {what}\n{on_timeout()}")
        time.sleep(0.1)
    return answer


@dataclass(frozen=True)
class Cluster:
    """A running SLURM."""

    folder: Path

    def ask(self, *command: str) -> str:
        """Run a command of SLURM."""
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=30, env=self.environment
        ).stdout

    @property
    def environment(self) -> dict[str, str]:
        ours = ("SLURM", "SBATCH", "KPSBATCH_")
        inherited = {k: v for k, v in os.environ.items() if k == "KPSBATCH_CACHE" or not k.startswith(ours)}
        return {**inherited, "SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}

    def jobs(self, job: str = "") -> list[tuple[str, str]]:
        """(ID, state) of what is in the queue, arrays task by task."""
        lines = self.ask("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return [(i, s) for i, s in (line.split() for line in lines) if not job or i.partition("_")[0] == job]

    def pre_empt(self, node: str) -> None:
        """Take a node for two seconds from the jobs that run there."""
        self.ask(
            "sbatch", "--partition=high", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 2"
        )

    @contextlib.contextmanager
    def hidden(self, folder: Path, node: str) -> Iterator[None]:
        """A folder is empty on one node while the block runs, as where a mount is missing."""
        self._start_again(
            node, "unshare", "--mount", "--propagation", "private", "sh", "-c", HIDE, "sh", str(folder), node
        )
        try:
            yield
        finally:
            self._start_again(node, "slurmd", "-N", node)

    def _start_again(self, node: str, *command: str) -> None:
        file = self.folder / "run" / f"slurmd.{node}.pid"
        process = int(file.read_text())
        os.kill(process, signal.SIGTERM)
        wait_until(f"slurmd of {node} to end", lambda: not is_alive(process))
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, env={**self.environment, "PATH": path}, check=False
        )
        if done.returncode:
            subprocess.run(["slurmd", "-N", node], env={**self.environment, "PATH": path}, timeout=30, check=True)
            pytest.skip(f"needs a mount namespace: {done.stderr.strip()}")
        idle = ("sinfo", "--noheader", f"--nodes={node}", "--partition=main", "--format=%T")
        wait_until(f"{node} to be idle", lambda: self.ask(*idle).strip() in ("idle", "mixed"))

    @contextlib.contextmanager
    def without_scheduler(self) -> Iterator[None]:
        """No answer from slurmctld while the block runs."""
        process = int((self.folder / "run" / "slurmctld.pid").read_text())
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)


@dataclass
class Project:
    """A config, its dataset and its outputs, in a folder whose name has spaces and quotes.

    Attributes:
        cluster: Where it is submitted.
        folder: Where everything lies.
        fake_seconds: How long a made-up video takes; None for MediaPipe.
        variables: Environment variables besides.
    """

    cluster: Cluster
    folder: Path
    fake_seconds: float | None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "my config's.yaml"

    @property
    def out(self) -> Path:
        return self.folder / 'out "put" it\'s'

    @property
    def environment(self) -> dict[str, str]:
        fake = {"FAKE_SECONDS": str(self.fake_seconds), "FAKE_LOG": str(self.folder / "begun.txt")}
        path = f"{REPO}:{HERE / 'fake'}"
        return {
            **self.cluster.environment,
            **(fake if self.fake_seconds is not None else {}),
            "PYTHONPATH": path,
            "FAKE_PYTHONPATH": path,
            "FAKE_PYTHON": sys.executable,
            "PATH": f"{HERE / 'fake'}:{os.environ['PATH']}",
            **self.variables,
        }

    def kpsbatch(
        self, command: str, *arguments: str, seconds: float = 60, config: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the package on the config, or on a folder of outputs."""
        return subprocess.run(
            [sys.executable, "-m", "kpsbatch", command, str(config or self.config), *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=self.environment,
            cwd=self.folder,
            check=False,
        )

    def make_image(self) -> None:
        """Put the package and its stand-in for MediaPipe into image.sif, a squashfs."""
        if missing := [name for name in ("squashfuse_ll", "mksquashfs") if shutil.which(name) is None]:
            pytest.skip(f"needs an image to mount; not installed: {', '.join(missing)} (scripts/ci-packages.sh)")
        (self.folder / "pages").write_bytes(os.urandom(32 << 20))
        content = [REPO / "kpsbatch", HERE / "fake" / "sitecustomize.py", self.folder / "pages"]
        options = ("-noD", "-quiet", "-no-progress")
        command = ["mksquashfs", *map(str, content), str(self.folder / "image.sif"), *options]
        subprocess.run(command, capture_output=True, timeout=60, check=True)

    def submit(self, *arguments: str) -> str:
        """Submit and return the first job's ID."""
        done = self.kpsbatch("submit", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        match = re.search(r"^jobs: +(\d+)", done.stdout, re.MULTILINE)
        assert match, done.stdout + done.stderr
        return match[1]

    def sbatch(self, *arguments: str) -> str:
        """Submit slurm/array.sh and return the job's ID."""
        command = ["sbatch", "--parsable", f"--chdir={self.folder}", "--cpus-per-task=1", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=self.environment, check=True)
        return done.stdout.strip()

    def runs(self) -> list[RunState]:
        """The state files of the newest submission, or of all runs where there is none."""
        submissions = list_submissions(self.out)
        runs = read_runs(self.out)
        return [run for run in runs if run.submission == submissions[-1].name] if submissions else runs

    def running(self) -> list[RunState]:
        """Runs that have begun with their videos."""
        return [run for run in self.runs() if run.state == "running" and run.videos]

    def units(self) -> set[str]:
        """The outputs that are there."""
        return {str(path.relative_to(self.out))[:-4] for path in self.out.glob("*-*/*.npz")}

    def begun(self) -> Counter[str]:
        """How often each made-up video was begun."""
        file = self.folder / "begun.txt"
        return Counter(file.read_text().splitlines() if file.exists() else ())

    def finish(self, job: str, seconds: float = 60) -> None:
        """Wait until a job has left the queue; a requeued job waits six seconds before it starts."""
        wait_until(f"job {job} to end", lambda: not self.cluster.jobs(job), seconds, self.describe)

    def describe(self) -> str:
        """What the tasks say, for a test that fails."""
        return f"{self.cluster.jobs()}\n{self.kpsbatch('logs', '-n', '30').stdout}"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A SLURM of three nodes with four cores each, whose arrays hold four tasks at most."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "srun") if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"needs a SLURM to bring up; not installed: {', '.join(missing)} (scripts/ci-packages.sh)")
    folder = tmp_path_factory.mktemp("slurm")
    sizes = {"NODES": str(NODES), "CPUS": str(CPUS), "MAX_ARRAY_SIZE": str(MAX_ARRAY_SIZE)}
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # ports of no other worker
    port = {"PORT_BASE": str(20_000 + 1500 * (worker % 8) + 100 * random.randrange(15))}
    try:
        subprocess.run([HERE / "up.sh", folder], env={**os.environ, **sizes, **port}, timeout=60, check=True)
        yield Cluster(folder)
    finally:
        subprocess.run([HERE / "down.sh", folder], timeout=60, check=False)


@pytest.fixture(scope="session")
def new_project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Makes a project of 2 signers, 2 splits, `signs` signs and `videos` videos in each unit."""

    def make(signs: int = 2, videos: int = 2, seconds: float = 0.5, config: str = CONFIG) -> Project:
        project = Project(cluster, tmp_path_factory.mktemp('a "b" it\'s c'), seconds)
        for signer in ("01", "02"):
            for split in ("train", "test"):
                for sign in range(1, signs + 1):
                    for video in range(videos):
                        (project.folder / "dataset" / signer / split / f"{sign:04}" / f"v{video}").mkdir(parents=True)
        project.config.write_text(config.format(signs=signs))
        return project

    return make
