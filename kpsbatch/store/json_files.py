"""JSON files: written whole or not at all, readable by people; read without trusting them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kpsbatch.store.npz import write_atomically


def json_bytes(tree: Mapping[str, Any]) -> bytes:
    """The bytes of a JSON file, readable by people."""
    text = json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a JSON file atomically.

    Raises:
        OSError: It could not be written.
    """
    data = json_bytes(tree)
    write_atomically(path, lambda file: file.write(data))


def read_json(path: Path) -> dict[str, Any] | None:
    """The fields of a JSON file; None where it is missing, unreadable or holds no fields."""
    try:
        tree = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None
