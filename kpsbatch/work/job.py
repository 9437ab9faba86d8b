"""The job of a worker pool (or of this process in its place), its limits, and the outcome of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from kpsbatch.errors import KpsbatchError

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)

KILLED_FOR_MEMORY = (
    "the kernel does that when memory runs out: ask for more memory (slurm.mem) or fewer workers (run.workers)"
)


class Heartbeat(Protocol):
    """What a job calls while it works, so that it is not taken for hung."""

    def __call__(self, steps: int = 1, /) -> None:
        """Count steps (frames); 0 is a sign of life only."""


class Job(Protocol[TaskT_contra, ResultT_co]):
    """The work: made in the parent, pickled to each worker, opened there once."""

    def open(self) -> None:
        """Load what all tasks need; called before the first task."""

    def close(self) -> None:
        """Free what `open` loaded; not called in a worker, whose end frees everything."""

    def do(self, task: TaskT_contra, heartbeat: Heartbeat) -> ResultT_co:
        """Do one task and return its picklable result; call `heartbeat` after each step (frame)."""


@dataclass(frozen=True)
class Limits:
    """When a worker is killed or replaced.

    Attributes:
        step_timeout: Seconds without a new step (frame) after which a worker is killed.
        max_attempts: How often a task is tried.
        tasks_per_worker: Number of tasks after which a worker is replaced by a fresh one.
        worker_memory: Bytes of resident memory above which a worker is killed; one above half of it after a task is
            replaced. (RLIMIT_DATA would also count memory that is reserved and never used.)
    """

    step_timeout: float
    max_attempts: int = 2
    tasks_per_worker: int = 500
    worker_memory: float = float("inf")


@dataclass(frozen=True)
class Outcome(Generic[TaskT, ResultT]):
    """What became of a task, or of one attempt at it.

    Attributes:
        task: As it was submitted.
        value: Its result; None when it failed.
        problem: Why it failed; "" when it succeeded.
        final: Whether another attempt is pointless.
        attempts: How often it was tried.
        output: The last lines that a lost worker wrote.
        out_of_memory: Whether its worker was killed by SIGKILL, and not by the pool: mostly by the kernel, for memory.
    """

    task: TaskT
    value: ResultT | None = None
    problem: str = ""
    final: bool = False
    attempts: int = 1
    output: str = ""
    out_of_memory: bool = False


def attempt(job: Job[TaskT, ResultT], task: TaskT, heartbeat: Heartbeat) -> Outcome[TaskT, ResultT]:
    """Do a task once. After a KpsbatchError another attempt is pointless; any other error allows one."""
    try:
        return Outcome(task, job.do(task, heartbeat))
    except KpsbatchError as error:
        return Outcome(task, problem=str(error), final=True)
    except Exception as error:
        return Outcome(task, problem=f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")


def with_attempts(try_once: Callable[[], Outcome[TaskT, ResultT]], max_attempts: int) -> Outcome[TaskT, ResultT]:
    """Try a task until it succeeds, fails for good, or has had all its attempts."""
    problems: list[str] = []
    while True:
        outcome = try_once()
        problems.append(f"attempt {len(problems) + 1}: {outcome.problem}")
        if not outcome.problem or outcome.final:
            return replace(outcome, attempts=len(problems))
        if len(problems) == max_attempts:
            advice = [KILLED_FOR_MEMORY] if outcome.out_of_memory else []
            return replace(outcome, problem="; ".join(problems + advice), attempts=max_attempts)
