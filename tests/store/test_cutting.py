"""Whole videos are cut into segments afterwards: the same rows, to the bit, of the frames whose times lie in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import eaf
from export_outputs import TIMES, kept_outputs, keypoints, store
from factories import main_ends

import kpsbatch
from kpsbatch.dataset.video import Segment, Unit
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.store.cutting import is_of, rows_of

UNIT = Unit("01", "train", 3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A video of 90 frames at 29.97 a second, and one of four frames with times of their own."""
    random = np.random.default_rng(1)
    store(tmp_path / "kps", UNIT, {"talk": keypoints(random, 90), "uneven": keypoints(random, len(TIMES))})
    return tmp_path / "kps"


def table(root: Path, text: str, name: str = "segments.csv") -> Path:
    path = root.parent / name
    path.write_text(text, encoding="utf-8")
    return path


def two_people(root: Path, places: tuple[tuple[float, ...], ...] = ((0.2, 0.8), (0.8, 0.2))) -> None:
    """Two arrays of one video, with the place of the one that each is of first, in their records."""
    arrays = {"v-A": keypoints(np.random.default_rng(2), 120), "v-B": keypoints(np.random.default_rng(3), 120)}
    store(root, UNIT, arrays)
    [record] = (root / "_kpsbatch" / "records").glob("*/*/*.json")
    tree = json.loads(record.read_text())
    for facts, xs in zip(tree["videos"].values(), places, strict=True):
        people = [{"x": x, "y": 0.5, "unit": 0.1, "chosen": number == 0} for number, x in enumerate(xs)]
        facts |= {"shots": [{"first": 0, "last": 119, "people": people}], "row": {"video": "v.mp4"}}
    record.write_text(json.dumps(tree))


class TestRows:
    @pytest.mark.parametrize(
        ("segment", "rows"),
        [
            (None, (0, 4)),
            (Segment(0.0, None, "s"), (0, 4)),
            (Segment(0.0, 0.0705, "s"), (0, 2)),  # the end is the first moment outside
            (Segment(0.0705, 9.0, "s"), (2, 4)),
            (Segment(0.034, 0.07, "s"), (2, 2)),
            (Segment(1.0, 3.0, "frames"), (1, 3)),
            (Segment(2.0, 99.0, "frames"), (2, 4)),
            (Segment(7.0, None, "frames"), (4, 4)),
        ],
    )
    def test_times_of_frames(self, segment, rows):
        """The stored times count, which need not be a number times a rate."""
        assert rows_of(segment, np.array(TIMES) / 1000) == rows

    @pytest.mark.parametrize(
        ("person", "found"),
        [("", True), ("left", False), ("right", True), ("x=0.7", True), ("x=0.1", False), ("2", True), ("3", False)],
    )
    def test_people(self, person, found):
        """Who the array is of is told by where the people of the video are."""
        assert is_of((0.8, 0.2), person) is found
        assert is_of((), person) is (True if person == "" else None)


class TestCut:
    def test_the_same_rows_to_the_bit(self, root):
        """A segment is a part of the whole video's array, with its own key, label, class and times."""
        path = table(
            root,
            "video,id,label,start,end\ntalk,a,hello,0.5,1.25\nsub/talk.mp4,b,you,1,\nuneven,c,hello,0.03,0.1\n",
        )
        whole = kpsbatch.load(root / "01-train" / "0003.npz")
        cut = kpsbatch.open_dataset(root, segments=path)
        expected = {"a": whole["talk"][15:38], "b": whole["talk"][30:], "c": whole["uneven"][1:3]}
        assert {sample.video: sample.keypoints.tobytes() for sample in cut} == {
            name: rows.tobytes() for name, rows in expected.items()
        }
        assert [(info.video, info.label, info.target, info.frames) for info in cut.videos] == [
            ("a", "hello", 0, 23),
            ("b", "you", 1, 60),
            ("c", "hello", 0, 2),
        ]
        assert (cut.classes, cut.unstated, cut.not_cut) == (("hello", "you"), 0, ())
        assert cut.videos[2].times == (0.0, 37.25)
        assert [cut[2].video, cut[0].video] == ["c", "a"]

    def test_of_what_is_kept(self, tmp_path):
        """Other points, and cleaning, come after the cut."""
        [name, *_] = kept_outputs(tmp_path / "kps", (UNIT,))
        path = table(tmp_path / "kps", f"video,start,end\n{name},0,0.05\n")
        whole = kpsbatch.load(tmp_path / "kps" / "01-train" / "0003.npz", points="full")[name]
        cut = kpsbatch.open_dataset(tmp_path / "kps", segments=path, points="full")
        [sample] = cut
        assert sample.video == f"{name}-0001"
        np.testing.assert_array_equal(sample.keypoints, whole[:2])
        cleaning = kpsbatch.Cleaning(rate=60)
        [sample] = kpsbatch.open_dataset(tmp_path / "kps", segments=path, cleaning=cleaning)
        assert len(sample.keypoints) == sample.frames == 3

    def test_labels(self, root):
        """Labels choose segments; without labels the classes are those of the outputs."""
        path = table(root, "video,id,label,start,end\ntalk,a,hello,0,1\ntalk,b,you,1,2\n")
        assert [info.video for info in kpsbatch.open_dataset(root, segments=path, labels="you").videos] == ["b"]
        with pytest.raises(OutputError, match="labels: there is no 'x'"):
            kpsbatch.open_dataset(root, segments=path, labels="x")
        path = table(root, "video,start,end\ntalk,0,1\n")
        cut = kpsbatch.open_dataset(root, segments=path)
        assert (cut.classes, cut.videos[0].target) == ((3,), 0)

    def test_subtitles(self, root):
        """A caption file is cut by its name; what is broken in it is told, with its line."""
        late = "3\n00:09:00,000 --> 00:09:01,000\nlate\n"
        text = f"1\n00:00:00,500 --> 00:00:01,000\nhello\n\n2\n00:00:02,000 -->\nx\n\n{late}"
        cut = kpsbatch.open_dataset(root, segments=table(root, text, "talk.en.srt"))
        assert [info.video for info in cut.videos] == ["talk-0001"]
        assert cut.not_cut == (
            ("talk.en.srt:6", "has no end"),
            ("talk.en.srt:10", "no frame of 'talk' (90 frames) lies in it"),
        )

    def test_tiers_of_two_signers(self, tmp_path):
        """The tier of each signer cuts the array of that person, whichever is first."""
        root = tmp_path / "kps"
        two_people(root)
        (tmp_path / "v.eaf").write_bytes(eaf({"A": [(0, 1000, "ja"), (1000, 2000, "du")], "B": [(500, 1500, "nein")]}))
        manifest = {"path": str(tmp_path / "*.eaf"), "tiers": {"A": "left", "B": "right"}, "margin": [0, 0.5]}
        whole = kpsbatch.load(root / "01-train" / "0003.npz")
        cut = {sample.label: sample for sample in kpsbatch.open_dataset(root, segments=manifest)}
        np.testing.assert_array_equal(cut["ja"].keypoints, whole["v-A"][:45])
        np.testing.assert_array_equal(cut["nein"].keypoints, whole["v-B"][15:60])
        assert [cut[label].signer for label in ("ja", "nein")] == ["A", "B"]
        with pytest.raises(OutputError, match="'v' can be any of 01-train/0003: v-A, 01-train/0003: v-B; name a per"):
            kpsbatch.open_dataset(root, segments=tmp_path / "v.eaf")

    def test_nobody_is_taken_for_another(self, tmp_path):
        """Where only the person on the left was computed, the tier of the one on the right cuts nothing."""
        root = tmp_path / "kps"
        two_people(root, ((0.2, 0.8), (0.2, 0.8)))
        path = table(root, "video,id,start,end,person\nv,a,0,1,right\n")
        with pytest.raises(OutputError, match="no keypoints of 'v' are of the person 'right', only v-A, v-B"):
            kpsbatch.open_dataset(root, segments=path)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("name,start\nx,1\n", "no column video; its columns are name, start"),
            ("video,start,end\ngone,0,1\n", "segments.csv:2: there are no keypoints of 'gone'"),
            ("video,start,end\ntalk,2,1\n", "it ends (1) before it starts (2)"),
            ("video,start,end\ntalk,x,1\n", "the start 'x' is not a time"),
            ("", "is empty"),
        ],
    )
    def test_refused(self, root, text, problem):
        """What can't be cut is one line."""
        with pytest.raises((ConfigError, OutputError)) as told:
            kpsbatch.open_dataset(root, segments=table(root, text))
        assert problem in str(told.value)
        assert "\n" not in str(told.value)

    def test_segments_are_not_cut_again(self, tmp_path):
        """Keypoints of segments are refused, since their times count from elsewhere."""
        root = tmp_path / "kps"
        two_people(root)
        [record] = (root / "_kpsbatch" / "records").glob("*/*/*.json")
        record.write_text(
            record.read_text().replace('{"video": "v.mp4"}', '{"video": "v.mp4", "start": "1", "end": "2"}')
        )
        with pytest.raises(OutputError, match="are of segments, not of the whole video"):
            kpsbatch.open_dataset(root, segments=table(root, "video,start,end,person\nv,0,1,left\n"))


class TestExport:
    def test_segments(self, root, capsys):
        """The command writes the segments, and other segments are another export."""
        path = table(root, "video,id,label,start,end\ntalk,a,hello,0,1\ntalk,b,you,1,2\ngone,c,you,1,2\n")
        out = root.parent / "out"
        words = ("export", root, "--to", "npy", "--segments", path, out)
        main_ends(0, *words)
        shown = capsys.readouterr()
        assert "1 segment can't be cut: segments.csv:4: there are no keypoints of 'gone'" in shown.err
        whole = kpsbatch.load(root / "01-train" / "0003.npz")["talk"]
        np.testing.assert_array_equal(np.load(out / "01-train" / "0003" / "b.npy"), whole[30:60])
        table(root, "video,id,label,start,end\ntalk,a,hello,0.5,1.5\ntalk,b,you,1,2\n")  # as long
        main_ends(2, *words)
        assert "holds another export" in capsys.readouterr().err
