"""What the image's entry point makes of a command line (the rest needs an engine: tests/container)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker/entrypoint.py"
MOUNTED = ["/config.yaml", "--set", "dataset.root=/data", "--set", "output.root=/out"]


@pytest.fixture(scope="module")
def complete() -> Callable[[list[str]], list[str]]:
    spec = importlib.util.spec_from_file_location("entrypoint", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[list[str]], list[str]] = module.complete
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
