"""Jobs that wait to work on an output folder."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from kpsbatch.errors import SubmitError
from kpsbatch.store.run_state import read_runs
from kpsbatch.store.submissions import list_submissions, read_jobs


def waiting_jobs(root: Path) -> str:
    """Jobs that wait to work on an output folder; "" for none.

    Asks squeue once, where it is installed and answers. Else files tell, but not whether the jobs were cancelled.
    """
    if shutil.which("squeue") is not None:
        from kpsbatch.cluster import slurm  # here: submitit takes a while, and most runs have no cluster

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
