"""Exports without names: signers and videos have pseudonyms, and a key beside the export says which is which."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

from kpsbatch.errors import ConfigError
from kpsbatch.files import explained
from kpsbatch.store.cleaning import Cleaning
from kpsbatch.store.reading import OutputDataset, Sample, VideoInfo

Key = dict[tuple[str, str], str]
"""Pseudonyms by kind, `signer` or `video`, and name; a video's name has its file before it."""


@dataclass(frozen=True, eq=False)
class AnonymousDataset(OutputDataset):
    """The same videos, in the order of their pseudonyms.

    Attributes:
        of: The dataset with names.
        key: The pseudonyms.
    """

    of: OutputDataset
    key: Key = field(repr=False)

    @property
    def with_names(self) -> OutputDataset:
        """See `OutputDataset.with_names`."""
        return self.of

    def from_kept(self, points: str | Sequence[str]) -> OutputDataset:
        """See `OutputDataset.from_kept`."""
        return self._with(self.of.from_kept(points))

    def cleaned(self, cleaning: Cleaning) -> OutputDataset:
        """See `OutputDataset.cleaned`."""
        return self._with(self.of.cleaned(cleaning))

    def _with(self, of: OutputDataset) -> OutputDataset:
        return replace(self, of=of, _choice=of._choice)

    def samples(self, numbers: Iterable[int]) -> Iterator[Sample]:
        """See `OutputDataset.samples`."""
        for number in numbers:  # one by one: neighbours here are none in the outputs
            for sample in self.of.samples([self._places[number]]):
                yield replace(sample, info=self.videos[number])

    @cached_property
    def videos(self) -> tuple[VideoInfo, ...]:
        """What is known of each video, without a name of a person or a file."""
        return tuple(self._renamed(self.of.videos[place]) for place in self._places)

    @cached_property
    def _places(self) -> list[int]:
        """The place of each video among those that have names: the order of these would tell them."""
        new = [(info.split, info.signer, info.sign, info.video) for info in map(self._renamed, self.of.videos)]
        return sorted(range(len(new)), key=new.__getitem__)

    def _renamed(self, info: VideoInfo) -> VideoInfo:
        signer = self.key["signer", info.signer]
        path = Path(f"{signer}-{info.split}") / info.path.name
        return info._replace(signer=signer, video=self.key["video", _name_of(info)], path=path)


def anonymous(dataset: OutputDataset, destination: Path) -> tuple[AnonymousDataset, Path]:
    """A dataset without names, and the file of its key beside the export (mode 0600).

    A key that is there is used again, so that an export can be gone on with.

    Raises:
        ConfigError: The key of another export is there.
        OutputError: It can't be written.
    """
    path = destination.absolute().with_name(f"{destination.absolute().name}.key.csv")
    wanted = {("signer", info.signer) for info in dataset.videos}
    wanted |= {("video", _name_of(info)) for info in dataset.videos}
    with explained(path.parent, ""):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            key = _read(path)
        except FileNotFoundError:
            key = _draw(wanted)
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(("kind", "name", "pseudonym"))
            writer.writerows((kind, name, pseudonym) for (kind, name), pseudonym in sorted(key.items()))
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(text.getvalue().encode("utf-8", "surrogateescape"))
                os.fsync(file.fileno())
    if wanted != {*key}:
        raise ConfigError(f"{path} is the key of an export of other videos. Name a new folder, or remove both.")
    parts = {each.name: getattr(dataset, each.name) for each in fields(OutputDataset) if each.init}
    return AnonymousDataset(**parts, of=dataset, key=key), path


def _name_of(info: VideoInfo) -> str:
    return f"{info.path.parent.name}/{info.path.stem}/{info.video}"


def _draw(wanted: set[tuple[str, str]]) -> Key:
    """Numbers in random order."""
    key: Key = {}
    for kind in ("signer", "video"):
        names = sorted(name for each, name in wanted if each == kind)
        secrets.SystemRandom().shuffle(names)
        width = len(str(len(names)))
        key |= {(kind, name): f"{kind[0]}{number:0{width}}" for number, name in enumerate(names, 1)}
    return key


def _read(path: Path) -> Key:
    """The key that is there.

    Raises:
        OSError: It can't be read.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {(row[0], row[1]): row[2] for row in rows if len(row) == 3}
