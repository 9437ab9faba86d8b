"""What comes before a submission: which cluster, and that nothing works on the same outputs already.

The modules `slurm` and `local` then submit the plan, each to its cluster.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kpsbatch.cluster import slurm
from kpsbatch.errors import SubmitError
from kpsbatch.files import INTERNAL, try_lock
from kpsbatch.store.guards import explained, refuse_outside
from kpsbatch.store.run_state import read_runs


def choose_cluster(name: str | None) -> str:
    """`slurm` or `local`: `name` if it is given, else slurm where sbatch is installed.

    Raises:
        SubmitError: No name was given and there is no sbatch.
    """
    if name is None and shutil.which("sbatch") is None:
        raise SubmitError("sbatch is not on the PATH. Log in to the cluster, or take this machine: --cluster local.")
    return name or "slurm"


def refuse_live(root: Path, cluster: str) -> None:
    """Refuse to submit while something works on the same output; calls squeue once, where it is installed.

    Raises:
        SubmitError: Names the jobs or processes; or squeue fails.
    """
    runs = read_runs(root)
    live: list[str] = []
    try:
        live += slurm.live(root, {run.job for run in runs if run.job})
    except SubmitError:
        if cluster == "slurm":
            raise
    live += [f"process {run.pid}" for run in runs if not run.job and run.is_alive_here]
    if live:
        raise SubmitError(
            f"{root}: {'; '.join(live)} already at work on these outputs. Wait, cancel (scancel, kill), or --force."
        )


@contextlib.contextmanager
def only_submission(root: Path) -> Iterator[None]:
    """Keep other processes from submitting for the same outputs while the block runs, where the file system has locks.

    Raises:
        SubmitError: Another one does just that.
        OutputError: The output folder can't be written.
    """
    folder = root / INTERNAL
    with explained(root):
        refuse_outside(root, folder)
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "submit.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with open(descriptor, "ab") as file:
        if not try_lock(file):
            raise SubmitError(f"{root}: another submit is at work on these outputs. Wait for it, or --force.")
        yield
