"""The image under Docker and under Apptainer; tests/container/run.sh (`make test-container`) builds it first."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kpsbatch.cluster.script import interpreter
from kpsbatch.config import load_config
from kpsbatch.dataset.folders import places_outside

WORK = Path(os.environ.get("KPSBATCH_TEST_WORK", "/nowhere"))
APPTAINER = Path(__file__).parent / "apptainer.sh"
IMAGE = "kpsbatch"
USER = 10001
APPTAINER_USER = 54321
HARDENED = [
    *("--network", "none", "--read-only", "--tmpfs", "/tmp:rw,nosuid,nodev,size=256m", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--pids-limit", "256", "--user", f"{USER}:{USER}"),
    *("--memory", "2g", "--cpus", "2"),
]
MAX_MEGABYTES = 650
TOLERANCE = 1e-4
DEMO_UNITS = 16

pytestmark = pytest.mark.container
if not WORK.is_dir():
    pytest.skip("needs an image and an engine: run `make test-container`", allow_module_level=True)


def run(command: Sequence[str | Path], status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command and check its exit status."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=180)
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def docker(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    return run(["/usr/bin/docker", *arguments], status)


def container(
    *arguments: str, mounts: Sequence[str] = (), options: Sequence[str] = HARDENED, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """`docker run` with `mounts` such as "/host/folder:/out"."""
    volumes = [word for mount in mounts for word in ("-v", mount)]
    return docker("run", "--rm", *options, *volumes, IMAGE, *arguments, status=status)


def new_folder(owner: int = USER) -> Path:
    """A folder of that user below WORK, which Apptainer's user can reach too."""
    folder = WORK / "tests" / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    os.chown(folder, owner, owner)
    return folder


def keypoint_files(root: Path) -> dict[str, Path]:
    return {str(path.relative_to(root)): path for path in root.glob("*-*/*.npz")}


def records(root: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in root.glob("_kpsbatch/records/*/*/*.json")]


def assert_same_keypoints(ours: Path, theirs: Path, expected: int = DEMO_UNITS) -> None:
    """The files of `ours` hold what those of the same names in `theirs` hold."""
    files = keypoint_files(ours)
    assert len(files) == expected
    for name, path in files.items():
        with np.load(path) as mine, np.load(keypoint_files(theirs)[name]) as reference:
            assert set(mine.files) == set(reference.files)
            for video in mine.files:
                np.testing.assert_allclose(mine[video], reference[video], rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.fixture(scope="session")
def demo() -> Path:
    """The demo, made and run outside the container; `demo/out` is what all others are compared with."""
    directory = WORK / "demo"
    run([sys.executable, "-m", "kpsbatch", "demo", directory, "--run", "--quiet"])
    assert len(keypoint_files(directory / "out")) == DEMO_UNITS
    return directory


class TestImage:
    """What is in it."""

    def test_is_small(self) -> None:
        megabytes = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE).stdout) / 1e6
        print(f"image: {megabytes:.0f} MB")
        assert megabytes < MAX_MEGABYTES

    def test_every_module_can_be_imported(self) -> None:
        code = """if True:
            import importlib, pkgutil, kpsbatch
            names = [module.name for module in pkgutil.walk_packages(kpsbatch.__path__, "kpsbatch.")]
            from kpsbatch.landmarks.mediapipe_import import import_mediapipe
            import_mediapipe()
            names += ["cv2", "yaml", "typer", "pydantic", "rich", "submitit"]
            print(len([importlib.import_module(name) for name in names]))
        """
        done = container("-c", code, options=[*HARDENED, "--entrypoint", "python"])
        assert int(done.stdout) > 20

    def test_holds_no_secret_cache_or_build_tool(self) -> None:
        code = """
            ls /root /tmp /etc/pip.conf /opt/kpsbatch/bin/pip 2>/dev/null
            find / -xdev -name '*.whl' ! -path '*/ensurepip/*'
            command -v gcc cc make || true
        """
        done = container("-c", code, options=["--entrypoint", "sh"])
        assert done.stdout.split() == ["/root:", "/tmp:"]

    def test_models_are_there_already(self) -> None:
        lines = container("models").stdout.splitlines()
        there = re.compile(r"mediapipe 0\.10\.21 +/opt/kpsbatch/models/networks-")
        assert [there.search(line) is not None for line in lines] == [True] * 6


class TestMissingMounts:
    """Without a dataset it says what to mount, in three lines."""

    @pytest.mark.parametrize("arguments", [[], ["--signs", "1-3"], ["run"]])
    def test_no_dataset(self, arguments: list[str]) -> None:
        said = container(*arguments, status=2).stderr.splitlines()
        assert len(said) == 3
        assert "no dataset at /data" in said[0]
        assert "-v DATASET:/data:ro -v OUT:/out kpsbatch" in said[1]
        assert "docker run --rm kpsbatch demo --run" in said[2]

    def test_no_folder_for_the_outputs(self, demo: Path) -> None:
        """They would be gone with the container."""
        said = container(mounts=[f"{demo}/dataset:/data:ro"], status=2).stderr
        assert "nothing mounted at /out" in said

    def test_no_writable_tmp(self) -> None:
        said = container("models", options=["--read-only"], status=2).stderr
        assert "--tmpfs /tmp" in said
        assert "Traceback" not in said


class TestCommands:
    """`docker run kpsbatch COMMAND ...` is the command line."""

    def test_version_and_help(self) -> None:
        assert container("--version").stdout.startswith("kpsbatch ")
        assert "--retry-failed" in container("run", "--help").stdout

    def test_a_command_takes_the_mounted_dataset(self, demo: Path) -> None:
        said = container("scan", "--signers", "01", "--signs", "1-5", mounts=[f"{demo}/dataset:/data:ro"]).stdout
        assert "folder missing in 01 train: signs 5" in said

    def test_a_config_at_its_own_path(self, demo: Path) -> None:
        """With the same path inside and outside, what is printed holds outside too."""
        said = container("scan", f"{demo}/config.yaml", mounts=[f"{demo}:{demo}:ro"]).stdout
        assert f"{demo}/dataset" in "".join(said.split())

    def test_a_relative_folder_with_nothing_mounted(self) -> None:
        """The read-only /out can't take it, so it goes to /tmp: this lets `demo --run` work with no mount at all."""
        assert container("models", "--export", "mine").stdout.count(" mediapipe 0.10.21 ") == 6

    def test_next_steps_of_the_demo(self) -> None:
        """With the folder of the docs, as root on the host: the steps that the demo ends with work as typed."""
        folder = new_folder(owner=0)
        (folder / "keep").mkdir()
        said = container("demo", "--run", mounts=[f"{folder}/keep:/out"], options=[]).stdout
        steps = re.findall(r"^  (docker run .*)  # ", said, re.MULTILINE)
        assert len(steps) == 3, said
        for step in (step for step in steps if "YOUR_CLIP" not in step):
            typed = subprocess.run(["bash", "-c", step], cwd=folder, capture_output=True, text=True, timeout=120)
            assert typed.returncode == 0, f"{step}\n{typed.stdout}{typed.stderr}"
        lost = container("demo", options=[]).stderr
        assert 'mkdir -p keep && docker run --rm -v "$PWD/keep:/out" kpsbatch demo --run' in lost

    def test_a_wrong_command_is_said_in_one_place(self) -> None:
        said = container("nonsense", status=2).stderr
        assert "nonsense" in said
        assert "Traceback" not in said


class TestRun:
    """The main job, hardened and without network."""

    def test_demo_equals_a_run_outside_and_belongs_to_the_user(self, demo: Path) -> None:
        out = new_folder()
        said = container("demo", "--run", mounts=[f"{out}:/out"]).stdout
        assert "16 units finished now" in said
        assert_same_keypoints(out / "demo/out", demo / "out")
        assert {path.stat().st_uid for path in out.rglob("*")} == {USER}
        assert (out / "demo/preview.png").stat().st_size > 10_000

    def test_stopped_in_the_middle_and_finished_by_a_second_run(self, demo: Path) -> None:
        out = new_folder()
        mounts = [f"{demo}/dataset:/data:ro", f"{out}:/out"]
        volumes = [word for mount in mounts for word in ("-v", mount)]
        name = f"kpsbatch-{uuid.uuid4().hex[:8]}"
        docker("run", "--detach", "--name", name, *HARDENED, *volumes, IMAGE)
        deadline = time.monotonic() + 60
        while len(keypoint_files(out)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        started = time.monotonic()
        docker("stop", "--time", "30", name)
        print(f"docker stop: {time.monotonic() - started:.1f} s")
        assert docker("inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", name).stdout.split() == [
            "3",
            "false",
        ]
        assert "Stopped (SIGTERM)" in docker("logs", name).stderr
        docker("rm", name)
        stopped_at = len(keypoint_files(out))
        assert 2 <= stopped_at < DEMO_UNITS

        said = container(mounts=mounts).stdout
        assert f"{DEMO_UNITS - stopped_at} units finished now" in said
        assert f"{stopped_at} finished before" in said
        assert "without a folder in the dataset" in said, "KArSL has more signs than the demo: reported, not fatal"
        assert_same_keypoints(out, demo / "out")
        assert not [path for path in out.rglob("*") if path.name.endswith((".partial", ".tmp"))]

    def test_memory_limit_and_own_config(self, demo: Path, tmp_path: Path) -> None:
        """1 GB is room for one worker, whatever the cores; a config over /config.yaml needs no folders changed."""
        config = tmp_path / "my.yaml"
        config.write_text((demo / "config.yaml").read_text().replace("signs: 1-4", "signs: 2"))
        out = new_folder()
        mounts = [f"{config}:/config.yaml:ro", f"{demo}/dataset:/data:ro", f"{out}:/out"]
        container(mounts=mounts, options=[*HARDENED, "--memory", "1g"])
        assert_same_keypoints(out, demo / "out", expected=4)
        assert {record["workers"] for record in records(out)} == {1}
        assert {record["container"] for record in records(out)} == {"kpsbatch"}
        assert "01/01/train/0002" in {record["source"] for record in records(out)}

    def test_root_is_told(self) -> None:
        """Where it may not become another user, it says that it runs as root, and what to add."""
        done = container("--version", options=["--network", "none", "--cap-drop", "ALL"])
        assert (
            "this runs as root, since it may not become user 10001 (Operation not permitted). Add --user" in done.stderr
        )
        assert container("--version", options=["--network", "none"]).stderr == ""

    def test_current_folder(self) -> None:
        """Nothing is imported from the folder that it is started in."""
        folder = new_folder()
        for name in ("signal", "enum", "numpy", "kpsbatch"):
            (folder / f"{name}.py").write_text("print('was run')\n")
        options = ["--network", "none", "-w", "/elsewhere"]
        done = container("demo", "/tmp/demo", "--run", "--quiet", mounts=[f"{folder}:/elsewhere"], options=options)
        assert "was run" not in done.stdout + done.stderr
        code = ["-c", "import signal, enum, numpy, kpsbatch, os; print(os.environ['HOME'])"]
        options += ["--entrypoint", "python", "--user", "12345:12345"]
        assert "was run" not in container(*code, mounts=[f"{folder}:/elsewhere"], options=options).stdout

    def test_without_user_the_files_belong_to_the_owner_of_the_folder(self, demo: Path) -> None:
        out = new_folder(owner=23456)
        mounts = [f"{demo}/dataset:/data:ro", f"{out}:/out"]
        container("--signs", "1", "--signers", "01", mounts=mounts, options=["--network", "none"])
        assert_same_keypoints(out, demo / "out", expected=2)
        assert {path.stat().st_uid for path in out.rglob("*")} == {23456}


@pytest.fixture(scope="session")
def sif() -> Path:
    """The image as one file, made by the user that runs it."""
    if not (WORK / "apptainer/usr/bin/apptainer").exists():
        log = WORK / "apptainer.log"
        reason = log.read_text().strip().splitlines()[-1:] if log.exists() else ["not there"]
        pytest.skip(f"Apptainer can't be installed: {' '.join(reason)}")
    folder = new_folder(APPTAINER_USER)
    docker("save", "-o", folder / "kpsbatch.tar", IMAGE)
    (folder / "kpsbatch.tar").chmod(0o644)
    image = folder / "kpsbatch.sif"
    apptainer("build", "--mksquashfs-args", "-noI -noD -noF -noX", image, f"docker-archive:{folder}/kpsbatch.tar")
    (folder / "kpsbatch.tar").unlink()
    return image


def apptainer(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    return run([APPTAINER, "run", WORK / "apptainer", WORK, *arguments], status)


class TestApptainer:
    """The same image on a cluster: a user without rights, a read-only image."""

    def test_run_contained(self, demo: Path, sif: Path) -> None:
        out = new_folder(APPTAINER_USER)
        bind = f"{demo}/dataset:/data:ro,{out}:/out"
        said = apptainer("run", "--containall", "--net", "--network", "none", "--bind", bind, sif, "--signs", "1-2")
        assert "8 units finished now" in said.stdout
        assert_same_keypoints(out, demo / "out", expected=8)
        assert {path.stat().st_uid for path in out.rglob("*")} == {APPTAINER_USER}
        assert {record["container"] for record in records(out)} == {str(sif)}

    def test_exec_python_as_a_batch_job_does(self, demo: Path, sif: Path) -> None:
        """Not contained, as sites mostly run it: paths are the host's, and the user's own packages stay out."""
        out = new_folder(APPTAINER_USER)
        command = ["exec", "--bind", WORK, sif, "python", "-m", "kpsbatch", "run", demo / "config.yaml", "--signs", "1"]
        apptainer(*command, "--signers", "02", "--set", f"output.root={out}", "--quiet")
        assert_same_keypoints(out, demo / "out", expected=2)
        assert apptainer("exec", sif, "python", "-c", "import site; print(site.ENABLE_USER_SITE)").stdout == "False\n"

    def test_links_out_of_the_dataset(self, demo: Path, sif: Path) -> None:
        """A task sees what links below `dataset.root` lead to by the mounts that `submit` adds, and not without."""
        tree, out = new_folder(), new_folder(APPTAINER_USER)
        (tree / "01").symlink_to(demo / "dataset" / "01")
        dataset = {"root": str(tree), "signers": ["01"], "splits": ["train"], "signs": "1"}
        path = out / "config.yaml"
        path.write_text(
            json.dumps({"dataset": dataset, "output": {"root": str(out)}, "slurm": {"container": str(sif)}})
        )
        config = load_config(path)
        mounts = places_outside(tree, (tree / "01/01/train/0001").iterdir())
        assert mounts == [demo / "dataset" / "01"]

        def task(mounts: Sequence[Path], status: int) -> str:
            words = shlex.split(interpreter(config, "apptainer", mounts))[2:]
            run_words = ["-m", "kpsbatch", "run", path, "--quiet"]
            return apptainer("exec", "--containall", *words, *run_words, status=status).stderr

        assert "no video" in task([], 2)
        task(mounts, 0)
        assert_same_keypoints(out, demo / "out", expected=1)

    def test_without_a_python_of_the_host(self, demo: Path, sif: Path) -> None:
        """docs/slurm_variants.md where Python is too old: all in the image, with paths of the host."""
        out = new_folder(APPTAINER_USER)
        program = ["exec", "--bind", WORK, sif, "python", "-m", "kpsbatch"]
        to = ["--set", f"output.root={out}"]
        apptainer(*program, "run", demo / "config.yaml", "--signs", "1", *to, "--quiet")
        for command, *options in (["logs"], ["status"], ["verify", "--signs", "1"], ["report"]):
            said = apptainer(*program, command, demo / "config.yaml", *options, *to)
            assert said.stdout.strip(), command
        assert (out / "report.html").is_file()

    def test_no_dataset(self, sif: Path) -> None:
        said = apptainer("run", "--containall", sif, status=2).stderr
        assert f"apptainer run --bind DATASET:/data:ro,OUT:/out {sif}" in said
