"""What can go wrong for a user.

Every message is one line: first what is wrong, then what to do, such as "dataset.root: /nope does not exist. Correct
the path or mount the drive."
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar


class KpsbatchError(Exception):
    """Root of all errors that a user can fix; shown as one line, without a traceback.

    Attributes:
        exit_status: Of the program that ends with it.
        of_node: Whether another node of a cluster may do better: what is missing, full or broken is this machine's.
    """

    exit_status = 2
    of_node = False


Error = TypeVar("Error", bound=KpsbatchError)


def of_node(error: Error) -> Error:
    """An error that another node of a cluster may not have."""
    error.of_node = True
    return error


class ConfigError(KpsbatchError):
    """The config, a `--set` or an option is unusable."""


class DatasetError(KpsbatchError):
    """The dataset is not where or what the config says."""


class ModelError(KpsbatchError):
    """A network is missing, damaged or unusable on this machine."""

    of_node = True


class OutputError(KpsbatchError):
    """The output folder can't be used, or holds files made with other settings."""


class SubmitError(KpsbatchError):
    """The scheduler can't be used, or the work is submitted already."""


class InterruptedRun(KpsbatchError):
    """A signal ended the run; what is finished is kept, and the same command goes on."""

    exit_status = 3


def named_path(name: str, value: object, advice: str) -> Path:
    """A path as callers of the API give it.

    Args:
        name: The parameter, for the message.
        advice: What to do instead, for the message.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigError(f"{name}: a path is needed, not {_kind(value)}. {advice}")
    return Path(value)


def _kind(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{f' of shape {shape}' if shape is not None else ''}"


def one_line(error: object) -> str:
    """The text of an error of others, on one line of 300 characters at most; what it is where it has no text."""
    return " ".join(str(error).split())[:300] or type(error).__name__


_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences, carriage returns
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of what follows
    "\u2028\u2029\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"  # line ends, annotations, halves, invisible tags
)


def printable(text: str) -> str:
    """A text that stays on one line and does nothing to a terminal, whatever names it holds: what could is escaped."""
    return _HARMFUL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def of_the_machine(error: BaseException) -> str:
    """What is said where an error tells that this machine, or its Python, can't work; "" where it tells none of that.

    That is: the system starts no more processes or threads for this user, or a package can't be imported.
    """
    if isinstance(error, BlockingIOError) or "can't start new thread" in str(error):
        return f"the system starts no more processes or threads ({process_limit()}). Raise that, or lower run.workers."
    if package := broken_package(error):
        return (
            f"{package} can't be imported ({type(error).__name__}: {one_line(error)}). Install the packages again: "
            "`make setup`."
        )
    return ""


def process_limit() -> str:
    """How many processes and threads this user may have at once: `ulimit -u is 1024`."""
    import resource  # here: nothing but an error needs it

    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return f"ulimit -u is {'unlimited' if limit == resource.RLIM_INFINITY else limit}"


def broken_package(error: BaseException) -> str:
    """The package of others whose import raised an error; "" where it was raised elsewhere."""
    trace, importing = error.__traceback__, False
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        importing |= name == "importlib"
        if importing and name not in ("importlib", "kpsbatch"):
            return name
        trace = trace.tb_next
    return str(error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""


def without_opencv(error: ImportError) -> str:
    """What is said where OpenCV can't be imported, in this process or in a worker."""
    return (
        f"OpenCV can't be imported ({printable(str(error))}). On a machine without a desktop, run "
        "`pip uninstall -y opencv-contrib-python` and then `pip install opencv-python-headless==4.11.0.86`."
    )
