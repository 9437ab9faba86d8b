"""The JSON Schema of the config, for editors that complete and check YAML."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from kpsbatch.config.sections import Config, Section
from kpsbatch.files import write_bytes

SCHEMA_FILE = "kpsbatch.schema.json"
SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""The first line of a config beside which the schema lies."""


def schema_text() -> str:
    """The schema as the bytes of its file."""
    return json.dumps(config_schema(), indent=1, ensure_ascii=False) + "\n"


def write_schema(path: Path) -> None:
    """Write the schema to a file, and leave a file alone that is as it should be.

    Raises:
        OSError: It can't be written.
    """
    data = schema_text().encode()
    if not path.exists() or path.read_bytes() != data:
        write_bytes(path, data)


def config_schema() -> dict[str, Any]:
    """The schema: every setting with its type, limits, default and description.

    The types are those of the YAML file: `signs: 1-502` is text there. Descriptions are the attributes in the
    docstrings of the sections.
    """
    schema = Config.model_json_schema()
    sections = schema.pop("$defs")
    for name, model in sorted(_sections(Config)):
        tree = schema if model is Config else sections[name]
        text, attributes = _described(model)
        tree["description"] = text
        tree.pop("title", None)
        for setting, property in tree["properties"].items():
            property.pop("title", None)
            if "$ref" in property:
                property.pop("default", None)  # the section's own settings have theirs
            property["description"] = attributes[setting]
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "A config of kpsbatch", **schema, "$defs": sections}


def _sections(model: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """A section and all sections below it, by name."""
    yield model.__name__, model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from _sections(kind)


def _described(model: type[Section]) -> tuple[str, dict[str, str]]:
    """The text of a docstring, and of each attribute that it describes."""
    text, _, attributes = inspect.cleandoc(model.__doc__ or "").partition("\n\nAttributes:\n")
    found: dict[str, str] = {}
    for names, described in re.findall(r"^    (\w[\w, ]*): ((?:.|\n {5,})+)", attributes, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), " ".join(described.split()))
    return " ".join(text.split()), found
