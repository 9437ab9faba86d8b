"""The values do not depend on the node of a cluster: XNNPACK's code for two families of processors gives the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from synthetic.signer import render_video

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "processors.py"


def processors(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    return done.stdout


@pytest.mark.parametrize("mode", ["clip", "image"])
def test_avx512_and_avx2_give_the_same_bits(mode: str, tmp_path: Path) -> None:
    """With AVX-512 and, as on a processor without it, with AVX2 and FMA."""
    if "avx512f" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX-512, so that there are no two kinds of code to compare")
    frames, _ = render_video(2, 1, 1, 12)
    (tmp_path / "video").mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "video" / f"{number:04d}.png"), frame[..., ::-1])
    processors("write", tmp_path / "one.npz", tmp_path / "video", "--mode", mode)
    processors("write", tmp_path / "other.npz", tmp_path / "video", "--mode", mode, "--like", "avx2")
    said = processors("compare", tmp_path / "one.npz", tmp_path / "other.npz")
    assert "avx2" in said
    assert "1 clips with the same bits in every value" in said
    assert "right_hand  in both 1" in said or "left_hand   in both 1" in said
