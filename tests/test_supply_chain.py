"""How releases are made: what is pinned, and which job may write where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def jobs() -> dict[str, dict[str, Any]]:
    return {
        f"{path.stem}.{name}": job
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
    }


@pytest.mark.parametrize("name", jobs())
def test_actions_are_pinned(name: str) -> None:
    """An action is named by its commit, and its version is told beside it; no token stays in a checkout."""
    for step in jobs()[name].get("steps", []):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", jobs())
def test_least_rights(name: str) -> None:
    """A job may read the repository; one that may write anything runs no action of a third party, and has one right."""
    rights = {right: way for right, way in jobs()[name].get("permissions", {}).items() if way == "write"}
    assert len(rights) <= 1
    if rights:
        used = [step["uses"] for step in jobs()[name]["steps"] if "uses" in step]
        assert all(action.startswith("actions/") for action in used)
        assert jobs()[name]["environment"] == "release"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows(path: Path) -> None:
    """The default of a workflow is to read; versions of actions are told, and no tool is fetched unpinned."""
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    for line in re.findall(r".*uses: .*@.*", text):
        assert re.search(r"# v\d+\.\d+\.\d+$", line), line
    assert "uvx" not in text
    for install in re.findall(r"pip install.*", text):
        assert "--require-hashes" in install


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "requirements-release", "requirements-docs"])
def test_hashes(name: str) -> None:
    """Every package of a lock file has an exact version and hashes."""
    text = (REPOSITORY / f"{name}.lock").read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert len(entries) > 10
    for entry in entries:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_copyleft_is_told() -> None:
    """The image's label and the list of licences name the GPL parts of PyAV's wheel."""
    assert "GPL-2.0-or-later" in re.search(r'image\.licenses="(.*)"', (REPOSITORY / "docker/Dockerfile").read_text())[1]
    for name in ("docs/licences.md", "scripts/licences.sh"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        assert all(word in text for word in ("libx264", "libx265", "GPL-2.0-or-later"))
    assert "CONTACT" in (REPOSITORY / "SECURITY.md").read_text()
