"""The part of quality.py that can fail: who the signer is and which hands show, as a person saw it, by clip and frame.

truths.json says for each shared clip, in frame widths and heights: `chest`, the middle of the signer's shoulders as
[first frame, last frame, x, y]; `unit`, the shoulders' distance; `shown` and `hidden`, frames in which a hand of a side
must be found and must not; `nobody`, frames without a body; `any_hand`, frames in which some hand must be found. They
were read off contact sheets with a grid, not computed. Compositions put such clips together, and take their truths.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from clips import Clip, read_clips
from quality_measures import SIDES, there
from quality_ways import Mode

from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.video import Box
from kpsbatch.points import Topology

OWN = 0.5
"""In shoulder widths of the truth: a chest nearer than this to the signer's is the signer's."""

Rectangle = tuple[int, int, int, int]


@dataclass
class Truth:
    """A video and what is true of it.

    Attributes:
        frames: RGB.
        chest: (T, 2) pixels, NaN where the signer is not there or nobody decided.
        unit: (T,) shoulder widths in pixels.
        shown, hidden: By side, (T,): the hand must, or must not, be found.
        nobody: (T,): no body must be found.
        any_hand: (T,): a hand of any side must be found.
        wide_box: Whether a box must hold all places of the signer: another person comes to where she was first.
    """

    name: str
    frames: list[np.ndarray]
    chest: np.ndarray
    unit: np.ndarray
    shown: dict[str, np.ndarray] = field(default_factory=dict)
    hidden: dict[str, np.ndarray] = field(default_factory=dict)
    nobody: np.ndarray | None = None
    any_hand: np.ndarray | None = None
    wide_box: bool = False


def signer_of(name: str) -> float | None:
    """Where a person saw the signer of a clip of this file name, 0 (left) to 1; None where nobody looked."""
    told = json.loads(Path(__file__).with_name("truths.json").read_text())
    chests = [x for truth in told.values() if Path(truth["file"]).name == name for _, _, x, _ in truth["chest"]]
    return float(np.median(chests)) if chests else None


def _spans(length: int, spans: Sequence[Sequence[int]]) -> np.ndarray:
    marked = np.zeros(length, bool)
    for first, last in spans:
        marked[first : last + 1] = True
    return marked


@lru_cache(4)
def load(data: Path, name: str) -> Truth:
    """A shared clip with its truth."""
    told = json.loads(Path(__file__).with_name("truths.json").read_text())[name]
    clip = next(iter(read_clips(data / told["file"], [Path(told["file"]).name] if told.get("swapped") else [])))
    frames = [frame.image for frame in clip.frames]
    count, (height, width) = len(frames), frames[0].shape[:2]
    chest = np.full((count, 2), np.nan)
    for first, last, x, y in told["chest"]:
        chest[first : last + 1] = x * width, y * height
    return Truth(
        name,
        frames,
        chest,
        np.full(count, told["unit"] * width),
        {side: _spans(count, spans) for side, spans in told.get("shown", {}).items()},
        {side: _spans(count, spans) for side, spans in told.get("hidden", {}).items()},
        _spans(count, told.get("nobody", [])),
        _spans(count, told.get("any_hand", [])),
    )


def part(clip: Truth, first: int, count: int, still: bool = False) -> Truth:
    """Some frames of a clip, again from the start where it ends; `still`: the first of them, with noise."""
    numbers = [(first + (0 if still else t)) % len(clip.frames) for t in range(count)]
    rng = np.random.default_rng(0)
    frames = [clip.frames[t] for t in numbers]
    if still:
        noise = rng.integers(-2, 3, (count, *frames[0].shape)).astype(np.int16)
        frames = [np.clip(f + n, 0, 255).astype(np.uint8) for f, n in zip(frames, noise, strict=True)]
    return Truth(clip.name, frames, clip.chest[numbers], clip.unit[numbers])


def put(canvas: list[np.ndarray], chest: np.ndarray, unit: np.ndarray, clip: Truth, at: int, place: Rectangle) -> None:
    """Draw a clip into a place (x, y, width, height) of a canvas's frames, cut to its shape; note its truth.

    Args:
        canvas: Frames, changed in place.
        chest, unit: Of the composition, changed in place: the signer is the one that is put last.
        clip: What is drawn.
        at: The first frame.
        place: Where.
    """
    x, y, width, height = place
    high, wide = clip.frames[0].shape[:2]
    scale = max(width / wide, height / high)
    middle = np.nanmedian(clip.chest[:, 0]) if np.isfinite(clip.chest).any() else wide / 2
    left = int(np.clip(middle - width / scale / 2, 0, wide - width / scale))
    top = int((high - height / scale) / 2)
    for t, frame in enumerate(clip.frames):
        cut = frame[top : top + round(height / scale), left : left + round(width / scale)]
        canvas[at + t][y : y + height, x : x + width] = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
        chest[at + t] = (clip.chest[t] - (left, top)) * scale + (x, y)
        unit[at + t] = clip.unit[t] * scale


class Composition:
    """A video that is put together on a canvas, in order of the calls of `add`."""

    def __init__(self, name: str, width: int, height: int, count: int) -> None:
        self.truth = Truth(
            name,
            [np.full((height, width, 3), (96, 104, 112), np.uint8) for _ in range(count)],
            np.full((count, 2), np.nan),
            np.ones(count),
        )

    def add(self, clip: Truth, at: int, place: Rectangle, *, signer: bool = True) -> Composition:
        """Put a clip there; its signer is the composition's unless `signer` is false."""
        truth = self.truth
        chest, unit = (truth.chest, truth.unit) if signer else (truth.chest.copy(), truth.unit.copy())
        put(truth.frames, chest, unit, clip, at, place)
        return self


def compositions(data: Path) -> Iterator[tuple[str, Callable[[], Truth]]]:
    """Every composition by name; those whose name ends in * were not looked at while the engine was made."""

    def clip(name: str, first: int = 0, count: int = 30, *, still: bool = False) -> Truth:
        return part(load(data, name), first, count, still)

    half = (0, 0, 320, 360), (320, 0, 320, 360)

    def move() -> Composition:
        made = Composition("", 640, 360, 60)
        return made.add(clip("koko", 10), 0, half[0]).add(clip("koko", 40), 30, half[1])

    def there_and_back() -> Composition:
        made = Composition("", 640, 360, 75)
        for number in range(3):
            made.add(clip("signer", 20 + 25 * number, 25), 25 * number, half[number % 2])
        return made

    def two_with_a_cut() -> Composition:
        return Composition("", 640, 360, 60).add(clip("signer", 20), 0, half[0]).add(clip("koko", 20), 30, half[1])

    def side_by_side() -> Composition:
        made = Composition("", 640, 360, 50).add(clip("football", 30, 50, still=True), 0, half[1], signer=False)
        return made.add(clip("koko", 15, 50), 0, half[0])

    def side_by_side_still_large() -> Composition:
        made = Composition("", 640, 360, 50).add(
            clip("signer", 79, 50, still=True), 0, (200, 0, 440, 360), signer=False
        )
        return made.add(clip("autsl", 0, 43), 0, (0, 160, 200, 200))

    def corner() -> Composition:
        made = Composition("", 640, 480, 50).add(clip("hands_touch", 14, 18), 0, (0, 0, 640, 480), signer=False)
        for at in (18, 36):
            made.add(clip("hands_touch", 14, min(18, 50 - at)), at, (0, 0, 640, 480), signer=False)
        return made.add(clip("koko", 15, 50), 0, (470, 310, 170, 170))

    def leaves_and_enters() -> Composition:
        made = Composition("", 640, 360, 70)
        return made.add(clip("signer", 20, 30), 0, half[0]).add(clip("koko", 20, 30), 40, half[1])

    def swap() -> Composition:
        made = Composition("", 640, 360, 60)
        for number, (at, first) in enumerate(((0, 10), (30, 45))):
            made.add(clip("autsl", 20, 30, still=True), at, half[1 - number], signer=False)
            made.add(clip("koko", first, 30), at, half[number])
        return made

    def karsl_moves() -> Composition:
        made = Composition("", 480, 256, 75)
        for number, name in enumerate(("karsl_13", "karsl_19", "karsl_13")):
            made.add(clip(name, 0, 25), 25 * number, (0 if number % 2 else 224, 0, 256, 256))
        return made

    def corner_of_hd() -> Composition:
        made = Composition("", 1280, 720, 90)
        made.add(clip("hands_touch", 12, 50), 0, (0, 0, 1280, 720), signer=False)
        made.add(clip("hands_touch", 12, 40), 50, (0, 0, 1280, 720), signer=False)
        return made.add(clip("phoenix", 30, 90), 0, (1000, 440, 280, 280))

    def closer() -> Composition:
        made = Composition("", 640, 360, 60).add(clip("signer", 10), 0, (60, 100, 260, 260))
        return made.add(clip("signer", 40), 30, (240, 0, 400, 360))

    def flash() -> Composition:
        made = Composition("", 640, 360, 50).add(clip("koko", 10, 50), 0, (0, 0, 640, 360))
        for t in (20, 21):
            made.truth.frames[t] = np.minimum(made.truth.frames[t].astype(int) + 150, 255).astype(np.uint8)
        return made

    def fade() -> Composition:
        one, two = (Composition("", 640, 360, 60) for _ in range(2))
        one.add(clip("signer", 10, 60), 0, half[0])
        two.add(clip("koko", 10, 60), 0, half[1])
        for t in range(60):
            share = float(np.clip((t - 25) / 10, 0, 1))
            one.truth.frames[t] = cv2.addWeighted(one.truth.frames[t], 1 - share, two.truth.frames[t], share, 0)
            one.truth.chest[t] = one.truth.chest[t] if t <= 25 else two.truth.chest[t] if t >= 35 else np.nan
            one.truth.unit[t] = one.truth.unit[t] if t <= 25 else two.truth.unit[t]
        return one

    def hd_moves() -> Composition:
        made = Composition("", 1280, 720, 120)
        for number, name in enumerate(("phoenix", "signer", "phoenix")):
            made.add(clip(name, 30, 40), 40 * number, (640 if number % 2 else 0, 0, 640, 720))
        return made

    def hd_leaves_and_enters() -> Composition:
        made = Composition("", 1280, 720, 110)
        return made.add(clip("football", 0, 45), 0, (640, 0, 640, 720)).add(
            clip("phoenix", 20, 50), 60, (0, 0, 640, 720)
        )

    made = {
        "move": move, "there_and_back": there_and_back, "two_with_a_cut": two_with_a_cut, "side_by_side": side_by_side,
        "side_by_side_still_large": side_by_side_still_large, "corner": corner, "leaves_and_enters": leaves_and_enters,
        "swap*": swap, "karsl_moves*": karsl_moves, "corner_of_hd*": corner_of_hd, "closer*": closer, "flash*": flash,
        "fade*": fade, "hd_moves*": hd_moves, "hd_leaves_and_enters*": hd_leaves_and_enters, "rendered*": rendered,
    }  # fmt: skip
    for name, make in made.items():
        yield name, lambda make=make, name=name: _named(make().truth, name)


COME_THERE = ("swap*", "fade*", "rendered*")
"""Compositions in which another person comes to where the signer was first."""


def rendered() -> Composition:
    """Two rendered signers: one signs, the other's arms rest; after a cut they have changed sides."""
    from tests.synthetic.signer import render_video

    made = Composition("", 512, 256, 48)
    signs, rests = render_video(2, 1, 1, 48), render_video(1, 2, 1, 48, rest=0.36)
    for number, at in enumerate((0, 24)):
        for (frames, truth), x, is_signer in ((rests, 256 - 256 * number, False), (signs, 256 * number, True)):
            for t in range(at, at + 24):
                made.truth.frames[t][:, x : x + 256] = frames[t]
                if is_signer:
                    made.truth.chest[t] = truth.pose[t][:2].mean(axis=0) + np.array([x, 0])
                    made.truth.unit[t] = np.linalg.norm(truth.pose[t][0] - truth.pose[t][1])
    return made


def _named(truth: Truth, name: str) -> Truth:
    truth.name, truth.wide_box = name, name in COME_THERE
    return truth


def box_of(truth: Truth) -> Box:
    """A box around the signer's upper body where she is in the first frame that has her, or wherever she is."""
    height, width = truth.frames[0].shape[:2]
    known = np.flatnonzero(np.isfinite(truth.chest[:, 0]))
    frames = known if truth.wide_box else known[:1]
    unit = truth.unit[frames].max()
    low, high = truth.chest[frames].min(axis=0), truth.chest[frames].max(axis=0)
    left, top = max(low[0] - 0.9 * unit, 0), max(low[1] - 1.1 * unit, 0)
    right, bottom = min(high[0] + 0.9 * unit, width), min(high[1] + 1.6 * unit, height)
    return Box(left / width, top / height, (right - left) / width, (bottom - top) / height, "shares")


def compare(keypoints: np.ndarray, truth: Truth) -> dict[str, int]:
    """Frames with the signer, with another person, without anybody; hands that show and are found, that are invented.

    Args:
        keypoints: (T, 184, 4), in frame widths and heights.
        truth: What is true.
    """
    height, width = truth.frames[0].shape[:2]
    known = np.isfinite(truth.chest[:, 0])
    posed = there(keypoints, Topology.POSE)
    away = np.linalg.norm(keypoints[:, 0:2, :2].mean(axis=1) * (width, height) - truth.chest, axis=1) / truth.unit
    own = known & posed & (away <= OWN)
    found = {side: there(keypoints, hand) for side, (hand, *_) in SIDES.items()}
    nobody = truth.nobody if truth.nobody is not None else np.zeros(len(known), bool)
    any_hand = truth.any_hand if truth.any_hand is not None else np.zeros(len(known), bool)
    return {
        "frames": int(known.sum()),
        "own": int(own.sum()),
        "other": int((known & posed & ~own).sum() + (nobody & posed).sum()),
        "empty": int((known & ~posed).sum()),
        "shown": int(sum(shown.sum() for shown in truth.shown.values()) + any_hand.sum()),
        "found": int(
            sum((shown & found[side]).sum() for side, shown in truth.shown.items())
            + (any_hand & (found["right"] | found["left"])).sum()
        ),
        "invented": int(sum((hidden & found[side]).sum() for side, hidden in truth.hidden.items())),
        "one_hand": int((known & (found["right"] ^ found["left"])).sum()),
    }


def measure_truths(data: Path, ways: Mapping[str, Mode], only: Sequence[str]) -> dict[str, object]:
    """Measure every way on the shared clips and the compositions, with and without a box; print a table."""
    told = json.loads(Path(__file__).with_name("truths.json").read_text())
    makers: dict[str, Callable[[], Truth]] = {name: lambda name=name: load(data, name) for name in told}
    makers |= dict(compositions(data))
    print("| video | way | signer in | own | other | empty | hands shown | found | invented |\n" + "|---" * 9 + "|")
    figures: dict[str, object] = {}
    for name, make in makers.items():
        if only and name not in only:
            continue
        truth = make()
        frames = [Frame(np.ascontiguousarray(image), 33 * t, str(t)) for t, image in enumerate(truth.frames)]
        with_box = bool(np.isfinite(truth.chest).any())
        for way, run in ways.items():
            for box in (None, box_of(truth)) if with_box else (None,):
                sums = compare(run(Clip(name, "truths", frames), box).keypoints, truth)
                label = f"{way}, box" if box else way
                figures[f"{name}: {label}"] = sums
                cells = [sums[key] for key in ("frames", "own", "other", "empty", "shown", "found", "invented")]
                print(f"| {name} | {label} | {' | '.join(map(str, cells))} |", flush=True)
    return figures


def failures(figures: Mapping[str, object]) -> list[str]:
    """The videos and ways that have not the signer in every frame, another person, or an invented hand."""
    bad = []
    for name, sums in figures.items():
        assert isinstance(sums, dict)
        if sums["own"] < sums["frames"] or sums["other"] or sums["invented"]:
            bad.append(name)
    return bad
