"""Every format gives back what was exported, read with the library that people read it with."""

from __future__ import annotations

import csv
import gc
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_outputs import NAMES, UNITS, outputs_to_export, store

import kpsbatch
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.export import formats
from kpsbatch.export.formats import components_of, facts_of, file_name
from kpsbatch.export.run import export
from kpsbatch.points import CONTRACT, topology_of
from kpsbatch.store.pose_files import COMPONENTS
from kpsbatch.store.reading import OutputDataset, Sample


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return outputs_to_export(tmp_path / "out")


def exported(root: Path, form: str, **options: str) -> tuple[Path, OutputDataset, dict[str, Any]]:
    """An export of everything: its folder, what was exported, and its export.json."""
    dataset = kpsbatch.open_dataset(root, sign_names={3: "peace", 11: "water, cold"})
    folder = root.parent / form
    export(dataset, form, folder, **options)
    about = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert about["finished"]
    assert sorted(about["names"]) == sorted(CONTRACT.names)
    assert len(dataset) == len(UNITS) * len(NAMES) == about["videos"]
    return folder, dataset, about


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assert_told(row: dict[str, str], sample: Sample) -> None:
    """A row of a table says what is known of a video."""
    for name, value in facts_of(sample.info).items():
        assert row[name] == (str(value).lower() if isinstance(value, bool) else str(value)), name


class TestMemoryMap:
    def test_padded(self, root):
        """`{split}_X.mmap` is (N, T_max, points, 4) of zeros behind each video's end, bit-equal before."""
        folder, dataset, about = exported(root, "mmap")
        assert about["layout"] == "padded"
        longest = int(dataset.lengths.max())
        for split in ("train", "test"):
            samples = [sample for sample in dataset if sample.info.split == split]
            array = about["arrays"][f"{split}_X.mmap"]
            assert array == {"shape": [len(samples), longest, 184, 4], "dtype": "float32"}
            data = np.memmap(folder / f"{split}_X.mmap", array["dtype"], "r", shape=tuple(array["shape"]))
            lengths, classes = np.load(folder / f"{split}_lengths.npy"), np.load(folder / f"{split}_y.npy")
            assert (lengths.dtype, classes.dtype) == (np.int64, np.int64)
            for row, (sample, told) in enumerate(zip(samples, table(folder / f"{split}_index.csv"), strict=True)):
                np.testing.assert_array_equal(data[row, : lengths[row]], sample.keypoints)
                assert not data[row, lengths[row] :].any()
                assert about["classes"][classes[row]] == sample.info.sign
                assert told["row"] == str(row)
                assert_told(told, sample)

    def test_concatenated(self, root):
        """`{split}_X.mmap` is (sum of T, points, 4); video i is rows offsets[i] to offsets[i + 1]."""
        folder, dataset, about = exported(root, "mmap-concatenated")
        for split in ("train", "test"):
            samples = [sample for sample in dataset if sample.info.split == split]
            shape = tuple(about["arrays"][f"{split}_X.mmap"]["shape"])
            assert shape == (sum(sample.info.frames for sample in samples), 184, 4)
            data = np.memmap(folder / f"{split}_X.mmap", np.float32, "r", shape=shape)
            offsets = np.load(folder / f"{split}_offsets.npy")
            assert len(offsets) == len(samples) + 1
            for row, sample in enumerate(samples):
                np.testing.assert_array_equal(data[offsets[row] : offsets[row + 1]], sample.keypoints)


def test_npy(root):
    """A file for each video, bit-equal, at the place that index.csv says."""
    folder, dataset, _ = exported(root, "npy")
    for row, sample in zip(table(folder / "index.csv"), dataset, strict=True):
        np.testing.assert_array_equal(np.load(folder / row["file"]), sample.keypoints)
        assert_told(row, sample)
    assert len([*folder.rglob("*.npy")]) == len(dataset)


class TestWebDataset:
    def test_members(self, root, monkeypatch):
        """Each video once: KEY.npy, bit-equal, and KEY.json; shards are as large as they may be, and shuffled."""
        monkeypatch.setattr(formats, "TAR_BYTES", 30_000)
        folder, dataset, about = exported(root, "webdataset")
        assert len(about["shards"]) > 4
        found: dict[tuple[str, ...], str] = {}
        for shard in about["shards"]:
            with tarfile.open(folder / shard) as tar:
                names = tar.getnames()
                arrays, facts = names[::2], names[1::2]
                for array, fact in zip(arrays, facts, strict=True):
                    assert array.split(".") == [fact.split(".")[0], "npy"]
                    told = json.load(tar.extractfile(fact))
                    (sample,) = (s for s in dataset if facts_of(s.info).items() <= told.items())
                    assert told.get("times") == (list(sample.info.times) if sample.info.times else None)
                    read = np.load(io.BytesIO(tar.extractfile(array).read()))
                    np.testing.assert_array_equal(read, sample.keypoints)
                    assert shard.startswith(sample.info.split)
                    found[sample.info[:4]] = shard
        assert len(found) == len(dataset)
        assert {(row["file"], row["video"]) for row in table(folder / "index.csv")} == {
            (shard, key[3]) for key, shard in found.items()
        }
        order = [key for key in found if key[1] == "train"]
        assert order != sorted(order)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_with_webdataset(self, root):
        """The webdataset library decodes keys, arrays and JSON."""
        webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed; see make test-formats")
        folder, dataset, about = exported(root, "webdataset")
        urls = [str(folder / shard) for shard in about["shards"]]
        known = {info[:4]: number for number, info in enumerate(dataset.videos)}
        for sample in webdataset.WebDataset(urls, shardshuffle=False).decode():
            told = sample["json"]
            number = known.pop((told["signer"], told["split"], told["sign"], told["video"]))
            np.testing.assert_array_equal(sample["npy"], dataset[number].keypoints)
        assert not known
        gc.collect()


class TestParquet:
    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed; see make test-formats")

    def test_rows(self, root, monkeypatch):
        """A row for each video, with one list of float32 that is bit-equal; splits are in the files' names."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        monkeypatch.setattr(formats, "PARQUET_BYTES", 60_000)
        monkeypatch.setattr(formats, "ROWS_AT_ONCE", 5)
        folder, dataset, _ = exported(root, "parquet")
        files = sorted(folder.glob("*.parquet"))
        assert files[0].name.startswith("test-00000-of-0000")
        assert len(files) > 3
        rows = [
            row
            for split in ("train", "test")
            for f in files
            if f.name.startswith(split)
            for row in pq.read_table(f).to_pylist()
        ]
        samples = sorted(dataset, key=lambda sample: sample.info.split, reverse=True)
        for row, sample in zip(rows, samples, strict=True):
            assert facts_of(sample.info).items() <= row.items()
            assert row["times"] == (list(sample.info.times) if sample.info.times else None)
            array = np.array(row["keypoints"], np.float32).reshape(row["frames"], row["points"], 4)
            np.testing.assert_array_equal(array, sample.keypoints)
        schema = pq.read_schema(files[0])
        assert schema.field("keypoints").type == pa.list_(pa.float32())
        assert json.loads(schema.metadata[b"kpsbatch"])["points"] == list(CONTRACT.names)


class TestPose:
    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("pose_format", reason="pose-format is not installed; see make test-formats")

    def test_read_back(self, root):
        """pose-format reads pixels to 1.2e-7 of them, visibility bit-equal, frame rate and size; missing is masked."""
        from pose_format import Pose

        folder, dataset, _ = exported(root, "pose", points="contract", confidence="visibility")
        order = [n for part in ("pose", "face", "left_hand", "right_hand") for n in range(184)[CONTRACT.parts[part]]]
        for row, sample in zip(table(folder / "index.csv"), dataset, strict=True):
            pose = Pose.read((folder / row["file"]).read_bytes())
            assert pose.body.fps == pytest.approx(29.97)
            assert (pose.header.dimensions.width, pose.header.dimensions.height) == (640, 361)
            expected = sample.keypoints[:, None, order]
            np.testing.assert_array_equal(pose.body.confidence, expected[..., 3])
            np.testing.assert_array_equal(pose.body.data.data[..., 2], expected[..., 2])
            np.testing.assert_allclose(
                pose.body.data.data[..., :2], expected[..., :2] * [640, 361], rtol=1.2e-7, atol=1e-30
            )
            np.testing.assert_array_equal(pose.body.data.mask[..., 0], expected[..., 3] == 0)
            assert_told(row, sample)

    def test_components_of_holistic(self, root):
        """Components, points and colours are called and ordered as pose-format's own for MediaPipe Holistic."""
        from pose_format import Pose
        from pose_format.utils.generic import detect_known_pose_format

        folder, _, _ = exported(root, "pose", points="contract")
        pose = Pose.read(next(folder.rglob("*.pose")).read_bytes())
        assert detect_known_pose_format(pose) == "holistic"
        assert [(c.name, len(c.points), c.format) for c in pose.header.components] == [
            ("POSE_LANDMARKS", 6, "XYZC"),
            ("FACE_LANDMARKS", 136, "XYZC"),
            ("LEFT_HAND_LANDMARKS", 21, "XYZC"),
            ("RIGHT_HAND_LANDMARKS", 21, "XYZC"),
        ]
        body, face, left, right = pose.header.components
        assert body.points[:2] == ["LEFT_SHOULDER", "RIGHT_SHOULDER"]
        assert (4, 2) in body.limbs or (2, 4) in body.limbs
        assert face.points[-1] == "477"
        assert left.points == right.points
        assert left.points[:9] == [
            *("WRIST", "THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP"),
            *("INDEX_FINGER_MCP", "INDEX_FINGER_PIP", "INDEX_FINGER_DIP", "INDEX_FINGER_TIP"),
        ]
        assert left.points[-1] == "PINKY_TIP"
        assert [len(component.colors) for component in pose.header.components] == [1, 1, 21, 21]

    def test_its_own_tools(self, root):
        """pose-format normalises, selects components and draws what was exported."""
        from pose_format import Pose
        from pose_format.pose_visualizer import PoseVisualizer
        from pose_format.utils.generic import get_hand_wrist_index, pose_normalization_info

        folder, _, _ = exported(root, "pose", points="contract")
        longest = max(folder.rglob("*.pose"), key=lambda path: path.stat().st_size)
        pose = Pose.read(longest.read_bytes())
        assert get_hand_wrist_index(pose, "left") == 142
        hands = pose.get_components(["LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"])
        assert hands.body.data.shape[2] == 42
        pose_normalization_info(pose.header)
        pytest.importorskip("cv2", reason="pose-format draws with OpenCV")
        assert len([*PoseVisualizer(pose).draw()]) == len(pose.body.data)

    @pytest.mark.parametrize("points", ["all", "youtube-asl", "hands"])
    def test_any_set_of_points(self, points):
        """Components follow from the set of points; lines stay inside of them."""

        topology = topology_of(points)
        names = [name for part in COMPONENTS for name in topology.names if name.partition(".")[0] == part]
        components = components_of(names)
        assert sum(len(component.points) for component in components) == topology.points
        for component in components:
            assert all(max(limb) < len(component.points) for limb in component.limbs)
            assert component.limbs

    def test_adjusted_coordinates(self, tmp_path):
        """Coordinates that are no places in a picture are not written; those that are kept are."""
        video = {"v": np.zeros((1, 553, 4), np.float32)}
        told = {"points": "all", "landmarks": {"coordinates": "adjusted"}}
        store(tmp_path / "out", Unit("01", "train", 1), video, **told)
        with pytest.raises(OutputError, match="--to pose: it takes 543 points in image coordinates; of "):
            export(kpsbatch.open_dataset(tmp_path / "out"), "pose", tmp_path / "pose")

    def test_unknown_rate(self, root):
        """Without records there is no frame rate, and a .pose file must have one."""
        (root / "_kpsbatch").rename(root.parent / "away")
        with pytest.raises(OutputError, match="needs frame rate, width and height"):
            export(kpsbatch.open_dataset(root), "pose", root.parent / "pose", points="contract")


@pytest.mark.parametrize("points", ["all", "youtube-asl"])
@pytest.mark.parametrize("form", ["mmap", "npy", "webdataset"])
def test_other_points(tmp_path, points, form):
    """Shapes and names are those of the outputs' set of points."""
    topology = topology_of(points)
    video = np.random.default_rng(0).random((3, topology.points, 4)).astype(np.float32)
    store(tmp_path / "out", Unit("01", "train", 1), {"v": video}, points=points)
    dataset = kpsbatch.open_dataset(tmp_path / "out")
    assert dataset.topology == topology
    export(dataset, form, tmp_path / form)
    about = json.loads((tmp_path / form / "export.json").read_text(encoding="utf-8"))
    assert about["names"] == list(topology.names)
    assert about["points"] == points
    if form == "mmap":
        shape = tuple(about["arrays"]["train_X.mmap"]["shape"])
        np.testing.assert_array_equal(
            np.memmap(tmp_path / form / "train_X.mmap", np.float32, "r", shape=shape)[0], video
        )
    else:
        assert about["shape"] == ["T", topology.points, 4]


def test_several_sets_of_points(tmp_path):
    """Outputs of different sets don't fit into one array; units of one of them do."""
    for sign, points in ((1, "all"), (2, "contract")):
        video = np.zeros((3, topology_of(points).points, 4), np.float32)
        store(tmp_path / "out", Unit("01", "train", sign), {"v": video}, points=points)
    with pytest.raises(OutputError, match="several sets of points: 1 of 'all', 1 of 'contract'"):
        export(kpsbatch.open_dataset(tmp_path / "out"), "npy", tmp_path / "npy")
    assert kpsbatch.open_dataset(tmp_path / "out", signs=1)[0].keypoints.shape == (3, 553, 4)


def test_names_of_files_differ():
    """Different videos get different names of files, of any length, none of which is hidden or a path."""
    videos = [*NAMES, "a%2Fb", "a/b", "a\nb", "x" * 300, "x" * 301, "x" * 299 + "é", ".", "..", "%2E"]
    names = [file_name(video) for video in videos]
    assert len(set(names)) == len(videos)
    for name in names:
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name.encode()) <= 200
