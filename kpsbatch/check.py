"""Whether a run can work here: Python, packages, models, cores, memory, disk, SLURM, container, each with a remedy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from kpsbatch.cluster.slurm import limit_warnings, max_array_size, partitions
from kpsbatch.config import Config
from kpsbatch.dataset.archive import archive_kind
from kpsbatch.dataset.folders import check_folder
from kpsbatch.errors import KpsbatchError, one_line
from kpsbatch.landmarks.mediapipe_import import MEDIAPIPE_VERSION, import_mediapipe
from kpsbatch.permissions import others_who_write
from kpsbatch.store.settings import UNKNOWN, installed_version
from kpsbatch.words import counted
from kpsbatch.work.cores import (
    PARENT_BYTES,
    WORKER_BYTES,
    available_cores,
    available_memory,
    core_limits,
    worker_count,
)

State = Literal["ok", "warning", "problem"]

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)
MACHINES = ("x86_64", "aarch64", "arm64")
OPENCV_VERSION = "4.11.0.86"
OPENCV_PACKAGES = (
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-python",
    "opencv-contrib-python-headless",
)
OTHER_OPENCV = (
    "On a machine without a desktop: pip uninstall -y opencv-contrib-python && "
    f"pip install opencv-python-headless=={OPENCV_VERSION}"
)

LOW_BYTES, NO_BYTES = 2 << 30, 100 << 20
"""Free space below which there is a warning, and a problem."""

LOW_INODES = 10_000
"""Free inodes below which there is a warning, where the config does not state its units."""

FILES_PER_UNIT = 3
"""An npz, all landmarks, the record."""

NPZ_BYTES, FULL_BYTES = 1.5e6, 2e6
"""Of a unit as KArSL's, 25 videos of 40 frames; measured with benchmarks/sizes.py."""

GIB = 1 << 30
MANY_VIDEOS = 1_000_000


@dataclass(frozen=True)
class Finding:
    """What was found about one thing.

    Attributes:
        check: What was looked at, such as `memory`.
        state: Whether a run works so: ok, warning or problem.
        text: What was found.
        remedy: What to do about a warning or a problem; "" for ok.
    """

    check: str
    state: State
    text: str
    remedy: str = ""


def check(
    config: Config | None = None, on_check: Callable[[int, int], None] = lambda done, total: None
) -> list[Finding]:
    """Look at this machine and, where there is a config, at what the config needs.

    Args:
        on_check: Called with (checks done, checks in all).
    """
    workers = "auto" if config is None else config.run.workers
    checks: list[Callable[[], Iterator[Finding]]] = [
        check_python,
        check_packages,
        lambda: check_models(None if config is None else config.landmarks.models),
        check_cores,
        lambda: check_memory(workers),
    ]
    if config is not None:
        checks.append(partial(check_dataset, config))
        is_kept = config.output.keep == "full"
        checks.append(partial(check_disk, "output.root", config.output.root, _units(config), keep=is_kept))
        checks.append(partial(check_writers, config.output.root))
    checks += [partial(check_slurm, config), partial(check_container, config)]
    findings: list[Finding] = []
    for done, run_check in enumerate(checks, 1):
        findings += run_check()
        on_check(done, len(checks))
    return findings


def as_tree(findings: list[Finding]) -> dict[str, Any]:
    """The findings, for JSON."""
    return {
        "problems": sum(finding.state == "problem" for finding in findings),
        "findings": [vars(finding) for finding in findings],
    }


def check_python(
    version: tuple[int, int] = sys.version_info[:2], system: str = sys.platform, machine: str | None = None
) -> Iterator[Finding]:
    """The version of Python, and the kind of machine."""
    machine = platform.machine() if machine is None else machine
    text = f"{version[0]}.{version[1]} on {system}, {machine}, at {sys.executable}"
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        yield Finding("python", "problem", text, "Install with Python 3.10 to 3.14: make clean, then make setup.")
    elif system != "linux" or machine not in MACHINES:
        yield Finding("python", "warning", text, "Use Linux on x86-64 or Arm: nothing else is tested.")
    else:
        yield Finding("python", "ok", text)


def check_packages(version_of: Callable[[str], str] = installed_version) -> Iterator[Finding]:
    """Whether the packages that compute can be imported, and are those that are tested."""
    findings = list(_check_versions(version_of))
    loads: dict[str, Callable[[], object]] = {
        "opencv": partial(import_module, "cv2"),
        "av": partial(import_module, "av"),
        "mediapipe": import_mediapipe,
    }
    for package, load in loads.items():
        try:
            load()
        except (ImportError, OSError, KpsbatchError) as error:
            text = one_line(error).partition(". ")[0]
            text = text if "can't be imported" in text else f"{package} can't be imported: {text}"
            findings.append(
                Finding("packages", "problem", text, OTHER_OPENCV if package == "opencv" else "Run: make setup")
            )
    yield from findings
    if not findings:
        opencv = next((name for name in OPENCV_PACKAGES if version_of(name) != UNKNOWN), "opencv")
        names = ("mediapipe", opencv, "av", "numpy")
        yield Finding("packages", "ok", ", ".join(f"{name} {version_of(name)}" for name in names))


def _check_versions(version_of: Callable[[str], str]) -> Iterator[Finding]:
    warning = partial(Finding, "packages", "warning")
    installed = version_of("mediapipe")
    if installed not in (MEDIAPIPE_VERSION, UNKNOWN):
        yield warning(
            f"mediapipe {installed} is installed, {MEDIAPIPE_VERSION} is tested: other releases give other values",
            f"Run: pip install mediapipe=={MEDIAPIPE_VERSION}",
        )
    opencvs = [name for name in OPENCV_PACKAGES if version_of(name) != UNKNOWN]
    if len(opencvs) > 1:
        yield warning(
            f"{' and '.join(opencvs)} are installed, into the same folder",
            f"Run: pip uninstall -y {' '.join(opencvs)} && pip install opencv-python-headless=={OPENCV_VERSION}",
        )
    elif opencvs and version_of(opencvs[0]) != OPENCV_VERSION:
        yield warning(
            f"{opencvs[0]} {version_of(opencvs[0])} is installed, {OPENCV_VERSION} is tested: newer ones decode other "
            "colours",
            f"Run: pip install {opencvs[0]}=={OPENCV_VERSION}",
        )


def check_models(folder: Path | None) -> Iterator[Finding]:
    """Whether the networks are there and whole."""
    from kpsbatch.landmarks.network_files import find_networks

    try:
        networks = find_networks(folder).values()
    except KpsbatchError as error:
        yield _of_error("models", error)
        return
    origins = " and ".join(sorted({network.origin for network in networks}))
    yield Finding("models", "ok", f"{len(networks)} networks (of {origins}) in {next(iter(networks)).path.parent}")


def check_cores() -> Iterator[Finding]:
    """How many cores this process may use, and what sets the limit."""
    limits = core_limits()
    cores = available_cores()
    because = ", ".join(f"{name} {count:g}" for name, count in limits.items())
    text = f"{counted(cores, 'core')} may be used ({because})"
    quota, others = limits.get("quota"), [count for name, count in limits.items() if name != "quota"]
    if quota is not None and quota < 1:
        yield Finding("cores", "warning", text, "Get a quota of at least one core: a worker needs one.")
    elif quota is not None and quota < min(others):
        yield Finding("cores", "ok", f"{text}; the quota is the limit")
    else:
        yield Finding("cores", "ok", text)


def check_memory(
    workers: int | Literal["auto"], *, cores: int | None = None, memory: int | None = None, free: int | None = None
) -> Iterator[Finding]:
    """Whether the memory is enough for the workers.

    Args:
        workers: The setting `run.workers`.
        cores: Default `available_cores()`.
        memory: Bytes that may be used; default `available_memory()`.
        free: Bytes that no other program uses; default as the kernel says.
    """
    cores = available_cores() if cores is None else cores
    memory = available_memory() if memory is None else memory
    free = free_memory() if free is None else free
    wanted = cores if workers == "auto" else max(1, workers)
    count = worker_count(workers, MANY_VIDEOS, cores=cores, memory=memory) or 1
    need = PARENT_BYTES + count * WORKER_BYTES
    text = f"{counted(count, 'worker')} need {_gib(need)}; {_gib(memory)} may be used"
    if need > memory:
        yield Finding("memory", "problem", text, "Get more memory, or lower run.workers.")
    elif count < wanted:
        text = f"enough for {count} of {counted(wanted, 'worker')} ({_gib(memory)} may be used)"
        yield Finding("memory", "warning", text, f"Get {_gib(PARENT_BYTES + wanted * WORKER_BYTES)}, or fewer cores.")
    elif free is not None and free < need:
        text = f"{text}, of which {_gib(free)} is free"
        yield Finding("memory", "warning", text, "End other programs, or lower run.workers.")
    else:
        yield Finding("memory", "ok", text)


def free_memory() -> int | None:
    """Bytes of the machine's memory that programs could still get; None where the kernel does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return None


def check_dataset(config: Config) -> Iterator[Finding]:
    """Whether the dataset is there and can be listed; `scan` looks into it."""
    root = config.dataset.root
    try:
        if root.is_file():
            with root.open("rb") as file:
                archive_kind(file.fileno(), root)
        else:
            check_folder(root)
    except OSError as error:
        text = f"dataset.root: {root} can't be read: {error.strerror}"
        yield Finding("dataset", "problem", text, "Correct the path or its permissions.")
    except KpsbatchError as error:
        yield _of_error("dataset", error)
    else:
        yield Finding("dataset", "ok", f"{root} can be read")


def check_disk(name: str, folder: Path, units: int | None, *, keep: bool = False) -> Iterator[Finding]:
    """Whether a folder, or the one in which it would be made, can be written; its free space and inodes.

    Args:
        name: The setting that names it.
        folder: The folder, which need not be there yet.
        units: Units that will be written there; None where that is not known.
        keep: Whether all landmarks are kept.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing, prefix=".kpsbatch-check-") as file:
            file.write(b"1")
            file.flush()
        status = os.statvfs(existing)
    except OSError as error:
        text = f"{name}: {existing} can't be written: {error.strerror or error}"
        yield Finding("disk", "problem", text, "Choose another folder, or correct its permissions.")
        return
    free = status.f_bavail * status.f_frsize
    inodes = status.f_favail if status.f_files else None  # some file systems make inodes as they need them
    need = LOW_INODES if units is None else FILES_PER_UNIT * units
    in_inodes = "" if inodes is None else f", {inodes:,} inodes"
    text = f"{name}: {folder} can be written; {_gib(free)}{in_inodes} free"
    if units is not None:
        both = f"{units * NPZ_BYTES / 1e9:.1f} GB" + (f" and {units * FULL_BYTES / 1e9:.1f} GB kept" if keep else "")
        text += f"; {counted(units, 'unit')} as KArSL's take about {both}"
    if free < LOW_BYTES:
        state: State = "problem" if free < NO_BYTES else "warning"
        yield Finding("disk", state, text, "Free space there, or choose another output.root.")
    elif inodes is not None and inodes < need:
        shortage = "few inodes" if units is None else f"{counted(units, 'unit')} need {need:,} files"
        yield Finding("disk", "warning", f"{text}: {shortage}", "Delete files there, or choose another output.root.")
    else:
        yield Finding("disk", "ok", text)


def check_writers(folder: Path) -> Iterator[Finding]:
    """Whether others can write in the output folder."""
    if who := others_who_write(folder):
        yield Finding(
            "disk",
            "warning",
            f"output.root: {who}: they can change outputs, logs and what tasks read",
            "Choose a folder that only you can write (chmod g-w,o-w), or trust them: submit --shared.",
        )


def check_slurm(config: Config | None) -> Iterator[Finding]:
    """Whether jobs can be submitted, and what the cluster allows."""
    if shutil.which("sbatch") is None:
        yield Finding("slurm", "ok", "not on this machine; `run` and `submit --cluster local` work without it")
        return
    partition = None if config is None else config.slurm.partition
    try:
        rows, most = partitions(partition), max_array_size()
    except KpsbatchError as error:
        text = one_line(error)[:150]
        yield Finding("slurm", "warning", text, "Log in to the cluster; `submit --cluster local` works without it.")
        return
    if partition and not rows:
        text = f"there is no partition {partition}"
        yield Finding("slurm", "problem", text, "Correct slurm.partition; sinfo lists them.")
        return
    shown = "; ".join(f"{row.name}: at most {row.limit}, {row.cores} cores" for row in rows)
    yield Finding("slurm", "ok", f"{shown or 'no default partition'}; arrays of at most {most:,} tasks")
    for warning in [] if config is None else limit_warnings(config, rows):
        text, _, remedy = warning.partition(". ")
        yield Finding("slurm", "warning", text, remedy)


def check_container(config: Config | None) -> Iterator[Finding]:
    """Whether there is what runs `slurm.container`."""
    engine = next((path for name in ("apptainer", "singularity") if (path := shutil.which(name))), None)
    image = None if config is None else config.slurm.container
    if image is None:
        yield Finding("container", "ok", f"{engine or 'no Apptainer on this machine'}; slurm.container is not set")
    elif not image.exists():
        text = f"slurm.container: {image} does not exist"
        yield Finding("container", "problem", text, "Build it (docs/container.md).")
    elif engine is None:
        remedy = "Load it in slurm.setup: [module load apptainer]"
        yield Finding("container", "warning", "Apptainer is not on the PATH here", remedy)
    else:
        yield Finding("container", "ok", f"{image}, run by {engine}")


def _of_error(name: str, error: KpsbatchError) -> Finding:
    """A finding from an error, whose text is what is wrong and then the remedy."""
    text, _, remedy = one_line(error).partition(". ")
    return Finding(name, "problem", text.removesuffix("."), remedy or "Run with --debug to see more.")


def _units(config: Config) -> int | None:
    dataset = config.dataset
    return len(dataset.signers) * len(dataset.splits) * len(dataset.signs) or None


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GB"
