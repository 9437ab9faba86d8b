"""What the machine refuses is one line that says what to do: closed streams, limits, other users, broken packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from factories import write_config, write_frames
from processes import REPOSITORY

from kpsbatch.errors import OutputError, broken_package, of_the_machine
from kpsbatch.files import explained

PROGRAM = f"{sys.executable} -m kpsbatch"


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the shell, in which `kpsbatch` is the program."""
    path = os.pathsep.join(filter(None, [variables.pop("PYTHONPATH", ""), str(REPOSITORY)]))
    return subprocess.run(
        ["bash", "-c", f'kpsbatch() {{ {PROGRAM} "$@"; }}; {command}'],
        cwd=folder, env={**os.environ, "PYTHONPATH": path, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of one video, and its config."""
    write_frames(tmp_path / "data" / "0001" / "v", 2)
    write_config(tmp_path, dataset={"layout": "{sign:04d}"})
    return tmp_path


class TestClosedStreams:
    @pytest.mark.parametrize("command", ["scan", "status"])
    def test_standard_error(self, folder: Path, command: str) -> None:
        """What would be said to it goes nowhere, and the command works."""
        done = shell(f"kpsbatch {command} config.yaml 2>&-", folder)
        assert (done.returncode, done.stdout) == (0, shell(f"kpsbatch {command} config.yaml", folder).stdout)
        assert done.stdout

    def test_errors_do_not_go_to_standard_output(self, folder: Path) -> None:
        """Nor into a file that is opened next."""
        done = shell("kpsbatch scan no.yaml 2>&-", folder)
        assert (done.returncode, done.stdout) == (2, "")

    def test_all_of_them(self, folder: Path) -> None:
        """What is written, is written to its file alone."""
        assert shell("kpsbatch schema <&- >&- 2>&-", folder).returncode == 0
        assert shell("kpsbatch verify config.yaml --json <&- 2>&-", folder).stdout.startswith("{")


class TestBrokenPackage:
    @pytest.mark.parametrize("error", ["ImportError('wrong version')", "ValueError('numpy.dtype size changed')"])
    def test_numpy(self, folder: Path, error: str) -> None:
        """The package is named, with its own words."""
        (folder / "numpy").mkdir()
        (folder / "numpy" / "__init__.py").write_text(f"raise {error}")
        done = shell("kpsbatch run config.yaml", folder, PYTHONPATH=str(folder))
        assert done.returncode == 2
        assert done.stderr == (
            f"kpsbatch: numpy can't be imported ({error.replace('(', ': ').replace(chr(39), '')}. "
            "Install the packages again: `make setup`.\n"
        )

    def test_other_errors(self) -> None:
        """Are none of a package."""
        try:
            Path("/nope").read_text()
        except OSError as error:
            assert (broken_package(error), of_the_machine(error)) == ("", "")


class TestLimits:
    def test_threads_and_processes(self) -> None:
        """The limit is named with the command that shows it."""
        for error in (RuntimeError("can't start new thread"), BlockingIOError(11, "Resource temporarily unavailable")):
            assert of_the_machine(error).startswith("the system starts no more processes or threads (ulimit -u is ")

    @pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
    @pytest.mark.parametrize("limit", [1, 3])
    def test_ulimit(self, folder: Path, limit: int) -> None:
        """A user who may have no more processes gets one line."""
        for path in (folder, *folder.parents):
            if path.owner() == "root" and path != Path("/tmp") and path.is_relative_to("/tmp"):
                path.chmod(0o755)
        folder.chmod(0o777)
        user = "setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps=+dac_read_search"
        command = f"ulimit -u {limit}; {user} --ambient-caps=+dac_read_search {PROGRAM} run config.yaml -q"
        done = shell(command, folder, HOME=str(folder), XDG_CACHE_HOME=os.path.expanduser("~/.cache"))
        if "Operation not permitted" in done.stderr:
            pytest.skip("this container lets no user keep a capability")
        assert done.stderr.splitlines()[-1:] == [
            f"kpsbatch: the system starts no more processes or threads (ulimit -u is {limit}). Raise that, or lower "
            "run.workers."
        ]
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)


class TestOtherUsers:
    def test_whose_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What can't be written is named with its owner, where that is somebody else."""
        (tmp_path / "01-train").mkdir()
        owner = (tmp_path / "01-train").owner()
        for user, whose in ((os.geteuid(), ""), (os.geteuid() + 1, f"{tmp_path / '01-train'} belongs to {owner}: ")):
            monkeypatch.setattr(os, "geteuid", lambda user=user: user)
            says = f"output.root: {tmp_path} can't be written: {whose}Permission denied. Make it writable, or"
            with pytest.raises(OutputError, match=f"^{says}"), explained(tmp_path):
                raise PermissionError(13, "Permission denied", str(tmp_path / "01-train" / ".0001.partial"))
