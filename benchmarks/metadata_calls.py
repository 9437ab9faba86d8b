"""How often each command asks the file system, on a tree of KArSL's shape, and how long it takes if that is slow.

    python benchmarks/metadata_calls.py DIR [--delay 1] [COMMAND ...]

Needs strace and cc. DIR gets a dataset of 75,300 videos with small pictures, and outputs of all but one sign. Counted
are the calls that name a file and those that list a folder, as a shared file system is asked for them: below
the dataset, below the outputs, and for the program (Python, packages, this repository, libraries of the system; in
brackets, how many different paths that are: clients of network file systems remember the others for some seconds).

The times: as it is; when every such call for dataset and outputs takes --delay milliseconds longer; when those for
Python, its packages and this repository do, too (slow_storage.c).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

REPO = Path(__file__).parents[1]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
"""Before OpenCV is imported, which changes LD_LIBRARY_PATH."""

sys.path[:0] = [str(REPO), str(REPO / "tests" / "slurm" / "rehearsal")]

from dataset import write_dataset  # noqa: E402

from kpsbatch.config import load_config  # noqa: E402
from kpsbatch.dataset.source import open_source  # noqa: E402
from kpsbatch.landmarks.extract import VideoKeypoints  # noqa: E402
from kpsbatch.landmarks.facts import VideoFacts  # noqa: E402
from kpsbatch.work.assemble import OpenUnit, VideoOutcome, store_unit  # noqa: E402
from kpsbatch.work.run import open_outputs  # noqa: E402

STRACE = ["strace", "-qq", "-y", "--seccomp-bpf", "-e", "signal=none", "-e", "trace=%file,getdents64"]
SLOW_STORAGE = Path(__file__).with_name("slow_storage.c")
LEFT = 502
"""The sign without outputs; `run` leaves it out."""

COMMANDS = {
    "scan": ["scan"],
    "plan": ["plan"],
    "submit --dry-run": ["submit", "--dry-run", "--cluster", "slurm"],
    "run, nothing to do": ["run", "--signs", f"1-{LEFT - 1}"],
    "status": ["status"],
    "status --json": ["status", "--json"],
    "logs": ["logs"],
    "report": ["report", "--output", "/dev/shm/report.html"],
    "verify": ["verify"],
}


def make_tree(root: Path) -> Path:
    """Write the dataset, the config and the outputs, unless they are there."""
    config_path = root / "config.yaml"
    if config_path.exists():
        return config_path
    write_dataset(root / "dataset")
    text = 'dataset: {root: dataset, signers: ["01", "02", "03"], splits: [train, test], signs: 1-502}\n'
    (root / "new.yaml").write_text(text + "output: {root: out}\n")
    config = load_config(root / "new.yaml")
    source = open_source(config.dataset, root)
    outputs, _ = open_outputs(config)
    outputs.prepare()
    made = VideoKeypoints(np.zeros((1, 184, 4), np.float32), VideoFacts(frames=1))
    for unit in source.units():
        if unit.sign != LEFT:
            listing = source.listing(unit)
            done = OpenUnit(unit, listing, replace=False, todo=[video.name for video in listing.videos])
            done.begin(source)
            done.outcomes = {video.name: VideoOutcome([made], "", 1, "") for video in listing.videos}
            store_unit(config, outputs, done, workers=1)
    (root / "new.yaml").rename(config_path)
    return config_path


def run(command: list[str], **variables: str) -> float:
    """Run a command; the seconds that it took."""
    environment = {**ENVIRONMENT, **variables}
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return time.perf_counter() - started


def path_of(line: str) -> str:
    """The path that a call asks for; "" for calls on open files."""
    quoted, opened = re.search(r'"([^"]*)"', line), re.search(r"<([^>]*)>", line)
    path = quoted[1] if quoted else ""
    if (quoted and not path) or "resumed>" in line:
        return ""
    return path if path.startswith("/") else f"{opened[1] if opened else ''}/{path}".rstrip("/")


def area_of(path: str, root: Path) -> str:
    """What a path is a part of."""
    for name in ("dataset", "out"):
        if path == str(root / name) or path.startswith(f"{root / name}/"):
            return name
    if path.startswith(f"{REPO}/"):
        return "program"
    return "elsewhere" if not path or path.startswith(("/proc", "/sys", "/dev", "/tmp/")) else "program"


def counted(lines: list[str], root: Path) -> str:
    """The calls of a trace by area, as columns."""
    paths = [path for path in map(path_of, lines) if path]
    calls = Counter(area_of(path, root) for path in paths)
    different = sum(area_of(path, root) == "program" for path in set(paths))
    return f"{calls['dataset']:>10}{calls['out']:>10}{calls['program']:>10} {f'({different})':<8}"


def trace(command: list[str], root: Path) -> str:
    """The calls of a command and all its processes."""
    with tempfile.NamedTemporaryFile("r", errors="replace") as file:
        run([*STRACE, "-f", "-o", file.name, *command])
        return counted(file.readlines(), root)


def trace_worker(config: Path, root: Path) -> str:
    """The calls of a worker's start: a run of one unit, of which the worker is looked at until its first video."""
    with tempfile.TemporaryDirectory() as folder:
        unit = ["--signs", str(LEFT), "--signers", "01", "--splits", "test"]
        settings = ["--set", f"output.root={folder}/out", "--set", "run.workers=1"]
        command = [sys.executable, "-m", "kpsbatch", "run", str(config), "--quiet", *unit, *settings]
        run([*STRACE, "-ff", "-o", f"{folder}/trace", *command])
        for path in Path(folder).glob("trace.*"):
            lines = path.read_text(errors="replace").splitlines()
            if lines and "kpsbatch.work.worker" in lines[0]:
                areas = [area_of(path_of(line), root) for line in lines]
                return counted(lines[: areas.index("dataset")], root)
    raise AssertionError("no worker was started")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of: {', '.join(COMMANDS)}, worker")
    parser.add_argument("--delay", type=float, default=1.0, help="milliseconds that each call takes longer")
    arguments = parser.parse_intermixed_args()
    root = arguments.directory.resolve()
    root.mkdir(parents=True, exist_ok=True)
    config = make_tree(root)
    library = root / "slow_storage.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, SLOW_STORAGE, "-ldl"], check=True)
    data = f"{root}/dataset:{root}/out"
    program = f"{data}:{sys.prefix}:{os.path.realpath(sys.prefix)}:{sys.base_prefix}:{REPO}"
    headings = f"{'dataset':>10}{'outputs':>10}{'program':>10}{'':<9}{'seconds':>8}{'data slow':>11}{'all slow':>10}"
    print(f"{'':<20}{headings}")
    for name in arguments.commands or [*COMMANDS, "worker"]:
        if name == "worker":
            print(f"{name:<20}{trace_worker(config, root)}", flush=True)
            continue
        words = COMMANDS[name]
        command = [sys.executable, "-m", "kpsbatch", words[0], str(config), *words[1:]]
        times = [run(command)]
        for below in (data, program):
            times.append(run(command, LD_PRELOAD=str(library), SLOW_BELOW=below, SLOW_MS=str(arguments.delay)))
        print(f"{name:<20}{trace(command, root)}{times[0]:>8.1f}{times[1]:>11.1f}{times[2]:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
