"""The demo dataset: a synthetic signer in KArSL's layout, with the usual irregularities and the true joints.

`demo.tar.gz` holds its files as they go to disk; tests/synthetic/ renders them.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from kpsbatch.errors import OutputError
from kpsbatch.files import explained

SIGNERS = 2
SIGNS = 4
MARKER = ".kpsbatch-demo"
ARCHIVE = Path(__file__).with_name("demo.tar.gz")
# Raise this when the archive, the layout or the config change: older demos are then written again.
_VERSION = "1"
_UNIT = re.compile(r"dataset/(\d+)/\d+/\w+/(\d+)/|truth/(\d+)-\w+/(\d+)\.npz")
_CONFIG = """\
# A synthetic signer, to try every command on. Paths are relative to this file's folder.
dataset:
  root: dataset
  layout: "{{signer}}/{{signer}}/{{split}}/{{sign:04d}}"
  signers: [{signers}]
  splits: [train, test]
  signs: 1-{signs}
output:
  root: out
"""


def write_demo(
    directory: Path,
    *,
    signers: int = SIGNERS,
    signs: int = SIGNS,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the demo dataset, its true joints and its config; a complete demo is left alone.

    Args:
        directory: where `dataset/`, `truth/` and `config.yaml` go. The first two are replaced when not complete. An npz
            of `truth/` holds (T, 48, 2) float32 for each video: pose 11..16, right and left hand in pixels, NaN where
            not in the picture.
        signers: number of signers, named 01 and up.
        signs: number of signs, from 1.
        on_progress: called with the number of files written and their total after each file.

    Returns:
        The config file.

    Raises:
        OutputError: The directory can't be written, or holds a dataset that is not a demo.
    """
    marker, config = directory / MARKER, directory / "config.yaml"
    label = f"{_VERSION} signers={signers} signs={signs}\n"
    with explained(directory, ""):
        if marker.is_file() and marker.read_text(encoding="utf-8") == label:
            return config
        ours = [directory / name for name in ("dataset", "truth", "config.yaml")]
        if not marker.is_file() and (theirs := [path for path in ours if path.exists()]):
            raise OutputError(f"{theirs[0]} exists already and is not a demo. Choose another folder for the demo.")
        directory.mkdir(parents=True, exist_ok=True)
        marker.write_text("unfinished\n", encoding="utf-8")
        for part in ("dataset", "truth"):
            shutil.rmtree(directory / part, ignore_errors=True)
        with tarfile.open(ARCHIVE) as archive:
            members = [member for member in archive.getmembers() if _is_chosen(member.name, signers, signs)]
            for done, member in enumerate(members, start=1):
                content = archive.extractfile(member)
                assert content is not None  # there are only files in it
                path = directory / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                if on_progress is not None:
                    on_progress(done, len(members))
        config.write_text(config_text(signers, signs), encoding="utf-8")
        marker.write_text(label, encoding="utf-8")
    return config


def config_text(signers: int, signs: int) -> str:
    """The demo's config.yaml."""
    return _CONFIG.format(signers=", ".join(f'"{signer:02d}"' for signer in range(1, signers + 1)), signs=signs)


def _is_chosen(name: str, signers: int, signs: int) -> bool:
    unit = _UNIT.match(name)
    if unit is None:
        return False
    signer, sign = (int(number) for number in unit.groups() if number)
    return signer <= signers and sign <= signs
