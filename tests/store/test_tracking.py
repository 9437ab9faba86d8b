"""What a run records of its CPU time and memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kpsbatch.store.run_state import ALONE, Progress, RunState, read_runs
from kpsbatch.store.tracking import Usage, tracked

BUSY = """
import sys, time
block = bytearray(120 << 20)
while time.process_time() < 0.6:
    pass
print("ready", flush=True)
sys.stdin.read()
"""


def test_children_count():
    """The CPU time and the memory of a process that was started are counted, while it lives and afterwards."""
    usage = Usage()
    usage.last_sample()
    before = (usage.cpu_seconds, usage.memory_megabytes)
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        usage.last_sample()
        during = (usage.cpu_seconds, usage.memory_megabytes)
        child.communicate()
    usage.last_sample()
    assert round(during[0] - before[0], 1) >= 0.5  # both are tenths
    assert during[1] - before[1] >= 120
    assert usage.cpu_seconds >= during[0]
    assert usage.memory_megabytes == during[1]


def test_in_the_state_file(tmp_path):
    """A run's state file says what it used."""
    with tracked(tmp_path, ALONE, Progress(units=1)) as note:
        note()
    (run,) = read_runs(tmp_path)
    assert run.cpu_seconds > 0
    assert run.memory_megabytes > 5


@pytest.mark.parametrize("value", ["NaN", '"much"', "null", "[]"])
def test_unusable_values(value):
    """Values that are no numbers count as not known, and cost nothing else of the file."""
    text = f'{{"run": "a", "started": "2026-11-22T11:00:00+00:00", "updated": "2026-11-22T11:00:00+00:00", "state": "finished", "cpu_seconds": {value}, "memory_megabytes": {value}}}'  # noqa: E501
    run = RunState.model_validate(json.loads(text))
    assert (run.cpu_seconds, run.memory_megabytes) == (0, 0)
