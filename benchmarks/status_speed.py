"""How long `kpsbatch status` takes on a tree of KArSL's size: 3,012 units, 75,300 videos, 51 tasks.

    python benchmarks/status_speed.py DIR [--done 0.6] [--repeat 7]

DIR gets a dataset of empty video folders, empty npz files (status never opens them), records of the size of real
ones, and state files of the tasks. Measured, with a warm file cache: the reader within this process, and the whole
command `python -m kpsbatch status`, start-up included. CPU time includes that of the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kpsbatch.config import Config, load_config
from kpsbatch.dataset.source import open_source
from kpsbatch.look.status import StatusReader
from kpsbatch.store.settings import settings_of

VIDEOS = 25
TASKS = 51


def make_tree(root: Path, done: float) -> Path:
    """Write the config, the dataset and the outputs, unless they are there."""
    path = root / "config.yaml"
    if path.exists():
        return path
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.csv").write_text(
        "id,arabic,english\n" + "".join(f"{sign},إشارة {sign},sign {sign}\n" for sign in range(1, 503))
    )
    text = 'dataset: {root: data, signers: ["01", "02", "03"], signs: 1-502, labels: labels.csv}\noutput: {root: out}\n'
    (root / "new.yaml").write_text(text)
    config = load_config(root / "new.yaml")
    config.dataset.root.mkdir()
    source = open_source(config.dataset, config.output.root)
    for unit in source.units():
        for number in range(VIDEOS):
            (source.folder(unit) / f"03_01_{unit.sign:04}_({number:02})_c").mkdir(parents=True)
    write_outputs(config, done)
    (root / "new.yaml").rename(path)
    return path


def write_outputs(config: Config, done: float) -> None:
    records = config.output.root / "_kpsbatch" / "records" / "0123456789ab"
    for folder in (f"{signer}-{split}" for signer in config.dataset.signers for split in config.dataset.splits):
        (config.output.root / folder).mkdir(parents=True)
        (records / folder).mkdir(parents=True)
    settings = {**settings_of(config).tree(), "mediapipe": "1.2.3", "models": {}}
    (records / "settings.json").write_text(json.dumps(settings))
    video = {"frames": 60, "bad": [], "seconds": {"total": 1.5}, "note": "x" * 300}
    units = open_source(config.dataset, config.output.root).units()
    for number, unit in enumerate(units[: int(len(units) * done)]):
        videos: dict[str, object] = {f"03_01_{unit.sign:04}_({i:02})_c": video for i in range(VIDEOS)}
        suffix = ".json"
        if number % 10 == 0:  # a tenth is partial: more than status reads
            videos["03_01_(00)_c"] = {"error": "12 of 60 frames can't be read", "attempts": 1}
            suffix = ".partial.json"
        (records / f"{unit.name}{suffix}").write_text(json.dumps({"videos": videos}, indent=1))
        (config.output.root / f"{unit.name}.npz").touch()


def write_runs(config: Config) -> None:
    runs = config.output.root / "_kpsbatch" / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc)
    for task in range(TASKS):
        state = {
            "version": 1, "run": f"job-7_{task}", "submission": None, "shard": task, "shards": TASKS, "job": "7",
            "array_task": task, "host": f"node{task % 20}", "pid": 1, "log": None, "error": "",
            "state": "finished" if task < 30 else "running", "started": (now - timedelta(hours=1)).isoformat(),
            "updated": now.isoformat(), "units": 60, "units_done": 40, "videos": 1500,
            "videos_done": 1000, "videos_failed": 1, "frames": 60000, "unit": "01-train/0040",
            "slowest": [[f"01-train/{task + 1:04}", 99.5 - task]],
        }  # fmt: skip
        (runs / f"job-7_{task}.json").write_text(json.dumps(state, indent=1))


def measure(what: str, repeat: int, call: object) -> None:
    times, cpu = [], []
    for _ in range(repeat + 1):  # the first warms the cache
        started, cpu_before = time.perf_counter(), sum(os.times()[:4])
        call()  # type: ignore[operator]
        times.append(time.perf_counter() - started)
        cpu.append(sum(os.times()[:4]) - cpu_before)
    print(
        f"{what:<35} median {statistics.median(times[1:]):.2f} s, fastest {min(times[1:]):.2f} s, "
        f"{statistics.median(cpu[1:]):.2f} s of CPU"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--done", type=float, default=0.6, help="Share of finished units.")
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    path = make_tree(arguments.directory, arguments.done)
    config = load_config(path)
    write_runs(config)
    status = StatusReader(config).read()
    names = ("units", "complete", "partial", "left")
    print(", ".join(f"{status.count(name)} {name}" for name in names) + f", {len(status.tasks)} tasks")
    measure("reader, first look", arguments.repeat, lambda: StatusReader(config).read())
    reader = StatusReader(config)
    measure("reader, again (--watch)", arguments.repeat, reader.read)
    command = [sys.executable, "-m", "kpsbatch", "status", str(path)]
    for extra in ([], ["--json"]):
        measure(
            " ".join(["python -m kpsbatch status", *extra]),
            arguments.repeat,
            lambda extra=extra: subprocess.run([*command, *extra], check=True, stdout=subprocess.DEVNULL),
        )


if __name__ == "__main__":
    main()
