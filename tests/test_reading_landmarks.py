"""The two ways of reading what MediaPipe finds."""

from __future__ import annotations

import numpy as np
import pytest

from kpsbatch.config import LandmarksConfig
from kpsbatch.demo.signer import render_video
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.reading import ReadsPackets, ReadsResults


@pytest.mark.parametrize("mode", ["image", "video"])
def test_packets_hold_what_the_public_api_returns(mode: str) -> None:
    """Landmarks read from packets equal those of the public API, bit for bit; so does finding nothing."""
    frames, _ = render_video(2, 1, 1, 4)
    pictures = [*frames[1:4], np.zeros_like(frames[0])]
    settings = LandmarksConfig(running_mode=mode)
    seen = []
    for reader in (None, ReadsResults()):
        with Landmarker(settings, find_bundles()) as landmarker:
            assert isinstance(landmarker._reader, ReadsPackets)
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
