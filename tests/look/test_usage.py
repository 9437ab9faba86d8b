"""What tasks used beside what was requested, and what the allocation cost."""

from __future__ import annotations

from typing import Any

from kpsbatch.look.usage import usage_lines, usage_of, used_of_run
from kpsbatch.store.run_state import RunState, requested


def task(host: str, **changes: Any) -> RunState:
    """Half an hour of a task that had 2 cores and 4 GB and kept half a core busy."""
    state = {
        "run": f"job-5_{host}",
        "job": "5",
        "host": host,
        "state": "finished",
        "started": "2026-11-22T11:00:00+00:00",
        "updated": "2026-11-22T11:30:00+00:00",
        "cpu_seconds": 900,
        "memory_megabytes": 717,
        "requested": {"cores": 2, "memory_megabytes": 4096, "minutes": 240},
    }
    return RunState.model_validate({**state, **changes})


def test_advice() -> None:
    """Much less used than requested: what to ask for; the core-hours by node, the dearest first."""
    lines = list(usage_lines(usage_of([task("n1"), task("n2"), task("n2")])))
    assert lines == [
        "used by the largest of 3 tasks: 0.5 of 2 cores, 0.7 of 4.0 GB, 30 min 00 s of 4 h 00 min: "
        'ask for 1 core (slurm.cpus_per_task: 1), 1 GB (slurm.mem: 1G), 1 h 10 min (slurm.time: "01:10:00")',
        "allocation: 3.00 core-hours; n2 2.00 (2 tasks), n1 1.00 (1 task)",
    ]


def test_no_advice() -> None:
    """Nothing is advised where a task used what it had, while tasks run, or after seconds of work."""
    busy = task("n1", cpu_seconds=3400, memory_megabytes=3500, requested={"cores": 2, "memory_megabytes": 4096})
    short_limit = task("n2", requested={"cores": 2, "memory_megabytes": 4096, "minutes": 80})
    assert "ask for" not in "".join(usage_lines(usage_of([busy, short_limit])))
    runs = task("n1", state="running").model_copy(update={"silent": 1.0})
    assert "ask for" not in "".join(usage_lines(usage_of([runs, task("n2")])))
    short = task("n1", updated="2026-11-22T11:00:20+00:00", memory_megabytes=4000)
    assert "ask for" not in "".join(usage_lines(usage_of([short])))
    assert list(usage_lines(usage_of([task("n1", job=None)]))) == []


def test_of_one_task() -> None:
    """A task's own line; without SLURM's numbers what it used stands alone."""
    assert used_of_run(task("n1")) == "0.5 of 2 cores, 0.7 of 4 GiB"
    assert used_of_run(task("n1", requested={})) == "0.5 cores, 0.7 GiB"


def test_earlier_starts_cost_too() -> None:
    """The allocation of a requeued task is that of all its starts."""
    again = task("n1", before={"spans": [[0, 3600]], "cpu_seconds": 1})
    assert "allocation: 3.00 core-hours" in list(usage_lines(usage_of([again])))[1]


def test_what_slurm_gives() -> None:
    """By the variables of a job: memory of the node or of each core, the time between start and end."""
    environment = {"SLURM_JOB_ID": "5", "SLURM_CPUS_PER_TASK": "2", "SLURM_MEM_PER_CPU": "1000"}
    times = {"SLURM_JOB_START_TIME": "1000", "SLURM_JOB_END_TIME": "4600"}
    found = requested({**environment, **times})
    assert (found.cores, found.memory_megabytes, found.minutes) == (2, 2000, 60)
    assert requested({**environment, "SLURM_MEM_PER_NODE": "4096"}).memory_megabytes == 4096
    assert requested({"SLURM_CPUS_PER_TASK": "2"}).cores == 0
