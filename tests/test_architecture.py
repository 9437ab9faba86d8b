"""How the package is built: which way its imports point, and how large its files and functions may be."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import kpsbatch

PACKAGE = Path(kpsbatch.__file__).parent
MAX_INNER_IMPORTS = 30
ROOMS = (
    "startup",
    "errors",
    "untrusted",
    "points",
    "words",
    "files",
    "permissions",
    "stored",
    "config",
    "privacy",
    "dataset",
    "landmarks",
    "models",
    "store",
    "demo",
    "work",
    "progress",
    "cluster",
    "check",
    "look",
    "pictures",
    "export",
    "api",
    "cli",
    "__main__",
)
"""The rooms, which are folders or single files of the package: each may import those before it, and none after it.

`points` is pure data, which the config needs too, so it is a room of its own."""


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = ("kpsbatch", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imports_of(module: str) -> set[str]:
    """The modules of the package that a module imports anywhere, inside functions too; itself left out."""
    found: set[str] = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below if below & FILES.keys() else {node.module or ""}
    return (found & FILES.keys()) - {module}


def room_of(module: str) -> str:
    """The room of a module, such as store for kpsbatch.store.records."""
    name = module.removeprefix("kpsbatch.")
    return name if name in ROOMS else name.split(".")[0]


MODULES = sorted(FILES.keys() - {"kpsbatch"})  # the package itself: its version, and names that it looks up when used


def test_every_file_belongs_to_a_room() -> None:
    """A new folder or file of the package gets its place in `ROOMS`."""
    assert {room_of(module) for module in MODULES} == set(ROOMS)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Every module can be read and tested after those that it imports."""
    list(TopologicalSorter({module: imports_of(module) for module in MODULES}).static_order())  # CycleError names one


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_to_earlier_rooms(room: str) -> None:
    """No import runs back: a room knows nothing of the rooms after it in `ROOMS`."""
    allowed = {*ROOMS[: ROOMS.index(room) + 1]}
    wrong = defaultdict(set)
    for module in (module for module in MODULES if room_of(module) == room):
        for imported in imports_of(module) - {"kpsbatch"}:
            if room_of(imported) not in allowed:
                wrong[module].add(imported)
    assert not wrong


def test_nothing_builds_networks_but_the_command() -> None:
    """What edits networks stays out of runs: workers read what `kpsbatch models` left in the cache."""
    users = {module for module in MODULES for imported in imports_of(module) if room_of(imported) == "models"}
    assert {user for user in users if room_of(user) != "models"} == {"kpsbatch.cli.prepare"}


def test_the_package_itself_is_imported_for_its_version_only() -> None:
    """The public names of `kpsbatch` are for its users; inside, a module imports from where a name is defined."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "kpsbatch":
                names = {alias.name for alias in node.names} - {"__version__"}
                assert all(f"kpsbatch.{name}" in FILES for name in names), f"{module} imports {names} from kpsbatch"


def inner_imports(node: ast.AST, *, inside: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports within functions."""
    for child in ast.iter_child_nodes(node):
        if inside and isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        yield from inner_imports(child, inside=inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_few_imports_inside_functions() -> None:
    """A module is imported at the top of a file, unless a heavy library would be loaded for nothing."""
    inner = [
        f"{module}: {ast.unparse(node)}"
        for module, tree in TREES.items()
        for node in inner_imports(tree)
        if (node.names[0].name if isinstance(node, ast.Import) else node.module or "").startswith("kpsbatch")
    ]
    assert len(inner) <= MAX_INNER_IMPORTS, "\n".join(inner)
