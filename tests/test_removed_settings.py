"""Settings that version 0.2 had more: passed over at their defaults, otherwise refused with what to take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from factories import call, write_config, write_frames

import kpsbatch
from kpsbatch.config import LandmarksConfig, dump_config, load_config, load_frozen_config
from kpsbatch.errors import ConfigError
from kpsbatch.store.settings import settings_of

FROZEN: dict[str, Any] = {
    "models": None,
    "running_mode": "clip",
    "coordinates": "image",
    "parts": ["pose", "face", "hands"],
    "assign_hands": "pose",
    "recover_hands": True,
    "confidence": {
        "pose_detection": 0.5,
        "pose_presence": 0.5,
        "pose_tracking": 0.5,
        "face_detection": 0.5,
        "face_tracking": 0.5,
        "hand_detection": 0.5,
        "hand_presence": 0.5,
        "hand_tracking": 0.5,
    },
    "frame_rate": 30.0,
    "decode": "full",
    "delegate": "cpu",
}
"""The `landmarks` section of every config that version 0.2.0 froze, but for what its user chose."""

REMOVED: list[tuple[dict[str, Any], str]] = [
    (
        {"running_mode": "video"},
        r"landmarks\.running_mode: video was removed in kpsbatch 0\.3\. Take clip, .* or image, ",
    ),
    (
        {"running_mode": "image", "assign_hands": "label"},
        r"landmarks\.assign_hands: label was removed in .*nearest\. Remove it\.",
    ),
    (
        {"running_mode": "image", "recover_hands": False},
        r"landmarks\.recover_hands: false was removed in .*always searched at the wrists of the pose\. Remove it\.",
    ),
    ({"confidence": {"pose_tracking": 0.4}}, r"landmarks\.confidence\.pose_tracking: 0\.4 was removed .*Remove it\."),
    (
        {"confidence": {"face_tracking": 0.6}},
        r"landmarks\.confidence\.face_tracking: 0\.6 was removed .*face_presence takes its place\. Rename it\.",
    ),
    ({"confidence": {"hand_tracking": 0.9}}, r"landmarks\.confidence\.hand_tracking: 0\.9 was removed .*Remove it\."),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A dataset of one video."""
    write_frames(tmp_path / "data" / "01" / "train" / "0001" / "v", 2)
    return tmp_path


def frozen(folder: Path, **changes: Any) -> Path:
    """A config with a landmarks section as version 0.2.0 wrote it."""
    section = {**FROZEN, **changes, "confidence": {**FROZEN["confidence"], **changes.get("confidence", {})}}
    return write_config(folder, landmarks=section)


def test_what_0_2_froze_is_passed_over(tmp_path: Path) -> None:
    """At its defaults it changes nothing, in no config, and is not written again."""
    config = load_config(frozen(tmp_path))
    assert config.landmarks == LandmarksConfig()
    assert not config.landmarks.removed
    config.landmarks.refuse_removed()
    plain = load_config(write_config(tmp_path))
    assert settings_of(config) == settings_of(plain)
    path = tmp_path / "frozen.yaml"
    tree = config.model_dump(mode="json", exclude={"slurm"})
    path.write_text(yaml.safe_dump({**tree, "landmarks": FROZEN}), encoding="utf-8")
    assert load_frozen_config(path).landmarks == LandmarksConfig()
    assert "tracking" not in dump_config(config)


def test_a_threshold_for_faces_replaces_the_one_that_is_gone(tmp_path: Path) -> None:
    """`face_presence` is a setting now; the default of both is the same."""
    config = load_config(write_config(tmp_path, landmarks={"confidence": {"face_presence": 0.7}}))
    assert config.landmarks.confidence.face_presence == 0.7
    assert LandmarksConfig().confidence.face_presence == FROZEN["confidence"]["face_tracking"]


@pytest.mark.parametrize(("change", "says"), REMOVED)
@pytest.mark.parametrize("command", ["run", "submit --dry-run", "submit --cluster local", "plan"])
def test_nothing_computes_them(
    data: Path, command: str, change: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what to take, before anything is read or written."""
    name, *options = command.split()
    status, said = call(capsys, name, frozen(data, **change), *options)
    assert status == 2
    [line] = said.splitlines()
    assert_matches(rf"kpsbatch: {says}", line)
    assert not (data / "out").exists()


def assert_matches(pattern: str, text: str) -> None:
    assert re.match(pattern, text), text


@pytest.mark.parametrize(("change", "says"), REMOVED)
def test_clips(data: Path, change: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`extract` and `extract_video` say the same."""
    video = data / "data" / "01" / "train" / "0001" / "v"
    flat = {key: value for key, value in change.items() if key != "confidence"}
    flat |= {f"confidence.{key}": value for key, value in change.get("confidence", {}).items()}
    options = [word for key, value in flat.items() for word in ("--set", f"landmarks.{key}={value}")]
    status, said = call(capsys, "extract", video, "-o", data / "clips", "--no-pictures", "-q", *options)
    assert status == 2
    [line] = said.splitlines()
    assert_matches(rf"kpsbatch: {says}", line)
    assert not (data / "clips").exists()
    with pytest.raises(ConfigError, match=says):
        kpsbatch.extract_video(video, **change)


@pytest.mark.parametrize(("change", "says"), REMOVED)
def test_what_looks_at_outputs_still_reads_them(
    data: Path, change: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outputs of version 0.2 can be listed, verified and exported with the config that made them."""
    config = frozen(data, **change)
    assert load_config(config).landmarks.removed
    assert call(capsys, "status", config)[0] == 0
    status, said = call(capsys, "verify", config)
    assert status in (0, 1) and "was removed in" not in said
    _, said = call(capsys, "export", config, "--to", "npy", data / "exported")
    assert "was removed in" not in said
    assert "holds no finished unit of this config" in said
