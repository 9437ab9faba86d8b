"""How MediaPipe's graphs are run and read: as the public API does, only with less around it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kpsbatch.config import LandmarksConfig
from kpsbatch.demo.signer import render_video
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.reading import PacketReader, ResultReader


@pytest.mark.parametrize("mode", ["image", "video"])
def test_the_landmarks_are_those_of_the_public_api(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Packets of graphs in the calling thread equal the public API's results and its threads, bit for bit."""
    frames, _ = render_video(2, 1, 1, 4)
    pictures = [*frames[1:4], np.zeros_like(frames[0])]
    settings = LandmarksConfig(running_mode=mode)
    seen = []
    for reader in (None, ResultReader()):
        if reader:
            monkeypatch.setattr("kpsbatch.landmarks.landmarker.in_calling_thread", lambda landmarker: landmarker)
        with Landmarker(settings, find_bundles()) as landmarker:
            assert isinstance(landmarker._reader, PacketReader)
            landmarker._reader = reader or landmarker._reader
            landmarker.start_video(256, 256)
            seen.append([landmarker.detect(picture, 33 * index) for index, picture in enumerate(pictures)])
    for packets, results in zip(*seen, strict=True):
        for part in ("pose", "face"):
            np.testing.assert_array_equal(getattr(packets, part), getattr(results, part))
        assert [(hand.label, hand.score) for hand in packets.hands] == [(h.label, h.score) for h in results.hands]
        for one, other in zip(packets.hands, results.hands, strict=True):
            np.testing.assert_array_equal(one.points, other.points)
    assert seen[0][1].hands
    if mode == "image":
        assert len(seen[0][1].hands) == 2
        assert seen[0][-1].pose is None


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counting threads needs Linux")
def test_landmarkers_start_no_threads() -> None:
    """A worker is one thread: a pool for each graph would make thousands of threads on a node of many cores."""
    frames, _ = render_video(2, 1, 1, 2)
    with Landmarker(LandmarksConfig(), find_bundles()):
        pass  # whatever the imports start is there now
    before = len(os.listdir("/proc/self/task"))
    with Landmarker(LandmarksConfig(), find_bundles()) as landmarker:
        assert landmarker.detect(frames[0], 0).pose is not None
        assert len(os.listdir("/proc/self/task")) == before
