"""Numbers, times and commands in words, the same everywhere."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import PurePath

JSON_VERSION = 1
"""Counts up when a key of any command's JSON is removed or gets another meaning; new keys may come at any time."""


def counted(count: int, what: str, plural: str = "") -> str:
    """A number with what it counts: `1 unit`, `2,000 units`."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def some_of(texts: Sequence[str], most: int) -> str:
    """The first texts, and how many there are more: `a, b, and 2 more`."""
    more = [f"and {len(texts) - most:,} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])


def stopped(reason: str, saved: str) -> str:
    """What a run that was stopped says: `Stopped. 1 unit saved, 29 left. Rerun to resume.`

    Args:
        reason: The signal; named unless it is that of Ctrl-C.
        saved: What is saved, and what is left.
    """
    signal = "" if reason == "SIGINT" else f" ({reason})"
    return f"Stopped{signal}. {saved}. Rerun to resume."


def show_duration(seconds: float) -> str:
    """Write seconds for people: `4 s`, `3 min 20 s`, `7 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def time_to_go(done: int, total: int, seconds: float) -> str:
    """How long the rest takes at the rate so far: `30 s to go`; "" before anything is done."""
    return f"{show_duration(seconds / done * (total - done))} to go" if done else ""


def show_command(words: Sequence[str]) -> str:
    """A command line as it would be typed, without the folder of its program."""
    return shlex.join([PurePath(words[0]).name, *words[1:]]) if words else ""


def program() -> str:
    """What to type to start this program again, from the same folder and without activating anything."""
    if PurePath(sys.argv[0]).name == "kpsbatch":
        return "kpsbatch"
    import shutil  # here: it takes longer to import than all of this module

    python = shutil.which("python")
    if python and os.path.samefile(python, sys.executable):
        return "python -m kpsbatch"
    return f"{shlex.quote(min(os.path.relpath(sys.executable), sys.executable, key=len))} -m kpsbatch"
