"""Two sets of keypoints of the same videos: `compare`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from kpsbatch.cli.options import AsJson, Quiet
from kpsbatch.cli.printing import print_json
from kpsbatch.look.differences import Comparison, PartDifference
from kpsbatch.look.differences import compare as compare_folders
from kpsbatch.progress import count_progress
from kpsbatch.words import counted, print_lines, program, say, some_of, table_lines

SHOWN, NAMED = 10, 3
"""Videos that are listed, and commands and names that are; --json has all."""


def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="A folder of outputs, or of .pose files.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another one, of the same videos.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say how far two outputs, or trees of .pose, are apart: by part, missing parts, swapped hands, worst first."""
    with count_progress("videos compared", quiet=quiet) as show:
        found = compare_folders(one, other, show)
    if as_json:
        print_json({"a": str(one), "b": str(other), **found.as_tree()})
        return
    say(f"{counted(len(found.videos), 'video')} in both; A is {one}, B is {other}")
    for side, names in (("A", found.only_a), ("B", found.only_b)):
        if names:
            say(f"only in {side}: {counted(len(names), 'video')}: {some_of(names, NAMED)}")
    for unit in found.units:
        say(f"\ndistances in {unit}")
        head = ["part", "frames", "median", "95%", "largest", "missing in A", "missing in B"]
        _print_table([head, *(_row(name, part) for name, part in found.totals(unit).items())])
    _print_worst(found)


def _row(name: str, part: PartDifference) -> list[str]:
    tree = part.as_tree()
    distances = [_number(tree[key]) for key in ("median", "p95", "largest")]
    return [name.replace("_", " "), f"{tree['frames']:,}", *distances, f"{part.missing_a:,}", f"{part.missing_b:,}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _print_table(rows: list[list[str]]) -> None:
    print_lines(table_lines([[(cell, "") for cell in row] for row in rows], numbers_from=1))


def _print_worst(found: Comparison) -> None:
    """The worst videos, and how to see them."""
    worst = [video for video in found.videos if video.off > 0 or len({*video.frames}) > 1][:SHOWN]
    if not worst:
        say("\nno video differs")
        return
    parts = list(dict.fromkeys(name for video in worst for name in video.parts))
    say(f"\nworst first, {len(worst)} of {len(found.videos):,} (--json: all); medians, then frames")
    head = ["video", "off", *(name.replace("_", " ") for name in parts), "missing in A", "missing in B", "swapped"]
    rows = [head]
    for video in worst:
        trees = {name: part.as_tree() for name, part in video.parts.items()}
        medians = [_number(trees[name]["median"] if name in trees else None) for name in parts]
        missing = [sum(tree[side] for tree in trees.values()) for side in ("missing_a", "missing_b")]
        rows.append([video.video, f"{video.off:.3f}", *medians, *map(str, missing), str(video.swapped)])
    _print_table(rows)
    for video in worst:
        if len({*video.frames}) > 1:
            say(f"{video.video}: {video.frames[0]} frames in A, {video.frames[1]} in B; the first of both are compared")
    for link in _links(found):
        say(link)


def _links(found: Comparison) -> Iterator[str]:
    links = [video.view for video in found.videos[:NAMED] if video.view]
    yield from (f"see: {link}" for link in links)
    if not links:
        yield f"see: the player takes outputs of one layout: {program()} import FOLDER makes some of .pose files"
