"""The plan of a submission: which shards, with which settings; frozen before anything is submitted.

    <output root>/_kpsbatch/submissions/<id>/config.yaml     the validated config, paths absolute
                                             plan.json       the signs of every shard, and the options
                                             jobs.json       the job of every shard
                                             logs/           a log for every shard, and submitit's files

A submission counts from the moment its plan.json is there.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from kpsbatch.config import Config, dump_config, format_signs, parse_signs
from kpsbatch.dataset.layout import check_root, may_have_video, no_video
from kpsbatch.dataset.units import units_of
from kpsbatch.errors import SubmitError
from kpsbatch.store.json_files import read_json, write_json
from kpsbatch.store.npz import write_atomically
from kpsbatch.store.outputs import INTERNAL, explained, states_to_redo
from kpsbatch.work.run import open_outputs
from kpsbatch.work.shards import cut_into_chunks

PLAN_VERSION = 1


@dataclass(frozen=True)
class Shard:
    """The signs of one task, and how many of their units were unfinished."""

    signs: tuple[int, ...]
    units: int


@dataclass(frozen=True)
class Plan:
    """A submission.

    Attributes:
        id: Its name: date, time, four hex digits.
        shards: What its tasks do.
        overwrite, retry_failed: As on the command line.
        finished: Units that were finished already.
        missing: Units without a folder or without a video.
        failing: Finished units of which videos failed, and that are not done again; not kept with the plan.
    """

    id: str
    shards: tuple[Shard, ...]
    overwrite: bool = False
    retry_failed: bool = False
    finished: int = 0
    missing: int = 0
    failing: int = 0

    @property
    def units(self) -> int:
        """Unfinished units."""
        return sum(shard.units for shard in self.shards)


def make_plan(config: Config, *, overwrite: bool = False, retry_failed: bool = False) -> Plan:
    """Find what is unfinished and cut it into shards; reads listings only, writes nothing.

    Raises:
        DatasetError: The dataset is not there, or holds no video at all.
        OutputError: The output folder holds outputs made with other settings.
        ModelError: mediapipe or a bundle is missing.
    """
    check_root(config.dataset)
    outputs, _ = open_outputs(config)
    units = units_of(config.dataset)
    states = outputs.states(units)
    if not overwrite:
        outputs.refuse_foreign(states)
    redo = states_to_redo(retry_failed)
    open_units = [unit for unit in units if unit not in states or states[unit] in redo]
    unfinished = Counter(unit.sign for unit in open_units if may_have_video(config.dataset, unit))
    if not unfinished and not states:
        raise no_video(config.dataset, units[0])
    chunks = cut_into_chunks(sorted(unfinished), config.run.chunk_size)
    return Plan(
        id=f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        shards=tuple(Shard(chunk, sum(unfinished[sign] for sign in chunk)) for chunk in chunks),
        overwrite=overwrite,
        retry_failed=retry_failed,
        finished=len(units) - len(open_units),
        failing=sum(state in ("partial", "failed") for state in states.values()) if not retry_failed else 0,
        missing=len(open_units) - unfinished.total(),
    )


def submissions_folder(root: Path) -> Path:
    """Where the submissions of an output folder lie."""
    return root / INTERNAL / "submissions"


def plan_folder(root: Path, plan: Plan) -> Path:
    """The folder of a submission."""
    return submissions_folder(root) / plan.id


def write_plan(config: Config, plan: Plan) -> Path:
    """Freeze a plan; returns its folder.

    Raises:
        OutputError: The output folder can't be written.
    """
    folder = plan_folder(config.output.root, plan)
    with explained(config.output.root):
        (folder / "logs").mkdir(parents=True)
        text = io.BytesIO(dump_config(config).encode())
        write_atomically(folder / "config.yaml", lambda file: file.write(text.getvalue()))
        write_json(
            folder / "plan.json",
            {
                "version": PLAN_VERSION,
                "id": plan.id,
                "options": {"overwrite": plan.overwrite, "retry_failed": plan.retry_failed},
                "finished": plan.finished,
                "missing": plan.missing,
                "shards": [{"signs": format_signs(shard.signs), "units": shard.units} for shard in plan.shards],
            },
        )
    return folder


def read_plan(folder: Path) -> Plan:
    """Read a plan back.

    Raises:
        SubmitError: It is missing or damaged.
    """
    try:
        tree: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        shards = tuple(Shard(parse_signs(shard["signs"]), shard["units"]) for shard in tree["shards"])
        options = tree["options"]
        return Plan(
            tree["id"], shards, options["overwrite"], options["retry_failed"], tree["finished"], tree["missing"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SubmitError(
            f"a submission's plan must be readable: {folder / 'plan.json'}: {error}; submit again"
        ) from None


@dataclass(frozen=True)
class Jobs:
    """The jobs of a submission: `cluster`, and the job of every shard, such as "123_4"; "" where it has none."""

    cluster: str
    jobs: tuple[str, ...] = field(default=())


def write_jobs(folder: Path, cluster: str, jobs: Sequence[str]) -> None:
    """Note the jobs of a submission, shard by shard.

    Raises:
        OSError: It can't be written.
    """
    write_json(folder / "jobs.json", {"cluster": cluster, "jobs": list(jobs)})


def read_jobs(folder: Path) -> Jobs:
    """The jobs of a submission; none where nothing was noted."""
    with contextlib.suppress(KeyError, TypeError):
        tree = read_json(folder / "jobs.json") or {}
        return Jobs(tree["cluster"], tuple(tree["jobs"]))
    return Jobs("")


def log_file(folder: Path, job: str) -> Path:
    """The log of a job of a submission."""
    return folder / "logs" / f"{job}_0_log.out"


def list_submissions(root: Path) -> list[Path]:
    """The folders of all submissions, oldest first."""
    return sorted(path.parent for path in submissions_folder(root).glob("*/plan.json"))
