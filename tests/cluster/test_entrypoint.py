"""What the image's entry point makes of a command line (the rest needs an engine: tests/container)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from kpsbatch.words import program

SCRIPT = Path(__file__).parents[2] / "docker/entrypoint.py"
MOUNTED = ["/config.yaml", "--set", "dataset.root=/data", "--set", "output.root=/out"]


@pytest.fixture(scope="module")
def entrypoint() -> ModuleType:
    spec = importlib.util.spec_from_file_location("entrypoint", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def complete(entrypoint: ModuleType) -> Callable[[list[str]], list[str]]:
    found: Callable[[list[str]], list[str]] = entrypoint.complete
    return found


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ([], ["run", *MOUNTED]),
        (["--signs", "1-10", "-q"], ["run", *MOUNTED, "--signs", "1-10", "-q"]),
        (["run", "--set", "output.root=/x"], ["run", *MOUNTED, "--set", "output.root=/x"]),
        (["scan"], ["scan", *MOUNTED]),
        (["run", "my.yaml", "-q"], ["run", "my.yaml", "-q"]),
        (["demo", "--run"], ["demo", "--run"]),
        (["models"], ["models"]),
        (["run", "--help"], ["run", "--help"]),
        (["--version"], ["--version"]),
        (["nonsense"], ["nonsense"]),
    ],
)
def test_what_is_left_out_is_put_in(
    complete: Callable[[list[str]], list[str]], typed: list[str], means: list[str]
) -> None:
    """The main job is the default; a config that is named stays alone; the user's own --set comes last, so wins."""
    assert complete(typed) == means


OWN = "30 20 0:5 / /proc rw - proc proc rw\n31 20 8:1 /var/lib/hosts /etc/hosts rw - ext4 /dev/sda rw\n"


@pytest.mark.parametrize(
    ("mounts", "typed"),
    [
        ("", "docker run --rm kpsbatch"),
        ("9 8 8:1 /home/me/keep /out rw - ext4 /dev/sda rw\n", 'docker run --rm -v "$PWD/keep:/out" kpsbatch'),
        ("9 8 8:1 /v/_data /out rw - ext4 /dev/sda rw\n", "docker run --rm -v OUT:/out kpsbatch"),
        ("9 8 8:1 /home/me/signs /data ro - ext4 /dev/sda rw\n", "docker run --rm -v DATA:/data kpsbatch"),
        ("9 8 8:1 /home/me /home/me rw - ext4 /dev/sda rw\n", "docker run --rm -v /home/me:/home/me kpsbatch"),
        ("9 8 0:9 / /tmp rw - tmpfs tmpfs rw\n", "docker run --rm kpsbatch"),
    ],
)
def test_what_starts_the_image_again(
    entrypoint: ModuleType, monkeypatch: pytest.MonkeyPatch, mounts: str, typed: str
) -> None:
    """Next steps are printed as they are typed outside, with the same folders mounted."""
    monkeypatch.chdir("/tmp")
    monkeypatch.delenv("APPTAINER_CONTAINER", raising=False)
    assert entrypoint.typed_outside(OWN + mounts) == typed
    monkeypatch.setenv("APPTAINER_CONTAINER", "/scratch/me/k.sif")
    assert entrypoint.typed_outside(OWN + mounts) == "apptainer run /scratch/me/k.sif"
    monkeypatch.delenv("KPSBATCH_PROGRAM", raising=False)
    assert program() == "apptainer exec /scratch/me/k.sif kpsbatch"
    monkeypatch.setenv("KPSBATCH_PROGRAM", typed)
    assert program() == typed


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
CALL = """
import importlib.util, os, sys, pathlib
spec = importlib.util.spec_from_file_location("entrypoint", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.leave_root(pathlib.Path(sys.argv[2]))
module.have_home()
print(*os.getresuid(), *os.getresgid(), len(os.getgroups()), os.environ["HOME"])
"""


def as_root(folder: Path, *before: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What becomes of the user where the output folder is this."""
    return subprocess.run(
        [*before, sys.executable, "-c", CALL, str(SCRIPT), str(folder)],
        env={**os.environ, "HOME": "/root", **variables},
        capture_output=True,
        text=True,
        check=True,
    )


@ROOT
def test_owner_of_the_outputs(tmp_path: Path) -> None:
    """As root it becomes the folder's owner for good, without root's groups and home."""
    os.chown(tmp_path, 12345, 54321)
    done = as_root(tmp_path)
    assert (done.stdout.split(), done.stderr) == ([*["12345"] * 3, *["54321"] * 3, "0", "/tmp"], "")


@ROOT
def test_without_an_output_folder(tmp_path: Path) -> None:
    """Where there is none, it becomes a user to whom nothing belongs, without a traceback."""
    done = as_root(tmp_path / "nothing")
    assert (done.stdout.split()[0], done.stderr) == ("10001", "")


@ROOT
def test_root_says_so(tmp_path: Path) -> None:
    """It goes on as root where the folder is root's, or where it may not change its user, and tells what to add."""
    done = as_root(tmp_path)
    assert done.stdout.split()[0] == "0"
    assert done.stderr.startswith(
        f"kpsbatch: this runs as root, since {tmp_path} belongs to root. If you are another user"
    )
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv to take root's rights away")
    os.chown(tmp_path, 12345, 54321)
    done = as_root(tmp_path, "setpriv", "--bounding-set=-all", "--inh-caps=-all")
    assert done.stdout.split()[0] == "0"
    assert "this runs as root, since it may not become user 12345 (Operation not permitted). Add --user" in done.stderr


@ROOT
def test_a_user_without_a_home(tmp_path: Path) -> None:
    """With --user, HOME is / or root's: libraries get a folder that can be written."""
    done = as_root(tmp_path, "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", HOME="/")
    assert (done.stdout.split()[0], done.stdout.split()[-1], done.stderr) == ("12345", "/tmp", "")
