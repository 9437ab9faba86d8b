"""A lost worker costs one attempt at one task; whatever happens, no process stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pool_jobs
import pytest
from processes import alive, wait_until, wait_until_dead

from kpsbatch.errors import ModelError
from kpsbatch.work import pool as pool_module
from kpsbatch.work.pool import InProcess, WorkerPool, executor_for
from kpsbatch.work.worker import Job, Limits, Outcome

HERE = Path(__file__).parents[1]
LONG = 60.0
Task = tuple[str, Any]
Pool = WorkerPool[Task, Any]
ENVIRONMENT = {"PYTHONPATH": str(HERE), "A": "b"}
OUT_OF_MEMORY = (
    "; the kernel does that when memory runs out: ask for more memory (slurm.mem) or fewer workers (run.workers)"
)


def make_pool(size: int = 2, job: Job[Task, Any] | None = None, timeout: float = LONG, **limits: Any) -> Pool:
    return WorkerPool(size, job or pool_jobs.Play(), Limits(timeout, **limits), ENVIRONMENT)


def finish(pool: Pool | InProcess[Task, Any], tasks: Iterable[Task]) -> list[Outcome[Task, Any]]:
    """Submit tasks, and wait until all have ended (pytest's timeout is the only clock)."""
    return [future.result() for future in [pool.submit(task) for task in tasks]]


def start(pool: Pool, tasks: Iterable[Task]) -> list[int]:
    """Let tasks begin that never end; return the process IDs of all workers once they are ready for them."""
    futures = [pool.submit(task) for task in tasks]
    wait_until(lambda: all(future.running() for future in futures) and len(pool.process_ids) == len(futures))
    return pool.process_ids


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
            assert pool.process_ids == []
            for _ in range(3):
                assert len(finish(pool, [("echo", 1)])) == 1
                assert len(pool.process_ids) == 1

    def test_capacity(self):
        """The pool wants tasks for its workers and a little more, so that memory is bounded."""
        with make_pool(2) as pool:
            assert 2 < pool.capacity <= 4

    def test_a_task_that_waits_starts_at_once(self):
        """A worker that ends a task is given the next one without help of the thread that submits."""
        with make_pool(1) as pool:
            futures = [pool.submit(("process", None)) for _ in range(3)]
            outcome = futures[-1].result()
        assert outcome.value is not None
        assert outcome.value[1] == 3

    def test_worker_outlives_the_thread_that_submitted(self):
        """The kernel ends a worker with the thread that started it: that is none of the caller's."""
        with make_pool(1) as pool:
            thread = threading.Thread(target=finish, args=(pool, [("echo", 1)]))
            thread.start()
            thread.join()
            [pid] = pool.process_ids
            [outcome] = finish(pool, [("process", None)])
        assert outcome.value == (pid, 2)

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
            (("die", signal.SIGABRT), "its worker was killed by SIGABRT"),
            (("leave", 0), "its worker ended with exit status 0"),
            (("leave", 3), "its worker ended with exit status 3"),
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

    @pytest.mark.parametrize("task", [("die", signal.SIGKILL), ("large_then_killed", 200_000_000)])
    def test_killed_by_the_kernel(self, task):
        """A worker that is killed by SIGKILL from outside is tried again, and the advice is about memory."""
        with make_pool(max_attempts=2) as pool:
            done = finish(pool, [*ECHOES[:3], task, *ECHOES[3:]])
        [failed] = [outcome for outcome in done if outcome.problem]
        says = "its worker was killed by SIGKILL"
        assert failed.problem == f"attempt 1: {says}; attempt 2: {says}{OUT_OF_MEMORY}"
        assert (failed.task, failed.attempts, failed.out_of_memory) == (task, 2, True)
        assert len(done) == 7

    def test_refusal_is_final(self):
        """An error that comes again in every attempt is not tried again."""
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

    @pytest.mark.parametrize("how", ["hang", "stop", "stop_in_the_middle_of_a_message"])
    def test_hung_worker(self, how):
        """A worker that hangs or is stopped is killed after the timeout; the others go on meanwhile."""
        with make_pool(timeout=1.5, max_attempts=1) as pool:
            done = finish(pool, [(how, None), *ECHOES])
            assert pool.steps == 6
        [failed] = [outcome for outcome in done if outcome.problem]
        assert failed.problem == "attempt 1: no new frame for 1.5 s (run.video_timeout)"
        assert not failed.out_of_memory
        assert len(done) == 7

    def test_slow_but_going_on(self):
        """The timeout counts from the last frame: a video may take much longer than that in all."""
        with make_pool(1, timeout=2.5, max_attempts=1) as pool:
            [outcome] = finish(pool, [("slow", (5, 1.2))])
            assert pool.steps == 5
        assert (outcome.value, outcome.problem) == ("slow", "")

    def test_hangs_after_some_frames(self):
        """Frames before do not help a worker that hangs."""
        with make_pool(1, timeout=1.0, max_attempts=1) as pool:
            [outcome] = finish(pool, [("hang_after", (3, 0.6))])
        assert outcome.problem == "attempt 1: no new frame for 1 s (run.video_timeout)"

    def test_parent_that_was_stopped(self):
        """No time passes for the workers while their parent is stopped (SIGSTOP, a suspended job)."""
        code = STOPPED_PARENT.format(timeout=8.0)
        with subprocess.Popen([sys.executable, "-c", code, str(HERE)], env=PATHS, **PIPES) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "busy\n"
            parent.send_signal(signal.SIGSTOP)
            time.sleep(9)
            parent.send_signal(signal.SIGCONT)
            assert parent.stdout.read() == "after 10 s \n"

    def test_workers_killed_from_outside(self):
        """Workers that are killed one after another while they work cost attempts, no task is lost or done twice."""
        with make_pool(max_attempts=10) as pool:
            tasks: list[Task] = [("echo", os.urandom(2_000_000)) for _ in range(12)]
            futures = [pool.submit(task) for task in tasks]
            futures[0].result()
            for future in futures[:6:2]:
                os.kill(pool.process_ids[0], signal.SIGKILL)
                future.result()
            assert [future.result().value for future in futures] == [value for _, value in tasks]

    def test_idle_worker_killed(self):
        """A worker that was lost between two tasks costs no attempt."""
        with make_pool(1, max_attempts=1) as pool:
            finish(pool, [("echo", 1)])
            [pid] = pool.process_ids
            os.kill(pid, signal.SIGKILL)
            wait_until_dead([pid])
            [outcome] = finish(pool, [("echo", 2)])
        assert (outcome.value, outcome.attempts) == (2, 1)


class TestMemory:
    def test_leaking_worker(self):
        """A worker above its limit is killed and its task fails with the limit; the others are done."""
        with make_pool(worker_memory=200 << 20, max_attempts=2) as pool:
            done = finish(pool, [("leak", 250), *ECHOES])
        [failed] = [outcome for outcome in done if outcome.problem]
        says = "its worker used more than run.worker_memory (200 MB)"
        assert failed.problem == f"attempt 1: {says}; attempt 2: {says}"
        assert not failed.out_of_memory
        assert len(done) == 7

    def test_grown_worker(self):
        """A worker that has grown over many tasks is replaced between two of them."""
        with make_pool(1, worker_memory=600 << 20) as pool:
            [grown] = finish(pool, [("grow", 320)])
            [after] = finish(pool, [("process", None)])
        assert after.value is not None
        assert after.value[0] != grown.value
        assert after.value[1] == 1

    def test_worker_that_can_not_die(self, monkeypatch):
        """A worker that hangs in the kernel after its kill holds nobody up."""
        for limit in ("EXIT_SECONDS", "REAP_SECONDS"):
            monkeypatch.setattr(pool_module, limit, 0.2)
        pool = make_pool(1, max_attempts=1)
        start(pool, [("hang", None)])
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

    def test_killed(self):
        """Workers that the kernel kills while they load end the run with the memory that they need."""
        says = r"3 worker processes in a row .* killed by SIGKILL; the kernel does that .*; 500 MB a worker and 300"
        with make_pool(job=pool_jobs.KilledAtStart()) as pool, pytest.raises(ModelError, match=says) as raised:
            finish(pool, ECHOES)
        assert "kpsbatch models" not in str(raised.value)

    def test_recovers(self, tmp_path):
        """Two workers that die while loading cost no task an attempt; the third does the work."""
        job = pool_jobs.DiesTwiceAtStart(tmp_path)
        with make_pool(1, job=job, max_attempts=1) as pool:
            assert [outcome.problem for outcome in finish(pool, ECHOES)] == [""] * 6

    def test_hangs(self, monkeypatch):
        """Workers that don't get ready end the run, too."""
        monkeypatch.setattr(pool_module, "START_SECONDS", 0.3)
        with make_pool(job=pool_jobs.HangsAtStart()) as pool, pytest.raises(ModelError, match="did not start"):
            finish(pool, ECHOES)


class TestNoProcessIsLeft:
    @pytest.mark.parametrize("how", ["hang", "stop", "echo"])
    def test_close(self, how):
        """Closing kills every worker at once, whatever it does, and forgets the tasks that wait."""
        pool = make_pool()
        finish(pool, ECHOES)
        futures: list[Future[Outcome[Task, Any]]] = [pool.submit((how, None)) for _ in range(4)]
        pids = pool.process_ids
        assert pids
        pool.close()
        assert not any(alive(pid) for pid in pids)
        assert pool.process_ids == []
        assert all(future.done() for future in futures)
        if how != "echo":
            for future in futures:
                with pytest.raises(CancelledError):
                    future.result()

    def test_close_while_starting(self):
        """Closing kills workers that still load, and starts no others."""
        pool = make_pool(job=pool_jobs.HangsAtStart())
        pids = start(pool, ECHOES[:2])
        pool.close()
        assert not any(alive(pid) for pid in pids)
        assert pool.process_ids == []

    def test_error_in_the_block(self):
        """An exception in the `with` block kills the workers, too."""
        with pytest.raises(KeyError), make_pool() as pool:
            pids = start(pool, [("hang", None)])
            raise KeyError
        assert not any(alive(pid) for pid in pids)

    def test_no_descriptor_is_left(self):
        """Recycled and lost workers leave no open file."""
        before = len(os.listdir("/proc/self/fd"))
        with make_pool(1, tasks_per_worker=1, max_attempts=2) as pool:
            finish(pool, [*ECHOES[:3], ("die", signal.SIGSEGV)])
        assert len(os.listdir("/proc/self/fd")) == before


PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
PARENT = """
import sys
import pool_jobs
from kpsbatch.work.pool import WorkerPool
from kpsbatch.work.worker import Limits
with WorkerPool(2, pool_jobs.Play(), Limits(600), {"PYTHONPATH": sys.argv[1]}) as pool:
    for future in [pool.submit(("slow", (1, 0.5))) for _ in range(2)]:
        future.result()
    pool.submit(("hang", None))
    print(*pool.process_ids, flush=True)
    sys.stdin.read()
"""
STOPPED_PARENT = """
import sys, time
import pool_jobs
from kpsbatch.work.pool import WorkerPool
from kpsbatch.work.worker import Limits
with WorkerPool(1, pool_jobs.Play(), Limits({timeout}, max_attempts=1), {{"PYTHONPATH": sys.argv[1]}}) as pool:
    pool.submit(("echo", 1)).result()
    before = pool.steps
    future = pool.submit(("do_nothing", 10))
    while pool.steps == before:  # until the task is at the worker
        time.sleep(0.01)
    print("busy", flush=True)
    outcome = future.result()
    print(outcome.value, outcome.problem, flush=True)
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
            future = pool.submit(("process", None))
            wait_until(lambda: pool.process_ids)
            os.kill(pool.process_ids[0], number)
            assert future.result().problem == ""
            assert len(pool.process_ids) == 1

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_workers_die_with_the_parent(self, number):
        """A parent that is killed takes its workers with it, busy and idle ones."""
        with subprocess.Popen([sys.executable, "-c", PARENT, str(HERE)], env=PATHS, **PIPES) as parent:
            assert parent.stdout is not None
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            assert len(pids) == 2
            assert all(alive(pid) for pid in pids)
            parent.send_signal(number)
            parent.wait()
            wait_until_dead(pids)


class TestInProcess:
    """`run.workers: 0` does the same work in this process."""

    def make(self, job: Job[Task, Any] | None = None, attempts: int = 2) -> InProcess[Task, Any]:
        executor = executor_for(0, job or pool_jobs.Play(), Limits(LONG, attempts), {"A": "b"})
        assert isinstance(executor, InProcess)
        return executor

    def test_chosen_by_the_number(self):
        """0 is this process, any other number is a pool."""
        with self.make(), executor_for(1, pool_jobs.Play(), Limits(LONG), {}) as pool:
            assert isinstance(pool, WorkerPool)

    def test_done_here(self):
        """Tasks are done when `submit` returns, in this process, and their steps are counted."""
        with self.make() as executor:
            future = executor.submit(("process", None))
            assert future.done()
            assert future.result() == Outcome(("process", None), (os.getpid(), 1))
            assert [outcome.value for outcome in finish(executor, ECHOES)] == list(range(6))
            assert executor.steps == 6

    @pytest.mark.parametrize("task", [("echo", 1), ("fail", "a\nb"), ("refuse", "no frames")])
    def test_same_outcomes_as_a_pool(self, task):
        """What becomes of a task does not depend on where it is done."""
        with self.make() as executor, make_pool(1) as pool:
            assert finish(executor, [task]) == finish(pool, [task])

    def test_environment(self, monkeypatch):
        """Variables are set while it is in use, and set back after."""
        monkeypatch.setenv("A", "before")
        with self.make() as executor:
            assert finish(executor, [("variable", "A")])[0].value == "b"
        assert os.environ["A"] == "before"

    def test_unusable(self):
        """A job that can't be opened ends the run with its reason."""
        with pytest.raises(ModelError, match="no models here"):
            self.make(pool_jobs.Unusable())

    def test_interrupt(self):
        """KeyboardInterrupt (a second Ctrl-C, quit in pdb) is no failed video: it goes through."""
        with self.make() as executor, pytest.raises(KeyboardInterrupt):
            executor.submit(("interrupt", None))
