"""Containers that lie about start, duration, order and count: never a wrong count without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from container_fuzz import Seen, by_us, fuzz, make_bases, same, verdict
from video_corpus import HAS_FFMPEG, NO_FFMPEG

pytestmark = pytest.mark.skipif(not HAS_FFMPEG, reason=NO_FFMPEG)

FILES = 60


def test_no_silent_wrong_count(tmp_path: Path) -> None:
    """Frames are ffmpeg's, in its order, or rows say what is missing; `tests/container_fuzz.py` goes on for longer."""
    words = [(word, text) for word, text, _ in fuzz(tmp_path, seed=28, files=FILES)]
    assert len(words) == FILES
    assert [text for word, text in words if word in ("silent", "made_up", "refused")] == []
    assert sum(word == "same" for word, _ in words) > FILES // 2


def test_the_comparison_sees_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that is lost, doubled or out of order, and a row that is made up."""
    [path, *_] = make_bases(tmp_path)
    greys = by_us(path).greys
    assert verdict(path)[0] == "same"
    assert same(greys, greys) and not same(greys, greys[1:])
    wrong = {
        "silent": [greys[1:], (*greys, greys[-1]), (greys[1], greys[0], *greys[2:])],
        "made_up": [(*greys, None)],
        "refused": [greys[1:]],
    }
    for word, readings in wrong.items():
        for reading in readings:
            seen = Seen(reading, "" if word == "silent" else "damaged")
            monkeypatch.setattr("container_fuzz.by_us", lambda path, seen=seen: seen)
            assert verdict(path)[0] == word
