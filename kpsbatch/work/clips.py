"""Keypoints of one's own clips: a pool over files, an npz and a record for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import NamedTuple

from kpsbatch.config import ALL_PEOPLE, Config, make_config
from kpsbatch.dataset.folders import problem_of_name
from kpsbatch.dataset.reading import video_info
from kpsbatch.dataset.video import (
    IMAGE_SUFFIXES,
    JPEG_SUFFIXES,
    UNREAD_SUFFIXES,
    VIDEO_SUFFIXES,
    Unit,
    Video,
    natural_key,
)
from kpsbatch.errors import ConfigError, DatasetError, InterruptedRun, KpsbatchError, OutputError
from kpsbatch.files import write_atomically, write_json
from kpsbatch.landmarks.extract import VideoKeypoints
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.landmarks.network_files import NetworkFiles, find_networks, models_of
from kpsbatch.store.npz import write_npz
from kpsbatch.store.records import ClipRecord, host_facts
from kpsbatch.stored import read_stored
from kpsbatch.words import counted, some_of, stopped
from kpsbatch.work.cores import worker_count, worker_memory
from kpsbatch.work.pool import executor_for
from kpsbatch.work.video_job import VideoJob, VideoTask
from kpsbatch.work.worker import Limits

TICK_SECONDS = 0.1
MOST_SHOWN = 5


class DoneClip(NamedTuple):
    """What became of a clip: its npz and what is known of each key in it, or why it failed."""

    clip: Path
    npz: Path
    facts: dict[str, VideoFacts]
    problem: str


def config_of_clips(folder: Path, overrides: Sequence[str]) -> Config:
    """The config for clips whose outputs go to a folder; it has no dataset.

    Raises:
        ConfigError: An override is unusable.
    """
    dataset = {"root": "/dev/null", "signers": ["-"], "splits": ["-"], "signs": "1"}
    output = {"root": str(folder), "keep": "contract"}
    return make_config({"dataset": dataset, "output": output}, overrides, base=Path.cwd())


def find_clips(paths: Sequence[Path], on_passed: Callable[[str], None] = lambda text: None) -> dict[str, Path]:
    """The clips that are meant, by the names that their outputs get.

    Args:
        paths: Video files, folders of frames, or folders of video files.
        on_passed: Called with what else is in such a folder, in one line.

    Raises:
        DatasetError: One does not exist, or holds neither.
        ConfigError: Two would have the same output.
    """
    clips: dict[str, Path] = {}
    for path in paths:
        for clip in _expanded(path, on_passed):
            name = clip.stem if clip.is_file() else os.path.basename(os.path.abspath(clip))
            if clips.setdefault(name, clip) != clip:
                raise ConfigError(
                    f"{clips[name]} and {clip} would both become {name}.npz. Extract them into two folders."
                )
    return clips


def _expanded(path: Path, on_passed: Callable[[str], None]) -> Iterator[Path]:
    if not path.exists():
        raise DatasetError(f"{path} does not exist. Name video files or folders of frames.")
    if path.is_file():
        yield path
        return
    try:
        names = sorted((entry.name for entry in path.iterdir() if not entry.name.startswith(".")), key=natural_key)
    except OSError as error:
        raise DatasetError(f"{path} can't be listed: {error.strerror}. Correct its permissions.") from None
    videos = [path / name for name in names if name.lower().endswith(VIDEO_SUFFIXES)]
    pictures = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES + JPEG_SUFFIXES + UNREAD_SUFFIXES)]
    if not videos and pictures:
        yield path
        return
    if not videos:
        raise DatasetError(f"{path} holds no frames and no videos. Name video files or folders of frames.")
    folders = [name for name in names if path / name not in videos and (path / name).is_dir()]
    for kind, passed in (("picture", pictures), ("folder", folders)):
        if passed:
            on_passed(f"{path}: {counted(len(passed), kind)} beside videos passed over: {some_of(passed, MOST_SHOWN)}")
    yield from videos


def extract_clips(
    clips: Mapping[str, Path],
    config: Config,
    *,
    on_clip: Callable[[DoneClip], None],
    on_frames: Callable[[int, int], None] = lambda done, total: None,
    stop_reason: Callable[[], str] = lambda: "",
) -> None:
    """Compute the keypoints of clips, several at a time, and write `NAME.npz` and `NAME.json` of each.

    Args:
        clips: By name; the name is also the key in the npz.
        config: Its `output.root` is where to; of `dataset` only `mirrored`, `person`, `frame_rate_out` count.
        on_clip: Called with every clip as soon as it is done or has failed.
        on_frames: Called with (frames done, frames in all, about) a few times a second.
        stop_reason: Called a few times a second; anything but "" ends it.

    Raises:
        ConfigError: A setting is one that only an earlier version computes.
        OutputError: The folder can't be written, or holds an npz of that name that was not made from a clip.
        ModelError: The workers can't load the models.
        InterruptedRun: `stop_reason` said so; the clips that are done are kept.
    """
    config.landmarks.refuse_removed()
    root = config.output.root
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{root} can't be made: {error.strerror}. Choose another -o.") from None
    unusable = {name: problem for name in clips if (problem := _problem_of_name(name, root))}
    for name in clips.keys() - unusable.keys():
        npz = root / f"{name}.npz"
        if npz.exists() and read_stored(npz.with_suffix(".json"), ClipRecord) is None:
            raise OutputError(f"{npz} exists and was not made by `kpsbatch extract`. Choose another -o.")
    for name, problem in unusable.items():
        on_clip(DoneClip(clips[name], root / f"{name}.npz", {}, problem))
    clips = {name: clip for name, clip in clips.items() if name not in unusable}
    if not clips:
        return
    networks = find_networks(config.landmarks.models)
    job = VideoJob.of(config, networks)
    run = config.run
    workers = worker_count(run.workers, len(clips))
    limits = Limits(
        run.video_timeout, run.max_attempts, run.videos_per_worker, worker_memory(run.worker_memory, workers)
    )
    videos = [Video(name, clip.absolute(), clip.is_file()) for name, clip in clips.items()]
    total = sum(_frames_in(video, config) for video in videos)
    left = len(clips)
    with executor_for(workers, job, limits, job.environment()) as pool:
        tasks = [VideoTask(Unit("", "", 0), (video,)) for video in videos]
        working = {pool.submit(task) for task in tasks}
        while working:
            ended, working = wait(working, TICK_SECONDS, FIRST_COMPLETED)
            for future in ended:
                outcome = future.result()
                name = outcome.task.videos[0].name
                npz = root / f"{name}.npz"
                made = [value for value in outcome.value or () if value is not None]
                facts = _store(npz, clips[name], made, config, networks) if made else {}
                left -= 1
                on_clip(DoneClip(clips[name], npz, facts, outcome.problem))
            on_frames(min(pool.steps, total), total)
            if left and (reason := stop_reason()):
                raise InterruptedRun(stopped(reason, f"{counted(len(clips) - left, 'clip')} saved, {left:,} left"))


def _problem_of_name(name: str, root: Path) -> str:
    """Why a clip's name can't be that of its outputs, or ""."""
    if problem_of_name(name) not in ("", "hidden"):
        return "its name is not valid UTF-8. Rename it."
    longest, most = len(os.fsencode(f"{name}.json")), os.pathconf(root, "PC_NAME_MAX")
    return (
        f"its name is too long: {name[:16]}….json has {longest} of {most} bytes. Shorten it." if longest > most else ""
    )


def _frames_in(video: Video, config: Config) -> int:
    """How many frames a clip says it has; 0 where it can't be read, which its task will tell."""
    try:
        info = video_info(video, frame_rate=config.landmarks.frame_rate, max_pixels=config.run.max_pixels)
    except (KpsbatchError, OSError):
        return 0
    return info.frames or round((info.seconds or 0) * info.average_rate)


def _store(
    npz: Path, clip: Path, made: Sequence[VideoKeypoints], config: Config, networks: NetworkFiles
) -> dict[str, VideoFacts]:
    """Write the record, then the npz; returns what is known of each key: of all people NAME.1, ... from the left."""
    everybody = config.dataset.person == ALL_PEOPLE
    keys = [f"{npz.stem}.{number + 1}" if everybody else npz.stem for number in range(len(made))]
    facts = {key: one.facts for key, one in zip(keys, made, strict=True)}
    record = ClipRecord(
        clip=str(clip.absolute()),
        landmarks=config.landmarks.model_dump(mode="json", exclude={"models"}),
        points=config.output.points,
        models=models_of(networks),
        versions=host_facts().versions,
        video=made[0].facts,
        people=facts if everybody else {},
    )
    try:
        write_json(npz.with_suffix(".json"), record.model_dump(mode="json"))
        write_atomically(
            npz, lambda file: write_npz(file, dict(zip(keys, (one.keypoints for one in made), strict=True)))
        )
    except OSError as error:
        raise OutputError(f"{npz} can't be written: {error.strerror or error}. Choose another -o.") from None
    return facts
