"""Units: what one output file is made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kpsbatch.dataset.config import DatasetConfig


class Unit(NamedTuple):
    """One (signer, split, sign), that is one output file."""

    signer: str
    split: str
    sign: int

    @property
    def folder(self) -> str:
        """Name of the output folder: `01-train`."""
        return f"{self.signer}-{self.split}"

    @property
    def name(self) -> str:
        """Where the output lies below the output root, without suffix: `01-train/0007`."""
        return f"{self.folder}/{self.sign:04}"


def units_of(dataset: DatasetConfig, signs: Iterable[int] | None = None) -> list[Unit]:
    """All units of some signs (default: all of the config's), sign by sign."""
    chosen = dataset.signs if signs is None else signs
    return [Unit(signer, split, sign) for sign in chosen for signer in dataset.signers for split in dataset.splits]
