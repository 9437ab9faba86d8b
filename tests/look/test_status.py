"""`status` tells from files alone what is done, running, failed and left; it opens no npz and asks nobody."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import fingerprint, tree_of, unit_record
from processes import REPOSITORY
from rich.cells import cell_len

from kpsbatch.cluster.queue import job_name
from kpsbatch.config import Config, load_config
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, InterruptedRun, KpsbatchError, OutputError
from kpsbatch.files import temporary_path
from kpsbatch.look import status_screen
from kpsbatch.look.logs import Task, tasks_of
from kpsbatch.look.status import MAX_RECORDS, Group, Status, StatusReader
from kpsbatch.look.status_screen import picture
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.run_state import ALONE, Progress, read_runs
from kpsbatch.store.settings import settings_of
from kpsbatch.store.submissions import Plan, Shard, write_jobs, write_plan
from kpsbatch.store.tracking import tracked
from kpsbatch.words import terminal

HERE = Path(__file__).parents[1]
ARRAY = {"clip": np.zeros((1, 184, 4), np.float32)}


def made_with(config: Config, digest: str, mediapipe: str | None = None) -> Outputs:
    """The outputs as a run with this config would see them, with any models."""
    from importlib.metadata import version

    ours = settings_of(config).tree()
    made = fingerprint(digest, mediapipe=mediapipe or version("mediapipe"), models={"pose": digest}, **ours)
    return Outputs(config.output.root, made)


def store(outputs: Outputs, units: Iterable[Unit], state: Any = "complete", **videos: str) -> None:
    """Store units, with failed videos and their reasons."""
    entries = {"clip": {"frames": 1}, **{name: {"error": reason} for name, reason in videos.items()}}
    for unit in units:
        outputs.store(unit, {} if state == "failed" else ARRAY, unit_record(state, videos=entries), replace=True)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two signers, two splits, signs 1 to 6: sign 5 is absent everywhere, sign 6 holds no video."""
    (tmp_path / "labels.csv").write_text("id,arabic,english\n2,اثنان,two\n3,ثلاثة,three\n", encoding="utf-8")
    (tmp_path / "config.yaml").write_text(
        'dataset: {root: some data, signers: ["01", "02"], signs: 1-6, labels: labels.csv}\noutput: {root: out}\n'
    )
    config = load_config(tmp_path / "config.yaml")
    for unit in tree_of(config.dataset).units():
        if unit.sign != 5:
            tree_of(config.dataset).folder(unit).mkdir(parents=True)
        if unit.sign < 5:
            (tree_of(config.dataset).folder(unit) / "clip").mkdir()
        if unit.sign == 6:
            (tree_of(config.dataset).folder(unit) / "Thumbs.db").touch()
    return config


def write_run(config: Config, name: str, *, began: float = 100, silent: float = 0, **changes: Any) -> None:
    """The state file of a run that began and was last heard of so many seconds ago."""
    now = datetime.now(timezone.utc)
    state = {
        "version": 1,
        "run": name,
        "submission": None,
        "shard": None,
        "shards": None,
        "job": None,
        "array_task": None,
        "host": "node1",
        "pid": 1,
        "log": None,
        "state": "running",
        "started": (now - timedelta(seconds=began)).isoformat(),
        "updated": (now - timedelta(seconds=silent)).isoformat(),
        "videos": 100,
        "videos_done": 50,
        "videos_failed": 0,
        "frames": 500,
        "units": 4,
        "units_done": 2,
        "unit": "01-train/0001",
        "slowest": [],
        "error": "",
        **changes,
    }
    folder = config.output.root / "_kpsbatch" / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(state))
    os.utime(path, (time.time() - silent,) * 2)


def read(config: Config) -> Status:
    return StatusReader(config).read()


class TestUnits:
    def test_before_the_first_run(self, config):
        """Nothing is done, and what has no folder or no video is not counted as left."""
        status = read(config)
        counts = {name: status.count(name) for name in ("units", "complete", "left", "absent", "empty", "other")}
        assert counts == {"units": 24, "complete": 0, "left": 16, "absent": 4, "empty": 4, "other": 0}
        assert (status.to_do, status.fingerprint, status.tasks, status.notes) == (16, "", [], [])
        assert not config.output.root.exists()

    def test_groups(self, config):
        """Complete, partial, failed and left by signer and split, with the signs that are left."""
        outputs = made_with(config, "aaaaaaaaaaaa")
        store(outputs, [Unit("01", "train", 1), Unit("01", "train", 3), Unit("02", "test", 4)])
        store(outputs, [Unit("01", "train", 2)], "partial", bad="no frame")
        store(outputs, [Unit("01", "test", 1)], "failed", bad="no frame")
        (outputs.records / "02-test" / "0003.json").write_text("{}")  # killed between the record and the npz
        status = read(config)
        found = {
            (g.signer, g.split): (g.complete, g.partial, g.failed, g.left, g.left_signs, g.absent, g.empty)
            for g in status.groups
        }
        assert found == {
            ("01", "train"): (2, 1, 0, 1, "4", 1, 1),
            ("01", "test"): (0, 0, 1, 3, "2-4", 1, 1),
            ("02", "train"): (0, 0, 0, 4, "1-4", 1, 1),
            ("02", "test"): (1, 0, 0, 3, "1-3", 1, 1),
        }
        assert status.fingerprint == "aaaaaaaaaaaa"

    def test_a_few_and_many(self, config, monkeypatch):
        """Whether units are looked for one by one or in threads, the same is found of each."""
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 2), Unit("02", "test", 1)])
        found = []
        for readers in (1, 100):
            monkeypatch.setattr("kpsbatch.files.READERS", readers)
            found.append([vars(group) for group in read(config).groups])
        assert found[0] == found[1]
        assert [group["left_signs"] for group in found[0]] == ["1,3-4", "1-4", "1-4", "2-4"]

    def test_dataset_elsewhere(self, config):
        """Where the dataset is not mounted, everything unfinished counts as left, and a note says so."""
        config.dataset.root.rename(config.dataset.root.with_name("moved"))
        status = read(config)
        assert (status.count("left"), status.count("absent")) == (24, 0)
        assert "the dataset is not here" in status.notes[0]

    def test_other_settings(self, config):
        """Outputs of other settings are counted apart, with what differs."""
        other = config.model_copy(update={"landmarks": config.landmarks.model_copy(update={"running_mode": "image"})})
        store(made_with(other, "bbbbbbbbbbbb"), [Unit("01", "train", 1)])
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 2)])
        status = read(config)
        assert (status.count("complete"), status.count("other"), status.count("left")) == (1, 1, 14)
        assert "01-train/0001.npz) were made with other settings" in status.notes[0]
        assert "landmarks.running_mode is 'image' there, 'clip' here" in status.notes[0]

    def test_only_other_settings(self, config):
        """Without any output of these settings, the others are named all the same."""
        other = config.model_copy(update={"output": config.output.model_copy(update={"dtype": "float16"})})
        store(made_with(other, "bbbbbbbbbbbb"), [Unit("01", "train", 1)])  # and nothing else is kept of it
        status = read(config)
        assert (status.count("complete"), status.count("other")) == (0, 1)
        assert "output.dtype is 'float16' there, 'float32' here" in status.notes[0]

    def test_several_models(self, config):
        """Of several models with the same settings, those used last count, and a note says so."""
        first, second = made_with(config, "bbbbbbbbbbbb"), made_with(config, "aaaaaaaaaaaa")
        store(first, [Unit("01", "train", 1)])
        store(second, [Unit("01", "train", 2)])
        for outputs, age in ((first, 0), (second, 1000)):
            for path in (*outputs.records.iterdir(), outputs.records):
                os.utime(path, (time.time() - age,) * 2)
        status = read(config)
        assert (status.fingerprint, status.count("complete"), status.count("other")) == ("bbbbbbbbbbbb", 1, 1)
        assert "several models" in status.notes[0]

    def test_mediapipe_of_another_version(self, config):
        """Outputs of this mediapipe are preferred; those of another count where there are no others, with a note."""
        store(made_with(config, "bbbbbbbbbbbb", "0.0.1"), [Unit("01", "train", 1)])
        status = read(config)
        assert status.count("complete") == 1
        assert "mediapipe 0.0.1; here is" in status.notes[0]
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 2)])
        assert read(config).fingerprint == "aaaaaaaaaaaa"

    def test_unreadable_settings(self, config):
        """Damaged settings are passed over."""
        (config.output.root / "_kpsbatch" / "records" / "cccccccccccc").mkdir(parents=True)
        (config.output.root / "_kpsbatch" / "records" / "cccccccccccc" / "settings.json").write_text("{")
        assert read(config).fingerprint == ""

    def test_changes_nothing(self, config):
        """Status leaves stale temporary files to the runs."""
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 1)])
        stale = temporary_path(config.output.root / "01-train" / "0002.npz")
        stale.touch()
        os.utime(stale, (0, 0))
        before = sorted(config.output.root.rglob("*"))
        read(config)
        assert sorted(config.output.root.rglob("*")) == before


class TestTasks:
    def test_running(self, config):
        """Rates of what runs add up; time to go covers the videos in hand and an estimate for the rest."""
        write_run(config, "job-7_0", job="7", array_task=0, shard=0, shards=2)
        write_run(config, "job-7_1", job="7", array_task=1, shard=1, shards=2, frames=1500)
        status = read(config)
        assert status.task_states == {"running": 2}
        assert status.now.videos == pytest.approx(1.0, abs=0.01)
        assert status.now.frames == pytest.approx(20, abs=0.2)
        # 16 units are left: 2 + 2 in hand with 50 + 50 videos to do, the other 12 at 25 videos each
        assert status.videos_left == 400
        assert status.seconds_to_go == pytest.approx(400, rel=0.01)

    def test_lost(self, config):
        """A run that has been silent for over two minutes is lost and has no rate."""
        write_run(config, "run-a", began=1000, silent=500)
        status = read(config)
        assert status.task_states == {"lost": 1}
        assert (status.now.videos, status.seconds_to_go) == (0, None)
        assert status.average.videos == pytest.approx(0.1, abs=0.001)
        assert status.tasks[0].silent == pytest.approx(500, abs=5)

    def test_a_silent_task_does_nothing(self, config):
        """Half a minute without a sign of life: its work is not counted down, and no time to go is told from it."""
        write_run(config, "run-a", began=110, silent=10, videos=200)
        before = read(config)
        write_run(config, "run-a", began=160, silent=60, videos=200)
        after = read(config)
        assert (before.tasks[0].is_silent, after.tasks[0].is_silent) == (False, True)
        assert after.videos_left == 800  # 16 units at 50 videos each
        assert after.seconds_to_go is None
        text = "\n".join("".join(part for part, _ in line.parts) for line in picture(after))
        assert "silent for" in text
        assert "to go" not in text

    def test_rates_after_a_requeue(self, config):
        """Rates are those of all starts of a task, whatever its last start has done yet."""
        before = {"spans": [[0.0, 50.0]], "videos": 25, "frames": 250, "cpu_seconds": 90.0}
        write_run(config, "run-a", began=50, videos_done=0, frames=0, restarts=1, before=before)
        status = read(config)
        assert (status.now.videos, status.now.frames) == (pytest.approx(0.25, rel=0.1), pytest.approx(2.5, rel=0.1))
        assert status.average.videos == pytest.approx(0.25, rel=0.1)
        assert status.seconds_to_go

    def test_a_requeued_task_keeps_what_its_starts_did(self, config, monkeypatch):
        """The state file of a task that starts again adds its last start to those before; memory is the most of any."""
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        config.output.root.mkdir()
        for restart in range(3):
            monkeypatch.setenv("SLURM_RESTART_COUNT", str(restart))
            progress = Progress()
            with contextlib.suppress(InterruptedRun), tracked(config.output.root, ALONE, progress):
                progress.videos_done, progress.frames = 4, 40
                raise InterruptedRun("by SIGUSR2")
        [run] = read_runs(config.output.root)
        assert (run.before.videos, run.before.frames, len(run.before.spans)) == (8, 80, 2)

    def test_finished_before_is_not_no_video(self, config):
        """Where units are finished and the tasks have done no video yet, the status says whose."""
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 1)])
        write_run(config, "run-a", videos_done=0, frames=0, units_done=0)
        text = "\n".join("".join(part for part, _ in line.parts) for line in picture(read(config)))
        assert "1 of 16 units are finished" in text
        assert "no video of these tasks is done yet" in text

    @pytest.mark.parametrize("hours", [-5, 5])
    def test_clock_of_another_host(self, config, hours):
        """A node whose clock is wrong is not lost: the file's age counts, by the file system's own clock."""
        write_run(config, "run-a")
        [path] = (config.output.root / "_kpsbatch" / "runs").glob("*.json")
        state = json.loads(path.read_text())
        for name in ("started", "updated"):
            state[name] = (datetime.fromisoformat(state[name]) + timedelta(hours=hours)).isoformat()
        path.write_text(json.dumps(state))
        assert read(config).task_states == {"running": 1}
        os.utime(path, (time.time() - 500,) * 2)
        status = read(config)
        assert status.task_states == {"lost": 1}
        assert status.tasks[0].silent == pytest.approx(500, abs=20)

    def test_failed_and_interrupted(self, config):
        """Failed and interrupted runs keep their error."""
        write_run(config, "run-a", state="failed", error="no space left", shard=0, shards=2)
        write_run(config, "run-b", state="interrupted", error="by SIGTERM", shard=1, shards=2)
        tasks = {task.name: (task.state, task.error) for task in read(config).tasks}
        assert tasks == {"run-a": ("failed", "no space left"), "run-b": ("interrupted", "by SIGTERM")}

    def test_superseded(self, config):
        """A run that ended no longer counts when a newer one of the same shard is there; one that runs does."""
        write_run(config, "run-a", began=900, silent=800, state="interrupted")
        write_run(config, "run-b", began=700)
        write_run(config, "run-c", began=500, silent=400, state="finished")
        assert [task.name for task in read(config).tasks] == ["run-b", "run-c"]

    def test_average_of_overlapping_runs(self, config):
        """Time in which two runs ran at once counts once."""
        write_run(config, "run-a", began=300, silent=200, state="finished", shard=0)
        write_run(config, "run-b", began=250, silent=150, state="finished", shard=1)
        assert read(config).average.videos == pytest.approx(100 / 150, rel=0.01)

    def test_submission(self, config):
        """Every shard of the newest submission is a task, those that wait or never started too."""
        plan = Plan(id="20261122-101010-abcd", shards=tuple(Shard(signs=(sign,), units=4) for sign in (1, 2, 3)))
        folder = write_plan(config, plan)
        write_jobs(folder, "slurm", ["9_0", "9_1", "9_2"])
        write_run(config, f"{plan.id}-0000", submission=plan.id, shard=0, shards=3, job="9", array_task=0)
        log = folder / "logs" / "9_1_0_log.out"
        log.touch()
        os.utime(log, (0, 0))
        tasks = {task.name: (task.state, task.job) for task in read(config).tasks}
        assert tasks == {
            "shard 0 of 3": ("running", "9_0"),
            "shard 1 of 3": ("failed", "9_1"),
            "shard 2 of 3": ("waiting", "9_2"),
        }

    def test_cancelled_while_it_waited(self, config, tmp_path, monkeypatch):
        """squeue is asked once where tasks wait: what it does not show was cancelled; without it, that is not known."""
        plan = Plan(id="20261122-101010-abcd", shards=tuple(Shard(signs=(sign,), units=4) for sign in (1, 2)))
        folder = write_plan(config, plan)
        write_jobs(folder, "slurm", ["9_0", "9_1"])
        monkeypatch.setenv("PATH", str(tmp_path))
        status = read(config)
        assert status.task_states == {"waiting": 2}
        assert "squeue is not here" in status.notes[-1]
        squeue = tmp_path / "squeue"
        squeue.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\necho 9_1\n')
        squeue.chmod(0o755)
        reader = StatusReader(config)
        for _ in range(2):
            assert reader.read().task_states == {"cancelled": 1, "waiting": 1}
        asked = (tmp_path / "calls").read_text()
        assert asked == f"--noheader --array --name={job_name(config.output.root)} --format=%i\n"
        [cancelled] = [task for task in reader.read().tasks if task.state == "cancelled"]
        assert (cancelled.job, cancelled.needs_attention) == ("9_0", True)
        assert "Submit again" in cancelled.error

    def test_older_submission_still_runs(self, config):
        """What still runs of an older submission is shown too; what ended is not."""
        for number, sign in ((1, 1), (2, 2)):
            write_plan(config, Plan(id=f"20261122-10101{number}-abcd", shards=(Shard(signs=(sign,), units=4),)))
        old = "20261122-101011-abcd"
        write_run(config, f"{old}-0000", submission=old, shard=0, shards=2)
        write_run(config, f"{old}-0001", submission=old, shard=1, shards=2, state="finished")
        assert [(task.name, task.state) for task in read(config).tasks] == [
            ("shard 0 of 1", "waiting"),
            (f"{old}-0000", "running"),
        ]

    def test_all_done(self, config):
        """When nothing is left and nothing runs, it is over."""
        store(made_with(config, "aaaaaaaaaaaa"), [unit for unit in tree_of(config.dataset).units() if unit.sign < 5])
        write_run(config, "run-a", state="finished")
        status = read(config)
        assert status.is_over
        assert (status.videos_left, status.seconds_to_go) == (0, 0)

    def test_runs_without_work(self, config, monkeypatch):
        """A run that was refused, or had nothing to do, is no task, failed or not; a task of an array is one."""
        for name in [name for name in os.environ if name.startswith("SLURM")]:
            monkeypatch.delenv(name)
        config.output.root.mkdir()
        errors = (OutputError("made with other settings"), InterruptedRun("by SIGINT"), None)
        for error in errors:
            with contextlib.suppress(KpsbatchError), tracked(config.output.root, ALONE, Progress()):
                if error is not None:
                    raise error
            assert read(config).tasks == []
            assert tasks_of(config.output.root) == []
        with contextlib.suppress(ZeroDivisionError), tracked(config.output.root, ALONE, Progress()):
            raise ZeroDivisionError
        assert read(config).task_states == {"failed": 1}
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        with contextlib.suppress(OutputError), tracked(config.output.root, ALONE, Progress()):
            raise OutputError("made with other settings")
        assert "job-5" in [task.name for task in tasks_of(config.output.root) if task.needs_attention]

    def test_odd_state_files(self, config):
        """State files of another release or cut off stop nothing."""
        write_run(config, "run-a", slowest=None, videos=None, state="finished", shard=3)
        write_run(config, "run-b", slowest=[["x"]], frames=None, state="finished", shard=4)
        (config.output.root / "_kpsbatch" / "runs" / "run-c.json").write_text("{")
        assert len(read(config).tasks) == 2


class TestFailing:
    def test_names_and_reasons(self, config):
        """Units with failed videos: those that failed entirely first, with label, video and reason."""
        outputs = made_with(config, "aaaaaaaaaaaa")
        store(outputs, [Unit("01", "train", 1)], "partial", b="12 of 20\nframes", c="timed out")
        store(outputs, [Unit("02", "train", 3)], "failed", only="no frame")
        status = read(config)
        assert [(unit.unit, unit.state, unit.label, unit.failed, unit.videos) for unit in status.failing] == [
            ("02-train/0003", "failed", "three · ثلاثة", 1, [("only", "no frame")]),
            ("01-train/0001", "partial", "", 2, [("b", "12 of 20 frames"), ("c", "timed out")]),
        ]

    def test_damaged_record(self, config):
        """A record that can't be read leaves the unit in the list."""
        outputs = made_with(config, "aaaaaaaaaaaa")
        store(outputs, [Unit("01", "train", 1)], "partial", b="x")
        outputs.record_path(Unit("01", "train", 1), "partial").write_text("[")
        assert [unit.videos for unit in read(config).failing] == [[]]

    def test_slowest(self, config):
        """The slowest units of all runs, with their names."""
        write_run(config, "run-a", shard=0, slowest=[["01-train/0002", 9.5], ["01-train/0001", 2.0]])
        write_run(config, "run-b", shard=1, slowest=[["02-test/0003", 12.0]])
        assert read(config).slowest == [
            ("02-test/0003", 12.0, "three · ثلاثة"),
            ("01-train/0002", 9.5, "two · اثنان"),
            ("01-train/0001", 2.0, ""),
        ]

    def test_labels_that_cannot_be_read(self, config):
        """A labels file that is set has to be there."""
        (config.output.root.parent / "labels.csv").unlink()
        with pytest.raises(ConfigError, match=r"labels\.csv does not exist"):
            read(config)


class TestFilesOnly:
    def test_opens_no_npz(self, config):
        """Neither an npz nor the record of a complete unit is opened, and no heavy library is imported."""
        outputs = made_with(config, "aaaaaaaaaaaa")
        store(outputs, [Unit("01", "train", 1)])
        store(outputs, [Unit("01", "train", 2)], "partial", b="x")
        write_run(config, "run-a")
        code = (
            "import sys\n"
            "def note(event, arguments):\n"
            "    if event == 'open' and '/out/' in str(arguments[0]): print('opened', arguments[0], file=sys.stderr)\n"
            "    if event in ('subprocess.Popen', 'socket.connect', 'os.remove'): print(event, file=sys.stderr)\n"
            "sys.addaudithook(note)\n"
            "from kpsbatch.cli.main import main\n"
            "try:\n    main(['status', sys.argv[1], '--json'])\n"
            "finally:\n"
            "    heavy = ('mediapipe', 'cv2', 'numpy', 'submitit')\n"
            "    print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(config.output.root.parent / "config.yaml")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout)["all"]["partial"] == 1
        *opened, imported = done.stderr.splitlines()
        names = {line.rpartition("/")[2] for line in opened}
        wanted = {"0001.json", "0002.partial.json", "run-a.json", "settings.json", "gone.json"}
        assert names == {*wanted, "runs"}  # the last for its clock
        assert imported == "[]"

    def test_imports_little(self, config):
        """On a slow file system each import is felt: only what this command needs is read."""
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 1)])
        path = str(config.output.root.parent / "config.yaml")
        imported = {}
        for form in ("--json", "--quiet"):
            command = [sys.executable, "-X", "importtime", "-m", "kpsbatch", "status", path, form]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
            imported[form] = set(re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.M))
        own = {name for name in imported["--quiet"] if name.startswith("kpsbatch.")}
        assert not {f"kpsbatch.cli.{name}" for name in ("prepare", "run", "pages", "outputs")} & own
        assert len(own) <= 50
        needless = {
            "numpy",
            "pygments",
            "rich",
            "submitit",
            "typer.rich_utils",
            "kpsbatch.work",
            "kpsbatch.store.tracking",
        }
        needless |= {"kpsbatch.dataset.archive", "kpsbatch.dataset.manifest"}
        assert not needless & (imported["--quiet"] | imported["--json"])

    def test_few_records(self, config, monkeypatch):
        """However many units failed, a bounded number of records is read."""
        monkeypatch.setattr("kpsbatch.look.status.MAX_RECORDS", 2)
        assert MAX_RECORDS <= 500
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", sign) for sign in (1, 2, 3)], "partial", b="x")
        status = read(config)
        assert (len(status.failing), status.failing_unread) == (2, 1)

    def test_watching_lists_the_dataset_once(self, config, monkeypatch):
        """Units that were seen to have videos are not looked for again."""
        asked: list[Unit] = []
        presence = LayoutSource.presence
        monkeypatch.setattr(LayoutSource, "presence", lambda self, unit: asked.append(unit) or presence(self, unit))
        reader = StatusReader(config)
        reader.read()
        first = len(asked)
        reader.read()
        assert (first, len(asked) - first) == (24, 8)  # the absent and the empty ones only


def kpsbatch(config: Config, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kpsbatch", "status", str(config.output.root.parent / "config.yaml"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


class TestCommand:
    def test_text(self, config):
        """The plain text holds units, tasks, failures and names, and no colour codes when it is no terminal."""
        outputs = made_with(config, "aaaaaaaaaaaa")
        store(outputs, [Unit("01", "train", 1)])
        store(outputs, [Unit("01", "train", 2)], "partial", **{"[red]clip": "12 of 20 frames can't be read"})
        write_run(config, "run-a", slowest=[["01-train/0002", 90.0]])
        done = kpsbatch(config)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("2 of 16 units are finished (12%)")
        assert re.search(r"^01 +train +6 +1 +1 +0 +2 +1 +1 *$", done.stdout, re.MULTILINE)
        assert "0.50 videos/s, 5 frames/s now, about" in done.stdout
        assert "tasks: 1 running" in done.stdout
        assert "01-train/0002 two · اثنان  partial; [red]clip: 12 of 20 frames can't be read" in done.stdout
        assert "01-train/0002 two · اثنان  1 min 30 s of work" in done.stdout
        assert "\x1b" not in done.stdout

    def test_json(self, config):
        """--json is one line with exactly the documented keys."""
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 2)], "partial", clip="broken")
        write_run(config, "run-a", slowest=[["01-train/0002", 90.0]])
        done = kpsbatch(config, "--json")
        assert (done.returncode, done.stdout.count("\n")) == (0, 1)
        tree = json.loads(done.stdout)
        documented = (HERE.parent / "docs" / "json.md").read_text(encoding="utf-8")
        for name, value in _keys(tree):
            assert f"`{name}`" in documented, f"{name} = {value!r} is not in docs/json.md"
        assert tree["failing"][0]["videos"] == [{"video": "clip", "reason": "broken"}]
        assert tree["tasks"][0]["node"] == "node1"

    def test_whole_reasons(self, config):
        """Into a file, the reason of a failure stays on one line, however long."""
        reason = "a long story " * 40
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 1)], "failed", clip=reason)
        assert f"clip: {reason.strip()}\n" in kpsbatch(config).stdout

    def test_selection(self, config):
        """--signers, --splits and --signs narrow it down."""
        tree = json.loads(kpsbatch(config, "--json", "--signers", "02", "--splits", "test", "--signs", "1-2").stdout)
        assert tree["all"]["units"] == 2

    def test_names_of_any_script(self):
        """Columns stand below each other, whatever letters a name has: wide ones, and marks without a width."""
        names = ("01", "مُحَمَّد", "手話", "e\u0301")
        status = Status(Path("out"), "", [Group(name, "train", units=12, left=3) for name in names])
        lines = ["".join(text for text, _ in line.parts) for line in picture(status)]
        table = lines[1:7]
        assert [line.split()[0] for line in table] == ["signer", *names, "all"]
        assert len({cell_len(line) for line in table}) == 1

    def test_bar(self, config, monkeypatch):
        """The bar has its full length when all is done, and is no wider than the terminal."""
        monkeypatch.setenv("FORCE_COLOR", "1")
        for columns, width in (("40", 40), ("200", 60)):
            monkeypatch.setenv("COLUMNS", columns)
            for units, done in ((0, 0), (3, width // 2), (6, width)):
                status = Status(Path("out"), "", [Group("01", "train", units=6, complete=units)])
                _, bar, *_ = picture(status, bar=terminal().bar)
                assert [len(text) for text, _ in bar.parts] == [done, width - done]

    def test_narrow(self, config):
        """At 60 columns no heading is cut."""
        out = kpsbatch(config, COLUMNS="60").stdout
        assert "signer split units done some failed all failed to do folder missing no video" in out

    def test_watch_without_a_terminal(self, config):
        """--watch into a file ends when nothing is left and nothing runs."""
        store(made_with(config, "aaaaaaaaaaaa"), [unit for unit in tree_of(config.dataset).units() if unit.sign < 5])
        done = kpsbatch(config, "--watch")
        assert done.returncode == 0
        assert done.stdout.startswith("16 of 16 units are finished (100%)")

    def test_watch_ends_with_the_job(self, config, monkeypatch):
        """--watch waits for a job to begin; when what ran has ended for a minute it ends, though units are left."""
        moments = iter(range(0, 10_000, 20))
        states = iter(["", "", "running", "interrupted", "running", *["interrupted"] * 9])

        class Reader:
            def read(self) -> Status:
                status = Status(config.output.root, "", [Group("01", "train", units=2, left=2)])
                status.moment = next(moments)
                status.tasks = [Task("shard 0 of 1", state)] if (state := next(states)) else []
                return status

        monkeypatch.setattr(status_screen.time, "sleep", lambda seconds: None)
        reader: Any = Reader()
        shown = list(status_screen.until_the_end(reader, reader.read(), 1))
        assert [status.tasks[0].state for status in shown[2:]] == ["running", "interrupted", "running"] + [
            "interrupted"
        ] * 3
        assert not next(iter(shown)).is_live

    def test_watch_on_a_terminal(self, config):
        """On a terminal --watch fills the screen; Ctrl-C gives the terminal back, leaves the last picture, exits 0."""
        write_run(config, "run-a")
        parent, child = pty.openpty()
        path = str(config.output.root.parent / "config.yaml")
        with subprocess.Popen(
            [sys.executable, "-m", "kpsbatch", "status", path, "--watch"],
            stdout=child,
            stderr=child,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "250", "LINES": "24"},  # a long path fits
        ) as process:
            os.close(child)
            shown = b""
            while b"slowest" not in shown and b"running" not in shown:
                shown += os.read(parent, 65536)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # the other end is closed
                while block := os.read(parent, 65536):
                    shown += block
        os.close(parent)
        assert process.returncode == 0
        screen, _, after = shown.decode().partition("\x1b[?1049l")
        assert "Ctrl-C ends" in screen
        assert "━━━" in screen
        assert "of 16 units are finished" in after
        assert "Traceback" not in after

    def test_no_color(self, config):
        """NO_COLOR counts even where colours are asked for."""
        store(made_with(config, "aaaaaaaaaaaa"), [Unit("01", "train", 1)])
        assert "\x1b[32m" in kpsbatch(config, FORCE_COLOR="1", TERM="xterm").stdout
        assert "\x1b[32m" not in kpsbatch(config, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm").stdout

    @pytest.mark.parametrize("as_json", [True, False])
    def test_ctrl_c(self, config, monkeypatch, capsys, as_json):
        """Ctrl-C ends --watch without an error."""

        def interrupt(seconds: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(status_screen.time, "sleep", interrupt)
        status_screen.show_status(config, watch=True, as_json=as_json, quiet=False)
        assert capsys.readouterr().out.count("\n") > 0


def _keys(tree: object, prefix: str = "") -> Iterable[tuple[str, object]]:
    """All keys of nested dicts and lists."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key, value
            yield from _keys(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _keys(item)
