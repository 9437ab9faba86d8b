#!/opt/kpsbatch/bin/python
"""What `docker run kpsbatch` starts, as process 1: the command line, with the image's config where none is named.

Without a command it does the main job: `kpsbatch run /config.yaml`, dataset at /data, outputs to /out.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from types import FrameType
from typing import NoReturn

CONFIG = Path("/config.yaml")  # KArSL's; users mount their own over it
DATA = Path("/data")
OUT = Path("/out")
NOBODY = 10001
AS_USER = '--user "$(id -u):$(id -g)"'
FOR_PROGRAM = ("-h", "--help", "--version")


def main() -> None:
    """Entry point of the image."""
    # Process 1 has no default handlers: without this, `docker stop` would wait ten seconds and kill.
    signal.signal(signal.SIGTERM, interrupted)
    leave_root(OUT)
    have_home()
    leave_read_only_folder()
    os.environ.setdefault("KPSBATCH_PROGRAM", typed_outside(Path("/proc/self/mountinfo").read_text()))
    arguments = complete(sys.argv[1:])
    if arguments[0] == "demo" and Path.cwd() in (OUT, Path("/tmp")) and not is_mounted(OUT) and not in_apptainer():
        warn(f"nothing is mounted at {OUT}, so what the demo makes goes with the container. To keep it:")
        print('  mkdir -p keep && docker run --rm -v "$PWD/keep:/out" kpsbatch demo --run', file=sys.stderr)
    if arguments[0] == "run" and str(CONFIG) in arguments and (problem := missing_mount()):
        fail(problem)
    try:
        tempfile.gettempdir()
    except OSError as error:
        fail(f"/tmp can't be written: {error.strerror}. With --read-only, add --tmpfs /tmp.")
    from kpsbatch.cli.main import main as command_line

    command_line(arguments)


def interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """End at once; `run` sets its own handler, which stores what is finished first."""
    fail("Stopped. Rerun to resume.", status=3)


def fail(message: str, status: int = 2) -> NoReturn:
    """Print an error the way kpsbatch does, and exit."""
    print(f"kpsbatch: {message}", file=sys.stderr)
    sys.exit(status)


def leave_root(folder: Path) -> None:
    """As root, go on as the user to whom the output folder belongs, so that the files will be theirs, or say why not.

    Where there is no such folder, as a user to whom nothing belongs.
    """
    if os.getuid() != 0:
        return
    try:
        owner = folder.stat()
        user, group = owner.st_uid, owner.st_gid
    except OSError:
        user, group = NOBODY, NOBODY
    if user == 0:
        warn(
            f"this runs as root, since {folder} belongs to root. If you are another user, make that folder first, as "
            f"yourself, or add {AS_USER}."
        )
        return
    try:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    except OSError as error:  # --cap-drop ALL, or a user that this container does not map
        warn(f"this runs as root, since it may not become user {user} ({error.strerror}). Add {AS_USER}.")


def have_home() -> None:
    """Let HOME be a folder of this user's own; libraries write there, and root's is none of another user's business."""
    if not os.access(os.environ.get("HOME") or "/", os.W_OK):
        os.environ["HOME"] = "/tmp"


def warn(message: str) -> None:
    """Say what goes on."""
    print(f"kpsbatch: {message}", file=sys.stderr)


def leave_read_only_folder() -> None:
    """`demo` writes below the working directory, /out; with --read-only and nothing mounted there it goes to /tmp."""
    try:
        here = Path.cwd()
    except OSError:
        here = OUT
    if here == OUT and not os.access(OUT, os.W_OK):
        os.chdir("/tmp")


def complete(arguments: Sequence[str]) -> list[str]:
    """Put in what was left out: the command, if there are options alone, and the config with its two folders."""
    command, *rest = arguments if arguments and not is_option(arguments[0]) else ["run", *arguments]
    named = any(argument.lower().endswith((".yaml", ".yml")) for argument in rest)
    if named or not takes_config(command) or "-h" in rest or "--help" in rest:
        return [command, *rest]
    return [command, str(CONFIG), "--set", f"dataset.root={DATA}", "--set", f"output.root={OUT}", *rest]


def takes_config(command: str) -> bool:
    """Whether a command is about a config that --set can change."""
    from kpsbatch.cli.main import COMMANDS, load

    return command in COMMANDS and {"config", "--set"} <= {name for each in load(command).params for name in each.opts}


def is_option(argument: str) -> bool:
    """Whether an argument is an option of the main job, such as --signs."""
    return argument.startswith("-") and argument not in FOR_PROGRAM


def missing_mount() -> str:
    """Say what is not mounted, and how, in three lines; "" if all is there."""
    try:
        problem = "" if any(DATA.iterdir()) else f"no dataset at {DATA} (the folder is empty)"
    except OSError as error:
        problem = f"no dataset that can be read at {DATA} ({error.strerror})"
    if not problem and not is_mounted(OUT):
        problem = f"nothing mounted at {OUT}, so that the outputs would be lost"
    if not problem:
        return ""
    if image := in_apptainer():
        job, demo = f"apptainer run --bind DATASET:/data:ro,OUT:/out {image}", f"apptainer run {image} demo --run"
    else:
        job = 'docker run --rm --user "$(id -u):$(id -g)" -v DATASET:/data:ro -v OUT:/out kpsbatch'
        demo = "docker run --rm kpsbatch demo --run"
    return f"{problem}; mount the dataset and a folder for the outputs:\n  {job}\nTo see it work first: {demo}"


def in_apptainer() -> str:
    """The path of the image under Apptainer; "" under another engine."""
    return os.environ.get("APPTAINER_CONTAINER", "")


def typed_outside(mounts: str) -> str:
    """What starts this image again outside of it, with the same folders mounted, as far as it can be told from inside.

    The folder at /out is taken to lie where the command is typed, as documented; a folder at its own path is known; any
    other is called by the name that it has inside, in capitals.

    Args:
        mounts: The kernel's list, by `man 5 proc`.
    """
    if image := in_apptainer():
        return f"apptainer run {shlex.quote(image)}"
    words = ["docker", "run", "--rm"]
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        source, point = before.split()[3:5]
        if point == "/" or point.startswith(("/proc", "/sys", "/dev", "/etc/")) or after.split()[0] == "tmpfs":
            continue
        name = PurePath(source).name
        if source.endswith(point):
            words += ["-v", shlex.quote(f"{point}:{point}")]
        elif point == str(OUT) and name and name != "_data":  # a volume's folder is called so
            words += ["-v", f'"$PWD/{name}:{point}"']
        else:
            words += ["-v", f"{PurePath(point).stem.upper()}:{point}"]
    if Path.cwd() not in (OUT, Path("/tmp")):
        words += ["-w", shlex.quote(str(Path.cwd()))]
    return " ".join([*words, "kpsbatch"])


def is_mounted(folder: Path) -> bool:
    """Whether a folder is a mount point, also where `os.path.ismount` can't tell (a bind within one file system)."""
    return any(line.split()[4] == str(folder) for line in Path("/proc/self/mountinfo").read_text().splitlines())


if __name__ == "__main__":
    main()
