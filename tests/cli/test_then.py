"""What the job of `slurm.then` says at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from factories import main_ends, write_config

from kpsbatch.cli import then

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\\._upb\\._message:DeprecationWarning")


def test_paragraph(tmp_path, capsys, monkeypatch):
    """verify and report run on the folder of outputs; the paragraph says what they found and what to do next."""
    for sign in (1, 2):
        (tmp_path / "data/01/train" / f"{sign:04}" / "v").mkdir(parents=True)  # a video without a frame
    layout = "{signer}/{split}/{sign:04d}"
    config = write_config(tmp_path, dataset={"signs": "1-2", "layout": layout}, run={"workers": 1})
    main_ends(1, "run", config, "--signs", "1", "--quiet")
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["then", str(tmp_path / "out"), "verify", "report"])
    with pytest.raises(SystemExit) as ended:
        then.main()
    assert ended.value.code == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith(f"1 of 2 units are finished in {tmp_path / 'out'}. Of 1 unit some videos failed.")
    assert "verify found damage, failed videos or units that are left: see above." in last
    assert "report has written its page." in last
    assert last.endswith(f"(kpsbatch logs {tmp_path / 'out'} --failed), then submit again.")
    assert Path(tmp_path / "out/report.html").exists()


def test_no_outputs(tmp_path, capsys, monkeypatch):
    """A folder that is no folder of outputs is one line and status 2."""
    monkeypatch.setattr(sys, "argv", ["then", str(tmp_path), "verify"])
    with pytest.raises(SystemExit) as ended:
        then.main()
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
