"""How true landmarks are, measured alike for every mode, for the plain way and for legacy Holistic.

    python benchmarks/quality.py CLIP... [--modes image,clip,plain,holistic] [--json FILE] [--sheet DIR]
    python benchmarks/quality.py --demo DIR [--modes image,clip]      against rendered joints
    python benchmarks/quality.py --truths DATA [--only NAME,...]      the signer in every frame, by eye; exit 1 if not

A CLIP is a video file, a folder of frames, or a folder that holds many of them (KArSL's tree), which count together.
`--sheet` draws every hand that was looked for again, and every one that MediaPipe alone does not find in its frame, for
the eye. benchmarks/QUALITY.md explains each measure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import quality_demo
import quality_sheets
import quality_truths
from clips import Clip, read_clips
from mediapipe_landmarkers import close_landmarkers
from quality_measures import measure, summarise
from quality_ways import MODES, Reference, Result, open_way

WAYS = ("image", "clip", "plain", "holistic")
COLUMNS = {
    "frames": "{:.0f}",
    "own_face": "{:.3f}",
    "other_face": "{:.0f}",
    "raised_recall": "{:.3f}",
    "seen_recall": "{:.3f}",
    "hands": "{:.0f}",
    "outside": "{:.0f}",
    "stray": "{:.0f}",
    "twice": "{:.0f}",
    "switches": "{:.0f}",
    "looked_again": "{:.0f}",
    "jitter": "{:.2%}",
    "lag": "{:+.2f}",
    "cpu_ms": "{:.1f}",
}


def open_ways(names: list[str], holistic_python: str) -> dict[str, Callable[[Clip], Result]]:
    """The ways that there are; says which are not."""
    ways = {}
    for name in names:
        try:
            ways[name] = open_way(name, holistic_python)
        except ValueError as error:
            print(f"{name} is left out: {' '.join(str(error).split())[:160]}", file=sys.stderr)
    return ways


def load_poses(clip: Clip, reference: Callable[[Clip], np.ndarray], keep: Path | None) -> np.ndarray:
    """The reference of a clip, from the folder `keep` if it is there."""
    if keep is None:
        return reference(clip)
    keep.mkdir(parents=True, exist_ok=True)
    pixels = sum(int(frame.image.sum()) for frame in clip.frames)
    path = keep / f"{clip.name}-{len(clip.frames)}-{pixels}.npy"
    if not path.exists():
        np.save(path, reference(clip))
    return np.load(path)


def measure_clip(clip: Clip, made: Mapping[str, Result], poses: np.ndarray) -> dict[str, Counter]:
    image = made["image"].keypoints if "image" in made else None
    sums = {}
    for name, result in made.items():
        sums[name] = measure(result.keypoints, poses, clip.size, image)
        sums[name]["cpu"] = result.cpu
        sums[name]["looked_again"] = sum(result.how.get(part, "").count("l") for part in ("right_hand", "left_hand"))
    return sums


def print_table(groups: Mapping[str, Mapping[str, Counter]]) -> None:
    print(f"| clips | way | {' | '.join(name.replace('_', ' ') for name in COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for group, ways in groups.items():
        for way, counts in ways.items():
            figures = summarise(counts)
            cells = ["-" if figures[name] is None else form.format(figures[name]) for name, form in COLUMNS.items()]
            print(f"| {group} | {way} | {' | '.join(cells)} |")
    counts = next(iter(groups["all"].values()))
    print(
        f"\nreference: {counts['frames'] - counts['referenced']:.0f} of {counts['frames']:.0f} frames have none; "
        f"{counts['heads']:.0f} heads in the picture, {counts['raised']:.0f} raised wrists, {counts['seen']:.0f} hands "
        "that can be seen"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--modes", default=",".join(WAYS), help=f"of {', '.join(WAYS)}; lag needs image")
    parser.add_argument("--swap-channels", default="", help="names of clips whose red and blue are exchanged")
    parser.add_argument(
        "--signer", type=float, help="where the signer stands, 0 (left) to 1, if truths.json does not say it"
    )
    parser.add_argument("--holistic-python", default=sys.executable, help="a Python with mediapipe 0.10.21")
    parser.add_argument("--demo", type=Path, metavar="DIR", help="the demo dataset; made if need be")
    parser.add_argument("--truths", type=Path, metavar="DATA", help="the folder of the clips that truths.json names")
    parser.add_argument("--only", default="", help="with --truths: names of clips and compositions")
    parser.add_argument("--sheet", type=Path, metavar="DIR", help="for the contact sheets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the figures of every clip and group")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keeps references for the next time")
    arguments = parser.parse_args()
    names = arguments.modes.split(",")
    if unknown := [name for name in names if name not in WAYS]:
        parser.error(f"--modes knows {', '.join(WAYS)} (got {', '.join(unknown)})")
    ways = open_ways([name for name in names if not arguments.truths or name in MODES], arguments.holistic_python)
    figures: dict[str, object] = {}
    if arguments.demo:
        figures["demo"] = quality_demo.measure_demo(arguments.demo, ways)
    bad = []
    if arguments.truths:
        only = [name for name in arguments.only.split(",") if name]
        figures["truths"] = truths = quality_truths.measure_truths(arguments.truths, ways, only)
        bad = quality_truths.failures(truths)
    if arguments.clips:
        figures |= measure_all(arguments, ways)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    close_landmarkers()
    if bad:
        raise SystemExit(f"not the signer alone in every frame: {'; '.join(bad)}")


def measure_all(arguments: argparse.Namespace, ways: Mapping[str, Callable[[Clip], Result]]) -> dict[str, object]:
    reference = Reference()
    groups: dict[str, dict[str, Counter]] = defaultdict(lambda: defaultdict(Counter))
    each = {}
    sheets = quality_sheets.Sheets(arguments.sheet) if arguments.sheet else None
    swapped = arguments.swap_channels.split(",")
    for path in arguments.clips:
        for clip in read_clips(path, swapped):
            seen = quality_truths.signer_of(clip.name) if arguments.signer is None else arguments.signer
            poses = load_poses(clip, partial(reference, signer=seen), arguments.keep)
            made = {name: way(clip) for name, way in ways.items()}
            sums = measure_clip(clip, made, poses)
            each[f"{clip.group}/{clip.name}"] = {name: summarise(counts) for name, counts in sums.items()}
            for name, counts in sums.items():
                groups[clip.group][name].update(counts)
                groups["all"][name].update(counts)
            if sheets:
                sheets.add(clip, made)
            print(f"{clip.group} {clip.name}: {len(clip.frames)} frames", file=sys.stderr)
    if sheets:
        sheets.finish()
    groups["all"] = groups.pop("all")
    print_table(groups)
    return {
        "clips": each,
        "groups": {g: {name: summarise(counts) for name, counts in ways.items()} for g, ways in groups.items()},
    }


if __name__ == "__main__":
    main()
