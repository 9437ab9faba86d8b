"""`kpsbatch check`: what is wrong with a machine or a config is named, each with a remedy."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import write_config

from kpsbatch import check as checks
from kpsbatch.cli.main import main
from kpsbatch.config import Config, load_config
from kpsbatch.store.settings import UNKNOWN

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")

GIB = 1 << 30


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config whose dataset is there."""
    (tmp_path / "data").mkdir()
    return write_config(tmp_path, dataset={"root": "data"})


def programs(folder: Path, **scripts: str) -> str:
    """A folder of shell scripts that stand for programs, for the PATH."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def only(found: Any) -> checks.Finding:
    """The one finding of a check."""
    [finding] = list(found)
    assert finding.remedy or finding.state == "ok", "a warning or a problem without a remedy"
    assert isinstance(finding, checks.Finding)
    return finding


class TestMachine:
    @pytest.mark.parametrize(
        ("version", "system", "machine", "state"),
        [
            ((3, 10), "linux", "x86_64", "ok"),
            ((3, 14), "linux", "aarch64", "ok"),
            ((3, 9), "linux", "x86_64", "problem"),
            ((3, 15), "linux", "x86_64", "problem"),
            ((3, 12), "darwin", "arm64", "warning"),
            ((3, 12), "linux", "riscv64", "warning"),
        ],
    )
    def test_python(self, version, system, machine, state):
        """Python 3.10 to 3.14 on Linux, x86-64 or Arm."""
        assert only(checks.check_python(version, system, machine)).state == state

    @pytest.mark.parametrize(
        ("changed", "state", "says"),
        [
            ({"mediapipe": "1.3.0"}, "warning", "mediapipe 1.3.0 is installed, 1.2.3 is tested"),
            ({"opencv-python-headless": "4.12.0"}, "warning", "4.12.0 is installed, 4.11.0.86 is tested"),
            ({"opencv-python": "4.11.0.86"}, "warning", "opencv-python-headless and opencv-python are installed"),
        ],
    )
    def test_packages(self, changed, state, says):
        """Other releases than the tested ones, and two OpenCVs in one folder, are warned about."""
        there = {"mediapipe": "1.2.3", "opencv-python-headless": "4.11.0.86", "av": "18.1.0", "numpy": "2", **changed}
        found = only(checks.check_packages(lambda name: there.get(name, UNKNOWN)))
        assert found.state == state
        assert says in found.text

    def test_package_that_is_missing(self, monkeypatch):
        """A package that can't be imported is a problem with the reason."""

        def refuse(name: str) -> None:
            raise ImportError("libGL.so.1: cannot open shared object file")

        monkeypatch.setattr(checks, "import_module", refuse)
        found = [one for one in checks.check_packages() if one.state == "problem"]
        assert [one.text.partition(" ")[0] for one in found] == ["opencv", "av"]
        assert "opencv-python-headless" in found[0].remedy

    def test_models(self, tmp_path):
        """The networks in the cache are fine; a folder without any is a problem with a remedy."""
        assert only(checks.check_models(None)).state == "ok"
        found = only(checks.check_models(tmp_path))
        assert found.state == "problem"
        assert "networks.json is missing" in found.text

    @pytest.mark.parametrize(
        ("limits", "state", "says"),
        [
            ({"affinity": 8}, "ok", "(affinity 8)"),
            ({"affinity": 8, "quota": 2.5}, "ok", "(affinity 8, quota 2.5); the quota is the limit"),
            ({"batch job": 4, "quota": 8.0}, "ok", "(batch job 4, quota 8)"),
            ({"affinity": 8, "quota": 0.5}, "warning", "quota 0.5"),
        ],
    )
    def test_cores(self, monkeypatch, limits, state, says):
        """What limits the cores is named: the job, the affinity, a cgroup's quota."""
        monkeypatch.setattr(checks, "core_limits", lambda: limits)
        found = only(checks.check_cores())
        assert found.state == state
        assert says in found.text

    @pytest.mark.parametrize(
        ("workers", "cores", "memory", "free", "state", "says"),
        [
            ("auto", 8, 16, 16, "ok", "8 workers need 4.2 GB; 16.0 GB may be used"),
            ("auto", 8, 2, 2, "warning", "enough for 3 of 8 workers"),
            (4, 8, 2, 2, "problem", "4 workers need 2.2 GB; 2.0 GB may be used"),
            (0, 8, 1, 1, "ok", "1 worker need"),
            (4, 8, 16, 1, "warning", "of which 1.0 GB is free"),
        ],
    )
    def test_memory(self, workers, cores, memory, free, state, says):
        """What a worker needs times the workers, against what may be used and what is free."""
        found = only(checks.check_memory(workers, cores=cores, memory=memory * GIB, free=free * GIB))
        assert found.state == state
        assert says in found.text


class TestDisk:
    @pytest.mark.parametrize(
        ("free", "inodes", "units", "state", "says"),
        [
            (50 * GIB, 10**6, 100, "ok", "50.0 GB, 1,000,000 inodes free"),
            (1 * GIB, 10**6, 100, "warning", "1.0 GB"),
            (10 << 20, 10**6, 100, "problem", "0.0 GB"),
            (50 * GIB, 150, 100, "warning", "100 units need 300 files"),
            (50 * GIB, 150, None, "warning", "few inodes"),
            (50 * GIB, 0, 100, "ok", "50.0 GB free"),
        ],
    )
    def test_room(self, monkeypatch, tmp_path, free, inodes, units, state, says):
        """Free space and inodes, where the file system counts them, against what is written."""
        status = SimpleNamespace(f_bavail=free, f_frsize=1, f_files=inodes, f_favail=inodes)
        monkeypatch.setattr(os, "statvfs", lambda place: status)
        found = only(checks.check_disk("output.root", tmp_path / "not" / "yet", units))
        assert found.state == state
        assert says in found.text
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
    def test_no_permission(self, tmp_path):
        """A folder that can't be written is a problem."""
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        assert only(checks.check_disk("output.root", tmp_path / "out", 1)).state == "problem"

    def test_no_folder(self, tmp_path):
        """A file in the place of the folder is a problem."""
        (tmp_path / "file").touch()
        assert only(checks.check_disk("output.root", tmp_path / "file", 1)).state == "problem"


class TestCluster:
    def loaded(self, config: Path, *changes: str) -> Config:
        return load_config(config, changes)

    def test_without_slurm(self, config, monkeypatch):
        """A machine without SLURM is fine."""
        monkeypatch.setenv("PATH", "")
        assert only(checks.check_slurm(self.loaded(config))).state == "ok"

    @pytest.mark.parametrize(
        ("sinfo", "changes", "states", "says"),
        [
            ("echo 'main*|1-00:00:00|8'", (), ["ok"], "main: at most 1-00:00:00, 8 cores; arrays of at most 500 tasks"),
            ("echo 'main*|00:30:00|8'", (), ["ok", "warning"], "240 minutes are more than partition main allows (30)"),
            ("echo 'main*|infinite|4'", (), ["ok", "warning"], "no node of partition main has 8 cores"),
            ("true", ("slurm.partition=gone",), ["problem"], "there is no partition gone"),
            ("echo no controller >&2; exit 1", (), ["warning"], "sinfo failed: no controller"),
        ],
    )
    def test_limits(self, config, monkeypatch, tmp_path, sinfo, changes, states, says):
        """The partition's limits and the largest array are shown, and what the config asks beyond them."""
        path = programs(tmp_path / "bin", sbatch="true", sinfo=sinfo, scontrol="echo 'MaxArraySize = 500'")
        monkeypatch.setenv("PATH", path)
        found = list(checks.check_slurm(self.loaded(config, *changes)))
        assert [one.state for one in found] == states
        assert says in " ".join(one.text for one in found)
        assert all(one.remedy for one in found if one.state != "ok")

    def test_container(self, config, monkeypatch, tmp_path):
        """The image must be there; an engine that is missing here may be there in the job."""
        monkeypatch.setenv("PATH", programs(tmp_path / "none"))
        image = tmp_path / "k.sif"
        with_image = self.loaded(config, f"slurm.container={image}")
        assert only(checks.check_container(with_image)).state == "problem"
        image.touch()
        assert only(checks.check_container(with_image)).state == "warning"
        monkeypatch.setenv("PATH", programs(tmp_path / "bin", apptainer="true"))
        assert only(checks.check_container(with_image)).state == "ok"


class TestCommand:
    def call(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(["check", *map(str, arguments)])
        return ended.value.code, capsys.readouterr().out

    def test_fine(self, config, capsys, monkeypatch):
        """Where all is well the status is 0, and text and JSON agree."""
        monkeypatch.setenv("PATH", "")
        (config.parent / "data" / "01").mkdir(exist_ok=True)
        status, text = self.call(capsys, config)
        assert status == 0, text
        tree = json.loads(self.call(capsys, config, "--json")[1])
        assert (tree["version"], tree["problems"]) == (1, 0)
        findings = tree["findings"]
        assert [one["check"] for one in findings if one["state"] == "ok"] == [
            line.split()[1] for line in text.splitlines() if line.startswith("ok")
        ]
        assert {
            "config",
            "python",
            "packages",
            "models",
            "cores",
            "memory",
            "dataset",
            "disk",
            "slurm",
            "container",
        } == {one["check"] for one in findings}

    def test_problems(self, config, capsys, monkeypatch):
        """A dataset that is missing is a problem: status 1, and the remedy below it."""
        monkeypatch.setenv("PATH", "")
        status, text = self.call(capsys, config, "--set", "dataset.root=nope")
        assert status == 1
        assert "problem  dataset    dataset.root: " in text
        assert "nope does not exist\n                    Correct the path or mount the drive.\n" in text
        assert text.splitlines()[-1].startswith("1 problem, ")

    def test_bad_config(self, config, capsys, monkeypatch):
        """A config that can't be used is a problem too, and the machine is checked all the same."""
        monkeypatch.setenv("PATH", "")
        status, text = self.call(capsys, config, "--set", "run.workres=3")
        assert status == 1
        assert "problem  config     " in text
        assert "run.workres is not a setting" in text
        assert "\nok       models     " in text
