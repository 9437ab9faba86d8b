"""What pages show: the code blocks of a page, and the lines that they say its commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n(\n(?: {4}[^\n]*\n)+)?", re.DOTALL | re.MULTILINE)


def blocks(text: str) -> list[tuple[str, str, list[str]]]:
    """The code blocks of a page in order: language, code, and the lines of output that are indented right below."""
    return [(kind, code, [line.strip() for line in shown.splitlines()]) for kind, code, shown in BLOCK.findall(text)]


def run_block(kind: str, code: str, folder: Path, variables: Mapping[str, str]) -> str:
    """Run a block of ```sh or ```python in a folder, as a reader does; returns what it prints on both streams.

    Raises:
        AssertionError: It ends with another status than 0.
    """
    command = {"sh": ["bash", "-euc", code], "python": [sys.executable, "-c", code]}[kind]
    environment = {**os.environ, **variables}
    path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environment, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}"
    return done.stdout


def plain(line: str) -> str:
    """A line without what differs from run to run: numbers, spaces, plurals."""
    return " ".join(re.sub(r"[\d:.,-]*\d[\w:-]*", "N", re.sub(r"(\w)s\b", r"\1", line)).split())


def not_printed(shown: list[str], printed: str) -> list[str]:
    """The lines that a page shows and a run has not printed, numbers aside."""
    lines = {plain(line) for line in printed.splitlines()}
    return [line for line in shown if line and line != "..." and plain(line) not in lines]
