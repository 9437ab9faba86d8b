"""A config says everything, or one line says what is wrong with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kpsbatch.cli.main import main
from kpsbatch.config import dump_config, format_signs, load_config, parse_signs
from kpsbatch.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
MINIMAL: dict[str, Any] = {
    "dataset": {"root": "data", "signers": ["01", "02"], "splits": ["train"], "signs": "1-20"},
    "output": {"root": "out"},
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config that holds only what must be there, in a folder with a space in its name."""
    path = tmp_path / "a folder" / "config.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(MINIMAL), encoding="utf-8")
    return path


def rewrite(config: Path, **sections: Any) -> Path:
    """Change sections of a config file."""
    config.write_text(yaml.safe_dump({**MINIMAL, **sections}), encoding="utf-8")
    return config


def complaint(config: Path, *overrides: str) -> str:
    """What loading says; always one line."""
    with pytest.raises(ConfigError) as caught:
        load_config(config, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestSigns:
    @pytest.mark.parametrize(
        ("text", "signs"),
        [
            (7, (7,)),
            ("7", (7,)),
            ("1-3", (1, 2, 3)),
            ("1, 5, 7-9", (1, 5, 7, 8, 9)),
            ("1,5 7 - 9", (1, 5, 7, 8, 9)),
            ([1, 5, "7-9"], (1, 5, 7, 8, 9)),
            ([9, 1, "1-2"], (1, 2, 9)),
            ("0071-0072", (71, 72)),
        ],
    )
    def test_forms(self, text, signs):
        """Numbers, ranges and lists are read, sorted, each once."""
        assert parse_signs(text) == signs

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (1_000_000_000_000, "Write 1-502"),
            ("0-100000", "'0-100000' is not from 0 to 99999"),
            (100_000, "100000 is not from 0 to 99999"),
            ("9-3", "Did you mean 3-9?"),
            ("one", "Write 1-502"),
            ("1-", "Write 1-502"),
            ("-1", "Write 1-502"),
            (-1, "Write 1-502"),
            (1.5, "Write 1-502"),
            (True, "Write 1-502"),
            ([True], "Write 1-502"),
            ([1.0], "Write 1-502"),
            ([[1, 2]], "Write 1-502"),
            (None, "Write 1-502"),
            ({"a": 1}, "Write 1-502"),
            ("", "at least one"),
            ([], "at least one"),
            ("٣", "Write 1-502"),
        ],
    )
    def test_bad(self, text, says):
        """What is no sign ID is refused, with what was got."""
        with pytest.raises(ValueError, match=re.escape(says)):
            parse_signs(text)

    @given(st.sets(st.integers(0, 99_999), min_size=1, max_size=50))
    def test_round_trip(self, signs):
        """What format_signs writes, parse_signs reads."""
        assert parse_signs(format_signs(signs)) == tuple(sorted(signs))


class TestPaths:
    def test_relative_to_the_config(self, config, monkeypatch):
        """Relative paths are relative to the config's folder, wherever the command is run."""
        monkeypatch.chdir("/")
        assert load_config(config).dataset.root == config.parent / "data"
        assert load_config(config).output.root == config.parent / "out"

    def test_relative_in_an_override(self, config, tmp_path, monkeypatch):
        """A relative path in --set is relative to the current directory."""
        monkeypatch.chdir(tmp_path)
        assert load_config(config, ["output.root=elsewhere"]).output.root == tmp_path / "elsewhere"

    def test_variables_and_home(self, config, monkeypatch):
        """$VARIABLES and ~ are expanded, in the file and in --set."""
        monkeypatch.setenv("SOME_ROOT", "/some where")
        monkeypatch.setenv("HOME", "/home/nobody at all")
        rewrite(config, output={"root": "${SOME_ROOT}/out"})
        assert load_config(config).output.root == Path("/some where/out")
        assert load_config(config, ["output.root=~/kps"]).output.root == Path("/home/nobody at all/kps")
        assert load_config(config, ["output.root=$SOME_ROOT/x"]).output.root == Path("/some where/x")

    def test_unset_variable(self, config):
        """A variable that is not set is named."""
        assert "the environment variable $NOT_SET_AT_ALL in '$NOT_SET_AT_ALL/x' is not set. Set it." in complaint(
            config, "dataset.root=$NOT_SET_AT_ALL/x"
        )

    def test_unknown_home(self, config):
        """The home of a user that is not known is refused."""
        assert "dataset.root: the home directory in '~no-such-user/x' is not known here." in complaint(
            config, "dataset.root=~no-such-user/x"
        )

    @pytest.mark.parametrize("root", [".", "data", "data/../data"])
    def test_output_over_the_dataset(self, config, root):
        """Outputs never go into the dataset's own folder or above it."""
        rewrite(config, output={"root": root})
        assert "is the dataset's own folder or above it. Choose another folder." in complaint(config)


class TestOverrides:
    def test_any_setting(self, config):
        """--set reaches every section, also one that the file does not have."""
        changed = load_config(
            config, ["landmarks.running_mode=image", "run.workers=3", "dataset.signs=2,4-5", "landmarks.parts=[pose]"]
        )
        assert changed.landmarks.running_mode == "image"
        assert changed.run.workers == 3
        assert changed.dataset.signs == (2, 4, 5)
        assert changed.landmarks.parts == ("pose",)

    def test_later_wins(self, config):
        """Of two overrides of one key the later wins."""
        assert load_config(config, ["run.workers=3", "run.workers=4"]).run.workers == 4

    def test_layout_needs_no_quotes(self, config):
        """A layout's braces are no YAML mapping."""
        layout = "{signer}/{split}/{sign:04d}"
        assert load_config(config, [f"dataset.layout={layout}"]).dataset.layout == layout

    @pytest.mark.parametrize("text", ["run.workers", "=3", "run.=3", ".workers=3"])
    def test_bad_form(self, config, text):
        """What is not KEY=VALUE is refused with an example."""
        assert f"--set {text!r} has no key or no value. Write it like landmarks.running_mode=image." in complaint(
            config, text
        )

    def test_below_a_value(self, config):
        """A key below something that is no section is refused."""
        assert "--set dataset.root.x: root is not a section" in complaint(config, "dataset.root.x=1")

    def test_bad_yaml(self, config):
        """A value that is not YAML is refused."""
        assert "--set run.workers: '[1' is not valid YAML" in complaint(config, "run.workers=[1")


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("override", "says"),
        [
            ("landmarks.runing_mode=video", "landmarks.runing_mode is not a setting. Did you mean 'running_mode'?"),
            ("landmark.running_mode=video", "landmark is not a setting. Did you mean 'landmarks'?"),
            ("run.worker=2", "run.worker is not a setting. Did you mean 'workers'?"),
            (
                "landmarks.confidence.pose_detect=1",
                "landmarks.confidence.pose_detect is not a setting. Did you mean 'pose_detection'?",
            ),
            ("run.zzz=1", "run.zzz is not a setting. Choose among workers, chunk_size, "),
        ],
    )
    def test_nearest_is_named(self, config, override, says):
        """An unknown key is refused and the nearest valid one named, or all where none is near."""
        assert says in complaint(config, override)

    def test_misspelt_section_that_must_be_there(self, config):
        """`datset:` is called a typo, not a missing `dataset`."""
        tree = {"datset": MINIMAL["dataset"], "output": MINIMAL["output"]}
        config.write_text(yaml.safe_dump(tree), encoding="utf-8")
        assert "datset is not a setting. Did you mean 'dataset'?" in complaint(config)


def test_all_mistakes_at_once(config):
    """Every mistake of a config is named in one line, those of --set with its name."""
    rewrite(config, landmarks={"runing_mode": "video"}, run={"workers": "many", "chunk_size": 0})
    text = complaint(config, "landmarks.parts=[ears]")
    assert "4 mistakes. (1) landmarks.runing_mode is not a setting. Did you mean 'running_mode'? (2) " in text
    for part in ("run.workers: 'many' is not valid", "run.chunk_size: '0' is not valid", "landmarks.parts.0: 'ears'"):
        assert text.count(part) == 1


BAD_VALUES = [
    ("run.workers=abc", "run.workers: "),
    ("run.workers=-1", "run.workers: "),
    ("run.workers=1.5", "run.workers: "),
    ("run.video_timeout=-1", "run.video_timeout: "),
    ("run.video_timeout=.nan", "run.video_timeout: "),
    ("run.max_bad_frames=2", "run.max_bad_frames: "),
    ("dataset.signs=100000", "dataset.signs: 100000 is not from 0 to 99999"),
    ("dataset.signs=9-3", "Did you mean 3-9?"),
    ("dataset.signs=", "is not a list of signs. Write 1-502"),
    ("dataset.signers=01", "YAML reads 01 as the number 1"),
    ("dataset.signers=[]", "dataset.signers: it is empty. Name at least one."),
    ("dataset.signers=['01', '01']", "'01' and '01' are the same, case aside"),
    ("dataset.signers=['a/b']", "'a/b' contains a slash"),
    ("dataset.signers=['..']", "is not a folder name"),
    ("dataset.layout=x", "'x' has no {sign}. Add it"),
    ("dataset.layout={sign:x}", "Write {sign}, or a width"),
    ("dataset.layout={word}/{sign}", "{word} is not a field. Use {signer}, {split}, {sign} and {video}."),
    ("dataset.layout={sign", "it is not a template"),
    ("dataset.layout=../{sign}", "without '..'"),
    ("dataset.layout={split}/{sign}", "has no {signer}, but there are several"),
    ("dataset.root=3", "dataset.root: 3 is not a path"),
    ("landmarks=3", "landmarks holds '3' and no settings"),
    ("landmarks.running_mode=film", "'film' is not valid. Choose 'clip' or 'image'"),
    ("landmarks.parts=[pose, ears]", "'ears' is not valid. Choose 'pose', 'face' or 'hands'."),
    ("landmarks.confidence.hand_presence=1.1", "landmarks.confidence.hand_presence: "),
    ("output.dtype=int8", "'int8' is not valid. Choose 'float32', 'float64' or 'float16'."),
]


class TestBadValues:
    @pytest.mark.parametrize(("override", "says"), BAD_VALUES)
    def test_one_line(self, config, override, says):
        """A bad value is refused in one line that names the key or the rule, and the value."""
        assert says in complaint(config, override)

    def test_two_units_in_one_folder(self, config):
        """Signers and splits whose output folders would coincide are refused."""
        rewrite(config, dataset={**MINIMAL["dataset"], "signers": ["a", "a-b"], "splits": ["b-c", "c"]})
        assert "would share the output folder 'a-b-c'" in complaint(config)


class TestFile:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b"", "and no sections. Add the sections dataset and output."),
            (b"- 1\n- 2\n", "holds a list"),
            (b"just words", "holds 'just words'"),
            (b"a: [1, 2", "is not valid YAML"),
            (b"a:\tb: c", "is not valid YAML"),
            (b"a: !!python/object:os.system x", "is not valid YAML"),
            (b"\xff\xfe\x00", "can't be read"),
            (b"[" * 5000, "is not valid YAML"),
            (b"output: {root: out}", "dataset is not set. Add it."),
            (b"dataset: 3", "dataset holds '3' and no settings"),
            (b"3: 4", "3: "),
        ],
    )
    def test_no_config(self, config, text, says):
        """What is not a YAML file with sections is refused in one line."""
        config.write_bytes(text)
        if says == "3: ":
            config.write_bytes(yaml.safe_dump(MINIMAL).encode() + text)
        assert says in complaint(config)

    def test_missing(self, tmp_path):
        """A config that is not there is named, with a way to get one."""
        assert re.search(r"no\.yaml does not exist\. Correct the path, .*demo", complaint(tmp_path / "no.yaml"))

    def test_misspelt_file(self, config):
        """Where a config of a similar name is in the same folder, it is named."""
        assert complaint(config.with_name("confg.yaml")).endswith(f"Did you mean {config}?")

    def test_directory(self, tmp_path):
        """A directory is no config."""
        assert "is a folder, and this command takes a config" in complaint(tmp_path)

    def test_round_trip(self, config):
        """What dump_config writes loads to the same settings."""
        loaded = load_config(config, ["landmarks.coordinates=adjusted", "dataset.signs=1-3,7"])
        copy = config.with_name("copy.yaml")
        copy.write_text(dump_config(loaded), encoding="utf-8")
        assert load_config(copy) == loaded

    def test_karsl(self, monkeypatch):
        """The KArSL config of this repository loads, and shows the defaults."""
        monkeypatch.setenv("KARSL_ROOT", "/data/karsl")
        karsl = load_config(REPOSITORY / "configs" / "karsl.yaml")
        assert len(karsl.dataset.signs) == 502
        tree = {"dataset": {"root": "/data/karsl", "signers": ["01", "02", "03"], "signs": "1-502"}}
        defaults = type(karsl).model_validate({**tree, "output": {"root": str(karsl.output.root)}})
        assert (karsl.landmarks, karsl.run, karsl.dataset) == (defaults.landmarks, defaults.run, defaults.dataset)

    def test_frozen(self, config):
        """A loaded config can't be changed."""
        loaded = load_config(config)
        with pytest.raises(ValueError, match="frozen"):
            loaded.run.workers = 3


class TestCommandLine:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--signs", "503"],
            ["--signs", "0"],
            ["--signs", "9-3"],
            ["--signers", "07"],
            ["--splits", "dev"],
            ["--shard", "3/3"],
            ["--shard", "x"],
            ["--set", "run.worker=2"],
            ["--set", "dataset.root=$NOT_SET_AT_ALL"],
            ["--set", "dataset.root=~no-such-user"],
        ],
    )
    def test_one_line_and_status_2(self, config, arguments, capsys):
        """Whatever is wrong with the selection or a setting ends in one line and exit status 2."""
        with pytest.raises(SystemExit) as ended:
            main(["run", str(config), *arguments])
        assert ended.value.code == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("kpsbatch: ")
        assert shown.err.count("\n") == 1
        assert "unexpected" not in shown.err

    @pytest.mark.parametrize("text", [None, b"", b"a: [", b"\xff"])
    def test_real_process(self, tmp_path, text):
        """The same holds for a real process and a config that is missing or not YAML."""
        path = tmp_path / "config.yaml"
        if text is not None:
            path.write_bytes(text)
        done = subprocess.run(
            [sys.executable, "-m", "kpsbatch", "scan", str(path)], cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert re.fullmatch(
            r"kpsbatch: .*\.yaml (does not exist|holds nothing|is not valid YAML|can't be read).*\n", done.stderr
        )


def test_a_key_that_is_there_twice(tmp_path):
    """A key that stands twice is refused: YAML would silently take the last."""
    path = tmp_path / "c.yaml"
    path.write_text('dataset: {root: ., signers: ["01"], signs: 1, signs: 2}\noutput: {root: out}\n')
    with pytest.raises(ConfigError, match="the key 'signs' is there twice"):
        load_config(path)


def test_an_empty_environment_variable(tmp_path, monkeypatch):
    """A variable that is empty is as good as not set: the path would mean another folder."""
    monkeypatch.setenv("NOTHING", "")
    path = tmp_path / "c.yaml"
    path.write_text('dataset: {root: "${NOTHING}", signers: ["01"], signs: 1}\noutput: {root: out}\n')
    with pytest.raises(ConfigError, match=r"environment variable \$NOTHING in '.*' is empty"):
        load_config(path)
