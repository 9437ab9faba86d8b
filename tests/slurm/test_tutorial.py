"""The tutorial for clusters works on a real SLURM, from the folder of a dataset to a trained model."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPO, Cluster, wait_until
from pages import blocks, not_printed, run_block
from synthetic.demo import write_demo

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(280)]


def test_karsl(cluster: Cluster, tmp_path: Path) -> None:
    """Its blocks run in order on the demo, which has KArSL's folders, and print the lines that it shows."""
    write_demo(tmp_path / "demo", signers=2, signs=2).directory.joinpath("dataset").rename(tmp_path / "KArSL-502")
    (tmp_path / "kpsbatch").symlink_to(REPO)
    page = (REPO / "docs" / "tutorial_karsl.md").read_text(encoding="utf-8")
    shown = [block for block in blocks(page) if block[0] != "bash"]
    assert [kind for kind, *_ in shown] == ["sh", "sh", "yaml", "sh", "sh", "sh", "sh", "python", "sh"]
    for kind, code, lines in shown:
        if kind == "yaml":
            with open(tmp_path / "config.yaml", "a", encoding="utf-8") as config:
                config.write(code)
            continue
        printed = run_block(kind, code.replace('"03"', '"01"'), tmp_path, cluster.environment)
        assert not not_printed(lines, printed.replace(str(tmp_path), "/scratch/me")), code
        if "submit" in code:
            [job] = [line.split()[-1] for line in printed.splitlines() if line.startswith("jobs:")]
            wait_until("the jobs to end", lambda job=job: not cluster.jobs(job), 120)
    again = run_block("sh", "kpsbatch submit config.yaml", tmp_path, cluster.environment)
    assert not not_printed(["Nothing to do: 24 units finished, 980 have no video."], again)
