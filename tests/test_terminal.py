"""Names do nothing to a terminal: what a dataset, a record or a log holds is shown, its control characters escaped."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from pathlib import Path

import pytest
from factories import make_config, unit_record, write_config, write_frames
from processes import kpsbatch

import kpsbatch as package
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import printable
from kpsbatch.look.status import StatusReader
from kpsbatch.look.status_screen import picture
from kpsbatch.store.records import record_bytes
from kpsbatch.words import say, say_json

EVIL = "v\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt.exe\u2066\u061c\x7f\r\u2028\U000e0041"
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def test_printable() -> None:
    """Control characters, C1, and what turns the direction of a text are escaped; letters of all scripts are not."""
    assert printable(EVIL) == (r"v\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt.exe\u2066\u061c\x7f\r\u2028\U000e0041")
    for text in ("شكرا", "می\u200cخواهم", "手話", "👩\u200d👧", "é", "e\u0301", "a\\n"):
        assert printable(text) == text
    shown = {chr(code) for code in range(0x110000) if printable(chr(code)) == chr(code)}
    assert not {char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")}


def test_say(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed goes through it; line ends of our own stay, and JSON stays JSON."""
    say(f"a\n{EVIL}")
    say_json({"name": EVIL, "more": ["\n", "ä"]}, indent=1)
    out = capsys.readouterr().out
    assert not HARMFUL.search(out)
    assert json.loads(out.partition("{")[1] + out.partition("{")[2]) == {"name": EVIL, "more": ["\n", "ä"]}
    assert '"ä"' in out


def test_nothing_prints_by_itself() -> None:
    """Every print of the package is in words.py, and in main.py, which reads no other module for a help."""
    for path in Path(package.__file__).parent.rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        prints = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
        assert not prints or path.name in ("words.py", "main.py"), path


def test_commands(tmp_path: Path) -> None:
    """Scan, run, status, logs, report, verify, inspect, view, extract and errors, over a dataset with such names."""
    unit = tmp_path / "data" / "01" / "01" / "train" / "0001"
    write_frames(unit / EVIL, 1)
    (unit / f"{EVIL}2").mkdir()
    (unit / f"{EVIL}3").mkdir()
    (unit / f"{EVIL}3" / f"{EVIL}.jpg").write_bytes(b"no picture")
    config = write_config(tmp_path)
    npz = tmp_path / "out" / "01-train" / "0001.npz"
    lines = [
        *(["scan", config], ["run", config], ["status", config], ["status", config, "--json"], ["logs", config]),
        *(["report", config], ["verify", config], ["inspect", npz], ["inspect", npz, "--json"]),
        *(["view", npz, "--video", EVIL, "-o", tmp_path / "v.html"], ["view", config, "--video", "\x1b[2Jx"]),
        *(
            ["run", f"{tmp_path}/{EVIL}.yaml"],
            ["run", config, "--set", f"output.root={tmp_path}/\x1b]0;x", "--set", "\x9b=1"],
        ),
        *(
            ["extract", tmp_path / "data" / "01" / "01" / "train" / "0001" / f"{EVIL}3", "-o", tmp_path / "k"],
            ["nope\x1b[2J"],
        ),
    ]
    for words in lines:
        done = kpsbatch(*words)
        assert not (found := HARMFUL.search(done.stdout)), (words, found, done.stdout)
        assert not (found := HARMFUL.search(done.stderr)), (words, found, done.stderr)
    assert "\\x1b]0;owned\\x07" in kpsbatch("inspect", npz).stdout


def test_live_status(tmp_path: Path) -> None:
    """The parts of a live screen, too: failed videos, notes, tasks."""
    config = make_config(tmp_path)
    write_frames(tmp_path / "data" / "01" / "01" / "train" / "0001" / EVIL, 1)
    made = unit_record("failed", unit=Unit("01", "train", 1)._asdict(), videos={EVIL: {"error": EVIL}})
    records = tmp_path / "out" / "_kpsbatch" / "records" / "0123456789ab" / "01-train"
    records.mkdir(parents=True)
    (records / "0001.failed.json").write_bytes(record_bytes(made))
    for line in picture(StatusReader(config).read(), watched=True):
        assert not HARMFUL.search("".join(text for text, _ in line.shown))
