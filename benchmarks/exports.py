"""What exports and the reader cost, against the plain scripts that people write for the same.

    python benchmarks/exports.py DIR [--videos 2000] [--frames 60] [--repeat 3]       each format against a plain script
    python benchmarks/exports.py DIR --recipes [--videos 2000] [--frames 60] [--repeat 3]   each recipe, in the same way
    python benchmarks/exports.py DIR --reading [--videos 10000]                       open_dataset against np.load
    python benchmarks/exports.py DIR --kills [--videos 2000] [--frames 60]              each recipe, killed halfway
    python benchmarks/exports.py DIR --memory [--videos 75000] [--frames 4]           memory while exporting

DIR gets outputs of random keypoints, the hardest to compress, with records. Compared in the same run, one after the
other in turns; CPU time includes that of the kernel. Formats whose library is missing are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import signal
import statistics
import subprocess
import sys
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
from kpsbatch.landmarks.full import from_grid, pack, to_grid
from kpsbatch.landmarks.keypoints import view
from kpsbatch.points import FULL
from kpsbatch.store.npz import npz_bytes
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitRecord
from kpsbatch.store.settings import Fingerprint, Settings

WIDTH, HEIGHT, RATE = 256, 256, 30.0
SIGNERS, EACH = 3, 25


def make_outputs(root: Path, videos: int, frames: int, *, kept: bool = False) -> Path:
    """Outputs of so many videos, unless they are there; `kept`: of landmarks that move smoothly, kept beside them."""
    root = root / f"{'kept' if kept else 'out'}-{videos}-{frames}"
    outputs = Outputs(root, Fingerprint(Settings(landmarks={"coordinates": "image"}), "0123456789ab"))
    noise = np.random.default_rng(0).random((2 * frames + 50, 184, 4), np.float32)
    rows = moving(2 * frames + 50) if kept else []
    for number in range(videos // EACH):
        unit = Unit(f"{number % SIGNERS + 1:02}", "test" if number % 6 >= 3 else "train", number // 6 + 1)
        if outputs.npz_path(unit).exists():
            continue
        lengths = {f"{unit.signer}_01_{unit.sign:04}_({v:02})_c": max(1, frames - 12 + v) for v in range(EACH)}
        lengths = {name: min(length, 2 * frames) for name, length in lengths.items()}
        arrays = {name: noise[at : at + length] for at, (name, length) in enumerate(lengths.items())}
        full = {}
        if kept:
            starts = {name: at for at, name in enumerate(lengths)}
            full = {name: npz_bytes(name, pack(rows[at : at + lengths[name]])) for name, at in starts.items()}
            arrays = {name: view(from_grid(np.stack(rows[at : at + lengths[name]]))) for name, at in starts.items()}
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
        outputs.store(unit, arrays, UnitRecord.model_validate(told), full=full, replace=False)
    return root


def moving(frames: int) -> list[np.ndarray[Any, Any]]:
    """All landmarks of some frames in whole steps: a random place for each, from which it strays by hundredths."""
    random = np.random.default_rng(0)
    strays = np.cumsum(random.normal(0, 0.003, (frames, FULL.points, 4)), axis=0)
    values = np.clip(random.random((FULL.points, 4)) + strays, 0.001, 1).astype(np.float32)
    return [to_grid(row) for row in values]


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


def kept_videos(root: Path) -> Iterator[tuple[str, str, int, str, np.ndarray[Any, Any]]]:
    """Signer, split, sign, name and all landmarks of every video, as docs/points.md reads them with NumPy."""
    step = np.where(np.arange(4) == 3, 2.0**-10, np.where(np.arange(628)[:, None] < 553, 2.0**-16, 2.0**-13))
    for path in sorted(root.glob("_kpsbatch/full/*/*-*/*.npz")):
        with np.load(path) as videos:
            for name in videos.files:
                coded = np.ascontiguousarray(np.moveaxis(videos[name], 0, -1)).view("<u4")[..., 0]
                whole = np.cumsum((coded >> 1).astype("i4") ^ -(coded & 1).astype("i4"), axis=1, dtype="i4")
                signer, split = path.parent.name.split("-")
                yield signer, split, int(path.stem), name, whole.transpose(1, 2, 0).astype("f4") * step.astype("f4")


POSE, FACE, RIGHT, LEFT = slice(0, 33), slice(33, 501), slice(511, 532), slice(532, 553)


def joined(full: np.ndarray[Any, Any], parts: list[slice], axes: int) -> np.ndarray[Any, Any]:
    return np.concatenate([full[:, part, :axes] for part in parts], axis=1)


def plain_gislr(root: Path, out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = ["face"] * 468 + ["left_hand"] * 21 + ["pose"] * 33 + ["right_hand"] * 21
    indices = [*range(468), *range(21), *range(33), *range(21)]
    for number, (_, _, _, _, full) in enumerate(kept_videos(root)):
        values = joined(full, [FACE, LEFT, POSE, RIGHT], 3)
        values[~values.any(axis=2)] = np.nan
        names = [
            f"{frame}-{kind}-{index}"
            for frame in range(len(values))
            for kind, index in zip(kinds, indices, strict=True)
        ]
        columns = {
            "frame": np.repeat(np.arange(len(values), dtype=np.int16), 543),
            "row_id": names,
            "type": kinds * len(values),
            "landmark_index": np.tile(np.array(indices, np.int16), len(values)),
            **{axis: values[..., place].ravel() for place, axis in enumerate("xyz")},
        }
        pq.write_table(pa.table(columns), out / f"{number}.parquet", compression="zstd")


def plain_arabic(root: Path, out: Path) -> None:
    for split in ("train", "test"):
        with (out / f"{split}_X.mmap").open("wb") as file:
            lengths = []
            for _, its, _, _, array in sorted_by_sign(root):
                if its == split:
                    file.write(array.tobytes())
                    lengths.append(len(array))
        np.save(out / f"{split}_lens.npy", lengths)


def sorted_by_sign(root: Path) -> Iterator[tuple[str, str, int, str, np.ndarray[Any, Any]]]:
    for path in sorted(root.glob("*-*/*.npz"), key=lambda path: (path.stem, path.parent.name)):
        signer, split = path.parent.name.split("-")
        with np.load(path) as videos:
            for name in videos.files:
                yield signer, split, int(path.stem), name, videos[name]


def plain_openhands(root: Path, out: Path) -> None:
    for signer, _, sign, name, full in kept_videos(root):
        keypoints = joined(full, [POSE, LEFT, RIGHT], 3).astype(float)
        found = np.concatenate([full[:, POSE, 3], full[:, LEFT].any(axis=2), full[:, RIGHT].any(axis=2)], axis=1)
        data = {"keypoints": keypoints, "confidences": found.astype(float)}
        (out / f"{sign}_{signer}_{name}.pkl").write_bytes(pickle.dumps(data, 4))


def plain_spoter(root: Path, out: Path) -> None:
    with (out / "train.csv").open("w", newline="") as file:
        table = csv.writer(file)
        for _, _, sign, _, full in kept_videos(root):
            points = joined(full, [slice(0, 12), LEFT, RIGHT], 2)
            cells = [points[:, point, axis].tolist() for point in range(points.shape[1]) for axis in (0, 1)]
            table.writerow([*cells, sign])


def plain_flat(root: Path, out: Path) -> None:
    for _, split, sign, name, full in kept_videos(root):
        folder = out / split / str(sign) / name
        folder.mkdir(parents=True)
        frames = full[np.linspace(0, len(full) - 1, 30).round().astype(int)]
        rest = joined(frames, [FACE, LEFT, RIGHT], 3).reshape(30, -1)
        for number, row in enumerate(np.concatenate([frames[:, POSE].reshape(30, -1), rest], axis=1)):
            np.save(folder / f"{number}.npy", row.astype(float))


def plain_holistic(root: Path, out: Path) -> None:
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    counts = {"POSE": 33, "FACE": 468, "LEFT_HAND": 21, "RIGHT_HAND": 21}
    components = [
        PoseHeaderComponent(f"{name}_LANDMARKS", [*map(str, range(count))], [], [(255, 0, 0)], "XYZC")
        for name, count in counts.items()
    ]
    header = PoseHeader(0.2, PoseHeaderDimensions(WIDTH, HEIGHT), components)
    for _, _, sign, name, full in kept_videos(root):
        points = joined(full, [POSE, FACE, LEFT, RIGHT], 4)[:, None]
        body = NumPyPoseBody(RATE, points[..., :3] * [WIDTH, HEIGHT, 1], points.any(axis=-1).astype(float))
        with (out / f"{sign}-{name}.pose").open("wb") as file:
            Pose(header, body).write(file)


PLAIN_RECIPES: dict[str, Callable[[Path, Path], None]] = {
    "pose": plain_holistic,
    "gislr": plain_gislr,
    "arabic-sl-mmap": plain_arabic,
    "openhands": plain_openhands,
    "spoter": plain_spoter,
    "flat-1662": plain_flat,
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


def compare_exports(
    root: Path, scratch: Path, repeat: int, plain_scripts: dict[str, Callable[[Path, Path], None]]
) -> None:
    dataset = len(kpsbatch.open_dataset(root))
    print(f"{dataset} videos")

    def fresh() -> Path:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return scratch

    for form, plain in plain_scripts.items():
        options = {"points": "contract"} if plain is plain_pose else {}
        ours = lambda form=form, options=options: export(kpsbatch.open_dataset(root), form, fresh(), **options)  # noqa: E731
        try:
            compare(form, ours, lambda plain=plain: plain(root, fresh()), repeat)
        except (KpsbatchError, ImportError) as error:
            print(f"{form:<18} left out: {error}")
    shutil.rmtree(scratch, ignore_errors=True)


def content(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a finished export but export.json, by name."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "export.json")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_each(root: Path, scratch: Path) -> None:
    """Export each recipe whole, and with a SIGKILL after half the bytes and again; print whether all files agree."""
    shutil.rmtree(scratch, ignore_errors=True)
    for form in PLAIN_RECIPES:
        whole, killed = scratch / "whole", scratch / "killed"
        line = [sys.executable, "-m", "kpsbatch", "export", str(root), "--as", form, "-q"]
        done = subprocess.run([*line, str(whole)], capture_output=True, text=True)
        if done.returncode:
            print(f"{form:<18} left out: {done.stderr.strip()}")
            continue
        half = size_of(whole) // 2
        process = subprocess.Popen([*line, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and size_of(killed) < half:
            time.sleep(0.02)
        process.kill()
        was_killed = process.wait() == -signal.SIGKILL
        left = len(content(killed))
        again = subprocess.run([*line, str(killed)], capture_output=True, text=True)
        same = content(whole) == content(killed)
        print(
            f"{form:<18} {'killed' if was_killed else 'ended by itself'} with {left} of {len(content(whole))} files, "
            f"then status {again.returncode}: {'the same files' if same else 'OTHER FILES'}",
            flush=True,
        )
        shutil.rmtree(scratch)


def size_of(folder: Path) -> int:
    """Bytes on disk below a folder, sparse files as far as they are written."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it gets its name in this moment
            total += path.stat().st_blocks * 512
    return total


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
                dataset,
                form,
                scratch,
                lambda done, total, seen=seen: seen.setdefault(done * 10 // total, resident()),
                points="contract",
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
    parser.add_argument("--recipes", action="store_true")
    parser.add_argument("--reading", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--kills", action="store_true")
    arguments = parser.parse_args()
    videos = arguments.videos or (10000 if arguments.reading else 75000 if arguments.memory else 2000)
    frames, kept = arguments.frames or (4 if arguments.memory else 60), arguments.recipes or arguments.kills
    root = make_outputs(arguments.directory, videos, frames, kept=kept)
    scratch = arguments.directory / "scratch"
    if arguments.kills:
        kill_each(root, scratch)
    elif arguments.reading:
        compare_reading(root, arguments.repeat)
    elif arguments.memory:
        memory(root, scratch)
    else:
        compare_exports(root, scratch, arguments.repeat, PLAIN_RECIPES if arguments.recipes else PLAIN)


if __name__ == "__main__":
    main()
