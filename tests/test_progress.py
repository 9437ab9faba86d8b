"""Progress: a bar on a terminal, a line every 30 s elsewhere, nothing with --quiet, no colour with NO_COLOR."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from kpsbatch import progress
from kpsbatch.progress import count_progress, fitting, run_progress
from kpsbatch.words import show_duration, time_to_go
from kpsbatch.work.run import Progress

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
COUNTING = """
import time
from kpsbatch.progress import count_progress
with count_progress("signs listed", quiet=False) as show:
    for done in range(1, {steps} + 1):
        time.sleep({pause})
        show(done, {steps})
print("end")
"""
RUNNING = """
import time
from kpsbatch.progress import run_progress
from kpsbatch.work.run import Progress
with run_progress(quiet=False) as show:
    show(Progress(videos=10, videos_done=4, videos_failed=1, frames=100, units=3, units_done=1))
    time.sleep(0.3)
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock of the progress module; change its only item."""
    now = [1000.0]

    class Clock:
        monotonic = staticmethod(lambda: now[0])

    monkeypatch.setattr(progress, "time", Clock)
    return now


def on_a_terminal(code: str, **environment: str) -> str:
    """What a program writes to a terminal of 100 columns."""
    parent, child = pty.openpty()
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=child,
        stderr=child,
        env={**clean, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    ) as process:
        os.close(child)
        written = b""
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            if select.select([parent], [], [], 0.2)[0]:
                try:
                    block = os.read(parent, 65536)
                except OSError:  # the other end is closed
                    break
                if not block:
                    break
                written += block
        process.wait(timeout=10)
    os.close(parent)
    return written.decode()


class TestLines:
    def test_run(self, clock, capsys):
        """A run prints a line every 30 s: time, counts, the unit stored last, failures, rates, time to go."""
        state = Progress(videos=300, videos_done=20, videos_failed=1, frames=900, units=12, units_done=2)
        with run_progress(quiet=False) as show:
            for _ in range(300):
                clock[0] += 0.25
                state.unit = "01-train/0007"
                show(state)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2
        assert re.fullmatch(
            STAMP + r"2/12 units, 20/300 videos, 1 failed, 30 frames/s, 7 min 00 s to go, last 01-train/0007",
            lines[0],
        )

    def test_count(self, clock, capsys):
        """Counting prints a line every 30 s, with rate and time to go."""
        with count_progress("signs listed", quiet=False) as show:
            for done in range(1, 100):
                clock[0] += 1
                show(done, 120)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3
        assert re.fullmatch(STAMP + r"30/120 signs listed, 1\.0/s, 1 min 30 s to go", lines[0])

    def test_short_work_is_silent(self, capsys):
        """What takes less than 30 s prints nothing into a log."""
        with count_progress("signs listed", quiet=False) as show:
            show(1, 2)
        assert capsys.readouterr().err == ""

    def test_quiet(self, clock, capsys):
        """--quiet prints nothing, however long it takes."""
        with count_progress("x", quiet=True) as show, run_progress(quiet=True) as show_run:
            clock[0] += 1000
            show(1, 2)
            show_run(Progress())
        assert capsys.readouterr() == ("", "")


class TestTerminal:
    def test_bar_after_a_second(self):
        """Counting shows a bar when it takes longer than a second, and takes it away at the end."""
        shown = on_a_terminal(COUNTING.format(steps=8, pause=0.2))
        assert "signs listed" in shown
        assert "8/8" in shown or "7/8" in shown
        assert shown.endswith("\x1b[2Kend\r\n") or shown.rstrip().endswith("end")

    def test_no_bar_for_short_work(self):
        """What is done within a second leaves a terminal alone."""
        assert on_a_terminal(COUNTING.format(steps=2, pause=0.01)) == "end\r\n"

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            (60, "4/10 videos, 1 failed, "),
            (80, "1/3 units, 4/10 videos, 1 failed, "),
            (120, r"1/3 units, 4/10 videos, 1 failed, \d+ frames/s, "),
        ],
    )
    def test_counts_stay_beside_what_they_count(self, columns, words):
        """In a narrow terminal the less important words are left out; the line never fills the terminal's width."""
        shown = on_a_terminal(RUNNING, COLUMNS=str(columns), NO_COLOR="1")
        lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in re.split(r"[\r\n]+", shown)]
        assert any(re.search(words, line) for line in lines), lines
        assert "…" not in shown
        assert max(map(len, lines)) <= columns - len("^C^C")  # what a terminal writes at Ctrl-C makes no second line

    @pytest.mark.parametrize("code", [RUNNING, COUNTING.format(steps=8, pause=0.2)], ids=["run", "count"])
    def test_nothing_stays_behind(self, code):
        """The bar is erased when the work ends, or is stopped: below it there is only one line."""
        shown = on_a_terminal(code.replace('print("end")', "") + 'print("end")')
        last = shown.rstrip().splitlines()[-1]
        assert re.search(r"\x1b\[2K(\x1b\[[0-9;?]*[a-zA-Z]|\r)*end$", shown.rstrip()), last

    @pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
    def test_no_color(self, environment, coloured):
        """The bar has colours, and none with NO_COLOR."""
        shown = on_a_terminal(RUNNING, **environment)
        assert "1/3 units" in shown
        assert "1 failed" in shown
        colours = re.findall(r"\x1b\[[0-9;]*\b(?:3[0-7]|38;[0-9;]+|9[0-7])m", shown)
        assert bool(colours) == coloured


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.7, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.8, "1 h 00 min"),
        (25500, "7 h 05 min"),
    ],
)
def test_duration(seconds, text):
    """Durations are written for people, and rounding never gives 60 s or 60 min."""
    assert show_duration(seconds) == text


def test_fitting():
    """Parts of the highest rank are left out first, the others keep their order, and one always stays."""
    parts = ((1, "three", ""), (0, "one", "red"), (2, "", ""), (2, "two", ""))
    assert [", ".join(text for text, _ in fitting(width, *parts)) for width in (99, 15, 14, 10, 9, 1)] == [
        "three, one, two",
        "three, one, two",
        "three, one",
        "three, one",
        "one",
        "one",
    ]


def test_time_to_go():
    """Time to go is at the rate so far, left out before anything is done."""
    assert time_to_go(1, 4, 10) == "30 s to go"
    assert time_to_go(0, 4, 10) == ""
