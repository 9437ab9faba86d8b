"""A dress rehearsal: a dataset of KArSL's shape through `submit`, on a SLURM that loses nodes, pre-empts and cancels.

    python tests/slurm/rehearsal/rehearse.py [--minutes 30] [--signs 502] [--seed 18]

Needs slurmctld, slurmd and the client commands, no rights. Disturbs for so many minutes, lets the rest be done, and
counts what was lost, half-written or done twice; exit status 0 only if that is nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parents[2]
sys.path[1:1] = [str(REPO), str(HERE.parent)]

from checks import count_damage, is_whole  # noqa: E402
from conftest import Cluster  # noqa: E402
from dataset import SIGNERS, SIGNS, SPLITS, Dataset, write_dataset  # noqa: E402

NODES, CPUS, TASK_CPUS, MAX_ARRAY_SIZE = 3, 4, 2, 20
CHUNKS = 51
SETTLE_SECONDS = 1800.0
"""Hard limit of the time after the disturbances."""


class Rehearsal:
    """A cluster, a project on it, and what was done to them."""

    def __init__(self, folder: Path, dataset: Dataset, seed: int) -> None:
        self.folder, self.dataset = folder, dataset
        self.out, self.config, self.log = folder / "out", folder / "config.yaml", folder / "events.log"
        self.pace = folder / "pace"
        self.cluster = Cluster(folder / "slurm")
        self.draw = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.trouble: list[str] = []
        self.down: dict[str, float] = {}

    @property
    def environment(self) -> dict[str, str]:
        sbin = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        log = {"REHEARSAL_LOG": str(self.log), "REHEARSAL_PACE": str(self.pace)}
        return {**self.cluster.environment, "PATH": sbin, "PYTHONPATH": f"{REPO}:{HERE}", **log}

    def kpsbatch(self, command: str, *arguments: str, expect: tuple[int, ...]) -> str:
        """Run a command on the config; an exit status that is not expected is noted."""
        words = [sys.executable, "-m", "kpsbatch", command, str(self.config), *arguments]
        done = subprocess.run(
            words, capture_output=True, text=True, env=self.environment, cwd=self.folder, timeout=900, check=False
        )
        if done.returncode not in expect or "Traceback" in done.stderr:
            self.trouble.append(f"{command}: status {done.returncode}: {(done.stdout + done.stderr).strip()[-2000:]}")
        return done.stdout

    def slurm(self, *command: str) -> str:
        """Ask SLURM; what it refuses (a job that has just ended) is no failure."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=60, check=False)
        return done.stdout

    def jobs(self) -> list[tuple[str, str, str]]:
        """(ID, state, node) of our tasks."""
        lines = self.slurm("squeue", "--noheader", "--array", "--partition=main", "--format=%i %T %N").splitlines()
        return [tuple([*line.split(), ""][:3]) for line in lines]  # type: ignore[misc]

    def running(self) -> list[tuple[str, str]]:
        """(ID, node) of those that run."""
        return [(job, node) for job, state, node in self.jobs() if state == "RUNNING"]

    def submit(self) -> bool:
        """Submit what is left, sometimes twice at once; whether anything was left."""
        at_once = 2 if self.draw.random() < 0.4 else 1
        with ThreadPoolExecutor() as persons:
            expect = (0, 2) if at_once == 2 else (0,)
            said = list(persons.map(lambda _: self.kpsbatch("submit", expect=expect), range(at_once)))
        self.counts["submissions"] += sum("jobs:" in text for text in said)
        self.counts["two submits at once"] += at_once == 2
        return not any("Nothing to do" in text for text in said)

    def processes(self, module: bytes) -> list[int]:
        """Processes of our tasks that run a module."""
        mark, found = f"REHEARSAL_LOG={self.log}".encode(), []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark in environ.split(b"\0") and (not module or module in words.split(b"\0")):
                found.append(int(entry.name))
        return found

    # What can happen; each says whether there was anything to do it to.

    def crash_node(self) -> bool:
        """A node and all that runs there vanishes; the scheduler is told, or finds out by itself."""
        up = [f"n{number}" for number in range(1, NODES + 1) if f"n{number}" not in self.down]
        if len(up) == 1:
            return False
        node = self.draw.choice(up)
        subprocess.run([HERE.parent / "node_crash.sh", node, self.cluster.folder], capture_output=True, check=True)
        if self.draw.random() < 0.5:
            self.slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=rehearsal")
        self.down[node] = time.monotonic() + self.draw.uniform(5, 60)
        return True

    def raise_nodes(self, *, all_of_them: bool = False) -> None:
        """Start crashed nodes whose time has come."""
        for node in [node for node, at in self.down.items() if all_of_them or at < time.monotonic()]:
            subprocess.run(["slurmd", "-N", node], env=self.environment, timeout=60, check=True)
            del self.down[node]

    def pre_empt(self) -> bool:
        nodes = sorted({node for _, node in self.running()} - self.down.keys())
        if nodes:
            self.cluster.pre_empt(self.draw.choice(nodes))
        return bool(nodes)

    def signal_task(self) -> bool:
        def send(job: str) -> None:
            how = self.draw.choice([["--batch", "--signal=USR2"], ["--signal=USR2"], ["--signal=TERM"]])
            self.slurm("scancel", *how, job)

        return self._to_a_task(send)

    def requeue_task(self) -> bool:
        return self._to_a_task(lambda job: self.slurm("scontrol", "requeue", job))

    def cancel_task(self) -> bool:
        return self._to_a_task(lambda job: self.slurm("scancel", job))

    def cancel_all(self) -> bool:
        """A person gives up, waits for the queue, and starts again."""
        self.slurm("scancel", "--partition=main", "--user", str(os.getuid()))
        wait(lambda: not self.jobs(), 120)
        return True

    def kill_worker(self) -> bool:
        return self._kill(b"kpsbatch.work.worker")

    def kill_task(self) -> bool:
        """The Python process of a task alone, as the kernel does when memory runs out."""
        return self._kill(b"kpsbatch.cluster.task")

    def freeze_scheduler(self) -> bool:
        with self.cluster.without_scheduler():
            time.sleep(self.draw.uniform(2, 15))
        return True

    def submit_meanwhile(self) -> bool:
        """Refused while jobs are live."""
        self.kpsbatch("submit", expect=(0, 2))
        return True

    def look(self) -> bool:
        """The commands that read, in the middle of it; every output that is there must be whole."""
        self.kpsbatch("status", "--json", expect=(0,))
        self.kpsbatch("logs", "-n", "1", expect=(0,))
        there = sorted(self.out.glob("[!_.]*/*.npz"))
        for path in self.draw.sample(there, min(len(there), 50)):
            unit = str(path.relative_to(self.out))[:-4]
            if not is_whole(self.out, unit, path):
                self.trouble.append(f"in the middle: {unit} is not whole")
        return True

    def _to_a_task(self, do: Callable[[str], object]) -> bool:
        running = self.running()
        if running:
            do(self.draw.choice(running)[0])
        return bool(running)

    def _kill(self, module: bytes) -> bool:
        there = self.processes(module)
        if there:
            os.kill(self.draw.choice(there), signal.SIGKILL)
        return bool(there)

    def disturb(self) -> None:
        """One thing, by chance."""
        self.raise_nodes()
        kinds = {
            self.crash_node: 5, self.pre_empt: 5, self.signal_task: 4, self.requeue_task: 3, self.cancel_task: 3,
            self.cancel_all: 1, self.kill_worker: 3, self.kill_task: 3, self.freeze_scheduler: 1,
            self.submit_meanwhile: 1, self.look: 1,
        }  # fmt: skip
        [kind] = self.draw.choices(list(kinds), list(kinds.values()))
        try:
            self.counts[kind.__name__.replace("_", " ")] += kind()
        except (ProcessLookupError, subprocess.SubprocessError):
            pass  # it has just ended, or SLURM waits for a node that is gone

    def settle(self) -> None:
        """All nodes back, no pauses: let what is left be done, submitting again as a person would."""
        self.pace.write_text("0")
        self.raise_nodes(all_of_them=True)
        give_up = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < give_up:
            if not wait(lambda: not self.jobs(), give_up - time.monotonic()):
                break
            if not self.submit():
                return
        self.trouble.append(f"not done {SETTLE_SECONDS:g} s after the last disturbance: {self.jobs()[:10]}")

    def restarts(self) -> int:
        """How often tasks were started again."""
        files = self.out.glob("_kpsbatch/runs/*.json")
        return sum(int(json.loads(file.read_bytes()).get("restarts", 0)) for file in files)


def wait(happened: Callable[[], bool], seconds: float) -> bool:
    give_up = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.5)
    return True


def prepare(folder: Path, signs: int, seed: int, minutes: float) -> Rehearsal:
    dataset = write_dataset(folder / "dataset", signs)
    this = Rehearsal(folder, dataset, seed)
    this.config.write_text(
        f"dataset: {{root: dataset, signers: {json.dumps(SIGNERS)}, splits: [{', '.join(SPLITS)}], signs: 1-{signs}}}\n"
        "landmarks: {parts: [pose], running_mode: image}\noutput: {root: out}\n"
        f"run: {{chunk_size: {-(-signs // CHUNKS)}, max_attempts: 3}}\n"
        f"slurm: {{time: 4, cpus_per_task: {TASK_CPUS}, array_parallelism: 6}}\n"
    )
    # at this pace an undisturbed run takes most of the time
    this.pace.write_text(f"{0.6 * minutes * 60 * NODES * CPUS / dataset.videos:.4f}")
    return this


def rehearse(this: Rehearsal, minutes: float) -> None:
    """Disturb for so long, then let it end."""
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        if not this.jobs() and not this.submit():
            break
        time.sleep(this.draw.uniform(2, 10))
        this.disturb()
    this.settle()


def judge(this: Rehearsal) -> Counter[str]:
    """Count the damage, and see that the product's own commands agree."""
    wait(lambda: not this.processes(b""), 30)
    this.kpsbatch("run", "--quiet", expect=(0,))  # with nothing to do; it removes what killed runs left
    damage = count_damage(this.dataset, this.out, this.log)
    damage["processes left"] = len(this.processes(b""))
    verdict = json.loads(this.kpsbatch("verify", "--json", expect=(0,)) or "{}")
    damage["problems by verify"] = len(verdict.get("problems", [0])) + len(verdict.get("left", [0]))
    damage["units that verify misses"] = len(this.dataset.units) - verdict.get("units", 0)
    status = json.loads(this.kpsbatch("status", "--json", expect=(0,)) or "{}")
    damage["units that status misses"] = len(this.dataset.units) - status.get("all", {}).get("complete", 0)
    damage["commands that failed"] = len(this.trouble)
    return damage


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--signs", type=int, default=SIGNS)
    parser.add_argument("--seed", type=int, default=18)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    this = prepare(folder, arguments.signs, arguments.seed, arguments.minutes)
    print(f"{len(this.dataset.units)} units, {this.dataset.videos} videos, seed {arguments.seed}: {folder}", flush=True)
    sizes = {"NODES": NODES, "CPUS": CPUS, "MAX_ARRAY_SIZE": MAX_ARRAY_SIZE}
    sizes["PORT_BASE"] = random.randrange(330, 450) * 100
    started = time.monotonic()
    try:
        settings = {name: str(value) for name, value in sizes.items()}
        subprocess.run([HERE.parent / "up.sh", this.cluster.folder], env=os.environ | settings, timeout=60, check=True)
        rehearse(this, arguments.minutes)
    finally:
        subprocess.run([HERE.parent / "down.sh", this.cluster.folder], timeout=120, check=False)
    damage = judge(this)
    begun = sum(line.startswith("begun") for line in this.log.read_text().splitlines())
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; {this.restarts()} starts over; videos begun: {begun}")
    print("disturbed: " + ", ".join(f"{count} x {what}" for what, count in sorted(this.counts.items())))
    print("damage: " + ", ".join(f"{count} {what}" for what, count in damage.items()))
    print("\n".join(this.trouble))
    if any(damage.values()):
        print(f"kept: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
