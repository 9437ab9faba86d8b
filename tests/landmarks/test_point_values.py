"""Sets of points with the real networks: a set holds the values that all of MediaPipe's landmarks have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from synthetic.signer import render_video

import kpsbatch
from kpsbatch.config import LandmarksConfig, OutputConfig, parts_with_points
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.video import Box
from kpsbatch.errors import ConfigError
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.found import is_found
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.points import CONTRACT, topology_of

SETS = ("contract", "youtube-asl", "pose, face.lips, hands", "hands", "left_hand, face.4, pose.nose")


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """A signer who moves both hands, and a frame that can't be read."""
    images, _ = render_video(2, 1, 1, 4)
    read = [Frame(image, 33 * t, str(t)) for t, image in enumerate(images)]
    return [*read, Frame(None, 133, "4", "odd")]


@pytest.fixture(scope="module", params=["clip", "image"])
def networks(request: pytest.FixtureRequest) -> Iterator[Networks]:
    with Networks(LandmarksConfig(running_mode=request.param), find_networks()) as made:
        yield made


@pytest.mark.parametrize(("coordinates", "mirrored"), [("image", False), ("adjusted", True)])
def test_every_set_holds_the_values_of_all(
    networks: Networks, frames: list[Frame], coordinates: str, mirrored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, at the points that the set names, also where the parts without a point were not computed."""
    mode = networks.settings.running_mode

    def made(points: str) -> np.ndarray:
        settings = LandmarksConfig.model_validate({"running_mode": mode, "coordinates": coordinates})
        parts = parts_with_points(settings, OutputConfig.model_validate({"root": ".", "points": points}))
        monkeypatch.setattr(networks, "settings", settings.model_copy(update={"parts": parts}))
        box = Box(0.1, 0.0, 0.8, 1.0, "shares")
        topology = topology_of(points)
        result = extract(frames, networks, mirrored=mirrored, topology=topology, box=box)
        assert list(result.facts.how) == list(CONTRACT.parts)
        for part, place in topology.parts.items():
            assert result.facts.found.of(part) == is_found(result.keypoints, place).sum()
        return result.keypoints

    everything = made("all")
    full = topology_of("all")
    assert everything.shape == (5, 553, 4)
    assert all(everything[:4, part].any() for part in full.parts.values())
    assert not everything[4].any()
    for points in SETS:
        names = topology_of(points).names
        wanted = everything[:, [full.names.index(name) for name in names]]
        assert made(points).tobytes() == wanted.tobytes(), points


def test_extract_video(tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]) -> None:
    """The API takes a set as the config does, and says what is wrong with one in one line."""
    with pytest.raises(ConfigError, match=r"points: 'foot' is neither a point nor a set of points\."):
        kpsbatch.extract_video("x.mp4", points=["foot"])
    with pytest.raises(
        ConfigError, match=r"output\.points: hands has no point of landmarks\.parts \(face\)\. Add some"
    ):
        kpsbatch.extract_video("x.mp4", points="hands", parts=["face"])


def test_the_contract_is_the_default() -> None:
    """Settings that name no points have the contract's, under the fingerprint that they have had before."""
    assert OutputConfig.model_validate({"root": "."}).points == CONTRACT.name
