"""`kpsbatch check`: whether a run can work here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.commands.options import AsJson, Quiet
from kpsbatch.commands.printing import print_findings, print_json
from kpsbatch.commands.selection import ConfigFile, Overrides
from kpsbatch.errors import ConfigError


def check(
    config: Annotated[
        Optional[Path], typer.Argument(metavar="CONFIG", help="A config; without it, the machine alone.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overrides: Overrides = None,
) -> None:
    """Check whether a run can work here: Python, packages, models, cores, memory, disk, SLURM, container."""
    from kpsbatch.check import Finding, as_tree
    from kpsbatch.check import check as check_all
    from kpsbatch.progress import count_progress

    found: list[Finding] = []
    loaded = None
    if config is not None:
        try:
            loaded = ConfigFile(config, overrides).load()
        except ConfigError as error:
            text, _, remedy = str(error).partition(". ")
            found.append(Finding("config", "problem", text, remedy))
        else:
            found.append(Finding("config", "ok", f"{config} is valid"))
    elif overrides:
        raise ConfigError("--set goes with a config. Name one, or leave --set out.")
    with count_progress("checks", quiet=quiet) as show:
        found += check_all(loaded, show)
    if as_json:
        print_json(as_tree(found))
    else:
        print_findings(found)
    raise typer.Exit(int(any(one.state == "problem" for one in found)))
