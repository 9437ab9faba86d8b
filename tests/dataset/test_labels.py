"""Names of signs are read from whatever a spreadsheet exports, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpsbatch.config import dump_config, load_config
from kpsbatch.dataset.tables import Label, load_labels
from kpsbatch.errors import ConfigError

PEACE, HELLO = Label(7, "سلام", "peace"), Label(12, "مرحبا", "hello, you")
PLAIN = 'id,arabic,english\n7,سلام,peace\n12,مرحبا,"hello, you"\n'


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "some labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


class TestForms:
    @pytest.mark.parametrize(
        "text",
        [
            PLAIN,
            PLAIN.replace("\n", "\r\n"),
            PLAIN.replace("id,arabic,english", "SignID,Sign-Arabic,Sign-English"),
            "id;arabic;english\n7;سلام;peace\n12;مرحبا;hello, you\n",
            "id\tarabic\tenglish\n7\tسلام\tpeace\n12\tمرحبا\thello, you\n",
            'English;ID;Arabic\npeace;0007;سلام\n"hello, you";0012;مرحبا\n',
            "id;arabic;english\n٧;سلام;peace\n١٢;مرحبا;hello, you\n",
            "id;arabic;english;more\n7.0;سلام;peace;x\n12,0;مرحبا;hello, you;y\n",
            'id,arabic,english\n7,سلام,peace\n\n,,\n12,  مرحبا ,"hello,\n you"\n\n',
            PLAIN + "7,سلام,peace\n",
        ],
    )
    def test_text(self, tmp_path, text):
        """Named columns in any order, three separators, Arabic digits, empty rows, line breaks."""
        assert load_labels(write(tmp_path, text)) == {7: PEACE, 12: HELLO}

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
    def test_encoding(self, tmp_path, encoding):
        """UTF-8 and UTF-16, with and without a byte order mark."""
        assert load_labels(write(tmp_path, PLAIN, encoding)) == {7: PEACE, 12: HELLO}

    @pytest.mark.parametrize(
        ("text", "label"),
        [
            ("id,arabic\n7,سلام\n", Label(7, "سلام", "")),
            ("id,english\n7,peace\n", Label(7, "", "peace")),
            ("class,gloss\n0,BOOK\n", Label(0, "", "BOOK")),
            ("id,english,arabic\n7,,\n7,peace,سلام\n", None),
            ("id,arabic,english\n7,سلام,\n", Label(7, "سلام", "")),
        ],
    )
    def test_one_name(self, tmp_path, text, label):
        """A file may hold one of the names."""
        if label is None:
            with pytest.raises(ConfigError, match="both name sign 7"):
                load_labels(write(tmp_path, text))
        else:
            assert load_labels(write(tmp_path, text)) == {label.id: label}

    def test_text_of_a_label(self):
        """Both names on a line; a missing one leaves no mark."""
        assert PEACE.text == "peace · سلام"
        assert Label(1, "", "one").text == "one"


class TestErrors:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "is empty"),
            (b"id,english\n", "has no rows"),
            (b"7,peace\n8,hello\n", "has the columns '7', 'peace'. Name the columns id and arabic"),
            (b"id,word\n7,peace\n", "has the columns 'id', 'word'"),
            ("id,arabic,english\n7,سلام,peace\nseven,x,y\n".encode(), "line 3: the sign 'seven' is not a number"),
            (b"id,arabic,english\n100000,x,y\n", "'100000' is not a number from 0 to 99999"),
            (b"id,english\n7,x,y\n", "line 2 has 3 cells instead of 2"),
            (
                "id,arabic,english\n7,سلام,peace\n8,x,y\n7,other,z\n".encode(),
                "lines 2 and 4 both name sign 7: 'peace · سلام' and 'z · other'",
            ),
            ("id,arabic\n7,سلام\n".encode("cp1256"), "neither UTF-8 nor UTF-16; save it as"),
            (b"id,arabic\n7,????\n", "the Arabic was lost"),
            (b"PK\x03\x04...", "a workbook or an archive; open it and save"),
        ],
    )
    def test_one_line(self, tmp_path, data, said):
        """What can't be used is one line that names the file, the place and the remedy."""
        path = tmp_path / "labels.csv"
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=said) as error:
            load_labels(path)
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)

    def test_missing(self, tmp_path):
        """A missing file is named."""
        with pytest.raises(ConfigError, match=r"nowhere\.csv does not exist"):
            load_labels(tmp_path / "nowhere.csv")

    def test_folder(self, tmp_path):
        """A folder is no file."""
        with pytest.raises(ConfigError, match="can't be read: Is a directory"):
            load_labels(tmp_path)


class TestConfig:
    def test_relative(self, tmp_path):
        """`dataset.labels` is relative to the config, null by default, and survives a dump."""
        path = tmp_path / "c.yaml"
        text = 'dataset: {root: d, signers: ["01"], signs: 1%s}\noutput: {root: out}\n'
        path.write_text(text % "")
        assert load_config(path).dataset.labels is None
        path.write_text(text % ", labels: names.csv")
        assert load_config(path).dataset.labels == tmp_path / "names.csv"
        assert str(tmp_path / "names.csv") in dump_config(load_config(path))

    def test_on_the_command_line(self, tmp_path, monkeypatch):
        """In --set it is relative to the current directory."""
        (tmp_path / "c.yaml").write_text('dataset: {root: d, signers: ["01"], signs: 1}\noutput: {root: out}\n')
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        config = load_config("../c.yaml", ["dataset.labels=n.csv"])
        assert config.dataset.labels == tmp_path / "here" / "n.csv"
