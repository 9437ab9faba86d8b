"""The status for people, as lines of text or on a live screen, and as JSON for scripts; once, or till the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kpsbatch.config import Config
from kpsbatch.errors import printable
from kpsbatch.look.logs import Task
from kpsbatch.look.status import Failing, Status, StatusReader
from kpsbatch.look.usage import usage_lines, usage_of
from kpsbatch.progress import count_progress
from kpsbatch.words import (
    UNIT_STATES,
    Part,
    counted,
    gap_of,
    print_lines,
    say_json,
    show_duration,
    table_lines,
    terminal,
)

WATCH_SECONDS = 2.0
WATCH_LINE_SECONDS = 30.0
END_SECONDS = 60.0
"""How long nothing must run, after something did, until the job has ended: a task that is requeued starts again."""

MAX_ROWS = 8
"""Rows of the lists of tasks and failing units."""

TASK_ORDER = (
    *("failed", "lost", "cancelled", "not submitted", "interrupted", "running"),
    *("starting", "waiting", "finished"),
)
_SHOWN_TASKS = TASK_ORDER[:6]
_STYLES = {"failed": "red", "lost": "red", "running": "green"}
_STYLES |= dict.fromkeys(("cancelled", "not submitted", "interrupted"), "yellow")


@dataclass(frozen=True)
class Line:
    """A line of the status; `cut`: a live screen cuts it at its edge, where it wraps others."""

    parts: Sequence[Part] = ()
    cut: bool = False

    @property
    def shown(self) -> list[Part]:
        """Its parts for a live screen."""
        return [(printable(text), style) for text, style in self.parts]


def show_status(config: Config, *, watch: bool, as_json: bool, quiet: bool) -> None:
    """Print the status once; with `watch` again and again, until the job has ended or Ctrl-C.

    Raises:
        ConfigError: The labels file can't be used.
        OutputError: The output folder can't be listed.
    """
    with count_progress("members of the archive", quiet=quiet) as show:
        reader = StatusReader(config, on_index=show)
    with count_progress("units sought in the dataset", quiet=quiet) as show:
        status = reader.read(show)
    show_once = _print_json if as_json else print_status
    if watch and not as_json and terminal().is_terminal:
        fill_screen(until_the_end(reader, status, WATCH_SECONDS), status)
    elif watch:
        with contextlib.suppress(KeyboardInterrupt):
            for now in until_the_end(reader, status, WATCH_LINE_SECONDS):
                show_once(now)
    else:
        show_once(status)


def _print_json(status: Status) -> None:
    say_json(status.as_json())


def until_the_end(reader: StatusReader, status: Status, seconds: float) -> Iterator[Status]:
    """The status, again and again, until the job has ended: nothing is left, or what ran has ended and stays so.

    Where nothing has run yet, it goes on until something does.

    Args:
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


def print_status(status: Status) -> None:
    """Print the status once."""
    here = terminal()
    print_lines((line.parts for line in picture(status, bar=here.bar, gap=gap_of(here.width))), here)


def fill_screen(statuses: Iterable[Status], status: Status) -> None:
    """Fill the terminal with one status after another, until the last or Ctrl-C; the last picture stays behind.

    Args:
        statuses: They take their time to come.
        status: Which picture stays behind where none came.
    """
    from rich.console import Console, Group  # here: a status that is shown once does without rich
    from rich.live import Live
    from rich.text import Text

    console, bar = Console(emoji=False), terminal().bar
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        for now in statuses:
            status = now
            others = 12 + len(status.groups) + len(status.notes)
            rows = max(1, min(MAX_ROWS, (console.height - others) // 3))  # of each list: the screen is not overfull
            lines = picture(status, rows=rows, watched=True, bar=bar, gap=gap_of(console.width))
            texts = (Text.assemble(*line.shown, no_wrap=line.cut, overflow="ellipsis") for line in lines)
            live.update(Group(*texts), refresh=True)
    print_status(status)


def picture(
    status: Status, *, rows: int = MAX_ROWS, watched: bool = False, bar: str = "", gap: int = 2
) -> Iterator[Line]:
    """The whole status.

    Args:
        rows: How many rows each list has at most.
        watched: Whether it is one of many on a live screen.
        bar: A full progress bar; "" for none.
        gap: Blanks between the columns of the table of units.
    """
    yield _headline(status, watched)
    if bar:
        done = len(bar) * status.count("finished") // max(1, status.to_do)
        yield Line([(bar[:done], "green"), (bar[done:], "dim")], cut=True)
    yield from _groups(status, gap)
    yield Line()
    yield from _speed(status)
    yield from _tasks(status, rows)
    runs = [task.run for task in status.tasks if task.run is not None]
    yield from (Line([(line, "")]) for line in usage_lines(usage_of(runs)))
    yield from _failing(status, rows)
    if status.slowest:
        yield Line()
        yield Line([("slowest units", "bold")])
        for unit, seconds, label in status.slowest[:rows]:
            yield _of_unit(unit, label, f"{show_duration(seconds)} of work")
    for note in status.notes:
        yield Line([(f"note: {note}", "yellow")])


def _headline(status: Status, watched: bool) -> Line:
    done, to_do = status.count("finished"), status.to_do
    share = f" ({100 * done // to_do}%)" if to_do else ""
    clock = time.strftime(", %H:%M:%S, Ctrl-C ends", time.localtime(status.moment)) if watched else ""
    return Line([(f"{done} of {to_do} units are finished{share}", "bold"), (f"  {status.output}{clock}", "dim")])


def _groups(status: Status, gap: int) -> Iterator[Line]:
    names = ["complete", "partial", "failed", "left", "absent", "empty"]
    if status.count("other"):
        names.append("other")
    rows: list[list[Part]] = [
        [(heading, "bold") for heading in ("signer", "split", "units", *map(UNIT_STATES.__getitem__, names))]
    ]
    for group in status.groups:
        counts = [(f"{getattr(group, name)}", _style(name, getattr(group, name))) for name in names]
        rows.append([(group.signer, ""), (group.split, ""), (f"{group.units}", ""), *counts])
    if len(status.groups) > 1:
        sums = [(f"{status.count(name)}", "bold") for name in ("units", *names)]
        rows.append([("all", "bold"), ("", ""), *sums])
    yield from map(Line, table_lines(rows, numbers_from=2, gap=gap))


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
        runs = status.task_states["running"] or status.task_states["starting"]
        speed = "no video of these tasks is done yet" if runs else "these tasks have done no video"
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
    slowest_first = sorted(status.tasks, key=lambda task: task.videos_per_second)
    shown = [task for state in _SHOWN_TASKS for task in slowest_first if task.state == state]
    for line in table_lines([_task_row(task) for task in shown[:rows]]):
        yield Line(line, cut=True)
    if len(shown) > rows:
        yield Line([(f"  ... and {len(shown) - rows} more: kpsbatch logs", "dim")])


def _task_row(task: Task) -> list[Part]:
    if task.state == "lost" or task.is_silent:
        news = f"silent for {show_duration(task.silent)}"
    elif task.state == "running":
        news = f"{task.videos_per_second:.2f} videos/s" if task.videos_done else "no video yet"
    else:
        news = task.error
    done = f"{task.units_done}/{task.units} units" if task.units else ""
    failed = f"{task.videos_failed} failed" if task.videos_failed else ""
    state = (f"{task.state:<{max(map(len, _SHOWN_TASKS))}}", _STYLES.get(task.state, ""))
    job = "" if task.job in task.name else task.job
    where = " ".join(part for part in (job, task.node) if part)
    return [(f"  {task.name}", ""), state, (where, ""), (done, ""), (failed, ""), (news, "")]


def _failing(status: Status, rows: int) -> Iterator[Line]:
    if not status.failing:
        return
    total = len(status.failing) + status.failing_unread
    yield Line()
    yield Line([(f"{counted(total, 'unit')} with failed videos", "bold")])
    for unit in status.failing[:rows]:
        yield _of_unit(unit.unit, unit.label, _reasons(unit))
    if total > rows:
        yield Line([(f"  ... and {total - rows} more: --json names them, and so do their records", "dim")])


def _reasons(unit: Failing) -> str:
    if not unit.videos:
        return f"{unit.state}; its record can't be read"
    video, reason = unit.videos[0]
    more = f" (and {counted(unit.failed - 1, 'more video')})" if unit.failed > 1 else ""
    return f"{unit.state}; {video}: {reason}{more}"


def _of_unit(unit: str, label: str, text: str) -> Line:
    return Line([(f"  {unit}" + (f" {label}" if label else "") + f"  {text}", "")], cut=True)
