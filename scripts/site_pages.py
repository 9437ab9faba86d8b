"""Hooks of mkdocs: the pages that lie outside of docs/ are pages of the site, and links to other files become text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/RESULTS.md", "benchmarks/QUALITY.md")
"""Pages that lie elsewhere on a forge, and in project/ on the site."""
PLACES = {(ROOT / name).as_posix(): f"project/{Path(name).name}" for name in OUTSIDE}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """The pages outside of docs/, added to those in it."""
    for name in OUTSIDE:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, f"project/{Path(name).name}", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """A page with its links as the site has them."""
    here = page.file.src_uri
    source = next((Path(path) for path, place in PLACES.items() if place == here), ROOT / "docs" / here)
    up = "../" * here.count("/")

    def placed(found: re.Match[str]) -> str:
        text, link = found.groups()
        path, mark, heading = link.partition("#")
        if not path or re.match(r"[a-z]+:", link):
            return found[0]
        target = (source.parent / path).resolve()
        if place := PLACES.get(target.as_posix()):
            return f"[{text}]({up}{place}{mark}{heading})"
        if target.is_relative_to(ROOT / "docs"):
            return f"[{text}]({up}{target.relative_to(ROOT / 'docs').as_posix()}{mark}{heading})"
        return text  # a file of the repository that is no page

    # links to pages of a forge, such as releases, lead nowhere on the site
    return LINK.sub(placed, re.sub(r"^\[[^\]]+\]: \.\./\.\./.*$", "", markdown, flags=re.MULTILINE))
