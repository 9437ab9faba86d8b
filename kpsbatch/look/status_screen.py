"""The status as people see it (`status_picture.py`) and as JSON for scripts; once, or till the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator

from kpsbatch.config import Config
from kpsbatch.look.status import Status, StatusReader
from kpsbatch.progress import count_progress

WATCH_SECONDS = 2.0
WATCH_LINE_SECONDS = 30.0
END_SECONDS = 60.0
"""How long nothing must run, after something did, until the job has ended: a task that is requeued starts again."""


def show_status(config: Config, *, watch: bool, as_json: bool, quiet: bool) -> None:
    """Print the status once; with `watch` again and again, until the job has ended or Ctrl-C.

    Raises:
        ConfigError: The labels file can't be used.
        OutputError: The output folder can't be listed.
    """
    with count_progress("members of the archive", quiet=quiet) as show:
        reader = StatusReader(config, on_index=show)
    with count_progress("units looked for in the dataset", quiet=quiet) as show:
        status = reader.read(show)
    show_one = _print_json
    if not as_json:
        from kpsbatch.look.status_picture import fill_screen, print_status, terminal

        if watch and terminal().is_terminal:
            fill_screen(until_the_end(reader, status, WATCH_SECONDS), status)
            return
        show_one = print_status
    if watch:
        _repeat(show_one, reader, status)
    else:
        show_one(status)


def _print_json(status: Status) -> None:
    print(json.dumps(status.as_json(), ensure_ascii=False), flush=True)


def _repeat(show_one: Callable[[Status], None], reader: StatusReader, status: Status) -> None:
    """Print every 30 s, until the job has ended or Ctrl-C."""
    try:
        for now in until_the_end(reader, status, WATCH_LINE_SECONDS):
            show_one(now)
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
