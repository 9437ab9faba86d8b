"""Where a unit is made: host, container, SLURM job and versions, for its record."""

from __future__ import annotations

import os
import platform
import socket
from functools import cache
from typing import NamedTuple

import kpsbatch
from kpsbatch.store.records import SlurmTask
from kpsbatch.store.settings import UNKNOWN, installed_version

PACKAGES = ("mediapipe", "numpy", "opencv-python-headless", "opencv-contrib-python", "av")


class HostFacts(NamedTuple):
    """What is the same for all records of a process; see `UnitRecord`."""

    host: str
    container: str | None
    slurm: SlurmTask | None
    versions: dict[str, str]


@cache
def host_facts() -> HostFacts:
    """The facts of this process's host, environment and packages; computed once."""
    slurm = {
        name: os.environ[variable]
        for name, variable in (
            ("job", "SLURM_JOB_ID"),
            ("array_job", "SLURM_ARRAY_JOB_ID"),
            ("array_task", "SLURM_ARRAY_TASK_ID"),
        )
        if variable in os.environ
    }
    return HostFacts(
        socket.gethostname(),
        os.environ.get("APPTAINER_CONTAINER") or os.environ.get("KPSBATCH_IMAGE"),
        SlurmTask(**slurm) if slurm else None,
        {
            "kpsbatch": kpsbatch.__version__,
            "python": platform.python_version(),
            **{package: found for package in PACKAGES if (found := installed_version(package)) != UNKNOWN},
        },
    )
