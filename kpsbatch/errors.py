"""What can go wrong for a user.

Every message is one line: first what is wrong, then what to do, such as "dataset.root: /nope does not exist. Correct
the path or mount the drive."
"""

from __future__ import annotations


class KpsbatchError(Exception):
    """Root of all errors that a user can fix; shown as one line, without a traceback."""

    exit_status = 2


class ConfigError(KpsbatchError):
    """The config, a `--set` or an option is unusable."""


class DatasetError(KpsbatchError):
    """The dataset is not where or what the config says."""


class ModelError(KpsbatchError):
    """A network is missing, damaged or unusable on this machine."""


class OutputError(KpsbatchError):
    """The output folder can't be used, or holds files made with other settings."""


class SubmitError(KpsbatchError):
    """The scheduler can't be used, or the work is submitted already."""


class InterruptedRun(KpsbatchError):
    """A signal ended the run; what is finished is kept, and the same command goes on."""

    exit_status = 3


def one_line(error: object) -> str:
    """The text of an error of others, on one line of 300 characters at most; what it is where it has no text."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def printable(text: str) -> str:
    """A text that stays on one line, whatever names it holds."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def without_opencv(error: ImportError) -> str:
    """What is said where OpenCV can't be imported, in this process or in a worker."""
    return (
        f"OpenCV can't be imported ({printable(str(error))}). On a machine without a desktop, run "
        "`pip uninstall -y opencv-contrib-python` and then `pip install opencv-python-headless==4.11.0.86`."
    )
