"""Submissions: which shards, with which settings, in which jobs; frozen before anything is submitted.

    <output root>/_kpsbatch/submissions/<id>/config.yaml     the validated config, paths absolute
                                             plan.json       the signs of every shard, and the options
                                             jobs.json       the job of every shard
                                             logs/           a log for every shard, and submitit's files

A submission counts from the moment its plan.json is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, PlainSerializer, ValidationError, model_validator

from kpsbatch.config import Config, dump_config, format_signs, parse_signs
from kpsbatch.errors import SubmitError
from kpsbatch.files import write_bytes, write_json
from kpsbatch.landmarks.network_files import default_folder
from kpsbatch.store.guards import explained
from kpsbatch.store.settings import Settings
from kpsbatch.stored import INTERNAL, Stored, Text, read_stored

PLAN_FORMAT = 2
"""1 was written until 0.1.0, under the name `version`, with the options in a section; it is read."""

FrozenSettings = Annotated[Settings, PlainSerializer(lambda settings: settings.tree())]
Signs = Annotated[tuple[int, ...], BeforeValidator(parse_signs), PlainSerializer(format_signs)]


class Shard(Stored):
    """The work of one task.

    Attributes:
        signs: Its signs.
        units: How many of their units were unfinished.
        videos: How many videos each of these units had, by its name: a task that finds fewer does not see all data.
    """

    signs: Signs
    units: int
    videos: dict[str, int] = Field(default_factory=dict)


class Plan(Stored):
    """What a submission does.

    Attributes:
        format: `PLAN_FORMAT` of the release that wrote it.
        id: Its name: date, time, four hex digits.
        shards: What its tasks do.
        overwrite, retry_failed: As on the command line.
        finished: Units that were finished already.
        missing: Units without a folder or without a video.
        settings: All that changes values, as it was where the plan was made; a task with other settings refuses.
        mounts: Where links below the dataset's root lead, for a container.
        failing: Finished units of which videos failed, and that are not done again; not kept with the plan.
    """

    format: int = Field(default=PLAN_FORMAT, validation_alias=AliasChoices("format", "version"))
    id: str
    shards: tuple[Shard, ...]
    overwrite: bool = False
    retry_failed: bool = False
    finished: int = 0
    missing: int = 0
    settings: FrozenSettings | None = None
    mounts: tuple[Path, ...] = ()
    failing: int = Field(default=0, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _read_format_1(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and isinstance(options := tree.get("options"), dict):
            return {**tree, **options}
        return tree

    @property
    def units(self) -> int:
        """Unfinished units."""
        return sum(shard.units for shard in self.shards)


class Jobs(Stored):
    """The jobs of a submission.

    Attributes:
        cluster: slurm or local.
        jobs: The job of every shard that has one, such as "123_4".
        problem: Why the other shards have none.
    """

    cluster: str = ""
    jobs: tuple[str, ...] = ()
    problem: Text = ""


def submissions_folder(root: Path) -> Path:
    """Where the submissions of an output folder lie."""
    return root / INTERNAL / "submissions"


def plan_folder(root: Path, plan: Plan) -> Path:
    """The folder of a submission."""
    return submissions_folder(root) / plan.id


def with_networks(config: Config) -> Config:
    """A config that names the folder of its networks: a task may have neither the submitter's environment nor HOME.

    An image has networks of its own, in a place of its own.
    """
    if config.landmarks.models is not None or config.slurm.container is not None:
        return config
    landmarks = config.landmarks.model_copy(update={"models": default_folder()})
    return config.model_copy(update={"landmarks": landmarks})


def write_plan(config: Config, plan: Plan) -> Path:
    """Freeze a plan; returns its folder.

    Raises:
        OutputError: The output folder can't be written.
    """
    folder = plan_folder(config.output.root, plan)
    with explained(config.output.root):
        (folder / "logs").mkdir(parents=True)
        write_bytes(folder / "config.yaml", dump_config(with_networks(config)).encode())
        write_json(folder / "plan.json", plan.model_dump(mode="json"))
    return folder


def read_plan(folder: Path) -> Plan:
    """Read a plan back.

    Raises:
        SubmitError: It is missing or damaged.
    """
    path = folder / "plan.json"
    try:
        return Plan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        said = error.strerror if isinstance(error, OSError) else error.errors(include_url=False)[0]["msg"]
        raise SubmitError(f"the submission's plan {path} can't be read: {said}. Submit again.") from None


def write_jobs(folder: Path, cluster: str, jobs: Sequence[str], problem: str = "") -> None:
    """Write down the jobs of a submission, shard by shard, and why there are no more.

    Raises:
        OSError: It can't be written.
    """
    write_json(folder / "jobs.json", Jobs(cluster=cluster, jobs=tuple(jobs), problem=problem).model_dump(mode="json"))


def read_jobs(folder: Path) -> Jobs:
    """The jobs of a submission; none where its file is missing."""
    return read_stored(folder / "jobs.json", Jobs) or Jobs()


def log_file(folder: Path, job: str) -> Path:
    """The log of a job of a submission."""
    return folder / "logs" / f"{job}_0_log.out"


def list_submissions(root: Path) -> list[Path]:
    """The folders of all submissions, oldest first."""
    return sorted(path.parent for path in submissions_folder(root).glob("*/plan.json"))
