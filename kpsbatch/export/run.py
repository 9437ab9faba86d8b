"""Exports: a folder with the same videos in another format.

    DEST/export.json     says what it is and whether it is finished; it is written first, and again last
    DEST/...             files of the format, each of which is there whole or not at all

An export that was ended is gone on with by the same command: files that are there are passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import kpsbatch
from kpsbatch.config import Config
from kpsbatch.dataset.classes import stated_classes
from kpsbatch.dataset.source import INDEX_FOLDER, open_if_there
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.export.formats import FORMATS, Options, Part, Request, facts_of, recorded_settings
from kpsbatch.export.layouts import layout_of
from kpsbatch.export.recipes import RECIPES
from kpsbatch.files import explained, is_stale, read_json, write_json
from kpsbatch.store.cleaning import Cleaning
from kpsbatch.store.reading import OutputDataset, Sample, find_records, kept_topology, open_dataset
from kpsbatch.store.records import UnitRecord
from kpsbatch.store.settings import PLAIN_VIEW, differences
from kpsbatch.store.survey import outputs_without_models, survey
from kpsbatch.stored import read_stored
from kpsbatch.words import program

ABOUT = "export.json"


@dataclass(frozen=True)
class Exported:
    """What an export consists of; `written`: how many of its files this call wrote."""

    videos: int
    files: int
    written: int


class Failed(NamedTuple):
    """A video that failed, and so has no keypoints: its unit such as 01-train/0007, its name, and why."""

    unit: str
    video: str
    error: str


class Chosen(NamedTuple):
    """The videos to export, those that failed, and how many units of the config have no output of its settings."""

    dataset: OutputDataset
    failed: list[Failed]
    left: int


def failed_videos(root: Path, wanted: Callable[[Unit], bool]) -> list[Failed]:
    """The videos of some units that failed, by the records, also where a whole unit failed.

    Raises:
        OutputError: A folder can't be listed.
    """
    failed = []
    for name, path in sorted(find_records(root, failed=True).items()):
        record = read_stored(path, UnitRecord)
        if record is not None and record.unit is not None and wanted(record.unit.unit):
            failed += [Failed(name, video, facts.error) for video, facts in record.failed.items()]
    return failed


def outputs_of_config(config: Config) -> Chosen:
    """The finished videos of a config, without those that it excludes, and of what a command chooses.

    Raises:
        OutputError: There are none.
        ConfigError: The labels can't be used.
    """
    outputs = outputs_without_models(config).outputs
    source, here = open_if_there(config.dataset, config.output.root / INDEX_FOLDER)
    surveyed = survey(source, outputs, depth="presence" if here else "outputs")
    done = surveyed.of_state("complete", "partial")
    if not done:
        raise OutputError(f"{config.output.root} holds no finished unit of this config. Run it first.")
    signs = {unit.sign for unit in done}
    names = config.dataset.labels
    dataset = open_dataset(config.output.root, signs=signs, sign_names=names)
    dataset = dataset.as_stated(stated_classes(config.dataset, source))
    paths = {outputs.npz_path(unit) for unit in done}
    dataset = dataset.without([*config.dataset.exclude, *_unwanted(config, dataset)])
    chosen = replace(dataset, units=tuple(unit for unit in dataset.units if unit.path in paths))
    with_failures = {*surveyed.of_state("failed", "partial")}
    failed = [
        each
        for each in failed_videos(config.output.root, with_failures.__contains__)
        if f"{each.unit}/{each.video}" not in config.dataset.exclude
    ]
    return Chosen(chosen, failed, len(surveyed.of_state("left", "foreign", "changed", "unreadable")))


def _unwanted(config: Config, dataset: OutputDataset) -> Iterator[str]:
    """The videos that --label or --signers leave out of a unit."""
    if config.dataset.chooses_rows:
        for video in dataset.videos:
            if not config.dataset.wants(video.label, video.signer):
                yield f"{video.path.parent.name}/{video.path.stem}/{video.video}"


def export(
    dataset: OutputDataset,
    form: str,
    folder: Path,
    on_video: Callable[[int, int], None] = lambda done, total: None,
    *,
    points: str | None = None,
    confidence: str = "found",
    shard_bytes: int = 0,
    failed: Sequence[Failed] = (),
    cleaning: Cleaning | None = None,
) -> Exported:
    """Write the videos of a dataset in another format, or what is left of it to write.

    Args:
        form: One of `FORMATS` or `RECIPES`.
        folder: Where to: a new folder, an empty one, or one in which the same export was begun.
        on_video: Called with (videos written, videos in all).
        points: Take these points, as `open_dataset`; default: those of the outputs, or those that the format wants.
        confidence, shard_bytes: See `Options`.
        cleaning: What is done with the keypoints on the way.
        failed: Videos that are left out since they failed, for `export.json`.

    Raises:
        OutputError: There is no video, an output is damaged, the format can't hold them, or the folder can't be used.
        ConfigError: The format is unknown, or the folder holds something else.
    """
    if form not in {**FORMATS, **RECIPES}:
        raise ConfigError(f"--to: there is no format {form!r}. Choose among {', '.join(FORMATS)}.")
    if not len(dataset):
        raise OutputError(f"{dataset.root} holds no video of those that were asked for. Choose others.")
    said = f"--to {form}" if form in FORMATS else f"--as {form}"
    options = Options(said, points is not None or dataset.is_from_kept, confidence, shard_bytes)
    chosen = FORMATS[form](options) if form in FORMATS else layout_of(form, options)
    dataset = chosen.source(dataset if points is None else _chosen_points(dataset, points))
    if cleaning:
        if (cleaning.nan or cleaning.normalise) and (form in RECIPES or form == "pose"):
            raise ConfigError(f"{said} has coordinates and missing values of its own. Leave --normalise and --nan out.")
        dataset = dataset.cleaned(cleaning)
    request = _request(dataset)
    dataset = request.dataset
    parts = chosen.parts(request)
    told = {**chosen.told(request), **({"cleaning": cleaning.as_tree()} if cleaning else {})}
    about = _about(request, form, told, parts)
    total, done, written = len(dataset), 0, 0

    def read(numbers: Iterable[int]) -> Iterator[Sample]:
        for count, sample in enumerate(dataset.samples(numbers), 1):
            shown, dtype = sample.info, sample.keypoints.dtype
            if len(sample.keypoints) != shown.frames or dtype != request.dtype:  # places in files depend on both
                raise OutputError(
                    f"{shown.path}: video {shown.video!r} is {len(sample.keypoints)} frames of {dtype}, not "
                    f"{shown.frames} of {request.dtype}. Run `{program()} verify`."
                )
            yield sample
            on_video(done + count, total)

    with explained(folder, ""):
        if not _claim(folder, about):
            return Exported(total, len(parts), 0)
        for part in parts:
            path = folder / part.file
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                chosen.write(request, part, path, read)
                written += 1
            done += len(part.numbers)
            on_video(done, total)
        further = chosen.finish(request, parts, folder)
        named = [video._asdict() for video in failed]
        write_json(folder / ABOUT, {**about, **further, "failed": named, "about": request.about, "finished": True})
    return Exported(total, len(parts), written)


def _chosen_points(dataset: OutputDataset, points: str) -> OutputDataset:
    """The videos with the points of `--points`: from what is kept, unless the outputs are just these."""
    wanted = kept_topology(points)
    plain = all(one.coordinates == "image" for one in recorded_settings(dataset))
    if plain and {known.points for known in dataset.known} == {wanted.name}:
        return dataset
    return dataset.from_kept(points)


def _request(dataset: OutputDataset) -> Request:
    settings = recorded_settings(dataset)
    if dataset.is_from_kept:
        settings = [one.model_copy(update={"view": PLAIN_VIEW}) for one in settings]
        settings = [one for number, one in enumerate(settings) if one not in settings[:number]]
    if len(settings) > 1:
        raise OutputError(
            f"{dataset.root} holds outputs of several settings: {'; '.join(differences(*settings[:2])[:3])}. Run all "
            "units with the same settings, or choose some with --signers, --splits or --signs."
        )
    coordinates = settings[0].stated_coordinates if settings else ""
    return Request(dataset, dataset[0].keypoints.dtype, coordinates)


def _about(request: Request, form: str, told: Mapping[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    """What `export.json` says from the start; `of` is a digest of all that the files depend on."""
    dataset = request.dataset
    digest = hashlib.sha256(json.dumps([form, told, dataset.topology.names, str(request.dtype)]).encode())
    for part in parts:
        digest.update(json.dumps([part.file, list(part.numbers)]).encode())
    for unit, known in zip(dataset.units, dataset.known, strict=True):
        digest.update(json.dumps([unit.path.parent.name, unit.path.name, known.version]).encode())
    for info in dataset.videos:
        digest.update(json.dumps([*facts_of(info).values(), info.times]).encode())
    return {
        "format": form,
        "finished": False,
        "kpsbatch": kpsbatch.__version__,
        "of": digest.hexdigest()[:16],
        "videos": len(dataset),
        "splits": dict(Counter(info.split for info in dataset.videos)),
        "classes": list(dataset.classes),
        "unstated_classes": dataset.unstated,
        "coordinates": request.coordinates,
        **told,
    }


def _claim(folder: Path, about: Mapping[str, Any]) -> bool:
    """Make the folder, or go on in it; False where the export is finished.

    Raises:
        ConfigError: It holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begun = read_json(folder / ABOUT)
    if begun is None:
        if other := next((name for name in sorted(os.listdir(folder)) if not name.startswith(".")), None):
            raise ConfigError(f"{folder} holds {other} and is not an export. Name a new folder.")
        write_json(folder / ABOUT, about)
        return True
    if begun.get("of") != about["of"]:
        raise ConfigError(
            f"{folder} holds another export: {begun.get('format')} of {begun.get('videos')} videos, "
            f"{'finished' if begun.get('finished') else 'not finished'}. Name a new folder, or remove this one."
        )
    for below, _, _ in os.walk(folder):
        with os.scandir(below) as entries:
            for entry in entries:
                if is_stale(entry):
                    os.unlink(entry.path)
    return not begun.get("finished")
