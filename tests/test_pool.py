"""A lost worker costs one attempt at one task; whatever happens, no process stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pool_jobs
import pytest
from processes import alive, wait_until_dead

from kpsbatch.errors import ModelError
from kpsbatch.work import pool as pool_module
from kpsbatch.work.pool import Outcome, WorkerPool

HERE = Path(__file__).parent
LONG = 60.0
Task = tuple[str, Any]


def make_pool(size: int = 2, job: Any = None, timeout: float = LONG, **options: Any) -> WorkerPool:
    return WorkerPool(
        size, job or pool_jobs.Play(), timeout=timeout, environment={"PYTHONPATH": str(HERE), "A": "b"}, **options
    )


def finish(pool: WorkerPool, tasks: Iterable[Task] = ()) -> list[Outcome]:
    """Put tasks, and wait until everything has ended (pytest's timeout is the only clock)."""
    for task in tasks:
        pool.put(task)
    done: list[Outcome] = []
    while pool.unfinished:
        done += pool.wait(0.5)
    return done + pool.wait(0)


ECHOES: list[Task] = [("echo", number) for number in range(6)]


class TestTasks:
    def test_all_done(self):
        """Every task ends exactly once, with its result; heartbeats are counted."""
        with make_pool() as pool:
            done = finish(pool, ECHOES)
            assert sorted(outcome.value for outcome in done) == list(range(6))
            assert {(outcome.problem, outcome.attempts) for outcome in done} == {("", 1)}
            assert pool.steps == 6

    def test_large_results(self):
        """Results far larger than a pipe's buffer arrive whole."""
        blocks = [os.urandom(3_000_000) for _ in range(3)]
        with make_pool() as pool:
            assert {outcome.value for outcome in finish(pool, [("echo", block) for block in blocks])} == set(blocks)

    def test_workers_do_without_matplotlib(self):
        """MediaPipe's plots, half of the time that its import takes, are left out of a worker."""
        with make_pool() as pool:
            (outcome,) = finish(pool, [("import_mediapipe", None)])
            assert outcome.value == []

    def test_no_more_workers_than_tasks(self):
        """Workers are started as tasks want them."""
        with make_pool(8) as pool:
            pool.put(("echo", 1))
            assert len(pool.process_ids) == 1
            assert len(finish(pool)) == 1

    def test_wants_tasks(self):
        """The pool asks for tasks until its workers are busy and a little more, so that memory is bounded."""
        with make_pool(2) as pool:
            count = 0
            while pool.wants_tasks:
                pool.put(("echo", count))
                count += 1
            assert 2 <= count <= 4
            assert len(finish(pool)) == count

    def test_environment(self):
        """Workers see the variables that they are given."""
        with make_pool(1) as pool:
            assert [outcome.value for outcome in finish(pool, [("variable", "A")])] == ["b"]

    def test_recycling(self):
        """After so many tasks a fresh worker takes the place of the old, which is gone."""
        with make_pool(1, tasks_per_worker=2) as pool:
            values = [outcome.value for outcome in finish(pool, [("process", None)] * 5)]
            assert [tasks for _, tasks in values] == [1, 2, 1, 2, 1]
            pids = list(dict.fromkeys(pid for pid, _ in values))
            assert len(pids) == 3
            assert not any(alive(pid) for pid in pids[:2])


class TestFailures:
    @pytest.mark.parametrize(
        ("task", "says"),
        [
            (("die", signal.SIGSEGV), "its worker was killed by SIGSEGV"),
            (("die", signal.SIGKILL), "its worker was killed by SIGKILL"),
            (("die", signal.SIGABRT), "its worker was killed by SIGABRT"),
            (("leave", 0), "its worker ended with exit status 0"),
            (("leave", 3), "its worker ended with exit status 3"),
            (("large_then_killed", 200_000_000), "its worker was killed by SIGKILL"),
            (("unpicklable", None), "its worker ended with exit status 1"),
            (("fail", "a\nb"), "RuntimeError: a b"),
        ],
    )
    def test_lost_worker(self, task, says):
        """A worker that is lost fails its own task after max_attempts, and no other."""
        with make_pool(max_attempts=2) as pool:
            done = finish(pool, [*ECHOES[:3], task, *ECHOES[3:]])
        failed = [outcome for outcome in done if outcome.problem]
        assert sorted(outcome.value for outcome in done if not outcome.problem) == list(range(6))
        assert [(outcome.task, outcome.attempts) for outcome in failed] == [(task, 2)]
        assert failed[0].problem == f"attempt 1: {says}; attempt 2: {says}"

    def test_refusal_is_final(self):
        """An error that another attempt would not mend is not tried again."""
        with make_pool(max_attempts=3) as pool:
            [outcome] = finish(pool, [("refuse", "no frames")])
        assert (outcome.problem, outcome.attempts) == ("no frames", 1)

    def test_second_attempt(self, tmp_path):
        """A task whose worker was lost once is done by another worker."""
        with make_pool() as pool:
            [outcome] = finish(pool, [("die_once", tmp_path / "marker")])
        assert (outcome.value, outcome.problem, outcome.attempts) == ("second attempt", "", 2)

    def test_last_words(self):
        """What a lost worker wrote is kept."""
        with make_pool(max_attempts=1) as pool:
            [outcome] = finish(pool, [("die", signal.SIGSEGV)])
        assert "last words" in outcome.output

    @pytest.mark.parametrize("how", ["hang", "stop"])
    def test_hung_worker(self, how):
        """A worker that hangs or is stopped is killed after the timeout; the others go on meanwhile."""
        with make_pool(timeout=1.5, max_attempts=1) as pool:
            done = finish(pool, [(how, None), *ECHOES])
            assert pool.steps == 6
        [failed] = [outcome for outcome in done if outcome.problem]
        assert failed.problem == "attempt 1: ran longer than run.video_timeout (1.5 s)"
        assert len(done) == 7

    def test_timeout_however_long_the_wait(self, monkeypatch):
        """A long wait for news is no pause of this process: the timeout holds."""
        monkeypatch.setattr(pool_module, "PAUSE_SECONDS", 0.5)
        with make_pool(1, timeout=1.0, max_attempts=1) as pool:
            assert len(finish(pool, [("echo", 1)])) == 1
            pool.put(("hang", None))
            waits = 0
            while not (done := pool.wait(LONG)):
                waits += 1
            assert done[0].problem
            assert waits <= 1

    def test_workers_killed_from_outside(self):
        """Workers that are killed one after another while they work cost attempts, no task is lost or done twice."""
        with make_pool(max_attempts=10) as pool:
            tasks: list[Task] = [("echo", os.urandom(2_000_000)) for _ in range(12)]
            for task in tasks:
                pool.put(task)
            done = pool.wait(LONG)
            for _ in range(3):
                os.kill(pool.process_ids[0], signal.SIGKILL)
                done += pool.wait(LONG)
            done += finish(pool)
        assert sorted(outcome.value for outcome in done) == sorted(value for _, value in tasks)


class TestMemory:
    def test_leaking_worker(self):
        """A worker above its limit is killed and its task fails with the limit; the others are done."""
        with make_pool(max_memory=200 << 20, max_attempts=2) as pool:
            done = finish(pool, [("leak", 250), *ECHOES])
        [failed] = [outcome for outcome in done if outcome.problem]
        says = "its worker used more than run.worker_memory (200 MB)"
        assert failed.problem == f"attempt 1: {says}; attempt 2: {says}"
        assert len(done) == 7

    def test_grown_worker(self):
        """A worker that has grown over many tasks is replaced between two of them."""
        with make_pool(1, max_memory=600 << 20) as pool:
            [grown] = finish(pool, [("grow", 320)])
            [after] = finish(pool, [("process", None)])
        assert after.value == (after.value[0], 1)
        assert after.value[0] != grown.value

    def test_worker_that_can_not_die(self, monkeypatch):
        """A worker that hangs in the kernel after its kill holds nobody up."""
        monkeypatch.setattr(pool_module, "REAP_SECONDS", 0.2)
        pool = make_pool(1, max_attempts=1)
        pool.put(("hang", None))
        pool.wait(0)
        [worker] = pool._workers
        monkeypatch.setattr(worker.process, "kill", lambda: None)
        pool.close()
        assert pool.process_ids == []
        os.kill(worker.process.pid, signal.SIGKILL)
        os.waitpid(worker.process.pid, 0)


class TestStart:
    def test_unusable(self):
        """A worker that knows why it can't work ends the run with that."""
        with make_pool(job=pool_jobs.Unusable()) as pool, pytest.raises(ModelError, match="no models here"):
            finish(pool, ECHOES)

    def test_dies(self):
        """Workers that die again and again while loading end the run, with what the last one wrote."""
        with make_pool(job=pool_jobs.DiesAtStart()) as pool, pytest.raises(ModelError, match="far too little"):
            finish(pool, ECHOES)

    def test_hangs(self, monkeypatch):
        """Workers that don't get ready end the run, too."""
        monkeypatch.setattr(pool_module, "START_SECONDS", 0.3)
        with make_pool(job=pool_jobs.HangsAtStart()) as pool, pytest.raises(ModelError, match="did not start"):
            finish(pool, ECHOES)


class TestNoProcessIsLeft:
    @pytest.mark.parametrize("how", ["hang", "stop", "echo"])
    def test_close(self, how):
        """Closing kills every worker at once, whatever it does."""
        pool = make_pool()
        finish(pool, ECHOES)
        for _ in range(2):
            pool.put((how, None))
        pids = pool.process_ids
        assert pids
        pool.close()
        assert not any(alive(pid) for pid in pids)
        assert pool.unfinished == 0

    def test_error_in_the_block(self):
        """An exception in the `with` block kills the workers, too."""
        with pytest.raises(KeyError), make_pool() as pool:
            pool.put(("hang", None))
            pids = pool.process_ids
            raise KeyError
        assert not any(alive(pid) for pid in pids)

    def test_no_descriptor_is_left(self):
        """Recycled and lost workers leave no open file."""
        before = len(os.listdir("/proc/self/fd"))
        with make_pool(1, tasks_per_worker=1, max_attempts=2) as pool:
            finish(pool, [*ECHOES[:3], ("die", signal.SIGSEGV)])
        assert len(os.listdir("/proc/self/fd")) == before


PARENT = """
import os, sys
import pool_jobs
from kpsbatch.work.pool import WorkerPool
with WorkerPool(2, pool_jobs.Play(), timeout=600, environment={"PYTHONPATH": sys.argv[1]}) as pool:
    for number in range(2):
        pool.put(("process", None))
    while pool.unfinished:
        pool.wait(1)
    pool.put(("hang", None))
    print(*pool.process_ids, flush=True)
    sys.stdin.read()
"""


class TestSignals:
    def test_workers_ignore_them(self):
        """Signals for the whole job step don't end a worker: the parent decides."""
        with make_pool(1, max_attempts=1) as pool:
            [outcome] = finish(pool, [("signals", None)])
        assert outcome.value == "still here"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
    def test_from_the_first_moment(self, number):
        """A signal while a worker starts does not end it either."""
        with make_pool(1, max_attempts=1) as pool:
            pool.put(("process", None))
            os.kill(pool.process_ids[0], number)
            [outcome] = finish(pool)
        assert outcome.problem == ""

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_workers_die_with_the_parent(self, number):
        """A parent that is killed takes its workers with it, busy and idle ones."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, str(HERE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        ) as parent:
            assert parent.stdout is not None
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            assert pids
            assert all(alive(pid) for pid in pids)
            parent.send_signal(number)
            parent.wait()
            wait_until_dead(pids)
