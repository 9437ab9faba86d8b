"""What all JSON files below `_kpsbatch/` have in common: a format number, and readers that accept damaged files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator

from kpsbatch.files import read_json


def escaped(value: Any) -> Any:
    """A text without bytes of file names that are no UTF-8: they become escapes; any other value as it is."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(escaped)]
"""A text with names from a file system in it, `escaped`."""


def or_else(make: Callable[[], Any]) -> WrapValidator:
    """Take what is made for a value that is not valid: it is for information only."""

    def check_or_make(value: Any, check: Callable[[Any], Any]) -> Any:
        try:
            return check(value)
        except ValueError:
            return make()

    return WrapValidator(check_or_make)


Count = Annotated[int, or_else(int)]
"""A number for information only: anything else counts as 0."""

Amount = Annotated[float, Field(allow_inf_nan=False), or_else(float)]
"""The same, with a fraction."""


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
