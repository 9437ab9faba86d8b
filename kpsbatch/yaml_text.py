"""YAML as configs are written: times stay texts, and a key stands once."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """YAML without numbers to the base of 60 (`time: 4:00:00` stays a text), and without keys that are there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that would silently win over an earlier one."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    char: [
        (tag, re.compile(r"^(?![-+]?[0-9][0-9_]*:)(?:" + pattern.pattern + ")", re.VERBOSE))
        if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        else (tag, pattern)
        for tag, pattern in resolvers
    ]
    for char, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: It is no YAML.
    """
    return yaml.load(text, Loader=_Loader)
