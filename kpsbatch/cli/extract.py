"""`kpsbatch extract`: keypoints of one's own clips."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kpsbatch.cli.options import NoPictures, Quiet, flag
from kpsbatch.cli.selection import ADJUSTED, Overrides
from kpsbatch.config import make_config
from kpsbatch.errors import printable
from kpsbatch.pictures.clip import MAX_CLIPS, Candidate
from kpsbatch.pictures.player import view_page, write_page
from kpsbatch.progress import count_progress
from kpsbatch.words import counted
from kpsbatch.work.clips import DoneClip, extract_clips, find_clips
from kpsbatch.work.signals import stop_on_signals

PAGE = "view.html"


def extract(
    clips: Annotated[
        list[Path], typer.Argument(metavar="CLIP", help="Video files, folders of frames, or folders of video files.")
    ],
    folder: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the outputs.")] = Path(
        "keypoints"
    ),
    no_pictures: NoPictures = False,
    adjusted: Annotated[bool, flag("--adjusted", help=f"Short for --set {ADJUSTED}.")] = False,
    quiet: Quiet = False,
    overrides: Overrides = None,
) -> None:
    """Compute the keypoints of your own videos: an npz for each, and a page that plays them."""
    found = find_clips(clips)
    config = make_config(_tree(folder), [*(overrides or ()), *([ADJUSTED] if adjusted else ())], base=Path.cwd())
    done: list[DoneClip] = []

    def tell(clip: DoneClip) -> None:
        done.append(clip)
        if clip.problem:
            print(f"kpsbatch: {printable(f'{clip.clip}: {clip.problem}')}", file=sys.stderr)

    with stop_on_signals() as stop, count_progress("frames", quiet=quiet) as show:
        extract_clips(found, config, on_clip=tell, on_frames=show, stop_reason=stop)
    good = [clip for clip in done if clip.facts is not None]
    for clip in sorted(good, key=lambda clip: list(found.values()).index(clip.clip)):
        print(printable(_line(clip, folder)))
    if good:
        print(_write_page([clip.npz for clip in good], folder / PAGE, pictures=not no_pictures))
    if len(good) < len(done):
        print(f"{counted(len(done) - len(good), 'clip')} of {len(done)} failed")
        raise typer.Exit(1)


def _tree(folder: Path) -> dict[str, Any]:
    """A config for clips; its dataset is not read."""
    dataset = {"root": "/dev/null", "signers": ["-"], "splits": ["-"], "signs": "1"}
    return {"dataset": dataset, "output": {"root": str(folder)}}


def _line(clip: DoneClip, folder: Path) -> str:
    """What came out of a clip."""
    facts = clip.facts
    assert facts is not None
    shares: dict[str, int] = {part: facts.found.of(part) for part in ("pose", "face") if part in facts.how}
    if any(part.endswith("_hand") for part in facts.how):
        shares["any hand"] = facts.hands.both + facts.hands.one
    found = ", ".join(f"{name} {100 * count // facts.frames}%" for name, count in shares.items())
    return f"{folder / clip.npz.name}: {counted(facts.frames, 'frame')}, {found} ({facts.seconds.total:.1f} s)"


def _write_page(outputs: list[Path], page: Path, *, pictures: bool) -> str:
    """Write the page that plays them; tells where it is."""
    shown = [Candidate(path, path.stem) for path in sorted(outputs)[:MAX_CLIPS]]
    size = write_page(page, view_page(shown, pictures=pictures))
    some = f"{len(shown)} of {len(outputs)} videos" if len(outputs) > len(shown) else counted(len(shown), "video")
    return f"view: {page} ({size / 1e6:.1f} MB, {some})"
