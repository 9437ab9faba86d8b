"""What the machinery around the landmarkers costs: the real run with a stub in their place.

    python benchmarks/machinery.py [--videos 4000] [--workers 2] [--cost 0] [--frames 60] [--like FILE.npz]
    python benchmarks/machinery.py --resume           plan and resume a finished KArSL-502 (3,012 units)
    python benchmarks/machinery.py --memory           memory of the parent and a worker over 2,000 videos

The stub takes `--cost` milliseconds of a core for a frame and returns random keypoints, the hardest to compress, or
with `--like` those of an output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np

from kpsbatch.config import Config, load_config
from kpsbatch.dataset.source import open_source
from kpsbatch.landmarks.extract import VideoKeypoints
from kpsbatch.landmarks.facts import VideoFacts, WorkSeconds
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitRecord, made_digest, record_bytes
from kpsbatch.store.run_state import Progress
from kpsbatch.store.settings import Fingerprint, Settings
from kpsbatch.work import run as run_module
from kpsbatch.work.video_job import VideoTask
from kpsbatch.work.worker import Heartbeat


class StubJob:
    """A job that burns a given time for each frame and makes keypoints up."""

    def __init__(self, frames: int, cost: float, like: Path | None = None) -> None:
        self.frames, self.cost, self.like = frames, cost, like

    def prepared(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def open(self) -> None:
        self.keypoints = np.random.default_rng(0).random((self.frames, 184, 4), np.float32)
        if self.like is not None:
            with np.load(self.like) as stored:
                rows = np.concatenate([stored[name] for name in stored.files])
            self.keypoints = np.resize(rows, self.keypoints.shape).astype(np.float32)

    def close(self) -> None:
        pass

    def do(self, task: VideoTask, heartbeat: Heartbeat) -> list[VideoKeypoints | None]:
        started = time.perf_counter()
        for _ in range(self.frames):
            end = time.perf_counter() + self.cost / 1000
            while time.perf_counter() < end:
                pass
            heartbeat()
        seconds = time.perf_counter() - started
        spent = WorkSeconds(total=seconds, landmarkers=seconds)
        return [VideoKeypoints(self.keypoints, VideoFacts(frames=self.frames, seconds=spent)) for _ in task.videos]

    def environment(self) -> dict[str, str]:
        folder = str(Path(__file__).parent)
        return {"PYTHONPATH": os.pathsep.join([folder, str(Path(__file__).parents[1])])}


def make_dataset(root: Path, signs: int, videos: int) -> Config:
    for sign in range(1, signs + 1):
        for video in range(videos):
            (root / "data" / "01" / "train" / f"{sign:04d}" / f"video {video}").mkdir(parents=True)
    (root / "config.yaml").write_text(
        f'dataset: {{root: data, layout: "{{signer}}/{{split}}/{{sign:04d}}", signers: ["01"], splits: [train], '
        f"signs: 1-{signs}}}\noutput: {{root: out}}\nrun: {{videos_per_worker: 100000}}\n"
    )
    return load_config(root / "config.yaml")


def throughput(root: Path, videos: int, workers: int, job: StubJob) -> None:
    config = make_dataset(root, max(1, videos // 25), 25)
    outputs = Outputs(config.output.root, Fingerprint(Settings(models={}), "stub"))
    counts = {1, workers}
    rates = {}
    for count in sorted(counts):
        import shutil

        shutil.rmtree(config.output.root, ignore_errors=True)
        run_config = config.model_copy(update={"run": config.run.model_copy(update={"workers": count})})
        with mock.patch.object(run_module, "open_outputs", lambda _: (outputs, job)):
            summary = run_module.run(run_config)
        done = summary.progress.videos_done
        rates[count] = done / summary.seconds
        share = summary.worker_seconds / (summary.seconds * count)
        print(
            f"{count} workers: {done} videos of {job.frames} frames at {job.cost:g} ms in {summary.seconds:.1f} s: "
            f"{rates[count]:.0f} videos/s; workers busy {share:.1%} of the time"
        )
    if len(rates) == 2:
        print(f"from 1 to {workers} workers: {rates[workers] / rates[1]:.2f} times")


def resume(root: Path) -> None:
    (root / "config.yaml").write_text(
        'dataset: {root: data, signers: ["01", "02", "03"], signs: 1-502}\noutput: {root: out}\n'
    )
    config = load_config(root / "config.yaml")
    outputs, _ = run_module.open_outputs(config)
    config.dataset.root.mkdir()
    outputs.prepare()
    source = open_source(config.dataset, config.output.root)
    for unit in source.units():
        for video in range(25):
            (source.folder(unit) / f"{unit.signer}_01_{unit.sign:04}_({video})_c").mkdir(parents=True)
        digest = made_digest(source.made(unit) or {})
        for path in (outputs.npz_path(unit), outputs.record_path(unit, "complete")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record_bytes(UnitRecord(made_digest=digest)) if path.suffix == ".json" else b"")
    started = time.perf_counter()
    summary = run_module.run(config)
    print(f"{len(summary.states)} finished units found in {time.perf_counter() - started:.2f} s")


def memory(root: Path) -> None:
    config = make_dataset(root, 80, 25)
    seen: list[tuple[int, float]] = []
    outputs = Outputs(config.output.root, Fingerprint(Settings(models={}), "stub"))

    def note(progress: Progress) -> None:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        seen.append((progress.videos_done, resident))

    with mock.patch.object(run_module, "open_outputs", lambda _: (outputs, StubJob(60, 0.0))):
        run_module.run(config, on_progress=note)
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        done, resident = min(seen, key=lambda point: abs(point[0] - share * 2000))
        print(f"parent after {done} videos: {resident:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--cost", type=float, default=0.0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--like", type=Path, help="an output whose keypoints the stub returns")
    arguments = parser.parse_args()
    job = StubJob(arguments.frames, arguments.cost, arguments.like and arguments.like.absolute())
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.resume:
            resume(Path(scratch))
        elif arguments.memory:
            memory(Path(scratch))
        else:
            throughput(Path(scratch), arguments.videos, arguments.workers, job)


if __name__ == "__main__":
    import machinery  # under its real name, so that workers find StubJob

    machinery.main()
