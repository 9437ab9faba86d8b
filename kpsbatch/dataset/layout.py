"""Datasets whose paths contain signer, split and sign. Lists folders only, reads no frame."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product
from pathlib import Path
from string import Formatter

from kpsbatch.config import MAX_SIGN, DatasetConfig, check_name
from kpsbatch.dataset.folders import Entry, Folders, problem_of, sorted_entries
from kpsbatch.dataset.video import VIDEO_SUFFIXES, Listing, Made, Presence, Unit, Video, natural_key, video_key
from kpsbatch.errors import DatasetError
from kpsbatch.words import some_of

OF_FRAMES = Made(bytes=0)

MOST_SHOWN = 5
STRANGE = "not named like dataset.layout"

NPY_CLASH = "NumPy can't tell it from {!r}; rename it"

Values = Mapping[str, str]


class LayoutSource:
    """The videos that a layout finds in a tree of folders.

    Without {video} in the layout, a unit's folder holds one entry for each of its videos. With {video}, the layout
    names the videos themselves, and a folder that several units share is listed once.

    Attributes:
        exclude: The config's `dataset.exclude`.
        excluded: Those of it that the folders listed so far hold.
    """

    has_signs = True

    def __init__(self, dataset: DatasetConfig, folders: Folders) -> None:
        self.root = folders.root
        self._dataset = dataset
        self.folders = folders
        layout = dataset.layout
        self._folder_part, _, self._file_part = layout.rpartition("/") if "{video}" in layout else (layout, "", "")
        self._key_fields = [name for name in ("signer", "split", "sign") if name in _fields(self._file_part)]
        self._listed: dict[str, dict[tuple[str, ...], list[tuple[str, Entry]]] | Listing] = {}
        self._strays: dict[str, list[tuple[str, str]]] = {}
        self.exclude = frozenset(dataset.exclude)
        self._units_with_excluded = {"/".join(name.split("/")[:2]) for name in dataset.exclude}
        self.excluded: set[str] = set()
        self._lock = threading.Lock()  # units are listed by several threads, a folder that they share once

    @property
    def signers(self) -> tuple[str, ...]:
        """The config's signers, or those that the folders show, in natural order."""
        return self._dataset.signers or tuple(sorted(self._found["signer"], key=natural_key))

    @property
    def splits(self) -> tuple[str, ...]:
        """The config's splits, or those that the folders show, in natural order."""
        return self._dataset.splits or tuple(sorted(self._found["split"], key=natural_key))

    @property
    def signs(self) -> tuple[int, ...]:
        """The config's signs, or those that the folders show."""
        return self._dataset.signs or tuple(sorted(int(sign) for sign in self._found["sign"]))

    @property
    def label_problem(self) -> str:
        """What is wrong with the labels: nothing, where numbers of signs tell the classes."""
        return ""

    @property
    def stated(self) -> list[int | str]:
        """The signs, as classes."""
        return [*self.signs]

    def units(self, signs: Iterable[int] | None = None) -> list[Unit]:
        """All units of some signs (default: all), sign by sign; a unit may turn out to have no video."""
        chosen = self.signs if signs is None else signs
        return [Unit(signer, split, sign) for sign in chosen for signer in self.signers for split in self.splits]

    def listing(self, unit: Unit) -> Listing:
        """List the videos of a unit.

        A video's name is what stands for {video}; else its directory's name, or its file's without the suffix (where
        a directory and a file share a name, the file keeps its suffix).
        """
        listing = self._listing(unit)
        if unit.name not in self._units_with_excluded:
            return listing
        out = {video_key(unit, video.name) for video in listing.videos} & self.exclude
        self.excluded |= out
        kept = tuple(video for video in listing.videos if video_key(unit, video.name) not in out)
        return replace(listing, videos=kept)

    def _listing(self, unit: Unit) -> Listing:
        folder = self._folder(unit)
        if not self._file_part:
            return list_folder(self.folders, folder)
        with self._lock:
            groups = self._grouped(folder)
        if isinstance(groups, Listing):
            return groups
        key = tuple(str(getattr(unit, name)) for name in self._key_fields)  # as `_match` returns them
        entries = groups.get(key, [])
        videos: dict[str, Video] = {}
        for name, entry in sorted(entries, key=lambda item: (item[1].kind == "file", natural_key(item[1].name))):
            name = name + os.path.splitext(entry.name)[1] if name in videos else name
            videos[name] = _video_at(self.folders, folder, entry, name)
        videos = {name: videos[name] for name in sorted(videos, key=natural_key)}
        return _named_listing(self.folders.root / folder, videos, [], exists=bool(entries))

    def presence(self, unit: Unit) -> Presence:
        """What the dataset holds of a unit; stops at the first video, so that thousands of units take a second."""
        if self._file_part or unit.name in self._units_with_excluded:
            return self.listing(unit).presence
        try:
            return "empty" if all(map(problem_of, self.folders.entries(self._folder(unit)))) else "videos"
        except FileNotFoundError:
            return "absent"
        except OSError:
            return "unreadable"

    def made(self, unit: Unit) -> Mapping[str, Made] | None:
        """What the keypoints of each video of a unit would be made from; None where the unit has no video.

        Lists the unit's folder, and looks at no folder of frames.
        """
        if not self._file_part and unit.name not in self._units_with_excluded:
            folder = self._folder(unit)
            try:
                entries = list(self.folders.entries(folder))
            except OSError:
                return None
            if not any(entry.kind == "file" or entry.name.endswith(".npy") for entry in entries):
                return dict.fromkeys((entry.name for entry in entries if entry.kind == "folder"), OF_FRAMES) or None
        return {video.name: self.made_of(video) for video in self.listing(unit).videos} or None

    def made_of(self, video: Video) -> Made:
        """The same of one video."""
        return Made(self.folders.size(video.path.relative_to(self.root).as_posix()) if video.is_file else 0)

    def strays(self) -> list[tuple[str, str]]:
        """Entries of the folders listed so far that the layout does not fit, each with what it is.

        Those are folders in which signers, splits and signs are looked for, and those that several units share.
        """
        return [(f"{folder}/{name}".lstrip("/"), what) for folder, odd in self._strays.items() for name, what in odd]

    def folder(self, unit: Unit) -> Path:
        """The folder that holds a unit's videos."""
        return self.folders.root / self._folder(unit)

    def no_video(self) -> DatasetError:
        """The error of a dataset without any video: what was tried, and what is there instead."""
        layout = self._dataset.layout
        if unknown := self._unknown():
            return DatasetError(unknown)
        if self.signers and self.splits and self.signs:
            unit = Unit(self.signers[0], self.splits[0], self.signs[0])
            name = _fill(self._file_part, {**unit._asdict(), "video": "*"}) if self._file_part else ""
            there = what_is_there(self.folders, self._folder(unit), name)
        else:
            missing = next(f for f in ("signer", "split", "sign") if not getattr(self, f + "s"))
            there = f"no {missing} found; {what_is_there(self.folders, '')}"
        return DatasetError(f"dataset.layout: no video fits {layout}: {there}. Correct the layout, or dataset.root.")

    def _unknown(self) -> str:
        """What is wrong with the names and signs that were chosen, if the dataset has others; else ""."""
        everything = self._dataset.model_copy(update={"signers": (), "splits": (), "signs": ()})
        there = LayoutSource(everything, self.folders)
        for option in ("signers", "splits", "signs"):
            chosen, known = getattr(self._dataset, option), getattr(there, option)
            if chosen and known and not set(chosen) & set(known):
                asked, shown = (some_of([*map(str, names)], MOST_SHOWN) for names in (chosen, known))
                return f"dataset.{option}: the dataset does not have {asked}. Choose among {shown}."
        return ""

    def _folder(self, unit: Unit) -> str:
        return _fill(self._folder_part, unit._asdict())

    def _grouped(self, folder: str) -> dict[tuple[str, ...], list[tuple[str, Entry]]] | Listing:
        """The videos of a folder by the fields in their names, as (name, entry); or why there are none."""
        if folder in self._listed:
            return self._listed[folder]
        entries = _entries_of(self.folders, folder)
        if isinstance(entries, Listing):
            return self._listed.setdefault(folder, entries)
        groups: dict[tuple[str, ...], list[tuple[str, Entry]]] = {}
        strays: list[tuple[str, str]] = []
        for entry in entries:
            problem = problem_of(entry)
            values = None if problem else self._match(entry)
            if values is None:
                strays.append((entry.name, problem or STRANGE))
            else:
                key = tuple(values[name] for name in self._key_fields)
                groups.setdefault(key, []).append((values["video"], entry))
        self._listed[folder], self._strays[folder] = groups, strays
        return groups

    def _match(self, entry: Entry) -> dict[str, str] | None:
        """The values of the fields in the name of a video; its suffix counts where the layout names one."""
        whole = entry.kind == "folder" or self._file_part.lower().endswith(VIDEO_SUFFIXES)
        return _match(self._pattern, entry.name if whole else os.path.splitext(entry.name)[0])

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _pattern(self._file_part, {}, self._stated)

    @cached_property
    def _stated(self) -> dict[str, Sequence[str]]:
        """The names of signers, splits and signs that the config states; none where they are to be found."""
        signs = [str(sign) for sign in self._dataset.signs]
        return {"signer": self._dataset.signers, "split": self._dataset.splits, "sign": signs}

    @cached_property
    def _found(self) -> dict[str, set[str]]:
        """Names of signers, splits and signs, found by listing the folders that the layout goes through."""
        open_fields = {name for name, values in self._stated.items() if not values}
        parts = self._dataset.layout.split("/")
        last = max((i for i, part in enumerate(parts) if open_fields & _fields(part)), default=-1)
        seen: dict[str, set[str]] = {name: set(values) for name, values in self._stated.items()}
        for values in self._walk("", parts[: last + 1], {}):
            for name in open_fields:
                seen[name].add(values[name])
        return seen

    def _walk(self, folder: str, parts: Sequence[str], values: Values) -> Iterator[Values]:
        """All combinations of field values along the parts of the layout that exist below a folder."""
        if not parts:
            yield values
            return
        part, rest = parts[0], parts[1:]
        new = _fields(part) - values.keys()
        if "video" not in new and all(self._stated[name] for name in new):
            for chosen in product(*(self._stated[name] for name in sorted(new))):
                known = {**values, **dict(zip(sorted(new), chosen, strict=True))}
                yield from self._walk(_join(folder, _fill(part, known)), rest, known)
            return
        pattern = _pattern(part, values, self._stated)
        try:
            entries = sorted_entries(self.folders, folder)
        except OSError:
            return
        strays: list[tuple[str, str]] = []
        for entry in entries:
            if entry.kind == "odd" or (rest and entry.kind != "folder"):
                strays += [(entry.name, entry.problem)] if entry.kind == "odd" else []
                continue
            matched = self._match(entry) if "video" in new else _match(pattern, entry.name)
            if matched is not None and all(matched.get(name, value) == value for name, value in values.items()):
                yield from self._walk(_join(folder, entry.name), rest, {**values, **matched})
            elif entry.kind == "folder":
                strays.append((entry.name, STRANGE))
        if new and strays:
            self._strays[folder] = strays


def _entries_of(folders: Folders, folder: str) -> list[Entry] | Listing:
    """The entries of a folder in natural order, or the listing of one that is not there or can't be listed."""
    path = folders.root / folder
    try:
        return sorted_entries(folders, folder)
    except FileNotFoundError:
        return Listing(path, exists=False)
    except OSError as error:
        return Listing(path, exists=True, problem=f"can't be listed: {error.strerror}")


def list_folder(folders: Folders, folder: str) -> Listing:
    """List a folder that holds one entry for each video."""
    entries = _entries_of(folders, folder)
    if isinstance(entries, Listing):
        return entries
    videos = {entry.name: _video_at(folders, folder, entry, entry.name) for entry in entries if entry.kind == "folder"}
    odd: list[tuple[str, str]] = []
    in_order = len(videos)
    for entry in entries:
        if problem := problem_of(entry):
            odd.append((entry.name, problem))
        elif entry.kind == "file":
            stem = os.path.splitext(entry.name)[0]
            name = entry.name if stem in videos else stem
            videos[name] = _video_at(folders, folder, entry, name)
    if len(videos) > in_order:
        videos = {name: videos[name] for name in sorted(videos, key=natural_key)}
    return _named_listing(folders.root / folder, videos, odd, exists=True)


def _video_at(folders: Folders, folder: str, entry: Entry, name: str) -> Video:
    inside = folders.root if folders.inside else None
    return Video(name, folders.root / folder / entry.name, entry.kind == "file", folders.index, inside=inside)


def _named_listing(path: Path, videos: dict[str, Video], odd: list[tuple[str, str]], *, exists: bool) -> Listing:
    for name in [name for name in videos if name.endswith(".npy") and name.removesuffix(".npy") in videos]:
        odd.append((videos.pop(name).path.name, NPY_CLASH.format(name.removesuffix(".npy"))))
    return Listing(path, exists=exists, videos=tuple(videos.values()), odd=tuple(odd))


def what_is_there(folders: Folders, folder: str, name: str = "") -> str:
    """The path that was tried, and what the nearest folder above it that is there holds."""
    tried, there = folders.root / folder / name, folder
    while True:
        try:
            names = [entry.name for entry in sorted_entries(folders, there)]
            break
        except (FileNotFoundError, NotADirectoryError):
            if not there:
                return f"tried {tried}; {folders.root} is not there"
            there = there.rpartition("/")[0]
        except OSError as error:
            return f"tried {tried}; {folders.root / there} can't be listed: {error.strerror}"
    shown = ", ".join(repr(entry) for entry in names[:5]) + (" and more" if len(names) > 5 else "")
    return f"tried {tried}; {folders.root / there} holds {shown or 'nothing'}"


def _fields(part: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(part) if name is not None}


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _fill(part: str, values: Mapping[str, object]) -> str:
    return part.format(**{name: int(str(value)) if name == "sign" else value for name, value in values.items()})


def _pattern(part: str, values: Values, stated: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """A regular expression with a group for each field of a part of the layout."""
    pattern, seen = "", set[str]()
    for literal, name, spec, _ in Formatter().parse(part):
        pattern += re.escape(literal)
        if name is None:
            continue
        if name in values and name != "sign":
            pattern += re.escape(values[name])
        elif name in seen:
            pattern += f"(?P={name})"
        elif name == "sign":
            pattern += f"(?P<sign>{_sign_pattern(spec or '')})"
        elif name == "video":
            pattern += "(?P<video>.+)"
        elif names := stated.get(name):
            pattern += f"(?P<{name}>{'|'.join(re.escape(n) for n in sorted(names, key=len, reverse=True))})"
        else:
            pattern += f"(?P<{name}>[^/]+?)"
        seen.add(name)
    return re.compile(pattern, re.DOTALL)


def _sign_pattern(spec: str) -> str:
    """What a sign looks like that is written with a width such as 04d: never more zeros than the width asks for."""
    width = int(spec.rstrip("d") or 1)
    if spec.startswith("0"):
        return f"[0-9]{{{width}}}|[1-9][0-9]{{{width},}}"
    return " *(?:0|[1-9][0-9]*)"


def _match(pattern: re.Pattern[str], text: str) -> dict[str, str] | None:
    """The values of the fields in a name, signs without leading zeros; None where it does not fit."""
    if (match := pattern.fullmatch(text)) is None:
        return None
    values = match.groupdict()
    if "sign" in values:
        if int(values["sign"]) > MAX_SIGN:
            return None
        values["sign"] = str(int(values["sign"]))
    return values if all(is_name(values.get(name, "x")) for name in ("signer", "split")) else None


def is_name(text: str) -> bool:
    """Whether a text can be the name of a signer or a split."""
    try:
        check_name(text)
    except ValueError:
        return False
    return True
