"""`plan`: what a dataset takes, from one measured unit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factories import make_config

from kpsbatch.cluster.slurm import Partition
from kpsbatch.dataset.video import Unit
from kpsbatch.look.estimate import Measured, fits, size

UNIT = Unit("01", "train", 1)


@pytest.fixture
def config(tmp_path):
    return make_config(tmp_path, dataset={"signs": "1-502"}, slurm={"cpus_per_task": 8, "array_parallelism": 20})


def sized(config, **changes):
    karsl = {
        "videos": 40,
        "frames": 2400,
        "core_seconds": 1.8,
        "worker_megabytes": 400,
        "npz_bytes": 0,
        "full_bytes": 0,
    }
    return size(config, Measured(UNIT, **{**karsl, "dataset_videos": 75_300, "signs": 502, **changes}))


def test_a_small_dataset_is_one_task(config) -> None:
    """What takes less than half an hour on a task's cores is not split, what takes longer is."""
    small = sized(config, signs=20, dataset_videos=7_900)
    assert (small.chunk_size, small.tasks) == (20, 1)
    assert small.task_seconds == pytest.approx(7_900 * 1.8 / 8)
    assert sized(config, signs=20, dataset_videos=8_100).tasks == 20


def test_calculation_by_hand(config) -> None:
    """75,300 videos at 1.8 s are 37.65 core-hours; 150 videos a sign on 8 cores take 33.75 s, so 26 signs fill a task
    as far as 20 tasks at once allow."""
    found = sized(config)
    assert found.core_hours == pytest.approx(37.65)
    assert found.frames_per_core_second == pytest.approx(2400 / 72)
    assert (found.chunk_size, found.tasks) == (26, 20)
    assert found.task_seconds == pytest.approx(26 * 33.75)
    assert found.time_minutes == 40  # twice 14.6 minutes and 10 more, rounded up to tens
    assert found.memory_gigabytes == 5  # 1.2 x 8 x 400 MB and 500 MB, rounded up


def test_slow_signs_make_tasks_of_about_an_hour(config) -> None:
    """Ten times as slow, a task has the signs of about one hour, and more tasks than run at once."""
    found = sized(config, core_seconds=18.0)
    assert found.chunk_size == 11
    assert found.tasks == 46
    assert found.task_seconds == pytest.approx(3600, rel=0.1)


def test_a_task_has_at_least_one_sign(config) -> None:
    """A sign that takes longer than an hour is a task of its own."""
    assert sized(config, core_seconds=1000.0).chunk_size == 1


NODES = [Partition("main", "1-00:00:00", "8", "6000"), Partition("main", "12:00:00", "4+", "64000+")]


def test_beside_the_nodes_of_the_partition(config) -> None:
    """What the partition's nodes have is said, and a task that fits none of them; nothing where no SLURM answers."""
    found = sized(config)
    assert list(fits(config, found, [])) == []
    [line] = fits(config, found, NODES)
    assert line == "\npartition main: nodes of 4 cores and 62 GB, 8 cores and 5 GB; 1440 minutes"
    _, memory, limit = fits(config, replace(found, memory_gigabytes=6, time_minutes=2000), NODES)
    assert memory == "no node has 8 cores and 6 GB: lower slurm.cpus_per_task and plan again"
    assert "take 1440 minutes" in limit
