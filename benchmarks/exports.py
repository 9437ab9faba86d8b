"""What exports and the reader cost, against the plain scripts that people write for the same.

    python benchmarks/exports.py DIR [--videos 2000] [--frames 60] [--repeat 3]       each format against a plain script
    python benchmarks/exports.py DIR --reading [--videos 10000]                       open_dataset against np.load
    python benchmarks/exports.py DIR --memory [--videos 75000] [--frames 4]           memory while exporting

DIR gets outputs of random keypoints, the hardest to compress, with records. Compared in the same run, one after the
other in turns; CPU time includes that of the kernel. Formats whose library is missing are left out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import KpsbatchError
from kpsbatch.export.run import FORMATS, export
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitRecord
from kpsbatch.store.settings import Fingerprint, Settings

WIDTH, HEIGHT, RATE = 256, 256, 30.0
SIGNERS, EACH = 3, 25


def make_outputs(root: Path, videos: int, frames: int) -> Path:
    """Outputs of so many videos, unless they are there."""
    root = root / f"out-{videos}-{frames}"
    outputs = Outputs(root, Fingerprint(Settings(landmarks={"coordinates": "image"}), "0123456789ab"))
    noise = np.random.default_rng(0).random((2 * frames + 50, 184, 4), np.float32)
    for number in range(videos // EACH):
        unit = Unit(f"{number % SIGNERS + 1:02}", "test" if number % 6 >= 3 else "train", number // 6 + 1)
        if outputs.npz_path(unit).exists():
            continue
        lengths = {f"{unit.signer}_01_{unit.sign:04}_({v:02})_c": max(1, frames - 12 + v) for v in range(EACH)}
        lengths = {name: min(length, 2 * frames) for name, length in lengths.items()}
        arrays = {name: noise[at : at + length] for at, (name, length) in enumerate(lengths.items())}
        facts = {
            name: {
                "frames": length,
                "frame_rate": RATE,
                "width": WIDTH,
                "height": HEIGHT,
                "how": {"pose": "d" * length},
            }
            for name, length in lengths.items()
        }
        told = {"state": "complete", "unit": unit._asdict(), "videos": facts}
        outputs.store(unit, arrays, UnitRecord.model_validate(told), replace=False)
    return root


def plain_videos(root: Path) -> Iterator[tuple[str, int, str, np.ndarray[Any, Any]]]:
    """Split, sign, name and keypoints of every video, by numpy.load."""
    for path in sorted(root.glob("*-*/*.npz")):
        with np.load(path) as videos:
            for name in videos.files:
                yield path.parent.name.split("-")[1], int(path.stem), name, videos[name]


def plain_npy(root: Path, out: Path) -> None:
    for split, sign, name, array in plain_videos(root):
        folder = out / split / f"{sign:04}"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", array)


def plain_mmap(root: Path, out: Path) -> None:
    """Two passes: lengths, then the arrays."""
    lengths: dict[str, list[int]] = {}
    for split, _, _, array in plain_videos(root):
        lengths.setdefault(split, []).append(len(array))
    longest = max(map(max, lengths.values()))
    files, rows, labels = {}, dict.fromkeys(lengths, 0), {split: [] for split in lengths}
    for split, all_lengths in lengths.items():
        shape = (len(all_lengths), longest, 184, 4)
        files[split] = np.memmap(out / f"{split}_X.mmap", np.float32, "w+", shape=shape)
    for split, sign, _, array in plain_videos(root):
        files[split][rows[split], : len(array)] = array
        rows[split] += 1
        labels[split].append(sign)
    for split, file in files.items():
        file.flush()
        np.save(out / f"{split}_lengths.npy", lengths[split])
        np.save(out / f"{split}_y.npy", labels[split])


def plain_concatenated(root: Path, out: Path) -> None:
    """One pass, appended."""
    files = {split: (out / f"{split}_X.mmap").open("wb") for split in ("train", "test")}
    for split, _, _, array in plain_videos(root):
        files[split].write(array.tobytes())
    for file in files.values():
        file.close()


def plain_pose(root: Path, out: Path) -> None:
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    names = kpsbatch.Topology.NAMES
    components = [
        PoseHeaderComponent(part, list(names[place]), [], [(255, 0, 0)], "XYZC")
        for part, place in kpsbatch.Topology.PARTS.items()
    ]
    header = PoseHeader(0.2, PoseHeaderDimensions(WIDTH, HEIGHT), components)
    for split, sign, name, array in plain_videos(root):
        folder = out / split / f"{sign:04}"
        folder.mkdir(parents=True, exist_ok=True)
        points = array[:, None, :, :3] * np.array([WIDTH, HEIGHT, 1], np.float32)
        with (folder / f"{name}.pose").open("wb") as file:
            Pose(header, NumPyPoseBody(RATE, points, array[:, None, :, 3])).write(file)


def plain_webdataset(root: Path, out: Path) -> None:
    tars = {s: tarfile.open(out / f"{s}.tar", "w") for s in ("train", "test")}  # noqa: SIM115
    for split, sign, name, array in plain_videos(root):
        data = io.BytesIO()
        np.save(data, array)
        for suffix, content in (("npy", data.getvalue()), ("json", json.dumps({"sign": sign, "fps": RATE}).encode())):
            entry = tarfile.TarInfo(f"{name}.{suffix}")
            entry.size = len(content)
            tars[split].addfile(entry, io.BytesIO(content))
    for tar in tars.values():
        tar.close()


def plain_parquet(root: Path, out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = [
        ("video", pa.string()),
        ("sign", pa.int32()),
        ("frames", pa.int32()),
        ("keypoints", pa.list_(pa.float32())),
    ]
    schema = pa.schema(types)
    writers = {s: pq.ParquetWriter(out / f"{s}.parquet", schema, compression="zstd") for s in ("train", "test")}
    for split, sign, name, array in plain_videos(root):
        row = {"video": [name], "sign": [sign], "frames": [len(array)], "keypoints": [array.ravel()]}
        writers[split].write_table(pa.table(row, schema=schema))
    for writer in writers.values():
        writer.close()


PLAIN: dict[str, Callable[[Path, Path], None]] = {
    "mmap": plain_mmap,
    "mmap-concatenated": plain_concatenated,
    "pose": plain_pose,
    "webdataset": plain_webdataset,
    "parquet": plain_parquet,
    "npy": plain_npy,
}


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(what: str, ours: Callable[[], object], plain: Callable[[], object], repeat: int) -> None:
    """Print the medians of both, in turns."""
    times = [(timed(ours), timed(plain)) for _ in range(repeat)]
    middle = [[statistics.median(run[who][kind] for run in times) for kind in (0, 1)] for who in (0, 1)]
    (our_wall, our_cpu), (wall, cpu) = middle
    print(
        f"{what:<18} CPU {our_cpu:6.2f} s, plain {cpu:6.2f} s: {our_cpu / cpu:.2f} times; "
        f"wall {our_wall:6.2f} s, plain {wall:6.2f} s: {our_wall / wall:.2f} times",
        flush=True,
    )


def compare_exports(root: Path, scratch: Path, repeat: int) -> None:
    dataset = len(kpsbatch.open_dataset(root))
    print(f"{dataset} videos")

    def fresh() -> Path:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return scratch

    for form, plain in PLAIN.items():
        ours = lambda form=form: export(kpsbatch.open_dataset(root), form, fresh())  # noqa: E731
        try:
            compare(form, ours, lambda plain=plain: plain(root, fresh()), repeat)
        except (KpsbatchError, ImportError) as error:
            print(f"{form:<18} left out: {error}")
    shutil.rmtree(scratch, ignore_errors=True)


def compare_reading(root: Path, repeat: int) -> None:
    def ours() -> int:
        return sum(len(sample.keypoints) for sample in kpsbatch.open_dataset(root))

    def plain() -> int:
        return sum(len(array) for *_, array in plain_videos(root))

    assert ours() == plain()
    print(f"{len(kpsbatch.open_dataset(root))} videos")
    compare("in order", ours, plain, repeat)
    dataset = kpsbatch.open_dataset(root)
    order = random.Random(0).sample(range(len(dataset)), len(dataset))
    places = [(dataset.videos[number].path, dataset.videos[number].video) for number in order]

    def plain_shuffled() -> None:
        for path, name in places:
            with np.load(path) as videos:
                videos[name]

    compare("shuffled", lambda: [dataset[number].keypoints.shape for number in order], plain_shuffled, repeat)


def memory(root: Path, scratch: Path) -> None:
    dataset = kpsbatch.open_dataset(root)
    resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6  # noqa: E731
    before = resident()
    print(f"{len(dataset)} videos; memory {before:.0f} MB, with what is known of them {resident():.0f} MB")
    for form in FORMATS:
        seen: dict[int, float] = {}
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            export(
                dataset, form, scratch, lambda done, total, seen=seen: seen.setdefault(done * 10 // total, resident())
            )
        except KpsbatchError as error:
            print(f"{form:<18} left out: {error}")
            continue
        print(f"{form:<18} " + ", ".join(f"{tenth * 10}%: {seen[tenth]:.0f} MB" for tenth in (0, 1, 5, 9)), flush=True)
    shutil.rmtree(scratch, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--videos", type=int)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--reading", action="store_true")
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    videos = arguments.videos or (10000 if arguments.reading else 75000 if arguments.memory else 2000)
    root = make_outputs(arguments.directory, videos, arguments.frames or (4 if arguments.memory else 60))
    scratch = arguments.directory / "scratch"
    if arguments.reading:
        compare_reading(root, arguments.repeat)
    elif arguments.memory:
        memory(root, scratch)
    else:
        compare_exports(root, scratch, arguments.repeat)


if __name__ == "__main__":
    main()
