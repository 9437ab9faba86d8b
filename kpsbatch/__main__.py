"""`python -m kpsbatch`."""

from kpsbatch.cli import main

if __name__ == "__main__":
    main()
