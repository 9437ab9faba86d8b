"""Who else can write in a folder: whoever can, can put other files in the place of one's own."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

SYSTEM_USERS = (0, 65534)
"""root, and nobody: in a container, the owner of what belongs to users outside of it."""

ACCESS_LIST = "system.posix_acl_access"
"""The attribute of a file with further users and groups (`man 5 acl`); the bits of the group are then their mask."""


def others_who_write(folder: Path) -> str:
    """Who else can change what lies in a folder, or put another folder in its place; "" for nobody.

    The folder need not be there yet: the one in which it would be made counts. Users of whom this machine does not know
    that they are in a group are not seen.
    """
    real = Path(os.path.realpath(folder))
    existing = next(path for path in (real, *real.parents) if path.exists())
    for path in (existing, *existing.parents):
        status = path.stat()
        if status.st_uid not in (os.geteuid(), *SYSTEM_USERS):
            return f"{path} belongs to {_user(status.st_uid)}"
        if path != real and status.st_mode & stat.S_ISVTX:
            continue  # as in /tmp, nobody can rename what belongs to another user
        if status.st_mode & stat.S_IWOTH:
            return f"all users can write in {path}"
        if status.st_mode & stat.S_IWGRP and (who := "; ".join(_group_writers(path, status))):
            return f"{who} can write in {path}"
    return ""


def _group_writers(path: Path, status: os.stat_result) -> Iterator[str]:
    """Who can write by the bits of the group."""
    try:
        if os.getxattr(path, ACCESS_LIST):
            yield "users or groups of its access list (getfacl)"
    except OSError:
        pass
    try:
        name, members = grp.getgrgid(status.st_gid)[::3]
    except KeyError:
        name, members = str(status.st_gid), ["?"]
    own = _user(os.geteuid())
    alone = name == own or (os.geteuid() == 0 and status.st_gid == 0)  # the group that many systems make for each user
    if not alone or set(members) - {own}:
        yield f"members of the group {name}"


def _user(number: int) -> str:
    """The name of a user, or the number where there is none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
