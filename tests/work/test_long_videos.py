"""A long video is done in pieces: the same values whoever does them, nearly those of the whole, nothing done twice."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from factories import make_config
from synthetic.signer import render_video

from kpsbatch.config import Config, LandmarksConfig
from kpsbatch.dataset import reading
from kpsbatch.dataset.frame import Frame
from kpsbatch.errors import DatasetError, InterruptedRun
from kpsbatch.landmarks import pieces
from kpsbatch.landmarks.full import pack, unpack
from kpsbatch.landmarks.network_files import find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.pieces import OtherFrames, pieces_of, whole_from_json, whole_to_json
from kpsbatch.landmarks.signer import Wish
from kpsbatch.store.npz import npz_bytes, npz_bytes_of_pieces
from kpsbatch.store.reading import load, open_dataset
from kpsbatch.work import video_job
from kpsbatch.work.run import Summary, run

FRAMES = 70


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video file of a rendered signer, 70 frames, with a key frame every ten."""
    path = tmp_path_factory.mktemp("long") / "signing.mp4"
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 256
        stream.gop_size, stream.bit_rate = 10, 4_000_000
        for image in render_video(2, 1, 1, FRAMES)[0]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 30 frames, whatever the size of the file."""
    monkeypatch.setattr(pieces, "PIECE_FRAMES", 30)
    monkeypatch.setattr(pieces, "OVERLAP", 8)
    monkeypatch.setattr(video_job, "LEAST_BYTES", 1)


def config_of(folder: Path, video: Path, **sections: Any) -> Config:
    """A run of that video in this process, as v of sign 1."""
    where = folder / "data" / "01" / "01" / "train" / "0001"
    where.mkdir(parents=True, exist_ok=True)
    if not (where / "v.mp4").exists():
        (where / "v.mp4").write_bytes(video.read_bytes())
    return make_config(folder, run={"workers": 0}, **sections)


def keypoints(summary: Summary, config: Config) -> np.ndarray:
    assert summary.exit_status == 0, summary.failures
    return load(config.output.root / "01-train" / "0001.npz")["v"]


def pieces_left(config: Config) -> list[str]:
    return sorted(path.name for path in config.output.root.glob("_kpsbatch/pieces/*/*/*"))


@pytest.mark.usefixtures("short_pieces")
class TestPieces:
    def test_they_are_nearly_what_the_whole_gives_and_leave_nothing_behind(
        self, tmp_path: Path, signing: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the npz, in all landmarks that are kept, and in the record."""
        config = config_of(tmp_path, signing)
        made = keypoints(run(config), config)
        record = json.loads(next(config.output.root.glob("_kpsbatch/records/*/01-train/0001.json")).read_text())
        monkeypatch.setattr(pieces, "PIECE_FRAMES", FRAMES)
        other = config_of(tmp_path / "whole", signing)
        whole = keypoints(run(other), other)
        assert made.shape == whole.shape == (FRAMES, 184, 4)
        assert np.array_equal(made.any(axis=2), whole.any(axis=2))
        assert np.abs(made - whole)[..., :2].max() < 2 / 256
        video = record["videos"]["v"]
        assert video["frames"] == FRAMES
        assert video["found"]["pose"] == FRAMES
        assert len(video["how"]["pose"]) == FRAMES
        assert [(shot["first"], shot["last"]) for shot in video["shots"]] == [(0, FRAMES - 1)]
        [sample] = open_dataset(config.output.root, points="full")
        assert np.array_equal(sample.keypoints[:, 0, 0] != 0, np.full(FRAMES, True))
        assert not pieces_left(config)

    def test_a_run_that_was_stopped_goes_on_with_the_pieces_that_are_missing(
        self, tmp_path: Path, signing: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first look is not done again, nor is a piece."""
        whole = config_of(tmp_path / "at-once", signing)
        at_once = keypoints(run(whole), whole)
        config = config_of(tmp_path, signing)
        with pytest.raises(InterruptedRun):
            run(config, stop_reason=lambda: "SIGTERM" if "0.json" in pieces_left(config) else "")
        assert pieces_left(config) == ["0.full.npy", "0.json", "0.npy", "look.json"]
        done: list[int] = []
        extract_piece = pieces.extract_piece
        monkeypatch.setattr(pieces, "extract_piece", lambda *a, **k: done.append(a[2].number) or extract_piece(*a, **k))
        monkeypatch.setattr(pieces, "look_at_video", None)
        assert np.array_equal(keypoints(run(config), config), at_once)
        assert done == [1, 2]

    def test_another_run_can_finish_the_video_meanwhile(
        self, tmp_path: Path, signing: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It removes the pieces: what this run makes of the video is not needed."""
        config = config_of(tmp_path, signing)
        extract_piece = pieces.extract_piece
        with_pieces: list[bool] = []

        def finished_by_another(*arguments: Any, **options: Any) -> Any:
            made = extract_piece(*arguments, **options)
            if arguments[2].number == 1 and not with_pieces:
                with_pieces.append(bool(pieces_left(config)))
                run(config)
            return made

        monkeypatch.setattr(pieces, "extract_piece", finished_by_another)
        assert len(keypoints(run(config), config)) == FRAMES
        assert with_pieces == [True]
        assert not pieces_left(config)

    def test_a_damaged_first_look_is_done_again(self, tmp_path: Path, signing: Path) -> None:
        """As if nothing were there."""
        config = config_of(tmp_path, signing)
        with pytest.raises(InterruptedRun):
            run(config, stop_reason=lambda: "SIGTERM" if "0.json" in pieces_left(config) else "")
        [look] = config.output.root.glob("_kpsbatch/pieces/*/*/look.json")
        look.write_text('{"shots": 3}')
        assert len(keypoints(run(config), config)) == FRAMES

    def test_a_file_that_can_not_be_searched_is_decoded_from_its_start(
        self, tmp_path: Path, signing: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where searching gives other frames than the first look saw."""
        config = config_of(tmp_path, signing)
        usual = keypoints(run(config), config)
        monkeypatch.setattr(reading, "first_moment", lambda video, max_pixels: 0.2)  # all is five frames late
        other = config_of(tmp_path / "other", signing)
        assert np.array_equal(keypoints(run(other), other), usual)

    def test_a_video_that_changes_meanwhile_fails_by_name(
        self, tmp_path: Path, signing: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a remedy that works: the next run begins anew."""
        config = config_of(tmp_path, signing)
        monkeypatch.setattr(pieces, "checksum", lambda image, seen=[]: seen.append(1) or len(seen))
        [(name, problem)] = run(config).failures
        assert (name, "has changed while it was worked on" in problem) == ("01-train/0001/v", True)
        monkeypatch.undo()
        assert len(keypoints(run(config, retry_failed=True), config)) == FRAMES


def test_what_a_first_look_says_survives_being_written() -> None:
    """All that a piece takes from it, to the bit."""
    images = render_video(2, 1, 1, 12)[0]
    frames = [Frame(image, 40 * t, str(t), time=40.0 * t) for t, image in enumerate(images)]
    with Networks(LandmarksConfig(), find_networks()) as networks:
        whole = pieces.look_at_video(frames, networks, Wish(), 0.2, lambda: None)
    again = whole_from_json(whole_to_json(whole))
    assert whole_to_json(again) == whole_to_json(whole)
    [piece] = pieces_of(again)
    assert (piece.frames, piece.before, piece.read_until) == (12, 0, None)
    with pytest.raises(OtherFrames):
        list(piece.checked(frames[1:]))
    with pytest.raises(OtherFrames):
        list(piece.checked(frames[:-1]))
    with pytest.raises(OtherFrames):
        list(piece.checked([*frames, frames[0]]))
    assert list(piece.checked(frames)) == frames


def test_packed_pieces_are_the_packed_whole() -> None:
    """The first frame of a piece is the difference from the last frame before it."""
    rows = list(np.random.default_rng(1).integers(-9000, 9000, (40, 628, 4)).astype(np.int32))
    whole = pack(rows)
    parts = [pack(rows[:15]), pack(rows[15:], rows[14])]
    assert np.array_equal(np.concatenate(parts, axis=2), whole)
    data = npz_bytes_of_pieces("v", parts, axis=2)
    assert np.array_equal(np.load(io.BytesIO(data))["v"], whole)
    assert np.array_equal(
        unpack(np.load(io.BytesIO(data))["v"]), unpack(np.load(io.BytesIO(npz_bytes("v", whole)))["v"])
    )


def test_a_video_without_a_readable_frame_fails() -> None:
    """In its first look."""
    with pytest.raises(DatasetError, match="no frame can be read"):
        pieces.look_at_video([Frame(None, 0, "0", "is empty")], None, Wish(), 0.2, lambda: None)  # type: ignore[arg-type]
