"""`extract`: one's own clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from kpsbatch.cli.options import Jobs, NoPictures, Quiet, flag
from kpsbatch.cli.selection import ADJUSTED, Overrides
from kpsbatch.config import ALL_PEOPLE
from kpsbatch.errors import ConfigError, KpsbatchError, OutputError, printable
from kpsbatch.export.beside import without_pose, write_pose_beside
from kpsbatch.pictures.clip import MAX_CLIPS, Candidate, clip_of_file
from kpsbatch.pictures.player import view_page, write_page
from kpsbatch.pictures.preview import write_doubts
from kpsbatch.privacy import privacy_of
from kpsbatch.progress import count_progress
from kpsbatch.words import counted, say
from kpsbatch.work.clips import DoneClip, config_of_clips, extract_clips, find_clips
from kpsbatch.work.signals import stop_on_signals

if TYPE_CHECKING:
    from kpsbatch.landmarks.facts import VideoFacts

PAGE = "view.html"

MOST_DOUBTS = 3
"""Of a clip, that are printed: a long one can have a shot in each minute."""


def extract(
    clips: Annotated[
        list[Path], typer.Argument(metavar="CLIP", help="Video files, folders of frames, or folders of video files.")
    ],
    folder: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the outputs.")] = Path(
        "keypoints"
    ),
    no_pictures: NoPictures = False,
    adjusted: Annotated[bool, flag("--adjusted", help=f"Short for --set {ADJUSTED}.")] = False,
    person: Annotated[
        Optional[str],
        typer.Option(
            metavar="WHO",
            help="Who the signer is, of several: left, right, largest, x=0.3, a number from the left; all of them.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Also look into the folders of folders.", show_default=False)
    ] = False,
    to: Annotated[
        Optional[str],
        typer.Option(
            "--to", metavar="pose", help="Also write NAME.pose beside each clip; clips that have it are left out."
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    overrides: Overrides = None,
) -> None:
    """Compute the keypoints of your own videos: an npz for each, and a page that plays them."""
    chosen = [] if person is None else [f"dataset.person={person}"]
    chosen += [] if jobs is None else [f"run.workers={jobs}"]
    config = config_of_clips(folder, [*(overrides or ()), *chosen, *([ADJUSTED] if adjusted else ())])
    if to is not None and config.dataset.person == ALL_PEOPLE:
        raise ConfigError("a .pose file has one person, so --to pose can not be used with --person all. Leave one out.")
    named = find_clips(
        clips, on_passed=lambda text: say(f"kpsbatch: {printable(text)}", error=True), recursive=recursive
    )
    if to is not None:
        total, named = len(named), without_pose(named, to)
        if there := total - len(named):
            say(f"{counted(there, 'clip')} of {total} {'has' if there == 1 else 'have'} a .pose file already")
        if not named:
            return
    privacy = privacy_of(config)
    done: list[DoneClip] = []

    def tell(clip: DoneClip) -> None:
        if to is not None and not clip.problem:
            try:
                write_pose_beside(clip.clip, clip.npz)
            except OutputError as error:
                clip = clip._replace(facts={}, problem=str(error))
        done.append(clip)
        if clip.problem:
            say(f"kpsbatch: {printable(f'{clip.clip}: {clip.problem}')}", error=True)
        for facts in list(clip.facts.values())[:1]:
            for problem, odd in facts.odd_frames.items():
                say(f"kpsbatch: {printable(f'{clip.clip}: {odd.count} x {problem}, first {odd.first}')}", error=True)
        for facts in clip.facts.values():
            for doubt in facts.doubts[:MOST_DOUBTS]:
                say(f"kpsbatch: {printable(f'{clip.clip}: who signs is in doubt: {doubt}')}", error=True)
            if (more := len(facts.doubts) - MOST_DOUBTS) > 0:
                say(f"kpsbatch: {printable(str(clip.clip))}: {counted(more, 'doubt')} more, in its record", error=True)

    with stop_on_signals() as stop, count_progress("frames", quiet=quiet) as show:
        extract_clips(named, config, on_clip=tell, on_frames=show, stop_reason=stop)
    good = [clip for clip in done if clip.facts]
    for clip in sorted(good, key=lambda clip: list(named.values()).index(clip.clip)):
        for key, facts in clip.facts.items() if clip.is_new else ():
            of_whom = "" if key == clip.npz.stem else f" {key}"
            say(printable(f"{folder / clip.npz.name}{of_whom}: {_line(facts)}"))
    if there := sum(not clip.is_new for clip in good):
        say(f"{counted(there, 'clip')} done already")
    if good:
        read = [clip.clip for clip in good] if privacy.pictures and not no_pictures else []
        for clip in good if read else ():
            _write_doubts(clip, folder)
        say(
            _write_page(
                [(clip.npz, key) for clip in good for key in clip.facts],
                folder / PAGE,
                pictures_from=read,
                names=privacy.names,
            )
        )
    if len(good) < len(done):
        say(f"{counted(len(done) - len(good), 'clip')} of {len(done)} failed")
        raise typer.Exit(1)


def _line(facts: VideoFacts) -> str:
    """What came out of a clip."""
    shares: dict[str, int] = {part: facts.found.of(part) for part in ("pose", "face") if part in facts.how}
    if any(part.endswith("_hand") for part in facts.how):
        shares["any hand"] = facts.hands.both + facts.hands.one
    found = ", ".join(f"{name} {100 * count // facts.frames}%" for name, count in shares.items())
    return f"{counted(facts.frames, 'frame')}, {found} ({facts.seconds.total:.1f} s)"


def _write_doubts(clip: DoneClip, folder: Path) -> None:
    """Write a picture beside the npz for each person of a new clip of whom it is in doubt whether they sign."""
    for key, facts in clip.facts.items() if clip.is_new else ():
        if facts.doubts:
            picture = folder / f"{key}.doubt.png"
            try:
                write_doubts(clip_of_file(clip.npz, key, clip.clip), facts, picture)
                say(printable(f"who signs is in doubt: {picture}"))
            except KpsbatchError as error:
                say(f"kpsbatch: {printable(f'{picture} is not drawn: {error}')}", error=True)


def _write_page(outputs: list[tuple[Path, str]], page: Path, *, pictures_from: list[Path], names: bool) -> str:
    """Write the page that plays them; tells where it is."""
    shown = [Candidate(path, key) for path, key in sorted(outputs)[:MAX_CLIPS]]
    size = write_page(page, view_page(shown, pictures=bool(pictures_from), pictures_from=pictures_from, names=names))
    what = ("video", "videos") if len({path for path, _ in outputs}) == len(outputs) else ("person", "people")
    some = f"{len(shown)} of {len(outputs)} {what[1]}" if len(outputs) > len(shown) else counted(len(shown), *what)
    return f"view: {page} ({size / 1e6:.1f} MB, {some})"
