"""Units: what one output file is made from."""

from __future__ import annotations

from typing import NamedTuple


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
