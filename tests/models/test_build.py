"""The networks are built to the byte, give what the untouched ones give, and survive a hostile cache."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from plain_landmarkers import bundle, close_landmarkers, open_landmarker, picture
from plain_landmarkers import networks as source_networks
from synthetic.signer import render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import ModelError
from kpsbatch.landmarks.network_files import (
    BUILT_SHA256,
    LIST,
    NETWORKS,
    SOURCE_SHA256,
    NetworkFiles,
    default_folder,
    find_networks,
)
from kpsbatch.landmarks.networks import Networks
from kpsbatch.landmarks.squares import cut, mesh_square, upright_square
from kpsbatch.models import edits, wheel
from kpsbatch.models.build import BUNDLES, build_networks, copy_networks, obtain_networks
from kpsbatch.models.graph import Graph, image_metadata

ROOT = Path(__file__).parents[2]
LEGACY = ROOT / "tests" / "landmarks" / "legacy_face_mesh.npz"


@pytest.fixture(scope="session", autouse=True)
def sources() -> dict[str, bytes]:
    """The wheel's networks, kept in the user's cache; read before a test names another cache."""
    return source_networks()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache with a space in its name, which is not there yet, on a machine that reaches no index."""
    monkeypatch.setenv("KPSBATCH_CACHE", str(tmp_path / "the cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "1")
    return tmp_path / "the cache"


@pytest.fixture(scope="module")
def built(sources: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> NetworkFiles:
    return build_networks(sources, tmp_path_factory.mktemp("built"))


@pytest.fixture
def a_wheel(sources: dict[str, bytes], tmp_path: Path) -> Path:
    """What matters of the wheel: a zip with the networks."""
    path = tmp_path / "mediapipe-0.10.21-cp312-cp312-win_amd64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in wheel.MEMBERS.items():
            archive.writestr(f"mediapipe/modules/{member}", sources[name])
    return path


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """A folder of MediaPipe's three bundles."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    for part in ("pose", "face", "hand"):
        (folder / f"{part}_landmarker.task").write_bytes(bundle(part))
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


WHOLE = {LIST, *(f"{name}.tflite" for name in NETWORKS)}


class TestEdits:
    def test_the_segmentation_goes(self, sources: dict[str, bytes], built: NetworkFiles) -> None:
        """The pose network has 332 operators, 46 of them for what is not read; 19 choose the heatmap's cells."""
        whole, pruned = Graph(sources["pose_landmarks"]), Graph(sources["pose_landmarks"])
        landmarks, presence, _, heatmap, world = pruned.main.outputs.tolist()
        pruned.set_outputs([landmarks, presence, heatmap, world])
        edited = Graph(built["pose_landmarks"].read())
        assert [len(graph.main.operators) for graph in (whole, pruned, edited)] == [332, 286, 305]
        assert len(edited.main.outputs) == 4

    def test_merged_face_is_the_legacy_face_mesh(self) -> None:
        """The 478 face points are those of the legacy FaceMesh with refined landmarks, to 0.05 px."""
        pictures, expected = legacy()
        landmarker = open_landmarker("face")
        try:
            answers = [landmarker.detect(picture(each)).face_landmarks for each in pictures]
        finally:
            close_landmarkers()
        height, width = pictures[0].shape[:2]
        for theirs, (found,) in zip(expected, answers, strict=True):
            ours = np.array([(p.x, p.y, p.z) for p in found])
            difference = np.abs(ours - theirs) * (width, height, width)
            assert difference[:, :2].max() < 0.05
            assert difference[:, 2].max() < 0.5  # the two graphs scale z a little differently

    def test_the_face_network_merges_and_changes_nothing(
        self, sources: dict[str, bytes], built: NetworkFiles, tmp_path: Path
    ) -> None:
        """Its points are those of the untouched network's seven outputs, bit for bit; the irises' z is a mean."""
        graph = Graph(sources["face_landmarks"])
        graph.set_metadata(image_metadata("whole", mean=0.0, std=255.0))
        whole = graph.pack()
        path = tmp_path / "whole.tflite"
        path.write_bytes(whole)
        sha256 = hashlib.sha256(whole).hexdigest()
        untouched = {**built, "face_landmarks": replace(built["face_landmarks"], path=path, sha256=sha256)}
        pictures, expected = legacy()
        height, width = pictures[0].shape[:2]
        tables = edits.refinement_tables()
        with Networks(LandmarksConfig(), built) as ours, Networks(LandmarksConfig(), untouched) as theirs:
            for image, mesh in zip(pictures, expected, strict=True):
                face = cut(image, mesh_square(mesh * (width, height, width)), ours.face_side)
                presence, points = ours._loaded["face_landmarks"].run(face)
                plain, *refined, same_presence = theirs._loaded["face_landmarks"].run(face)
                merged = np.zeros((478, 3), np.float32)
                merged[:468] = plain.reshape(468, 3)
                for name, output in zip(edits._REFINEMENTS, refined, strict=True):
                    merged[tables[name], :2] = output.reshape(-1, 2)
                np.testing.assert_array_equal(presence, same_presence)
                np.testing.assert_array_equal(points.reshape(478, 3)[:, :2], merged[:, :2])
                np.testing.assert_array_equal(points.reshape(478, 3)[:468, 2], merged[:468, 2])
                for name in ("left_iris", "right_iris"):
                    depth = merged[tables[f"{name}_z_mean_of"], 2].mean()
                    assert points.reshape(478, 3)[-10:, 2][slice(5) if name == "left_iris" else slice(5, 10)] == (
                        pytest.approx(depth, abs=1e-3)
                    )

    def test_refinement_tables_cover_the_irises(self) -> None:
        """Every refined point replaces another mesh point, and the ten iris points are all filled."""
        tables = edits.refinement_tables()
        replaced = [index for name in edits._REFINEMENTS for index in tables[name]]
        assert len(set(replaced)) == len(replaced) == 80 + 71 + 71 + 5 + 5
        assert set(range(468, 478)) <= set(replaced)

    def test_both_hands_are_found(self, built: NetworkFiles) -> None:
        """The built palm detector and hand network see both hands of the demo's signer."""
        frames = [image for signer in (1, 2) for image in render_video(2, signer, 1, 4, 480)[0]]
        count = 0
        with Networks(LandmarksConfig(), built) as networks:
            detector = networks.palm_detector
            for frame in frames:
                whole = upright_square(np.array([240.0, 240.0]), 480.0)
                count += len(detector.find(cut(frame, whole, detector.side), 0.5))
        assert count >= 15


def legacy() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two frames of the demo's signer, and what FaceMesh(static_image_mode=True, refine_landmarks=True) found there."""
    with np.load(LEGACY) as stored:  # by mediapipe 0.10.21
        decoded = [cv2.imdecode(stored[name], 1) for name in ("frame0", "frame1")]
        pictures: list[Any] = [cv2.cvtColor(each, cv2.COLOR_BGR2RGB) for each in decoded]
        return pictures, [stored[name] for name in ("face0", "face1")]


class TestBuild:
    def test_bytes_are_the_expected_ones(self, built: NetworkFiles) -> None:
        """A build gives the pinned hashes, and files that are what the list says."""
        assert list(built) == list(NETWORKS)
        for name, file in built.items():
            assert hashlib.sha256(file.read()).hexdigest() == file.sha256 == BUILT_SHA256[name]
            assert file.source == SOURCE_SHA256[name]
            assert file.origin == "mediapipe 0.10.21"
        assert names_in(built["pose_detector"].path.parent) == WHOLE

    def test_build_does_not_import_mediapipe(self, built: NetworkFiles, a_wheel: Path) -> None:
        """It spares the 0.6 s of importing mediapipe."""
        code = (
            "import sys; from pathlib import Path; from kpsbatch.models.build import obtain_networks\n"
            f"obtain_networks(wheel=Path({str(a_wheel)!r})); sys.exit('mediapipe' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=False)
        assert done.returncode == 0
        assert {name: file.sha256 for name, file in find_networks().items()} == BUILT_SHA256

    def test_other_bytes_are_refused(
        self, sources: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A build that gives other bytes than the pinned ones is not used, and names flatbuffers."""
        monkeypatch.setattr(edits, "image_metadata", lambda name, mean, std: b"0000M001")
        with pytest.raises(ModelError, match=r"pose_detector is wrong: .*requirements\.lock.*flatbuffers"):
            build_networks(sources, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_source_that_is_no_such_network_is_named(self, sources: dict[str, bytes], tmp_path: Path) -> None:
        """Bytes that can't be edited are one line."""
        with pytest.raises(ModelError, match=r"face_landmarks can't be made ready to run: .*wheel's") as raised:
            build_networks({**sources, "face_landmarks": b"<html>404</html>"}, tmp_path / "out")
        assert "\n" not in str(raised.value)

    def test_only_what_differs_is_written(self, sources: dict[str, bytes], tmp_path: Path) -> None:
        """Files with the right bytes stay, since workers may be reading them."""
        first = build_networks(sources, tmp_path)
        before = {name: file.path.stat() for name, file in first.items()}
        first["face_detector"].path.write_bytes(b"damaged")
        again = build_networks(sources, tmp_path)
        assert {name for name, file in again.items() if file.path.stat().st_ino != before[name].st_ino} <= {
            "face_detector"
        }
        assert again == first


class TestObtain:
    """`kpsbatch models`: the networks from an index, a wheel or another machine."""

    def test_from_a_wheel(self, cache: Path, a_wheel: Path) -> None:
        """A wheel that was brought by hand is enough."""
        found = obtain_networks(wheel=a_wheel)
        assert found == find_networks()
        assert names_in(default_folder()) == WHOLE
        assert names_in(cache) == {default_folder().name}

    def test_a_second_call_needs_no_source(self, a_wheel: Path) -> None:
        """What the cache holds is used; damage makes it build again, which takes a source."""
        first = obtain_networks(wheel=a_wheel)
        assert obtain_networks() == first
        first["hand_landmarks"].path.write_bytes(b"damaged")
        with pytest.raises(ModelError, match="can't be had here"):
            obtain_networks()
        assert obtain_networks(wheel=a_wheel) == first
        first["hand_landmarks"].read()

    def test_from_another_machine(self, cache: Path, built: NetworkFiles) -> None:
        """The folder that --export wrote is enough."""
        found = obtain_networks(origin=built["pose_detector"].path.parent)
        assert find_networks() == found
        assert all(cache in file.path.parents for file in found.values())

    def test_export(self, a_wheel: Path, tmp_path: Path) -> None:
        """Exported networks can be used through `landmarks.models`, by every user who may read the folder."""
        exported = obtain_networks(wheel=a_wheel, export=tmp_path / "a" / "b")
        assert find_networks(tmp_path / "a" / "b") == exported
        assert {name: file.sha256 for name, file in exported.items()} == BUILT_SHA256
        plain = tmp_path / "plain"
        plain.touch()
        assert exported["pose_detector"].path.stat().st_mode == plain.stat().st_mode

    def test_export_to_a_file_is_an_error(self, a_wheel: Path, tmp_path: Path) -> None:
        """A destination that can't be a folder is named."""
        (tmp_path / "file").touch()
        with pytest.raises(ModelError, match=r"file: File exists\. Name another folder \(--export\)"):
            obtain_networks(wheel=a_wheel, export=tmp_path / "file")

    def test_a_cache_that_can_not_be_written(self, cache: Path, a_wheel: Path) -> None:
        """A file in its place, which stops even root."""
        cache.touch()
        with pytest.raises(ModelError, match=r"the cache.*Name another folder \(KPSBATCH_CACHE\)"):
            obtain_networks(wheel=a_wheel)

    def test_without_an_index(self, cache: Path) -> None:
        """Where no installer reaches an index, one line says why, and every other way."""
        with pytest.raises(ModelError, match=r"can't be had here: .*--wheel FILE.*--export DIR.*--from DIR") as raised:
            obtain_networks()
        assert "\n" not in str(raised.value)
        assert not cache.exists()

    @pytest.mark.parametrize(
        ("damage", "problem"),
        [
            ("other bytes", "is another network: its SHA-256"),
            ("no network", "no item named"),
            ("no zip", "not a zip"),
            ("none", "No such"),
        ],
    )
    def test_wrong_wheel(self, cache: Path, a_wheel: Path, damage: str, problem: str) -> None:
        """A wheel that is missing, broken or of another release is named, and nothing of it is used."""
        with zipfile.ZipFile(a_wheel, "w") as archive:
            if damage == "other bytes":
                archive.writestr(f"mediapipe/modules/{next(iter(wheel.MEMBERS.values()))}", b"other")
        if damage == "no zip":
            a_wheel.write_bytes(b"<html>")
        if damage == "none":
            a_wheel.unlink()
        with pytest.raises(ModelError, match=problem) as raised:
            obtain_networks(wheel=a_wheel)
        assert str(a_wheel) in str(raised.value)
        assert not cache.exists()

    def test_damaged_networks_of_another_machine(self, cache: Path, built: NetworkFiles, tmp_path: Path) -> None:
        """Networks that are not what their list says are refused."""
        theirs = tmp_path / "theirs"
        copy_networks(built, theirs)
        (theirs / "pose_landmarks.tflite").write_bytes(b"other")
        with pytest.raises(ModelError, match=r"theirs/pose_landmarks\.tflite has changed: its SHA-256.*--export"):
            obtain_networks(origin=theirs)
        assert not cache.exists()


class TestBundles:
    """Google's own bundles become a folder of networks for `landmarks.models`."""

    def test_networks_of_bundles(self, cache: Path, bundles: Path, tmp_path: Path) -> None:
        """Their networks are edited like the wheel's; each says that it was made from another one, if it was."""
        found = obtain_networks(origin=bundles, export=tmp_path / "own")
        assert find_networks(tmp_path / "own") == found
        assert not cache.exists()
        # the bundles here have the wheel's networks, but for metadata and the merged face
        same = {name for name, file in found.items() if file.origin == "mediapipe 0.10.21"}
        assert {"pose_detector", "face_detector", "palm_detector", "hand_landmarks"} <= same
        assert found["pose_landmarks"].origin == "other"
        frame = np.ascontiguousarray(render_video(2, 1, 1, 1)[0][0])
        with Networks(LandmarksConfig(), found) as networks:
            assert networks.pose(cut(frame, upright_square(np.array([128.0, 128.0]), 256.0), 256)).presence > 0.9

    def test_without_a_folder_to_put_them(self, bundles: Path) -> None:
        """The cache is for the wheel's networks only."""
        with pytest.raises(ModelError, match=r"holds bundles\. Add --export DIR"):
            obtain_networks(origin=bundles)

    @pytest.mark.parametrize(
        ("spoil", "problem"),
        [
            (lambda data: data[: len(data) // 2], "not a zip file"),
            (lambda data: b"<html>404</html>", "not a zip file"),
            (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "Bad CRC-32"),
            (lambda data: b"PK\x05\x06" + bytes(18), "hand_detector.tflite"),
        ],
        ids=["truncated", "web page", "flipped byte", "empty zip"],
    )
    def test_a_wrong_bundle_is_named(self, bundles: Path, spoil: Any, problem: str, tmp_path: Path) -> None:
        """With what is wrong and what to do."""
        path = bundles / "hand_landmarker.task"
        path.write_bytes(spoil(path.read_bytes()))
        with pytest.raises(ModelError, match=problem) as raised:
            obtain_networks(origin=bundles, export=tmp_path / "own")
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "own").exists()

    def test_a_missing_bundle_is_named(self, bundles: Path, tmp_path: Path) -> None:
        """All three must be there."""
        (bundles / "pose_landmarker.task").unlink()
        with pytest.raises(ModelError, match=r"pose_landmarker\.task does not exist\. Put .* there") as raised:
            obtain_networks(origin=bundles, export=tmp_path / "own")
        assert all(name in str(raised.value) for name in BUNDLES)

    def test_other_networks_do_not_go_into_the_cache(self, bundles: Path, tmp_path: Path) -> None:
        """What was made of bundles is named in landmarks.models, never taken for the default."""
        obtain_networks(origin=bundles, export=tmp_path / "own")
        with pytest.raises(ModelError, match=r"is another network than kpsbatch builds: .*Set landmarks\.models to"):
            obtain_networks(origin=tmp_path / "own")


class TestTogether:
    PROGRAM = (
        "import sys; from pathlib import Path; from kpsbatch.models.build import obtain_networks\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "print(sum(len(file.read()) for file in obtain_networks(wheel=Path(sys.argv[1])).values()))"
    )

    @pytest.fixture
    def start(self, a_wheel: Path) -> Iterator[Any]:
        jobs: list[subprocess.Popen[str]] = []

        def begin() -> subprocess.Popen[str]:
            command = [sys.executable, "-c", self.PROGRAM, str(a_wheel)]
            job = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            jobs.append(job)
            assert job.stdout is not None and job.stdout.readline() == "ready\n"
            return job

        yield begin
        for job in jobs:
            job.kill()
            job.wait()
            for pipe in (job.stdin, job.stdout):
                if pipe is not None:
                    pipe.close()

    def test_eight_processes_at_once(self, start: Any) -> None:
        """Processes that start with one empty cache all get whole networks and leave no temporary file."""
        jobs = [start() for _ in range(8)]
        for job in jobs:
            job.stdin.close()
            job.stdin = None
        printed = {job.communicate(timeout=120)[0] for job in jobs}
        assert [job.returncode for job in jobs] == [0] * 8
        assert printed == {f"{sum(file.path.stat().st_size for file in find_networks().values())}\n"}
        assert names_in(default_folder()) == WHOLE

    def test_a_killed_build_is_made_good_by_the_next(self, start: Any, a_wheel: Path) -> None:
        """Whenever it was killed, what it left is never taken for whole networks."""
        for after in range(1, 7):
            job = start()
            job.stdin.close()
            job.stdin = None
            folder = default_folder()
            while job.poll() is None and (not folder.exists() or len(list(folder.glob("*.tflite"))) < after):
                pass
            os.kill(job.pid, signal.SIGKILL)
            job.wait()
            if not (folder / LIST).exists():
                with pytest.raises(ModelError):
                    find_networks()
        assert {name: file.sha256 for name, file in obtain_networks(wheel=a_wheel).items()} == BUILT_SHA256
