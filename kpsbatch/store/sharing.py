"""Whether other machines see a folder, as far as this one can tell."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from kpsbatch.store.run_state import read_runs

LOCAL_FILE_SYSTEMS = {
    *("tmpfs", "ramfs", "devtmpfs", "overlay", "aufs", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs"),
}
"""Kinds of file systems that lie on the machine itself; a server can still share them with others."""


def unshared_warning(root: Path) -> str:
    """Why the nodes of a cluster may not see an output folder, and what to do; "" where they seem to.

    A folder on which another host has written a state file is shared, whatever it lies on.
    """
    kind = file_system_of(root)
    if kind not in LOCAL_FILE_SYSTEMS or any(run.host != socket.gethostname() for run in read_runs(root)):
        return ""
    return (
        f"output.root: {root} is on a file system of this machine ({kind}), which other nodes may not see. Choose a "
        "folder that all nodes share, unless this one is."
    )


def file_system_of(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The kind of file system that a path is on, or will be when it is made, such as nfs4; "" where none tells.

    Args:
        mounts: The kernel's list of mounts, by `man 5 proc`.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place = Path(os.path.realpath(path))
    kinds: dict[Path, str] = {}  # what is mounted later hides what was mounted before
    for line in lines:
        before, _, after = line.partition(" - ")
        if len(before.split()) > 4 and after:
            kinds[Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4]))] = (
                after.split()[0]
            )
    return next((kinds[above] for above in (place, *place.parents) if above in kinds), "")
