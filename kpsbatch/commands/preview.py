"""`kpsbatch preview`: draw the keypoints of a video on its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from kpsbatch.commands.options import flag
from kpsbatch.commands.selection import ConfigFile, Overrides
from kpsbatch.errors import ConfigError


def preview(
    source: Annotated[Path, typer.Argument(metavar="CONFIG|NPZ", help="A config, or one output file.")],
    sign: Annotated[Optional[int], typer.Option(help="The sign; default the first with an output.")] = None,
    signer: Annotated[Optional[str], typer.Option(help="The signer.")] = None,
    split: Annotated[Optional[str], typer.Option(help="The split.")] = None,
    video: Annotated[Optional[str], typer.Option(help="The video, or a part of its name; default the first.")] = None,
    picture: Annotated[
        Optional[Path],
        typer.Option(
            "--output", "-o", metavar="FILE", help=".png (a contact sheet), .webm, .mp4 or .gif (all frames)."
        ),
    ] = None,
    frames: Annotated[
        Optional[Path], typer.Option(metavar="PATH", help="With an npz: its directory of frames or video file.")
    ] = None,
    blank: Annotated[bool, flag("--blank", help="Draw on an empty canvas.")] = False,
    speed: Annotated[
        float, typer.Option(min=0.05, max=10, metavar="FACTOR", help="How fast it plays: 0.5 for half as fast.")
    ] = 1.0,
    adjusted: Annotated[bool, flag("--adjusted", help="The coordinates are adjusted, however they look.")] = False,
    overrides: Overrides = None,
) -> None:
    """Draw the keypoints of a video on its frames. Adjusted coordinates go on an empty canvas."""
    from kpsbatch.dataset.labels import labels_of
    from kpsbatch.drawing.clip import choose_unit, clip_of_file, clip_of_unit
    from kpsbatch.drawing.encoders import check_picture, write_preview

    if picture is not None or speed != 1:
        check_picture(picture or Path("preview.png"), speed)
    if source.suffix.lower() == ".npz":
        if (sign, signer, split) != (None, None, None):
            raise ConfigError("--sign, --signer and --split go with a config. With an npz, use --video and --frames.")
        clip = clip_of_file(source, video, None if blank else frames, adjusted=adjusted)
        name = f"preview-{source.parent.name}-{source.stem}.png"
    else:
        if frames is not None:
            raise ConfigError("--frames goes with an npz. Leave it out: a config knows where its frames are.")
        config = ConfigFile(source, overrides).load()
        unit = choose_unit(config, sign, signer, split)
        labels = labels_of(config.dataset.labels)
        clip = clip_of_unit(config, unit, video, adjusted=adjusted, blank=blank, labels=labels)
        name = f"preview-{unit.folder}-{unit.sign:04}.png"
    picture = picture or Path(name)
    drawn = write_preview(clip, picture, speed)
    print(f"{clip.title} ({drawn} of {len(clip.keypoints)} frames)\npreview: {picture}")
