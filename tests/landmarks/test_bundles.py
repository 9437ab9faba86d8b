"""The bundles hold what they promise, give what the untouched networks give, and survive a hostile cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic.signer import render_video

from kpsbatch.errors import ModelError
from kpsbatch.landmarks import bundles, graph_edits, networks
from kpsbatch.landmarks.mediapipe_import import import_mediapipe

SIGNER = Path(__file__).parents[3] / "shared" / "data" / "signer.mp4"
CACHE = bundles.default_cache()
NETWORKS = networks.networks_directory(CACHE)

Image = NDArray[np.uint8]


@pytest.fixture(scope="session", autouse=True)
def models_in_cache() -> None:
    """Where `make setup` has put them; not so where the bundles are older than the setup."""
    if not networks.has_networks(CACHE):
        networks.fetch_networks(CACHE)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a space in its name that holds the networks alone, for every test its own."""
    folder = tmp_path / "the cache"
    folder.mkdir()
    networks.networks_directory(folder).symlink_to(NETWORKS)
    monkeypatch.setenv("KPSBATCH_CACHE", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bundles.Bundle]:
    return bundles.build_bundles(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module", params=["a real signer", "the synthetic signer"])
def frames(request: pytest.FixtureRequest) -> list[Image]:
    """RGB frames: ten spread over the signer clip, which is not part of the repository, and eight of the demo's."""
    if request.param == "the synthetic signer":
        return [image for signer in (1, 2) for image in render_video(2, signer, 1, 4, 480)[0]]
    if not SIGNER.is_file():
        pytest.skip(f"{SIGNER} is not there")
    import cv2

    video = cv2.VideoCapture(str(SIGNER))
    pictures = []
    while (answer := video.read())[0]:
        pictures.append(np.ascontiguousarray(answer[1][:, :, ::-1]))
    video.release()
    return pictures[:: len(pictures) // 10][:10]


def landmarks(part: str, bundle: bytes, frames: list[Image], **options: Any) -> list[NDArray[np.float64]]:
    """Run a bundle in IMAGE mode; for every frame (found, points, 5): x, y, z, visibility, presence."""
    mp = import_mediapipe()
    vision, base_options = mp.tasks.vision, mp.tasks.BaseOptions
    kind = f"{part.title()}Landmarker"
    made_of = getattr(vision, f"{kind}Options")(base_options=base_options(model_asset_buffer=bundle), **options)
    landmarker = getattr(vision, kind).create_from_options(made_of)
    try:
        answers = [landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=frame)) for frame in frames]
    finally:
        landmarker.close()
    lists = [getattr(answer, f"{part}_landmarks") for answer in answers]
    return [
        np.array([[(p.x, p.y, p.z, p.visibility, p.presence) for p in one] for one in each], float) for each in lists
    ]


def network(name: str) -> bytes:
    return networks.read_network(name, bundles.default_cache())


def no_leftovers(folder: Path) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(map(bundles.bundle_name, bundles.PARTS))


class TestEdits:
    def test_pruning_drops_45_operators(self) -> None:
        """The pruned pose network has 287 operators, the original 332."""
        whole = network("pose_landmark/pose_landmark_full.tflite")
        assert graph_edits.operator_count(whole) == 332
        assert graph_edits.operator_count(graph_edits.pose_landmark_network(whole, prune=False)) == 332
        assert graph_edits.operator_count(graph_edits.pose_landmark_network(whole)) == 287

    def test_pruned_pose_is_bit_identical(self, built: dict[str, bundles.Bundle], frames: list[Image]) -> None:
        """Pose landmarks do not change by one bit when the segmentation goes."""
        detector, landmark_network = (network(entry.source) for entry in bundles._CONTENTS["pose"])
        whole = {
            "pose_detector.tflite": detector,
            "pose_landmarks_detector.tflite": graph_edits.pose_landmark_network(landmark_network, prune=False),
        }
        expected = landmarks("pose", bundles._zip(whole), frames)
        got = landmarks("pose", built["pose"].read(), frames)
        assert all(each.shape == (1, 33, 5) for each in got)
        assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))

    def test_merged_face_is_the_legacy_face_mesh(self, built: dict[str, bundles.Bundle]) -> None:
        """The 478 face points are those of the legacy FaceMesh with refined landmarks, to 0.05 px."""
        import cv2

        # two frames of the demo's signer, and what FaceMesh(static_image_mode=True, refine_landmarks=True) of
        # mediapipe 0.10.21 found in them
        with np.load(Path(__file__).parent / "legacy_face_mesh.npz") as legacy:
            pictures = [cv2.cvtColor(cv2.imdecode(legacy[name], 1), cv2.COLOR_BGR2RGB) for name in ("frame0", "frame1")]
            expected = [legacy[name] for name in ("face0", "face1")]
        got = landmarks("face", built["face"].read(), pictures)
        height, width = pictures[0].shape[:2]
        for theirs, ours in zip(expected, got, strict=True):
            difference = np.abs(ours[0, :, :3] - theirs) * (width, height, width)
            assert difference[:, :2].max() < 0.05
            assert difference[:, 2].max() < 0.5  # the two graphs scale z a little differently

    def test_both_hands_are_found(self, built: dict[str, bundles.Bundle], frames: list[Image]) -> None:
        """The hand bundle finds two hands in most frames of the clip."""
        got = landmarks("hand", built["hand"].read(), frames, num_hands=2)
        assert sum(len(each) for each in got) >= 15

    def test_refinement_tables_cover_the_irises(self) -> None:
        """Every refined point replaces another mesh point, and the ten iris points are all filled."""
        tables = graph_edits._refinement_tables()
        replaced = [index for name in graph_edits._REFINEMENTS for index in tables[name]]
        assert len(set(replaced)) == len(replaced) == 80 + 71 + 71 + 5 + 5
        assert set(range(468, 478)) <= set(replaced)


class TestBuild:
    def test_bytes_are_the_expected_ones(self, built: dict[str, bundles.Bundle]) -> None:
        """A build gives the pinned hashes, and files that are what the Bundle says."""
        for part in bundles.PARTS:
            assert built[part].sha256 == bundles.EXPECTED_SHA256[part]
            assert hashlib.sha256(built[part].read()).hexdigest() == bundles.EXPECTED_SHA256[part]
            assert built[part].origin == "built"

    def test_networks_start_at_multiples_of_16(self, built: dict[str, bundles.Bundle]) -> None:
        """Networks are stored uncompressed and aligned, so that they can be mapped."""
        for bundle in built.values():
            with zipfile.ZipFile(bundle.path) as archive:
                for entry in archive.infolist():
                    extra = int.from_bytes(bundle.read()[entry.header_offset + 28 : entry.header_offset + 30], "little")
                    assert entry.compress_type == zipfile.ZIP_STORED
                    assert (entry.header_offset + 30 + len(entry.filename) + extra) % 16 == 0

    def test_build_does_not_import_mediapipe(self, tmp_path: Path) -> None:
        """The parent process builds without the 0.6 s of importing mediapipe."""
        code = (
            "import sys; from pathlib import Path; from kpsbatch.landmarks.bundles import build_bundles\n"
            f"build_bundles(Path({str(tmp_path / 'out')!r})); sys.exit('mediapipe' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0

    def test_without_networks_the_way_out_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run that lacks the models says in one line where they must be, and what to run on which machine."""
        monkeypatch.setenv("KPSBATCH_CACHE", str(tmp_path / "empty"))
        with pytest.raises(
            ModelError, match=r"not in .*empty. Run `python -m kpsbatch models` once.*login node"
        ) as raised:
            bundles.find_bundles()
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "empty").exists()

    def test_other_bytes_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A build that gives other bytes than the pinned ones is not used, and names flatbuffers."""
        monkeypatch.setitem(bundles.EXPECTED_SHA256, "hand", "0" * 64)
        with pytest.raises(ModelError, match=r"requirements\.lock.*flatbuffers"):
            bundles.build_bundles(tmp_path)

    def test_export_writes_the_three_files(self, tmp_path: Path) -> None:
        """Exported bundles can be used through `models`, by every user who may read the folder."""
        exported = bundles.export_bundles(tmp_path / "a" / "b")
        assert list(exported) == list(bundles.PARTS)
        assert bundles.find_bundles(tmp_path / "a" / "b") == exported
        plain = tmp_path / "plain"
        plain.touch()
        assert exported["pose"].path.stat().st_mode == plain.stat().st_mode

    def test_export_to_a_file_is_an_error(self, tmp_path: Path) -> None:
        """A destination that can't be a folder is named."""
        (tmp_path / "file").touch()
        with pytest.raises(ModelError, match=r"file can't be written"):
            bundles.export_bundles(tmp_path / "file")


class TestCache:
    def test_cache_follows_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """KPSBATCH_CACHE goes before XDG_CACHE_HOME, and that before the home folder."""
        assert bundles.default_cache() == tmp_path / "the cache"
        monkeypatch.delenv("KPSBATCH_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert bundles.default_cache() == tmp_path / "xdg" / "kpsbatch"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert bundles.default_cache() == tmp_path / ".cache" / "kpsbatch"

    def test_second_call_builds_nothing(self, cache: Path) -> None:
        """What the cache holds is used, without the networks."""
        first = bundles.find_bundles()
        assert no_leftovers(bundles.built_directory(cache))
        networks.networks_directory(cache).unlink()
        assert bundles.find_bundles() == first

    @pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "missing"])
    def test_damaged_bundle_is_rebuilt(self, damage: str) -> None:
        """A bundle in the cache that is not what was built is noticed and replaced."""
        path = bundles.find_bundles()["face"].path
        data = bytearray(path.read_bytes())
        data[1000] ^= 1
        path.write_bytes({"flipped": data, "truncated": data[: len(data) // 2]}.get(damage, b""))
        if damage == "missing":
            path.unlink()
        assert len(bundles.find_bundles()["face"].read()) == len(data)

    def test_read_notices_a_change(self, built: dict[str, bundles.Bundle], tmp_path: Path) -> None:
        """A file that changed since it was found is not handed to MediaPipe."""
        path = tmp_path / "hand_landmarker.task"
        bundle = bundles.Bundle("hand", path, built["hand"].sha256)
        with pytest.raises(ModelError, match=r"can't be read: No such file.*models --rebuild"):
            bundle.read()
        path.write_bytes(b"else")
        with pytest.raises(ModelError, match=rf"not {bundle.sha256}. .*models --rebuild") as raised:
            bundle.read()
        assert str(path) in str(raised.value)

    def test_eight_processes_at_once(self, cache: Path) -> None:
        """Eight processes that start with one empty cache all get valid bundles and leave no temporary file."""
        code = (
            "import sys; from kpsbatch.landmarks.bundles import find_bundles\n"
            "print('ready', flush=True); sys.stdin.read(); print(sum(len(b.read()) for b in find_bundles().values()))"
        )
        root = Path(__file__).parents[2]
        jobs = [
            subprocess.Popen(
                [sys.executable, "-c", code], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(8)
        ]
        for job in jobs:
            assert job.stdout is not None
            assert job.stdout.readline() == "ready\n"
        for job in jobs:
            assert job.stdin is not None
            job.stdin.close()
            job.stdin = None
        printed = {job.communicate(timeout=60)[0] for job in jobs}
        assert [job.returncode for job in jobs] == [0] * 8
        assert printed == {f"{sum(path.stat().st_size for path in bundles.built_directory(cache).iterdir())}\n"}
        assert no_leftovers(bundles.built_directory(cache))

    def test_only_old_leftovers_are_swept(self, cache: Path) -> None:
        """A build deletes what a killed one left an hour ago, and nothing that may be in use."""
        folder = bundles.built_directory(cache)
        folder.mkdir(parents=True)
        old, new = folder / ".face_landmarker.task.1.partial", folder / ".face_landmarker.task.2.partial"
        for path in (old, new):
            path.touch()
        os.utime(old, (time.time() - 7200,) * 2)
        bundles.find_bundles()
        assert not old.exists()
        assert new.exists()


class TestObtain:
    """`kpsbatch models`: the networks from an index, a wheel or another machine."""

    @pytest.fixture
    def empty(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A cache with nothing in it, on a machine without an index."""
        monkeypatch.setenv("KPSBATCH_CACHE", str(tmp_path / "empty"))
        monkeypatch.setenv("PATH", str(tmp_path))
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.setenv(name, "1")
        return tmp_path / "empty"

    @pytest.fixture
    def wheel(self, tmp_path: Path) -> Path:
        """What matters of the wheel: a zip with the networks."""
        path = tmp_path / "mediapipe-0.10.21-cp312-cp312-win_amd64.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name in networks.NETWORK_SHA256:
                archive.write(NETWORKS / name, f"mediapipe/modules/{name}")
        return path

    def test_from_a_wheel(self, empty: Path, wheel: Path) -> None:
        """A wheel that was brought by hand is enough, and the networks are kept for the next build."""
        found = bundles.obtain_bundles(wheel=wheel)
        assert {part: bundle.sha256 for part, bundle in found.items()} == bundles.EXPECTED_SHA256
        assert networks.has_networks(empty)
        assert sum(path.is_file() for path in empty.rglob("*")) == len(networks.NETWORK_SHA256) + len(bundles.PARTS)

    def test_from_another_machine(self, empty: Path, built: dict[str, bundles.Bundle]) -> None:
        """The folder that --export wrote is enough."""
        found = bundles.obtain_bundles(copy_from=built["pose"].path.parent)
        assert bundles.find_bundles() == found
        assert all(empty in bundle.path.parents for bundle in found.values())

    def test_without_an_index(self, empty: Path) -> None:
        """Where no installer reaches an index, one line says why, and every other way."""
        with pytest.raises(ModelError, match=r"can't be had here: .*--wheel FILE.*--export DIR.*--from DIR") as raised:
            bundles.obtain_bundles()
        assert "\n" not in str(raised.value)
        assert not empty.exists()

    @pytest.mark.parametrize(
        ("damage", "problem"),
        [
            ("other bytes", "is another network: its SHA-256"),
            ("no network", "no item named"),
            ("no zip", "not a zip"),
            ("none", "No such"),
        ],
    )
    def test_wrong_wheel(self, empty: Path, wheel: Path, damage: str, problem: str) -> None:
        """A wheel that is missing, broken or of another release is named, and nothing of it is used."""
        with zipfile.ZipFile(wheel, "w") as archive:
            if damage == "other bytes":
                archive.writestr(f"mediapipe/modules/{next(iter(networks.NETWORK_SHA256))}", b"other")
        if damage == "no zip":
            wheel.write_bytes(b"<html>")
        if damage == "none":
            wheel.unlink()
        with pytest.raises(ModelError, match=problem) as raised:
            bundles.obtain_bundles(wheel=wheel)
        assert str(wheel) in str(raised.value)
        assert not empty.exists()

    def test_wrong_bundles(self, empty: Path, built: dict[str, bundles.Bundle], tmp_path: Path) -> None:
        """Bundles of another machine that are not the built ones are refused."""
        folder = Path(shutil.copytree(built["pose"].path.parent, tmp_path / "theirs"))
        (folder / "pose_landmarker.task").write_bytes(b"other")
        with pytest.raises(ModelError, match=r"theirs.*pose_landmarker\.task is wrong: its SHA-256.*models --export"):
            bundles.obtain_bundles(copy_from=folder)
        assert not empty.exists()


class TestUnwritableCache:
    @pytest.fixture(autouse=True)
    def file_in_the_way(self, cache: Path) -> None:
        """A cache where not even root can make the bundles' folder: a file has its name."""
        bundles.built_directory(cache).touch()

    def test_falls_back_to_a_private_folder(self, tmp_path: Path) -> None:
        """The bundles then live in a folder below the temporary one that only this user can enter."""
        found = bundles.find_bundles()
        own = tmp_path / f"kpsbatch-{os.getuid()}"
        assert all(own in bundle.path.parents for bundle in found.values())
        assert own.stat().st_mode & 0o777 == 0o700
        assert bundles.find_bundles() == found

    def test_a_link_is_not_trusted(self, tmp_path: Path) -> None:
        """Somebody else can't make this user load models by laying a link in the temporary folder."""
        (tmp_path / "trap").mkdir()
        (tmp_path / f"kpsbatch-{os.getuid()}").symlink_to(tmp_path / "trap")
        with pytest.raises(ModelError, match=r"is a folder of another user.*KPSBATCH_CACHE"):
            bundles.find_bundles()

    def test_nowhere_to_write(self, tmp_path: Path) -> None:
        """With no place left the error says how to name one."""
        (tmp_path / f"kpsbatch-{os.getuid()}").touch()
        with pytest.raises(ModelError, match="KPSBATCH_CACHE"):
            bundles.find_bundles()


class TestOwnModels:
    @pytest.fixture
    def folder(self, built: dict[str, bundles.Bundle], tmp_path: Path) -> Path:
        """A copy of the built bundles, to spoil."""
        return Path(shutil.copytree(built["pose"].path.parent, tmp_path / "own models"))

    def test_other_bundles_are_taken_with_their_hash(self, folder: Path) -> None:
        """Any zip with the two networks is taken, and its hash is the file's."""
        path = folder / "face_landmarker.task"
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("face_blendshapes.tflite", b"more")
        found = bundles.find_bundles(folder)
        assert found["face"].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert [found[part].origin for part in bundles.PARTS] == ["built", "custom", "built"]

    @pytest.mark.parametrize(
        ("spoil", "problem"),
        [
            (lambda data: data[: len(data) // 2], "not a zip file"),
            (lambda data: b"<html>404</html>", "not a zip file"),
            (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "Bad CRC-32"),
            (lambda data: bundles._zip({"hand_detector.tflite": b"0000TFL3"}), "hand_landmarks_detector"),
            (
                lambda data: bundles._zip({"hand_detector.tflite": b"", "hand_landmarks_detector.tflite": b"0000TFL3"}),
                "no TFLite network in hand_detector.tflite",
            ),
        ],
        ids=["truncated", "web page", "flipped byte", "one network", "empty network"],
    )
    def test_wrong_file_is_an_error(self, folder: Path, spoil: Any, problem: str) -> None:
        """A file that is no hand bundle is named, with what is wrong and what to do."""
        path = folder / "hand_landmarker.task"
        path.write_bytes(spoil(path.read_bytes()))
        with pytest.raises(ModelError, match=problem) as raised:
            bundles.find_bundles(folder)
        assert str(path) in str(raised.value)
        assert "landmarks.models" in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_missing_file_is_an_error(self, folder: Path) -> None:
        """All three files must be there."""
        (folder / "pose_landmarker.task").unlink()
        with pytest.raises(ModelError, match=r"pose_landmarker\.task does not exist\. Correct landmarks\.models"):
            bundles.find_bundles(folder)
