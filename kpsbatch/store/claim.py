"""The claim of an output folder: the settings of whoever wrote to it first, so that outputs never mix.

    <output root>/_kpsbatch/claim.json

Outputs of other settings are found by their records (`Outputs.refuse_foreign`). The claim covers the time before there
is any: of tasks that start at the same moment on nodes with different packages only one kind goes on.
"""

from __future__ import annotations

import os
from pathlib import Path

from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL, FileClock, discard, explained, json_bytes, write_json, write_temporary
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.run_state import LOST_SECONDS, read_runs, state_file
from kpsbatch.store.settings import Settings, differences
from kpsbatch.stored import Stored, read_stored

CLAIM_FORMAT = 1


class Claim(Stored):
    """Whose settings count: the run that claimed the folder, the fingerprint, and what it stands for."""

    format: int = CLAIM_FORMAT
    run: str
    fingerprint: str
    settings: Settings


def claim(outputs: Outputs, run: str, *, overwrite: bool) -> None:
    """Claim the output folder for these settings; the first to come wins, on any file system.

    A claim of other settings is taken over once no run with it is alive and it has no outputs.

    Args:
        outputs: The folder, which exists, and the settings.
        run: The run that claims it, whose state file is there.
        overwrite: Whether outputs of other settings are no reason to refuse.

    Raises:
        OutputError: The folder belongs to other settings; names what differs.
    """
    path = outputs.root / INTERNAL / "claim.json"
    ours = outputs.fingerprint
    tree = {"format": CLAIM_FORMAT, "run": run, "fingerprint": ours.digest, "settings": ours.settings.tree()}
    with explained(outputs.root), outputs.lock():
        if _create(path, tree):
            return
        theirs = read_stored(path, Claim)
        if theirs is not None and theirs.fingerprint == ours.digest:
            return
        if not overwrite:
            outputs.refuse_foreign({})
        live = theirs is not None and _is_live(outputs, path, theirs, run)
        if theirs is not None and (live or (not overwrite and _has_just_stored(outputs, path, run))):
            when = "is" if live else "was just"
            differing = "; ".join(differences(theirs.settings, ours.settings)[:5])
            raise OutputError(
                f"{outputs.root}: another run {when} at work there with other settings: {differing}. Give all nodes "
                "the same kpsbatch, mediapipe, models and config, or choose another output.root"
                + ("." if live else f"; where its outputs were removed, wait {LOST_SECONDS / 60:g} minutes.")
            )
        write_json(path, tree)


def _create(path: Path, tree: dict[str, object]) -> bool:
    """Write a file unless it is there: False if another process was first, on another host too."""
    if path.exists():
        return False
    temporary = write_temporary(path, lambda file: file.write(json_bytes(tree)))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: the lock has to do
        write_json(path, tree)
    finally:
        discard(temporary)
    return True


def _is_live(outputs: Outputs, path: Path, theirs: Claim, run: str) -> bool:
    """Whether the run that claimed the folder, or any other with other settings, is at work."""
    runs = {state.run: state for state in read_runs(outputs.root) if state.run != run}
    age = FileClock(path.parent).age_of(path) or 0.0
    unseen = theirs.run != run and not state_file(outputs.root, theirs.run).exists()
    return (unseen and age < LOST_SECONDS) or any(
        state.is_running and (name == theirs.run or state.fingerprint not in ("", outputs.fingerprint.digest))
        for name, state in runs.items()
    )


def _has_just_stored(outputs: Outputs, path: Path, run: str) -> bool:
    """Whether a run with other settings has stored units, and may have until a moment ago: they may not be seen yet."""
    now = FileClock(path.parent).now
    return any(
        state.units_done and now - state.modified < LOST_SECONDS
        for state in read_runs(outputs.root)
        if state.run != run and state.fingerprint not in ("", outputs.fingerprint.digest)
    )
