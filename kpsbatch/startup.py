"""What a program does before its imports, so that a slow file system that holds Python's packages is felt less."""

from __future__ import annotations

import os
import sys


def shorten_imports() -> None:
    """Leave out what every import, and pydantic, would ask the file system for in vain.

    `python -m` puts the current folder first on the path, and the `kpsbatch` command the folder that it lies in; each
    import of another package looks there first. The modules of kpsbatch itself are found beside each other. pydantic
    looks through all installed packages for its plugins.

    (To import several packages at once, in threads, is faster still, but in one of some sixty starts a thread saw a
    module of the standard library half imported.)
    """
    if sys.path[:1] in ([os.getcwd()], [os.path.dirname(os.path.realpath(sys.argv[0]))]):
        del sys.path[0]
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's import starts a thread for each core of a login node
