"""Asking SLURM: its commands, the name of the jobs of an output folder, and which of them are in the queue."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from kpsbatch.errors import SubmitError

COMMAND_SECONDS = 120
QUICK_SECONDS = 10
"""How long a command that only looks waits for an answer."""


def job_name(root: Path) -> str:
    """The name of the jobs for an output folder: what finds them again, whoever submitted them."""
    return f"kpsbatch-{hashlib.sha256(bytes(root.resolve())).hexdigest()[:8]}"


def in_queue(root: Path) -> set[str] | None:
    """The jobs of an output folder that SLURM knows, an array task each, such as 123_4; None where none tells.

    Calls squeue once, where it is installed.
    """
    if shutil.which("squeue") is None:
        return None
    words = ("squeue", "--noheader", "--array", f"--name={job_name(root)}", "--format=%i")
    try:
        return set(ask_slurm(*words, seconds=QUICK_SECONDS).split())
    except SubmitError:
        return None


def ask_slurm(*command: str, seconds: int = COMMAND_SECONDS) -> str:
    """Run a command of SLURM and return its output.

    Raises:
        SubmitError: It fails, or takes too long.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    except subprocess.TimeoutExpired:
        reason = f"nothing within {seconds} s"
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split()) or f"exit status {error.returncode}"
    except OSError as error:
        reason = str(error)
    else:
        return done.stdout
    raise SubmitError(f"{command[0]} failed: {reason}. Try again later.")
