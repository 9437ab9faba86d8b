"""The claim of an output folder: settings and dataset of whoever wrote to it first, so that outputs never mix.

    <output root>/_kpsbatch/claim.json

A dataset is another one if it holds videos, but none of those that the folder has keypoints of: whatever a table names
by now, whichever signs are chosen, and wherever the dataset was moved.

Outputs of other settings are found by their records (`Outputs.refuse_foreign`). The claim covers the time before there
is any: of tasks that start at the same moment on nodes with different packages only one kind goes on.
"""

from __future__ import annotations

from pathlib import Path

from kpsbatch.dataset.reading import stored_size
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.video import Video
from kpsbatch.errors import OutputError
from kpsbatch.files import (
    INTERNAL,
    FileClock,
    create_json,
    explained,
    write_json,
)
from kpsbatch.store.classes import forget_classes
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.places import Place, SampledVideo, forget_places, note_place, read_places
from kpsbatch.store.records import UnitName, UnitRecord
from kpsbatch.store.run_state import LOST_SECONDS, read_runs, state_file
from kpsbatch.store.settings import Settings, differences
from kpsbatch.stored import Stored, escaped, read_stored

CLAIM_FORMAT = 1

SAMPLE = 20
"""Videos that stand for a dataset: looking for them takes a moment, on a slow file system too."""


class Claim(Stored):
    """Whose settings count: the run that claimed the folder, the fingerprint, and what it stands for."""

    format: int = CLAIM_FORMAT
    run: str
    fingerprint: str
    settings: Settings


def claim(outputs: Outputs, run: str, source: Source, *, overwrite: bool) -> None:
    """Claim the output folder for these settings and this dataset; the first to come wins, on any file system.

    A claim of others is taken over once no run with it is alive and it has no outputs.

    Args:
        outputs: The folder, which exists, and the settings.
        run: The run that claims it, whose state file is there.
        source: The dataset.
        overwrite: Whether outputs of other settings, or of another dataset, are no reason to refuse.

    Raises:
        OutputError: The folder belongs to other settings, or to another dataset; names what differs.
    """
    path = _claim_path(outputs)
    ours = outputs.fingerprint

    def tree() -> dict[str, object]:
        whose = {"format": CLAIM_FORMAT, "run": run, "fingerprint": ours.digest}
        return {**whose, "settings": ours.settings.tree()}

    with explained(outputs.root), outputs.lock():
        another = other_dataset(outputs, source)
        if not another and not path.exists() and create_json(path, tree()):
            _note_dataset(outputs, source)
            return
        theirs = read_stored(path, Claim)
        if another:
            live = theirs is not None and _is_live(outputs, path, theirs, run)
            if live or (outputs.has_records and not overwrite):
                raise mixed_datasets(outputs, another, source, live=live)
            outputs.set_aside(set(source.units()))
            forget_classes(outputs)
            forget_places(outputs)
            write_json(path, tree())
            _note_dataset(outputs, source)
            return
        if theirs is not None and theirs.fingerprint == ours.digest and theirs.settings.view == ours.settings.view:
            _note_dataset(outputs, source)
            return
        if not overwrite:
            outputs.refuse_foreign({})
        live = theirs is not None and _is_live(outputs, path, theirs, run)
        if theirs is not None and (live or (not overwrite and _has_just_stored(outputs, path, run))):
            when = "is" if live else "was just"
            differing = "; ".join(differences(theirs.settings, ours.settings)[:5])
            raise OutputError(
                f"{outputs.root}: another run {when} at work there with other settings: {differing}. Give all nodes "
                "the same kpsbatch, mediapipe, models and config, or choose another output.root"
                + ("." if live else f"; where its outputs were removed, wait {LOST_SECONDS / 60:g} minutes.")
            )
        write_json(path, tree())
        _note_dataset(outputs, source)


def mixed_datasets(outputs: Outputs, another: str, source: Source, *, live: bool = False) -> OutputError:
    """The error of a folder that belongs to another dataset, whose root is named."""
    ours = str(source.root)
    which = f"{another}; none of its videos is in {ours}" if another != ours else f"{ours} before its videos changed"
    remedy = "Choose another output.root." if live else "Choose another output.root, or replace them: --overwrite."
    return OutputError(f"{outputs.root} holds the keypoints of another dataset: {which}. {remedy}")


def other_dataset(outputs: Outputs, source: Source) -> str:
    """The root of another dataset that a folder belongs to; "" where it belongs to this one, or to none.

    The videos that were noted tell; where there are none, as in a folder of an earlier version, or the same root has
    none of them any more, the records do, which takes longer.

    Raises:
        OSError: The records can't be listed.
    """
    places = read_places(outputs)
    if any(_holds(source, place.root, video) for place in places for video in place.videos):
        return ""
    roots = [place.root for place in places if place.videos]
    if roots and escaped(str(source.root)) not in roots:
        return roots[0] if _has_videos(source) else ""
    root = next((place.root for place in places), "")
    for path in outputs.records.glob("*/*.json"):
        record = read_stored(path, UnitRecord)
        if record is None or record.unit is None or not record.videos:
            continue
        names = {video.name for video in source.listing(record.unit.unit).videos}
        if names & record.sources.keys():
            return ""
        root = root or record.dataset
    return root if root and _has_videos(source) else ""


def _claim_path(outputs: Outputs) -> Path:
    return outputs.root / INTERNAL / "claim.json"


def _note_dataset(outputs: Outputs, source: Source) -> None:
    """Note where the dataset lies, unless that is known."""
    root = escaped(str(source.root))
    if not any(place.root == root and place.videos for place in read_places(outputs)):
        note_place(outputs, _place_of(source))


def _place_of(source: Source) -> Place:
    """Where a dataset lies, with videos of units from all over it."""
    units = source.units()
    units = units[:: max(1, len(units) // SAMPLE)][: 2 * SAMPLE]
    sampled: list[SampledVideo] = []
    for unit in units:
        videos = source.listing(unit).videos
        share = max(1, SAMPLE // len(units))
        for video in videos[:: max(1, len(videos) // share)][:share]:
            path = video.path.relative_to(source.root).as_posix()
            name = UnitName(**unit._asdict())
            sampled.append(SampledVideo(unit=name, name=video.name, path=path, size=stored_size(video)))
    return Place(root=str(source.root), videos=tuple(sampled[:SAMPLE]))


def _holds(source: Source, root: str, sampled: SampledVideo) -> bool:
    """Whether a dataset holds a video: the same file, one at its path and of its size, or of its unit and name."""
    there, here = Path(root, sampled.path), source.root
    if there.is_relative_to(here) and _video_at(source, there.relative_to(here).as_posix()):
        return True
    videos = [_video_at(source, sampled.path)]
    videos += [video for video in source.listing(sampled.unit.unit).videos if video.name == sampled.name]
    return any(stored_size(video) == sampled.size for video in videos if video is not None)


def _video_at(source: Source, path: str) -> Video | None:
    """The file or folder at a path below a dataset's root."""
    folder, _, name = path.rpartition("/")
    if source.folders.index is None:
        there = source.root / path
        return Video(name, there, there.is_file()) if there.exists() else None
    try:
        entry = next((entry for entry in source.folders.entries(folder) if entry.name == name), None)
    except OSError:
        return None
    return Video(name, source.root / path, entry.kind == "file", source.folders.index) if entry is not None else None


def _has_videos(source: Source) -> bool:
    return any(source.presence(unit) == "videos" for unit in source.units())


def _is_live(outputs: Outputs, path: Path, theirs: Claim, run: str) -> bool:
    """Whether the run that claimed the folder, or any other with other settings, is at work."""
    runs = {state.run: state for state in read_runs(outputs.root) if state.run != run}
    age = FileClock(path.parent).age_of(path) or 0.0
    unseen = theirs.run != run and not state_file(outputs.root, theirs.run).exists()
    return (unseen and age < LOST_SECONDS) or any(
        state.is_running and (name == theirs.run or state.fingerprint not in ("", outputs.fingerprint.digest))
        for name, state in runs.items()
    )


def _has_just_stored(outputs: Outputs, path: Path, run: str) -> bool:
    """Whether a run with other settings has stored units, and may have until a moment ago: they may not be seen yet."""
    now = FileClock(path.parent).now
    return any(
        state.units_done and now - state.modified < LOST_SECONDS
        for state in read_runs(outputs.root)
        if state.run != run and state.fingerprint not in ("", outputs.fingerprint.digest)
    )
