"""Submissions: which shards, with which settings, in which jobs; frozen before anything is submitted.

    <output root>/_kpsbatch/submissions/<id>/config.yaml     the validated config, paths absolute
                                             plan.json       the signs of every shard, and the options
                                             jobs.json       the job of every shard
                                             logs/           a log for every shard

A submission counts from the moment its plan.json is there. Config and plan are data that others may be able to change:
a task compares them with a hash that lies in the job itself, where the scheduler keeps it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, PlainSerializer, ValidationError, model_validator

from kpsbatch.config import Config, dump_config, format_signs, load_frozen_config, parse_signs
from kpsbatch.errors import SubmitError, of_node
from kpsbatch.files import INTERNAL, explained, json_bytes, write_bytes, write_json
from kpsbatch.landmarks.network_files import default_folder
from kpsbatch.store.run_state import read_runs
from kpsbatch.store.settings import Settings
from kpsbatch.stored import Stored, Text, read_stored
from kpsbatch.words import program

PLAN_FORMAT = 2
"""1 was written until 0.1.0, under the name `version`, with the options in a section; it is read."""

LOCAL_FILE_SYSTEMS = {
    *("tmpfs", "ramfs", "devtmpfs", "overlay", "aufs", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs"),
}
"""Kinds of file systems that lie on the machine itself; a server can still share them with others."""

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
        words: What was typed to submit it, without the program, the config absolute; none where that is not known.
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
    words: tuple[Text, ...] = ()
    failing: int = Field(default=0, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _read_format_1(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and isinstance(options := tree.get("options"), dict):
            return {**tree, **options}
        return tree

    @property
    def command(self) -> str:
        """What submits again, as it is typed from anywhere; not in the image, which has no SLURM."""
        name = "kpsbatch" if "APPTAINER_CONTAINER" in os.environ else program(anywhere=True)
        return f"{name} {shlex.join(self.words)}" if self.words else f"{name} submit CONFIG"

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


def frozen_files(config: Config, plan: Plan) -> dict[str, bytes]:
    """The files that a task reads, by name; without `slurm.setup` and `slurm.extra`, which can hold secrets.

    They are in the batch script, which SLURM shows to its user and to administrators only.
    """
    return {
        "config.yaml": _without_secrets(with_networks(config)),
        "plan.json": json_bytes(plan.model_dump(mode="json")),
    }


def _without_secrets(config: Config) -> bytes:
    slurm = config.slurm.model_copy(update={"setup": (), "extra": {}})
    return dump_config(config.model_copy(update={"slurm": slurm})).encode("utf-8", "backslashreplace")


def keep_config(config: Config) -> None:
    """Keep a config in its output folder, so that `status OUT`, `logs OUT` and `report OUT` need nothing else.

    As `frozen_files` has it; signers, splits and signs are those of the config, not those of one command.

    Raises:
        OSError: It can't be written.
    """
    path, data = (
        kept_config(config.output.root),
        _without_secrets(config.model_copy(update={"dataset": config.dataset.whole})),
    )
    if not path.exists() or path.read_bytes() != data:
        write_bytes(path, data)


def kept_config(root: Path) -> Path:
    """Where the config of an output folder is kept."""
    return root / INTERNAL / "config.yaml"


def read_kept_config(root: Path) -> Config:
    """The config that is kept in an output folder, for the folder where it is now; no pictures are shown by it.

    Raises:
        ConfigError: It can't be read.
    """
    config = load_frozen_config(kept_config(root))
    output = config.output.model_copy(update={"root": Path(os.path.abspath(root))})
    privacy = config.privacy.model_copy(update={"pictures": False})
    return config.model_copy(update={"output": output, "privacy": privacy})


def digest_of(files: Mapping[str, bytes]) -> str:
    """SHA-256 of the files of a plan, in hex."""
    return hashlib.sha256(b"".join(hashlib.sha256(files[name]).digest() for name in sorted(files))).hexdigest()


def read_frozen(folder: Path, digest: str) -> dict[str, bytes]:
    """The files that a task reads, if they are those that were submitted.

    Raises:
        SubmitError: One is missing, or they were changed.
    """
    files = {}
    for name in ("config.yaml", "plan.json"):
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise of_node(SubmitError(f"{folder / name} can't be read: {error.strerror}. Submit again.")) from None
    if digest_of(files) != digest:
        raise SubmitError(
            f"{folder}: config.yaml and plan.json are not those that were submitted, so this task does nothing. Find "
            "out who can write there (kpsbatch check), then submit again."
        )
    return files


def write_plan(config: Config, plan: Plan) -> Path:
    """Freeze a plan; returns its folder.

    Raises:
        OutputError: The output folder can't be written.
    """
    folder = plan_folder(config.output.root, plan)
    with explained(config.output.root):
        (folder / "logs").mkdir(parents=True)
        for name, data in frozen_files(config, plan).items():
            write_bytes(folder / name, data)
    return folder


def read_plan(folder: Path, data: bytes | None = None) -> Plan:
    """Read a plan back, or what was read already.

    Raises:
        SubmitError: It is missing or damaged.
    """
    path = folder / "plan.json"
    try:
        return Plan.model_validate_json(path.read_bytes() if data is None else data)
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors(include_url=False)[0]["msg"]
        raise SubmitError(f"the submission's plan {path} can't be read: {reason}. Submit again.") from None


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


def submit_command(root: Path) -> str:
    """What submits the newest submission of an output folder again, as it is typed from anywhere."""
    submissions = list_submissions(root)
    return (read_plan(submissions[-1]) if submissions else Plan(id="", shards=())).command


def unshared_warning(root: Path) -> str:
    """Why the nodes of a cluster may not see an output folder, and what to do; "" where they seem to.

    A folder on which another host has written a state file is shared, whatever it lies on.
    """
    kind = file_system_of(root)
    if kind not in LOCAL_FILE_SYSTEMS or any(run.host != socket.gethostname() for run in read_runs(root)):
        return ""
    return (
        f"output.root: {root} is on a file system of this machine ({kind}), which other nodes may not see. Choose a "
        "folder that all nodes share, unless this one is."
    )


def file_system_of(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of file system that a path is on, or will be when it is made, such as nfs4; "" where none tells.

    Args:
        mounts: The kernel's list of mounts, by `man 5 proc`.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = Path(os.path.realpath(path))
    kinds: dict[Path, str] = {}  # what is mounted later hides what was mounted before
    for line in lines:
        before, _, after = line.partition(" - ")
        if len(before.split()) > 4 and after:
            kinds[Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4]))] = (
                after.split()[0]
            )
    return next((kinds[above] for above in (real, *real.parents) if above in kinds), "")
