"""`export --card`: the README.md of an export in the form of a dataset hub (huggingface.co/docs/hub/datasets-cards).

YAML between two lines of `---`, of which the hub makes its filters and, of parquet and webdataset, its table of the
videos; below it what was found, and what made it. Licence and language are the user's to say, so they are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kpsbatch.errors import OutputError
from kpsbatch.files import explained, read_json, write_bytes
from kpsbatch.store.reading import OutputDataset, VideoInfo
from kpsbatch.store.records import UnitRecord
from kpsbatch.stored import read_stored

CARD = "README.md"

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The hub's names of sizes, and how many videos each ends at."""

PARTS = ("pose", "face", "right_hand", "left_hand")


def write_card(dataset: OutputDataset, folder: Path) -> Path:
    """Write the README.md of a finished export.

    Args:
        dataset: What was exported.
        folder: The export.

    Returns:
        The file.

    Raises:
        OutputError: The folder holds no export, or can't be written.
    """
    export = read_json(folder / "export.json")
    if export is None:
        raise OutputError(f"{folder} holds no export. Export first.")
    path = folder / CARD
    with explained(folder, ""):
        write_bytes(path, card_text(dataset, export, folder.absolute().name).encode("utf-8", "backslashreplace"))
    return path


def card_text(dataset: OutputDataset, export: dict[str, Any], name: str) -> str:
    """The text.

    Args:
        dataset: What was exported.
        export: Its `export.json`.
        name: What it is called.
    """
    videos = dataset.videos
    head: dict[str, Any] = {
        "pretty_name": name,
        "tags": ["sign-language", "keypoints", "pose", "mediapipe"],
        "size_categories": [next((text for most, text in SIZES if len(videos) < most), "n>1M")],
    }
    if files := _data_files(export, _splits(dataset)):
        head["configs"] = [{"config_name": "default", "data_files": files}]
    lines = ["---", yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(), "---", "", f"# {name}", ""]
    lines += ["Keypoints of sign-language videos, without the videos. Licence, language, source: to be added.", ""]
    lines += _table(["split", "videos", "frames", "signers", "classes", *(f"{_said(part)} found" for part in PARTS)])
    named = dataset.with_names
    found = _found(named)
    rows = {split: [info for info in named.videos if info.split == split] for split in _splits(dataset)}
    if len(rows) > 1:
        rows["**all**"] = list(named.videos)
    for split, chosen in rows.items():
        lines.append(_row([split, *_counts(chosen), *(_share(chosen, found, part) for part in PARTS)]))
    lines += ["", "Found: the share of the frames in which a part was found.", ""]
    lines += _table(["layout", ""])
    lines += [_row(pair) for pair in _layout(export)]
    for made in export.get("about", ()):
        lines += ["", "## What made it", "", made["text"]]
    return "\n".join(lines) + "\n"


def _splits(dataset: OutputDataset) -> list[str]:
    return list(dict.fromkeys(info.split for info in dataset.videos))


def _data_files(export: dict[str, Any], splits: list[str]) -> list[dict[str, str]]:
    """Which files are of which split, where the hub reads the format."""
    suffix = {"parquet": "parquet", "webdataset": "tar"}.get(str(export.get("format")))
    return [{"split": split, "path": f"{split}-*.{suffix}"} for split in splits] if suffix else []


def _counts(videos: list[VideoInfo]) -> list[str]:
    frames = sum(info.frames for info in videos)
    classes = {info.target for info in videos if info.target >= 0}
    return [f"{count:,}" for count in (len(videos), frames, len({info.signer for info in videos}), len(classes))]


Found = dict[tuple[Path, str], tuple[int, dict[str, int]]]


def _found(dataset: OutputDataset) -> Found:
    """Of each video with a record its frames, and in how many of them each part was found."""
    found: Found = {}
    for unit, known in zip(dataset.units, dataset.known, strict=True):
        record = None if known.record is None else read_stored(known.record, UnitRecord)
        for name, video in record.good.items() if record is not None else ():
            found[unit.path, name] = video.frames, {part: video.found.of(part) for part in PARTS}
    return found


def _share(videos: list[VideoInfo], found: Found, part: str) -> str:
    """In how many of the frames a part was found; a dash where no record tells."""
    sums: Counter[str] = Counter()
    for info in videos:
        frames, parts = found.get((info.path, info.video), (0, {}))
        sums.update(frames=frames, found=parts.get(part, 0))
    return f"{100 * sums['found'] / sums['frames']:.1f}%" if sums["frames"] else "-"


def _layout(export: dict[str, Any]) -> Iterator[tuple[str, str]]:
    names = export.get("names") or ()
    yield "format", f"{export.get('format')}, by kpsbatch {export.get('kpsbatch')}; export.json has all of it"
    yield "points", f"{len(names)}" + (f" ({export['points']})" if export.get("points") else "")
    yield "coordinates", str(export.get("coordinates") or "not recorded")
    for what, value in (export.get("cleaning") or {}).items():
        yield f"cleaning: {what}", str(value)
    yield "failed, and left out", f"{len(export.get('failed') or ()):,}"


def _said(part: str) -> str:
    return part.replace("_", " ")


def _table(head: list[str]) -> list[str]:
    return [_row(head), _row(["---"] * len(head))]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
