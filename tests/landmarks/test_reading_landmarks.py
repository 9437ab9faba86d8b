"""How MediaPipe's results are read: as the public API does, only with less around it."""

from __future__ import annotations

import numpy as np
import pytest

from kpsbatch.config import LandmarksConfig
from kpsbatch.demo.signer import render_video
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.landmarker import Landmarker
from kpsbatch.landmarks.reading import ResultReader, StructReader


@pytest.mark.parametrize("mode", ["image", "video"])
def test_the_landmarks_are_those_of_the_public_api(mode: str) -> None:
    """The numbers of MediaPipe's structures equal those of the public API's results, bit for bit."""
    frames, _ = render_video(2, 1, 1, 4)
    pictures = [*frames[1:4], np.zeros_like(frames[0])]
    settings = LandmarksConfig(running_mode=mode)
    seen = []
    for reader in (None, ResultReader()):
        with Landmarker(settings, find_bundles()) as landmarker:
            assert isinstance(landmarker._reader, StructReader)
            landmarker._reader = reader or landmarker._reader
            landmarker.start_video(256, 256)
            seen.append([landmarker.detect(picture, 33 * index) for index, picture in enumerate(pictures)])
    for structs, results in zip(*seen, strict=True):
        for part in ("pose", "face"):
            np.testing.assert_array_equal(getattr(structs, part), getattr(results, part))
        assert [(hand.label, hand.score) for hand in structs.hands] == [(h.label, h.score) for h in results.hands]
        for one, other in zip(structs.hands, results.hands, strict=True):
            np.testing.assert_array_equal(one.points, other.points)
    assert seen[0][1].hands
    if mode == "image":
        assert len(seen[0][1].hands) == 2
        assert seen[0][-1].pose is None
