"""Opening the dataset of a config, with progress."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kpsbatch.errors import printable
from kpsbatch.words import counted

if TYPE_CHECKING:
    from kpsbatch.config import Config
    from kpsbatch.dataset.source import Source

SHOWN_ROWS = 5


def open_dataset(config: Config, *, quiet: bool) -> Source:
    """Open the dataset; says which rows of a table can't be used.

    Raises:
        DatasetError, ConfigError, OutputError: See `open_source`.
    """
    from kpsbatch.dataset.manifest import ManifestSource
    from kpsbatch.dataset.source import INDEX_FOLDER, open_source
    from kpsbatch.progress import count_progress

    with count_progress("members of the archive", quiet=quiet) as show:
        source = open_source(config.dataset, config.output.root / INDEX_FOLDER, show)
    if isinstance(source, ManifestSource) and (bad := source.problems):
        shown = "; ".join(f"{problem.source}: {problem.text}" for problem in bad[:SHOWN_ROWS])
        more = "; ..., all by kpsbatch scan" if len(bad) > SHOWN_ROWS else ""
        rows = counted(len(bad), "row")
        print(printable(f"kpsbatch: {rows} of the table can't be used: {shown}{more}"), file=sys.stderr)
    return source
