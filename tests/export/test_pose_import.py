"""`kpsbatch import` of .pose files: what goes in comes out, and what they lack is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_outputs import store
from factories import call
from numpy.typing import NDArray

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.export.run import export
from kpsbatch.points import CONTRACT, FULL, topology_of

pose_format = pytest.importorskip("pose_format", reason="pose-format is not installed; see make test-formats")
HOLISTIC = topology_of(["pose", "face.mesh", "hands"])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs with all landmarks kept; a hand and a face are missing in some frames, some points lie outside."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for unit in (Unit("01", "train", 3), Unit("02", "test", 7)):
        full = {name: random.uniform(-0.1, 1.1, (6, FULL.points, 4)).astype(np.float32) for name in ("a (1)", "b/2.c")}
        for array in full.values():
            array[1:3, FULL.parts["left_hand"]] = 0
            array[4, FULL.parts["face"]] = 0
            array[..., 3] = np.where(array[..., :3].any(axis=-1), 0.75, 0)
        arrays = {name: random.random((6, 184, 4), np.float32) for name in full}
        store(tmp_path / "outputs", unit, arrays, full=full)
    return tmp_path / "outputs"


def poses(folder: Path) -> dict[str, Any]:
    """Every .pose file below a folder."""
    return {
        path.relative_to(folder).as_posix(): pose_format.Pose.read(path.read_bytes()) for path in folder.rglob("*.pose")
    }


def assert_same(one: Any, other: Any) -> None:
    """Two files say the same: size, rate, components; values to what a float32 of pixels holds."""
    assert (one.header.dimensions.width, one.header.dimensions.height, one.body.fps) == (
        *(other.header.dimensions.width, other.header.dimensions.height),
        other.body.fps,
    )
    assert [(c.name, c.points) for c in one.header.components] == [(c.name, c.points) for c in other.header.components]
    np.testing.assert_array_equal(one.body.confidence == 0, other.body.confidence == 0)
    np.testing.assert_allclose(one.body.data.data, other.body.data.data, rtol=3e-7, atol=1e-30)


@pytest.mark.parametrize("points", [None, "contract"])
def test_exported(root: Path, capsys: pytest.CaptureFixture[str], points: str | None) -> None:
    """What `export --to pose` wrote comes in with its units, names, rate and size, and out again the same."""
    export(kpsbatch.open_dataset(root), "pose", Path("poses"), points=points)
    status, shown = call(capsys, "import", "poses", "-q")
    assert status == 0, shown
    assert "imported: 2 files, 4 videos, 24 frames" in shown
    assert "not in .pose: labels, moments of frames, how each part was found, what made it\n" in shown
    dataset = kpsbatch.open_dataset("kps-poses")
    assert [(info.signer, info.split, info.sign, info.video) for info in dataset.videos] == [
        *(("01", "train", 3, name) for name in ("a (1)", "b/2.c")),
        *(("02", "test", 7, name) for name in ("a (1)", "b/2.c")),
    ]
    assert {(info.frame_rate, info.width, info.height) for info in dataset.videos} == {(29.97, 640, 361)}
    names = HOLISTIC.names if points is None else CONTRACT.names
    assert dataset.topology.names == names
    before = kpsbatch.open_dataset(root, points="all" if points is None else None)
    if points is None:
        before = before.from_kept(HOLISTIC.name)
    for one, other in zip(before, dataset, strict=True):
        np.testing.assert_allclose(one.keypoints[..., :3], other.keypoints[..., :3], rtol=2e-7, atol=1e-30)
    export(dataset, "pose", Path("again"), points=points)
    first, again = poses(Path("poses")), poses(Path("again"))
    assert first.keys() == again.keys()
    for name, pose in first.items():
        assert_same(pose, again[name])
    status, shown = call(capsys, "verify", "kps-poses.yaml", "-q")
    assert status == 0, shown
    status, shown = call(capsys, "view", "kps-poses.yaml", "-q")
    assert status == 0, shown
    assert call(capsys, "import", "poses", "-q")[0] == 0  # once more, as after a kill


def write_plain(path: Path, values: NDArray[np.float64], confidence: NDArray[np.float64], *, world: bool) -> None:
    """A file as pose-format's own tools write it from MediaPipe: 576 points, pixels, masked where missing."""
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

    from kpsbatch.export.formats import HOLISTIC as NAMES
    from kpsbatch.export.formats import components_of, in_order_of_components

    names = [*NAMES, *(f"pose_world.{n.partition('.')[2]}" for n in FULL.names if n.startswith("pose."))]
    components = components_of(in_order_of_components(names if world else NAMES))
    header = PoseHeader(0.2, PoseHeaderDimensions(1280, 720, 1000), components)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Pose(header, NumPyPoseBody(25.0, values, confidence)).write(file)


def test_of_mediapipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Files in any folders get units and names; values are those of the file; metres are left out, and said."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    values = random.uniform(0, 700, (5, 1, 576, 3))
    confidence = np.ones((5, 1, 576))
    confidence[..., :33] = random.uniform(0.1, 1, (5, 1, 33))
    values[2:4, :, 501:522], confidence[2:4, :, 501:522] = 0, 0  # the left hand
    for name in ("s1/x", "s2/x", "s2/y"):
        write_plain(tmp_path / "data" / f"{name}.pose", values, confidence, world=True)
    status, shown = call(capsys, "import", "data", "-q")
    assert status == 0, shown
    assert "what made it; POSE_WORLD_LANDMARKS of 3 videos left out" in shown
    samples = list(kpsbatch.open_dataset("kps-data"))
    assert [sample.video for sample in samples] == ["s1_x", "s2_x", "y"]
    assert samples[0].missing["left_hand"].tolist() == [False, False, True, True, False]
    assert not samples[0].missing["right_hand"].any()
    theirs = np.concatenate([values[:, 0, :501], values[:, 0, 522:543], values[:, 0, 501:522]], axis=1)
    np.testing.assert_allclose(samples[0].keypoints[..., :3] * [1280, 720, 1], theirs, rtol=2e-7)
    np.testing.assert_allclose(samples[0].keypoints[:, :33, 3], confidence[:, 0, :33], rtol=1e-7)
    assert samples[0].frame_rate == 25
    status, shown = call(capsys, "export", "kps-data", "--to", "pose", "--confidence", "visibility", "again", "-q")
    assert status == 0, shown
    pose = next(iter(poses(tmp_path / "again").values()))
    np.testing.assert_allclose(pose.body.data.data[:, 0], values[:, 0, :543], rtol=3e-7, atol=1e-30)


def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Damaged files, files of different points and two of one name are one line each, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    write_plain(data / "a.pose", np.ones((2, 1, 543, 3)), np.ones((2, 1, 543)), world=False)
    (data / "b.pose").write_bytes(b"no pose at all")
    status, shown = call(capsys, "import", "data", "-q")
    assert (status, shown.count("\n")) == (2, 1)
    assert "b.pose is not a readable .pose file" in shown
    (data / "b.pose").unlink()
    export_like = data / "01-train" / "0001" / "c.pose"
    write_plain(export_like, np.ones((2, 1, 543, 3)), np.ones((2, 1, 543)), world=False)
    components = pose_format.Pose.read(export_like.read_bytes()).get_components(["LEFT_HAND_LANDMARKS"])
    with export_like.open("wb") as file:
        components.write(file)
    status, shown = call(capsys, "import", "data", "-q")
    assert (status, shown.count("\n")) == (2, 1)
    assert "hold different points" in shown
    assert not Path("kps-data").exists()
    assert not Path("data.yaml").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
