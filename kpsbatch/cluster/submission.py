"""What comes before a submission: which cluster, that nothing works on the same outputs, what is unfinished, in shards.

The modules `slurm` and `local` then submit the plan, each to its cluster.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from kpsbatch.cluster import slurm
from kpsbatch.cluster.shards import deal, survey_of_job, videos_to_do
from kpsbatch.config import Config
from kpsbatch.dataset.folders import places_outside
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_source
from kpsbatch.errors import SubmitError
from kpsbatch.files import INTERNAL, explained, refuse_outside, try_lock
from kpsbatch.permissions import others_who_write
from kpsbatch.store.run_state import read_runs
from kpsbatch.store.submissions import Plan, Shard, list_submissions, read_jobs
from kpsbatch.store.survey import Survey
from kpsbatch.work.run import refuse_uncomputable


def plan_submission(
    config: Config, *, source: Source | None = None, overwrite: bool = False, retry_failed: bool = False
) -> Plan:
    """Find what is unfinished and cut it into shards; reads listings only, writes at most an archive's index.

    Args:
        source: Its dataset, if it is open already.
        overwrite: Whether outputs of other settings are done again.
        retry_failed: Whether units of which videos failed are done again.

    Raises:
        DatasetError: The dataset is not there, or holds no video at all.
        OutputError: The output folder holds outputs made with other settings, or of another dataset.
        ModelError: mediapipe or a network is missing.
    """
    refuse_uncomputable(config)
    source = source or open_source(config.dataset, config.output.root / INDEX_FOLDER)
    outputs, survey = survey_of_job(config, source, overwrite=overwrite, retry_failed=retry_failed)
    to_do = [unit for unit in survey if unit.presence is not None]
    unfinished = Counter(unit.unit.sign for unit in to_do if unit.presence in ("videos", "unreadable"))
    videos = {unit.unit: len(unit.listing.videos) for unit in to_do if unit.presence == "videos" and unit.listing}
    left, most = videos_to_do(survey, overwrite=overwrite), config.run.chunk_size
    sizes = {sign: left.get(sign, 0) for sign in sorted(unfinished)}
    chunks = deal(sizes, math.ceil(len(sizes) / most), most) if sizes else []
    return Plan(
        id=f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        shards=tuple(
            Shard(
                signs=chunk,
                units=sum(unfinished[sign] for sign in chunk),
                videos={unit.name: count for unit, count in videos.items() if unit.sign in chunk},
            )
            for chunk in chunks
        ),
        overwrite=overwrite,
        retry_failed=retry_failed,
        finished=len(survey.units) - len(to_do),
        failing=0 if retry_failed else len(survey.of_state("partial", "failed")),
        missing=len(to_do) - unfinished.total(),
        settings=outputs.fingerprint.settings,
        mounts=_mounts(config, survey) if config.slurm.container is not None else (),
    )


def _mounts(config: Config, survey: Survey) -> tuple[Path, ...]:
    """Where links on the way to the videos lead, if the container does not see that anyway."""
    listings = (unit.listing for unit in survey if unit.listing is not None)
    videos = [video.path for listing in listings for video in listing.videos if video.index is None]
    seen = (config.dataset.root, config.output.root)
    return tuple(
        path for path in places_outside(config.dataset.root, videos) if not {path, *path.parents}.intersection(seen)
    )


def choose_cluster(name: str | None) -> str:
    """`slurm` or `local`: `name` if it is given, else slurm where sbatch is installed.

    Raises:
        SubmitError: No name was given and there is no sbatch.
    """
    if name is None and shutil.which("sbatch") is None:
        raise SubmitError("sbatch is not on the PATH. Log in to the cluster, or take this machine: --cluster local.")
    return name or "slurm"


def refuse_live(root: Path, cluster: str) -> None:
    """Refuse to submit while something works on the same output; calls squeue once, where it is installed.

    Raises:
        SubmitError: Names the jobs or processes; or squeue fails.
    """
    runs = read_runs(root)
    live: list[str] = []
    try:
        live += slurm.live(root, {run.job for run in runs if run.job})
    except SubmitError:
        if cluster == "slurm":
            raise
    live += [f"process {run.pid}" for run in runs if not run.job and run.is_alive_here]
    if live:
        raise SubmitError(
            f"{root}: {'; '.join(live)} already at work on these outputs. Wait, cancel (scancel, kill), or --force."
        )


def refuse_shared(root: Path, shared: bool) -> str:
    """Refuse an output folder in which others can write, unless that is wanted; what to tell, or "".

    Raises:
        SubmitError: Who can.
    """
    if not (who := others_who_write(root)):
        return ""
    if shared:
        return f"output.root: {who}: they can change outputs and logs"
    raise SubmitError(
        f"output.root: {who}: they could change what your jobs read and write. Choose a folder that only you can write "
        "(chmod g-w,o-w), or add --shared if you trust them."
    )


@contextlib.contextmanager
def only_submission(root: Path) -> Iterator[None]:
    """Keep other processes from submitting for the same outputs while the block runs, where the file system has locks.

    Raises:
        SubmitError: Another one does just that.
        OutputError: The output folder can't be written.
    """
    folder = root / INTERNAL
    with explained(root):
        refuse_outside(root, folder)
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "submit.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with open(descriptor, "ab") as file:
        if not try_lock(file):
            raise SubmitError(f"{root}: another submit is at work on these outputs. Wait for it, or --force.")
        yield


def waiting_jobs(root: Path) -> str:
    """Jobs that wait to work on an output folder; "" for none.

    Asks squeue once, where it is installed and answers. Else files tell, but not whether the jobs were cancelled.
    """
    if shutil.which("squeue") is not None:
        with contextlib.suppress(SubmitError):
            known = {run.job for run in read_runs(root) if run.job}
            return "; ".join(job for job in slurm.live(root, known) if "pending" in job)
    submissions = list_submissions(root)
    jobs = read_jobs(submissions[-1]) if submissions else None
    if jobs is None or jobs.cluster != "slurm":
        return ""
    started = {run.shard for run in read_runs(root) if run.submission == submissions[-1].name}
    left = [job for shard, job in enumerate(jobs.jobs) if shard not in started]
    return f"{len(left)} of {len(jobs.jobs)} jobs of the last submission, unless they were cancelled" if left else ""
