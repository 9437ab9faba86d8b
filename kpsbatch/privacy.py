"""Whether pictures and names may be shown: as the config says, or the site, of which the stricter one counts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import ValidationError

from kpsbatch.config import Config, PrivacyConfig, explain
from kpsbatch.errors import ConfigError

SITE = "KPSBATCH_PRIVACY"
"""The variable by which a site decides for all: `pictures=false`, `names=pseudonyms`, or both with a comma."""


class Privacy(NamedTuple):
    """What may be shown: pictures of videos, and the names of signers and videos."""

    pictures: bool
    names: bool


def privacy_of(config: Config | None = None) -> Privacy:
    """What may be shown of the videos of a config, or of outputs without one.

    Raises:
        ConfigError: The site's variable can't be read: nothing is shown then.
    """
    text = os.environ.get(SITE, "")
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    try:
        site = PrivacyConfig.model_validate({key.strip(): value.strip() for key, _, value in pairs})
    except ValidationError as error:
        problem = explain(error, "privacy")
        raise ConfigError(f"variable {SITE}: {problem} Write it like pictures=false,names=pseudonyms.") from None
    asked = (site, *([config.privacy] if config is not None else []))
    return Privacy(all(each.pictures for each in asked), all(each.names == "keep" for each in asked))


def pseudonyms(kind: str, names: Iterable[str]) -> dict[str, str]:
    """A pseudonym for each name: `signer 1`, numbered in the order of the names."""
    ordered = sorted({*names})
    width = len(str(len(ordered)))
    return {name: f"{kind} {number:0{width}}" for number, name in enumerate(ordered, 1)}
