"""What reading outputs needs of a config or of a table of labels."""

from __future__ import annotations

from pathlib import Path

from kpsbatch.config import load_config
from kpsbatch.dataset.tables import load_labels

__all__ = ["load_config", "sign_names"]


def sign_names(table: Path | str) -> dict[int, str]:
    """The names of signs in the config's `dataset.labels`, by number.

    Raises:
        ConfigError: The table can't be used.
    """
    return {sign: label.text for sign, label in load_labels(table).items()}
