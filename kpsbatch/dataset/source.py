"""The one interface to a dataset, whether it is a tree of folders, an archive or a table.

source = open_source(config.dataset, index_folder)
for unit in source.units():
    for video in source.listing(unit).videos:
        frames = read_frames(video, frame_rate=30, max_pixels=50_000_000)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.folders import Folders, OnProgress, check_folder, is_empty, no_progress
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL

if TYPE_CHECKING:  # here, as all about archives: most datasets are folders
    from kpsbatch.dataset.manifest import ManifestSource

Source: TypeAlias = "LayoutSource | ManifestSource"
"""A dataset: its units in order, and for each of them a listing of its videos. Both have the same methods."""

INDEX_FOLDER = Path(INTERNAL, "archives")
"""Where indexes of archives are kept, below the output root."""


def open_source(dataset: DatasetConfig, index_folder: Path, on_progress: OnProgress = no_progress) -> Source:
    """Open the dataset that a config names.

    Args:
        index_folder: Where the index of an archive is kept; not touched for a folder.

    Raises:
        DatasetError: The root is missing, or can't be read.
        ConfigError: The manifest can't be read, or lacks a column.
        OutputError: The index can't be written.
    """
    folders = open_folders(dataset.root, index_folder, on_progress, inside=dataset.follow_links == "inside")
    if dataset.manifest is not None:
        from kpsbatch.dataset.manifest import ManifestSource  # as above

        return ManifestSource(dataset, folders)
    return LayoutSource(dataset, folders)


def open_if_there(
    dataset: DatasetConfig, index_folder: Path, on_progress: OnProgress = no_progress
) -> tuple[Source, bool]:
    """Open a dataset to look at its outputs, which may be elsewhere than the dataset.

    Returns:
        The dataset, and whether it is there. Where it is not, its units as the config states them, without videos.

    Raises:
        DatasetError, ConfigError, OutputError: As `open_source`; the root is missing, and the config does not state
            all units.
    """
    stated = dataset.manifest is None and dataset.signers and dataset.splits and dataset.signs
    if stated and (not dataset.root.exists() or is_empty(dataset.root)):
        return LayoutSource(dataset, Folders(dataset.root)), False
    return open_source(dataset, index_folder, on_progress), True


def open_folders(
    root: Path, index_folder: Path, on_progress: OnProgress = no_progress, *, inside: bool = False
) -> Folders:
    """The folders of a dataset, on disk or in an archive.

    Args:
        inside: Whether links that lead out of the root are not followed; in an archive none is.

    Raises:
        DatasetError: The root is missing, or can't be read.
        OutputError: The index of an archive can't be written.
    """
    if not root.is_file():
        check_folder(root)
        return Folders(root, inside=inside)
    from kpsbatch.dataset.archive import open_archive_folders

    try:
        return open_archive_folders(root, index_folder, on_progress)
    except OSError as error:
        raise OutputError(
            f"the index of the archive can't be written to {index_folder}: {error.strerror}. Make it writable, or "
            "free space."
        ) from None
