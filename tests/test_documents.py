"""The documents: their links lead somewhere, and they agree with the package."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml

import kpsbatch

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "docs" / "reference", ROOT / "benchmarks", ROOT / ".github")
    for page in folder.glob("*.md")
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as links give them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of a page names a file that is there, and a heading in it."""
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link) or link.startswith("../../"):  # another site, or a page of the forge
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name}: {link}"
        assert not heading or heading in anchors(target), f"{name}: {link}"


@pytest.mark.parametrize("name", [page for page in PAGES if page != "CHANGELOG.md"])
def test_files_that_are_named_exist(name: str) -> None:
    """A path of the repository that a page names in code letters is there."""
    folders = ("kpsbatch", "tests", "docs", "scripts", "benchmarks", "configs", "slurm", "docker")
    text = (ROOT / name).read_text(encoding="utf-8")
    for path in re.findall(rf"`((?:{'|'.join(folders)})/[\w./-]+\.(?:py|md|sh|yaml|sub))`", text):
        assert (ROOT / path).exists(), f"{name}: {path}"


def test_every_page_is_linked() -> None:
    """Each page below docs/ can be reached from README.md, at most by way of docs/index.md."""
    readme = set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    index = LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    linked = readme | {f"docs/{link}" for link in index}
    assert "docs/index.md" in readme
    assert {page for page in PAGES if page.startswith("docs/")} <= {*linked, "docs/reference/messages.md"}


def test_readme_is_one_screen() -> None:
    """README.md has at most 500 words."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 500


@pytest.mark.parametrize("name", [page for page in PAGES if page.startswith("docs/") and "/reference/" not in page])
def test_pages_are_short(name: str) -> None:
    """A page that is no reference has at most 1,200 words."""
    assert len((ROOT / name).read_text(encoding="utf-8").split()) <= 1200


@pytest.mark.parametrize("name", ["configuration.md", "commands.md", "api.md", "messages.md"])
def test_reference_is_that_of_the_code(name: str) -> None:
    """The pages of docs/reference/ are what scripts/reference.py makes of the code."""
    made = runpy.run_path(str(ROOT / "scripts" / "reference.py"))["pages"]()
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert page == made[name], "run `python scripts/reference.py`"


def test_one_version() -> None:
    """CITATION.cff and the newest heading of CHANGELOG.md name the version of the package, and the same day."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[([0-9.]+)\] - (\S+)$", changes, re.MULTILINE)
    assert newest is not None
    assert (citation["version"], str(citation["date-released"])) == newest.groups()
    assert newest[1] == kpsbatch.__version__


def test_public_names() -> None:
    """What pages tell to import is public, and what is public is on a page."""
    pages = [ROOT / page for page in PAGES if page not in ("CHANGELOG.md", "docs/ARCHITECTURE.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in (*pages, ROOT / "docs" / "first_steps.ipynb"))
    assert not re.findall(r"\b(?:from|import) kpsbatch\.[\w.]+", text)
    imported = [name for names in re.findall(r"from kpsbatch import ([\w, ]+)", text) for name in names.split(", ")]
    assert {*re.findall(r"\bkpsbatch\.(\w+)(?=\()", text), *imported} <= {*kpsbatch.__all__}
    assert all(re.search(rf"\b{name}\b", text) for name in kpsbatch.__all__)
