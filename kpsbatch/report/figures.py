"""Names and rates that several sections of the page show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kpsbatch.dataset.labels import Label
from kpsbatch.dataset.video import Unit
from kpsbatch.report.gather import PARTS, ReportData, UnitRow, VideoRow

Labels = Mapping[int, Label]
Rate = Callable[[UnitRow | VideoRow], float | None]

PART_LABELS = {"pose": "Pose", "face": "Face", "right_hand": "Right hand", "left_hand": "Left hand"}
_KEYS = {"right_hand": "right", "left_hand": "left"}


@dataclass(frozen=True)
class UnitName:
    """A unit as the page writes it."""

    signer: str
    split: str
    sign: Label


def name_unit(unit: Unit, labels: Labels) -> UnitName:
    """A unit with the names of its sign."""
    return UnitName(unit.signer, unit.split, labels.get(unit.sign, Label(unit.sign, "", "")))


def name_units(units: Iterable[Unit], labels: Labels) -> tuple[UnitName, ...]:
    """Units with the names of their signs, each once."""
    return tuple(name_unit(unit, labels) for unit in dict.fromkeys(units))


@dataclass(frozen=True)
class Metric:
    """A detection rate.

    Attributes:
        key: Its name in filters.
        label: Its heading.
        rate: In percent of a row's frames (or wrists); None where there are none.
        help: What it is, in a sentence.
    """

    key: str
    label: str
    rate: Rate
    help: str

    @property
    def kind(self) -> str:
        """A low rate of one hand is normal: many signs take one hand only."""
        return "share" if self.key in _KEYS.values() else "percent"


def metrics_of(data: ReportData) -> list[Metric]:
    """What the map and the tables show, for the parts that were computed."""
    metrics: list[Metric] = []
    if has_hands(data):
        metrics.append(
            Metric(
                "hand",
                "Any hand",
                lambda row: percent(row.frames - row.no_hand, row.frames),
                "Percent of all frames in which at least one hand was found.",
            )
        )
        metrics.append(
            Metric(
                "wrists",
                "Wrists with hand",
                lambda row: percent(row.wrists - row.bare_wrists, row.wrists),
                "Percent of the wrists whose hand can be seen for which a hand was found.",
            )
        )
    hands_first = sorted(data.parts, key=lambda part: not part.endswith("hand"))
    return metrics + [
        Metric(_KEYS.get(part, part), PART_LABELS[part], _rate_of(part), _help_of(part)) for part in hands_first
    ]


def _help_of(part: str) -> str:
    what = f"Percent of all frames in which the {part.replace('_', ' ')} was found"
    return f"{what}; low is normal, since many signs take one hand." if part.endswith("hand") else f"{what}."


def _rate_of(part: str) -> Rate:
    place = PARTS.index(part)
    return lambda row: percent(row.found[place], row.frames)


def has_hands(data: ReportData) -> bool:
    """Whether hands were computed."""
    return any(part.endswith("hand") for part in data.parts)


def percent(part: float, whole: float) -> float | None:
    """A share in percent, rounded so that only all is 100 and only none is 0."""
    if not whole:
        return None
    share = round(100 * part / whole, 1)
    return min(max(share, 0.1), 99.9) if 0 < part < whole else share


def show_percent(share: float | None) -> str:
    """A share that `percent` computed, as text."""
    return "–" if share is None else f"{share:.1f}%"
