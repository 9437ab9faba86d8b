"""What a program does before its imports, so that a slow file system that holds Python's packages is felt less."""

from __future__ import annotations

import os
import sys

START = (
    "import sys; sys.path[:1] == [''] and sys.path.pop(0); del sys.argv[0]; "
    "import runpy; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
"""`python -m MODULE` without the current folder on the path. PYTHONSAFEPATH does that from Python 3.11 on, and goes
with it: 3.13 imports a module before it runs what follows -c."""


PID_FILE = "KPSBATCH_PID_FILE"
"""The variable that names the file for this process's ID, where a batch script passes signals on (cluster/batch.sh)."""


def in_batch_script() -> bool:
    """Whether this is a task of SLURM, whose batch script can start it again: nobody types its command."""
    return bool(os.environ.get("SLURM_JOB_ID") and os.environ.get(PID_FILE))


def again(command: str = "run the same command again") -> str:
    """What does the work once more: a command, or in a task of SLURM another submission."""
    return "submit again" if in_batch_script() else command


def module_words(module: str) -> list[str]:
    """What follows an interpreter's name to run a module of kpsbatch; a `signal.py` in the current folder stays out."""
    return ["-u", "-c", START, module]


def python_path(value: str, first: str = "") -> str:
    """A value of PYTHONPATH for children, absolute, with a folder before it.

    Python takes an empty entry (`export PYTHONPATH=$PYTHONPATH:/more`) for the current folder: it is left out.
    """
    named = [first, *value.split(os.pathsep)]
    return os.pathsep.join(os.path.abspath(entry) for entry in named if entry)


def package_parent() -> str:
    """The folder of a checkout; "" for an installed package."""
    parent = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    return "" if os.path.basename(parent) in ("site-packages", "dist-packages") else parent


def shorten_imports() -> None:
    """Leave out what every import, and pydantic, would ask the file system for in vain.

    `python -m` puts the current folder first on the path, and the `kpsbatch` command the folder that it lies in; each
    import of another package looks there first. The modules of kpsbatch itself are found beside each other. pydantic
    looks through all installed packages for its plugins.

    (To import several packages at once, in threads, is faster still, but in one of some sixty starts a thread saw a
    module of the standard library half imported.)
    """
    if sys.path[:1] in ([_current_folder()], [os.path.dirname(os.path.realpath(sys.argv[0]))]):
        del sys.path[0]
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's import starts a thread for each core of a login node


def keep_out_current_folder() -> None:
    """Let neither this process nor its children import from the current folder."""
    os.environ["PYTHONSAFEPATH"] = "1"
    named = os.environ.get("PYTHONPATH", "")
    if named and "" in named.split(os.pathsep):
        os.environ["PYTHONPATH"] = kept = python_path(named)
        here = _current_folder()
        sys.path[:] = [entry for entry in sys.path if entry != here or here in kept.split(os.pathsep)]


def _current_folder() -> str:
    """The current folder; "" where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""
