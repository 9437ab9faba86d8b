"""Keypoints of one's own clips: a pool over files, an npz and a record for each, in an output folder like any other.

keypoints/hello_1.npz, hello_1.json     of the clip hello_1.mp4: the same file as
keypoints/all-all/0001.npz              the output of a unit of this clip alone, with its record and all landmarks
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import NamedTuple

from kpsbatch.config import ALL_PEOPLE, Config, make_config
from kpsbatch.dataset.folders import problem_of_name
from kpsbatch.dataset.name_words import split_of, words_and_signers
from kpsbatch.dataset.reading import video_info
from kpsbatch.dataset.video import (
    IMAGE_SUFFIXES,
    JPEG_SUFFIXES,
    UNREAD_SUFFIXES,
    VIDEO_SUFFIXES,
    Listing,
    Made,
    Unit,
    Video,
    natural_key,
)
from kpsbatch.errors import ConfigError, DatasetError, InterruptedRun, KpsbatchError, OutputError
from kpsbatch.files import INTERNAL, explained, read_json, temporary_path, write_bytes, write_json
from kpsbatch.landmarks.extract import VideoKeypoints
from kpsbatch.landmarks.facts import VideoFacts
from kpsbatch.store.classes import note_classes
from kpsbatch.store.outputs import Outputs, OutputState
from kpsbatch.store.reading import find_outputs
from kpsbatch.store.records import ClipRecord, host_facts, key_of
from kpsbatch.store.submissions import keep_config, kept_config, read_kept_config
from kpsbatch.stored import read_stored
from kpsbatch.words import counted, some_of, stopped
from kpsbatch.work.assemble import OpenUnit, VideoOutcome, refuse_clash, store_unit
from kpsbatch.work.cores import worker_count, worker_memory
from kpsbatch.work.long_videos import LongVideos
from kpsbatch.work.pool import executor_for
from kpsbatch.work.run import open_outputs, refuse_uncomputable
from kpsbatch.work.video_job import VideoTask, people_of_each, tasks_of
from kpsbatch.work.worker import Limits

TICK_SECONDS = 0.1

CLIPS_LAYOUT = "clips/{signer}/{split}/{sign:04d}"
"""In the config that is kept for `status` and `report`: no clip lies there, so that nothing is looked for."""

MOST_SHOWN = 5


class DoneClip(NamedTuple):
    """What became of a clip: its npz and what is known of each key in it, or why it failed; if it is computed now."""

    clip: Path
    npz: Path
    facts: dict[str, VideoFacts]
    problem: str
    is_new: bool = True


def config_of_clips(folder: Path, overrides: Sequence[str]) -> Config:
    """The config for clips whose outputs go to a folder; it has no dataset.

    Raises:
        ConfigError: An override is unusable.
    """
    dataset = {"root": "/dev/null", "signers": ["-"], "splits": ["-"], "signs": "1"}
    output = {"root": str(folder)}
    return make_config({"dataset": dataset, "output": output}, overrides, base=Path.cwd())


def find_clips(
    paths: Sequence[Path], on_passed: Callable[[str], None] = lambda text: None, *, recursive: bool = False
) -> dict[str, Path]:
    """The clips that are meant, by the names that their outputs get.

    Args:
        paths: Video files, folders of frames, or folders of video files.
        on_passed: Called with what else is in such a folder, in one line.
        recursive: Also look into the folders of folders. Where two clips have one name, that of the folder comes
            before it: `hello_1` for `hello/1.mp4`.

    Raises:
        DatasetError: One does not exist, or holds neither.
        ConfigError: Two would have the same output.
    """
    clips: dict[str, Path] = {}
    found = [clip for path in paths for clip in (_below(path) if recursive else _expanded(path, on_passed))]
    found = list({os.path.abspath(clip): clip for clip in found}.values())
    times = Counter(map(_name_of, found))
    for clip in found:
        name = _name_of(clip)
        if recursive and times[name] > 1:
            name = f"{os.path.basename(os.path.dirname(os.path.abspath(clip)))}_{name}"
        if clips.setdefault(name, clip) != clip:
            raise ConfigError(f"{clips[name]} and {clip} would both become {name}.npz. Extract them into two folders.")
    return clips


def _name_of(clip: Path) -> str:
    return clip.stem if clip.is_file() else os.path.basename(os.path.abspath(clip))


def _below(path: Path) -> Iterator[Path]:
    """All videos below a folder, and folders of frames, in natural order; links to folders are not followed."""
    if not path.is_dir():
        yield from _expanded(path, lambda text: None)
        return
    nothing = True
    for folder, folders, files in os.walk(path):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=natural_key)
        names = sorted((name for name in files if not name.startswith(".")), key=natural_key)
        videos = [Path(folder, name) for name in names if name.lower().endswith(VIDEO_SUFFIXES)]
        if not videos and not folders and any(name.lower().endswith(IMAGE_SUFFIXES) for name in names):
            videos = [Path(folder)]
        nothing = nothing and not videos
        yield from videos
    if nothing:
        raise DatasetError(f"{path} holds no frames and no videos. Name video files or folders of frames.")


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

    Clips that an earlier call has done with the same settings are left as they are.

    Args:
        clips: By name; the name is also the key in the npz.
        config: Its `output.root` is where to; of `dataset` only `mirrored`, `person`, `frame_rate_out` count.
        on_clip: Called with every clip as soon as it is done or has failed.
        on_frames: Called with (frames done, frames in all, about) a few times a second.
        stop_reason: Called a few times a second; anything but "" ends it.

    Raises:
        ConfigError: A setting is one that only an earlier version computes, or two names clash.
        OutputError: The folder can't be written, or holds an npz of that name that was not made from this clip.
        ModelError: The workers can't load the models.
        InterruptedRun: `stop_reason` said so; the clips that are done are kept.
    """
    refuse_uncomputable(config)
    root = config.output.root
    if config.dataset.person == ALL_PEOPLE:
        refuse_clash(clips)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{root} can't be made: {error.strerror}. Choose another -o.") from None
    unusable = {name: problem for name in clips if (problem := _problem_of_name(name, root))}
    for name, problem in unusable.items():
        on_clip(DoneClip(clips[name], root / f"{name}.npz", {}, problem))
    clips = {name: clip for name, clip in clips.items() if name not in unusable}
    if not clips:
        return
    records = {name: _record_of(name, clip, root) for name, clip in clips.items()}
    outputs, job = open_outputs(config)
    units = [Unit(*record.unit) for record in records.values() if record is not None and record.unit]
    states = outputs.states(units, sweep=False)
    for name, record in records.items():
        if record is not None and _is_done(record, root / f"{name}.npz", clips[name], states, config):
            known = record.people or {name: record.video}
            on_clip(DoneClip(clips[name], root / f"{name}.npz", known, "", is_new=False))
            del clips[name]
    if not clips:
        return
    store = _Store(config, outputs, clips, {name: record.unit for name, record in records.items() if record})
    outputs.prepare()
    note_classes(outputs, sorted({row["label"] for row in store.rows.values() if row["label"]}))
    run = config.run
    videos = [Video(name, clip.absolute(), clip.is_file()) for name, clip in clips.items()]
    workers = worker_count(run.workers, tasks_of(videos))
    limits = Limits(
        run.video_timeout, run.max_attempts, run.videos_per_worker, worker_memory(run.worker_memory, workers)
    )
    total = sum(_frames_in(video, config) for video in videos)
    left = len(clips)
    long_videos = LongVideos(outputs)
    try:
        with executor_for(workers, job, limits, job.environment()) as pool:
            tasks = [VideoTask(Unit("", "", 0), (video,)) for video in videos]
            working = {pool.submit(each) for task in tasks for each in long_videos.begun(task) or [task]}
            while working:
                ended, working = wait(working, TICK_SECONDS, FIRST_COMPLETED)
                for future in ended:
                    outcome = future.result()
                    task = outcome.task
                    more, value, problem = long_videos.collect(task, outcome.value, outcome.problem)
                    working |= {pool.submit(piece) for piece in more}
                    if value is None:
                        continue
                    name = task.videos[0].name
                    npz = root / f"{name}.npz"
                    [made] = people_of_each(value)
                    facts = store.store(task.videos[0], clips[name], made) if made else {}
                    long_videos.forget(task.unit)
                    left -= 1
                    on_clip(DoneClip(clips[name], npz, facts, problem))
                on_frames(min(pool.steps, total), total)
                if left and (reason := stop_reason()):
                    raise InterruptedRun(stopped(reason, f"{counted(len(clips) - left, 'clip')} saved, {left:,} left"))
    finally:
        store.keep_config()


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


def _record_of(name: str, clip: Path, root: Path) -> ClipRecord | None:
    """The record of an npz of this name that was made from this clip; None where there is none.

    Raises:
        OutputError: There is one that was not made from it.
    """
    npz = root / f"{name}.npz"
    record = read_stored(npz.with_suffix(".json"), ClipRecord)
    if npz.exists() and record is None:
        raise OutputError(f"{npz} exists and was not made by `kpsbatch extract`. Choose another -o.")
    if record is not None and record.clip != str(clip.absolute()):
        raise OutputError(f"{npz} was made from another clip, {record.clip}. Choose another -o.")
    return record


def _is_done(record: ClipRecord, npz: Path, clip: Path, states: Mapping[Unit, OutputState], config: Config) -> bool:
    """Whether a clip's npz is what these settings make of it."""
    return (
        record.unit is not None
        and states.get(Unit(*record.unit)) == "complete"
        and npz.exists()
        and record.bytes == _bytes_of(clip)
        and record.points == config.output.points
    )


def _bytes_of(clip: Path) -> int:
    """The size of a video file; for a folder of frames that of its frames."""
    if clip.is_file():
        return clip.stat().st_size
    return sum(entry.stat().st_size for entry in os.scandir(clip) if entry.is_file())


class _Store:
    """Puts clips into the output folder, each as a unit, and links its npz to the clip's name."""

    def __init__(
        self,
        config: Config,
        outputs: Outputs,
        clips: Mapping[str, Path],
        units: Mapping[str, tuple[str, str, int] | None],
    ) -> None:
        self.config, self.outputs = config, outputs
        self.above = os.path.commonpath([str(clip.absolute().parent) for clip in clips.values()])
        paths = {name: os.path.relpath(clip.absolute(), self.above) for name, clip in clips.items()}
        splits = [split_of(path) for path in paths.values()]
        spoken = words_and_signers(list(paths.values()), splits)
        self.rows = {
            name: {"signer": each.signer, "label": each.word} for name, each in zip(paths, spoken, strict=True)
        }
        self.splits = dict(zip(paths, splits, strict=True))
        self.units = {name: Unit(*unit) for name, unit in units.items() if unit}
        recorded = (unit.sign for unit in self.units.values())
        self.last = max([0, *recorded, *(unit.sign for unit, _ in find_outputs(outputs.root))])

    def keep_config(self) -> None:
        """Keep a config of what is in the folder, for `status` and `report`; the config of a run stays.

        None is kept where the clips lie below the output folder: no config is like that.

        Raises:
            OutputError: It can't be written.
        """
        root = self.outputs.root
        units = [unit for unit, _ in find_outputs(root)]
        if not units or Path(self.above).is_relative_to(os.path.abspath(root)):
            return
        if kept_config(root).exists() and read_kept_config(root).dataset.layout != CLIPS_LAYOUT:
            return
        what = {
            "root": Path(self.above),
            "layout": CLIPS_LAYOUT,
            "signers": tuple(sorted({unit.signer for unit in units})),
            "splits": tuple(sorted({unit.split for unit in units})),
            "signs": tuple(sorted({unit.sign for unit in units})),
        }
        dataset = self.config.dataset.model_copy(update=what)
        with explained(root):
            keep_config(self.config.model_copy(update={"dataset": dataset}))

    def next_number(self) -> int:
        """A unit's number that no other command takes, of those that put clips into the folder at the same time."""
        counter = self.outputs.root / INTERNAL / "extract.json"
        with explained(self.outputs.root), self.outputs.lock("extract.lock"):
            self.last = max(self.last, (read_json(counter) or {}).get("last", 0)) + 1
            write_json(counter, {"last": self.last})
        return self.last

    def store(self, video: Video, clip: Path, made: Sequence[VideoKeypoints]) -> dict[str, VideoFacts]:
        """Write the record of a clip, then its unit, then its npz.

        Returns:
            What is known of each key in the npz: NAME, or of all people NAME.1, NAME.2, ... from the left.
        """
        name, root = video.name, self.outputs.root
        npz = root / f"{name}.npz"
        unit = self.units.get(name)
        if unit is None:
            unit = self.units[name] = Unit("all", self.splits[name], self.next_number())
        size = _bytes_of(clip)
        facts = {key_of(name, one.facts.person): one.facts for one in made}
        done = OpenUnit(unit, Listing(self.config.dataset.root, True, (video,)), True, [name])
        done.outcomes[name] = VideoOutcome(made, "", 1, "")
        done.made, done.rows, done.started = {name: Made(size)}, {name: self.rows[name]}, time.time()
        record = ClipRecord(
            clip=str(clip.absolute()),
            bytes=size,
            unit=(unit.signer, unit.split, unit.sign),
            landmarks=self.config.landmarks.model_dump(mode="json", exclude={"models"}),
            points=self.config.output.points,
            models=self.outputs.fingerprint.settings.models,
            versions=host_facts().versions,
            video=made[0].facts,
            people=facts if made[0].facts.person else {},
        )
        try:
            write_json(npz.with_suffix(".json"), record.model_dump(mode="json"))  # first: it tells the unit's number
            store_unit(self.config, self.outputs, done, 1)
            _link(self.outputs.npz_path(unit), npz)
        except OSError as error:
            raise OutputError(f"{npz} can't be written: {error.strerror or error}. Choose another -o.") from None
        return facts


def _link(path: Path, name: Path) -> None:
    """Give a file a second name, in one step; a copy where the file system has no such links."""
    temporary = temporary_path(name)
    try:
        os.link(path, temporary)
    except OSError:
        write_bytes(name, path.read_bytes())
        return
    os.replace(temporary, name)
