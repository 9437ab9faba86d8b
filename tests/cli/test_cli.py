"""The command line: what it understands, what it prints, and that no traceback reaches a user."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from factories import main_ends, write_config
from processes import REPOSITORY, kpsbatch

from kpsbatch import __version__, demo
from kpsbatch.cli.main import COMMANDS, load, main, spread_values
from kpsbatch.cli.selection import Selection
from kpsbatch.dataset.video import Unit
from kpsbatch.landmarks.network_files import NETWORKS, find_networks
from kpsbatch.look.estimate import Measured, size
from kpsbatch.points import Topology
from kpsbatch.words import program

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process: (exit status, output, error output)."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    shown = capsys.readouterr()
    code = ended.value.code
    return (0 if code is None else int(code)), shown.out, shown.err


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An irregular dataset: three videos in two signs, strays, an empty and an absent sign. No picture is real."""
    train = tmp_path / "a dataset" / "01" / "01" / "train"
    for name, frames in (("0001/one (1)", 3), ("0001/two", 1), ("0002/إشارة", 4)):
        (train / name).mkdir(parents=True)
        for number in range(frames):
            (train / name / f"{number}.jpg").touch()
    (train / "0002" / "clip.mp4").touch()
    (train / "0002" / "Thumbs.db").touch()
    (train / "0003").mkdir()
    return write_config(tmp_path, dataset={"root": "a dataset", "signers": ["01", "02"], "signs": "1-4"})


class TestSpreadValues:
    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("run c.yaml --signers 01 02", "run c.yaml --signers 01 --signers 02"),
            ("run --signers 01 02 c.yaml", "run --signers 01 --signers 02 c.yaml"),
            ("run --signs 1-3 5 --splits train c.yml", "run --signs 1-3 --signs 5 --splits train c.yml"),
            ("run c.yaml --set a=1 b=2 --quiet", "run c.yaml --set a=1 --set b=2 --quiet"),
            ("run c.yaml --signers 01 --signers 02", "run c.yaml --signers 01 --signers 02"),
            ("run c.yaml --signers=01", "run c.yaml --signers=01"),
            ("run c.yaml --shard 0/2", "run c.yaml --shard 0/2"),
            ("run --signers 01 -- c.yaml", "run --signers 01 -- c.yaml"),
            ("run --signers", "run --signers"),
            ("export c --signs 1-4 5 DEST", "export c --signs 1-4 --signs 5 DEST"),
            ("export c --set a.b=1 DEST --to npy", "export c --set a.b=1 DEST --to npy"),
            ("export c --signs one DEST", "export c --signs one DEST"),
        ],
    )
    def test_forms(self, typed, meant):
        """Options that take several values take them in one go; anything else stays as it is."""
        assert spread_values(typed.split()) == meant.split()

    def test_argument_behind_names(self, capsys):
        """A folder behind names of signers can't be told from them: the error says so."""
        main_ends(2, "export", "out", "--to", "npy", "--signers", "01", "02", "DEST")
        assert capsys.readouterr().err == (
            "kpsbatch: DEST is missing: 'DEST' counts as a value of --signers, which takes all that follow. Put DEST "
            "before --signers.\n"
        )


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command(self, capsys, command):
        """Every command explains itself."""
        status, out, error = call(capsys, command, "--help")
        assert (status, error) == (0, "")
        assert "Usage: kpsbatch" in out
        assert "<bool>" not in out  # flags have no type
        assert "{" not in out

    def test_reads_no_command(self):
        """The main help is a table of its own: it reads the file of no command, nor what those need."""
        code = "import sys; from kpsbatch.cli.main import main\ntry: main(['-h'])\nfinally: print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
        read = {name for name in done.stdout.splitlines()[-1].split() if name.startswith(("kpsbatch", "pydantic"))}
        assert read <= {"kpsbatch", "kpsbatch.cli", "kpsbatch.cli.main", "kpsbatch.cli.options", "kpsbatch.errors"}

    @pytest.mark.parametrize("command", COMMANDS)
    def test_table_agrees(self, command):
        """What the main help says of a command is what the command says of itself."""
        assert COMMANDS[command].help == load(command).help

    def test_no_types_of_flags(self, capsys):
        """Nor has a flag of the program itself."""
        assert "<bool>" not in call(capsys, "-h")[1]

    @pytest.mark.parametrize(
        ("typed", "completed"), [("kpsbatch sta", ["status"]), ("kpsbatch run --ret", ["--retry-failed"])]
    )
    def test_completion(self, typed, completed):
        """The shell completes commands and options."""
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        done = kpsbatch(_KPSBATCH_COMPLETE="complete_bash", **words)
        assert (done.returncode, done.stdout.split()) == (0, completed)

    def test_all_are_listed(self, capsys):
        """The main help lists every command."""
        status, out, _ = call(capsys, "-h")
        assert status == 0
        assert all(re.search(rf"\b{command}\b", out) for command in COMMANDS)

    def test_version(self, capsys):
        """--version prints it."""
        status, out, _ = call(capsys, "--version")
        assert status == 0
        assert re.fullmatch(r"kpsbatch \d+\.\d+\.\d+\n", out)

    def test_installed_command(self, tmp_path):
        """The command that pip installs works, and no import looks into the folder of programs, as with `python -m`."""
        entry = re.search(r'^kpsbatch = "([\w.]+):(\w+)"$', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
        assert entry is not None
        script = tmp_path / "kpsbatch"
        script.write_text(
            f"import sys\nfrom {entry[1]} import {entry[2]}\ntry:\n    {entry[2]}()\nfinally:\n    print(*sys.path)\n"
        )
        command, environment = [sys.executable, script, "--version"], {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        version, path = done.stdout.splitlines()
        assert version == f"kpsbatch {__version__}"
        assert str(tmp_path) not in path.split()

    @pytest.mark.parametrize("arguments", [["rnu"], ["run"], ["run", "c.yaml", "--no-such-option"], ["scan", "a", "b"]])
    def test_usage_errors(self, capsys, arguments):
        """A command line that can't be understood is status 2."""
        status, _, error = call(capsys, *arguments)
        assert status == 2
        assert "Traceback" not in error


EXECUTABLE = sys.executable


class TestProgram:
    """What people are told to type next."""

    def test_installed(self, monkeypatch):
        """Who typed `kpsbatch` types it again."""
        monkeypatch.setattr(sys, "argv", ["/opt/bin/kpsbatch", "status"])
        assert program() == "kpsbatch"

    def test_command(self, monkeypatch, tmp_path):
        """Where there is the command it is what to type, since `python -m` imports from the current folder."""
        monkeypatch.setattr(sys, "argv", ["-m", "status"])
        monkeypatch.setattr(sys, "executable", str(tmp_path / "a b" / "python"))
        (tmp_path / "a b").mkdir()
        (tmp_path / "a b" / "kpsbatch").touch(0o755)
        assert shlex.split(program()) in (
            [str(tmp_path / "a b" / "kpsbatch")],
            [os.path.relpath(tmp_path / "a b" / "kpsbatch")],
        )
        monkeypatch.setenv("PATH", str(tmp_path / "a b"))
        assert program() == "kpsbatch"

    def test_activated(self, monkeypatch, tmp_path):
        """Without the command: where `python` is this interpreter, that is enough; else its path is named."""
        monkeypatch.setattr(sys, "argv", ["-m", "status"])
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").symlink_to(EXECUTABLE)
        (tmp_path / "python").symlink_to(sys.executable)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert program() == "python -m kpsbatch"
        (tmp_path / "python").unlink()
        python, *rest = shlex.split(program())
        assert (Path(python).resolve(), rest) == (Path(sys.executable).resolve(), ["-m", "kpsbatch"])


def options_of(command: str) -> set[str]:
    """The names of a command's options."""
    return {name for parameter in load(command).params for name in parameter.opts if name.startswith("-")}


class TestSelection:
    @pytest.mark.parametrize("command", ["run", "submit", "plan", "scan", "status", "verify", "report"])
    def test_the_same_everywhere(self, command):
        """Every command that works on units takes the same selection and overrides."""
        assert {"--set", "--adjusted", "--signers", "--splits", "--signs"} <= options_of(command)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_debug(self, command):
        """Every command takes --debug."""
        assert "--debug" in options_of(command)

    def test_order_and_overrides(self, config):
        """What is selected keeps the config's order; --adjusted and --set change the settings."""
        loaded = Selection(config, ["run.workers=3"], True, ["02", "01"], None, ["3-4", "1"]).load()
        assert (loaded.dataset.signers, loaded.dataset.splits, loaded.dataset.signs) == (
            ("01", "02"), ("train",), (1, 3, 4),
        )  # fmt: skip
        assert (loaded.run.workers, loaded.landmarks.coordinates) == (3, "adjusted")

    def test_next_command(self, config):
        """The command to go on with makes the same choices, also where a value ends in .yaml."""
        changes = ["dataset.labels=a b.yaml", "run.workers=1"]
        chosen = Selection(config, changes, True, ["01", "02"], ["train"], ["1-2", "4"])
        words = shlex.split(chosen.command("run").partition("kpsbatch ")[2])
        typed = load("run").make_context("run", spread_values(words)[1:])
        names = ("config", "overrides", "adjusted", "signers", "splits", "signs")
        assert [typed.params[name] for name in names] == [config, changes, True, ["01", "02"], ["train"], ["1-2", "4"]]

    @pytest.mark.parametrize(
        ("option", "value", "text"),
        [
            ("--signers", "07", "the config has no '07'. Choose among 01, 02."),
            ("--splits", "dev", "the config has no 'dev'. Choose among train."),
            ("--signs", "9", "the config has no 9. Choose among 1-4, or add them with --set dataset.signs=9."),
            ("--shard", "x", "'x' is not a shard. Write auto, or I/N with I from 0 to N-1, such as 0/50."),
        ],
    )
    def test_errors(self, capsys, config, option, value, text):
        """What the config lacks is named, then what can be chosen."""
        assert call(capsys, "run", config, option, value) == (2, "", f"kpsbatch: {option}: {text}\n")


class TestScan:
    def test_table(self, config, capsys):
        """The table holds signers x splits, below it what is absent, empty and odd."""
        status, out, error = call(capsys, "scan", config)
        assert (status, error) == (0, "")
        rows = {tuple(re.findall(r"[^\s│|]+", line)) for line in out.splitlines()}
        assert ("01", "train", "2", "4", "(1", "file)", "2", "8", "1", "1") in rows
        assert ("02", "train", "0", "0", "0", "0", "4", "0") in rows
        assert "folder missing in 01 train: signs 4\n" in out
        assert "folder missing in 02 train: signs 1-4\n" in out
        assert "no video in 01 train: signs 3\n" in out
        assert "Thumbs.db: no video" in out
        assert "two: one frame only" in out

    @pytest.mark.parametrize("columns", [60, 80, 120])
    def test_width(self, config, capsys, monkeypatch, columns):
        """No heading and no number is cut, in a narrow terminal neither."""
        monkeypatch.setenv("COLUMNS", str(columns))
        out = call(capsys, "scan", config)[1]
        headings = next(line for line in out.splitlines() if line.startswith("signer")).split()
        assert headings == [
            "signer",
            "split",
            "signs",
            "videos",
            "a",
            "sign",
            "frames",
            "folder",
            "missing",
            "no",
            "video",
        ]
        assert "…" not in out

    def test_without_frames(self, config, capsys):
        """--no-frames lists no video's directory."""
        status, out, _ = call(capsys, "scan", config, "--no-frames")
        assert status == 0
        assert "one frame only" not in out

    def test_json(self, config, capsys):
        """--json has the numbers of the table, and what is absent, empty and odd."""
        text = call(capsys, "scan", config)[1]
        status, out, error = call(capsys, "scan", config, "--json")
        tree = json.loads(out)
        assert (status, error, tree["version"], tree["root"]) == (0, "", 1, str(config.parent / "a dataset"))
        rows = {tuple(re.findall(r"[^\s│|]+", line)) for line in text.splitlines()}
        for group in tree["groups"]:
            names = ("signer", "split", "units", "videos", "frames")
            shown = [str(group[name]) for name in names] + [str(len(group[name])) for name in ("absent", "empty")]
            assert any(set(shown) <= set(row) for row in rows), group
        assert [(group["units"], group["files"], group["absent"], group["empty"]) for group in tree["groups"]] == [
            (2, 1, [4], [3]),
            (0, 0, [1, 2, 3, 4], []),
        ]
        assert all(f"{odd['path']}: {odd['problem']}" in text for odd in tree["odd"])
        assert sum(tree["odd_counts"].values()) == len(tree["odd"]) == 2
        assert json.loads(call(capsys, "scan", config, "--json", "--no-frames")[1])["groups"][0]["frames"] is None

    def test_selection(self, config, capsys):
        """A selection narrows the table."""
        status, out, _ = call(capsys, "scan", config, "--signers", "01", "--signs", "1")
        assert status == 0
        assert "folder missing" not in out.split("no video", 1)[1]
        assert "02" not in out.replace(str(config.parent), "")

    def test_unreadable_folder(self, config, capsys):
        """A folder that can't be listed is named."""
        folder = config.parent / "a dataset" / "01" / "01" / "train" / "0003"
        folder.rmdir()
        folder.touch()
        _, out, _ = call(capsys, "scan", config)
        assert "can't be listed: Not a directory" in out

    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_names_that_the_terminal_lacks(self, config, encoding):
        """A name that can't be printed is escaped, on any terminal."""
        unit = config.parent / "a dataset" / "01" / "01" / "train" / "0001"
        os.mkdir(os.fsencode(unit) + b"/caf\xe9")
        (unit / "إشارة 2").mkdir()
        done = kpsbatch("scan", config, PYTHONIOENCODING=f"{encoding}:strict")
        assert (done.returncode, done.stderr) == (0, "")
        assert r"caf\udce9: its name is not valid UTF-8" in done.stdout

    @pytest.mark.parametrize("root", ["nowhere", "config.yaml"])
    def test_bad_root(self, config, capsys, monkeypatch, root):
        """A root that is missing or no folder is one line and status 2."""
        monkeypatch.chdir(config.parent)
        status, out, error = call(capsys, "scan", config, "--set", f"dataset.root={root}")
        assert (status, out) == (2, "")
        assert re.fullmatch(r"kpsbatch: dataset\.root: .* (does not exist|is neither a folder nor a .*)\. .*\n", error)

    def test_no_video(self, config, capsys):
        """No video at all is one line: what was tried and what is there."""
        status, out, error = call(capsys, "scan", config, "--set", "dataset.layout={signer}/{split}/{sign}")
        assert (status, out) == (2, "")
        assert error.endswith("a dataset/01 holds '01'. Correct the layout, or dataset.root.\n")

    def test_writes_nothing(self, config, capsys):
        """Scanning leaves everything as it is."""
        before = sorted(config.parent.rglob("*"))
        call(capsys, "scan", config)
        assert sorted(config.parent.rglob("*")) == before


class TestPlan:
    def test_json(self, config, capsys, monkeypatch):
        """--json has the numbers of the text; of a small dataset the text says that one task is enough."""
        measured = {"videos": 40, "frames": 2400, "core_seconds": 1.8, "worker_megabytes": 400}
        measured |= {"npz_bytes": 90_000, "full_bytes": 125_000}
        monkeypatch.setattr(
            "kpsbatch.cli.run.estimate",
            lambda config, **options: size(
                config, Measured(Unit("01", "train", 1), **measured, dataset_videos=1000, signs=4)
            ),
        )
        status, text, _ = call(capsys, "plan", config)
        assert status == 0
        assert "advice:   one task is enough: 3 min 45 s on 8 cores. In the config:\n" in text
        tree = json.loads(call(capsys, "plan", config, "--json")[1])
        assert (tree["version"], tree["unit"], tree["tasks"]) == (1, "01-train/0001", 1)
        assert f"{tree['core_hours']:.1f} core-hours" in text
        assert f"  chunk_size: {tree['chunk_size']}\n" in text
        assert f"  mem: {tree['memory_gigabytes']}G\n" in text
        assert f'  time: "00:{tree["time_minutes"]:02}:00"\n' in text


class TestInspect:
    def test_json(self, capsys, tmp_path):
        """--json has for each video the counts of which the table has the shares."""
        keypoints = np.zeros((4, 184, 4), np.float32)
        keypoints[:3, Topology.POSE] = 0.5
        keypoints[:1, Topology.LEFT_HAND] = 0.5
        np.savez_compressed(tmp_path / "a.npz", one=keypoints, two=keypoints[:2])
        text = call(capsys, "inspect", tmp_path / "a.npz")[1]
        tree = json.loads(call(capsys, "inspect", tmp_path / "a.npz", "--json")[1])
        assert (tree["version"], tree["file"], tree["dtypes"]) == (1, str(tmp_path / "a.npz"), ["float32"])
        assert tree["videos"]["one"] == {
            "frames": 4,
            "found": {"pose": 3, "face": 0, "right_hand": 0, "left_hand": 1},
        }
        for name, video in tree["videos"].items():
            shares = [f"{count / video['frames']:.1%}" for count in video["found"].values()]
            assert [name, str(video["frames"]), *shares] in [line.split() for line in text.splitlines()]


class TestModels:
    def test_list(self, capsys):
        """The networks are listed with hash, size, origin and path."""
        status, out, _ = call(capsys, "models")
        assert status == 0
        found = find_networks()
        for line, file in zip(out.splitlines(), found.values(), strict=True):
            size = file.path.stat().st_size
            assert line.split() == [file.sha256, str(size), "mediapipe", "0.10.21", str(file.path)]

    def test_export(self, capsys, tmp_path):
        """Exported networks can be listed as a folder of their own."""
        assert call(capsys, "models", "--export", tmp_path / "models")[0] == 0
        names = {path.name for path in (tmp_path / "models").iterdir()}
        assert names == {"networks.json", *(f"{name}.tflite" for name in NETWORKS)}
        assert call(capsys, "models", "--models", tmp_path / "models")[0] == 0

    def test_missing_folder(self, capsys, tmp_path):
        """A folder without networks is one line and status 2."""
        status, _, error = call(capsys, "models", "--models", tmp_path)
        assert status == 2
        assert error.count("\n") == 1


class TestErrors:
    def test_debug(self, config):
        """--debug shows where an error comes from; without it there is one line."""
        command = ("run", config, "--signs", "9-3")
        plain, debug = kpsbatch(*command), kpsbatch(*command, "--debug")
        assert plain.returncode == 2
        assert plain.stderr == "kpsbatch: --signs: the range of signs '9-3' runs downwards. Did you mean 3-9?\n"
        assert debug.returncode != 0
        assert "Traceback" in debug.stderr
        assert "ConfigError: --signs" in debug.stderr

    def test_unexpected(self, capsys, config, monkeypatch):
        """An error that nobody foresaw is one line, too, and says how to see more."""

        def fail(*arguments: object) -> None:
            raise ZeroDivisionError("division by zero")

        monkeypatch.setattr(Selection, "load", fail)
        status, _, error = call(capsys, "run", config)
        assert status == 2
        assert error == "kpsbatch: unexpected ZeroDivisionError: division by zero (--debug shows where)\n"

    @pytest.mark.parametrize("command", ["run", "scan"])
    def test_interrupted(self, capsys, config, monkeypatch, command):
        """Ctrl-C at any place is status 3."""

        def interrupt(*arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Selection, "load", interrupt)
        status, _, error = call(capsys, command, config)
        assert status == 3
        assert error == "kpsbatch: Stopped. Rerun to resume.\n"

    def test_line_break_in_a_path(self, capsys, tmp_path):
        """A path with a line break makes no second line."""
        status, _, error = call(capsys, "scan", tmp_path / "a\nb.yaml")
        assert status == 2
        assert error.count("\n") == 1

    def test_empty_shard(self, capsys, config):
        """A shard without a sign has nothing to do."""
        status, out, _ = call(capsys, "run", config, "--signs", "1", "--shard", "1/3")
        assert status == 0
        assert out == "Nothing to do: shard 1 of 3 holds none of the signs that there are.\n"


class TestDemo:
    def test_whole_way(self, capsys, tmp_path, monkeypatch):
        """`demo --run` writes a dataset, runs the job on it, and says where outputs and picture are."""
        monkeypatch.setattr(demo, "write_demo", partial(demo.write_demo, signers=1, signs=1))
        folder = tmp_path / "a demo"
        status, out, _ = call(capsys, "demo", folder, "--run", "--quiet")
        assert status == 0
        assert f"config:  {folder / 'config.yaml'}\n" in out
        assert "2 units finished now (3 videos, " in out
        assert f"outputs: {folder / 'out'}\n" in out
        assert cv2.imread(str(folder / "preview.png")) is not None
        with np.load(folder / "out" / "01-test" / "0001.npz") as stored:
            [kps] = stored.values()
        assert kps[..., 3].any(axis=1).all()

    def test_says_what_is_next(self, capsys, tmp_path, monkeypatch):
        """Without --run it says what to type next."""
        monkeypatch.setattr(demo, "write_demo", lambda *arguments, **options: None)
        status, out, _ = call(capsys, "demo", tmp_path / "x", "--quiet")
        assert status == 0
        assert re.search(rf"next: +(\S*python[\d.]* -m |\S*/)?kpsbatch run {tmp_path}/x/config\.yaml\n", out)

    def test_not_over_a_dataset(self, capsys, tmp_path):
        """A folder that holds somebody's dataset is left alone."""
        (tmp_path / "dataset").mkdir()
        status, _, error = call(capsys, "demo", tmp_path, "--quiet")
        assert status == 2
        assert "exists already and is not a demo. Choose another folder" in error
        assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_locale(tmp_path):
    """A name is what its bytes are, whatever the locale: here one of Python's that knows ASCII only."""
    unit = tmp_path / "data" / "01" / "01" / "train" / "0001"
    unit.mkdir(parents=True)
    (unit / "été 😀.mp4").touch()
    config = write_config(tmp_path, dataset={"root": "data", "signers": ["01"], "signs": "1"})
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = kpsbatch("scan", config, "--json", **ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    scanned = json.loads(done.stdout)
    assert [group["videos"] for group in scanned["groups"] if group["split"] == "train"] == [1]
    assert scanned["odd"] == []
    done = kpsbatch("extract", tmp_path / "étè.mp4", **ascii_only)
    assert (done.returncode, "étè.mp4 does not exist" in done.stderr) == (2, True)


def test_odd_frames_in_a_scan(tmp_path, capsys):
    """A scan names frames that are there twice, gaps, and what lies beside frames and is not read."""
    video = tmp_path / "data" / "01" / "01" / "train" / "0001" / "v"
    video.mkdir(parents=True)
    for name in ("1.jpg", "1.png", "2.jpg", "2 (1).jpg", "4.jpg", "5.jfif", "clip.mp4"):
        (video / name).touch()
    config = write_config(tmp_path, dataset={"root": "data", "signers": ["01"], "splits": ["train"], "signs": "1"})
    status, out, _ = call(capsys, "scan", config, "--json")
    scanned = json.loads(out)
    assert (status, scanned["groups"][0]["frames"]) == (0, 5)
    assert {Path(entry["path"]).name: entry["problem"] for entry in scanned["odd"]} == {
        "1.png": "a second file for a frame",
        "2 (1).jpg": "a copy of a frame, by its name",
        "4.jpg": "after a gap in the numbers of frames",
        "5.jfif": "a picture that is not read (rename it to .jpg)",
        "clip.mp4": "a video beside frames",
    }
