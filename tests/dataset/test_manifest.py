"""A table says what the videos are; bad rows are all named, and the others are done."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpsbatch.config import DatasetConfig, load_config
from kpsbatch.dataset.manifest import ManifestSource
from kpsbatch.dataset.source import open_source
from kpsbatch.dataset.video import Box, Segment, Unit
from kpsbatch.errors import ConfigError
from kpsbatch.store.records import made_digest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "videos").mkdir(parents=True)
    for name in ("a.mp4", "b.mkv", "c.webm"):
        (folder / "videos" / name).touch()
    return folder


def opened(root: Path, text: str, columns: dict[str, Any], name: str = "t.csv", manifest: Any = None, **dataset: Any):
    (root / name).write_text(text, encoding="utf-8")
    tree = {"path": str(root / name), "columns": columns, **(manifest or {})}
    config = DatasetConfig.model_validate({"root": str(root), "manifest": tree, **dataset})
    source = open_source(config, root / "index")
    assert isinstance(source, ManifestSource)
    return source


def held(source: ManifestSource) -> dict[str, list[str]]:
    return {unit.name: [video.name for video in source.listing(unit).videos] for unit in source.units()}


class TestUnits:
    def test_numbered_signs(self, root):
        """Rows of a signer, split and sign are a unit, signs from 0 on, in order."""
        text = "file,who,set,class\na.mp4,P1,train,0\nb.mkv,P2,train,12\nc.webm,P1,train,0\na.mp4,,test,7.0\n"
        source = opened(root, text, {"video": "videos/{file}", "signer": "who", "split": "set", "sign": "class"})
        assert held(source) == {
            "P1-train/0000": ["a", "c"],
            "unknown-test/0007": ["a"],
            "P2-train/0012": ["b"],
        }
        assert (source.signers, source.splits, source.signs) == (("P1", "P2", "unknown"), ("train", "test"), (0, 7, 12))
        assert source.units([7]) == [Unit("unknown", "test", 7)]

    def test_bins(self, root):
        """Without numbered signs, rows are put together in order, for each split by itself."""
        text = "file,set,gloss\n" + "".join(f"a.mp4,{'train' if i % 3 else 'dev'},g{i}\n" for i in range(9))
        source = opened(root, text, {"video": "videos/{file}", "split": "set", "label": "gloss"}, videos_per_unit=4)
        assert held(source) == {
            "all-dev/0001": ["a", "a_2", "a_3"],
            "all-train/0001": ["a", "a_2", "a_3", "a_4"],
            "all-train/0002": ["a_5", "a_6"],
        }
        assert [v.label for v in source.listing(Unit("all", "train", 2)).videos] == ["g7", "g8"]

    @pytest.mark.parametrize("rows", [1, 4, 5, 8, 9])
    def test_appending(self, root, rows):
        """Rows that are appended change the last unit only."""
        text = "file\n" + "a.mp4\nb.mkv\n" * 10
        columns = {"video": "videos/{file}"}
        before = opened(root, "\n".join(text.split("\n")[: rows + 1]) + "\n", columns, videos_per_unit=4)
        old = {unit: before.made(unit) for unit in before.units()}
        after = opened(root, text, columns, videos_per_unit=4)
        changed = [unit.sign for unit in old if after.made(unit) != old[unit]]
        assert changed == ([] if rows % 4 == 0 else [rows // 4 + 1])

    def test_digest(self, root):
        """What keypoints are made from counts: the file, times, box and key; a label or a signer does not."""

        def digest(row: str) -> str:
            text = f"file,start,end,x,y,w,h,id,gloss\n{row}\n"
            columns = {
                "video": "videos/{file}", "start": "start", "end": "end", "box": ["x", "y", "w", "h"],
                "id": "id", "label": "gloss",
            }  # fmt: skip
            source = opened(root, text, columns)
            return made_digest(source.made(source.units()[0]) or {})

        base = digest("a.mp4,1,2,0,0,10,10,k,hello")
        assert digest("a.mp4,1.0,2,0,0,10,10,k,other") == base
        different = [
            "b.mkv,1,2,0,0,10,10,k,hello",
            "a.mp4,1.5,2,0,0,10,10,k,hello",
            "a.mp4,1,,0,0,10,10,k,hello",
            "a.mp4,1,2,0,0,10,11,k,hello",
            "a.mp4,1,2,0,0,10,10,l,hello",
        ]
        assert len({digest(row) for row in different} | {base}) == len(different) + 1

    def test_a_file_that_comes_later(self, root):
        """A row without its file keeps its place and its key, so that only its unit changes when the file comes."""
        text = "file\na.mp4\nlate\nb.mkv\nc.webm\n"
        before = opened(root, text, {"video": "videos/{file}"}, videos_per_unit=2)
        assert held(before) == {"all-all/0001": ["a"], "all-all/0002": ["b", "c"]}
        old = {unit: before.made(unit) for unit in before.units()}
        (root / "videos" / "late.mp4").touch()
        after = opened(root, text, {"video": "videos/{file}"}, videos_per_unit=2)
        assert held(after) == {"all-all/0001": ["a", "late"], "all-all/0002": ["b", "c"]}
        assert [after.made(unit) == old[unit] for unit in after.units()] == [False, True]

    def test_selected(self, root):
        """Signers, splits and signs of the config choose rows; units keep their numbers."""
        text = "file,who,set,class\na,1,train,1\na,2,train,2\na,1,val,1\n"
        columns = {"video": "videos/{file}", "signer": "who", "split": "set", "sign": "class"}
        assert held(opened(root, text, columns, signers=["1"])) == {"1-train/0001": ["a"], "1-val/0001": ["a"]}
        assert held(opened(root, text, columns, splits=["val"])) == {"1-val/0001": ["a"]}
        assert held(opened(root, text, columns, signs=2)) == {"2-train/0002": ["a"]}

    def test_stated_split(self, root):
        """A table without splits is of the one that the config states; a table for each split says so by its name."""
        assert list(held(opened(root, "file\na\n", {"video": "videos/{file}"}, splits=["val"]))) == ["all-val/0001"]
        (root / "dev.csv").write_text("file\nb\n")
        paths = {"train": str(root / "t.csv"), "dev": str(root / "dev.csv")}
        columns = {"video": "videos/{file}", "label": "{split}"}
        source = opened(root, "file\na\n", columns, manifest={"path": paths})
        assert held(source) == {"all-train/0001": ["a"], "all-dev/0001": ["b"]}
        assert [source.listing(unit).videos[0].label for unit in source.units()] == ["train", "dev"]


class TestKeys:
    def test_made(self, root):
        """A file's name; with its folder's where another file has it; with a number where the file is there again."""
        for folder in ("x", "y"):
            (root / folder).mkdir()
            (root / folder / "MVI_1.MOV").touch()
        text = "file\nx/MVI_1.MOV\ny/MVI_1.MOV\nx/MVI_1.MOV\ny/MVI_1.MOV\nx/MVI_1.MOV\n"
        source = opened(root, text, {"video": "file"})
        assert held(source)["all-all/0001"] == ["MVI_1", "y_MVI_1", "MVI_1_2", "y_MVI_1_2", "MVI_1_3"]

    def test_given(self, root):
        """A column of ids gives the keys; one that is there already, or can't be a key, is a bad row."""
        text = "file,id\na,one\nb,one\nb,\nb,x.npy\nb,../x\nc,two\n"
        source = opened(root, text, {"video": "videos/{file}", "id": "id"})
        assert held(source)["all-all/0001"] == ["one", "two"]
        assert source.problems == [
            ("t.csv:3", "the id 'one' is used already (t.csv:2)"),
            ("t.csv:4", "the id '' can't be a key of an npz file"),
            ("t.csv:5", "the id 'x.npy' can't be a key of an npz file"),
            ("t.csv:6", "the id '../x' can't be a key of an npz file"),
        ]

    def test_id_of_another_unit(self, root):
        """The same id may be in two units of numbered signs."""
        text = "file,id,class\na,1,5\nb,1,6\n"
        source = opened(root, text, {"video": "videos/{file}", "id": "id", "sign": "class"})
        assert held(source) == {"unknown-all/0005": ["1"], "unknown-all/0006": ["1"]}

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
    @given(files=st.lists(st.sampled_from(["a", "b", "c", "x/a", "x/b", "x/a_2", "y/a"]), min_size=1, max_size=30))
    def test_unique_and_stable(self, root, files):
        """Made keys are unique in a split, and rows that are appended change none."""
        for name in ("a", "b", "c", "x/a", "x/b", "x/a_2", "y/a"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / f"{name}.mp4").touch()

        def keys(rows: list[str]) -> list[str]:
            source = opened(root, "file\n" + "".join(f"{row}\n" for row in rows), {"video": "file"}, videos_per_unit=3)
            return [name for names in held(source).values() for name in names]

        whole = keys(files)
        assert len(set(whole)) == len(files)
        assert keys(files[: len(files) // 2] or files[:1]) == whole[: max(1, len(files) // 2)]


class TestTimesAndBoxes:
    @pytest.mark.parametrize(
        ("start", "end", "manifest", "segment"),
        [
            ("1.5", "2.25", {}, Segment(1.5, 2.25, "s")),
            ("0:01:02.500", "00:01:05,75", {}, Segment(62.5, 65.75, "s")),
            ("1500", "2250", {"unit": "ms"}, Segment(1.5, 2.25, "s")),
            ("10", "20", {"unit": "frames"}, Segment(10, 20, "frames")),
            ("1", "20", {"unit": "frames", "first_frame": 1}, Segment(0, 20, "frames")),
            ("1", "-1", {"unit": "frames", "first_frame": 1}, None),
            ("", "", {}, None),
            ("3", "", {}, Segment(3, None, "s")),
            ("10", "10", {"margin": [0.5, 0.75]}, Segment(9.5, 10.75, "s")),
            ("100", "200", {"unit": "ms", "margin": [200, 100]}, Segment(0, 0.3, "s")),
            ("1,200", "1,234,567.5", {"unit": "ms"}, Segment(1.2, 1234.5675, "s")),
            ("0,500", "1200,5", {"unit": "ms"}, Segment(0.0005, 1.2005, "s")),
            ("1,200", "2,5", {}, Segment(1.2, 2.5, "s")),
        ],
    )
    def test_segments(self, root, start, end, manifest, segment):
        """Seconds, clock times, milliseconds, frames from 0 or 1; an end of -1, or none, is the file's; margins."""
        text = f'file,start,end\na,"{start}","{end}"\n'
        columns = {"video": "videos/{file}", "start": "start", "end": "end"}
        source = opened(root, text, columns, manifest=manifest)
        assert [video.segment for video in source.listing(source.units()[0]).videos] == [segment]

    @pytest.mark.parametrize(
        ("value", "manifest", "box"),
        [
            ([385, 37, 885, 720], {"box_order": "xyxy"}, Box(385, 37, 500, 683, "pixels")),
            ("[0.25, 0.5, 1.0, 0.75]", {"box_order": "yxyx"}, Box(0.5, 0.25, 0.25, 0.75, "shares")),
            ("10 20 30 40", {}, Box(10, 20, 30, 40, "pixels")),
            ([0, 0, 1, 1], {"box_unit": "pixels"}, Box(0, 0, 1, 1, "pixels")),
            (None, {}, None),
            ("", {}, None),
        ],
    )
    def test_boxes(self, root, value, manifest, box):
        """Four numbers as a list or a text, in three orders; shares where none is above 1, or as stated."""
        text = json.dumps({"file": "a", "box": value}) + "\n"
        source = opened(root, text, {"video": "videos/{file}", "box": "box"}, "t.jsonl", manifest)
        assert [video.box for video in source.listing(source.units()[0]).videos] == [box]

    def test_people(self, root):
        """One spelling of each, nothing for an empty cell; what names nobody is a bad row; it counts in the digest."""
        text = "file,who,id\na,Left,p\na,2.0,q\na, x = 0.30 ,r\na,,s\na,middle,t\n"
        columns = {"video": "videos/{file}", "person": "who", "id": "id"}
        source = opened(root, text, columns)
        assert [video.person for video in source.listing(source.units()[0]).videos] == ["left", "2", "x=0.3", ""]
        [(_, problem)] = source.problems
        assert problem.startswith("the person 'middle' is not a choice of person. Write auto, left, right")
        made_from = {source.made_of(video).made_from for video in source.listing(source.units()[0]).videos}
        assert len(made_from) == 4

    def test_boxes_of_a_file(self, root):
        """Boxes can be in a JSON file of their own, by a key."""
        (root / "boxes.json").write_text('{"k1": [0.1, 0.1, 0.6, 1.0]}')
        manifest = {"boxes": str(root / "boxes.json"), "box_order": "xyxy"}
        source = opened(root, "file,vid\na,k1\nb,k2\n", {"video": "videos/{file}", "box": "vid"}, manifest=manifest)
        one, two = source.listing(source.units()[0]).videos
        assert one.box is not None and one.box.unit == "shares"
        assert (round(one.box.width, 6), two.box) == (0.5, None)


class TestBadRows:
    def test_all_at_once(self, root):
        """Every bad row is named with its line, all at once; the others are done."""
        (root / "videos" / "d.mp4").touch()
        (root / "videos" / "d.mkv").touch()
        (root / "videos" / "notes.jpg").touch()
        rows = [
            "file,start,end,set", "a,0,1,train", "gone,0,1,train", "a,5,4,train", "a,x,4,train", "a,1,1,train",
            "/etc/passwd,0,1,train", "../../x,0,1,train", "d,0,1,train", "b,0,1", "b,0,1,train,more", "b,0,1,a/b",
            "notes.jpg,0,1,train", "c,0,1,train",
        ]  # fmt: skip
        columns = {"video": "videos/{file}", "start": "start", "end": "end", "split": "set"}
        source = opened(root, "\n".join(rows) + "\n", columns)
        assert held(source) == {"all-train/0001": ["a", "c"]}
        assert [f"{problem.source}: {problem.text}" for problem in source.problems] == [
            "t.csv:3: there is no 'videos/gone'",
            "t.csv:4: it ends (4) before it starts (5)",
            "t.csv:5: the start 'x' is not a time in s, and not like 1:02:03.5",
            "t.csv:6: it ends (1) where it starts",
            "t.csv:7: there is no folder 'videos/etc'",
            "t.csv:8: 'videos/../../x' is not a path below dataset.root",
            "t.csv:9: 'videos/d' can be any of d.mkv, d.mp4",
            "t.csv:10: has 3 cells instead of 4",
            "t.csv:11: has 5 cells instead of 4",
            "t.csv:12: the split becomes a folder's name: 'a/b' contains a slash or a control character. Remove it.",
            "t.csv:13: 'videos/notes.jpg' is a frame, not a video; name its folder",
        ]
        [unit] = source.units()
        assert len(source.listing(unit).odd) + len(source.strays()) == len(source.problems)

    @pytest.mark.parametrize(
        ("text", "videos", "bad"),
        [
            ('file,label\na,"one\nb,two\nc,three\n', [("b", "two", 3), ("c", "three", 4)], [2]),
            ('file,label\r\na,"one\r\nb,two\r\n', [("b", "two", 3)], [2]),
            ('file,label\na,"one\nb,two\nc,"three"\n', [("b", "two", 3), ("c", "three", 4)], [2]),
            ('file,label\na,"one\nb,two"\nc,three\n', [("b", 'two"', 3), ("c", "three", 4)], [2]),
            ('file,label\na,"one, and\nb,two"\nc,three\n', [("b", 'two"', 3), ("c", "three", 4)], [2]),
            ('label,file\n"one,a\ntwo",b\nthree,c\n', [("b", 'two"', 3), ("c", "three", 4)], [2]),
            ('file,label\na,1,"one\nb,two"\nc,three\n', [("b", 'two"', 3), ("c", "three", 4)], [2]),
            ('file,label\na,"one\nx.mp4,two"\nc,three\n', [("c", "three", 4)], [2, 3]),
            ('file,label\na,one\nb,"two\n', [("a", "one", 2)], [3]),
            ('file;label\na;"one\nb;two\nc;three\n', [("b", "two", 3), ("c", "three", 4)], [2]),
            ('file,label\na,"' + "x" * 200_000 + '"\nb,two\n', [("b", "two", 3)], [2]),
            ("file,label\na,one\n# b\nc,three\n", [("a", "one", 2), ("c", "three", 4)], [3]),
        ],
    )
    def test_lost_in_a_cell(self, root, text, videos, bad):
        """A quotation mark that is not closed costs its own row; the rows after it are read, and the sum is right."""
        source = opened(root, text, {"video": "videos/{file}", "label": "label"})
        shown = [(v.name, v.label, v.source) for unit in source.units() for v in source.listing(unit).videos]
        assert shown == [(name, label, f"t.csv:{line}") for name, label, line in videos]
        assert [problem.source for problem in source.problems] == [f"t.csv:{line}" for line in bad]
        assert source.rows == len(videos) + len(bad)

    @pytest.mark.parametrize(
        ("text", "labels"),
        [
            ('file,label\na,"one\ntwo"\nb,"x, y\nz, w"\n', ["one\ntwo", "x, y\nz, w"]),
            ('label,file\n"one\ntwo",a\n"My, friend\nbye",b\n', ["one\ntwo", "My, friend\nbye"]),
            ('file,label,x\na,"one, two\nthree",y\n', ["one, two\nthree"]),
            ('\nfile,label\na,"one\n\ntwo"\n\nb,say "hi"\n', ["one\n\ntwo", 'say "hi"']),
            ("file,label\na,x\u2028y\nb,x\x85y\n", ["x\u2028y", "x\x85y"]),
        ],
    )
    def test_texts_of_several_lines(self, root, text, labels):
        """Line breaks inside of quotation marks are text, with as many commas as there are, unless a row is there."""
        source = opened(root, text, {"video": "videos/{file}", "label": "label"})
        assert [video.label for unit in source.units() for video in source.listing(unit).videos] == labels
        assert source.problems == []

    def test_texts_of_json(self, root):
        """Halves of characters, long and odd texts: a label is kept, an id or a path that can't be is a bad row."""
        rows = [
            {"file": "a.mp4", "id": "1", "label": "party \ud83d", "who": "\udcff"},
            {"file": "a.mp4", "id": "party \ud83d", "label": "x"},
            {"file": "a.mp4", "id": "é" * 35_000, "label": "x"},
            {"file": "a.mp4", "id": "i" * 65_531, "label": "nul\0"},
            {"file": "a.mp4", "id": "2", "label": "x" * 200_000},
            {"file": "\ud83d.mp4", "id": "3", "label": "x"},
            {"file": "\ud83d/a.mp4", "id": "4", "label": "x"},
        ]
        text = "".join(json.dumps({"who": "", **row}) + "\n" for row in rows)
        columns = {"video": "videos/{file}", "id": "id", "label": "label", "signer": "who"}
        source = opened(root, text, columns, "t.jsonl")
        videos = source.listing(source.units()[0]).videos
        assert [(video.name[:2], video.label, video.signer) for video in videos] == [
            ("1", "party \\ud83d", "\\udcff"),
            ("ii", "nul\0", ""),
        ]
        assert [f"{problem.source}: {problem.text}" for problem in source.problems] == [
            "t.jsonl:2: the id 'party \\ud83d' has half a character, which can't be written",
            f"t.jsonl:3: the id '{'é' * 20}'... has 70,000 bytes, more than 65,531",
            f"t.jsonl:5: the text '{'x' * 20}'... has more than 131,072 characters",
            "t.jsonl:6: there is no 'videos/\\ud83d.mp4'",
            "t.jsonl:7: there is no folder 'videos/\\ud83d'",
        ]

    def test_rows_of_json_lines(self, root):
        """Lines end where JSON lines end, at no other separator of Unicode; a name that is there twice is a bad row."""
        labels = ["x\u2028y", "x\x85y", "x\u2029\x0b", "fine"]
        text = "\n".join(json.dumps({"file": "a", "label": label}, ensure_ascii=False) for label in labels)
        text += '\r\n{"file": "a", "label": "b", "file": "b"}\n{"file": "a", "label": ""},\n'
        source = opened(root, text, {"video": "videos/{file}", "label": "label"}, "t.jsonl")
        assert [video.label for video in source.listing(source.units()[0]).videos] == labels
        assert source.problems == [
            ("t.jsonl:5", "is not JSON: 'file' is there twice"),
            ("t.jsonl:6", "ends with a comma, which a row of JSON lines must not"),
        ]

    def test_rows_without_their_list(self, root):
        """An object without the list of rows that the others have is a bad row; an empty list has none."""
        tree = [{"gloss": "w", "instances": []}, {"gloss": "x", "instances": [{"file": "a"}]}, {"gloss": "y"}]
        source = opened(root, json.dumps(tree), {"video": "videos/{file}", "label": "gloss"}, "t.json")
        assert held(source) == {"all-all/0001": ["a"]}
        assert source.problems == [("t.json:2", "has no list 'instances'")]

    @pytest.mark.parametrize(("text", "manifest"), [("", {"header": ["file"]}), ("file\n\n", {})])
    def test_no_rows(self, root, text, manifest):
        """A table without rows is told as that."""
        with pytest.raises(ConfigError, match=r"t\.csv has no rows\. Write a row for each video"):
            opened(root, text, {"video": "file"}, manifest=manifest)

    def test_sum(self, root):
        """Every row is a video, a bad row or one that the config leaves out; the sum is said."""
        source = opened(root, "file,set\na,train\ngone,train\nb,dev\nc\n", {"video": "videos/{file}", "split": "set"})
        assert source.sum == "4 rows: 2 videos, 2 that can't be used"
        columns = {"video": "videos/{file}", "split": "set"}
        source = opened(root, "file,set\na,train\ngone,train\nb,dev\nc\n", columns, splits=["train"])
        assert source.sum == "4 rows: 1 video, 2 that can't be used, 1 of other signers, splits or signs"

    def test_none_is_good(self, root):
        """Where no row can be used, the error names the table and the first reasons."""
        source = opened(root, "file\ngone\n", {"video": "videos/{file}"})
        assert str(source.no_video()).endswith(
            "none of its 1 rows can be used: t.csv:2: there is no 'videos/gone'. Correct dataset.manifest."
        )
        assert [source.presence(unit) for unit in source.units()] == ["empty"]

    def test_no_such_column(self, root):
        """A column that is not there is one line with what is there, or what is near."""
        with pytest.raises(ConfigError, match=r"columns\.video: t\.csv has no column 'fil'. Did"):
            opened(root, "file\na\n", {"video": "videos/{fil}"})
        with pytest.raises(ConfigError, match=r"columns\.split: .* no column 'xyz'. Choose among 'file', 'set'"):
            opened(root, "file,set\na,x\n", {"video": "file", "split": "xyz"})


class TestFormats:
    ROWS = ({"file": "a", "gloss": 'say "hi", $5 #1 '}, {"file": "b", "gloss": "مرحبا"})

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("t.csv", 'file,gloss\na,"say ""hi"", $5 #1 "\nb,مرحبا\n'),
            ("t.tsv", 'file\tgloss\na\tsay "hi", $5 #1 \nb\tمرحبا\n'),
            ("t.csv", 'file\tgloss\r\na\tsay "hi", $5 #1 \r\nb\tمرحبا\r\n'),
            ("t.csv", 'file|gloss\na|say "hi", $5 #1 \nb|مرحبا\n'),
            ("t.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS)),
            ("t.json", json.dumps(ROWS)),
            ("t.json", json.dumps({row["file"]: {"gloss": row["gloss"], "file": row["file"]} for row in ROWS})),
            ("t.json", json.dumps([{"gloss": r["gloss"], "instances": [{"file": r["file"]}]} for r in ROWS])),
            ("t.csv", '\ufefffile,gloss\na,"say ""hi"", $5 #1 "\n\nb,مرحبا\n'),
        ],
    )
    def test_forms(self, root, name, text):
        """CSV, TSV, |, JSON lines, JSON; labels are kept as they are, with commas, quotes, blanks, any script."""
        source = opened(root, text, {"video": "videos/{file}", "label": "gloss"}, name)
        [unit] = source.units()
        assert [(v.name, v.label) for v in source.listing(unit).videos] == [(r["file"], r["gloss"]) for r in self.ROWS]

    def test_header(self, root):
        """A table without a line of names gets them from the config."""
        manifest = {"header": ["file", "class"]}
        source = opened(root, "a,3\nb,4\n", {"video": "videos/{file}", "sign": "class"}, manifest=manifest)
        assert held(source) == {"unknown-all/0003": ["a"], "unknown-all/0004": ["b"]}

    @pytest.mark.parametrize(
        ("name", "data", "says"),
        [
            ("t.pkl", pickle.dumps([1]), r"but a pickle, which can run any code .* write it as JSON first \(python -c"),
            ("t.csv", pickle.dumps([1]), "but a pickle"),
            ("t.xlsx", b"PK\3\4...", "a workbook"),
            ("t.parquet", b"PAR1...", "but Parquet; write it as CSV"),
            ("t.csv.gz", b"\x1f\x8b...", "but gzip; gunzip it"),
            ("t.csv", b"", "is empty"),
            ("t.csv", b"a,b,a\n", "two columns 'a'"),
            ("t.csv", b"caf\xe9\n", "neither UTF-8 nor UTF-16; save it"),
            ("t.json", b"{", "is not valid JSON"),
            ("t.json", b"[1, 2]", r"none of the first rows of t\.json can be read: t\.json:1 is not a JSON object"),
            ("t.json", b"3", "neither a list of objects"),
            ("t.csv", b"# comment\nfile,label\na,x\n", "starts with a comment, '# comment'. Remove the lines above"),
            ("t.csv", b"# a, comment\nfile,label\na,x\n", "'# a', looks like a comment. Remove it"),
            ("t.csv", b"sep=;\nfile;label\na;x\n", "starts with 'sep=;', which only spreadsheets read. Remove that"),
            ("t.csv", b'file,"label\na,x\n', "line 1 opens a quotation mark that is not closed"),
            (
                "t.csv",
                b"file,label\na\n",
                r"none of the first rows of t\.csv can be read: t\.csv:2 has 1 cell instead of 2",
            ),
            ("t.jsonl", b'{"file": "a"},\n', r"t\.jsonl:1 ends with a comma, which a row of JSON lines must not"),
            ("t.json", b'{"k": {"file": "a"}, "k": {"file": "b"}}', "'k' is there twice"),
        ],
    )
    def test_refused(self, root, name, data, says):
        """What is no table is refused in one line with the remedy; a pickle is never opened."""
        (root / name).write_bytes(data)
        tree = {"root": str(root), "manifest": {"path": str(root / name), "columns": {"video": "file"}}}
        with pytest.raises(ConfigError, match=says) as error:
            open_source(DatasetConfig.model_validate(tree), root / "index")
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("template", "value", "file"),
        [
            (r"videos/{url:v=([\w-]+)}", "www.youtube.com/watch?v=a&t=3", "a"),
            ("{url}", "videos/b", "b"),
            (r"{url:^(.*)/\*\.png$}", "videos/a.mp4/*.png", "a"),
        ],
    )
    def test_templates(self, root, template, value, file):
        """A template joins columns with text, and takes a part of a column by a regular expression."""
        source = opened(root, json.dumps({"url": value}), {"video": template}, "t.jsonl")
        assert held(source) == {"all-all/0001": [file]}

    @pytest.mark.parametrize(
        ("columns", "says"),
        [
            ({}, "columns.video is not set"),
            ({"video": ""}, "it is empty. Name a column"),
            ({"video": "{a"}, "is not a template"),
            ({"video": "{a:(}"}, "is not a regular expression"),
            ({"video": "{a:x}"}, "has not one group"),
            ({"video": "a", "gloss": "b"}, "columns.gloss is not a setting"),
            ({"video": "a", "box": ["x", "y"]}, "box"),
        ],
    )
    def test_config(self, tmp_path, columns, says):
        """Mistakes in the map of columns are told like all others."""
        path = tmp_path / "c.yaml"
        path.write_text(
            json.dumps(
                {"dataset": {"root": "d", "manifest": {"path": "t.csv", "columns": columns}}, "output": {"root": "o"}}
            )
        )
        with pytest.raises(ConfigError, match=says) as error:
            load_config(path)
        assert "\n" not in str(error.value)
