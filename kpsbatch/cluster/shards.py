"""Shards, each the work of one array task: its signs, and which one this process does, as its batch system says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kpsbatch.errors import ConfigError

SHARD, SHARDS, FIRST = "KPSBATCH_SHARD", "KPSBATCH_SHARDS", "KPSBATCH_FIRST"


@dataclass(frozen=True)
class ArrayVariables:
    """The environment variables by which a batch system numbers the tasks of a job array.

    Attributes:
        system: The batch system.
        index: The task's index.
        first, last, step: The range of the indexes; "" where the system sets no such variable.
        count: The number of tasks; "" where the system sets no such variable.
        lowest: The index of the first task where neither `first` nor KPSBATCH_FIRST is set.
    """

    system: str
    index: str
    first: str = ""
    last: str = ""
    step: str = ""
    count: str = ""
    lowest: int = 0


SYSTEMS = (
    ArrayVariables("KPSBATCH_SHARD", SHARD),
    ArrayVariables(
        "SLURM",
        "SLURM_ARRAY_TASK_ID",
        first="SLURM_ARRAY_TASK_MIN",
        last="SLURM_ARRAY_TASK_MAX",
        step="SLURM_ARRAY_TASK_STEP",
        count="SLURM_ARRAY_TASK_COUNT",
    ),
    ArrayVariables("PBS Pro", "PBS_ARRAY_INDEX"),
    ArrayVariables("Torque", "PBS_ARRAYID"),
    ArrayVariables("LSF", "LSB_JOBINDEX", last="LSB_JOBINDEX_END", step="LSB_JOBINDEX_STEP", lowest=1),
    ArrayVariables(
        "Grid Engine",
        "SGE_TASK_ID",
        first="SGE_TASK_FIRST",
        last="SGE_TASK_LAST",
        step="SGE_TASK_STEPSIZE",
        lowest=1,
    ),
    ArrayVariables("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", count="AWS_BATCH_JOB_ARRAY_SIZE"),
    ArrayVariables("Kubernetes", "JOB_COMPLETION_INDEX"),
    ArrayVariables("HTCondor", "ProcId", count="TotalSubmitProcs"),
)
"""From the manuals of the systems. HTCondor's are not variables but attributes in a file that a variable names."""


def parse_shard(text: str) -> tuple[int, int]:
    """Read `I/N`, or with `auto` what the batch system says.

    Raises:
        ConfigError: It is anything else, or no batch system says it.
    """
    if text == "auto":
        return shard_of_environment()
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None:
        raise ConfigError(f"--shard: {text!r} is not a shard. Write auto, or I/N with I from 0 to N-1, such as 0/50.")
    return int(match[1]), int(match[2])


def signs_of_shard(signs: Sequence[int], shard: int, shards: int) -> tuple[int, ...]:
    """The signs of shard `shard` (from 0) of `shards`: contiguous, sizes differ by at most one.

    Raises:
        ConfigError: `shard` is not in 0 .. shards - 1.
    """
    if shards < 1 or not 0 <= shard < shards:
        raise ConfigError(f"--shard: there is no shard {shard} of {shards}. Write I/N with I from 0 to N-1.")
    return tuple(signs[len(signs) * shard // shards : len(signs) * (shard + 1) // shards])


def shard_of_environment(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """The shard (from 0) that this process is, and the number of shards.

    The index comes from the batch system. So does the number of shards, unless KPSBATCH_SHARDS is set, which is needed
    where the system has no such variable (PBS, Torque, Kubernetes). With it some tasks of an array can be run again;
    indexes then count from KPSBATCH_FIRST, which is 1 for LSF and Grid Engine and else 0 unless it is set.

    Raises:
        ConfigError: This is no task of an array, or its index fits no shard.
    """
    variables = {**environment, **_condor_attributes(environment)}
    for system in SYSTEMS:
        index = _number(variables, system.index)
        if index is not None and not (system.system == "LSF" and index == 0):  # 0: a job that is no array
            return _shard(system, index, variables)
    raise ConfigError(
        "--shard auto: this is not a task of a job array: no variable of a batch system is set. Give I/N, or set "
        f"{SHARD} and {SHARDS}."
    )


def _shard(system: ArrayVariables, index: int, variables: Mapping[str, str]) -> tuple[int, int]:
    stated = _number(variables, SHARDS)
    first = _number(variables, FIRST)
    step = 1
    if stated is None:
        first = _number(variables, system.first) if first is None else first
        step = _number(variables, system.step) or 1
    if first is None:
        first = system.lowest
    last, count = _number(variables, system.last), _number(variables, system.count)
    shards = stated
    if shards is None:
        shards = count if count is not None or last is None else (last - first) // step + 1
    if shards is None:
        raise ConfigError(f"{system.system} sets no variable with the number of tasks. Set {SHARDS} to it.")
    number, rest = divmod(index - first, step)
    irregular = stated is None and None not in (last, count) and (last or 0) - first != ((count or 0) - 1) * step
    if rest or irregular or not 0 <= number < shards:
        raise ConfigError(
            f"{system.index} is {index}, which is not among the {shards} indexes from {first} on. Submit a range "
            f"such as 0-50, or set {SHARDS} to the number of all shards (and {FIRST} to the first index, if not 0)."
        )
    return number, shards


def _condor_attributes(environment: Mapping[str, str]) -> dict[str, str]:
    """The numbers in HTCondor's description of this job; {} where there is none."""
    try:
        text = Path(environment["_CONDOR_JOB_AD"]).read_text(encoding="utf-8", errors="replace")
    except (KeyError, OSError):
        return {}
    return dict(re.findall(r"^(ProcId|TotalSubmitProcs)\s*=\s*([0-9]+)\s*$", text, re.MULTILINE))


def _number(variables: Mapping[str, str], name: str) -> int | None:
    text = variables.get(name, "") if name else ""
    return int(text) if text.isdecimal() else None
