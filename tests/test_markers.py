"""What `make test` leaves out is marked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from slow import SLOW, SLOW_FOLDERS

TESTS = Path(__file__).parent


@pytest.mark.parametrize("name", sorted(SLOW))
def test_slow_names_are_those_of_tests(name: str) -> None:
    """What is said to be slow is there, under that name."""
    file, *names = name.split("::")
    [path] = TESTS.rglob(file)
    text = path.read_text(encoding="utf-8")
    assert all(re.search(rf"^ *(class|def) {name}\b", text, re.MULTILINE) for name in names)


def test_slow_folders_are_there() -> None:
    """The same for folders."""
    assert all((TESTS / folder).is_dir() for folder in SLOW_FOLDERS)
