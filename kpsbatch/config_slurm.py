"""The `slurm` section of the config: what `submit` requests from the cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from kpsbatch.config_types import AnyPath, Section, one_or_more


def parse_time(value: object) -> int:
    """Read a time limit in one of SLURM's formats, in whole minutes, rounded up.

    The formats: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes,
    days-hours:minutes:seconds.

    Raises:
        ValueError: Not a time limit, or less than a minute.
    """
    text = str(value).strip()
    match = re.fullmatch(r"(?:([0-9]{1,4})-)?([0-9]{1,6})(?::([0-9]{1,6}))?(?::([0-9]{1,6}))?", text)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or match is None:
        raise ValueError(f"{value!r} is not a time limit. Write minutes, or like 04:00:00 or 1-12:00:00.")
    days, first, second, third = (int(part) if part else 0 for part in match.groups())
    if match[1] or match[4]:
        seconds = ((days * 24 + first) * 60 + second) * 60 + third
    else:
        seconds = first * 60 + second
    if seconds < 60:
        raise ValueError(f"{value!r} is less than one minute. Write more.")
    return -(-seconds // 60)


def _check_memory(value: object) -> str:
    if isinstance(value, bool) or not re.fullmatch(r"0|[1-9][0-9]*[KMGT]B?", str(value).strip(), re.IGNORECASE):
        raise ValueError(f"{value!r} is not a size of memory. Write it with its unit, such as 16G or 4000M.")
    return str(value).strip().upper()


def _check_sbatch_value(value: object) -> str:
    if isinstance(value, (bool, float)) or not isinstance(value, (int, str)):
        raise ValueError(f"{value!r} is not text. Put it in quotes.")
    if not str(value).strip() or not str(value).isprintable():
        raise ValueError(f"{value!r} is not one line of text. Write one line without control characters.")
    return str(value).strip()


_OWN = "kpsbatch sets it itself"
_ONE_PROCESS = "a task is one process on one node; use slurm.cpus_per_task"
_LOGS = "the logs lie below output.root"
_ANSWER = "kpsbatch reads sbatch's answer at once"
MANAGED_PARAMETERS = {
    **{key: f"use slurm.{key}" for key in ("time", "mem", "partition", "account", "qos", "constraint")},
    "cpus-per-task": "use slurm.cpus_per_task",
    "array": "use run.chunk_size and slurm.array_parallelism",
    **dict.fromkeys(("output", "error"), _LOGS),
    **dict.fromkeys(("nodes", "ntasks", "ntasks-per-node"), _ONE_PROCESS),
    **dict.fromkeys(("job-name", "signal", "requeue", "no-requeue", "open-mode"), _OWN),
    **dict.fromkeys(("parsable", "wait", "wrap", "test-only", "quiet"), _ANSWER),
}
"""sbatch parameters that `slurm.extra` can't hold, and what to do instead."""


def _check_extra(extra: object) -> dict[str, bool | str]:
    """Further sbatch parameters: long names, none of them managed here; true sets a flag, false leaves it out."""
    if not isinstance(extra, Mapping):
        raise ValueError(f"{extra!r} is not a map of sbatch parameters. Write it like {{mail-type: END}}.")
    checked: dict[str, bool | str] = {}
    for key, value in extra.items():
        name = str(key).strip().removeprefix("--").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z0-9-]+", name):
            raise ValueError(f"{key!r} is not a long name of an sbatch parameter. Write a name such as mail-type.")
        if name in MANAGED_PARAMETERS:
            raise ValueError(f"{key!r} is not allowed here: {MANAGED_PARAMETERS[name]}.")
        try:
            checked[name] = True if value is True else _check_sbatch_value(value)
        except ValueError as error:
            if value is not False:
                raise ValueError(f"{key}: {error}") from None
    return checked


Minutes = Annotated[int, BeforeValidator(parse_time), WithJsonSchema({"type": ["integer", "string"]})]
Memory = Annotated[str, BeforeValidator(_check_memory), WithJsonSchema({"type": ["integer", "string"]})]
SbatchValue = Annotated[str, BeforeValidator(_check_sbatch_value), WithJsonSchema({"type": ["string", "integer"]})]


class SlurmConfig(Section):
    """SLURM's job arrays. A setting that is None is left out of the batch script: the cluster's default applies.

    Attributes:
        time: Time limit of one task, which goes on if it needs longer: minutes, "04:00:00" or "1-12:00:00".
        cpus_per_task: Cores of one task, with a worker on each.
        mem: Memory of one task, such as 6G.
        partition, account, qos, constraint: As for sbatch.
        array_parallelism: Tasks that run at once.
        setup: Shell lines before the task, such as `module load python`.
        container: An Apptainer image; the task then runs inside it.
        dataset_image: With container: a SquashFS image that is mounted as dataset.root.
        extra: Further parameters of sbatch by their long names, such as {mail-type: END}.
    """

    time: Minutes = 240
    cpus_per_task: Annotated[int, Field(ge=1)] = 8
    mem: Memory | None = None
    partition: SbatchValue | None = None
    account: SbatchValue | None = None
    qos: SbatchValue | None = None
    constraint: SbatchValue | None = None
    array_parallelism: Annotated[int, Field(ge=1)] = 20
    setup: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda v: tuple(v) if isinstance(v, (list, tuple)) else (v,)),
        WithJsonSchema(one_or_more({"type": "string"})),
    ] = ()
    container: AnyPath | None = None
    dataset_image: AnyPath | None = None
    extra: Annotated[
        dict[str, bool | str],
        BeforeValidator(_check_extra),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}}),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _image_in_a_container(self) -> SlurmConfig:
        if self.dataset_image is not None and self.container is None:
            raise ValueError("dataset_image is set, but container, which mounts it, is not. Set slurm.container.")
        return self
