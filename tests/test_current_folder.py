"""Nothing is imported from the current folder, which may be one of downloads: not by workers or tasks either."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from factories import write_config, write_frames
from processes import REPOSITORY

from kpsbatch.startup import module_words, python_path

BUILT_IN = {"sys", "builtins", "time", "marshal", "posix", "zipimport"}
FOUND = ("numpy", "cv2", "yaml", "pydantic", "typer", "rich", "mediapipe", "av", "pip", "kpsbatch", "submitit", "click")


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """A folder with a module of every name that might be imported; each leaves a mark when it runs."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in ({*sys.stdlib_module_names} - BUILT_IN) | {*FOUND, "sitecustomize", "usercustomize"}:
        mark = f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r} + chr(10))\n"
        (folder / f"{name}.py").write_text(mark)
    (folder / "kpsbatch.py").rename(folder / "kpsbatch_.py")
    (folder / "kpsbatch").mkdir()
    for name in ("__init__", "__main__"):
        (folder / "kpsbatch" / f"{name}.py").write_text(mark)
    return folder


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The installed command, as pip writes it."""
    script = tmp_path / "bin" / "kpsbatch"
    script.parent.mkdir()
    script.write_text("import sys\nfrom kpsbatch.__main__ import start\nsys.exit(start())\n")
    return [sys.executable, str(script)]


def run_in(folder: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    return subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(REPOSITORY), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def config_of_one_video(folder: Path) -> Path:
    write_frames(folder / "data" / "01" / "01" / "train" / "0001" / "v", 1)
    return write_config(folder)


def ran(folder: Path) -> list[str]:
    """The modules of a folder of downloads that were imported."""
    mark = folder.parent / "ran"
    return mark.read_text().splitlines() if mark.exists() else []


def test_extract(downloads: Path, command: list[str]) -> None:
    """`cd downloads && kpsbatch extract clip` uses workers, and runs nothing that lies there."""
    write_frames(downloads / "clip", 2)
    done = run_in(downloads, *command, "extract", "clip", "--no-pictures")
    assert done.returncode == 0, done.stderr
    assert (downloads / "keypoints" / "clip.npz").exists()
    assert ran(downloads) == []


@pytest.mark.parametrize("arguments", [["run"], ["submit", "--cluster", "local"], ["check"], ["status"]])
def test_commands(downloads: Path, command: list[str], arguments: list[str]) -> None:
    """Commands, and the tasks of a submission on this machine."""
    config = config_of_one_video(downloads)
    run_in(downloads, *command, arguments[0], config, *arguments[1:])
    assert ran(downloads) == []


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.13"])
def test_start_of_a_module(downloads: Path, tmp_path: Path, version: str) -> None:
    """The words by which workers and tasks start keep the folder out on every Python, also one without safe paths."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    python = next(pyenv.glob(f"versions/{version}.*/bin/python"), None) or shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no Python {version} here")
    package = tmp_path / "somewhere" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "task.py").write_text("import signal, enum, json, socket, sys\nprint(__name__, *sys.argv[1:])\n")
    done = run_in(
        downloads, python, *module_words("package.task"), "a", "b c", PYTHONPATH=str(package.parent), PYTHONSAFEPATH="1"
    )
    assert (done.stdout, done.stderr) == ("__main__ a b c\n", "")
    assert ran(downloads) == []
    naive = run_in(downloads, python, "-m", "package.task", PYTHONPATH=str(package.parent))
    assert ran(downloads) or naive.returncode  # what `-m` does, and why it is not used


def test_array_script(downloads: Path, tmp_path: Path) -> None:
    """slurm/array.sh imports neither a `kpsbatch` nor a `signal.py` of the folder that it is submitted from."""
    config = config_of_one_video(downloads)
    script = REPOSITORY / "slurm" / "array.sh"
    python = {"KPSBATCH_PYTHON": sys.executable, "SLURM_SUBMIT_DIR": str(downloads)}
    done = run_in(downloads, script, config, **python, PYTHONPATH=":/nowhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran(downloads) == []
    copy = tmp_path / "spool" / "slurm_script"
    copy.parent.mkdir()
    shutil.copy(script, copy)
    run_in(downloads, "bash", copy, config, **python)
    assert ran(downloads) == []


def test_empty_entries_of_python_path(downloads: Path, command: list[str]) -> None:
    """`export PYTHONPATH=$PYTHONPATH:/more` means the current folder to Python; children do not inherit that."""
    assert python_path(":/a::b", "/first") == f"/first:/a:{os.path.abspath('b')}"
    for path in downloads.glob("*.py"):
        if path.stem not in ("signal", "fractions", "cv2"):  # what Python itself imports comes before the command
            path.unlink()
    write_frames(downloads / "clip", 1)
    done = run_in(downloads, *command, "extract", "clip", "--no-pictures", PYTHONPATH=f"{REPOSITORY}:")
    assert done.returncode == 0, done.stderr
    assert ran(downloads) == []
