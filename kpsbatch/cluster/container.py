"""The interpreter of a task: this one, or one in an Apptainer image, with the paths that the task needs mounted."""

from __future__ import annotations

import csv
import io
import shlex
import shutil
import sys
from pathlib import Path

import kpsbatch
from kpsbatch.config import Config


def interpreter(config: Config, apptainer: str = "") -> str:
    """Shell words that start Python; in a container with the dataset, the outputs and the models mounted.

    Args:
        config: The config.
        apptainer: A shell word for Apptainer; default what is on the PATH here.
    """
    slurm = config.slurm
    if slurm.container is None:
        return shlex.quote(sys.executable)
    program = apptainer or shlex.quote(shutil.which("apptainer") or shutil.which("singularity") or "apptainer")
    mounts = [(config.dataset.root, True), (config.output.root, False)]
    if config.landmarks.models is not None:
        mounts.append((config.landmarks.models, True))
    options = " ".join(f"--mount {shlex.quote(_mount(path, read_only))}" for path, read_only in mounts)
    return f"{program} exec {options} {shlex.quote(str(slurm.container))} python"


def package_parent() -> str:
    """The folder of a checkout; "" for an installed package."""
    parent = Path(kpsbatch.__file__).resolve().parent.parent
    return "" if parent.name in ("site-packages", "dist-packages") else str(parent)


def _mount(path: Path, read_only: bool) -> str:
    """The value of Apptainer's --mount (a line of CSV) that shows a path at the same place in the container."""
    line = io.StringIO()
    fields = ["type=bind", f"source={path}", f"destination={path}", *(["ro"] if read_only else [])]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
