"""The notebook of the documents works, from the first cell to the last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from synthetic.demo import write_demo

from kpsbatch.demo import MARKER

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "first_steps.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_first_steps(tmp_path):
    """Its code runs in order, in plain Python and in an empty folder, and shows what its text promises."""
    demo = write_demo(tmp_path / "demo", signers=1, signs=2)
    marker = demo.directory / MARKER  # a demo that is whole is left alone: this one is smaller
    marker.write_text(marker.read_text(encoding="utf-8").replace("signers=1 signs=2", "signers=2 signs=4"))
    code = "\n\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "SLURM_CPUS_PER_TASK": "1"},  # one worker
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "184, 4) float32\n" in done.stdout
    assert "pose           6 points, found in 100% of the frames\n" in done.stdout
    assert "<OutputDataset demo/out: 1 unit>\n" in done.stdout
    assert "Sample(signer='01', split='train', sign=2, " in done.stdout


def test_no_outputs():
    """The notebook is kept without outputs: no frames and no paths of a machine."""
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS if "outputs" in cell)
