"""All landmarks: the grid, what a file has of them, and that every output is a view of them, to the bit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rendered import video_of
from synthetic.signer import render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.video import Box
from kpsbatch.landmarks import full
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.full import FARTHEST, STEPS, frame_row, from_grid, pack, to_grid, unpack
from kpsbatch.landmarks.keypoints import view
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import ALL, CONTRACT, FULL, topology_of
from kpsbatch.store.npz import npz_bytes

DOCS = Path(__file__).parents[2] / "docs"


def some_rows(frames: int, seed: int = 0) -> list[np.ndarray]:
    """Whole steps of all sizes, the largest among them."""
    rng = np.random.default_rng(seed)
    sizes = 2.0 ** rng.integers(0, 24, (frames, FULL.points, 4))
    rows = np.clip(rng.normal(size=sizes.shape) * sizes, -FARTHEST, FARTHEST).astype(np.int32)
    rows[0, 0], rows[-1, 0] = FARTHEST, -FARTHEST
    return list(rows)


class TestPacked:
    @given(frames=st.integers(1, 7), block=st.integers(1, 4), seed=st.integers(0, 99))
    def test_there_and_back(self, frames: int, block: int, seed: int) -> None:
        """The same values, in blocks of any length."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(full, "BLOCK", block)
            rows = some_rows(frames, seed)
            packed = pack(rows)
        assert packed.shape == (4, 4, frames, 628) and packed.dtype == np.uint8
        np.testing.assert_array_equal(unpack(packed), from_grid(np.stack(rows)))

    def test_the_documented_lines_of_numpy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Five lines in docs/points.md read the file without kpsbatch."""
        rows = some_rows(3)
        (tmp_path / "0007.npz").write_bytes(npz_bytes("video", pack(rows)))
        monkeypatch.chdir(tmp_path)
        [code] = re.findall(r"```python\n(packed = np\.load.*?)```", (DOCS / "points.md").read_text("utf-8"), re.DOTALL)
        code = re.sub(r'np\.load\(".*?"\)', 'np.load("0007.npz")', code)
        assert len(code.strip().splitlines()) == 5
        names: dict[str, np.ndarray] = {}
        exec(code, {"np": np}, names)
        assert names["full"].dtype == np.float32
        np.testing.assert_array_equal(names["full"], from_grid(np.stack(rows)))

    def test_something_else(self) -> None:
        """An array of another shape or type is refused."""
        for array in (np.zeros((4, 4, 2, 627), np.uint8), np.zeros((4, 4, 2, 628), np.int8), np.zeros(3, np.uint8)):
            with pytest.raises(ValueError, match="not \\(4, 4, T, 628\\) of uint8"):
                unpack(array)


def test_the_grid() -> None:
    """Values are off by half a step at most; a part in the picture is at most 0.015 px off at 1920."""
    rng = np.random.default_rng(1)
    row = rng.normal(0, 3, (628, 4)).astype(np.float32)
    off = np.abs(from_grid(to_grid(row)) - row)
    assert (off <= STEPS / 2).all()
    assert STEPS[:553, :3].max() / 2 * 1920 < 0.015


def test_a_row_without_scores_and_metres() -> None:
    """What is not known of a part that is there: its score is 1, and its metres are zeros."""
    row = frame_row({"right_hand": np.full((21, 3), 0.5), "face": None})
    assert (row[FULL.parts["right_hand"]] == [0.5, 0.5, 0.5, 1]).all()
    assert not np.delete(row, FULL.parts["right_hand"], axis=0).any()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("box", [None, Box(0.1, 0.0, 0.8, 1.0, "shares")])
def test_every_view_is_what_a_run_makes(mirrored: bool, box: Box | None) -> None:
    """Whatever points, coordinates and dtype a run is asked for from the beginning, all landmarks make the same."""
    frames = video_of([*render_video(2, 1, 1, 3)[0], None])
    with Networks(LandmarksConfig(), find_networks()) as networks:
        kept: list[np.ndarray] = []

        def keep(packed: np.ndarray) -> bytes:
            kept.append(packed)
            return b"kept"

        for coordinates in ("image", "adjusted", "adjusted-arabic-sl"):
            networks.settings = LandmarksConfig(coordinates=coordinates)
            for points in ("contract", "all", "youtube-asl", "pose.nose, hands"):
                for dtype in ("float32", "float16", "float64"):
                    made = extract(
                        frames,
                        networks,
                        mirrored=mirrored,
                        box=box,
                        dtype=dtype,
                        topology=topology_of(points),
                        keep=keep,
                        max_bad_frames=0.5,
                    )
                    assert made.full == b"kept"
                    one = view(unpack(kept[0]), topology_of(points), coordinates=coordinates)
                    assert made.keypoints.tobytes() == one.astype(dtype).tobytes()
    everything = unpack(kept[0])
    assert all((packed == kept[0]).all() for packed in kept)
    assert all(everything[:3, part].any(axis=(1, 2)).all() for name, part in FULL.parts.items() if "left" not in name)
    assert not everything[3].any()
    right = everything[0, FULL.parts["right_hand_world"]]
    assert 0.05 < np.linalg.norm(right[9, :3] - right[0, :3]) < 0.15  # metres from the wrist to the middle knuckle
    assert (right[:, 3] == everything[0, FULL.parts["right_hand"], 3]).all()
    sides = everything[0, [FULL.names.index(f"pose{where}.left_shoulder") for where in ("", "_world")], 0]
    others = everything[0, [FULL.names.index(f"pose{where}.right_shoulder") for where in ("", "_world")], 0]
    assert len(set(np.sign(sides - others))) == 1  # metres have the picture's directions


def test_the_points() -> None:
    """553 as MediaPipe counts, then 75 in metres, each with a name of its own."""
    assert (FULL.points, ALL.points, len(set(FULL.names))) == (628, 553, 628)
    assert FULL.names[:553] == ALL.names
    ends = [part.stop for part in FULL.parts.values()]
    assert ends == [33, 511, 532, 553, 586, 607, 628]
    assert list(CONTRACT.parts) == list(FULL.parts)[:4]
