"""Submitting a plan: to SLURM as job arrays, or to this machine, shard after shard. The only import of submitit."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError
from submitit.slurm.slurm import _make_sbatch_string

import kpsbatch
from kpsbatch.cluster.task import run_shard, signal_delay
from kpsbatch.config import Config
from kpsbatch.errors import SubmitError
from kpsbatch.store.run_state import Origin, read_run, read_runs
from kpsbatch.store.submissions import Plan, plan_folder, write_jobs, write_plan
from kpsbatch.work.signals import StopRequest

COMMAND_SECONDS = 120
POLL_SECONDS = 0.5
LOG_LEVEL = "WARNING"
"""Of submitit, in the logs of tasks."""
REQUEUE = """\
status=$?
case $status in
  3 | 140 | 143) # interrupted, or hit by the signal while it started: go on later, unless the job was cancelled
    job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
    state=$(squeue --noheader --jobs="$job" --format=%T)
    if [ "$state" = RUNNING ]; then scontrol requeue "$job"; fi
    ;;
esac
exit $status"""


class Task:
    """One shard of a submission, in the form that submitit pickles."""

    def __init__(self, folder: str, shard: int) -> None:
        self.folder, self.shard = folder, shard

    def __call__(self) -> None:
        """Do the shard; ends the process with its exit status, unless that is 0."""
        if status := run_shard(Path(self.folder), self.shard):
            sys.exit(status)

    def checkpoint(self) -> DelayedSubmission:
        """What to start again after a signal: the same; all that is finished is in the output files."""
        return DelayedSubmission(self)


@dataclass(frozen=True)
class Submitted:
    """What was submitted: IDs of jobs (of arrays, where they are arrays), and the folder of the plan."""

    jobs: tuple[str, ...]
    folder: Path


def choose_cluster(asked: str | None) -> str:
    """`slurm` or `local`: as asked, else slurm where sbatch is.

    Raises:
        SubmitError: Nothing was asked for and there is no sbatch.
    """
    if asked is None and shutil.which("sbatch") is None:
        raise SubmitError(
            "sbatch must be on the PATH to submit to SLURM (it is not); log in to the cluster, or take this machine: "
            "--cluster local"
        )
    return asked or "slurm"


def job_name(root: Path) -> str:
    """The name of the jobs for an output folder: what finds them again, whoever submitted them."""
    return f"kpsbatch-{hashlib.sha256(bytes(root.resolve())).hexdigest()[:8]}"


def refuse_live(root: Path, cluster: str) -> None:
    """Refuse to submit while something works on the same output; asks squeue once, where it is.

    Raises:
        SubmitError: Names the jobs or processes; or SLURM is to be used and doesn't answer.
    """
    runs = read_runs(root)
    live: list[str] = []
    try:
        live += _live_jobs(root, {run.job for run in runs})
    except SubmitError:
        if cluster == "slurm":
            raise
    live += [f"process {run.pid}" for run in runs if not run.job and run.is_alive_here]
    if live:
        raise SubmitError(
            f"nothing else may work on the same output: {'; '.join(live)} on {root}; wait, cancel (scancel, kill), "
            "or --force"
        )


def _live_jobs(root: Path, known: Collection[str | None]) -> list[str]:
    """Jobs for an output folder that SLURM knows: by the name that `submit` gives, or `array.sh` and a known ID."""
    if shutil.which("squeue") is None:
        return []
    own = job_name(root)
    jobs: dict[str, Counter[str]] = {}
    for line in _ask(["squeue", "--noheader", "--array", f"--name={own},kpsbatch", "--format=%F %T %j"]).splitlines():
        job, state, name = [*line.split(maxsplit=2), "", ""][:3]
        if name.strip() == own or job in known:
            jobs.setdefault(job, Counter())[state.lower()] += 1
    return [
        f"job {job} ({', '.join(f'{count} {state}' for state, count in states.items())})"
        for job, states in jobs.items()
    ]


def array_sizes(shards: int) -> list[int]:
    """Cut a number of shards into arrays that the cluster accepts; asks scontrol once, when there are several."""
    if shards < 2:
        return [1] * shards
    match = None
    if shutil.which("scontrol"):
        match = re.search(r"^MaxArraySize\s*=\s*([0-9]+)", _ask(["scontrol", "show", "config"]), re.MULTILINE)
    most = max(1, int(match[1])) if match else 1001
    return [min(most, shards - start) for start in range(0, shards, most)]


def batch_script(config: Config, plan: Plan, tasks: int, after: str = "") -> str:
    """The script that sbatch gets for an array of `tasks` tasks, as submitit writes it.

    Raises:
        SubmitError: The output root or the container is none that a batch job could use.
    """
    _refuse_paths(config)
    logs = _logs(config, plan)
    command = f"{_python(config)} -u -m submitit.core._submit {shlex.quote(str(logs))}"
    array = {"map_count": tasks} if tasks > 1 else {}
    return str(_make_sbatch_string(command=command, folder=logs, **_parameters(config, after), **array))


def submit_slurm(config: Config, plan: Plan) -> Submitted:
    """Submit a plan as one job array, or several of which each waits for the one before.

    Raises:
        SubmitError: The cluster refuses, with its reason; what was accepted before is named.
        OutputError: The plan can't be written.
    """
    _refuse_paths(config)
    sizes = array_sizes(len(plan.shards))
    if shutil.which("srun") is None:
        raise SubmitError("sbatch and srun must be on the PATH (srun is not); log in to the cluster")
    folder = write_plan(config, plan)
    executor = submitit.SlurmExecutor(_logs(config, plan), python=_python(config))
    tasks = [Task(str(folder), number) for number in range(len(plan.shards))]
    jobs: list[str] = []
    arrays: list[str] = []
    for size in sizes:
        executor.parameters.clear()
        executor.update_parameters(**_parameters(config, arrays[-1] if arrays else ""))
        try:
            with _outside_of_jobs(), contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
                accepted = executor.submit_array(tasks[len(jobs) : len(jobs) + size])
        except (FailedJobError, RuntimeError, OSError) as error:
            before = f" (jobs {', '.join(arrays)} were accepted and run)" if arrays else ""
            if not arrays:
                shutil.rmtree(folder, ignore_errors=True)
            said = " ".join(str(error).split()) or type(error).__name__
            raise SubmitError(
                f"sbatch must accept the job{before}: {said}; mend the slurm section, submit again"
            ) from None
        jobs += [job.job_id for job in accepted]
        arrays.append(jobs[-1].partition("_")[0])
        write_jobs(folder, "slurm", jobs)
    return Submitted(tuple(arrays), folder)


def submit_local(
    config: Config,
    plan: Plan,
    *,
    on_start: Callable[[Path], None] = lambda folder: None,
    on_wait: Callable[[int], None] = lambda shard: None,
    on_end: Callable[[int, int], None] = lambda shard, status: None,
    stop: StopRequest,
) -> int:
    """Run a plan here, one shard after another, each in processes of its own.

    Args:
        config: The config.
        plan: What to do.
        on_start: Told the folder of the plan.
        on_wait: Told a few times a second which shard is running.
        on_end: Told a shard and its exit status.
        stop: Asked for a reason to stop.

    Returns:
        The exit status: 0, 1 when videos failed, 2 when a shard could not work at all, 3 when interrupted.
    """
    folder = write_plan(config, plan)
    on_start(folder)
    parent = _package_parent()
    variables = [f"SUBMITIT_LOG_LEVEL={LOG_LEVEL}", *([f"PYTHONPATH={parent}"] if parent else [])]
    python = f"env {shlex.join(variables)} {_interpreter(config)}"
    executor = submitit.LocalExecutor(_logs(config, plan), python=python)
    executor.update_parameters(timeout_min=60 * 24 * 3650, stderr_to_stdout=True)
    jobs: list[str] = []
    worst = 0
    for number in range(len(plan.shards)):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for this process alone
        try:
            job = executor.submit(Task(str(folder), number))
        finally:
            signal.signal(signal.SIGINT, before)
        jobs.append(job.job_id)
        write_jobs(folder, "local", jobs)
        _wait_local(job, functools.partial(on_wait, number), stop)
        status = _exit_status(config, plan, number, job)
        on_end(number, status)
        worst = max(worst, status)
        if status >= 2:
            break
    return worst


def _wait_local(job: Any, on_wait: Callable[[], None], stop: StopRequest) -> None:
    """Wait for a shard's process, and stop it when asked."""
    controller = job._process
    ask_again = 0.0
    try:
        while controller.poll() is None:
            if stop() and time.monotonic() > ask_again:
                controller.send_signal(signal.SIGTERM)  # submitit's controller passes it on
                ask_again = time.monotonic() + 2
            on_wait()
            time.sleep(POLL_SECONDS)
    except BaseException:
        controller.send_signal(signal.SIGTERM)
        raise


def _exit_status(config: Config, plan: Plan, number: int, job: Any) -> int:
    """How a local shard ended, from its files: submitit's controller doesn't tell."""
    if job.paths.result_pickle.exists():
        return 0
    run = read_run(config.output.root, Origin(plan.id, number))
    return {"finished": 1, "interrupted": 3}.get(run.state if run else "", 2)


def _logs(config: Config, plan: Plan) -> Path:
    return plan_folder(config.output.root, plan) / "logs"


def _refuse_paths(config: Config) -> None:
    """SLURM expands % and backslashes in the names of logs, and a script's parameters are lines."""
    if bad := re.search(r"[%\\]|[^\S ]", str(config.output.root)):
        raise SubmitError(
            f"output.root must not contain {bad[0]!r} for SLURM (got {str(config.output.root)!r}); choose another"
        )
    if config.slurm.container is not None and not config.slurm.container.exists():
        raise SubmitError(
            f"slurm.container must be an Apptainer image: {config.slurm.container} does not exist; build it, or "
            "mend slurm.container"
        )


def _parameters(config: Config, after: str) -> dict[str, Any]:
    """submitit's parameters; what is None is left out of the script."""
    slurm = config.slurm
    extra = dict(slurm.extra)
    if after:
        first = f"{extra['dependency']}," if "dependency" in extra else ""
        extra["dependency"] = f"{first}afterany:{after}"
    signal_at = f"USR2@{signal_delay(slurm.time)}"
    return {
        "job_name": job_name(config.output.root),
        "time": slurm.time,
        "cpus_per_task": slurm.cpus_per_task,
        "mem": slurm.mem,
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "constraint": slurm.constraint,
        "array_parallelism": slurm.array_parallelism,
        "wckey": None,
        "use_srun": False,  # the command has its own srun: without a pseudo-terminal, with the right number of cores
        "stderr_to_stdout": True,
        "setup": _setup(config),
        "teardown": REQUEUE.splitlines(),
        "additional_parameters": {"requeue": True, "signal": signal_at, **extra},
    }


def _setup(config: Config) -> list[str]:
    """Shell lines before the command."""
    lines = [
        "trap : USR2 TERM  # the task stops by itself; this shell has to outlive it",
        f"export SUBMITIT_LOG_LEVEL={LOG_LEVEL}",
        'export KPSBATCH_LOG="$(readlink -f "/proc/$$/fd/1")"',
    ]
    if config.slurm.container is not None:
        lines += [
            'apptainer="$(command -v apptainer || command -v singularity || echo apptainer)"',
            "export PYTHONNOUSERSITE=1",
            "unset PYTHONPATH PYTHONHOME",
        ]
    elif parent := _package_parent():
        lines.append(f'export PYTHONPATH={shlex.quote(parent)}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    return [*lines, *config.slurm.setup]


def _python(config: Config) -> str:
    """The shell words that start the interpreter in a step of the job; signals of SLURM go to steps."""
    interpreter = _interpreter(config, apptainer='"$apptainer"')
    return f"srun --ntasks=1 --cpus-per-task={config.slurm.cpus_per_task} {interpreter}"


def _interpreter(config: Config, apptainer: str = "") -> str:
    """This interpreter, or the container's; the container sees the dataset, the outputs and the models."""
    slurm = config.slurm
    if slurm.container is None:
        return shlex.quote(sys.executable)
    program = apptainer or shlex.quote(shutil.which("apptainer") or shutil.which("singularity") or "apptainer")
    mounts = [(config.dataset.root, True), (config.output.root, False)]
    if config.landmarks.models is not None:
        mounts.append((config.landmarks.models, True))
    options = " ".join(f"--mount {shlex.quote(_mount(path, read_only))}" for path, read_only in mounts)
    return f"{program} exec {options} {shlex.quote(str(slurm.container))} python"


def _mount(path: Path, read_only: bool) -> str:
    """A path at its own place in a container, as a line of CSV, which is how Apptainer reads it."""
    line = io.StringIO()
    fields = ["type=bind", f"source={path}", f"destination={path}", *(["ro"] if read_only else [])]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def _package_parent() -> str:
    """The folder of a checkout; "" for an installed package."""
    parent = Path(kpsbatch.__file__).resolve().parent.parent
    return "" if parent.name in ("site-packages", "dist-packages") else str(parent)


@contextlib.contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Hide an interactive job's variables, which a new job would inherit; settings of SLURM and sbatch stay."""
    of_job = [key for key in os.environ if re.match(r"SLURMD?_", key) and key not in ("SLURM_CONF", "SLURM_CLUSTERS")]
    hidden = {key: os.environ.pop(key) for key in of_job} if "SLURM_JOB_ID" in os.environ else {}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _ask(command: Sequence[str]) -> str:
    """Run a command of SLURM and return what it says.

    Raises:
        SubmitError: It fails, or doesn't answer.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        said = f"nothing within {COMMAND_SECONDS} s"
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or f"exit status {error.returncode}"
    except OSError as error:
        said = str(error)
    else:
        return done.stdout
    raise SubmitError(f"SLURM must answer {command[0]} (got {said}); try again later")
