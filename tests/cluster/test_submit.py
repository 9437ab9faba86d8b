"""What `submit` and `array.sh` hand to the cluster, with stand-ins for its commands."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from kpsbatch.cluster.cost import note_cost
from kpsbatch.cluster.submission import plan_submission, waiting_jobs
from kpsbatch.cluster.task import run_shard
from kpsbatch.config import load_config, load_frozen_config, parse_time
from kpsbatch.errors import ConfigError, DatasetError, OutputError
from kpsbatch.files import explained
from kpsbatch.landmarks.network_files import default_folder
from kpsbatch.look.logs import tasks_of, without_a_trace
from kpsbatch.look.status import StatusReader
from kpsbatch.permissions import others_who_write
from kpsbatch.startup import START
from kpsbatch.store import submissions
from kpsbatch.store.records import host_facts
from kpsbatch.store.run_state import ALONE, Origin, Progress, job_of, read_run, run_id
from kpsbatch.store.settings import VALUES_VERSION
from kpsbatch.store.submissions import (
    digest_of,
    list_submissions,
    log_file,
    read_jobs,
    read_plan,
    with_networks,
    write_jobs,
    write_plan,
)
from kpsbatch.store.tracking import tracked
from kpsbatch.words import show_command, stopped, without_secrets
from kpsbatch.work import run as run_module
from kpsbatch.work.video_job import VideoJob

REPO = Path(__file__).resolve().parents[2]
ARRAY = REPO / "slurm" / "array.sh"
BATCH_SHELL = REPO / "kpsbatch" / "cluster" / "batch.sh"
START_IN_SHELL = START.replace("''", '""')
AWAY = """\
if grep -qx "${0##*/}" "$FAKE/away" 2>/dev/null; then sed -i "0,/^${0##*/}$/{//d}" "$FAKE/away"; exit 1; fi
"""
SBATCH = """\
cp "$1" "$FAKE/script-$(($(ls "$FAKE" | grep -c script-) + 1)).sh"
if [ -e "$FAKE/refusal" ]; then cat "$FAKE/refusal" >&2; exit 1; fi
echo "Submitted batch job $((70 + $(ls "$FAKE" | grep -c script-)))"
"""
FAKE_PYTHON = """\
if [ "$1" = -c ]; then exec "$FAKE_PYTHON" "$@"; fi
for word in "$@"; do echo "<$word>"; done; exit "${FAKE_STATUS:-0}"
"""
FAKE_APPTAINER = """\
case "$*" in *" -c "*batch.sh*) PYTHONPATH="$FAKE_PYTHONPATH" exec "$FAKE_PYTHON" -c "${@: -1}" ;; esac
for word in "$@"; do echo "<$word>"; done
"""
COMMANDS = {
    "sbatch": SBATCH,
    "squeue": AWAY + 'cat "$FAKE/queue" 2>/dev/null || true\n',
    "scontrol": AWAY
    + 'if [ "$2" = hostnames ]; then tr , "\\n" <<<"$3"\n'
    + 'elif [ "$1" = show ]; then echo "MaxArraySize            = $(cat "$FAKE/max" || echo 1001)"; fi\n',
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n',
    "sinfo": 'cat "$FAKE/nodes" 2>/dev/null || true\n',
    "python": FAKE_PYTHON,
    "apptainer": FAKE_APPTAINER,
}


class FakeCluster:
    """Stand-ins for SLURM's commands on the PATH, which note how they are called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for name, body in COMMANDS.items():
            path = folder / "bin" / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >>"$FAKE/calls"\n{body}')
            path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The calls so far: command and arguments."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def submitting(self) -> list[str]:
        """The commands so far, without the job that looks for an output folder on this machine's own disk."""
        return [command for command in (call.split()[0] for call in self.calls) if command != "srun"]

    def script(self, number: int = 1) -> str:
        """The script of the n-th sbatch."""
        return (self.folder / f"script-{number}.sh").read_text()

    def parameters(self, number: int = 1) -> list[str]:
        """The literal #SBATCH lines of the n-th sbatch."""
        return re.findall(r"^#SBATCH .*$", self.script(number), re.MULTILINE)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    folder = tmp_path / "fake"
    folder.mkdir()
    fake = FakeCluster(folder)
    for key in [key for key in os.environ if key.startswith(("SLURM", "SBATCH", "KPSBATCH_P"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("FAKE_PYTHON", sys.executable)
    monkeypatch.setenv("FAKE_PYTHONPATH", str(REPO))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
    return fake


@pytest.fixture
def project(tmp_path):
    """A config with four signs of one video, in a folder with spaces and quotes; returns its path."""
    folder = tmp_path / 'a "b" it\'s c'
    for sign in range(1, 5):
        (folder / "data" / "01" / "train" / f"{sign:04}" / "v").mkdir(parents=True)
    config = folder / "my config.yaml"
    config.write_text(
        'dataset: {root: data, layout: "{signer}/{split}/{sign:04d}", signers: ["01"], splits: [train], signs: 1-4}\n'
        "output: {root: out}\nrun: {chunk_size: 1}\n"
    )
    return config


def kpsbatch(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "kpsbatch", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        **options,
    )


class TestBatchScript:
    def test_literal_parameters(self, cluster, project):
        """Defaults send these lines and no other: nothing that a cluster may reject."""
        done = kpsbatch("submit", project)
        assert done.returncode == 0, done.stderr
        [folder] = list_submissions(project.parent / "out")
        quoted = str(folder).replace("'", "'\"'\"'")
        name = re.search(r"kpsbatch-[0-9a-f]{8}", cluster.script())[0]
        assert cluster.parameters() == [
            "#SBATCH --array=0-3%4",
            "#SBATCH --cpus-per-task=8",
            f"#SBATCH --job-name={name}",
            "#SBATCH --nodes=1",
            "#SBATCH --open-mode=append",
            "#SBATCH --output=/dev/null",
            "#SBATCH --requeue",
            "#SBATCH --signal=B:USR2@90",
            "#SBATCH --time=240",
        ]
        assert f"KPSBATCH_LOG='{quoted}/logs'" in cluster.script()
        step = cluster.script().partition("\nrun_task ")[2].partition(" -u -m submitit")[0]
        digest = digest_of({name: (folder / name).read_bytes() for name in ("config.yaml", "plan.json")})
        number = '"$((0 + ${SLURM_ARRAY_TASK_ID:-0}))"'
        assert step.startswith(f"srun --ntasks=1 --cpus-per-task=8 {sys.executable} -u -c ")
        assert step.endswith(f" kpsbatch.cluster.task '{quoted}' {number} {digest} #")

    def test_settings(self, cluster, project):
        """Every setting of the slurm section has its line; setup lines come before the command."""
        settings = {
            "time": "1-12:00:00",
            "cpus_per_task": 4,
            "mem": "16G",
            "partition": "cpu",
            "account": "abc",
            "qos": "long",
            "constraint": "'avx2&fast'",
            "array_parallelism": 3,
            "setup": "[module load python, 'echo \"hi\"']",
            "extra": "{mail_type: END, exclusive: true, hold: false}",
        }
        sets = [word for key, value in settings.items() for word in ("--set", f"slurm.{key}={value}")]
        done = kpsbatch("submit", project, *sets)
        assert done.returncode == 0, done.stderr
        lines = cluster.parameters()
        for line in (
            "--array=0-3%3",
            "--time=2160",
            "--cpus-per-task=4",
            "--mem=16G",
            "--partition=cpu",
            "--account=abc",
            "--qos=long",
            "--constraint='avx2&fast'",
            "--mail-type=END",
            "--exclusive",
        ):
            assert f"#SBATCH {line}" in lines
        assert not any("hold" in line for line in lines)
        script = cluster.script()
        assert script.index('module load python\necho "hi"\n') < script.index("\nrun_task srun ")

    def test_single_shard_has_no_array(self, cluster, project):
        """One shard is one job, and MaxArraySize is not looked up."""
        assert kpsbatch("submit", project, "--set", "run.chunk_size=10").returncode == 0
        assert not any("--array" in line for line in cluster.parameters())
        assert cluster.submitting == ["squeue", "sinfo", "sbatch"]

    def test_several_arrays(self, cluster, project):
        """Where MaxArraySize is 3, four shards make an array of three and a job that waits for it."""
        (cluster.folder / "max").write_text("3")
        done = kpsbatch("submit", project, "--set", "slurm.extra={dependency: 'afterok:5'}")
        assert "jobs:  71 72" in done.stdout
        assert "#SBATCH --array=0-2%3" in cluster.parameters(1)
        assert "#SBATCH --dependency=afterok:5" in cluster.parameters(1)
        assert "#SBATCH --dependency=afterok:5,afterany:71" in cluster.parameters(2)
        [folder] = list_submissions(project.parent / "out")
        assert read_jobs(folder).jobs == ("71_0", "71_1", "71_2", "72")

    def test_dry_run(self, cluster, project):
        """--dry-run prints what sbatch would get, submits nothing and writes nothing."""
        dry = kpsbatch("submit", project, "--dry-run")
        assert not (project.parent / "out").exists()
        assert not any(call.startswith("sbatch") for call in cluster.calls)
        kpsbatch("submit", project)
        stamp = r"\d{8}-\d{6}-[0-9a-f]{4}"
        changing = f"{stamp}|[0-9a-f]{{64}}| -u -m submitit.*"
        shown, submitted = (re.sub(changing, "ID", text) for text in (dry.stdout, cluster.script()))
        assert submitted in shown

    def test_dry_run_without_slurm(self, cluster, project, monkeypatch):
        """--dry-run shows the script on a machine without SLURM, too, and says that there is none."""
        expected = kpsbatch("submit", project, "--dry-run").stdout
        monkeypatch.setenv("PATH", "/nowhere")
        dry = kpsbatch("submit", project, "--dry-run")
        assert (dry.returncode, "SLURM is not on this machine" in dry.stderr) == (0, True)
        stamp = r"\d{8}-\d{6}-[0-9a-f]{4}"
        changing = f"{stamp}|[0-9a-f]{{64}}| -u -m submitit.*"
        assert re.sub(changing, "ID", dry.stdout) == re.sub(changing, "ID", expected)
        assert "#SBATCH --array=0-3%4" in dry.stdout

    def test_container(self, cluster, project):
        """The interpreter runs in the image, which sees dataset, outputs and models, and not this checkout."""
        image = project.parent / "my image.sif"
        missing = kpsbatch("submit", project, "--set", f"slurm.container={json.dumps(str(image))}")
        assert missing.returncode == 2
        assert "does not exist" in missing.stderr
        image.touch()
        assert kpsbatch("submit", project, "--set", f"slurm.container={json.dumps(str(image))}").returncode == 0
        words = _step_of(cluster.script())
        data, out = str(project.parent / "data").replace('"', '""'), str(project.parent / "out").replace('"', '""')
        assert words == [
            "srun",
            "--ntasks=1",
            "--cpus-per-task=8",
            "apptainer",
            "exec",
            "--mount",
            f'type=bind,"source={data}","destination={data}",ro',
            "--mount",
            f'type=bind,"source={out}","destination={out}"',
            str(image),
            "python",
        ]
        assert "export PYTHONPATH" not in cluster.script()

    def test_container_sees_what_links_point_to(self, cluster, project):
        """What links on the way to the videos point to, outside of dataset.root, is mounted too, where they name it."""
        train = project.parent / "data" / "01" / "train"
        disk, other = project.parent / "a disk", project.parent / "other"
        for sign in (1, 2):
            (disk / f"{sign:04}").mkdir(parents=True)
            (train / f"{sign:04}" / "v").rename(disk / f"{sign:04}" / "v")
            (train / f"{sign:04}").rmdir()
            (train / f"{sign:04}").symlink_to(disk / f"{sign:04}")
        (other / "deep").mkdir(parents=True)
        (disk / "0002" / "w").symlink_to("../../other/deep")
        (train / "stray").symlink_to("/usr")
        (train / "0003" / "w").symlink_to("v")
        image = project.parent / "image.sif"
        image.touch()
        done = kpsbatch("submit", project, "--set", f"slurm.container={json.dumps(str(image))}")
        assert done.returncode == 0, done.stderr
        mounted = [
            word.partition(',"destination=')[2] for word in _step_of(cluster.script()) if word.startswith("type=")
        ]
        read = [disk / "0001", disk / "0002", other / "deep", project.parent / "data"]
        expected = [*(f'{path}",ro' for path in read), f'{project.parent / "out"}"']
        assert [path.replace('""', '"') for path in mounted] == expected


def do_shard(folder, number=0):
    """Do a shard of what lies in a submission's folder."""
    files = {name: (folder / name).read_bytes() for name in ("config.yaml", "plan.json")}
    return run_shard(folder, number, digest_of(files))


@pytest.fixture
def frozen(cluster, project, monkeypatch):
    """Freezes the plan of one shard of signs 1 and 2; its videos are then done here, without MediaPipe."""
    import numpy as np

    from kpsbatch.landmarks.extract import VideoKeypoints
    from kpsbatch.landmarks.facts import VideoFacts

    def do(job, task, heartbeat):
        return [VideoKeypoints(np.zeros((1, 184, 4), np.float32), VideoFacts(frames=1)) for _ in task.videos]

    monkeypatch.setattr(VideoJob, "open", lambda job: None)
    monkeypatch.setattr(VideoJob, "close", lambda job: None)
    monkeypatch.setattr(VideoJob, "do", do)

    def freeze(*overrides):
        config = load_config(project, ["run.workers=0", "run.chunk_size=2", *overrides])
        return write_plan(config, plan_submission(config))

    return freeze


class TestTask:
    def test_less_data_than_planned(self, frozen, project, capsys):
        """Units that have fewer videos on the node are named and not done; the task fails, also when it is repeated."""
        train = project.parent / "data" / "01" / "train"
        (train / "0001" / "w").mkdir()
        folder = frozen()
        (train / "0001" / "w").rmdir()
        assert do_shard(folder) == 2
        said = capsys.readouterr().err
        assert "the dataset holds less than where this was submitted: 01-train/0001 (1 of 2 videos); not done" in said
        out = project.parent / "out"
        assert [path.name for path in out.glob("*/*.npz")] == ["0002.npz"]
        run = read_run(out, Origin(folder.name, 0))
        assert (run.state, run.units_done, "01-train/0001 (1 of 2" in run.error) == ("failed", 1, True)
        (train / "0001" / "v").rmdir()
        (train / "0001").rmdir()
        assert do_shard(folder) == 2
        assert "01-train/0001 (0 of 2 videos)" in capsys.readouterr().err
        (train / "0001" / "v").mkdir(parents=True)
        (train / "0001" / "w").mkdir()
        (train / "0001" / "x").mkdir()
        assert do_shard(folder) == 0

    def test_other_settings_than_planned(self, frozen, project, capsys, monkeypatch):
        """A task on a node with another mediapipe refuses in one line that says what differs; nothing is done."""
        folder = frozen()
        monkeypatch.setattr(run_module, "installed_version", lambda package: "0.9.9")
        assert do_shard(folder) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"mediapipe is '{version('mediapipe')}' there, '0.9.9' here. Give all nodes the same" in line
        out = project.parent / "out"
        assert not list(out.glob("*/*.npz"))
        assert read_run(out, Origin(folder.name, 0)).state == "failed"

    def test_networks_of_the_submitting_shell(self, frozen, project, tmp_path, capsys, monkeypatch):
        """Tasks find the networks where they were when it was submitted, with neither its environment nor a home."""
        elsewhere = tmp_path / "the cache"
        shutil.copytree(default_folder(), elsewhere / default_folder().name)
        monkeypatch.setenv("KPSBATCH_CACHE", str(elsewhere))
        folder = frozen()
        assert load_frozen_config(folder / "config.yaml").landmarks.models == default_folder()
        monkeypatch.setenv("KPSBATCH_CACHE", str(tmp_path / "nothing"))
        monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
        assert do_shard(folder) == 0
        assert len(list((project.parent / "out").glob("*/*.npz"))) == 2
        shutil.rmtree(elsewhere)
        (project.parent / "data" / "01" / "train" / "0001" / "more").mkdir()
        assert do_shard(folder) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"the models are not in {elsewhere}. Run `kpsbatch models` once" in line

    def test_networks_of_an_image_or_of_the_config_stay(self, project, tmp_path):
        """An image has its own; a folder that the config names is named already."""
        plain = load_config(project)
        assert with_networks(plain).landmarks.models == default_folder()
        image = load_config(project, [f"slurm.container={tmp_path / 'kpsbatch.sif'}"])
        assert with_networks(image) == image
        own = load_config(project, [f"landmarks.models={tmp_path}"])
        assert with_networks(own) == own

    def test_a_setting_that_only_the_release_before_has(self, frozen, project, capsys):
        """A pending task whose package was replaced says what to take, in one line; nothing is done."""
        folder = frozen()
        config = (folder / "config.yaml").read_text()
        (folder / "config.yaml").write_text(config.replace("running_mode: clip", "running_mode: video"))
        assert do_shard(folder) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("kpsbatch: landmarks.running_mode: video was removed in kpsbatch 0.3. Take clip")
        assert not list((project.parent / "out").glob("*/*.npz"))

    def test_a_release_that_computes_other_values(self, frozen, project, capsys):
        """A pending task whose package was replaced ends with that, and mixes no values."""
        folder = frozen()
        plan = json.loads((folder / "plan.json").read_text())
        plan["settings"]["values_version"] -= 1
        (folder / "plan.json").write_text(json.dumps(plan))
        assert do_shard(folder) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"values_version is {VALUES_VERSION - 1} there (an earlier kpsbatch), {VALUES_VERSION} here" in line
        assert not list((project.parent / "out").glob("*/*.npz"))

    def test_other_settings_in_another_task(self, frozen, project, monkeypatch):
        """A task of array.sh with other settings than those of a task at work refuses before there is any output."""
        frozen()
        plain = load_config(project, ["run.workers=0"])
        other = load_config(project, ["run.workers=0", "landmarks.coordinates=adjusted"])
        do = VideoJob.do
        refused = []

        def do_and_start_another(job, task, heartbeat):
            if not refused:
                monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
                with pytest.raises(OutputError) as error:
                    run_module.run(other, [2], origin=Origin(shard=1, shards=2))
                refused.append(str(error.value))
            return do(job, task, heartbeat)

        monkeypatch.setattr(VideoJob, "do", do_and_start_another)
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
        assert run_module.run(plain, [1], origin=Origin(shard=0, shards=2)).exit_status == 0
        assert "with other settings: landmarks.coordinates is 'image' there, 'adjusted' here" in refused[0]

    def test_counts_of_all_starts(self, frozen, project, monkeypatch):
        """A requeued task shows what all of its starts did and which videos failed, whatever the last one had to do."""
        monkeypatch.setenv("SLURM_JOB_ID", "5")
        host_facts.cache_clear()
        (project.parent / "data" / "01" / "train" / "0002" / "w").mkdir()
        folder = frozen("run.max_attempts=1")
        do = VideoJob.do

        def refuse_one(job, task, heartbeat):
            if task.videos[0].name == "w":
                raise DatasetError("no frame")
            return do(job, task, heartbeat)

        monkeypatch.setattr(VideoJob, "do", refuse_one)
        for start in ("0", "1", "2"):
            monkeypatch.setenv("SLURM_RESTART_COUNT", start)
            assert do_shard(folder) == 1
            task = tasks_of(project.parent / "out")[0]
            assert (task.outcome, task.counts) == ("finished, 1 videos failed", "2/2 units, 3/3 videos")
            assert task.needs_attention
        [shown, _] = StatusReader(load_config(project)).read().tasks
        assert (shown.units_done, shown.videos_done, shown.videos_failed) == (2, 3, 1)
        before = tasks_of(project.parent / "out")[0].run.before  # what the rate over all starts goes by
        assert (len(before.spans), before.videos) == (2, 3)
        monkeypatch.delenv("SLURM_JOB_ID")
        host_facts.cache_clear()


def wait_for_another_second() -> None:
    """Submissions are in the order of their names, which have the second in them."""
    time.sleep(1 - time.time() % 1)


class TestUnseenOutput:
    """An output folder on a file system of this machine: a node is asked whether it sees it."""

    @pytest.fixture(autouse=True)
    def unshared(self, project):
        if not submissions.unshared_warning(project.parent / "out"):
            pytest.skip("needs temporary files on a file system of this machine alone")

    def answer(self, cluster, body):
        (cluster.folder / "bin" / "srun").write_text(f'#!/bin/bash\necho "srun $*" >>"$FAKE/calls"\n{body}\n')

    def test_refused(self, cluster, project):
        """Nothing is submitted where the node does not see it, and the file that it looked for is gone."""
        self.answer(cluster, "echo none")
        settings = ("--set", "slurm.partition=cpu", "--set", "slurm.extra={nodelist: n7, comment: x}")
        done = kpsbatch("submit", project, *settings)
        assert done.returncode == 2
        assert "output.root: a node does not see" in done.stderr
        assert not any(call.startswith("sbatch") for call in cluster.calls)
        [asked] = [call for call in cluster.calls if call.startswith("srun")]
        assert "--partition=cpu --nodelist=n7 sh -c" in asked
        assert not list((project.parent / "out" / "_kpsbatch").glob("seen-*"))

    def test_seen(self, cluster, project):
        """Nothing is said where the node sees it."""
        done = kpsbatch("submit", project)
        assert (done.returncode, done.stderr) == (0, "")

    def test_no_answer(self, cluster, project):
        """Where no node is free to answer, it is submitted, with a warning."""
        self.answer(cluster, "echo 'Unable to allocate resources' >&2; exit 1")
        done = kpsbatch("submit", project)
        assert done.returncode == 0
        assert "which other nodes may not see" in done.stderr


class TestNode:
    """A task that its node can't do."""

    @pytest.fixture
    def in_batch_script(self, monkeypatch, tmp_path):
        for key, value in (
            ("SLURM_JOB_ID", "7"),
            ("KPSBATCH_PID_FILE", str(tmp_path / "task.pid")),
            ("KPSBATCH_NODE_SECONDS", "0"),
            ("SLURMD_NODENAME", "n3"),
        ):
            monkeypatch.setenv(key, value)

    def test_given_back(self, frozen, project, in_batch_script, monkeypatch, capsys):
        """A task without its dataset is given back three times, then fails; the state file says where and why."""
        folder = frozen()
        data, away = project.parent / "data", project.parent / "away"
        data.rename(away)
        statuses = []
        for start in range(4):
            monkeypatch.setenv("SLURM_RESTART_COUNT", str(start))
            statuses.append(do_shard(folder))
        assert statuses == [75, 75, 75, 2]
        run = read_run(project.parent / "out", Origin(folder.name, 0))
        assert run.state == "failed"
        assert [node for node, _ in run.given_back] == ["n3"] * 4
        assert "data does not exist" in run.given_back[0][1]
        said = capsys.readouterr().err
        assert "(on n3; it tries again in 0 s)" in said
        assert "(on n3, the last of 4 starts that could not do it)" in said

    def test_a_part_of_the_data(self, frozen, project, in_batch_script, capsys):
        """What the node sees is done there, the rest is given back."""
        train = project.parent / "data" / "01" / "train"
        (train / "0001" / "w").mkdir()
        folder = frozen()
        (train / "0001" / "w").rmdir()
        assert do_shard(folder) == 75
        assert (project.parent / "out" / "01-train" / "0002.npz").exists()

    def test_finished_elsewhere(self, frozen, project, in_batch_script, monkeypatch):
        """A start that does the work keeps in mind which node could not."""
        folder = frozen()
        data, away = project.parent / "data", project.parent / "away"
        data.rename(away)
        assert do_shard(folder) == 75
        away.rename(data)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        monkeypatch.setenv("SLURMD_NODENAME", "n1")
        assert do_shard(folder) == 0
        run = read_run(project.parent / "out", Origin(folder.name, 0))
        assert (run.state, run.host, [node for node, _ in run.given_back]) == ("finished", "n1", ["n3"])

    def test_next_steps(self, frozen, project, in_batch_script, monkeypatch, capsys):
        """In a task's log they are what is typed on the cluster, from any folder; nobody types the task's command."""
        config = load_config(project, ["run.workers=0"])
        plan = plan_submission(config).model_copy(update={"words": ("submit", str(project), "--set=run.workers=0")})
        monkeypatch.setattr(VideoJob, "do", lambda job, task, heartbeat: [None for _ in task.videos])
        assert do_shard(write_plan(config, plan)) == 1
        said = capsys.readouterr().out
        [typed] = re.findall("Fix the data, then (.*)", said)
        assert re.search(r"kpsbatch submit '/.*my config.yaml' --set=run.workers=0 --retry-failed$", typed)
        assert shlex.split(typed)[2:] == [str(project), "--set=run.workers=0", "--retry-failed"]
        assert stopped("SIGUSR2", "1 unit saved").endswith("If SLURM does not start it again, submit again.")
        (project.parent / "file").touch()
        with pytest.raises(OutputError, match="then submit again"), explained(project.parent):
            (project.parent / "file" / "x").mkdir()

    def test_not_of_the_node(self, frozen, in_batch_script):
        """What no other node does better fails at once."""
        folder = frozen()
        (folder / "plan.json").write_text("{}")
        assert run_shard(folder, 0, "0" * 64) == 2

    def test_no_batch_script(self, frozen, project):
        """Where nothing would start the task again, there is one attempt."""
        folder = frozen()
        (project.parent / "data").rename(project.parent / "away")
        assert do_shard(folder) == 2


class Bomb:
    """Makes a file when it is loaded from a pickle."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


class TestOthersInTheFolder:
    """What another user who can write in the output folder can do to the jobs of a submission."""

    def run_job(self, cluster, task=0):
        """What SLURM would do with a task of the submitted array; as `stderr` what stands in its log then."""
        variables = {"SLURM_JOB_ID": "71", "SLURM_ARRAY_JOB_ID": "71", "SLURM_ARRAY_TASK_ID": str(task)}
        variables["KPSBATCH_NODE_SECONDS"] = "0"
        script = cluster.folder / "script-1.sh"
        done = subprocess.run(
            ["bash", str(script)],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        [log] = re.findall("^KPSBATCH_LOG=(.*)$", script.read_text(), re.MULTILINE)
        named = subprocess.run(
            ["bash", "-c", f"cat {log}"], env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, done.stderr + named.stdout)

    def test_no_pickle_is_loaded(self, cluster, project, tmp_path):
        """There is no pickle below the outputs; one that is put there, by any name of submitit's, is not loaded."""
        assert kpsbatch("submit", project).returncode == 0
        out, mark = project.parent / "out", tmp_path / "was here"
        assert [path.name for path in out.rglob("*") if path.suffix in (".pkl", ".sh")] == []
        [folder] = list_submissions(out)
        bomb = pickle.dumps(Bomb(mark))
        for name in ("71_0_submitted.pkl", "71_submitted.pkl", "71_0_0_result.pkl", "config.pkl"):
            (folder / "logs" / name).write_bytes(bomb)
        done = self.run_job(cluster)
        assert (done.returncode, mark.exists()) == (1, False), done.stdout + done.stderr
        assert "shard 0 of 4: signs 1" in done.stderr

    @pytest.mark.parametrize("name", ["config.yaml", "plan.json"])
    def test_a_file_that_was_changed(self, cluster, project, name):
        """A task that finds another config or plan than was submitted says so in one line, and does nothing."""
        assert kpsbatch("submit", project).returncode == 0
        [folder] = list_submissions(project.parent / "out")
        (folder / name).write_bytes((folder / name).read_bytes().replace(b"retry_failed", b"retry_Failed") + b"\n")
        done = self.run_job(cluster)
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert "config.yaml and plan.json are not those that were submitted, so this task does nothing. Find" in line
        assert not list((project.parent / "out").rglob("*.failed.json"))

    def test_a_tree_in_its_place(self, cluster, project, tmp_path):
        """Where `_kpsbatch` was renamed away, another one with a config of its own is not worked on."""
        assert kpsbatch("submit", project).returncode == 0
        internal = project.parent / "out" / "_kpsbatch"
        internal.rename(internal.with_name("away"))
        shutil.copytree(internal.with_name("away"), internal)
        [folder] = list_submissions(project.parent / "out")
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("data", "elsewhere"))
        assert self.run_job(cluster).returncode == 2
        config.unlink()
        done = self.run_job(cluster)
        assert "config.yaml can't be read: No such file or directory. Submit" in done.stderr
        assert done.returncode == 75  # another node may see it

    def test_a_task_of_an_earlier_version(self, cluster, tmp_path):
        """The pickle of a task that an earlier version has submitted ends with what to do."""
        old = b"ckpsbatch.cluster.task\nTask\n)\x81}(X\x05\x00\x00\x00shardK\x00ub."
        code = f"import pickle; pickle.loads({old!r})()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert done.stderr == "kpsbatch: this task was submitted by an earlier version of kpsbatch. Submit again.\n"

    @pytest.mark.parametrize("mode", [0o2775, 0o777])
    def test_a_folder_that_others_can_write(self, cluster, project, mode, monkeypatch):
        """It is refused, in one line that says who can write; --shared submits, a dry run and `check` tell."""
        out = project.parent / "out"
        out.mkdir()
        os.chown(out, os.geteuid(), _group_of_others())
        out.chmod(mode)
        refused = kpsbatch("submit", project)
        assert refused.returncode == 2
        [line] = refused.stderr.splitlines()
        assert "they could change what your jobs read and write. Choose a folder that only you can write" in line
        assert not list_submissions(out)
        assert "can write in" in kpsbatch("submit", project, "--dry-run").stderr
        assert "submit --shared" in kpsbatch("check", project).stdout
        assert kpsbatch("submit", project, "--shared").returncode == 0

    def test_a_folder_above_that_others_can_write(self, project):
        """Who can write in a folder above can put another folder in the place of the outputs; not so in /tmp."""
        out = project.parent / "out"
        project.parent.chmod(0o777)
        assert others_who_write(out) == f"all users can write in {project.parent}"
        project.parent.chmod(0o1777)
        assert others_who_write(out) == ""
        out.mkdir()
        assert others_who_write(out) == ""
        out.chmod(0o1777)
        assert others_who_write(out) == f"all users can write in {out}"

    def test_local(self, project):
        """With --cluster local there is no pickle below the outputs, and a private folder is gone in the end."""
        done = kpsbatch("submit", project, "--cluster", "local", "--signs", "1-2")
        assert done.returncode == 1, done.stderr
        out = project.parent / "out"
        assert [path.name for path in out.rglob("*") if path.suffix in (".pkl", ".sh", ".status")] == []


class TestSecrets:
    def test_nothing_below_the_outputs(self, cluster, project):
        """Values of slurm.setup and slurm.extra stay in the config and in the job: no file of the outputs has them."""
        sets = ["--set", "slurm.setup=['export TOKEN=hunter2']", "--set=slurm.extra={comment: hunter2}"]
        (project.parent / "data" / "01" / "train" / "0001" / "w").mkdir()
        _write_video(project.parent / "data" / "01" / "train" / "0001" / "w")
        assert kpsbatch("submit", project, *sets).returncode == 0
        assert "TOKEN=hunter2" in cluster.script()
        assert kpsbatch("submit", project, "--force", "--cluster", "local", "--signs", "1", *sets).returncode == 1
        assert kpsbatch("run", project, "--signs", "2", "--set", "slurm.extra.comment=hunter2").returncode == 1
        assert kpsbatch("run", project, "--signs", "3", "--set", "slurm={setup: [hunter2]}").returncode == 1
        assert kpsbatch("report", project, *sets).returncode == 0
        files = [path for path in (project.parent / "out").rglob("*") if path.is_file()]
        assert len(files) > 8
        assert [path for path in files if b"hunter2" in path.read_bytes()] == []
        page = (project.parent / "out" / "report.html").read_text()
        assert "--set 'slurm={setup: [hunter2]}'" not in page
        assert "slurm=..." in page

    def test_command_lines(self):
        """A command line is stored as it was typed, but for these values; one of an earlier version is shown so."""
        words = [
            "/x/python",
            "-u",
            "-c",
            START,
            "kpsbatch",
            "run",
            "c.yaml",
            "--set",
            "slurm.setup=[a=b, c]",
            "run.stage=/x",
        ]
        assert without_secrets(words) == [
            *("/x/python", "-u", "-m", "kpsbatch", "run", "c.yaml", "--set", "slurm.setup=...", "run.stage=/x")
        ]
        assert show_command(["/x/python", "--set=slurm.extra.comment=a\nb"]) == "python --set=slurm.extra.comment=..."


class TestSubmission:
    def test_of_502_signs(self, cluster, tmp_path):
        """3,012 units are planned and 502 shards accepted, with four questions to the scheduler."""
        for signer in ("01", "02", "03"):
            for split in ("train", "test"):
                for sign in range(1, 503):
                    (tmp_path / "data" / signer / signer / split / f"{sign:04}" / "v").mkdir(parents=True)
        config = tmp_path / "karsl.yaml"
        text = (REPO / "configs" / "karsl.yaml").read_text()
        config.write_text(text.replace("$KARSL_ROOT", "data").replace("../karsl-kps", "out"))
        settings = load_config(config)
        plan = plan_submission(settings)
        assert (plan.units, len(plan.shards)) == (3012, 51)
        done = kpsbatch("submit", config, "--set", "run.chunk_size=1")
        assert "#SBATCH --array=0-501%20" in cluster.parameters(), done.stderr
        assert cluster.submitting == ["squeue", "sinfo", "scontrol", "sbatch"]

    def test_plan_holds_what_is_unfinished(self, cluster, project):
        """The frozen plan leaves out what is finished or has no video, and reads back as it was."""
        shutil.rmtree(project.parent / "data" / "01" / "train" / "0002")
        (project.parent / "data" / "01" / "train" / "0003" / "v").rmdir()
        done = kpsbatch("submit", project, "--signs", "1-3")
        assert "1 unit in 1 shard; 0 finished before, 2 have no video" in done.stdout
        [folder] = list_submissions(project.parent / "out")
        plan = read_plan(folder)
        assert [shard.signs for shard in plan.shards] == [(1,)]
        assert load_frozen_config(folder / "config.yaml").dataset.signs == (1, 2, 3)

    def test_live_jobs_are_named(self, cluster, project):
        """A queue that holds jobs for the same output refuses the submission; other jobs don't."""
        kpsbatch("submit", project)
        name = re.search(r"--job-name=(\S+)", cluster.script())[1]
        (cluster.folder / "queue").write_text(
            f"71 RUNNING {name}\n71 PENDING {name}\n71 PENDING {name}\n9 RUNNING kpsbatch\n"
        )
        refused = kpsbatch("submit", project)
        assert refused.returncode == 2
        assert "job 71 (1 running, 2 pending)" in refused.stderr
        assert "job 9" not in refused.stderr
        assert kpsbatch("submit", project, "--force").returncode == 0

    def test_two_submits_at_once(self, cluster, project):
        """While one submit is at work, another is refused before it plans: nothing is submitted twice."""
        sbatch = cluster.folder / "bin" / "sbatch"
        wait = 'until [ -e "$FAKE/go" ]; do sleep 0.1; done\n'
        sbatch.write_text(sbatch.read_text().replace("\n", f"\n{wait}", 1))
        command = [sys.executable, "-m", "kpsbatch", "submit", str(project)]
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as first:
            while not list_submissions(project.parent / "out"):
                assert first.poll() is None
                time.sleep(0.05)
            try:
                second = kpsbatch("submit", project)
            finally:
                (cluster.folder / "go").touch()
            assert first.wait() == 0
        assert second.returncode == 2
        assert "another submit is at work on these outputs. Wait for it, or --force." in second.stderr
        assert len(list_submissions(project.parent / "out")) == 1

    def test_run_sees_jobs_that_wait(self, cluster, project, monkeypatch):
        """A run tells of jobs that wait on the same outputs: from squeue, or from files; it does not overwrite then."""
        kpsbatch("submit", project)
        name = re.search(r"--job-name=(\S+)", cluster.script())[1]
        (cluster.folder / "queue").write_text(f"71 RUNNING {name}\n71 PENDING {name}\n71 PENDING {name}\n")
        run = ("run", project, "--signs", "1", "--set", "run.workers=0")
        assert "jobs wait to work on these outputs (job 71 (1 running, 2 pending)); both" in kpsbatch(*run).stderr
        refused = kpsbatch(*run, "--overwrite")
        assert refused.returncode == 2
        assert "jobs wait to work on" in refused.stderr
        (cluster.folder / "queue").write_text("")
        assert waiting_jobs(project.parent / "out") == ""
        monkeypatch.setenv("PATH", str(project.parent))
        assert waiting_jobs(project.parent / "out") == "4 of 4 jobs of the last submission, unless they were cancelled"

    def test_refusal_of_the_cluster(self, cluster, project):
        """What sbatch says is shown in one line."""
        (cluster.folder / "refusal").write_text("sbatch: error: Batch job submission failed: Invalid account\n")
        done = kpsbatch("submit", project)
        assert done.returncode == 2
        assert "Invalid account" in done.stderr
        assert len([line for line in done.stderr.splitlines() if "output.root" not in line]) == 1
        assert list_submissions(project.parent / "out") == []

    def test_shards_without_a_job(self, cluster, project):
        """Where the cluster takes some arrays only (MaxSubmitJobs), the other shards are not waiting: submit again."""
        (cluster.folder / "max").write_text("3")
        sbatch = cluster.folder / "bin" / "sbatch"
        refusal = 'if [ -e "$FAKE/script-1.sh" ]; then echo "sbatch: error: MaxSubmitJobs" >&2; exit 1; fi\n'
        sbatch.write_text(sbatch.read_text().replace("\n", f"\n{refusal}", 1))
        done = kpsbatch("submit", project)
        assert done.returncode == 2
        [line] = [line for line in done.stderr.splitlines() if "output.root" not in line]
        assert "sbatch refused 1 of 4 shards: " in line
        assert "MaxSubmitJobs. Jobs 71 run; submit again when they are done." in line
        (cluster.folder / "queue").write_text("71_0\n71_1\n71_2\n")
        tasks = tasks_of(project.parent / "out")
        assert [task.state for task in tasks] == ["waiting"] * 3 + ["not submitted"]
        assert "MaxSubmitJobs. Submit again" in tasks[3].error
        shown = kpsbatch("logs", project, "--failed").stdout
        assert shown.startswith("shard 3 of 4, not submitted\n    sbatch refused: ")
        assert StatusReader(load_config(project)).read().task_states == {"waiting": 3, "not submitted": 1}

    def test_submission_that_was_killed(self, cluster, project):
        """A plan without jobs is being submitted for two minutes, and then was not."""
        folder = write_plan(*_planned(project))
        assert {task.state for task in tasks_of(project.parent / "out")} == {"waiting"}
        os.utime(folder / "plan.json", (time.time() - 300,) * 2)
        assert {task.state for task in tasks_of(project.parent / "out")} == {"not submitted"}

    def test_outputs_that_nodes_do_not_see(self, cluster, project, monkeypatch):
        """An output folder on this machine's own disk is warned of, and named when jobs leave no trace there."""
        out = project.parent / "out"
        monkeypatch.setattr(submissions, "file_system_of", lambda root: "tmpfs")
        config, plan = _planned(project)
        assert "on a file system of this machine (tmpfs)" in submissions.unshared_warning(out)
        folder = write_plan(config, plan)
        write_jobs(folder, "slurm", ["71_0", "71_1", "71_2", "71_3"])
        assert without_a_trace(out) == ""
        os.utime(folder / "jobs.json", (time.time() - 300,) * 2)
        assert "no job has left a log or a state file yet. If squeue does not" in without_a_trace(out)
        monkeypatch.setattr(submissions, "file_system_of", lambda root: "nfs4")
        assert without_a_trace(out) == ""
        monkeypatch.setattr(submissions, "file_system_of", lambda root: "tmpfs")
        monkeypatch.setenv("SLURMD_NODENAME", "node7")
        with tracked(out, Origin(plan.id, 0), Progress()):
            assert without_a_trace(out) == ""
        assert submissions.unshared_warning(out) == ""

    def test_kinds_of_file_systems(self, tmp_path):
        """The mount that a path lies on counts: the deepest one, and the last where several are at one place."""
        mounts = tmp_path / "mounts"
        mounts.write_text(
            "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /tmp rw shared:1 - ext4 /dev/sda rw\n"
            "3 2 0:3 / /tmp/a\\040b rw - nfs4 server:/x rw\n4 1 0:4 / /tmp rw - tmpfs tmpfs rw\n"
        )
        found = [submissions.file_system_of(Path(path), mounts) for path in ("/tmp/a b/new/out", "/tmp/c", "/nowhere")]
        assert found == ["nfs4", "tmpfs", "overlay"]
        assert submissions.file_system_of(Path("/tmp"), tmp_path / "none") == ""

    @pytest.mark.parametrize(
        ("settings", "nodes", "said"),
        [
            (["slurm.cpus_per_task=16"], "main*|1-00:00:00|8\nmain*|1-00:00:00|12\nbig|infinite|64\n", "(at most 12)"),
            (["slurm.cpus_per_task=16", "slurm.partition=big"], "big|infinite|64\n", ""),
            (
                ["slurm.time=2-0"],
                "main*|1-00:00:00|8\nbig|infinite|64\n",
                "2880 minutes are more than partition main allows (1440)",
            ),
            (["slurm.time=2-0"], "main*|1-00:00:00|8\nmain*|infinite|8\n", ""),
            (
                ["slurm.mem=9G"],
                "main*|4:00:00|8|8000\nmain*|4:00:00|8|9000\n",
                "no node of partition main has 9G (at most 9000M)",
            ),
            (["slurm.time=2-0"], "", ""),
            (["slurm.time=2-0"], "what|is|this|line\nmain*|n/a|?\n", ""),
        ],
    )
    def test_more_than_a_partition_gives(self, cluster, project, settings, nodes, said):
        """A time or a number of cores that no node of the partition gives is named, and the jobs are submitted."""
        (cluster.folder / "nodes").write_text(nodes)
        done = kpsbatch("submit", project, *(word for setting in settings for word in ("--set", setting)))
        assert done.returncode == 0
        told = [line for line in done.stderr.splitlines() if "output.root" not in line]
        assert said in "".join(told)
        assert bool(told) is bool(said)

    def test_what_comes_then(self, cluster, project):
        """slurm.then is a job of one core that waits for all arrays, whatever their end; it blocks no submission."""
        (cluster.folder / "max").write_text("3")
        settings = ("slurm.then=[verify, report]", "slurm.extra={mail-type: END}", "slurm.cpus_per_task=4")
        done = kpsbatch("submit", project, *(word for setting in settings for word in ("--set", setting)))
        assert "then:  verify and report, by job 73; its log: " in done.stdout, done.stderr
        lines = cluster.parameters(3)
        for line in ("--dependency=afterany:71:72", "--cpus-per-task=1", "--mail-type=END"):
            assert f"#SBATCH {line}" in lines
        assert not any("--array" in line for line in lines)
        name = re.search(r"--job-name=(\S+)-then", cluster.script(3))[1]
        assert f"#SBATCH --job-name={name}" in cluster.parameters(1)
        assert re.search(r"kpsbatch\.cli\.then .*/out'? verify report #", cluster.script(3))
        (cluster.folder / "queue").write_text(f"73 PENDING {name}-then\n")
        assert kpsbatch("submit", project).returncode == 0

    def test_what_it_is_about_to_spend(self, cluster, project):
        """The most that the limits allow, and, once `plan` or earlier tasks have told, about how much it is."""
        most = "at most 16 core-hours a start (4 tasks x 1 core x 240 minutes)"
        limits = ("--set", "slurm.cpus_per_task=1", "slurm.time=240", "--dry-run")
        assert f"cost:  {most}; kpsbatch plan measures how many it takes" in kpsbatch("submit", project, *limits).stdout
        out = project.parent / "out"
        note_cost(out, 4500.0)
        said = kpsbatch("submit", project, *limits).stdout
        videos = sum(sum(shard.videos.values()) for shard in plan_submission(load_config(project)).shards)
        assert f"cost:  about {videos * 1.25:.2g} core-hours, by what plan measured; {most}" in said

    def test_more_memory_after_a_task_was_killed_for_it(self, cluster, project):
        """slurm.mem on top of what the killed tasks had, up to the largest node; not where a task then finished."""
        out = project.parent / "out"
        kpsbatch("submit", project, "--set", "slurm.mem=2G")
        assert "#SBATCH --mem=2G" in cluster.parameters()
        [folder] = list_submissions(out)
        jobs = read_jobs(folder).jobs
        log = log_file(folder, jobs[1])
        log.write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=71.0. Some of the step tasks ...\n")
        wait_for_another_second()
        again = kpsbatch("submit", project, "--set", "slurm.mem=2G")
        assert "1 task of the last submission ran out of memory (2048 MB), so 4096 MB are requested" in again.stderr
        assert "#SBATCH --mem=4096M" in cluster.parameters(2)
        folder = list_submissions(out)[-1]
        log_file(folder, read_jobs(folder).jobs[0]).write_text(log.read_text())
        state = {"run": f"{folder.name}-0000", "submission": folder.name, "shard": 0, "state": "running", "host": "n1"}
        state |= {"started": "2026-11-22T11:00:00+00:00", "updated": "2026-11-22T11:00:00+00:00"}
        state |= {"requested": {"memory_megabytes": 4096}}
        (out / "_kpsbatch" / "runs").mkdir()
        run = out / "_kpsbatch" / "runs" / f"{folder.name}-0000.json"
        run.write_text(json.dumps(state))
        os.utime(run, (0, 0))
        (cluster.folder / "nodes").write_text("main*|infinite|8|5000\n")
        third = kpsbatch("submit", project, "--set", "slurm.mem=2G", "--dry-run")
        assert "so 5000 MB are requested" in third.stderr
        assert "#SBATCH --mem=5000M" in third.stdout
        run.write_text(json.dumps({**state, "state": "finished"}))
        assert "memory" not in kpsbatch("submit", project, "--set", "slurm.mem=2G", "--dry-run").stderr

    def test_without_slurm(self, project, monkeypatch, tmp_path):
        """Without sbatch, `submit` says how to go on; it never runs here unasked."""
        monkeypatch.setenv("PATH", str(tmp_path))
        done = kpsbatch("submit", project)
        assert done.returncode == 2
        assert "--cluster local" in done.stderr

    @pytest.mark.parametrize("name", ["100%", "back\\slash", "two\nlines"])
    def test_paths_that_slurm_would_change(self, cluster, project, name):
        """SLURM expands some characters in the names of logs, so they are refused."""
        done = kpsbatch("submit", project, "--set", f"output.root={json.dumps(str(project.parent / name))}")
        assert done.returncode == 2
        assert "which SLURM expands. Choose another folder." in done.stderr


class TestLocal:
    def test_shards_run_one_after_another(self, project, tmp_path):
        """`--cluster local` leaves plan, logs, states and outputs as a cluster would; then nothing is left."""
        _write_video(project.parent / "data" / "01" / "train" / "0001" / "v")
        _write_video(project.parent / "data" / "01" / "train" / "0002" / "v")
        done = kpsbatch("submit", project, "--cluster", "local", "--signs", "1-2")
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"shard 0 of 2: finished.*\n.*shard 1 of 2: finished", done.stdout)
        out = project.parent / "out"
        assert sorted(path.name for path in out.glob("01-train/*.npz")) == ["0001.npz", "0002.npz"]
        [folder] = list_submissions(out)
        assert len(list((folder / "logs").glob("*_log.out"))) == 2
        assert [read_run(out, Origin(folder.name, n)).state for n in (0, 1)] == ["finished", "finished"]
        shown = kpsbatch("logs", project)
        assert shown.stdout.count("finished, 1/1 units, 1/1 videos") == 2
        assert "None of 2 tasks failed." in kpsbatch("logs", project, "--failed").stdout
        assert "Nothing to do" in kpsbatch("submit", project, "--cluster", "local", "--signs", "1-2").stdout

    def test_python_path(self, project, tmp_path):
        """A task finds what this command's PYTHONPATH names."""
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "sitecustomize.py").write_text("print('found on PYTHONPATH')\n")
        command = [sys.executable, "-m", "kpsbatch", "submit", str(project), "--cluster", "local", "--signs", "1"]
        path = f"{REPO}:{tmp_path / 'more'}"
        subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": path}, timeout=60, check=False)
        [log] = (project.parent / "out").glob("_kpsbatch/submissions/*/logs/*_log.out")
        assert "found on PYTHONPATH" in log.read_text()

    def test_container(self, cluster, project):
        """With slurm.container the task runs in the image, without this checkout's PYTHONPATH, and writes its log."""
        image = project.parent / "my image.sif"
        image.touch()
        (cluster.folder / "bin" / "apptainer").write_text(
            '#!/bin/bash\necho "path: <${PYTHONPATH-unset}>"; for word in "$@"; do echo "<$word>"; done\n'
        )
        setting = f"slurm.container={json.dumps(str(image))}"
        done = kpsbatch("submit", project, "--cluster", "local", "--signs", "1", "--set", setting)
        assert done.returncode == 2  # nothing was done
        [log] = (project.parent / "out").glob("_kpsbatch/submissions/*/logs/*_log.out")
        words = log.read_text().splitlines()
        assert words[:2] == ["path: <unset>", "<exec>"]
        assert words[words.index("<kpsbatch.cluster.task>") + 1] == f"<{log.parents[1]}>"

    def test_failed_videos(self, project):
        """A shard whose videos fail ends with status 1, and `logs --failed` shows it."""
        done = kpsbatch("submit", project, "--cluster", "local", "--signs", "4")
        assert done.returncode == 1, done.stdout + done.stderr
        look = shlex.split(done.stdout.partition("Some videos failed. Which and why: ")[2])
        assert look[-4:] == ["status", str(project), "--signs", "4"]
        shown = kpsbatch("logs", project, "--failed").stdout
        assert "finished, 1 videos failed" in shown
        assert "01-train/0004/v: " in shown

    def test_retry_failed_once(self, project):
        """--retry-failed redoes a failed unit once: the task that is requeued finds it done."""
        kpsbatch("submit", project, "--cluster", "local", "--signs", "4")
        out = project.parent / "out"
        again = kpsbatch("submit", project, "--cluster", "local", "--signs", "4")
        assert "Nothing to do" in again.stdout
        assert "units with failed videos: 1. Fix the data, then submit again with --retry-failed" in again.stdout
        assert again.returncode == 1
        [record] = out.rglob("0004.failed.json")
        first = record.stat().st_mtime
        assert kpsbatch("submit", project, "--cluster", "local", "--signs", "4", "--retry-failed").returncode == 1
        second = record.stat().st_mtime
        assert second > first
        do_shard(list_submissions(out)[-1])
        assert record.stat().st_mtime == second

    def test_interrupt(self, project):
        """Ctrl-C stops the shard and its workers, and the run's state says so."""
        for number in range(40):
            _write_video(project.parent / "data" / "01" / "train" / "0001" / f"w{number}")
        process = subprocess.Popen(
            [sys.executable, "-m", "kpsbatch", "submit", str(project), "--cluster", "local", "--signs", "1"],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        give_up = time.monotonic() + 60
        while not list((project.parent / "out" / "_kpsbatch" / "runs").glob("*.json")):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=20)
        assert process.returncode == 3, error
        assert "kpsbatch: Stopped. Finished units are saved. Rerun to resume." in error
        [folder] = list_submissions(project.parent / "out")
        assert read_run(project.parent / "out", Origin(folder.name, 0)).state == "interrupted"


class TestArrayScript:
    def run(self, project, *arguments, **variables):
        environment = {**os.environ, "KPSBATCH_PYTHON": "python", "SLURM_JOB_ID": "5", **variables}
        return subprocess.run(
            [ARRAY, *map(str, arguments)],
            env=environment,
            cwd=project.parent,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def array(self, task, first, last, step=1):
        count = len(range(first, last + 1, step))
        return {
            "SLURM_ARRAY_JOB_ID": "5",
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_MIN": str(first),
            "SLURM_ARRAY_TASK_MAX": str(last),
            "SLURM_ARRAY_TASK_STEP": str(step),
            "SLURM_ARRAY_TASK_COUNT": str(count),
        }

    def test_array_task(self, cluster, project):
        """A task of an array asks for its shard; arguments arrive as they were."""
        done = self.run(project, project, "--set", "output.root=a b", **self.array(7, 3, 9, 2))
        expected = [
            "-u",
            "-c",
            START_IN_SHELL,
            "kpsbatch",
            "run",
            project,
            "--shard",
            "auto",
            "--set",
            "output.root=a b",
        ]
        assert done.stdout.splitlines() == [f"<{word}>" for word in expected]

    def test_defaults(self, cluster, project):
        """Without arguments it does configs/karsl.yaml; without an array everything."""
        done = self.run(project)
        assert done.stdout.splitlines() == [
            "<-u>",
            "<-c>",
            f"<{START_IN_SHELL}>",
            "<kpsbatch>",
            "<run>",
            f"<{REPO / 'configs' / 'karsl.yaml'}>",
        ]

    def test_variables_as_words(self, cluster, project):
        """Variables before the config count as those of the environment, which --export=NONE keeps from a job."""
        named = {"KPSBATCH_CONTAINER": "my image.sif", "KARSL_ROOT": "/data/my karsl"}
        expected = self.run(project, project, "--set", "a=b", **named)
        words = [f"{name}={value}" for name, value in named.items()]
        assert self.run(project, *words, project, "--set", "a=b").stdout == expected.stdout
        assert "my image.sif" in expected.stdout

    def test_container(self, cluster, project):
        """With KPSBATCH_CONTAINER the interpreter is the image's, and the config's folder is seen."""
        done = self.run(project, project, KPSBATCH_CONTAINER="my image.sif", KARSL_ROOT="/data/my karsl")
        words = done.stdout.splitlines()
        assert words[0] == "<exec>"
        assert '<type=bind,"source=/data/my karsl","destination=/data/my karsl">' in words
        assert words[-8:-5] == ["<my image.sif>", "<python>", "<-u>"]
        assert words[-3:] == ["<kpsbatch>", "<run>", f"<{project}>"]

    @pytest.mark.parametrize(
        ("status", "state", "requeued"), [(3, "RUNNING", True), (3, "COMPLETING", False), (1, "RUNNING", False)]
    )
    def test_requeue(self, cluster, project, status, state, requeued):
        """Status 3 requeues this very task, unless it was cancelled; the status is handed on."""
        (cluster.folder / "queue").write_text(state + "\n")
        done = self.run(project, project, FAKE_STATUS=str(status), **self.array(2, 0, 3))
        assert done.returncode == status
        assert ("scontrol requeue 5_2" in cluster.calls) is requeued

    def test_without_kpsbatch(self, cluster, project):
        """A Python that has no kpsbatch is named, with what to set."""
        done = self.run(project, project, KPSBATCH_PYTHON="false")
        assert done.returncode == 2
        assert "KPSBATCH_PYTHON" in done.stderr


class TestBatchShell:
    """kpsbatch/cluster/batch.sh: what happens around a task."""

    def run(self, cluster, task, before="", **variables):
        pid_file = cluster.folder / "task.pid"
        environment = {**os.environ, "SLURM_JOB_ID": "5", "KPSBATCH_PID_FILE": str(pid_file), "TASK": task, **variables}
        shell = f'. {shlex.quote(str(BATCH_SHELL))}\n{before}\nrun_task bash -c "$TASK"'
        return subprocess.run(
            ["bash", "-c", shell], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    @pytest.mark.parametrize(
        ("status", "warned", "requeued"),
        [
            *((status, True, False) for status in (0, 1, 2)),
            *((status, True, True) for status in (3, 4, 135, 137, 255)),
            *((status, False, False) for status in (0, 1, 2, 4, 137, 255)),
            *((status, False, True) for status in (3, 135, 140, 143)),
        ],
    )
    def test_which_statuses_are_requeued(self, cluster, status, warned, requeued):
        """After a warning all but 0, 1, 2; without one those of an interrupted task and of an image that went away."""
        (cluster.folder / "queue").write_text("RUNNING\n")
        warning = "kill -USR2 $PPID; sleep 0.1; " if warned else ""
        done = self.run(cluster, f"{warning}exit {status}")
        assert done.returncode == status
        assert ("scontrol requeue 5" in cluster.calls) is requeued

    def test_image_that_always_goes_away(self, cluster):
        """An image that is lost again and again without a warning is given up."""
        (cluster.folder / "queue").write_text("RUNNING\n")
        self.run(cluster, "exit 135", SLURM_RESTART_COUNT="3")
        assert "scontrol requeue 5" not in cluster.calls

    def test_signal_reaches_the_python_process_alone(self, cluster):
        """A signal to the shell goes to the process that said its ID, even if it says so later, and to no other."""
        task = """
            trap 'echo the wrapper was hit' USR2
            python3 -c '
import os, signal, sys
signal.signal(signal.SIGUSR2, lambda *_: (print("stopping", flush=True), os._exit(3)))
open(os.environ["KPSBATCH_PID_FILE"], "w").write(str(os.getpid()))
signal.pause()' &
            python=$!
            kill -USR2 "$PPID"
            wait "$python"
        """
        (cluster.folder / "queue").write_text("RUNNING\n")
        done = self.run(cluster, task)
        assert done.stdout == "stopping\n"
        assert done.returncode == 3
        assert "scontrol requeue 5" in cluster.calls
        assert not (cluster.folder / "task.pid").exists()

    def test_another_process_is_not_signalled(self, cluster):
        """An ID that somebody else has put into the file is not signalled, unless it is of this job."""
        with subprocess.Popen(["sleep", "60"]) as other:
            task = f'echo {other.pid} >"$KPSBATCH_PID_FILE"; kill -TERM $PPID; sleep 2; exit 0'
            assert self.run(cluster, task).returncode == 0
            assert other.poll() is None
            task = 'echo -1 >"$KPSBATCH_PID_FILE"; kill -TERM $PPID; sleep 2; exit 0'
            assert self.run(cluster, task).returncode == 0
            assert other.poll() is None
            other.kill()

    def test_empty_entries_of_python_path(self, cluster):
        """Python would take them for the current folder."""
        for path, kept in (("", ""), (":", ""), (":/a::/b:", "/a:/b"), ("/a", "/a")):
            done = self.run(cluster, 'echo "$PYTHONSAFEPATH $PYTHONPATH"', PYTHONPATH=path)
            assert done.stdout == f"1 {kept}\n"

    def test_signal_before_the_task(self, cluster):
        """A signal that comes before the task is there reaches it all the same."""
        (cluster.folder / "queue").write_text("RUNNING\n")
        task = 'trap "exit 3" USR2; echo $$ >"$KPSBATCH_PID_FILE"; while :; do sleep 0.1; done'
        assert self.run(cluster, task, before="kill -USR2 $$").returncode == 3
        assert "scontrol requeue 5" in cluster.calls

    def test_scheduler_that_answers_late(self, cluster):
        """squeue and scontrol are asked again while they fail; no answer does not mean cancelled."""
        (cluster.folder / "away").write_text("squeue\nscontrol\n")
        (cluster.folder / "queue").write_text("RUNNING\n")
        self.run(cluster, "exit 3")
        assert [call.split()[0] for call in cluster.calls] == ["squeue", "squeue", "scontrol", "scontrol"]

    def test_scheduler_that_never_answers(self, cluster):
        """Without any answer the requeue is tried all the same, and then the status stands."""
        (cluster.folder / "away").write_text("squeue\n" * 99 + "scontrol\n" * 99)
        done = self.run(cluster, "exit 3", KPSBATCH_RETRY_SECONDS="1")
        assert done.returncode == 3
        assert cluster.calls[-1] == "scontrol requeue 5"

    @pytest.mark.parametrize(("nodes", "left_out"), [("n1\nn3\n", True), ("n3\n", False)])
    def test_node_that_can_not_do_it(self, cluster, nodes, left_out):
        """A task that its node can't do starts again, on another node where there is one."""
        (cluster.folder / "queue").write_text("RUNNING\n")
        (cluster.folder / "nodes").write_text(nodes)
        self.run(cluster, "exit 75", SLURMD_NODENAME="n3", SLURM_JOB_PARTITION="main")
        assert "scontrol requeue 5" in cluster.calls
        assert ("scontrol update JobId=5 ExcNodeList=n3" in cluster.calls) is left_out

    @pytest.mark.parametrize(("restarts", "status"), [("0", 75), ("3", 2)])
    def test_python_that_does_not_start(self, cluster, restarts, status):
        """Where no process says its ID, the node has no such Python: the task starts again, three times at most."""
        (cluster.folder / "queue").write_text("RUNNING\n")
        variables = {"SLURM_RESTART_COUNT": restarts, "KPSBATCH_NODE_SECONDS": "0"}
        done = self.run(cluster, "exit 2", before="task_says_id=yes", **variables)
        assert done.returncode == status
        assert ("scontrol requeue 5" in cluster.calls) is (status == 75)
        assert "Python did not start on" in done.stderr
        assert self.run(cluster, 'echo 7 >"$KPSBATCH_PID_FILE"; exit 2', before="task_says_id=yes").returncode == 2

    def test_environment_of_srun(self, cluster):
        """SLURM_EXPORT_ENV, by which srun would hide the environment from the task, is unset."""
        done = self.run(cluster, 'echo "<${SLURM_EXPORT_ENV-unset}>"', SLURM_EXPORT_ENV="NONE")
        assert done.stdout == "<unset>\n"


class TestSlurmConfig:
    @pytest.mark.parametrize(
        ("text", "minutes"),
        [("60", 60), ("04:00:00", 240), ("4:00:00", 240), ("90:30", 91), ("1-0", 1440), ("1-12:30", 2190), ("0:60", 1)],
    )
    def test_time(self, project, text, minutes):
        """Time takes SLURM's formats and minutes, also without the quotes that YAML 1.1 would want."""
        assert load_config(project, [f"slurm.time={text}"]).slurm.time == minutes

    @pytest.mark.parametrize("value", ["", "1 h", "-5", 0, "0:10", True, 1.5, None, "infinite", "1:2:3:4"])
    def test_bad_time(self, value):
        """What is no time limit is refused."""
        with pytest.raises(ValueError, match=r"is not a time limit|is less than one minute"):
            parse_time(value)

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("extra={array: 0-3}", "run.chunk_size and slurm.array_parallelism"),
            ("extra={cpus_per_task: 3}", "slurm.cpus_per_task"),
            ("extra={--partition: x}", "slurm.partition"),
            ("extra={p: x}", "is not a long name"),
            ("extra={comment: [1]}", "is not text"),
            ("mem=16", "16G or 4000M"),
            ("partition=''", "one line of text"),
            ("foo=1", "Choose among time, cpus_per_task"),
        ],
    )
    def test_refused(self, project, setting, said):
        """A setting that can't work is refused in one line, which names the one to use."""
        with pytest.raises(ConfigError, match=re.escape(said)):
            load_config(project, [f"slurm.{setting}"])


class TestRunState:
    def test_identity(self):
        """A task keeps its file through all its attempts; the array's ID counts, not the task's own."""
        slurm = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "2"}
        assert job_of(slurm) == ("10", 2)
        assert run_id(ALONE, slurm) == "job-10_2"
        assert run_id(ALONE, {"SLURM_JOB_ID": "12"}) == "job-12"
        assert run_id(Origin("s", 3), slurm) == "s-0003"

    def test_states(self, tmp_path):
        """A run is running, then finished, failed or interrupted, with its counts."""
        origin = Origin("s", 0, 1)
        with tracked(tmp_path, origin, Progress(units_done=2)):
            run = read_run(tmp_path, origin)
            assert (run.state, run.units_done) == ("running", 2)
            assert not run.is_lost
        assert read_run(tmp_path, origin).state == "finished"
        with pytest.raises(ZeroDivisionError), tracked(tmp_path, origin, Progress()):
            raise ZeroDivisionError("of\nall")
        assert (read_run(tmp_path, origin).state, read_run(tmp_path, origin).error) == ("failed", "of all")
        with pytest.raises(KeyboardInterrupt), tracked(tmp_path, origin, Progress()):
            raise KeyboardInterrupt
        assert read_run(tmp_path, origin).state == "interrupted"

    def test_unwritable(self, tmp_path):
        """A state file that can't be written stops nothing, and makes no folder of its own."""
        with tracked(tmp_path / "missing", ALONE, Progress()):
            pass
        assert not (tmp_path / "missing").exists()


def _group_of_others() -> int:
    """A group that is not this user's alone, and that files can be given to."""
    others = [group for group in (os.getgroups() if os.geteuid() else [100]) if group != os.getegid()]
    return others[0] if others else os.getegid()


def _planned(project):
    """The config of a project, and a plan for it."""
    config = load_config(project)
    return config, plan_submission(config)


def _step_of(script: str) -> list[str]:
    """The words of the command that a batch script runs, as bash reads them."""
    shell = script[script.index("\nrun_task srun ") + 10 : script.index(" -u -c ")]
    shell = shell.replace('"$apptainer"', "apptainer")
    command = ["bash", "-c", f'printf "%s\\n" {shell}']
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _write_video(folder: Path) -> None:
    import cv2
    import numpy as np

    folder.mkdir(exist_ok=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"frame{number}.jpg"), np.full((64, 64, 3), 90, np.uint8))
