"""The dress rehearsal sees what it looks for; the rehearsal itself is `make rehearsal`."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent / "rehearsal"))

from checks import count_damage
from dataset import Dataset, pose_of, write_dataset

UNIT, VIDEO = "01-test/0001", "01_0001_(01)_c"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One sign of three signers in two splits: 150 videos."""
    return write_dataset(tmp_path_factory.mktemp("rehearsal") / "dataset", 1)


@pytest.fixture
def outputs(dataset, tmp_path):
    """What a run would have written, as (folder, log)."""
    import cv2

    log = []
    for unit, videos in dataset.units.items():
        signer, split, sign = unit[:2], unit[3:-5], unit[-4:]
        arrays = {}
        for video, pictures in videos.items():
            arrays[video] = np.zeros((len(pictures), 184, 4), np.float32)
            log.append(f"begun {unit} {video}")
            for number in range(len(pictures)):
                path = dataset.root / signer / signer / split / sign / video / f"frame_{number + 1:04}.png"
                arrays[video][number, :6] = pose_of(cv2.imread(str(path))[0, 0, ::-1])[:6]
        write_unit(tmp_path / "out", unit, arrays)
        log.append(f"stored {unit}")
    (tmp_path / "log").write_text("\n".join(log) + "\n")
    return tmp_path / "out", tmp_path / "log"


def write_unit(out, unit, arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    npz = {"sha256": hashlib.sha256(stream.getvalue()).hexdigest(), "bytes": len(stream.getvalue())}
    for path, data in (
        (out / f"{unit}.npz", stream.getvalue()),
        (out / "_kpsbatch" / "full" / "0123" / f"{unit}.npz", stream.getvalue()),
        (
            out / "_kpsbatch" / "records" / "0123" / f"{unit}.json",
            json.dumps({"npz": npz, "full": npz, "videos": dict.fromkeys(arrays, 1)}).encode(),
        ),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read_unit(out):
    with np.load(out / f"{UNIT}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def cut_off(out, log):
    path = out / f"{UNIT}.npz"
    path.write_bytes(path.read_bytes()[:-100])


def lose_video(out, log):
    arrays = read_unit(out)
    del arrays[VIDEO]
    write_unit(out, UNIT, arrays)


def swap_videos(out, log):
    arrays = read_unit(out)
    names = list(arrays)
    arrays[names[0]], arrays[names[2]] = arrays[names[2]], arrays[names[0]]
    write_unit(out, UNIT, arrays)


def spoil_a_point(out, log):
    arrays = read_unit(out)
    arrays[VIDEO][0, 3, 1] += np.float32(0.001)
    write_unit(out, UNIT, arrays)


def append(line):
    def to_log(out, log):
        log.write_text(log.read_text() + line + "\n")

    return to_log


def lose_landmarks(out, log):
    (out / "_kpsbatch" / "full" / "0123" / f"{UNIT}.npz").unlink()


def two_records(out, log):
    record = out / "_kpsbatch" / "records" / "0123" / f"{UNIT}.json"
    record.with_name("0001.partial.json").write_bytes(record.read_bytes())


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda out, log: None, {}),
        (lambda out, log: (out / f"{UNIT}.npz").unlink(), {"units lost": 1}),
        (cut_off, {"units half-written": 1}),
        (lose_landmarks, {"units half-written": 1}),
        (two_records, {"units half-written": 1}),
        (lose_video, {"videos lost": 1}),
        (swap_videos, {"videos with other pictures' keypoints": 2}),
        (spoil_a_point, {"videos with other pictures' keypoints": 1}),
        (lambda out, log: (out / "01-test" / ".0001.npz.host.1.ab.partial").touch(), {"temporary files left": 1}),
        (append(f"stored {UNIT}"), {"units stored twice": 1}),
        (append(f"begun {UNIT} {VIDEO}"), {"videos done over when stored": 1}),
    ],
)
def test_damage_is_counted(dataset, outputs, damage, found):
    """Each kind of damage is counted, and whole outputs have none."""
    out, log = outputs
    damage(out, log)
    assert +count_damage(dataset, out, log) == found
