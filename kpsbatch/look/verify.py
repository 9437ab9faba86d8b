"""Reads every member of every output and checks it against the contract, its record and the dataset."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.config import Config
from kpsbatch.dataset.source import INDEX_FOLDER, Source, open_if_there, open_source
from kpsbatch.dataset.video import Listing, Made, Unit
from kpsbatch.errors import OutputError, one_line
from kpsbatch.files import INTERNAL, explained, fingerprint_in, in_threads, write_json
from kpsbatch.landmarks.found import MEANING, MISSING, is_found
from kpsbatch.look.compare import Index, Videos, index_problems, read_index, videos_of_record
from kpsbatch.points import CONTRACT, Topology, topology_of
from kpsbatch.store.changes import changes_since
from kpsbatch.store.classes import read_lists
from kpsbatch.store.joined import of_npz
from kpsbatch.store.npz import npy_header, open_npz
from kpsbatch.store.outputs import SET_ASIDE, Outputs, settings_of_record
from kpsbatch.store.reading import INDEX_FILE
from kpsbatch.store.records import (
    RECORDED_STATES,
    RecordedState,
    UnitRecord,
    VideoRecord,
    read_record,
    source_name,
)
from kpsbatch.store.settings import Fingerprint, Settings, fingerprint_of
from kpsbatch.store.survey import SurveyedUnit, survey
from kpsbatch.store.views import view_of_kept
from kpsbatch.stored import read_stored
from kpsbatch.untrusted import read_zip_member
from kpsbatch.work.cores import available_cores
from kpsbatch.work.run import open_outputs

MAX_COORDINATE = {"image": 100.0, "adjusted": 1e8, "adjusted-arabic-sl": 1e8}
"""No finite x, y, z that MediaPipe gives is larger: in frame sizes, or in lengths that are never below 1e-6."""

EDGE = 2e-3
"""How near to the frame's edge, in frame sizes, a point may be visible or not: float16 has 11 bits."""


class Problem(NamedTuple):
    """Something that is wrong with an output.

    Attributes:
        unit: Whose output it is; None for a file of the whole folder.
        video: The video, or "" for the whole unit; "classes" for the lists of classes, "" for settings.json.
        text: What is wrong.
    """

    unit: Unit | None
    video: str
    text: str

    @property
    def name(self) -> str:
        """The unit and the video, for people."""
        if self.unit is None:
            return self.video or "settings.json"
        return f"{self.unit.name}/{self.video}" if self.video else self.unit.name

    def as_tree(self, what: str) -> dict[str, str | None]:
        """For JSON; `what` is the key of the text."""
        return {"unit": self.unit.name if self.unit else None, "video": self.video, what: self.text}


@dataclass
class Verdict:
    """What `verify` found.

    Attributes:
        units: Units that have an output or a record.
        videos: Videos that were read from their outputs.
        people: How many arrays they have: more where each person of a video has one (`dataset.person: all`).
        failed_videos: Videos that are recorded as failed.
        left: Units that have videos in the dataset that are not done.
        news: What the dataset has by now and the outputs don't know: new videos, and replaced files.
        problems: What is wrong, unit by unit.
        repaired: Units that were removed, for the next run to redo.
        kept: Units with problems that repairing leaves, since a new run would not fix them, and why.
    """

    units: int = 0
    videos: int = 0
    people: int = 0
    failed_videos: int = 0
    left: list[Unit] = field(default_factory=list)
    news: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    repaired: list[Unit] = field(default_factory=list)
    kept: list[tuple[Unit, str]] = field(default_factory=list)

    def add(self, results: Mapping[Unit, _Unit]) -> None:
        """Count the units, and name those that are left."""
        self.units += sum(result.there for result in results.values())
        self.videos += sum(result.videos for result in results.values())
        self.people += sum(result.people for result in results.values())
        self.failed_videos += sum(result.failed for result in results.values())
        self.left += [unit for unit, result in results.items() if result.left]
        self.news += [news for result in results.values() for news in result.news]

    @property
    def exit_status(self) -> int:
        """0 where all is there and right and no video failed, else 1."""
        return int(bool(self.problems or self.news or self.left or self.failed_videos))

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "units": self.units,
            "videos": self.videos,
            "people": self.people,
            "failed_videos": self.failed_videos,
            "left": [unit.name for unit in self.left],
            "news": [news.as_tree("news") for news in self.news],
            "problems": [problem.as_tree("problem") for problem in self.problems],
            "repaired": [unit.name for unit in self.repaired],
            "kept": [{"unit": unit.name, "why": why} for unit, why in self.kept],
        }


@dataclass
class _Unit:
    """What was found of one unit."""

    there: bool = False
    left: bool = False
    videos: int = 0
    people: int = 0
    failed: int = 0
    news: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    keep: str = ""


def verify(
    config: Config,
    *,
    source: Source | None = None,
    repair: bool = False,
    decode: bool = False,
    on_unit: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Check all outputs of a config; several units at a time.

    Args:
        source: Its dataset, if it is open already.
        decode: Decode all videos, too, and compare their frames with the rows.
        repair: Remove what is wrong, so that the next run redoes it; where all landmarks are whole, the npz alone.
        on_unit: Called with the number of units that are checked, and their total.

    Raises:
        DatasetError: The dataset is not there.
        OutputError: The output folder can't be read, or not be repaired.
        ModelError: The models are not there, and the settings contain their hashes.
    """
    dataset = source or open_dataset(config)
    outputs, _ = open_outputs(config)
    verdict = Verdict()
    compared = Compared(
        dataset,
        read_index(config.output.root),
        Videos(outputs.fingerprint.settings, config.run.max_pixels) if decode else None,
    )

    def list_units(units: Iterable[Unit] | None = None) -> Sequence[SurveyedUnit]:
        return survey(dataset, outputs, units, depth="videos", redo=lambda unit, state: True).units

    def check(unit: Unit) -> _Unit:
        return _check_unit(outputs, list_units([unit])[0], compared)

    results: dict[Unit, _Unit] = {}
    surveyed = list_units()
    checked = in_threads(
        partial(_check_unit, outputs, compared=compared), surveyed, available_cores()
    )  # hashing runs in parallel
    for each, result in zip(surveyed, checked, strict=True):
        results[each.unit] = result
        on_unit(len(results), len(surveyed))
    for unit, result in results.items():
        if result.problems:  # once more: a run may have been storing it
            results[unit] = check(unit)
    verdict.add(results)
    if verdict.units:
        verdict.problems += [*_check_settings(outputs, repair), *_check_classes(outputs.root)]
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


def verify_folder(
    root: Path, *, decode: bool = False, on_unit: Callable[[int, int], None] = lambda done, total: None
) -> Verdict:
    """Check all outputs of a folder by the settings beside their records; no config, dataset or models are needed.

    Args:
        root: The folder; whichever versions and settings made its outputs.
        decode: Decode the videos, too, where the records say that they lie, and compare their frames with the rows.
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
            name = re.sub(rf"{SET_ASIDE}[0-9]+", "", folder.name)
            if settings is None or fingerprint_of(settings).folder != name:
                verdict.problems.append(Problem(None, "", f"{folder} holds other settings than it is named after"))
            outputs = Outputs(root, Fingerprint(settings or Settings(), fingerprint_in(folder.name)))
            recorded |= dict.fromkeys(sorted(folder.glob("*/*.json")), outputs)
    checks = {_unit_of(path): outputs for path, outputs in recorded.items()}
    if not checks and not files:
        raise OutputError(f"{root} holds no outputs of kpsbatch. Name a folder with {INTERNAL} in it, or a config.")
    units = [SurveyedUnit(unit, None) for unit in checks]
    index = read_index(root)

    def check(each: SurveyedUnit) -> _Unit:
        outputs = checks[each.unit]
        videos = Videos(outputs.fingerprint.settings) if decode else None
        return _check_unit(outputs, each, Compared(None, index, videos))

    checked = in_threads(check, units, available_cores())
    results: dict[Unit, _Unit] = {}
    for each, result in zip(units, checked, strict=True):
        results[each.unit] = result
        on_unit(len(results), len(units))
    for unit in files.values():
        if unit not in results:
            results[unit] = _Unit(there=True, problems=[Problem(unit, "", "its npz has no record")])
    verdict.add(results)
    verdict.problems += _check_classes(root)
    for unit, result in results.items():
        verdict.problems += result.problems
        verdict.kept += [(unit, result.keep)] if result.problems and result.keep else []
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
        outputs.remove_damaged(unit)
        return True


def _check_settings(outputs: Outputs, repair: bool) -> list[Problem]:
    path = outputs.settings_path
    if read_stored(path, Settings) == outputs.fingerprint.settings or not outputs.records.is_dir():
        return []
    if repair:
        with explained(outputs.root):
            write_json(path, outputs.fingerprint.settings.tree())
    return [Problem(None, "", "it does not hold the settings that its folder is named after")]


def _check_classes(root: Path) -> list[Problem]:
    try:
        read_lists(root)
    except OutputError as error:
        return [Problem(None, "classes", str(error))]
    return []


@dataclass(frozen=True)
class Compared:
    """What outputs are compared with, as far as that is there or asked for."""

    source: Source | None
    index: Index | None
    videos: Videos | None


def _check_unit(outputs: Outputs, surveyed: SurveyedUnit, compared: Compared) -> _Unit:
    """Everything about one unit; it is compared with the dataset where that lists its videos."""
    result = _Unit()
    unit, listing = surveyed.unit, surveyed.listing
    if surveyed.output == "view" and (theirs := _settings_of_view(outputs, unit)):  # what is there is checked as it is
        outputs = replace(outputs, fingerprint=Fingerprint(theirs, outputs.fingerprint.digest))
    settings = outputs.fingerprint.settings
    names = [video.name for video in listing.videos] if listing else []
    records = [state for state in RECORDED_STATES if outputs.record_path(unit, state).exists()]
    data, unreadable = _read(outputs.npz_path(unit))
    if data is None and not unreadable and not records:
        result.left = surveyed.state in ("left", "unreadable")
        return result
    result.there = True
    result.left = surveyed.output == "view"
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
        if len(records) > 1:
            paths = {outputs.record_path(unit, state): state for state in records}
            fitting = of_npz([*paths], outputs.npz_path(unit))
            records = [paths[path] for path in fitting] if len(fitting) == 1 else records
        record, damage = read_record(outputs.record_path(unit, records[0]))
        if record is None:
            problems.append(("", damage))
        if len(records) > 1:
            problems.append(("", f"it has {len(records)} records: {', '.join(records)}"))
        if record is not None:
            result.failed = len(record.failed)
            problems += [("", problem) for problem in _check_record(outputs, unit, records[0], record)]
            problems += [("", problem) for problem in _check_file(records[0], record, data)] if not unreadable else []
        held: dict[str, NDArray[Any]] = {}
        if data is not None:
            check_video = _check_video(outputs, record, listing, compared, result)
            good = record.good or None if record else None
            problems += _check_npz(settings, data, good, result, check_video, held)
        if record is not None:
            problems += _check_full(outputs, unit, record, held)
        if listing is not None and listing.presence == "unreadable":
            problems.append(("", f"it can't be compared with the dataset: {listing.folder} {listing.problem}"))
        elif record is not None and listing is not None and names and compared.source is not None:
            made = {video.name: compared.source.made_of(video) for video in listing.videos}
            problems += _compare_with_dataset(record, unit, made, result)
            result.left = result.left and not settings.imported
        if record is not None and compared.index is not None:
            differing = list(index_problems(compared.index, record, outputs.record_path(unit, records[0])))
            if differing and not problems:
                result.keep = f"remove {INDEX_FILE}, and the next run writes it again"
            problems += differing
    result.problems = [Problem(unit, video, text) for video, text in problems]
    return result


def _settings_of_view(outputs: Outputs, unit: Unit) -> Settings | None:
    """The settings of the same fingerprint, of another view, under which a unit is recorded."""
    others = (path for path in outputs.records_of_views(unit) if outputs.records not in path.parents)
    return next(map(settings_of_record, others), None)


def _check_full(
    outputs: Outputs, unit: Unit, record: UnitRecord, held: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, str]]:
    """Whether all landmarks are there to the byte, as far as they are kept, and the npz is the view of them."""
    path = outputs.full_path(unit)
    if record.full is None:
        if path.exists():
            yield "", f"{path} is there, though its record does not know it"
        return
    data, unreadable = _read(path)
    if data is None:
        yield "", f"{path} can't be read: {unreadable}" if unreadable else f"{path} is missing, though recorded"
    elif hashlib.sha256(data).hexdigest() != record.full.sha256:
        yield "", f"{path} is damaged: its SHA-256 is not that of its record"
    else:
        with open_npz(path) as kept:
            for name in kept.members:
                try:
                    keypoints = view_of_kept(kept.read(name), outputs.fingerprint.settings)
                except (OutputError, ValueError) as error:
                    yield name, f"what is kept of it can't be read: {one_line(error)}"
                    continue
                if name in held and held[name].tobytes() != keypoints.tobytes():
                    yield name, "its npz is not what all its landmarks make"


def _compare_with_dataset(
    record: UnitRecord, unit: Unit, now: Mapping[str, Made], result: _Unit
) -> Iterator[tuple[str, str]]:
    """Whether the dataset and the record hold the same videos."""
    changes = changes_since(record, now)
    result.left = changes.ask_for_a_run(redo_replaced=False)
    for name in changes.added:
        result.news.append(Problem(unit, name, "the dataset has it, the output and its record do not"))
    for name in changes.replaced:
        text = f"its file has {now[name].bytes} bytes; its keypoints are of one of {record.sources[name].bytes}"
        result.news.append(Problem(unit, name, text))
    for name in changes.gone:
        video = record.sources[name]
        good = video if isinstance(video, VideoRecord) else None
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


def _bytes_of(record: UnitRecord, name: str, now: Made) -> int | None:
    """The size of the file that a video was made from; that of now where it is not known."""
    video = record.sources.get(name)
    return now.bytes if video is None or video.bytes is None else video.bytes


CheckVideo = Callable[[str, NDArray[Any], VideoRecord], Iterator[str]]


def _check_video(
    outputs: Outputs, record: UnitRecord | None, listing: Listing | None, compared: Compared, result: _Unit
) -> CheckVideo:
    """What compares the rows of a video with its frames; nothing where that is not asked for."""
    videos = compared.videos
    if videos is None or record is None or record.unit is None:
        return lambda name, keypoints, noted: iter(())
    unit = record.unit.unit
    if listing is not None and compared.source is not None:
        made = compared.source.made_of  # a replaced file is told as such
        as_before = (
            video for video in listing.videos if made(video).bytes == _bytes_of(record, video.name, made(video))
        )
        there = {video.name: video for video in as_before}
    else:
        rows = compared.index.rows.get(f"{unit.name}.npz", {}) if compared.index is not None else {}
        there = videos_of_record(outputs.root, record, rows)

    def check(name: str, keypoints: NDArray[Any], noted: VideoRecord) -> Iterator[str]:
        if (source := there.get(source_name(name, noted))) is not None:
            yield from videos.problems(source, keypoints, noted)
        elif listing is None:
            where = f"{record.dataset}/{record.source}".removesuffix("/.")
            result.news.append(Problem(unit, name, f"it is not compared: its video is not found in {where}"))

    return check


def _check_npz(
    settings: Settings,
    data: bytes,
    good: Mapping[str, VideoRecord] | None,
    result: _Unit,
    check_video: CheckVideo,
    held: dict[str, NDArray[Any]],
) -> Iterator[tuple[str, str]]:
    """Every member, by its CRC and by the contract; `good` is what the record says of each (None: unknown).

    Those that can be read are put into `held`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
            names = [member.removesuffix(".npy") for member in members]
            if good is not None and names != list(good):
                yield "", "its npz does not hold the videos of its record, in that order"
            elif not names or len(set(names)) < len(names):
                yield "", "its npz holds no videos, or one twice"
            for name, member in zip(names, members, strict=True):
                noted = (good or {}).get(name)
                result.videos += noted is None or noted.stands_for_video
                result.people += 1
                try:
                    keypoints = _array(read_zip_member(archive, member))
                except Exception as error:  # whatever zipfile and zlib raise at damaged bytes
                    yield name, f"it can't be read: {one_line(error)}"
                    continue
                held[name] = keypoints
                for problem in check_keypoints(settings, keypoints, noted):
                    yield name, problem
                for problem in check_video(name, keypoints, noted) if noted is not None else ():
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
        always_seen = _always_has_a_visible_point(topology, part)
        if settings.imported:
            pass  # other scripts have other values there, such as 0 for all points of a hand
        elif part == "pose":
            if ((seen < 0) | (seen > 1)).any():
                yield "the visibility of its pose is not always from 0 to 1"
        elif not np.isin(seen, (0, 1)).all():
            yield f"the visibility of its {part} is not 1 or 0 for every point"
        elif always_seen and not seen[there].any(axis=1).all():
            yield f"where its {part} is missing some values are not 0"
        elif settings.coordinates == "image" and _wrongly_visible(keypoints[there, points_of_part]):
            yield f"the visibility of its {part} is not 1 for points inside the frame and 0 for those outside"
        if noted is not None and noted.found.of(part) != there.sum():
            yield f"its {part} is in {there.sum()} frames; its record says {noted.found.of(part)}"
        elif noted is not None and always_seen and part in noted.how:
            yield from _unlike_its_letters(part, there, noted.how[part])
    if noted is not None and noted.frames != len(keypoints):
        yield f"it has {len(keypoints)} frames; its record says {noted.frames}"
    elif noted is not None:
        zeros = int((~keypoints.any(axis=(1, 2))).sum())
        if zeros < noted.bad_frames:
            yield f"its record says that {noted.bad_frames} frames can't be read; {zeros} of its rows are zeros"


def _unlike_its_letters(part: str, there: NDArray[np.bool_], letters: str) -> Iterator[str]:
    """Whether a part is in other rows than those that its record has letters for: zeros that nothing explains."""
    if len(letters) != len(there):
        yield f"its {part} has {len(there)} rows; its record has letters for {len(letters)}"
        return
    for row, letter in enumerate(letters):
        if there[row] != (letter != MISSING):
            found = "has values" if there[row] else "is zeros"
            yield f"its {part} {found} in row {row}; its record says {MEANING.get(letter, repr(letter))}"
            return


def _always_has_a_visible_point(topology: Topology, part: str) -> bool:
    """Whether a part that is found has a point inside the frame: with a few points only it may have none."""
    return set(CONTRACT.sources[part]) <= set(topology.sources[part])


def _wrongly_visible(points: NDArray[Any]) -> bool:
    """Whether points (N, P, 4) in image coordinates are visible outside the frame, or invisible inside."""
    xy, visible = points[..., :2].astype(np.float64), points[..., 3] == 1
    inside = ((xy > EDGE) & (xy < 1 - EDGE)).all(axis=-1)
    outside = ((xy < -EDGE) | (xy > 1 + EDGE)).any(axis=-1)
    return bool((inside & ~visible).any() or (outside & visible).any())
