"""Keypoints and runs in pictures: `view`, `report`, `preview`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.cli.options import NoPictures, Quiet, flag
from kpsbatch.cli.selection import ConfigFile, RunSelection, Source, Video
from kpsbatch.config import Config
from kpsbatch.errors import ConfigError
from kpsbatch.pictures.clip import MAX_CLIPS, candidates, choose_one, clip_of_file, clip_of_unit
from kpsbatch.pictures.player import check_page, view_page, write_page
from kpsbatch.pictures.preview import check_picture, write_preview
from kpsbatch.pictures.report.gather import gather
from kpsbatch.pictures.report.names import without_names
from kpsbatch.pictures.report.view import render, view_of
from kpsbatch.privacy import privacy_of
from kpsbatch.progress import count_progress
from kpsbatch.words import counted, say

REPORT = "report.html"
PicturesFrom = Annotated[
    Optional[Path], typer.Option(metavar="DIR", help="Without a config: show pictures of videos below this folder.")
]


def view(
    source: Source,
    page: Annotated[Optional[Path], typer.Option("--output", "-o", metavar="FILE", help="Where to, an .html.")] = None,
    video: Video = None,
    compare: Annotated[
        Optional[Path], typer.Option(metavar="NPZ|OUT", help="Compare with the same videos in another output.")
    ] = None,
    everything: Annotated[
        bool, flag("--all", help="All videos, not some of them; of many, the data lie in a folder beside the page.")
    ] = False,
    pictures_from: PicturesFrom = None,
    no_pictures: NoPictures = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page that plays keypoints over their video: slow, frame by frame, two outputs compared."""
    check_page(page)
    opened = source.open()
    config = None if isinstance(opened, Path) else opened
    if compare is not None and compare.suffix.lower() in (".yaml", ".yml"):
        compare = ConfigFile(compare).load().output.root
    privacy = privacy_of(config)
    shown, rest = candidates(opened, video, sys.maxsize if everything else MAX_CLIPS)
    page = page or Path(f"view-{_default_name(source.config)}.html" if privacy.names else "view.html")
    with count_progress("clips packed", quiet=quiet) as show:
        html = view_page(
            shown,
            beside=page.with_name(f"{page.stem}-data"),
            config=config,
            adjusted=source.adjusted,
            compare=compare,
            pictures=privacy.pictures and not no_pictures,
            pictures_from=_named(pictures_from, config),
            names=privacy.names,
            on_clip=show,
        )
    size = write_page(page, html)
    counts = counted(len(shown), "video") + (f" of {rest}; --all or --video shows others" if rest else "")
    say(f"view: {page} ({size / 1e6:.1f} MB, {counts})")


def _named(pictures_from: Path | None, config: Config | None) -> list[Path]:
    """The folder that --pictures-from names, if it is named.

    Raises:
        ConfigError: It goes with a config, or is not there.
    """
    if pictures_from is None:
        return []
    if config is not None:
        raise ConfigError(
            "--pictures-from works only with an npz or a folder. Leave it out: a config names its dataset."
        )
    if not pictures_from.exists():
        raise ConfigError(f"--pictures-from: {pictures_from} does not exist. Correct the path.")
    return [pictures_from]


def _default_name(source: Path) -> str:
    """What a page about a source is called: `01-train-0007`, or the name of a config's or output's folder."""
    source = source.absolute()
    if source.suffix.lower() == ".npz":
        return f"{source.parent.name}-{source.stem}" if source.stem.isdecimal() else source.stem
    return source.name if source.is_dir() else f"{source.parent.name}-{source.stem}"


def report(
    selection: RunSelection,
    page: Annotated[
        Optional[Path],
        typer.Option("--output", "-o", metavar="FILE", help="Where to; default report.html in the output folder."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, max=500, help="Play so many of the worst videos, and half as many at random.")
    ] = 48,
    no_pictures: NoPictures = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page about a run: progress, detection rates, failures, samples. Reads files only."""
    check_page(page)
    config = selection.load()
    privacy = privacy_of(config)
    with count_progress("units read", quiet=quiet) as show:
        data = gather(config, show, on_index=show)
    if not privacy.names:
        data = without_names(data)
    with count_progress("videos drawn", quiet=quiet) as show:
        shown = view_of(
            config,
            data,
            config_path=selection.config,
            samples=samples,
            pictures=privacy.pictures and not no_pictures,
            on_sample=show,
        )
    page = page or config.output.root / REPORT
    size = write_page(page, render(shown))
    counts = f"{counted(len(data.each_video), 'video')} read, {len(data.failures):,} failed"
    say(f"report: {page} ({size / 1e6:.1f} MB: {counts}, {counted(len(data.units), 'unit')})")


def preview(
    source: Source,
    video: Video = None,
    picture: Annotated[
        Optional[Path],
        typer.Option(
            "--output", "-o", metavar="FILE", help=".png (a contact sheet), .webm, .mp4 or .gif (all frames)."
        ),
    ] = None,
    frames: Annotated[
        Optional[Path], typer.Option(metavar="PATH", help="Where the frames of an npz lie: a folder, or a video file.")
    ] = None,
    pictures_from: PicturesFrom = None,
    no_pictures: NoPictures = False,
    speed: Annotated[
        float, typer.Option(min=0.05, max=10, metavar="FACTOR", help="How fast it plays: 0.5 for half as fast.")
    ] = 1.0,
) -> None:
    """Draw the keypoints of a video on its frames. Adjusted coordinates go on an empty canvas."""
    if picture is not None or speed != 1:
        check_picture(picture or Path("preview.png"), speed)
    if frames is not None and source.config.suffix.lower() != ".npz":
        raise ConfigError("--frames works only with an npz. Leave it out: a run's outputs know where their frames are.")
    opened = source.open()
    privacy = privacy_of(None if isinstance(opened, Path) else opened)
    no_pictures = no_pictures or not privacy.pictures
    chosen = choose_one(opened, video)
    if isinstance(opened, Path):
        places = _named(pictures_from, None)
        look = {"adjusted": source.adjusted, "blank": no_pictures}
        clip = clip_of_file(chosen.path, chosen.video, frames, pictures_from=places, **look)
        if clip.note:
            say(f"kpsbatch: drawn without its frames: {clip.note}", error=True)
    else:
        _named(pictures_from, opened)
        assert chosen.unit is not None
        clip = clip_of_unit(opened, chosen.unit, chosen.video, adjusted=source.adjusted, blank=no_pictures)
    name = f"preview-{chosen.path.absolute().parent.name}-{chosen.path.stem}" if privacy.names else "preview"
    picture = picture or Path(f"{name}.png")
    drawn = write_preview(clip if privacy.names else replace(clip, title="video 1"), picture, speed)
    say(f"{clip.title} ({drawn} of {len(clip.keypoints)} frames)\npreview: {picture}")
