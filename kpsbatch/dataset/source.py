"""The one interface to a dataset, whether it is a tree of folders, an archive or a table.

source = open_source(config.dataset, index_folder)
for unit in source.units():
    for video in source.listing(unit).videos:
        frames = read_frames(video, frame_rate=30, max_pixels=50_000_000)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.folders import DiskFolders, Folders, check_folder
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.dataset.video import Listing, Presence, Unit, Video
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.files import INTERNAL

INDEX_FOLDER = Path(INTERNAL, "archives")
"""Where indexes of archives are kept, below the output root."""


class Source(Protocol):
    """A dataset: its units in order, and for each of them a listing of its videos. Listings only: no frame is read."""

    @property
    def root(self) -> Path:
        """The folder or archive of the videos."""

    @property
    def has_signs(self) -> bool:
        """Whether the sign of a unit is a sign, and not the number of a bin of rows."""

    @property
    def signers(self) -> tuple[str, ...]:
        """Signers of the units."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of the units."""

    @property
    def signs(self) -> tuple[int, ...]:
        """Signs of the units, sorted."""

    def units(self, signs: Iterable[int] | None = None) -> list[Unit]:
        """Units of some signs (default: all), sign by sign; with a layout, all that there could be."""

    def listing(self, unit: Unit) -> Listing:
        """The videos of a unit."""

    def presence(self, unit: Unit) -> Presence:
        """Whether a unit has a video; costs less than its listing."""

    def digest(self, unit: Unit) -> str:
        """A short text that changes when the rows of a unit change; "" where no table tells what it holds."""

    def made_from(self, video: Video) -> str:
        """A short text that changes when the row of a video changes; "" where no table tells of it."""

    def strays(self) -> list[tuple[str, str]]:
        """What belongs to no unit, each with what it is; with a layout, in the folders listed so far."""

    def folder(self, unit: Unit) -> Path:
        """Where a unit lies."""

    def no_video(self) -> DatasetError:
        """The error to raise when no unit has a video."""


def open_source(
    dataset: DatasetConfig, index_folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Source:
    """Open the dataset that a config names.

    Args:
        dataset: The `dataset` section.
        index_folder: Where the index of an archive is kept; not touched for a folder.
        on_progress: Called with (done, total) while the index of an archive is built.

    Raises:
        DatasetError: The root is missing, or can't be read.
        ConfigError: The manifest can't be read, or lacks a column.
        OutputError: The index can't be written.
    """
    folders = open_folders(dataset.root, index_folder, on_progress)
    if dataset.manifest is not None:
        from kpsbatch.dataset.manifest import ManifestSource  # here, as all about archives: most datasets are folders

        return ManifestSource(dataset, folders)
    return LayoutSource(dataset, folders)


def open_if_there(
    dataset: DatasetConfig, index_folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Source, bool]:
    """Open a dataset to look at its outputs, which may be elsewhere than the dataset.

    Returns:
        The dataset, and whether it is there. Where it is not, its units as the config states them, without videos.

    Raises:
        DatasetError, ConfigError, OutputError: As `open_source`; the root is missing, and the config does not state
            all units.
    """
    stated = dataset.manifest is None and dataset.signers and dataset.splits and dataset.signs
    if stated and not dataset.root.exists():
        return LayoutSource(dataset, DiskFolders(dataset.root)), False
    return open_source(dataset, index_folder, on_progress), True


def open_folders(
    root: Path, index_folder: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Folders:
    """The folders of a dataset, on disk or in an archive.

    Raises:
        DatasetError: The root is missing, or can't be read.
        OutputError: The index of an archive can't be written.
    """
    if not root.is_file():
        check_folder(root)
        return DiskFolders(root)
    from kpsbatch.dataset.archive.opening import open_archive_folders

    try:
        return open_archive_folders(root, index_folder, on_progress)
    except OSError as error:
        raise OutputError(
            f"the index of the archive can't be written to {index_folder}: {error.strerror}. Make it writable, or "
            "free space."
        ) from None
