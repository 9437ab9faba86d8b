"""Which videos are meant: of one npz, of a config's outputs, or of a folder with outputs; and the same in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from kpsbatch.config import Config, format_signs
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import INTERNAL
from kpsbatch.store.npz import video_names
from kpsbatch.store.outputs import records_of
from kpsbatch.store.reading import find_outputs
from kpsbatch.store.records import RECORD_SUFFIXES, UnitRecord
from kpsbatch.stored import read_stored
from kpsbatch.words import some_of

SHOWN_NAMES = 6
MAX_CLIPS = 12
"""Videos on a player's page."""


class Candidate(NamedTuple):
    """One video that could be shown: its file, its key there, its unit where a config is known, and why it failed."""

    path: Path
    video: str
    unit: Unit | None = None
    error: str = ""

    @property
    def label(self) -> str:
        """Folder, file and video: `01-train/0007: take (2)`; the video alone where the file has its name."""
        return self.video if self.path.stem == self.video else f"{self.path.parent.name}/{self.path.stem}: {self.video}"


Output = tuple[Path, Optional[Unit]]
"""An npz, and its unit where a config is known."""


def choose_one(source: Path | Config, video: str | None = None) -> Candidate:
    """The one video that is meant.

    Args:
        source: An npz, a folder with npz files, or a config.
        video: Its name, or a part of `01-train/0007: name` that no other has; default: the first.

    Raises:
        OutputError: There is no output; no video fits, or several do; or it failed, and why.
    """
    outputs = outputs_of(source, may_be_none=True)
    failed = list(failed_videos(source))
    if video is None:
        if outputs:
            path, unit = outputs[0]
            return Candidate(path, video_names(path)[0], unit)
        raise failed_error(failed) if failed else no_output(source)
    fitting, failing = find_videos(outputs, video), _fitting(failed, video)
    if len(fitting) == 1 and (not failing or fitting[0].video == video):
        return fitting[0]
    if failing and not fitting:
        raise failed_error(failing)
    if not fitting:
        raise no_video(outputs, video) if outputs else no_output(source)
    labels = [*(video.label for video in fitting), *(f"{video.label} (failed)" for video in failing)]
    raise OutputError(
        f"--video: {video!r} fits {len(labels)} videos: {_listed(labels)}. Name one of them so that no other fits, "
        "or narrow it down with --signers, --splits and --signs."
    )


def candidates(source: Path | Config, video: str | None = None) -> tuple[list[Candidate], str]:
    """The videos to show, at most `MAX_CLIPS`, and in words of how many others, "" where all are shown.

    Args:
        source: An npz, a folder with npz files, or a config.
        video: The name of a video or a part of `01-train/0007: name`; default: spread evenly over all files.

    Raises:
        OutputError: There is no output, or no such video.
    """
    if video is not None:
        outputs = outputs_of(source, may_be_none=True)
        fitting = find_videos(outputs, video)
        if not fitting:
            choose_one(source, video)  # tells why
        return fitting[:MAX_CLIPS], f"{len(fitting)} that fit" if len(fitting) > MAX_CLIPS else ""
    files = outputs_of(source)
    chosen = [files[number] for number in sorted(spread(len(files), MAX_CLIPS))]
    each = -(-MAX_CLIPS // len(chosen))
    names = {path: video_names(path) for path, _ in chosen}
    chosen_videos = [Candidate(path, name, unit) for path, unit in chosen for name in names[path][:each]]
    count = sum(map(len, names.values()))
    rest = f"{len(files)} files" if len(files) > len(chosen) else f"{count} videos" if count > MAX_CLIPS else ""
    return chosen_videos[:MAX_CLIPS], rest


def find_videos(outputs: Sequence[Output], video: str) -> list[Candidate]:
    """The videos of some outputs that have this name; else those with a part of it in their label."""
    return _fitting(_videos_in(outputs), video)


def _videos_in(outputs: Sequence[Output]) -> list[Candidate]:
    return [Candidate(path, name, unit) for path, unit in outputs for name in video_names(path)]


def _fitting(videos: Sequence[Candidate], video: str) -> list[Candidate]:
    exact = [candidate for candidate in videos if video in (candidate.video, candidate.label)]
    return exact or [candidate for candidate in videos if video in candidate.label]


def no_video(outputs: Sequence[Output], video: str) -> OutputError:
    """The error to raise where no video has a name, with those that there are."""
    labels = [candidate.label for candidate in _videos_in(outputs)]
    return OutputError(f"--video: no video fits {video!r}. Choose among {_listed(labels)}.")


def failed_error(failed: Sequence[Candidate]) -> OutputError:
    """The error to raise where a video is meant that failed."""
    first = failed[0]
    more = f" So did {len(failed) - 1} more." if len(failed) > 1 else ""
    return OutputError(
        f"{first.label} failed, so that it has no keypoints: {first.error.rstrip('.')}.{more} Fix the data, then run "
        "again with --retry-failed."
    )


def no_output(source: Path | Config) -> OutputError:
    """The error to raise where there is no output, with the signs of which there are some."""
    if not isinstance(source, Config):
        return OutputError(f"{source} holds no output. Name the folder that a run wrote, or one npz.")
    try:
        signs = {unit.sign for unit, _ in find_outputs(source.output.root)}
    except OutputError:
        signs = set()
    if signs:
        shown = format_signs(signs)
        return OutputError(f"{source.output.root} holds no output of what is selected. Signs with an output: {shown}.")
    return OutputError(f"{source.output.root} holds no output. Run the config first.")


def _listed(labels: Sequence[str]) -> str:
    return some_of([*map(repr, labels)], SHOWN_NAMES)


def outputs_of(source: Path | Config, *, may_be_none: bool = False) -> list[Output]:
    """The npz files of a source, in the order of the config or of their names.

    Raises:
        OutputError: There are none, and there must be.
    """
    if isinstance(source, Config):
        outputs = _outputs_of_config(source)
    elif source.is_dir():
        inside = sorted(path for path in source.rglob("*.npz") if not _is_internal(path.relative_to(source)))
        outputs = [(path, None) for path in inside]
    elif source.exists():
        return [(source, None)]
    else:
        raise OutputError(f"{source} does not exist. Name an npz, a config, or a folder with outputs.")
    if not outputs and not may_be_none:
        raise no_output(source)
    return outputs


def _outputs_of_config(config: Config) -> list[Output]:
    try:
        chosen = [(unit, path) for unit, path in find_outputs(config.output.root) if _is_selected(config, unit)]
    except OutputError:
        return []
    return [(path, unit) for unit, path in sorted(chosen, key=lambda output: _order(config, output[0]))]


def _is_selected(config: Config, unit: Unit) -> bool:
    dataset = config.dataset
    chosen = ((dataset.signers, unit.signer), (dataset.splits, unit.split), (dataset.signs, unit.sign))
    return all(not values or value in values for values, value in chosen)


def _order(config: Config, unit: Unit) -> tuple[int, int, Unit]:
    """Signers and splits as the config names them."""
    signers, splits = list(config.dataset.signers), list(config.dataset.splits)
    return (signers.index(unit.signer) if signers else 0, splits.index(unit.split) if splits else 0, unit)


def _is_internal(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def failed_videos(source: Path | Config) -> Iterator[Candidate]:
    """The videos that failed, by their records; none where there are no records."""
    config = source if isinstance(source, Config) else None
    for path in _records_of_failures(source):
        record = read_stored(path, UnitRecord)
        if record is None or record.unit is None:
            continue
        unit = record.unit.unit
        if config is None or _is_selected(config, unit):
            npz = path.parents[4] / f"{unit.name}.npz"
            for name, video in record.failed.items():
                yield Candidate(npz, name, unit if config is not None else None, video.error)


def _records_of_failures(source: Path | Config) -> Iterator[Path]:
    if isinstance(source, Config):
        root = source.output.root
    elif source.is_dir():
        root = source
    else:
        yield from records_of(source.absolute().parent.parent, f"{source.absolute().parent.name}/{source.stem}")
        return
    for suffix, state in RECORD_SUFFIXES.items():
        if state != "complete":
            yield from sorted((root / INTERNAL / "records").glob(f"*/*/*{suffix}"))


def spread(length: int, count: int) -> set[int]:
    """At most `count` numbers below `length`, evenly spread, the first and the last among them."""
    return set(np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int)).tolist())


def counterpart(candidate: Candidate, other: Path) -> Candidate | None:
    """The same video in another output: by file and name in a folder; by name, or the only one, in an npz.

    Raises:
        OutputError: The npz can't be read.
    """
    for path in _same_file(candidate, other):
        names = video_names(path)
        if candidate.video in names:
            return Candidate(path, candidate.video)
        if len(names) == 1:
            return Candidate(path, names[0])
    return None


def _same_file(candidate: Candidate, other: Path) -> Iterator[Path]:
    if not other.is_dir():
        yield other
        return
    name = candidate.path.name
    yield from (path for path in (other / candidate.path.parent.name / name, other / name) if path.is_file())


def pair_up(shown: Sequence[Candidate], other: Path) -> list[Candidate | None]:
    """The counterpart of each video.

    Raises:
        OutputError: None of them has one.
    """
    if not other.exists():
        raise OutputError(f"--compare: {other} does not exist. Name an npz or a folder with outputs.")
    pairs = [counterpart(candidate, other) for candidate in shown]
    if not any(pairs):
        raise OutputError(f"--compare: {other} holds none of the videos shown, such as {shown[0].label!r}.")
    return pairs
