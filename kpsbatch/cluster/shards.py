"""Shards, each the work of one array task: how signs are dealt out, and which shard this process does.

The tasks of an array job read one list, which the first of them makes from what is left to do:

    <output root>/_kpsbatch/shards/<array job>.json
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, PlainSerializer

from kpsbatch.config import Config, format_signs, parse_signs
from kpsbatch.dataset.source import Source
from kpsbatch.errors import ConfigError
from kpsbatch.files import INTERNAL, create_json, explained, in_threads, refuse_outside, write_json
from kpsbatch.store.claim import mixed_datasets, other_dataset
from kpsbatch.store.outputs import SET_ASIDE, Outputs
from kpsbatch.store.settings import Fingerprint
from kpsbatch.store.survey import Survey
from kpsbatch.stored import Stored, read_stored
from kpsbatch.work.run import open_outputs, survey_to_do

EVEN_ENOUGH = 1.1
"""How much more than in the best known deal the largest shard may hold, for the sake of neighbouring signs in one."""

SHARD, SHARDS, FIRST = "KPSBATCH_SHARD", "KPSBATCH_SHARDS", "KPSBATCH_FIRST"


@dataclass(frozen=True)
class ArrayVariables:
    """The environment variables by which a batch system numbers the tasks of a job array.

    Attributes:
        system: The batch system.
        index: The task's index.
        first, last, step: The range of the indexes; "" where the system sets no such variable.
        count: The number of tasks; "" where the system sets no such variable.
        job: The ID of the array's job, which all its tasks share; "" where nothing depends on it.
        lowest: The index of the first task where neither `first` nor KPSBATCH_FIRST is set.
    """

    system: str
    index: str
    first: str = ""
    last: str = ""
    step: str = ""
    count: str = ""
    job: str = ""
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
        job="SLURM_ARRAY_JOB_ID",
    ),
    ArrayVariables("PBS Pro", "PBS_ARRAY_INDEX"),
    ArrayVariables("Torque", "PBS_ARRAYID"),
    ArrayVariables("LSF", "LSB_JOBINDEX", last="LSB_JOBINDEX_END", step="LSB_JOBINDEX_STEP", job="LSB_JOBID", lowest=1),
    ArrayVariables(
        "Grid Engine",
        "SGE_TASK_ID",
        first="SGE_TASK_FIRST",
        last="SGE_TASK_LAST",
        step="SGE_TASK_STEPSIZE",
        job="JOB_ID",
        lowest=1,
    ),
    ArrayVariables("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", count="AWS_BATCH_JOB_ARRAY_SIZE", job="AWS_BATCH_JOB_ID"),
    ArrayVariables("Kubernetes", "JOB_COMPLETION_INDEX"),
    ArrayVariables("HTCondor", "ProcId", count="TotalSubmitProcs", job="ClusterId"),
)
"""From the manuals of the systems. HTCondor's are not variables but attributes in a file that a variable names."""


class Part(NamedTuple):
    """One shard (from 0) of so many; `job` is that of the array whose list of shards counts, "" for none."""

    shard: int
    shards: int
    job: str = ""


SomeSigns = Annotated[
    tuple[int, ...], BeforeValidator(lambda value: parse_signs(value) if value else ()), PlainSerializer(format_signs)
]


class ShardList(Stored):
    """The shards of an array job, as its first task dealt them out.

    Attributes:
        signs: All signs of the config then; a list of others is that of another job.
        shards: The signs of each shard.
    """

    format: int = 1
    signs: SomeSigns
    shards: tuple[SomeSigns, ...]


def parse_shard(text: str) -> Part:
    """Read `I/N`, or with `auto` what the batch system says.

    Raises:
        ConfigError: It is anything else, or no batch system says it.
    """
    if text == "auto":
        return Part(*shard_of_environment(), array_job())
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None:
        raise ConfigError(f"--shard: {text!r} is not a shard. Write auto, or I/N with I from 0 to N-1, such as 0/50.")
    return Part(int(match[1]), int(match[2]))


def deal(sizes: Mapping[int, int], shards: int, most: int | None = None) -> list[tuple[int, ...]]:
    """Deal signs out to shards: neighbours together where that is even enough, else the largest first.

    The largest first, each to the shard that holds least, is at most a third over the best deal (Graham, 1969,
    "Bounds on multiprocessing timing anomalies").

    Args:
        sizes: Each sign and its size.
        shards: How many shards there are; some are empty where there are fewer signs.
        most: The number of signs that a shard may hold; default any.
    """
    signs, count = list(sizes), len(sizes)
    if most is None:
        neighbours = [signs[count * shard // shards : count * (shard + 1) // shards] for shard in range(shards)]
    else:
        neighbours = [signs[most * shard : most * (shard + 1)] for shard in range(shards)]
    dealt: list[list[int]] = [[] for _ in range(shards)]
    loads = [0] * shards
    for sign in sorted(signs, key=lambda sign: -sizes[sign]):
        free = (shard for shard in range(shards) if most is None or len(dealt[shard]) < most)
        least = min(free, key=lambda shard: (loads[shard], len(dealt[shard])))
        dealt[least].append(sign)
        loads[least] += sizes[sign]
    largest = max(sum(sizes[sign] for sign in shard) for shard in neighbours)
    return [tuple(sorted(shard)) for shard in (neighbours if largest <= EVEN_ENOUGH * max(loads) else dealt)]


def signs_of_part(
    config: Config, source: Source, part: Part, *, overwrite: bool = False, retry_failed: bool = False
) -> tuple[int, ...]:
    """The signs of a shard, of those that the dataset has.

    The tasks of an array job follow the list that the first of them makes, by the videos that are left to do. A shard
    that is stated (I/N) is the same whatever is finished: it goes by all videos.

    Args:
        overwrite, retry_failed: As for `run`: what is left to do.

    Raises:
        ConfigError: There is no such shard.
        DatasetError: The dataset holds no video at all.
        OutputError: The list can't be written, or the output folder holds other outputs.
    """
    if not 0 <= part.shard < part.shards:
        raise ConfigError(f"--shard: there is no shard {part.shard} of {part.shards}. Write I/N with I from 0 to N-1.")
    if not part.job:
        return deal(_videos(source), part.shards)[part.shard]
    root = config.output.root
    path = root / INTERNAL / "shards" / f"{part.job}.json"
    kept = _kept(path, source, part)
    if kept is None:
        _, surveyed = survey_of_job(config, source, overwrite=overwrite, retry_failed=retry_failed)
        dealt = deal(videos_to_do(surveyed, overwrite=overwrite), part.shards)
        kept = ShardList(signs=tuple(sorted(source.signs)), shards=tuple(dealt))
        with explained(root):
            refuse_outside(root, path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not create_json(path, kept.model_dump(mode="json")):
                if first := _kept(path, source, part):
                    kept = first
                else:
                    write_json(path, kept.model_dump(mode="json"))
    return kept.shards[part.shard]


def _kept(path: Path, source: Source, part: Part) -> ShardList | None:
    """The list of an array job; None where there is none, or it is that of an older job of the same number."""
    kept = read_stored(path, ShardList)
    ours = kept is not None and (kept.signs, len(kept.shards)) == (tuple(sorted(source.signs)), part.shards)
    return kept if ours else None


def _videos(source: Source) -> dict[int, int]:
    """The videos of each sign that has a folder with some, or with one that can't be read."""
    units = source.units()
    videos: dict[int, int] = {}
    for unit, listing in zip(units, in_threads(source.listing, units), strict=True):
        if listing.presence in ("videos", "unreadable"):
            videos[unit.sign] = videos.get(unit.sign, 0) + max(1, len(listing.videos))
    if not videos:
        raise source.no_video()
    return {sign: videos[sign] for sign in source.signs if sign in videos}


def survey_of_job(
    config: Config, source: Source, *, overwrite: bool = False, retry_failed: bool = False
) -> tuple[Outputs, Survey]:
    """The outputs, and what a job finds to do in all of a dataset.

    Raises:
        DatasetError: The dataset holds no video at all.
        OutputError: The output folder holds outputs made with other settings, or of another dataset.
        ModelError: mediapipe or a network is missing.
    """
    outputs, _ = open_outputs(config)
    if another := other_dataset(outputs, source):
        if outputs.has_records and not overwrite:
            raise mixed_datasets(outputs, another, source)
        outputs = Outputs(outputs.root, Fingerprint(outputs.fingerprint.settings, SET_ASIDE))  # none counts as ours
    return outputs, survey_to_do(source, outputs, depth="videos", overwrite=overwrite, retry_failed=retry_failed)


def videos_to_do(survey: Survey, *, overwrite: bool = False) -> dict[int, int]:
    """How many videos are left of each sign that the dataset or the outputs hold, in the order of the survey.

    A unit whose folder can't be listed counts as one. Signs of which all is done are there, with 0.
    """
    left: dict[int, int] = {}
    for each in survey:
        videos = each.listing.videos if each.listing is not None else ()
        to_do = len(each.changes.to_do([video.name for video in videos], overwrite)) if videos else 0
        if each.presence == "unreadable":
            to_do = 1
        if to_do or each.output is not None:
            left[each.unit.sign] = left.get(each.unit.sign, 0) + to_do
    return dict(sorted(left.items()))


def array_job(environment: Mapping[str, str] = os.environ) -> str:
    """The job of the array that this process is a task of, as the name of a file; "" where its shards are stated.

    They are where KPSBATCH_SHARDS is set: then tasks of several jobs can do the shards of one list.
    """
    variables = {**environment, **_condor_attributes(environment)}
    if _number(variables, SHARDS) is not None:
        return ""
    system = next((system for system in SYSTEMS if _number(variables, system.index) is not None), None)
    job = variables.get(system.job, "") if system is not None and system.job else ""
    names = [job.partition(":")[0], variables.get("SLURM_CLUSTER_NAME", "")]  # AWS Batch: job:index
    return re.sub(r"[^A-Za-z0-9_.-]", "-", "-".join(name for name in names if name)) if job else ""


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
    return dict(re.findall(r"^(ProcId|TotalSubmitProcs|ClusterId)\s*=\s*([0-9]+)\s*$", text, re.MULTILINE))


def _number(variables: Mapping[str, str], name: str) -> int | None:
    text = variables.get(name, "") if name else ""
    return int(text) if text.isdecimal() else None
