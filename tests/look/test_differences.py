"""`kpsbatch compare`: known shifts, swapped hands and missing parts are told as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from export_outputs import store
from factories import call
from numpy.typing import NDArray

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.export.run import export
from kpsbatch.look.differences import PIXELS, WIDTHS, Read, compare, difference
from kpsbatch.points import CONTRACT

SIZE = (640, 360)
PARTS = CONTRACT.parts


def signer(frames: int = 12) -> NDArray[np.float32]:
    """Still keypoints: shoulders 160 pixels apart, hands of some 60 pixels at either side of the picture."""
    random = np.random.default_rng(0)
    made = np.ones((frames, CONTRACT.points, 4), np.float32)
    made[..., 2] = 0.1
    middles = {"pose": (0.5, 0.5), "face": (0.5, 0.2), "right_hand": (0.25, 0.6), "left_hand": (0.75, 0.6)}
    for part, place in PARTS.items():
        made[:, place, :2] = middles[part] + random.uniform(-0.05, 0.05, (place.stop - place.start, 2))
    left, right = (CONTRACT.place(f"pose.{side}_shoulder") for side in ("left", "right"))
    made[:, left, :2], made[:, right, :2] = (0.625, 0.4), (0.375, 0.4)
    return made


def compared(one: NDArray[np.float32], other: NDArray[np.float32], size: tuple[int, int] = SIZE):
    return difference("video", Read(CONTRACT, one, size), Read(CONTRACT, other, size))


def shifted(keypoints: NDArray[np.float32], x: float, y: float, part: str, frames: slice) -> NDArray[np.float32]:
    """The same with a part moved by pixels in some frames."""
    moved = keypoints.copy()
    moved[frames, PARTS[part], :2] += np.array([x / SIZE[0], y / SIZE[1]], np.float32)
    return moved


def test_a_known_shift() -> None:
    """Three pixels to the right and four down are five; in four frames of twelve they are no median, but 95%."""
    one = signer()
    found = compared(one, shifted(one, 3, 4, "right_hand", slice(None)))
    trees = {name: part.as_tree() for name, part in found.parts.items()}
    assert (trees["right_hand"]["median"], trees["right_hand"]["p95"]) == pytest.approx((5, 5), abs=1e-3)
    assert {name: tree["median"] for name, tree in trees.items() if name != "right_hand"} == dict.fromkeys(
        ("pose", "face", "left_hand"), 0
    )
    assert (found.unit, found.swapped) == (PIXELS, 0)
    assert found.off == pytest.approx(5 / 160 / 4, abs=1e-5)
    some = compared(one, shifted(one, 3, 4, "face", slice(6, 10))).parts["face"].as_tree()
    assert (some["median"], some["p95"], some["largest_in_frame"]) == (0, pytest.approx(5, abs=1e-3), 6)


def test_without_a_size() -> None:
    """Where no side knows the frames' size, distances are in shoulder widths."""
    one = signer()
    other = one.copy()
    other[:, PARTS["left_hand"], 0] += 0.125
    found = compared(one, other, (0, 0))
    assert found.unit == WIDTHS
    assert found.parts["left_hand"].as_tree()["median"] == pytest.approx(0.5, abs=1e-4)


def test_swapped_hands() -> None:
    """Hands of the other's name are counted as such, not as far away; both in a frame, one, or one of two."""
    one, other = signer(), signer()
    right, left = PARTS["right_hand"], PARTS["left_hand"]
    other[2:5, right], other[2:5, left] = one[2:5, left], one[2:5, right]
    one[7:9, left], other[7:9, right] = 0, 0  # one has the right hand, the other calls it the left one
    other[7:9, left] = one[7:9, right]
    other[10, left], other[10, right] = one[10, right], 0  # of two hands one is there, as the other
    found = compared(one, other)
    assert found.swapped == 6
    assert found.parts["right_hand"].as_tree()["largest"] == 0
    assert (found.parts["left_hand"].missing_a, found.parts["left_hand"].missing_b) == (0, 1)
    assert (found.parts["right_hand"].missing_a, found.parts["right_hand"].missing_b) == (0, 0)


def test_hands_that_touch_are_not_swapped() -> None:
    """A hand on the other one is nearer to its own self."""
    one = signer()
    one[:, PARTS["left_hand"], :2] = one[:, PARTS["right_hand"], :2] + np.float32(0.01)
    other = shifted(one, 1, 1, "left_hand", slice(None))
    assert compared(one, other).swapped == 0


def test_missing_parts() -> None:
    """What one side alone has is missing on the other; a part that both lack is not counted."""
    one, other = signer(), signer()
    one[0:3, PARTS["face"]] = 0
    other[2:8, PARTS["face"]] = 0
    one[:, PARTS["left_hand"]], other[:, PARTS["left_hand"]] = 0, 0
    found = compared(one, other)
    assert (found.parts["face"].missing_a, found.parts["face"].missing_b) == (2, 5)
    assert found.parts["face"].as_tree()["frames"] == 4
    assert found.parts["left_hand"].as_tree()["median"] is None
    assert found.off == pytest.approx(7 / (12 + 11 + 12))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two outputs: the second lacks a video and has one more; one is shifted, one has a missing hand."""
    monkeypatch.chdir(tmp_path)
    unit, still = Unit("01", "train", 3), signer()
    gone = still.copy()
    gone[4:, PARTS["right_hand"]] = 0
    store(tmp_path / "a", unit, {"same": still, "shift": still, "hand": still, "only a": still})
    moved = shifted(still, 30, 40, "face", slice(None))
    store(tmp_path / "b", unit, {"same": still, "shift": moved, "hand": gone, "only b": still})
    return tmp_path


def test_command(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The worst comes first, with the command that plays it; JSON has all of it."""
    status, shown = call(capsys, "compare", "a", "b", "-q")
    assert status == 0, shown
    assert shown.startswith("3 videos in both; A is a, B is b\nonly in A: 1 video: 01-train/0003: only a\n")
    rows = [line.split("  ")[0] for line in shown.splitlines() if line.startswith("01-train/0003: ")]
    assert rows == ["01-train/0003: hand", "01-train/0003: shift"]
    link = next(line for line in shown.splitlines() if line.startswith("see: "))
    assert link.endswith("view a --compare b --video '01-train/0003: hand'")
    assert call(capsys, "view", "a", "--compare", "b", "--video", "hand", "-q")[0] == 0
    status, shown = call(capsys, "compare", "a", "b", "--json", "-q")
    told = json.loads(shown)
    assert [video["video"].partition(": ")[2] for video in told["videos"]] == ["hand", "shift", "same"]
    assert told["videos"][0]["parts"]["right_hand"]["missing_b"] == 8
    assert (told["only_a"], told["only_b"]) == (["01-train/0003: only a"], ["01-train/0003: only b"])
    assert set(told["all"]) == {"pixels"}


def test_refused(folders: Path) -> None:
    """A folder that holds neither, and two without a common video, are one error each."""
    (folders / "empty").mkdir()
    with pytest.raises(OutputError, match="holds neither outputs such as"):
        compare(folders / "a", folders / "empty")
    store(folders / "c", Unit("09", "train", 1), {"another": signer()})
    with pytest.raises(
        OutputError, match="have no video in common: '01-train/0003: same' and '09-train/0001: another'"
    ):
        compare(folders / "a", folders / "c")


def test_pose_files(folders: Path) -> None:
    """Outputs and their own .pose files are the same to a thousandth of a pixel, in any folders."""
    pytest.importorskip("pose_format", reason="pose-format is not installed; see make test-formats")
    export(kpsbatch.open_dataset("b"), "pose", Path("poses"), points="contract")
    found = compare(Path("b"), Path("poses"))
    assert len(found.videos) == 4
    assert max(part.as_tree()["largest"] or 0 for part in found.totals("pixels").values()) < 1e-3
    Path("flat").mkdir()
    for path in Path("poses").rglob("*.pose"):
        path.rename(Path("flat") / path.name)
    assert [video.off < 1e-5 for video in compare(Path("flat"), Path("b")).videos] == [True] * 4
