"""`kpsbatch import`: take over keypoints that other scripts wrote in the same layout."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from kpsbatch.commands.options import Quiet
from kpsbatch.errors import ConfigError
from kpsbatch.words import counted

if TYPE_CHECKING:
    from kpsbatch.config import Config
    from kpsbatch.store.adopt import OldFile

HEADER = """\
# Written by `kpsbatch import`. Other scripts made the outputs in {root}: no run adds to them.
# verify, status, report, view and preview take this config.
"""
NO_VIDEOS = """\
# The videos are not at hand. If you have them, set dataset.root and dataset.layout (or import with --dataset CONFIG):
# then they are shown behind the keypoints, and verify compares their names.
"""


def import_outputs(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The folder that holds files such as 01-train/0007.npz.")],
    output: Annotated[
        Optional[Path],
        typer.Option("--output", "-o", metavar="CONFIG", help="The config to write [default: OLD.yaml]."),
    ] = None,
    to: Annotated[
        Optional[Path], typer.Option("--to", metavar="DIR", help="Copy the files there, and leave OLD alone.")
    ] = None,
    dataset: Annotated[
        Optional[Path], typer.Option("--dataset", metavar="CONFIG", help="A config that says where the videos are.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Take over npz files that other scripts made, so that verify, status, report, view and preview work on them."""
    from kpsbatch.commands.demo import program
    from kpsbatch.config import load_config
    from kpsbatch.progress import count_progress
    from kpsbatch.store.adopt import adopt, look_at
    from kpsbatch.store.outputs import Outputs
    from kpsbatch.store.settings import fingerprint_of, settings_of

    root = Path(os.path.abspath(to or old))
    path = output or Path(f"{root.name}.yaml")
    theirs = load_config(dataset) if dataset is not None else None
    _check_free(path, root)
    with count_progress("files read", quiet=quiet) as show:
        files = look_at(old, show)
    config, text = _config(files, root, path, theirs)
    adopt(files, old, Outputs(root, fingerprint_of(settings_of(config))))
    _write(path, text)
    videos = [video for file in files for video in file.videos.values()]
    frames = counted(sum(video.frames for video in videos), "frame")
    print(f"imported: {counted(len(files), 'file')}, {counted(len(videos), 'video')}, {frames}")
    print(f"they look: {config.landmarks.coordinates} coordinates, {config.output.dtype}")
    print(f"config:   {path}\nnext:     {program()} view {path}")


def _check_free(path: Path, root: Path) -> None:
    """Refuse to replace a config that is not of an earlier import of the same files.

    Raises:
        ConfigError: There is one.
    """
    from kpsbatch.config import load_config

    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path.parent} does not exist. Choose another -o, or make it.")
    if not path.exists():
        return
    try:
        earlier = load_config(path).output
    except ConfigError:
        earlier = None
    if earlier is None or not earlier.imported or earlier.root != root:
        raise ConfigError(f"{path} exists already. Choose another -o, or remove it.")


def _config(files: list[OldFile], root: Path, path: Path, theirs: Config | None) -> tuple[Config, str]:
    """The config of imported files, and its text."""
    import yaml

    from kpsbatch.config import format_signs, make_config
    from kpsbatch.dataset.video import natural_key

    folder = Path(os.path.abspath(path)).parent
    dtypes: Counter[str] = sum((file.dtypes for file in files), Counter())
    votes = [file.is_adjusted for file in files if file.is_adjusted is not None]
    section: dict[str, Any]
    if theirs is not None:
        section = theirs.dataset.model_dump(mode="json", exclude_defaults=True)
    else:
        section = {
            "root": os.path.relpath(root.parent / f"{root.name}-videos", folder),
            "signers": sorted({file.unit.signer for file in files}, key=natural_key),
            "splits": sorted({file.unit.split for file in files}, key=natural_key),
            "signs": format_signs(file.unit.sign for file in files),
        }
    tree = {
        "dataset": section,
        "landmarks": {"coordinates": "adjusted" if 2 * sum(votes) > len(votes) else "image"},
        "output": {"root": os.path.relpath(root, folder), "imported": True, "dtype": dtypes.most_common(1)[0][0]},
    }
    text = HEADER.format(root=root.name) + (NO_VIDEOS if theirs is None else "")
    text += "\n" + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return make_config(tree, [], base=folder), text


def _write(path: Path, text: str) -> None:
    from kpsbatch.files import write_atomically

    try:
        write_atomically(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}. Choose another -o.") from None
