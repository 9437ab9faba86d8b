"""The status as people and scripts see it: text, a live screen, JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kpsbatch.config import Config
from kpsbatch.look.status import Failing, Status, StatusReader, Task
from kpsbatch.progress import count_progress
from kpsbatch.words import counted, show_duration

WATCH_SECONDS = 2.0
WATCH_LINE_SECONDS = 30.0
END_SECONDS = 60.0
"""How long nothing must run, after something did, until the job has ended: a task that is requeued starts again."""

FILE_WIDTH = 160
MAX_ROWS = 8
"""Rows of the lists of tasks and failing units."""

TASK_ORDER = ("failed", "lost", "not submitted", "interrupted", "running", "starting", "waiting", "finished")
_SHOWN_TASKS = TASK_ORDER[:5]
_STYLES = {"failed": "red", "lost": "red", "not submitted": "yellow", "interrupted": "yellow", "running": "green"}


def show_status(config: Config, *, watch: bool, as_json: bool, quiet: bool) -> None:
    """Print the status once; with `watch` again and again, until the job has ended or Ctrl-C.

    Raises:
        ConfigError: The labels file can't be used.
        OutputError: The output folder can't be listed.
    """
    with count_progress("members of the archive", quiet=quiet) as show:
        reader = StatusReader(config, on_index=show)
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    with count_progress("units looked for in the dataset", quiet=quiet) as show:
        status = reader.read(show)
    if not watch:
        _print(console, status, as_json)
    elif console.is_terminal and not as_json:
        _watch(console, reader, status)
    else:
        _repeat(console, reader, status, as_json)


def _print(console: Console, status: Status, as_json: bool) -> None:
    if as_json:
        print(json.dumps(status.as_json(), ensure_ascii=False), flush=True)
    else:
        shown = picture(status, bar=console.is_terminal, gap=_gap(console))
        console.print(shown, soft_wrap=not console.is_terminal)


def _watch(console: Console, reader: StatusReader, status: Status) -> None:
    """Fill the terminal until the job has ended or Ctrl-C; the last picture stays behind."""
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        for now in until_the_end(reader, status, WATCH_SECONDS):
            status = now
            shown = picture(status, rows=_rows(console, status), watched=True, gap=_gap(console))
            live.update(shown, refresh=True)
    console.print(picture(status, gap=_gap(console)))


def _gap(console: Console) -> int:
    """Blanks between the columns of the table of units."""
    return 1 if console.width < 80 else 2


def _repeat(console: Console, reader: StatusReader, status: Status, as_json: bool) -> None:
    """Print every 30 s, until the job has ended or Ctrl-C."""
    try:
        for now in until_the_end(reader, status, WATCH_LINE_SECONDS):
            _print(console, now, as_json)
    except KeyboardInterrupt:
        sys.stdout.flush()


def until_the_end(reader: StatusReader, status: Status, seconds: float) -> Iterator[Status]:
    """The status, again and again, until the job has ended: nothing is left, or what ran has ended and stays so.

    Where nothing has run yet, it goes on until something does.

    Args:
        reader: Reads the status.
        status: The first one.
        seconds: Between two of them.
    """
    last_live: float | None = None
    while True:
        yield status
        if status.is_live:
            last_live = status.moment
        if status.is_over or (last_live is not None and status.moment - last_live >= END_SECONDS):
            return
        time.sleep(seconds)
        status = reader.read()


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
