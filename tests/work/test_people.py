"""`dataset.person: all` in a run: each person of a video has a key of its own, and the video counts once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import call, make_config, write_config, write_frames
from stub_networks import stub_networks

import kpsbatch
from kpsbatch.config import Config, load_config
from kpsbatch.dataset.frame import RGB
from kpsbatch.dataset.source import INDEX_FOLDER, open_source
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, InterruptedRun, OutputError
from kpsbatch.landmarks import clip, extract
from kpsbatch.landmarks.clip import FrameLandmarks
from kpsbatch.landmarks.signer import Wish
from kpsbatch.look.about import about
from kpsbatch.look.verify import verify
from kpsbatch.pictures.clip import Candidate, load_clip
from kpsbatch.pictures.report.findings import findings_of, headline_of
from kpsbatch.pictures.report.gather import gather
from kpsbatch.store.places import forget_places
from kpsbatch.store.records import UnitRecord, read_record
from kpsbatch.work.assemble import remove_videos
from kpsbatch.work.run import Summary, open_outputs, run, videos_to_prune

UNIT = Unit("01", "train", 1)
TWO, ONE = 200, 60
"""The shades of frames in which the networks of these tests see two people, and one."""


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is the second from the left has a pose at 0.2 of the frame, and so on."""
    stub_networks(monkeypatch)

    def look(images: Iterator[RGB], *_: object) -> tuple[int, None]:
        first = next(images, None)
        return (0 if first is None else 2 if first.mean() > (TWO + ONE) / 2 else 1), None

    def follow(images: Iterable[RGB], networks: object, wish: Wish, *_: object) -> Iterator[FrameLandmarks]:
        number = int(wish.person) if wish.person.isdecimal() else 5
        for _image in images:
            yield FrameLandmarks(np.full((33, 4), number / 10, np.float32), how={"pose": "d"})

    monkeypatch.setattr(extract, "look_for_people", look)
    monkeypatch.setattr(clip, "follow_clip", follow)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """The folder of a unit of two videos: of one person, and of two."""
    folder = tmp_path / "data" / "01" / "01" / "train" / "0001"
    write_frames(folder / "alone", 3, shade=ONE)
    write_frames(folder / "pair", 4, shade=TWO)
    return folder


def everybody(folder: Path, **dataset: Any) -> Config:
    return make_config(folder, dataset={"person": "all", **dataset}, run={"workers": 0})


def done(config: Config, **how: Any) -> Summary:
    """Run it; what is there is undamaged then."""
    summary = run(config, **how)
    verdict = verify(config)
    assert (verdict.problems, verdict.left) == ([], [])
    return summary


def keys(config: Config, unit: Unit = UNIT) -> list[str]:
    return list(kpsbatch.load(config.output.root / f"{unit.name}.npz"))


def record_of(config: Config, state: str = "complete") -> UnitRecord:
    outputs = open_outputs(config)[0]
    record = read_record(outputs.record_path(UNIT, state)).record  # type: ignore[arg-type]
    assert record is not None
    return record


def test_each_person_has_a_key_and_a_video_counts_once(videos: Path, tmp_path: Path, capsys: Any) -> None:
    """In the summary, verify, status, report and about; frames that are read twice are counted once."""
    config = everybody(tmp_path)
    summary = done(config)
    assert (summary.progress.videos, summary.progress.videos_done, summary.frames) == (2, 2, 7)
    arrays = kpsbatch.load(config.output.root / f"{UNIT.name}.npz")
    assert list(arrays) == ["alone.1", "pair.1", "pair.2"]
    assert [float(array.max()) for array in arrays.values()] == pytest.approx([0.1, 0.1, 0.2], abs=1e-3)
    assert {name: video.person for name, video in record_of(config).good.items()} == {
        "alone.1": 1, "pair.1": 1, "pair.2": 2,
    }  # fmt: skip
    verdict = verify(config, decode=True)
    assert (verdict.videos, verdict.people, verdict.exit_status) == (2, 3, 0)
    assert "(2 videos with 3 people)" in call(capsys, "verify", tmp_path / "config.yaml")[1]
    [made] = about(config.output.root)
    assert (made.videos, made.people, made.frames) == (2, 3, 7)
    data = gather(config)
    assert (len(data.each_video), data.units[0].videos, len(data.videos)) == (2, 2, 3)
    assert "2 videos were read, none failed." in headline_of(data)
    assert "2 videos without a hand in any frame" in [finding.text for finding in findings_of(data)]
    samples = list(kpsbatch.open_dataset(config.output.root))
    assert [(sample.video, sample.sign) for sample in samples] == [(name, 1) for name in arrays]
    assert run(config).stored == []


def test_its_pictures_are_those_of_the_video(videos: Path, tmp_path: Path) -> None:
    """With the config, and by the record alone."""
    config = everybody(tmp_path)
    done(config)
    npz = config.output.root / f"{UNIT.name}.npz"
    for shown in (
        load_clip(Candidate(npz, "pair.2", UNIT), config),
        load_clip(Candidate(npz, "pair.2"), pictures_from=[config.dataset.root]),
    ):
        assert shown.frames is not None
        assert shown.frames.path == videos / "pair"


def test_a_stopped_run_goes_on(videos: Path, tmp_path: Path) -> None:
    """What is finished stays, to the byte; the rest comes."""
    for sign in (2, 3):
        write_frames(videos.with_name(f"{sign:04}") / "pair", 2, shade=TWO)
    config = everybody(tmp_path, signs="1-3")
    done_so_far: list[int] = []
    with pytest.raises(InterruptedRun):
        run(
            config,
            on_progress=lambda progress: done_so_far.append(progress.videos_done),
            stop_reason=lambda: "SIGINT" if 3 in done_so_far else "",
        )
    first = (config.output.root / f"{UNIT.name}.npz").read_bytes()
    assert [unit.sign for unit in done(config).stored] == [3]
    assert (config.output.root / f"{UNIT.name}.npz").read_bytes() == first
    assert keys(config, UNIT._replace(sign=3)) == ["pair.1", "pair.2"]


def test_a_video_that_failed_is_tried_again(videos: Path, tmp_path: Path) -> None:
    """It has the record under its own name, until its people are there; the others are not computed again."""
    write_frames(videos / "bad", 2, shade=TWO)
    for frame in (frames := sorted((videos / "bad").iterdir())):
        frame.write_bytes(b"no picture")
    config = everybody(tmp_path)
    assert done(config).failures[0][0] == "01-train/0001/bad"
    assert list(record_of(config, "partial").videos) == ["alone.1", "bad", "pair.1", "pair.2"]
    assert run(config).stored == []
    for frame in frames:
        frame.write_bytes((videos / "pair" / "0.png").read_bytes())
    assert done(config, retry_failed=True).progress.videos == 3
    assert keys(config) == ["alone.1", "bad.1", "bad.2", "pair.1", "pair.2"]


def test_a_redo_keeps_all_people_or_none(videos: Path, tmp_path: Path) -> None:
    """Where it fails, all that were there stay; where it finds fewer people, the others go."""
    (videos / "bad").mkdir()
    (videos / "bad" / "0.png").write_bytes(b"no picture")
    config = everybody(tmp_path)
    done(config)
    frames = sorted((videos / "pair").iterdir())
    for frame in frames:
        frame.write_bytes(b"no picture")
    summary = done(config, retry_failed=True)
    assert summary.kept == ["01-train/0001/pair"]
    assert keys(config) == ["alone.1", "pair.1", "pair.2"]
    for frame in frames:
        frame.write_bytes((videos / "alone" / "0.png").read_bytes())
    done(config, retry_failed=True)
    assert keys(config) == ["alone.1", "pair.1"]


def test_a_new_video_and_one_that_is_gone(videos: Path, tmp_path: Path) -> None:
    """A new one is done alone; of one that is gone all people are kept, and removed when asked for."""
    config = everybody(tmp_path)
    done(config)
    write_frames(videos / "more", 2, shade=TWO)
    (videos / "pair").rename(tmp_path / "elsewhere")
    summary = run(config)
    assert (summary.added, summary.progress.videos) == (["01-train/0001/more"], 1)
    assert keys(config) == ["alone.1", "more.1", "more.2", "pair.1", "pair.2"]
    assert record_of(config).gone.keys() == {"pair"}
    outputs, gone = videos_to_prune(config, open_source(config.dataset, config.output.root / INDEX_FOLDER))
    assert gone == {UNIT: ["pair"]}
    remove_videos(outputs, UNIT, gone[UNIT])
    assert keys(config) == ["alone.1", "more.1", "more.2"]
    assert done(config).stored == []


def test_another_setting_is_other_outputs(videos: Path, tmp_path: Path) -> None:
    """They are refused, or replaced as a whole; the dataset is known again by its records, too."""
    config = everybody(tmp_path)
    done(config)
    forget_places(open_outputs(config)[0])
    assert run(config).stored == []
    signer = load_config(tmp_path / "config.yaml", ["dataset.person=left"])
    with pytest.raises(OutputError, match=r"dataset\.person is 'all' there, 'left' here"):
        run(signer)
    done(signer, overwrite=True)
    assert keys(signer) == ["alone", "pair"]


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_name_that_is_a_persons_is_refused(videos: Path, tmp_path: Path, capsys: Any, command: str) -> None:
    write_frames(videos / "pair.2", 2)
    write_config(tmp_path, dataset={"person": "all"}, run={"workers": 0})
    status, shown = call(capsys, command, tmp_path / "config.yaml", *["--cluster", "local"] * (command == "submit"))
    assert status == 2
    assert "pair.2 would also be the name of a person of" in shown
    assert not list((tmp_path / "out").glob("*/*.npz"))


def test_image_mode_has_no_people(videos: Path, tmp_path: Path) -> None:
    config = make_config(tmp_path, dataset={"person": "all"}, landmarks={"running_mode": "image"})
    with pytest.raises(ConfigError, match=r"person: all needs landmarks\.running_mode: clip"):
        run(config)


class TestTable:
    """Rows of a table: of one that names a person, or has a box, that one alone; its key is the row's."""

    ROWS = ("id,path,label,box,who", "a,pair,hello,,", "b,pair,hello,,right", "c,pair,bye,0.1 0.1 0.3 0.3,")

    def config(self, folder: Path, *rows: str) -> Config:
        (folder / "table.csv").write_text("\n".join([*(rows or self.ROWS), ""]))
        columns = {"video": "path", "id": "id", "label": "label", "box": "box", "person": "who"}
        manifest = {"path": "table.csv", "columns": {**columns, "split": "{id:(x)?}train"}}
        dataset = {"signers": "all", "splits": "all", "signs": "all", "manifest": manifest}
        return everybody(folder, root=str(folder / "data" / "01" / "01" / "train" / "0001"), **dataset)

    def rows(self, config: Config) -> list[tuple[str, ...]]:
        lines = (config.output.root / "index.csv").read_text().splitlines()[1:]
        return [tuple(line.split(",")[number] for number in (1, 5)) for line in lines]

    def test_the_index_has_each_person(self, videos: Path, tmp_path: Path) -> None:
        """Also where it is written anew while the record is not read again, and after an edited row."""
        config = self.config(tmp_path)
        done(config)
        unit = Unit("all", "train", 1)
        assert keys(config, unit) == ["a.1", "a.2", "b", "c"]
        expected = [("a.1", "hello"), ("a.2", "hello"), ("b", "hello"), ("c", "bye")]
        assert self.rows(config) == expected
        done(config)
        assert self.rows(config) == expected
        assert [sample.label for sample in kpsbatch.open_dataset(config.output.root)] == [row[1] for row in expected]
        config = self.config(tmp_path, *self.ROWS[:2], "b,pair,hello,,")
        done(config)
        assert keys(config, unit) == ["a.1", "a.2", "b.1", "b.2", "c"]
        assert [row[0] for row in self.rows(config)] == ["a.1", "a.2", "b.1", "b.2"]

    def test_a_row_for_everybody_is_refused(self, videos: Path, tmp_path: Path) -> None:
        """It is one plain line; the other rows are done."""
        config = self.config(tmp_path, *self.ROWS[:2], "b,pair,hello,,all")
        source = open_source(config.dataset, tmp_path)
        assert [problem.text for problem in source.problems] == [  # type: ignore[union-attr]
            "the person is all: a row is one person. Leave the cell empty and set dataset.person: all"
        ]
