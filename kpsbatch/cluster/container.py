"""The interpreter of a task: this one, or one in an Apptainer image, with the paths that the task needs mounted."""

from __future__ import annotations

import csv
import io
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import kpsbatch
from kpsbatch.config import Config


def interpreter(config: Config, apptainer: str = "", mounts: Sequence[Path] = ()) -> str:
    """Shell words that start Python; in a container with the dataset, the outputs and the models mounted.

    Args:
        apptainer: A shell word for Apptainer; default what is on the PATH here.
        mounts: What else the container sees, read-only.
    """
    slurm = config.slurm
    if slurm.container is None:
        return shlex.quote(sys.executable)
    program = apptainer or shlex.quote(shutil.which("apptainer") or shutil.which("singularity") or "apptainer")
    dataset = _mount(config.dataset.root, "ro")
    if slurm.dataset_image is not None:
        dataset = _mount(config.dataset.root, "image-src=/", "ro", source=slurm.dataset_image)
    besides = _read_besides(config)
    outer = [_mount(path, "ro") for path in mounts if path not in besides]  # first: they can hold the others
    inner = [dataset, _mount(config.output.root), *(_mount(path, "ro") for path in besides)]
    options = " ".join(f"--mount {shlex.quote(mount)}" for mount in (*outer, *inner))
    return f"{program} exec {options} {shlex.quote(str(slurm.container))} python"


def package_parent() -> str:
    """The folder of a checkout; "" for an installed package."""
    parent = Path(kpsbatch.__file__).resolve().parent.parent
    return "" if parent.name in ("site-packages", "dist-packages") else str(parent)


def _read_besides(config: Config) -> list[Path]:
    """What a task reads outside of the dataset: models, tables, names of signs."""
    dataset, manifest = config.dataset, config.dataset.manifest
    paths = [config.landmarks.models, dataset.labels]
    if manifest is not None:
        paths += [*(table for _, table in manifest.tables), manifest.boxes]
    return [path for path in paths if path is not None and dataset.root not in path.parents]


def _mount(path: Path, *options: str, source: Path | None = None) -> str:
    """The value of Apptainer's --mount (a line of CSV) that shows a path at the same place in the container.

    Args:
        path: Where it is in the container.
        options: Such as ro; `image-src=/` for the content of an image.
        source: What is mounted, if not the same path here.
    """
    line = io.StringIO()
    fields = ["type=bind", f"source={source or path}", f"destination={path}", *options]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
