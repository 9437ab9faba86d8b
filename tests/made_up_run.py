"""A made-up run for tests of the report: records, state files, logs and damaged frames, as a run leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from factories import make_config

from kpsbatch.config import Config, LandmarksConfig
from kpsbatch.dataset.tables import Label
from kpsbatch.dataset.video import Unit
from kpsbatch.store.settings import VALUES_VERSION

EVIL = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)> "&\' إشارة'
NAMES = {1: Label(1, "أب", "father"), 2: Label(2, "أم", "<b>mother</b>")}
DIGEST = "0123456789ab"
TRUNCATED = "9 of 30 frames are unreadable (limit 20%, run.max_bad_frames); the first: 3.jpg: a truncated JPEG"


def video(frames: int, right: int, left: int = 0, *, face: int | None = None, bad: int = 0) -> dict[str, Any]:
    """A record's entry of a video; the left hand is found only where the right one is, too."""
    return {
        "frames": frames,
        "bad_frames": bad,
        "bad_examples": [{"frame": f"{number}.jpg", "problem": "a truncated JPEG"} for number in range(bad)],
        "sizes": {"256x256": frames - bad},
        "found": {
            "pose": frames - bad,
            "face": frames - bad if face is None else face,
            "right_hand": right,
            "left_hand": left,
        },
        "hands": {
            "both": left,
            "one": right - left,
            "none": frames - bad - right,
            "wrists": 2 * frames,
            "wrists_without_hand": 2 * frames - right - left,
        },
        "seconds": {"total": frames / 10, "landmarkers": frames / 12},
        "attempts": 1,
    }


def failure(error: str) -> dict[str, Any]:
    return {"error": error, "attempts": 2, "output": ""}


def put(root: Path, unit: Unit, videos: dict[str, Any], *, digest: str = DIGEST, npz: bool = True) -> Path:
    """Write a unit's record, settings and npz as a run does."""
    records = root / "_kpsbatch" / "records" / digest
    failed = sum("error" in entry for entry in videos.values())
    state = "failed" if failed == len(videos) else "partial" if failed else "complete"
    path = records / f"{unit.name}{'' if state == 'complete' else f'.{state}'}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    mode: Any = "clip" if digest == DIGEST else "image"
    settings = {
        "models": {"pose": "9264f0aa"},
        "values_version": VALUES_VERSION,
        "dataset": {"mirrored": False, "frame_rate_out": None},
        "landmarks": LandmarksConfig(running_mode=mode).model_dump(mode="json", exclude={"models", "pace"}),
        "output": {"dtype": "float32"},
    }
    (records / "settings.json").write_text(json.dumps(settings))
    path.write_text(
        json.dumps(
            {
                "unit": unit._asdict(),
                "state": state,
                "videos": videos,
                "odd_entries": {"Thumbs.db": "no video"},
                "host": "node1",
                "versions": {"kpsbatch": "0.1.0", "mediapipe": "0.10.21"},
                "finished": f"2026-11-22T11:{unit.sign % 60:02}:00.000+00:00",
            }
        )
    )
    output = root / f"{unit.name}.npz"
    output.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: np.zeros((entry["frames"], 184, 4), np.float32) for name, entry in videos.items() if "frames" in entry
    }
    if arrays and npz:
        np.savez_compressed(output, **arrays)
    return path


def write_broken_frames(folder: Path) -> None:
    """30 frames of 48x32, of which the first nine can't be read; the tenth is red."""
    folder.mkdir(parents=True)
    for number in range(30):
        red = np.full((32, 48, 3), (20, 20, 220), np.uint8)
        data = cv2.imencode(".jpg", red)[1].tobytes()
        (folder / f"{number:02}.jpg").write_bytes(data[:20] if number < 9 else data)


def made_up_run(folder: Path) -> Config:
    """Eight signs by two signers: done, partial, failed, without a record, left and absent."""
    config = make_config(folder, dataset={"root": "dataset", "signers": ["01", "02"], "signs": "1-8"})
    root = config.output.root
    put(
        root,
        Unit("01", "train", 1),
        {"one": video(20, 20, 10), "two": video(30, 15, bad=2), EVIL: video(10, 10, face=9)},
    )
    put(root, Unit("01", "train", 2), {"good": video(40, 30), "broken": failure(TRUNCATED)})
    put(root, Unit("01", "train", 3), {"gone": failure("no new frame for 600 s (run.video_timeout)")})
    put(root, Unit("02", "train", 1), {"still": video(25, 0)})
    for sign in range(2, 8):
        put(root, Unit("02", "train", sign), {f"v{sign}": video(100, 100 - sign)})
    (root / "01-train" / "0004.npz").touch()
    write_broken_frames(config.dataset.root / "01" / "01" / "train" / "0002" / "broken")
    for sign, name in ((1, "one"), *((sign, "a video") for sign in range(4, 8))):
        (config.dataset.root / "01" / "01" / "train" / f"{sign:04}" / name).mkdir(parents=True)
    runs = root / "_kpsbatch" / "runs"
    runs.mkdir()
    run = {"run": "run-1", "host": "node1", "state": "failed", "error": "no space <left>", "units": 9, "units_done": 8}
    run |= {"videos": 12, "videos_done": 12, "videos_failed": 2, "frames": 725}
    run |= {"started": "2026-11-22T11:00:00+00:00", "updated": "2026-11-22T11:10:00+00:00"}
    run |= {"log": str(folder / "run-1.log"), "command": ["/opt/bin/python", "-m", "kpsbatch", "run", "my config.yaml"]}
    (runs / "run-1.json").write_text(json.dumps(run | {"cpu_seconds": 1140.0, "memory_megabytes": 2867}))
    later = {"started": "2026-11-22T12:00:00+00:00", "updated": "2026-11-22T12:05:00+00:00"}
    (runs / "run-2.json").write_text(json.dumps(run | later | {"run": "run-2", "state": "finished", "error": ""}))
    (folder / "run-1.log").write_text(f"01-train/0002/broken: {TRUNCATED}\n01-train/0003/gone: odd\nelse\n")
    (runs / "broken.json").write_text('{"state": "running"}')
    return config
