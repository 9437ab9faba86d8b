"""What each clean-up of exports does to the error, on rendered signers whose hand joints are known.

    PYTHONPATH=. python benchmarks/cleaning.py DIR [--signs 4]

DIR gets the demo dataset with its truths, clear and blurred, and its outputs by `kpsbatch run`. Counted are hands all
of whose joints are in the picture: how many are there, how far the median joint of each is off. `added` are those that
the clean-up has and the outputs have not; `not there` are added ones of which no joint is in the picture. A halved rate
leaves out every second frame and fills them by `at_rate`: counted are the frames left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

import kpsbatch
from kpsbatch.store.cleaning import at_rate, fill_gaps, normalised
from kpsbatch.store.reading import OutputDataset, VideoInfo
from tests.synthetic.demo import DemoDataset, write_demo

HANDS = {"right_hand": slice(6, 27), "left_hand": slice(27, 48)}
SHOULDERS = slice(0, 2)

Truths = dict[str, np.ndarray]


@dataclass
class Errors:
    """Hands in the picture, the errors of those that are there, those of added ones, and how many can't be there."""

    shown: int = 0
    errors: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    not_there: int = 0

    def add(self, made: np.ndarray, before: np.ndarray, truth: np.ndarray, scale: np.ndarray | float) -> None:
        """Compare a hand: (T, 21, 4) before and after, and its joints (T, 21, 2) in the same unit after `scale`."""
        known = np.isfinite(truth).all(axis=(1, 2))
        unseen = ~np.isfinite(truth).any(axis=(1, 2))
        there, was = made.any(axis=(1, 2)), before.any(axis=(1, 2))
        off = np.median(np.linalg.norm(made[..., :2] * scale - truth, axis=-1), axis=1)
        self.shown += int(known.sum())
        self.errors += off[known & there].tolist()
        self.added += off[known & there & ~was].tolist()
        self.not_there += int((unseen & there & ~was).sum())

    def row(self, name: str, digits: int = 2) -> str:
        """A row of the table."""
        errors = np.array(self.errors or [np.nan])
        added = f"{np.median(self.added):.{digits}f}" if self.added else "-"
        figures = f"{np.median(errors):.{digits}f} | {np.percentile(errors, 95):.{digits}f}"
        found = f"{len(self.errors)} of {self.shown}"
        return f"| {name} | {found} | {figures} | {len(self.added)} | {added} | {self.not_there} |"


HEAD = "| {} | hands found | median error, {} | 95% | added | their median | not there |\n|---|---|---|---|---|---|---|"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--signs", type=int, default=4)
    arguments = parser.parse_args()
    for name in ("clear", "blurred"):
        folder = arguments.directory / name
        demo = write_demo(folder, signs=arguments.signs)
        if name == "blurred":
            blur(demo)
        done = subprocess.run([sys.executable, "-m", "kpsbatch", "run", str(demo.config), "-q"], check=False)
        assert done.returncode in (0, 1)
        dataset = kpsbatch.open_dataset(folder / "out")
        truths = {video.name: truth_of(demo.truth(video), video.name) for video in demo.videos}
        print(f"\n{name}: {len(dataset)} videos, {int(dataset.lengths.sum())} frames\n")
        print(HEAD.format("clean-up", "px"))
        cleaned(dataset, truths)
        if name == "clear":
            gaps(dataset, truths)
            rates(dataset, truths)
            print("\n" + HEAD.format("unit", "shoulder widths"))
            normal(dataset, truths)


def blur(demo: DemoDataset) -> None:
    """Make the demo's pictures hard: three frames in one, a fifth of the size and back, noise of 12 of 255."""
    noise = np.random.default_rng(0)
    for video in demo.videos:
        if video.as_file:
            continue
        paths = sorted(path for path in demo.entry(video).iterdir() if path.suffix in (".jpg", ".png"))
        frames = [cv2.imread(str(path)).astype(np.float32) for path in paths]
        for number, path in enumerate(paths):
            mixed = np.mean(frames[max(0, number - 1) : number + 2], axis=0)
            height, width = mixed.shape[:2]
            small = cv2.resize(mixed, (width // 5, height // 5), interpolation=cv2.INTER_AREA)
            grown = cv2.resize(small, (width, height)) + noise.normal(0, 12, mixed.shape)
            cv2.imwrite(str(path), np.clip(grown, 0, 255).astype(np.uint8))


def each(dataset: OutputDataset, truths: Truths) -> Iterator[tuple[int, VideoInfo, np.ndarray, np.ndarray]]:
    """Number, facts, keypoints and true joints of every video."""
    for number, info in enumerate(dataset.videos):
        yield number, info, dataset[number].keypoints, truths[info.video]


def cleaned(dataset: OutputDataset, truths: Truths) -> None:
    """Filled gaps and lowest scores."""
    kept, topology = dataset.from_kept("contract"), dataset.topology
    rows: dict[str, Callable[[int], np.ndarray]] = {"as stored": lambda number: dataset[number].keypoints}
    for most in (1, 3, 8):
        rows[f"`--fill {most}`"] = lambda number, most=most: fill_gaps(dataset[number].keypoints, topology, most)
    for score in (0.5, 0.8, 0.95):
        strict = kept.cleaned(kpsbatch.Cleaning(min_score=score))
        rows[f"`--min-score {score}`"] = lambda number, strict=strict: strict[number].keypoints
    for name, way in rows.items():
        errors = Errors()
        for number, info, before, truth in each(dataset, truths):
            made = way(number)
            for hand, joints in HANDS.items():
                place = topology.parts[hand]
                errors.add(made[:, place], before[:, place], truth[:, joints], pixels(info))
        print(errors.row(name), flush=True)


def gaps(dataset: OutputDataset, truths: Truths) -> None:
    """Every gap of some frames that can be made between two frames with the hand, filled."""
    for gap in (1, 3, 8):
        errors = Errors()
        for _, info, before, truth in each(dataset, truths):
            for hand, joints in HANDS.items():
                place = dataset.topology.parts[hand]
                for start in range(1, len(before) - gap):
                    hidden = slice(start, start + gap)
                    holed = before.copy()
                    holed[hidden, place] = 0
                    made = fill_gaps(holed, dataset.topology, gap)
                    errors.add(made[hidden, place], holed[hidden, place], truth[hidden, joints], pixels(info))
        print(errors.row(f"gaps of {gap} made, `--fill {gap}`"), flush=True)


def rates(dataset: OutputDataset, truths: Truths) -> None:
    """Every second frame from its neighbours."""
    halved, stored = Errors(), Errors()
    for _, info, before, truth in each(dataset, truths):
        moments = np.arange(len(before))[::2].astype(float)
        made = at_rate(before[::2], dataset.topology, moments, 1.0, int(moments[-1]) + 1)
        odd = slice(1, len(made), 2)
        for hand, joints in HANDS.items():
            place = dataset.topology.parts[hand]
            halved.add(made[odd, place], made[odd, place], truth[odd, joints], pixels(info))
            stored.add(before[odd, place], before[odd, place], truth[odd, joints], pixels(info))
    print(stored.row("every second frame, as stored"))
    print(halved.row("the same by `--rate`, from the others"))


def normal(dataset: OutputDataset, truths: Truths) -> None:
    """Shoulder widths by the rendered shoulders, and by those that were found."""
    plain, by_clip = Errors(), Errors()
    for _, info, before, truth in each(dataset, truths):
        ends = truth[:, SHOULDERS]
        wide, middle = np.nanmean(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)), np.nanmean(ends, axis=(0, 1))
        made = normalised(before, dataset.topology, info.width or 0, info.height or 0)
        for hand, joints in HANDS.items():
            place = dataset.topology.parts[hand]
            plain.add(before[:, place], before[:, place], truth[:, joints] / wide, pixels(info) / wide)
            by_clip.add(made[:, place], before[:, place], (truth[:, joints] - middle) / wide, 1.0)
    print(plain.row("as stored, by the rendered shoulders", 3))
    print(by_clip.row("`--normalise`", 3))


def pixels(info: VideoInfo) -> np.ndarray:
    return np.array([info.width, info.height])


def truth_of(path: Path, name: str) -> np.ndarray:
    """The joints of a video: (T, 48, 2) pixels, pose 6, right hand 21, left hand 21; NaN outside the picture."""
    with np.load(path) as arrays:
        return arrays[name].astype(float)


if __name__ == "__main__":
    main()
