"""What holds for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path

import pytest
from slow import SLOW, SLOW_FOLDERS


def pytest_configure() -> None:
    """Let programs that tests start hear SIGINT, also where the test run itself was started in the background.

    A shell without job control starts background commands with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark what is slow, and so left out by `make test`."""
    tests = Path(__file__).parent
    for item in items:
        _, *names = item.nodeid.split("[")[0].split("::")
        prefixes = {"::".join([item.path.name, *names[:count]]) for count in range(len(names) + 1)}
        if item.path.relative_to(tests).parts[0] in SLOW_FOLDERS or prefixes & SLOW:
            item.add_marker(pytest.mark.slow)
