"""The report: one HTML page that says what came out of a run, and what to look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

import kpsbatch
from kpsbatch.config import Config
from kpsbatch.drawing.encoders import save
from kpsbatch.player.page import player_assets, templates_in
from kpsbatch.report.figures import Labels
from kpsbatch.report.gather import ReportData
from kpsbatch.report.view import view_of

TEMPLATES = Path(__file__).parent / "templates"


def render(
    config: Config,
    data: ReportData,
    *,
    config_path: Path | None = None,
    samples: int = 3,
    pictures: bool = True,
    labels: Labels | None = None,
    on_sample: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Write the page.

    Args:
        data: What `gather` found.
        config_path: The config's file, for commands that the page shows.
        samples: How many of the best, the median and the worst videos are drawn.
        pictures: Whether the samples show frames of the videos, or keypoints only.
        labels: The names of the signs.
        on_sample: Called with (samples drawn, samples in all).
    """
    page = view_of(
        config,
        data,
        config_path=config_path or Path("CONFIG"),
        samples=samples,
        pictures=pictures,
        labels=labels or {},
        on_sample=on_sample,
    )
    style, script = player_assets() if page.samples else ("", "")
    return (
        _templates()
        .get_template("report.html")
        .render(page=page, player_style=style, player_script=script, version=kpsbatch.__version__)
    )


@lru_cache(1)
def _templates() -> Environment:
    templates = templates_in(TEMPLATES)
    templates.globals["file"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # our own files
    return templates


def write_page(path: Path, page: str) -> int:
    """Write a page to a file.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: It can't be written.
    """
    content = page.encode("utf-8", "replace")
    save(path, lambda file: file.write(content))
    return len(content)
