"""What a batch script contains: sbatch's parameters, the shell lines around the task, the command.

The interpreter of a task is this one, or one in an Apptainer image, with the paths that the task needs mounted.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kpsbatch.cluster.task import signal_delay
from kpsbatch.config import Config
from kpsbatch.errors import SubmitError
from kpsbatch.startup import module_words, package_parent
from kpsbatch.store.submissions import Plan, digest_of, frozen_files, plan_folder

BATCH_SHELL = Path(__file__).with_name("batch.sh")
"""The shell functions around a task, which slurm/array.sh uses too."""

LOG_NAME = '"/${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}_0_log.out"'
"""The log of a job as the shell names it: see `log_file`."""


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


def parameters(config: Config, logs: Path, job_name: str, *, after: str = "") -> dict[str, Any]:
    """submitit's parameters; what is None is left out of the script.

    Args:
        logs: The folder of the logs, which a container sees too.
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
        "additional_parameters": {
            "output": "/dev/null",  # until the script writes its log: see write_log in batch.sh
            "requeue": True,
            "signal": f"B:USR2@{signal_delay(slurm.time)}",
            **extra,
        },
    }


def step_command(config: Config, plan: Plan, first: int) -> str:
    """The shell words that do a shard in a step of the job.

    submitit puts its own behind them, which would load a pickle from its folder: for the shell they are a comment.

    Args:
        first: The shard of the array's first task.
    """
    srun = f"srun --ntasks=1 --cpus-per-task={config.slurm.cpus_per_task}"
    number = f'"$(({first} + ${{SLURM_ARRAY_TASK_ID:-0}}))"'
    task = task_command(config, plan, number, '"$apptainer"')
    return f"run_task {srun} {task} #"


def task_command(config: Config, plan: Plan, number: str, apptainer: str = "") -> str:
    """The shell words that do a shard: the interpreter, the submission's folder, the shard, and what it may read there.

    Args:
        number: A shell word for the shard.
        apptainer: A shell word for Apptainer; default what is on the PATH here.
    """
    python = interpreter(config, apptainer, plan.mounts)
    words = [*module_words("kpsbatch.cluster.task"), str(plan_folder(config.output.root, plan))]
    return f"{python} {shlex.join(words)} {number} {digest_of(frozen_files(config, plan))}"


def _setup(config: Config, logs: Path) -> list[str]:
    """Shell lines before the command."""
    lines = [
        f'export KPSBATCH_PID_FILE={shlex.quote(str(logs))}"/$SLURM_JOB_ID.pid"',
        *BATCH_SHELL.read_text(encoding="utf-8").splitlines()[1:],  # without the line for shellcheck
        "task_says_id=yes",
        f"KPSBATCH_LOG={shlex.quote(str(logs))}{LOG_NAME}",
        f'write_log "$KPSBATCH_LOG" {shlex.quote(str(config.slurm.extra.get("exclude", "")))}',
        "export KPSBATCH_LOG",
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


def interpreter(config: Config, apptainer: str = "", mounts: Sequence[Path] = ()) -> str:
    """Shell words that start Python; in a container with the dataset, the outputs and the models mounted.

    Args:
        apptainer: A shell word for Apptainer; default what is on the PATH here.
        mounts: What else the container sees, read-only.
    """
    slurm = config.slurm
    if slurm.container is None:
        return shlex.quote(sys.executable)
    program = apptainer or shlex.quote(shutil.which("apptainer") or shutil.which("singularity") or "apptainer")
    dataset = _mount(config.dataset.root, "ro")
    if slurm.dataset_image is not None:
        dataset = _mount(config.dataset.root, "image-src=/", "ro", source=slurm.dataset_image)
    besides = _read_besides(config)
    outer = [_mount(path, "ro") for path in mounts if path not in besides]  # first: they can hold the others
    inner = [dataset, _mount(config.output.root), *(_mount(path, "ro") for path in besides)]
    options = " ".join(f"--mount {shlex.quote(mount)}" for mount in (*outer, *inner))
    return f"{program} exec {options} {shlex.quote(str(slurm.container))} python"


def _read_besides(config: Config) -> list[Path]:
    """What a task reads outside of the dataset: models, tables, names of signs."""
    dataset, manifest = config.dataset, config.dataset.manifest
    paths = [config.landmarks.models, dataset.labels]
    if manifest is not None:
        paths += [*manifest.places, manifest.boxes]
    return [path for path in paths if path is not None and dataset.root not in path.parents]


def _mount(path: Path, *options: str, source: Path | None = None) -> str:
    """The value of Apptainer's --mount (a line of CSV) that shows a path at the same place in the container.

    Args:
        path: Where it is in the container.
        options: Such as ro; `image-src=/` for the content of an image.
        source: What is mounted, if not the same path here.
    """
    line = io.StringIO()
    fields = ["type=bind", f"source={source or path}", f"destination={path}", *options]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
