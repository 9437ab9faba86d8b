"""`verify` finds everything that is wrong with an output, names it, and repairs just that."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import unit_record
from numpy.typing import NDArray
from processes import kpsbatch

from kpsbatch.config import Config, load_config
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.files import write_json
from kpsbatch.look import verify as verify_module
from kpsbatch.look.verify import Verdict, check_keypoints, verify, verify_folder
from kpsbatch.points import Topology
from kpsbatch.store.npz import write_npz
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import UnitRecord, record_bytes
from kpsbatch.store.settings import Settings, fingerprint_of, settings_of
from kpsbatch.work.run import open_outputs

UNITS = [Unit("01", "train", sign) for sign in (1, 2, 3)]
VIDEOS = ("one (1)", "two")
CORRUPTIONS = 1500


def keypoints(seed: int, frames: int = 2) -> NDArray[np.float32]:
    """Plausible: the face in all frames, the left hand in none, the right hand in the first."""
    kps = np.random.default_rng(seed).random((frames, 184, 4), np.float32)
    kps[:, Topology.FACE, 3] = 1
    kps[:, Topology.RIGHT_HAND, 3] = 1
    kps[1:, Topology.RIGHT_HAND] = 0
    kps[:, Topology.LEFT_HAND] = 0
    return kps


GOOD = {"frames": 3}


def summary(kps: NDArray[Any]) -> dict[str, Any]:
    if kps.ndim != 3:
        return {"frames": max(1, len(kps)), "found": {}}
    found = {part: int(kps[:, place, 3].any(axis=1).sum()) for part, place in Topology.PARTS.items()}
    return {"frames": max(1, len(kps)), "found": found}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """The settings' fingerprint, found once."""
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text('{dataset: {root: d, signers: ["01"], splits: [train], signs: 1}, output: {root: o}}')
    return open_outputs(load_config(path))[0]


@pytest.fixture
def config(tmp_path: Path, opened: Outputs, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Three units of two videos: complete, partial, failed."""
    path = tmp_path / "config.yaml"
    path.write_text('{dataset: {root: data, signers: ["01"], splits: [train], signs: 1-3}, output: {root: out}}')
    made = load_config(path)
    outputs = dataclasses.replace(opened, root=made.output.root)
    monkeypatch.setattr(verify_module, "open_outputs", lambda config: (outputs, None))
    outputs.prepare()
    for unit, good in zip(UNITS, (2, 1, 0), strict=True):
        for name in VIDEOS:
            (made.dataset.root / "01" / "01" / "train" / f"{unit.sign:04}" / name).mkdir(parents=True)
        arrays = {name: keypoints(unit.sign) for name in VIDEOS[:good]}
        store(outputs, unit, arrays)
    return made


def store(outputs: Outputs, unit: Unit, arrays: dict[str, NDArray[Any]], /, **changes: Any) -> None:
    """Store a unit; what is not in `arrays` is recorded as failed."""
    videos = {name: summary(arrays[name]) if name in arrays else {"error": "dark"} for name in VIDEOS}
    state: Any = "failed" if not arrays else "partial" if len(arrays) < len(VIDEOS) else "complete"
    fields = {"unit": unit._asdict(), "fingerprint": outputs.fingerprint.digest, "videos": videos, "host": "إشارة"}
    outputs.store(unit, arrays, unit_record(state, **{**fields, **changes}), replace=True)


def outputs_of(config: Config, opened: Outputs) -> Outputs:
    return dataclasses.replace(opened, root=config.output.root)


def found(verdict: Verdict) -> list[tuple[str, str]]:
    return [(problem.name, problem.text) for problem in verdict.problems]


def npz(config: Config, sign: int = 1) -> Path:
    return config.output.root / "01-train" / f"{sign:04}.npz"


def record(config: Config, name: str = "0001.json") -> Path:
    [path] = (config.output.root / "_kpsbatch" / "records").glob(f"*/01-train/{name}")
    return path


def test_all_is_right(config):
    """Complete, partial and failed units that are as recorded have no problem; the failed videos make it status 1."""
    verdict = verify(config)
    assert (verdict.problems, verdict.exit_status) == ([], 1)
    assert (verdict.units, verdict.videos, verdict.failed_videos, verdict.left) == (3, 3, 3, [])


def test_every_corrupted_byte_is_found(config):
    """A byte of an npz or a record that is changed, dropped or added is found: at a zip's ends and anywhere."""
    draw = random.Random(502)
    missed = []
    files = [npz(config), record(config), npz(config, 2), record(config, "0002.partial.json")]
    files.append(record(config, "0003.failed.json"))
    tried = 0
    for path in files:
        whole = path.read_bytes()
        headers = [*range(120), *range(len(whole) - 250, len(whole))] if path.suffix == ".npz" else []
        drawn = [draw.randrange(len(whole)) for _ in range(CORRUPTIONS // len(files))]
        for position in [*headers, *drawn]:
            change = draw.randrange(1, 256)
            spoilt = bytearray(whole)
            kind = draw.random()
            if position in headers or kind < 0.9:
                spoilt[position] ^= change
            elif kind < 0.95:
                del spoilt[position]
            else:
                spoilt.insert(position, change)
            if spoilt == whole:
                continue
            path.write_bytes(spoilt)
            tried += 1
            if not verify(config).problems:
                missed.append((path.name, position, change))
        path.write_bytes(whole)
    assert missed == []
    assert tried >= 2000
    assert verify(config).problems == []


def test_a_damaged_member_is_named(config):
    """Damage inside of a video's data names the video."""
    with zipfile.ZipFile(npz(config)) as archive:
        offset = archive.infolist()[1].header_offset
    data = bytearray(npz(config).read_bytes())
    data[offset + 200] ^= 1
    npz(config).write_bytes(data)
    wrong = dict(found(verify(config)))
    assert wrong["01-train/0001"] == "its npz is damaged: its SHA-256 is not that of its record"
    assert "CRC" in wrong["01-train/0001/two"] or "decompressing" in wrong["01-train/0001/two"]


def shifted(part: str, channel: int, value: float) -> Callable[[NDArray[Any]], None]:
    def change(kps: NDArray[Any]) -> None:
        kps[0, Topology.PARTS[part].start, channel] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (shifted("pose", 0, np.nan), "finite"),
        (shifted("face", 2, np.inf), "finite"),
        (shifted("pose", 3, 1.5), "visibility of its pose is not always from 0 to 1"),
        (shifted("pose", 3, -0.5), "visibility of its pose is not always from 0 to 1"),
        (shifted("face", 3, 0.5), "visibility of its face is not 1"),
        (shifted("right_hand", 3, 0), "visibility of its right_hand is not 1"),
        (shifted("left_hand", 1, 0.5), "where its left_hand is missing some values are not 0"),
        (shifted("pose", 1, 1e4), "a coordinate is 10000, beyond 100"),
    ],
)
def test_values(config, change, says):
    """Values outside of the contract are found."""
    kps = keypoints(1)
    assert list(check_keypoints(settings_of(config), kps)) == []
    change(kps)
    assert says in " ".join(check_keypoints(settings_of(config), kps))


@pytest.mark.parametrize(
    ("kps", "says"),
    [
        (np.zeros((0, 184, 4), np.float32), "shape"),
        (np.zeros((3, 183, 4), np.float32), "shape"),
        (np.zeros((184, 4), np.float32), "shape"),
        (np.zeros((3, 184, 4), np.float64), "its dtype is float64, not float32"),
    ],
)
def test_shape_and_dtype(config, opened, kps, says):
    """So are arrays of another shape or type, though their record knows their hash."""
    store(outputs_of(config, opened), UNITS[0], {"one (1)": keypoints(1), "two": kps})
    assert any(place == "01-train/0001/two" and says in what for place, what in found(verify(config)))


def test_pickled_objects_are_not_loaded(config, opened, tmp_path):
    """An npz with pickled objects is wrong, and nothing is unpickled."""
    with npz(config).open("wb") as file:
        np.savez(file, **{"one (1)": np.array([{}], object), "two": keypoints(1)})
    assert ("01-train/0001/one (1)", "it can't be read: an array of object") in found(verify(config))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"unit": UNITS[1]._asdict()}, "another unit"),
        ({"fingerprint": "0" * 12}, "another fingerprint"),
        ({"videos": {}}, "names no video"),
        (
            {"videos": {"two": {"frames": 3}, "one (1)": {"frames": 3}}},
            "does not hold the videos of its record, in that order",
        ),
        (
            {"videos": {"one (1)": {"frames": 3}, "two": {"error": "dark"}}},
            "says complete, but 1 of its 2 videos are good",
        ),
    ],
)
def test_records(config, opened, changes, says):
    """A record that is whole, but belongs elsewhere or does not fit its npz, is wrong."""
    store(outputs_of(config, opened), UNITS[0], dict.fromkeys(VIDEOS, keypoints(1)), **changes)
    assert says in " ".join(what for _, what in found(verify(config)))


def test_record_of_another_state(config):
    """A record whose file name says another state than it does is wrong."""
    path = record(config)
    path.rename(path.with_suffix(".partial.json"))
    assert any("another state" in what for _, what in found(verify(config)))


def test_counts_of_the_record(config, opened):
    """Frames and detections must be as many as the record says."""
    videos = {"one (1)": summary(keypoints(1)), "two": {"frames": 3, "found": {"face": 1}}}
    store(outputs_of(config, opened), UNITS[0], dict.fromkeys(VIDEOS, keypoints(1)), videos=videos)
    says = [what for place, what in found(verify(config)) if place.endswith("two")]
    assert "it has 2 frames; its record says 3" in says
    assert "its face is in 2 frames; its record says 1" in says


def test_missing_files(config):
    """An npz without its record, and a record without its npz, are wrong."""
    record(config).unlink()
    npz(config, 2).unlink()
    assert found(verify(config)) == [
        ("01-train/0001", "its npz has no record"),
        ("01-train/0002", "its npz is missing, though its record is there"),
    ]


def test_two_records_and_an_npz_too_many(config):
    """A unit has one record; one that failed has no npz."""
    shutil.copy(record(config), record(config).with_name("0001.partial.json"))
    shutil.copy(npz(config), npz(config, 3))
    says = found(verify(config))
    assert ("01-train/0001", "it has 2 records: complete, partial") in says
    assert ("01-train/0003", "its npz is there, though its record says that all videos failed") in says


def test_the_dataset_has_changed(config):
    """Videos that came and went since are named."""
    folder = config.dataset.root / "01" / "01" / "train" / "0001"
    (folder / "three").mkdir()
    (folder / "two").rmdir()
    verdict = verify(config, repair=True)
    new = "the dataset has it, the output and its record do not"
    assert [(news.name, news.text) for news in verdict.news] == [("01-train/0001/three", new)]
    assert found(verdict) == [("01-train/0001/two", "its record has it, the dataset does not")]
    assert (verdict.left, verdict.repaired, npz(config).exists()) == ([UNITS[0]], [], True)


def test_left(config):
    """A unit that is not done yet is no damage, but all is not done."""
    npz(config).unlink()
    record(config).unlink()
    verdict = verify(config)
    assert (verdict.problems, verdict.left, verdict.exit_status) == ([], [UNITS[0]], 1)


def test_repair(config):
    """--repair removes npz and record of what is wrong, and nothing else."""
    spoilt = bytearray(npz(config).read_bytes())
    spoilt[100] ^= 1
    npz(config).write_bytes(spoilt)
    kept = [npz(config, 2), record(config, "0002.partial.json"), record(config, "0003.failed.json")]
    before = [path.read_bytes() for path in kept]
    gone = [npz(config), record(config)]
    verdict = verify(config, repair=True)
    assert (verdict.repaired, verdict.kept, verdict.exit_status) == ([UNITS[0]], [], 1)
    assert not any(path.exists() for path in gone)
    assert [path.read_bytes() for path in kept] == before
    after = verify(config)
    assert (after.problems, after.left) == ([], [UNITS[0]])


def test_repair_keeps_what_cannot_be_redone(config, tmp_path):
    """What the dataset no longer holds, or other settings made, is named and not removed."""
    (config.dataset.root / "01").rename(tmp_path / "away")
    (config.dataset.root / "other").mkdir()
    record(config).write_text("{")
    verdict = verify(config, repair=True)
    assert [unit for unit, _ in verdict.kept] == [UNITS[0]]
    assert "the dataset has no video for it" in verdict.kept[0][1]
    assert npz(config).exists()
    (tmp_path / "away").rename(config.dataset.root / "01")
    foreign = record(config).parents[1]
    foreign.rename(foreign.with_name("0" * 12))
    verdict = verify(config, repair=True)
    assert verdict.repaired == []
    assert "other settings" in verdict.problems[0].text
    assert npz(config).exists()


def test_settings(config, opened):
    """Damage to the note of the settings is found and mended."""
    path = outputs_of(config, opened).settings_path
    path.write_text(path.read_text().replace("image", "imbge"))
    assert found(verify(config, repair=True)) == [
        ("settings.json", "it does not hold the settings that its folder is named after")
    ]
    assert verify(config).problems == []


def test_members_twice(config, opened):
    """A zip that holds a name twice is wrong."""
    with npz(config).open("wb") as file:
        write_npz(file, {"one (1)": keypoints(1), "two": keypoints(1)})
    with zipfile.ZipFile(npz(config), "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("two.npy", b"")
    assert any("in that order" in what for _, what in found(verify(config)))


def test_record_with_a_check_of_another_content(config):
    """A record that was edited by hand is told from one that was written."""
    tree = json.loads(record(config).read_text())
    write_json(record(config), {**tree, "state": "partial"})
    assert "checksum" in found(verify(config))[0][1]
    record(config).write_bytes(record_bytes(UnitRecord.model_validate(tree)))
    assert verify(config).problems == []


def test_missing_dataset(config):
    """Without the dataset nothing can be compared."""
    shutil.rmtree(config.dataset.root)
    with pytest.raises(DatasetError, match="does not exist"):
        verify(config)


def test_command_line(config, tmp_path):
    """The command names what is wrong and what to do; status 1, with --json for programs."""
    npz(config).write_bytes(b"PK")
    done = kpsbatch("verify", tmp_path / "config.yaml", "--quiet")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("01-train/0001: its npz has 2 bytes; its record says ")
    assert "Checked 3 units (1 video): 1 unit damaged." in lines
    assert lines[-1].startswith("To remove what is damaged")
    tree = json.loads(kpsbatch("verify", tmp_path / "config.yaml", "--json", "--repair").stdout)
    assert (tree["units"], tree["repaired"]) == (3, ["01-train/0001"])
    done = kpsbatch("verify", tmp_path / "config.yaml")
    assert re.match(r"1 unit not done yet. Next: (\S+ -m )?\S*kpsbatch run ", done.stdout.splitlines()[-1])


def test_the_next_command_has_the_same_choices(config, tmp_path):
    """What --set and the selection chose stays chosen in the command that is shown."""
    npz(config).write_bytes(b"PK")
    chosen = ("--set", "landmarks.decode=full", "run.workers=1", "--signs", "1-3")
    done = kpsbatch("verify", tmp_path / "config.yaml", "--repair", *chosen)
    shown = next(line for line in done.stdout.splitlines() if "removed. Next" in line).partition("Next: ")[2]
    words = shlex.split(shown)
    words = words[words.index("run") :]
    assert words[2:] == ["--set=landmarks.decode=full", "--set=run.workers=1", "--signs", "1-3"]
    again = kpsbatch(*words, "--shard", "2/3")  # it can be typed; sign 3 has failed before: nothing to do
    assert "Nothing to do: " in again.stdout


def test_failed_videos_count_in_the_exit_status(config, tmp_path):
    """Where all is right but videos are recorded as failed, verify ends like run: with 1."""
    done = kpsbatch("verify", tmp_path / "config.yaml")
    assert "Checked 3 units (3 videos): no damage." in done.stdout
    assert "3 videos failed when they were made" in done.stdout
    assert done.returncode == 1
    assert kpsbatch("verify", tmp_path / "config.yaml", "--signs", "1").returncode == 0


def test_outputs_of_other_settings_are_not_offered_to_repair(config, tmp_path):
    """--repair would do nothing for them; what would is said."""
    done = kpsbatch("verify", tmp_path / "config.yaml", "--set", "landmarks.running_mode=image")
    lines = done.stdout.splitlines()
    assert "--repair leaves 2 units alone: run with its settings, or with --overwrite" in lines
    assert not any(line.startswith("--repair removes") for line in lines)


class TestFolder:
    """`verify OUT`: outputs of any version and settings, by the settings beside their records."""

    @pytest.fixture
    def earlier(self, tmp_path: Path) -> Outputs:
        """Two units as version 0.2 left them, in its video mode."""
        landmarks = {"running_mode": "video", "coordinates": "image", "assign_hands": "label"}
        settings = Settings(
            values_version=3, models={"pose": "0" * 64}, landmarks=landmarks, output={"dtype": "float32"}
        )
        outputs = Outputs(tmp_path / "old", fingerprint_of(settings))
        outputs.prepare()
        for unit in UNITS[:2]:
            store(outputs, unit, {name: keypoints(unit.sign) for name in VIDEOS})
        return outputs

    def test_outputs_of_an_earlier_version(self, earlier: Outputs) -> None:
        """Neither a config that can still be computed nor the models are needed."""
        verdict = verify_folder(earlier.root)
        assert (verdict.units, verdict.videos, verdict.problems, verdict.exit_status) == (2, 4, [], 0)

    def test_what_is_wrong_is_found(self, earlier: Outputs) -> None:
        """A changed byte, an npz without a record, settings that are not those of their folder."""
        one, two = (earlier.npz_path(unit) for unit in UNITS[:2])
        data = bytearray(one.read_bytes())
        data[len(data) // 2] ^= 1
        one.write_bytes(data)
        earlier.npz_path(UNITS[2]).write_bytes(two.read_bytes())
        write_json(earlier.settings_path, {"values_version": 3})
        problems = found(verify_folder(earlier.root))
        assert (UNITS[0].name, "its npz is damaged: its SHA-256 is not that of its record") in problems
        assert (UNITS[2].name, "its npz has no record") in problems
        assert problems[0] == ("settings.json", f"{earlier.records} holds other settings than it is named after")

    def test_each_unit_is_checked_by_its_own_settings(self, tmp_path: Path) -> None:
        """Of two settings in one folder."""
        for unit, dtype in zip(UNITS, ("float32", "float64"), strict=False):
            outputs = Outputs(tmp_path / "two", fingerprint_of(Settings(values_version=3, output={"dtype": dtype})))
            store(outputs, unit, {name: keypoints(unit.sign) for name in VIDEOS})
        problems = found(verify_folder(tmp_path / "two"))
        assert problems == [(f"{UNITS[1].name}/{name}", "its dtype is float32, not float64") for name in VIDEOS]

    def test_a_folder_without_outputs(self, tmp_path: Path) -> None:
        """One line that says what to name."""
        with pytest.raises(OutputError, match=r"holds no outputs of kpsbatch\. Name a folder with _kpsbatch in it"):
            verify_folder(tmp_path)

    def test_command(self, earlier: Outputs) -> None:
        """The folder takes the place of the config, and nothing is repaired without one."""
        done = kpsbatch("verify", earlier.root)
        assert done.stdout == "Checked 2 units (4 videos): no damage.\n"
        refused = kpsbatch("verify", earlier.root, "--repair")
        assert refused.returncode == 2 and "need a config" in refused.stderr
