"""Frames from a tree, a zip (stored, deflated) and a tar, on a warm cache: CPU seconds, the best of several turns.

python benchmarks/archive_frames.py FOLDER_OF_FRAME_FOLDERS
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

from kpsbatch.dataset.folders import Folders
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.source import open_folders
from kpsbatch.dataset.video import IMAGE_SUFFIXES, Video

TURNS = 7


def pack(tree: Path, path: Path, method: int) -> Path:
    """An archive of a tree."""
    if path.suffix == ".tar":
        with tarfile.open(path, "w") as archive:
            archive.add(tree, "")
    else:
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in sorted(tree.rglob("*")):
                archive.write(file, file.relative_to(tree))
    return path


def videos_in(folders: Folders, tree: Path) -> list[Video]:
    """A video for each folder of images of the tree, as the archive holds it."""
    found = {file.parent for file in tree.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES}
    return [Video(path.name, folders.root / path.relative_to(tree), index=folders.index) for path in sorted(found)]


def once(videos: list[Video], decode: bool) -> float:
    """CPU seconds, of the kernel's too, of reading all frames."""
    from kpsbatch.dataset import images

    real = images.decode_image
    images.decode_image = real if decode else lambda data, most, reduced: (None, "")  # type: ignore[assignment]
    try:
        started = time.process_time()
        for video in videos:
            for _ in read_frames(video, frame_rate=30, max_pixels=10**8):
                pass
        return time.process_time() - started
    finally:
        images.decode_image = real


def main() -> None:
    """Pack, then read in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    tree = parser.parse_args().tree.resolve()
    with tempfile.TemporaryDirectory() as name:
        places = {"tree": tree}
        for file, method in (("stored.zip", 0), ("deflated.zip", 8), ("data.tar", 0)):
            places[file] = pack(tree, Path(name) / file, method)
        videos = {what: videos_in(open_folders(place, Path(name)), tree) for what, place in places.items()}
        times: dict[tuple[str, bool], float] = {}
        for _ in range(TURNS):
            for decode in (False, True):
                for what in places:
                    times[what, decode] = min(times.get((what, decode), 99.0), once(videos[what], decode))
    print(f"{len(videos['tree'])} videos")
    for what in places:
        read, both = times[what, False], times[what, True]
        of_tree = f"{read / times['tree', False]:.2f} and {both / times['tree', True]:.2f} of the tree's"
        print(f"{what:<14} reading {read:.3f} s, with decoding {both:.3f} s: {of_tree}")


if __name__ == "__main__":
    main()
