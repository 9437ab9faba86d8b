"""Where the networks lie, and what is said where they don't, or are not what they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kpsbatch.errors import ModelError
from kpsbatch.landmarks import network_files
from kpsbatch.landmarks.network_files import (
    LIST,
    NETWORKS,
    SOURCE_SHA256,
    default_cache,
    default_folder,
    find_networks,
    models_of,
)

REAL = default_folder()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the networks in a cache of this test alone."""
    monkeypatch.setenv("KPSBATCH_CACHE", str(tmp_path / "the cache"))
    return Path(shutil.copytree(REAL, default_folder()))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The same networks in a folder for `landmarks.models`."""
    return Path(shutil.copytree(REAL, tmp_path / "own"))


def relist(folder: Path, change: Callable[[dict], object]) -> None:  # type: ignore[type-arg]
    tree = json.loads((folder / LIST).read_text())
    change(tree)
    (folder / LIST).write_text(json.dumps(tree))


class TestCache:
    def test_it_follows_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """KPSBATCH_CACHE goes before XDG_CACHE_HOME, and that before the home folder."""
        monkeypatch.setenv("KPSBATCH_CACHE", str(tmp_path / "own"))
        assert default_cache() == tmp_path / "own"
        monkeypatch.delenv("KPSBATCH_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert default_cache() == tmp_path / "xdg" / "kpsbatch"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert default_cache() == tmp_path / ".cache" / "kpsbatch"

    def test_a_user_without_a_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is told which variable to set."""

        def no_home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        for name in ("KPSBATCH_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(Path, "home", staticmethod(no_home))
        with pytest.raises(ModelError, match=r"no home folder\. Set KPSBATCH_CACHE"):
            default_cache()


class TestFound:
    def test_the_six(self, folder: Path) -> None:
        """By name, with what they were made from and the size of their picture."""
        found = find_networks()
        assert tuple(found) == NETWORKS
        assert {name: file.source for name, file in found.items()} == SOURCE_SHA256
        assert [file.side for file in found.values()] == [224, 256, 128, 192, 192, 224]
        assert {file.path.parent for file in found.values()} == {folder}

    def test_the_fingerprint_holds_sources_and_the_edit(self, folder: Path) -> None:
        """So that an edit with the same values keeps it."""
        assert models_of(find_networks()) == {"edit": "2", **SOURCE_SHA256}

    def test_another_folder_has_the_same_networks(self, own: Path) -> None:
        """`landmarks.models` may name a copy; the origin says so where a network is another one."""
        relist(own, lambda tree: tree["networks"]["face_detector"].update(source="0" * 64))
        found = find_networks(own)
        assert found["pose_detector"].origin == "mediapipe 0.10.21"
        assert found["face_detector"].origin == "other"
        assert models_of(found)["face_detector"] == "0" * 64


class TestMissing:
    def test_the_way_out_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run that lacks the models says in one line where they must be, and what to run on which machine."""
        monkeypatch.setenv("KPSBATCH_CACHE", str(tmp_path / "empty"))
        with pytest.raises(ModelError, match=r"not in .*empty\. Run `kpsbatch models` once.*login node") as raised:
            find_networks()
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "empty").exists()

    @pytest.mark.parametrize("damage", ["flipped", "truncated", "empty"])
    def test_a_damaged_file(self, folder: Path, damage: str) -> None:
        """It is named, with both hashes."""
        path = folder / "face_landmarks.tflite"
        data = bytearray(path.read_bytes())
        data[1000] ^= 1
        path.write_bytes({"flipped": data, "truncated": data[: len(data) // 2]}.get(damage, b""))
        with pytest.raises(
            ModelError, match=r"has changed: its SHA-256 is .*Run `kpsbatch models --rebuild`"
        ) as raised:
            find_networks()
        assert str(path) in str(raised.value)

    def test_a_lost_file(self, folder: Path) -> None:
        """It is named."""
        (folder / "hand_landmarks.tflite").unlink()
        with pytest.raises(ModelError, match=r"can't be read: No such file.*models --rebuild"):
            find_networks()

    def test_a_change_after_it_was_found(self, folder: Path) -> None:
        """A file that changed since is not handed to MediaPipe."""
        found = find_networks()["palm_detector"]
        found.path.write_bytes(b"else")
        with pytest.raises(ModelError, match=rf"not {found.sha256}\. .*models --rebuild"):
            found.read()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"networks": 3}'])
    def test_a_damaged_list(self, folder: Path, own: Path, text: str) -> None:
        """In the cache it is as if nothing was there; elsewhere the list is named."""
        (folder / LIST).write_text(text)
        (own / LIST).write_text(text)
        with pytest.raises(ModelError, match=r"Run `kpsbatch models`"):
            find_networks()
        with pytest.raises(ModelError, match=r"own/networks\.json is damaged\. Name a folder that .*--export"):
            find_networks(own)

    def test_a_list_that_fits_other_files(self, folder: Path) -> None:
        """In the cache the hashes must be those that this release builds."""
        relist(folder, lambda tree: tree["networks"]["pose_detector"].update(sha256="0" * 64))
        with pytest.raises(ModelError, match=r"networks\.json has changed\. Run `kpsbatch models --rebuild`"):
            find_networks()

    def test_another_edit(self, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Networks that another release made ready are not run."""
        monkeypatch.setattr(network_files, "EDIT_VERSION", 3)
        with pytest.raises(ModelError, match=r"networks of another version of kpsbatch\. Make the folder again with"):
            find_networks(own)

    def test_a_missing_network_in_the_list(self, own: Path) -> None:
        """All six must be there."""
        relist(own, lambda tree: tree["networks"].pop("pose_detector"))
        with pytest.raises(ModelError, match="another version of kpsbatch"):
            find_networks(own)

    def test_bundles(self, tmp_path: Path) -> None:
        """What earlier releases took is told from nothing, with the command that makes networks of it."""
        (tmp_path / "face_landmarker.task").touch()
        with pytest.raises(
            ModelError,
            match=rf"holds MediaPipe's bundles, not networks\. Run `kpsbatch models --from {tmp_path} --export",
        ):
            find_networks(tmp_path)

    def test_other_folders(self, tmp_path: Path) -> None:
        """One that is not there, and one of something else."""
        with pytest.raises(
            ModelError, match=r"landmarks\.models: .*nowhere does not exist\. Correct the path, or remove"
        ):
            find_networks(tmp_path / "nowhere")
        with pytest.raises(ModelError, match=r"networks\.json is missing\. Name a folder"):
            find_networks(tmp_path)
