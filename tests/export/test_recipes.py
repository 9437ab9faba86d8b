"""Every recipe writes what its reader takes: shapes, names, order, what is missing; killed, it goes on."""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_outputs import UNITS, kept_outputs, keypoints, landmarks, store
from factories import call, main_ends
from numpy.typing import NDArray

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.export.layouts import words_of
from kpsbatch.export.recipes import RECIPES, expanded
from kpsbatch.export.run import export
from kpsbatch.landmarks.keypoints import view
from kpsbatch.points import FULL

LIBRARIES = {"gislr": "pyarrow", "pose": "pose_format", "tfds": "pose_format", "t5-slt": "h5py"}

OF_THE_CONTRACT = ("arabic-sl-mmap", "fingerspelling")
"""Those of which every output has all points."""

Made = dict[str, NDArray[np.float32]]


def needs(recipe: str) -> None:
    """Skip where the library of a recipe is not installed."""
    if recipe in LIBRARIES:
        pytest.importorskip(LIBRARIES[recipe], reason=f"{LIBRARIES[recipe]} is not installed; see make test-formats")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """The landmarks (T, 628, 4) of the videos in `out`."""
    return kept_outputs(tmp_path / "out")


def exported(tmp_path: Path, recipe: str, **options: Any) -> tuple[Path, list[dict[str, str]]]:
    """An export, and its index.csv."""
    needs(recipe)
    export(kpsbatch.open_dataset(tmp_path / "out"), recipe, tmp_path / recipe, **options)
    return tmp_path / recipe, table(tmp_path / recipe / "index.csv")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rows_of(full: NDArray[np.float32], *parts: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The points of parts in this order, and whether each was found: (T, n, 4), (T, n)."""
    points = [full[:, FULL.parts[part.partition(":")[0]]] for part in parts]
    points = [p[:, :468] if part.endswith(":mesh") else p for p, part in zip(points, parts, strict=True)]
    found = [np.repeat(p.any(axis=(1, 2))[:, None], p.shape[1], axis=1) for p in points]
    return np.concatenate(points, axis=1), np.concatenate(found, axis=1)


class TestArrays:
    """The values are those that are kept, at the places that the reader expects."""

    def test_gislr(self, made, tmp_path):
        """543 rows a frame, face, left hand, pose, right hand, NaN where missing; a table and a map of words."""
        folder, index = exported(tmp_path, "gislr")
        import pyarrow.parquet as pq

        train = table(folder / "train.csv")
        assert [row["path"] for row in train] == [row["file"] for row in index if row["split"] == "train"]
        words = json.loads((folder / "sign_to_prediction_index_map.json").read_text())
        for row, known in zip(train, (row for row in index if row["split"] == "train"), strict=True):
            assert words[row["sign"]] == int(known["target"])
            assert int(row["participant_id"]) == int(known["signer"])
            assert row["path"] == f"train_landmark_files/{row['participant_id']}/{row['sequence_id']}.parquet"
            read = pq.read_table(folder / row["path"])
            assert read.column_names == ["frame", "row_id", "type", "landmark_index", "x", "y", "z"]
            expected, found = rows_of(made[known["video"]], "face:mesh", "left_hand", "pose", "right_hand")
            array = np.stack([read[axis].to_numpy() for axis in "xyz"], axis=-1).reshape(-1, 543, 3)
            np.testing.assert_array_equal(array, np.where(found[..., None], expected[..., :3], np.nan))
            ids = read["row_id"].to_pylist()
            assert (ids[0], ids[468], ids[489], ids[542]) == (
                "0-face-0",
                "0-left_hand-0",
                "0-pose-0",
                "0-right_hand-20",
            )
            assert ids[543].startswith("1-")

    def test_arabic_mmap(self, made, tmp_path):
        """Frames by sign, signer and video; lengths by sign and signer, also where there is none; classes sign - 1."""
        folder, index = exported(tmp_path, "arabic-sl-mmap")
        shape = tuple(np.load(folder / "train_X_shape.npy"))
        data = np.memmap(folder / "train_X.mmap", np.float32, "r", shape=shape)
        lengths = np.load(folder / "train_X_map_samples_lens.npy", allow_pickle=True).item()
        classes = np.load(folder / "train_y.npz")["arr_0"]
        assert classes.dtype == np.int64
        rows = [row for row in index if row["split"] == "train"]
        order = [(row["sign"], row["signer"]) for row in rows]
        assert order == [pair for pair in (("3", "01"), ("3", "02"), ("11", "02")) for _ in range(3)]
        assert classes.tolist() == [int(row["sign"]) - 1 for row in rows]
        assert [*lengths] == [3, 11]
        assert len(lengths[11][1]) == 0
        flat = np.concatenate([lengths[sign][signer] for sign in (3, 11) for signer in (1, 2)])
        assert flat.dtype.kind == "i"
        ends = np.cumsum(flat)
        for row, start, end in zip(rows, [0, *ends], ends, strict=False):
            np.testing.assert_array_equal(data[start:end], view(made[row["video"]]))
        assert ends[-1] == len(data)

    def test_openhands(self, made, tmp_path):
        """A pickle of (T, 75, 3) and (T, 75), float64, zeros where missing; SIGN_SIGNER_REPEAT from 1."""
        folder, index = exported(tmp_path, "openhands")
        for row in index:
            data = (folder / row["file"]).read_bytes()
            assert data[1] == 4
            read = pickle.loads(data)
            expected, found = rows_of(made[row["video"]], "pose", "left_hand", "right_hand")
            assert read["keypoints"].dtype == np.float64
            np.testing.assert_array_equal(read["keypoints"], expected[..., :3])
            sure = np.concatenate([expected[:, :33, 3], found[:, 33:]], axis=1)
            np.testing.assert_array_equal(read["confidences"], sure)
            sign, signer, _ = map(int, Path(row["file"]).stem.split("_"))
            assert (sign - 1, signer) == (int(row["target"]), int(row["signer"]))
        assert (folder / "classes.csv").read_text() == "1|sign 3\n2|sign 11\n"

    def test_spoter(self, made, tmp_path):
        """A row for each video of lists of T values; y upwards, a neck between the shoulders, labels from 1."""
        folder, index = exported(tmp_path, "spoter")
        names = dict(zip(RECIPES["spoter"].names, expanded(RECIPES["spoter"].arrays[""][0]), strict=True))
        assert (names["littleTip_left"], names["thumbMP_right"]) == ("left_hand.pinky_tip", "right_hand.thumb_mcp")
        for split in ("train", "test"):
            known = [row for row in index if row["split"] == split]
            for row, told in zip(table(folder / f"{split}.csv"), known, strict=True):
                assert (row["video"], int(row["labels"])) == (told["video"], int(told["target"]) + 1)
                full = made[told["video"]]
                for name, point in names.items():
                    ends = [full[:, FULL.names.index(one)] for one in point.split("+")]
                    x, y = (np.mean([end[:, axis] for end in ends], axis=0) for axis in (0, 1))
                    found = ends[0].any(axis=1)
                    np.testing.assert_allclose(json.loads(row[f"{name}_X"]), np.where(found, x, 0), atol=1e-7)
                    np.testing.assert_allclose(json.loads(row[f"{name}_Y"]), np.where(found, 1 - y, 0), atol=1e-7)

    def test_flat_1662(self, made, tmp_path):
        """30 files of 1662 values for each video: pose with visibility, face, left and right hand."""
        folder, index = exported(tmp_path, "flat-1662")
        for row in index:
            files = [(folder / row["file"]).with_name(f"{frame}.npy") for frame in range(30)]
            full = made[row["video"]]
            taken = full[np.linspace(0, len(full) - 1, 30).round().astype(int)]
            pose, rest = rows_of(taken, "pose")[0], rows_of(taken, "face:mesh", "left_hand", "right_hand")[0]
            expected = np.concatenate([pose.reshape(30, -1), rest[..., :3].reshape(30, -1)], axis=1)
            np.testing.assert_array_equal(np.stack([np.load(file) for file in files]), expected)
            assert expected.shape == (30, 1662)
        assert np.load(folder / "actions.npy").tolist() == ["sign 3", "sign 11"]

    @pytest.mark.parametrize(
        ("recipe", "parts", "axes", "missing", "shape"),
        [
            ("flat-225", ("pose", "left_hand", "right_hand"), 3, 0, (225,)),
            ("asl-citizen", ("pose", "right_hand", "left_hand", "face:mesh"), 2, 0, (543, 2)),
        ],
    )
    def test_one_array(self, made, tmp_path, recipe, parts, axes, missing, shape):
        """An array for each video, its points in the reader's order."""
        folder, index = exported(tmp_path, recipe)
        for row in index:
            path = folder / row["file"]
            array = pickle.loads(path.read_bytes()) if path.suffix == ".pkl" else np.load(path)
            expected, found = rows_of(made[row["video"]], *parts)
            wanted = np.where(found[..., None], expected[..., :axes], missing)
            np.testing.assert_array_equal(array, wanted.reshape(len(wanted), *shape))

    def test_sign_translator(self, made, tmp_path):
        """(T, 75, 5) in metres: x, y, z, visibility, and 1 where the part was found."""
        folder, index = exported(tmp_path, "sign-translator")
        for row in index:
            expected, found = rows_of(made[row["video"]], "pose_world", "left_hand_world", "right_hand_world")
            array = np.load(folder / row["file"])
            np.testing.assert_array_equal(array, np.concatenate([expected, found[..., None]], axis=-1))

    def test_youtube_asl(self, made, tmp_path):
        """(T, 255) of every second frame: pose 6, face 37, left hand, right hand."""
        folder, index = exported(tmp_path, "youtube-asl")
        for row in index:
            array, full = np.load(folder / row["file"]), made[row["video"]]
            assert array.shape == (math.ceil(len(full) / 2), 255)
            np.testing.assert_array_equal(array[:, :3], full[::2, 11, :3])  # left shoulder
            left = full[::2, FULL.parts["left_hand"], :3].reshape(len(array), -1)
            np.testing.assert_array_equal(array[:, 43 * 3 : 64 * 3], left)
            np.testing.assert_array_equal(array[:, 6 * 3], full[::2, FULL.names.index("face.0"), 0])

    def test_fingerspelling(self, made, tmp_path):
        """(T, 3 n): all x, all y, all z, NaN where missing; the file is train_landmarks_v3/FILE/SEQUENCE.npy."""
        folder, index = exported(tmp_path, "fingerspelling")
        row, told = table(folder / "train.csv")[0], next(row for row in index if row["split"] == "train")
        array = np.load(folder / f"train_landmarks_v3/{row['file_id']}/{row['sequence_id']}.npy")
        full = made[told["video"]]
        hand = full[:, FULL.names.index("left_hand.wrist")]
        place = 40 + 32
        for axis in range(3):
            wanted = np.where(hand.any(axis=1), hand[:, axis], np.nan)
            np.testing.assert_array_equal(array[:, axis * 120 + place], wanted)

    def test_include(self, made, tmp_path):
        """A JSON for each video: lists of T lists of 25 or 21 values, NaN where missing; hand1 is the left one."""
        folder, index = exported(tmp_path, "include")
        for row in index:
            read = json.loads((folder / row["file"]).read_text())
            full = made[row["video"]]
            assert read["n_frames"] == len(full)
            assert read["uid"] == Path(row["file"]).stem
            for name, part in (("pose", "pose"), ("hand1", "left_hand"), ("hand2", "right_hand")):
                points, found = rows_of(full, part)
                for axis, letter in enumerate("xy"):
                    wanted = np.where(found, points[..., axis], np.nan)[:, :25]
                    np.testing.assert_array_equal(np.array(read[f"{name}_{letter}"], np.float32), wanted)

    def test_t5_slt(self, made, tmp_path):
        """An HDF5 file for each split: KEY/KEY/joints/PART_landmarks, (T, n, 4)."""
        folder, index = exported(tmp_path, "t5-slt")
        h5py = importlib.import_module("h5py")
        with h5py.File(folder / "train.h5") as file:
            assert len(file) == sum(row["split"] == "train" for row in index)
            key = next(iter(file))
            joints = file[key][key]["joints"]
            shapes = {name: joints[name].shape[1:] for name in joints}
            video = next(row["video"] for row in index if key.endswith(row["video"]))
            np.testing.assert_array_equal(joints["face_landmarks"][..., :3], made[video][:, FULL.parts["face"], :3])
        counts = {"pose": 33, "face": 478, "left_hand": 21, "right_hand": 21}
        assert shapes == {f"{part}_landmarks": (count, 4) for part, count in counts.items()}


class TestPose:
    @pytest.mark.parametrize("confidence", ["found", "visibility"])
    def test_all_of_holistic(self, made, tmp_path, confidence):
        """33, 468, 21 and 21 points; confidence is 1 in every point of a found part, or the visibility."""
        folder, index = exported(tmp_path, "pose", confidence=confidence)
        from pose_format import Pose

        for row in index:
            pose = Pose.read((folder / row["file"]).read_bytes())
            assert [len(component.points) for component in pose.header.components] == [33, 468, 21, 21]
            expected, found = rows_of(made[row["video"]], "pose", "face:mesh", "left_hand", "right_hand")
            seen = view(made[row["video"]], kpsbatch.topology_of("all"))
            if confidence == "found":
                np.testing.assert_array_equal(pose.body.confidence[:, 0], found)
            else:
                np.testing.assert_array_equal(pose.body.confidence[:, 0, :501], seen[:, :501, 3])
            x_y = expected[..., :2] * np.array([640, 361], np.float32)
            np.testing.assert_allclose(pose.body.data.data[:, 0, :, :2], x_y, rtol=1.2e-7, atol=1e-30)

    def test_metres(self, made, tmp_path):
        """`tfds` has the body in metres as a fifth component, `--points full` the hands, too."""
        for name, options, counts in (
            ("tfds", {}, [33, 468, 21, 21, 33]),
            ("pose", {"points": "full"}, [33, 478, 21, 21, 33, 21, 21]),
        ):
            folder, index = exported(tmp_path, name, **options)
            from pose_format import Pose

            pose = Pose.read((folder / index[0]["file"]).read_bytes())
            assert [len(component.points) for component in pose.header.components] == counts
            world = pose.header.components[4]
            assert (world.name, world.points[0]) == ("POSE_WORLD_LANDMARKS", "NOSE")

    def test_its_own_tools(self, made, tmp_path):
        """pose-format reduces, normalises and finds the active hand of what is exported, without an argument."""
        folder, index = exported(tmp_path, "pose")
        from pose_format import Pose
        from pose_format.utils.generic import correct_wrists, pose_normalization_info, reduce_holistic

        pose = Pose.read((folder / index[0]["file"]).read_bytes())
        assert reduce_holistic(pose).body.data.shape[2] == 178
        pose.normalize(pose_normalization_info(pose.header))
        correct_wrists(pose)


KILLED = """
import os, signal, sys
from pathlib import Path
import kpsbatch
from kpsbatch.export import formats
from kpsbatch.export.run import export
formats.VIDEOS_BETWEEN_SYNCS = 2
def kill(done, total):
    if done >= 7:
        os.kill(os.getpid(), signal.SIGKILL)
export(kpsbatch.open_dataset(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), kill)
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_killed(made, tmp_path, recipe):
    """Killed at video 7, the same call goes on: the files are those of an undisturbed export, to the byte."""
    whole, _ = exported(tmp_path, recipe)
    folder = tmp_path / "killed"
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "out", recipe, folder], env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    assert not json.loads((folder / "export.json").read_text())["finished"]
    export(kpsbatch.open_dataset(tmp_path / "out"), recipe, folder)
    assert tree(folder) == tree(whole)


class TestRefused:
    @pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in {*LIBRARIES, *OF_THE_CONTRACT}])
    def test_nothing_kept(self, tmp_path, recipe):
        """What the outputs lack is said in one line, and nothing is written."""
        store(tmp_path / "out", UNITS[0], {"v": keypoints(np.random.default_rng(1), 3)})
        with pytest.raises(OutputError, match=rf"--as {recipe}: it takes \d+ points .*of which the outputs lack"):
            export(kpsbatch.open_dataset(tmp_path / "out"), recipe, tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_pose_of_what_they_hold(self, tmp_path, capsys):
        """Where nothing is kept, `--to pose` names a remedy that works as it is typed."""
        needs("pose")
        store(tmp_path / "out", UNITS[0], {"v": keypoints(np.random.default_rng(1), 3)})
        main_ends(2, "export", tmp_path / "out", "--to", "pose", tmp_path / "x")
        assert capsys.readouterr().err.endswith("Or export what they hold: --points contract.\n")
        main_ends(0, "export", tmp_path / "out", "--to", "pose", "--points", "contract", tmp_path / "x")

    def test_a_set_that_has_them(self, tmp_path):
        """Outputs that hold the points need nothing that is kept."""
        full = landmarks(np.random.default_rng(2), 4)
        store(tmp_path / "out", UNITS[0], {"v": view(full, kpsbatch.topology_of("all"))}, points="all")
        kept_outputs(tmp_path / "kept", UNITS[:1], 1)
        export(kpsbatch.open_dataset(tmp_path / "out"), "asl-citizen", tmp_path / "x")
        array = np.load(next((tmp_path / "x").rglob("*.npy")))
        np.testing.assert_array_equal(array[:, :33], full[:, :33, :2])

    def test_same_names(self, tmp_path):
        """Signers that a reader takes for numbers, and names that are none."""
        store(tmp_path / "out", Unit("anna", "train", 1), {"v": keypoints(np.random.default_rng(1), 3)})
        with pytest.raises(OutputError, match="signers are numbers there, and 'anna' is not a number"):
            export(kpsbatch.open_dataset(tmp_path / "out"), "arabic-sl-mmap", tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_other_confidence(self, made, tmp_path):
        """An export with another confidence is another export."""
        folder, _ = exported(tmp_path, "pose")
        with pytest.raises(kpsbatch.ConfigError, match="holds another export"):
            export(kpsbatch.open_dataset(tmp_path / "out"), "pose", folder, confidence="visibility")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ([], "Name one of --to FORMAT and --as NAME"),
            (["--to", "npy", "--as", "gislr"], "Name one of --to FORMAT and --as NAME"),
            (["--as", "gisler"], "--as: there is no recipe 'gisler'. Choose among pose, tfds, gislr"),
            (["--as", "gislr", "--points", "all"], "--points: --as gislr has points of its own"),
            (["--to", "pose", "--confidence", "high"], "--confidence: 'high' is unknown"),
            (["--to", "npy", "--confidence", "visibility"], "--confidence works only with .pose files"),
        ],
    )
    def test_options(self, made, tmp_path, capsys, options, said):
        """Options that don't go together are status 2 and one line."""
        main_ends(2, "export", tmp_path / "out", *options, tmp_path / "x")
        shown = capsys.readouterr().err
        assert said in shown
        assert shown.count("\n") == 1


def test_command(made, tmp_path, capsys):
    """`--as NAME` exports, and says what the layout has room for and the keypoints do not have."""
    main_ends(0, "export", tmp_path / "out", "--as", "sign-translator", tmp_path / "x")
    shown = capsys.readouterr()
    assert "(sign-translator, 12 videos in 12 files)" in shown.out
    assert "--as sign-translator: the presence of points is not kept" in shown.err


def test_list(capsys):
    """`--as list` prints every recipe, whatever else is given."""
    main_ends(0, "export", "--as", "list")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*RECIPES]
    assert lines[0].split()[1] == "543"


def test_every_recipe_is_documented() -> None:
    """docs/recipes.md has every recipe."""
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name in RECIPES:
        assert f"| `{name}` |" in page


def test_words(tmp_path):
    """Each class has a word of its own that no reader of tables takes for a number or for nothing."""
    store(tmp_path / "out", Unit("01", "train", 1), {"v": keypoints(np.random.default_rng(1), 3)})
    for sign in (2, 3, 4, 5):
        store(tmp_path / "out", Unit("01", "train", sign), {"v": keypoints(np.random.default_rng(1), 3)})
    names = {1: "peace", 2: "NA", 3: "7", 4: "peace"}
    dataset = kpsbatch.open_dataset(tmp_path / "out", sign_names=names)
    assert words_of(dataset) == ["peace", "sign NA", "sign 7", "peace (4)", "sign 5"]


def test_without_names(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--anonymous goes with a recipe: its points come from what is kept, and no video's name is in what is written."""
    status, shown = call(capsys, "export", tmp_path / "out", tmp_path / "secret", "--as", "openhands", "--anonymous")
    assert status == 0, shown
    files = [path for path in (tmp_path / "secret").rglob("*") if path.is_file()]
    assert len(files) > len(made)
    assert not any(name.encode() in path.read_bytes() for name in made for path in files)
