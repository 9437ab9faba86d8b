"""How MediaPipe's results are read: as the public API does, only with less around it."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic.signer import render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.clip.squares import cut, upright_square
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


def test_the_outputs_of_networks_are_those_of_the_public_api() -> None:
    """Of every network of clip mode, bit for bit, also when the next run has overwritten what it wrote."""
    frames, _ = render_video(2, 1, 1, 2)
    height, width = frames[0].shape[:2]
    seen: list[list[list[np.ndarray]]] = []
    for reader in (None, ResultReader()):
        with Landmarker(LandmarksConfig(), find_bundles()) as landmarker:
            landmarker._reader = reader or landmarker._reader
            assert landmarker.networks is not None
            seen.append([])
            for frame in frames:
                square = upright_square(np.array([width / 2, height / 2]), height)
                for network in landmarker.networks._loaded.values():
                    seen[-1].append(network.run(cut(frame, square, network.side)))
    assert len(seen[0]) == 12
    for ours, theirs in zip(*seen, strict=True):
        assert [output.dtype for output in ours] == [np.float32] * len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_error_of_a_network_is_that_of_the_public_api() -> None:
    """A call that MediaPipe refuses raises what its own Python raises."""
    problems = []
    for reader in (None, ResultReader()):
        with Landmarker(LandmarksConfig(running_mode="video"), find_bundles()) as landmarker:
            landmarker._reader = reader or landmarker._reader
            with pytest.raises(ValueError, match="timestamp") as problem:
                for _ in range(2):  # MediaPipe's clock must rise
                    landmarker.detect(np.zeros((64, 64, 3), np.uint8), 0)
            problems.append(str(problem.value))
    assert problems[0] == problems[1]
