"""Writes docs/reference/ from the code: configuration, commands, Python, messages.

`python scripts/reference.py` writes the pages; tests/test_documents.py compares them with the code.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import kpsbatch
from kpsbatch.cli.main import COMMANDS, load
from kpsbatch.config.schema import config_schema

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
MADE = "<!-- made by scripts/reference.py; do not edit -->\n"
AS_TUPLE = " (kept as an empty tuple)"
"""What the docstring of the sections says of `all` for whoever reads the code."""
ERRORS = ("ConfigError", "DatasetError", "ModelError", "OutputError", "SubmitError", "KpsbatchError")


def pages() -> dict[str, str]:
    """The name of each page and its text."""
    return {
        "configuration.md": configuration(),
        "commands.md": commands(),
        "api.md": api(),
        "messages.md": messages(),
    }


def cell(text: object) -> str:
    """A text on one line of a table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def configuration() -> str:
    """A table for each section of the config, from its schema."""
    schema = config_schema()
    sections = schema["$defs"]
    lines = [
        "# Configuration",
        MADE,
        "Every setting of the YAML file, from the code. `configs/karsl.yaml` is a whole config with comments.",
    ]

    def walk(tree: dict[str, Any], prefix: str) -> None:
        below: list[tuple[str, dict[str, Any]]] = []
        rows = []
        for name, setting in tree["properties"].items():
            names = set(re.findall(r"#/\$defs/(\w+)", json.dumps(setting)))
            below += [(f"{prefix}{name}", sections[key]) for key in sorted(names) if "properties" in sections[key]]
            if "$ref" in setting:
                continue
            needed = name in tree.get("required", ())
            default = "must be given" if needed else f"`{json.dumps(setting.get('default'), ensure_ascii=False)}`"
            meaning = setting["description"].replace(AS_TUPLE, "")
            if meaning != setting["description"]:
                default = "`all`" if setting.get("default") == [] else default
            rows.append(f"| `{prefix}{name}` | {cell(default)} | {cell(meaning)} |")
        if rows:
            title = prefix.rstrip(".") or "top"
            lines.extend(["", f"## {title}", "", tree["description"], ""])
            lines.extend(["| setting | default | meaning |", "|---|---|---|", *rows])
        for name, section in below:
            walk(section, f"{name}.")

    walk(schema, "")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every command with its arguments and options."""
    lines = ["# Commands", MADE, "`kpsbatch COMMAND --help` shows the same."]
    for name, command in COMMANDS.items():
        lines += ["", f"## {name}", "", cell(command.help)]
        rows = []
        for parameter in load(name).params:
            if getattr(parameter, "hidden", False):
                continue
            option = parameter.param_type_name == "option"
            spelled = ", ".join(parameter.opts) if option else (parameter.metavar or parameter.name.upper())
            rows.append(f"| `{cell(spelled)}` | {cell(getattr(parameter, 'help', None) or '')} |")
        lines += ["", "| argument or option | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join(lines) + "\n"


def api() -> str:
    """Every public name with its signature and docstring."""
    lines = ["# Python", MADE, "All that `import kpsbatch` offers; `kpsbatch.__version__` is the version, as text."]
    for name in kpsbatch.__all__:
        thing = getattr(kpsbatch, name)
        if name.startswith("__"):
            continue
        lines += ["", f"## {name}", "", *described(name, thing)]
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for member, function in vars(thing).items():
                if not member.startswith("_") and inspect.isfunction(function) and function.__doc__:
                    lines += ["", f"### {name}.{member}", "", *described(member, function)]
    return "\n".join(lines) + "\n"


def described(name: str, thing: Any) -> list[str]:
    """A signature, and a docstring as it stands in the code."""
    lines = []
    if callable(thing) and not (inspect.isclass(thing) and issubclass(thing, Exception)):
        signature = re.sub(r"<(?:object object|function [\w.<>]+) at \w+>", "...", str(inspect.signature(thing)))
        lines += ["```python", f"{name}{signature}", "```", ""]
    return [*lines, "```text", inspect.getdoc(thing) or "", "```"]


def messages() -> str:
    """Every error that is raised with a text of its own, by the package that raises it."""
    lines = [
        "# Messages",
        MADE,
        "The errors of kpsbatch, from the code. Each says what is wrong, then what to do. `...` stands for what is "
        "named: a path, a setting, a number. [Troubleshooting](../troubleshooting.md) explains the most frequent ones.",
    ]
    for package in sorted({path.relative_to(ROOT / "kpsbatch").parts[0] for path in (ROOT / "kpsbatch").rglob("*.py")}):
        files = sorted((ROOT / "kpsbatch" / package).rglob("*.py")) or [ROOT / "kpsbatch" / package]
        found = sorted({text for path in files for text in raised(path)})
        if found:
            lines += ["", f"## {package.removesuffix('.py')}", "", *(f"- `{text}`" for text in found)]
    return "\n".join(lines) + "\n"


def raised(path: Path) -> list[str]:
    """The texts of the errors that a module makes, without those that are written elsewhere."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func).rpartition(".")[2]
            text = written(node.args[0])
            if name in ERRORS and text.count(" ") > 3:
                texts.append(" ".join(text.replace("`", "'").split()))
    return texts


def written(node: ast.expr) -> str:
    """The text of a string, with ... for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(written(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return written(node.left) + written(node.right)
    return "..."


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for page, text in pages().items():
        (FOLDER / page).write_text(text, encoding="utf-8")
