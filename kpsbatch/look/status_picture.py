"""The status for people, on a terminal or in a file."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from kpsbatch.look.status import Failing, Status, Task
from kpsbatch.words import counted, show_duration

FILE_WIDTH = 160
MAX_ROWS = 8
"""Rows of the lists of tasks and failing units."""

TASK_ORDER = ("failed", "lost", "not submitted", "interrupted", "running", "starting", "waiting", "finished")
_SHOWN_TASKS = TASK_ORDER[:5]
_STYLES = {"failed": "red", "lost": "red", "not submitted": "yellow", "interrupted": "yellow", "running": "green"}


def new_console() -> Console:
    """Standard output; a file is wide enough for a table."""
    console = Console(emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    return console


def print_status(console: Console, status: Status) -> None:
    """Print the status once."""
    shown = picture(status, bar=console.is_terminal, gap=_gap(console))
    console.print(shown, soft_wrap=not console.is_terminal)


def fill_screen(console: Console, statuses: Iterable[Status], status: Status) -> None:
    """Fill the terminal with one status after another, until the last or Ctrl-C; the last picture stays behind.

    Args:
        console: A terminal.
        statuses: They take their time to come.
        status: Which picture stays behind where none came.
    """
    from rich.live import Live

    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        for now in statuses:
            status = now
            shown = picture(status, rows=_rows(console, status), watched=True, gap=_gap(console))
            live.update(shown, refresh=True)
    console.print(picture(status, gap=_gap(console)))


def _gap(console: Console) -> int:
    """Blanks between the columns of the table of units."""
    return 1 if console.width < 80 else 2


def _rows(console: Console, status: Status) -> int:
    """Rows for each list, so that a screen is not overfull."""
    fixed = 12 + len(status.groups) + len(status.notes)
    return max(1, min(MAX_ROWS, (console.height - fixed) // 3))


def picture(
    status: Status, *, rows: int = MAX_ROWS, watched: bool = False, bar: bool = True, gap: int = 2
) -> RenderableType:
    """The whole status; without `watched` long lines are wrapped, not cut."""
    return Group(*_parts(status, rows, watched, bar, gap))


def _parts(status: Status, rows: int, watched: bool, bar: bool, gap: int) -> Iterator[RenderableType]:
    yield _headline(status, watched)
    if bar:
        from rich.columns import Columns
        from rich.progress_bar import ProgressBar

        yield Columns([ProgressBar(total=max(1, status.to_do), completed=_finished(status), width=60)])
    yield _groups(status, gap)
    yield from _speed(status)
    yield from _tasks(status, rows)
    yield from _failing(status, rows, watched)
    if status.slowest:
        yield Text("\nslowest units", style="bold")
        for unit, seconds, label in status.slowest[:rows]:
            yield _line(unit, label, f"{show_duration(seconds)} of work", watched)
    for note in status.notes:
        yield Text(f"note: {note}", style="yellow")


def _finished(status: Status) -> int:
    return sum(group.finished for group in status.groups)


def _headline(status: Status, watched: bool) -> Text:
    done, to_do = _finished(status), status.to_do
    share = f" ({100 * done // to_do}%)" if to_do else ""
    text = Text(f"{done} of {to_do} units are finished{share}", style="bold")
    text.append(f"  {status.output}", style="not bold dim")
    if watched:
        clock = time.strftime("%H:%M:%S", time.localtime(status.moment))
        text.append(f"  {clock}, Ctrl-C ends", style="not bold dim")
    return text


def _groups(status: Status, gap: int) -> Table:
    names = ["complete", "partial", "failed", "left", "absent", "empty"]
    if status.count("other"):
        names.append("other")
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for heading in ("signer", "split"):
        table.add_column(heading)
    for name in ("units", *names):
        table.add_column(name, justify="right")
    for group in status.groups:
        counts = [Text(f"{getattr(group, name)}", style=_style(name, getattr(group, name))) for name in names]
        table.add_row(Text(group.signer), Text(group.split), f"{group.units}", *counts)
    if len(status.groups) > 1:
        sums = [f"{status.count(name)}" for name in ("units", *names)]
        table.add_row("all", "", *sums, style="bold")
    return table


def _style(name: str, count: int) -> str:
    if not count:
        return "dim"
    return {"complete": "green", "partial": "yellow", "failed": "red", "other": "red"}.get(name, "")


def _speed(status: Status) -> Iterator[RenderableType]:
    if status.now.videos:
        speed = f"\n{status.now.videos:.2f} videos/s, {status.now.frames:.0f} frames/s now"
    elif status.average.videos:
        speed = f"\n{status.average.videos:.2f} videos/s, {status.average.frames:.0f} frames/s on average"
    elif not status.count("left"):
        speed = "\nnothing is left to do"
    elif status.tasks:
        speed = "\nno video is done yet"
    else:
        yield Text("\nnothing has run yet")
        return
    left = f", about {counted(status.videos_left, 'video')} left" if status.videos_left else ""
    if status.seconds_to_go is not None and status.videos_left:
        left += f", {show_duration(status.seconds_to_go)} to go"
    elif status.count("left") and not status.task_states["running"]:
        left += "; nothing runs now"
    yield Text(speed + left)


def _tasks(status: Status, rows: int) -> Iterator[RenderableType]:
    if not status.tasks:
        return
    counts = ", ".join(f"{status.task_states[state]} {state}" for state in TASK_ORDER if status.task_states[state])
    yield Text(f"tasks: {counts}")
    shown = [task for state in _SHOWN_TASKS for task in _by_rate(status.tasks) if task.state == state]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=max(map(len, _SHOWN_TASKS)))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for task in shown[:rows]:
        table.add_row(*_task_row(task))
    if shown:
        yield table
    if more := len(shown) - rows if len(shown) > rows else 0:
        yield Text(f"  ... and {more} more: kpsbatch logs", style="dim")


def _by_rate(tasks: list[Task]) -> list[Task]:
    """The slowest first."""
    return sorted(tasks, key=lambda task: task.videos_per_second)


def _task_row(task: Task) -> list[Text]:
    if task.state == "running":
        what = f"{task.videos_per_second:.2f} videos/s" if task.videos_done else "no video yet"
    elif task.state == "lost":
        what = f"silent for {show_duration(task.silent)}"
    else:
        what = task.error
    done = f"{task.units_done}/{task.units} units" if task.units else ""
    failed = f"{task.videos_failed} failed" if task.videos_failed else ""
    state = Text(task.state, style=_STYLES.get(task.state, ""))
    job = "" if task.job in task.name else task.job
    place = " ".join(part for part in (job, task.node) if part)
    return [Text(f"  {task.name}"), state, Text(place), Text(done), Text(failed), Text(what)]


def _failing(status: Status, rows: int, watched: bool) -> Iterator[RenderableType]:
    if not status.failing:
        return
    total = len(status.failing) + status.failing_unread
    yield Text(f"\n{counted(total, 'unit')} with failed videos", style="bold")
    for unit in status.failing[:rows]:
        yield _line(unit.unit, unit.label, _reasons(unit), watched)
    if total > rows:
        yield Text(f"  ... and {total - rows} more: --json names them, or look at the records", style="dim")


def _reasons(unit: Failing) -> str:
    if not unit.videos:
        return f"{unit.state}; its record can't be read"
    video, reason = unit.videos[0]
    more = f" (and {counted(unit.failed - 1, 'more video')})" if unit.failed > 1 else ""
    return f"{unit.state}; {video}: {reason}{more}"


def _line(unit: str, label: str, what: str, one_row: bool) -> Text:
    text = f"  {unit}" + (f" {label}" if label else "") + f"  {what}"
    return Text(text, no_wrap=True, overflow="ellipsis") if one_row else Text(text)
