"""`python -m kpsbatch`, and the installed `kpsbatch` command."""

import os
import sys


def start() -> None:
    """Prepare the imports of the command line, and run it."""
    from kpsbatch.startup import keep_out_current_folder, shorten_imports

    shorten_imports()
    open_closed_streams()
    start_in_utf8()
    keep_out_current_folder()
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends it without a traceback

    from kpsbatch.cli.main import main

    main()


def open_closed_streams() -> None:
    """Let what is said to a stream that whoever called has closed (`2>&-`) go nowhere, and not into the next file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def start_in_utf8() -> None:
    """Start Python again where the locale would have it read names and texts as something else than UTF-8.

    A name is then what its bytes are, in every locale; children inherit it.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return
    if os.environ.get("PYTHONUTF8") == "1" or not sys.executable:
        sys.exit("kpsbatch: Python reads names of files in another encoding than UTF-8. Start it with python -X utf8.")
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    start()
