"""`python -m kpsbatch`, and the installed `kpsbatch` command."""


def start() -> None:
    """Prepare the imports of the command line, and run it."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends it without a traceback

    from kpsbatch.startup import shorten_imports

    shorten_imports()

    from kpsbatch.cli.main import main

    main()


if __name__ == "__main__":
    start()
