"""What a batch script contains: sbatch's parameters, the shell lines around the task, the command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from kpsbatch.cluster.container import interpreter, package_parent
from kpsbatch.cluster.task import signal_delay
from kpsbatch.config import Config
from kpsbatch.errors import SubmitError
from kpsbatch.store.submissions import Plan

BATCH_SHELL = Path(__file__).with_name("batch.sh")
"""The shell functions around a task, which slurm/array.sh uses too."""

SUBMITIT_VARIABLES = {"SUBMITIT_LOG_LEVEL": "WARNING", "SUBMITIT_PREEMPT_SIGNAL": "USR1"}
"""For tasks: submitit logs warnings only, and leaves the signal USR2 to the task."""


def refuse_unusable(config: Config) -> None:
    """Refuse paths that no batch job could use: SLURM expands % and backslashes in the names of logs.

    Raises:
        SubmitError: Names the setting.
    """
    if bad := re.search(r"[%\\]|[^\S ]", str(config.output.root)):
        raise SubmitError(
            f"output.root: {str(config.output.root)!r} contains {bad[0]!r}, which SLURM expands. Choose another folder."
        )
    if config.slurm.container is not None and not config.slurm.container.exists():
        raise SubmitError(f"slurm.container: {config.slurm.container} does not exist. Build it, or correct the path.")
    image = config.slurm.dataset_image
    if image is not None and not image.exists():
        raise SubmitError(f"slurm.dataset_image: {image} does not exist. Make it (mksquashfs), or correct the path.")


def parameters(config: Config, logs: Path, job_name: str, after: str = "") -> dict[str, Any]:
    """submitit's parameters; what is None is left out of the script.

    Args:
        logs: The folder of the logs, which a container sees too.
        job_name: The name of the jobs.
        after: The job that must have ended before, or "".
    """
    slurm = config.slurm
    extra = dict(slurm.extra)
    if after:
        first = f"{extra['dependency']}," if "dependency" in extra else ""
        extra["dependency"] = f"{first}afterany:{after}"
    return {
        "job_name": job_name,
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
        "setup": _setup(config, logs),
        "additional_parameters": {"requeue": True, "signal": f"B:USR2@{signal_delay(slurm.time)}", **extra},
    }


def step_command(config: Config, plan: Plan) -> str:
    """The shell words that start the interpreter in a step of the job."""
    python = interpreter(config, '"$apptainer"', plan.mounts)
    return f"run_task srun --ntasks=1 --cpus-per-task={config.slurm.cpus_per_task} {python}"


def _setup(config: Config, logs: Path) -> list[str]:
    """Shell lines before the command."""
    lines = [
        f'export KPSBATCH_PID_FILE={shlex.quote(str(logs))}"/$SLURM_JOB_ID.pid"',
        'export KPSBATCH_LOG="$(readlink -f "/proc/$$/fd/1")"',
        *(f"export {name}={value}" for name, value in SUBMITIT_VARIABLES.items()),
        *BATCH_SHELL.read_text(encoding="utf-8").splitlines()[1:],  # without the line for shellcheck
    ]
    if config.slurm.container is not None:
        lines += [
            'apptainer="$(command -v apptainer || command -v singularity || echo apptainer)"',
            "export PYTHONNOUSERSITE=1",
            "unset PYTHONPATH PYTHONHOME",
        ]
    elif parent := package_parent():
        lines.append(f'export PYTHONPATH={shlex.quote(parent)}"${{PYTHONPATH:+:$PYTHONPATH}}"')
    return [*lines, *config.slurm.setup]
