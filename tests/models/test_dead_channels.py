"""The hand network without its dead channels gives the same, but for the order of sums on some processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_landmarkers import networks as source_networks
from synthetic.signer import render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.landmarks.network_files import NetworkFiles
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.squares import cut, upright_square
from kpsbatch.models import edits
from kpsbatch.models.build import build_networks
from kpsbatch.models.dead_channels import blocks, cut_dead_channels, dead_channels
from kpsbatch.models.graph import Graph

CUT = 1499


@pytest.fixture(scope="module")
def hand() -> bytes:
    return source_networks()["hand_landmarks"]


def pictures() -> list[np.ndarray]:
    """Rendered hands, parts of them, and noise of several strengths, 224 pixels across."""
    chance = np.random.default_rng(7)
    noise = [
        np.clip(chance.normal(middle, width, (224, 224, 3)), 0, 255) for middle in (0, 128, 255) for width in (5, 90)
    ]
    frames, _ = render_video(2, 1, 1, 4)
    high, wide = frames[0].shape[:2]
    squares = [
        cut(frame, upright_square(chance.uniform((0, 0), (wide, high)), chance.uniform(30, 200)), 224)
        for frame in frames
        for _ in range(6)
    ]
    return [*squares, *(picture.astype(np.uint8) for picture in noise)]


def whole(graph: Graph) -> int:
    """An edit that cuts nothing."""
    return 0


def test_all_that_is_dead_is_cut_once(hand: bytes) -> None:
    graph = Graph(hand)
    size = len(graph.pack())
    assert cut_dead_channels(graph) == CUT
    assert cut_dead_channels(graph) == 0
    assert len(graph.pack()) < 0.9 * size


def test_the_same_without_them(hand: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(name: str) -> NetworkFiles:
        return build_networks(source_networks(), tmp_path / name)

    answers: list[list[Any]] = []
    cut_files = built("cut")
    monkeypatch.setattr(edits, "cut_dead_channels", whole)
    monkeypatch.setattr("kpsbatch.models.build.BUILT_SHA256", {name: file.sha256 for name, file in cut_files.items()})
    monkeypatch.setattr("kpsbatch.models.build.SOURCE_SHA256", dict.fromkeys(cut_files, ""))
    for files in (built("whole"), cut_files):
        with Networks(LandmarksConfig(), files) as networks:
            answers.append([networks.hand(picture) for picture in pictures()])
    presences = [answer.presence for answer in answers[0]]
    assert min(presences) < 0.1 < 0.9 < max(presences), "the pictures show hands and none"
    for one, other in zip(*answers, strict=True):
        for name, value in one._asdict().items():
            np.testing.assert_allclose(value, getattr(other, name), rtol=0, atol=1e-5)


def test_a_channel_that_can_give_anything_stays(hand: bytes) -> None:
    """A positive bias, or a positive weight, of a dead channel revives it."""
    graph = Graph(hand)
    block = next(block for block in blocks(graph) if dead_channels(graph, block).any())
    dead = dead_channels(graph, block)
    number = int(np.flatnonzero(dead)[0])
    bias = graph.constant(block.depthwise.inputs[2]).copy()
    bias[number] = 0.5
    graph.set_constant(block.depthwise.inputs[2], bias)
    assert not dead_channels(graph, block)[number]
    assert dead_channels(graph, block).sum() == dead.sum() - 1
