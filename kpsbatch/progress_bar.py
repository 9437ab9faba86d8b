"""A bar on a terminal, with words behind it; `progress.py` imports this where one is shown."""

from __future__ import annotations

from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
from rich.table import Column
from rich.text import Text

BAR_WIDTH = 14
"""Columns that the words leave for the spinner and the bar."""


class Bar(Progress):
    """A bar on standard error which goes when the work ends.

    Args:
        words: What stands behind it at first.
    """

    def __init__(self, words: str) -> None:
        columns = (SpinnerColumn(), BarColumn(bar_width=None), _Words(table_column=Column(no_wrap=True)))
        super().__init__(*columns, console=_Console(stderr=True), transient=True)
        self._only = self.add_task("", total=None, text=Text(words))

    def show(self, done: int, total: int, *parts: tuple[int, str, str]) -> None:
        """Show how much is done, in as many words as fit."""
        self.update(self._only, completed=done, total=total, text=fitting(self.console.width - BAR_WIDTH, *parts))


def fitting(width: int, *parts: tuple[int, str, str]) -> Text:
    """As many parts as fit into a width, in their order, the most important ones.

    Args:
        width: Columns.
        parts: (rank, text, style); those of the highest rank are left out first, and never that of rank 0.
    """
    shown = sorted((part for part in parts if part[1]), key=lambda part: part[0])
    while len(shown) > 1 and sum(len(part[1]) + 2 for part in shown) - 2 > width:
        shown.pop()
    return Text(", ").join([Text(part[1], part[2]) for part in parts if part in shown])


class _Words(ProgressColumn):
    """The words of a task, on one line."""

    def render(self, task: Task) -> Text:
        """The field `text` of the task."""
        text: Text = task.fields["text"]
        return text


class _Console(Console):
    """Standard error, as if it were a little narrower: the ^C that a terminal writes at Ctrl-C stays on the line."""

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines, as they are now."""
        width, height = super().size
        return ConsoleDimensions(max(1, width - len("^C^C")), height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size
