"""Words and signers that the names of folders and files tell, where no number of a sign is in them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from kpsbatch.dataset.layout import is_name
from kpsbatch.dataset.video import without_suffix

SPLITS = ("train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing")
"""Names of folders that are parts of a dataset."""

_SIGNER = re.compile(r"(?i)(?:(?:signer|user|person|subject|participant|speaker|sgn)[-_ ]?|[ps])\d+")
_TOKENS = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u064b-\u0652'’][^\W\d_]*)*|\d+")
_NO_WORDS = frozenset(
    (
        "img", "mvi", "vid", "dsc", "dscn", "mov", "gopro", "gh", "gx", "clip", "video", "movie", "take", "rep",
        "repetition", "sample", "try", "copy", "rgb", "color", "colour", "depth", "front", "side", "left", "right",
        "top", "view", "cam", "camera", "frame", "frames", "videos", "clips", "data", "dataset", "pxl", "wa", "screen",
        "recording"
    )
)  # fmt: skip
"""Words of cameras and of takes, that are no signs where a file's name has others, or where all names have them."""


class Spoken(NamedTuple):
    """What a video's path tells: its word and its signer, or "" where it does not."""

    word: str
    signer: str


def words_and_signers(paths: Sequence[str], splits: Sequence[str]) -> list[Spoken]:
    """The word and the signer of each video, by what repeats over all of them.

    Where folders, or parts of names, are of two kinds that go with each other in many ways, as `anna/hello_1.mp4`,
    the kind of fewer names is the signer.

    Args:
        paths: Of videos, with /, below the dataset's root.
        splits: The folder of each that is its split; such folders tell neither.
    """
    numbered = [_numbered_signer(path) for path in paths]
    in_all = bool(numbered) and all(numbered)
    folders = _varied_folders(paths, splits, without_signers=in_all)
    names = [_words_of(without_suffix(path).rpartition("/")[2], without_signers=in_all) for path in paths]
    columns = [*folders, *_name_columns(names)]
    best = max(folders, key=lambda column: len(set(column)), default=None)
    signers = numbered if in_all else [""] * len(paths)
    if not in_all and (pair := _signer_and_word(columns)) is not None:
        signers, best = pair
    if best is None:
        best = [" ".join(words) for words in names]
        if len(set(best)) == len(best) and (nearest := _nearest_folders(paths, splits)):
            best = nearest
    return [Spoken(*each) for each in zip(_one_spelling(best), signers, strict=True)]


def split_of(path: str) -> str:
    """The first folder of a path with / that is a part of a dataset; all where none is."""
    parts = path.split("/")[:-1]
    return next((part for part in parts if part.casefold() in SPLITS and is_name(part)), "all")


def _numbered_signer(path: str) -> str:
    """A signer with a number in a path, such as signer2 or P03; the number alone is no signer."""
    pieces = (piece for part in without_suffix(path).split("/") for piece in _pieces(part))
    return next((piece for piece in pieces if _SIGNER.fullmatch(piece)), "")


def _pieces(name: str) -> list[str]:
    """What separators part in a name; a word and its number, such as signer_2, are one piece."""
    return re.split(r"[_\-. ]+", re.sub(r"(?i)([a-z]{4,})[-_ ](?=\d)", r"\1", name))


def _words_of(stem: str, *, without_signers: bool) -> list[str]:
    """The words of a file's name, without numbers, and without what tells a signer or a camera where more is there."""
    if without_signers:
        stem = " ".join(piece for piece in _pieces(stem) if not _SIGNER.fullmatch(piece))
    return [token for token in _TOKENS.findall(stem) if not token.isdecimal() and token.casefold() not in _NO_WORDS]


def _varied_folders(paths: Sequence[str], splits: Sequence[str], *, without_signers: bool) -> list[list[str]]:
    """The names of the folders of each video, a list for each depth at which they differ and none is a split's."""
    parts = [
        [part for part in path.split("/")[:-1] if part != split] for path, split in zip(paths, splits, strict=True)
    ]
    if without_signers:
        parts = [[part for part in each if not _SIGNER.fullmatch(re.sub(r"[-_ ]", "", part))] for each in parts]
    depth = min(map(len, parts), default=0)
    columns = [[each[len(each) - depth + at] for each in parts] for at in range(depth)]
    if not columns:  # some videos lie beside the folders of others
        columns = [[each[-1] if each else "" for each in parts]]
    return [column for column in columns if len(set(column)) > 1]


def _nearest_folders(paths: Sequence[str], splits: Sequence[str]) -> list[str]:
    """The folder of each video that is no split; [] where there is none."""
    found = [
        next((part for part in reversed(path.split("/")[:-1]) if part != split), "")
        for path, split in zip(paths, splits, strict=True)
    ]
    return found if any(found) else []


def _name_columns(names: Sequence[Sequence[str]]) -> list[list[str]]:
    """The words of names in two kinds, in both ways: the first and the others, the others and the last."""
    if not all(names):
        return []
    if any(len(words) == 1 for words in names):
        return [[" ".join(words) for words in names]]
    ways = [([w[0] for w in names], [" ".join(w[1:]) for w in names])]
    if any(len(words) > 2 for words in names):
        ways.append(([" ".join(w[:-1]) for w in names], [w[-1] for w in names]))
    fits = next((way for way in ways if _crossed(*way)), None)
    return list(fits) if fits else [[" ".join(words) for words in names]]


def _crossed(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each of most names of a kind goes with several of the other kind, and the other way round."""
    for a, b in ((some, others), (others, some)):
        partners = defaultdict(set)
        for one, other in zip(a, b, strict=True):
            partners[one].add(other)
        if len(partners) < 2 or sum(len(of) > 1 for of in partners.values()) * 2 <= len(partners):
            return False
    return True


def _signer_and_word(columns: Sequence[list[str]]) -> tuple[list[str], list[str]] | None:
    """Of the first two kinds that cross: the signers, who are fewer, and the words."""
    for some, others in pairwise(columns):
        if _crossed(some, others):
            fewer = len({*map(str.casefold, some)}) <= len({*map(str.casefold, others)})
            return (some, others) if fewer else (others, some)
    return None


def _one_spelling(words: Sequence[str]) -> list[str]:
    """Words that differ in capitals only, as the most frequent of them is written."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        spellings[word.casefold()][word] += 1
    return [spellings[word.casefold()].most_common(1)[0][0] for word in words]
