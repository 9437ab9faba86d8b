"""Cutting the keypoints of whole videos into the segments of a table, which computes nothing.

A segment has the same rows as the whole video's array, to the bit: those of the frames whose stored times lie in it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.dataset.video import Segment, without_suffix

SAME = 0.0005
"""Seconds within which two moments are one, as when a segment is read from a video file."""


class Whole(NamedTuple):
    """An array that can be cut.

    Attributes:
        path, key: Its npz, and its name there.
        source: The path of its video below the dataset's root, or its key where no table names it; without suffix.
        part: Whether it is a segment itself.
        places: Where the people of its longest shot are, from 0 to 1, the one that it is of first; () if not known.
        moments: (T,) seconds since its first frame.
    """

    path: Path
    key: str
    source: str
    part: bool
    places: tuple[float, ...]
    moments: NDArray[np.float64]


class Cut(NamedTuple):
    """A segment of an array: its own key, the array's, its rows from `first` up to, and without, `last`."""

    name: str
    key: str
    first: int
    last: int
    label: str = ""
    signer: str = ""


def places_of(facts: Mapping[str, Any]) -> tuple[float, ...]:
    """Where the people of the longest shot of a record's video are, the one who was chosen first; () if not known."""
    shots = [shot for shot in facts.get("shots") or () if isinstance(shot, dict) and shot.get("people")]
    shot = max(shots, key=lambda shot: shot.get("last", 0) - shot.get("first", 0), default={})
    people = sorted(shot.get("people", ()), key=lambda one: not one.get("chosen"))
    return tuple(float(one.get("x", 0)) for one in people) if people and people[0].get("chosen") else ()


def source_of(key: str, facts: Mapping[str, Any]) -> tuple[str, bool]:
    """The path of a record's video below the dataset's root, or its key, and whether it is a segment of it."""
    row = facts.get("row") or {}
    person = facts.get("person")
    plain = key.removesuffix(f".{person}") if person else key
    return without_suffix(row.get("video") or plain), "start" in row or "end" in row


def is_of(places: Sequence[float], person: str) -> bool | None:
    """Whether the first of some people is the one that is meant; None where that can't be told."""
    if person in ("", "auto"):
        return True
    if not places or person == "largest":
        return None
    x, ranked = places[0], sorted(places)
    if person in ("left", "right"):
        return x == ranked[0 if person == "left" else -1]
    if person.startswith("x="):
        wanted = float(person[2:])
        return x == min(ranked, key=lambda other: abs(other - wanted))
    return int(person) <= len(ranked) and x == ranked[int(person) - 1]


def rows_of(segment: Segment | None, moments: NDArray[np.float64]) -> tuple[int, int]:
    """The first row of a segment, and the first after it.

    Args:
        moments: (T,) seconds of each frame since the first.
    """
    if segment is None:
        return 0, len(moments)
    ends = (segment.start, math.inf if segment.end is None else segment.end)
    if segment.unit == "frames":
        first, last = (min(math.ceil(end - 0.01), len(moments)) if end < math.inf else len(moments) for end in ends)
    else:
        first, last = (int(np.searchsorted(moments, end - SAME)) for end in ends)
    return max(first, 0), max(last, first)


class Cutter:
    """Finds the arrays that segments are parts of."""

    def __init__(self, wholes: Iterable[Whole]) -> None:
        self._by_name: dict[str, list[Whole]] = {}
        for whole in wholes:
            names = (whole.source, whole.key, f"*/{whole.source.rpartition('/')[2]}")
            for name in dict.fromkeys(names):
                self._by_name.setdefault(name, []).append(whole)

    def find(self, video: str, person: str) -> Whole:
        """The array of a video, by its path or key, or the name of its file; and of a person.

        Raises:
            ValueError: There is none, or several; says so.
        """
        found = self._by_name.get(video) or self._by_name.get(f"*/{video.rpartition('/')[2]}", [])
        if not found:
            raise ValueError(f"there are no keypoints of {video!r}")
        wholes = [whole for whole in found if not whole.part]
        if not wholes:
            raise ValueError(f"the keypoints of {video!r} are of segments, not of the whole video")
        sure = [whole for whole in wholes if is_of(whole.places, person)]
        unsure = [whole for whole in wholes if is_of(whole.places, person) is None]
        if len(sure) == 1:
            return sure[0]
        if not sure and len(wholes) == len(unsure) == 1 and len(unsure[0].places) < 2:
            return unsure[0]
        if not sure and not unsure:
            keys = ", ".join(whole.key for whole in wholes)
            raise ValueError(f"no keypoints of {video!r} are of the person {person!r}, only {keys}")
        keys = ", ".join(f"{whole.path.parent.name}/{whole.path.stem}: {whole.key}" for whole in wholes[:5])
        raise ValueError(f"{video!r} can be any of {keys}; name a person, or choose outputs")


def digest_of(cuts: Sequence[Cut]) -> str:
    """Changes when any of the segments does."""
    return hashlib.sha256(json.dumps(cuts).encode()).hexdigest()[:16]
