"""Checks of an output folder: errors of storage get a remedy, links that lead out of it are refused."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from kpsbatch.errors import OutputError


@contextlib.contextmanager
def explained(root: Path, setting: str = "output.root: ") -> Iterator[None]:
    """Turn an OSError below the output root, or another folder without a setting, into one line with the remedy.

    Raises:
        OutputError: In the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "Free space there",
            errno.EDQUOT: "Free some of your quota",
            errno.EROFS: "Choose another folder",
            errno.EACCES: "Make it writable, or choose another folder",
            errno.ENOTDIR: "Choose another folder",
            errno.ENAMETOOLONG: "Choose shorter names",
        }.get(error.errno or 0, "Correct that, or choose another folder")
        why = f"{setting}{root} can't be written: {error.strerror or error}"
        raise OutputError(f"{why}. {remedy}, then run the same command again.") from error


def refuse_outside(root: Path, *folders: Path) -> None:
    """Refuse folders below the output root that a link leads out of it; the root itself may be a link.

    Raises:
        OutputError: Names the folder, where it leads, and the remedy.
    """
    real = os.path.realpath(root)

    def leads_out(folder: Path) -> bool:
        return os.path.commonpath([real, os.path.realpath(folder)]) != real

    for folder in folders:
        if leads_out(folder):
            link = next(
                parent for parent in (*reversed(folder.parents), folder) if root in parent.parents and leads_out(parent)
            )
            raise OutputError(
                f"output.root: {link} is a link to {os.path.realpath(link)}, outside of it. Replace "
                "the link by a folder, or set output.root to where the outputs shall be."
            )
