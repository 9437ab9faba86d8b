"""Signals that request a run to stop."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from kpsbatch.files import write_bytes
from kpsbatch.startup import PID_FILE


class StopRequest:
    """The signal that requested a stop, if any; call it for the reason to stop ("" for none)."""

    def __init__(self) -> None:
        self.reason = ""

    def __call__(self) -> str:
        """The name of the signal that came, or ""."""
        return self.reason


@contextlib.contextmanager
def stop_on_signals(
    signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2),
) -> Iterator[StopRequest]:
    """Let signals request a stop instead of ending the process; a second SIGINT ends it at once.

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
    pid_file = os.environ.get(PID_FILE)
    try:
        if pid_file:
            with contextlib.suppress(OSError):  # then no signal is passed on
                write_bytes(Path(pid_file), b"%d\n" % os.getpid())
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
