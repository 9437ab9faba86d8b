"""Reading a video that is a folder of image files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.storage import with_retries
from kpsbatch.dataset.video import IMAGE_SUFFIXES, natural_key
from kpsbatch.errors import DatasetError


class StoredFrames(NamedTuple):
    """The frames of a folder, on disk or elsewhere: what lists their names, and what reads one."""

    names: Callable[[], list[str]]
    read: Callable[[str], bytes]

    @classmethod
    def of(cls, folder: Path) -> StoredFrames:
        """Those of a folder on disk."""
        return cls(lambda: list_frames(folder), lambda name: (folder / name).read_bytes())


def list_frames(folder: Path) -> list[str]:
    """Names of the frames in a folder, in natural order; other files are passed over.

    Raises:
        OSError: The folder can't be listed.
    """
    return sorted(filter(is_frame, os.listdir(folder)), key=natural_key)


def is_frame(name: str) -> bool:
    """Whether a file of this name is a frame."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def read_frame_folder(
    folder: Path, *, frame_rate: float, max_pixels: int, reduced: bool = False, stored: StoredFrames | None = None
) -> Iterator[Frame]:
    """Read the frames of a folder in natural order of their names, decoding as it goes.

    Args:
        folder: The folder.
        frame_rate: Its frames a second.
        max_pixels: Larger frames are not decoded.
        reduced: Decode large JPEG frames at a reduced scale (`decode_image`).
        stored: Where its frames are, if not in the folder at `folder`.

    Raises:
        DatasetError: The folder can't be listed or has no frame, or storage goes on failing.
    """
    from kpsbatch.dataset.images import decode_image

    stored = stored or StoredFrames.of(folder)
    try:
        names = with_retries(folder, stored.names)
    except OSError as error:
        raise DatasetError(f"{folder}: can't be read: {error.strerror}. Correct its permissions.") from None
    if not names:
        raise DatasetError(
            f"{folder}: has no frame. Put image files ({', '.join(IMAGE_SUFFIXES)}) there, or remove the folder."
        )
    for index, name in enumerate(names):
        time = index * 1000 / frame_rate
        try:
            data = with_retries(folder / name, partial(stored.read, name))
            image, problem = decode_image(data, max_pixels, reduced=reduced)
        except OSError as error:
            image, problem = None, f"can't be read: {error.strerror}"
        yield Frame(image, round(time), name, problem, time, frame_rate)
