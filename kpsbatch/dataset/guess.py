"""Guessing how a dataset is to be read, for `kpsbatch init`: a layout, or a table and its columns."""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Any, NamedTuple, TypeVar

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.captions import CAPTIONS, name_and_language, tier_names
from kpsbatch.dataset.folders import Folders, OnProgress, no_progress, sorted_entries
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.dataset.manifest import SETTING, SHOWN, ManifestSource, read_table
from kpsbatch.dataset.name_words import SPLITS, split_of, words_and_signers
from kpsbatch.dataset.source import open_folders
from kpsbatch.dataset.tables import SEPARATORS, Row, columns_of, decode_table, guess_format, plain_name, read_rows
from kpsbatch.dataset.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_key, without_suffix
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.untrusted import parse_json
from kpsbatch.words import counted

Named = TypeVar("Named")


@dataclass(frozen=True)
class Guess:
    """How a dataset can be read.

    Attributes:
        dataset: The `dataset` section that was guessed.
        found: What it finds, in a line.
        notes: What is unsure, or left out, a line each.
        table: The text of a table to be written beside the config, where no name contains a sign's number.
        shown: Some of its rows, below the names of the columns.
    """

    dataset: dict[str, Any]
    found: str
    notes: list[str] = field(default_factory=list)
    table: str = ""
    shown: list[list[str]] = field(default_factory=list)


def guess(path: Path, index_folder: Path, on_progress: OnProgress = no_progress) -> Guess:
    """Look at a folder, an archive or a table, and guess the `dataset` section of a config.

    Args:
        path: The folder or archive of videos, or a table beside them.
        index_folder: Where the index of an archive is kept.

    Raises:
        DatasetError: There is no video.
        ConfigError: The table can't be read, or fits no video.
    """
    path = Path(os.path.abspath(path))
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        folders = open_folders(path.parent, index_folder)
        sample = explore(folders)
        by_table = _from_table(folders, sample, path.name)
        if by_table is None:
            raise ConfigError(
                f"no column of {path} names the videos that lie below {path.parent}, such as {sample.videos[0]!r}. "
                "Put the table above the videos, or write dataset.manifest by hand."
            )
        return by_table
    if path.is_file() and path.suffix.lower() in CAPTION_SUFFIXES:
        folders = open_folders(path.parent, index_folder)
        sample = explore(folders)
        if (by_captions := _from_captions(folders, sample, [path.name])) is None:
            raise ConfigError(
                f"no video below {path.parent} has the name of {path.name}. Put it beside its video, or write "
                "dataset.manifest by hand (docs/captions.md)."
            )
        return by_captions
    folders = open_folders(path, index_folder, on_progress)
    sample = explore(folders)
    if (by_captions := _from_captions(folders, sample, sample.captions)) is not None:
        return by_captions
    by_layout = _from_layout(folders, sample)
    if by_layout is not None and not by_layout.notes:
        return by_layout
    by_tables = (_from_table(folders, sample, name) for name in sample.tables)
    return next(filter(None, by_tables), None) or by_layout or _from_names(folders, sample)


def _from_layout(folders: Folders, sample: Sample) -> Guess | None:
    made = _guess_layout(sample)
    if made is None:
        return None
    layout, notes = made
    tree: dict[str, Any] = {
        "root": str(folders.root),
        "layout": layout,
        "signers": "all" if "{signer}" in layout else ["unknown"],
        "splits": "all" if "{split}" in layout else ["all"],
        "signs": "all",
    }
    try:
        source = LayoutSource(DatasetConfig.model_validate(tree), folders)
        units = source.units()
    except ValueError:
        return None
    videos = next((source.listing(unit) for unit in units if source.presence(unit) == "videos"), None)
    if videos is None:
        return None
    summary = (
        f"{len(source.signs)} signs ({source.signs[0]} to {source.signs[-1]}), "
        f"{_count_names(source.signers, 'signer')}, {_count_names(source.splits, 'split')}"
    )
    if strays := source.strays():
        notes.append(f"{len(strays)} entries are not named like the layout, such as {strays[0][0]!r}")
    return Guess(tree, summary, notes)


def _count_names(names: Sequence[str], noun: str) -> str:
    return f"{counted(len(names), noun)} ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})"


def _from_table(folders: Folders, sample: Sample, name: str) -> Guess | None:
    """The guess from a table below the root; None where it fits no video."""
    rows, form, header = _first_rows(folders, name)
    columns = columns_of(rows)
    video = _guess_video(rows, columns, sample) if rows else None
    if video is None:
        return None
    template, share = video
    fields, settings, notes = _guess_columns(rows, columns, template)
    notes.insert(
        0, f"it takes {template} as the path of the video ({share:.0%} of the first {counted(len(rows), 'row')} match)"
    )
    root = folders.root
    path: Any = str(root / name)
    if siblings := _sibling_tables(name, sample.tables):
        path = {split: str(root / other) for split, other in siblings.items()}
        mine = next(split for split, other in siblings.items() if other == name)
        template = re.sub(rf"(?<![^/]){mine}/", "{split}/", template) if "{" in template else template
        fields.pop("split", None)
    manifest = {"path": path, "format": form, "header": header, "columns": {"video": template, **fields}, **settings}
    manifest = {key: value for key, value in manifest.items() if value is not None}
    manifest.update(_boxes_beside(folders, sample, rows, columns, manifest["columns"], notes))
    unread = [other for other in sample.tables if other.endswith((".pkl", ".pickle", ".xlsx", ".parquet"))]
    notes += [f"{other} can't be read; see docs/manifests.md" for other in unread]
    return _described(folders, manifest, notes)


def _from_captions(folders: Folders, sample: Sample, paths: Sequence[str]) -> Guess | None:
    """The guess from subtitles or ELAN files, most of which are named like a video; None where they are not.

    Of several formats, languages and folders, those that most videos have.
    """
    stems: dict[str, list[str]] = {}
    for video in sample.videos:
        folder, _, name = without_suffix(video).rpartition("/")
        stems.setdefault(name, []).append(folder)
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for path in paths:
        folder, _, file = path.rpartition("/")
        stem, suffix = os.path.splitext(file)
        name, language = name_and_language(stem)
        if name in stems:
            end = f".{language}{suffix}" if language else suffix
            groups.setdefault((suffix.lower(), end), []).append((folder, name))
    if not groups:
        return None
    (suffix, end), named = max(groups.items(), key=lambda item: (len(item[1]), item[0][0] == ".eaf"))
    at = sorted({folder for folder, _ in named})
    beside = all(folder in stems[name] for folder, name in named)
    notes = [f"it takes {counted(len(named), 'file')} named like *{end}, each for the video of its name"]
    others = sorted({other for _, other in groups} - {end})
    notes += [
        f"files named like *{other} are left out; name them in path instead, if you want them" for other in others
    ]
    columns = {} if beside else {"video": f"{folder}/{{name}}" if (folder := stems[named[0][1]][0]) else "{name}"}
    pattern = f"{at[0]}/*{end}".lstrip("/") if len(at) == 1 else f"**/*{end}"
    if len(paths) == 1:
        pattern = paths[0]
    manifest: dict[str, Any] = {"path": str(folders.root / pattern), **({"columns": columns} if columns else {})}
    if suffix == ".eaf":
        first = next(path for path in paths if path.endswith(end))
        tiers = tier_names(read_table(folders, folders.root / first))
        manifest["tiers"] = {tier: _SIDES.get(tier[-1:], "") if _signed(tiers) else "" for tier in tiers}
        notes.append(f"it takes all tiers of {first}; leave out those that you do not want")
        if _signed(tiers):
            notes.append("it takes tiers named ..._A as the person on the left, and ..._B as the one on the right")
    return _described(folders, manifest, notes)


_SIDES = {"A": "left", "B": "right"}


def _signed(tiers: Sequence[str]) -> bool:
    """Whether the names of tiers end in the letter of a signer, such as Gloss_A and Gloss_B."""
    return {tier[-1] for tier in tiers if tier[-2:-1] in ("_", "-", " ")} >= {*_SIDES}


def _described(folders: Folders, manifest: dict[str, Any], notes: list[str]) -> Guess | None:
    """The guess of a manifest with what it finds; None where it finds nothing."""
    tree = {"root": str(folders.root), "manifest": manifest}
    source = ManifestSource(DatasetConfig.model_validate(tree), folders)
    units = source.units()
    videos = sum(len(source.listing(unit).videos) for unit in units)
    if not videos:
        return None
    if "sign" in manifest.get("columns", {}) and len(units) > videos / 2:
        sign = manifest["columns"].pop("sign")
        manifest["columns"].setdefault("label", sign)
        notes = [note for note in notes if "as the number of the sign" not in note]
        notes.append(
            f"a signer has few videos of a sign, so rows are put together in order; `sign: {sign}` makes an output "
            "file of each signer, split and sign"
        )
        return _described(folders, manifest, notes)
    if source.problems:
        shown = "; ".join(f"{problem.source}: {problem.text}" for problem in source.problems[: SHOWN // 3])
        notes.append(f"{len(source.problems)} of {source.rows} rows can't be used: {shown}")
    if source.notes:
        shown = "; ".join(f"{note.source}: {note.text}" for note in source.notes[: SHOWN // 3])
        notes.append(f"{counted(len(source.notes), 'row')} may not be what was meant: {shown}")
    told = f"{counted(videos, 'video')} of {counted(source.rows, 'row')}, {counted(len(units), 'unit')}"
    return Guess(tree, f"{told}, {_count_names(source.splits, 'split')}", notes)


def _boxes_beside(
    folders: Folders, sample: Sample, rows: list[Row], columns: list[str], fields: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    """A JSON file of boxes by key that lies beside a table."""
    for name in () if "box" in fields else [name for name in sample.tables if name.endswith(".json")]:
        try:
            boxes = parse_json(read_table(folders, folders.root / name), odd=str)
        except (ConfigError, ValueError):
            continue
        if not isinstance(boxes, dict):
            continue
        of_four = all(isinstance(box, list) and len(box) == 4 for box in islice(boxes.values(), 10))
        keys = (column for column in columns if any(str(row.get(column)) in boxes for row in rows))
        if of_four and (column := next(keys, None)):
            fields["box"] = column
            notes.append(f"it takes the boxes in {name} as left, top, right, bottom (box_order: xyxy)")
            return {"boxes": str(folders.root / name), "box_order": "xyxy"}
    return {}


def _first_rows(folders: Folders, name: str) -> tuple[list[Row], str, list[str] | None]:
    """Rows of a file that may be a table, its format, and names for its columns where it has none."""
    path = folders.root / name
    try:
        data = read_table(folders, path)
        form = guess_format(path, decode_table(data, SETTING, path))
        rows = _dicts(read_rows(data, path, SETTING, form))
        names = columns_of(rows)
        if form not in SEPARATORS or not any(re.fullmatch(r"\d+(\.\d+)?", cell) for cell in names):
            return rows, form, None
        header = [f"column{number}" for number in range(1, len(names) + 1)]
        return _dicts(read_rows(data, path, SETTING, form, header)), form, header
    except ConfigError:
        return [], "", None


def _dicts(rows: Iterator[tuple[int, Row | str]]) -> list[Row]:
    return [row for _, row in islice(rows, ROWS) if isinstance(row, dict)]


def _from_names(folders: Folders, sample: Sample) -> Guess:
    """A table of all videos with the words and signers that their paths tell: where no path has a sign's number."""
    videos = sorted(sample.videos if sample.whole else explore(folders, everywhere=True).videos, key=natural_key)
    splits = [split_of(path) for path in videos]
    spoken = words_and_signers(videos, splits)
    with_signers = any(each.signer for each in spoken)
    columns = ["video", "split", *(["signer"] if with_signers else []), "label"]
    rows = [
        [path, split, *([each.signer] if with_signers else []), each.word]
        for path, split, each in zip(videos, splits, spoken, strict=True)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    manifest = {"path": "", "columns": {name: name for name in columns}}
    notes = [
        "no number in the paths tells the sign, so a table of the videos is written, with the words "
        f"{'and signers ' if with_signers else ''}that their names tell; correct it as you like (a column of numbered "
        "signs makes a unit of each sign)"
    ]
    words = {each.word for each in spoken}
    if words == {""}:
        notes.append("no word repeats in the names, so the labels are empty: there are no classes until you fill them")
    elif len(words) == 1:
        notes.append(f"all labels are {min(words)!r}, that is one class; correct them in the table")
    elif len(words) == len(videos) > 1:
        notes.append("each video has a label of its own; look whether the labels are what you mean")
    found = f"{len(videos)} videos, {counted(len(words - {''}), 'word')}"
    if with_signers:
        found += f", {_count_names(sorted({each.signer for each in spoken}, key=natural_key), 'signer')}"
    shown = [columns, *spread(rows, SHOWN_VIDEOS)]
    return Guess({"root": str(folders.root), "manifest": manifest}, found, notes, text.getvalue(), shown)


SHOWN_VIDEOS = 8
MAX_FOLDERS = 2000
MAX_DEPTH = 8
CHILDREN = 12
"""Folders of a folder that are looked into; where there are more, these are spread over all of them."""

TABLE_SUFFIXES = (".csv", ".tsv", ".psv", ".json", ".jsonl", ".pkl", ".pickle", ".xlsx", ".parquet", ".txt")


CAPTION_SUFFIXES = tuple(f".{form}" for form in CAPTIONS)


@dataclass
class Sample:
    """What the sample contains.

    Attributes:
        videos: Paths of video files and of folders of frames, with /.
        tables: Paths of files that may be tables.
        captions: Paths of subtitles and ELAN files.
        names: Names of folders, by the depth at which they lie; also of those that were not looked into.
        whole: Whether every folder was looked into.
    """

    videos: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    names: dict[int, set[str]] = field(default_factory=dict)
    whole: bool = True


def explore(folders: Folders, *, everywhere: bool = False) -> Sample:
    """Look into folders, level by level; folders with images and nothing below are videos.

    Args:
        everywhere: Look into all of them, however many there are.

    Raises:
        DatasetError: The root can't be listed, or there is no video.
    """
    sample = Sample()
    todo = deque([""])
    looked, has_frames = 0, False
    while todo:
        folder = todo.popleft()
        if looked >= MAX_FOLDERS and not everywhere:
            sample.whole = False
            break
        looked += 1
        try:
            entries = sorted_entries(folders, folder)
        except OSError as error:
            if folder:
                continue
            raise DatasetError(f"{folders.root} can't be listed: {error.strerror}. Correct its permissions.") from None
        children = [entry.name for entry in entries if entry.kind == "folder"]
        files = [entry for entry in entries if entry.kind == "file"]
        pictures = not children and any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in files)
        has_frames |= pictures
        if folder and pictures:
            sample.videos.append(folder)
            continue
        for entry in files:
            path, name = f"{folder}/{entry.name}".lstrip("/"), entry.name.lower()
            if name.endswith(VIDEO_SUFFIXES):
                sample.videos.append(path)
            elif name.endswith(CAPTION_SUFFIXES):
                sample.captions.append(path)
            elif name.endswith(TABLE_SUFFIXES) and folder.count("/") < 2:
                sample.tables.append(path)
        depth = folder.count("/") + 1 if folder else 0
        sample.names.setdefault(depth, set()).update(children)
        if depth < MAX_DEPTH or everywhere:
            chosen = children if everywhere else spread(children, CHILDREN)
            sample.whole = sample.whole and len(chosen) == len(children)
            todo.extend(f"{folder}/{name}".lstrip("/") for name in chosen)
    if not sample.videos and has_frames:
        raise DatasetError(
            f"{folders.root} holds pictures: the frames of one video. Name the folder that holds all videos, or "
            f"compute this one: kpsbatch extract {shlex.quote(str(folders.root))}"
        )
    if not sample.videos:
        raise DatasetError(
            f"there is no video below {folders.root}: no video file, and no folder of images. Correct the path."
        )
    return sample


def spread(names: list[Named], number: int) -> list[Named]:
    """Some of a list, spread evenly over it, the first and the last among them."""
    if len(names) <= number:
        return names
    return [names[round(i * (len(names) - 1) / (number - 1))] for i in range(number)]


_SIGNER = re.compile(r"(?i)(?:signer|user|person|subject|participant|speaker|sgn|p|s)[-_ ]?(?=\d)")
_NAMED_SIGNER = re.compile(r"(?i)([a-z_-]*(?:signer|user|person|subject|participant|speaker)[-_ ]?)\d+([-_ ]).+(\.\w+)")
_WORDS = re.compile(r"\d+|[^\d_\-. ]+|[_\-. ]+")


def _guess_layout(sample: Sample) -> tuple[str, list[str]] | None:
    """The layout of a tree whose paths contain the number of the sign, and what is unsure; None where they do not."""
    depths = [path.count("/") for path in sample.videos]
    depth = max(set(depths), key=depths.count)
    paths = [path.split("/") for path in sample.videos if path.count("/") == depth]
    notes = []
    if others := len(sample.videos) - len(paths):
        notes.append(
            f"{others} of {len(sample.videos)} videos that were looked at lie at another depth and are left out"
        )
    levels = [_Level.of([path[i] for path in paths], sample.names.get(i, set())) for i in range(depth)]
    by_depth = _fields_of_levels(levels, paths)
    parts = [_part(level, by_depth.get(i)) for i, level in enumerate(levels)]
    has_signer = "signer" in by_depth.values()
    if "sign" in by_depth.values():
        if not has_signer and (name := _name_with_signer([path[-1] for path in paths])):
            parts.append(name)
        notes += [
            f"folders at depth {i + 1} differ ({', '.join(sorted(level.names)[:4])}), and the layout takes one of them "
            "only"
            for i, level in enumerate(levels)
            if i not in by_depth and len(level.names) > 1
        ]
    elif last := _guess_names([path[-1] for path in paths], has_signer):
        parts.append(last[0])
        notes += last[1]
    else:
        return None
    return "/".join(parts), notes


class _Level(NamedTuple):
    """The names at a depth: all that were seen, and whether they are numbers of one width."""

    names: set[str]
    numbers: bool
    width: int

    @classmethod
    def of(cls, seen: Sequence[str], all_names: set[str]) -> _Level:
        names = set(seen)
        more = {name for name in all_names if not name.startswith((".", "_"))}
        numbers = all(name.isdecimal() and name.isascii() for name in names)
        if numbers:
            names |= {name for name in more if name.isdecimal() and name.isascii()}
        else:
            names |= more
        widths = {len(name) for name in names}
        padded = numbers and any(name.startswith("0") and len(name) > 1 for name in names)
        return cls(names, numbers, min(widths) if padded else 0)


def _fields_of_levels(levels: Sequence[_Level], paths: Sequence[Sequence[str]]) -> dict[int, str]:
    """Which field a folder's name is, by depth."""
    by_depth = {i: "split" for i, level in enumerate(levels) if {*map(str.casefold, level.names)} <= {*SPLITS}}
    free = [i for i in range(len(levels)) if i not in by_depth and len(levels[i].names) > 1]
    same = {i: next((j for j in range(i) if all(path[i] == path[j] for path in paths)), i) for i in range(len(levels))}
    numbered = [i for i in free if levels[i].numbers and same[i] == i]
    if numbered:
        sign = max(numbered, key=lambda i: (len(levels[i].names), i))
        by_depth[sign] = "sign"
    elif levels and levels[-1].numbers and levels[-1].width and (len(levels) - 1) not in by_depth:
        by_depth[len(levels) - 1] = "sign"  # a single sign, as in a part of a dataset
    if "sign" in by_depth.values():
        others = [i for i in range(len(levels)) if i not in by_depth and same[i] == i]
        named = [i for i in others if len(levels[i].names) > 1 or list(same.values()).count(i) > 1]
        if named:
            by_depth[named[0]] = "signer"
    for i, first in same.items():
        if first != i and first in by_depth and i not in by_depth:
            by_depth[i] = by_depth[first]
    return by_depth


def _part(level: _Level, field: str | None) -> str:
    if field == "sign":
        return f"{{sign:0{level.width}d}}" if level.width else "{sign}"
    if field:
        return f"{{{field}}}"
    return min(level.names).replace("{", "{{").replace("}", "}}")


def _guess_names(names: Sequence[str], has_signer: bool) -> tuple[str, list[str]] | None:
    """A layout's last part, from names that hold numbers at the same places: 001_002_003.mp4; and what is unsure.

    Args:
        has_signer: Whether the folders tell the signer.
    """
    suffixes = {os.path.splitext(name)[1] for name in names}
    suffix = suffixes.pop() if len(suffixes) == 1 else ""
    stems = [os.path.splitext(name)[0] for name in names]
    words = [_WORDS.findall(stem) for stem in stems]
    shapes = [_shape(stem_words) for stem_words in words]
    shape = max(set(shapes), key=shapes.count)
    fitting = [stem_words for stem_words in words if _shape(stem_words) == shape]
    numbered = [i for i, kind in enumerate(shape) if kind == "0"]
    values = {i: {stem_words[i] for stem_words in fitting} for i in numbered}
    varied = [i for i in numbered if len(values[i]) > 1]
    if len(varied) < 2 or 2 * len(fitting) <= len(names):  # words that differ are no form of a number
        return None
    fields: dict[int, str] = {}
    for i in varied:
        if not has_signer and _SIGNER.search("".join(fitting[0][:i]) + "0"):
            fields[i], has_signer = "signer", True
    rest = sorted((i for i in varied if i not in fields), key=lambda i: (-len(values[i]), i))
    if len(rest) < 2:
        return None
    fields[rest[0]] = "sign"
    if len(rest) > 2 and not has_signer:
        fields[rest[1]] = "signer"
    video = [i for i in varied if i not in fields]
    part, done = "", False
    for i, word in enumerate(fitting[0]):
        if i in video:
            part, done = part + ("" if done else "{video}"), True
        elif i in fields:
            widths = {len(stem_words[i]) for stem_words in fitting}
            padded = any(stem_words[i].startswith("0") and len(stem_words[i]) > 1 for stem_words in fitting)
            spec = f":0{min(widths)}d" if fields[i] == "sign" and padded else ""
            part += f"{{{fields[i]}{spec}}}"
        elif not (done and i > video[0] and i < video[-1]):
            part += word.replace("{", "{{").replace("}", "}}")
    meaning = ", ".join(f"{''.join(fitting[0][i])} as the {field}" for i, field in sorted(fields.items()))
    notes = [
        f"in {names[0]!r} it takes {meaning}, by how many values there are at each place; look whether that is right"
    ]
    if len(fitting) < len(names):
        notes.append(
            f"{len(names) - len(fitting)} of {len(names)} names that were looked at have another form and are left out"
        )
    return part + suffix, notes


def _name_with_signer(names: Sequence[str]) -> str | None:
    """A layout's last part from names such as User_2_001.mp4, where all of them name a signer in the same way."""
    forms = {match.groups() if (match := _NAMED_SIGNER.fullmatch(name)) else None for name in names}
    if len(forms) != 1 or (form := forms.pop()) is None:
        return None
    return f"{form[0]}{{signer}}{form[1]}{{video}}{form[2]}"


def _shape(words: Sequence[str]) -> tuple[str, ...]:
    return tuple("0" if word.isdecimal() and word.isascii() else word for word in words)


NAMES = {
    "signer": ("signer", "signerid", "participantid", "participant", "speaker", "user", "userid", "subject", "person"),
    "split": ("split", "set", "subset", "partition", "fold"),
    "label": (
        *("gloss", "word", "cleantext", "text", "sentence", "orth", "annotation", "translation", "rawtext"),
        *("label", "name"),
    ),
    "start": ("start", "startrealigned", "starttime", "framestart", "startframe", "begin", "begintime", "time"),
    "end": ("end", "endrealigned", "endtime", "frameend", "endframe", "stop", "stoptime", "finish", "time"),
    "box": ("box", "bbox", "boundingbox"),
    "id": ("sentencename", "segmentid", "clipid", "id", "vid", "sentenceid"),
    "view": ("view", "camera"),
}
"""How columns are often called, capitals and punctuation aside; the first that is there counts."""

SIGNS = ("sign", "signid", "class", "classid", "classindex", "label", "labelid")
YOUTUBE = r"(?:v=|youtu\.be/|embed/)([\w-]{11})"
SIGNER = "(?i)(?:signer|user|person|subject|participant)[-_ ]?([0-9]+)"
ROWS = 200
LEAST = 0.02
"""Share of the rows whose videos must be there; of what was on YouTube much is gone."""


def _guess_video(rows: Sequence[Row], columns: Sequence[str], sample: Sample) -> tuple[str, float] | None:
    """The template that finds the videos of most rows, with the share of rows; None where none does."""
    stems: dict[str, set[str]] = {}
    for path in sample.videos:
        folder, _, name = without_suffix(path).rpartition("/")
        stems.setdefault(folder, set()).add(name)
    candidates = [
        candidate
        for column in columns
        for candidate in _templates(column, [str(row.get(column) or "").strip() for row in rows], stems)
    ]
    template, share, _ = max(candidates, key=lambda candidate: (candidate[1], not candidate[2]), default=("", 0.0, ""))
    return (template, share) if share >= LEAST else None


def _templates(column: str, values: Sequence[str], stems: dict[str, set[str]]) -> list[tuple[str, float, str]]:
    """Templates that turn a column's values into videos, each with the share for which it does, and what it appends."""
    filled = [value for value in values if value]
    if not filled:
        return []
    plain_values = [without_suffix(PurePosixPath(value.replace("\\", "/")).as_posix()) for value in filled]

    def share_of(paths: Iterable[str]) -> float:
        split_paths = (path.rpartition("/") for path in paths)
        return sum(stem in stems.get(folder, ()) for folder, _, stem in split_paths) / len(values)

    templates = [(column, share_of(plain_values), "")]
    ids = {value: match[1] for value in filled if (match := re.search(YOUTUBE, value))}
    for folder, names in stems.items():
        prefix = f"{folder}/" if folder else ""
        if prefix:
            templates.append((f"{prefix}{{{column}}}", share_of(prefix + value for value in plain_values), ""))
        if ids:
            share = sum(name in names for name in ids.values()) / len(values)
            templates.append((f"{prefix}{{{column}:{YOUTUBE}}}", share, ""))
        first = next((value for value in plain_values[:20] if any(name.startswith(value) for name in names)), None)
        if first is not None and first not in names:
            for tail in sorted({name.removeprefix(first) for name in names if name.startswith(first)})[:4]:
                share = sum(value + tail in names for value in plain_values) / len(values)
                templates.append((f"{prefix}{{{column}}}{tail}", share, tail))
    return templates


def _guess_columns(
    rows: Sequence[Row], columns: Sequence[str], video: str
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """What the columns are besides the video's, by their names and what they hold.

    Returns:
        The map of columns, other settings of the manifest, and what is unsure.
    """
    fields: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    notes: list[str] = []
    by_plain = {plain_name(name): name for name in reversed(columns)}
    for name_of, names in NAMES.items():
        if (name := next((by_plain[plain] for plain in names if plain in by_plain), None)) is not None:
            fields[name_of] = name
    unnamed = [plain_name(name) for name in columns if re.fullmatch(r"column\d+", name)]
    sign = next(
        (by_plain[plain] for plain in (*SIGNS, *unnamed) if plain in by_plain and _numbers(rows, by_plain[plain])), None
    )
    if sign is not None:
        fields["sign"] = sign
        if fields.get("label") == sign:
            del fields["label"]
        notes.append(f"it takes the column {sign!r} as the number of the sign")
    used = {name for _, name, _, _ in Formatter().parse(video) if name} if "{" in video else {video}
    if fields.get("id") is not None and (fields["id"] in used or len(_values(rows, fields["id"])) < len(rows)):
        del fields["id"]
    if fields.get("label") in used:
        del fields["label"]
    if "signer" not in fields:
        for column in sorted(used - {"split"}):
            if all(re.search(SIGNER, str(row.get(column))) for row in rows):
                fields.setdefault("signer", f"{{{column}:{SIGNER}}}")  # a part of a file's name: signer0_sample1
    if ("start" in fields) != ("end" in fields):
        fields.pop("start", None)
        fields.pop("end", None)
    if "start" in fields and (ends := _floats(rows, fields["end"])) and not any(end > 0 for end in ends):
        del fields["start"], fields["end"]  # -1 everywhere: whole files
    if "start" in fields:
        settings.update(_times(rows, fields, notes))
    elif len({tuple(str(row.get(column)) for column in used) for row in rows}) < len(rows):
        others = ", ".join(name for name in columns if name not in {*used, *fields.values()}) or "none"
        notes.append(
            "several rows have the same video, and each takes all of it; if columns say where a segment starts and "
            f"ends, name them below `columns` as `start` and `end` (columns that are not used: {others})"
        )
    if "box" in fields:
        settings.update(_boxes(rows, fields, notes))
    if "split" in fields and len(_values(rows, fields["split"])) > 10:
        notes.append(f"it takes the column {fields['split']!r} as the split, which has many values")
    return fields, settings, notes


def _values(rows: Sequence[Row], column: str) -> set[str]:
    return {str(row.get(column)) for row in rows}


def _numbers(rows: Sequence[Row], column: str) -> bool:
    return all(re.fullmatch(r"\d+(\.0*)?", str(row.get(column, "")).strip()) for row in rows)


def _floats(rows: Sequence[Row], column: str) -> list[float]:
    values = []
    for row in rows:
        with suppress(TypeError, ValueError):
            values.append(float(row.get(column)))  # type: ignore[arg-type]
    return values


def _times(rows: Sequence[Row], fields: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Whether times are seconds, milliseconds or frames."""
    start, end = fields["start"], fields["end"]
    if start == end:
        notes.append(f"the column {start!r} names one moment; it takes half a second before and after it")
        return {"margin": [0.5, 0.5]}
    starts, ends = _floats(rows, start), _floats(rows, end)
    whole = bool(starts) and all(value.is_integer() for value in starts + ends)
    if "frame" in plain_name(start) or (whole and any(plain_name(name) == "fps" for name in rows[0])):
        notes.append("it takes start and end as numbers of frames")
        first = 1 if starts and min(starts) >= 1 and "frame" in plain_name(start) else 0
        return {"unit": "frames", **({"first_frame": 1} if first else {})}
    lengths = sorted(b - a for a, b in zip(starts, ends, strict=False) if b > a)
    middle = lengths[len(lengths) // 2] if lengths else 1.0
    unit = "ms" if middle > 200 else "s"
    notes.append(f"it takes start and end as {'milliseconds' if unit == 'ms' else 'seconds'}")
    return {"unit": unit}


def _boxes(rows: Sequence[Row], fields: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """In which order the numbers of a box come."""
    boxes = []
    for row in rows:
        value = row.get(fields["box"])
        numbers = re.findall(r"-?\d+(?:\.\d+)?", value) if isinstance(value, str) else value
        if isinstance(numbers, (list, tuple)) and len(numbers) == 4:
            boxes.append([float(number) for number in numbers])
    if not boxes:
        del fields["box"]
        return {}
    corners = all(c > a and d > b for a, b, c, d in boxes)
    order = "xyxy" if corners else "xywh"
    notes.append(
        f"it takes a box as {'left, top, right, bottom' if corners else 'left, top, width, height'} (box_order: "
        f"{order}; xywh, xyxy and yxyx are there)"
    )
    return {"box_order": order}


def _sibling_tables(name: str, names: Sequence[str]) -> dict[str, str]:
    """Tables whose names differ in the split only: {train: a_train.csv, val: a_val.csv}; empty where there is one."""
    siblings: dict[str, str] = {}
    for split in SPLITS:
        if match := re.search(rf"(?i)(?<![a-z]){split}(?![a-z])", name):
            pattern = re.escape(name[: match.start()]) + r"([A-Za-z]+)" + re.escape(name[match.end() :])
            for other in names:
                fit = re.fullmatch(pattern, other)
                if fit and fit[1].casefold() in SPLITS:
                    siblings[fit[1].casefold()] = other
    return {split: siblings[split] for split in SPLITS if split in siblings} if len(siblings) > 1 else {}
