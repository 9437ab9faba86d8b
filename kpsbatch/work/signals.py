"""Signals that ask a run to stop."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Which signal asked for a stop, if any; call it for a reason to stop ("" for none)."""

    def __init__(self) -> None:
        self.reason = ""

    def __call__(self) -> str:
        """The name of the signal that came, or ""."""
        return self.reason


@contextlib.contextmanager
def stop_on_signals(
    signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2),
) -> Iterator[StopRequest]:
    """Let signals ask for a stop instead of ending the process; a second SIGINT ends it at once.

    Signals that are ignored already (as `nohup` does) stay ignored.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.reason and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.reason = request.reason or signal.Signals(number).name

    before = {number: signal.getsignal(number) for number in signals}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
