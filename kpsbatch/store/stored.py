"""What all JSON files below `_kpsbatch/` have in common: a format number, and readers that trust nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kpsbatch.files import read_json

INTERNAL = "_kpsbatch"
"""The folder below `output.root` that holds everything but the keypoints."""


class Stored(BaseModel):
    """A JSON file, or a part of one. Fields that a newer version added are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


Model = TypeVar("Model", bound=Stored)


def read_stored(path: Path, model: type[Model]) -> Model | None:
    """Read a JSON file; None where it is missing, unreadable, or not what the model asks for."""
    tree = read_json(path)
    try:
        return None if tree is None else model.model_validate(tree)
    except ValidationError:
        return None
