"""Cleaning on the way out: each step by itself, what it leaves alone, and through the reader and exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bodies import keypoints
from export_outputs import TIMES, UNITS, kept_outputs, store
from factories import main_ends

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.points import CONTRACT
from kpsbatch.store.cleaning import (
    Cleaning,
    at_rate,
    fill_gaps,
    length_at,
    moments_of,
    normalised,
    with_nan,
)

RIGHT = CONTRACT.parts["right_hand"]


def moving(frames: int) -> np.ndarray:
    """The body of `bodies`, that moves to the right by a tenth of the frame in each frame."""
    kps = keypoints(frames)
    kps[..., 0] += np.arange(frames)[:, None] * 0.1
    return kps


class TestFill:
    def test_short_gaps(self):
        """A gap of at most so many frames lies on the line between its ends; longer ones stay missing."""
        truth = moving(10)
        kps = truth.copy()
        kps[2:4, RIGHT], kps[5:8, RIGHT] = 0, 0
        filled = fill_gaps(kps, CONTRACT, 2)
        np.testing.assert_allclose(filled[:5], truth[:5], atol=1e-6)
        assert not filled[5:8, RIGHT].any()
        np.testing.assert_allclose(fill_gaps(kps, CONTRACT, 3), truth, atol=1e-6)

    def test_ends(self):
        """Nothing is filled before the first frame in which a part was found, nor behind the last."""
        kps = moving(5)
        kps[[0, 4], RIGHT] = 0
        np.testing.assert_array_equal(fill_gaps(kps, CONTRACT, 9), kps)

    def test_seen_as_its_worse_end(self):
        """A filled point is seen as well as the worse of the gap's ends."""
        kps = moving(3)
        kps[0, RIGHT.start, 3], kps[1, RIGHT] = 0, 0
        assert fill_gaps(kps, CONTRACT, 1)[1, RIGHT, 3].tolist() == [0, *[1] * 20]


class TestRate:
    @pytest.mark.parametrize(("rate", "length"), [(25, 5), (50, 9), (12.5, 3), (30, 5), (1, 1)])
    def test_places_in_time(self, rate, length):
        """Frames lie at n / rate seconds, up to the last one; a steady motion stays what it is."""
        kps = moving(5)
        assert length_at(5, 25, None, rate) == length
        result = at_rate(kps, CONTRACT, moments_of(5, 25, None), rate, length)
        expected = kps[0, :, 0] + np.arange(length)[:, None] / rate * 2.5
        np.testing.assert_allclose(result[..., 0], expected, atol=1e-6)

    def test_uneven_times(self):
        """Frames of uneven times are put where they were shown."""
        times = (0.0, 10.0, 20.0, 100.0)
        assert length_at(4, 99, times, 100) == 11
        result = at_rate(moving(4), CONTRACT, moments_of(4, 99, times), 100, 11)
        np.testing.assert_allclose(result[6, 0, 0], 0.65 + 0.25, atol=1e-6)  # 60 ms: the middle of 20 and 100

    def test_missing(self):
        """A part that one of both neighbours lacks is as in the nearer one: nothing is made up."""
        kps = moving(3)
        kps[1, RIGHT] = 0
        result = at_rate(kps, CONTRACT, moments_of(3, 10, None), 30, 7)
        assert result[:, RIGHT].any(axis=(1, 2)).tolist() == [True, True, False, False, False, True, True]
        np.testing.assert_array_equal(result[1, RIGHT], kps[0, RIGHT])


class TestNormalise:
    def test_shoulders(self):
        """The middle of the shoulders is 0 and their distance 1, on average over the video, in square pixels."""
        kps = moving(5)
        result = normalised(kps, CONTRACT, 640, 360)
        middle = result[:, :2, :2].mean(axis=1)
        np.testing.assert_allclose(middle.mean(axis=0), 0, atol=1e-6)
        assert np.ptp(middle[:, 0]) == pytest.approx(0.4 / 0.3, abs=1e-5)  # the motion of the body stays
        np.testing.assert_allclose(np.hypot(*(result[:, 0, :2] - result[:, 1, :2]).T), 1, atol=1e-6)
        elbow = (kps[0, 2, :2] - kps[0, 0, :2]) * [640, 360] / (0.3 * 640)
        np.testing.assert_allclose(result[0, 2, :2] - result[0, 0, :2], elbow, atol=1e-6)

    def test_without_a_body(self):
        """A video in which no body was found stays as it is; missing parts stay zeros."""
        kps = moving(3)
        kps[1, RIGHT] = 0
        assert not normalised(kps, CONTRACT, 640, 360)[1, RIGHT].any()
        kps[:, CONTRACT.parts["pose"]] = 0
        np.testing.assert_array_equal(normalised(kps, CONTRACT, 640, 360), kps)


def test_nan():
    """Missing parts are NaN, and nothing else."""
    kps = moving(3)
    kps[1, RIGHT] = 0
    result = with_nan(kps, CONTRACT)
    assert np.isnan(result[1, RIGHT]).all()
    assert np.isnan(result).sum() == 21 * 4


class TestDataset:
    def test_reader(self, tmp_path):
        """`open_dataset` cleans what it reads: lengths and rates are those of the result, missing parts are told."""
        kps = moving(7)
        kps[2, RIGHT] = 0
        kps[4:7, RIGHT] = 0
        store(tmp_path, Unit("01", "train", 1), {"v": kps, "uneven": moving(len(TIMES))})
        dataset = kpsbatch.open_dataset(tmp_path, cleaning=kpsbatch.Cleaning(fill=1, rate=10, nan=True))
        sample = dataset[0]
        assert (sample.frames, sample.frame_rate, len(sample.keypoints)) == (3, 10, 3)
        assert sample.keypoints.dtype == np.float32
        assert sample.missing["right_hand"].tolist() == [False, False, True]
        assert dataset[1].info.times is None
        assert len(dataset[1].keypoints) == dataset[1].frames == 2
        np.testing.assert_array_equal(kpsbatch.open_dataset(tmp_path)[0].keypoints, kps)

    def test_lowest_score(self, tmp_path):
        """Hands and faces of a lower score are missing, by the scores that are kept; bodies are as they are."""
        made = kept_outputs(tmp_path)
        for sample in kpsbatch.open_dataset(tmp_path, cleaning=Cleaning(min_score=0.5)):
            full = made[sample.video]
            scores = full[:, kpsbatch.topology_of("all").parts["right_hand"].start, 3]
            np.testing.assert_array_equal(sample.missing["right_hand"], scores < 0.5)
            np.testing.assert_array_equal(sample.missing["pose"], ~full[:, :33].any(axis=(1, 2)))

    def test_what_is_not_known(self, tmp_path):
        """What the cleaning needs and no record tells is said at once."""
        store(tmp_path / "out", Unit("01", "train", 1), {"v": moving(3)})
        (tmp_path / "out" / "_kpsbatch").rename(tmp_path / "away")
        for cleaning, what in ((Cleaning(rate=10), "frame rate"), (Cleaning(normalise=True), "frame size")):
            with pytest.raises(OutputError, match=f"the {what} of 'v' in .* is not known"):
                kpsbatch.open_dataset(tmp_path / "out", cleaning=cleaning)


class TestExport:
    def test_named_in_what_is_written(self, tmp_path, capsys):
        """An export says what was done; another cleaning is another export."""
        kept_outputs(tmp_path / "out", UNITS[:1])
        main_ends(0, "export", tmp_path / "out", "--to", "npy", "--fill", "2", "--rate", "10", "--nan", tmp_path / "x")
        about = json.loads((tmp_path / "x" / "export.json").read_text())
        assert about["cleaning"] == {"fill": 2, "rate": 10, "nan": True}
        dataset = kpsbatch.open_dataset(tmp_path / "out", cleaning=Cleaning(fill=2, rate=10, nan=True))
        for path, sample in zip(sorted((tmp_path / "x").rglob("*.npy")), dataset, strict=True):
            np.testing.assert_array_equal(np.load(path), sample.keypoints)
        main_ends(2, "export", tmp_path / "out", "--to", "npy", "--fill", "3", tmp_path / "x")
        assert "holds another export" in capsys.readouterr().err

    def test_recipes(self, tmp_path, capsys):
        """Recipes are cleaned, too, but have their own coordinates and missing values."""
        kept_outputs(tmp_path / "out", UNITS[:1])
        for options in (["--normalise"], ["--nan"]):
            main_ends(2, "export", tmp_path / "out", "--as", "spoter", *options, tmp_path / "x")
            assert "--as spoter has coordinates and missing values of its own" in capsys.readouterr().err
        main_ends(
            0, "export", tmp_path / "out", "--as", "asl-citizen", "--rate", "10", "--min-score", "0.3", tmp_path / "x"
        )
        lengths = kpsbatch.open_dataset(tmp_path / "out", cleaning=Cleaning(rate=10)).lengths
        assert [len(np.load(path)) for path in sorted((tmp_path / "x").rglob("*.npy"))] == lengths.tolist()


def test_documented() -> None:
    """docs/cleaning.md has every option."""
    page = (Path(__file__).parents[2] / "docs" / "cleaning.md").read_text(encoding="utf-8")
    for option in ("--fill", "--rate", "--min-score", "--normalise", "--nan"):
        assert f"`{option}" in page
