"""What people read: numbers, times and commands in words, and text on a terminal, in styles and tables.

rich shows what moves, and nothing else: to import it takes as many calls to the file system as kpsbatch's own files.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from kpsbatch.errors import printable
from kpsbatch.startup import START, in_batch_script

JSON_VERSION = 1
"""Counts up when a key of any command's JSON is removed or gets another meaning; new keys may come at any time."""

FILE_WIDTH = 160
NARROW = 80
"""Below so many columns, those of a wide table have one blank between them."""

BAR_WIDTH = 60

_EFFECTS = {"bold": "1", "dim": "2"}
_COLOURS = {"red": "31", "green": "32", "yellow": "33"}

Part = tuple[str, str]
"""Text, and its style: "", bold, dim, red, green or yellow. rich knows them by the same names."""

UNIT_STATES = {
    "complete": "done",
    "partial": "some failed",
    "failed": "all failed",
    "left": "to do",
    "absent": "folder missing",
    "empty": "no video",
    "other": "other settings",
}
"""What tables call the states of units, by their names in JSON."""


def counted(count: int, what: str, many: str = "") -> str:
    """A number with what it counts: `1 unit`, `2,000 units`; `many` is another plural: `2 people`."""
    return f"{count:,} {what if count == 1 else many or what + 's'}"


def some_of(texts: Sequence[str], most: int) -> str:
    """The first texts, and how many there are more: `a, b, and 2 more`."""
    more = [f"and {len(texts) - most:,} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])


def said(label: str, signer: str) -> str:
    """`hello (anna)`; one of both, or neither, where a table says no more."""
    return f"{label} ({signer})" if label and signer else label or signer


def stopped(reason: str, saved: str) -> str:
    """What a run says that a signal stopped, named unless it is Ctrl-C's: `Stopped. 1 unit saved. Rerun to resume.`"""
    signal = "" if reason == "SIGINT" else f" ({reason})"
    resume = "If SLURM does not start it again, submit again" if in_batch_script() else "Rerun to resume"
    return f"Stopped{signal}. {saved}. {resume}."


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
    words = without_secrets(words)
    return shlex.join([PurePath(words[0]).name, *words[1:]]) if words else ""


_SECRET = re.compile(r"((?:--set=)?\s*slurm\s*(?:\.(?:setup|extra)[^=]*)?=).+", re.DOTALL)


def without_secrets(words: Sequence[str]) -> list[str]:
    """A command line for files that others may read: values of slurm.setup and slurm.extra are left out (tokens).

    What starts a module without the current folder is written as `-m`.
    """
    shown = [_SECRET.sub(r"\1...", word) if _SECRET.fullmatch(word) else word for word in words]
    if START in shown:
        at = shown.index(START)
        shown[at - 1 : at + 1] = ["-m"]
    return shown


PROGRAM = "KPSBATCH_PROGRAM"
"""The variable by which an image says what starts it from outside (docker/entrypoint.py)."""


def program(*, anywhere: bool = False) -> str:
    """What to type to start this program again, from the same folder and without activating anything.

    Args:
        anywhere: Whether from any folder.

    That is the `kpsbatch` command wherever there is one: `python -m` imports from the current folder. In a container it
    is what starts the image from outside.
    """
    if outside := os.environ.get(PROGRAM):
        return outside
    if image := os.environ.get("APPTAINER_CONTAINER"):
        return f"apptainer exec {shlex.quote(image)} kpsbatch"
    command = os.path.join(os.path.dirname(sys.executable), "kpsbatch")
    known = shutil.which("kpsbatch")
    if PurePath(sys.argv[0]).name == "kpsbatch" or (known and os.path.realpath(known) == os.path.realpath(command)):
        return "kpsbatch"
    if os.access(command, os.X_OK):
        return shlex.quote(command if anywhere else min(os.path.relpath(command), command, key=len))
    python = shutil.which("python")
    if python and os.path.samefile(python, sys.executable):
        return "python -m kpsbatch"
    name = sys.executable if anywhere else min(os.path.relpath(sys.executable), sys.executable, key=len)
    return f"{shlex.quote(name)} -m kpsbatch"


@dataclass(frozen=True)
class Terminal:
    """What standard output can show.

    Attributes:
        is_terminal: Whether a person reads it; FORCE_COLOR says so, too.
        codes: The codes of the styles that it shows.
        width: Its columns; a file is wide enough for any table.
        bar: A full progress bar; "" in a file.
    """

    is_terminal: bool
    codes: dict[str, str]
    width: int
    bar: str


def gap_of(width: int) -> int:
    """Blanks between the columns of a wide table on a terminal of so many columns."""
    return 1 if width < NARROW else 2


def terminal() -> Terminal:
    """Standard output as it is; NO_COLOR leaves bold and dim, TERM=dumb no style at all."""
    is_terminal = bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
    codes: dict[str, str] = {}
    if is_terminal and os.environ.get("TERM") not in ("dumb", "unknown"):
        codes = _EFFECTS if os.environ.get("NO_COLOR") else {**_EFFECTS, **_COLOURS}
    width = shutil.get_terminal_size((FILE_WIDTH, 24)).columns
    stroke = "━" if (sys.stdout.encoding or "").lower().startswith("utf") else "-"
    return Terminal(is_terminal, codes, width, stroke * min(BAR_WIDTH, width) if is_terminal else "")


def say(text: str, *, error: bool = False) -> None:
    """Print lines for people, on standard error or output; what names in them could do to a terminal is escaped."""
    lines = "\n".join(map(printable, text.split("\n")))
    print(lines, file=sys.stderr if error else sys.stdout, flush=True)


def say_json(tree: Mapping[str, Any], indent: int | None = None) -> None:
    """Print JSON for programs, and for terminals: what could harm these is a \\u escape."""
    text = json.dumps(tree, indent=indent, ensure_ascii=False)
    print("".join(char if char == "\n" or printable(char) == char else json.dumps(char)[1:-1] for char in text))


def print_lines(lines: Iterable[Sequence[Part]], here: Terminal | None = None) -> None:
    """Print lines in their styles. A terminal wraps long ones itself, so that a path can be copied from it."""
    codes = (here or terminal()).codes
    print("\n".join("".join(_painted(part, codes) for part in line) for line in lines), flush=True)


def _painted(part: Part, codes: dict[str, str]) -> str:
    text, style = part
    return f"\x1b[{codes[style]}m{printable(text)}\x1b[0m" if text and style in codes else printable(text)


def table_lines(
    rows: Sequence[Sequence[Part]], *, numbers_from: int | None = None, gap: int = 2
) -> Iterator[list[Part]]:
    """The lines of a table: text to the left of its column, numbers to the right, no blank at the end of a line.

    Args:
        rows: Of the same number of cells.
        numbers_from: The first column with numbers; default none.
        gap: Blanks between two columns.
    """
    widths = [max(map(_columns, (text for text, _ in column))) for column in zip(*rows, strict=True)]
    for row in rows:
        line: list[Part] = []
        for number, (width, (text, style)) in enumerate(zip(widths, row, strict=True)):
            fill = " " * (width - _columns(text))
            is_number = numbers_from is not None and number >= numbers_from
            line += [(fill + text if is_number else text + fill, style), (" " * gap, "")]
        text, style = line[-2]
        yield [*line[:-2], (text.rstrip(), style)]


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    marks = ("Mn", "Me", "Cf")
    shown = (char for char in text if unicodedata.category(char) not in marks)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown)
