"""Networks that find the same pose in every frame, so that a run takes no time; for runs in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import write_frames

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import RGB
from kpsbatch.landmarks import clip, networks
from kpsbatch.landmarks.clip import FrameLandmarks


class _Stub:
    def __init__(self, settings: LandmarksConfig, *_: Any) -> None:
        self.settings = settings

    def close(self) -> None:
        """There is nothing to close."""


def _follow_clip(images: Iterable[RGB], stub: _Stub, *_: object) -> Iterator[FrameLandmarks]:
    for image in images:
        yield FrameLandmarks(np.full((33, 4), image.mean() / 255, np.float32), how={"pose": "d"})


def stub_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs with `run.workers: 0` use them."""
    monkeypatch.setattr(networks, "Networks", _Stub)
    monkeypatch.setattr(clip, "follow_clip", _follow_clip)


def write_signs(root: Path, signs: Iterable[int], *, signer: str = "01", split: str = "train") -> Path:
    """A tree of one video of two frames for each sign, in KArSL's layout; each is as bright as its sign is high."""
    for sign in signs:
        write_frames(root / signer / signer / split / f"{sign:04}" / f"v{sign}", 2, shade=40 + 2 * sign)
    return root
