"""Names of signs for people to read, where the config names a file of them."""

from __future__ import annotations

from typing import NamedTuple

from kpsbatch.config import Config
from kpsbatch.dataset.labels import load_labels


class SignName(NamedTuple):
    """What a sign means; "" where a language has no name for it."""

    english: str = ""
    arabic: str = ""


def sign_names(config: Config) -> dict[int, SignName]:
    """The names of the signs from `dataset.labels`; none where that is not set.

    Raises:
        ConfigError: The file can't be read.
    """
    if config.dataset.labels is None:
        return {}
    labels = load_labels(config.dataset.labels)
    return {sign: SignName(label.english or "", label.arabic or "") for sign, label in labels.items()}
