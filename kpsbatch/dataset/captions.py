"""Subtitles (SRT, WebVTT) and ELAN files (.eaf) as rows of a table, each with the line where it starts.

A row has the columns of `COLUMNS`. What can't be used is a text that says why; what can be used, but may not be what
was meant, is in the column `note`. Libraries that read these files keep no line numbers, so none is used.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any
from xml.parsers import expat

from kpsbatch.untrusted import encoding_of
from kpsbatch.words import some_of

CAPTIONS = ("srt", "vtt", "eaf")
"""The formats; each is the suffix of its files."""

COLUMNS = (
    *("video", "name", "language", "id", "number", "start", "end", "text"),
    *("tier", "type", "participant", "person", "media", "note"),
)
"""video: the path of the file below `dataset.root`, without suffix and language; name: its last part; number: of the
cue or annotation in its file, from 1; id: both, joined; start, end: seconds; tier, type, participant: of ELAN (of
WebVTT: the voice); person: what `manifest.tiers` says of the tier; media: the file that ELAN shows."""

_LANGUAGE = re.compile(r"(.+)\.([a-z]{2,3}(?:-[A-Za-z0-9]+)*)")
_CUE = re.compile(r"\s*(?P<start>\S+)?\s*-->\s*(?P<end>\S+)?")
_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|</>|\{\\[^}]*\}")
_VOICE = re.compile(r"<v(?:\.[^ >]*)?[ \t]+([^>]+)>")
_OPEN = re.compile(r"<(?=/?[A-Za-z]+[^<>]*$)|\{\\")
_SAVE = "save the file as UTF-8 (iconv -f windows-1252 -t UTF-8 IN > OUT, with the encoding that it has)"
_SAME = 0.0005
"""Seconds within which two moments are one: the times are whole milliseconds."""

Row = dict[str, Any]


@dataclass
class _Cue:
    """A cue or an annotation, before it is looked at."""

    line: int
    start: float | None
    end: float | None
    text: str
    number: int
    tier: str = ""
    type: str = ""
    participant: str = ""
    person: str = ""
    media: str = ""
    problem: str = ""
    notes: list[str] = field(default_factory=list)


def name_and_language(stem: str) -> tuple[str, str]:
    """A caption file's name without suffix, taken apart: `abc.en-US` is ("abc", "en-US"), `abc` is ("abc", "")."""
    match = _LANGUAGE.fullmatch(stem)
    return (match[1], match[2]) if match else (stem, "")


def tier_names(data: bytes) -> list[str]:
    """The tiers of an ELAN file; none where it is none."""
    elan = _Elan()
    try:
        elan.parse(data)
    except (_Refused, expat.ExpatError, ValueError, LookupError):
        return []
    return [tier.name for tier in elan.tiers if tier.annotations]


def read_captions(
    data: bytes, form: str, stem: str, tiers: Mapping[str, str] | None = None
) -> Iterator[tuple[int, Row | str]]:
    """The cues of a file, or its annotations tier by tier, each with its line, in the order of the file.

    Tags are taken out. A cue without a start, an end or a text, with bytes that are no text, or with the times of an
    earlier one in its tier can't be used.

    Args:
        form: One of `CAPTIONS`.
        stem: The file's name without suffix.
        tiers: Of an ELAN file, those to take: names or linguistic types, with * for any characters; and who signs
            there, "" where that is not said. None takes all.
    """
    name, language = name_and_language(stem)
    cues = _annotations(data, tiers) if form == "eaf" else _cues(data, form)
    before: dict[str, _Before] = {}
    empty = True
    for cue in cues:
        empty = False
        _look_at(cue, before.setdefault(cue.tier, _Before()))
        if cue.problem:
            yield cue.line, cue.problem
            continue
        assert cue.start is not None and cue.end is not None
        cells = {
            "video": name,
            "name": name,
            "language": language,
            "id": f"{name}-{cue.number:04}",
            "number": str(cue.number),
            "start": f"{cue.start:.3f}",
            "end": f"{cue.end:.3f}",
            "text": cue.text,
            "note": "; ".join(cue.notes),
        }
        of_tier = {key: getattr(cue, key) for key in ("tier", "type", "participant", "person", "media")}
        yield cue.line, {key: {**cells, **of_tier}[key] for key in COLUMNS}
    if empty:
        yield 1, f"holds no {'annotation' if form == 'eaf' else 'cue such as 00:00:01.000 --> 00:00:02.500'}"


@dataclass
class _Before:
    """The cues of a tier so far: their lines by their times in milliseconds, and the one that ends last."""

    lines: dict[tuple[int, int], int] = field(default_factory=dict)
    last: _Cue | None = None


def _look_at(cue: _Cue, before: _Before) -> None:
    """Say what is wrong with a cue, and how it lies to the ones of its tier before it, to which it is added."""
    plain = _plain(cue)
    if cue.problem:
        return
    if cue.start is None or cue.end is None:
        cue.problem = f"has no {'start' if cue.start is None else 'end'}"
    elif any("\udc80" <= letter <= "\udcff" for letter in cue.text):
        byte = next(ord(letter) - 0xDC00 for letter in cue.text if "\udc80" <= letter <= "\udcff")
        cue.problem = f"is not UTF-8 (byte 0x{byte:02x}): {_SAVE}"
    elif not plain:
        cue.problem = "has no text"
    elif same := before.lines.get(times := (round(1000 * cue.start), round(1000 * cue.end))):
        cue.problem = f"has the times of line {same}: a second language, or the same cue twice; keep one of them"
    else:
        last = before.last
        if last is not None and last.start is not None and last.end is not None:
            shared = min(last.end, cue.end) - max(last.start, cue.start)
            if shared > _SAME:
                cue.notes.append(f"overlaps line {last.line} by {shared:.3f} s")
        before.lines[times] = cue.line
        before.last = cue if last is None or cue.end >= (last.end or 0) else last
    cue.text = plain


def _plain(cue: _Cue) -> str:
    """A cue's text on one line without tags; notes what was taken out and what looks wrong."""
    text = cue.text
    if voice := _VOICE.search(text):
        cue.participant = cue.participant or voice[1].strip()
    if tags := list(dict.fromkeys(_TAG.findall(text))):
        cue.notes.append(f"tags are left out: {some_of(tags, 3)}")
        text = _TAG.sub("", text)
    if _OPEN.search(text):
        cue.notes.append("a tag is not closed")
    lines = [" ".join(line.split()) for line in html.unescape(text).split("\n")]
    if len(scripts := dict.fromkeys(filter(None, map(_script, lines)))) > 1:
        cue.notes.append(f"lines in {' and '.join(scripts)} letters: two languages?")
    plain = " ".join(filter(None, lines))
    if "\ufffd" in plain:
        cue.notes.append("a letter is lost (\ufffd)")
    elif _is_misread(plain):
        cue.notes.append("looks like UTF-8 that was read as Latin-1")
    return plain


def _script(line: str) -> str:
    """The script of most letters of a line, such as Latin; "" without letters."""
    scripts = Counter(unicodedata.name(letter, "?").split()[0].capitalize() for letter in line if letter.isalpha())
    return scripts.most_common(1)[0][0] if scripts else ""


def _is_misread(text: str) -> bool:
    try:
        return not text.isascii() and text.encode("cp1252").decode() != text
    except UnicodeError:
        return False


def _cues(data: bytes, form: str) -> Iterator[_Cue]:
    """The cues of SRT or WebVTT, whether or not blank lines lie between them."""
    text = data.decode(encoding_of(data), "surrogateescape" if encoding_of(data) == "utf-8-sig" else "replace")
    lines = re.split(r"\r\n|\r|\n", text)
    at = [number for number, line in enumerate(lines) if "-->" in line]
    if form == "vtt" and not lines[0].startswith("WEBVTT"):
        yield _Cue(1, None, None, "", 0, problem="does not start with WEBVTT: no cue is lost, but players refuse it")
    for number, (first, following) in enumerate(pairwise([*at, len(lines)]), 1):
        body = [*lines[first + 1 : following]]
        if following < len(lines) and body and (body[-1].strip().isdigit() or (len(body) > 1 and not body[-2].strip())):
            body.pop()  # what names the next cue
        blank = next((place for place, line in enumerate(body) if not line.strip()), len(body))
        rest = [line for line in body[blank:] if line.strip()]
        match = _CUE.match(lines[first])
        start, end = (_seconds(match[name]) if match else None for name in ("start", "end"))
        cue = _Cue(first + 1, start, end, "\n".join(body[:blank]), number)
        for name, seconds in (("start", start), ("end", end)):
            if match and match[name] and seconds is None:
                cue.problem = f"the {name} {match[name][:20]!r} is not a time like 00:01:02.500"
        if match is None:
            cue.problem = f"{lines[first][:40]!r} has no times like 00:01:02.500 --> 00:01:04.000"
        if form == "srt" and rest:
            cue.notes.append(f"text after a blank line is left out: {rest[0][:30]!r}")
        yield cue


def _seconds(text: str | None) -> float | None:
    """A time of day as seconds; None where it is none."""
    match = _CLOCK.fullmatch(text or "")
    if match is None:
        return None
    hours, minutes, seconds = int(match[1] or 0), int(match[2]), int(match[3])
    return hours * 3600 + minutes * 60 + seconds + int((match[4] or "0").ljust(3, "0")) / 1000


@dataclass
class _Annotation:
    """An annotation of ELAN: of two time slots, or of another annotation."""

    id: str
    line: int
    slots: tuple[str, str] | None
    of: str
    text: str = ""


@dataclass
class _Tier:
    """A tier of ELAN."""

    name: str
    type: str
    participant: str
    annotations: list[_Annotation] = field(default_factory=list)


class _Refused(Exception):
    """A document that is not read; says why."""


class _Elan:
    """What expat finds in an ELAN file. A document type, which could define entities without end, is refused."""

    def __init__(self) -> None:
        self.slots: dict[str, float | None] = {}
        self.tiers: list[_Tier] = []
        self.media: list[tuple[str, float]] = []
        self.root = ""
        self._in_value = False
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def parse(self, data: bytes) -> None:
        """Read a document.

        Raises:
            expat.ExpatError: It is no XML.
            _Refused: It has a document type, or is no ELAN file.
        """
        self._parser.Parse(data, True)

    @property
    def line(self) -> int:
        """Where the parser is."""
        return self._parser.CurrentLineNumber

    def _refuse(self, *_: Any) -> None:
        raise _Refused("has a document type (<!DOCTYPE), which no ELAN file has")

    def _start(self, tag: str, has: dict[str, str]) -> None:
        if not self.root:
            self.root = tag
            if tag != "ANNOTATION_DOCUMENT":
                raise _Refused(f"is no ELAN file: it starts with <{tag[:30]}>, not <ANNOTATION_DOCUMENT>")
        if tag == "MEDIA_DESCRIPTOR":
            url = has.get("RELATIVE_MEDIA_URL") or has.get("MEDIA_URL", "")
            origin = has.get("TIME_ORIGIN", "0")
            self.media.append((re.split(r"[/\\]", url)[-1], int(origin) if origin.isdecimal() else 0))
        elif tag == "TIME_SLOT":
            value = has.get("TIME_VALUE", "")
            self.slots[has.get("TIME_SLOT_ID", "")] = int(value) if re.fullmatch(r"\d{1,12}", value) else None
        elif tag == "TIER":
            kind, who = has.get("LINGUISTIC_TYPE_REF", ""), has.get("PARTICIPANT", "")
            self.tiers.append(_Tier(has.get("TIER_ID", ""), kind, who))
        elif tag in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION") and self.tiers:
            slots = (has.get("TIME_SLOT_REF1", ""), has.get("TIME_SLOT_REF2", "")) if tag[0] == "A" else None
            made = _Annotation(has.get("ANNOTATION_ID", ""), self.line, slots, has.get("ANNOTATION_REF", ""))
            self.tiers[-1].annotations.append(made)
        elif tag == "ANNOTATION_VALUE":
            self._in_value = True

    def _end(self, tag: str) -> None:
        if tag == "ANNOTATION_VALUE":
            self._in_value = False

    def _text(self, text: str) -> None:
        if self._in_value and self.tiers and self.tiers[-1].annotations:
            self.tiers[-1].annotations[-1].text += text


def _annotations(data: bytes, tiers: Mapping[str, str] | None) -> Iterator[_Cue]:
    """The annotations of the chosen tiers of an ELAN file."""
    elan = _Elan()
    try:
        elan.parse(data)
    except _Refused as error:
        yield _Cue(elan.line, None, None, "", 0, problem=str(error))
        return
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last: an encoding that there is not
        line = error.lineno if isinstance(error, expat.ExpatError) else elan.line
        yield _Cue(max(line, 1), None, None, "", 0, problem=f"is no XML: {error}. Save it in ELAN again")
        return
    spans = _Spans(elan)
    media, origin = elan.media[0] if elan.media else ("", 0)
    number, chosen = 0, set()
    for tier in elan.tiers:
        fits = [key for key in tiers or () if fnmatchcase(tier.name, key) or fnmatchcase(tier.type, key)]
        chosen |= {*fits}
        for annotation in tier.annotations:
            number += 1  # of the whole file, so that a name stays whichever tiers are taken
            if tiers is not None and not fits:
                continue
            cue = _Cue(annotation.line, None, None, annotation.text, number, tier.name, tier.type, tier.participant)
            cue.person, cue.media = (tiers[fits[0]] if tiers else ""), media
            cue.start, cue.end, cue.problem = spans.of(annotation, origin / 1000)
            if len({tiers[key] for key in fits} if tiers else ()) > 1:
                cue.problem = f"the tier {tier.name!r} fits {' and '.join(map(repr, fits))}; name it for one person"
            yield cue
    there = some_of([tier.name for tier in elan.tiers], 10) or "none"
    for key in tiers or ():
        if key not in chosen:
            problem = f"has no tier or linguistic type {key!r}; its tiers are {there}"
            yield _Cue(1, None, None, "", 0, problem=problem)


class _Spans:
    """When annotations of a document start and end; those of another share its time evenly, as ELAN shows them."""

    def __init__(self, elan: _Elan) -> None:
        self._slots = elan.slots
        self._by_id = {each.id: each for tier in elan.tiers for each in tier.annotations}
        self._siblings: dict[str, list[str]] = {}
        self._place: dict[str, tuple[int, list[str]]] = {}
        for tier in elan.tiers:
            groups: dict[str, list[str]] = {}
            for each in tier.annotations:
                if each.slots is None:
                    group = groups.setdefault(each.of, [])
                    self._place[each.id] = len(group), group
                    group.append(each.id)

    def of(self, annotation: _Annotation, origin: float) -> tuple[float | None, float | None, str]:
        """Start and end in seconds, and why they are not known."""
        shares: list[tuple[int, int]] = []
        seen = {annotation.id}
        while annotation.slots is None:
            place, group = self._place[annotation.id]
            shares.append((place, len(group)))
            parent = self._by_id.get(annotation.of)
            if parent is None or parent.id in seen:
                return None, None, f"belongs to an annotation that is not there ({annotation.of[:20]!r})"
            seen.add(parent.id)
            annotation = parent
        times = [self._slots.get(slot) for slot in annotation.slots]
        for name, slot, time in zip(("start", "end"), annotation.slots, times, strict=True):
            if time is None:
                return None, None, f"has no {name}: the time slot {slot[:20]!r} has no time"
        start, end = (time / 1000 + origin for time in times if time is not None)
        for place, count in reversed(shares):
            start, end = start + (end - start) * place / count, start + (end - start) * (place + 1) / count
        return start, end, ""
