"""SLURM: submits a plan as job arrays, through submitit, and lists the live jobs of an output folder."""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kpsbatch.cluster.cost import megabytes
from kpsbatch.cluster.queue import ask_slurm, job_name
from kpsbatch.cluster.script import parameters, refuse_unusable, step_command
from kpsbatch.config import Config, parse_time
from kpsbatch.errors import SubmitError, one_line
from kpsbatch.files import INTERNAL, explained
from kpsbatch.store.submissions import Plan, plan_folder, write_jobs, write_plan

if TYPE_CHECKING:
    import submitit

PROBE_SECONDS = 20
PROBE_EXTRA = ("exclude", "nodelist", "reservation", "gres")
"""Parameters in `slurm.extra` that say which nodes a job may have."""


@dataclass(frozen=True)
class Submitted:
    """What was submitted: IDs of jobs (of arrays, where they are arrays), and the folder of the plan."""

    jobs: tuple[str, ...]
    folder: Path


class Partition(NamedTuple):
    """Nodes of a partition: its name, and the time limit, the cores and the MB of a node as sinfo writes them."""

    name: str
    limit: str
    cores: str
    memory: str = ""

    @property
    def node_cores(self) -> int:
        """The cores of the smallest such node; 0 where that can't be read."""
        return _leading(self.cores)

    @property
    def node_megabytes(self) -> int:
        """The memory of the smallest such node; 0 where that can't be read."""
        return _leading(self.memory)

    @property
    def minutes(self) -> int | None:
        """The time limit; None where there is no limit, or none that can be read."""
        return _minutes(self.limit)


def submit(config: Config, plan: Plan) -> Submitted:
    """Submit a plan as one job array, or several of which each waits for the one before.

    Raises:
        SubmitError: The cluster refuses, with its reason; what was accepted before is named.
        OutputError: The plan can't be written.
    """
    refuse_unusable(config)
    sizes = array_sizes(len(plan.shards))
    if shutil.which("srun") is None:
        raise SubmitError("srun is not on the PATH. Log in to the cluster.")
    folder = write_plan(config, plan)
    name = job_name(config.output.root)
    jobs: list[str] = []
    arrays: list[str] = []
    for size in sizes:
        try:
            with _outside_of_jobs(), private_folder() as scratch:
                after = arrays[-1] if arrays else ""
                accepted = _submit_array(config, plan, scratch, name, len(jobs), size, after)
        except (RuntimeError, OSError) as error:
            reason = one_line(error)
            if not arrays:
                shutil.rmtree(folder, ignore_errors=True)
                raise SubmitError(
                    f"sbatch refused the job: {reason}. Correct the slurm section, then submit again."
                ) from None
            write_jobs(folder, "slurm", jobs, f"sbatch refused: {reason}")
            raise SubmitError(
                f"sbatch refused {len(plan.shards) - len(jobs)} of {len(plan.shards)} shards: {reason}. Jobs "
                f"{', '.join(arrays)} run; submit again when they are done."
            ) from None
        jobs += [job.job_id for job in accepted]
        arrays.append(jobs[-1].partition("_")[0])
        write_jobs(folder, "slurm", jobs)
    return Submitted(tuple(arrays), folder)


def batch_scripts(config: Config, plan: Plan) -> list[str]:
    """The scripts that `submit` would give to sbatch, an array each; nothing is submitted and no output written.

    submitit gives them to a stand-in for sbatch.

    Raises:
        SubmitError: The output root or the container is none that a batch job could use.
    """
    refuse_unusable(config)
    sizes = array_sizes(len(plan.shards))
    name = job_name(config.output.root)
    scripts = []
    for number, size in enumerate(sizes):
        after = f"<job {number}>" if number else ""
        with private_folder() as scratch, _stand_in_for_sbatch(scratch / "bin"):
            try:
                job = _submit_array(config, plan, scratch, name, sum(sizes[:number]), size, after)[0]
            except (RuntimeError, OSError) as error:
                raise SubmitError(
                    f"--dry-run: no program can run in {tempfile.gettempdir()}: {error}. Set TMPDIR to a folder where "
                    "that is allowed."
                ) from None
            scripts.append(job.paths.submission_file.read_text(encoding="utf-8"))
    return scripts


def live(root: Path, known: Collection[str]) -> list[str]:
    """Live jobs of an output folder: by the name that `submit` gives, or `array.sh` and a known ID.

    Raises:
        SubmitError: squeue is installed and fails.
    """
    if shutil.which("squeue") is None:
        return []
    own = job_name(root)
    jobs: dict[str, Counter[str]] = {}
    answer = ask_slurm("squeue", "--noheader", "--array", f"--name={own},kpsbatch", "--format=%F %T %j")
    for line in answer.splitlines():
        job, state, name = [*line.split(maxsplit=2), "", ""][:3]
        if name.strip() == own or job in known:
            jobs.setdefault(job, Counter())[state.lower()] += 1
    return [
        f"job {job} ({', '.join(f'{count} {state}' for state, count in states.items())})"
        for job, states in jobs.items()
    ]


def is_seen(config: Config) -> bool | None:
    """Whether a node of the cluster sees the output folder: one looks for a file that is made there for it.

    Calls srun once, for a job of one core and one minute with the partition, account and nodes of the config.

    Returns:
        None where no node answers within `PROBE_SECONDS`, as on a cluster that is full.

    Raises:
        OutputError: The file can't be made.
    """
    slurm = config.slurm
    options = {
        "ntasks": "1",
        "cpus-per-task": "1",
        "time": "1",
        "immediate": str(PROBE_SECONDS),
        "chdir": "/",
        "job-name": "kpsbatch-probe",
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "constraint": slurm.constraint,
        **{name: value for name, value in slurm.extra.items() if name in PROBE_EXTRA},
    }
    with explained(config.output.root):
        mark = config.output.root / INTERNAL / f"seen-{secrets.token_hex(4)}"
        mark.touch(exist_ok=False)
    try:
        with _outside_of_jobs():
            words = [f"--{name}={value}" for name, value in options.items() if value]
            answer = ask_slurm(
                "srun", "--quiet", *words, "sh", "-c", 'test -e "$1" && echo seen || echo none', "sh", str(mark)
            )
    except SubmitError:
        return None
    finally:
        mark.unlink(missing_ok=True)
    return {"seen": True, "none": False}.get(answer.strip())


def known_partitions(config: Config) -> list[Partition]:
    """The nodes that jobs of a config may use; none where sinfo is not installed, or fails. Calls it once."""
    if shutil.which("sinfo") is None:
        return []
    with contextlib.suppress(SubmitError):
        return partitions(config.slurm.partition)
    return []


def limit_warnings(config: Config, rows: Sequence[Partition]) -> list[str]:
    """Why the jobs of this config might wait for ever: more time, cores or memory than the partition's nodes give.

    Args:
        rows: From `known_partitions`; there are no warnings without.
    """
    slurm = config.slurm
    if not rows:
        return []
    where = ", ".join(sorted({row.name for row in rows}))
    warnings = []
    cores = [row.node_cores for row in rows if row.node_cores]
    if len(cores) == len(rows) and slurm.cpus_per_task > max(cores):
        warnings.append(
            f"slurm.cpus_per_task: no node of partition {where} has {slurm.cpus_per_task} cores (at most "
            f"{max(cores)}), so that the jobs may wait for ever. Lower it, or choose another slurm.partition."
        )
    memory = [row.node_megabytes for row in rows if row.node_megabytes]
    if slurm.mem is not None and len(memory) == len(rows) and megabytes(slurm.mem) > max(memory):
        warnings.append(
            f"slurm.mem: no node of partition {where} has {slurm.mem} (at most {max(memory)}M), so that the jobs may "
            "wait for ever. Lower it, or choose another slurm.partition."
        )
    limits = [limit for limit in (row.minutes for row in rows) if limit is not None]
    if len(limits) == len(rows) and slurm.time > max(limits):
        warnings.append(
            f"slurm.time: {slurm.time} minutes are more than partition {where} allows ({max(limits)}), so that the "
            "jobs may wait for ever. Lower it, or choose another slurm.partition."
        )
    return warnings


def partitions(name: str | None) -> list[Partition]:
    """Nodes of a partition, or of the default one, as sinfo groups them by cores and time limit.

    Raises:
        SubmitError: sinfo fails.
    """
    chosen = [f"--partition={name}"] if name else []
    answer = ask_slurm("sinfo", "--noheader", "--exact", "--format=%P|%l|%c|%m", *chosen)
    rows = [line.strip().split("|") for line in answer.splitlines() if line.count("|") in (2, 3)]
    return [Partition(row[0].rstrip("*"), *row[1:]) for row in rows if name or row[0].endswith("*")]


def array_sizes(shards: int) -> list[int]:
    """Cut a number of shards into arrays that the cluster accepts; calls scontrol once, when there are several."""
    if shards < 2:
        return [1] * shards
    most = max_array_size()
    return [min(most, shards - start) for start in range(0, shards, most)]


def max_array_size() -> int:
    """Tasks that an array may have, as scontrol says; SLURM's default where there is no scontrol.

    Raises:
        SubmitError: scontrol fails.
    """
    match = None
    if shutil.which("scontrol"):
        match = re.search(r"^MaxArraySize\s*=\s*([0-9]+)", ask_slurm("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(match[1])) if match else 1001


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of this user's own (mode 0700) while the block runs, for the files that submitit can't do without.

    They are a script, which sbatch copies, and pickles, which nobody reads.

    Raises:
        SubmitError: It can't be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="kpsbatch-", ignore_cleanup_errors=True)
    except OSError as error:
        raise SubmitError(f"no temporary folder can be made: {error.strerror}. Set TMPDIR to one.") from None
    with folder as path:
        yield Path(path)


def _submit_array(
    config: Config, plan: Plan, scratch: Path, name: str, first: int, size: int, after: str
) -> list[submitit.Job[None]]:
    """Submit the shards from `first` on as one array; raises RuntimeError with the error text of sbatch."""
    import submitit  # here: `run` and `check` ask SLURM and submit nothing

    logs = plan_folder(config.output.root, plan) / "logs"
    with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
        executor = submitit.SlurmExecutor(scratch, python=step_command(config, plan, first))
        executor.update_parameters(**parameters(config, logs, name, after=after))
        jobs: list[submitit.Job[None]] = executor.submit_array([nothing] * size)
    return jobs


def nothing() -> None:
    """What submitit is given to pickle: what a task does is in the script."""


@contextlib.contextmanager
def _stand_in_for_sbatch(folder: Path) -> Iterator[None]:
    """Let `sbatch` be a program that submits nothing; no other program can be found meanwhile."""
    folder.mkdir()
    for name in ("sbatch", "srun"):
        (folder / name).write_text("#!/bin/sh\necho Submitted batch job 1\n")
        (folder / name).chmod(0o755)
    path = os.environ.get("PATH")
    os.environ["PATH"] = str(folder)
    try:
        yield
    finally:
        del os.environ["PATH"]
        if path is not None:
            os.environ["PATH"] = path


@contextlib.contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Hide an interactive job's variables, which a new job would inherit; settings of SLURM and sbatch stay."""
    of_job = [key for key in os.environ if re.match(r"SLURMD?_", key) and key not in ("SLURM_CONF", "SLURM_CLUSTERS")]
    hidden = {key: os.environ.pop(key) for key in of_job} if "SLURM_JOB_ID" in os.environ else {}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _leading(text: str) -> int:
    """The number that a text begins with, such as 8 of `8+`; 0 for none."""
    match = re.match("[0-9]+", text)
    return int(match[0]) if match else 0


def _minutes(limit: str) -> int | None:
    """A partition's time limit in minutes; None where there is no limit, or none that can be read."""
    try:
        return parse_time(limit)
    except ValueError:
        return None
