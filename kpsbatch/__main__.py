"""`python -m kpsbatch`."""

if __name__ == "__main__":
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends it without a traceback

    from kpsbatch.startup import shorten_imports

    shorten_imports()

    from kpsbatch.cli import main

    main()
