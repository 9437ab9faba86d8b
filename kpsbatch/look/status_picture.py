"""The status for people, as lines of text: on a terminal, in a file, or on a live screen.

rich shows the live screen only: to import it takes as many calls to the file system as kpsbatch's own files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kpsbatch.errors import printable
from kpsbatch.look.status import Failing, Status, Task
from kpsbatch.words import counted, show_duration

FILE_WIDTH = 160
NARROW = 80
"""Below so many columns, those of the table of units have one blank between them."""

BAR_WIDTH = 60
MAX_ROWS = 8
"""Rows of the lists of tasks and failing units."""

TASK_ORDER = ("failed", "lost", "not submitted", "interrupted", "running", "starting", "waiting", "finished")
_SHOWN_TASKS = TASK_ORDER[:5]
_STYLES = {"failed": "red", "lost": "red", "not submitted": "yellow", "interrupted": "yellow", "running": "green"}

_EFFECTS = {"bold": "1", "dim": "2"}
_COLOURS = {"red": "31", "green": "32", "yellow": "33"}

Part = tuple[str, str]
"""Text, and its style: "", bold, dim, red, green or yellow. rich knows them by the same names."""


@dataclass(frozen=True)
class Line:
    """A line of the status; `cut`: a live screen cuts it at its edge, where it wraps others."""

    parts: Sequence[Part] = ()
    cut: bool = False


@dataclass(frozen=True)
class Terminal:
    """What standard output can show.

    Attributes:
        is_terminal: Whether a person looks at it; FORCE_COLOR says so, too.
        codes: The codes of the styles that it shows.
        width: Its columns; a file is wide enough for any table.
        bar: A full progress bar; "" in a file.
    """

    is_terminal: bool
    codes: dict[str, str]
    width: int
    bar: str


def terminal() -> Terminal:
    """Standard output as it is; NO_COLOR leaves bold and dim, TERM=dumb no style at all."""
    is_terminal = bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
    codes: dict[str, str] = {}
    if is_terminal and os.environ.get("TERM") not in ("dumb", "unknown"):
        codes = _EFFECTS if os.environ.get("NO_COLOR") else {**_EFFECTS, **_COLOURS}
    width = shutil.get_terminal_size((FILE_WIDTH, 24)).columns
    stroke = "━" if (sys.stdout.encoding or "").lower().startswith("utf") else "-"
    return Terminal(is_terminal, codes, width, stroke * min(BAR_WIDTH, width) if is_terminal else "")


def print_status(status: Status) -> None:
    """Print the status once. A terminal wraps long lines itself, so that a path can be copied from it."""
    here = terminal()
    lines = picture(status, bar=here.bar, gap=_gap(here.width))
    print("\n".join("".join(_painted(part, here.codes) for part in line.parts) for line in lines), flush=True)


def _painted(part: Part, codes: dict[str, str]) -> str:
    text, style = part
    return f"\x1b[{codes[style]}m{printable(text)}\x1b[0m" if text and style in codes else printable(text)


def fill_screen(statuses: Iterable[Status], status: Status) -> None:
    """Fill the terminal with one status after another, until the last or Ctrl-C; the last picture stays behind.

    Args:
        statuses: They take their time to come.
        status: Which picture stays behind where none came.
    """
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console, bar = Console(emoji=False), terminal().bar
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        for now in statuses:
            status = now
            lines = picture(status, rows=_rows(console.height, status), watched=True, bar=bar, gap=_gap(console.width))
            texts = (Text.assemble(*line.parts, no_wrap=line.cut, overflow="ellipsis") for line in lines)
            live.update(Group(*texts), refresh=True)
    print_status(status)


def _gap(width: int) -> int:
    """Blanks between the columns of the table of units."""
    return 1 if width < NARROW else 2


def _rows(height: int, status: Status) -> int:
    """Rows for each list, so that a screen is not overfull."""
    fixed = 12 + len(status.groups) + len(status.notes)
    return max(1, min(MAX_ROWS, (height - fixed) // 3))


def picture(
    status: Status, *, rows: int = MAX_ROWS, watched: bool = False, bar: str = "", gap: int = 2
) -> Iterator[Line]:
    """The whole status.

    Args:
        status: What to show.
        rows: How many rows each list has at most.
        watched: Whether it is one of many on a live screen.
        bar: A full progress bar; "" for none.
        gap: Blanks between the columns of the table of units.
    """
    yield _headline(status, watched)
    if bar:
        yield _bar(status, bar)
    yield from _groups(status, gap)
    yield Line()
    yield from _speed(status)
    yield from _tasks(status, rows)
    yield from _failing(status, rows)
    if status.slowest:
        yield Line()
        yield Line([("slowest units", "bold")])
        for unit, seconds, label in status.slowest[:rows]:
            yield _of_unit(unit, label, f"{show_duration(seconds)} of work")
    for note in status.notes:
        yield Line([(f"note: {note}", "yellow")])


def _finished(status: Status) -> int:
    return sum(group.finished for group in status.groups)


def _headline(status: Status, watched: bool) -> Line:
    done, to_do = _finished(status), status.to_do
    share = f" ({100 * done // to_do}%)" if to_do else ""
    clock = time.strftime(", %H:%M:%S, Ctrl-C ends", time.localtime(status.moment)) if watched else ""
    return Line([(f"{done} of {to_do} units are finished{share}", "bold"), (f"  {status.output}{clock}", "dim")])


def _bar(status: Status, bar: str) -> Line:
    done = len(bar) * _finished(status) // max(1, status.to_do)
    return Line([(bar[:done], "green"), (bar[done:], "dim")], cut=True)


def _groups(status: Status, gap: int) -> Iterator[Line]:
    names = ["complete", "partial", "failed", "left", "absent", "empty"]
    if status.count("other"):
        names.append("other")
    rows: list[list[Part]] = [[(heading, "bold") for heading in ("signer", "split", "units", *names)]]
    for group in status.groups:
        counts = [(f"{getattr(group, name)}", _style(name, getattr(group, name))) for name in names]
        rows.append([(group.signer, ""), (group.split, ""), (f"{group.units}", ""), *counts])
    if len(status.groups) > 1:
        sums = [(f"{status.count(name)}", "bold") for name in ("units", *names)]
        rows.append([("all", "bold"), ("", ""), *sums])
    for cells in _aligned(rows, numbers_from=2):
        yield Line(_joined(cells, gap))


def _aligned(rows: Sequence[Sequence[Part]], numbers_from: int | None = None) -> Iterator[list[Part]]:
    """The cells of a table as wide as their columns: text to the left, numbers to the right.

    Args:
        rows: The rows.
        numbers_from: The first column with numbers; default none.
    """
    widths = [max(map(_columns, (text for text, _ in column))) for column in zip(*rows, strict=True)]
    for row in rows:
        blanks = [" " * (width - _columns(text)) for width, (text, _) in zip(widths, row, strict=True)]
        yield [
            (fill + text if numbers_from is not None and number >= numbers_from else text + fill, style)
            for number, (fill, (text, style)) in enumerate(zip(blanks, row, strict=True))
        ]


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    marks = ("Mn", "Me", "Cf")
    shown = (char for char in text if unicodedata.category(char) not in marks)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in shown)


def _joined(cells: Sequence[Part], gap: int) -> list[Part]:
    """The cells of a row with blanks between them, and none at its end."""
    *first, (text, style) = cells
    blank = (" " * gap, "")
    return [part for cell in first for part in (cell, blank)] + [(text.rstrip(), style)]


def _style(name: str, count: int) -> str:
    if not count:
        return "dim"
    return {"complete": "green", "partial": "yellow", "failed": "red", "other": "red"}.get(name, "")


def _speed(status: Status) -> Iterator[Line]:
    if status.now.videos:
        speed = f"{status.now.videos:.2f} videos/s, {status.now.frames:.0f} frames/s now"
    elif status.average.videos:
        speed = f"{status.average.videos:.2f} videos/s, {status.average.frames:.0f} frames/s on average"
    elif not status.count("left"):
        speed = "nothing is left to do"
    elif status.tasks:
        speed = "no video is done yet"
    else:
        yield Line([("nothing has run yet", "")])
        return
    left = f", about {counted(status.videos_left, 'video')} left" if status.videos_left else ""
    if status.seconds_to_go is not None and status.videos_left:
        left += f", {show_duration(status.seconds_to_go)} to go"
    elif status.count("left") and not status.task_states["running"]:
        left += "; nothing runs now"
    yield Line([(speed + left, "")])


def _tasks(status: Status, rows: int) -> Iterator[Line]:
    if not status.tasks:
        return
    counts = ", ".join(f"{status.task_states[state]} {state}" for state in TASK_ORDER if status.task_states[state])
    yield Line([(f"tasks: {counts}", "")])
    shown = [task for state in _SHOWN_TASKS for task in _by_rate(status.tasks) if task.state == state]
    for cells in _aligned([_task_row(task) for task in shown[:rows]]):
        yield Line(_joined(cells, 2), cut=True)
    if len(shown) > rows:
        yield Line([(f"  ... and {len(shown) - rows} more: kpsbatch logs", "dim")])


def _by_rate(tasks: list[Task]) -> list[Task]:
    """The slowest first."""
    return sorted(tasks, key=lambda task: task.videos_per_second)


def _task_row(task: Task) -> list[Part]:
    if task.state == "running":
        what = f"{task.videos_per_second:.2f} videos/s" if task.videos_done else "no video yet"
    elif task.state == "lost":
        what = f"silent for {show_duration(task.silent)}"
    else:
        what = task.error
    done = f"{task.units_done}/{task.units} units" if task.units else ""
    failed = f"{task.videos_failed} failed" if task.videos_failed else ""
    state = (f"{task.state:<{max(map(len, _SHOWN_TASKS))}}", _STYLES.get(task.state, ""))
    job = "" if task.job in task.name else task.job
    place = " ".join(part for part in (job, task.node) if part)
    return [(f"  {task.name}", ""), state, (place, ""), (done, ""), (failed, ""), (what, "")]


def _failing(status: Status, rows: int) -> Iterator[Line]:
    if not status.failing:
        return
    total = len(status.failing) + status.failing_unread
    yield Line()
    yield Line([(f"{counted(total, 'unit')} with failed videos", "bold")])
    for unit in status.failing[:rows]:
        yield _of_unit(unit.unit, unit.label, _reasons(unit))
    if total > rows:
        yield Line([(f"  ... and {total - rows} more: --json names them, or look at the records", "dim")])


def _reasons(unit: Failing) -> str:
    if not unit.videos:
        return f"{unit.state}; its record can't be read"
    video, reason = unit.videos[0]
    more = f" (and {counted(unit.failed - 1, 'more video')})" if unit.failed > 1 else ""
    return f"{unit.state}; {video}: {reason}{more}"


def _of_unit(unit: str, label: str, what: str) -> Line:
    return Line([(f"  {unit}" + (f" {label}" if label else "") + f"  {what}", "")], cut=True)
