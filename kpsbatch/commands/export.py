"""`kpsbatch export`: the keypoints in another format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kpsbatch.commands.options import Quiet
from kpsbatch.commands.selection import Selection
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.words import counted

if TYPE_CHECKING:
    from kpsbatch.store.reading import OutputDataset


def export(
    selection: Selection,
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The folder to write.")],
    form: Annotated[
        str,
        typer.Option(
            "--to", metavar="FORMAT", help="mmap, mmap-concatenated, pose, webdataset, parquet or npy: docs/exports.md."
        ),
    ],
    labels: Annotated[
        Optional[list[str]], typer.Option("--label", metavar="TEXT", help="Only videos of this label; repeat for more.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the keypoints in another format; CONFIG may be a folder of outputs. Run it again to go on after an end."""
    from kpsbatch.export.run import export as write_export
    from kpsbatch.progress import count_progress

    dataset, left = _chosen(selection, labels)
    failed = sum(known.failed for known in dataset.known)
    with count_progress("videos exported", quiet=quiet) as show:
        done = write_export(dataset, form, destination, show)
    files = counted(done.files, "file")
    said = f"{counted(done.videos, 'video')} in {files}" + ("" if done.written else ", finished before")
    print(f"export: {destination} ({form}, {said})")
    if failed:
        print(f"left out: {counted(failed, 'video')} that failed, without keypoints")
    if left:
        print(f"left out: {counted(left, 'unit')} of the config that are not done or not of its settings")


def _chosen(selection: Selection, labels: list[str] | None) -> tuple[OutputDataset, int]:
    """The videos to export, and how many units of the config have no output of its settings.

    Raises:
        ConfigError: The config or the selection is unusable.
        OutputError: There are no outputs.
    """
    from kpsbatch.store.reading import open_dataset

    if selection.config.suffix.lower() in (".yaml", ".yml"):
        return _of_config(selection, labels)
    if selection.overrides or selection.adjusted:
        raise ConfigError("--set goes with a config. Leave it out.")
    root, signs = selection.config, _signs(selection.signs)
    return open_dataset(root, signers=selection.signers, splits=selection.splits, signs=signs, labels=labels), 0


def _signs(texts: list[str] | None) -> tuple[int, ...] | None:
    from kpsbatch.config import parse_signs

    try:
        return None if texts is None else parse_signs(",".join(texts))
    except ValueError as error:
        raise ConfigError(f"--signs: {error}") from None


def _of_config(selection: Selection, labels: list[str] | None) -> tuple[OutputDataset, int]:
    from kpsbatch.dataset.source import INDEX_FOLDER, open_if_there
    from kpsbatch.store.reading import open_dataset
    from kpsbatch.store.survey import outputs_without_models, survey

    config = selection.load()
    known = outputs_without_models(config)
    source, here = open_if_there(config.dataset, config.output.root / INDEX_FOLDER)
    surveyed = survey(source, known.outputs, depth="presence" if here else "outputs")
    done = surveyed.of_state("complete", "partial")
    if not done:
        raise OutputError(f"{config.output.root} holds no finished unit of this config. Run it first.")
    signs = {unit.sign for unit in done}
    dataset = open_dataset(config.output.root, signs=signs, labels=labels, sign_names=config.dataset.labels)
    paths = {known.outputs.npz_path(unit) for unit in done}
    chosen = replace(dataset, units=tuple(unit for unit in dataset.units if unit.path in paths))
    return chosen, len(surveyed.of_state("left", "foreign", "changed", "unreadable"))
