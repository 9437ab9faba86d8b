"""Which shard a process is, from the variables of each batch system."""

from __future__ import annotations

import pytest

from kpsbatch.cluster.shards import shard_of_environment
from kpsbatch.errors import ConfigError


def slurm(task, first, last, step=1, count=None):
    return {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_MAX": str(last),
        "SLURM_ARRAY_TASK_STEP": str(step),
        "SLURM_ARRAY_TASK_COUNT": str(len(range(first, last + 1, step)) if count is None else count),
    }


def grid_engine(task, first, last, step=1):
    names = ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE")
    return dict(zip(names, map(str, (task, first, last, step)), strict=True))


def lsf(task, last, step=1):
    return {"LSB_JOBINDEX": str(task), "LSB_JOBINDEX_END": str(last), "LSB_JOBINDEX_STEP": str(step)}


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        (slurm(0, 0, 50), (0, 51)),
        (slurm(50, 0, 50), (50, 51)),
        (slurm(1, 1, 10), (0, 10)),
        (slurm(7, 3, 9, 2), (2, 4)),
        (slurm(4, 4, 4), (0, 1)),
        ({"PBS_ARRAY_INDEX": "3", "KPSBATCH_SHARDS": "50"}, (3, 50)),
        ({"PBS_ARRAY_INDEX": "50", "KPSBATCH_SHARDS": "50", "KPSBATCH_FIRST": "1"}, (49, 50)),
        ({"PBS_ARRAYID": "0", "KPSBATCH_SHARDS": "8"}, (0, 8)),
        (lsf(1, 20), (0, 20)),
        (lsf(20, 20), (19, 20)),
        (lsf(9, 9, 2), (4, 5)),
        (grid_engine(1, 1, 30), (0, 30)),
        (grid_engine(30, 10, 30, 10), (2, 3)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "9", "AWS_BATCH_JOB_ARRAY_SIZE": "10"}, (9, 10)),
        ({"JOB_COMPLETION_INDEX": "4", "KPSBATCH_SHARDS": "5"}, (4, 5)),
        ({"KPSBATCH_SHARD": "4", "KPSBATCH_SHARDS": "5"}, (4, 5)),
    ],
)
def test_shard(environment, shard):
    """The index counts from 0, wherever the batch system starts, and the number of tasks is the number of shards."""
    assert shard_of_environment(environment) == shard


def test_condor(tmp_path):
    """HTCondor tells a job in a file."""
    ad = tmp_path / ".job.ad"
    ad.write_text('ClusterId = 7\nOrigProcId = 1\nProcId = 12\nTotalSubmitProcs = 40\nCmd = "/bin/run"\n')
    assert shard_of_environment({"_CONDOR_JOB_AD": str(ad)}) == (12, 40)


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        (slurm(7, 3, 7, count=2), (7, 51)),
        (lsf(7, 7), (6, 51)),
        (grid_engine(7, 7, 7), (6, 51)),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "7", "AWS_BATCH_JOB_ARRAY_SIZE": "10"}, (7, 51)),
    ],
)
def test_some_tasks_again(environment, shard):
    """With KPSBATCH_SHARDS some tasks of an array of 51 can be submitted alone."""
    assert shard_of_environment({**environment, "KPSBATCH_SHARDS": "51"}) == shard


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "this is not a task of a job array"),
        ({"LSB_JOBINDEX": "0", "LSB_JOBINDEX_END": "0"}, "this is not a task of a job array"),
        ({"SGE_TASK_ID": "undefined"}, "this is not a task of a job array"),
        ({"_CONDOR_JOB_AD": "/nope"}, "this is not a task of a job array"),
        ({"PBS_ARRAY_INDEX": "3"}, "[Ss]et KPSBATCH_SHARDS"),
        ({"JOB_COMPLETION_INDEX": "3", "KPSBATCH_SHARDS": "many"}, "[Ss]et KPSBATCH_SHARDS"),
        ({"PBS_ARRAY_INDEX": "50", "KPSBATCH_SHARDS": "50"}, "set KPSBATCH_SHARDS .* KPSBATCH_FIRST"),
        (slurm(7, 3, 7, count=2), "[Ss]et KPSBATCH_SHARDS"),
        (slurm(3, 3, 9, 3, count=2), "[Ss]et KPSBATCH_SHARDS"),
    ],
)
def test_no_shard(environment, said):
    """Where nothing tells the place of a task, or the index fits no shard, nothing is guessed."""
    with pytest.raises(ConfigError, match=said):
        shard_of_environment(environment)
