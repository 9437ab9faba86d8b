"""`kpsbatch preview`: draw the keypoints of a video on its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.commands.options import NoPictures
from kpsbatch.commands.selection import Source, Video
from kpsbatch.errors import ConfigError


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
    no_pictures: NoPictures = False,
    speed: Annotated[
        float, typer.Option(min=0.05, max=10, metavar="FACTOR", help="How fast it plays: 0.5 for half as fast.")
    ] = 1.0,
) -> None:
    """Draw the keypoints of a video on its frames. Adjusted coordinates go on an empty canvas."""
    from kpsbatch.pictures.choose import choose_one
    from kpsbatch.pictures.clip import clip_of_file, clip_of_unit
    from kpsbatch.pictures.preview import check_picture, write_preview

    if picture is not None or speed != 1:
        check_picture(picture or Path("preview.png"), speed)
    if frames is not None and source.config.suffix.lower() != ".npz":
        raise ConfigError("--frames goes with an npz. Leave it out: a run's outputs know where their frames are.")
    opened = source.open()
    chosen = choose_one(opened, video)
    if isinstance(opened, Path):
        clip = clip_of_file(chosen.path, chosen.video, frames, adjusted=source.adjusted, blank=no_pictures)
    else:
        from kpsbatch.dataset.labels import labels_of

        assert chosen.unit is not None
        labels = labels_of(opened.dataset.labels)
        clip = clip_of_unit(
            opened, chosen.unit, chosen.video, adjusted=source.adjusted, blank=no_pictures, labels=labels
        )
    picture = picture or Path(f"preview-{chosen.path.absolute().parent.name}-{chosen.path.stem}.png")
    drawn = write_preview(clip, picture, speed)
    print(f"{clip.title} ({drawn} of {len(clip.keypoints)} frames)\npreview: {picture}")
