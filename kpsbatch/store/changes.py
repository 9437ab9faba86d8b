"""What the dataset holds by now of a unit that is finished, beside what its record knows: by names and sizes of files.

Times don't count: scratch disks are purged, and copied back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Made, Unit
from kpsbatch.store.outputs import Outputs, OutputState
from kpsbatch.store.records import FailedVideo, UnitRecord, VideoRecord, made_digest
from kpsbatch.stored import read_stored


@dataclass(frozen=True)
class Changes:
    """How the videos of a unit differ from those of its record.

    Attributes:
        added: Those that the record does not know, or knows from another row of the table.
        replaced: Those whose file has another size.
        moved: Those of a table that are gone, or back, which the record does not say yet.
        gone: Those that the dataset does not have any more.
        record: The record, where anything differs.
    """

    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    record: UnitRecord | None = None

    def ask_for_a_run(self, redo_replaced: bool) -> bool:
        """Whether a run has something to do."""
        return bool(self.added or self.moved or (redo_replaced and self.replaced))

    def to_do(self, names: Iterable[str], redo_replaced: bool) -> list[str]:
        """Those of the videos that the dataset has which a run computes; of the others it keeps what there is."""
        again = {*self.added, *(self.replaced if redo_replaced else ())}
        known = self.record.sources if self.record is not None else {}
        return [name for name in names if name in again or name not in known]


UNCHANGED = Changes()


def changes_of(source: Source, outputs: Outputs, unit: Unit, state: OutputState) -> Changes:
    """Compare a unit that is finished with the dataset: a listing, and the first line of its record unless they differ.

    A unit of which the dataset holds no video, or that can't be listed, is unchanged.
    """
    now = source.made(unit)
    if now is None or outputs.made_digest(unit, state) == made_digest(now):
        return UNCHANGED
    record = read_stored(outputs.record_path(unit, state), UnitRecord)
    return UNCHANGED if record is None else changes_since(record, now)


def changes_since(record: UnitRecord, now: Mapping[str, Made]) -> Changes:
    """Compare a record with what its videos would be made from now."""
    added, replaced, moved = list[str](), list[str](), list[str]()
    known = record.sources
    for name, made in now.items():
        video = known.get(name)
        if video is None or _is_of_another_row(video, made):
            added.append(name)
            continue
        if isinstance(video, VideoRecord) and video.gone_since:
            moved.append(name)
        if video.bytes is not None and video.bytes != made.bytes:
            replaced.append(name)
    gone = [name for name in known if name not in now]
    moved += [name for name in gone if name in record.made and known[name].made_from]
    return Changes(tuple(added), tuple(replaced), tuple(moved), tuple(gone), record)


def _is_of_another_row(video: FailedVideo | VideoRecord, made: Made) -> bool:
    return bool(video.made_from) and video.made_from != made.made_from
