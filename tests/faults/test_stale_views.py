"""Nodes that see late what other nodes do to the output folder, as on NFS: nothing is lost, mixed or half-written.

`stale_views.Node` says what a node remembers; here it remembers for ever, until a test lets it forget. The runs are
those of the real program, with landmarkers that take no time (`make test-faults`; ROUNDS=300 plays more).
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import call, fingerprint, tree_of, unit_record, write_config, write_frames
from fault_harness import Bench, Round, check_said, check_state, measure
from stale_views import Node
from synthetic.demo import DemoDataset

from kpsbatch.config import DatasetConfig, load_config
from kpsbatch.dataset.source import open_source
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL, write_bytes
from kpsbatch.look.verify import verify
from kpsbatch.store.claim import claim
from kpsbatch.store.index_file import update_index
from kpsbatch.store.outputs import Outputs, OutputState
from kpsbatch.store.records import RECORDED_STATES, RecordedState, read_record
from kpsbatch.store.run_state import Origin, Progress, read_runs, run_id
from kpsbatch.store.tracking import tracked
from kpsbatch.work.run import open_outputs

ROUNDS = int(os.environ.get("ROUNDS", "6")) // 24
SEED = int(os.environ.get("FAULT_SEED", "502"))
UNITS = [f"01-{split}/{sign:04}" for split in ("test", "train") for sign in (1, 2, 3)]
KILLED = -signal.SIGKILL
real_program = pytest.mark.skipif(not ROUNDS, reason="only with at least 24 ROUNDS, as in make test-faults")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Six units of two short videos."""
    folder = tmp_path_factory.mktemp("stale views (1)")
    for number in range(12):
        split, sign, video = ("train", "test")[number % 2], number // 2 % 3 + 1, f"v{number // 6}"
        write_frames(folder / "data" / "01" / split / f"{sign:04}" / video, 2, shade=20 * number + 10)
    write_config(folder, dataset={"layout": "{signer}/{split}/{sign:04d}", "splits": ["train", "test"], "signs": "1-3"})
    bench = Bench(DemoDataset(folder, ()), True, SEED)
    measure(bench, folder / "undisturbed")
    assert len(bench.expected) == 6
    return bench


@pytest.fixture
def this(bench: Bench, tmp_path: Path) -> Iterator[Round]:
    """A round; its processes end with it."""
    for name in ("marks", "nodes"):
        (tmp_path / name).mkdir()
    played = Round(bench, tmp_path, random.Random(SEED), 0)
    yield played
    for process in played.processes:
        process.kill()
        process.communicate()


def node_of(this: Round, name: str) -> Node:
    return Node(str(this.folder / "nodes" / name), str(this.root))


def start(this: Round, name: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command on a node."""
    here = ("--set", "run.workers=0")
    return this.start(*here, *arguments, node=str(this.folder / "nodes" / name), **options)


def end_of(this: Round, name: str, *arguments: str, **options: Any) -> tuple[int, str]:
    """A command on a node, from start to end: its status, and what it printed."""
    [status] = this.end(start(this, name, *arguments, **options))
    return status, this.said[-1][1]


def look_around(this: Round, *names: str) -> None:
    """Let nodes look at all that a run asks for; until they forget it, that is what they see."""
    config = load_config(this.bench.demo.config, [f"output.root={this.root}"])
    outputs, _ = open_outputs(config)
    units = open_source(config.dataset, this.folder / "index").units()
    for name in names:
        with node_of(this, name).seen():
            outputs.states(units, sweep=False)
            read_runs(this.root)
            (this.root / INTERNAL / "claim.json").exists()
            for unit in units:
                outputs.npz_path(unit).exists()
                for state in RECORDED_STATES:
                    outputs.record_path(unit, state).exists()


def stores(this: Round) -> list[tuple[str, bool]]:
    """Each unit that was handed to the store, and whether it was written."""
    log = this.folder / "marks" / "stores"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(unit, written == "True") for _, unit, written in lines]


def check_end(this: Round, *names: str) -> None:
    """A minute later each node finds all done and right, and what it left is gone."""
    for name in names:
        node_of(this, name).forget()
        assert end_of(this, name)[0] == 0, this.said
    check_said(this, {0})
    check_state(this)
    verdict = verify(load_config(this.bench.demo.config, [f"output.root={this.root}"]))
    assert (verdict.units, verdict.problems, verdict.left, verdict.failed_videos) == (6, [], [], 0)
    assert [path for path in this.root.rglob("*") if path.name.endswith(".partial")] == []


@real_program
@pytest.mark.parametrize("before", ["nothing", "a half"])
def test_two_runs_at_once(this: Round, before: str) -> None:
    """Two nodes do the same units and see nothing of each other: each unit is written once, and no run fails."""
    if before == "a half":
        assert end_of(this, "a", "--signs", "1")[0] == 0
    look_around(this, "a", "b")
    start(this, "a")
    start(this, "b")
    assert this.end(*this.processes[-2:]) == [0, 0], this.said
    assert sorted(unit for unit, written in stores(this) if written) == UNITS
    assert max(Counter(stores(this)).values()) == 1
    check_end(this)


@real_program
@pytest.mark.parametrize("number", range(ROUNDS or 1))
def test_killed_and_resumed(this: Round, number: int) -> None:
    """A run is killed again and again and resumed on another node, which sees the folder as it was before."""
    this.draw.seed(f"{SEED}-{number}")
    look_around(this, "a", "b")
    for name in ("a", "b", "a"):
        step = this.draw.randrange(len(this.bench.steps))
        fault = {"role": "parent", "step": step, "when": this.draw.choice(["before", "after"]), "do": "SIGKILL"}
        assert end_of(this, name, faults=[fault])[0] in (0, KILLED), this.said
        check_said(this, {0, KILLED})
        check_state(this)
    assert end_of(this, "b")[0] == 0, this.said
    check_end(this, "a", "b")


@real_program
def test_a_login_node_that_sees_nothing_yet(this: Round, capsys: pytest.CaptureFixture[str]) -> None:
    """It calls units left, never foreign or damaged; what it submits is done over, not written; later it is right."""
    assert end_of(this, "a", "--signs", "1")[0] == 0
    look_around(this, "login")
    assert end_of(this, "a")[0] == 0

    def ask(command: str, *arguments: str) -> tuple[int, str]:
        with node_of(this, "login").seen():
            return call(capsys, command, this.bench.demo.config, "--set", f"output.root={this.root}", *arguments)

    def groups() -> list[tuple[int, int, int]]:
        status, shown = ask("status", "--json")
        assert status == 0
        return [(group["complete"], group["left"], group["other"]) for group in json.loads(shown)["groups"]]

    def found() -> tuple[int, int, list[str]]:
        status, shown = ask("verify", "--json")
        return status, len(json.loads(shown)["left"]), json.loads(shown)["problems"]

    assert groups() == [(1, 2, 0), (1, 2, 0)]
    assert found() == (1, 4, [])
    assert end_of(this, "login", "--cluster", "local", command="submit")[0] == 0, this.said
    assert sorted(unit for unit, written in stores(this) if written) == UNITS
    over = [unit for unit, written in stores(this) if not written]
    assert {"01-test/0002", "01-train/0002"} <= set(over) <= set(UNITS) - {"01-test/0001", "01-train/0001"}
    node_of(this, "login").forget()
    assert groups() == [(3, 0, 0), (3, 0, 0)]
    assert found() == (0, 0, [])
    status, shown = ask("submit", "--cluster", "local")
    assert status == 0 and "Nothing to do" in shown
    check_end(this)


@real_program
@pytest.mark.parametrize("changed", ["a", "b"])
def test_runs_with_other_settings(this: Round, changed: str) -> None:
    """Of two tasks with other settings that start at once one goes on; the other says in one line what differs."""
    for name in ("runs", "records"):
        (this.root / INTERNAL / name).mkdir(parents=True)
    for name in ("store.lock", "index.lock"):
        (this.root / INTERNAL / name).touch()
    look_around(this, "a", "b")
    for name, signs in (("a", "1-2"), ("b", "3")):  # no unit of the one is a unit of the other
        other = ["--set", "landmarks.confidence.hand_detection=0.4"] if name == changed else []
        start(this, name, "--signs", signs, *other)
    assert sorted(this.end()) == [0, 2], this.said
    [refusal] = [error for status, _, error in this.said if status == 2]
    assert "with other settings: landmarks.confidence.hand_detection is" in refusal
    check_said(this, {0, 2})
    records = list((this.root / INTERNAL / "records").glob("*/*-*/*.json"))
    assert len(records) in (2, 4) and len({path.parents[1] for path in records}) == 1
    check_state(this)


# The same step by step: what the nodes do, in the order that hurts most.

UNIT = Unit("01", "train", 1)
OURS = {"v": np.zeros((2, 184, 4), np.float32)}
THEIRS = {"v": np.ones((2, 184, 4), np.float32)}


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    (tmp_path / "out").mkdir()
    return Outputs(tmp_path / "out", fingerprint("0" * 12, mediapipe="1"))


@pytest.fixture
def nodes(tmp_path: Path) -> tuple[Node, Node]:
    return Node(str(tmp_path / "a"), str(tmp_path / "out")), Node(str(tmp_path / "b"), str(tmp_path / "out"))


def store(outputs: Outputs, state: RecordedState, arrays: dict[str, Any], *, replace: bool = False) -> bool:
    return outputs.store(UNIT, {} if state == "failed" else arrays, unit_record(state), replace=replace)


def state_of(outputs: Outputs) -> OutputState | None:
    """What is really there; npz and record agree."""
    state = outputs.states([UNIT], sweep=False).get(UNIT)
    records = [each for each in RECORDED_STATES if outputs.record_path(UNIT, each).exists()]
    assert records == ([] if state is None else [state])
    for each in records:
        record = read_record(outputs.record_path(UNIT, each)).record
        there = outputs.npz_path(UNIT)
        assert record is not None
        assert (record.npz and record.npz.sha256) == (
            hashlib.sha256(there.read_bytes()).hexdigest() if there.exists() else None
        )
    return state


def test_what_a_node_sees(tmp_path: Path, nodes: tuple[Node, Node]) -> None:
    """What others do is seen late, whoever asks; its own changes, and what the server decides, at once."""
    a, b = nodes
    root = tmp_path / "out"
    (root / "x").mkdir(parents=True)
    new, old, mine = (root / "x" / name for name in ("new", "old", "mine"))
    old.write_text("1")

    def seen() -> list[object]:
        with b.seen():
            listed = [sorted(os.listdir(new.parent)), sorted(path.name for path in new.parent.glob("*"))]
            found = [new.exists(), new.is_file(), os.path.exists(new), old.exists(), old.stat().st_size]
            reads: list[Callable[[], object]] = [new.read_bytes, new.open, new.unlink]
            reads += [partial(open, new), partial(os.open, new, os.O_RDONLY)]
            for read in reads:
                with pytest.raises(FileNotFoundError):
                    read()
            return [*listed, *found]

    before = seen()
    assert before == [["old"], ["old"], False, False, False, True, 1]
    with a.seen():
        new.write_text("22")
        old.unlink()
    assert seen() == before
    with b.seen():
        with pytest.raises(FileExistsError):
            new.open("x")
        assert new.exists() and os.listdir(new.parent) == ["old"]
        with pytest.raises(FileNotFoundError):
            old.read_bytes()
        mine.touch()
        assert sorted(os.listdir(new.parent)) == ["mine", "new"]
        assert mine.exists() and not old.exists()
    with a.seen():
        mine.write_text("333")
        mine.rename(old)
    with b.seen():
        assert mine.stat().st_size == 0 and not old.exists()
        b.forget()
        assert not mine.exists() and old.stat().st_size == 3


@contextlib.contextmanager
def before_the_lock(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> Iterator[None]:
    """Let something happen while another process waits for the store's lock."""
    lock = Outputs.lock

    @contextlib.contextmanager
    def locked(self: Outputs, name: str = "store.lock") -> Iterator[None]:
        monkeypatch.setattr(Outputs, "lock", lock)
        self.states([UNIT], sweep=False)
        self.npz_path(UNIT).exists()
        do()
        with lock(self, name):
            yield

    monkeypatch.setattr(Outputs, "lock", locked)
    yield
    assert Outputs.lock is lock


@pytest.mark.parametrize("ours", RECORDED_STATES)
@pytest.mark.parametrize("theirs", RECORDED_STATES)
def test_the_first_stays(
    outputs: Outputs,
    nodes: tuple[Node, Node],
    monkeypatch: pytest.MonkeyPatch,
    theirs: RecordedState,
    ours: RecordedState,
) -> None:
    """A unit that another node stores while this one waits for the lock is not replaced, unless all of it failed."""
    a, b = nodes

    def store_theirs() -> None:
        with a.seen():
            assert store(outputs, theirs, THEIRS)

    with b.seen():
        outputs.prepare_for([UNIT])
        with before_the_lock(monkeypatch, store_theirs):
            assert store(outputs, ours, OURS) == (theirs == "failed")
    assert state_of(outputs) == (ours if theirs == "failed" else theirs)


@pytest.mark.parametrize("sweep", [True, False])
def test_records_that_were_listed_before_the_npz_came(outputs: Outputs, nodes: tuple[Node, Node], sweep: bool) -> None:
    """A unit whose npz is seen, and its record not yet, is none of other settings."""
    a, b = nodes
    with a.seen():
        outputs.prepare_for([UNIT])
        outputs.records.joinpath(UNIT.folder).mkdir()
    with b.seen():
        assert outputs.states([UNIT], sweep=False) == {}
    with a.seen():
        store(outputs, "complete", THEIRS)
    with b.view() as view:
        del view.folders[str(outputs.root)]
    with b.seen():
        assert outputs.states([UNIT], sweep=sweep) == {UNIT: "complete"}


@real_program
def test_repair_looks_again(this: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not seen yet when it is to be repaired, but stored by then, stays."""
    shutil.copytree(this.bench.demo.directory / "undisturbed" / "disk" / "out", this.root)
    config = load_config(this.bench.demo.config, [f"output.root={this.root}"])
    npz = this.root / f"{UNIT.name}.npz"
    data = npz.read_bytes()
    npz.unlink()

    def store_theirs() -> None:
        with node_of(this, "a").seen():
            write_bytes(npz, data)

    with node_of(this, "b").seen(), before_the_lock(monkeypatch, store_theirs):
        verdict = verify(config, repair=True)
    assert (verdict.repaired, verdict.kept) == ([], [(UNIT, "another run has stored it meanwhile")])
    assert npz.read_bytes() == data


@contextlib.contextmanager
def at_work(outputs: Outputs, shard: int, *, overwrite: bool = False) -> Iterator[Progress]:
    """A run that has claimed the folder."""
    origin, progress = Origin("s", shard, 9), Progress()
    with tracked(outputs.root, origin, progress) as note:
        outputs.prepare()
        progress.fingerprint = outputs.fingerprint.digest
        note(at_once=True)
        no_videos = tree_of(DatasetConfig(root=outputs.root, layout="{signer}/{split}/{sign}"))
        claim(outputs, run_id(origin), no_videos, overwrite=overwrite)
        yield progress


def test_a_claim_whose_outputs_are_not_seen_yet(outputs: Outputs, nodes: tuple[Node, Node]) -> None:
    """Units that a run with other settings has just stored hold its claim, although this node can't see them."""
    a, b = nodes
    other = Outputs(outputs.root, fingerprint("1" * 12, mediapipe="2"))
    with a.seen(), at_work(outputs, 0) as progress:
        outputs.prepare_for([UNIT])
        outputs.records.joinpath(UNIT.folder).mkdir()
        with b.seen(), pytest.raises(OutputError, match="run is at work there with other settings"):
            at_work(other, 1).__enter__()
        progress.units_done += store(outputs, "complete", THEIRS)
    with b.seen():
        with pytest.raises(OutputError, match="run was just at work there with other settings: mediapipe is '1' there"):
            at_work(other, 1).__enter__()
        with at_work(other, 1, overwrite=True):
            pass


def test_rows_of_the_index(tmp_path: Path) -> None:
    """index.csv keeps the rows of units that another node has stored and this one does not see."""
    for number in (1, 2):
        write_frames(tmp_path / "data" / f"v{number}", 2)
    columns = ["video", "id", "signer", "split", "sign"]
    (tmp_path / "videos.csv").write_text(",".join(columns) + "\nv1,v1,A,train,1\nv2,v2,B,train,1\n")
    manifest = {"path": "videos.csv", "columns": {name: name for name in columns}}
    every = dict.fromkeys(("signers", "splits", "signs"), "all")
    config = load_config(write_config(tmp_path, dataset={"root": "data", "manifest": manifest, **every}))
    source = open_source(config.dataset, tmp_path / "index")
    outputs = Outputs(config.output.root, fingerprint("0" * 12))
    a, b = (Node(str(tmp_path / name), str(outputs.root)) for name in "ab")
    units = source.units()
    assert len({unit.folder for unit in units}) == 2

    def store_and_list(unit: Unit) -> list[str]:
        [video] = source.listing(unit).videos
        facts = {"frames": 2, "found": {}, "hands": {}, "attempts": 1, **source.made_of(video)._asdict()}
        record = unit_record("complete", videos={video.name: facts})
        assert outputs.store(unit, {video.name: OURS["v"]}, record, replace=False)
        update_index(config, source, outputs)
        with (outputs.root / "index.csv").open() as file:
            return [row["key"] for row in csv.DictReader(file)]

    with a.seen():
        outputs.prepare_for(units)
        for unit in units:
            for folder in (outputs.root, outputs.records):
                (folder / unit.folder).mkdir()
    with b.seen():
        assert not (outputs.root / "index.csv").exists()
        outputs.states(units, sweep=False)
    with a.seen():
        assert store_and_list(units[0]) == ["v1"]
    with b.seen():
        assert store_and_list(units[1]) == ["v1", "v2"]
