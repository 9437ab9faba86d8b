"""Reads every member of every output and checks it against the contract, its record and the dataset."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import Config
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_if_there, open_source
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError, one_line
from kpsbatch.files import INTERNAL, explained, in_threads, write_json
from kpsbatch.landmarks.found import is_found
from kpsbatch.points import CONTRACT, Topology, topology_of
from kpsbatch.store.npz import npy_header
from kpsbatch.store.outputs import SET_ASIDE, Outputs
from kpsbatch.store.records import RECORDED_STATES, RecordedState, UnitRecord, VideoRecord, read_record
from kpsbatch.store.settings import Fingerprint, Settings, fingerprint_of
from kpsbatch.store.survey import SurveyedUnit, survey
from kpsbatch.stored import read_stored
from kpsbatch.untrusted import read_zip_member
from kpsbatch.work.cores import available_cores
from kpsbatch.work.run import open_outputs

MAX_COORDINATE = {"image": 100.0, "adjusted": 1e8}
"""No finite x, y, z that MediaPipe gives is larger: in frame sizes, or in lengths that are never below 1e-6."""

EDGE = 2e-3
"""How near to the frame's edge, in frame sizes, a point may be visible or not: float16 has 11 bits."""


class Problem(NamedTuple):
    """Something that is wrong with an output.

    Attributes:
        unit: Whose output it is; None for the folder of the records.
        video: The video, or "" for the whole unit.
        text: What is wrong.
    """

    unit: Unit | None
    video: str
    text: str

    @property
    def name(self) -> str:
        """The unit and the video, for people."""
        unit = self.unit.name if self.unit else "settings.json"
        return f"{unit}/{self.video}" if self.video else unit


@dataclass
class Verdict:
    """What `verify` found.

    Attributes:
        units: Units that have an output or a record.
        videos: Videos that were read from their outputs.
        failed_videos: Videos that are recorded as failed.
        left: Units that have videos in the dataset, and neither an output nor a record, or those of other rows.
        problems: What is wrong, unit by unit.
        repaired: Units that were removed, for the next run to redo.
        kept: Units with problems that repairing leaves, since a new run would not fix them, and why.
    """

    units: int = 0
    videos: int = 0
    failed_videos: int = 0
    left: list[Unit] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    repaired: list[Unit] = field(default_factory=list)
    kept: list[tuple[Unit, str]] = field(default_factory=list)

    def add(self, results: Mapping[Unit, _Unit]) -> None:
        """Count the units, and name those that are left."""
        self.units += sum(result.there for result in results.values())
        self.videos += sum(result.videos for result in results.values())
        self.failed_videos += sum(result.failed for result in results.values())
        self.left += [unit for unit, result in results.items() if result.left]

    @property
    def exit_status(self) -> int:
        """0 where all is there and right and no video failed, else 1."""
        return int(bool(self.problems or self.left or self.failed_videos))

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "units": self.units,
            "videos": self.videos,
            "failed_videos": self.failed_videos,
            "left": [unit.name for unit in self.left],
            "problems": [
                {"unit": problem.unit.name if problem.unit else None, "video": problem.video, "problem": problem.text}
                for problem in self.problems
            ],
            "repaired": [unit.name for unit in self.repaired],
            "kept": [{"unit": unit.name, "why": why} for unit, why in self.kept],
        }


@dataclass
class _Unit:
    """What was found of one unit."""

    there: bool = False
    left: bool = False
    videos: int = 0
    failed: int = 0
    problems: list[Problem] = field(default_factory=list)
    keep: str = ""


def verify(
    config: Config,
    *,
    source: Source | None = None,
    repair: bool = False,
    on_unit: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Check all outputs of a config; several units at a time.

    Args:
        source: Its dataset, if it is open already.
        repair: Remove the outputs and records that are wrong, so that the next run redoes them.
        on_unit: Called with the number of units that are checked, and their total.

    Raises:
        DatasetError: The dataset is not there.
        OutputError: The output folder can't be read, or not be repaired.
        ModelError: The models are not there, and the settings contain their hashes.
    """
    dataset = source or open_dataset(config)
    outputs, _ = open_outputs(config)
    verdict = Verdict()

    def list_units(units: Iterable[Unit] | None = None) -> Sequence[SurveyedUnit]:
        return survey(dataset, outputs, units, depth="videos", redo=lambda unit, state: True).units

    def check(unit: Unit) -> _Unit:
        return _check_unit(outputs, list_units([unit])[0])

    results: dict[Unit, _Unit] = {}
    surveyed = list_units()
    checked = in_threads(partial(_check_unit, outputs), surveyed, available_cores())  # hashing runs in parallel
    for each, result in zip(surveyed, checked, strict=True):
        results[each.unit] = result
        on_unit(len(results), len(surveyed))
    for unit, result in results.items():
        if result.problems:  # once more: a run may have been storing it
            results[unit] = check(unit)
    verdict.add(results)
    if verdict.units:
        verdict.problems += _check_settings(outputs, repair)
    for unit, result in results.items():
        verdict.problems += result.problems
        if result.problems and result.keep:
            verdict.kept.append((unit, result.keep))
        elif result.problems and repair:
            if _repair(outputs, unit, check):
                verdict.repaired.append(unit)
            else:
                verdict.kept.append((unit, "another run has stored it meanwhile"))
    return verdict


def verify_folder(root: Path, on_unit: Callable[[int, int], None] = lambda done, total: None) -> Verdict:
    """Check all outputs of a folder by the settings beside their records; no config, dataset or models are needed.

    Args:
        root: The folder; whichever versions and settings made its outputs.
        on_unit: Called with the number of units that are checked, and their total.

    Raises:
        OutputError: It holds no outputs, or can't be read.
    """
    verdict = Verdict()
    with explained(root):
        files = {path: _unit_of(path) for path in sorted(root.glob("*-*/[0-9][0-9][0-9][0-9]*.npz"))}
        recorded: dict[Path, Outputs] = {}
        for folder in sorted(path for path in (root / INTERNAL / "records").glob("*") if path.is_dir()):
            settings = read_stored(folder / "settings.json", Settings)
            if settings is None or fingerprint_of(settings).digest != folder.name.partition(SET_ASIDE)[0]:
                verdict.problems.append(Problem(None, "", f"{folder} holds other settings than it is named after"))
            outputs = Outputs(root, Fingerprint(settings or Settings(), folder.name))
            recorded |= dict.fromkeys(sorted(folder.glob("*/*.json")), outputs)
    checks = {_unit_of(path): outputs for path, outputs in recorded.items()}
    if not checks and not files:
        raise OutputError(f"{root} holds no outputs of kpsbatch. Name a folder with {INTERNAL} in it, or a config.")
    units = [SurveyedUnit(unit, None) for unit in checks]
    checked = in_threads(lambda each: _check_unit(checks[each.unit], each), units, available_cores())
    results: dict[Unit, _Unit] = {}
    for each, result in zip(units, checked, strict=True):
        results[each.unit] = result
        on_unit(len(results), len(units))
    for unit in files.values():
        if unit not in results:
            results[unit] = _Unit(there=True, problems=[Problem(unit, "", "its npz has no record")])
    verdict.add(results)
    for result in results.values():
        verdict.problems += result.problems
    return verdict


def _unit_of(path: Path) -> Unit:
    """The unit of an npz or a record, by its place."""
    signer, _, split = path.parent.name.rpartition("-")
    return Unit(signer, split, int(path.name.partition(".")[0]))


def open_dataset(config: Config) -> Source:
    """The dataset; of imported outputs it need not be there.

    Raises:
        DatasetError: It is not there.
    """
    folder = config.output.root / INDEX_FOLDER
    return open_if_there(config.dataset, folder)[0] if config.output.imported else open_source(config.dataset, folder)


def _repair(outputs: Outputs, unit: Unit, check: Callable[[Unit], _Unit]) -> bool:
    """Remove a unit that is wrong; False where it is right by now."""
    with explained(outputs.root), outputs.lock_unit(unit):
        if not check(unit).problems:
            return False
        outputs.remove(unit)
        return True


def _check_settings(outputs: Outputs, repair: bool) -> list[Problem]:
    path = outputs.settings_path
    if read_stored(path, Settings) == outputs.fingerprint.settings or not outputs.records.is_dir():
        return []
    if repair:
        with explained(outputs.root):
            write_json(path, outputs.fingerprint.settings.tree())
    return [Problem(None, "", "it does not hold the settings that its folder is named after")]


def _check_unit(outputs: Outputs, surveyed: SurveyedUnit) -> _Unit:
    """Everything about one unit; it is compared with the dataset where that lists its videos."""
    result = _Unit()
    unit, listing, settings = surveyed.unit, surveyed.listing, outputs.fingerprint.settings
    names = [video.name for video in listing.videos] if listing else []
    records = [state for state in RECORDED_STATES if outputs.record_path(unit, state).exists()]
    data, unreadable = _read(outputs.npz_path(unit))
    if data is None and not unreadable and not records:
        result.left = surveyed.state in ("left", "unreadable")
        return result
    result.there = True
    result.left = surveyed.state == "changed"
    if listing is not None and not names:
        result.keep = f"the dataset has no video for it: {listing.folder}"
    if settings.imported:
        result.keep = "it was imported, so no run can make it again"
    problems: list[tuple[str, str]] = []
    if unreadable:
        problems.append(("", f"its npz can't be read: {unreadable}"))
    if not records:
        other = next(iter(outputs.other_records(unit)), None)
        if other is not None:
            result.keep = "run with its settings, or with --overwrite"
        problems.append(("", f"its npz was made with other settings: {other}" if other else "its npz has no record"))
    else:
        record, damage = read_record(outputs.record_path(unit, records[0]))
        if record is None:
            problems.append(("", damage))
        if len(records) > 1:
            problems.append(("", f"it has {len(records)} records: {', '.join(records)}"))
        if record is not None:
            result.failed = len(record.failed)
            problems += [("", problem) for problem in _check_record(outputs, unit, records[0], record)]
            problems += [("", problem) for problem in _check_file(records[0], record, data)] if not unreadable else []
        if data is not None:
            problems += _check_npz(settings, data, record.good or None if record else None, result)
        if listing is not None and listing.presence == "unreadable":
            problems.append(("", f"it can't be compared with the dataset: {listing.folder} {listing.problem}"))
        elif record is not None and names:
            problems += _compare_with_dataset(record, names, result)
    result.problems = [Problem(unit, video, text) for video, text in problems]
    return result


def _compare_with_dataset(record: UnitRecord, names: list[str], result: _Unit) -> Iterator[tuple[str, str]]:
    """Whether the dataset and the record hold the same videos."""
    for name in names:
        if name not in record.videos:
            yield name, "the dataset has it, the output and its record do not"
    for name in record.videos:
        if name not in names:
            good = record.good.get(name)
            if good is None or not good.gone_since or not good.made_from:
                yield name, "its record has it, the dataset does not"
            if good is not None:
                result.keep = "the dataset does not have all of its videos any more"


def _read(path: Path) -> tuple[bytes | None, str]:
    try:
        return path.read_bytes(), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, error.strerror or type(error).__name__


def _check_record(outputs: Outputs, unit: Unit, state: RecordedState, record: UnitRecord) -> Iterator[str]:
    """Whether a record, undamaged, is the right one for its place."""
    if record.unit is None or record.unit.unit != unit:
        yield f"its record is of another unit: {record.unit and record.unit.unit.name}"
    if record.state != state:
        yield f"its record has another state: {record.state!r}"
    if record.points != outputs.fingerprint.settings.points:
        yield f"its record has other points: {record.points!r}"
    if record.fingerprint != outputs.fingerprint.digest:
        yield f"its record has another fingerprint: {record.fingerprint!r}"
    good = len(record.good)
    fitting = "failed" if not good else "partial" if good < len(record.videos) else "complete"
    if not record.videos:
        yield "its record names no video"
    elif state != fitting:
        yield f"its record says {state}, but {good} of its {len(record.videos)} videos are good"


def _check_file(state: RecordedState, record: UnitRecord, data: bytes | None) -> Iterator[str]:
    """Whether the npz is there, to the byte as it was written."""
    if data is None:
        if state != "failed":
            yield "its npz is missing, though its record is there"
        return
    if state == "failed":
        yield "its npz is there, though its record says that all videos failed"
        return
    if record.npz is None or record.npz.bytes != len(data):
        yield f"its npz has {len(data)} bytes; its record says {record.npz.bytes if record.npz else None}"
    elif record.npz.sha256 != hashlib.sha256(data).hexdigest():
        yield "its npz is damaged: its SHA-256 is not that of its record"


def _check_npz(
    settings: Settings, data: bytes, good: Mapping[str, VideoRecord] | None, result: _Unit
) -> Iterator[tuple[str, str]]:
    """Every member, by its CRC and by the contract; `good` is what the record says of each (None: unknown)."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
            names = [member.removesuffix(".npy") for member in members]
            if good is not None and names != list(good):
                yield "", "its npz does not hold the videos of its record, in that order"
            elif not names or len(set(names)) < len(names):
                yield "", "its npz holds no videos, or one twice"
            for name, member in zip(names, members, strict=True):
                result.videos += 1
                try:
                    keypoints = _array(read_zip_member(archive, member))
                except Exception as error:  # whatever zipfile and zlib raise at damaged bytes
                    yield name, f"it can't be read: {one_line(error)}"
                    continue
                for problem in check_keypoints(settings, keypoints, (good or {}).get(name)):
                    yield name, problem
    except Exception as error:  # the same
        yield "", f"its npz can't be opened: {one_line(error)}"


def _array(data: bytes) -> NDArray[Any]:
    """Read a .npy file; nothing is unpickled, and no room is taken that the data does not fill.

    Raises:
        ValueError: It is none.
    """
    shape, fortran, dtype, start = npy_header(data)
    if dtype.hasobject or fortran:
        raise ValueError(f"an array of {dtype}{' in Fortran order' * fortran}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def check_keypoints(settings: Settings, keypoints: NDArray[Any], noted: VideoRecord | None = None) -> Iterator[str]:
    """Check one video against the contract, and against what its record says.

    Args:
        settings: The settings that made it.
        noted: The video's part of the record, if that can be trusted.

    Yields:
        What is wrong.
    """
    topology = topology_of(settings.points)
    points = (topology.points, len(topology.CHANNELS))
    if keypoints.ndim != 3 or keypoints.shape[1:] != points or not len(keypoints):
        yield f"its shape is {keypoints.shape}, not (T, {points[0]}, {points[1]})"
        return
    if keypoints.dtype != settings.dtype and not settings.imported:
        yield f"its dtype is {keypoints.dtype}, not {settings.dtype}"
    if not np.isfinite(keypoints).all():
        yield "some of its values are not finite"
        return
    limit = MAX_COORDINATE[settings.coordinates]
    if (farthest := float(np.abs(keypoints[..., :3]).max())) > limit:
        yield f"a coordinate is {farthest:g}, beyond {limit:g}"
    visibility = keypoints[..., 3]
    for part, points_of_part in topology.parts.items():
        seen, there = visibility[:, points_of_part], is_found(keypoints, points_of_part)
        if settings.imported:
            pass  # other scripts have other values there, such as 0 for all points of a hand
        elif part == "pose":
            if ((seen < 0) | (seen > 1)).any():
                yield "the visibility of its pose is not always from 0 to 1"
        elif not np.isin(seen, (0, 1)).all():
            yield f"the visibility of its {part} is not 1 or 0 for every point"
        elif _always_has_a_visible_point(topology, part) and not seen[there].any(axis=1).all():
            yield f"where its {part} is missing some values are not 0"
        elif settings.coordinates == "image" and _wrongly_visible(keypoints[there, points_of_part]):
            yield f"the visibility of its {part} is not 1 for points inside the frame and 0 for those outside"
        if noted is not None and noted.found.of(part) != there.sum():
            yield f"its {part} is in {there.sum()} frames; its record says {noted.found.of(part)}"
    if noted is not None and noted.frames != len(keypoints):
        yield f"it has {len(keypoints)} frames; its record says {noted.frames}"


def _always_has_a_visible_point(topology: Topology, part: str) -> bool:
    """Whether a part that is found has a point inside the frame: with a few points only it may have none."""
    return set(CONTRACT.sources[part]) <= set(topology.sources[part])


def _wrongly_visible(points: NDArray[Any]) -> bool:
    """Whether points (N, P, 4) in image coordinates are visible outside the frame, or invisible inside."""
    xy, visible = points[..., :2].astype(np.float64), points[..., 3] == 1
    inside = ((xy > EDGE) & (xy < 1 - EDGE)).all(axis=-1)
    outside = ((xy < -EDGE) | (xy > 1 + EDGE)).any(axis=-1)
    return bool((inside & ~visible).any() or (outside & visible).any())
