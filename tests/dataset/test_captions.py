"""Subtitles and ELAN files are tables: a row for each cue or annotation; what is broken is named by its line."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from dataset_trees import eaf, held, touch
from hypothesis import given
from hypothesis import strategies as st

from kpsbatch.cli.main import main
from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.captions import COLUMNS, Row, read_captions
from kpsbatch.dataset.guess import guess
from kpsbatch.dataset.manifest import ManifestSource
from kpsbatch.dataset.source import open_source
from kpsbatch.dataset.video import Segment, Video
from kpsbatch.errors import ConfigError

TIERS = {
    "Gloss_A": [(0, 900, "HAUS1"), (1000, 1800, "GEHEN2"), (2000, 3000, "ICH")],
    "Gloss_B": [(500, 1500, "JA"), (2500, 4000, "NICHT"), (2500, None, "OPEN")],
    "German_A": [("a1", "Das Haus."), ("a3", "Ich"), ("a3", "auch.")],
}


def rows(data: bytes, form: str, **tiers: Any) -> dict[int, Row | str]:
    return dict(read_captions(data, form, "v", **tiers))


def said(data: str | bytes, form: str = "srt") -> dict[int, str]:
    """What is wrong, or noted, by line."""
    read = rows(data.encode() if isinstance(data, str) else data, form)
    return {line: row if isinstance(row, str) else row["note"] for line, row in read.items()}


def texts(data: str, form: str = "srt") -> list[tuple[str, str, str]]:
    read = rows(data.encode(), form).values()
    return [(row["start"], row["end"], row["text"]) for row in read if not isinstance(row, str)]


def opened(root: Path, **manifest: Any) -> ManifestSource:
    tree = {"root": str(root), "manifest": manifest}
    source = open_source(DatasetConfig.model_validate(tree), root.parent / "index")
    assert isinstance(source, ManifestSource)
    return source


def videos(source: ManifestSource) -> list[Video]:
    return [video for unit in source.units() for video in source.listing(unit).videos]


GOOD = "1\n00:00:01,000 --> 00:00:02,500\nHello\nthere\n\n2\n01:00:03,000 --> 01:00:04,000\n<i>you</i>\n"


class TestSubtitles:
    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
    def test_srt(self, ends, encoding):
        """Lines are joined and tags taken out, whatever the ends of lines and the encoding."""
        read = rows(GOOD.replace("\n", ends).encode(encoding), "srt")
        assert [(line, row["start"], row["end"], row["text"], row["id"]) for line, row in read.items()] == [
            (2, "1.000", "2.500", "Hello there", "v-0001"),
            (7, "3603.000", "3604.000", "you", "v-0002"),
        ]
        assert tuple(read[2]) == COLUMNS

    def test_vtt(self):
        """Notes, styles, names of cues and settings are no text; a voice is the participant."""
        text = (
            "WEBVTT\n\nNOTE a --- note\nof two lines\n\nSTYLE\n::cue {}\n\n00:00.000 --> 00:01.000 align:start\n"
            "<v.loud Anna>Hi<00:00:00.500><c> you</c> &amp; me</v>\n\nname\n00:01.000 --> 00:02.000\nJa\n"
        )
        assert texts(text, "vtt") == [("0.000", "1.000", "Hi you & me"), ("1.000", "2.000", "Ja")]
        assert rows(text.encode(), "vtt")[9]["participant"] == "Anna"

    def test_cues_without_a_blank_line_between(self):
        """The number of the next cue is no text of this one."""
        assert texts("1\n00:01,0 --> 00:02,0\none\n2\n00:03,0 --> 00:04,0\ntwo\n") == [
            ("1.000", "2.000", "one"),
            ("3.000", "4.000", "two"),
        ]

    @pytest.mark.parametrize(
        ("cue", "problem"),
        [
            ("00:00:01,500 -->\nx", "has no end"),
            ("--> 00:00:01,500\nx", "has no start"),
            ("00:00:05,000 --> 00:00:06,x\nx", "the end '00:00:06,x' is not a time"),
            ("00:00:05,000 --> 00:00:06,000\n\n", "has no text"),
            ("00:00:05,000 --> 00:00:06,000\n<i></i>", "has no text"),
            ("00:00:01,000 --> 00:00:02,500\nHallo", "has the times of line 2: a second language"),
            ("00:00:02,000 --> 00:00:03,000\nx", "overlaps line 2 by 0.500 s"),
            ("00:00:05,000 --> 00:00:06,000\n{\\an8}<b>x</b>", "tags are left out: {\\an8}, <b>"),
            ("00:00:05,000 --> 00:00:06,000\nx <b y", "a tag is not closed"),
            ("00:00:05,000 --> 00:00:06,000\nGood\nصباح", "lines in Latin and Arabic letters: two languages?"),
            ("00:00:05,000 --> 00:00:06,000\nGrÃ¼Ã\x9fe".replace("\x9f", "Ÿ"), "looks like UTF-8 that was read as"),
            ("00:00:05,000 --> 00:00:06,000\nGr\ufffd", "a letter is lost"),
            ("00:00:05,000 --> 00:00:06,000\nx\n\nlater", "text after a blank line is left out: 'later'"),
        ],
    )
    def test_what_is_broken_is_named_by_its_line(self, cue, problem):
        """The other cues are read."""
        text = f"1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n{cue}\n\n3\n00:01:00,000 --> 00:01:01,000\nlast\n"
        found = said(text)
        assert {line: text for line, text in found.items() if text}.keys() == {6}
        assert problem in found[6]
        assert {"Hello", "last"} <= {text for *_, text in texts(text)}

    def test_another_encoding(self):
        """Only cues with bytes that are no UTF-8 are lost, and named with what to do."""
        text = "1\n00:01,0 --> 00:02,0\nGrüße\n\n2\n00:03,0 --> 00:04,0\nplain\n".encode("cp1252")
        assert said(text)[2].startswith("is not UTF-8 (byte 0xfc): save the file as UTF-8 (iconv ")
        assert said(text)[6] == ""

    def test_no_subtitles(self):
        """A file without a cue is named, and a WebVTT file that players refuse."""
        assert said("") == {1: "holds no cue such as 00:00:01.000 --> 00:00:02.500"}
        assert said("00:01.000 --> 00:02.000\nx\n", "vtt").keys() == {1}

    @given(st.binary(max_size=200), st.sampled_from(["srt", "vtt", "eaf"]))
    def test_any_bytes(self, data, form):
        """No file ends in a traceback, and each has at least a row or a problem."""
        assert list(read_captions(b"1\n00:01,0 --> 00:02,0\n" * (form == "srt") + data, form, "v"))


class TestElan:
    def test_tiers_of_two_signers(self):
        """Each tier that is taken gives its rows to its person; without a time there is none."""
        read = rows(eaf(TIERS), "eaf", tiers={"Gloss_A": "left", "*_B": "right"})
        good = [row for row in read.values() if not isinstance(row, str)]
        assert [(row["person"], row["start"], row["end"], row["text"]) for row in good] == [
            ("left", "0.000", "0.900", "HAUS1"),
            ("left", "1.000", "1.800", "GEHEN2"),
            ("left", "2.000", "3.000", "ICH"),
            ("right", "0.500", "1.500", "JA"),
            ("right", "2.500", "4.000", "NICHT"),
        ]
        assert [row["participant"] for row in good] == ["A", "A", "A", "B", "B"]
        [problem] = [row for row in read.values() if isinstance(row, str)]
        assert problem.startswith("has no end: the time slot")

    def test_annotations_of_annotations(self):
        """They have the time of theirs, and share it where there are several."""
        good = rows(eaf(TIERS), "eaf", tiers={"translation": ""}).values()
        assert [(row["start"], row["end"], row["text"]) for row in good] == [
            ("0.000", "0.900", "Das Haus."),
            ("2.000", "2.500", "Ich"),
            ("2.500", "3.000", "auch."),
        ]

    def test_names_stay_whichever_tiers_are_taken(self):
        """The key of an annotation counts all of the file."""
        some, every = (rows(eaf(TIERS), "eaf", tiers=tiers) for tiers in ({"Gloss_B": ""}, None))
        assert {row["id"] for row in some.values() if not isinstance(row, str)} == {"v-0004", "v-0005"}
        assert every[next(iter(some))]["id"] == "v-0004"

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "bb">]>\n<a>&b;</a>', "has a document type"),
            (b"<html>\n</html>", "is no ELAN file: it starts with <html>"),
            (eaf(TIERS)[:900], "is no XML: "),
            (b"", "is no XML: no element found"),
            (b"<ANNOTATION_DOCUMENT/>", "holds no annotation"),
        ],
    )
    def test_refused(self, data, problem):
        """A document type, which can define entities without end, and what is no ELAN file."""
        assert problem in next(iter(said(data, "eaf").values()))

    def test_a_tier_that_is_not_there(self):
        """It is named with those that are."""
        read = rows(eaf(TIERS), "eaf", tiers={"Glos_A": ""})
        assert read == {1: "has no tier or linguistic type 'Glos_A'; its tiers are Gloss_A, Gloss_B, German_A"}

    def test_annotations_in_a_circle(self):
        """They belong to nothing."""
        data = eaf({"a": [("a2", "x"), ("a1", "y")]})
        assert all("belongs to an annotation that is not there" in text for text in said(data, "eaf").values())


class TestManifest:
    def test_beside_each_video(self, tmp_path):
        """A pattern takes all files of it, each for the video of its name, without the language; keys are unique."""
        root = touch(tmp_path / "data", "x/a.mp4", "y/a.mp4")
        (root / "x/a.en.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nhi\n")
        (root / "x/a.de.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nja\n")
        (root / "y/a.en.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<b>yo\n\n00:02.000 -->\nno\n")
        source = opened(root, path=str(root / "**/*.en.vtt"))
        assert held(source) == {"all-all/0001": ["x-a-0001", "y-a-0001"]}
        assert [video.path for video in videos(source)] == [root / "x/a.mp4", root / "y/a.mp4"]
        assert [video.label for video in videos(source)] == ["hi", "yo"]
        assert source.problems == [("y/a.en.vtt:6", "has no end")]
        assert [note.source for note in source.notes] == ["y/a.en.vtt:3"]

    def test_in_an_archive(self, tmp_path):
        """The same of a zip that is the dataset."""
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
            archive.writestr("x/a.mp4", b"video")
            archive.writestr("x/a.srt", GOOD)
        source = opened(tmp_path / "data.zip", path=str(tmp_path / "data.zip" / "x/*.srt"))
        assert [video.label for video in videos(source)] == ["Hello there", "you"]

    def test_margin_and_offset(self, tmp_path):
        """The offset moves both ends, the margin moves them apart; the start never lies before the file's."""
        root = touch(tmp_path / "data", "a.mp4")
        (root / "a.srt").write_text(GOOD)
        first, second = videos(opened(root, path=str(root / "a.srt"), margin=[0.25, 0.5], offset=-0.9))
        assert first.segment == Segment(0.0, 2.1, "s")
        assert second.segment == Segment(3601.85, 3603.6, "s")
        late = opened(root, path=str(root / "a.srt"), offset=-5)
        assert late.problems == [("a.srt:2", "it ends before the file starts (offset: -5)")]

    def test_tiers_into_outputs(self, tmp_path):
        """Two signers in one picture: an output of each, with its own rows and person."""
        root = touch(tmp_path / "data", "v.mp4")
        (root / "v.eaf").write_bytes(eaf(TIERS))
        tiers = {"Gloss_A": "left", "Gloss_B": 2}
        source = opened(root, path=str(root / "*.eaf"), tiers=tiers, columns={"split": "participant"})
        assert held(source) == {"all-A/0001": ["v-0001", "v-0002", "v-0003"], "all-B/0001": ["v-0004", "v-0005"]}
        assert [video.person for video in videos(source)] == ["left", "left", "left", "2", "2"]
        assert len({source.made_of(video).made_from for video in videos(source)}) == 5

    @pytest.mark.parametrize(
        ("manifest", "problem"),
        [
            ({"path": "*.csv", "columns": {"video": "v"}}, "is a pattern"),
            ({"path": "a.csv"}, "columns.video is not set"),
            ({"path": "a.srt", "tiers": {"A": "left"}}, "tiers goes with ELAN"),
            ({"path": "a.eaf", "tiers": {"A": "all"}}, "tiers.A is all"),
            ({"path": "a.eaf", "tiers": {"A": "middle"}}, "is not a choice of person"),
            ({"path": "a.srt", "unit": "ms"}, "unit and header go with tables"),
        ],
    )
    def test_settings_that_do_not_fit(self, manifest, problem):
        """They are refused with what to do."""
        with pytest.raises(ValueError, match=problem):
            DatasetConfig.model_validate({"root": ".", "manifest": manifest})

    def test_nothing_like_the_pattern(self, tmp_path):
        """A pattern that fits no file is refused."""
        with pytest.raises(ConfigError, match="no file is named like"):
            opened(touch(tmp_path / "data", "a.mp4"), path=str(tmp_path / "data/*.srt"))


class TestInit:
    def test_subtitles_beside_videos(self, tmp_path):
        """The language that most videos have is taken, and the others are named."""
        root = touch(tmp_path / "data", "a.mp4", "b.mp4")
        for name in ("a.en", "b.en", "a.de"):
            (root / f"{name}.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nhi\n")
        found = guess(root, tmp_path / "index")
        assert found.dataset["manifest"] == {"path": str(root / "*.en.vtt")}
        assert any("*.de.vtt are left out" in note for note in found.notes)

    def test_subtitles_elsewhere(self, tmp_path):
        """Videos and subtitles may lie in folders of their own."""
        root = touch(tmp_path / "data", "videos/a.mp4", "videos/b.mp4")
        (root / "subs").mkdir()
        for name in "ab":
            (root / f"subs/{name}.srt").write_text(GOOD)
        manifest = guess(root, tmp_path / "index").dataset["manifest"]
        assert manifest == {"path": str(root / "subs/*.srt"), "columns": {"video": "videos/{name}"}}

    def test_two_signers(self, tmp_path, monkeypatch, capsys):
        """Tiers of A and of B are persons, and the config that is written works."""
        root = touch(tmp_path / "data", "v.mp4")
        (root / "v.eaf").write_bytes(eaf(TIERS))
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit, match="0"):
            main(["init", "data"])
        assert "Gloss_A: left\n      Gloss_B: right\n      German_A: left\n" in Path("config.yaml").read_text()
        capsys.readouterr()
        with pytest.raises(SystemExit, match="0"):
            main(["scan", "config.yaml"])
        assert "v.eaf:" in capsys.readouterr().out
