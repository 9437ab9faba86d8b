"""An output is whole, and belongs to its record, whatever happens and whoever else writes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import fingerprint, unit_record
from numpy.typing import NDArray

from kpsbatch import files as files_module
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import STALE_SECONDS, temporary_path, write_atomically
from kpsbatch.store.npz import write_npz
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import NpzFile, read_record
from kpsbatch.store.settings import Settings, differences

HERE = Path(__file__).parent
UNIT, OTHER = Unit("01", "train", 7), Unit("01", "train", 8)
IMAGE = fingerprint("aaaaaaaaaaaa", landmarks={"running_mode": "image", "parts": ["pose"]}, dtype="float32")
VIDEO = fingerprint("bbbbbbbbbbbb", landmarks={"running_mode": "video", "parts": ["pose"]}, dtype="float32")


def arrays(seed: int = 0, names: tuple[str, ...] = ("a", "b")) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return {name: random.random((3, 184, 4), np.float32) for name in names}


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    made = Outputs(tmp_path / "some out (1)", IMAGE)
    made.prepare()
    return made


def files(outputs: Outputs) -> set[str]:
    """Every file below the output root, but for the lock and the settings."""
    found = {str(path.relative_to(outputs.root)) for path in outputs.root.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(("store.lock", "settings.json"))}


NPZ = "01-train/0007.npz"
RECORD = "_kpsbatch/records/aaaaaaaaaaaa/01-train/0007.json"


class TestNpz:
    @pytest.mark.parametrize("name", ["file", "with (parentheses)", "إشارة", "line\nbreak", "a.b", "arr_0", "self"])
    def test_any_key(self, tmp_path, name):
        """Any video name is a key that a plain reader finds again."""
        written = arrays(names=(name, "other"))
        write_atomically(tmp_path / "x.npz", lambda file: write_npz(file, written))
        with np.load(tmp_path / "x.npz") as stored:
            assert list(stored) == [name, "other"]
            for key, array in stored.items():
                np.testing.assert_array_equal(array, written[key])

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_dtype(self, tmp_path, dtype):
        """The type of an array is kept."""
        write_atomically(tmp_path / "x.npz", lambda file: write_npz(file, {"a": np.ones((1, 184, 4), dtype)}))
        with np.load(tmp_path / "x.npz") as stored:
            assert stored["a"].dtype == dtype

    def test_same_bytes(self, tmp_path):
        """The same arrays give the same bytes, whenever they are written."""
        for name in ("x", "y"):
            write_atomically(tmp_path / name, lambda file: write_npz(file, arrays()))
        assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()

    def test_is_compressed(self, tmp_path):
        """Zeros take next to no room."""
        write_atomically(tmp_path / "x", lambda file: write_npz(file, {"a": np.zeros((100, 184, 4), np.float32)}))
        assert (tmp_path / "x").stat().st_size < 2000


class TestAtomic:
    def test_error_while_writing(self, tmp_path):
        """After an error what was there before is still there, and nothing else."""
        path = tmp_path / "x"
        path.write_bytes(b"old")

        def fail(file: Any) -> None:
            file.write(b"half of the n")
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(OSError, match="No space"):
            write_atomically(path, fail)
        assert [p.name for p in tmp_path.iterdir()] == ["x"]
        assert path.read_bytes() == b"old"

    def test_rename_fails(self, tmp_path, monkeypatch):
        """A rename that fails leaves no temporary file."""

        def refuse(source: object, target: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            write_atomically(tmp_path / "x", lambda file: file.write(b"new"))
        assert list(tmp_path.iterdir()) == []

    def test_rename_fails_although_it_happened(self, tmp_path, monkeypatch):
        """On NFS a rename can happen and report an error: that is a success."""
        real = os.replace

        def lie(source: str, target: str) -> None:
            real(source, target)
            raise OSError(errno.ENOENT, "No such file or directory")

        monkeypatch.setattr(os, "replace", lie)
        write_atomically(tmp_path / "x", lambda file: file.write(b"new"))
        assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("x", b"new")]

    def test_rename_fails_and_another_file_is_there(self, tmp_path, monkeypatch):
        """Somebody else's file under the name does not pass for ours."""
        (tmp_path / "x").write_bytes(b"old")

        def lose(source: str, target: str) -> None:
            os.unlink(source)
            raise OSError(errno.ESTALE, "Stale file handle")

        monkeypatch.setattr(os, "replace", lose)
        with pytest.raises(OSError, match="Stale"):
            write_atomically(tmp_path / "x", lambda file: file.write(b"new"))
        assert (tmp_path / "x").read_bytes() == b"old"

    def test_synced_before_the_rename(self, tmp_path, monkeypatch):
        """The data is on disk before the name, and the name before the end."""
        events: list[str] = []
        fsync, replace = os.fsync, os.replace

        def note_sync(descriptor: int) -> None:
            events.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))[:4])
            fsync(descriptor)

        def note_replace(source: str, target: str) -> None:
            events.append("rename")
            replace(source, target)

        monkeypatch.setattr(os, "fsync", note_sync)
        monkeypatch.setattr(os, "replace", note_replace)
        folder = tmp_path / "dire"
        folder.mkdir()
        write_atomically(folder / "file", lambda file: file.write(b"new"))
        assert events == ["sync .fil", "rename", "sync dire"]


class TestStore:
    def test_exactly_these_files(self, outputs):
        """A stored unit is one npz and one record, which knows the npz's hash and size."""
        assert outputs.store(UNIT, arrays(), unit_record(host="node1"), replace=False)
        assert files(outputs) == {NPZ, RECORD}
        record = read_record(outputs.record_path(UNIT, "complete")).record
        data = (outputs.root / NPZ).read_bytes()
        assert record.host == "node1"
        assert record.npz == NpzFile(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

    def test_record_first(self, outputs, monkeypatch):
        """The record is on disk before the npz appears."""
        order: list[str] = []
        replace = os.replace

        def note(source: str, target: str) -> None:
            order.append(str(Path(target).relative_to(outputs.root)))
            replace(source, target)

        monkeypatch.setattr(os, "replace", note)
        outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)
        assert order == [RECORD, NPZ]

    @pytest.mark.parametrize("survives", range(2))
    def test_killed_between(self, outputs, monkeypatch, survives):
        """Where a store ends before its npz appears, the unit is not finished, and storing it again works."""
        replace = os.replace
        renamed: list[str] = []

        def die(source: str, target: str) -> None:
            if len(renamed) == survives:
                raise KeyboardInterrupt
            renamed.append(target)
            replace(source, target)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "replace", die)
            outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)
        assert outputs.states([UNIT]) == {}
        assert outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)
        assert outputs.states([UNIT]) == {UNIT: "complete"}
        assert {name for name in files(outputs) if not name.endswith(".partial")} == {NPZ, RECORD}

    def test_first_one_stays(self, outputs):
        """Of two runs with the same settings the first to store a unit wins."""
        outputs.store(UNIT, arrays(1), unit_record(host="first"), replace=False)
        before = (outputs.root / NPZ).read_bytes()
        assert not outputs.store(UNIT, arrays(2), unit_record(host="second"), replace=False)
        assert (outputs.root / NPZ).read_bytes() == before
        assert read_record(outputs.record_path(UNIT, "complete")).record.host == "first"

    @pytest.mark.parametrize("state", ["complete", "partial", "failed"])
    def test_replace(self, outputs, state):
        """A replaced unit leaves neither npz nor record of before behind, of whatever settings."""
        for before in (outputs, Outputs(outputs.root, VIDEO)):
            before.store(UNIT, arrays(1), unit_record("partial"), replace=True)
        outputs.store(UNIT, {} if state == "failed" else arrays(2), unit_record(state), replace=True)
        suffix = "" if state == "complete" else f".{state}"
        npz = set() if state == "failed" else {NPZ}
        assert files(outputs) == {RECORD.replace(".json", f"{suffix}.json"), *npz}
        assert outputs.states([UNIT, OTHER]) == {UNIT: state}

    @pytest.mark.parametrize(("videos", "state"), [(0, "complete"), (0, "partial"), (2, "failed")])
    def test_no_empty_npz(self, outputs, videos, state):
        """A unit without a good video never counts as done, one with good videos never as failed."""
        with pytest.raises(ValueError, match="can't be recorded as"):
            outputs.store(UNIT, arrays() if videos else {}, unit_record(state), replace=False)
        assert files(outputs) == set()

    @pytest.mark.parametrize(
        ("number", "remedy"),
        [
            (errno.ENOSPC, "Free space"),
            (errno.EDQUOT, "quota"),
            (errno.EACCES, "Make it writable"),
            (errno.EIO, "Correct that"),
        ],
    )
    def test_errors_have_a_remedy(self, outputs, monkeypatch, number, remedy):
        """An error of the file system is one line that names the folder and the remedy."""

        def fail(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError) as caught:
            outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)
        text = str(caught.value)
        assert text.startswith(f"output.root: {outputs.root} can't be written: {os.strerror(number)}. ")
        assert remedy in text
        assert "\n" not in text
        assert files(outputs) == set()

    def test_a_run_with_other_settings_in_between(self, outputs):
        """What another run has stored with other settings since is refused, not replaced."""
        other = Outputs(outputs.root, VIDEO)
        other.store(UNIT, arrays(1), unit_record("complete"), replace=False)
        before = (outputs.root / NPZ).read_bytes()
        with pytest.raises(OutputError, match="running_mode is 'video' there, 'image' here"):
            outputs.store(UNIT, arrays(2), unit_record("complete"), replace=False)
        assert (outputs.root / NPZ).read_bytes() == before
        assert other.states([UNIT]) == {UNIT: "complete"}
        assert not list(outputs.root.rglob("*.partial"))


class TestStates:
    def test_listing_only(self, outputs):
        """An npz that nobody could read still counts by its name: nothing is opened."""
        outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)
        (outputs.root / NPZ).write_bytes(b"no npz at all")
        (outputs.root / RECORD).write_bytes(b"no record at all")
        assert outputs.states([UNIT]) == {UNIT: "complete"}

    def test_record_without_npz(self, outputs):
        """A record alone does not finish a unit."""
        outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)
        (outputs.root / NPZ).unlink()
        assert outputs.states([UNIT]) == {}

    def test_failed(self, outputs):
        """A unit of which all videos failed has a record and no npz."""
        outputs.store(UNIT, {}, unit_record("failed"), replace=False)
        assert files(outputs) == {RECORD.replace(".json", ".failed.json")}
        assert outputs.states([UNIT]) == {UNIT: "failed"}
        assert read_record(outputs.record_path(UNIT, "failed")).record.npz is None

    def test_missing_or_damaged_record(self, outputs):
        """A record that can't be read is None."""
        assert read_record(outputs.record_path(UNIT, "complete")).record is None
        outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)
        for damaged in (b"", b"{", b"[1]", b"\xff", b"[" * 100_000):
            (outputs.root / RECORD).write_bytes(damaged)
            assert read_record(outputs.record_path(UNIT, "complete")).record is None

    def test_stale_temporaries(self, outputs):
        """What dead processes left is removed, what living ones write is not."""
        folder = outputs.root / "01-train"
        folder.mkdir()
        final = folder / "0007.npz"
        living = temporary_path(final)
        with subprocess.Popen(["true"]) as ended:
            ended.wait()
        dead = living.with_name(living.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
        elsewhere = living.with_name(living.name.replace(files_module._HOST, "another-host"))
        long_ago = living.with_name(living.name.replace(files_module._HOST, "a-third-host"))
        foreign = folder / ".notes"
        for path in (living, dead, elsewhere, long_ago, foreign):
            path.touch()
        os.utime(long_ago, times=(0, long_ago.stat().st_mtime - STALE_SECONDS - 60))
        assert outputs.states([UNIT]) == {}
        assert set(folder.iterdir()) == {living, elsewhere, foreign}

    def test_stale_temporaries_beside_the_units(self, outputs):
        """They are removed in every folder that a run writes to, such as that of the table of keys (index.csv)."""
        outputs.prepare()
        with subprocess.Popen(["true"]) as ended:
            ended.wait()
        for name in ("index.csv", "_kpsbatch/settings.json", "_kpsbatch/runs/1.json", "_kpsbatch/archives/a.index"):
            living = temporary_path(outputs.root / name)
            living.parent.mkdir(exist_ok=True)
            living.with_name(living.name.replace(f".{os.getpid()}.", f".{ended.pid}.")).touch()
        outputs.sweep()
        assert list(outputs.root.rglob(".*.partial")) == []

    def test_process_ids_of_another_container(self, monkeypatch):
        """A container that shares the host's name has process IDs of its own, so its marks differ."""
        real = os.stat

        def other_namespace(path: Any, **options: Any) -> Any:
            return real("/proc/self/exe") if path == "/proc/self/ns/pid" else real(path, **options)

        monkeypatch.setattr(os, "stat", other_namespace)
        assert files_module._process_space() != files_module._HOST


class TestForeign:
    def test_differences_are_named(self, outputs):
        """Outputs of other settings are refused: how many, which settings differ, and the remedy."""
        other = Outputs(outputs.root, VIDEO)
        other.prepare()
        for unit in (UNIT, OTHER):
            other.store(unit, arrays(), unit_record("complete"), replace=False)
        states = outputs.states([UNIT, OTHER])
        assert states == {UNIT: "foreign", OTHER: "foreign"}
        with pytest.raises(OutputError) as caught:
            outputs.refuse_foreign(states)
        assert str(caught.value) == (
            f"{outputs.root}: 01-train/0007.npz was made with other settings: "
            "landmarks.running_mode is 'video' there, 'image' here. Choose another output.root, or --overwrite."
        )

    def test_no_record(self, outputs):
        """An npz of unknown origin is refused, too."""
        (outputs.root / "01-train").mkdir()
        (outputs.root / NPZ).write_bytes(b"anything")
        with pytest.raises(OutputError, match="it has no record"):
            outputs.refuse_foreign(outputs.states([UNIT]))

    def test_own_outputs_are_fine(self, outputs):
        """Outputs of the same settings are not refused, whatever their state."""
        outputs.store(UNIT, arrays(), unit_record("partial"), replace=False)
        outputs.store(OTHER, {}, unit_record("failed"), replace=False)
        outputs.refuse_foreign(outputs.states([UNIT, OTHER]))

    def test_differences(self):
        """Differences are named by their full key, one that is only on one side, too."""
        assert differences(Settings(a={"b": 1, "c": 2}, d=3), Settings(a={"b": 1, "c": 4})) == [
            "a.c is 2 there, 4 here",
            "d is 3 there, 'unset' here",
        ]


class TestRoot:
    def test_file_in_the_way(self, tmp_path):
        """A file where the output folder should be is refused."""
        (tmp_path / "out").touch()
        with pytest.raises(OutputError, match=r"out can't be written"):
            Outputs(tmp_path / "out", IMAGE).prepare()

    def test_file_in_the_way_of_a_unit(self, outputs):
        """The same below it."""
        (outputs.root / "01-train").touch()
        with pytest.raises(OutputError, match="Not a directory"):
            outputs.states([UNIT])
        with pytest.raises(OutputError, match="can't be written"):
            outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)

    def test_settings_are_noted(self, outputs):
        """The folder of the records says which settings made them."""
        assert json.loads((outputs.records / "settings.json").read_text()) == IMAGE.settings.tree()

    def test_without_locks(self, outputs, monkeypatch):
        """A file system without locks is good enough."""

        def refuse(file: object, operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(files_module.fcntl, "flock", refuse)
        assert outputs.store(UNIT, arrays(), unit_record("complete"), replace=False)


STORE_MANY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_store import IMAGE, UNIT, Outputs, arrays, unit_record
outputs = Outputs(Path(sys.argv[2]), IMAGE)
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    outputs.store(UNIT, arrays(int(sys.argv[3]) * 1000 + number), unit_record(host=sys.argv[3]), replace=True)
"""


def test_two_processes(outputs):
    """Two processes that store one unit again and again leave an npz whose hash is in its record."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])}
    commands = [[sys.executable, "-c", STORE_MANY, str(HERE), str(outputs.root), str(number)] for number in range(2)]
    running = [
        subprocess.Popen(c, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) for c in commands
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    while any(process.poll() is None for process in running):
        # at every moment in between an npz that can be found is a whole one
        if (outputs.root / NPZ).exists():
            try:
                with np.load(outputs.root / NPZ) as stored:
                    assert list(stored) == ["a", "b"]
            except FileNotFoundError:
                pass
    for process in running:
        process.communicate()
        assert process.returncode == 0
    assert files(outputs) == {NPZ, RECORD}
    digest = hashlib.sha256((outputs.root / NPZ).read_bytes()).hexdigest()
    assert read_record(outputs.record_path(UNIT, "complete")).record.npz.sha256 == digest


class TestOneSetOfSettings:
    def test_outputs_of_other_units_count_too(self, tmp_path):
        """A folder that holds any output of other settings is refused, also when the run does other units."""
        one = Outputs(tmp_path, fingerprint("1" * 12, landmarks={"coordinates": "image"}))
        other = Outputs(tmp_path, fingerprint("2" * 12, landmarks={"coordinates": "adjusted"}))
        one.store(
            Unit("01", "train", 1), {"v": np.zeros((1, 184, 4), np.float32)}, unit_record("complete"), replace=False
        )
        elsewhere = Unit("02", "test", 9)
        one.refuse_foreign(one.states([elsewhere]))
        with pytest.raises(
            OutputError, match=r"01-train/0001.npz .* landmarks.coordinates is 'image' there, 'adjusted' here"
        ):
            other.refuse_foreign(other.states([elsewhere]))

    def test_after_overwriting_all_the_folder_is_of_one_kind(self, tmp_path):
        """What --overwrite replaced is no longer held against the folder."""
        one = Outputs(tmp_path, fingerprint("1" * 12, a=1))
        other = Outputs(tmp_path, fingerprint("2" * 12, a=2))
        unit = Unit("01", "train", 1)
        for outputs in (one, other):
            outputs.store(unit, {"v": np.zeros((1, 184, 4), np.float32)}, unit_record("complete"), replace=True)
        other.refuse_foreign(other.states([unit]))
        with pytest.raises(OutputError):
            one.refuse_foreign(one.states([Unit("01", "train", 2)]))
