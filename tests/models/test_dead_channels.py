"""Dead channels are cut out of the hand network, and every value keeps its bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic.signer import render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.network_files import NETWORKS, NetworkFiles
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.squares import cut, turned_square
from kpsbatch.models import edits
from kpsbatch.models.build import build_networks
from kpsbatch.models.dead_channels import cut_dead_channels
from kpsbatch.models.graph import Graph
from kpsbatch.models.wheel import source_networks


@pytest.fixture(scope="module")
def sources() -> dict[str, bytes]:
    return source_networks()


def test_the_hand_network_has_1499(sources: dict[str, bytes]) -> None:
    """They go from its last three blocks, and a second look finds none."""
    graph = Graph(sources["hand_landmarks"])
    assert cut_dead_channels(graph) == 1499
    assert cut_dead_channels(Graph(graph.pack())) == 0


def test_the_other_networks_have_none(sources: dict[str, bytes]) -> None:
    """But for one of another kind in the pose network, which stays."""
    for name in set(NETWORKS) - {"hand_landmarks"}:
        assert cut_dead_channels(Graph(sources[name])) == 0, name


def test_a_channel_that_can_be_above_0_stays(sources: dict[str, bytes]) -> None:
    """A bias above 0 after the filter makes a constant of a dead channel, which counts in the sums."""
    graph = Graph(sources["hand_landmarks"])
    for depthwise in graph.operators("DEPTHWISE_CONV_2D"):
        graph.set_values(int(depthwise.inputs[2]), np.full_like(graph.values(int(depthwise.inputs[2])), 0.5))
    assert cut_dead_channels(graph) == 0


def test_every_value_keeps_its_bits(sources: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On hands, on noise, on black and on white: all four outputs."""
    ours = build_networks(sources, tmp_path / "ours")
    whole = whole_hand_network(sources, tmp_path / "whole", monkeypatch)
    random = np.random.default_rng(1)
    with Networks(LandmarksConfig(), ours) as cut_out, Networks(LandmarksConfig(), whole) as untouched:
        side = cut_out.hand_side
        pictures = [random.integers(0, 256, (side, side, 3), np.uint8) for _ in range(4)]
        pictures += [np.full((side, side, 3), level, np.uint8) for level in (0, 255)]
        for frame in render_video(2, 1, 1, 6)[0]:
            for x in (90.0, 166.0):
                square = turned_square(np.array([x, 140.0]), 90.0, random.normal(size=2))
                pictures.append(cut(np.ascontiguousarray(frame), square, side))
        for picture in pictures:
            answers = [networks._loaded["hand_landmarks"].run(picture) for networks in (cut_out, untouched)]
            for one, other in zip(*answers, strict=True):
                np.testing.assert_array_equal(one, other)


def whole_hand_network(sources: dict[str, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkFiles:
    """The networks, that of hands with all its channels."""
    with monkeypatch.context() as patch:
        patch.setattr(edits, "cut_dead_channels", lambda graph: 0)
        return build_networks({**sources, "hand_landmarks": renamed(sources["hand_landmarks"])}, folder)


def renamed(network: bytes) -> bytes:
    """A network with other bytes that gives the same values, whose hash is not pinned."""
    graph = Graph(network)
    graph.set_metadata(b"")
    return graph.pack()
