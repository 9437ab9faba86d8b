"""Which shard a process is, from the variables of each batch system, and how signs are dealt out."""

from __future__ import annotations

import pytest
from factories import main_ends, make_config

from kpsbatch.cluster.shards import Part, array_job, deal, parse_shard, shard_of_environment, signs_of_part
from kpsbatch.dataset.source import INDEX_FOLDER, open_source
from kpsbatch.errors import ConfigError, DatasetError


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


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ({**slurm(4, 0, 9), "SLURM_ARRAY_JOB_ID": "77", "SLURM_JOB_ID": "81"}, "77"),
        ({**slurm(4, 0, 9), "SLURM_ARRAY_JOB_ID": "77", "SLURM_CLUSTER_NAME": "two"}, "77-two"),
        ({**slurm(4, 0, 9), "SLURM_ARRAY_JOB_ID": "77", "KPSBATCH_SHARDS": "51"}, ""),
        ({**lsf(2, 9), "LSB_JOBID": "5"}, "5"),
        ({**grid_engine(2, 1, 9), "JOB_ID": "6"}, "6"),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "9", "AWS_BATCH_JOB_ARRAY_SIZE": "10", "AWS_BATCH_JOB_ID": "a-b:9"}, "a-b"),
        ({"KPSBATCH_SHARD": "4", "KPSBATCH_SHARDS": "5"}, ""),
        ({}, ""),
    ],
)
def test_the_job_of_an_array(environment, job):
    """All tasks of an array know it by one ID; where the number of shards is stated, no job counts."""
    assert array_job(environment) == job


class TestDeal:
    def test_neighbours(self):
        """Signs of one size go out in order; where there are more shards than signs, each has its own."""
        assert deal(dict.fromkeys(range(1, 8), 40), 3) == [(1, 2), (3, 4), (5, 6, 7)]
        assert deal(dict.fromkeys(range(1, 8), 40), 3, most=3) == [(1, 2, 3), (4, 5, 6), (7,)]
        many = deal(dict.fromkeys(range(71, 95), 150), 51)
        assert sorted(map(len, many)) == [0] * 27 + [1] * 24

    def test_by_size(self):
        """Where neighbours would be uneven the largest go first: 100 videos of a sign are a shard of their own."""
        sizes = {1: 100, 2: 90, 3: 10, 4: 10, 5: 10, 6: 60}
        assert deal(sizes, 3) == [(1,), (2,), (3, 4, 5, 6)]
        assert sum(deal(sizes, 3, most=2), ()) == (1, 5, 2, 4, 3, 6)

    @pytest.mark.parametrize("shards", [1, 2, 5, 40])
    def test_every_sign_once(self, shards):
        """Whatever the sizes, 0 among them, each sign is in one shard."""
        sizes = {sign: sign * sign % 13 for sign in range(30)}
        assert sorted(sum(deal(sizes, shards), ())) == list(range(30))


@pytest.fixture
def present(tmp_path):
    """A config of signs 1 to 502; signs 71 to 94 have a video each, of pictures that are none."""
    for sign in range(71, 95):
        (tmp_path / "data/01/train" / f"{sign:04}" / "v").mkdir(parents=True)
    layout = "{signer}/{split}/{sign:04d}"
    return make_config(tmp_path, dataset={"signs": "1-502", "layout": layout})


def signs_of(config, part):
    return signs_of_part(config, open_source(config.dataset, config.output.root / INDEX_FOLDER), part)


class TestSignsOfAPart:
    def test_what_is_there_is_dealt_out(self, present):
        """24 of 502 signs are there: of 51 tasks 24 have one each, with and without an array job."""
        for job in ("", "7"):
            shards = [signs_of(present, Part(shard, 51, job)) for shard in range(51)]
            assert sorted(sum(shards, ())) == list(range(71, 95))
            assert max(map(len, shards)) == 1

    def test_one_list_for_an_array_job(self, present, tmp_path):
        """The first task's list counts for all of a job, whatever is there by then; the next job makes a new one."""
        first = signs_of(present, Part(0, 4, "7"))
        assert first == (71, 72, 73, 74, 75, 76)
        for sign in range(1, 71):
            (tmp_path / "data/01/train" / f"{sign:04}" / "v").mkdir(parents=True)
        assert [sign for shard in range(4) for sign in signs_of(present, Part(shard, 4, "7"))] == list(range(71, 95))
        assert sorted(sum((signs_of(present, Part(shard, 4, "8")) for shard in range(4)), ())) == list(range(1, 95))

    def test_what_is_finished_weighs_nothing(self, present, tmp_path):
        """What a job finds finished leaves its tasks the rest in equal parts; a stated shard stays what it is."""
        folder = tmp_path / "config.yaml"
        main_ends(1, "run", folder, "--signs", "71-82", "--quiet")  # no picture is one, so that all have failed
        shards = [signs_of(present, Part(shard, 4, "9")) for shard in range(4)]
        assert [sum(sign > 82 for sign in shard) for shard in shards] == [3, 3, 3, 3]
        assert sorted(sum(shards, ())) == list(range(71, 95))
        assert signs_of(present, Part(0, 4)) == (71, 72, 73, 74, 75, 76)

    def test_a_list_of_an_older_job_of_this_number(self, present):
        """A list for other signs, or for another number of tasks, is not that of this job."""
        signs_of(present, Part(0, 4, "7"))
        assert signs_of(present, Part(0, 3, "7")) == tuple(range(71, 79))

    def test_refused(self, present, tmp_path):
        """A shard that there is not, and a dataset without a video: no task ends as if all were done."""
        with pytest.raises(ConfigError, match="no shard 3 of 3"):
            signs_of(present, parse_shard("3/3"))
        empty = present.model_copy(
            update={"dataset": present.dataset.model_copy(update={"signs": (1, 2), "root": tmp_path / "data"})}
        )
        for job in ("", "7"):
            with pytest.raises(DatasetError):
                signs_of(empty, Part(0, 2, job))
